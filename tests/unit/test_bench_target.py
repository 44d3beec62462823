"""The choice for a target: the most accurate that is fast enough, else the fastest; always with a reason."""

from __future__ import annotations

import pytest

from pixio_edge.bench.record_parts import Bucket, Noise, Sustained
from pixio_edge.bench.target import choose, frame_ms
from tests.bench_rows import make_accuracy, make_row


def sustained(first: float, last: float) -> Sustained:
    bucket = Bucket(
        start_s=0.0,
        seconds=10.0,
        runs=10,
        p50_ms=first,
        p99_ms=first,
        cpu_mhz=None,
        gpu_mhz=None,
        temperatures_c=None,
        throttled=None,
        power_w=None,
    )
    return Sustained(
        seconds=600.0,
        runs=1000,
        p50_ms=first,
        p99_ms=last,
        first_p50_ms=first,
        last_p50_ms=last,
        throttled=True,
        power_mode=None,
        buckets=(bucket,),
    )


SLOW = make_row(artifact="slow", predict_p90_ms=40.0, accuracy=make_accuracy(0.70))
GOOD = make_row(artifact="good", predict_p90_ms=30.0, accuracy=make_accuracy(0.65))
QUICK = make_row(artifact="quick", predict_p90_ms=10.0, precision="int8", accuracy=make_accuracy(0.60))


def test_most_accurate_within_the_target_wins_and_not_the_fastest() -> None:
    choice = choose([QUICK, SLOW, GOOD], 33.0)

    assert choice.fits
    assert choice.record is GOOD
    assert "most accurate (delta1 0.650, measured) of 2 rows within 33 ms" in choice.reason
    assert "30.0 ms for a frame (p90)" in choice.reason


def test_choice_on_a_noisy_machine_says_so() -> None:
    noise = Noise(
        mad_ms=1.0, load_average=None, other_cpu_cores=None, involuntary_switches=None, noisy=True, reasons=("why",)
    )

    assert choose([GOOD.model_copy(update={"noise": noise})], 33.0).reason.endswith("(p90), on a noisy machine")
    assert "noisy" not in choose([GOOD], 33.0).reason


def test_fastest_is_named_when_nothing_is_fast_enough() -> None:
    choice = choose([SLOW, GOOD, QUICK], 5.0)

    assert not choice.fits
    assert choice.record is QUICK
    assert choice.reason == "nothing keeps 5 ms for a whole frame; the fastest takes 10.0 ms (p90)"


def test_target_is_met_at_exactly_the_target() -> None:
    assert choose([GOOD], 30.0).fits


def test_equal_accuracy_goes_to_the_more_exact_precision() -> None:
    fp32 = make_row(precision="fp32", predict_p90_ms=30.0, accuracy=make_accuracy(0.6362))
    int8 = make_row(precision="int8", predict_p90_ms=10.0, accuracy=make_accuracy(0.6369))
    worse = make_row(precision="fp32", predict_p90_ms=5.0, accuracy=make_accuracy(0.6350))

    choice = choose([worse, int8, fp32], 33.0)

    assert choice.record is fp32
    assert "of 2 equal in that, the more exact precision" in choice.reason


def test_among_equals_of_one_precision_the_larger_input_and_then_the_faster_wins() -> None:
    rows = [
        make_row(artifact=name, tokens=tokens, predict_p90_ms=time, accuracy=make_accuracy(0.6))
        for name, tokens, time in (("a", 200, 5.0), ("b", 256, 20.0), ("c", 256, 15.0))
    ]

    chosen = choose(rows, 33.0).record

    assert chosen is not None
    assert chosen.artifact == "c"


@pytest.mark.parametrize("status", ["slower_than_float", "failed_accuracy", "failed", "unavailable"])
def test_rows_that_are_not_ok_are_never_chosen(status: str) -> None:
    best = make_row(status=status, reason="why", predict_p90_ms=1.0, accuracy=make_accuracy(0.99))

    assert choose([best, QUICK], 33.0).record is QUICK


def test_several_requests_in_flight_have_no_whole_frames_and_are_not_chosen() -> None:
    together = make_row(batch=4, predict_p50_ms=None, predict_p90_ms=None, predict_p99_ms=None)

    assert choose([together], 33.0).record is None


def test_nothing_timed_gives_no_choice() -> None:
    choice = choose([], 33.0)

    assert (choice.record, choice.fits, choice.reason) == (None, False, "no row was timed")


def test_what_was_measured_counts_before_what_a_manifest_states() -> None:
    stated = make_row(artifact="stated", accuracy=make_accuracy(0.9, source="manifest", on="elsewhere"))
    measured = make_row(artifact="measured", accuracy=make_accuracy(0.6))

    assert choose([stated, measured], 33.0).record is measured


def test_what_manifests_state_counts_before_nothing() -> None:
    unknown = make_row(artifact="unknown", parameters=10**9)
    stated = make_row(artifact="stated", accuracy=make_accuracy(0.6, source="manifest"))

    choice = choose([unknown, stated], 33.0)

    assert choice.record is stated
    assert "as its manifest says" in choice.reason


def test_accuracies_from_other_data_are_not_compared() -> None:
    rows = [make_row(artifact=f"a{index}", accuracy=make_accuracy(0.6)) for index in range(2)]
    other = make_accuracy(0.99).model_copy(update={"sets": ("easy",)})

    chosen = choose([*rows, make_row(artifact="other", accuracy=other)], 33.0).record

    assert chosen is rows[0]


def test_largest_model_and_input_is_taken_where_no_accuracy_is_known_and_that_is_said() -> None:
    rows = [
        make_row(artifact="small", parameters=20, tokens=100),
        make_row(artifact="large", parameters=20, tokens=256, precision="int8"),
        make_row(artifact="tiny", parameters=5, tokens=900),
    ]

    choice = choose(rows, 33.0)

    assert choice.record is rows[1]
    assert "taken to be the most accurate as no accuracy is known; give --data to measure it" in choice.reason


def test_device_that_gets_slower_when_warm_has_to_keep_the_target_warm() -> None:
    warm = GOOD.model_copy(update={"sustained": sustained(20.0, 25.0)})

    assert frame_ms(warm) == pytest.approx(30.0 * 25.0 / 20.0)
    assert choose([warm, QUICK], 33.0).record is QUICK


def test_device_that_gets_faster_when_warm_counts_as_it_was_measured() -> None:
    assert frame_ms(GOOD.model_copy(update={"sustained": sustained(20.0, 15.0)})) == 30.0
