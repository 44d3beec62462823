"""Eight small pictures of boxes on a floor, as files and as a shard, and a tiny teacher for them."""

from __future__ import annotations

import tarfile
from pathlib import Path

import cv2
import numpy as np
import torch

from pixio_edge.models.checkpoints import save_checkpoint
from pixio_edge.models.presets import build_model


def write_photos(folder: Path, *, count: int = 8, size: tuple[int, int] = (60, 80)) -> Path:
    """PNG files, half of them in a folder below; what is lower is brighter, and a box has a colour of its own."""
    rng = np.random.default_rng(3)
    (folder / "more").mkdir(parents=True)
    for index in range(count):
        rgb = np.broadcast_to(np.linspace(30, 200, size[0])[:, None, None], (*size, 3)).copy()
        top, left = int(rng.integers(5, 30)), int(rng.integers(5, 50))
        rgb[top : top + 20, left : left + 25] = rng.uniform(0, 255, 3)
        place = folder / "more" if index % 2 else folder
        assert cv2.imwrite(
            str(place / f"{index}.png"), (rgb + rng.normal(0, 4, rgb.shape)).clip(0, 255).astype(np.uint8)
        )
    return folder


def write_shard(photos: Path, shard: Path) -> Path:
    """The same pictures in a tar file, with a text beside each as WebDataset has it."""
    with tarfile.open(shard, "w") as archive:
        for path in sorted(photos.rglob("*.png")):
            note = path.with_suffix(".txt")
            note.write_text("a box")
            archive.add(path, arcname=path.name)
            archive.add(note, arcname=note.name)
            note.unlink()
    return shard


def write_teacher(path: Path) -> Path:
    """A tiny model with random weights of another seed than any student has."""
    torch.manual_seed(77)
    save_checkpoint(path, build_model("tiny"))
    return path
