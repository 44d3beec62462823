"""The choice for a target: the most accurate that is fast enough, else the fastest; always with a reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pixio_edge.bench.measure import failed_record
from pixio_edge.bench.plan import list_plans
from pixio_edge.bench.record import BenchRecord
from pixio_edge.bench.record_parts import Bucket, Noise, Sustained
from pixio_edge.bench.target import choose, frame_ms
from pixio_edge.bundle import Bundle
from tests.bench_rows import make_accuracy, make_row


def sustained(first: float, last: float) -> Sustained:
    bucket = Bucket(
        start_s=0.0,
        seconds=10.0,
        runs=10,
        p50_ms=last,
        p99_ms=last,
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
    frames = "720x1280 frames at the size that suits them"
    assert choice.reason == f"nothing keeps 5 ms for a whole frame; the fastest takes 10.0 ms (p90), for {frames}"


def test_target_is_met_at_exactly_the_target() -> None:
    assert choose([GOOD], 30.0).fits


def test_equal_accuracy_goes_to_the_faster() -> None:
    fp32 = make_row(precision="fp32", predict_p90_ms=30.0, accuracy=make_accuracy(0.6362))
    int8 = make_row(precision="int8", predict_p90_ms=10.0, accuracy=make_accuracy(0.6369))
    worse = make_row(precision="fp32", predict_p90_ms=5.0, accuracy=make_accuracy(0.6350))

    choice = choose([worse, fp32, int8], 33.0)

    assert choice.record is int8
    assert "of 2 equal in that, the fastest" in choice.reason


def as_timed(times: dict[str, float], frame: tuple[int, int]) -> list[BenchRecord]:
    """Rows of nano's own ladder with what its manifest states, as if they had been timed; portrait a little faster."""
    rows = []
    for plan in list_plans(Bundle.open("nano"), "nano", runtimes=["openvino"]):
        row = failed_record(replace(plan, frame=frame), "made up")
        time = times[row.precision] * (0.99 if row.size[0] > row.size[1] else 1.0)
        rows.append(row.model_copy(update={"status": "ok", "reason": None, "p50_ms": time, "predict_p90_ms": time}))
    return rows


@pytest.mark.parametrize(
    ("frame", "size"),
    [((720, 1280), (192, 336)), ((1280, 720), (336, 192)), ((480, 640), (224, 304)), ((500, 500), (256, 256))],
)
def test_accuracy_of_the_whole_ladder_is_that_of_the_size_that_suits_the_frame(
    frame: tuple[int, int], size: tuple[int, int]
) -> None:
    rows = as_timed({"fp32": 13.0, "bf16": 9.0, "int8": 6.0}, frame)

    choices = [choose(rows, target) for target in (33.0, 10.0, 7.0)]

    assert [choice.record.size for choice in choices if choice.record is not None] == [size] * 3
    assert all(f"{frame[0]}x{frame[1]} frames at the size that suits them" in choice.reason for choice in choices)
    assert choose(rows, 1.0).record in [row for row in rows if row.size == size]


def test_size_that_was_asked_for_is_chosen_for_frames_of_any_shape() -> None:
    portrait = make_row(size=(304, 224), predict_p90_ms=10.0)
    wide = make_row(size=(192, 336), predict_p90_ms=20.0)

    assert choose([portrait, wide], 33.0).record is wide
    assert choose([portrait, wide], 15.0).fits is False
    assert choose([portrait, wide], 15.0, any_shape=True).record is portrait
    assert "suits" not in choose([portrait, wide], 15.0, any_shape=True).reason
    stated = make_accuracy(0.6, source="manifest")
    rows = [row.model_copy(update={"accuracy": stated}) for row in (portrait, wide)]
    assert choose(rows, 33.0, any_shape=True).record is rows[1]
    assert choose(rows[:1], 33.0, any_shape=True).record is rows[0]


def test_smaller_input_of_the_same_shape_counts_unless_the_accuracy_is_that_of_the_ladder() -> None:
    small, large = make_row(size=(192, 336), predict_p90_ms=10.0), make_row(size=(384, 672), predict_p90_ms=40.0)
    stated = make_accuracy(0.6, source="manifest")

    assert choose([small, large], 33.0).record is small
    rows = [row.model_copy(update={"accuracy": stated}) for row in (small, large)]
    assert choose(rows, 33.0).fits is False


def test_size_that_suits_the_frame_but_could_not_run_has_no_stand_in() -> None:
    broken = make_row(size=(192, 336), status="failed", reason="why", p50_ms=None, predict_p90_ms=None)

    choice = choose([broken, make_row(size=(304, 224))], 33.0)

    assert choice.record is None
    assert choice.reason == "no row was timed for 720x1280 frames at the size that suits them"


def test_without_accuracy_the_larger_input_then_the_more_exact_then_the_faster_wins() -> None:
    rows = [
        make_row(artifact=name, tokens=tokens, precision=precision, predict_p90_ms=time)
        for name, tokens, precision, time in (
            ("a", 200, "fp32", 5.0),
            ("b", 256, "int8", 6.0),
            ("c", 256, "fp32", 20.0),
            ("d", 256, "fp32", 15.0),
        )
    ]

    chosen = choose(rows, 33.0).record

    assert chosen is not None
    assert chosen.artifact == "d"


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
    assert "throttled in the sustained run" in choose([warm], 40.0).reason


def test_device_that_was_throttled_before_the_long_run_began_is_compared_with_what_was_timed() -> None:
    assert frame_ms(GOOD.model_copy(update={"sustained": sustained(25.0, 25.0)})) == pytest.approx(30.0 * 25.0 / 20.0)


def test_one_disturbed_stretch_at_the_end_does_not_decide() -> None:
    long = sustained(20.0, 20.0)
    stretches = (*long.buckets * 59, long.buckets[0].model_copy(update={"p50_ms": 90.0}))

    assert frame_ms(GOOD.model_copy(update={"sustained": long.model_copy(update={"buckets": stretches})})) == 30.0


def test_device_that_gets_faster_when_warm_counts_as_it_was_measured() -> None:
    assert frame_ms(GOOD.model_copy(update={"sustained": sustained(20.0, 15.0)})) == 30.0
