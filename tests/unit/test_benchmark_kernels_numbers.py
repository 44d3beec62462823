"""What `benchmarks/kernels_*.py` make of times: shares, missing backends, tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the extra 'export' is not installed")
pytest.importorskip("cuda.bindings.nvrtc", reason="the extra 'cuda' is not installed")


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    # A script folder, not a package: importable only while a test needs it.
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))


def make_peaks() -> Any:
    from kernels_timing import Peaks  # noqa: PLC0415

    return Peaks(bytes_per_s=1e12, cache_bytes_per_s=4e12, cache_bytes=10**9, half_per_s=1e14, int8_per_s=2e14)


@pytest.mark.parametrize(
    ("moved", "cold", "expected"),
    [
        (2e12, True, (2000, "memory")),
        (0, True, (750, "arithmetic")),
        (1e12, False, (999, "memory")),  # 999 GB of it do not fit into the cache
        (0.9e9, False, (750, "arithmetic")),
        (4e12, False, (3999, "memory")),
    ],
)
def test_shortest_time_is_by_the_slowest_of_what_the_work_needs(
    moved: float, cold: bool, expected: tuple[float, str]
) -> None:
    from kernels_timing import Least  # noqa: PLC0415

    least, limit = make_peaks().shortest(Least(moved, half=5e13, int8=5e13), cold=cold)

    assert (least, limit) == (pytest.approx(expected[0]), expected[1])


def test_warm_work_that_fits_into_the_cache_is_held_against_the_cache() -> None:
    from kernels_timing import Least  # noqa: PLC0415

    assert make_peaks().shortest(Least(8e8), cold=False) == (pytest.approx(0.2), "cache")
    assert make_peaks().shortest(Least(8e8), cold=True) == (pytest.approx(0.8), "memory")


def test_share_above_one_says_why() -> None:
    from kernels_measure import timed  # noqa: PLC0415
    from kernels_timing import Least, Times  # noqa: PLC0415

    above = timed(Times(0.4, 0.0, 3), Least(8e8), make_peaks(), "cold")["cold"]
    below = timed(Times(1.6, 0.0, 3), Least(8e8), make_peaks(), "cold")["cold"]

    assert (above["roofline"], below["roofline"]) == (pytest.approx(2), pytest.approx(0.5))
    assert "cache" in above["above_1"]
    assert "above_1" not in below


@pytest.mark.parametrize(("moved", "sets"), [(1e8, 21), (4e9, 2), (1, 256)])
def test_cold_inputs_go_round_through_more_than_the_cache(moved: float, sets: int) -> None:
    from kernels_measure import sets_needed  # noqa: PLC0415

    assert sets_needed(moved, 10**9) == sets


def test_cold_time_takes_other_inputs_in_turn_and_warm_time_the_same() -> None:
    from kernels_cases import Case  # noqa: PLC0415
    from kernels_measure import measure  # noqa: PLC0415
    from kernels_timing import Clock, Least, Peaks  # noqa: PLC0415

    ran: list[int] = []
    made = iter(range(9))

    def make() -> Any:
        number = next(made)
        return {"ours": lambda: ran.append(number) or torch.ones(4)}, lambda: torch.ones(4)

    case = Case("attention", {}, make, lambda _: 0.5, lambda _: Least(100.0))
    peaks = Peaks(1e3, 1e3, 100, 1.0, None)

    (record,) = measure(case, Clock("cpu", rounds=1, heat_s=0), peaks)

    # checked, then warm: heated and timed; then cold, the same with three sets
    assert ran == [0, 0, 0, 0, 1, 2, 0, 1, 2]
    assert record["warm"]["rounds"] == record["cold"]["rounds"] == 1


def test_contenders_take_turns_and_the_first_is_not_always_the_same() -> None:
    from kernels_timing import Clock  # noqa: PLC0415

    order: list[str] = []
    works = {name: (lambda name=name: order.append(name)) for name in "abc"}

    Clock("cpu", rounds=3, heat_s=0).compare(works, runs=1)

    assert "".join(order) == "abc" + "abc" + "bca" + "cab"


def test_wrong_result_is_not_timed_and_a_missing_backend_says_what_torch_says() -> None:
    import warnings  # noqa: PLC0415

    from kernels_cases import Case  # noqa: PLC0415
    from kernels_measure import measure  # noqa: PLC0415
    from kernels_timing import Clock, Least  # noqa: PLC0415

    def no_cudnn() -> None:
        warnings.warn("cuDNN attention needs sm_80 (Triggered internally at x.cpp)", stacklevel=1)
        raise RuntimeError("No available kernel. Aborting execution.")

    works = {"ours": lambda: torch.full((4,), 2.0), "nan": lambda: torch.full((4,), float("nan"))}
    works |= {"broken": lambda: 1 / 0, "sdpa cudnn": no_cudnn}
    case = Case("attention", {}, lambda: (works, lambda: torch.ones(4)), lambda _: 0.5, lambda _: Least(1e12))

    wrong, nan, failed, missing = measure(case, Clock("cpu", rounds=1, heat_s=0), make_peaks())

    assert (wrong["status"], wrong["error"]) == ("wrong", 1.0)
    assert (nan["status"], nan["error"]) == ("wrong", None)
    assert (failed["status"], failed["reason"]) == ("failed", "division by zero")
    assert missing["status"] == "missing"
    assert missing["reason"] == "No available kernel. Aborting execution.; cuDNN attention needs sm_80"
    assert not any({"warm", "cold"} & one.keys() for one in (wrong, nan, failed, missing))


def test_step_that_raises_is_a_record_and_not_the_end() -> None:
    from kernels_steps import Measurer  # noqa: PLC0415

    measurer = Measurer({"device": "cpu", "rounds": 1, "heat_s": 0.0, "tiny": True})
    key = {"part": "attention", "dtype": "float16", "tokens": -5, "batch": 1, "heads": [2, 64]}

    answer = measurer.answer({"key": key, "peaks": {}})

    assert answer["lost"] is None
    assert [one["status"] for one in answer["records"]] == ["failed"]
    assert "Error" in answer["records"][0]["reason"]


COMMON = {
    "run": "2026-11-21T18:00:00Z",
    "commit": "0123456789ab",
    "host": {"packages": {"torch": "2.11"}, "usable_cores": 2, "logical_cores": 2, "cpu": "CPU", "os": "Linux"},
    "environment": {"gpu": "GPU", "sm": "sm_90", "torch": "2.11", "nvrtc": "13.0", "smi": {"driver_version": "580"}},
}
ATTENTION = {"part": "attention", "tokens": 584, "batch": 1, "heads": [6, 64], "dtype": "float16"}
MODEL = {"part": "model", "model": "nano", "size": 256, "dtype": "float16"}


def attention_record(contender: str, warm: float, cold: float, *, tried: int = 1, **others: Any) -> dict[str, Any]:
    fields = {"operator": "attention", "batch": 1, "tokens": 584, "heads": 6, "head_dim": 64, "dtype": "float16"}
    times = {"warm": {"median_ms": warm}, "cold": {"median_ms": cold, "roofline": 0.5, "limit": "memory"}}
    return (
        COMMON
        | {"key": ATTENTION, "tried": str(tried), "status": "ok", "contender": contender}
        | fields
        | times
        | others
    )


def test_table_names_the_best_backend_and_takes_the_last_try_of_a_step() -> None:
    from kernels_table import render_kernel_speed  # noqa: PLC0415

    records = [
        attention_record("ours", 9.0, 9.0, tried=1),
        attention_record("ours", 0.002, 0.004, tried=2),
        attention_record("ours int8", 0.001, 0.002, tried=2),
        attention_record("sdpa flash", 0.003, 0.006, tried=2),
        attention_record("sdpa efficient", 0.0025, 0.005, tried=2),
        attention_record("sdpa flash, without transposes", 0.002, 0.005, tried=2),
        attention_record("sdpa cudnn", 0, 0, tried=2, status="missing", reason="no cuDNN"),
    ]

    text = render_kernel_speed(records)

    assert "| float16 1x584, 6 heads of 64 | 2.0 / 4.0 | efficient 2.5 / 5.0 | 1.25 / 1.25 | 1.50 / 1.50 |" in text
    assert "| flash 2.0 / 5.0 | 1.0 / 2.0 | 2.00 / 2.00 | 50% of memory |" in text
    assert "GPU (sm_90), torch 2.11, NVRTC 13.0; driver 580" in text
    assert "commit 0123456789ab" in text


def test_model_is_compared_with_max_autotune_as_they_took_turns() -> None:
    from kernels_table import render_kernel_speed  # noqa: PLC0415

    def pair(rival: str, *, ours: float, theirs: float) -> list[dict[str, Any]]:
        common = COMMON | {"key": MODEL | {"rival": rival}, "tried": rival, "status": "ok"}
        common |= {"model": "nano", "size": 256, "dtype": "float16"}
        times = {"ours": ours, rival: theirs}
        return [
            common | {"contender": name, "graph": {"median_ms": time}, "wall": {"median_ms": 2 * time}}
            for name, time in times.items()
        ]

    text = render_kernel_speed(pair("compile max-autotune", ours=1.0, theirs=1.5) + pair("eager", ours=3.0, theirs=6.0))

    assert "| 1.50 |" in text  # not 0.5: the clock may have been another when eager was timed
    assert "wall" in text


def test_without_a_gpu_record_the_table_says_that_nothing_was_measured() -> None:
    from kernels_table import render_kernel_speed  # noqa: PLC0415

    skipped = COMMON | {"key": ATTENTION, "tried": "1", "status": "skipped", "reason": "over"}

    assert render_kernel_speed([]) == render_kernel_speed([skipped])
    assert render_kernel_speed([]).startswith("_Not measured yet")
