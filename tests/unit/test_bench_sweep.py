"""Sweeps: everything that was asked for, float first, each row with a status, and nothing lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pixio_edge.bench import sweep as sweep_module
from pixio_edge.bench.accuracy import lost_accuracy
from pixio_edge.bench.assemble import Measured, make_record, measurement_key
from pixio_edge.bench.plan import BenchPlan
from pixio_edge.bench.providers import expand_providers
from pixio_edge.bench.record import BenchRecord, Status, read_records
from pixio_edge.bench.record_parts import Noise, PowerState
from pixio_edge.bench.sweep import SweepRequest, check_files, find_known, plan_sweep, run_sweep
from pixio_edge.bench.verdicts import against_float
from pixio_edge.bundle import Bundle
from pixio_edge.errors import (
    BundleError,
    CheckFailedError,
    InputError,
    RuntimeUnavailableError,
    SpecError,
)
from tests import tiny_bundle
from tests.bench_rows import make_accuracy, make_row
from tests.tiny_bundle import write_tiny_bundle

Measure = Callable[..., BenchRecord]
OPENVINO_MS = {"fp32": 20.0, "bf16": 12.0}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_tiny_bundle(tmp_path_factory.mktemp("sweep") / "tiny")


@pytest.fixture
def plans(bundle: Bundle) -> list[BenchPlan]:
    """Three rows: openvino in fp32, openvino in bf16, ort in fp32."""
    return plan_sweep(SweepRequest((str(bundle.folder),), sizes=((32, 48),)))


class Bench:
    """Stands in for the processes that measure: says what was asked, and gives times by precision."""

    def __init__(self, times: dict[str, float] | None = None, *, fail: tuple[str, ...] = ()) -> None:
        self.asked: list[str] = []
        self._times, self._fail = times or OPENVINO_MS, fail

    def __call__(self, plan: BenchPlan, *, notify: Any = None) -> BenchRecord:
        self.asked.append(f"{plan.runtime} {plan.precision}")
        status: Status = "failed" if plan.runtime in self._fail else "ok"
        record = make_record(plan, Bundle.open(plan.bundle), Measured(), status, None)
        p50 = None if status == "failed" else self._times[plan.precision]
        return record.model_copy(update={"p50_ms": p50})


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    found = Bench()
    monkeypatch.setattr(sweep_module, "bench_isolated", found)
    return found


def test_every_combination_is_planned_with_float_before_what_is_compared_with_it(bundle: Bundle) -> None:
    request = SweepRequest((str(bundle.folder),), ("openvino",), sizes=((32, 48),), threads=(1, 2), batches=(1, 4))

    plans = plan_sweep(request)

    assert [(plan.precision, plan.batch, plan.threads) for plan in plans] == [
        (precision, batch, threads) for batch in (1, 4) for threads in (1, 2) for precision in ("fp32", "bf16")
    ]


def test_several_bundles_come_one_after_the_other(bundle: Bundle, tmp_path: Path) -> None:
    other = write_tiny_bundle(tmp_path / "other", sizes=((32, 32),))

    plans = plan_sweep(SweepRequest((str(other.folder), str(bundle.folder)), ("ort",)))

    assert [plan.bundle for plan in plans] == [str(other.folder)] + [str(bundle.folder)] * 3


def test_long_runs_are_for_one_request_in_flight(bundle: Bundle) -> None:
    request = SweepRequest((str(bundle.folder),), ("ort",), sizes=((32, 48),), batches=(1, 2), sustained_s=60.0)

    assert [(plan.batch, plan.sustained_s) for plan in plan_sweep(request)] == [(1, 60.0), (2, 0.0)]


def test_what_no_bundle_has_is_an_error(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"got size 64x64, expected one of 32x32, 32x48, 48x32 .*Fix: "):
        plan_sweep(SweepRequest((str(bundle.folder),), sizes=((32, 32), (64, 64))))
    with pytest.raises(RuntimeUnavailableError, match="'tpu': unknown"):
        plan_sweep(SweepRequest((str(bundle.folder),), ("tpu",)))
    with pytest.raises(BundleError):
        plan_sweep(SweepRequest((str(tmp_path / "absent"),)))


def test_damaged_bundle_is_found_before_anything_is_measured(tmp_path: Path) -> None:
    folder = write_tiny_bundle(tmp_path / "altered").folder
    (folder / "weights.bin").write_bytes(b"\0" * (folder / "weights.bin").stat().st_size)

    with pytest.raises(BundleError, match=r"weights.bin: .* was altered"):
        check_files(plan_sweep(SweepRequest((str(folder),))))


def test_rows_go_to_the_file_one_by_one(plans: list[BenchPlan], tmp_path: Path, bench: Bench) -> None:
    out = tmp_path / "records.jsonl"
    seen = []

    for row in run_sweep(plans, out=out):
        seen.append(row.record)
        assert read_records(out) == seen

    assert bench.asked == ["openvino fp32", "openvino bf16", "ort fp32"]


def test_interrupted_sweep_goes_on_where_it_was(plans: list[BenchPlan], tmp_path: Path, bench: Bench) -> None:
    out = tmp_path / "records.jsonl"
    rows = run_sweep(plans, out=out)
    next(rows)
    next(rows)
    rows.close()

    again = list(run_sweep(plans, out=out))

    assert bench.asked == ["openvino fp32", "openvino bf16", "ort fp32"]
    assert [row.is_old for row in again] == [True, True, False]
    assert read_records(out) == [row.record for row in again]
    assert find_known(plans, out) == [True] * 3
    assert find_known(plans, tmp_path / "absent.jsonl") == [False] * 3


def test_forced_sweep_measures_all_again(plans: list[BenchPlan], tmp_path: Path, bench: Bench) -> None:
    out = tmp_path / "records.jsonl"
    list(run_sweep(plans, out=out))

    rows = list(run_sweep(plans, out=out, force=True))

    assert len(bench.asked) == 6
    assert not any(row.is_old for row in rows)
    assert len(read_records(out)) == 6


@pytest.mark.parametrize(
    "change",
    [
        {"threads": 999},
        {"batch": 2},
        {"runs": 7},
        {"timed_s": 9.0},
        {"frame": (10, 10)},
        {"provider": "cpu"},
        {"sustained_s": 9.0},
    ],
    ids=str,
)
def test_other_settings_are_other_rows(plans: list[BenchPlan], change: dict[str, Any], bundle: Bundle) -> None:
    assert measurement_key(replace(plans[0], **change), bundle) != measurement_key(plans[0], bundle)


def test_place_of_a_bundle_does_not_matter_but_its_weights_do(
    plans: list[BenchPlan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = [write_tiny_bundle(tmp_path / name) for name in ("first", "second")]
    monkeypatch.setattr(tiny_bundle, "tiny_weights", lambda weights=tiny_bundle.tiny_weights: weights(1))
    other = write_tiny_bundle(tmp_path / "other")

    keys = [measurement_key(plans[0], bundle) for bundle in (*same, other)]

    assert keys[0] == keys[1] != keys[2]


def test_threads_of_the_environment_are_other_rows(
    plans: list[BenchPlan], bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = []
    for threads in ("1", "2"):
        monkeypatch.setenv("PIXIO_EDGE_THREADS", threads)
        keys.append(measurement_key(plans[0], bundle))

    assert keys[0] != keys[1]
    assert measurement_key(replace(plans[0], threads=2), bundle) == keys[1]


@pytest.mark.parametrize("change", [{"power_mode": "15W"}, {"governor": "powersave"}, {"clocks_locked": True}], ids=str)
def test_other_power_modes_are_other_rows(
    plans: list[BenchPlan], bundle: Bundle, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    state = PowerState(power_mode="MAXN", governor="schedutil", clocks_locked=False)
    monkeypatch.setattr("pixio_edge.bench.assemble.read_power_state", lambda: (state, {}))
    before = measurement_key(plans[0], bundle)

    other = state.model_copy(update=change)
    monkeypatch.setattr("pixio_edge.bench.assemble.read_power_state", lambda: (other, {}))

    assert measurement_key(plans[0], bundle) != before


def test_engine_that_was_built_again_is_another_row(
    plans: list[BenchPlan], bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = bundle.artifact(plans[0].artifact).kind
    monkeypatch.setattr("pixio_edge.bench.assemble.ENGINE_KIND", kind)
    keys = []
    for sha256 in ("1" * 64, "2" * 64, "2" * 64):
        built = (SimpleNamespace(sha256=sha256),)
        monkeypatch.setattr("pixio_edge.bench.assemble.list_records", lambda _, built=built: built)
        keys.append(measurement_key(plans[0], bundle))

    assert keys[0] != keys[1] == keys[2]


def test_other_versions_are_other_rows(plans: list[BenchPlan], bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    before = measurement_key(plans[0], bundle)

    monkeypatch.setattr("pixio_edge.bench.assemble.TOOL", "pixio-edge 9.9.9")

    assert measurement_key(plans[0], bundle) != before


def test_rows_that_failed_are_tried_again(
    plans: list[BenchPlan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "records.jsonl"
    monkeypatch.setattr(sweep_module, "bench_isolated", Bench(fail=("ort",)))
    first = [row.record.status for row in run_sweep(plans, out=out)]
    monkeypatch.setattr(sweep_module, "bench_isolated", bench := Bench())

    second = [row.record.status for row in run_sweep(plans, out=out)]

    assert first == ["ok", "ok", "failed"]
    assert second == ["ok"] * 3
    assert bench.asked == ["ort fp32"]


def test_file_of_something_else_is_refused_and_kept(plans: list[BenchPlan], tmp_path: Path, bench: Bench) -> None:
    out = tmp_path / "notes.txt"
    out.write_text("not mine\n", encoding="utf-8")

    with pytest.raises(InputError, match="line 1"):
        list(run_sweep(plans, out=out))

    assert out.read_text(encoding="utf-8") == "not mine\n"
    assert bench.asked == []


@pytest.mark.parametrize(
    ("bf16_ms", "status"), [(19.9, "ok"), (20.59, "ok"), (20.7, "slower_than_float"), (31.0, "slower_than_float")]
)
def test_lower_precision_has_to_be_faster_than_float_in_the_same_runtime(
    plans: list[BenchPlan], monkeypatch: pytest.MonkeyPatch, bf16_ms: float, status: str
) -> None:
    monkeypatch.setattr(sweep_module, "bench_isolated", Bench({"fp32": 20.0, "bf16": bf16_ms}))

    _, last, _ = [row.record for row in run_sweep(plans)]

    assert (last.precision, last.status, last.p50_ms) == ("bf16", status, bf16_ms)
    assert last.reason == (None if status == "ok" else f"p50 {bf16_ms:.2f} ms, fp32 20.00 ms")


def test_lower_precision_is_compared_with_a_float_row_that_was_in_the_file(
    plans: list[BenchPlan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_module, "bench_isolated", Bench({"fp32": 20.0, "bf16": 30.0}))
    out = tmp_path / "records.jsonl"
    list(run_sweep(plans[:1], out=out))

    _, last, _ = [row.record for row in run_sweep(plans, out=out)]

    assert last.status == "slower_than_float"


def test_row_from_a_file_is_judged_beside_the_float_row_of_this_sweep(
    plans: list[BenchPlan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "records.jsonl"
    monkeypatch.setattr(sweep_module, "bench_isolated", Bench({"fp32": 20.0, "bf16": 30.0}))
    list(run_sweep(plans[1:2], out=out))  # alone, as with --precision bf16

    first = [row.record.status for row in run_sweep(plans[:2], out=out)]
    monkeypatch.setattr(sweep_module, "bench_isolated", Bench({"fp32": 40.0, "bf16": 30.0}))
    list(run_sweep(plans[:1], out=out, force=True))
    second = [(row.record.status, row.record.reason, row.is_old) for row in run_sweep(plans[:2], out=out)]

    assert first == ["ok", "slower_than_float"]
    assert second == [("ok", None, True), ("ok", None, True)]


def test_row_from_a_file_that_lost_accuracy_against_the_float_row_of_this_sweep_is_wrong(
    plans: list[BenchPlan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bench: Bench
) -> None:
    def evaluate(plan: BenchPlan, data: Path, *, notify: Any = None) -> Any:
        return make_accuracy(0.600 if plan.precision == "fp32" else 0.594, on=str(data))

    monkeypatch.setattr(sweep_module, "accuracy_isolated", evaluate)
    out = tmp_path / "records.jsonl"
    alone = [row.record.status for row in run_sweep(plans[1:2], out=out, data=tmp_path)]

    together = [row.record.status for row in run_sweep(plans[:2], out=out, data=tmp_path)]

    assert (alone, together) == (["ok"], ["ok", "failed_accuracy"])


NOISE = Noise(mad_ms=1.0, load_average=1.0, other_cpu_cores=1.0, involuntary_switches=0, noisy=True, reasons=("why",))


def test_noisy_row_is_never_called_slower_and_nothing_is_called_so_beside_one() -> None:
    fast, slow = make_row(p50_ms=10.0), make_row(precision="int8", p50_ms=20.0)

    assert against_float(slow, fast).status == "slower_than_float"
    assert against_float(slow.model_copy(update={"noise": NOISE}), fast).status == "ok"
    assert against_float(slow, fast.model_copy(update={"noise": NOISE})).status == "ok"


def test_noisy_rows_are_measured_again_when_asked_for(
    plans: list[BenchPlan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, bench = tmp_path / "records.jsonl", Bench()

    def noisy(plan: BenchPlan, *, notify: Any = None) -> BenchRecord:
        return bench(plan).model_copy(update={"noise": NOISE if plan.runtime == "ort" else None})

    monkeypatch.setattr(sweep_module, "bench_isolated", noisy)
    list(run_sweep(plans, out=out))
    assert [row.is_old for row in run_sweep(plans, out=out)] == [True] * 3

    bench.asked.clear()
    assert find_known(plans, out, retry_noisy=True) == [True, True, False]
    list(run_sweep(plans, out=out, retry_noisy=True))

    assert bench.asked == ["ort fp32"]


def test_what_this_host_still_lacks_is_not_written_down_again(
    plans: list[BenchPlan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(plan: BenchPlan, *, notify: Any = None) -> BenchRecord:
        return make_record(plan, Bundle.open(plan.bundle), Measured(), "unavailable", next(reasons))

    monkeypatch.setattr(sweep_module, "bench_isolated", lacking)
    out = tmp_path / "records.jsonl"
    reasons = iter(("not installed", "not installed", "too old"))
    for _ in range(3):
        assert [row.is_old for row in run_sweep(plans[:1], out=out)] == [False]

    assert [record.reason for record in read_records(out)] == ["not installed", "too old"]


def test_bundle_that_vanishes_fails_its_rows_and_ends_nothing(tmp_path: Path) -> None:
    folder = write_tiny_bundle(tmp_path / "gone", sizes=((32, 48),)).folder
    plans = plan_sweep(SweepRequest((str(folder),)))
    rows = run_sweep(plans, out=tmp_path / "out.jsonl", notify=lambda _: None)
    next(rows)
    folder.rename(tmp_path / "elsewhere")

    assert [row.record.status for row in rows] == ["failed"] * 2


def test_all_providers_are_those_that_each_runtime_finds(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"ort": ("AzureExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")}

    def list_providers(runtime: str) -> tuple[str, ...]:
        if runtime not in found:
            raise RuntimeUnavailableError("not installed. Fix: install it")
        return found[runtime]

    monkeypatch.setattr("pixio_edge.bench.providers.list_providers", list_providers)

    plans = plan_sweep(SweepRequest((str(bundle.folder),), sizes=((32, 48),), providers=("all",)))

    assert [(plan.runtime, plan.provider) for plan in plans] == [
        ("openvino", None),
        ("openvino", None),
        ("ort", None),
        ("ort", "CUDAExecutionProvider"),
    ]
    found["tensorrt"] = ("cuda", "cuda:1")
    assert expand_providers("tensorrt", ("all",)) == (None, "cuda:1")
    assert expand_providers("ort", ("cuda", "cpu")) == ("cuda", "cpu")


def test_runtime_that_the_bundle_has_no_artifact_for_is_named(bundle: Bundle) -> None:
    with pytest.raises(SpecError, match=r"got runtime tensorrt, expected one of openvino, ort .*pixio-edge export"):
        plan_sweep(SweepRequest((str(bundle.folder),), ("tensorrt",)))


def test_nothing_is_slower_than_a_float_row_that_was_not_timed() -> None:
    row = make_row(precision="int8", p50_ms=50.0)

    assert against_float(row, None) is row
    assert against_float(row, make_row(p50_ms=None, status="failed")) is row


def test_settings_are_compared_with_their_like(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one thread everything takes twice as long, which is no reason to call bf16 slower than fp32 of two."""

    def measure(plan: BenchPlan, *, notify: Any = None) -> BenchRecord:
        ms = (10.0 if plan.precision == "fp32" else 6.0) * (2.0 if plan.threads == 1 else 1.0)
        return make_record(plan, bundle, Measured(), "ok", None).model_copy(update={"p50_ms": ms})

    monkeypatch.setattr(sweep_module, "bench_isolated", measure)
    request = SweepRequest((str(bundle.folder),), ("openvino",), sizes=((32, 48),), threads=(2, 1))

    assert [row.record.status for row in run_sweep(plan_sweep(request))] == ["ok"] * 4


def test_artifact_that_lost_too_much_accuracy_is_not_timed(
    plans: list[BenchPlan], monkeypatch: pytest.MonkeyPatch, bench: Bench, tmp_path: Path
) -> None:
    evaluated = []

    def evaluate(plan: BenchPlan, data: Path, *, notify: Any = None) -> Any:
        evaluated.append(f"{plan.runtime} {plan.precision}")
        return make_accuracy(0.600 if plan.precision == "fp32" else 0.594, on=str(data))

    monkeypatch.setattr(sweep_module, "accuracy_isolated", evaluate)

    rows = [row.record for row in run_sweep(plans, data=tmp_path)]

    assert evaluated == ["openvino fp32", "openvino bf16", "ort fp32"]
    assert bench.asked == ["openvino fp32", "ort fp32"]
    assert [row.status for row in rows] == ["ok", "failed_accuracy", "ok"]
    assert "delta1 0.5940 against 0.6000 in float" in str(rows[1].reason)
    assert [row.accuracy.delta1 for row in rows if row.accuracy is not None] == [0.6, 0.594, 0.6]


def test_accuracy_is_measured_once_for_all_threads(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, bench: Bench, tmp_path: Path
) -> None:
    calls = []

    def evaluate(plan: BenchPlan, data: Path, *, notify: Any = None) -> Any:
        calls.append(plan)
        return make_accuracy(0.6, on=str(data))

    monkeypatch.setattr(sweep_module, "accuracy_isolated", evaluate)
    request = SweepRequest((str(bundle.folder),), ("ort",), sizes=((32, 48),), threads=(1, 2), batches=(1, 2))

    rows = list(run_sweep(plan_sweep(request), data=tmp_path))

    assert len(rows) == 4
    assert len(calls) == 1


def test_accuracy_that_cannot_be_measured_does_not_end_the_row(
    plans: list[BenchPlan], monkeypatch: pytest.MonkeyPatch, bench: Bench, tmp_path: Path
) -> None:
    def evaluate(plan: BenchPlan, data: Path, *, notify: Any = None) -> Any:
        raise CheckFailedError("accuracy: no luck. Fix: none")

    monkeypatch.setattr(sweep_module, "accuracy_isolated", evaluate)

    (row,) = [row.record for row in run_sweep(plans[:1], data=tmp_path)]

    assert (row.status, row.accuracy) == ("ok", None)
    assert row.absent == {"accuracy": "accuracy: no luck. Fix: none"}


@pytest.mark.parametrize(
    ("delta1", "abs_rel", "lost"),
    [(0.6, 0.2, None), (0.5951, 0.2, None), (0.594, 0.2, "delta1"), (0.6, 0.2039, None), (0.6, 0.2041, "AbsRel")],
)
def test_accuracy_may_be_lost_within_the_budget(delta1: float, abs_rel: float, lost: str | None) -> None:
    reason = lost_accuracy(make_accuracy(delta1, abs_rel=abs_rel), make_accuracy(0.6, abs_rel=0.2))

    assert (reason is None) is (lost is None)
    assert (lost or "") in str(reason)


def test_accuracies_from_other_data_are_not_held_against_each_other() -> None:
    assert lost_accuracy(make_accuracy(0.1), make_accuracy(0.9, source="manifest")) is None
