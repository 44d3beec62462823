"""False colours for inverse depth."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from pixio_edge.errors import InputError

COLORMAPS = ("inferno", "turbo", "magma", "plasma", "viridis", "cividis", "gray")
"""Names that `colorize_inverse` takes."""

INVALID_COLOR = (128, 128, 128)
"""RGB of pixels without a value: a grey that no colormap but "gray" contains."""

_SAMPLES = 1 << 16
"""Pixels that the percentiles are taken from, at least: all 921,600 of 1280x720 cost 11 ms, a sixteenth 0.7 ms, and
65,536 samples place the 2nd percentile within 0.06 percentile points (standard deviation of a binomial)."""

_CONSTANT_RTOL = 1e-6
"""A spread below this share of the values is rounding (float32 resolves 1.2e-7), and counts as constant."""

_SMALLEST_SPREAD = 1e-30
"""Below it 255 / spread leaves the range of float32."""

_MIDDLE = 127.0


def colorize_inverse(inverse: NDArray[np.float32], *, colormap: str, low: float, high: float) -> NDArray[np.uint8]:
    """Map inverse depth to colours: far is the dark end, near the bright end.

    Args:
        inverse: float32 (H, W); larger is nearer; values that are not finite get `INVALID_COLOR`.
        colormap: One of `COLORMAPS`.
        low: Percentile, 0..100, that becomes the first colour; values below it too.
        high: Percentile that becomes the last colour. A map in which both percentiles are equal gets the middle colour.

    Returns:
        uint8 (H, W, 3) RGB, a new array.

    Raises:
        InputError: The colormap is unknown, or not 0 <= low < high <= 100.
    """
    import cv2  # noqa: PLC0415  (importing OpenCV takes longer than the rest of the package together)

    if not 0 <= low < high <= 100:
        raise InputError(
            f"percentiles: got low={low}, high={high}, expected 0 <= low < high <= 100. Fix: use the defaults 2 and 98"
        )
    table = _color_table(colormap, cv2)
    valid = np.isfinite(inverse)
    is_complete = bool(valid.all())
    known = inverse if is_complete else np.where(valid, inverse, np.float32(0))
    levels = _levels(known, *_percentiles(inverse, low, high))
    colors = cast("NDArray[np.uint8]", cv2.applyColorMap(levels, table))
    if not is_complete:
        colors[~valid] = INVALID_COLOR
    return colors


def _color_table(name: str, cv2: Any) -> NDArray[np.uint8]:
    """uint8 (256, 1, 3) RGB."""
    if name not in COLORMAPS:
        raise InputError(f"colormap: got {name!r}, expected one of {', '.join(COLORMAPS)}. Fix: use 'inferno'")
    ramp = np.arange(256, dtype=np.uint8)[:, None]
    if name == "gray":
        return np.repeat(ramp[..., None], 3, axis=2)
    bgr = cv2.applyColorMap(ramp, getattr(cv2, f"COLORMAP_{name.upper()}"))
    return np.ascontiguousarray(bgr[..., ::-1])


def _percentiles(inverse: NDArray[np.float32], low: float, high: float) -> tuple[float, float]:
    step = max(1, int((inverse.size / _SAMPLES) ** 0.5))
    sample = inverse[::step, ::step]
    sample = sample[np.isfinite(sample)]
    if sample.size == 0 and step > 1:  # the few valid pixels may all lie between the sampled ones
        sample = inverse[np.isfinite(inverse)]
    if sample.size == 0:
        return 0.0, 0.0
    bottom, top = np.percentile(sample.astype(np.float64), [low, high])
    return float(bottom), float(top)


def _levels(inverse: NDArray[np.float32], bottom: float, top: float) -> NDArray[np.uint8]:
    """uint8 (H, W), 0 at `bottom` and 255 at `top`."""
    if top - bottom <= max(_CONSTANT_RTOL * max(abs(top), abs(bottom)), _SMALLEST_SPREAD):
        return np.full(inverse.shape, _MIDDLE, np.uint8)
    scaled = np.clip(inverse, np.float32(bottom), np.float32(top))
    scaled -= np.float32(bottom)
    scaled *= np.float32(255.0 / (top - bottom))
    np.minimum(scaled, 255.0, out=scaled)
    return scaled.astype(np.uint8)
