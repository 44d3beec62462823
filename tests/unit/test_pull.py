"""Pulling weights from a hub on this machine; nothing here reaches the network."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from fake_hub import TOKEN, FakeHub, serve, sha256

from pixio_edge.errors import DownloadError, InputError, LicenceError, OutputError, PixioEdgeError
from pixio_edge.weights.catalogue import CATALOGUE, SUFFIXES, find_weights
from pixio_edge.weights.lock import lock_path, read_lock
from pixio_edge.weights.pull import Pulled, part_path, pull

FREE = "depth-anything-v2-small"
FREE_FILE = "depth_anything_v2_vits.pth"
GATED = "pixio-vitb16"
FIRST, SECOND = "1" * 40, "2" * 40
CONTENT = random.Random(0).randbytes(100_000)
LATER_CONTENT = random.Random(1).randbytes(90_000)
# What the library reads at a time is lost when the connection breaks; its own ten megabytes would be all of it.
CHUNK = 1000


@pytest.fixture(autouse=True, scope="module")
def client() -> Iterator[None]:
    """One HTTP client for all tests, as making one takes a second, without the proxy of this machine."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("NO_PROXY", "no_proxy"):
            patch.setenv(name, "127.0.0.1,localhost")
        huggingface_hub.close_session()
        huggingface_hub.get_session()
        yield
    huggingface_hub.close_session()


@pytest.fixture(autouse=True)
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    """No token of this machine, and no pauses."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_OIDC_RESOURCE", "PIXIO_EDGE_REQUIRE_COMMERCIAL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", "/nonexistent/token")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", CHUNK)
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)


def use(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.endpoint)
    template = hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with serve(FakeHub("depth-anything/Depth-Anything-V2-Small", FREE_FILE, {FIRST: CONTENT})) as running:
        use(running, monkeypatch)
        yield running


@pytest.fixture
def gated_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with serve(FakeHub("facebook/pixio-vitb16", "pixio_vitb16.pth", {FIRST: CONTENT}, gated=True)) as running:
        use(running, monkeypatch)
        yield running


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def interrupted_pull(hub: FakeHub, folder: Path, *, after: int) -> Path:
    """A pull whose connection breaks for good; returns the unfinished file."""
    hub.cuts = [after, *[0] * 10]
    with pytest.raises(
        DownloadError, match=rf"connection broke at {after} of {len(CONTENT)} bytes.*goes on from there"
    ):
        pull(FREE, folder)
    hub.cuts = []
    hub.requests.clear()
    return part_path(folder / FREE / FREE_FILE)


def test_first_pull_stores_the_content_and_pins_it(hub: FakeHub, tmp_path: Path) -> None:
    pulled = pull(FREE, tmp_path)

    assert pulled.path == tmp_path / FREE / FREE_FILE
    assert pulled.path.read_bytes() == CONTENT
    assert (pulled.received, pulled.resumed_at) == (len(CONTENT), 0)
    assert files(tmp_path) == {FREE_FILE, f"{FREE_FILE}.lock.json"}
    lock = json.loads(lock_path(pulled.path).read_text())
    assert (lock["commit"], lock["sha256"], lock["bytes"]) == (FIRST, sha256(CONTENT), len(CONTENT))
    assert lock["licence"]["weights"] == "Apache-2.0"
    assert lock["licence"]["commercial"] is True


def test_bytes_are_taken_from_the_commit_that_was_resolved_and_not_from_the_branch(
    hub: FakeHub, tmp_path: Path
) -> None:
    pull(FREE, tmp_path)

    assert [request.path.split("/")[4] for request in hub.requests if request.server == "hub"] == ["main", FIRST]


def test_second_pull_checks_the_file_and_asks_nobody(hub: FakeHub, tmp_path: Path) -> None:
    first = pull(FREE, tmp_path)
    hub.requests.clear()

    assert pull(FREE, tmp_path) == replace(first, received=0)
    assert pull(FREE, tmp_path, revision=FIRST) == replace(first, received=0)
    assert hub.requests == []


def test_pull_refuses_a_file_that_was_altered_since(hub: FakeHub, tmp_path: Path) -> None:
    path = pull(FREE, tmp_path).path
    path.write_bytes(CONTENT[:-1] + b"?")

    with pytest.raises(InputError, match=r"the file was altered\. Fix: remove it and pull again"):
        pull(FREE, tmp_path)


def test_pull_takes_the_pinned_commit_when_the_branch_has_moved(hub: FakeHub, tmp_path: Path) -> None:
    pull(FREE, tmp_path).path.unlink()
    hub.commits[SECOND] = LATER_CONTENT

    pulled = pull(FREE, tmp_path)

    assert pulled.path.read_bytes() == CONTENT
    assert pulled.lock.commit == FIRST


@pytest.mark.parametrize("is_there", [True, False])
@pytest.mark.parametrize("revision", [SECOND, "main"])
def test_pull_refuses_a_revision_whose_content_differs_from_the_pin(
    hub: FakeHub, tmp_path: Path, is_there: bool, revision: str
) -> None:
    path = pull(FREE, tmp_path).path
    hub.commits[SECOND] = LATER_CONTENT
    if not is_there:
        path.unlink()
    before = files(tmp_path)

    with pytest.raises(InputError, match=rf"got sha256 {sha256(LATER_CONTENT)[:12]}.*of .*lock\.json"):
        pull(FREE, tmp_path, revision=revision)

    assert files(tmp_path) == before
    assert not is_there or path.read_bytes() == CONTENT


def test_first_pull_takes_the_revision_that_the_user_gives(hub: FakeHub, tmp_path: Path) -> None:
    hub.commits[SECOND] = LATER_CONTENT

    pulled = pull(FREE, tmp_path, revision=FIRST)

    assert pulled.lock.commit == FIRST
    assert pulled.path.read_bytes() == CONTENT


def test_first_pull_refuses_what_differs_from_the_hash_in_the_catalogue(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = replace(find_weights(FREE), commit=FIRST, sha256="0" * 64)
    monkeypatch.setattr("pixio_edge.weights.pull.find_weights", lambda name: known)

    with pytest.raises(InputError, match="expected 000000000000… of the catalogue"):
        pull(FREE, tmp_path)

    assert files(tmp_path) == set()


def test_pull_keeps_nothing_when_the_content_is_not_the_announced_one(hub: FakeHub, tmp_path: Path) -> None:
    hub.served = CONTENT[:-1] + b"?"

    with pytest.raises(DownloadError, match=rf"expected {sha256(CONTENT)[:12]}… as announced, so the file was removed"):
        pull(FREE, tmp_path)

    assert files(tmp_path) == {f"{FREE_FILE}.lock.json"}


def test_a_short_break_is_bridged_with_a_range(hub: FakeHub, tmp_path: Path) -> None:
    hub.cuts = [30_000]

    pulled = pull(FREE, tmp_path)

    assert pulled.path.read_bytes() == CONTENT
    assert [request.range for request in hub.asked("storage", "GET")] == [None, "bytes=30000-"]


def test_next_pull_goes_on_where_a_broken_one_stopped(hub: FakeHub, tmp_path: Path) -> None:
    part = interrupted_pull(hub, tmp_path, after=30_000)
    assert part.read_bytes() == CONTENT[:30_000]
    progress: list[tuple[int, int]] = []

    pulled = pull(FREE, tmp_path, on_progress=lambda done, total: progress.append((done, total)))

    assert pulled.path.read_bytes() == CONTENT
    assert (pulled.received, pulled.resumed_at) == (70_000, 30_000)
    assert [request.range for request in hub.asked("storage", "GET")] == ["bytes=30000-"]
    assert progress[0] == (30_000, 100_000)
    assert progress[-1] == (100_000, 100_000)
    assert len(progress) > 10
    assert not part.exists()


def test_resumed_pull_stays_with_the_commit_it_began_with(hub: FakeHub, tmp_path: Path) -> None:
    interrupted_pull(hub, tmp_path, after=30_000)
    hub.commits[SECOND] = LATER_CONTENT

    pulled = pull(FREE, tmp_path)

    assert pulled.path.read_bytes() == CONTENT
    assert pulled.resumed_at == 30_000


def test_pull_starts_over_when_the_storage_ignores_the_range(hub: FakeHub, tmp_path: Path) -> None:
    interrupted_pull(hub, tmp_path, after=30_000)
    hub.ignores_range = True

    assert pull(FREE, tmp_path).path.read_bytes() == CONTENT


def test_complete_part_is_checked_and_not_received_again(hub: FakeHub, tmp_path: Path) -> None:
    part = interrupted_pull(hub, tmp_path, after=30_000)
    part.write_bytes(CONTENT)

    pulled = pull(FREE, tmp_path)

    assert pulled.path.read_bytes() == CONTENT
    assert hub.asked("storage", "GET") == []


def test_part_that_is_too_long_is_thrown_away(hub: FakeHub, tmp_path: Path) -> None:
    part = interrupted_pull(hub, tmp_path, after=30_000)
    part.write_bytes(b"x" * (len(CONTENT) + 1))

    assert pull(FREE, tmp_path).resumed_at == 0


def test_gated_repository_says_how_to_get_in_when_there_is_no_token(gated_hub: FakeHub, tmp_path: Path) -> None:
    with pytest.raises(DownloadError) as refused:
        pull(GATED, tmp_path, accept_licence=True)

    message = str(refused.value)
    assert "facebook/pixio-vitb16 is gated and you are not logged in" in message
    assert "Fix: ask for access at https://huggingface.co/facebook/pixio-vitb16" in message
    assert "hf auth login" in message
    assert "\n" not in message
    assert files(tmp_path) == set()


def test_gated_repository_says_to_wait_when_the_account_has_no_access(
    gated_hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    gated_hub.allowed = False

    with pytest.raises(DownloadError, match=r"your account has no access.*wait until it is granted") as refused:
        pull(GATED, tmp_path, accept_licence=True)

    assert TOKEN not in str(refused.value)


def test_token_opens_a_gated_repository_and_does_not_reach_the_storage(
    gated_hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)

    pulled = pull(GATED, tmp_path, accept_licence=True)

    assert pulled.path.read_bytes() == CONTENT
    assert all(request.has_token for request in gated_hub.requests if request.server == "hub")
    assert [request.has_token for request in gated_hub.asked("storage", "GET")] == [False]
    assert TOKEN not in lock_path(pulled.path).read_text()


def test_noncommercial_weights_are_not_asked_for_before_the_licence_is_accepted(
    gated_hub: FakeHub, tmp_path: Path
) -> None:
    with pytest.raises(LicenceError, match=r"FAIR Noncommercial.*LICENSE\. Fix: read it.*--accept-licence"):
        pull(GATED, tmp_path)

    assert gated_hub.requests == []
    assert files(tmp_path) == set()


def test_pull_refuses_noncommercial_weights_when_commercial_use_is_insisted_on(
    hub: FakeHub, gated_hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIXIO_EDGE_REQUIRE_COMMERCIAL", "1")

    with pytest.raises(LicenceError, match=r"weights 'pixio-vitb16'.*forbids commercial use"):
        pull(GATED, tmp_path, accept_licence=True)

    use(hub, monkeypatch)
    assert pull(FREE, tmp_path).path.is_file()
    assert gated_hub.requests == []


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        ((401, "RepoNotFound", "Repository not found"), "is not there, or not for you"),
        ((404, "RevisionNotFound", "Invalid rev id"), "has no revision 'main'. Fix: .*--revision"),
        ((404, "EntryNotFound", "Entry not found"), f"has no {FREE_FILE} at 'main'"),
        ((401, "", "Invalid credentials in Authorization header"), "refused your token. Fix: log in"),
        ((403, "", "Forbidden"), "forbids .* to your token"),
        ((429, "", "Too many"), "asked too often.*wait"),
        ((500, "", "Oops"), "status 500. Fix: try again later"),
    ],
)
def test_refusals_of_the_hub_become_one_line(
    hub: FakeHub, tmp_path: Path, refusal: tuple[int, str, str], message: str
) -> None:
    hub.refusal = refusal

    with pytest.raises(DownloadError, match=f"{FREE}: .*{message}") as refused:
        pull(FREE, tmp_path)

    assert "\n" not in str(refused.value)
    assert files(tmp_path) == set()


def test_access_that_ends_during_a_download_is_explained_and_keeps_what_is_there(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(remote: object, path: Path) -> None:
        hub.refusal = (401, "GatedRepo", "restricted")

    with pytest.raises(DownloadError, match="is gated and you are not logged in"):
        pull(FREE, tmp_path, on_start=refuse)

    assert files(tmp_path) == {f"{FREE_FILE}.lock.json", f"{FREE_FILE}.part"}


def test_an_answer_that_is_not_the_hubs_is_not_trusted(hub: FakeHub, tmp_path: Path) -> None:
    hub.is_bare = True

    with pytest.raises(DownloadError, match=r"no commit, SHA-256 and length.*Fix: check HF_ENDPOINT"):
        pull(FREE, tmp_path)


def test_absent_network_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(FakeHub("a/b", "c", {FIRST: b""})) as gone:
        pass
    use(gone, monkeypatch)

    with pytest.raises(DownloadError, match=r"the hub cannot be reached .*Fix: check the network") as refused:
        pull(FREE, tmp_path)

    assert "\n" not in str(refused.value)


def test_token_file_that_cannot_be_read_is_named(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path))

    with pytest.raises(DownloadError, match=rf"cannot read {tmp_path} \(is a directory\)"):
        pull(FREE, tmp_path)


def test_offline_switch_is_named_and_spares_what_is_there(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pull(FREE, tmp_path / "there")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)

    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE is set and the file is not here"):
        pull(FREE, tmp_path / "empty")

    assert pull(FREE, tmp_path / "there").received == 0


def test_full_disk_is_seen_before_the_first_byte(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=len(CONTENT) - 1))

    with pytest.raises(OutputError, match=r"needs 0\.1 MB in .*only 0\.1 MB are free\. Fix: free some space"):
        pull(FREE, tmp_path)

    assert hub.asked("storage", "GET") == []
    assert files(tmp_path) == set()


def test_disk_that_fills_up_meanwhile_keeps_what_was_received(
    hub: FakeHub, tiny_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=len(CONTENT)))

    with pytest.raises(OutputError, match=r"no space left on device.*free some space and run the same command again"):
        pull(FREE, tiny_disk)

    part = part_path(tiny_disk / FREE / FREE_FILE).read_bytes()
    assert 0 < len(part) < len(CONTENT)
    assert CONTENT.startswith(part)


def test_folder_that_cannot_be_written_is_an_output_error(hub: FakeHub, unwritable_folder: Path) -> None:
    with pytest.raises(OutputError, match="cannot create folder"):
        pull(FREE, unwritable_folder)


def test_file_without_a_pin_is_left_alone(hub: FakeHub, tmp_path: Path) -> None:
    path = tmp_path / FREE / FREE_FILE
    path.parent.mkdir()
    path.write_bytes(b"mine")

    with pytest.raises(OutputError, match=r"is there without .*lock\.json, so it is not known what it is"):
        pull(FREE, tmp_path)

    assert path.read_bytes() == b"mine"


@pytest.mark.parametrize("text", ["", "[]", '{"schema_version": 2}'])
def test_damaged_pin_is_an_input_error(hub: FakeHub, tmp_path: Path, text: str) -> None:
    path = pull(FREE, tmp_path).path
    lock_path(path).write_text(text)

    with pytest.raises(InputError, match=r"not a record of a pull .*Fix: remove it and pull again"):
        pull(FREE, tmp_path)


def test_pulled_is_json_with_the_pin_and_the_paths(hub: FakeHub, tmp_path: Path) -> None:
    pulled = pull(FREE, tmp_path)

    record = json.loads(json.dumps(Pulled.to_json(pulled)))

    assert record["commit"] == FIRST
    assert record["path"] == str(pulled.path)
    assert read_lock(pulled.path) == pulled.lock


def test_catalogue_has_the_five_encoders_gated_and_only_the_small_depth_models_for_commerce() -> None:
    encoders = [weights for weights in CATALOGUE if weights.name.startswith("pixio-")]
    commercial = {weights.name for weights in CATALOGUE if weights.terms.commercial}

    assert len(encoders) == 5
    assert encoders == [weights for weights in CATALOGUE if weights.gated]
    assert commercial == {"depth-anything-v2-small", "depth-anything-v2-small-hf"}


def test_catalogue_names_are_unique_and_files_are_weights() -> None:
    names = [weights.name for weights in CATALOGUE]

    assert len(set(names)) == len(names)
    assert all(weights.file.endswith(SUFFIXES) and "/" not in weights.file for weights in CATALOGUE)


@pytest.mark.parametrize(("name", "fix"), [("pixio-vitb", "did you mean pixio-"), ("resnet", "pixio-edge pull --list")])
def test_unknown_name_is_an_input_error_with_a_way_on(tmp_path: Path, name: str, fix: str) -> None:
    with pytest.raises(PixioEdgeError, match=f"weights '{name}': unknown.*Fix: {fix}"):
        pull(name, tmp_path)
