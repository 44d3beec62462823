"""What a camera makes of light: exposure, white balance, tone curve, vignette, blur, noise, JPEG."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_GREY = 0.18
_TABLE = 2048


def photograph(light: Floats, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A photo such as a phone, webcam or robot takes.

    Args:
        light: Linear light, float32 (H, W, 3).
        rng: Draws the camera and its mood.

    Returns:
        uint8 (H, W, 3).
    """
    height, width = light.shape[:2]
    gain = _exposure(light) * math.exp(rng.uniform(-0.45, 0.4))
    balance = np.exp(rng.normal(0.0, 0.07, 3))
    image = light * (gain * balance).astype(np.float32)
    if rng.random() < 0.7:
        image *= _vignette(height, width, rng.uniform(0.0, 0.35))
    image = _blurred(image, rng)
    image = _develop(image, rng)
    noise = max(0.0, rng.uniform(-0.02, 0.035))
    if noise > 0:
        image += rng.standard_normal(image.shape, dtype=np.float32) * np.float32(noise)
    stored = np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < 0.75:
        quality = int(rng.integers(35, 97))
        encoded = cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        stored = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), dtype=np.uint8)
    return stored


def plain(light: Floats) -> NDArray[np.uint8]:
    """Light as bytes with a fixed curve, for tests and for looking at shading alone."""
    value = np.clip(light * _exposure(light), 0, 1) ** (1 / 2.2)
    return np.asarray(value * 255 + 0.5, dtype=np.uint8)


def _exposure(light: Floats) -> float:
    """Factor that brings the picture to a mid grey, as automatic exposure does, but not all the way."""
    level = float(np.minimum(light, 2.0).mean())
    return float((_GREY * 1.25 / max(level, 1e-3)) ** 0.85)


def _vignette(height: int, width: int, strength: float) -> Floats:
    rows, columns = np.linspace(-1, 1, height, dtype=np.float32), np.linspace(-1, 1, width, dtype=np.float32)
    return np.asarray(1 - np.float32(strength / 2) * (rows[:, None] ** 2 + columns**2), np.float32)[..., None]


def _blurred(image: Floats, rng: np.random.Generator) -> Floats:
    sigma = rng.uniform(-0.5, 0.9)
    if sigma > 0.25:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)
    if rng.random() < 0.1:
        length, angle = rng.uniform(1.5, 5.0), rng.uniform(0, math.pi)
        kernel = np.zeros((7, 7), np.float32)
        reach = (length / 2 * math.cos(angle), length / 2 * math.sin(angle))
        ends = [(round(16 * (3 + sign * reach[0])), round(16 * (3 + sign * reach[1]))) for sign in (-1, 1)]
        cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_AA, 4)
        image = np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.float32)
    return image


def _develop(image: Floats, rng: np.random.Generator) -> Floats:
    """Tone curve, gamma, saturation; by a table, since powers are slow."""
    x = np.arange(_TABLE, dtype=np.float32) * (4.0 / (_TABLE - 1))
    shoulder = rng.uniform(0.15, 0.5)
    curve = np.clip(x * (1 + shoulder * x / 4) / (1 + shoulder * x), 0, 1) ** rng.uniform(0.4, 0.52)
    contrast = rng.uniform(-0.15, 0.5)
    curve = curve + contrast * (curve * curve * (3 - 2 * curve) - curve)
    black = rng.uniform(-0.03, 0.05)
    curve = (black + (1 - black) * curve).astype(np.float32)
    developed: Floats = curve[np.minimum(image * ((_TABLE - 1) / 4.0), _TABLE - 1).astype(np.int32)]
    saturation = np.float32(rng.uniform(0.6, 1.3)) if rng.random() < 0.95 else np.float32(0.0)
    grey = developed @ np.array((0.3, 0.59, 0.11), np.float32)
    return grey[..., None] + saturation * (developed - grey[..., None])
