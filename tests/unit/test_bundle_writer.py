"""Writing bundles: whole or not at all, and never over anything else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pixio_edge.bundle import MANIFEST, SUMS, Bundle
from pixio_edge.bundle_writer import rewrite_manifest, write_bundle
from pixio_edge.errors import BundleError, OutputError, PixioEdgeError
from tests.tiny_bundle import tiny_header, use_everything, write_tiny_bundle


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("writer") / "tiny").folder


@pytest.fixture
def folder(pristine: Path, tmp_path: Path) -> Path:
    """A copy that a test may replace."""
    return Path(shutil.copytree(pristine, tmp_path / "tiny"))


def test_written_bundle_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    first = write_tiny_bundle(tmp_path / "first")
    second = write_tiny_bundle(tmp_path / "second")

    assert (first.folder / SUMS).read_bytes() == (second.folder / SUMS).read_bytes()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, OutputError])
def test_interrupted_writing_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    def interrupted() -> None:
        with write_bundle(tmp_path / "new", tiny_header()) as writer:
            (writer.folder / "graph.onnx").write_bytes(b"half")
            raise error

    with pytest.raises(error):
        interrupted()

    assert list(tmp_path.iterdir()) == []


def test_existing_bundle_is_kept_unless_replacing_was_asked_for(folder: Path) -> None:
    with pytest.raises(BundleError, match="exists already"):
        write_tiny_bundle(folder)

    use_everything(folder)


def test_replacing_swaps_the_whole_bundle(folder: Path) -> None:
    with write_bundle(folder, tiny_header(), replace=True) as writer:
        assert Bundle.open(folder).artifacts, "the old one is there until the new one is complete"
        (writer.folder / "LICENSE").write_bytes(b"text")
        writer.add_file("LICENSE", "licence")

    assert sorted(path.name for path in folder.iterdir()) == ["LICENSE", MANIFEST, SUMS]
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]


def test_failed_replacing_keeps_the_old_bundle(folder: Path) -> None:
    def fail() -> None:
        with write_bundle(folder, tiny_header(), replace=True):
            raise KeyError

    with pytest.raises(KeyError):
        fail()

    use_everything(folder)
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]


def test_folder_that_is_no_bundle_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "precious.jpg").write_bytes(b"x")

    with (
        pytest.raises(BundleError, match="is not a bundle"),
        write_bundle(tmp_path / "photos", tiny_header(), replace=True),
    ):
        pass

    assert (tmp_path / "photos" / "precious.jpg").exists()


def test_listing_a_file_that_was_not_written_fails_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(PixioEdgeError), write_bundle(tmp_path / "new", tiny_header()) as writer:
        writer.add_file("absent.bin", "weights")

    assert list(tmp_path.iterdir()) == []


def test_writing_below_a_file_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(OutputError, match="Fix: "), write_bundle(tmp_path / "file" / "new", tiny_header()):
        pass


def test_rewritten_manifest_keeps_the_bundle_consistent(folder: Path) -> None:
    manifest = Bundle.open(folder).manifest
    accuracy: tuple[dict[str, object], ...] = ({"macro": {"delta1": 0.5}},)

    rewrite_manifest(folder, manifest.model_copy(update={"accuracy": accuracy}))

    reopened = Bundle.open(folder)
    assert reopened.manifest.accuracy == accuracy
    assert reopened.verify_hashes()


def test_full_disk_leaves_nothing_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The manifest is the last file that is written."""

    def full(path: Path, text: str) -> None:
        raise OutputError(f"cannot write {path}: no space left on device. Fix: free some space")

    monkeypatch.setattr("pixio_edge.bundle_writer.write_text_atomic", full)

    with pytest.raises(OutputError, match="no space left"):
        write_tiny_bundle(tmp_path / "new")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "raised"),
    [(PermissionError(13, "Permission denied"), OutputError), (KeyboardInterrupt(), KeyboardInterrupt)],
)
def test_failed_rename_puts_the_old_bundle_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, raised: type[BaseException]
) -> None:
    original = Path.replace

    def refuse_new(source: Path, target: Path) -> Path:
        if source.name.endswith(".tmp") and target == folder:
            raise error
        return original(source, target)

    monkeypatch.setattr(Path, "replace", refuse_new)

    with pytest.raises(raised), write_bundle(folder, tiny_header(), replace=True):
        pass

    use_everything(folder)
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]


def test_discarded_artifact_takes_its_files_and_empty_folders_along(pristine: Path, tmp_path: Path) -> None:
    source = Bundle.open(pristine)
    first, *others = source.artifacts
    with write_bundle(tmp_path / "less", source.manifest) as writer:
        writer.take_over(source)
        (writer.folder / "deep/er").mkdir(parents=True)
        (writer.folder / "deep/er/file").touch()
        writer.add_file("deep/er/file", "checkpoint")
        writer.discard({"deep/er/file", *(artifact.name for artifact in others)})

    less = Bundle.open(tmp_path / "less")
    assert less.artifacts == (first,)
    listed = less.manifest.all_files()
    assert {first.path, first.golden} <= set(listed)
    assert others[0].golden not in listed and "deep/er/file" not in listed
    assert {path.name for path in less.folder.iterdir()} == {*listed, MANIFEST, SUMS}
