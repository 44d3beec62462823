"""Small ONNX graphs for tests of calibration: the preset "tiny" with random weights, and graphs made by hand.

Every call gives a new copy that a test may change.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from random_models import randomise_

from pixio_edge.export.base import ExportRequest
from pixio_edge.export.onnx import export_graphs
from pixio_edge.models.presets import build_model

Size = tuple[int, int]
SIZES: tuple[Size, ...] = ((64, 64), (48, 80))
OPSET = 20
IR_VERSION = 9
WIDTH = 16
CLASS_TOKENS = 2


def tiny_graph(size: Size = SIZES[0]) -> onnx.ModelProto:
    """Float master graph of the preset "tiny" with random weights; exported once in a test session (some seconds)."""
    return onnx.ModelProto.FromString(_tiny_graph(size))


def tiny_graphs() -> dict[Size, onnx.ModelProto]:
    """`tiny_graph` at every one of `SIZES`: equal names and weights, as in a bundle."""
    return {size: tiny_graph(size) for size in SIZES}


def block_graph(size: Size = SIZES[0], *, seed: int = 0) -> onnx.ModelProto:
    """A stem, class tokens and one transformer block by hand: uint8 `image` to float32 `depth`.

    Layers are "stem" (Conv with bias, then Relu), "qkv", "proj", "fc1" and "fc2" (MatMul + Add), "readout" (Gemm of the
    mean class token) and "plane" (Conv without bias). Tokens are 2 class tokens and one for each 16 x 16 patch.
    """
    rows, columns = size[0] // 16, size[1] // 16
    graph = _Builder(seed)
    graph.add("Cast", ["image"], "real", to=TensorProto.FLOAT)
    graph.add("Transpose", ["real"], "planes", perm=[0, 3, 1, 2])
    graph.add("Mul", ["planes", graph.constant("unit", np.float32(1 / 128))], "scaled")
    stem = [graph.weight("stem.weight", (WIDTH, 3, 16, 16), 768), graph.weight("stem.bias", (WIDTH,), 16)]
    graph.add("Conv", ["scaled", *stem], "stem", strides=[16, 16], kernel_shape=[16, 16])
    graph.add("Relu", ["stem"], "stem.relu")
    graph.add("Reshape", ["stem.relu", graph.shape("flat", 1, WIDTH, rows * columns)], "flat.out")
    graph.add("Transpose", ["flat.out"], "patches", perm=[0, 2, 1])
    graph.add("Concat", [graph.weight("class", (1, CLASS_TOKENS, WIDTH), 1), "patches"], "tokens", axis=1)
    _attention(graph, "tokens")
    _mlp(graph, "attended")
    graph.add("Slice", ["out", *graph.slice("class", 0, CLASS_TOKENS)], "class.out")
    graph.add("ReduceMean", ["class.out", graph.shape("mean.axes", 1)], "class.mean", keepdims=0)
    readout = [graph.weight("readout.weight", (WIDTH, WIDTH), WIDTH), graph.weight("readout.bias", (WIDTH,), 16)]
    graph.add("Gemm", ["class.mean", *readout], "readout", transB=1)
    graph.add("Slice", ["out", *graph.slice("patch", CLASS_TOKENS, 1 << 30)], "patch.out")
    graph.add("Add", ["patch.out", "readout"], "read")
    graph.add("Transpose", ["read"], "read.planes", perm=[0, 2, 1])
    graph.add("Reshape", ["read.planes", graph.shape("map", 1, WIDTH, rows, columns)], "map.out")
    graph.add("Conv", ["map.out", graph.weight("plane.weight", (1, WIDTH, 1, 1), WIDTH)], "plane", kernel_shape=[1, 1])
    graph.add("Resize", ["plane", "", "", graph.shape("size", 1, 1, *size)], "resized", mode="linear")
    graph.add("Reshape", ["resized", graph.shape("depth.shape", 1, *size)], "depth")
    return graph.model(size)


def linear_graph(weight: np.ndarray, *, bias: np.ndarray | None = None) -> onnx.ModelProto:
    """One layer "fc": float32 `x` (1, N, K) times a constant (K, M), plus a constant (M,), to `y`; N is free."""
    graph = _Builder(0)
    operands = ["x", graph.constant("fc.weight", weight.astype(np.float32))]
    graph.add("MatMul", operands, "y" if bias is None else "product", name="fc")
    if bias is not None:
        graph.add("Add", ["product", graph.constant("fc.bias", bias.astype(np.float32))], "y", name="fc.add")
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, "n", weight.shape[0]])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, "n", weight.shape[1]])]
    return graph.finish(inputs, outputs)


@cache
def _tiny_graph(size: Size) -> bytes:
    torch.manual_seed(0)
    model = randomise_(build_model("tiny"))
    ((_, graph),) = export_graphs(model, ExportRequest((size,)), {})
    return graph.SerializeToString()


class _Builder:
    """Collects nodes and constants; weights are drawn so that signals keep their size."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[TensorProto] = []

    def constant(self, name: str, value: np.ndarray | np.generic) -> str:
        self._constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def weight(self, name: str, shape: tuple[int, ...], fan_in: int) -> str:
        return self.constant(name, (self._generator.normal(size=shape) * fan_in**-0.5).astype(np.float32))

    def shape(self, name: str, *values: int) -> str:
        return self.constant(name, np.array(values, np.int64))

    def slice(self, name: str, start: int, end: int) -> list[str]:
        values = {"start": start, "end": end, "axis": 1}
        return [self.shape(f"{name}.{key}", value) for key, value in values.items()]

    def add(self, operator: str, inputs: list[str], output: str, *, name: str = "", **attributes: object) -> str:
        self._nodes.append(helper.make_node(operator, inputs, [output], name=name or output, **attributes))
        return output

    def linear(self, name: str, source: str, width: int, out: int) -> str:
        """A MatMul node called `name` and its bias Add; the result is "<name>.out"."""
        self.add("MatMul", [source, self.weight(f"{name}.weight", (width, out), width)], f"{name}.product", name=name)
        return self.add("Add", [f"{name}.product", self.weight(f"{name}.bias", (out,), 16)], f"{name}.out")

    def norm(self, name: str, source: str) -> str:
        scale = self.constant(f"{name}.scale", self._generator.uniform(0.5, 1.5, WIDTH).astype(np.float32))
        return self.add("LayerNormalization", [source, scale, self.weight(f"{name}.shift", (WIDTH,), 16)], name)

    def model(self, size: Size) -> onnx.ModelProto:
        inputs = [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, *size, 3])]
        return self.finish(inputs, [helper.make_tensor_value_info("depth", TensorProto.FLOAT, [1, *size])])

    def finish(self, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]) -> onnx.ModelProto:
        graph = helper.make_graph(self._nodes, "tiny", inputs, outputs, self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        onnx.checker.check_model(model, full_check=True)
        return model


def _attention(graph: _Builder, source: str) -> None:
    """One head; the result is "attended"."""
    qkv = graph.linear("qkv", graph.norm("norm1", source), WIDTH, 3 * WIDTH)
    splits = graph.shape("splits", WIDTH, WIDTH, WIDTH)
    graph._nodes.append(helper.make_node("Split", [qkv, splits], ["q", "k", "v"], name="split", axis=2))
    graph.add("Transpose", ["k"], "k.rows", perm=[0, 2, 1])
    graph.add("MatMul", ["q", "k.rows"], "scores")
    graph.add("Softmax", ["scores"], "shares", axis=-1)
    graph.add("MatMul", ["shares", "v"], "values")
    graph.add("Add", [source, graph.linear("proj", "values", WIDTH, WIDTH)], "attended")


def _mlp(graph: _Builder, source: str) -> None:
    """The result is "out"."""
    hidden = graph.linear("fc1", graph.norm("norm2", source), WIDTH, 4 * WIDTH)
    graph.add("Gelu", [hidden], "gelu")
    graph.add("Add", [source, graph.linear("fc2", "gelu", 4 * WIDTH, WIDTH)], "out")
