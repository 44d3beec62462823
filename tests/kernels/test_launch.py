"""Kernels are loaded once for each device and started where the caller says; the libraries are stand-ins here."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pixio_edge.errors import MissingDependencyError, RuntimeUnavailableError
from pixio_edge.kernels import catalogue, devices, launch
from pixio_edge.kernels.cache import Cached
from pixio_edge.kernels.catalogue import Kernel, Launch
from pixio_edge.kernels.compile import Compiled, Resources
from pixio_edge.kernels.devices import multiprocessors_of
from pixio_edge.kernels.launch import load, record_starts, start
from tests.fake_cuda_core import FakeCuda, install

pytest.importorskip("cuda.bindings.nvrtc", reason="the extra 'cuda' is not installed")

PLAN = (Launch("shift", (3, 2, 1), (128, 1, 1)),)
ARGUMENTS = (4096, None, np.int32(7), np.float32(0.5))


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch, shift: Kernel) -> Iterator[FakeCuda]:
    monkeypatch.setattr(catalogue, "KERNELS", {"shift": shift})
    with install(monkeypatch, FakeCuda(capabilities=((8, 7), (9, 0)))) as fake:
        yield fake


def run(device: int = 0, stream: int = 0, plan: tuple[Launch, ...] = PLAN, times: int = 1) -> None:
    start("shift", {"TIMES": times}, plan, ARGUMENTS, device=device, stream=stream)


def test_start_hands_over_geometry_stream_and_arguments(cuda: FakeCuda) -> None:
    run(stream=77)

    (started,) = cuda.starts
    assert (started.entry, started.device, started.stream) == ("shift", 0, 77)
    assert (started.grid, started.block, started.shared_bytes) == ((3, 2, 1), (128, 1, 1), 0)
    assert started.arguments == (4096, 0, 7, 0.5)
    assert [type(argument) for argument in started.arguments] == [int, int, np.int32, np.float32]
    assert started.cubin.startswith(b"\x7fELF")


def test_multiprocessors_are_those_of_the_device(cuda: FakeCuda) -> None:
    cuda.multiprocessors = 24

    assert multiprocessors_of(1) == 24


def test_stream_0_is_the_default_stream(cuda: FakeCuda) -> None:
    run(stream=0)

    assert cuda.starts[0].stream == 0


def test_variant_is_loaded_once_for_each_device(cuda: FakeCuda) -> None:
    for device in (0, 0, 1, 1):
        run(device)
    run(times=2)

    assert cuda.loads == 3
    assert [started.device for started in cuda.starts] == [0, 0, 1, 1, 0]
    assert cuda.starts[0].cubin != cuda.starts[2].cubin  # of another architecture


def test_threads_at_once_load_once(cuda: FakeCuda) -> None:
    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert cuda.loads == 1
    assert len(cuda.starts) == 4


@pytest.mark.parametrize("before", [None, 0, 1])
def test_device_of_the_thread_is_put_back(cuda: FakeCuda, before: int | None) -> None:
    cuda.current = before

    run(device=1)

    assert cuda.starts[0].device == 1
    assert cuda.current == before


def test_device_of_the_thread_is_put_back_after_an_error(cuda: FakeCuda) -> None:
    cuda.current = 0

    with pytest.raises(RuntimeUnavailableError):
        run(device=1, plan=(Launch("shift", (1, 1, 1), (1, 1, 1), 1 << 30),))

    assert cuda.current == 0


def test_shared_memory_above_what_is_free_for_all_is_asked_for_on_each_device(cuda: FakeCuda) -> None:
    plan = (Launch("shift", (1, 1, 1), (128, 1, 1), 100 * 1024),)

    for device in (0, 1):
        run(device, plan=plan)

    assert [started.shared_bytes for started in cuda.starts] == [100 * 1024] * 2


def test_shared_memory_that_the_device_has_not_is_an_error_in_one_line(cuda: FakeCuda) -> None:
    plan = (Launch("shift", (1, 1, 1), (128, 1, 1), 200 * 1024),)

    with pytest.raises(RuntimeUnavailableError, match=r"^kernel 'shift' on GPU 0: 204800 bytes of shared.*Fix: "):
        run(plan=plan)

    assert not cuda.starts


def test_device_that_is_not_there_is_an_error_in_one_line(cuda: FakeCuda) -> None:
    with pytest.raises(RuntimeUnavailableError, match=r"^kernel 'shift' on GPU 5: device_id must be within.*Fix: "):
        run(device=5)


def test_gpu_that_is_too_old_is_an_error_with_the_fix(cuda: FakeCuda) -> None:
    cuda.capabilities = ((7, 2),)

    with pytest.raises(RuntimeUnavailableError, match=r"got GPU 'sm_72', expected sm_80.*PIXIO_EDGE_KERNELS=reference"):
        run()


def test_record_names_every_start_and_ends_with_the_block(cuda: FakeCuda) -> None:
    with record_starts() as outer:
        run()
        with record_starts() as inner:
            run(plan=PLAN * 2)
    run()

    assert len(inner) == 2
    assert len(outer) == 3
    assert {(started.entry, started.sm) for started in outer} == {("shift", "sm_87")}
    assert len({started.digest for started in outer}) == 1


def test_record_does_not_hear_other_threads(cuda: FakeCuda) -> None:
    with record_starts() as started:
        other = threading.Thread(target=run)
        other.start()
        other.join()

    assert not started
    assert len(cuda.starts) == 1


def test_disk_that_cannot_be_used_is_said_once(
    cuda: FakeCuda, own_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own_cache.write_text("not a folder")

    with caplog.at_level(logging.WARNING):
        run()
        run()

    assert [record.getMessage() for record in caplog.records] == [
        f"kernel 'shift': cannot create folder {own_cache / 'kernels'} of the cache: not a directory; "
        "compiled again in each process"
    ]


def test_first_start_in_a_recording_is_refused_with_the_way_out(cuda: FakeCuda) -> None:
    cuda.is_recording = True

    with pytest.raises(RuntimeUnavailableError, match=r"^kernels: got the first start .*launch\.load"):
        run()

    assert cuda.loads == 0


def test_kernel_that_was_loaded_before_starts_in_a_recording(cuda: FakeCuda) -> None:
    load("shift", {"TIMES": 1}, device=0)
    cuda.is_recording = True

    run()

    assert cuda.loads == len(cuda.starts) == 1
    assert cuda.touched == ["shift"]  # else the driver would load its code at the start


def test_spilled_registers_are_said(
    cuda: FakeCuda, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    spilled = {"shift": Resources(255, 16, 0, 16), "other": Resources(8, 0, 0, 0)}
    code = Cached(Compiled(b"", None, spilled, ""), "0" * 64, is_from_disk=False)
    monkeypatch.setattr(launch, "load_kernel", lambda *_: code)

    with caplog.at_level(logging.WARNING):
        run()

    assert [record.getMessage() for record in caplog.records] == [
        "kernel 'shift' for sm_87: this compiler spills registers, bytes: shift 16"
    ]


def test_cuda_core_that_is_too_old_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.core", SimpleNamespace(__version__="0.4.2", ObjectCode=None))
    devices.open_cuda.cache_clear()
    try:
        with pytest.raises(RuntimeUnavailableError, match=r"got cuda-core 0\.4\.2 without LaunchConfig, expected 1\.2"):
            devices.count_devices()
    finally:
        devices.open_cuda.cache_clear()


def test_wait_lets_one_stream_wait_for_another(cuda: FakeCuda) -> None:
    devices.wait_for(5, by=0, device=0)
    devices.wait_for(5, by=9, device=0)

    assert cuda.waits == [(0, 5), (9, 5)]


def test_memory_tells_its_device(cuda: FakeCuda) -> None:
    cuda.memory = {4096: 1}

    assert devices.device_of(4096) == 1
    with pytest.raises(RuntimeUnavailableError, match=r"^kernels: memory that was passed: CUDA_ERROR_1\. Fix: "):
        devices.device_of(8192)


def test_devices_are_counted(cuda: FakeCuda) -> None:
    assert devices.count_devices() == 2


def test_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.core", None)
    devices.open_cuda.cache_clear()
    try:
        with pytest.raises(MissingDependencyError, match=r"'cuda-core'.*pip install 'pixio-edge\[cuda\]'"):
            devices.count_devices()
    finally:
        devices.open_cuda.cache_clear()


def test_library_has_what_the_stand_in_has() -> None:
    """As far as that can be seen without a driver: a stand-in for something that is not there would prove nothing."""
    real, fake = devices.open_cuda(), FakeCuda().modules()

    assert {name for name in vars(fake.core) if not hasattr(real.core, name)} == set()
    assert {name for name in vars(fake.driver) if not hasattr(real.driver, name)} == set()
    for name in ("CUfunction_attribute", "CUpointer_attribute"):
        assert {
            key for key in vars(getattr(fake.driver, name)) if not hasattr(getattr(real.driver, name), key)
        } == set()
    config = real.core.LaunchConfig(grid=(3, 2, 1), block=(128, 1, 1), shmem_size=100 * 1024)
    assert (config.grid, config.block, config.shmem_size) == ((3, 2, 1), (128, 1, 1), 100 * 1024)
    assert real.core.Stream.from_handle(5).__cuda_stream__() == (0, 5)
    assert all(hasattr(real.core.Device, name) for name in ("compute_capability", "properties", "set_current"))
