"""Artifacts of kind `tensorrt` in a bundle: graphs, weights, recipe, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from block_bundle import write_block_bundle
from int8_tables import table_of
from onnx import TensorProto
from tiny_graphs import SIZES, block_graph

from pixio_edge.bundle import Bundle
from pixio_edge.bundle_writer import write_bundle
from pixio_edge.calibration.artifact import Int8Source, Recipe, write_int8
from pixio_edge.calibration.calibrate import range_tensors
from pixio_edge.calibration.ladder import FloatLadder
from pixio_edge.calibration.targets import Target
from pixio_edge.errors import BundleError, CheckFailedError, InputError, SchemaError
from pixio_edge.export.trt import artifacts as module
from pixio_edge.export.trt.artifacts import add_tensorrt, typed_names
from pixio_edge.export.trt.int8_source import has_table
from pixio_edge.export.trt.recipe import RECIPE, make_recipe, read_recipe
from pixio_edge.manifest import ArtifactEntry, Precision
from pixio_edge.parity import Tolerance

KEPT = "fc1"


@pytest.fixture
def source(tmp_path: Path) -> Bundle:
    return write_block_bundle(tmp_path / "float")


@pytest.fixture
def calibrated(source: Bundle, tmp_path: Path) -> Bundle:
    """The same with a calibration table."""
    graph = onnx.shape_inference.infer_shapes(block_graph())
    with write_bundle(tmp_path / "calibrated", source.manifest) as writer:
        writer.take_over(source)
        table_of(graph, tensors=range_tensors(graph)).save(writer.folder / "calibration.json")
        writer.add_file("calibration.json", "calibration")
    return Bundle.open(tmp_path / "calibrated")


def extended(bundle: Bundle, folder: Path, *precisions: Precision, **options: object) -> Bundle:
    with write_bundle(folder, bundle.manifest, replace=True) as writer:
        writer.take_over(bundle, drop=typed_names(bundle))
        add_tensorrt(bundle, writer, precisions=precisions, threads=1, **options)
    return Bundle.open(folder)


def typed(bundle: Bundle) -> list[ArtifactEntry]:
    return [artifact for artifact in bundle.artifacts if artifact.kind == "tensorrt"]


def test_graph_of_every_size_is_added_and_nothing_is_said_to_be_verified(source: Bundle, tmp_path: Path) -> None:
    stages: list[str] = []

    bundle = extended(source, tmp_path / "out", "fp16", on_stage=stages.append)

    names = [f"tensorrt-fp16-{height}x{width}" for height, width in SIZES]
    assert [artifact.name for artifact in typed(bundle)] == names
    assert stages == [*(f"typed {name}" for name in names), *(f"checked {name}" for name in names)]
    for artifact in typed(bundle):
        assert artifact.requires.runtimes == ("tensorrt", "tensorrt-rtx")
        assert (artifact.verified, artifact.verified_on, artifact.quantization) == (False, None, None)
        assert artifact.parity is not None
        assert "no engine was run" in str(artifact.parity["executed"])
        assert artifact.golden == bundle.artifact(artifact.name.replace("tensorrt-fp16", "onnx-fp32")).golden
    assert bundle.artifacts[: len(source.artifacts)] == source.artifacts
    assert bundle.verify_hashes()


def test_sizes_share_one_weight_file_in_half_precision(source: Bundle, tmp_path: Path) -> None:
    bundle = extended(source, tmp_path / "out", "fp16")

    data = {artifact.data for artifact in typed(bundle)}
    assert len(data) == 1
    ((weights,),) = data
    graph = onnx.load(bundle.read_artifact(typed(bundle)[0]).path, load_external_data=False).graph
    external = [tensor for tensor in graph.initializer if tensor.data_location == TensorProto.EXTERNAL]
    halves = [tensor for tensor in external if tensor.data_type == TensorProto.FLOAT16]
    assert len(halves) > len(external) / 2
    assert weights.bytes < 0.6 * bundle.artifact("onnx-fp32-64x64").data[0].bytes


def test_int8_is_made_from_the_table_of_the_bundle(calibrated: Bundle, tmp_path: Path) -> None:
    bundle = extended(calibrated, tmp_path / "out", "fp16", "int8")

    assert [artifact.precision for artifact in typed(bundle)] == ["fp16", "fp16", "int8", "int8"]
    int8 = bundle.artifact("tensorrt-int8-64x64")
    assert int8.quantization is not None
    assert (int8.quantization.flavour, int8.quantization.calibration) == ("tensorrt", "calibration.json")
    graph = onnx.load(bundle.read_artifact(int8).path).graph
    assert any(node.op_type == "QuantizeLinear" for node in graph.node)
    assert int8.data != bundle.artifact("tensorrt-fp16-64x64").data
    assert int8.tolerance is not None
    assert int8.parity is not None
    assert float(str(int8.parity["rel_l2"])) < float(int8.tolerance.rel_l2 or 0)


def test_int8_is_that_of_quantize_where_the_bundle_has_it(calibrated: Bundle, tmp_path: Path) -> None:
    graph = onnx.shape_inference.infer_shapes(block_graph())
    with write_bundle(tmp_path / "quantized", calibrated.manifest) as writer:
        writer.take_over(calibrated)
        source = Int8Source(FloatLadder(calibrated), table_of(graph, tensors=range_tensors(graph)), {})
        write_int8(writer, source, [Recipe(Target("tensorrt", "tensorrt", (), runs_here=False), (KEPT,))], threads=1)

    bundle = extended(Bundle.open(tmp_path / "quantized"), tmp_path / "out", "int8")

    artifact = bundle.artifact("tensorrt-int8-64x64")
    nodes = {node.name: node for node in onnx.load(bundle.read_artifact(artifact).path).graph.node}
    assert artifact.quantization is not None
    assert artifact.quantization.keep_float == (KEPT,)
    assert nodes[KEPT].input[1] == f"{KEPT}.weight/fp16"
    assert nodes["fc2"].input[1] != "fc2.weight/fp16"


def test_int8_is_refused_without_a_table(source: Bundle, tmp_path: Path) -> None:
    assert not has_table(source)
    with pytest.raises(InputError, match=r"no calibration table.*Fix: pixio-edge quantize"):
        extended(source, tmp_path / "out", "fp16", "int8")

    assert not (tmp_path / "out").exists()


def test_fp32_has_no_operator_that_old_parsers_lack(source: Bundle, tmp_path: Path) -> None:
    bundle = extended(source, tmp_path / "out", "fp32", sizes=[SIZES[1]])

    (artifact,) = typed(bundle)
    graph = onnx.load(bundle.read_artifact(artifact).path).graph
    assert artifact.name == "tensorrt-fp32-48x80"
    assert "Gelu" not in {node.op_type for node in graph.node}
    assert TensorProto.FLOAT16 not in {tensor.data_type for tensor in graph.initializer}


def test_recipe_has_one_profile_for_each_graph_and_no_precision_flag(calibrated: Bundle, tmp_path: Path) -> None:
    bundle = extended(calibrated, tmp_path / "out", "fp16", "int8")

    recipe = read_recipe(bundle)

    assert recipe == make_recipe(bundle.artifacts)
    assert recipe.network_flags == ("STRONGLY_TYPED",)
    assert recipe.builder_flags == ()
    assert [entry.artifact for entry in recipe.artifacts] == [artifact.name for artifact in typed(bundle)]
    (profile,) = recipe.of(bundle.artifact("tensorrt-int8-48x80")).profile
    assert profile.input == "image"
    assert profile.minimum == profile.optimum == profile.maximum == (1, 48, 80, 3)


def test_recipe_is_refused_when_it_is_missing_or_lacks_an_artifact(source: Bundle, tmp_path: Path) -> None:
    bundle = extended(source, tmp_path / "out", "fp16")

    with pytest.raises(BundleError, match="pixio-edge export --format tensorrt"):
        read_recipe(source)
    with pytest.raises(BundleError, match="does not list artifact 'onnx-fp32-64x64'"):
        read_recipe(bundle).of(bundle.artifacts[0])


@pytest.mark.parametrize(
    ("old", "new"), [('"recipe_version": 1', '"recipe_version": 2'), ('"workspace"', '"work"'), ("{", "[")]
)
def test_recipe_is_refused_when_it_cannot_be_understood(source: Bundle, tmp_path: Path, old: str, new: str) -> None:
    bundle = extended(source, tmp_path / "out", "fp16")
    text = (bundle.folder / RECIPE).read_text(encoding="utf-8").replace(old, new, 1)
    with write_bundle(tmp_path / "altered", bundle.manifest) as writer:
        writer.take_over(bundle, drop={RECIPE})
        (writer.folder / RECIPE).write_text(text, encoding="utf-8")
        writer.add_file(RECIPE, "recipe")

    with pytest.raises(SchemaError, match=re.escape(RECIPE)):
        read_recipe(Bundle.open(tmp_path / "altered"))


def test_older_typed_graphs_and_their_files_are_replaced(calibrated: Bundle, tmp_path: Path) -> None:
    first = extended(calibrated, tmp_path / "out", "fp16", "int8")

    second = extended(first, tmp_path / "out", "fp16", sizes=[SIZES[0]])

    assert [artifact.name for artifact in typed(second)] == ["tensorrt-fp16-64x64"]
    assert not list(second.folder.glob("*int8*"))
    assert [entry.artifact for entry in read_recipe(second).artifacts] == ["tensorrt-fp16-64x64"]


@pytest.mark.parametrize(
    ("precisions", "sizes", "message"),
    [
        (("bf16",), None, "got 'bf16', expected one of fp32, fp16, int8"),
        ((), None, "got none"),
        (("fp16",), [(32, 32)], "size 32x32.*expected one of 64x64, 48x80"),
    ],
)
def test_request_is_refused_when_it_cannot_be_met(
    source: Bundle, tmp_path: Path, precisions: tuple[Precision, ...], sizes: list[tuple[int, int]] | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        extended(source, tmp_path / "out", *precisions, sizes=sizes)


def test_graph_that_computes_something_else_is_refused(
    source: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(module.LIMITS, "fp16", Tolerance(rel_l2=1e-6))

    with pytest.raises(CheckFailedError, match=r"tensorrt-fp16-64x64: parity fails"):
        extended(source, tmp_path / "out", "fp16")

    assert not (tmp_path / "out").exists()


def clipped(calibrated: Bundle, folder: Path, share: float) -> Bundle:
    """The same with ranges that are a share as wide, as of a shape that calibration has not seen."""
    graph = onnx.shape_inference.infer_shapes(block_graph())
    table = table_of(graph, tensors=range_tensors(graph))
    narrow = {
        name: found.model_copy(update={"low": share * found.low, "high": share * found.high})
        for name, found in table.activations.items()
    }
    with write_bundle(folder, calibrated.manifest) as writer:
        writer.take_over(calibrated, drop=["calibration.json"])
        table.model_copy(update={"activations": narrow}).save(writer.folder / "calibration.json")
        writer.add_file("calibration.json", "calibration")
    return Bundle.open(folder)


def test_int8_outside_of_the_budget_is_refused_with_its_size(
    calibrated: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = clipped(calibrated, tmp_path / "clipped", 0.4)
    monkeypatch.setitem(module.LIMITS, "int8", Tolerance(rel_l2=1.0))

    with pytest.raises(
        CheckFailedError,
        match=r"tensorrt-int8-48x80: INT8 costs too much: .*allowed.*Fix: quantize with images of the shape of 48x80.*"
        r"--precision fp16.*leave size 48x80 out",
    ):
        extended(bundle, tmp_path / "out", "int8", sizes=[SIZES[1]])

    assert not (tmp_path / "out").exists()
    assert typed(extended(bundle, tmp_path / "out", "int8", sizes=[SIZES[1]], is_budgeted=False))


def test_int8_of_a_broken_graph_is_refused_without_a_budget_too(calibrated: Bundle, tmp_path: Path) -> None:
    bundle = clipped(calibrated, tmp_path / "clipped", 0.1)

    with pytest.raises(CheckFailedError, match=r"tensorrt-int8-64x64: parity fails.*--precision fp16"):
        extended(bundle, tmp_path / "out", "int8", is_budgeted=False)


def test_tolerance_has_room_above_the_error_up_to_its_ceiling(
    calibrated: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(module.SMALLEST_TOLERANCES, "int8", 0.0)
    (roomy,) = typed(extended(calibrated, tmp_path / "roomy", "int8", sizes=[SIZES[0]]))
    assert roomy.parity is not None
    error = float(str(roomy.parity["rel_l2"]))
    monkeypatch.setitem(module.LIMITS, "int8", Tolerance(rel_l2=1.5 * error))

    (tight,) = typed(extended(calibrated, tmp_path / "tight", "int8", sizes=[SIZES[0]]))

    assert roomy.tolerance == Tolerance(rel_l2=2 * error)
    assert tight.tolerance == Tolerance(rel_l2=1.5 * error)


def test_damaged_source_is_refused(source: Bundle, tmp_path: Path) -> None:
    weights = source.folder / source.artifacts[0].data[0].path
    content = np.fromfile(weights, np.uint8)
    content[100] ^= 1
    content.tofile(weights)

    with pytest.raises(BundleError, match="altered"):
        extended(Bundle.open(source.folder), tmp_path / "out", "fp16")
