"""Functions of the renderer that numba compiles, and where it keeps what it made of them.

numba takes what it kept of a function for current when the file of that function is the same. Functions here call each
other over files and have constants of others, so what is kept lies in a folder named after the content of all of them.
"""

from __future__ import annotations

import functools
import hashlib
import re
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

import numba

from pixio_edge.env import cache_folder
from pixio_edge.errors import InputError

Function = TypeVar("Function", bound=Callable[..., Any])

SCENES = Path(__file__).parent
_THIS = "from pixio_edge.scenes.compiling import"
_IMPORT = re.compile(r"^from pixio_edge\.scenes\.(\w+) import", re.MULTILINE)


def compiled(
    *, fastmath: bool | AbstractSet[str] = False, inline: Literal["never", "always"] = "never"
) -> Callable[[Function], Function]:
    """Compile a function when it is first called, without Python's lock, and keep the result for other processes.

    Args:
        fastmath: Rules of floating point that may be broken; True: all. Not where depth is concerned.
        inline: "always" for small functions of inner loops.
    """

    def decorate(function: Function) -> Function:
        dispatcher: Any = numba.njit(nogil=True, fastmath=fastmath, inline=inline)(function)
        folder = kept_folder()
        if folder is not None:
            with _numba_keeps_in(folder):
                dispatcher.enable_caching()
        result: Function = dispatcher
        return result

    return decorate


@functools.cache
def kept_folder() -> Path | None:
    """Where compiled functions are kept: NUMBA_CACHE_DIR, else beside the sources, else in the user's cache folder.

    None, with a warning, where none of them can be written: every process then compiles for itself.
    """
    name = f"compiled-{digest_of(SCENES)}"
    for base in _bases():
        folder = base / name
        try:
            if not folder.exists():
                folder.mkdir(parents=True)
                _forget_others(folder)
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except OSError:
            continue
    warnings.warn(
        "no folder to keep compiled functions of the renderer in can be written, so that every process compiles them "
        "anew. Fix: set NUMBA_CACHE_DIR to a folder",
        RuntimeWarning,
        stacklevel=2,
    )
    return None


def digest_of(folder: Path) -> str:
    """Hash of the files with compiled functions and of those that they import from.

    Args:
        folder: With the modules of this package.
    """
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.py"))}
    used = {stem for stem, text in texts.items() if _THIS in text}
    used |= {name for stem in tuple(used) for name in _IMPORT.findall(texts[stem])}
    content = "\0".join(f"{stem}\0{texts[stem]}" for stem in sorted(used & texts.keys()))
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _bases() -> Iterator[Path]:
    if numba.config.CACHE_DIR:
        yield Path(numba.config.CACHE_DIR)
    yield SCENES / "__pycache__"
    try:
        yield cache_folder()
    except InputError:
        return


def _forget_others(folder: Path) -> None:
    """Remove what was kept of older sources; elsewhere several versions of this package may keep theirs."""
    if folder.parent.parent == SCENES:
        for other in folder.parent.glob("compiled-*"):
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)


@contextmanager
def _numba_keeps_in(folder: Path) -> Iterator[None]:
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder)
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before
