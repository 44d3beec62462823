"""`pixio-edge pull` and `--require-commercial` as a user types them, against a hub on this machine."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from command import EXECUTABLE, TIMEOUT_S, assert_one_line_error, leftovers, run_command
from fake_hub import FakeHub, serve, sha256

from pixio_edge.bundle import Bundle
from pixio_edge.bundle_writer import rewrite_manifest
from pixio_edge.evaluation.index_folder import INDEX_NAME

FREE = "depth-anything-v2-small"
FREE_FILE = "depth_anything_v2_vits.pth"
COMMIT = "1" * 40
MIB = 1 << 20
# The library writes what it received every ten megabytes.
CONTENT = random.Random(0).randbytes(MIB) * 24


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with serve(FakeHub("depth-anything/Depth-Anything-V2-Small", FREE_FILE, {COMMIT: CONTENT})) as running:
        yield running


def environment(hub: FakeHub, home: Path) -> dict[str, str]:
    """A user without token and proxy whose hub is ours."""
    return {
        "HF_ENDPOINT": hub.endpoint,
        "HF_HOME": str(home),
        "HF_TOKEN": "",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }


def test_list_is_a_table_for_people_and_json_for_programs() -> None:
    table = run_command("pull", "--list")
    records = json.loads(run_command("pull", "--list", "--json").stdout)

    assert table.returncode == 0
    lines = {line.split()[0]: line for line in table.stdout.splitlines()}
    assert "FAIR Noncommercial" in lines["pixio-vit5b16"]
    assert " NO " in lines["pixio-vit5b16"]
    assert {record["name"] for record in records} == set(lines) - {"name"}
    (encoder,) = [record for record in records if record["name"] == "pixio-vitb16"]
    assert (encoder["gated"], encoder["licence"]["commercial"], encoder["commit"]) == (True, False, None)


@pytest.mark.parametrize("arguments", [(), ("--list", FREE)])
def test_name_or_list_is_needed(arguments: tuple[str, ...]) -> None:
    assert_one_line_error(run_command("pull", *arguments), "either a name or --list")


def test_pull_resumes_after_it_was_interrupted(hub: FakeHub, tmp_path: Path) -> None:
    hub.hold_after = 15 * MIB
    command = [str(EXECUTABLE), "pull", FREE, "-o", "weights"]
    env = {**os.environ, **environment(hub, tmp_path)}
    with subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        part = tmp_path / "weights" / FREE / f"{FREE_FILE}.part"
        assert hub.held.wait(TIMEOUT_S)
        while not part.is_file() or part.stat().st_size < 10 * MIB:
            assert process.poll() is None
        process.send_signal(signal.SIGINT if sys.platform != "win32" else signal.SIGTERM)
        process.communicate(timeout=TIMEOUT_S)
    received = part.stat().st_size
    assert process.returncode != 0
    assert not part.with_suffix("").exists()
    hub.hold_after = None
    hub.requests.clear()

    result = run_command("pull", FREE, "-o", "weights", cwd=tmp_path, env=environment(hub, tmp_path))

    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert part.with_suffix("").read_bytes() == CONTENT
    assert [request.range for request in hub.asked("storage", "GET")] == [f"bytes={received}-"]
    assert f"{FREE}: 25.2 MB from depth-anything/Depth-Anything-V2-Small at {COMMIT}" in result.stdout
    assert "licence: Apache-2.0" in result.stdout
    assert f"resumed at {received / 1e6:.1f} MB" in result.stdout
    assert f"pin: --revision {COMMIT}" in result.stdout


def test_pull_prints_nothing_but_json_when_asked_for(hub: FakeHub, tmp_path: Path) -> None:
    result = run_command("pull", FREE, "-o", "weights", "--json", cwd=tmp_path, env=environment(hub, tmp_path))

    record = json.loads(result.stdout)
    assert (record["commit"], record["sha256"], record["received"]) == (COMMIT, sha256(CONTENT), len(CONTENT))
    assert (tmp_path / record["path"]).read_bytes() == CONTENT
    assert (tmp_path / record["lock"]).is_file()


def test_gated_repository_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    with serve(FakeHub("facebook/pixio-vitb16", "pixio_vitb16.pth", {COMMIT: b"x"}, gated=True)) as hub:
        env = environment(hub, tmp_path / "home")
        unread = run_command("pull", "pixio-vitb16", cwd=tmp_path, env=env)
        refused = run_command("pull", "pixio-vitb16", "--accept-licence", cwd=tmp_path, env=env)

    assert_one_line_error(unread, "FAIR Noncommercial", "--accept-licence")
    assert_one_line_error(refused, "is gated", "https://huggingface.co/facebook/pixio-vitb16", "hf auth login")
    assert leftovers(tmp_path) == []


def test_answer_that_is_not_the_hubs_is_one_line(hub: FakeHub, tmp_path: Path) -> None:
    hub.is_bare = True

    assert_one_line_error(
        run_command("pull", FREE, cwd=tmp_path, env=environment(hub, tmp_path)), "no commit, SHA-256 and length"
    )


def test_offline_switch_is_one_line(hub: FakeHub, tmp_path: Path) -> None:
    env = {**environment(hub, tmp_path), "HF_HUB_OFFLINE": "1"}

    assert_one_line_error(run_command("pull", FREE, cwd=tmp_path, env=env), "HF_HUB_OFFLINE is set")
    assert hub.requests == []


@pytest.fixture
def noncommercial(bundle: Path, tmp_path: Path) -> Path:
    """The tiny bundle under noncommercial terms."""
    folder = tmp_path / "noncommercial"
    shutil.copytree(bundle, folder)
    manifest = Bundle.open(folder).manifest
    licence = manifest.licence.model_copy(update={"weights": "CC-BY-NC-4.0", "commercial": False})
    rewrite_manifest(folder, manifest.model_copy(update={"licence": licence}))
    return folder


@pytest.fixture
def data(photo: Path, tmp_path: Path) -> Path:
    """One picture with depth."""
    folder = tmp_path / "data"
    folder.mkdir()
    shutil.copy(photo, folder / "photo.jpg")
    height, width = cv2.imread(str(photo)).shape[:2]
    cv2.imwrite(str(folder / "depth.png"), np.full((height, width), 1000, np.uint16))
    (folder / INDEX_NAME).write_text("rgb,depth,scale\nphoto.jpg,depth.png,1000\n")
    return folder


@pytest.mark.parametrize(
    "verb",
    [
        ("predict", "PHOTO", "--bundle", "BUNDLE", "-o", "out"),
        ("stream", "PHOTO", "--bundle", "BUNDLE"),
        ("evaluate", "BUNDLE", "--data", "DATA"),
        ("benchmark", "BUNDLE", "--runtime", "ort"),
        ("verify", "BUNDLE"),
        ("export", "BUNDLE", "-o", "exported"),
    ],
    ids=lambda verb: verb[0],
)
def test_verb_refuses_a_noncommercial_bundle_when_commercial_use_is_insisted_on(
    noncommercial: Path, photo: Path, data: Path, tmp_path: Path, verb: tuple[str, ...]
) -> None:
    names = {"PHOTO": str(photo), "BUNDLE": str(noncommercial), "DATA": str(data)}

    result = run_command("--require-commercial", *(names.get(word, word) for word in verb), cwd=tmp_path)

    assert_one_line_error(result, "noncommercial", "CC-BY-NC-4.0 forbids commercial use")


def test_environment_refuses_too_and_inspect_still_tells_the_licence(noncommercial: Path, photo: Path) -> None:
    env = {"PIXIO_EDGE_REQUIRE_COMMERCIAL": "1"}

    refused = run_command("predict", photo, "--bundle", noncommercial, cwd=noncommercial.parent, env=env)
    told = run_command("inspect", noncommercial, env=env)
    allowed = run_command("inspect", "nano", env=env)

    assert_one_line_error(refused, "forbids commercial use")
    assert "commercial use NOT allowed" in told.stdout
    assert allowed.returncode == 0
