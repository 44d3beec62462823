"""Reading of stored ground truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from pixio_edge.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def read_depth_png(path: Path) -> NDArray[np.float32]:
    """Read a 16-bit grey PNG as stored values, float32 (H, W); 0 means no depth.

    Raises:
        InputError: The file is missing, is not an image, or is not single-channel 16-bit.
    """
    stored = cv2.imdecode(_read_bytes(path), cv2.IMREAD_UNCHANGED)
    if stored is None:
        raise InputError(f"{path}: not a readable image, expected a 16-bit PNG of depth. Fix: write the file again")
    if stored.ndim != 2 or stored.dtype != np.uint16:
        raise InputError(
            f"{path}: got {stored.dtype} {stored.shape}, expected uint16 (H, W). Fix: store depth as 16-bit grey PNG"
        )
    return stored.astype(np.float32)


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Read an image as uint8 RGB (H, W, 3)."""
    bgr = cv2.imdecode(_read_bytes(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise InputError(f"{path}: not a readable image, expected JPEG or PNG. Fix: write the file again")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _read_bytes(path: Path) -> NDArray[np.uint8]:
    # Not cv2.imread: it cannot open paths outside the ANSI code page on Windows, and it does not say why it fails.
    try:
        data = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}). Fix: check the paths in the index") from error
    if data.size == 0:
        raise InputError(f"{path}: empty file, expected an image. Fix: write the file again")
    return data
