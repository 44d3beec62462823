"""Writing bundles: built in a temporary folder beside the target, checked, then renamed."""

from __future__ import annotations

import secrets
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pixio_edge.bundle import MANIFEST, SUMS, Bundle, sums_text
from pixio_edge.errors import BundleError, OutputError
from pixio_edge.files import sha256_file, write_text_atomic
from pixio_edge.licences import check_commercial
from pixio_edge.manifest import SCHEMA_VERSION, ArtifactEntry, BundleHeader, FileEntry, Manifest, parse_manifest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path


class BundleWriter:
    """Collects the entries of a bundle while its files are written into `folder`. Use `write_bundle`.

    Attributes:
        folder: Temporary folder; write the files of the bundle here before describing them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._artifacts: list[ArtifactEntry] = []
        self._files: list[FileEntry] = []

    def describe(self, path: str, role: str) -> FileEntry:
        """Hash a file already written below `folder`, for use in an artifact.

        Args:
            path: Relative to `folder`, with forward slashes.
            role: See `FileEntry.role`.
        """
        target = self.folder / path
        return FileEntry(path=path, role=role, sha256=sha256_file(target), bytes=target.stat().st_size)

    def add_file(self, path: str, role: str) -> FileEntry:
        """Describe and list a file that belongs to no artifact: golden output, licence, checkpoint."""
        entry = self.describe(path, role)
        self._files.append(entry)
        return entry

    def add_artifact(self, artifact: ArtifactEntry) -> None:
        """List an artifact in the manifest, in the order of the calls."""
        self._artifacts.append(artifact)

    @property
    def artifacts(self) -> tuple[ArtifactEntry, ...]:
        """What is listed so far."""
        return tuple(self._artifacts)

    @property
    def files(self) -> tuple[FileEntry, ...]:
        """Files listed so far that belong to no artifact."""
        return tuple(self._files)

    def free_name(self, stem: str, suffix: str) -> str:
        """A file name that is not taken: the stem, or else with -2, -3, … added."""
        names = (f"{stem}{'' if number == 1 else f'-{number}'}{suffix}" for number in range(1, 1000))
        return next(name for name in names if not (self.folder / name).exists())

    def take_over(self, bundle: Bundle, *, drop: Collection[str] = ()) -> None:
        """Copy a bundle's files, checked by their hashes, and list them.

        Args:
            bundle: Where they come from.
            drop: Names of artifacts to leave out, with the files that only they need, and paths of other files.

        Raises:
            BundleError: A file is damaged.
        """
        kept, listed = _without(bundle.artifacts, bundle.manifest.files, drop)
        wanted = {path for artifact in kept for path in _paths(artifact)} | {entry.path for entry in listed}
        for path, entry in bundle.manifest.all_files().items():
            if path in wanted:
                target = self.folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                # Never a link: the onnx package refuses files that have several, as they may be an attack.
                shutil.copyfile(bundle.read_file(entry), target)
        self._artifacts += kept
        self._files += listed

    def discard(self, drop: Collection[str]) -> None:
        """Leave out again what served to make the rest, and delete its files.

        Args:
            drop: Names of artifacts, which go with the files that only they need, and paths of other files.
        """
        before = {path for artifact in self._artifacts for path in _paths(artifact)}
        before |= {entry.path for entry in self._files}
        self._artifacts, self._files = _without(self._artifacts, self._files, drop)
        after = {path for artifact in self._artifacts for path in _paths(artifact)}
        for path in before - after - {entry.path for entry in self._files}:
            (self.folder / path).unlink()
            _remove_empty(self.folder, (self.folder / path).parent)

    def write_manifest(self, header: BundleHeader) -> None:
        """Write `manifest.json` and `manifest.sha256` and open the result to check it.

        Raises:
            BundleError: The entries do not fit the files or each other.
        """
        rewrite_manifest(
            self.folder,
            Manifest(
                schema_version=SCHEMA_VERSION,
                artifacts=tuple(self._artifacts),
                files=tuple(self._files),
                **{name: getattr(header, name) for name in BundleHeader.model_fields},
            ),
        )
        Bundle.open(self.folder).verify_hashes()


@contextmanager
def write_bundle(folder: Path, header: BundleHeader, *, replace: bool = False) -> Iterator[BundleWriter]:
    """Write a bundle; it appears under its name only when the block ends without an exception.

    Args:
        folder: Where the bundle goes; its parent is created.
        header: Everything in the manifest that is not a file.
        replace: Whether an existing bundle there may be replaced. Any other existing folder is never touched.

    Yields:
        A writer; write files into `writer.folder`, then list them.

    Raises:
        BundleError: The target exists, or what was listed does not fit the files.
        OutputError: The folder cannot be written.
        LicenceError: Commercial use is insisted on, and the licence forbids it; before any work.
    """
    check_commercial(header.licence, what=f"bundle '{folder}'")
    check_target(folder, replace=replace)
    staging = folder.parent / f".{folder.name}.{secrets.token_hex(4)}.tmp"
    try:
        staging.mkdir(parents=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be created ({error.strerror}). Fix: choose a writable folder") from error
    try:
        writer = BundleWriter(staging)
        yield writer
        writer.write_manifest(header)
        _swap(staging, folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def rewrite_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json` and `manifest.sha256` of a bundle whose files are in place, such as after an evaluation.

    Raises:
        SchemaError: The manifest would not be readable.
        OutputError: The folder cannot be written.
    """
    text = manifest.to_json()
    parse_manifest(text, str(folder / MANIFEST))
    write_text_atomic(folder / MANIFEST, text)
    write_text_atomic(folder / SUMS, sums_text(text.encode(), manifest))


def _paths(artifact: ArtifactEntry) -> set[str]:
    """Files that an artifact refers to."""
    table = None if artifact.quantization is None else artifact.quantization.calibration
    named = (artifact.path, artifact.golden, table, *(entry.path for entry in artifact.data))
    return {path for path in named if path is not None}


def _remove_empty(root: Path, folder: Path) -> None:
    """Remove a folder below `root`, and those around it, as far as nothing is in them."""
    while folder != root and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def _without(
    artifacts: Iterable[ArtifactEntry], files: Iterable[FileEntry], drop: Collection[str]
) -> tuple[list[ArtifactEntry], list[FileEntry]]:
    """Artifacts and other files that stay without some of them and without what only those need."""
    known = list(artifacts)
    kept = [artifact for artifact in known if artifact.name not in drop]
    needed = {path for artifact in kept for path in _paths(artifact)}
    of_dropped = {path for artifact in known for path in _paths(artifact)} - needed
    return kept, [entry for entry in files if entry.path not in of_dropped and entry.path not in drop]


def check_target(folder: Path, *, replace: bool) -> None:
    """Whether a bundle may be written here; for those that work long before they write.

    Raises:
        BundleError: The target exists, and is not to be replaced or is no bundle.
    """
    if not folder.exists() and not folder.is_symlink():
        return
    if not replace:
        raise BundleError(f"{folder}: exists already. Fix: choose another folder or ask to replace it")
    if not (folder / MANIFEST).is_file():
        raise BundleError(f"{folder}: exists and is not a bundle, so it is not replaced. Fix: choose another folder")


def _swap(staging: Path, folder: Path) -> None:
    """Rename `staging` to `folder`; an old bundle is moved aside first and put back if the rename fails."""
    aside = folder.parent / f"{staging.name}.old"
    try:
        if folder.exists():
            folder.replace(aside)
        staging.replace(folder)
    except BaseException as error:  # Ctrl-C too
        if aside.exists() and not folder.exists():
            aside.replace(folder)
        if isinstance(error, OSError):
            reason = error.strerror
            raise OutputError(f"{folder}: cannot be written ({reason}). Fix: choose a writable folder") from error
        raise
    shutil.rmtree(aside, ignore_errors=True)
