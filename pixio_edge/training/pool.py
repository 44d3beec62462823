"""A pool of rendered scenes on disk, written in resumable shards and read by memory map.

Rendering costs more than a training step on a CPU, so images are rendered once and seen several times under different
crops, mirrors and colours.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pixio_edge.errors import InputError
from pixio_edge.files import atomic_path
from pixio_edge.training.scenes import render
from pixio_edge.training.textures import TextureAtlas

SHARD_IMAGES = 256
# Small enough that the tracer's temporaries stay in cache; also the one batch size the fused loops are compiled for.
RENDER_BATCH = 8


@dataclass(frozen=True, slots=True)
class PoolConfig:
    """What a pool holds: a resumed pool must have the same values, `images` apart.

    Attributes:
        images: At least this many; shards are always whole.
        size: (height, width), multiples of 16.
        seed: Seed of the scenes.
        textures: Name of the texture folder, or "noise".
    """

    images: int
    size: tuple[int, int] = (192, 256)
    seed: int = 1
    textures: str = "noise"


def render_pool(
    folder: Path,
    config: PoolConfig,
    atlas: TextureAtlas,
    *,
    device: torch.device,
    compiled: bool,
    on_shard: Callable[[int], None] = lambda _: None,
) -> None:
    """Render what is missing of a pool.

    Args:
        folder: Created if missing; holds `pool.json`, `rgb-NNNNN.npy` (uint8) and `inverse-NNNNN.npy` (float16, 1/m, 0
            for sky).
        config: What to render.
        atlas: Textures on `device`.
        device: Where to render.
        compiled: Fuse the intersection loops with `torch.compile`.
        on_shard: Called with the number of images done after each shard.

    Raises:
        InputError: The folder holds a pool of another seed, size or textures.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder, config)
    for shard in range(-(-config.images // SHARD_IMAGES)):
        if not _shard_path(folder, "inverse", shard).exists():
            _render_shard(folder, shard, config, atlas, device=device, compiled=compiled)
        on_shard(min((shard + 1) * SHARD_IMAGES, config.images))


def _claim(folder: Path, config: PoolConfig) -> None:
    record = folder / "pool.json"
    wanted = {key: value for key, value in json.loads(json.dumps(asdict(config))).items() if key != "images"}
    if record.exists():
        found = json.loads(record.read_text(encoding="utf-8"))
        if found != wanted:
            raise InputError(
                f"pool '{folder}': got {found}, expected {wanted}. Fix: choose another folder or delete it"
            )
        return
    with atomic_path(record) as temporary:
        temporary.write_text(json.dumps(wanted, indent=1), encoding="utf-8")


def _render_shard(
    folder: Path, shard: int, config: PoolConfig, atlas: TextureAtlas, *, device: torch.device, compiled: bool
) -> None:
    colours, inverses = [], []
    start = shard * SHARD_IMAGES
    for first in range(start, start + SHARD_IMAGES, RENDER_BATCH):
        batch = render(
            config.seed, range(first, first + RENDER_BATCH), config.size, atlas, device=device, compiled=compiled
        )
        colours.append(batch.rgb.cpu().numpy())
        inverses.append((1.0 / batch.depth).cpu().numpy().astype(np.float16))
    for name, parts in (("rgb", colours), ("inverse", inverses)):  # "inverse" last: its presence marks a finished shard
        with atomic_path(_shard_path(folder, name, shard)) as temporary, temporary.open("wb") as stream:
            np.save(stream, np.concatenate(parts), allow_pickle=False)


def _shard_path(folder: Path, name: str, shard: int) -> Path:
    return folder / f"{name}-{shard:05d}.npy"


class ScenePool:
    """The finished shards of a pool; `refresh` picks up new ones while a renderer is still writing.

    Args:
        folder: Folder of `render_pool`.

    Raises:
        InputError: The folder has no finished shard.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._rgb: list[NDArray[np.uint8]] = []
        self._inverse: list[NDArray[np.float16]] = []
        if self.refresh() == 0:
            raise InputError(f"pool '{folder}': got no finished shard, expected rgb-*.npy. Fix: render a pool first")

    def refresh(self) -> int:
        """Open newly finished shards and return the number of images."""
        while _shard_path(self.folder, "inverse", len(self._rgb)).exists():
            shard = len(self._rgb)
            self._rgb.append(np.load(_shard_path(self.folder, "rgb", shard), mmap_mode="r", allow_pickle=False))
            self._inverse.append(np.load(_shard_path(self.folder, "inverse", shard), mmap_mode="r", allow_pickle=False))
        return len(self)

    def __len__(self) -> int:
        """Number of images."""
        return len(self._rgb) * SHARD_IMAGES

    def read(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
        """Views of image `index` in the mapped files: RGB (H, W, 3) and inverse depth in 1/m (H, W), 0 for sky."""
        shard, row = divmod(index, SHARD_IMAGES)
        return self._rgb[shard][row], self._inverse[shard][row]
