"""Arrays that any library keeps on a GPU, read through DLPack or `__cuda_array_interface__`, without a copy.

DLPack comes first: it has bfloat16 and names the device, and the producer makes its content ready on the stream that it
is told. The array has to live until the work on that stream is done, as for any work on a stream.
Specifications: https://dmlc.github.io/dlpack/latest/c_api.html,
https://nvidia.github.io/numba-cuda/user/cuda_array_interface.html
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pixio_edge.errors import SpecError
from pixio_edge.kernels import devices

ALIGNMENT = 16
"""Bytes: the kernels read and write this many at once, so every array begins at a multiple of it."""

# Of dlpack.h: DLDeviceType and DLDataTypeCode.
_CUDA, _CUDA_MANAGED = 2, 13
_DTYPES = {
    (2, 16): "float16",
    (2, 32): "float32",
    (2, 64): "float64",
    (4, 16): "bfloat16",
    (0, 8): "int8",
    (0, 32): "int32",
    (0, 64): "int64",
    (1, 8): "uint8",
}
# Default streams have handles of their own in both protocols, as 0 would be ambiguous.
LEGACY_STREAM = 1


class _Tensor(ctypes.Structure):
    """DLTensor."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class _Versioned(ctypes.Structure):
    """DLManagedTensorVersioned."""

    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("manager", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    )


_READ_ONLY = 1  # DLPACK_FLAG_BITMASK_READ_ONLY


@dataclass(frozen=True, slots=True)
class ArrayView:
    """Where an array is and what it holds.

    Args:
        address: Of its first element.
        shape: Elements along each axis.
        dtype: Name, such as "float16" or "bfloat16".
        device: CUDA device.
        owner: What keeps the memory alive while this view is.
    """

    address: int
    shape: tuple[int, ...]
    dtype: str
    device: int
    owner: object


def view_array(value: object, name: str, *, stream: int, is_written: bool = False) -> ArrayView:
    """Look at an array of any library on a GPU; nothing is copied.

    Args:
        value: Anything with `__dlpack__` or `__cuda_array_interface__` (version 3).
        name: Of the argument, for messages.
        stream: CUDA stream that it will be used on; 0 is the default stream.
        is_written: Whether it is an output.

    Raises:
        SpecError: It is not on a CUDA device, of an element type that kernels do not know, not contiguous, not aligned
            to 16 bytes, masked, or read-only where it is to be written.
        RuntimeUnavailableError: CUDA does not know the memory.
    """
    if hasattr(value, "__dlpack__") and hasattr(value, "__dlpack_device__"):
        view = _view_dlpack(value, name, stream, is_written=is_written)
    else:
        view = _view_interface(value, name, stream, is_written=is_written)
    if not view.address or view.address % ALIGNMENT:
        raise SpecError(
            f"{name}: got memory at {view.address:#x}, expected a multiple of {ALIGNMENT} bytes other than 0. "
            "Fix: pass a copy of it"
        )
    return view


def check_view(view: ArrayView, name: str, *, shape: tuple[int, ...], dtype: str, device: int) -> None:
    """Hold an array against what an operator expects.

    Raises:
        SpecError: It has another shape or element type, or is on another device.
    """
    if view.shape != shape or view.dtype != dtype:
        raise SpecError(
            f"{name}: got {view.dtype} {view.shape}, expected {dtype} {shape}. "
            "Fix: pass an array of this type and shape"
        )
    if view.device != device:
        raise SpecError(
            f"{name}: got an array on GPU {view.device}, expected GPU {device} as the first argument. "
            "Fix: move it to that GPU"
        )


def _view_dlpack(value: Any, name: str, stream: int, *, is_written: bool) -> ArrayView:
    kind, device = map(int, value.__dlpack_device__())
    if kind not in (_CUDA, _CUDA_MANAGED):
        raise _not_on_gpu(f"device type {kind} of DLPack", name)
    try:
        capsule = _ask_for_capsule(value, stream or LEGACY_STREAM)
    except BufferError as error:  # such as a tensor of torch that wants gradients
        raise SpecError(f"{name}: cannot be read through DLPack: {error}. Fix: pass a plain copy of it") from error
    tensor, is_read_only = read_capsule(capsule)
    if is_written and is_read_only:
        raise _read_only(name)
    shape = tuple(tensor.shape[axis] for axis in range(tensor.ndim))
    strides = tuple(tensor.strides[axis] for axis in range(tensor.ndim)) if tensor.strides else None
    dtype = _DTYPES.get((tensor.code, tensor.bits))
    if dtype is None or tensor.lanes != 1:
        raise _unknown_dtype(f"DLPack code {tensor.code} of {tensor.bits} bits and {tensor.lanes} lanes", name)
    _check_strides(strides, shape, name)
    # The capsule is not consumed but kept: its destructor gives the memory back to the producer.
    return ArrayView((tensor.data or 0) + tensor.byte_offset, shape, dtype, device, capsule)


def _ask_for_capsule(value: Any, stream: int) -> object:
    """A capsule that says whether it may be written, of producers that know such (DLPack 1.0)."""
    try:
        return value.__dlpack__(stream=stream, max_version=(1, 0))
    except TypeError:  # a producer of before, which does not know the argument
        return value.__dlpack__(stream=stream)


def read_capsule(capsule: object) -> tuple[_Tensor, bool]:
    """The tensor in a DLPack capsule that nobody has consumed, and whether it is read-only.

    The tensor is valid as long as the capsule is. Capsules of before DLPack 1.0 do not say it and count as writable.

    Raises:
        ValueError: It is no such capsule.
    """
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    is_valid = ctypes.pythonapi.PyCapsule_IsValid
    is_valid.restype, is_valid.argtypes = ctypes.c_int, (ctypes.py_object, ctypes.c_char_p)
    if is_valid(capsule, b"dltensor_versioned"):
        versioned = _Versioned.from_address(pointer(capsule, b"dltensor_versioned"))
        return versioned.tensor, bool(versioned.flags & _READ_ONLY)
    return _Tensor.from_address(pointer(capsule, b"dltensor")), False


def _view_interface(value: object, name: str, stream: int, *, is_written: bool) -> ArrayView:
    interface = getattr(value, "__cuda_array_interface__", None)
    if not isinstance(interface, Mapping):
        raise _not_on_gpu(f"{type(value).__name__} without __dlpack__ or __cuda_array_interface__", name)
    shape, dtype = tuple(interface["shape"]), np.dtype(interface["typestr"])
    if dtype.name not in _DTYPES.values() or not dtype.isnative:
        raise _unknown_dtype(str(interface["typestr"]), name)
    strides = interface.get("strides")
    steps = None if strides is None else tuple(step // dtype.itemsize for step in strides)
    _check_strides(steps, shape, name)
    address, is_read_only = interface["data"]
    if is_written and is_read_only:
        raise _read_only(name)
    if interface.get("mask") is not None:
        raise SpecError(f"{name}: got an array with a mask, expected plain memory. Fix: fill the mask in")
    device = devices.device_of(int(address))
    produced_on = interface.get("stream")
    if produced_on is not None and produced_on != (stream or LEGACY_STREAM):
        devices.wait_for(int(produced_on), by=stream, device=device)
    return ArrayView(int(address), shape, dtype.name, device, value)


def _check_strides(strides: tuple[int, ...] | None, shape: tuple[int, ...], name: str) -> None:
    """Make sure that elements follow each other in C order; the step of an axis of 1 does not matter."""
    expected = 1
    for axis in reversed(range(len(shape))):
        if strides is not None and shape[axis] != 1 and strides[axis] != expected:
            raise SpecError(
                f"{name}: got strides {strides} for shape {shape}, expected contiguous rows. "
                "Fix: pass a contiguous copy of it"
            )
        expected *= shape[axis]


def _read_only(name: str) -> SpecError:
    return SpecError(f"{name}: got read-only memory, expected memory to write to. Fix: pass an array of your own")


def _not_on_gpu(found: str, name: str) -> SpecError:
    return SpecError(f"{name}: got {found}, expected an array on an NVIDIA GPU. Fix: move it to the GPU")


def _unknown_dtype(found: str, name: str) -> SpecError:
    return SpecError(
        f"{name}: got elements of {found}, expected one of: {', '.join(_DTYPES.values())}. Fix: convert it"
    )
