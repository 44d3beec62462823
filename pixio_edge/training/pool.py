"""A pool of rendered scenes on disk, written in resumable shards and read by memory map.

Rendering costs about as much as a training step on a CPU, so images are rendered once and seen several times under
different crops, mirrors and colours.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixio_edge.array_file import write_array
from pixio_edge.errors import InputError
from pixio_edge.files import atomic_path, create_folder, write_text_atomic
from pixio_edge.scenes.identity import scenes_digest
from pixio_edge.scenes.render import check_size
from pixio_edge.scenes.selection import check_layouts
from pixio_edge.scenes.studio import Studio

RenderedImage = tuple[NDArray[np.uint8], NDArray[np.float16]]

SHARD_IMAGES = 256


@dataclass(frozen=True, slots=True)
class PoolConfig:
    """What a pool holds: a pool that goes on must have the same values, `images` and the name of the folder apart.

    Attributes:
        images: Number of images.
        size: (height, width) in pixels.
        seed: Seed of the scenes.
        textures: Name of the texture folder, or "noise".
        textures_digest: What is in it, see `textures_digest`.
        renderer: Code that makes them, see `scenes_digest`.
        layouts: Only these layouts, with their weights; none: all.

    Raises:
        InputError: There are no images, the seed is negative, or there is no such layout.
        SpecError: A side is shorter than 16 pixels.
    """

    images: int
    size: tuple[int, int] = (192, 256)
    seed: int = 1
    textures: str = "noise"
    textures_digest: str = "noise"
    renderer: str = field(default_factory=scenes_digest)
    layouts: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.images < 1:
            raise InputError(f"pool: got {self.images} images, expected at least 1. Fix: ask for more")
        if self.seed < 0:
            raise InputError(f"pool: got seed {self.seed}, expected 0 or more. Fix: choose such a seed")
        check_layouts(self.layouts)
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
        InputError: The folder holds a pool of another seed, size or textures, an unfinished one of another renderer, or
            a file that cannot be read.
        OutputError: The folder cannot be written.
    """
    missing = _claim(folder, config)
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
        InputError: As for `render_pool`.
    """
    if not (folder / "pool.json").exists():
        return config.images
    return sum(map(len, _check_claim(folder, config).values()))


def images_in_shard(folder: Path, shard: int) -> int:
    """Number of images of a finished shard, 0 if one of its files is not there.

    Raises:
        InputError: A file of it cannot be read.
    """
    is_there = all(_shard_path(folder, name, shard).exists() for name in ("rgb", "inverse"))
    return len(_open_shard(folder, shard)[1]) if is_there else 0


def _claim(folder: Path, config: PoolConfig) -> dict[int, range]:
    """Begin a pool, or check that one can go on; what is missing of it."""
    if not (folder / "pool.json").exists():
        create_folder(folder)
        record = {key: value for key, value in asdict(config).items() if key != "images"}
        write_text_atomic(folder / "pool.json", json.dumps(record, indent=1) + "\n")
    return _check_claim(folder, config)


def _check_claim(folder: Path, config: PoolConfig) -> dict[int, range]:
    """Refuse a pool of other scenes; what is missing of it.

    A finished one may be of another renderer: nothing is added to it, and what it holds stays good to train on.
    """
    found = {"layouts": {}} | _read_record(folder)  # older pools have all of them
    # Older pools have the name of the texture folder alone.
    textures = "textures_digest" if "textures_digest" in found else "textures"
    wanted: dict[str, Any] = {"size": list(config.size), "seed": config.seed, "layouts": config.layouts}
    wanted[textures] = getattr(config, textures)
    other = {key: found.get(key) for key, value in wanted.items() if found.get(key) != value}
    if other:
        expected = {key: wanted[key] for key in other}
        raise InputError(
            f"pool '{folder}': got {other}, expected {expected}. Fix: ask for what it has, or choose another folder"
        )
    missing = _missing_shards(folder, config)
    if missing and found.get("renderer") != config.renderer:
        done = sum(images_in_shard(folder, shard) for shard in range(config.shards))
        raise InputError(
            f"pool '{folder}': got {done} of {config.images} images, drawn by other code of the scenes "
            f"({found.get('renderer')}), expected that of today ({config.renderer}): it draws other scenes for a seed. "
            "Fix: choose another folder, delete this one, or ask for no more images than it has"
        )
    return missing


def _read_record(folder: Path) -> dict[str, Any]:
    path = folder / "pool.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _unreadable(path, error, "delete the folder of the pool, to render it again") from error
    if not isinstance(record, dict):
        raise _unreadable(path, "no JSON object", "delete the folder of the pool, to render it again")
    return record


def _unreadable(path: Path, reason: object, fix: str) -> InputError:
    return InputError(f"cannot read {path}: {' '.join(str(reason).split())}. Fix: {fix}")


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
    for part in studio.render(config.seed, indices, config.size, layouts=config.layouts):
        count(len(part.rgb))
        yield from zip(part.rgb, (1.0 / part.depth).astype(np.float16), strict=True)


def _write_shard(folder: Path, shard: int, images: Iterator[RenderedImage]) -> None:
    colours, inverses = zip(*images, strict=True)
    # "inverse" last: its presence marks a finished shard.
    for name, parts in (("rgb", colours), ("inverse", inverses)):
        with atomic_path(_shard_path(folder, name, shard)) as temporary:
            write_array(temporary, np.stack(parts))


def _shard_path(folder: Path, name: str, shard: int) -> Path:
    return folder / f"{name}-{shard:05d}.npy"


def _open_shard(folder: Path, shard: int) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
    """Colours and inverse depth of a finished shard, mapped."""
    arrays: list[NDArray[Any]] = []
    for name, dtype, axes in (("rgb", np.uint8, 4), ("inverse", np.float16, 3)):
        path = _shard_path(folder, name, shard)
        fix = f"delete it; the command that rendered '{folder}' renders it again"
        try:
            array = np.lib.format.open_memmap(path, mode="r")
        except (OSError, ValueError) as error:
            raise _unreadable(path, error, fix) from error
        if array.dtype != dtype or array.ndim != axes or (arrays and array.shape != arrays[0].shape[:3]):
            raise _unreadable(path, f"got {array.dtype} {array.shape}, expected a shard of images", fix)
        arrays.append(array)
    return arrays[0], arrays[1]


class ScenePool:
    """The finished shards of a pool; `refresh` picks up new ones while a renderer is still writing.

    Args:
        folder: Folder of `render_pool`.

    Raises:
        InputError: The folder has no finished shard, or one that cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._rgb: list[NDArray[np.uint8]] = []
        self._inverse: list[NDArray[np.float16]] = []
        if self.refresh() == 0:
            raise InputError(f"pool '{folder}': got no finished shard, expected rgb-*.npy. Fix: render a pool first")

    def refresh(self) -> int:
        """Open newly finished shards and return the number of images.

        Raises:
            InputError: A file of a shard cannot be read.
        """
        if self._inverse and len(self._inverse[-1]) < SHARD_IMAGES:  # a pool that was extended has a longer one now
            self._rgb.pop()
            self._inverse.pop()
        while _shard_path(self.folder, "inverse", len(self._rgb)).exists():
            rgb, inverse = _open_shard(self.folder, len(self._rgb))
            self._rgb.append(rgb)
            self._inverse.append(inverse)
        return len(self)

    def __len__(self) -> int:
        """Number of images."""
        return sum(len(inverse) for inverse in self._inverse)

    def read(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
        """Views of image `index` in the mapped files: RGB (H, W, 3) and inverse depth in 1/m (H, W), 0 for sky."""
        shard, row = divmod(index, SHARD_IMAGES)
        return self._rgb[shard][row], self._inverse[shard][row]
