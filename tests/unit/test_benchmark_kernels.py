"""`benchmarks/kernel_speed.py` goes through its steps on the CPU and loses nothing; its numbers are a GPU's alone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the extra 'export' is not installed")
pytest.importorskip("cuda.bindings.nvrtc", reason="the extra 'cuda' is not installed")

GPU = {"gpu": "one", "torch": "2"}
COMMIT = "0123456789ab"


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # A script folder, not a package: importable only while a test needs it.
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    yield


@pytest.fixture
def kernels() -> ModuleType:
    import kernel_speed  # noqa: PLC0415

    return kernel_speed


class Answers:
    """Answers each request by a function of its key, and remembers what it was asked and when it was ended."""

    def __init__(self, answer: Callable[[dict[str, Any]], Any]) -> None:
        self.answer = answer
        self.asked: list[dict[str, Any]] = []
        self.limits: list[float] = []
        self.stops = 0

    def ask(self, request: dict[str, Any], *, limit_s: float) -> dict[str, Any]:
        self.asked.append(request["key"])
        self.limits.append(limit_s)
        found = self.answer(request["key"])
        return found if "records" in found else {"records": [found], "lost": None}

    def stop(self) -> None:
        self.stops += 1


def small_plan(kernels: ModuleType) -> Any:
    return kernels.Plan(
        (5,), (1,), ((2, 64),), ("tiny",), (32,), ("eager", "compile max-autotune"), "float16", None, ()
    )


def test_quick_steps_of_a_dry_run_measure_and_check_every_contender(
    kernels: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    import kernels_cases  # noqa: PLC0415

    traced = []
    monkeypatch.setattr(kernels_cases, "compile_for", lambda function, device: traced.append(device) or function)
    found: list[dict[str, Any]] = []
    here = kernels.Here({"device": "cpu", "rounds": 1, "heat_s": 0.0, "tiny": True})
    plan = kernels.Plan((5,), (1,), ((2, 64),), ("tiny",), (32,), ("eager",), "float32", None, ())

    kernels.run(plan, here, lambda key, records: found.extend(records), minutes=5)

    assert [one for one in found if one["status"] != "ok"] == []
    named = {(one.get("operator", one.get("model")), one["contender"]) for one in found[1:]}
    assert {("attention", "ours int8"), ("attention", "sdpa math, without transposes")} <= named
    assert {("bias_gelu_int8", "torch.compile"), ("add_layer_norm", "copy of as many bytes")} <= named
    assert {("tiny", "ours"), ("tiny", "eager")} <= named
    assert traced == ["cpu"] * 4
    for one in found[1:]:
        modes = ("graph", "wall", "called") if "model" in one else ("warm", "cold")
        assert all(one[mode]["median_ms"] > 0 for mode in modes)
        assert one["contender"] == "copy of as many bytes" or one["error"] is not None


@pytest.mark.slow
def test_dry_run_goes_through_every_step_and_records_nothing(
    kernels: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["kernel_speed.py", "--dry-run", "--out", str(tmp_path)])

    status = kernels.main()

    said = capsys.readouterr().out
    assert status == 0, said
    for operator in ("attention", "add_layer_norm", "add_layer_norm_int8", "bias_gelu_int8"):
        assert f"{operator} 1 5" in said
    assert "tiny 32 ours int8 attention" in said
    assert "0 of them failed; nothing is recorded" in said
    assert not list(tmp_path.iterdir())


def test_host_without_a_gpu_is_told_so_in_one_line(
    kernels: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["kernel_speed.py", "--out", str(tmp_path)])
    monkeypatch.setattr(kernels, "obstacle", lambda: "no NVIDIA GPU")

    assert kernels.main() == 2
    assert capsys.readouterr().err == (
        "error: no GPU to measure: no NVIDIA GPU. Fix: run it on an NVIDIA GPU, or --dry-run\n"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("commit", [None, f"{COMMIT}-dirty"])
def test_resume_is_refused_where_no_commit_says_which_code_it_was(
    kernels: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    commit: str | None,
) -> None:
    monkeypatch.setattr(sys, "argv", ["kernel_speed.py", "--resume", "--out", str(tmp_path)])
    monkeypatch.setattr(kernels, "obstacle", lambda: None)
    monkeypatch.setattr(kernels, "find_commit", lambda: commit)

    assert kernels.main() == 2
    assert "--commit" in capsys.readouterr().err


def test_what_does_not_fit_in_the_time_is_recorded_as_skipped(kernels: ModuleType) -> None:
    worker, found = Answers(lambda key: {"status": "ok"}), []

    kernels.run(small_plan(kernels), worker, lambda key, records: found.append((key, records)), minutes=0)

    assert worker.asked == []
    assert {key["part"] for key, _ in found} == {"peaks", "attention", "rows", "model"}
    assert {record["status"] for _, records in found for record in records} == {"skipped"}


def test_no_step_gets_more_time_than_is_left_and_autotuning_is_not_begun_with_little(kernels: ModuleType) -> None:
    worker, found = Answers(lambda key: {"status": "ok"}), {}

    def append(key: dict[str, Any], records: list[dict[str, Any]]) -> None:
        found[key.get("rival", key["part"])] = records[0]["status"]

    kernels.run(small_plan(kernels), worker, append, minutes=1)

    assert found["compile max-autotune"] == "skipped"
    assert found["eager"] == "ok"
    assert worker.limits and max(worker.limits) <= 60


def test_step_that_ends_its_process_is_recorded_and_the_others_go_on(kernels: ModuleType) -> None:
    def answer(key: dict[str, Any]) -> dict[str, Any]:
        if key["part"] == "attention":
            raise kernels.WorkerLostError("its process ended with status -11")
        if key["part"] == "rows":
            return {"records": [{"status": "ok"}], "lost": "illegal memory access"}
        return {"status": "ok"}

    worker, found = Answers(answer), {}
    kernels.run(small_plan(kernels), worker, lambda key, records: found.update({key["part"]: records}), minutes=9)

    assert found["attention"] == [{"status": "failed", "reason": "its process ended with status -11"}]
    assert found["rows"][1] == {"status": "failed", "reason": "the GPU was lost: illegal memory access"}
    assert worker.stops == 1
    assert found["model"] == [{"status": "ok"}]


def test_records_of_a_step_are_on_the_disk_before_the_next_step_begins(kernels: ModuleType, tmp_path: Path) -> None:
    from kernels_journal import Journal, read  # noqa: PLC0415

    path = tmp_path / "kernel_speed.jsonl"
    journal = Journal.begin(path, COMMIT, GPU, resume=False)
    seen = []

    def answer(key: dict[str, Any]) -> dict[str, Any]:
        seen.append(len(read(path)))
        if len(seen) == 3:
            raise KeyboardInterrupt  # the machine goes away
        return {"status": "ok"}

    with pytest.raises(KeyboardInterrupt):
        kernels.run(small_plan(kernels), Answers(answer), journal.append, minutes=9)

    assert seen == [0, 1, 2]
    assert [one["commit"] for one in read(path)] == [COMMIT] * 2


def test_resumed_run_leaves_out_what_is_done_and_tries_what_failed_last(kernels: ModuleType, tmp_path: Path) -> None:
    from kernels_journal import Journal, text  # noqa: PLC0415

    path = tmp_path / "kernel_speed.jsonl"
    attention, rows, model, autotune = kernels.keys(small_plan(kernels))
    first = Journal.begin(path, COMMIT, GPU, resume=False)
    first.append(attention, [{"status": "ok"}, {"status": "failed", "reason": "out of memory"}])
    first.append(rows, [{"status": "ok"}, {"status": "missing", "reason": "no cuDNN"}])
    first.append(model, [{"status": "skipped"}])
    with path.open("a") as file:
        file.write('{"cut off')

    resumed = Journal.begin(path, COMMIT, GPU, resume=True)
    tried = resumed.outcomes()
    worker = Answers(lambda key: {"status": "ok"})
    kernels.run(small_plan(kernels), worker, resumed.append, minutes=9, tried=tried)

    assert tried == {text(attention): False, text(rows): True}
    assert [one["part"] for one in worker.asked] == ["peaks", "model", "model", "attention"]
    assert worker.asked[1:3] == [model, autotune]
    assert resumed.common["run"] == first.common["run"]
    assert all(resumed.outcomes().values())


@pytest.mark.parametrize(
    ("commit", "environment"),
    [("fedcba987654", GPU), (COMMIT, {"gpu": "other"}), (None, GPU), (f"{COMMIT}-dirty", GPU)],
)
def test_resumed_run_trusts_no_other_code_and_no_other_gpu(
    tmp_path: Path, commit: str | None, environment: dict[str, str]
) -> None:
    from kernels_journal import Journal, same_runs  # noqa: PLC0415

    path = tmp_path / "kernel_speed.jsonl"
    for written in (COMMIT, None, f"{COMMIT}-dirty"):
        Journal.begin(path, written, GPU, resume=False).append({"part": "rows"}, [{"status": "ok"}])

    assert same_runs(path, commit, environment) == []
    assert len(same_runs(path, COMMIT, GPU)) == 1


def test_plan_covers_the_shapes_of_every_model_at_both_batches(kernels: ModuleType) -> None:
    from kernels_journal import text  # noqa: PLC0415

    keys = list(kernels.keys(kernels.Plan()))

    attention = {(key["tokens"], key["batch"], *key["heads"], key["dtype"]) for key in keys if "heads" in key}
    rows = {(key["tokens"], key["batch"], key["channels"]) for key in keys if key["part"] == "rows"}
    models = {(key["model"], key["size"], key["rival"]) for key in keys if key["part"] == "model"}
    assert len(keys) == len({text(key) for key in keys})
    assert {(264, 1, 3, 64, "float16"), (1400, 8, 16, 80, "float16"), (584, 8, 32, 96, "bfloat16")} <= attention
    assert {(264, 1, 192), (584, 8, 3072)} <= rows
    assert {("pixio-vitb16-indoor", 512, "compile max-autotune"), ("nano", 256, "eager")} <= models


def test_worker_is_ended_when_its_time_is_over_and_replaced_when_it_is_lost() -> None:
    from kernels_worker import Worker, WorkerLostError  # noqa: PLC0415
    from worker_echo import echo  # noqa: PLC0415

    worker = Worker(echo, {"device": "x"})
    try:
        first = worker.ask({"what": "a"}, limit_s=60)
        again = worker.ask({"what": "b"}, limit_s=60)
        with pytest.raises(WorkerLostError, match="stopped after 0 s"):
            worker.ask({"what": "hang"}, limit_s=0.1)
        replaced = worker.ask({"what": "c"}, limit_s=60)
        with pytest.raises(WorkerLostError, match="ended with status 7"):
            worker.ask({"what": "crash"}, limit_s=60)
    finally:
        worker.stop()

    assert (first["said"], again["said"], replaced["said"], first["device"]) == ("a", "b", "c", "x")
    assert first["pid"] == again["pid"] != replaced["pid"]


def test_run_on_a_gpu_writes_key_commit_environment_and_what_was_found(
    kernels: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from kernels_journal import read  # noqa: PLC0415

    worker = Answers(lambda key: {"status": "ok", "entries": ["attention_64"]})
    given: list[Any] = []
    monkeypatch.setattr(kernels, "Worker", lambda *options: given.append(options) or worker)
    plan = small_plan(kernels)
    monkeypatch.setattr(kernels, "Plan", lambda: plan)
    monkeypatch.setattr(kernels, "obstacle", lambda: None)
    argv = ["kernel_speed.py", "--commit", COMMIT, "--resume", "--out", str(tmp_path)]

    for expected in (["peaks", "attention", "rows", "model", "model"], ["peaks"]):
        worker.asked.clear()
        monkeypatch.setattr(sys, "argv", argv)
        assert kernels.main() == 0
        assert [key["part"] for key in worker.asked] == expected

    records = read(tmp_path / "kernel_speed.jsonl")
    assert [one["key"]["part"] for one in records] == ["peaks", "attention", "rows", "model", "model", "peaks"]
    assert {one["commit"] for one in records} == {COMMIT}
    assert len({one["run"] for one in records}) == 1
    assert records[1]["entries"] == ["attention_64"]
    assert {"torch", "nvrtc", "gpu"} <= records[1]["environment"].keys()
    assert given[0][1]["device"] == "cuda"
    assert worker.stops == 2
    assert "0 steps skipped" in capsys.readouterr().out
