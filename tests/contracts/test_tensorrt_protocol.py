"""What the TensorRT runtime asks of CUDA and TensorRT, in which order, and what it does when one of them fails."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixio_edge.bundle import Bundle
from pixio_edge.engine_cache import EngineRecord, engine_path
from pixio_edge.errors import RuntimeUnavailableError, SpecError
from pixio_edge.runtimes.base import RuntimeOptions
from pixio_edge.runtimes.registry import make_runtime
from pixio_edge.runtimes.trt import TensorRtRuntime, count_kernels
from pixio_edge.runtimes.trt_session import DEVICE_GRAPHS
from tests.device_arrays import DeviceArray
from tests.engine_bundle import fake_gpu, store_engine, write_engine_bundle
from tests.fake_cuda import FakeCuda
from tests.fake_tensorrt import layer
from tests.tiny_bundle import tiny_image

SIZE = (32, 48)
FP16 = RuntimeOptions(precision="fp16")
# Made in `open` and never again.
MAKERS = (
    "cudaMalloc",
    "cudaHostAlloc",
    "cudaStreamCreateWithFlags",
    "cudaEventCreateWithFlags",
    "cudaStreamBeginCapture",
    "cudaGraphInstantiateWithFlags",
)
CUDA_ERROR = 719


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_engine_bundle(tmp_path_factory.mktemp("protocol") / "tiny", sizes=(SIZE,))


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    with fake_gpu(monkeypatch, tmp_path / "cache") as module:
        yield module


@pytest.fixture
def cuda(library: Any) -> FakeCuda:
    return library.cuda


@pytest.fixture
def record(bundle: Bundle, library: Any) -> EngineRecord:
    return store_engine(bundle, bundle.artifacts[0])


@pytest.fixture
def closed(bundle: Bundle, record: EngineRecord) -> TensorRtRuntime:
    runtime = make_runtime("tensorrt", bundle.read_artifact(bundle.artifacts[0]), FP16)
    assert isinstance(runtime, TensorRtRuntime)
    return runtime


@pytest.fixture
def runtime(closed: TensorRtRuntime) -> Iterator[TensorRtRuntime]:
    with closed:
        yield closed


def feed(seed: int = 0) -> dict[str, np.ndarray]:
    return {"image": tiny_image(SIZE, seed)[None]}


def test_frames_after_the_first_allocate_and_record_nothing(runtime: TensorRtRuntime, cuda: FakeCuda) -> None:
    cuda.calls.clear()

    for seed in range(5):
        runtime.run(feed(seed))

    assert cuda.count(*MAKERS) == 0
    assert cuda.count("cudaGraphLaunch") == cuda.count("cudaStreamSynchronize") == 5


def test_each_frame_executes_the_engine_once(runtime: TensorRtRuntime, library: Any) -> None:
    assert library.executions == 1, "once on zeros, before it is recorded"

    runtime.run(feed())
    runtime.run(feed())

    assert library.executions == 3


def test_all_work_is_in_one_stream_of_its_own(closed: TensorRtRuntime, cuda: FakeCuda) -> None:
    with closed as runtime:
        runtime.run(feed())

    assert cuda.count("cudaStreamCreateWithFlags") == 1


def test_every_error_of_cuda_while_opening_is_told_and_leaves_nothing_behind(
    closed: TensorRtRuntime, cuda: FakeCuda
) -> None:
    cuda.calls.clear()
    closed.open()
    calls = [name for name in cuda.calls if name != "cudaGetLastError"]
    closed.close()
    assert len(calls) > 20

    for index, name in enumerate(calls):
        cuda.fail_call(index, CUDA_ERROR)
        try:
            closed.open()
        except RuntimeUnavailableError as error:
            assert f"CUDA: {name} gave error {CUDA_ERROR}" in str(error), "the first error is the one that counts"
            assert not closed.is_open
        else:
            # Only what records may fail: then inferences are started one by one, and `info` says so.
            assert f"no CUDA graph: CUDA: {name} gave error {CUDA_ERROR}" in closed.info().device
            assert closed.run(feed())["depth"].any()
            closed.close()
        assert cuda.failing_call is None, "the error was not reached"
        assert cuda.leaks() == {}, f"after an error of {name}, call {index}"

    with closed:
        assert closed.info().device == "Orin (SM 8.7), CUDA graph"


def test_first_error_is_told_when_releasing_after_it_fails_too(closed: TensorRtRuntime, cuda: FakeCuda) -> None:
    cuda.fail("cudaMalloc", 2)
    cuda.fail("cudaFreeHost", CUDA_ERROR)

    with pytest.raises(RuntimeUnavailableError, match="cudaMalloc gave error 2"):
        closed.open()

    assert cuda.failures == {}, "both were reached"
    assert cuda.leaks() == {}


def test_every_error_of_cuda_while_running_is_told_and_the_next_frame_runs(
    runtime: TensorRtRuntime, cuda: FakeCuda
) -> None:
    cuda.calls.clear()
    expected = runtime.run(feed())["depth"]
    calls = list(cuda.calls)

    for index, name in enumerate(calls):
        cuda.fail_call(index, CUDA_ERROR)
        with pytest.raises(RuntimeUnavailableError, match=f"CUDA: {name} gave error {CUDA_ERROR}"):
            runtime.run(feed())
        np.testing.assert_array_equal(runtime.run(feed())["depth"], expected)


def test_every_error_of_cuda_while_closing_is_told_and_all_is_released(closed: TensorRtRuntime, cuda: FakeCuda) -> None:
    closed.open()
    cuda.calls.clear()
    closed.close()
    calls = list(cuda.calls)
    assert {"cudaFree", "cudaFreeHost", "cudaGraphExecDestroy", "cudaEventDestroy", "cudaStreamDestroy"} <= set(calls)

    for index, name in enumerate(calls):
        closed.open()
        cuda.fail_call(index, CUDA_ERROR)
        if name == "cudaGetDevice":
            closed.close()
        else:
            with pytest.raises(RuntimeUnavailableError, match=f"CUDA: {name} gave error {CUDA_ERROR}"):
                closed.close()
        assert cuda.leaks() == {}
        closed.close()


def test_runtime_that_is_dropped_without_close_releases_everything(closed: TensorRtRuntime, cuda: FakeCuda) -> None:
    runtime = make_runtime("tensorrt", closed.artifact, FP16)
    runtime.open()
    assert cuda.leaks()

    del runtime
    gc.collect()

    assert cuda.leaks() == {}
    assert cuda.violations == []


def test_engine_that_cannot_be_recorded_runs_without_a_graph_and_info_says_so(
    closed: TensorRtRuntime, library: Any
) -> None:
    with closed as runtime:
        expected = runtime.run(feed(1))["depth"]
    library.refusals["recording"] = "unused"
    library.cuda.calls.clear()

    with closed as runtime:
        depth = runtime.run(feed(1))["depth"]
        device = runtime.info().device

    np.testing.assert_array_equal(depth, expected)
    assert "no CUDA graph: CUDA: cudaStreamEndCapture gave error 901" in device
    assert library.cuda.count("cudaGraphLaunch") == 0


def on_device(cuda: FakeCuda, seed: int = 0, **changes: Any) -> tuple[DeviceArray, DeviceArray]:
    """An input and an output tensor."""
    return DeviceArray(cuda, feed(seed)["image"], **changes), DeviceArray(cuda, np.zeros((1, *SIZE), np.float32))


@pytest.fixture
def tensors(cuda: FakeCuda) -> Iterator[list[DeviceArray]]:
    """Tensors of the caller, who frees them in the end."""
    arrays: list[DeviceArray] = []
    yield arrays
    for array in arrays:
        array.free()


@pytest.fixture
def mine(tensors: list[DeviceArray], runtime: TensorRtRuntime, cuda: FakeCuda) -> tuple[DeviceArray, DeviceArray]:
    tensors.extend(on_device(cuda))
    return tensors[0], tensors[1]


def test_tensors_of_the_device_go_in_and_out_without_a_copy(
    runtime: TensorRtRuntime, cuda: FakeCuda, mine: tuple[DeviceArray, DeviceArray]
) -> None:
    image, depth = mine
    cuda.calls.clear()

    runtime.run_on_device({"image": image}, {"depth": depth})

    assert cuda.count("cudaMemcpyAsync", *MAKERS) == 0
    np.testing.assert_array_equal(depth.read(), runtime.run(feed())["depth"])


def test_tensors_that_come_again_run_as_a_graph_that_is_recorded_once(
    runtime: TensorRtRuntime, cuda: FakeCuda, mine: tuple[DeviceArray, DeviceArray]
) -> None:
    image, depth = mine
    cuda.calls.clear()

    for seed in range(4):
        image.write(feed(seed)["image"])
        runtime.run_on_device({"image": image}, {"depth": depth})
        expected = runtime.run(feed(seed))["depth"]
        np.testing.assert_array_equal(depth.read(), expected)

    assert cuda.count("cudaGraphInstantiateWithFlags") == 1
    assert cuda.count("cudaGraphLaunch") == 4 + 3, "each of the host, and all but the first of the device"


def test_other_tensors_are_recorded_anew_and_few_graphs_are_kept(
    runtime: TensorRtRuntime, cuda: FakeCuda, tensors: list[DeviceArray]
) -> None:
    before = cuda.leaks()["graphs"]
    for seed in range(DEVICE_GRAPHS + 2):
        image, depth = on_device(cuda, seed)
        tensors.extend((image, depth))
        for _ in range(2):
            runtime.run_on_device({"image": image}, {"depth": depth})
            np.testing.assert_array_equal(depth.read(), runtime.run(feed(seed))["depth"])

    assert cuda.leaks()["graphs"] == before + DEVICE_GRAPHS


def test_stream_of_the_caller_is_waited_for_and_waits_without_the_host(
    runtime: TensorRtRuntime, cuda: FakeCuda, mine: tuple[DeviceArray, DeviceArray]
) -> None:
    image, depth = mine
    expected = [runtime.run(feed(seed))["depth"] for seed in (1, 2)]
    stream = cuda.make_stream()
    for index, seed in enumerate((1, 2)):
        image.write_later(feed(seed)["image"], stream)
        cuda.calls.clear()

        runtime.run_on_device({"image": image}, {"depth": depth}, stream=stream)

        assert cuda.count("cudaStreamSynchronize") == 0
        assert not np.array_equal(depth.read(), expected[index]), "nothing is done yet"
        cuda.drain(stream)
        np.testing.assert_array_equal(depth.read(), expected[index])
    del cuda.streams[stream]


@pytest.mark.parametrize("stream", [0, 1, 2])
def test_default_streams_of_the_caller_are_taken(
    runtime: TensorRtRuntime, cuda: FakeCuda, mine: tuple[DeviceArray, DeviceArray], stream: int
) -> None:
    image, depth = mine
    image.write_later(feed(3)["image"], stream)

    runtime.run_on_device({"image": image}, {"depth": depth}, stream=stream)
    cuda.drain(stream)

    np.testing.assert_array_equal(depth.read(), runtime.run(feed(3))["depth"])


def test_stream_that_a_tensor_names_is_waited_for(
    runtime: TensorRtRuntime, cuda: FakeCuda, tensors: list[DeviceArray]
) -> None:
    stream = cuda.make_stream()
    image, depth = on_device(cuda, stream=stream)
    tensors.extend((image, depth))
    image.write_later(feed(4)["image"], stream)

    runtime.run_on_device({"image": image}, {"depth": depth})

    np.testing.assert_array_equal(depth.read(), runtime.run(feed(4))["depth"])
    cuda.drain(stream)
    del cuda.streams[stream]


def test_close_waits_for_work_on_tensors_of_the_caller(
    closed: TensorRtRuntime, cuda: FakeCuda, tensors: list[DeviceArray]
) -> None:
    image, depth = on_device(cuda)
    tensors.extend((image, depth))
    stream = cuda.make_stream()
    with closed as runtime:
        runtime.run_on_device({"image": image}, {"depth": depth}, stream=stream)

    assert depth.read().any()
    cuda.drain(stream)
    del cuda.streams[stream]


def test_every_error_of_cuda_on_tensors_of_the_device_is_told(
    runtime: TensorRtRuntime, cuda: FakeCuda, mine: tuple[DeviceArray, DeviceArray]
) -> None:
    image, depth = mine
    stream = cuda.make_stream()
    for _ in range(2):
        runtime.run_on_device({"image": image}, {"depth": depth}, stream=stream)
    cuda.drain(stream)
    cuda.calls.clear()
    runtime.run_on_device({"image": image}, {"depth": depth}, stream=stream)
    calls = list(cuda.calls)
    assert "cudaGraphLaunch" in calls

    for index, name in enumerate(calls):
        cuda.fail_call(index, CUDA_ERROR)
        with pytest.raises(RuntimeUnavailableError, match=f"CUDA: {name} gave error {CUDA_ERROR}"):
            runtime.run_on_device({"image": image}, {"depth": depth}, stream=stream)
    np.testing.assert_array_equal(runtime.run(feed())["depth"], depth.read())
    cuda.drain(stream)
    del cuda.streams[stream]


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        (("picture",), ("depth",), r"inputs: got \['picture'\], expected \['image'\]"),
        (("image",), (), r"outputs: got \[\], expected \['depth'\]"),
        (("image",), ("depth", "extra"), r"outputs: got \['depth', 'extra'\], expected \['depth'\]"),
    ],
)
def test_missing_or_unknown_tensors_are_refused_with_their_names(
    runtime: TensorRtRuntime, inputs: tuple[str, ...], outputs: tuple[str, ...], message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        runtime.run_on_device(dict.fromkeys(inputs), dict.fromkeys(outputs))


def test_tensors_of_the_device_are_refused_while_closed(closed: TensorRtRuntime) -> None:
    with pytest.raises(RuntimeUnavailableError, match=r"got run_on_device\(\) while closed"):
        closed.run_on_device({}, {})


@pytest.mark.parametrize(
    ("said", "plainly"),
    [
        (
            "Serialization assertion stdVersionRead == kSERIALIZATION_VERSION failed.Version tag does not match.",
            "another version",
        ),
        (
            "The engine plan file is not compatible with this version of TensorRT, expecting library version 10.3",
            "another version",
        ),
        ("Trying to load an engine created with incompatible serialization version (1 != 2)", "another version"),
        (
            "engine plan file is generated on an incompatible device, expecting compute 8.7 got compute 8.6",
            "another GPU",
        ),
        ("Error Code 2: OutOfMemory (Requested size was 8 bytes.)", "not enough free memory|has not enough"),
        ("Cuda Runtime (cudaError 35: CUDA driver version is insufficient)", "no GPU with a driver"),
        ("magicTag == kEXPECTED_MAGIC_TAG failed", "damaged, or built by another"),
    ],
)
def test_engine_that_does_not_open_is_refused_in_plain_words(
    closed: TensorRtRuntime, library: Any, said: str, plainly: str
) -> None:
    library.refusals["engine"] = said

    with pytest.raises(RuntimeUnavailableError, match=plainly) as caught:
        closed.open()

    message = str(caught.value)
    assert message.startswith("artifact 'tensorrt-fp16-32x48': tensorrt 10.3.0 cannot open its engine, as ")
    assert message.endswith("Fix: pixio-edge build BUNDLE")
    assert said not in message
    assert said in str(caught.value.__cause__), "for whoever looks closer"


def test_library_that_does_not_start_is_refused_in_plain_words(closed: TensorRtRuntime, library: Any) -> None:
    library.refusals["runtime"] = "CUDA initialization failure with error: 35, cudaError 35"

    with pytest.raises(RuntimeUnavailableError, match="as there is no GPU with a driver that fits"):
        closed.open()


def test_too_little_memory_for_an_engine_says_what_to_do(closed: TensorRtRuntime, library: Any) -> None:
    library.refusals["context"] = "Requested amount of GPU memory could not be allocated."

    with pytest.raises(RuntimeUnavailableError, match=r"cannot start \(Requested amount.*Fix: close other programs"):
        closed.open()


def test_engine_that_does_not_execute_says_why(closed: TensorRtRuntime, library: Any) -> None:
    library.refusals["execution"] = "Error Code 1: Myelin (fault)"

    with pytest.raises(RuntimeUnavailableError, match=r"does not execute \(Error Code 1: Myelin \(fault\)\)"):
        closed.open()


def test_damaged_engine_is_found_by_its_hash_and_never_opened(
    closed: TensorRtRuntime, record: EngineRecord, library: Any
) -> None:
    path = engine_path(record)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    library.refusals["engine"] = "was opened"

    with pytest.raises(RuntimeUnavailableError, match=r"the file was damaged\. Fix: pixio-edge build"):
        closed.open()


def test_missing_engine_names_the_command_that_builds_it(bundle: Bundle, library: Any) -> None:
    runtime = make_runtime("tensorrt", bundle.read_artifact(bundle.artifacts[0]), FP16)

    with pytest.raises(
        RuntimeUnavailableError, match=r"no engine was built from this graph.*Fix: pixio-edge build BUNDLE"
    ):
        runtime.open()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (RuntimeOptions(precision="fp32"), "got precision 'fp32' for artifact 'tensorrt-fp16-32x48', expected 'fp16'"),
        (RuntimeOptions(precision="fp16", pin_cores=(0,)), r"pin_cores: .*runs on the GPU.*Fix: leave pin_cores out"),
        (RuntimeOptions(precision="fp16", provider="cuda:1"), "expected one of: cuda:0"),
    ],
)
def test_options_that_make_no_sense_on_a_gpu_are_refused(
    closed: TensorRtRuntime, options: RuntimeOptions, message: str
) -> None:
    with pytest.raises(RuntimeUnavailableError, match=message):
        make_runtime("tensorrt", closed.artifact, options).open()


def test_gpus_are_listed_as_providers(library: Any) -> None:
    assert TensorRtRuntime.list_providers() == ("cuda:0",)


def test_kernels_are_counted_by_type_and_precision_as_each_version_writes_them() -> None:
    old = layer("CaskConvolution", "Thirty-two wide channel vectorized row major Int8 format")
    new = {"Name": "a", "LayerType": "gemm", "Inputs": [{"Name": "x", "Datatype": "Half", "Format": "Row Major"}]}
    bare = {"Name": "b", "LayerType": "signal", "Inputs": []}

    assert count_kernels(json.dumps({"Layers": [old, new, new, bare, "only a name"]})) == {
        "CaskConvolution/int8": 1,
        "gemm/fp16": 2,
        "signal/unknown": 1,
        "unknown/unknown": 1,
    }
