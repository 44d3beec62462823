import json

import pytest

from pixio_edge.runtimes.base import RuntimeInfo
from pixio_edge.runtimes.trt import count_kernels
from pixio_edge.runtimes.trt_layers import EngineLayer, count_precisions, layers_of_json, layers_of_log


def tensor(name: str, datatype: str) -> str:
    return (
        f"{{ Name: {name}, Dimensions: [1,264,192], Strides: [50688,192,1], StrideOrder: [2,1,0], "
        f"Datatype: {datatype}, Format: (Linear) Row major linear format }}"
    )


def line(name: str, kind: str, types: tuple[list[str], list[str], list[str]], nodes: list[str]) -> str:
    parts = [
        f"{label}: [ {', '.join(tensor('t', t) for t in of_side)}]" if of_side else f"{label}: []"
        for label, of_side in zip(("Inputs", "Constants", "Outputs"), types, strict=True)
    ]
    metadata = "".join(f"[ONNX Layer: {node}]" for node in nodes)
    return f"Name: {name}, LayerType: {kind}, {', '.join(parts)}, TacticName: , StreamId: 0, Metadata: {metadata}"


# In the form of TensorRT for RTX 1.7, with names from an engine of nano.
LINES = [
    line("__myl_CastTranAdd_myl0_0", "kgen", (["UInt8"], ["Float"], ["Half"]), ["Cast", "Transpose"]),
    line("stem/Conv_U10_myl0_1", "correlation", (["Half"], ["Float", "Half"], ["Half"]), ["stem/Conv", "stem/Relu"]),
    line("qkv/MatMul_U321_myl0_20", "gemm", (["Int8"], ["Float", "Int8"], ["Half"]), ["qkv/MatMul"]),
    line("_gemm_mha_v2_myl0_22", "kgen", (["Half", "Half", "Half"], [], ["Int8"]), ["attn/MatMul", "attn/Softmax"]),
    line("__myl_FcAdd_myl0_12", "runtime_fusion", (["Half"], ["Half"], ["Half"]), ["fc1/MatMul", "fc1/Add"]),
    line("__myl_Conv_ert_myl0_3", "signal", ([], [], []), []),
    line("__myl_ConvertMean_myl0_4", "kgen", (["Half"], [], ["Float"]), ["norm"]),
]
TAIL = ["I/O Tensors:", " Name: image, IOMode: Input, DataType: UInt8", "Engine Metadata:", " Multi-Device: Disabled"]


@pytest.mark.parametrize("separator", ["\n", " "], ids=["as logged", "on one line"])
def test_layers_are_read_from_the_log_of_a_build(separator: str) -> None:
    message = separator.join(["Layers:", *LINES, *TAIL])

    layers = layers_of_log(["Building engine", message, "Adding 1 engine(s) to plan file."])

    assert [layer.name for layer in layers] == [text.split(",")[0].removeprefix("Name: ") for text in LINES]
    assert layers[2] == EngineLayer("qkv/MatMul_U321_myl0_20", "gemm", ("int8",), ("fp16",), ("qkv/MatMul",))
    assert layers[0].inputs == ("uint8",)
    assert layers[3].inputs == ("fp16", "fp16", "fp16")
    assert layers[5] == EngineLayer("__myl_Conv_ert_myl0_3", "signal", (), (), ())


def test_products_are_counted_by_what_they_multiply() -> None:
    layers = layers_of_log(["\n".join(["Layers:", *LINES])])

    assert [layer.name for layer in layers if layer.is_attention] == ["_gemm_mha_v2_myl0_22"]
    assert count_precisions(layers) == {"fp16": 3, "int8": 1}


def test_last_list_of_layers_counts() -> None:
    first, second = (f"Layers:\n{text}" for text in LINES[:2])

    assert [layer.kind for layer in layers_of_log([first, second])] == ["correlation"]


def test_log_without_layers_gives_none() -> None:
    assert layers_of_log(["Building engine", "the Layers: are somewhere else"]) == ()


def test_layers_are_read_from_the_inspector_of_tensorrt_10() -> None:
    old = {"Name": "x", "Format/Datatype": "Channel major FP16 format where C % 8 == 0"}
    new = {"Name": "y", "Datatype": "Int8", "Format": "Row major linear INT8 format"}
    text = json.dumps(
        {
            "Layers": [
                {"Name": "a", "LayerType": "CaskConvolution", "Inputs": [old], "Outputs": [new]},
                {
                    "Name": "b",
                    "LayerType": "gemm",
                    "Inputs": [new],
                    "Outputs": [],
                    "Metadata": "[ONNX Layer: q/MatMul]",
                },
                {"Name": "c", "LayerType": "Reformat", "Inputs": [{"Name": "z", "Datatype": "FP9"}], "Outputs": []},
            ]
        }
    )

    layers = layers_of_json(text)

    assert layers[0] == EngineLayer("a", "CaskConvolution", ("fp16",), ("int8",), ())
    assert layers[1].nodes == ("q/MatMul",)
    assert layers[2].inputs == ("FP9",)
    assert count_precisions(layers) == {"fp16": 1, "int8": 1}


def test_names_alone_have_no_types() -> None:
    layers = layers_of_json(json.dumps({"Layers": ["conv1", "conv2"]}))

    assert [layer.name for layer in layers] == ["conv1", "conv2"]
    assert count_precisions(layers) == {}


def test_runtime_counts_the_products_that_a_build_counts() -> None:
    layers = [
        {"Name": "stem/Conv_U10_myl0_1", "LayerType": "correlation", "Inputs": [{"Datatype": "Half"}]},
        {"Name": "_gemm_mha_v2_myl0_22", "LayerType": "kgen", "Inputs": [{"Datatype": "Half"}]},
        {"Name": "__myl_FcAdd_myl0_12", "LayerType": "runtime_fusion", "Inputs": [{"Datatype": "Int8"}]},
        {"Name": "qkv/MatMul_U321_myl0_20", "LayerType": "gemm", "Inputs": [{"Datatype": "Int8"}]},
        {"Name": "conv1", "LayerType": "CaskConvolution", "Inputs": [{"Format/Datatype": "Channel major FP16 format"}]},
        {"Name": "__myl_ConvertMean_myl0_4", "LayerType": "kgen", "Inputs": [{"Datatype": "Float"}]},
        "without details",
    ]
    text = json.dumps({"Layers": layers})

    kernels = count_kernels(text)

    info = RuntimeInfo("tensorrt", "10.3.0", "Orin", "int8", threads=1, kernels=kernels)
    counted = count_precisions(layers_of_json(text))
    assert (info.int8_ops, info.float_ops) == (counted["int8"], counted["fp16"]) == (2, 3)
    assert kernels["kgen (conv or matmul)/fp16"] == 1
    assert kernels["kgen/fp32"] == 1
    assert kernels["unknown/unknown"] == 1
    assert kernels.total() == len(layers)
