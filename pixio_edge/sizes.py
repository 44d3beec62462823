"""Input sizes of models, as (height, width) in pixels."""

from __future__ import annotations

Size = tuple[int, int]


def size_label(size: Size) -> str:
    """Height and width as they appear in file and artifact names, such as "192x256"."""
    return f"{size[0]}x{size[1]}"
