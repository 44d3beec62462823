"""Small files of the kernel."""

from __future__ import annotations

import os
from pathlib import Path


def read_line(path: Path) -> str | None:
    """First line without white space around it; None where the file is missing or cannot be read.

    Sensors that sleep or are switched off answer a read with an error of their own, so every one counts as absent.
    """
    try:
        return path.read_text(encoding="utf-8", errors="replace").partition("\n")[0].strip("\0 \t")
    except OSError:
        return None


def read_number(path: Path) -> float | None:
    """The number in a file; None where there is none."""
    text = read_line(path)
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def sum_numbers(paths: list[Path]) -> float | None:
    """Sum of the numbers in files, leaving out those without one; None where all are."""
    numbers = [number for path in paths if (number := read_number(path)) is not None]
    return sum(numbers) if numbers else None


def resident_mib(root: Path = Path("/")) -> float | None:
    """Memory of this process that is in RAM now, in MiB (second field of statm, proc(5)); None off Linux."""
    pages = (read_line(root / "proc/self/statm") or "").split()
    return int(pages[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20 if len(pages) > 1 else None
