"""A stand-in for torch with a GPU: the same torch on the CPU, with `torch.cuda` replaced.

What is recorded in a graph is replayed as a GPU would: the same operators, on the same buffers, into the same outputs,
whatever Python names refer to by then. So a forward that reads or writes other buffers than those it was recorded with
gives wrong results here as well. What waits during a recording is an error, as it is on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map


class Record(TorchDispatchMode):
    """Notes every operator with its tensors."""

    def __init__(self, steps: list[Callable[[], None]]) -> None:
        super().__init__()
        self.steps = steps

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        found = function(*args, **kwargs)

        def again() -> None:
            tree_map(_overwrite, found, function(*args, **kwargs))

        self.steps.append(again)
        return found


def _overwrite(target: object, source: object) -> None:
    if isinstance(target, Tensor) and target.data_ptr() != source.data_ptr():
        target.copy_(source)


class Graph:
    def __init__(self) -> None:
        self.steps: list[Callable[[], None]] = []
        self.replays = 0

    def replay(self) -> None:
        self.replays += 1
        with torch.inference_mode():  # tensors that were made in it may be written in it alone
            for step in self.steps:
                step()


class Stream:
    cuda_stream = 55

    def __init__(self, cuda: FakeTorchCuda) -> None:
        self.cuda = cuda

    def synchronize(self) -> None:
        self.cuda.refuse_while_recording("synchronize")

    def wait_stream(self, other: Stream) -> None:
        self.cuda.refuse_while_recording("wait_stream")


class FakeTorchCuda:
    """`torch.cuda`, as far as the runtime uses it.

    Args:
        devices: Number of GPUs.
    """

    def __init__(self, devices: int = 1) -> None:
        self.devices = devices
        self.graphs: list[Graph] = []
        self.is_recording = False
        self.capture_modes: list[str] = []

    def refuse_while_recording(self, what: str) -> None:
        if self.is_recording:
            raise RuntimeError(f"CUDA error: operation not permitted when stream is capturing ({what})")

    def is_available(self) -> bool:
        return self.devices > 0

    def device_count(self) -> int:
        return self.devices

    def CUDAGraph(self) -> Graph:  # noqa: N802 - torch's own name
        self.graphs.append(Graph())
        return self.graphs[-1]

    @contextmanager
    def graph(self, graph: Graph, *, stream: Stream, capture_error_mode: str) -> Iterator[None]:
        self.capture_modes.append(capture_error_mode)
        self.is_recording = True
        try:
            with Record(graph.steps):
                yield
        finally:
            self.is_recording = False

    def Stream(self, device: Any) -> Stream:  # noqa: N802 - torch's own name
        return Stream(self)

    def current_stream(self) -> Stream:
        return Stream(self)

    def stream(self, stream: Stream) -> Any:
        return nullcontext()

    def device(self, device: Any) -> Any:
        return nullcontext()


class FakeTorch:
    """torch with that in place of `torch.cuda`; what is made on the GPU is made on the CPU."""

    def __init__(self, cuda: FakeTorchCuda) -> None:
        self.cuda = cuda

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    def device(self, name: str) -> torch.device:
        return torch.device("cpu")

    def zeros(self, *shape: Any, pin_memory: bool = False, **options: Any) -> Tensor:
        return torch.zeros(*shape, **options)
