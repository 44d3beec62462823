"""Batches of plain images with what a teacher makes of them: two views of the same window.

The teacher sees a whole image, clean, and so only once (`teacher_cache`). The student sees a window of it, recoloured
and degraded; the label and the tokens of the window are cut out of the teacher's maps at the same place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pixio_edge.training.data import SHAPE_RATIOS, normalise, recolour, shape_near, window_of
from pixio_edge.training.degrade import degrade
from pixio_edge.training.photos import Photo, Photos


class Taught(Protocol):
    """What a teacher made of an image; `teacher.Lesson`."""

    @property
    def label(self) -> NDArray[np.float16] | None:
        """Inverse depth (h, w)."""
        ...

    @property
    def patches(self) -> NDArray[np.float16] | None:
        """Patch tokens (rows, columns, D)."""
        ...

    @property
    def class_tokens(self) -> NDArray[np.float16] | None:
        """Class tokens (N, D)."""
        ...


@dataclass(frozen=True, slots=True)
class DistillBatch:
    """Windows of images with what the teacher makes of them.

    Attributes:
        image: The student's view, float32 (B, 3, H, W), ImageNet-normalised, channels last in memory.
        label: Inverse depth of the teacher (B, H, W), up to scale and shift; None of an encoder.
        patches: Tokens of the teacher at the student's patches, (B, P, D); None where not asked for.
        class_tokens: Class tokens of the teacher on the whole image, (B, N, D).
        step: Step that the batch is of.
    """

    image: Tensor
    label: Tensor | None
    patches: Tensor | None
    class_tokens: Tensor | None
    step: int

    def to(self, device: torch.device) -> DistillBatch:
        """The batch on a device."""
        label, patches, class_tokens = (
            None if each is None else each.to(device) for each in (self.label, self.patches, self.class_tokens)
        )
        return DistillBatch(self.image.to(device), label, patches, class_tokens, self.step)


class DistillRows:
    """Rows of batches; see `data.DepthRows` for what they depend on.

    Args:
        photos: What to draw from.
        lesson_on: What the teacher makes of a photo.
        pixels_of: About how many pixels an image of a step has.
        seed: Seed of everything that is drawn.
        patch: Patch size of the student.
        min_area: Smallest window, as for `data.window_of`; 1: always as much of the image as its shape allows.
        augment: Recolour and degrade the student's view.
    """

    def __init__(
        self,
        photos: Photos,
        lesson_on: Callable[[Photo], Taught],
        *,
        pixels_of: Callable[[int], int],
        seed: int,
        patch: int,
        min_area: float,
        augment: bool,
    ) -> None:
        self._photos, self._lesson_on, self._pixels_of = photos, lesson_on, pixels_of
        self._seed, self._patch, self._min_area, self._augment = seed, patch, min_area, augment

    def make(self, step: int, row: int) -> DistillBatch:
        """A batch of one image."""
        shape = SHAPE_RATIOS[int(np.random.default_rng([self._seed, step]).integers(len(SHAPE_RATIOS)))]
        size = shape_near(self._pixels_of(step), shape, self._patch)
        rng = np.random.default_rng([self._seed, step, row + 1])  # from 1, as in DepthRows
        photo = self._photos.read(int(rng.integers(len(self._photos))))
        lesson = self._lesson_on(photo)
        full = (photo.rgb.shape[0], photo.rgb.shape[1])
        window = window_of(full, size, rng, self._min_area)
        is_mirrored = rng.random() < 0.5
        colour = _view(photo.rgb, window, size)
        if is_mirrored:
            colour = np.ascontiguousarray(colour[:, ::-1])
        strong = degrade(recolour(colour, rng), rng) if self._augment else colour.astype(np.float32) / 255
        cut = _Cut(window, full, is_mirrored=is_mirrored)
        label = None if lesson.label is None else cut.of(lesson.label[..., None], size)[..., 0]
        patches = class_tokens = None
        if lesson.patches is not None and lesson.class_tokens is not None:
            grid = (size[0] // self._patch, size[1] // self._patch)
            patches = cut.of(lesson.patches, grid).flatten(1, 2)
            class_tokens = torch.from_numpy(lesson.class_tokens.astype(np.float32))[None]
        return DistillBatch(normalise(torch.from_numpy(strong)[None]), label, patches, class_tokens, step)

    def collate(self, items: list[DistillBatch]) -> DistillBatch:
        """Batches of one image as one batch."""
        # Through (B, H, W, 3): channels last in memory, as the models take them.
        image = torch.cat([item.image.permute(0, 2, 3, 1) for item in items]).permute(0, 3, 1, 2)
        return DistillBatch(
            image,
            _join([item.label for item in items]),
            _join([item.patches for item in items]),
            _join([item.class_tokens for item in items]),
            items[0].step,
        )

    def facts(self) -> dict[str, Any]:
        """Number of images that are drawn from."""
        return {"photos": len(self._photos)}


def _join(parts: list[Tensor | None]) -> Tensor | None:
    given = [part for part in parts if part is not None]
    return torch.cat(given) if given else None


def _view(rgb: NDArray[np.uint8], window: tuple[int, int, int, int], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A window of an image, resized."""
    top, left, high, wide = window
    shrinks = size[0] * size[1] < high * wide
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    part = cv2.resize(rgb[top : top + high, left : left + wide], (size[1], size[0]), interpolation=method)
    return np.asarray(part, dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class _Cut:
    """A window, possibly mirrored, of maps that cover the image it is a window of."""

    window: tuple[int, int, int, int]
    full: tuple[int, int]
    is_mirrored: bool

    def of(self, values: NDArray[np.float16], size: tuple[int, int]) -> Tensor:
        """Sample a map (h, w, C) at the centres of a grid over the window: float32 (1, *size, C), bilinear."""
        top, left, high, wide = self.window
        across = (left + wide * (torch.arange(size[1]) + 0.5) / size[1]) / self.full[1]
        down = (top + high * (torch.arange(size[0]) + 0.5) / size[0]) / self.full[0]
        if self.is_mirrored:
            across = across.flip(0)
        grid = torch.stack([across.expand(size), down[:, None].expand(size)], dim=-1) * 2 - 1
        whole = torch.from_numpy(values.astype(np.float32)).permute(2, 0, 1)[None]
        picked = functional.grid_sample(whole, grid[None], mode="bilinear", padding_mode="border", align_corners=False)
        return picked.permute(0, 2, 3, 1)
