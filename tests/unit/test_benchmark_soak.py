"""The soak finds wrong results, errors and growth, and goes on where it was interrupted."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from pixio_edge.errors import PixioEdgeError
from pixio_edge.runtimes.ort import OrtRuntime
from tests.tiny_bundle import write_tiny_bundle

pytest.importorskip("psutil", reason="psutil, of the developer tools, is not installed")
ROOT = Path(__file__).parents[2]
# A quarter of a second for each phase.
MINUTES = 0.25 / 60


@pytest.fixture
def soak(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import soak  # noqa: PLC0415

    # Camera frames would take longer to restore than the tiny graph takes to run.
    monkeypatch.setattr(soak, "FRAME_SIZES", ((40, 60), (32, 32)))
    return soak


@pytest.fixture
def plan(soak: ModuleType, tmp_path: Path) -> Any:
    write_tiny_bundle(tmp_path / "tiny")
    return soak.SoakPlan(
        bundle=str(tmp_path / "tiny"),
        runtime="ort",
        precision="fp32",
        threads=1,
        callers=3,
        concurrency=1,
        phase_minutes=MINUTES,
        sample_s=0.01,
    )


def change_run(monkeypatch: pytest.MonkeyPatch, after: int, change: Any) -> None:
    """Apply `change` to the output of every inference after the first ones."""
    original, calls = OrtRuntime._run, iter(range(10**9))

    def run(runtime: OrtRuntime, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        outputs = original(runtime, feeds)
        return change(outputs) if next(calls) >= after else outputs

    monkeypatch.setattr(OrtRuntime, "_run", run)


def test_both_phases_run_and_find_nothing_wrong_with_a_right_estimator(
    soak: ModuleType, plan: Any, tmp_path: Path
) -> None:
    records = soak.soak(plan, tmp_path / "progress")

    assert [(record["phase"], record["callers"]) for record in records] == [("stream", 1), ("threads", 3)]
    for record in records:
        assert record["frames"] > soak.DISTINCT_FRAMES
        assert (record["wrong"], record["errors"]) == (0, [])
        assert record["p50_ms"] <= record["p99_ms"]
        assert record["memory"]
        assert soak.failures(record, is_quick=True) == []


def test_output_of_other_bits_is_wrong(
    soak: ModuleType, plan: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_run(monkeypatch, 60, lambda outputs: {"depth": np.nextafter(outputs["depth"], np.float32(np.inf))})

    records = soak.soak(plan, tmp_path / "progress")

    assert records[1]["wrong"] == records[1]["frames"] > 0
    assert records[1]["largest_difference"] > 0
    assert any("outputs differ" in text for text in soak.failures(records[1]))


def test_error_in_a_caller_ends_the_phase_and_is_kept(
    soak: ModuleType, plan: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        raise PixioEdgeError("made to fail")

    change_run(monkeypatch, 60, fail)

    with pytest.raises(PixioEdgeError, match="made to fail"):  # the second phase fails in its warm-up
        soak.soak(plan, tmp_path / "progress")

    (kept,) = (tmp_path / "progress").glob("*.json")
    assert "PixioEdgeError: made to fail" in kept.read_text()


def test_phases_that_have_ended_are_not_run_again(
    soak: ModuleType, plan: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = soak.soak(plan, tmp_path / "progress")
    monkeypatch.setattr(soak.Soak, "run", lambda *_: pytest.fail("a phase ran again"))

    assert soak.soak(plan, tmp_path / "progress") == first


def test_growth_is_the_slope_after_warm_up_whatever_the_noise(soak: ModuleType) -> None:
    seconds = np.arange(100, 1000.0)
    noise = np.random.default_rng(0).normal(0, 3, len(seconds))
    samples = np.stack([seconds, 300 + seconds * 0.01 + noise], axis=1)

    grown = soak.growth_mib(samples)

    assert grown == pytest.approx(0.01 * 1800, abs=2)  # in 30 minutes, though it was measured for half of that
    assert soak.growth_mib(samples[:2]) is None


def test_percentiles_of_counted_times_are_those_of_the_times(soak: ModuleType) -> None:
    times = np.random.default_rng(0).lognormal(-4, 0.5, 5000)
    parts = [soak.LatencyCounts(), soak.LatencyCounts()]
    for index, value in enumerate(times):
        parts[index % 2].add(float(value))

    found = soak.LatencyCounts.summed(parts).percentiles()

    assert found["p50_ms"] == pytest.approx(np.median(times) * 1e3, rel=0.01)
    assert found["p99_ms"] == pytest.approx(np.percentile(times, 99) * 1e3, rel=0.02)
    assert found["max_ms"] == pytest.approx(times.max() * 1e3)
    assert soak.LatencyCounts().percentiles() == {"p50_ms": None, "p99_ms": None, "max_ms": None}


def test_memory_samples_need_no_more_room_than_they_began_with(soak: ModuleType) -> None:
    memory = soak.MemorySamples(seconds=1.0, interval_s=0.1)
    for step in range(50):
        memory.sample(step * 0.1, frames=step * 1000)

    assert len(memory.thinned()) == 11
    assert memory.after_warm_up()[0, 0] == pytest.approx(0.5)
    assert memory.allocated()[0, 0] == pytest.approx(0.2)
    assert memory.stages()["rss_half_mib"] == pytest.approx(memory.last_mib, rel=0.5)
    assert memory.last_mib > 1


def test_memory_that_is_kept_shows_in_what_malloc_gave_out(soak: ModuleType) -> None:
    measures = importlib.import_module("soak_measures")
    before = measures.allocated_mib()
    if np.isnan(before):
        pytest.skip("the C library does not tell what it gave out")

    kept = np.ones(4 * 2**20, np.uint8)

    assert measures.allocated_mib() - before == pytest.approx(kept.nbytes / 2**20, abs=0.5)


def test_memory_is_not_judged_before_enough_frames(soak: ModuleType) -> None:
    memory = soak.MemorySamples(seconds=1.0, interval_s=0.1)
    for step in range(11):
        memory.sample(step * 0.1, frames=step)

    assert len(memory.thinned()) == 11
    assert soak.growth_mib(memory.after_warm_up()) is None


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"growth_mib": None}, "cannot be judged"),
        ({"growth_mib": 2.1}, "memory grows by 2.1 MiB"),
        ({"allocated_growth_mib": 2.1}, "malloc gives out 2.1 MiB more"),
    ],
)
def test_growth_above_the_limit_and_growth_that_was_not_judged_fail(
    soak: ModuleType, changes: dict[str, Any], problem: str
) -> None:
    good = {"wrong": 0, "frames": 9, "errors": [], "growth_mib": 1.9, "allocated_growth_mib": 0.0}

    assert soak.failures(good) == []
    (found,) = soak.failures(good | changes)
    assert problem in found
    assert soak.failures(good | changes, is_quick=True) == []


def test_dry_run_measures_nothing(soak: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr("sys.argv", ["soak.py", "--dry-run"])
    monkeypatch.setattr(soak, "soak", lambda *_: pytest.fail("it ran"))

    assert soak.main() == 0
    assert '"phase_minutes": 30.0' in capsys.readouterr().out
