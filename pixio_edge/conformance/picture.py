"""The picture on which programs prove their preparation: made by a formula, and without any symmetry.

Channels, sides and corners differ, so that a swapped channel order, a flip, a crop or a border is a large difference,
while smooth ways to resize are close to each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

PICTURE_SIZE = (480, 640)
"""(height, width): that of a small camera frame, with an aspect ratio that no square input has."""

STRIPE_PX = 3
"""Fine enough that a resize which does not average first shows it."""

MAX_MEAN_DIFFERENCE = 4.0
"""Grey levels. Measured on this picture at the seven sizes of nano against `ImageSpec.prepare`: area 0 to 1.8, linear
0.4 to 3.6, Pillow's box, bilinear and Lanczos 0.3 to 3.2; a border added 7.4 and more, a crop 8.7, swapped channels 51,
a flip 68. What is inside of the limit has the geometry and the colours right; it need not be equal."""


def render_picture() -> NDArray[np.uint8]:
    """uint8 (480, 640, 3), RGB: three gradients, a dark disc, a bright rectangle and stripes."""
    height, width = PICTURE_SIZE
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float64)
    y, x = rows / height, columns / width
    picture = np.stack([255 * x, 255 * y, 255 * np.abs(x - y)], axis=2)
    picture[(y - 0.3) ** 2 + ((x - 0.25) * width / height) ** 2 < 0.15**2] = (20, 30, 60)
    picture[(y > 0.6) & (y < 0.85) & (x > 0.7) & (x < 0.9)] = (250, 230, 90)
    stripes = (x > 0.4) & (x < 0.6) & (np.floor(rows / STRIPE_PX) % 2 == 0)
    picture[stripes] = 255 - picture[stripes]
    pixels: NDArray[np.uint8] = np.rint(picture).clip(0, 255).astype(np.uint8)
    return pixels
