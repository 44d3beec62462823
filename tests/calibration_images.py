"""Calibration sets of random images in a folder of a test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from random_models import random_image

from pixio_edge.calibration.dataset import CalibrationSet
from pixio_edge.image import write_image


def random_images(size: tuple[int, int], count: int, *, seed: int = 0) -> list[np.ndarray]:
    """uint8 (H, W, 3) each."""
    return [random_image(size, seed=seed + index)[0] for index in range(count)]


def random_calibration_set(folder: Path, size: tuple[int, int], count: int = 4) -> CalibrationSet:
    """Random images of one size, written to a folder that exists."""
    for index, image in enumerate(random_images(size, count)):
        write_image(folder / f"{index}.png", image)
    return CalibrationSet.open(folder, images=count)
