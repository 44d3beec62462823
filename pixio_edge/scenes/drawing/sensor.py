"""What a camera makes of light: exposure, white balance, tone curve, vignette, blur, noise, JPEG.

Mild, and often next to nothing: photos that were made smaller show little of it.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from pixio_edge.scenes.drawing.jit import quick

Floats = NDArray[np.float32]

# Mean of the light that automatic exposure aims at, and how far it goes towards it.
_AIM, _ZEAL = 0.25, 0.75
# Entries of the tone curve, which ends at this light. They are even in the root of light, as the curve nearly is: even
# in light, they would leave a few steps of dark tones.
_TABLE, _BRIGHTEST = 2048, 4.0
# Normal numbers, a power of two of them, that noise is taken from: drawing them anew would take as long as the shading.
_NOISE = np.random.default_rng(0).standard_normal(2**18, dtype=np.float32)


def photograph(light: Floats, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A photo such as a phone, webcam or robot takes.

    Args:
        light: Linear light, float32 (H, W, 3).
        rng: Draws the camera and its mood.

    Returns:
        uint8 (H, W, 3).
    """
    gain = _exposure(light) * math.exp(rng.normal(0.0, 0.35)) * np.exp(rng.normal(0.0, 0.06, 3))
    curve = _curve(rng)
    vignette = max(0.0, rng.uniform(-0.2, 0.3))
    saturation = rng.uniform(0.7, 1.4) if rng.random() < 0.97 else 0.0
    noise = max(0.0, rng.uniform(-0.045, 0.03))
    image = _focused(light, rng)
    stored = np.empty(light.shape, np.uint8)
    camera = (gain[0], gain[1], gain[2], vignette, saturation, noise)
    _develop(image, curve, camera, (_NOISE, int(rng.integers(len(_NOISE)))), stored)
    if rng.random() < 0.6:
        quality = int(rng.integers(45, 97))
        stored = as_jpeg(stored, quality)
    return stored


def as_jpeg(stored: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """An image as JPEG of a quality leaves it, both uint8 (H, W, 3), red first."""
    # OpenCV takes blue first.
    encoded = cv2.imencode(".jpg", stored[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.ascontiguousarray(np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), dtype=np.uint8)[..., ::-1])


def plain(light: Floats) -> NDArray[np.uint8]:
    """Light as bytes with a fixed curve, for tests and for looking at shading alone."""
    value = np.clip(light * _exposure(light), 0, 1) ** (1 / 2.2)
    return np.asarray(value * 255 + 0.5, dtype=np.uint8)


def _exposure(light: Floats) -> float:
    level = float(np.minimum(light, 2.0).mean())
    return float((_AIM / max(level, 1e-3)) ** _ZEAL)


def _focused(image: Floats, rng: np.random.Generator) -> Floats:
    sigma = rng.uniform(-1.2, 0.7)
    if sigma > 0.3:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)
    elif sigma < 0:
        # Cameras sharpen, and so does making a picture smaller.
        soft = cv2.GaussianBlur(image, (0, 0), 0.9)
        image = np.asarray(cv2.addWeighted(image, 1.0 - sigma, soft, sigma, 0.0), np.float32)
    if rng.random() < 0.05:
        length, angle = rng.uniform(1.5, 4.0), rng.uniform(0, math.pi)
        kernel = np.zeros((7, 7), np.float32)
        reach = (length / 2 * math.cos(angle), length / 2 * math.sin(angle))
        ends = [(round(16 * (3 + sign * reach[0])), round(16 * (3 + sign * reach[1]))) for sign in (-1, 1)]
        cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_AA, 4)
        image = np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.float32)
    return image


def _curve(rng: np.random.Generator) -> Floats:
    """Light to stored value: shoulder, gamma, contrast, black level."""
    x = _BRIGHTEST * (np.arange(_TABLE, dtype=np.float32) / (_TABLE - 1)) ** 2
    shoulder = rng.uniform(0.1, 0.45)
    curve = np.clip(x * (1 + shoulder * x / _BRIGHTEST) / (1 + shoulder * x), 0, 1) ** rng.uniform(0.41, 0.5)
    contrast = rng.uniform(-0.1, 0.6)
    curve = curve + contrast * (curve * curve * (3 - 2 * curve) - curve)
    black = rng.uniform(-0.09, 0.04)
    return np.asarray(black + (1 - black) * curve, np.float32)


@quick
def _develop(
    light: Floats,
    curve: Floats,
    camera: tuple[float, float, float, float, float, float],
    noise_source: tuple[Floats, int],
    stored: NDArray[np.uint8],
) -> None:
    """Apply gain, vignette, curve, saturation and noise."""
    red_gain, green_gain, blue_gain, vignette, saturation, noise = camera
    height, width = stored.shape[:2]
    scale = np.float32((_TABLE - 1) ** 2 / _BRIGHTEST)
    last, zero = np.float32(_TABLE - 1), np.float32(0)
    numbers, place = noise_source
    mask = len(numbers) - 1
    for i in range(height):
        y = 2 * (i + 0.5) / height - 1
        for j in range(width):
            x = 2 * (j + 0.5) / width - 1
            shade = scale * np.float32(1 - vignette * 0.5 * (x * x + y * y))
            red = curve[int(min(np.sqrt(max(light[i, j, 0], zero) * np.float32(red_gain) * shade), last))]
            green = curve[int(min(np.sqrt(max(light[i, j, 1], zero) * np.float32(green_gain) * shade), last))]
            blue = curve[int(min(np.sqrt(max(light[i, j, 2], zero) * np.float32(blue_gain) * shade), last))]
            grey = np.float32(0.3) * red + np.float32(0.59) * green + np.float32(0.11) * blue
            for k in range(3):
                value = red if k == 0 else green if k == 1 else blue
                value = grey + np.float32(saturation) * (value - grey)
                value += np.float32(noise) * numbers[place & mask]
                place += 1
                stored[i, j, k] = np.uint8(min(max(value * 255 + np.float32(0.5), np.float32(0)), np.float32(255)))
