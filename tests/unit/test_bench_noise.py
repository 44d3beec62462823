"""Noise: each limit alone makes a record noisy, and a quiet machine does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pixio_edge.bench.noise import (
    MAX_LOAD,
    MAX_OTHER_CORES,
    MAX_SPREAD,
    MAX_SWITCHES_PER_S,
    Usage,
    judge_noise,
    read_usage,
)
from pixio_edge.bench.record_parts import Noise

QUIET = np.full(100, 10.0)


def judge(
    times: np.ndarray = QUIET,
    *,
    busy: float | None = 3.0,
    switches: int | None = 0,
    seconds: float = 2.0,
    load: float | None = 5.0,
) -> Noise:
    """Own work takes 3 s of processor time."""
    before = Usage(0.0, None if busy is None else 100.0, 10.0, None if switches is None else 7)
    after = Usage(seconds, None if busy is None else 100.0 + busy, 13.0, None if switches is None else 7 + switches)
    return judge_noise(times, before, after, load_average=load, threads=2)


def test_quiet_machine_is_not_noisy_whatever_the_load_of_the_row_before() -> None:
    noise = judge()

    assert (noise.noisy, noise.reasons, noise.mad_ms) == (False, (), 0.0)
    assert (noise.load_average, noise.other_cpu_cores, noise.involuntary_switches) == (5.0, 0.0, 0)


def test_spread_of_the_times_makes_a_record_noisy() -> None:
    times = np.where(np.arange(100) % 2, 10.0, 10.0 * (1 + 2.2 * MAX_SPREAD))

    noise = judge(times)

    assert noise.noisy
    assert noise.mad_ms == pytest.approx(0.55)
    assert "median absolute deviation is 5.2% of the median, more than 5%" in noise.reasons[0]


def test_one_outlier_in_a_hundred_does_not() -> None:
    assert not judge(np.where(np.arange(100) == 50, 500.0, 10.0)).noisy


def test_work_of_others_makes_a_record_noisy() -> None:
    noise = judge(busy=3.0 + 2.0 * 1.5 * MAX_OTHER_CORES)

    assert noise.noisy
    assert noise.other_cpu_cores == pytest.approx(0.15)
    assert "others kept 0.15 cores busy" in noise.reasons[0]
    assert not judge(busy=3.0 + 2.0 * 0.5 * MAX_OTHER_CORES).noisy


def test_interruptions_make_a_record_noisy() -> None:
    noise = judge(switches=int(2 * 2 * MAX_SWITCHES_PER_S) + 10)

    assert noise.noisy
    assert "involuntary context switches a second and thread, more than 20" in noise.reasons[0]
    assert not judge(switches=int(2 * 2 * MAX_SWITCHES_PER_S)).noisy


def test_load_counts_only_where_the_system_does_not_tell_who_works() -> None:
    noise = judge(busy=None, switches=None, load=2 * MAX_LOAD)

    assert (noise.other_cpu_cores, noise.involuntary_switches) == (None, None)
    assert "load average was 1.00 before" in noise.reasons[0]
    assert not judge(busy=None, load=MAX_LOAD).noisy
    assert not judge(busy=None, load=None).noisy


def test_share_of_others_is_unknown_when_the_time_is_too_short_for_the_clock() -> None:
    noise = judge(busy=9.0, switches=1000, seconds=0.1)

    assert noise.other_cpu_cores is None
    assert not noise.noisy


def test_usage_of_the_usable_processors_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "proc").mkdir()
    text = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 100 20 30 9999 999 4 5 6 0 0\ncpu1 9000 0 0 0 0 0 0 0 0 0\nintr 5\n"
    (tmp_path / "proc" / "stat").write_text(text, encoding="ascii")
    monkeypatch.setattr("pixio_edge.bench.noise.sys.platform", "linux")
    monkeypatch.setattr("pixio_edge.bench.noise.os.sched_getaffinity", lambda _: {0}, raising=False)
    monkeypatch.setattr("pixio_edge.bench.noise.os.sysconf", lambda _: 100, raising=False)

    usage = read_usage(tmp_path)

    assert usage.busy_s == pytest.approx(1.65)  # user, nice, system, irq, softirq, steal; not idle, not iowait
    assert read_usage(tmp_path / "absent").busy_s is None
