"""Texture atlas: procedural noise and, when a folder is given, its surfaces, photographs and skies, with mip levels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pixio_edge.image import read_image
from pixio_edge.scenes.noise import noise_backdrop, noise_texture
from pixio_edge.scenes.texture_folder import list_textures

# Exponent between stored colour values and light, and the light of each stored value.
GAMMA = 2.2
GAMMA_TABLE = ((np.arange(256) / 255.0) ** GAMMA).astype(np.float32)
# Side of a texture in pixels.
TILE_PX = 128
MIP_LEVELS = 5
# Height and width of a panorama in pixels.
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
    "wood": ("wood",),
    "fabric": ("fabric",),
    "metal": ("metal",),
    "plaster": ("plaster", "ceiling", "concrete", "wallpaper"),
    "tiles": ("tiles",),
    "carpet": ("carpet", "fabric"),
    "brick": ("brick",),
    "concrete": ("concrete",),
    "stone": ("stone",),
    "roof": ("roof",),
    "asphalt": ("asphalt",),
    "grass": ("grass",),
    "soil": ("soil",),
}
NOISE_TEXTURES = 160
NOISE_BACKDROPS = 12


@dataclass(frozen=True, eq=False)
class TextureAtlas:
    """Textures in memory.

    Attributes:
        texels: Packed RGB (0xRRGGBB, int32), all mip levels of a texture in a row, (T, texels per texture).
        backdrops: Packed RGB panoramas of the whole sphere, zenith first, (B, 192, 512).
        uses: Texture indices per use ("floor", "wall", …); every use has some.
        origins: Path of each texture inside its folder, or "noise".
        backdrop_origins: The same of each panorama.
    """

    texels: NDArray[np.int32]
    backdrops: NDArray[np.int32]
    uses: dict[str, NDArray[np.int64]]
    origins: tuple[str, ...]
    backdrop_origins: tuple[str, ...]

    @cached_property
    def means(self) -> NDArray[np.float32]:
        """Mean linear colours of the textures, float32 (T, 3)."""
        coarsest = self.texels[:, -((TILE_PX >> (MIP_LEVELS - 1)) ** 2) :]
        channels = np.stack([GAMMA_TABLE[coarsest >> bits & 255] for bits in (16, 8, 0)], axis=-1)
        return np.ascontiguousarray(channels.mean(axis=1), dtype=np.float32)


def load_atlas(folder: Path | None = None, *, seed: int = 0) -> TextureAtlas:
    """Noise textures, plus those of a folder with `surfaces/`, `photos/` and `backdrops/`, or of any folder of images.

    Surfaces and photographs are cropped to their middle square; backdrops are panoramas of the whole sphere.

    Args:
        folder: Textures, see `texture_folder`; None: noise only.
        seed: Seed of the noise.

    Raises:
        InputError: The folder is missing or holds no image, or an image or index cannot be read.
    """
    rng = np.random.default_rng(seed)
    images = [noise_texture(rng, TILE_PX) for _ in range(NOISE_TEXTURES)]
    tags = ["noise"] * len(images)
    origins = ["noise"] * len(images)
    backdrops = [noise_backdrop(rng, BACKDROP_SIZE) for _ in range(NOISE_BACKDROPS)]
    backdrop_origins = ["noise"] * len(backdrops)
    if folder is not None:
        for image in list_textures(folder):
            if image.group == "backdrops":
                backdrops.append(_read(folder / image.file, (BACKDROP_SIZE[1], BACKDROP_SIZE[0]), crop=False))
                backdrop_origins.append(str(image.file))
                continue
            images.append(_read(folder / image.file, (TILE_PX, TILE_PX), crop=True))
            tags.append("photo" if image.group == "photos" else image.tag)
            origins.append(str(image.file))
    packed_backdrops = np.stack([_pack(image) for image in backdrops])
    texels = np.stack([_mip_chain(image) for image in images])
    return TextureAtlas(texels, packed_backdrops, _group_uses(tags), tuple(origins), tuple(backdrop_origins))


def _read(path: Path, size: tuple[int, int], *, crop: bool) -> NDArray[np.uint8]:
    image = read_image(path)
    if crop:
        side = min(image.shape[:2])
        top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
        image = image[top : top + side, left : left + side]
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _mip_chain(image: NDArray[np.uint8]) -> NDArray[np.int32]:
    levels, light = [image], GAMMA_TABLE[image]
    for level in range(1, MIP_LEVELS):
        side = TILE_PX >> level
        # Light is what averages, not the stored values: else textures grow darker with the distance.
        light = np.asarray(cv2.resize(light, (side, side), interpolation=cv2.INTER_AREA), dtype=np.float32)
        levels.append((light ** np.float32(1 / GAMMA) * 255 + 0.5).astype(np.uint8))
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
