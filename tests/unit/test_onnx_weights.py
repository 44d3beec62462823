from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pixio_edge.onnx_weights import ALIGNMENT, INLINE_BYTES, write_graphs

SHARED = np.random.default_rng(0).normal(size=(30, 31)).astype(np.float32)
SMALL = np.arange(4)


def make_graph(name: str, own: np.ndarray) -> onnx.ModelProto:
    """A graph of constants only: one that all graphs have, under a name of its own, one of its own, and a small one."""
    constants = {f"{name}.shared": SHARED, "own": own, "small": SMALL}
    outputs = [helper.make_tensor_value_info(key, TensorProto.FLOAT, value.shape) for key, value in constants.items()]
    initializers = [numpy_helper.from_array(value, key) for key, value in constants.items()]
    return helper.make_model(helper.make_graph([], name, [], outputs, initializers))


def test_equal_constants_are_stored_once_when_graphs_share_a_file(tmp_path: Path) -> None:
    own = {name: np.full((20, 20 + index), index, np.float32) for index, name in enumerate(("a", "b", "c"))}
    graphs = [(tmp_path / f"{name}.onnx", make_graph(name, value)) for name, value in own.items()]

    write_graphs(graphs, tmp_path / "weights.bin")

    stored = SHARED.nbytes + sum(value.nbytes for value in own.values())
    assert stored <= (tmp_path / "weights.bin").stat().st_size < stored + 4 * ALIGNMENT
    for name, value in own.items():
        model = onnx.load(tmp_path / f"{name}.onnx")
        arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        assert np.array_equal(arrays[f"{name}.shared"], SHARED)
        assert np.array_equal(arrays["own"], value)
        assert np.array_equal(arrays["small"], SMALL)


def test_constants_are_aligned_in_the_file_and_small_ones_stay_in_the_graph_when_written(tmp_path: Path) -> None:
    odd = np.ones(INLINE_BYTES + 3, np.int8)
    last = np.zeros(INLINE_BYTES, np.int8)
    graphs = [(tmp_path / "a.onnx", make_graph("a", odd)), (tmp_path / "b.onnx", make_graph("b", last))]

    write_graphs(graphs, tmp_path / "weights.bin")

    for path in ("a.onnx", "b.onnx"):
        model = onnx.load(tmp_path / path, load_external_data=False)
        external = {tensor.name: tensor for tensor in model.graph.initializer if tensor.external_data}
        assert set(external) == {f"{path[0]}.shared", "own"}
        for tensor in external.values():
            fields = {entry.key: entry.value for entry in tensor.external_data}
            assert fields["location"] == "weights.bin"
            assert int(fields["offset"]) % ALIGNMENT == 0
            assert not tensor.raw_data
