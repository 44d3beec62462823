"""Benchmarks: verified before timed, complete records, honest failures."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pixio_edge.bench.energy_meters import EnergyMeter, RaplMeter
from pixio_edge.bench.isolated import bench_isolated
from pixio_edge.bench.measure import _signalling, bench
from pixio_edge.bench.plan import MOST_RUNS, BenchPlan, list_plans
from pixio_edge.bench.timing import repeat
from pixio_edge.bundle import Bundle
from pixio_edge.errors import BundleError, RuntimeUnavailableError, SpecError
from pixio_edge.parity import Tolerance
from pixio_edge.runtimes.base import RuntimeInfo
from pixio_edge.runtimes.ort import OrtRuntime
from tests.tiny_bundle import write_tiny_bundle

FIXED_FIELDS = {"runtime", "artifact", "precision", "size", "threads", "load_ms", "first_ms", "fps", "peak_rss_mib"}
OTHER_FIXED_FIELDS = {"status", "int8_ops", "float_ops", "host"}
TIMES = ("p50_ms", "p90_ms", "p99_ms", "pre_ms", "infer_ms", "post_ms")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_tiny_bundle(tmp_path_factory.mktemp("bench") / "tiny")


@pytest.fixture
def plan(bundle: Bundle) -> BenchPlan:
    return BenchPlan(
        str(bundle.folder),
        "ort",
        "onnx-fp32-32x48",
        threads=1,
        warmup=1,
        runs=12,
        warmup_s=0.0,
        timed_s=0.0,
        frame=(72, 128),
        budget_s=5.0,
    )


def test_record_has_every_field_and_times_that_make_sense(plan: BenchPlan) -> None:
    record = bench(plan)

    assert FIXED_FIELDS | OTHER_FIXED_FIELDS | set(TIMES) <= set(record.to_json())
    assert (record.status, record.runtime, record.precision, record.size) == ("ok", "ort", "fp32", (32, 48))
    assert (record.threads, record.int8_ops, record.float_ops, record.runs) == (1, 0, 2, 12)
    assert all(value is not None and value > 0 for value in (getattr(record, name) for name in TIMES))
    assert record.p50_ms <= record.p90_ms <= record.p99_ms  # type: ignore[operator]
    assert record.fps == pytest.approx(1e3 / (record.pre_ms + record.infer_ms + record.post_ms), rel=0.5)  # type: ignore[operator]
    assert record.host["cpu"]
    assert record.parity is not None
    assert record.parity["margin"] < 1
    assert record.times_ms is not None
    assert len(record.times_ms) == 12
    assert record.min_ms == min(record.times_ms) <= record.p50_ms <= max(record.times_ms)  # type: ignore[operator]
    assert record.predict_p50_ms <= record.predict_p90_ms <= record.predict_p99_ms  # type: ignore[operator]
    assert (record.model, record.tokens, record.batch, record.warmup) == ("tiny", 6, 1, 1)
    assert record.providers == {"CPUExecutionProvider": 6}
    assert record.noise is not None
    assert record.memory is not None
    assert record.memory.peak_rss_mib == record.peak_rss_mib
    assert record.absent is not None


def test_requests_in_flight_are_timed_together(plan: BenchPlan) -> None:
    record = bench(replace(plan, batch=3))

    assert (record.status, record.batch, record.runs) == ("ok", 3, 36)
    assert record.throughput_fps is not None
    assert record.throughput_fps > 0
    assert [getattr(record, name) for name in ("pre_ms", "infer_ms", "post_ms", "fps", "energy")] == [None] * 5


def test_failure_of_one_request_in_flight_is_that_of_the_row(monkeypatch: pytest.MonkeyPatch, plan: BenchPlan) -> None:
    real, runtimes = OrtRuntime._run, []

    def third_fails(runtime: OrtRuntime, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        if runtime not in runtimes:
            runtimes.append(runtime)
        if len(runtimes) == 3 and runtime is runtimes[2]:
            raise RuntimeUnavailableError("ort: no third stream. Fix: none")
        return real(runtime, feeds)

    monkeypatch.setattr(OrtRuntime, "_run", third_fails)

    record = bench(replace(plan, batch=3))

    assert (record.status, record.reason) == ("failed", "ort: no third stream. Fix: none")


def test_isolated_record_is_of_a_process_that_did_only_this(plan: BenchPlan) -> None:
    ballast = np.ones(64 * 2**20)  # 512 MiB here, which must not show there

    record = bench_isolated(plan)

    assert ballast.nbytes == 512 * 2**20
    assert record.status == "ok"
    assert record.load_ms is not None
    if sys.platform != "win32":
        assert record.peak_rss_mib is not None
        assert record.peak_rss_mib < 512


def test_wrong_output_is_never_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plan: BenchPlan) -> None:
    runs = 0

    def wrong(runtime: OrtRuntime, _: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        nonlocal runs
        runs += 1
        return {"depth": np.ones(runtime.artifact.entry.outputs[0].shape, np.float32)}

    monkeypatch.setattr(OrtRuntime, "_run", wrong)

    record = bench(plan)

    assert record.status == "failed_accuracy"
    assert (record.reason or "").startswith("parity fails")
    assert runs == 1
    assert [getattr(record, name) for name in (*TIMES, "fps")] == [None] * 7
    assert record.load_ms is not None


def test_tolerance_of_the_manifest_decides(tmp_path: Path, plan: BenchPlan) -> None:
    strict = write_tiny_bundle(tmp_path / "strict", tolerance=Tolerance(max_rel=1e-12))

    assert bench(replace(plan, bundle=str(strict.folder))).status == "failed_accuracy"


def test_runtime_that_cannot_run_gives_a_record_that_says_why(plan: BenchPlan) -> None:
    record = bench(replace(plan, provider="abacus"))

    assert record.status == "unavailable"
    assert (record.reason or "").startswith("ort provider 'abacus'")
    assert record.p50_ms is None


def test_runtime_that_stops_in_the_middle_has_failed(monkeypatch: pytest.MonkeyPatch, plan: BenchPlan) -> None:
    real, calls = OrtRuntime._run, 0

    def stops(runtime: OrtRuntime, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        nonlocal calls
        calls += 1
        if calls > 5:
            raise RuntimeUnavailableError("ort: the device was reset. Fix: none")
        return real(runtime, feeds)

    monkeypatch.setattr(OrtRuntime, "_run", stops)

    record = bench(plan)

    assert (record.status, record.reason) == ("failed", "ort: the device was reset. Fix: none")
    assert record.p50_ms is None
    assert record.parity is not None


def test_times_are_kept_when_the_operators_cannot_be_counted(monkeypatch: pytest.MonkeyPatch, plan: BenchPlan) -> None:
    real = OrtRuntime._info

    def refuses(runtime: OrtRuntime, *, profile: bool) -> RuntimeInfo:
        if profile:
            raise RuntimeUnavailableError("ort: no profile. Fix: none")
        return real(runtime, profile=profile)

    monkeypatch.setattr(OrtRuntime, "_info", refuses)

    record = bench(plan)

    assert record.is_ok
    assert (record.int8_ops, record.providers, record.threads) == (None, None, 1)
    assert record.absent is not None
    assert record.absent["operators"] == "ort: no profile. Fix: none"


def test_meter_without_a_reading_is_absent(monkeypatch: pytest.MonkeyPatch, plan: BenchPlan) -> None:
    asked = []

    def nothing(step: Callable[[], object], meter: EnergyMeter) -> None:
        step()
        asked.append(meter.source)

    monkeypatch.setattr("pixio_edge.bench.sensors.find_meter", lambda _, *, gpu, device: RaplMeter([]))
    monkeypatch.setattr("pixio_edge.bench.measure.measure_energy", nothing)

    record = bench(plan)

    assert asked == ["rapl"]
    assert record.is_ok
    assert (record.energy, record.energy_mj) == (None, None)
    assert record.absent is not None
    assert record.absent["energy"] == "rapl gave no reading"


def test_process_that_dies_gives_a_record_that_says_so(plan: BenchPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")

    record = bench_isolated(plan)

    assert (record.status, record.reason) == ("failed", "the process ended with 1: it said nothing")


def test_damaged_bundle_is_an_error_and_not_a_record(tmp_path: Path, plan: BenchPlan) -> None:
    with pytest.raises(BundleError):
        bench(replace(plan, bundle=str(tmp_path)))
    with pytest.raises(BundleError, match="expected one of: onnx-fp32-32x32"):
        bench(replace(plan, artifact="onnx-int8-32x32"))


@pytest.mark.parametrize("name", ["weights.bin", "golden_32x48.npz"])
def test_flipped_byte_is_an_error_and_not_a_runtime_that_is_unavailable(
    tmp_path: Path, plan: BenchPlan, name: str
) -> None:
    folder = write_tiny_bundle(tmp_path / "altered").folder
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)

    with pytest.raises(BundleError, match=f"{name}: .* was altered"):
        bench_isolated(replace(plan, bundle=str(folder)))


def test_slow_runs_stop_at_the_budget_but_not_before_there_are_enough(plan: BenchPlan) -> None:
    record = bench(replace(plan, runs=1_000_000, budget_s=0.0))

    assert record.runs == 3


class Clock:
    """Time passes only by working, in powers of two of a second that add up exactly."""

    def __init__(self, seconds: float) -> None:
        self.now, self.runs, self._seconds = 0.0, 0, seconds

    def __call__(self) -> float:
        return self.now

    def work(self) -> tuple[float, ...]:
        self.now += self._seconds
        self.runs += 1
        return (self._seconds * 1e3,)


@pytest.mark.parametrize(
    ("seconds", "warm_up", "timed"),
    [
        (2**-9, 512, 1024),  # an engine of 2 ms: a second to warm up, and two that are timed
        (2**-4, 16, 100),  # of 63 ms: the counts take longer than that
        (2.0, 5, 15),  # of 2 s: a third of 30 s, and 30 s
        (64.0, 1, 3),  # longer than all of it: as few as give a median
        (2**-14, 16384, MOST_RUNS),  # so fast that the record would be too long
    ],
)
def test_loops_take_as_many_runs_and_as_long_as_is_needed(
    monkeypatch: pytest.MonkeyPatch, seconds: float, warm_up: int, timed: int
) -> None:
    clock = Clock(seconds)
    monkeypatch.setattr("pixio_edge.bench.timing.perf_counter", clock)
    plan = BenchPlan("tiny", "ort", "any")

    found = repeat(clock.work, plan)

    assert (clock.runs - len(found.rows), len(found.rows)) == (warm_up, timed)
    assert found.seconds == timed * seconds


def test_loop_after_another_is_warm_already(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(2**-9)
    monkeypatch.setattr("pixio_edge.bench.timing.perf_counter", clock)

    found = repeat(clock.work, BenchPlan("tiny", "ort", "any"), is_warm=True)

    assert clock.runs - len(found.rows) == 10


def test_slow_runs_give_signs_of_life_and_fast_ones_none() -> None:
    said: list[str] = []
    times = iter([(999.0,), (400.0, 2600.0)])
    step = _signalling(lambda: next(times), "timing", said.append)

    assert [step(), step()] == [(999.0,), (400.0, 2600.0)]
    assert said == ["timing, 3 s each"]


def test_row_that_was_timed_too_briefly_to_know_the_work_of_others_says_so(plan: BenchPlan) -> None:
    record = bench(replace(plan, runs=1))

    assert record.noise is not None
    assert record.noise.other_cpu_cores is None
    assert record.absent is not None
    assert "expected 0.5 or more to tell the work of others" in record.absent["noise"]


def test_plan_survives_json(plan: BenchPlan) -> None:
    pinned = replace(plan, pin_cores=(0,), provider="cpu")

    for each in (plan, pinned):
        assert BenchPlan.from_json(json.loads(json.dumps(each.to_json()))) == each


def test_plans_cover_what_the_bundle_was_built_for(bundle: Bundle) -> None:
    plans = list_plans(bundle, "tiny")

    combinations = {(plan.runtime, plan.precision) for plan in plans}
    assert combinations == {("ort", "fp32"), ("openvino", "fp32"), ("openvino", "bf16")}
    assert len(plans) == 3 * len(bundle.artifacts)
    assert {plan.bundle for plan in plans} == {"tiny"}


def test_plans_can_be_narrowed(bundle: Bundle) -> None:
    plans = list_plans(bundle, "tiny", runtimes=["openvino"], precision="bf16", size=(32, 32))

    assert [(plan.runtime, plan.artifact, plan.precision) for plan in plans] == [
        ("openvino", "onnx-fp32-32x32", "bf16")
    ]


def test_plans_that_match_nothing_are_an_error(bundle: Bundle) -> None:
    with pytest.raises(SpecError, match=r"size \(1, 1\), expected sizes out of \['32x32', '32x48', '48x32'\]"):
        list_plans(bundle, "tiny", size=(1, 1))
    with pytest.raises(RuntimeUnavailableError, match="'tpu': unknown"):
        list_plans(bundle, "tiny", runtimes=["tpu"])


@pytest.mark.parametrize("counts", [{"runs": 0}, {"warmup": -1}])
def test_plan_without_runs_is_an_error(plan: BenchPlan, counts: dict[str, int]) -> None:
    with pytest.raises(SpecError, match="Fix: "):
        replace(plan, **counts)
