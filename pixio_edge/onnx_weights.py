"""One file for the weights of several graphs: constants of equal content are stored once."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, BinaryIO

import onnx
from onnx import numpy_helper

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# Constants below this size stay in the graph: shapes and axes have to, because runtimes read them before the weights,
# and for small biases an entry in the file costs more than it saves.
INLINE_BYTES = 256

# A cache line, so that runtimes can use the mapped file in place with aligned vector loads.
ALIGNMENT = 64


class WeightFile:
    """Writes constants to an open file, each distinct content once.

    Args:
        file: Open for writing, at its start.
        name: Name by which graphs refer to it; it lies in their folder.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self._offsets: dict[bytes, int] = {}
        self._end = 0

    def move_(self, graph: onnx.GraphProto) -> int:
        """Move the large constants of a graph into the file and refer to them.

        Returns:
            Bytes by which the file grew.
        """
        start = self._end
        for tensor in graph.initializer:
            content = numpy_helper.to_array(tensor).tobytes()
            if len(content) >= INLINE_BYTES:
                self._refer_(tensor, self._store(content), len(content))
        return self._end - start

    def _store(self, content: bytes) -> int:
        digest = hashlib.sha256(content).digest()
        if digest not in self._offsets:
            padding = -self._end % ALIGNMENT
            self._file.write(bytes(padding) + content)
            self._offsets[digest] = self._end + padding
            self._end += padding + len(content)
        return self._offsets[digest]

    def _refer_(self, tensor: onnx.TensorProto, offset: int, length: int) -> None:
        for field in ("raw_data", "float_data", "int64_data"):
            tensor.ClearField(field)
        tensor.data_location = onnx.TensorProto.EXTERNAL
        del tensor.external_data[:]
        for key, value in (("location", self._name), ("offset", str(offset)), ("length", str(length))):
            tensor.external_data.add(key=key, value=value)


def write_graphs(graphs: Iterable[tuple[Path, onnx.ModelProto]], weights: Path) -> None:
    """Write graphs that share one weight file, one after the other, so that only one is in memory.

    Args:
        graphs: Each with its path; all lie in the folder of `weights`. They are changed to refer to it.
        weights: The shared file.
    """
    with weights.open("wb") as file:
        store = WeightFile(file, weights.name)
        for path, model in graphs:
            store.move_(model.graph)
            path.write_bytes(model.SerializeToString(deterministic=True))
