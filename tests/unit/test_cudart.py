"""The CUDA runtime library is found, fits the driver, and says its errors in one line."""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pixio_edge.errors import RuntimeUnavailableError
from pixio_edge.runtimes import cudart as cudart_module
from pixio_edge.runtimes.cuda import DeviceBuffer, Gpu, list_gpus, on_device, read_gpu
from pixio_edge.runtimes.cudart import SIGNATURES, Cudart, load_cudart
from tests.fake_cuda import FakeCuda

RTX = ("NVIDIA GeForce RTX 4090", (8, 9), False)


@pytest.fixture
def libraries(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Sets which libraries the system's loader finds, by name."""

    def install(**found: FakeCuda) -> None:
        by_name = {f"libcudart.so.{name.removeprefix('cuda')}": fake for name, fake in found.items()}

        def load(name: str) -> Any:
            if name not in by_name:
                raise OSError(f"{name}: cannot open shared object file")
            return by_name[name]

        monkeypatch.setattr(sys, "platform", "linux")
        monkeypatch.setattr(ctypes, "CDLL", load)
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    load_cudart.cache_clear()
    yield install
    load_cudart.cache_clear()


@pytest.mark.parametrize(
    ("driver", "version"), [(13000, (13, 0)), (12060, (12, 6)), (12080, (12, 6)), (12020, (12, 6)), (14000, (13, 0))]
)
def test_newest_runtime_that_the_driver_supports_is_loaded(
    libraries: Callable[..., None], driver: int, version: tuple[int, int]
) -> None:
    libraries(cuda13=FakeCuda(runtime=13000, driver=driver), cuda12=FakeCuda(runtime=12060, driver=driver))

    assert load_cudart().version == version


def test_runtime_of_a_newer_major_version_than_the_driver_is_refused_with_both(libraries: Callable[..., None]) -> None:
    libraries(cuda13=FakeCuda(runtime=13000, driver=12060))

    with pytest.raises(
        RuntimeUnavailableError, match=r"found CUDA 13\.0 .* and a driver for CUDA 12\.6, .*Fix: update"
    ):
        load_cudart()


def test_runtime_without_a_driver_is_refused_with_what_to_do_in_a_container(libraries: Callable[..., None]) -> None:
    libraries(cuda12=FakeCuda(driver=0))

    with pytest.raises(RuntimeUnavailableError, match=r"CUDA 12\.6 .* and no NVIDIA driver.*'--runtime nvidia'"):
        load_cudart()


def test_machine_without_cuda_is_told_where_to_get_it(libraries: Callable[..., None]) -> None:
    libraries()

    with pytest.raises(RuntimeUnavailableError, match=r"no libcudart\.so\.13 or libcudart\.so\.12.*nvidia-jetpack"):
        load_cudart()


def test_library_without_a_function_is_refused_by_its_name(
    libraries: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeCuda, "do_cudaGraphInstantiateWithFlags", None)
    libraries(cuda12=FakeCuda())

    with pytest.raises(RuntimeUnavailableError, match="has no cudaGraphInstantiateWithFlags, expected a CUDA runtime"):
        load_cudart()


@pytest.mark.parametrize(("major", "place"), [(13, "cu13/lib"), (12, "cuda_runtime/lib")])
def test_packages_of_pip_are_looked_into(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, major: int, place: str
) -> None:
    library = tmp_path / place / f"libcudart.so.{major}"
    library.parent.mkdir(parents=True)
    library.touch()
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec if name == "nvidia" else None)
    monkeypatch.setattr(sys, "platform", "linux")

    assert str(library) in list(cudart_module._candidates())


def test_windows_names_are_tried_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")

    assert {"cudart64_13.dll", "cudart64_12.dll"} <= set(cudart_module._candidates())


@pytest.mark.parametrize(
    ("code", "fix"),
    [
        (2, "Fix: close other programs that use the GPU"),
        (35, "Fix: update the NVIDIA driver"),
        (100, "Fix: use a machine with an NVIDIA GPU"),
        (209, "Fix: the engine is for another GPU; run 'pixio-edge build' on this one"),
        (719, "Fix: run 'pixio-edge doctor'"),
    ],
)
def test_error_is_one_line_with_the_function_the_number_and_a_fix(code: int, fix: str) -> None:
    fake = FakeCuda()
    cudart = Cudart(fake, "fake")
    fake.fail("cudaMalloc", code)

    with pytest.raises(RuntimeUnavailableError) as caught:
        cudart.make("cudaMalloc", 1)

    message = str(caught.value)
    assert message.startswith(f"CUDA: cudaMalloc gave error {code} (fake error {code}), expected success. {fix}")
    assert "\n" not in message
    assert fake.calls[-1] == "cudaGetLastError", "so that no other library finds it"


def test_gpus_are_described_by_name_capability_and_memory() -> None:
    cudart = Cudart(FakeCuda(gpus=(("Orin", (8, 7), True), RTX)), "fake")

    assert list_gpus(cudart) == (
        Gpu(index=0, name="Orin", sm="8.7", integrated=True),
        Gpu(index=1, name="NVIDIA GeForce RTX 4090", sm="8.9", integrated=False),
    )
    with pytest.raises(RuntimeUnavailableError, match="gave error 101"):
        read_gpu(cudart, 2)


def test_what_is_given_back_twice_is_released_once() -> None:
    fake = FakeCuda()
    buffer = DeviceBuffer(Cudart(fake, "fake"), 64)

    buffer.close()
    buffer.close()

    assert fake.count("cudaFree") == 1
    assert buffer.handle == 0


def test_device_of_the_caller_is_put_back_also_after_an_error() -> None:
    fake = FakeCuda(gpus=(RTX, RTX))
    cudart = Cudart(fake, "fake")

    with pytest.raises(ZeroDivisionError), on_device(cudart, 1):
        assert fake.current == 1
        _ = 1 / 0

    assert fake.current == 0
    fake.calls.clear()
    with on_device(cudart, 0):
        assert fake.calls == ["cudaGetDevice"], "nothing to change"


def test_installed_cuda_has_every_function_and_explains_its_errors() -> None:
    found = [name for name in cudart_module._candidates() if Path(name).is_absolute()]
    if not found:
        pytest.skip("no CUDA runtime library is installed")
    cudart = Cudart(ctypes.CDLL(found[0]), found[0])

    assert cudart.version[0] in cudart_module.MAJORS
    assert set(cudart._functions) == set(SIGNATURES)
    if cudart.driver == (0, 0):
        with pytest.raises(
            RuntimeUnavailableError, match=r"cudaMalloc gave error 35 \(.*driver.*Fix: update the NVIDIA"
        ):
            cudart.make("cudaMalloc", 1)
