"""The pipeline from a bundle and pictures to INT8 artifacts, with times that are made up and everything else real."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from block_bundle import write_block_bundle, write_pictures
from tiny_bundle import use_everything, write_tiny_bundle
from tiny_graphs import SIZES

from pixio_edge.bundle import SUMS, Bundle
from pixio_edge.calibration import artifact as artifact_module
from pixio_edge.calibration import judge as judge_module
from pixio_edge.calibration import pareto as pareto_module
from pixio_edge.calibration import quantize as quantize_module
from pixio_edge.calibration import speed as speed_module
from pixio_edge.calibration.accuracy import Accuracy, AccuracyGate
from pixio_edge.calibration.budget import Budget
from pixio_edge.calibration.config import CalibrationConfig
from pixio_edge.calibration.dataset import CalibrationSet
from pixio_edge.calibration.quantize import quantize
from pixio_edge.calibration.request import QuantizeReport, QuantizeRequest, make_request
from pixio_edge.calibration.speed import SpeedPlan, against_speed, sizes_to_time, time_pair
from pixio_edge.calibration.table import load_table
from pixio_edge.calibration.targets import X86_INT8, find_targets
from pixio_edge.errors import BundleError, CheckFailedError, InputError, OutputError, RuntimeUnavailableError
from pixio_edge.estimator import DepthEstimator
from pixio_edge.host import Host, probe_host
from pixio_edge.quantization import SpeedEntry
from pixio_edge.resolve import RuntimeRequest, resolve

# Random weights make a harder net than a trained one: what it loses is not the subject here.
WIDE = Budget(20.0)
PLAIN = CalibrationConfig(
    activation_method="minmax", smoothing=False, rounding="nearest", bias_correction=False, threads=1
)
REQUEST = QuantizeRequest(("ort",), WIDE, PLAIN, held_back=4, search_images=2, speed=SpeedPlan(threads=1))


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_block_bundle(tmp_path_factory.mktemp("quantize") / "block").folder


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> CalibrationSet:
    return CalibrationSet.open(write_pictures(tmp_path_factory.mktemp("pictures") / "all", 12), images=12)


@pytest.fixture
def bundle(pristine: Path, tmp_path: Path) -> Bundle:
    """A copy that a test may write into."""
    return Bundle.open(shutil.copytree(pristine, tmp_path / "block"))


@pytest.fixture(autouse=True)
def timed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every pair takes 10 and 5 ms; gives the names of the artifacts that were timed."""
    return pretend_speed(monkeypatch, 2.0)


def pretend_speed(monkeypatch: pytest.MonkeyPatch, speedup: float) -> list[str]:
    names: list[str] = []

    def pretend(folder: Path, runtime: str, before: Any, after: Any, plan: SpeedPlan) -> SpeedEntry:
        use_everything(folder)
        names.append(after.name)
        return SpeedEntry(
            runtime=runtime,
            size=after.size,
            threads=plan.threads or 1,
            float_ms=10.0,
            int8_ms=10.0 / speedup,
            speedup=speedup,
            rounds=plan.rounds,
            int8_ops=5,
            float_ops=1,
            cpu="made up",
        )

    monkeypatch.setattr(judge_module, "time_pair", pretend)
    return names


def state(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_int8_ladder_is_written_beside_the_float_one(bundle: Bundle, images: CalibrationSet) -> None:
    before = state(bundle.folder)

    report = quantize(bundle, images, REQUEST)

    report.require()
    written = Bundle.open(bundle.folder)
    written.verify_hashes()
    assert report.folder == bundle.folder
    assert [a.name for a in written.artifacts[: len(SIZES)]] == [a.name for a in bundle.artifacts]
    int8 = written.artifacts[len(SIZES) :]
    assert tuple(a.name for a in int8) == report.artifacts
    assert {(a.size, a.precision, a.requires.runtimes) for a in int8} == {(size, "int8", ("ort",)) for size in SIZES}
    assert all(
        before[name] == content for name, content in state(bundle.folder).items() if name in before and ".onnx" in name
    )
    assert [path.name for path in bundle.folder.parent.iterdir()] == ["block"]


def test_manifest_says_how_it_was_made_and_what_was_measured(bundle: Bundle, images: CalibrationSet) -> None:
    report = quantize(bundle, images, REQUEST)

    entry = Bundle.open(bundle.folder).artifact(report.artifacts[0])
    facts = entry.quantization
    assert facts is not None
    assert (facts.budget, facts.keep_float) == (20.0, ())
    assert facts.accuracy is not None
    assert facts.accuracy["images"] == 3
    assert facts.speed[0].speedup == 2.0
    assert entry.verified
    assert entry.verified_on is not None
    assert "ort" in str(entry.verified_on["runtime"])
    assert entry.tolerance is not None
    assert entry.tolerance.rel_l2 is not None
    table = load_table(bundle.folder / str(facts.calibration))
    assert (table.provenance.images, table.provenance.source) == (9, "all")
    assert table.provenance.graph_sha256 == bundle.artifacts[0].sha256


@pytest.mark.parametrize(
    ("wanted", "held_back", "found"),
    [
        (4, 32, (4, 8)),  # the rest checks
        (4, 3, (4, 3)),
        (9, 32, (9, 3)),
        (10, 32, (9, 3)),  # too few for both: one in four checks
        (128, 32, (9, 3)),
        (128, 2, (10, 2)),
        (1, 32, (1, 11)),
    ],
)
def test_as_many_images_are_calibrated_on_as_were_asked_for_if_they_last(
    bundle: Bundle, images: CalibrationSet, wanted: int, held_back: int, found: tuple[int, int]
) -> None:
    request = replace(REQUEST, config=replace(PLAIN, images=wanted), held_back=held_back)

    report = quantize(bundle, images, request, dry_run=True)

    assert (report.provenance.images, report.targets[0].accuracy.images) == found


def test_default_request_calibrates_on_128_images_and_holds_back_32(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "many", 170)
    request = QuantizeRequest(("ort",))
    opened = CalibrationSet.open(folder, images=request.config.images + request.held_back)

    rest, held = quantize_module._parted(opened, request)

    assert (rest.count, held.count) == (128, 32)
    assert set(rest.names).isdisjoint(held.names)


def test_each_artifact_says_the_speed_of_the_size_that_stands_for_its_own(
    images: CalibrationSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = (96, 96)
    bundle = write_block_bundle(tmp_path / "block", sizes=(*SIZES, large))

    def pretend(folder: Path, runtime: str, before: Any, after: Any, plan: SpeedPlan) -> SpeedEntry:
        use_everything(folder)
        return entry(size=after.size, speedup=3.0 if after.size == large else 2.0)

    monkeypatch.setattr(judge_module, "time_pair", pretend)

    report = quantize(bundle, images, REQUEST)

    assert len(report.targets[0].speed) == 2
    written = [Bundle.open(bundle.folder).artifact(name) for name in report.artifacts]
    facts = {artifact.size: artifact.quantization for artifact in written}
    assert {size: [(s.size, s.speedup) for s in f.speed] for size, f in facts.items() if f is not None} == {
        SIZES[0]: [(SIZES[0], 2.0)],
        SIZES[1]: [(SIZES[0], 2.0)],
        large: [(large, 3.0)],
    }


def test_equal_inputs_give_equal_graphs(bundle: Bundle, images: CalibrationSet, tmp_path: Path) -> None:
    for name in ("first", "second"):
        quantize(bundle, images, REQUEST, output=tmp_path / name)

    first, second = state(tmp_path / "first"), state(tmp_path / "second")
    assert set(first) == set(second)
    assert {name for name in first if first[name] != second[name]} <= {"calibration.json", "manifest.json", SUMS}


def test_int8_is_what_runs_afterwards_where_it_won(bundle: Bundle, images: CalibrationSet) -> None:
    host = probe_host()
    if not host.has(X86_INT8):
        pytest.skip("this processor has no INT8 dot products, so INT8 is not chosen unasked")
    quantize(bundle, images, REQUEST)

    with DepthEstimator.open(bundle.folder, runtime="ort", threads=1) as estimator:
        depth = estimator.predict(next(images.images()))
        assert estimator.resolution.precision == "int8"
        assert estimator.info(profile=True).int8_ops

    assert depth.source is not None
    assert "int8" in depth.source
    assert np.isfinite(depth.values).all()
    fp32 = resolve(Bundle.open(bundle.folder).artifacts, host, RuntimeRequest("ort", "fp32"))
    assert {artifact.precision for artifact in fp32.ladder} == {"fp32"}


def test_int8_graphs_share_one_weight_file_and_need_none_of_the_float_ones(
    bundle: Bundle, images: CalibrationSet
) -> None:
    report = quantize(bundle, images, replace(REQUEST, runtimes=("ort", "tensorrt")))

    written = Bundle.open(bundle.folder)
    files = [entry.path for name in report.artifacts for entry in written.artifact(name).data]
    assert files == ["weights-int8.bin"] * len(report.artifacts)
    graph = onnx.load(bundle.folder / written.artifacts[-1].path, load_external_data=False).graph
    assert {i.value for t in graph.initializer for i in t.external_data if i.key == "location"} == {"weights-int8.bin"}


def test_quantising_again_replaces_what_was_there(bundle: Bundle, images: CalibrationSet) -> None:
    quantize(bundle, images, REQUEST)
    once = state(bundle.folder)

    quantize(Bundle.open(bundle.folder), images, REQUEST)

    assert set(state(bundle.folder)) == set(once)
    use_everything(bundle.folder)


def test_second_runtime_is_added_to_the_first(bundle: Bundle, images: CalibrationSet) -> None:
    quantize(bundle, images, REQUEST)

    quantize(Bundle.open(bundle.folder), images, replace(REQUEST, runtimes=("tensorrt",)))

    flavours = [a.flavour for a in Bundle.open(bundle.folder).artifacts]
    assert flavours == [
        None,
        None,
        *(["ort-x86"] * 2 if probe_host().has(X86_INT8) else flavours[2:4]),
        *["tensorrt"] * 2,
    ]
    use_everything(bundle.folder)


def test_tensorrt_graphs_are_kept_unverified_and_never_chosen(
    bundle: Bundle, images: CalibrationSet, timed: list[str]
) -> None:
    report = quantize(bundle, images, replace(REQUEST, runtimes=("tensorrt",)))

    report.require()
    entry = Bundle.open(bundle.folder).artifact(report.artifacts[0])
    assert (entry.verified, entry.verified_on, entry.requires.runtimes) == (False, None, ("tensorrt",))
    assert entry.parity is not None
    assert timed == []
    assert resolve(Bundle.open(bundle.folder).artifacts, probe_host(), RuntimeRequest("ort")).precision == "fp32"


def test_slower_int8_is_refused_and_the_bundle_stays(
    bundle: Bundle, images: CalibrationSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_speed(monkeypatch, 0.8)
    before = state(bundle.folder)

    report = quantize(bundle, images, REQUEST)

    with pytest.raises(
        CheckFailedError, match=r"INT8 refused.*ort: INT8 is slower than float.*0\.80 times as fast"
    ) as caught:
        report.require()
    assert "--budget" not in str(caught.value)
    assert "Fix: run in fp32 on this host" in str(caught.value)
    slowed = replace(report, targets=(replace(report.targets[0], keep_float=("fc1",)),))
    with pytest.raises(CheckFailedError, match="or allow more with --budget"):
        slowed.require()
    assert (report.folder, report.artifacts, report.is_accepted) == (None, (), False)
    assert state(bundle.folder) == before
    assert [path.name for path in bundle.folder.parent.iterdir()] == ["block"]


def test_budget_that_no_int8_can_keep_is_refused_after_the_search(bundle: Bundle, images: CalibrationSet) -> None:
    before = state(bundle.folder)

    report = quantize(bundle, images, replace(REQUEST, budget=Budget(1e-6)))

    target = report.targets[0]
    assert target.reason is not None
    layers = len(target.ranking)
    assert layers > 0
    assert f"outside the budget with 0 of {layers} layers in float, and with more nothing was found" in target.reason
    assert target.keep_float == ()
    assert target.speed == ()
    with pytest.raises(CheckFailedError, match="or allow more with --budget"):
        report.require()
    assert state(bundle.folder) == before


def test_refusal_reports_the_last_candidate_that_was_measured(
    bundle: Bundle, images: CalibrationSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search is content with its few images at once, and the gate never is."""
    measured: list[tuple[tuple[str, ...], Accuracy]] = []
    original = AccuracyGate.measure

    def refuse(self: AccuracyGate, trial: Bundle, artifacts: Any, runtime: str | None) -> Accuracy:
        accuracy = replace(original(self, trial, artifacts, runtime), reason="made up")
        measured.append((artifacts[0].quantization.keep_float, accuracy))
        return accuracy

    monkeypatch.setattr(AccuracyGate, "measure", refuse)

    target = quantize(bundle, images, REQUEST, dry_run=True).targets[0]

    kept, layers = len(target.keep_float), len(target.ranking)
    assert 0 < kept < layers
    assert (target.keep_float, target.accuracy) == measured[-1]
    assert len({candidate.agreement for _, candidate in measured}) > 1
    assert f"with {kept} of {layers} layers in float" in str(target.reason)


def test_layers_go_back_to_float_until_the_gate_is_content(bundle: Bundle, images: CalibrationSet) -> None:
    full = quantize(bundle, images, REQUEST, dry_run=True).targets[0]
    budget = Budget(100 * full.accuracy.agreement.abs_rel / 4 * 0.7)

    target = quantize(bundle, images, replace(REQUEST, budget=budget)).targets[0]

    assert target.reason is None
    assert 0 < len(target.keep_float) < len(target.ranking)
    assert target.accuracy.agreement.abs_rel < 0.71 * full.accuracy.agreement.abs_rel
    entry = Bundle.open(bundle.folder).artifacts[-1]
    assert entry.quantization is not None
    assert entry.quantization.keep_float == target.keep_float


def test_refused_runtime_refuses_all_and_names_the_one_that_passed(
    bundle: Bundle, images: CalibrationSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_speed(monkeypatch, 1.0)
    before = state(bundle.folder)

    report = quantize(bundle, images, replace(REQUEST, runtimes=("ort", "tensorrt")))

    with pytest.raises(CheckFailedError, match=r"not faster than float in ort.*Fix: ask for tensorrt only"):
        report.require()
    assert state(bundle.folder) == before


def test_dry_run_measures_and_writes_nothing(bundle: Bundle, images: CalibrationSet, timed: list[str]) -> None:
    before = state(bundle.folder)

    report = quantize(bundle, images, REQUEST, dry_run=True)

    assert report.is_accepted
    assert report.folder is None
    assert len(timed) == 1
    assert state(bundle.folder) == before


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_interruption_while_writing_leaves_the_old_bundle(
    bundle: Bundle, images: CalibrationSet, monkeypatch: pytest.MonkeyPatch, error: Any
) -> None:
    before = state(bundle.folder)
    original = artifact_module.check_int8
    calls: list[str] = []

    def fail(entry: Any, *rest: Any) -> Any:
        calls.append(entry.name)
        if len(calls) > len(SIZES):  # the trial is through, the bundle itself is being written
            raise error
        return original(entry, *rest)

    monkeypatch.setattr(artifact_module, "check_int8", fail)

    with pytest.raises((KeyboardInterrupt, OutputError)):
        quantize(bundle, images, REQUEST)

    assert len(calls) == len(SIZES) + 1
    assert state(bundle.folder) == before
    assert [path.name for path in bundle.folder.parent.iterdir()] == ["block"]


def test_folder_that_cannot_be_written_is_found_before_any_work(
    bundle: Bundle, images: CalibrationSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantize_module, "calibrate", lambda *_, **__: pytest.fail("calibrated"))
    (tmp_path / "file").write_bytes(b"no folder")

    with pytest.raises(OutputError, match="cannot be created"):
        quantize(bundle, images, REQUEST, output=tmp_path / "file" / "out")


def test_output_that_exists_is_refused_before_any_work(
    bundle: Bundle, images: CalibrationSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantize_module, "calibrate", lambda *_, **__: pytest.fail("calibrated"))
    write_tiny_bundle(tmp_path / "other")

    with pytest.raises(BundleError, match="exists already"):
        quantize(bundle, images, REQUEST, output=tmp_path / "other")


def test_bundle_without_fp32_graphs_is_refused(bundle: Bundle, images: CalibrationSet) -> None:
    artifacts = tuple(a.model_copy(update={"precision": "fp16"}) for a in bundle.artifacts)
    bundle.manifest = bundle.manifest.model_copy(update={"artifacts": artifacts})

    with pytest.raises(BundleError, match="has no fp32 ONNX artifact"):
        quantize(bundle, images, REQUEST)


def test_damaged_bundle_is_refused_and_stays_as_it_is(bundle: Bundle, images: CalibrationSet) -> None:
    weights = bundle.folder / "weights.bin"
    weights.write_bytes(bytes([weights.read_bytes()[0] ^ 1]) + weights.read_bytes()[1:])
    before = state(bundle.folder)

    with pytest.raises(BundleError, match=r"weights\.bin"):
        quantize(bundle, images, REQUEST)

    assert state(bundle.folder) == before


def test_one_image_is_too_few(bundle: Bundle, tmp_path: Path) -> None:
    alone = CalibrationSet.open(write_pictures(tmp_path / "one", 1))

    with pytest.raises(InputError, match="got 1 images of which 1 are to be held back"):
        quantize(bundle, alone, REQUEST)


def test_held_back_images_are_not_among_those_calibrated_on(images: CalibrationSet) -> None:
    rest, held = images.split(3)

    assert (rest.count, held.count) == (9, 3)
    assert set(rest.names) | set(held.names) == set(images.names)
    assert set(rest.names).isdisjoint(held.names)
    assert rest.sha256 != held.sha256
    assert len(list(held.images())) == 3


def test_unknown_runtime_is_refused_with_the_request() -> None:
    with pytest.raises(RuntimeUnavailableError, match="got 'tpu', expected one of openvino, ort, tensorrt"):
        find_targets(["tpu"], HOST)
    with pytest.raises(RuntimeUnavailableError, match="got 'tpu', expected one of openvino, ort, tensorrt"):
        make_request(["ort", "tpu"])
    with pytest.raises(RuntimeUnavailableError, match="got none, expected one of"):
        make_request([])


HOST = Host(
    os="Linux 6",
    arch="x86_64",
    cpu="some",
    logical_cores=4,
    physical_cores=2,
    affinity=(),
    usable_cores=2,
    isa=("avx2", "avx512f", "avx512_vnni"),
    ram_mib=None,
    python="3.11",
    packages={"onnxruntime": "1.20"},
)


@pytest.mark.parametrize(
    ("host", "flavour", "isa"),
    [
        (HOST, "ort-x86", X86_INT8),
        (replace(HOST, isa=("avx2",)), "ort-x86-7bit", ("avx2", "avx512f")),
        (replace(HOST, isa=()), "ort-x86", ()),
        (replace(HOST, arch="aarch64", isa=("asimddp",)), "ort-arm", ("asimddp", "i8mm")),
    ],
)
def test_flavour_of_ort_follows_the_processor(host: Host, flavour: str, isa: tuple[str, ...]) -> None:
    (target,) = find_targets(["ort"], host)

    assert (target.flavour, target.isa, target.runs_here) == (flavour, isa, True)


def test_runtime_that_is_not_installed_cannot_be_measured() -> None:
    with pytest.raises(RuntimeUnavailableError, match=r"cannot measure.*openvino is not installed"):
        find_targets(["openvino"], HOST)


def test_sizes_of_equal_cost_are_timed_once() -> None:
    sizes = [(256, 256), (192, 336), (384, 384), (384, 400)]

    assert sizes_to_time(sizes) == {
        (256, 256): (256, 256),
        (192, 336): (256, 256),
        (384, 384): (384, 384),
        (384, 400): (384, 384),
    }


def entry(**changes: Any) -> SpeedEntry:
    fields = {"runtime": "ort", "size": (64, 64), "threads": 1, "float_ms": 10.0, "int8_ms": 5.0, "speedup": 2.0}
    return SpeedEntry(**(fields | {"rounds": 3, "int8_ops": 5, "float_ops": 1, "cpu": "x"} | changes))


def test_speed_gate_wants_int8_kernels_and_a_gain() -> None:
    assert against_speed(entry()) is None
    assert "slower than float" in str(against_speed(entry(speedup=0.9)))
    assert "not faster than float" in str(against_speed(entry(speedup=1.04)))
    assert "ran no matrix product or convolution in INT8" in str(against_speed(entry(int8_ops=0)))
    assert "does not tell which kernels ran" in str(against_speed(entry(int8_ops=None)))


def test_pair_is_timed_in_turns_and_compared_within_a_round(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host gets three times as slow in the last round; the round with the median ratio counts."""
    times = {"fp32": [10.0, 11.0, 30.0], "int8": [5.0, 5.0, 16.0]}
    calls: list[str] = []

    class Record:
        is_ok, threads, int8_ops, float_ops, host = True, 2, 7, 1, {"cpu": "made up"}

        def __init__(self, p50_ms: float) -> None:
            self.p50_ms = p50_ms

    def pretend(plan: Any) -> Record:
        calls.append(plan.precision)
        return Record(times[plan.precision][(len(calls) - 1) // 2])

    monkeypatch.setattr(speed_module, "bench_isolated", pretend)

    found = time_pair(bundle.folder, "ort", bundle.artifacts[0], bundle.artifacts[0], SpeedPlan(rounds=3))

    assert calls == ["fp32", "int8", "int8", "fp32", "fp32", "int8"]
    assert (found.float_ms, found.int8_ms, found.speedup, found.int8_ops) == (10.0, 5.0, 2.0, 7)


def test_request_takes_plain_values() -> None:
    request = make_request(["ort"], budget=1.0, images=16, method="entropy", smoothing=False, threads=2)

    assert (request.budget.points, request.config.images, request.config.smoothing) == (1.0, 16, False)
    assert (request.config.activation_method, request.speed.threads, request.config.threads) == ("entropy", 2, 2)
    with pytest.raises(InputError, match="activation_method: got best"):
        make_request(["ort"], method="best")
    with pytest.raises(InputError, match="held_back: got 0"):
        QuantizeRequest(("ort",), held_back=0)


def test_report_folder_gets_outliers_and_pareto(
    bundle: Bundle, images: CalibrationSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[str] = []

    def pretend(folder: Path, runtime: str, given: Any, *_: Any) -> list[float]:
        jobs.extend(artifact for artifact, _ in given)
        use_everything(folder)
        return [20.0, *(5.0 + index for index in range(len(given) - 1))]

    monkeypatch.setattr(pareto_module, "_time_in_turns", pretend)

    report = quantize(bundle, images, replace(REQUEST, report=tmp_path / "report"), dry_run=True)

    assert {path.name for path in report.files} == {path.name for path in (tmp_path / "report").iterdir()}
    found = json.loads((tmp_path / "report" / f"pareto_{report.targets[0].flavour}.json").read_text())
    assert [len(point["keep_float"]) for point in found["points"]] == [0, 1, 2, 4][: len(found["points"])]
    assert len(jobs) == 1 + len(found["points"])
    assert jobs[0] == "onnx-fp32-64x64"
    assert found["points"][0]["is_best"]
    assert found["points"][0]["abs_rel"] > found["points"][-1]["abs_rel"]
    assert len(report.targets[0].ranking) == found["layers"]
    assert (tmp_path / "report" / "outliers.md").stat().st_size > 100


def test_report_is_json(bundle: Bundle, images: CalibrationSet) -> None:
    report: QuantizeReport = quantize(bundle, images, REQUEST, dry_run=True)

    content = report.to_json()

    assert content["accepted"] is True
    assert set(content["seconds"]) == {"calibrate", "float", "ort"}
