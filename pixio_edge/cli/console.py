"""What the verbs print: JSON, progress, aligned tables, problems."""

from __future__ import annotations

import io
import json
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID
    from typing_extensions import Self

Item = TypeVar("Item")


def print_json(value: Any) -> None:
    """Print a value as indented JSON in ASCII, which every terminal and pipe takes.

    NaN and infinities become null, as JSON has neither.
    """
    print(json.dumps(_finite(value), indent=2))


def tolerate_any_name() -> None:
    """Let file names that the terminal cannot show be printed with escapes instead of ending the run."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_problem(message: str) -> None:
    """Print one line on standard error, without ending the run."""
    print(f"pixio-edge: {' '.join(message.split())}", file=sys.stderr)


def print_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print aligned columns; those whose cells are all numbers are flushed right."""
    cells = [list(header), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    right = [all(_is_number(row[column]) for row in cells[1:]) for column in range(len(header))]
    for row in cells:
        line = "  ".join(cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(row, widths, right, strict=True))
        print(line.rstrip())


def track(items: Iterable[Item], *, total: int, label: str) -> Iterator[Item]:
    """Pass items on, with a progress bar on standard error when that is a terminal and there is more than one item."""
    if total < 2:
        yield from items
        return
    with Meter(label) as meter:
        for done, item in enumerate(items):
            meter.update(done, total)
            yield item


class Meter:
    """A progress bar for work that reports (done, total, label); silent when standard error is no terminal."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress

            # Lines printed meanwhile have to reach standard output when that is a file or a pipe.
            self._bar = Progress(console=Console(stderr=True), transient=True, redirect_stdout=sys.stdout.isatty())
            self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: int, total: int, label: str = "") -> None:
        """Show how far the work is."""
        if self._bar is None:
            return
        if self._task is None:
            self._task = self._bar.add_task(self._label, total=total)
        self._bar.update(self._task, completed=done, total=total, description=f"{self._label} {label}".strip())


def _is_number(text: str) -> bool:
    try:
        float(text.rstrip("%x"))
    except ValueError:
        return text in ("", "-")
    return True


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
