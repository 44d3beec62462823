"""Pictures of docs/benchmarks.md: where they lie, and how a table links to one that is there."""

from __future__ import annotations

from pathlib import Path

PICTURES = Path(__file__).parents[1] / "docs" / "benchmarks"


def plot_link(name: str, text: str, folder: Path = PICTURES) -> str:
    """Markdown of a picture that `plots.py` has drawn, relative to docs/; empty if it was not."""
    return f"![{text}](benchmarks/{name}.svg)" if (folder / f"{name}.svg").is_file() else ""
