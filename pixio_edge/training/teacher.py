"""A frozen model that teaches: what it makes of a whole image, as pseudo-label and as tokens."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pixio_edge.errors import CheckFailedError
from pixio_edge.export.source import open_source
from pixio_edge.licences import check_commercial
from pixio_edge.manifest import LicenceEntry
from pixio_edge.models.checkpoints import load_encoder
from pixio_edge.models.depth_model import DepthModel
from pixio_edge.models.licences import licence_of_preset
from pixio_edge.models.pixio import PixioEncoder
from pixio_edge.models.presets import ENCODERS
from pixio_edge.training.data import normalise
from pixio_edge.training.distill_losses import standardise
from pixio_edge.weights.terms import licence_of

# Longest side over shortest of what a teacher is shown; longer images are squeezed.
LARGEST_RATIO = 4
# Metric depth below this share of its range counts as that: inverse depth has no value at 0 m.
NEAREST_SHARE = 1e-3


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a teacher makes of a whole image; maps cover all of it, whatever their size.

    Attributes:
        label: Inverse depth float16 (h, w), median 0 and mean deviation 1; None of an encoder without a head.
        patches: Patch tokens of the last block before any norm, float16 (rows, columns, D); None where not asked for.
        class_tokens: Class tokens there, float16 (N, D).
    """

    label: NDArray[np.float16] | None
    patches: NDArray[np.float16] | None
    class_tokens: NDArray[np.float16] | None

    @property
    def bytes(self) -> int:
        """Size in memory, and but for headers on disk."""
        return sum(each.nbytes for each in (self.label, self.patches, self.class_tokens) if each is not None)


class Teacher:
    """A frozen model that is asked for one image at a time, from any thread; in float32.

    Args:
        model: A depth model, or an encoder alone; taken over.
        name: What it is called in messages and records.
        licence: Terms of its weights; None if they are unknown.
        side: Shorter side in pixels of what it is shown, rounded to whole patches; None: the size that its position
            embedding is stored for.
    """

    def __init__(
        self,
        model: DepthModel | PixioEncoder,
        *,
        name: str,
        licence: LicenceEntry | None = None,
        side: int | None = None,
    ) -> None:
        self._model = model.eval().requires_grad_(False)
        self.name, self.licence = name, licence
        self.encoder = model.encoder if isinstance(model, DepthModel) else model
        self.side = side or self.encoder.config.image_size
        self.sha256 = hash_weights(model)
        self._lock = Lock()

    @property
    def has_depth(self) -> bool:
        """Whether it has a head, and so pseudo-labels."""
        return isinstance(self._model, DepthModel)

    def to(self, device: torch.device) -> Teacher:
        """Move it to a device."""
        self._model.to(device)
        return self

    def size_for(self, full: tuple[int, int]) -> tuple[int, int]:
        """Height and width that an image of a height and width is shown at: its shape, in whole patches."""
        patch, shortest = self.encoder.config.patch_size, min(full)
        height, width = (
            max(1, round(min(side / shortest, LARGEST_RATIO) * self.side / patch)) * patch for side in full
        )
        return height, width

    def teach(self, rgb: NDArray[np.uint8], *, tokens: bool) -> Lesson:
        """What it makes of an image.

        Args:
            rgb: The whole image, (H, W, 3).
            tokens: Whether tokens are asked for.

        Raises:
            CheckFailedError: A value is not finite.
        """
        size = self.size_for((rgb.shape[0], rgb.shape[1]))
        shrinks = size[0] * size[1] < rgb.shape[0] * rgb.shape[1]
        shown = cv2.resize(
            rgb, (size[1], size[0]), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        ).astype(np.float32)
        with self._lock, torch.inference_mode():
            device = next(self._model.parameters()).device
            image = normalise(torch.from_numpy(shown)[None] / 255).to(device)
            depth, last = self._run(image, tokens=tokens)
        label = None if depth is None else self._keep(depth[0])
        if last is None:
            return Lesson(label, None, None)
        count, patch = self.encoder.config.num_cls_tokens, self.encoder.config.patch_size
        patches = last[0, count:].reshape(size[0] // patch, size[1] // patch, -1)
        return Lesson(label, self._keep(patches), self._keep(last[0, :count]))

    def _run(self, image: Tensor, *, tokens: bool) -> tuple[Tensor | None, Tensor | None]:
        """Pseudo-label (1, H, W) and tokens (1, N + P, D) of the last block."""
        caught: list[Tensor] = []
        hook = self.encoder.blocks[-1].register_forward_hook(lambda module, inputs, output: caught.append(output))
        try:
            depth = None
            if isinstance(self._model, DepthModel):
                depth = inverse_label(self._model(image), self._model.config.head.max_depth)
            if tokens and not caught:  # a head that does not read the last block leaves it out
                self.encoder(image)
        finally:
            hook.remove()
        return depth, caught[-1] if tokens else None

    def _keep(self, values: Tensor) -> NDArray[np.float16]:
        kept: NDArray[np.float16] = values.half().cpu().numpy()
        if not np.isfinite(kept).all():
            raise CheckFailedError(
                f"teacher {self.name}: got values that are not finite in fp16, expected finite ones. "
                "Fix: use other weights, or another --teacher-side"
            )
        return kept


def inverse_label(depth: Tensor, max_depth: float | None) -> Tensor:
    """Inverse depth with median 0 and mean absolute deviation 1, so that float16 holds that of any teacher.

    Args:
        depth: Relative inverse depth (B, H, W), or metres where there is a `max_depth`.
        max_depth: Range of metric depth.
    """
    inverse = depth if max_depth is None else 1 / depth.clamp(min=NEAREST_SHARE * max_depth)
    # Of the largest value first: what counts as constant must not depend on the teacher's unit.
    largest = inverse.abs().amax((1, 2), keepdim=True).clamp(min=torch.finfo(inverse.dtype).tiny)
    return standardise(inverse / largest)


def hash_weights(model: nn.Module) -> str:
    """SHA-256 of names, shapes and values: the same for the same weights in any container."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}\n".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def open_teacher(source: str, preset: str | None = None, *, side: int | None = None) -> Teacher:
    """Load a teacher.

    Args:
        source: Path of a checkpoint or of a folder that transformers saved, or name or path of a bundle.
        preset: Shape of a checkpoint that does not carry its own: a depth model, or an encoder such as "pixio-vitb16".
        side: As for `Teacher`.

    Raises:
        BundleError: No such bundle, or it has no checkpoint.
        InputError: The checkpoint cannot be used, or the preset is unknown.
        LicenceError: Commercial use is insisted on, and the weights forbid it.
    """
    path = Path(source)
    model: DepthModel | PixioEncoder
    if preset in ENCODERS:
        model, licence = load_encoder(path, ENCODERS[preset]), licence_of(path)
    else:
        opened = open_source(source, preset)
        model = opened.model
        licence = opened.manifest.licence if opened.manifest else licence_of(path)
    if licence is None and preset is not None:
        licence = licence_of_preset(preset)
    if licence is not None:
        check_commercial(licence, what=f"teacher {source}")
    return Teacher(model, name=source, licence=licence, side=side)
