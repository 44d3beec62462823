"""Two sets of records: what is paired, what is refused, what fails a check."""

from __future__ import annotations

from typing import Any

import pytest

from pixio_edge.bench.compare import compare
from pixio_edge.bench.compare_text import conclude, list_others, list_remarks, name_pairs
from pixio_edge.bench.record import BenchRecord
from pixio_edge.bench.report_data import combination_of
from pixio_edge.errors import InputError
from tests.bench_records import BASE, DESKTOP, JETSON, NOISY, failed, steady


def version_1(record: BenchRecord) -> BenchRecord:
    """The same without what version 1 did not have."""
    return record.model_copy(update={"times_ms": None, "noise": None})


def test_slower_record_is_slower_by_its_ratio() -> None:
    result = compare([steady(10.0)], [steady(11.0, seed=1)])

    (pair,) = result.pairs
    assert pair.verdict == "slower"
    assert pair.ratio == pytest.approx(1.1, abs=0.01)
    assert pair.ratio == pytest.approx(pair.new_ms / pair.old_ms)
    assert pair.is_slower_by(0.05)
    assert not pair.is_slower_by(0.095)  # the whole interval has to be above
    assert not pair.is_slower_by(0.2)


def test_faster_and_equal_records_are_never_slower() -> None:
    old = [steady(10.0), steady(10.0, threads=1)]
    result = compare(old, [steady(8.0, seed=1), steady(10.0, seed=2, threads=1)])

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


def test_noisy_record_gives_no_verdict() -> None:
    for old, new in (({}, {"noise": NOISY}), ({"noise": NOISY}, {})):
        (pair,) = compare([steady(10.0, **old)], [steady(20.0, **new)]).pairs

        assert (pair.verdict, pair.reason) == ("cannot tell", "noisy")
        assert not pair.is_slower_by(0.05)


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
