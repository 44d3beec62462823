"""Operators that TensorRT's ONNX parser has, as far as depth models may need them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pixio_edge.export.graph_rules import ALLOWED_OPERATORS

# What the graphs of this package are made of, and what others of the kind contain, all of it in TensorRT 10.3
# (onnx-tensorrt, docs/operators.md).
# fmt: off
OPERATORS = (ALLOWED_OPERATORS - {"Gelu"}) | frozenset({
    "AveragePool", "BatchNormalization", "Clip", "ConvTranspose", "DequantizeLinear", "Div", "Elu", "Erf", "Exp",
    "Expand", "Flatten", "Gather", "GlobalAveragePool", "HardSigmoid", "Identity", "InstanceNormalization", "LeakyRelu",
    "Log", "Max", "MaxPool", "Min", "Neg", "PRelu", "Pad", "Pow", "QuantizeLinear", "ReduceMax", "ReduceMin",
    "ReduceSum", "Softplus", "SpaceToDepth", "Sqrt", "Sum", "Tanh",
})
# fmt: on


@dataclass(frozen=True, slots=True)
class FirstVersion:
    """Since when an operator is there.

    Attributes:
        version: First version of TensorRT, (major, minor).
        instead: What to write for older ones.
    """

    version: tuple[int, int]
    instead: str


# Changelogs of TensorRT 10.14 to 11.0; of Gelu the oldest list that could be read and has it.
FIRST_VERSIONS: Mapping[str, FirstVersion] = {
    "Gelu": FirstVersion((10, 15), "write it as Mul, Erf, Add, Mul and Mul, as pixio_edge.export.trt does"),
    "Attention": FirstVersion((10, 14), "export with opset 20, which writes MatMul, Softmax and MatMul"),
    "RMSNormalization": FirstVersion((10, 15), "write it as Pow, ReduceMean, Sqrt, Div and Mul"),
    "RotaryEmbedding": FirstVersion((10, 15), "write it as Mul and Add"),
    "Swish": FirstVersion((11, 0), "write it as Sigmoid and Mul"),
}
