"""`pixio-edge benchmark`: options, the table, the choice and the exit status, with processes made up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pixio_edge.bench import sweep as sweep_module
from pixio_edge.bench.accuracy import MEASURED
from pixio_edge.bench.plan import BenchPlan
from pixio_edge.bench.record import BenchRecord
from pixio_edge.bench.record_parts import Bucket, Noise, Sustained
from pixio_edge.bench.target import Choice
from pixio_edge.cli.benchmark import parse_counts, parse_duration
from pixio_edge.cli.benchmark_table import print_choice, print_records
from pixio_edge.errors import InputError, OutputError
from tests.bench_rows import make_accuracy, make_row
from tests.command import run_here
from tests.tiny_bundle import write_tiny_bundle

Runner = Any


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("cli") / "tiny", sizes=((32, 48),)).folder


class Bench:
    """Gives rows without starting processes; openvino in bf16 is slow, and sustained runs get slower."""

    def __init__(self, **changes: dict[str, Any]) -> None:
        self.plans: list[BenchPlan] = []
        self._changes = changes

    def __call__(self, plan: BenchPlan, *, notify: Any = None) -> BenchRecord:
        self.plans.append(plan)
        if notify is not None:
            notify("timing")
        changes = self._changes.get(plan.runtime, {})
        time = {"fp32": 20.0, "bf16": 25.0}[plan.precision]
        row = make_row(
            key=f"{plan}",
            bundle=plan.bundle,
            artifact=plan.artifact,
            runtime=plan.runtime,
            precision=plan.precision,
            threads=plan.threads or 2,
            batch=plan.batch,
            p50_ms=time,
            sustained=long_run() if plan.sustained_s else None,
        )
        return row.model_copy(update=changes)


def long_run() -> Sustained:
    bucket = Bucket(
        start_s=0.0,
        seconds=10.0,
        runs=100,
        p50_ms=30.0,
        p99_ms=31.0,
        cpu_mhz=None,
        gpu_mhz=None,
        temperatures_c=None,
        throttled=True,
        power_w=None,
    )
    return Sustained(
        seconds=600.0,
        runs=6000,
        p50_ms=25.0,
        p99_ms=31.0,
        first_p50_ms=20.0,
        last_p50_ms=30.0,
        throttled=True,
        power_mode="15W",
        buckets=(bucket,),
    )


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    found = Bench()
    monkeypatch.setattr(sweep_module, "bench_isolated", found)
    return found


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path) -> Runner:
    def command(*arguments: object) -> tuple[int, str, str]:
        return run_here(monkeypatch, capsys, "benchmark", folder, *arguments)

    return command


def test_lists_of_threads_and_batches_are_combined(run: Runner, bench: Bench) -> None:
    status, _, _ = run("--runtime", "ort", "--threads", "1,2", "--batch", "1,4", "--runs", "7", "--frame", "48x64")

    assert status == 0
    assert [(plan.threads, plan.batch) for plan in bench.plans] == [(1, 1), (2, 1), (1, 4), (2, 4)]
    assert {(plan.runs, plan.frame) for plan in bench.plans} == {(7, (48, 64))}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--threads", "0"], "--threads: got '0'"),
        (["--threads", "two"], "--threads: got 'two'"),
        (["--batch", "1,,2"], "--batch: got '1,,2'"),
        (["--sustained", "soon"], "--sustained: got 'soon', expected a time such as 10m"),
        (["--sustained", "0m"], "--sustained: got '0m'"),
        (["--size", "31x31"], "got size 31x31, expected one of 32x48"),
        (["--frame", "big"], "--frame: got 'big'"),
        (["--runtime", "tpu"], "'tpu': unknown"),
        (["--batch", "2", "--pin-cores", "0,1"], "2 requests in flight with cores to pin to"),
    ],
    ids=str,
)
def test_bad_options_are_one_line_and_nothing_is_measured(
    run: Runner, bench: Bench, arguments: list[str], problem: str
) -> None:
    status, output, errors = run(*arguments)

    assert (status, output) == (2, "")
    assert problem in errors
    assert "Fix: " in errors
    assert len(errors.splitlines()) == 1
    assert bench.plans == []


def test_table_has_a_status_for_each_row_and_the_reason_below(run: Runner, bench: Bench) -> None:
    status, output, _ = run("--runtime", "openvino")

    assert status == 0  # slower than float is no failure
    header, first, second, reason = output.splitlines()
    assert header.split()[:5] == ["runtime", "artifact", "precision", "threads", "status"]
    assert first.split()[:6] == ["openvino", "onnx-fp32-32x48", "fp32", "2", "ok", "20.0"]
    assert "slower_than_float" in second
    assert reason == ("slower_than_float: p50 25.00 ms, fp32 20.00 ms (openvino onnx-fp32-32x48 in bf16, 2 threads)")


def test_row_that_fails_ends_with_1_after_all_others(
    run: Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = {"status": "failed", "reason": "the process was ended by SIGSEGV", "p50_ms": None}
    monkeypatch.setattr(sweep_module, "bench_isolated", bench := Bench(openvino=broken))

    status, output, errors = run("--out", tmp_path / "out.jsonl")

    assert status == 1
    assert len(bench.plans) == 3
    assert "ort" in output
    assert "failed: the process was ended by SIGSEGV (2 rows: openvino" in output
    assert "2 of 3 not timed" in errors
    assert "Fix: see the reasons" in errors  # 'verify' finds nothing about a process that died
    assert len((tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()) == 3


def test_what_this_host_lacks_is_no_failure_unless_it_is_everything(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = {"status": "unavailable", "reason": "not installed", "p50_ms": None}
    monkeypatch.setattr(sweep_module, "bench_isolated", Bench(openvino=lacking))
    assert run()[0] == 0

    status, _, errors = run("--runtime", "openvino")

    assert status == 1
    assert "nothing could run on this host" in errors


def test_target_names_the_row_why_and_how_to_use_it(run: Runner, bench: Bench, folder: Path) -> None:
    status, output, _ = run("--target-ms", "33", "--runtime", "ort")

    assert status == 0
    assert "for 33 ms: ort onnx-fp32-32x48 in fp32, 2 threads" in output
    assert "give --data to measure it" in output
    assert f"pixio-edge predict IMAGE --bundle {folder} --runtime ort --precision fp32 --size" in output


def test_target_that_nothing_keeps_ends_with_1_and_names_the_fastest(run: Runner, bench: Bench) -> None:
    status, output, errors = run("--target-ms", "5", "--runtime", "ort")

    assert status == 1
    assert "nothing keeps 5 ms for a whole frame; the fastest takes 22.0 ms" in output
    assert errors.startswith("pixio-edge: --target-ms: nothing keeps 5 ms")
    assert "Fix: allow more time" in errors


def test_target_with_a_long_run_measures_only_the_chosen_row_for_long(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_module, "bench_isolated", bench := Bench(openvino={"predict_p90_ms": 10.0}))

    status, output, errors = run("--target-ms", "33", "--sustained", "10m")

    assert [(plan.runtime, plan.precision, plan.sustained_s) for plan in bench.plans] == [
        ("openvino", "fp32", 0.0),
        ("openvino", "bf16", 0.0),
        ("ort", "fp32", 0.0),
        ("openvino", "fp32", 600.0),
    ]
    assert status == 0
    assert len(errors.splitlines()) == 3  # one for each row of the sweep
    assert "15.0 ms for a frame (p90)" in output  # it takes half as long again when it is warm
    assert "sustained 600 s: p50 20.0 ms at first, 30.0 at the end, p99 31.0, throttled, power mode 15W" in output


def test_row_that_does_not_keep_the_target_when_warm_makes_way_for_the_next_which_is_run_long_too(
    run: Runner, bench: Bench
) -> None:
    status, output, _ = run("--target-ms", "25", "--sustained", "10m")

    assert [f"{plan.runtime} {plan.precision}" for plan in bench.plans if plan.sustained_s] == [
        "openvino fp32",
        "ort fp32",
    ]
    assert status == 1
    assert "nothing keeps 25 ms for a whole frame; the fastest takes 33.0 ms" in output


def test_long_run_without_a_target_is_for_every_row(run: Runner, bench: Bench) -> None:
    run("--sustained", "90s", "--runtime", "openvino")

    assert [plan.sustained_s for plan in bench.plans] == [90.0, 90.0]


def test_json_is_a_list_of_records_and_with_a_target_has_the_choice(run: Runner, bench: Bench) -> None:
    _, plain, _ = run("--runtime", "ort", "--json")
    _, chosen, _ = run("--runtime", "ort", "--json", "--target-ms", "33")

    (record,) = json.loads(plain)
    assert BenchRecord.from_json(record).is_ok
    content = json.loads(chosen)
    assert len(content["records"]) == 1
    assert content["choice"]["fits"] is True
    assert content["choice"]["row"] == {
        "key": record["key"],
        "runtime": "ort",
        "artifact": "onnx-fp32-32x48",
    }


def test_dry_run_lists_what_is_left_and_measures_nothing(run: Runner, bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    status, output, _ = run("--dry-run", "--out", out)

    assert status == 0
    assert bench.plans == []
    assert not out.exists()
    assert output.count("to measure") == 4
    assert "3 of 3 rows to measure, at most about 4 minutes" in output


def test_dry_run_as_json_is_the_plans(run: Runner, bench: Bench) -> None:
    _, output, _ = run("--dry-run", "--json", "--threads", "2")

    plans = json.loads(output)
    assert [(plan["runtime"], plan["threads"], plan["measured"]) for plan in plans] == [
        ("openvino", 2, False),
        ("openvino", 2, False),
        ("ort", 2, False),
    ]


def test_interruption_shows_what_was_done_and_where_it_is(
    run: Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bench, out = Bench(), tmp_path / "out.jsonl"

    def interrupted(plan: BenchPlan, *, notify: Any = None) -> BenchRecord:
        if bench.plans:
            raise KeyboardInterrupt
        return bench(plan, notify=notify)

    monkeypatch.setattr(sweep_module, "bench_isolated", interrupted)

    status, output, errors = run("--out", out)

    assert status == 130
    assert "openvino" in output
    assert f"1 of 3 rows were measured and are in {out}; the same command goes on" in errors
    assert len(out.read_text(encoding="utf-8").splitlines()) == 1


def test_place_that_cannot_be_written_is_found_before_anything_is_measured(
    run: Runner, bench: Bench, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")

    status, output, errors = run("--out", tmp_path / "file" / "out.jsonl")

    assert (status, output) == (2, "")
    assert "cannot be written" in errors
    assert bench.plans == []


def test_full_disk_ends_the_sweep_with_what_was_measured_on_the_screen(
    run: Runner, bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def append(path: Path, record: BenchRecord) -> None:
        if len(bench.plans) > 1:
            raise OutputError(f"{path}: cannot be written (No space left on device). Fix: choose a writable place")

    monkeypatch.setattr(sweep_module, "append_record", append)

    status, output, errors = run("--out", tmp_path / "out.jsonl")

    assert status == 2
    assert "openvino  onnx-fp32-32x48" in output
    assert "No space left on device" in errors


def test_accuracy_of_every_artifact_is_measured_when_data_is_given(
    run: Runner, bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def evaluate(plan: BenchPlan, data: Path, *, notify: Any = None) -> Any:
        return make_accuracy(0.61, source=MEASURED, on=str(data))

    monkeypatch.setattr(sweep_module, "accuracy_isolated", evaluate)

    monkeypatch.setattr("pixio_edge.evaluation.datasets.open_datasets", lambda path: [])

    _, output, _ = run("--data", tmp_path, "--target-ms", "33")

    assert "the most accurate (delta1 0.610, measured)" in output


def test_data_that_is_not_there_is_found_before_anything_is_measured(run: Runner, bench: Bench, tmp_path: Path) -> None:
    status, output, errors = run("--data", tmp_path / "absent", "--target-ms", "1000")

    assert (status, output) == (2, "")
    assert "no such folder, expected a data set" in errors
    assert bench.plans == []


def test_data_is_the_same_however_its_path_is_written(
    run: Runner, bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = []

    def evaluate(plan: BenchPlan, data: Path, *, notify: Any = None) -> Any:
        seen.append(data)
        return make_accuracy(0.61, source=MEASURED, on=str(data))

    monkeypatch.setattr(sweep_module, "accuracy_isolated", evaluate)
    monkeypatch.setattr("pixio_edge.evaluation.datasets.open_datasets", lambda path: [])
    (tmp_path / "sets").mkdir()
    monkeypatch.chdir(tmp_path)

    run("--runtime", "ort", "--data", "sets")
    run("--runtime", "ort", "--data", "./sets/../sets")

    assert seen == [(tmp_path / "sets").resolve()] * 2


def test_accuracy_that_could_not_be_measured_is_said_below_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_records([make_row(absent={"accuracy": "accuracy of ort: no luck"})])

    assert "accuracy not measured: accuracy of ort: no luck (ort" in capsys.readouterr().out


def test_gpu_that_nothing_ran_on_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    host = {"gpus": ["NVIDIA Jetson Orin Nano"]}
    used = make_row(host=host, runtime="tensorrt", device="Orin (SM 8.7)")

    print_records([make_row(host=host)])
    unused = capsys.readouterr().out
    print_records([make_row(host=host), used])
    print_records([make_row()])

    assert "this host has NVIDIA Jetson Orin Nano, and no row was timed on it. Fix: --provider all" in unused
    assert "no row was timed on it" not in capsys.readouterr().out


def test_every_finished_row_is_a_line_where_there_is_no_terminal(run: Runner, bench: Bench) -> None:
    _, output, errors = run("--runtime", "openvino", "--json")

    assert len(json.loads(output)) == 2
    first, second = errors.splitlines()
    assert first.startswith("benchmark 1/2 ")
    assert first.endswith("openvino onnx-fp32-32x48 in fp32, 2 threads: 20.0 ms, ok")
    assert "benchmark 2/2 " in second


def test_percentile_of_too_few_runs_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    print_records([make_row(runs=99, p99_ms=77.7)])
    assert "77.7" not in capsys.readouterr().out
    print_records([make_row(runs=100, p99_ms=77.7)])
    assert "77.7" in capsys.readouterr().out


def test_providers_may_be_several(run: Runner, bench: Bench) -> None:
    run("--runtime", "ort", "--provider", "cuda", "--provider", "cpu")

    assert [plan.provider for plan in bench.plans] == ["cuda", "cpu"]


def test_number_of_runs_that_was_asked_for_is_not_made_longer(run: Runner, bench: Bench) -> None:
    run("--runtime", "ort", "--runs", "7")
    run("--runtime", "ort")

    assert [(plan.runs, plan.timed_s) for plan in bench.plans] == [(7, 0.0), (100, 2.0)]


def test_pinned_cores_are_part_of_how_to_use_the_choice(capsys: pytest.CaptureFixture[str]) -> None:
    print_choice(Choice(make_row(pin_cores=(0, 2)), fits=True, reason="why"), 33.0)

    assert capsys.readouterr().out.rstrip().endswith("--pin-cores 0,2")


def test_noise_and_fallbacks_are_said_below_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    noise = Noise(
        mad_ms=2.0,
        load_average=3.0,
        other_cpu_cores=0.9,
        involuntary_switches=500,
        noisy=True,
        reasons=("others kept 0.90 cores busy, more than 0.1",),
    )

    print_records([make_row(), make_row(noise=noise), make_row(fallbacks=("Resize on CPUExecutionProvider",))])

    output = capsys.readouterr().out
    assert "ok, noisy" in output
    assert "noisy: 1 of 3 rows are not to be trusted" in output
    assert "others kept 0.90 cores busy" in output
    assert "not on the device: Resize on CPUExecutionProvider (ort" in output


def test_columns_that_say_nothing_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    print_records([make_row()])
    alone = capsys.readouterr().out.splitlines()[0].split()
    print_records([make_row(energy_mj=12.5), make_row(bundle="other", batch=4, throughput_fps=99.0, fps=None)])
    header, _, second = (line.split() for line in capsys.readouterr().out.splitlines())

    assert not {"bundle", "batch", "mJ", "delta1"} & set(alone)
    assert {"bundle", "batch", "mJ"} <= set(header)
    assert "99.0" in second


def test_accuracy_is_shown_and_marked_where_a_manifest_states_it(capsys: pytest.CaptureFixture[str]) -> None:
    stated = make_accuracy(0.63622, source="manifest", on="elsewhere")
    print_records([make_row(accuracy=stated), make_row(accuracy=make_accuracy(0.65)), make_row()])

    header, first, second, third, note = capsys.readouterr().out.splitlines()
    assert header.split()[-1] == "delta1"
    assert [line.split()[-1] for line in (first, second, third)] == ["0.636*", "0.650", "-"]
    assert note == "*: as the manifest says, of all its sizes together; --data measures it"


@pytest.mark.parametrize(("text", "seconds"), [("10m", 600.0), ("90s", 90.0), ("1.5h", 5400.0), ("600", 600.0)])
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


def test_counts_are_read_once_each() -> None:
    assert parse_counts("2, 1,2", "--threads") == (2, 1)
    with pytest.raises(InputError):
        parse_counts("99999", "--threads")
