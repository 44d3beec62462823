"""Jobs of the benchmarks: processes of their own, turns, what a graph costs, and the limits of the machine."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pixio_edge.bundle import Bundle
from tests.tiny_bundle import HIDDEN, write_tiny_bundle

pytest.importorskip("psutil", reason="psutil, of the developer tools, is not installed")
ROOT = Path(__file__).parents[2]
# What eight bits leave of two chained products of noise, in decibels: 36 measured; 10 where a scale is wrong.
INT8_CHAIN_SQNR_DB = 25.0

Load = Callable[[str], Any]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    bundle = write_tiny_bundle(tmp_path / "tiny", sizes=((32, 48),))
    return bundle.folder / bundle.artifacts[0].path


class FakeWorker:
    """Runs in a time that its job names; breaks where the job says so."""

    opened: list[str]

    def __init__(self, job: Any) -> None:
        type(self).opened.append(job.path)
        if job.path == "absent":
            raise job.settings["error"]("it does not open")
        self.job = job
        self.load_ms = 5.0

    def run(self, runs: int, *, warm: int = 0) -> list[float]:
        if self.job.path == "dies":
            raise self.job.settings["error"]("it died")
        self.job.settings["turns"].append((runs, warm))
        return [self.job.settings["ms"]] * runs

    def peak_rss_mib(self) -> float:
        return 7.0

    def __enter__(self) -> FakeWorker:
        return self

    def __exit__(self, *_: object) -> None:
        self.job.settings["closed"] = True


def fake_job(load: Load, path: str, milliseconds: float = 1.0) -> Any:
    error = load("engine_worker").WorkerError
    settings = {"ms": milliseconds, "turns": [], "error": error}
    job = load("engine_jobs").Job("ort", path, settings=settings)
    object.__setattr__(job, "to_json", lambda: path)  # its settings are no JSON
    return job


@pytest.fixture
def fake(load: Load) -> type[FakeWorker]:
    FakeWorker.opened = []
    return FakeWorker


def test_process_runs_its_graph_and_names_its_nodes(load: Load, graph: Path) -> None:
    job = load("engine_jobs").Job("ort", str(graph), threads=1)

    with load("engine_worker").Worker(job) as worker:
        times = worker.run(3, warm=1)
        nodes = worker.profile(2)
        peak = worker.peak_rss_mib()

    assert len(times) == 3
    assert min(times) > 0
    assert len(nodes) > 1  # its two convolutions have no names; the engine gives them some
    assert peak is None or peak > 1


def test_process_that_cannot_open_its_job_gives_its_last_words(load: Load) -> None:
    with pytest.raises(load("engine_worker").WorkerError, match=r"absent\.onnx.*exit status 1"):
        load("engine_worker").Worker(load("engine_jobs").Job("ort", "absent.onnx"))


@pytest.mark.parametrize("in_flight", [1, 3])
def test_openvino_runs_as_many_at_once_as_asked_for(load: Load, graph: Path, in_flight: int) -> None:
    pytest.importorskip("openvino", reason="the extra 'openvino' is not installed")
    jobs = load("engine_jobs")

    jobs.open_job(jobs.Job("openvino", str(graph), threads=1, in_flight=in_flight))()
    jobs.open_job(jobs.Job("ort", str(graph), threads=1, in_flight=in_flight))()
    nodes = load("engine_profile").profile_job(jobs.Job("openvino", str(graph), threads=1), 1)

    assert {"features", "plane"} & {name.partition("/")[0] for name in nodes}  # outputs of its convolutions


def test_stages_of_the_shipped_int8_graph_hold_all_that_openvino_multiplies(load: Load) -> None:
    pytest.importorskip("openvino", reason="the extra 'openvino' is not installed")
    bundle = Bundle.open("nano")
    entry = next(item for item in bundle.artifacts if item.name == "onnx-int8-openvino-256x256")
    job = load("engine_jobs").Job("openvino", str(bundle.folder / entry.path), threads=1)

    compiled = load("engine_jobs").openvino_model(job)
    names = load("engine_profile")._original_names(compiled)

    kinds = {node.get_friendly_name(): node for node in compiled.get_runtime_model().get_ordered_ops()}
    products = ("FullyConnected", "Convolution", "MatMul", "ScaledDotProductAttention")
    heavy = [own for own, node in kinds.items() if node.get_rt_info()["layerType"].astype(str) in products]
    stage_of = load("graph_cost").stage_of
    assert len(heavy) > 50
    assert [own for own in heavy if stage_of(names[own]) == "rest"] == []


def test_our_pipeline_gives_depth_of_the_size_of_the_image(load: Load, graph: Path) -> None:
    jobs = load("engine_jobs")

    depth = jobs.open_job(jobs.Job("ours", str(graph), threads=1, settings={"engine": "ort", "frame": [50, 70]}))()

    assert depth.shape == (50, 70)


@pytest.mark.parametrize("triad", [False, True])
def test_memory_job_moves_every_element(load: Load, triad: bool) -> None:
    jobs = load("engine_jobs")
    moved: list[np.ndarray] = []
    full = np.full

    class Watched:
        """Numpy that remembers the arrays that are made filled."""

        def __getattr__(self, name: str) -> Any:
            return getattr(np, name)

        def full(self, *arguments: Any) -> np.ndarray:
            moved.append(full(*arguments))
            return moved[-1]

    jobs.np = Watched()
    try:
        jobs.open_job(jobs.Job("stream", threads=3, settings={"triad": triad, "bytes": 4 * 100_001}))()
    finally:
        jobs.np = np

    expected = 1.0 + 3 * 2.0 if triad else 1.0
    np.testing.assert_array_equal(moved[-1], np.full(100_001, expected, np.float32))


def test_fast_jobs_run_more_often_in_a_turn_and_slow_ones_are_not_warmed(load: Load, fake: type[FakeWorker]) -> None:
    jobs = {"fast": fake_job(load, "fast", 10.0), "slow": fake_job(load, "slow", 900.0)}

    found = load("interleave").interleave(jobs, 2, make_worker=fake)

    assert jobs["fast"].settings["turns"] == [(1, 1), (10, 1)]
    assert jobs["slow"].settings["turns"] == [(1, 1), (1, 0)]
    assert found["fast"].p50_ms == 10.0
    assert (found["slow"].load_ms, found["slow"].peak_rss_mib) == (5.0, 7.0)
    assert all(job.settings["closed"] for job in jobs.values())


def test_job_that_fails_leaves_the_others_running(load: Load, fake: type[FakeWorker]) -> None:
    jobs = {name: fake_job(load, name) for name in ("absent", "dies", "well")}

    found = load("interleave").interleave(jobs, 3, make_worker=fake)

    assert (found["absent"].error, found["dies"].error, found["well"].error) == ("it does not open", "it died", None)
    assert (found["absent"].p50_ms, found["well"].p50_ms) == (None, 1.0)


def test_interrupted_run_goes_on_after_the_rounds_that_were_kept(
    load: Load, fake: type[FakeWorker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interleave = load("interleave")
    progress = tmp_path / "deep" / "progress.json"
    job = fake_job(load, "well")
    original = fake.run

    def interrupt(worker: FakeWorker, runs: int, *, warm: int = 0) -> list[float]:
        if len(worker.job.settings["turns"]) == 2:
            raise KeyboardInterrupt
        return original(worker, runs, warm=warm)

    monkeypatch.setattr(fake, "run", interrupt)
    with pytest.raises(KeyboardInterrupt):
        interleave.interleave({"well": job}, 4, progress=progress, make_worker=fake)
    monkeypatch.setattr(fake, "run", original)

    again = interleave.interleave({"well": job}, 4, progress=progress, make_worker=fake)
    opened = len(fake.opened)
    third = interleave.interleave({"well": job}, 4, progress=progress, make_worker=fake)

    assert len(job.settings["turns"]) == 4
    assert third == again
    assert len(fake.opened) == opened
    interleave.forget(progress)
    interleave.interleave({"well": job}, 1, progress=progress, make_worker=fake)
    assert len(fake.opened) == opened + 1


def test_only_so_many_processes_are_open_at_once(load: Load, fake: type[FakeWorker]) -> None:
    jobs = {str(index): fake_job(load, str(index)) for index in range(5)}
    most = 0

    def watched(job: Any) -> FakeWorker:
        nonlocal most
        worker = fake(job)
        is_open = [item for item in jobs.values() if item.path in fake.opened and "closed" not in item.settings]
        most = max(most, len(is_open))
        return worker

    load("interleave").interleave(jobs, 1, at_once=2, make_worker=watched)

    assert most == 2
    assert len(fake.opened) == 5


def test_cost_of_the_tiny_graph_is_that_of_its_convolutions(load: Load, graph: Path) -> None:
    cost = load("graph_cost").count_graph(graph)

    pixels = 32 * 48
    assert cost.macs == pixels * HIDDEN * 27 + pixels * HIDDEN
    assert cost.weights == HIDDEN * 27 + HIDDEN
    assert cost.activations == pixels * (3 + HIDDEN) + pixels * (HIDDEN + 1)


@pytest.mark.parametrize(
    ("operator", "shapes", "options", "expected"),
    [
        ("MatMul", ((2, 5, 7), (7, 3)), {}, 2 * 5 * 7 * 3),
        ("Gemm", ((7, 5), (7, 3)), {"transA": 1}, 5 * 7 * 3),
        ("Gemm", ((5, 7), (3, 7)), {"transB": 1}, 5 * 7 * 3),
        ("ConvTranspose", ((1, 4, 6, 6), (4, 2, 3, 3)), {"strides": [2, 2]}, 4 * 36 * 2 * 9),
        ("Conv", ((1, 4, 6, 6), (8, 2, 3, 3)), {"group": 2, "strides": [3, 3]}, 8 * 2 * 2 * 2 * 9),
    ],
)
def test_products_are_counted_by_their_multiply_adds(
    load: Load, operator: str, shapes: Any, options: dict[str, Any], expected: int
) -> None:
    first, weight = shapes
    node = helper.make_node(operator, ["x", "w"], ["y"], name="head/one", **options)
    values = [helper.make_tensor_value_info("x", TensorProto.FLOAT, first)]
    result = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    weights = [numpy_helper.from_array(np.zeros(weight, np.float32), "w")]
    model = helper.make_model(helper.make_graph([node], "one", values, result, weights))

    assert load("graph_cost").count_stages(model)["head"].macs == expected


def test_graph_of_unknown_sizes_is_refused(load: Load) -> None:
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="one")
    values = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 7])]
    weights = [numpy_helper.from_array(np.zeros((7, 3), np.float32), "w")]
    result = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    model = helper.make_model(helper.make_graph([node], "one", values, result, weights))

    with pytest.raises(ValueError, match="shape of 'x' is not known"):
        load("graph_cost").count_stages(model)


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("encoder.blocks.3.attn/MatMul_2/QuantizeLinear", "attention"),
        ("encoder.blocks.3.attn.qkv/MatMul", "linear layers of the encoder"),
        ("encoder.blocks.6.mlp.fc1/MatMul/DequantizationMultiply", "linear layers of the encoder"),
        ("encoder.patch_embed.stage2.conv/Conv", "stem"),
        ("head.fusions.1/Resize", "head"),
        ("Cast", "rest"),
    ],
)
def test_stage_is_known_from_the_name_also_as_an_engine_writes_it(load: Load, name: str, stage: str) -> None:
    assert load("graph_cost").stage_of(name) == stage


@pytest.mark.parametrize("shape", ["matmul", "conv"])
def test_int8_product_of_the_limit_computes_what_the_float_one_does(load: Load, shape: str, tmp_path: Path) -> None:
    limits, jobs = load("limits"), load("engine_jobs")
    outputs = {}
    for form in ("float", "int8"):
        path = tmp_path / f"{form}.onnx"
        onnx.save(limits.product_graph(shape, form, 32, 8), path)
        session = jobs.ort_session(jobs.Job("ort", str(path), threads=1))
        outputs[form] = session.run(None, jobs.ort_feeds(session))[0]

    error = np.square(outputs["float"] - outputs["int8"]).mean()

    assert 10 * np.log10(np.square(outputs["float"]).mean() / error) > INT8_CHAIN_SQNR_DB


def test_limits_are_the_best_of_each_precision(load: Load, tmp_path: Path) -> None:
    limits = load("limits")
    cases = limits.list_cases(2, tmp_path, is_quick=True)
    times = {limits.case_key(case): [4.0, 2.0, 3.0] for case in cases if case.name != "ort conv"}

    records = limits.summarise(cases, times)
    rates = limits.best_rates(records)

    assert all(Path(case.job.path).is_file() for case in cases if case.job.path)
    assert {"fp32", "int8", "memory"} <= set(rates)
    assert rates["memory"] == pytest.approx(3 * 2**22 / 3e-3)
    assert rates["int8"] == pytest.approx(max(2 * 128**3, 2 * 9 * 16**4) / 3e-3)
    assert not any(record["what"] == "ort conv" for record in records)


def test_load_of_the_machine_is_never_negative_and_names_itself(load: Load) -> None:
    module: ModuleType = load("machine_load")

    quiet = module.load_since(module.LoadReading.now())

    assert quiet["others_cpu_share"] >= 0
    assert module.load_note({"loaded": False}) == ""
    assert "40%" in module.load_note({"loaded": True, "others_cpu_share": 0.4})
