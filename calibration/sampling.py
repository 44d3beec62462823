"""Which of many images to calibrate with: a small set that covers them, chosen the same way every time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Cells along each side of the grid on which colour and edges are compared: layout matters, detail does not.
GRID = 4
# Side of the picture that edges are measured on; finer edges are noise and compression.
THUMBNAIL = 32
# How much a shape twice as wide counts, against colours that differ by the full range everywhere: a bundle runs each
# shape at another size, so every shape should occur.
SHAPE_WEIGHT = 0.25


def describe_image(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Numbers by which images are compared: mean colour and mean edge strength in a 4 x 4 grid, and the shape.

    Args:
        rgb: uint8 (H, W, 3) in any order of channels.

    Returns:
        float32 (65,), scaled so that the Euclidean distance of two is about the difference of their content, 0 to 1.
    """
    import cv2  # noqa: PLC0415  (importing OpenCV takes longer than the rest of the package together)

    small = cv2.resize(rgb, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    grey = small.mean(axis=2)
    edges = np.abs(np.diff(grey, axis=0, append=grey[-1:])) + np.abs(np.diff(grey, axis=1, append=grey[:, -1:]))
    planes = np.dstack([small, edges])
    side = THUMBNAIL // GRID
    cells = planes.reshape(GRID, side, GRID, side, 4).mean(axis=(1, 3)) / GRID
    shape = SHAPE_WEIGHT * np.log2(rgb.shape[1] / rgb.shape[0])
    return np.append(cells.reshape(-1), shape).astype(np.float32)


def spread_order(descriptions: NDArray[np.float32], count: int) -> list[int]:
    """Indices of images that cover all, by farthest-point sampling: each next one is the least like those before it.

    The first is the one nearest to the mean. Every prefix covers as well as so few can (within a factor of two of the
    best radius; Gonzalez, "Clustering to minimize the maximum intercluster distance", 1985), and of images that are
    nearly the same one is taken before a second. Ties go to the lower index.

    Args:
        descriptions: float32 (N, D), N at least 1.
        count: Number wanted.

    Returns:
        min(count, N) different indices.
    """
    distance = np.linalg.norm(descriptions - descriptions.mean(axis=0), axis=1)
    chosen = [int(np.argmin(distance))]
    nearest = np.full(len(descriptions), np.inf)
    for _ in range(min(count, len(descriptions)) - 1):
        nearest = np.minimum(nearest, np.linalg.norm(descriptions - descriptions[chosen[-1]], axis=1))
        nearest[chosen] = -1.0
        chosen.append(int(np.argmax(nearest)))
    return chosen
