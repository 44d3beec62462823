import pytest

from pixio_edge.engines.choose import MIN_SPEEDUP, Candidate, choose

FP16 = Candidate("half", "fp16", 4.0)
INT8 = Candidate("eight", "int8", 3.0)


def test_int8_runs_when_it_is_faster_and_inside_the_budget() -> None:
    choice = choose([FP16, INT8])

    assert choice.name == "eight"
    assert choice.reasons == {
        "eight": "1.33 times as fast as fp16 (3.00 against 4.00 ms)",
        "half": "int8 is 1.33 times as fast",
    }


@pytest.mark.parametrize("ms", [4.0 / MIN_SPEEDUP + 0.01, 4.0, 8.0])
def test_fp16_runs_when_int8_is_not_clearly_faster(ms: float) -> None:
    choice = choose([FP16, Candidate("eight", "int8", ms)])

    assert choice.name == "half"
    assert "times as fast as fp16, and 1.05 times is asked for" in choice.reasons["eight"]


def test_int8_runs_when_it_is_faster_by_exactly_what_is_asked_for() -> None:
    assert choose([Candidate("half", "fp16", MIN_SPEEDUP), Candidate("eight", "int8", 1.0)]).name == "eight"


def test_fp16_runs_when_int8_is_outside_the_budget() -> None:
    outside = Candidate("eight", "int8", 1.0, "2.00 points of delta1 differ")

    choice = choose([FP16, outside])

    assert choice.name == "half"
    assert choice.reasons == {"half": "the only engine of this size that may run", "eight": outside.problem}


def test_int8_runs_when_no_float_engine_passed() -> None:
    choice = choose([Candidate("half", "fp16", 1.0, "its output is not finite"), INT8])

    assert choice.name == "eight"
    assert choice.reasons["half"] == "its output is not finite"
    assert choice.reasons["eight"] == "the only engine of this size that may run"


def test_fp16_runs_when_nothing_was_timed() -> None:
    choice = choose([Candidate("half", "fp16", None), Candidate("eight", "int8", None)])

    assert choice.name == "half"
    assert choice.reasons["eight"] == "not timed beside fp16"
    assert choice.reasons["half"] == "taken without a comparison, as nothing was timed beside int8"


def test_fastest_float_engine_runs() -> None:
    choice = choose([FP16, Candidate("single", "fp32", 6.0), Candidate("eight", "int8", 5.0)])

    assert choice.name == "half"
    assert choice.reasons["single"].startswith("fp16 is 1.50 times as fast")


def test_winner_among_float_engines_is_explained_by_the_next_one() -> None:
    choice = choose([FP16, Candidate("single", "fp32", 6.0)])

    assert choice.name == "half"
    assert choice.reasons["half"] == "1.50 times as fast as fp32 (4.00 against 6.00 ms)"
    assert choice.reasons["single"] == "fp16 is 1.50 times as fast"


def test_winner_is_explained_when_int8_is_faster_by_too_little() -> None:
    choice = choose([FP16, Candidate("eight", "int8", 3.9), Candidate("single", "fp32", 6.0)])

    assert choice.name == "half"
    assert choice.reasons["half"] == "int8 is only 1.03 times as fast, and 1.05 times is asked for"


def test_winner_is_explained_when_int8_is_slower() -> None:
    reason = choose([FP16, Candidate("eight", "int8", 5.0)]).reasons["half"]

    assert reason == "1.25 times as fast as int8 (4.00 against 5.00 ms)"


def test_nothing_runs_when_nothing_may() -> None:
    choice = choose([Candidate("half", "fp16", 1.0, "bad"), Candidate("eight", "int8", 1.0, "worse")])

    assert choice.name is None
    assert choice.reasons == {"half": "bad", "eight": "worse"}


def test_nothing_runs_when_there_is_nothing() -> None:
    assert choose([]).name is None
