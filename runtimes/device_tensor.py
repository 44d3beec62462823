"""Tensors that other libraries keep on the GPU, read through `__cuda_array_interface__` (version 2 and 3).

PyTorch, CuPy, Numba, CV-CUDA and others have it, so their tensors go in and out without a copy and without any of them
being imported here. Specification: https://nvidia.github.io/numba-cuda/user/cuda_array_interface.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pixio_edge.errors import SpecError

if TYPE_CHECKING:
    from pixio_edge.tensor import TensorSpec

FIX = "pass a contiguous CUDA tensor of this type and shape"


@dataclass(frozen=True, slots=True)
class DeviceTensor:
    """Where a tensor is.

    Args:
        address: Of its first element, on the device.
        stream: CUDA stream that its content is made in; None if it is ready or its library does not say.
    """

    address: int
    stream: int | None


def read_device_tensor(value: object, spec: TensorSpec, *, is_written: bool) -> DeviceTensor:
    """Check a tensor against the specification of an input or output.

    Args:
        value: Anything with `__cuda_array_interface__`.
        spec: What the engine has.
        is_written: Whether it is an output.

    Raises:
        SpecError: It is not on a CUDA device, of another dtype or shape, not contiguous, masked, or read-only where it
            is to be written.
    """
    interface = getattr(value, "__cuda_array_interface__", None)
    if not isinstance(interface, Mapping):
        raise SpecError(
            f"tensor '{spec.name}': got {type(value).__name__} without __cuda_array_interface__, expected "
            f"{spec.dtype} {spec.shape} on a CUDA device. Fix: {FIX}, or run() for arrays of the host"
        )
    shape, dtype = tuple(interface["shape"]), np.dtype(interface["typestr"])
    if shape != spec.shape or dtype != np.dtype(spec.dtype):
        found = dtype.name if dtype.isnative else f"byte-swapped {dtype.name}"
        raise SpecError(f"tensor '{spec.name}': got {found} {shape}, expected {spec.dtype} {spec.shape}. Fix: {FIX}")
    address, is_read_only = interface["data"]
    faults = (
        (not _is_contiguous(interface.get("strides"), shape, dtype.itemsize), "strides that are not contiguous"),
        (interface.get("mask") is not None, "a mask"),
        (is_written and is_read_only, "read-only memory for an output"),
        (not address, "no memory"),
    )
    fault = next((what for applies, what in faults if applies), None)
    if fault is not None:
        raise SpecError(f"tensor '{spec.name}': got {fault}, expected plain memory in row order. Fix: {FIX}")
    return DeviceTensor(int(address), _stream(interface.get("stream"), spec.name))


def _is_contiguous(strides: Any, shape: tuple[int, ...], itemsize: int) -> bool:
    """Whether elements follow each other in C order; the stride of a dimension of 1 does not matter."""
    if strides is None:
        return True
    expected = itemsize
    for side, stride in zip(reversed(shape), reversed(tuple(strides)), strict=True):
        if side != 1 and stride != expected:
            return False
        expected *= side
    return True


def _stream(stream: Any, name: str) -> int | None:
    if stream is None:
        return None
    # 1 and 2 are the two default streams, by their own CUDA handles. The specification forbids 0, which could be both.
    if not isinstance(stream, int) or stream <= 0:
        raise SpecError(
            f"tensor '{name}': got stream {stream!r}, expected a CUDA stream from 1 on, or None. Fix: {FIX}"
        )
    return stream
