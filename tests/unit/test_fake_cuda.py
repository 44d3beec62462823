"""The fakes of CUDA and TensorRT are strict: each rule that the tests of the runtime rely on is enforced."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from pixio_edge.runtimes.cuda import DeviceBuffer, Event, PinnedBuffer, Resource, Stream, on_device
from pixio_edge.runtimes.cudart import Cudart
from tests.fake_cuda import FakeCuda, ProtocolError, Work
from tests.fake_tensorrt import ILogger, fake_tensorrt, make_engine

SIZE = 64


@pytest.fixture
def cuda() -> FakeCuda:
    return FakeCuda(gpus=(("Orin", (8, 7), True), ("other", (8, 9), False)))


@pytest.fixture
def cudart(cuda: FakeCuda) -> Cudart:
    return Cudart(cuda, "fake")


def buffers(cudart: Cudart) -> tuple[Stream, PinnedBuffer, DeviceBuffer]:
    return Stream(cudart), PinnedBuffer(cudart, SIZE), DeviceBuffer(cudart, SIZE)


def test_work_is_not_done_before_it_is_waited_for(cudart: Cudart) -> None:
    stream, pinned, device = buffers(cudart)
    view = pinned.view((SIZE,), "uint8")
    view[...] = 7
    stream.upload(pinned, device)
    stream.synchronize()
    view[...] = 0

    stream.download(device, pinned)
    before = view.copy()
    stream.synchronize()

    assert not before.any()
    assert (view == 7).all()


def test_memory_that_was_released_is_never_used(cudart: Cudart) -> None:
    stream, pinned, device = buffers(cudart)
    address = device.handle
    device.close()
    device.handle = address

    with pytest.raises(ProtocolError, match="after its release"):
        stream.upload(pinned, device)
    with pytest.raises(ProtocolError, match="after its release"):
        device.close()


def test_memory_is_not_released_while_work_uses_it(cudart: Cudart) -> None:
    stream, pinned, device = buffers(cudart)
    stream.upload(pinned, device)

    for resource in (pinned, device):
        with pytest.raises(ProtocolError, match="while work uses it"):
            resource.close()


def test_handles_that_were_released_are_unknown(cudart: Cudart, cuda: FakeCuda) -> None:
    made: list[Callable[[], Resource]] = [lambda: Stream(cudart), lambda: Event(cudart)]
    for make in made:
        resource = make()
        handle = resource.handle
        resource.close()
        resource.handle = handle
        with pytest.raises(ProtocolError, match="after its release"):
            resource.close()
    assert cuda.leaks() == {}


def test_nothing_is_allocated_or_released_while_a_stream_records(cudart: Cudart) -> None:
    stream, pinned, _ = buffers(cudart)

    for work in (
        lambda: DeviceBuffer(cudart, SIZE),
        lambda: PinnedBuffer(cudart, SIZE),
        pinned.close,
        stream.synchronize,
    ):
        with pytest.raises(ProtocolError):
            stream.capture(work)  # type: ignore[arg-type]


def test_recorded_work_is_done_at_each_start_and_not_before(cudart: Cudart) -> None:
    stream, pinned, device = buffers(cudart)
    view = pinned.view((SIZE,), "uint8")
    graph = stream.capture(lambda: stream.upload(pinned, device))
    out = PinnedBuffer(cudart, SIZE)
    for value in (3, 4):
        view[...] = value
        graph.launch(stream)
        stream.download(device, out)
        stream.synchronize()
        assert (out.view((SIZE,), "uint8") == value).all()
    with pytest.raises(ProtocolError, match="before the graph that uses it"):
        device.close()


def test_work_of_another_device_than_the_current_one_is_refused(cudart: Cudart, cuda: FakeCuda) -> None:
    stream, pinned, device = buffers(cudart)

    with on_device(cudart, 1), pytest.raises(ProtocolError, match="while device 1 is current"):
        stream.upload(pinned, device)

    assert cuda.current == 0


def test_stream_with_work_in_it_is_not_destroyed(cudart: Cudart) -> None:
    stream, pinned, device = buffers(cudart)
    stream.upload(pinned, device)

    with pytest.raises(ProtocolError, match="with work in it"):
        stream.close()


def test_waiting_for_an_event_orders_two_streams(cudart: Cudart, cuda: FakeCuda) -> None:
    first, second, event = Stream(cudart), Stream(cudart), Event(cudart)
    order: list[int] = []
    with pytest.raises(ProtocolError, match="not recorded"):
        second.wait(event)
    cuda.enqueue(first.handle, Work(lambda: order.append(1)))
    event.record(first.handle)
    second.wait(event)
    cuda.enqueue(second.handle, Work(lambda: order.append(2)))

    second.synchronize()

    assert order == [1, 2]


def test_function_called_with_wrong_arguments_is_refused(cudart: Cudart, cuda: FakeCuda) -> None:
    with pytest.raises(ProtocolError, match="takes 1 arguments, got 2"):
        cudart.call("cudaFree", 1, 2)
    with pytest.raises(ProtocolError, match="expected a number"):
        cudart.call("cudaFree", "address")
    with pytest.raises(ProtocolError, match="before its signature"):
        FakeCuda().cudaFree(0)


def test_tensorrt_is_neither_recorded_first_nor_run_in_a_default_stream_nor_on_memory_of_the_host(
    cudart: Cudart, cuda: FakeCuda
) -> None:
    library = fake_tensorrt(cuda)
    engine = library.Runtime(ILogger()).deserialize_cuda_engine(make_engine(_model()))
    context = engine.create_execution_context()
    stream, pinned, device = Stream(cudart), PinnedBuffer(cudart, 4096), DeviceBuffer(cudart, 4096)
    assert not context.execute_async_v3(stream.handle), "no addresses"
    for name in ("image", "depth"):
        context.set_tensor_address(name, device.handle)

    with pytest.raises(ProtocolError, match="before a first execution"):
        stream.capture(lambda: context.execute_async_v3(stream.handle))
    with pytest.raises(ProtocolError, match="default stream"):
        context.execute_async_v3(0)
    context.set_tensor_address("depth", pinned.handle)
    with pytest.raises(ProtocolError, match="is pinned memory"):
        context.execute_async_v3(stream.handle)


def test_engine_outlives_its_context_and_the_runtime_its_engine(cuda: FakeCuda) -> None:
    library = fake_tensorrt(cuda)
    runtime = library.Runtime(ILogger())
    engine = runtime.deserialize_cuda_engine(make_engine(_model()))
    context = engine.create_execution_context()
    assert cuda.violations == []

    del runtime
    del engine
    assert cuda.violations == ["the runtime went before its engine", "the engine went before its context"]
    del context


def _model() -> onnx.ModelProto:
    inputs = [onnx.helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, [1, 8, 8, 3])]
    outputs = [onnx.helper.make_tensor_value_info("depth", onnx.TensorProto.FLOAT, [1, 8, 8])]
    axes = onnx.numpy_helper.from_array(np.array([3], np.int64), "axes")
    nodes = [
        onnx.helper.make_node("Cast", ["image"], ["real"], to=onnx.TensorProto.FLOAT),
        onnx.helper.make_node("ReduceSum", ["real", "axes"], ["depth"], keepdims=0),
    ]
    graph = onnx.helper.make_graph(nodes, "sum", inputs, outputs, [axes])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
