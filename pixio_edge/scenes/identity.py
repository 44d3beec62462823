"""What makes two renderings of a seed the same: the code of the scenes, and the textures on them."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from pixio_edge.errors import InputError
from pixio_edge.files import sha256_file
from pixio_edge.scenes.texture_folder import list_textures

SCENES = Path(__file__).parent
# Of the modules of scenes, those that change no image: who renders, in which folder, and what is said about it.
BYSTANDERS = frozenset({"attribution.py", "identity.py", "preview.py", "studio.py", "drawing/compiled_folder.py"})
# Groups whose images serve otherwise than by their tags.
_GROUPS = frozenset({"backdrops", "photos"})
_DIGITS = 16


@functools.cache
def scenes_digest(folder: Path = SCENES) -> str:
    """Hash of the code that draws scenes: with the same one, a seed gives the same images.

    Args:
        folder: With the modules of this package.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(folder).as_posix()
        if name not in BYSTANDERS:
            digest.update(f"{name}\0{path.read_text(encoding='utf-8')}\0".encode())
    return digest.hexdigest()[:_DIGITS]


def textures_digest(folder: Path | None) -> str:
    """Hash of the images of a texture folder and of what they are used for, wherever the folder lies.

    Args:
        folder: Textures, see `texture_folder`; None: procedural noise.

    Raises:
        InputError: The folder cannot be used, or an image of it cannot be read.
    """
    if folder is None:
        return "noise"
    images = list_textures(folder)
    paths = [folder / image.file for image in images]
    try:
        versions = [(str(path), (state := path.stat()).st_size, state.st_mtime_ns) for path in paths]
    except OSError as error:
        raise InputError(
            f"textures '{folder}': cannot read '{error.filename}' ({error.strerror}). Fix: put it there, or take it "
            "out of index.csv"
        ) from error
    contents = _contents(tuple(versions))
    lines = [
        f"{image.file}\0{image.group if image.group in _GROUPS else ''}\0{image.tag}\0{content}"
        for image, content in zip(images, contents, strict=True)
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:_DIGITS]


@functools.lru_cache(maxsize=1)
def _contents(versions: tuple[tuple[str, int, int], ...]) -> tuple[str, ...]:
    """Hashes of files, given with size and time of change: a command asks several times, and folders are large."""
    return tuple(sha256_file(Path(path)) for path, _, _ in versions)
