"""Arrays of other libraries are read where they are, or refused with what is wrong."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from pixio_edge.errors import SpecError
from pixio_edge.kernels.arrays import ArrayView, check_view, read_capsule, view_array
from tests.fake_cuda_core import FakeCuda, install

ADDRESS = 0x7F0000001000


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCuda]:
    with install(monkeypatch, FakeCuda(memory={ADDRESS: 1, ADDRESS + 2: 1})) as fake:
        yield fake


class Interface:
    """An array of a library that has `__cuda_array_interface__` alone."""

    def __init__(self, **changes: Any) -> None:
        self.__cuda_array_interface__ = {
            "shape": (2, 3),
            "typestr": "<f2",
            "data": (ADDRESS, False),
            "version": 3,
            **changes,
        }


class OnGpu:
    """An array of numpy in memory of the host that says it is on a GPU, to have a real capsule."""

    def __init__(self, array: Any, *, device: tuple[int, int] = (2, 1)) -> None:
        self.array, self.device = array, device
        self.streams: list[int] = []

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device

    def __dlpack__(self, *, stream: int) -> Any:
        self.streams.append(stream)
        return self.array.__dlpack__()


class OnGpuWithFlags(OnGpu):
    """As `OnGpu`, of a library that knows DLPack 1.0."""

    def __dlpack__(self, *, stream: int, max_version: tuple[int, int] | None = None) -> Any:
        self.streams.append(stream)
        return self.array.__dlpack__(max_version=max_version)


def aligned(shape: tuple[int, ...], dtype: str, *, offset: int = 0) -> np.ndarray:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    buffer = np.zeros(size + 64, np.uint8)
    start = -buffer.ctypes.data % 16 + offset
    return buffer[start : start + size].view(dtype).reshape(shape)


def test_dlpack_gives_address_shape_type_and_device() -> None:
    array = aligned((2, 3, 4), "float16")

    view = view_array(OnGpu(array), "x", stream=0)

    assert (view.address, view.shape, view.dtype, view.device) == (array.ctypes.data, (2, 3, 4), "float16", 1)


def test_memory_that_its_library_never_changes_is_read_but_not_written() -> None:
    """Such as an array of JAX: written all the same, it would change under its owner's feet."""
    array = aligned((2, 3, 4), "float16")
    assert view_array(OnGpuWithFlags(array), "out", stream=0, is_written=True).address == array.ctypes.data

    array.flags.writeable = False
    view = view_array(OnGpuWithFlags(array), "x", stream=0)
    assert (view.address, view.shape, view.dtype) == (array.ctypes.data, (2, 3, 4), "float16")
    with pytest.raises(SpecError, match=r"^out: got read-only memory.*Fix: "):
        view_array(OnGpuWithFlags(array), "out", stream=0, is_written=True)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "int32", "int64", "uint8"])
def test_dlpack_types_have_numpy_s_names(dtype: str) -> None:
    assert view_array(OnGpu(aligned((4,), dtype)), "x", stream=0).dtype == dtype


def test_bfloat16_is_read_through_dlpack() -> None:
    torch = pytest.importorskip("torch", reason="numpy has no bfloat16")

    assert view_array(OnGpu(torch.zeros(8, dtype=torch.bfloat16)), "x", stream=0).dtype == "bfloat16"


@pytest.mark.parametrize(("stream", "told"), [(0, 1), (77, 77)])
def test_producer_is_told_the_stream_and_the_default_one_by_its_own_number(stream: int, told: int) -> None:
    array = OnGpu(aligned((4,), "float32"))

    view_array(array, "x", stream=stream)

    assert array.streams == [told]


def test_view_keeps_the_memory_alive_and_gives_it_back() -> None:
    array = aligned((64,), "float32")
    array[:] = 7
    view = view_array(OnGpu(array), "x", stream=0)
    del array

    values = (ctypes.c_float * 64).from_address(view.address)
    assert list(values) == [7.0] * 64
    del view  # the capsule's own destructor runs here; a second consumer would crash the process


def test_strides_that_are_contiguous_pass_and_those_of_single_rows_do_not_matter() -> None:
    array = aligned((4, 1, 4), "float32")

    assert view_array(OnGpu(np.lib.stride_tricks.as_strided(array, strides=(16, 999 * 4, 4))), "x", stream=0).shape == (
        4,
        1,
        4,
    )


def test_capsule_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="PyCapsule"):
        read_capsule(object())


def refused(value: object, **options: Any) -> str:
    with pytest.raises(SpecError) as caught:
        view_array(value, "qkv", stream=0, **options)
    message = str(caught.value)
    assert message.startswith("qkv: got ")
    assert ". Fix: " in message
    assert "\n" not in message
    return message


def test_array_of_the_host_is_refused() -> None:
    assert "device type 1 of DLPack, expected an array on an NVIDIA GPU" in refused(np.zeros(4, np.float16))
    assert "list without __dlpack__" in refused([1.0])


def test_array_that_is_not_contiguous_is_refused() -> None:
    assert "strides (1, 4) for shape (4, 4)" in refused(OnGpu(aligned((4, 4), "float16").T))


def test_array_that_is_not_aligned_is_refused() -> None:
    assert "expected a multiple of 16 bytes" in refused(OnGpu(aligned((4,), "float16", offset=2)))


def test_complex_numbers_are_refused() -> None:
    assert "DLPack code 5 of 64 bits" in refused(OnGpu(aligned((4,), "complex64")))


def test_tensor_that_wants_gradients_is_refused() -> None:
    torch = pytest.importorskip("torch", reason="only torch has such tensors")
    with pytest.raises(SpecError, match=r"qkv: cannot be read through DLPack: .*Fix: pass a plain copy"):
        view_array(OnGpu(torch.zeros(4, requires_grad=True)), "qkv", stream=0)


def test_interface_gives_address_shape_type_and_device(cuda: FakeCuda) -> None:
    view = view_array(Interface(), "x", stream=0)

    assert (view.address, view.shape, view.dtype, view.device) == (ADDRESS, (2, 3), "float16", 1)
    assert not cuda.waits


@pytest.mark.parametrize(
    ("produced", "used", "waits"),
    [(None, 0, []), (1, 0, []), (5, 5, []), (5, 0, [(0, 5)]), (1, 9, [(9, 1)]), (2, 9, [(9, 2)])],
)
def test_stream_of_the_interface_is_waited_for_unless_it_is_the_same(
    cuda: FakeCuda, produced: int | None, used: int, waits: list[tuple[int, int]]
) -> None:
    cuda.capabilities = ((8, 7), (8, 7))

    view_array(Interface(stream=produced), "x", stream=used)

    assert cuda.waits == waits


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"typestr": ">f2"}, {}, "elements of >f2"),
        ({"typestr": "<c8"}, {}, "elements of <c8"),
        ({"strides": (2, 4)}, {}, "strides (1, 2)"),
        ({"data": (ADDRESS, True)}, {"is_written": True}, "read-only memory"),
        ({"data": (ADDRESS + 2, False)}, {}, "expected a multiple of 16"),
        ({"mask": object()}, {}, "an array with a mask"),
    ],
)
@pytest.mark.usefixtures("cuda")
def test_interface_that_kernels_cannot_use_is_refused(
    changes: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    assert message in refused(Interface(**changes), **options)


@pytest.mark.usefixtures("cuda")
def test_read_only_memory_may_be_read() -> None:
    assert view_array(Interface(data=(ADDRESS, True)), "x", stream=0).address == ADDRESS


VIEW = ArrayView(ADDRESS, (2, 3), "float16", 1, None)


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ({"shape": (3, 2)}, r"got float16 \(2, 3\), expected float16 \(3, 2\)"),
        ({"dtype": "float32"}, r"got float16 \(2, 3\), expected float32 \(2, 3\)"),
        ({"device": 0}, "got an array on GPU 1, expected GPU 0"),
    ],
)
def test_check_names_what_is_other_than_expected(expected: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"shape": (2, 3), "dtype": "float16", "device": 1}
    check_view(VIEW, "out", **arguments)

    with pytest.raises(SpecError, match=rf"^out: {message}.*Fix: "):
        check_view(VIEW, "out", **(arguments | expected))
