"""Every rule of the linter: a graph that TensorRT builds, and the one change that it refuses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from int8_tables import table_of
from onnx import TensorProto, helper, numpy_helper
from tiny_graphs import block_graph

from pixio_edge.calibration.calibrate import range_tensors
from pixio_edge.calibration.emit import emit
from pixio_edge.errors import CheckFailedError, InputError
from pixio_edge.export.trt.lint import lint, require_buildable
from pixio_edge.export.trt.precision import to_typed

Change = Callable[[onnx.ModelProto], None]


def good_graph() -> onnx.ModelProto:
    """Typed INT8 graph: has pairs, Casts, Resize and everything else that rules are about."""
    graph = onnx.shape_inference.infer_shapes(block_graph())
    return to_typed(emit(graph, table_of(graph, tensors=range_tensors(graph)), "tensorrt"))


def node_of(model: onnx.ModelProto, operator: str) -> onnx.NodeProto:
    return next(node for node in model.graph.node if node.op_type == operator)


def constant_of(model: onnx.ModelProto, name: str) -> onnx.TensorProto:
    return next(tensor for tensor in model.graph.initializer if tensor.name == name)


def value_of(model: onnx.ModelProto, name: str) -> onnx.ValueInfoProto:
    values = (*model.graph.input, *model.graph.value_info, *model.graph.output)
    return next(value for value in values if value.name == name)


def set_constant(model: onnx.ModelProto, name: str, value: np.ndarray) -> None:
    constant_of(model, name).CopyFrom(numpy_helper.from_array(value, name))


def set_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 21


def set_ir(model: onnx.ModelProto) -> None:
    model.ir_version = 11


def add_function(model: onnx.ModelProto) -> None:
    model.functions.append(helper.make_function("mine", "F", [], [], [], [helper.make_opsetid("", 20)]))


def free_side(model: onnx.ModelProto) -> None:
    value_of(model, "image").type.tensor_type.shape.dim[1].dim_param = "height"


def zero_side(model: onnx.ModelProto) -> None:
    value_of(model, "stem").type.tensor_type.shape.dim[2].dim_value = 0


def too_many_dimensions(model: onnx.ModelProto) -> None:
    for _ in range(6):
        value_of(model, "stem").type.tensor_type.shape.dim.add().dim_value = 1


def double_value(model: onnx.ModelProto) -> None:
    value_of(model, "depth").type.tensor_type.elem_type = TensorProto.DOUBLE


def inner_uint8(model: onnx.ModelProto) -> None:
    value_of(model, "stem.relu").type.tensor_type.elem_type = TensorProto.UINT8


def infinite_constant(model: onnx.ModelProto) -> None:
    set_constant(model, "stem.weight/fp16", np.full((16, 3, 16, 16), np.inf, np.float16))


def contrib_operator(model: onnx.ModelProto) -> None:
    node_of(model, "Relu").domain = "com.microsoft"


def unknown_operator(model: onnx.ModelProto) -> None:
    node_of(model, "Relu").op_type = "StringConcat"


def attention(model: onnx.ModelProto) -> None:
    node_of(model, "Softmax").op_type = "Attention"


def gelu(model: onnx.ModelProto) -> None:
    node_of(model, "Relu").op_type = "Gelu"


def image_without_cast(model: onnx.ModelProto) -> None:
    node_of(model, "Transpose").input[0] = "image"


def mixed_types(model: onnx.ModelProto) -> None:
    node_of(model, "Conv").input[0] = "planes"


def narrow_softmax(model: onnx.ModelProto) -> None:
    node_of(model, "Softmax").input[0] = "scores"


def antialiased(model: onnx.ModelProto) -> None:
    node_of(model, "Resize").attribute.append(helper.make_attribute("antialias", 1))


def cubic(model: onnx.ModelProto) -> None:
    resize = node_of(model, "Resize")
    del resize.attribute[:]
    resize.attribute.append(helper.make_attribute("mode", "cubic"))


def cropped_sampling(model: onnx.ModelProto) -> None:
    resize = node_of(model, "Resize")
    resize.attribute.append(helper.make_attribute("coordinate_transformation_mode", "tf_crop_and_resize"))


def computed_size(model: onnx.ModelProto) -> None:
    node_of(model, "Resize").input[3] = "computed"


def zero_point(model: onnx.ModelProto) -> None:
    set_constant(model, node_of(model, "QuantizeLinear").input[2], np.array(3, np.int8))


def computed_zero_point(model: onnx.ModelProto) -> None:
    node_of(model, "QuantizeLinear").input[2] = "computed"


def unsigned(model: onnx.ModelProto) -> None:
    set_constant(model, node_of(model, "QuantizeLinear").input[2], np.array(0, np.uint8))


def no_zero_point(model: onnx.ModelProto) -> None:
    del node_of(model, "QuantizeLinear").input[2:]


def weight_pair(model: onnx.ModelProto) -> onnx.NodeProto:
    constants = {tensor.name for tensor in model.graph.initializer}
    return next(n for n in model.graph.node if n.op_type == "DequantizeLinear" and n.input[0] in constants)


def bias_as_int32(model: onnx.ModelProto) -> None:
    weight = weight_pair(model).input[0]
    set_constant(model, weight, numpy_helper.to_array(constant_of(model, weight)).astype(np.int32))


def computed_scale(model: onnx.ModelProto) -> None:
    node_of(model, "QuantizeLinear").input[1] = "stem"


def zero_scale(model: onnx.ModelProto) -> None:
    set_constant(model, node_of(model, "QuantizeLinear").input[1], np.array(0, np.float16))


def many_scales(model: onnx.ModelProto) -> None:
    quantize = node_of(model, "QuantizeLinear")
    set_constant(model, quantize.input[1], np.ones(16, np.float16))


def other_scale_type(model: onnx.ModelProto) -> None:
    set_constant(model, node_of(model, "QuantizeLinear").input[1], np.array(1, np.float32))


def int8_transposed_convolution(model: onnx.ModelProto) -> None:
    weight = weight_pair(model)
    node = next(node for node in model.graph.node if weight.output[0] in node.input)
    node.op_type = "ConvTranspose"


RULES: list[tuple[Change, str]] = [
    (set_opset, "opset"),
    (set_ir, "ir"),
    (add_function, "functions"),
    (free_side, "dynamic"),
    (zero_side, "dynamic"),
    (too_many_dimensions, "rank"),
    (double_value, "type"),
    (inner_uint8, "type"),
    (infinite_constant, "overflow"),
    (contrib_operator, "domain"),
    (unknown_operator, "operator"),
    (attention, "operator"),
    (gelu, "operator"),
    (image_without_cast, "image"),
    (mixed_types, "mixed"),
    (narrow_softmax, "narrow"),
    (antialiased, "antialias"),
    (cubic, "resize"),
    (cropped_sampling, "resize"),
    (computed_size, "resize-size"),
    (zero_point, "zero-point"),
    (computed_zero_point, "zero-point"),
    (unsigned, "int8"),
    (no_zero_point, "int8"),
    (bias_as_int32, "int32-bias"),
    (computed_scale, "scale"),
    (zero_scale, "scale"),
    (many_scales, "per-channel"),
    (other_scale_type, "scale-type"),
    (int8_transposed_convolution, "int8-operator"),
]


def test_typed_graphs_have_no_findings() -> None:
    assert lint(good_graph()) == ()
    assert lint(to_typed(block_graph())) == ()


@pytest.mark.parametrize(("change", "rule"), RULES, ids=[change.__name__ for change, _ in RULES])
def test_finding_names_the_rule_when_a_graph_breaks_it(change: Change, rule: str) -> None:
    graph = good_graph()

    change(graph)

    findings = lint(graph)
    assert rule in {finding.rule for finding in findings}
    assert all(finding.node and finding.message and finding.fix for finding in findings)


@pytest.mark.parametrize(("change", "version"), [(attention, "10.14"), (gelu, "10.15"), (set_opset, "10.16")])
def test_newer_versions_take_what_older_ones_refuse(change: Change, version: str) -> None:
    graph = good_graph()
    change(graph)

    broken, fine = ({finding.rule for finding in lint(graph, tensorrt)} for tensorrt in ("10.13", version))

    assert broken & {"operator", "opset"}
    assert not fine & {"operator", "opset"}


@pytest.mark.parametrize("version", ["10.3", "10.16", "11", "11.4"])
def test_typed_graph_is_buildable_by_every_version_in_the_range(version: str) -> None:
    require_buildable(good_graph(), version)


def test_graph_is_refused_with_its_first_finding_and_their_number() -> None:
    graph = good_graph()
    antialiased(graph)
    set_opset(graph)

    with pytest.raises(CheckFailedError, match=r"operator set 21.*2 findings for TensorRT 10\.3.*Fix: "):
        require_buildable(graph)


def test_version_is_refused_when_it_is_no_number() -> None:
    with pytest.raises(InputError, match="got 'newest'"):
        lint(block_graph(), "newest")


def test_values_of_external_constants_are_not_read() -> None:
    graph = good_graph()
    tensor = constant_of(graph, "stem.weight/fp16")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL

    assert lint(graph) == ()
