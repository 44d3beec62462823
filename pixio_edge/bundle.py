"""A bundle: one folder with a manifest, artifacts and everything needed to trust them.

`manifest.sha256` is in the format of `sha256sum` and lists every file, so `sha256sum -c manifest.sha256` checks a
bundle without this package. Opening a bundle checks the manifest; each artifact is hashed before its first use.
"""

from __future__ import annotations

import hashlib
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pixio_edge.errors import BundleError
from pixio_edge.files import sha256_file
from pixio_edge.licences import check_commercial
from pixio_edge.manifest import ArtifactEntry, FileEntry, Manifest, parse_manifest

if TYPE_CHECKING:
    import os

MANIFEST = "manifest.json"
SUMS = "manifest.sha256"
EMBEDDED = Path(__file__).parent / "assets"


@dataclass(frozen=True, slots=True)
class VerifiedArtifact:
    """An artifact whose files were hashed and found to be what the manifest says.

    Made by `Bundle.read_artifact`; runtimes take nothing else, so no unverified file is ever executed.

    Args:
        entry: The manifest's record.
        folder: Resolved bundle folder.
    """

    entry: ArtifactEntry
    folder: Path

    @property
    def path(self) -> Path:
        """The graph file."""
        return self.folder / self.entry.path


class Bundle:
    """An opened bundle. Use `Bundle.open`.

    Attributes:
        folder: Resolved bundle folder.
        manifest: The parsed manifest.
    """

    __slots__ = ("_hashes", "folder", "manifest")

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest
        # Ladder sizes share one weights file, so digests are kept by what identifies a file's state.
        self._hashes: dict[tuple[Path, int, int], str] = {}

    @classmethod
    def open(cls, bundle: str | os.PathLike[str], *, require_commercial: bool | None = None) -> Bundle:
        """Open an embedded bundle by name, or any bundle by path.

        Reads and checks the manifest and that every file is there with the right length; hashes are checked on use.

        Args:
            bundle: A name such as "nano", or a folder. What could be both is the name; write "./nano" for the folder.
            require_commercial: Whether to refuse a bundle whose licence forbids commercial use; None takes
                PIXIO_EDGE_REQUIRE_COMMERCIAL.

        Raises:
            BundleError: No such bundle, or a file is missing, altered or outside the folder.
            LicenceError: Commercial use is insisted on, and its licence forbids it.
            SchemaError: The manifest has a newer schema or a field that is not known.
        """
        folder = _find_folder(bundle)
        raw = _read_manifest_file(folder, MANIFEST)
        sums = _read_manifest_file(folder, SUMS)
        _check_manifest_hash(folder, raw, sums)
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise BundleError(
                f"{folder / MANIFEST}: not UTF-8 ({error}). Fix: copy or export the bundle again"
            ) from error
        manifest = parse_manifest(text, str(folder / MANIFEST))
        if sums != sums_text(raw, manifest).encode():
            raise BundleError(
                f"{folder / SUMS}: differs from {MANIFEST}, the bundle was altered. Fix: copy or export it again"
            )
        check_commercial(manifest.licence, what=f"bundle '{bundle}'", insist=require_commercial)
        opened = cls(folder, manifest)
        for entry in manifest.all_files().values():
            opened.find_file(entry)
        return opened

    @property
    def artifacts(self) -> tuple[ArtifactEntry, ...]:
        """All deployable files."""
        return self.manifest.artifacts

    def artifact(self, name: str) -> ArtifactEntry:
        """Look an artifact up by name.

        Raises:
            BundleError: There is none of that name.
        """
        for entry in self.artifacts:
            if entry.name == name:
                return entry
        names = ", ".join(entry.name for entry in self.artifacts) or "none"
        raise BundleError(f"{self.folder}: got artifact '{name}', expected one of: {names}. Fix: choose one of these")

    def read_artifact(self, artifact: ArtifactEntry) -> VerifiedArtifact:
        """Hash the files of an artifact and hand it over for execution.

        Raises:
            BundleError: A file is missing, altered or outside the folder.
        """
        for entry in (artifact.file, *artifact.data):
            self.read_file(entry)
        return VerifiedArtifact(artifact, self.folder)

    def read_golden(self, artifact: ArtifactEntry) -> Path:
        """Hash the stored reference output of an artifact and return its path.

        Raises:
            BundleError: The artifact has none, or the file is missing or altered.
        """
        if artifact.golden is None:
            raise BundleError(
                f"artifact '{artifact.name}' stores no golden output. Fix: export the bundle with golden outputs"
            )
        return self.read_file(self.manifest.all_files()[artifact.golden])

    def read_file(self, entry: FileEntry) -> Path:
        """Hash one file and return its path.

        Raises:
            BundleError: The file is missing, altered or outside the folder.
        """
        path = self.find_file(entry)
        status = path.stat()
        key = (path, status.st_size, status.st_mtime_ns)
        if key not in self._hashes:
            self._hashes[key] = sha256_file(path)
        if self._hashes[key] != entry.sha256:
            raise BundleError(
                f"{path}: sha256 {self._hashes[key][:12]}…, expected {entry.sha256[:12]}…, the file was altered. "
                "Fix: copy or export the bundle again"
            )
        return path

    def find_file(self, entry: FileEntry) -> Path:
        """Path of one file, checked to be a regular file of the right length inside the folder.

        Raises:
            BundleError: It is not.
        """
        path = self.folder / entry.path
        _check_inside(path, self.folder)
        try:
            status = path.stat()
        except OSError as error:
            raise BundleError(
                f"{path}: missing, expected {entry.bytes} bytes. Fix: copy or export the bundle again"
            ) from error
        if not stat.S_ISREG(status.st_mode) or status.st_size != entry.bytes:
            raise BundleError(
                f"{path}: {status.st_size} bytes, expected a file of {entry.bytes}. Fix: copy or export it again"
            )
        return path

    def verify_hashes(self) -> int:
        """Hash every file of the bundle, and look for files that are not listed.

        Returns:
            Number of files checked, the manifest included.

        Raises:
            BundleError: A file is missing, altered, outside the folder, or not listed in the manifest.
        """
        files = self.manifest.all_files()
        for entry in files.values():
            self.read_file(entry)
        present = {path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if not path.is_dir()}
        unlisted = sorted(present - set(files) - {MANIFEST, SUMS})
        if unlisted:
            raise BundleError(f"{self.folder}: got files that the manifest does not list: {unlisted}. Fix: remove them")
        return len(files) + 1


def list_embedded() -> list[str]:
    """Names of the bundles that are part of the package."""
    return sorted(path.parent.name for path in EMBEDDED.glob(f"*/{MANIFEST}"))


def sums_text(manifest_bytes: bytes, manifest: Manifest) -> str:
    """Content of `manifest.sha256` for a manifest: its own line first, then every file by path."""
    lines = [f"{hashlib.sha256(manifest_bytes).hexdigest()}  {MANIFEST}"]
    lines += [f"{entry.sha256}  {path}" for path, entry in sorted(manifest.all_files().items())]
    return "\n".join(lines) + "\n"


def _find_folder(bundle: str | os.PathLike[str]) -> Path:
    names = list_embedded()
    if isinstance(bundle, str) and bundle in names:
        return (EMBEDDED / bundle).resolve()
    folder = Path(bundle)
    if folder.name == MANIFEST:
        folder = folder.parent
    if not folder.is_dir():
        known = ", ".join(names) or "none"
        raise BundleError(
            f"bundle '{bundle}': got neither a folder nor an embedded name, expected one of: {known}. "
            "Fix: use one of these names or the path of a bundle folder"
        )
    return folder.resolve()


def _read_manifest_file(folder: Path, name: str) -> bytes:
    path = folder / name
    _check_inside(path, folder)
    try:
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or "cannot be read"
        raise BundleError(
            f"{path}: {reason}, expected a bundle folder with {MANIFEST} and {SUMS}. Fix: copy the bundle whole"
        ) from error


def _check_inside(path: Path, folder: Path) -> None:
    try:
        inside = path.resolve().is_relative_to(folder)
    except (OSError, RuntimeError):  # a loop of links
        inside = False
    if not inside:
        raise BundleError(f"{path}: links to a file outside the bundle. Fix: replace the link with a copy of the file")


def _check_manifest_hash(folder: Path, raw: bytes, sums: bytes) -> None:
    """Only the first line: the rest can be checked once the manifest is known to be intact."""
    expected = f"{hashlib.sha256(raw).hexdigest()}  {MANIFEST}".encode()
    if sums.split(b"\n", 1)[0] != expected:
        raise BundleError(
            f"{folder / MANIFEST}: does not match {SUMS}, the bundle was altered. Fix: copy or export it again"
        )
