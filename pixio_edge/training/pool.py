"""A pool of rendered scenes on disk, written in resumable shards and read by memory map.

Rendering costs about as much as a training step on a CPU, so images are rendered once and seen several times under
different crops, mirrors and colours.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixio_edge.errors import InputError
from pixio_edge.files import atomic_path, create_folder, write_text_atomic
from pixio_edge.scenes.render import check_size
from pixio_edge.scenes.studio import Studio

RenderedImage = tuple[NDArray[np.uint8], NDArray[np.float16]]

SHARD_IMAGES = 256
# Number of the renderer: pools of another one hold other scenes under the same seed and are not gone on with.
RENDERER = 2


@dataclass(frozen=True, slots=True)
class PoolConfig:
    """What a pool holds: a resumed pool must have the same values, `images` apart.

    Attributes:
        images: Number of images.
        size: (height, width) in pixels.
        seed: Seed of the scenes.
        textures: Name of the texture folder, or "noise".
        renderer: Number of the renderer that made them.

    Raises:
        InputError: There are no images.
        SpecError: A side is shorter than 16 pixels.
    """

    images: int
    size: tuple[int, int] = (192, 256)
    seed: int = 1
    textures: str = "noise"
    renderer: int = RENDERER

    def __post_init__(self) -> None:
        if self.images < 1:
            raise InputError(f"pool: got {self.images} images, expected at least 1. Fix: ask for more")
        check_size(self.size)

    @property
    def shards(self) -> int:
        """Number of shards; the last may be a part."""
        return -(-self.images // SHARD_IMAGES)


def render_pool(
    folder: Path,
    config: PoolConfig,
    studio: Studio,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Render what is missing of a pool.

    Args:
        folder: Created if missing; holds `pool.json`, `rgb-NNNNN.npy` (uint8) and `inverse-NNNNN.npy` (float16, 1/m, 0
            for sky).
        config: What to render.
        studio: Renders it, with the textures that `config` names.
        progress: Called with the number of images done and that of all.

    Raises:
        CheckFailedError: A rendering process died.
        InputError: The folder holds a pool of another seed, size, textures or renderer.
        OutputError: The folder cannot be written.
    """
    _claim(folder, config)
    missing = _missing_shards(folder, config)
    done = config.images - sum(map(len, missing.values()))

    def count(images: int) -> None:
        nonlocal done
        done += images
        progress(done, config.images)

    indices = [index for wanted in missing.values() for index in wanted]
    images = _render(indices, config, studio, count)
    for shard, wanted in missing.items():
        _write_shard(folder, shard, islice(images, len(wanted)))
    if not missing:
        progress(config.images, config.images)


def missing_images(folder: Path, config: PoolConfig) -> int:
    """How many images `render_pool` would still have to render.

    Raises:
        InputError: The folder holds a pool of another seed, size, textures or renderer.
    """
    if not (folder / "pool.json").exists():
        return config.images
    _check_claim(folder, config)
    return sum(map(len, _missing_shards(folder, config).values()))


def images_in_shard(folder: Path, shard: int) -> int:
    """Number of images of a finished shard, 0 if it is not there."""
    path = _shard_path(folder, "inverse", shard)
    return len(np.load(path, mmap_mode="r", allow_pickle=False)) if path.exists() else 0


def _claim(folder: Path, config: PoolConfig) -> None:
    if (folder / "pool.json").exists():
        _check_claim(folder, config)
        return
    create_folder(folder)
    write_text_atomic(folder / "pool.json", json.dumps(_lasting_values(config), indent=1) + "\n")


def _check_claim(folder: Path, config: PoolConfig) -> None:
    found, wanted = json.loads((folder / "pool.json").read_text(encoding="utf-8")), _lasting_values(config)
    if found != wanted:
        raise InputError(f"pool '{folder}': got {found}, expected {wanted}. Fix: choose another folder or delete it")


def _lasting_values(config: PoolConfig) -> dict[str, Any]:
    """What a resumed pool has to have in common with its beginning, as JSON values."""
    values: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return {key: value for key, value in values.items() if key != "images"}


def _missing_shards(folder: Path, config: PoolConfig) -> dict[int, range]:
    """Numbers of the images of each shard that is not finished."""
    shards = {
        shard: range(shard * SHARD_IMAGES, min((shard + 1) * SHARD_IMAGES, config.images))
        for shard in range(config.shards)
    }
    return {shard: wanted for shard, wanted in shards.items() if images_in_shard(folder, shard) < len(wanted)}


def _render(
    indices: Sequence[int], config: PoolConfig, studio: Studio, count: Callable[[int], None]
) -> Iterator[RenderedImage]:
    """Colours and inverse depth of each image; over all shards, so that no process waits at the end of one."""
    for part in studio.render(config.seed, indices, config.size):
        count(len(part.rgb))
        yield from zip(part.rgb, (1.0 / part.depth).astype(np.float16), strict=True)


def _write_shard(folder: Path, shard: int, images: Iterator[RenderedImage]) -> None:
    colours, inverses = zip(*images, strict=True)
    # "inverse" last: its presence marks a finished shard.
    for name, parts in (("rgb", colours), ("inverse", inverses)):
        with atomic_path(_shard_path(folder, name, shard)) as temporary, temporary.open("wb") as stream:
            np.save(stream, np.stack(parts), allow_pickle=False)


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
        if self._inverse and len(self._inverse[-1]) < SHARD_IMAGES:  # a pool that was extended has a longer one now
            self._rgb.pop()
            self._inverse.pop()
        while _shard_path(self.folder, "inverse", len(self._rgb)).exists():
            shard = len(self._rgb)
            self._rgb.append(np.load(_shard_path(self.folder, "rgb", shard), mmap_mode="r", allow_pickle=False))
            self._inverse.append(np.load(_shard_path(self.folder, "inverse", shard), mmap_mode="r", allow_pickle=False))
        return len(self)

    def __len__(self) -> int:
        """Number of images."""
        return sum(len(inverse) for inverse in self._inverse)

    def read(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
        """Views of image `index` in the mapped files: RGB (H, W, 3) and inverse depth in 1/m (H, W), 0 for sky."""
        shard, row = divmod(index, SHARD_IMAGES)
        return self._rgb[shard][row], self._inverse[shard][row]
