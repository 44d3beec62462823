"""Arrays as `.npy` files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write an array as `.npy`.

    `numpy.save` hands real files to C, and of a full disk tells only that fewer values were written than asked for.

    Args:
        path: The file.
        array: Of numbers.

    Raises:
        OSError: It cannot be written, with the number that says why.
    """
    rows = np.ascontiguousarray(array)
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, np.lib.format.header_data_from_array_1_0(rows))
        stream.write(rows.reshape(-1).view(np.uint8).data)
