"""Reading of ground truth that data sets store as 16-bit PNG, without a record of its meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from pixio_edge.errors import InputError
from pixio_edge.image_reading import decode, read_checked

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def read_stored_depth(path: Path, scale: float) -> NDArray[np.float32]:
    """Read a 16-bit grey PNG as float32 (H, W): stored value / `scale`; 0 means no depth.

    Raises:
        InputError: The file is missing, is not a complete image, or is not single-channel 16-bit.
    """
    stored = decode(read_checked(path), path, cv2.IMREAD_UNCHANGED)
    if stored.ndim != 2 or stored.dtype != np.uint16:
        raise InputError(
            f"{path}: got {stored.dtype} {stored.shape}, expected uint16 (H, W). Fix: store depth as 16-bit grey PNG"
        )
    # In float64 first: a stored value equal to the bound of its range has to stay on the bound.
    return (stored / scale).astype(np.float32)
