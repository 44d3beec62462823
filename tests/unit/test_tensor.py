"""Tensor specifications."""

from __future__ import annotations

import numpy as np
import pytest

from pixio_edge.errors import SpecError
from pixio_edge.tensor import TensorSpec

SPEC = TensorSpec("image", (1, 2, 3), "uint8")


def test_spec_accepts_an_array_that_fits() -> None:
    SPEC.check(np.zeros((1, 2, 3), np.uint8))


@pytest.mark.parametrize(
    ("array", "got"),
    [
        (np.zeros((1, 2, 3), np.int8), "int8 (1, 2, 3)"),
        (np.zeros((2, 3), np.uint8), "uint8 (2, 3)"),
        (np.zeros((1, 3, 2), np.uint8), "uint8 (1, 3, 2)"),
        (np.zeros((), np.uint8), "uint8 ()"),
    ],
)
def test_spec_refuses_another_dtype_or_shape_in_one_line(array: np.ndarray, got: str) -> None:
    with pytest.raises(SpecError) as caught:
        SPEC.check(array)

    assert str(caught.value).startswith(f"tensor 'image': got {got}, expected uint8 (1, 2, 3). Fix: ")
    assert "\n" not in str(caught.value)
