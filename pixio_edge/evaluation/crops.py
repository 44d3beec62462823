"""Parts of an image that published protocols leave out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NYU_SIZE = (480, 640)
"""Height and width of every NYUv2 frame."""

_EIGEN_ROWS, _EIGEN_COLUMNS = slice(45, 471), slice(41, 601)

_GARG_ROWS, _GARG_COLUMNS = (0.40810811, 0.99189189), (0.03594771, 0.96405229)


def eigen_crop_nyu() -> NDArray[np.bool_]:
    """Return the NYUv2 crop of Eigen et al. (2014), bool (480, 640): rows 45..470, columns 41..600.

    It leaves out the white border that undistortion puts around the image.
    """
    inside = np.zeros(NYU_SIZE, dtype=np.bool_)
    inside[_EIGEN_ROWS, _EIGEN_COLUMNS] = True
    return inside


def garg_crop(size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the KITTI crop of Garg et al. (2016), bool of the given (height, width): where LiDAR is dense."""
    height, width = size
    (top, bottom), (left, right) = _GARG_ROWS, _GARG_COLUMNS
    inside = np.zeros(size, dtype=np.bool_)
    inside[int(top * height) : int(bottom * height), int(left * width) : int(right * width)] = True
    return inside
