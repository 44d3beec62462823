"""`benchmarks/kernels.py` goes through every step on the CPU; its numbers are a GPU's alone."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

torch = pytest.importorskip("torch", reason="the extra 'export' is not installed")
pytest.importorskip("cuda.bindings.nvrtc", reason="the extra 'cuda' is not installed")


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    # A script folder, not a package: importable only while a test needs it.
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import kernels  # noqa: PLC0415

    return kernels


@pytest.mark.slow
def test_dry_run_goes_through_every_step_and_checks_every_contender(
    kernels: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["kernels.py", "--dry-run", "--out", str(tmp_path)])

    status = kernels.main()

    said = capsys.readouterr().out
    assert status == 0, said
    for operator in ("attention", "attention_int8", "add_layer_norm", "add_layer_norm_int8", "bias_gelu_int8"):
        assert f"{operator} 1 5" in said
    assert "tiny 32 ours int8 attention" in said
    assert "roofline" not in said  # a share of a CPU's means nothing
    assert "0 of them failed; nothing is recorded" in said
    assert not list(tmp_path.iterdir())


def test_host_without_a_gpu_is_told_so_in_one_line(
    kernels: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["kernels.py", "--out", str(tmp_path)])
    monkeypatch.setattr(kernels, "describe_kernels", lambda: (False, "no NVIDIA GPU"))

    assert kernels.main() == 2
    assert capsys.readouterr().err == (
        "error: no GPU to measure: no NVIDIA GPU. Fix: run it on an NVIDIA GPU, or --dry-run\n"
    )
    assert not list(tmp_path.iterdir())


def test_what_does_not_fit_in_the_time_is_recorded_as_skipped(kernels: ModuleType) -> None:
    records = kernels.run(kernels.TINY, kernels.Clock("cpu", rounds=1), minutes=0, done=set())

    assert records[0]["key"] == {"part": "peaks"}
    assert {record["status"] for record in records[1:]} == {"skipped"}
    assert {record["key"]["part"] for record in records[1:]} == {"attention", "rows", "model"}


def test_resume_leaves_out_what_was_measured_here_and_nothing_else(
    kernels: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "find_commit", lambda: "abc")
    here, there = {"gpu": "one"}, {"gpu": "other"}
    keys = [{"part": "model", "size": size} for size in (1, 2, 3, 4)]
    rows = [
        {"environment": here, "commit": "abc", "key": keys[0], "status": "ok"},
        {"environment": here, "commit": "abc", "key": keys[1], "status": "skipped"},
        {"environment": there, "commit": "abc", "key": keys[2], "status": "ok"},
        {"environment": here, "commit": "def", "key": keys[3], "status": "ok"},
    ]
    path = tmp_path / "kernels.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")

    assert kernels.finished(here, path) == {json.dumps(keys[0], sort_keys=True)}
    assert kernels.finished(here, tmp_path / "none.jsonl") == set()


def test_plan_covers_the_shapes_of_every_model_at_both_batches(kernels: ModuleType) -> None:
    peaks = kernels.Peaks(1e12, 1e14, 1e14)
    keys = [key for key, _ in kernels.steps(kernels.Plan(), kernels.Clock("cpu"), peaks)]

    attention = {(key["tokens"], key["batch"], *key["heads"]) for key in keys if key["part"] == "attention"}
    rows = {(key["tokens"], key["batch"], key["channels"]) for key in keys if key["part"] == "rows"}
    models = {(key["model"], key["size"], key["contender"]) for key in keys if key["part"] == "model"}
    assert len(keys) == len({json.dumps(key, sort_keys=True) for key in keys})
    assert {(264, 1, 3, 64), (1400, 8, 16, 80), (584, 8, 32, 96)} <= attention
    assert {(264, 1, 192), (584, 8, 3072)} <= rows
    assert {("pixio-vitb16-indoor", 512, "compile max-autotune"), ("nano", 256, "ours")} <= models


@pytest.mark.parametrize("moved", [2e12, 0])
def test_roofline_is_the_slower_of_memory_and_arithmetic(kernels: ModuleType, moved: float) -> None:
    peaks = kernels.Peaks(bytes_per_s=1e12, half_per_s=1e14, int8_per_s=2e14)

    least = peaks.shortest_ms(moved=moved, half=5e13, int8=5e13)

    assert least == pytest.approx(2000 if moved else 750)


def test_wrong_result_is_not_timed(kernels: ModuleType) -> None:
    from kernels_cases import Case, measure  # noqa: PLC0415  (importable since `kernels`)

    contenders = {"ours": lambda: torch.full((4,), 2.0), "broken": lambda: 1 / 0}
    case = Case("attention", {}, contenders, lambda: torch.ones(4), tolerance=0.5, least={"moved": 1.0})

    wrong, failed = measure(case, kernels.Clock("cpu", rounds=1), kernels.Peaks(1e12, 1e14, None))

    assert (wrong["status"], wrong["error"]) == ("wrong", 1.0)
    assert (failed["status"], failed["reason"]) == ("failed", "division by zero")
    assert "median_ms" not in wrong
