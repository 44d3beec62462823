"""Texture atlas: procedural noise and, when a folder is given, real surfaces, photographs and skies, with mip levels."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixio_edge.errors import InputError

TILE_PX = 128
MIP_LEVELS = 5
BACKDROP_SIZE = (192, 512)
# What a surface tag is used for; a tag may serve several uses and an unknown tag serves objects.
USES: dict[str, tuple[str, ...]] = {
    "floor": ("wood", "tiles", "carpet", "concrete", "stone", "fabric"),
    "wall": ("plaster", "wallpaper", "wall-panel", "brick", "concrete", "tiles", "wood", "ceiling", "stone"),
    "road": ("asphalt", "concrete", "stone", "soil"),
    "ground": ("grass", "soil", "stone", "snow", "asphalt"),
    "facade": ("brick", "concrete", "wall-panel", "stone", "plaster", "roof", "tiles", "wood", "solar"),
    "furniture": ("wood", "fabric", "metal", "plastic", "furniture-atlas", "wall-panel"),
    "object": ("packaging", "book", "plastic", "metal", "fabric", "wood", "other", "paper", "furniture-atlas", "tiles"),
    "foliage": ("grass", "soil", "carpet"),
    "picture": ("poster", "painting", "book", "packaging"),
}
NOISE_TEXTURES = 160
NOISE_BACKDROPS = 12


@dataclass(frozen=True, slots=True)
class TextureAtlas:
    """Textures on one device.

    Attributes:
        texels: Packed RGB (0xRRGGBB, int32), all mip levels of a texture in a row, (T, texels per texture).
        backdrops: Packed RGB panoramas of the upper and lower sphere, (B, 192, 512).
        uses: Texture indices per use ("floor", "wall", …); every use has some.
        origins: Path of each texture inside its folder, or "noise".
    """

    texels: Tensor
    backdrops: Tensor
    uses: dict[str, NDArray[np.int64]]
    origins: tuple[str, ...]

    def to(self, device: torch.device) -> TextureAtlas:
        """The same atlas on another device."""
        return TextureAtlas(self.texels.to(device), self.backdrops.to(device), self.uses, self.origins)


def load_atlas(folder: Path | None = None, *, seed: int = 0) -> TextureAtlas:
    """Noise textures, plus those of a folder with `surfaces/`, `photos/` and `backdrops/`, or of any folder of images.

    Args:
        folder: Textures; each subfolder may have an `index.csv` with the columns `file` and `tag`. None: noise only.
        seed: Seed of the noise.

    Raises:
        InputError: The folder is missing or holds no readable image.
    """
    rng = np.random.default_rng(seed)
    images = [noise_texture(rng) for _ in range(NOISE_TEXTURES)]
    tags = ["noise"] * len(images)
    origins = ["noise"] * len(images)
    backdrops = [_noise_backdrop(rng) for _ in range(NOISE_BACKDROPS)]
    if folder is not None:
        for path, tag, group in _tagged_images(folder):
            if group == "backdrops":
                backdrops.append(_read(path, (BACKDROP_SIZE[1], BACKDROP_SIZE[0]), crop=False))
                continue
            images.append(_read(path, (TILE_PX, TILE_PX), crop=True))
            tags.append("photo" if group == "photos" else tag)
            origins.append(str(path.relative_to(folder)))
    packed_backdrops = torch.from_numpy(np.stack([_pack(image) for image in backdrops]))
    texels = torch.from_numpy(np.stack([_mip_chain(image) for image in images]))
    return TextureAtlas(texels, packed_backdrops, _group_uses(tags), tuple(origins))


def mip_offset(level: Tensor) -> Tensor:
    """Start of a mip level in a texture's row."""
    starts = [0]
    for index in range(MIP_LEVELS):
        starts.append(starts[-1] + (TILE_PX >> index) ** 2)
    return torch.tensor(starts, device=level.device)[level]


def noise_texture(rng: np.random.Generator) -> NDArray[np.uint8]:
    """One procedural texture, (128, 128, 3): fractal noise, stripes, bricks, checks or speckles in two or three colours."""
    kind = rng.integers(5)
    field = _fractal(rng, TILE_PX, float(rng.uniform(0.3, 0.9)))
    v, u = np.mgrid[0:TILE_PX, 0:TILE_PX] / TILE_PX
    periods = int(rng.integers(2, 12))
    if kind == 1:
        field = 0.5 + 0.5 * np.sin(2 * np.pi * (periods * u + 0.3 * field))
    elif kind == 2:
        row = np.floor(v * periods)
        brick_u = (u * periods / 2 + 0.5 * (row % 2)) % 1.0
        joint = (brick_u < 0.06) | ((v * periods) % 1.0 < 0.1)
        field = np.where(joint, 0.0, 0.4 + 0.6 * field)
    elif kind == 3:
        field = 0.25 * field + 0.75 * ((np.floor(u * periods) + np.floor(v * periods)) % 2)
    elif kind == 4:
        field = (field > rng.uniform(0.4, 0.7)).astype(np.float64)
    colours = rng.uniform(0.05, 0.95, (2, 3))
    if rng.random() < 0.5:
        colours = colours.mean(axis=1, keepdims=True) + 0.25 * (colours - 0.5)  # mostly grey, as buildings are
    image = colours[0] + (colours[1] - colours[0]) * field[..., None] + 0.04 * rng.standard_normal((TILE_PX, TILE_PX, 1))
    return (np.clip(image, 0, 1) * 255).astype(np.uint8)


def _fractal(rng: np.random.Generator, size: int, persistence: float) -> NDArray[np.float64]:
    """Tileable value noise in [0, 1], five octaves."""
    import cv2

    total, amplitude = np.zeros((size, size)), 1.0
    for octave in range(1, 6):
        cells = 2**octave
        coarse = rng.random((cells, cells))
        wrapped = np.pad(coarse, 2, mode="wrap")
        fine = cv2.resize(wrapped, None, fx=size / cells, fy=size / cells, interpolation=cv2.INTER_CUBIC)
        edge = 2 * size // cells
        total += amplitude * fine[edge : edge + size, edge : edge + size]
        amplitude *= persistence
    low, high = total.min(), total.max()
    scaled: NDArray[np.float64] = (total - low) / (high - low)
    return scaled


def _noise_backdrop(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A sky: gradient from horizon to zenith, with clouds; the lower half is a ground colour."""
    import cv2

    height, width = BACKDROP_SIZE
    zenith, horizon, ground = rng.uniform([0.15, 0.3, 0.5], [0.6, 0.7, 1.0]), rng.uniform(0.6, 1.0, 3), rng.uniform(0.1, 0.6, 3)
    up = np.clip(1 - np.arange(height) / (height / 2), 0, 1)[:, None, None]
    clouds = cv2.resize(_fractal(rng, 256, 0.6), (width, height))[..., None]
    sky = horizon + (zenith - horizon) * up**0.6
    sky = sky + (1 - sky) * np.clip((clouds - rng.uniform(0.3, 0.9)) * 2, 0, 1)
    image = np.where(np.arange(height)[:, None, None] < height / 2, sky, ground * (0.7 + 0.3 * clouds))
    return (np.clip(image, 0, 1) * 255).astype(np.uint8)


def _tagged_images(folder: Path) -> list[tuple[Path, str, str]]:
    if not folder.is_dir():
        raise InputError(f"textures '{folder}': got no such folder, expected a folder of images. Fix: check the path")
    found: list[tuple[Path, str, str]] = []
    indexed = sorted(folder.glob("*/index.csv"))
    for index in indexed:
        with index.open(newline="", encoding="utf-8") as stream:
            found += [(index.parent / row["file"], row["tag"], index.parent.name) for row in csv.DictReader(stream)]
    if not indexed:
        suffixes = {".jpg", ".jpeg", ".png", ".webp"}
        found = [(p, "other", folder.name) for p in sorted(folder.rglob("*")) if p.suffix.lower() in suffixes]
    if not found:
        raise InputError(f"textures '{folder}': got no image, expected JPEG, PNG or WebP files. Fix: check the path")
    return found


def _read(path: Path, size: tuple[int, int], *, crop: bool) -> NDArray[np.uint8]:
    import cv2

    from pixio_edge.image import read_image

    image = read_image(path)
    if crop:
        side = min(image.shape[:2])
        top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
        image = image[top : top + side, left : left + side]
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _mip_chain(image: NDArray[np.uint8]) -> NDArray[np.int32]:
    import cv2

    levels = [image]
    for level in range(1, MIP_LEVELS):
        side = TILE_PX >> level
        levels.append(np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), dtype=np.uint8))
    return np.concatenate([_pack(level).reshape(-1) for level in levels])


def _pack(image: NDArray[np.uint8]) -> NDArray[np.int32]:
    wide = image.astype(np.int32)
    return (wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]


def _group_uses(tags: list[str]) -> dict[str, NDArray[np.int64]]:
    uses = {}
    noise = [i for i, tag in enumerate(tags) if tag == "noise"]
    photos = [i for i, tag in enumerate(tags) if tag == "photo"]
    known = {tag for members in USES.values() for tag in members}
    for use, members in USES.items():
        real = [i for i, tag in enumerate(tags) if tag in members or (use == "object" and tag not in known)]
        if use == "picture":
            real += photos
        elif use == "object":
            real = [i for i in real if tags[i] not in {"noise", "photo"}] + photos[:: max(1, len(photos) // 200)]
        # A fifth of the draws stay procedural, so that no use depends on a handful of images.
        share = noise if not real else noise[: max(1, len(real) // 4)]
        uses[use] = np.array(real + share, dtype=np.int64)
    return uses
