"""Two sets of records: what is paired, what is refused, what fails a check."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pixio_edge.bench.compare import Pair, compare
from pixio_edge.bench.compare_text import conclude, list_others, list_remarks, name_pairs
from pixio_edge.bench.record import BenchRecord
from pixio_edge.bench.report_data import combination_of
from pixio_edge.errors import InputError
from tests.bench_records import BASE, DESKTOP, JETSON, NOISY, failed, steady

FREE: dict[str, Any] = {"power_mode": None, "governor": None, "clocks_locked": None}


def version_1(record: BenchRecord) -> BenchRecord:
    """The same without what version 1 did not have."""
    return record.model_copy(update={"times_ms": None, "noise": None})


def repeated(median_ms: float, processes: int = 5, *, seed: int = 0, **changes: Any) -> list[BenchRecord]:
    """Records of several processes."""
    return [steady(median_ms, seed=seed + process, **changes) for process in range(processes)]


def one_pair(old: list[BenchRecord], new: list[BenchRecord]) -> Pair:
    (pair,) = compare(old, new).pairs
    return pair


def test_slower_record_is_slower_by_its_ratio() -> None:
    pair = one_pair(repeated(10.0), repeated(11.0, seed=9))

    assert pair.verdict == "slower"
    assert pair.ratio == pytest.approx(1.1, abs=0.01)
    assert pair.ratio == pytest.approx(pair.new_ms / pair.old_ms)
    assert pair.is_slower_by(0.05)
    assert not pair.is_slower_by(0.095)  # the whole interval has to be above
    assert not pair.is_slower_by(0.2)


def test_faster_and_equal_records_are_never_slower() -> None:
    old = [*repeated(10.0), *repeated(10.0, threads=1)]
    result = compare(old, [*repeated(8.0, seed=9), *repeated(10.0, seed=20, threads=1)])

    assert [pair.verdict for pair in result.pairs] == ["no difference", "faster"]  # the largest ratio first
    assert not any(pair.is_slower_by(0.0) for pair in result.pairs)


@pytest.mark.parametrize(
    "change",
    [
        {"bundle": "small"},
        {"artifact": "onnx-int8-256x256"},
        {"runtime": "openvino"},
        {"provider": "cuda"},
        {"precision": "bf16"},
        {"size": [384, 384]},
        {"threads": 1},
        {"batch": 4},
        {"pin_cores": [0]},
        {"frame": [1080, 1920]},
        {"power": FREE | {"power_mode": "15W"}},
        {"host": DESKTOP | {"cpu": "another"}},
    ],
    ids=str,
)
def test_records_of_different_plans_are_not_paired(change: dict[str, Any]) -> None:
    both = [steady(10.0)]
    result = compare([*both, steady(10.0, seed=1)], [*both, steady(20.0, **change)])

    assert [pair.ratio for pair in result.pairs] == [pytest.approx(1.0, abs=0.01)]
    assert len(result.only_new) == 1
    assert "not in the baseline" in list_others(result)[0]


@pytest.mark.parametrize(
    "change",
    [
        {"tool": "pixio-edge 9"},
        {"git_commit": "new"},
        {"runtime_version": "9.9"},
        {"artifact_sha256": "other"},
        {"power": FREE | {"governor": "powersave"}},
        {"host": DESKTOP | {"os": "Linux 7", "packages": {}, "ram_mib": 1, "usable_cores": 2}},
    ],
    ids=str,
)
def test_versions_do_not_keep_records_apart_and_are_told(change: dict[str, Any]) -> None:
    result = compare([steady(10.0)], [steady(10.0, seed=1, **change)])

    assert len(result.pairs) == 1
    assert len(result.pairs[0].changed) == 1


def test_bundle_is_the_same_when_its_folder_is_elsewhere() -> None:
    assert compare([steady(1.0, bundle="/old/nano")], [steady(1.0, bundle="D:\\new\\nano")]).pairs
    # Unless a set has two of that name.
    two = [steady(1.0, bundle="/a/nano"), steady(2.0, bundle="/b/nano")]
    assert {pair.combination.bundle for pair in compare(two, two).pairs} == {"/a/nano", "/b/nano"}


def test_repetitions_count_as_processes_and_older_versions_do_not() -> None:
    stale = steady(99.0, created="2026-11-01T00:00:00+00:00", git_commit="stale")
    repetitions = [steady(10.0, seed=seed) for seed in range(3)]

    result = compare([*repetitions, stale], [steady(10.0, seed=7)])

    assert result.pairs[0].processes == (3, 1)
    assert result.pairs[0].old_ms == pytest.approx(10.0, rel=0.01)
    assert result.fewest_processes == 1
    assert any("one process" in remark for remark in list_remarks(result))
    many = compare(repetitions * 2, repetitions * 2)
    assert many.fewest_processes == 6
    assert not any("process" in remark for remark in list_remarks(many))


def test_record_of_version_1_gives_a_ratio_and_no_verdict() -> None:
    result = compare([version_1(steady(10.0))], [steady(20.0)])

    (pair,) = result.pairs
    assert (pair.interval, pair.verdict) == (None, "cannot tell")
    assert pair.ratio == pytest.approx(2.0, abs=0.02)
    assert "version 1" in str(pair.reason)
    assert not pair.is_slower_by(0.05)
    assert not pair.is_judged_at(0.05)


def test_noisy_records_give_no_verdict_unless_the_difference_is_gross() -> None:
    for old, new in (({}, {"noise": NOISY}), ({"noise": NOISY}, {})):
        pair = one_pair(repeated(10.0, **old), repeated(14.0, seed=9, **new))
        gross = one_pair(repeated(10.0, **old), repeated(30.0, seed=9, **new))

        assert (pair.verdict, pair.reason) == ("cannot tell", "noisy")
        assert not pair.is_slower_by(0.05)
        assert not pair.is_judged_at(0.6)
        assert (gross.verdict, gross.reason) == ("slower", "noisy")
        assert gross.is_slower_by(0.05)


def test_noisy_repetitions_are_left_out_where_three_quiet_ones_remain() -> None:
    noisy = [steady(30.0, seed=seed, noise=NOISY) for seed in (30, 31)]

    three = one_pair(repeated(10.0), [*repeated(12.0, 3, seed=9), *noisy])
    two = one_pair(repeated(10.0), [*repeated(12.0, 2, seed=9), *noisy])

    assert (three.verdict, three.processes) == ("slower", (5, 3))
    assert three.new_ms == pytest.approx(12.0, rel=0.02)
    assert (two.verdict, two.reason, two.processes) == ("cannot tell", "noisy", (5, 4))


@pytest.mark.parametrize("processes", [1, 2])
def test_few_processes_give_no_verdict_unless_the_difference_is_gross(processes: int) -> None:
    """Whatever their inferences say: they do not know how processes differ."""
    old = repeated(10.0, processes)

    for ratio in (0.8, 1.0, 1.2):
        pair = one_pair(old, repeated(10.0 * ratio, seed=9))
        assert pair.verdict == "cannot tell"
        assert "fewer than 3 processes" in str(pair.reason)
    assert one_pair(old, repeated(18.0, seed=9)).verdict == "slower"
    assert one_pair(old, repeated(5.0, seed=9)).verdict == "faster"


def test_gate_judges_what_ends_below_its_limit() -> None:
    pair = one_pair(repeated(10.0, 1), repeated(10.0, 1, seed=9))

    assert pair.interval is not None
    assert 1.04 < pair.interval.high < 1.1  # the spread that is assumed of processes
    assert pair.is_judged_at(0.1)
    assert not pair.is_judged_at(0.03)


def test_jetson_is_one_host_in_every_power_mode_and_its_modes_are_not_compared() -> None:
    """A mode may switch cores off, and is what times depend on most."""
    fast = {"host": JETSON, "power": FREE | {"power_mode": "MAXN"}}
    slow = {"host": JETSON | {"logical_cores": 4}, "power": FREE | {"power_mode": "15W"}}
    both = [*repeated(10.0, **fast), *repeated(20.0, seed=9, **slow)]

    result = compare(both, repeated(20.0, seed=20, **slow))

    assert [pair.combination.power_mode for pair in result.pairs] == ["15W"]
    assert result.pairs[0].verdict == "no difference"
    assert [each.power_mode for each in result.only_old] == ["MAXN"]
    with pytest.raises(InputError, match="power mode"):
        compare(repeated(10.0, **fast), repeated(20.0, **slow))


def test_newest_version_counts_whatever_the_time_zone_of_its_record() -> None:
    stale = repeated(99.0, created="2026-11-20T23:00:00+09:00", git_commit="stale")  # 14:00 UTC
    fresh = repeated(10.0, created="2026-11-20T15:00:00+00:00")

    assert one_pair([*stale, *fresh], fresh).old_ms == pytest.approx(10.0, rel=0.02)
    undated = repeated(99.0, created="yesterday", git_commit="stale")
    assert one_pair([*undated, *fresh], fresh).old_ms == pytest.approx(10.0, rel=0.02)


@pytest.mark.parametrize(("processes", "most"), [(1, 0), (3, 1), (5, 3)])
def test_equal_sets_rarely_get_a_verdict(processes: int, most: int) -> None:
    """Ten comparisons of ten equal pairs, processes 3 % apart: at most `most` of the hundred pairs look different."""
    random = np.random.default_rng(3)
    verdicts = []
    for seed in range(10):
        sides = [
            [
                steady(10 * float(np.exp(random.normal(0, 0.03))), 20, seed=100 * seed + at, spread=0.01, threads=pair)
                for pair in range(1, 11)
                for at in range(processes)
            ]
            for _ in range(2)
        ]
        verdicts += [pair.verdict for pair in compare(*sides).pairs]

    assert len(verdicts) == 100
    assert sum(verdict in ("slower", "faster") for verdict in verdicts) <= most


def test_what_fails_now_and_was_timed_before_is_lost() -> None:
    """The failed record does not know its threads, as the engine did not start."""
    result = compare([steady(10.0), steady(5.0, threads=4)], [steady(10.0, threads=4), failed("failed", "it died")])

    assert [each.combination.threads for each in result.lost] == [2]
    assert "failed: it died" in result.lost[0].verdict
    assert result.only_old == ()
    assert "1 no longer timed" in conclude(result)
    assert compare([steady(10.0)], [failed("failed", "it died")]).lost
    with pytest.raises(InputError):
        compare([steady(10.0)], [failed("failed", "it died", size=[64, 64])])


def test_what_was_not_measured_again_is_only_in_the_baseline() -> None:
    result = compare([steady(10.0), steady(5.0, threads=4)], [steady(10.0)])

    assert [each.threads for each in result.only_old] == [4]
    assert result.lost == ()
    assert any("only in the baseline" in line for line in list_others(result))


def test_different_hosts_are_refused_unless_asked_for() -> None:
    old, new = [steady(10.0)], [steady(20.0, host=JETSON)]

    with pytest.raises(InputError, match=r"AMD Ryzen.*Jetson.*Fix: .*--across-hosts"):
        compare(old, new)

    result = compare(old, new, across_hosts=True)
    assert result.pairs[0].verdict == "slower"
    assert result.hosts is not None
    assert "Different hosts" in list_remarks(result)[0]
    with pytest.raises(InputError, match="2 hosts in the baseline"):
        compare(old + new, new, across_hosts=True)


def test_nothing_in_common_is_refused() -> None:
    with pytest.raises(InputError, match="Fix: measure the same plan"):
        compare([steady(10.0)], [steady(10.0, runtime="openvino")])


def test_confidence_of_each_interval_is_that_of_all_together() -> None:
    old = [steady(10.0, threads=threads) for threads in range(1, 6)]

    result = compare(old, old)

    assert result.confidence == pytest.approx(0.99)
    assert any("99.00%" in remark and "all 5" in remark for remark in list_remarks(result))


def test_pairs_are_named_by_what_differs() -> None:
    old = [steady(10.0, threads=threads) for threads in (1, 2)]

    assert sorted(name_pairs(compare(old, old))) == ["ort fp32 1t", "ort fp32 2t"]


def test_combination_says_itself() -> None:
    record = steady(1.0, provider="cuda", batch=4, threads=1)

    assert combination_of(record, {"nano": "nano"}).describe() == (
        f"nano {BASE['artifact']} ort on cuda fp32 1 thread batch 4"
    )
