from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pixio_edge.array_file import write_array


@pytest.mark.parametrize("shape", [(3, 4, 5, 3), (0, 2), (7,)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.int32])
def test_array_is_read_back_by_numpy(dtype: type, shape: tuple[int, ...], tmp_path: Path) -> None:
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)

    write_array(tmp_path / "a.npy", array)

    read = np.load(tmp_path / "a.npy", allow_pickle=False)
    assert read.dtype == dtype
    assert np.array_equal(read, array)
    np.save(tmp_path / "b.npy", array)
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


def test_array_of_another_order_keeps_its_values(tmp_path: Path) -> None:
    array = np.arange(12, dtype=np.int32).reshape(3, 4).T

    write_array(tmp_path / "a.npy", array)

    assert np.array_equal(np.load(tmp_path / "a.npy"), array)
