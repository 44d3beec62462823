"""W8A8 from a calibration table: what is smoothed, what is quantised, by which scales, and what is refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest

pytest.importorskip("coremltools", reason="the extra 'coreml' is not installed")

import torch
from coreml_models import SIZE, function, random_image, random_model, run_package, run_prepared, tiny_model, write
from int8_tables import table_of

from pixio_edge.calibration.emit import expected_int8
from pixio_edge.calibration.graph import QuantGraph
from pixio_edge.calibration.smooth import apply_smoothing_, find_groups
from pixio_edge.calibration.table import CalibrationTable, SmoothingEntry
from pixio_edge.errors import BundleError, CheckFailedError, SchemaError
from pixio_edge.export.base import ExportRequest
from pixio_edge.export.coreml.calibrated import CalibratedModel, DividedInput, QuantizedLayer, apply_table_
from pixio_edge.export.coreml.convert import Conversion, convert
from pixio_edge.export.coreml.planar import PlanarModel
from pixio_edge.export.coreml.quantize import SMALLEST_HALF, _half, quantizer
from pixio_edge.export.onnx import export_graphs
from pixio_edge.export.prepare import prepare
from pixio_edge.export.reference import reference_depth
from pixio_edge.parity import Tolerance, compare

# float32, with numbers scaled up and down by up to e^3 on the way.
SMOOTHED = Tolerance(max_rel=1e-5)
# Of this tiny model with random weights, every group smoothed by random factors: measured 0.061; without them 0.018.
INT8 = Tolerance(rel_l2=0.12)

CORRECTED = "encoder.blocks.0.attn.proj/MatMul"


@pytest.fixture(scope="module")
def graph() -> onnx.ModelProto:
    ((_, exported),) = export_graphs(tiny_model(), ExportRequest((SIZE,)), {})
    return exported


@pytest.fixture(scope="module")
def table(graph: onnx.ModelProto) -> CalibrationTable:
    """Every group smoothed, with random factors, and ranges of the smoothed graph."""
    generator = np.random.default_rng(0)
    entries = tuple(
        SmoothingEntry(
            kind=group.kind,
            source=group.source,
            layers=tuple(layer.name for layer in group.layers),
            alpha=0.5,
            factors=tuple(np.exp(generator.normal(size=len(group.channels))).tolist()),
        )
        for group in find_groups(QuantGraph(graph))
    )
    smoothed = onnx.ModelProto.FromString(graph.SerializeToString())
    apply_smoothing_(QuantGraph(smoothed), entries)
    return table_of(smoothed).model_copy(update={"smoothing": entries})


@pytest.fixture(scope="module")
def calibrated(graph: onnx.ModelProto, table: CalibrationTable) -> CalibratedModel:
    return apply_table_(prepare(tiny_model(), SIZE), graph, table)


@pytest.fixture(scope="module")
def conversion(calibrated: CalibratedModel) -> Conversion:
    transform = quantizer(calibrated.layers, "iOS17")
    return convert(PlanarModel(calibrated.prepared), [SIZE], target="iOS17", transform=transform)


def test_every_kind_of_smoothing_is_applied_and_changes_no_result(
    calibrated: CalibratedModel, table: CalibrationTable
) -> None:
    before, image = prepare(tiny_model(), SIZE), random_image(SIZE)

    assert {entry.kind for entry in table.smoothing} == {"layer_norm", "value", "gelu", "conv"}
    parity = compare(run_prepared(before, image), run_prepared(calibrated.prepared, image), SMOOTHED)
    assert parity, parity.message
    old, new = before.model.get_submodule, calibrated.prepared.model.get_submodule
    assert not torch.equal(old("encoder.blocks.0.norm1").weight, new("encoder.blocks.0.norm1").weight)
    assert not torch.equal(old("encoder.blocks.0.attn.qkv").bias, new("encoder.blocks.0.attn.qkv").bias)
    assert isinstance(new("encoder.blocks.0.mlp.fc2"), DividedInput)


def test_layers_are_those_of_the_rule_with_scales_of_the_table(
    calibrated: CalibratedModel, graph: onnx.ModelProto, table: CalibrationTable
) -> None:
    layers = {layer.name: layer for layer in calibrated.layers}

    assert set(layers) == expected_int8(graph, "tensorrt")
    qkv = layers["encoder.blocks.1.attn.qkv/MatMul"]
    found = table.activations[next(x.input for x in QuantGraph(graph).layers() if x.name == qkv.name)]
    assert qkv.input_scale == pytest.approx(max(-found.low, found.high) / 127, rel=1e-6)
    np.testing.assert_allclose(qkv.weight_scales, np.abs(qkv.weight).max(axis=1) / 127, rtol=1e-6)


def test_program_quantises_inputs_and_weights_of_every_layer(
    conversion: Conversion, calibrated: CalibratedModel
) -> None:
    operations = list(function(conversion).operations)
    quantised = [op for op in operations if op.op_type in ("linear", "conv") and op.inputs["x"].op is not None]
    quantised = [op for op in quantised if op.inputs["x"].op.op_type == "dequantize"]

    assert len(quantised) == len(calibrated.layers)
    assert {op.inputs["weight"].op.op_type for op in quantised} == {"constexpr_affine_dequantize"}
    kinds = Counter(op.op_type for op in operations)
    assert kinds["quantize"] == kinds["dequantize"] <= len(quantised)
    assert conversion.model.get_spec().specificationVersion == 8
    scales = {float(op.inputs["scale"].val) for op in operations if op.op_type == "quantize"}
    assert scales == {float(np.float16(layer.input_scale)) for layer in calibrated.layers}


def test_program_in_int8_is_near_the_model(tmp_path: Path, conversion: Conversion) -> None:
    model, image = tiny_model(), random_image(SIZE)

    depth = run_package(write(conversion, tmp_path, model), image, "fp16")

    parity = compare(reference_depth(model, image), depth, INT8)
    assert parity, parity.message
    assert parity.rel_l2 > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pixio", "depth_anything"])
def test_published_shapes_run_in_int8(tmp_path: Path, name: str) -> None:
    model, image = random_model(name), random_image(SIZE)
    ((_, exported),) = export_graphs(model, ExportRequest((SIZE,)), {})

    found = apply_table_(prepare(model, SIZE), exported, table_of(exported))
    transform = quantizer(found.layers, "iOS18")
    converted = convert(PlanarModel(found.prepared), [SIZE], target="iOS18", transform=transform)

    kinds = Counter(op.op_type for op in function(converted).operations)
    assert kinds["constexpr_blockwise_shift_scale"] == len(found.layers) == 19
    parity = compare(reference_depth(model, image), run_package(write(converted, tmp_path, model), image, "fp16"), INT8)
    assert parity, parity.message


def test_layers_to_keep_are_kept_and_biases_corrected(graph: onnx.ModelProto, table: CalibrationTable) -> None:
    plain = prepare(tiny_model(), SIZE).model.get_submodule("encoder.blocks.0.attn.proj").bias
    corrected = table.model_copy(
        update={
            "smoothing": (),
            "bias_corrections": {CORRECTED: (0.25,) * len(plain)},
            "skipped": {"encoder.blocks.1.mlp.fc1/MatMul": "too wide"},
        }
    )

    found = apply_table_(
        prepare(tiny_model(), SIZE),
        graph,
        _with_ranges(corrected, graph),
        keep_float=["encoder.blocks.1.mlp.fc2/MatMul"],
    )

    assert found.kept == ("encoder.blocks.1.mlp.fc1/MatMul", "encoder.blocks.1.mlp.fc2/MatMul")
    assert not {layer.name for layer in found.layers} & set(found.kept)
    bias = found.prepared.model.get_submodule("encoder.blocks.0.attn.proj").bias
    torch.testing.assert_close(bias, plain + 0.25)


def test_weight_limits_clip(graph: onnx.ModelProto, table: CalibrationTable) -> None:
    name = "encoder.blocks.0.mlp.fc1/MatMul"
    channels = next(layer for layer in _layers(graph, table) if layer.name == name).weight.shape[0]
    limited = _with_ranges(
        table.model_copy(update={"smoothing": (), "weight_limits": {name: (0.127,) * channels}}), graph
    )

    layer = next(layer for layer in _layers(graph, limited) if layer.name == name)

    np.testing.assert_allclose(layer.weight_scales, 0.001, rtol=1e-6)


def test_graph_of_other_weights_is_refused(graph: onnx.ModelProto, table: CalibrationTable) -> None:
    other = prepare(tiny_model(), SIZE)
    with torch.no_grad():
        other.model.get_submodule("encoder.blocks.1.mlp.fc2").weight[0, 0] += 0.01

    with pytest.raises(BundleError, match=r"encoder\.blocks\.1\.mlp\.fc2/MatMul': its weight differs"):
        apply_table_(other, graph, table)


def test_graph_of_another_model_is_refused(graph: onnx.ModelProto, table: CalibrationTable) -> None:
    renamed = onnx.ModelProto.FromString(graph.SerializeToString())
    node = next(node for node in renamed.graph.node if node.name == CORRECTED)
    node.name = "encoder.blocks.9.attn.proj/MatMul"

    with pytest.raises(BundleError, match="has no such layer"):
        apply_table_(prepare(tiny_model(), SIZE), renamed, table)


def test_smoothing_that_does_not_fit_is_refused(graph: onnx.ModelProto, table: CalibrationTable) -> None:
    first = table.smoothing[0]
    broken = first.model_copy(update={"factors": first.factors[:-1]})

    with pytest.raises(SchemaError, match="factors, expected"):
        apply_table_(prepare(tiny_model(), SIZE), graph, table.model_copy(update={"smoothing": (broken,)}))


def test_layer_that_is_not_in_the_program_is_refused() -> None:
    stranger = QuantizedLayer("stranger", np.ones((2, 3), np.float32), np.ones(2, np.float32), 1.0)

    with pytest.raises(CheckFailedError, match=r"layer 'stranger'.*found 0 times"):
        quantizer([stranger], "iOS17")(_Empty())


def test_scale_that_half_precision_cannot_hold_is_refused(graph: onnx.ModelProto, table: CalibrationTable) -> None:
    layer = _layers(graph, table)[0]

    assert _half(SMALLEST_HALF, layer) == np.float16(SMALLEST_HALF)
    with pytest.raises(CheckFailedError, match="scale of its input is 1e-06"):
        _half(1e-6, layer)


class _Empty:
    """A function without operations."""

    operations: tuple[object, ...] = ()


def _layers(graph: onnx.ModelProto, table: CalibrationTable) -> tuple[QuantizedLayer, ...]:
    return apply_table_(prepare(tiny_model(), SIZE), graph, table).layers


def _with_ranges(table: CalibrationTable, graph: onnx.ModelProto) -> CalibrationTable:
    """The ranges of the graph as it is, without smoothing."""
    return table.model_copy(update={"activations": table_of(graph).activations})
