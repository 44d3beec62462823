"""Tensors of other libraries on the fake GPU, as they show themselves through `__cuda_array_interface__`."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.fake_cuda import FakeCuda, Work


class DeviceArray:
    """An array in fake device memory.

    Args:
        cuda: Where.
        content: What it holds.
        changes: Entries of the interface that shall be different.
    """

    def __init__(self, cuda: FakeCuda, content: np.ndarray, **changes: Any) -> None:
        self._cuda = cuda
        self._shape, self._dtype = content.shape, content.dtype
        self.memory = cuda.allocate(content.nbytes)
        self._changes = changes
        self.write(content)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        interface = {
            "shape": self._shape,
            "typestr": self._dtype.str,
            "data": (self.memory.address, False),
            "strides": None,
            "version": 3,
        }
        return interface | self._changes

    def write(self, content: np.ndarray) -> None:
        self.memory.data[...] = np.ascontiguousarray(content).view(np.uint8).reshape(-1)

    def write_later(self, content: np.ndarray, stream: int) -> None:
        """Put the writing into a stream, as a kernel of another library does."""
        self._cuda.streams[stream].queue.append(Work(lambda: self.write(content)))

    def read(self) -> np.ndarray:
        return self.memory.data.view(self._dtype).reshape(self._shape).copy()

    def free(self) -> None:
        self.memory.is_live = False
