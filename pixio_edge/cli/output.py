"""Names of results, and the files every prediction leaves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pixio_edge.depth import DepthMap


def unique_stems(images: list[Path]) -> list[str]:
    """Stems in the order of the images; a repeated one gets -2, -3, … Case is ignored, as on some file systems."""
    taken = {image.stem.casefold() for image in images}
    used: set[str] = set()
    stems = []
    for image in images:
        stem, count = image.stem, 1
        while stem.casefold() in used or (count > 1 and stem.casefold() in taken):
            count += 1
            stem = f"{image.stem}-{count}"
        used.add(stem.casefold())
        stems.append(stem)
    return stems


def save_all(depth: DepthMap, folder: Path, stem: str, *, colormap: str) -> dict[str, str]:
    """Write the three files every prediction leaves; returns what was written, by role."""
    files = {
        "depth": folder / f"{stem}.depth.png",
        "color": folder / f"{stem}.color.png",
        "npy": folder / f"{stem}.npy",
    }
    depth.save(files["depth"])
    depth.save_color(files["color"], colormap=colormap)
    depth.save(files["npy"])
    return {role: str(path) for role, path in files.items()}
