"""What counts as a matrix product or convolution, by the names of several engines."""

from __future__ import annotations

import pytest

from pixio_edge.runtimes.base import RuntimeInfo, is_heavy
from pixio_edge.runtimes.ort import _count_kernels

HEAVY = [
    "Conv",
    "FusedConv",
    "QLinearConv",
    "MatMulIntegerToFloat",
    "DynamicQuantizeMatMul",
    "Gemm",
    "QGemm",
    "Convolution",
]
HEAVY_TOO = ["FullyConnected", "MatMul", "ScaledDotProductAttention", "conv2d", "linear", "addmm", "bmm", "Attention"]
LIGHT = [
    "Convert",
    "Softmax",
    "LayerNormalization",
    "upsample_bilinear2d",
    "Resize",
    "Transpose",
    "Subgraph",
    "Add",
    "mean",
]


@pytest.mark.parametrize("operator", HEAVY + HEAVY_TOO)
def test_products_and_convolutions_are_heavy(operator: str) -> None:
    assert is_heavy(operator)


@pytest.mark.parametrize("operator", LIGHT)
def test_all_else_is_not_heavy(operator: str) -> None:
    assert not is_heavy(operator)


def test_counts_are_of_heavy_operators_by_precision() -> None:
    kernels = {"Conv/fp32": 3, "MatMul/bf16": 2, "QLinearConv/int8": 5, "Softmax/fp32": 9, "Transpose/int8": 9}

    info = RuntimeInfo("ort", "1", "CPU", "int8", 1, kernels, ())

    assert (info.int8_ops, info.float_ops) == (5, 5)


def event(operator: str, provider: str = "CPUExecutionProvider", dtype: str = "float") -> dict[str, object]:
    arguments = {"op_name": operator, "provider": provider, "input_type_shape": [{dtype: [1]}]}
    return {"cat": "Node", "name": f"node_{operator}_kernel_time", "args": arguments}


def test_ort_profile_counts_int8_kernels_and_names_what_ran_elsewhere() -> None:
    events = [
        {"cat": "Session", "name": "model_run"},
        {"cat": "Node", "name": "node_fence_before", "args": {"op_name": "Conv"}},
        event("Conv"),
        event("DynamicQuantizeMatMul"),
        event("QLinearConv", dtype="uint8"),
        event("Softmax", provider="CUDAExecutionProvider"),
    ]

    kernels, fallbacks, nodes = _count_kernels(events, "CPUExecutionProvider")

    assert kernels == {"Conv/fp32": 1, "DynamicQuantizeMatMul/int8": 1, "QLinearConv/int8": 1, "Softmax/fp32": 1}
    assert fallbacks == ("Softmax on CUDAExecutionProvider",)
    assert nodes == {"CPUExecutionProvider": 3, "CUDAExecutionProvider": 1}


def test_nodes_are_all_on_the_device_unless_the_runtime_counted_them() -> None:
    kernels = {"Conv/fp32": 3, "Softmax/fp32": 9}

    assert RuntimeInfo("openvino", "1", "CPU", "fp32", 1, kernels, ()).nodes_by_device == {"CPU": 12}
    assert RuntimeInfo("ort", "1", "CPU", "fp32", 1, kernels, ("a on b",), nodes={"a": 1}).nodes_by_device == {"a": 1}
    assert RuntimeInfo("ort", "1", "CPU", "fp32", 1).nodes_by_device is None
