"""Tensors of the GPU are checked before the engine writes to or reads from their addresses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pixio_edge.errors import SpecError
from pixio_edge.runtimes.device_tensor import DeviceTensor, read_device_tensor
from pixio_edge.tensor import TensorSpec

SPEC = TensorSpec("depth", (1, 4, 6), "float32")


class Tensor:
    def __init__(self, **changes: Any) -> None:
        interface = {"shape": SPEC.shape, "typestr": "<f4", "data": (4096, False), "version": 3}
        self.__cuda_array_interface__ = interface | changes


@pytest.mark.parametrize("strides", [None, (96, 24, 4), (7, 24, 4)])
def test_contiguous_tensor_is_taken_whatever_the_stride_of_a_dimension_of_one(strides: Any) -> None:
    assert read_device_tensor(Tensor(strides=strides), SPEC, is_written=True) == DeviceTensor(4096, None)


@pytest.mark.parametrize("stream", [1, 2, 0x5555])
def test_stream_of_its_producer_is_kept(stream: int) -> None:
    assert read_device_tensor(Tensor(stream=stream), SPEC, is_written=False).stream == stream


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": (4, 6)}, r"got float32 \(4, 6\), expected float32 \(1, 4, 6\)"),
        ({"typestr": "<f2"}, r"got float16 \(1, 4, 6\), expected float32"),
        ({"typestr": ">f4"}, r"got byte-swapped float32 \(1, 4, 6\), expected float32"),
        ({"strides": (192, 48, 8)}, "got strides that are not contiguous"),
        ({"strides": (96, 4, 16)}, "got strides that are not contiguous"),
        ({"mask": object()}, "got a mask"),
        ({"data": (4096, True)}, "got read-only memory for an output"),
        ({"data": (0, False)}, "got no memory"),
        ({"stream": 0}, "got stream 0, expected a CUDA stream from 1 on, or None"),
        ({"stream": "a"}, "got stream 'a'"),
    ],
)
def test_tensor_that_an_engine_cannot_use_is_refused_with_the_reason(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=f"tensor 'depth': {message}") as caught:
        read_device_tensor(Tensor(**changes), SPEC, is_written=True)

    assert "Fix: pass a contiguous CUDA tensor" in str(caught.value)


def test_read_only_tensor_may_be_an_input() -> None:
    assert read_device_tensor(Tensor(data=(8192, True)), SPEC, is_written=False).address == 8192


def test_array_of_the_host_is_refused_with_the_call_for_it() -> None:
    with pytest.raises(
        SpecError, match=r"got ndarray without __cuda_array_interface__.*or run\(\) for arrays of the host"
    ):
        read_device_tensor(np.zeros(SPEC.shape, np.float32), SPEC, is_written=False)
