"""Artifacts with smaller weights: smaller, near to the float depth, and never chosen unasked."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from block_bundle import picture, with_types, write_block_bundle
from tiny_bundle import use_everything
from tiny_graphs import SIZES, block_graph

from pixio_edge.bench.plan import list_plans
from pixio_edge.bundle import Bundle
from pixio_edge.calibration import float_artifacts
from pixio_edge.calibration.float_artifacts import add_small_artifacts, half_weights, integer_weights
from pixio_edge.calibration.trial import run_graph
from pixio_edge.errors import CheckFailedError, InputError, RuntimeUnavailableError
from pixio_edge.estimator import DepthEstimator
from pixio_edge.host import probe_host
from pixio_edge.parity import Tolerance
from pixio_edge.resolve import RuntimeRequest, resolve

# Weights of the block are normal: rounding them changes its depth by 0.23 % in half precision and by 4.3 % in 8 bits.
HALF_ERROR = 0.005
INT8_ERROR = 0.08


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_block_bundle(tmp_path_factory.mktemp("small") / "block").folder


@pytest.fixture
def bundle(pristine: Path, tmp_path: Path) -> Bundle:
    return Bundle.open(shutil.copytree(pristine, tmp_path / "block"))


def rel_l2(reference: np.ndarray, other: np.ndarray) -> float:
    return float(np.linalg.norm(other - reference) / np.linalg.norm(reference))


@pytest.mark.parametrize(
    ("convert", "limit", "operator"),
    [(integer_weights, INT8_ERROR, "DequantizeLinear"), (half_weights, HALF_ERROR, "Cast")],
)
def test_graph_with_smaller_weights_gives_about_the_same_depth(convert: Any, limit: float, operator: str) -> None:
    graph = with_types(block_graph())
    before = graph.SerializeToString()
    images = [picture(SIZES[0], seed=3)[None]]

    small = convert(graph)

    onnx.checker.check_model(small, full_check=True)
    error = rel_l2(run_graph(graph, images, 1)[0], run_graph(small, images, 1)[0])
    assert 0 < error < limit
    added = sum(n.op_type == operator for n in small.graph.node) - sum(n.op_type == operator for n in graph.graph.node)
    assert added > 3
    assert small.ByteSize() < graph.ByteSize()
    assert graph.SerializeToString() == before


@pytest.mark.parametrize(("storage", "short"), [("int8", "w8"), ("fp16", "w16")])
def test_bundle_gets_smaller_artifacts_that_run_in_fp32_where_they_are_alone(
    bundle: Bundle, storage: Any, short: str
) -> None:
    entries = add_small_artifacts(bundle, storage)

    written = Bundle.open(bundle.folder)
    use_everything(bundle.folder)
    assert [entry.name for entry in entries] == [f"onnx-{short}-{h}x{w}" for h, w in SIZES]
    assert all(entry.verified and entry.flavour == "weights" for entry in entries)
    assert resolve(written.artifacts, probe_host(), RuntimeRequest("ort")).precision == "fp32"
    with pytest.raises(RuntimeUnavailableError, match=f"fp32 graph with {storage} weights"):
        DepthEstimator.open(written, runtime="ort", precision=storage)
    written.manifest = written.manifest.model_copy(update={"artifacts": entries})
    with DepthEstimator.open(written, runtime="ort", threads=1) as estimator:
        assert estimator.resolution.ladder == entries
        depth = estimator.predict(picture((70, 60), seed=1))
        info = estimator.info(profile=True)
    assert np.isfinite(depth.values).all()
    assert str(depth.source).endswith(" in fp32")
    assert (info.precision, info.int8_ops) == ("fp32", 0)


@pytest.mark.parametrize("storage", ["int8", "fp16"])
def test_smaller_artifacts_are_benchmarked_and_labelled_in_fp32(bundle: Bundle, storage: Any) -> None:
    entries = add_small_artifacts(bundle, storage)

    plans = list_plans(Bundle.open(bundle.folder), bundle.folder.name, runtimes=["ort"])

    found = {plan.artifact: plan.precision for plan in plans}
    assert {found[entry.name] for entry in entries} == {"fp32"}


def test_dry_run_checks_the_artifacts_and_writes_nothing(bundle: Bundle, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    entries = add_small_artifacts(bundle, "int8", dry_run=True)

    assert all(entry.verified for entry in entries)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_weights_are_stored_once_for_all_sizes(bundle: Bundle) -> None:
    entries = add_small_artifacts(bundle, "int8")

    own = {data.path: data.bytes for entry in entries for data in entry.data}
    assert list(own) == ["weights-w8.bin"]
    assert 0 < own["weights-w8.bin"] < 0.5 * (bundle.folder / "weights.bin").stat().st_size


def test_adding_again_replaces(bundle: Bundle) -> None:
    add_small_artifacts(bundle, "fp16")
    names = sorted(path.name for path in bundle.folder.iterdir())

    add_small_artifacts(Bundle.open(bundle.folder), "fp16")

    assert sorted(path.name for path in bundle.folder.iterdir()) == names


def test_constant_beyond_the_range_of_half_precision_stays_float() -> None:
    graph = with_types(block_graph())
    weight = next(t for t in graph.graph.initializer if t.name == "fc1.weight")
    value = onnx.numpy_helper.to_array(weight).copy()
    value[0, 0] = 1e5
    weight.CopyFrom(onnx.numpy_helper.from_array(value, weight.name))

    names = {tensor.name for tensor in half_weights(graph).graph.initializer}

    assert "fc1.weight" in names
    assert "fc2.weight/half" in names


def test_depth_that_differs_too_much_is_refused_and_the_bundle_stays(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(float_artifacts.LIMITS, "int8", Tolerance(rel_l2=1e-9))
    before = {path.name: path.read_bytes() for path in bundle.folder.iterdir()}

    with pytest.raises(CheckFailedError, match="onnx-w8-64x64 with int8 weights: parity fails"):
        add_small_artifacts(bundle, "int8")

    assert {path.name: path.read_bytes() for path in bundle.folder.iterdir()} == before


def test_unknown_storage_is_refused(bundle: Bundle) -> None:
    storage: Any = "int4"

    with pytest.raises(InputError, match="got 'int4', expected one of int8, fp16"):
        add_small_artifacts(bundle, storage)
