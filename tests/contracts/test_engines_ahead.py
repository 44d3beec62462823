"""TensorRT for RTX builds our graphs on this host, without a GPU: what it refuses, TensorRT refuses as well."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from command import leftovers, run_command, run_here
from onnx import TensorProto, helper, numpy_helper
from random_models import randomise_
from typed_bundle import with_table, write_typed, write_typed_bundle

from pixio_edge.bundle import Bundle
from pixio_edge.engine_cache import find_engines, load_engine, read_engine
from pixio_edge.engines.ahead import AheadRequest, build_ahead, layers_path, preview_ahead
from pixio_edge.engines.build import BuildSettings, build_engine
from pixio_edge.engines.outcome import Outcome
from pixio_edge.engines.workbench import DeviceWorkbench
from pixio_edge.errors import RuntimeUnavailableError
from pixio_edge.export.bundle_details import BundleDetails
from pixio_edge.export.pipeline import export_bundle
from pixio_edge.export.trt.recipe import InputProfile
from pixio_edge.manifest import LicenceEntry, Precision
from pixio_edge.models.presets import build_model
from pixio_edge.runtimes.trt_library import load_library

pytest.importorskip("tensorrt_rtx", reason="needs pixio-edge[tensorrt-rtx]")

SIZE = (256, 256)
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")
SMS = ("8.6", "8.9", "12.0")
# Of nano: 8 blocks with 4 products and one fused attention each, stem and head with 34 convolutions, of which the last
# is depth and stays fp32. Without fp16, attention is two products, and some convolutions are not fused.
BLOCKS = 8
INT8_PRODUCTS = 64


def build(bundle: Bundle, output: Path, *capabilities: str, notes: list[str] | None = None) -> tuple[Outcome, ...]:
    notify = (lambda text: None) if notes is None else notes.append
    request = AheadRequest(capabilities, output)
    return build_ahead(bundle, request, progress=lambda share, label: None, notify=notify)


@pytest.fixture(scope="module")
def nano(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_typed(
        Bundle.open("nano"), tmp_path_factory.mktemp("nano") / "typed", precisions=PRECISIONS, sizes=(SIZE,)
    )


@pytest.fixture(scope="module")
def engines(nano: Bundle, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[Outcome, ...]]:
    folder = tmp_path_factory.mktemp("engines")
    return folder, build(nano, folder, "8.6")


Here = Callable[..., tuple[int, str, str]]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Here:
    """Runs the command in this process, in an empty folder: its status and what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIXIO_EDGE_CACHE", str(tmp_path / "cache"))

    return partial(run_here, monkeypatch, capsys)


def layers_of(outcome: Outcome) -> list[dict[str, object]]:
    layers: list[dict[str, object]] = json.loads(layers_path(Path(str(outcome.file))).read_text())
    return layers


def attentions(outcome: Outcome) -> int:
    return sum("mha" in str(layer["name"]) for layer in layers_of(outcome))


def assert_multiplies_as_asked(outcome: Outcome) -> None:
    """What the list of layers says of an engine of nano."""
    assert outcome.record is not None
    layers = outcome.record.layers
    if outcome.artifact.precision == "fp32":
        assert set(layers) == {"fp32"}
        return
    # The last convolution.
    assert layers["fp32"] == 1
    assert attentions(outcome) == BLOCKS
    if outcome.artifact.precision == "fp16":
        assert set(layers) == {"fp16", "fp32"}
    else:
        # The first convolution reads pixels; attention is left in fp16.
        assert layers == {"int8": INT8_PRODUCTS, "fp16": BLOCKS + 1, "fp32": 1}


def test_nano_is_built_in_every_precision_and_multiplies_in_it(engines: tuple[Path, tuple[Outcome, ...]]) -> None:
    _, outcomes = engines

    assert {item.artifact.precision: item.status for item in outcomes} == dict.fromkeys(
        ("fp16", "fp32", "int8"), "built"
    )
    for outcome in outcomes:
        assert_multiplies_as_asked(outcome)
    sizes = {item.artifact.precision: item.record.bytes for item in outcomes if item.record is not None}
    assert sizes["int8"] < sizes["fp16"] < sizes["fp32"]


def test_nano_in_int8_is_built_for_the_other_gpus(nano: Bundle, tmp_path: Path) -> None:
    request = AheadRequest(SMS[1:], tmp_path, precisions=("int8",))

    outcomes = build_ahead(nano, request, progress=lambda share, label: None, notify=lambda text: None)

    assert [item.target for item in outcomes] == list(SMS[1:])
    assert len({item.file for item in outcomes}) == 2
    for outcome in outcomes:
        assert_multiplies_as_asked(outcome)


def test_layers_name_the_nodes_of_the_graph(nano: Bundle, engines: tuple[Path, tuple[Outcome, ...]]) -> None:
    outcome = next(item for item in engines[1] if item.artifact.precision == "int8")
    graph = onnx.load(nano.folder / outcome.artifact.path, load_external_data=False).graph
    quantized = {node.name for node in graph.node if node.op_type in ("MatMul", "Conv")}

    found = {str(node) for layer in layers_of(outcome) for node in layer["nodes"]}  # type: ignore[attr-defined]

    assert len(found & quantized) > INT8_PRODUCTS


def test_engine_and_record_are_whole_and_checked_on_no_gpu(
    nano: Bundle, engines: tuple[Path, tuple[Outcome, ...]]
) -> None:
    folder, outcomes = engines
    record = outcomes[0].record
    assert record is not None
    here = record.key.gpu.model_copy(update={"device": "NVIDIA GeForce RTX 3090"})

    assert len(load_engine(record, folder=folder).data) == record.bytes
    assert record.passed is None
    assert find_engines(outcomes[0].artifact, here, folder=folder) == ()
    with pytest.raises(RuntimeUnavailableError, match="never checked on this GPU"):
        read_engine(outcomes[0].artifact, here, folder=folder)


def test_second_run_builds_nothing_and_damage_is_repaired(tmp_path: Path) -> None:
    nano = write_typed_bundle(tmp_path / "bundle", precisions=("fp16",))
    tmp_path = tmp_path / "engines"
    request = AheadRequest(("8.6",), tmp_path, precisions=("fp16",))

    def run(*, force: bool = False) -> list[str]:
        asked = AheadRequest(request.capabilities, tmp_path, request.precisions, force=force)
        made = build_ahead(nano, asked, progress=lambda share, label: None, notify=lambda text: None)
        return [item.status for item in made]

    assert [item.status for item in preview_ahead(nano, request)] == ["planned"]
    assert leftovers(tmp_path) == []
    assert run() == ["built"]
    assert run() == ["cached"]
    assert [item.status for item in preview_ahead(nano, request)] == ["cached"]
    engine = next(tmp_path.rglob("*.engine"))
    engine.write_bytes(b"x" + engine.read_bytes()[1:])
    assert run() == ["built"]


def test_interrupted_build_leaves_nothing(nano: Bundle, tmp_path: Path) -> None:
    told: list[float] = []

    def interrupt(share: float, label: str) -> None:
        told.append(share)
        if len(told) == 5:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        build_ahead(nano, AheadRequest(("8.6",), tmp_path), progress=interrupt, notify=lambda text: None)

    assert leftovers(tmp_path) == []


def quantized_graph(path: Path, zero_point: int) -> Path:
    """One convolution whose input goes through a pair with this zero point."""
    constants = {
        "scale": np.float32(0.1),
        "zero": np.int8(zero_point),
        "weight": np.ones((4, 3, 1, 1), np.float32),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"], name="q"),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"], name="pair"),
        helper.make_node("Conv", ["d", "weight"], ["y"], name="conv"),
    ]
    graph = helper.make_graph(
        nodes,
        "pair",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 8, 8])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), path)
    return path


def test_graph_that_tensorrt_refuses_is_explained_in_one_line(tmp_path: Path) -> None:
    shape = (1, 3, 8, 8)
    profile = (InputProfile(input="x", minimum=shape, optimum=shape, maximum=shape),)
    settings = BuildSettings(profile, level=3, workspace=1 << 28, compute_capability="8.6")
    library = load_library("tensorrt-rtx")

    assert build_engine(library, quantized_graph(tmp_path / "good.onnx", 0), settings).data
    with pytest.raises(RuntimeUnavailableError) as caught:
        build_engine(library, quantized_graph(tmp_path / "bad.onnx", 3), settings)

    assert "cannot read bad.onnx: " in str(caught.value)
    assert "zero" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "Fix: " in str(caught.value)


def test_command_builds_ahead_of_time_and_says_so(nano: Bundle, tmp_path: Path) -> None:
    result = run_command(
        *("build", nano.folder, "--compute-capability", "sm_86", "--output", tmp_path / "out"),
        *("--precision", "fp16", "--size", "256x256", "--json"),
    )

    assert result.returncode == 0, result.stderr
    (engine,) = json.loads(result.stdout)["engines"]
    assert engine["status"] == "built"
    assert engine["compute_capability"] == "8.6"
    assert engine["parity"] is None
    assert engine["reason"] == "built ahead of time, checked on no GPU"
    assert Path(engine["file"]).stat().st_size == engine["bytes"]
    assert "SM 8.6 tensorrt-fp16-256x256: built in" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (("--compute-capability", "8.7", "--output", "out"), ("8.7", "expected one of: 7.5, 8.0, 8.6")),
        (("--compute-capability", "Orin", "--output", "out"), ("got 'Orin'",)),
        (("--compute-capability", "8.6"), ("add --output DIR",)),
        (("--output", "out"), ("add --compute-capability",)),
        (("--compute-capability", "8.6", "--output", "out", "-r", "tensorrt"), ("--runtime tensorrt-rtx",)),
        (("--compute-capability", "8.6", "--output", "out", "--budget", "1"), ("--budget",)),
        (("--precision", "bf16"), ("expected one of: fp16, fp32, int8",)),
        (("--size", "17x17"), ("expected one of: 256x256",)),
        (("--runtime", "cuda"), ("expected one of tensorrt, tensorrt-rtx",)),
    ],
)
def test_command_refuses_what_does_not_fit(
    nano: Bundle, tmp_path: Path, here: Here, arguments: tuple[str, ...], fragments: tuple[str, ...]
) -> None:
    status, out, problem = here("build", nano.folder, *arguments)

    assert (status, out) == (2, "")
    assert problem.startswith("pixio-edge: ")
    assert problem.count("\n") == 1
    assert "Fix: " in problem
    for fragment in fragments:
        assert fragment in problem
    assert leftovers(tmp_path) == []


def has_gpu() -> bool:
    try:
        DeviceWorkbench("tensorrt-rtx")
    except RuntimeUnavailableError:
        return False
    return True


@pytest.mark.skipif(has_gpu(), reason="this host has a GPU")
def test_command_says_what_is_missing_on_a_host_without_a_gpu(nano: Bundle, tmp_path: Path, here: Here) -> None:
    status, _, problem = here("build", nano.folder)
    planned, out, notes = here("build", nano.folder, "--dry-run", "--json")

    assert status == 2
    assert "NVIDIA" in problem
    assert problem.count("\n") == 1
    assert planned == 0
    assert "NVIDIA" in notes
    assert [item["status"] for item in json.loads(out)["engines"]] == ["planned"] * 3
    assert leftovers(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("capability", SMS)
def test_whole_nano_is_built_in_every_precision(tmp_path: Path, capability: str) -> None:
    bundle = write_typed(Bundle.open("nano"), tmp_path / "typed", precisions=PRECISIONS)

    outcomes = build(bundle, tmp_path / "engines", capability)

    assert len(outcomes) == 3 * 7
    for outcome in outcomes:
        assert outcome.status == "built", outcome.reason
        assert_multiplies_as_asked(outcome)


@pytest.mark.slow
@pytest.mark.parametrize("capability", SMS)
def test_small_is_built_in_every_precision(small: Bundle, tmp_path: Path, capability: str) -> None:
    outcomes = build(small, tmp_path, capability)

    counts = {item.artifact.precision: item.record.layers for item in outcomes if item.record is not None}
    assert set(counts) == {"fp32", "fp16", "int8"}
    assert set(counts["fp32"]) == {"fp32"}
    assert counts["fp16"]["fp16"] > 10 * counts["fp16"]["fp32"]
    # Four products in each of 12 blocks, and convolutions.
    assert counts["int8"]["int8"] > 4 * 12
    assert [attentions(item) for item in outcomes if item.artifact.precision != "fp32"] == [12, 12]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The preset with random weights, calibrated on random images: engines depend on shapes and types alone."""
    folder = tmp_path_factory.mktemp("small")
    details = BundleDetails("small", "small", LicenceEntry(weights="Apache-2.0", commercial=True, notice=""))
    exported = export_bundle(randomise_(build_model("small")), folder / "float", details=details, sizes=(SIZE,))
    table = with_table(exported, folder / "table")
    return write_typed(table, folder / "typed", precisions=PRECISIONS, is_budgeted=False)
