"""Bundles: opened by name or path, and any damage found before use."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pixio_edge import bundle as bundle_module
from pixio_edge.bundle import MANIFEST, SUMS, Bundle, list_embedded
from pixio_edge.errors import BundleError, SchemaError
from tests.tiny_bundle import WEIGHTS, use_everything, write_tiny_bundle


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny").folder


@pytest.fixture
def folder(pristine: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(pristine, tmp_path / "tiny"))


def refusal(action: Callable[[], object]) -> str:
    with pytest.raises(BundleError) as caught:
        action()
    message = str(caught.value)
    assert "\n" not in message
    assert "Fix: " in message
    return message


def test_intact_bundle_passes_every_check(folder: Path) -> None:
    use_everything(folder)

    assert Bundle.open(folder).verify_hashes() == len(list(folder.iterdir())) - 1, "all files but the sums"


def test_bundle_opens_by_its_manifest_file_and_as_text(folder: Path) -> None:
    assert Bundle.open(folder / MANIFEST).folder == Bundle.open(str(folder)).folder == folder.resolve()


def test_bundle_opens_through_a_link_to_its_folder(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)

    use_everything(tmp_path / "link")


def test_unknown_name_lists_the_embedded_ones(monkeypatch: pytest.MonkeyPatch, pristine: Path) -> None:
    monkeypatch.setattr(bundle_module, "EMBEDDED", pristine.parent)

    message = refusal(lambda: Bundle.open("huge"))

    assert message.startswith("bundle 'huge': got neither a folder nor an embedded name, expected one of: tiny. Fix: ")
    assert list_embedded() == ["tiny"]
    assert Bundle.open("tiny").folder == pristine.resolve()


def test_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    assert "expected a bundle folder with manifest.json" in refusal(lambda: Bundle.open(tmp_path))


@pytest.mark.parametrize("name", [MANIFEST, SUMS, WEIGHTS, "graph_32x48.onnx", "golden_48x32.npz"])
def test_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()

    assert name in refusal(lambda: use_everything(folder))


FILES = [MANIFEST, SUMS, WEIGHTS, "graph_32x32.onnx", "graph_32x48.onnx", "graph_48x32.onnx", "golden_32x32.npz"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [0.0, 0.31, 0.5, 0.77, 1.0])
@pytest.mark.parametrize("mask", [0x01, 0x80])
def test_one_flipped_bit_is_found(folder: Path, name: str, place: float, mask: int) -> None:
    content = bytearray((folder / name).read_bytes())
    content[round(place * (len(content) - 1))] ^= mask
    (folder / name).write_bytes(content)

    refusal(lambda: use_everything(folder))


def test_every_single_byte_of_the_sums_counts(folder: Path) -> None:
    content = (folder / SUMS).read_bytes()

    for index in range(len(content)):
        (folder / SUMS).write_bytes(content[:index] + bytes([content[index] ^ 0x20]) + content[index + 1 :])
        with pytest.raises(BundleError):
            Bundle.open(folder)


@pytest.mark.parametrize("name", FILES)
def test_truncated_file_is_found_at_once(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])

    refusal(lambda: Bundle.open(folder))


@pytest.mark.parametrize("name", FILES)
def test_empty_file_is_found_at_once(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"")

    refusal(lambda: Bundle.open(folder))


@pytest.mark.parametrize("name", FILES)
def test_link_out_of_the_bundle_is_refused_though_the_content_is_right(folder: Path, tmp_path: Path, name: str) -> None:
    (folder / name).rename(tmp_path / name)
    (folder / name).symlink_to(tmp_path / name)

    assert "links to a file outside the bundle" in refusal(lambda: Bundle.open(folder))


def test_loop_of_links_is_refused(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).symlink_to(folder / WEIGHTS)

    refusal(lambda: Bundle.open(folder))


def test_folder_in_place_of_a_file_is_refused(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).mkdir()

    refusal(lambda: Bundle.open(folder))


def rewrite(folder: Path, change: Callable[[dict[str, object]], None]) -> None:
    """Alter the manifest and make its own hash fit, as someone would who knows the format."""
    content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    change(content)
    text = json.dumps(content)
    lines = (folder / SUMS).read_text(encoding="utf-8").splitlines(keepends=True)
    lines[0] = f"{hashlib.sha256(text.encode()).hexdigest()}  {MANIFEST}\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


@pytest.mark.parametrize("path", ["../tiny/graph_32x32.onnx", "/etc/passwd", "..\\secret"])
def test_path_out_of_the_bundle_is_refused_though_all_hashes_fit(folder: Path, path: str) -> None:
    rewrite(folder, lambda content: content["artifacts"][0].update(path=path))  # type: ignore[index]

    with pytest.raises(SchemaError, match="path"):
        Bundle.open(folder)


def test_newer_schema_is_refused_though_all_hashes_fit(folder: Path) -> None:
    rewrite(folder, lambda content: content.update(schema_version=7))

    with pytest.raises(SchemaError, match="schema version 7, this release reads 1"):
        Bundle.open(folder)


def test_manifest_that_is_not_json_is_refused_though_its_hash_fits(folder: Path) -> None:
    rewrite(folder, lambda _: None)
    (folder / MANIFEST).write_bytes(b"\xff\xfe")
    lines = (folder / SUMS).read_text(encoding="utf-8").splitlines(keepends=True)
    lines[0] = f"{hashlib.sha256(bytes([0xFF, 0xFE])).hexdigest()}  {MANIFEST}\n"
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")

    assert "not UTF-8" in refusal(lambda: Bundle.open(folder))


def test_manifest_and_sums_that_disagree_on_a_file_are_refused(folder: Path) -> None:
    rewrite(folder, lambda content: content["artifacts"][0].update(sha256="0" * 64))  # type: ignore[index]

    assert "differs from manifest.json" in refusal(lambda: Bundle.open(folder))


def test_unlisted_file_is_found_by_verification(folder: Path) -> None:
    (folder / "extra.bin").write_bytes(b"x")

    assert "['extra.bin']" in refusal(Bundle.open(folder).verify_hashes)


def test_shared_weights_are_hashed_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []
    original = bundle_module.sha256_file

    def record(path: Path) -> str:
        hashed.append(path.name)
        return original(path)

    monkeypatch.setattr(bundle_module, "sha256_file", record)
    bundle = Bundle.open(folder)
    assert hashed == [], "opening hashes nothing but the manifest"

    for artifact in bundle.artifacts:
        bundle.read_artifact(artifact)

    assert sorted(hashed) == ["graph_32x32.onnx", "graph_32x48.onnx", "graph_48x32.onnx", WEIGHTS]


def test_file_that_changes_after_it_was_hashed_is_hashed_again(folder: Path) -> None:
    bundle = Bundle.open(folder)
    bundle.read_artifact(bundle.artifacts[0])
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[7] ^= 1
    (folder / WEIGHTS).write_bytes(content)
    os.utime(folder / WEIGHTS, ns=(0, 0))  # a file system with a coarse clock could give the old time again

    assert "was altered" in refusal(lambda: bundle.read_artifact(bundle.artifacts[0]))


def test_missing_artifact_name_lists_those_there_are(folder: Path) -> None:
    message = refusal(lambda: Bundle.open(folder).artifact("onnx-int8-32x32"))

    assert "expected one of: onnx-fp32-32x32, onnx-fp32-32x48, onnx-fp32-48x32" in message


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not installed")
def test_sums_are_understood_by_sha256sum(folder: Path) -> None:
    command = ["sha256sum", "--check", "--strict", "--quiet", SUMS]

    assert subprocess.run(command, cwd=folder, check=False).returncode == 0
    (folder / WEIGHTS).write_bytes(b"")
    assert subprocess.run(command, cwd=folder, check=False, capture_output=True).returncode == 1


def test_golden_files_need_no_pickle(folder: Path) -> None:
    bundle = Bundle.open(folder)

    with np.load(bundle.read_golden(bundle.artifacts[0]), allow_pickle=False) as arrays:
        assert set(arrays) == {"image", "depth"}


def test_opening_a_bundle_imports_no_engine(folder: Path) -> None:
    code = (
        "import sys; from pixio_edge import Bundle; Bundle.open(sys.argv[1]).verify_hashes(); "
        "print(sorted({'torch', 'onnx', 'onnxruntime', 'openvino', 'cv2'} & set(sys.modules)))"
    )

    result = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)

    assert result.stdout.strip() == "[]"
