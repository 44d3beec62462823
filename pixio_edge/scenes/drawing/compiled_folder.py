"""Where compiled kernels are kept, so that other processes need not compile them again.

numba takes what it kept of a function for current when the file of that function is the same. Kernels call each other
over files and have constants of others, so what is kept lies in a folder named after the content of all of these.
"""

from __future__ import annotations

import functools
import hashlib
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

from pixio_edge.env import cache_folder
from pixio_edge.errors import InputError

SCENES = Path(__file__).parents[1]
_KERNELS = "from pixio_edge.scenes.drawing.jit import"
_IMPORT = re.compile(r"^from pixio_edge\.scenes\.([\w.]+) import", re.MULTILINE)


@functools.cache
def compiled_folder(given: str = "") -> Path | None:
    """A folder that can be written: the given one, else beside the sources, else in the user's cache folder.

    None, with a warning, where none of them can be written: every process then compiles for itself.

    Args:
        given: What the user chose; "": nothing.
    """
    name = f"compiled-{digest_of(SCENES)}"
    for base in _bases(given):
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
        "the compiled renderer cannot be kept anywhere, so that every process compiles it anew. "
        "Fix: set NUMBA_CACHE_DIR to a folder that can be written",
        RuntimeWarning,
        stacklevel=2,
    )
    return None


def digest_of(folder: Path) -> str:
    """Hash of the files with kernels and of those that they import from.

    Args:
        folder: With the modules of this package.
    """
    texts = {_module(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in folder.rglob("*.py")}
    used = {name for name, text in texts.items() if _KERNELS in text}
    used |= {other for name in tuple(used) for other in _IMPORT.findall(texts[name])}
    content = "\0".join(f"{name}\0{texts[name]}" for name in sorted(used & texts.keys()))
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _module(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def _bases(given: str) -> Iterator[Path]:
    if given:
        yield Path(given)
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
