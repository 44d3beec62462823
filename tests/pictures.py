"""Pictures that tests make themselves."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


def write_photo(path: Path, size: tuple[int, int]) -> None:
    """A picture with gradients, so that JPEG and depth have something to hold on to."""
    rows = np.linspace(0, 255, size[0])[:, None]
    columns = np.linspace(0, 255, size[1])[None, :]
    picture = np.stack(np.broadcast_arrays(rows, columns, (rows + columns) / 2), axis=2).astype(np.uint8)
    assert cv2.imencode(path.suffix, picture)[1].tofile(path) is None
