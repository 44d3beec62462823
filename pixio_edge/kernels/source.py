"""The text of a kernel with every header it includes, and the hash that names what is compiled from it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pixio_edge.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pixio_edge.kernels.catalogue import Kernel

_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Source:
    """A kernel's source file and its headers, as they were read once: what is hashed is what is compiled.

    Args:
        name: File name, for the compiler's messages.
        text: Content.
        headers: Content of each header by the name it is included by, those of headers included.
    """

    name: str
    text: str
    headers: Mapping[str, str]

    def digest(self, *, sm: str, defines: Mapping[str, int], compiler: str, options: tuple[str, ...]) -> str:
        """SHA-256 over everything that decides which machine code comes out.

        Args:
            sm: Target, such as "sm_87".
            defines: Macros.
            compiler: Name and version of the compiler.
            options: Its other options.
        """
        parts = [sm, compiler, *options, *(f"-D{name}={defines[name]}" for name in sorted(defines)), self.text]
        for name in sorted(self.headers):
            parts += [name, self.headers[name]]
        digest = hashlib.sha256()
        for part in parts:
            data = part.encode()
            # With its length, so that no text can pass for the end of one part and the start of the next.
            digest.update(len(data).to_bytes(8, "little") + data)
        return digest.hexdigest()


def read_source(kernel: Kernel) -> Source:
    """Read a kernel and the headers that it includes with quotes, from its folder.

    Raises:
        InputError: A file cannot be read.
    """
    text = _read(kernel.path)
    headers: dict[str, str] = {}
    waiting = _INCLUDE.findall(text)
    while waiting:
        name = waiting.pop()
        if name not in headers:
            headers[name] = _read(kernel.folder / name)
            waiting += _INCLUDE.findall(headers[name])
    return Source(kernel.source, text, headers)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror or str(error)).lower() if isinstance(error, OSError) else "not UTF-8 text"
        raise InputError(f"CUDA source {path}: {reason}. Fix: install pixio-edge again") from error
