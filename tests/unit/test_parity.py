"""Parity reports: what they measure, when they hold, and what they say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pixio_edge.errors import SpecError
from pixio_edge.parity import Tolerance, compare, margin_of

REFERENCE = np.array([[0.0, 1.0], [2.0, 4.0]], np.float32)


def test_equal_outputs_hold_at_any_tolerance() -> None:
    report = compare(REFERENCE, REFERENCE.copy(), Tolerance(max_abs=0.0, max_rel=0.0, rel_l2=0.0, min_sqnr_db=200.0))

    assert report
    assert (report.max_abs, report.rel_l2, report.sqnr_db) == (0.0, 0.0, math.inf)


def test_measures_are_those_of_the_definitions() -> None:
    candidate = REFERENCE + np.array([[0.0, 0.1], [0.0, 0.2]], np.float32)

    report = compare(REFERENCE, candidate, Tolerance(max_abs=1.0))

    rel_l2 = math.sqrt(0.05 / 21.0)
    assert report.max_abs == pytest.approx(0.2, rel=1e-6)
    assert report.max_rel == pytest.approx(0.05, rel=1e-6)
    assert report.rel_l2 == pytest.approx(rel_l2, rel=1e-6)
    assert report.sqnr_db == pytest.approx(-20 * math.log10(rel_l2), rel=1e-6)
    assert report.margin == pytest.approx(0.2, rel=1e-6)


@pytest.mark.parametrize(
    ("tolerance", "holds"),
    [
        (Tolerance(max_abs=0.11), True),
        (Tolerance(max_abs=0.09), False),
        (Tolerance(max_rel=0.026), True),
        (Tolerance(max_rel=0.024), False),
        (Tolerance(rel_l2=0.022), True),
        (Tolerance(rel_l2=0.021), False),
        (Tolerance(min_sqnr_db=33.0), True),
        (Tolerance(min_sqnr_db=33.5), False),
        (Tolerance(max_abs=0.11, min_sqnr_db=33.5), False),
    ],
)
def test_each_limit_decides_on_its_own(tolerance: Tolerance, holds: bool) -> None:
    candidate = REFERENCE.copy()
    candidate[0, 1] += 0.1  # rel_l2 0.1 / sqrt(21) = 0.02182, 33.2 dB

    assert bool(compare(REFERENCE, candidate, tolerance)) is holds


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("side", ["reference", "candidate"])
def test_values_that_are_not_finite_never_hold(value: float, side: str) -> None:
    broken = REFERENCE.copy()
    broken[1, 1] = value
    pair = (broken, REFERENCE) if side == "reference" else (REFERENCE, broken)

    report = compare(*pair, Tolerance(max_abs=1e30))

    assert not report
    assert report.to_json()["max_abs"] is None


def test_message_gives_a_tolerance_that_passes() -> None:
    candidate = REFERENCE + np.float32(0.1)

    report = compare(REFERENCE, candidate, Tolerance(max_abs=0.01, min_sqnr_db=90.0))

    assert "parity fails" in report.message
    assert "Tolerance(max_abs=0.2, min_sqnr_db=21.2)" in report.message
    assert compare(REFERENCE, candidate, Tolerance(max_abs=0.2, min_sqnr_db=21.2))


def test_difference_is_taken_in_float64() -> None:
    """In float32 the difference of these two would overflow to infinity."""
    big = np.array([3e38], np.float32)

    assert compare(big, -big, Tolerance(max_rel=2.1)).max_rel == pytest.approx(2.0)


def test_integers_are_compared_as_numbers() -> None:
    assert compare(np.array([0], np.uint8), np.array([255], np.uint8), Tolerance(max_abs=255)).max_abs == 255.0


def test_shapes_that_differ_are_an_error_naming_both() -> None:
    with pytest.raises(SpecError, match=r"got candidate \(2,\), expected \(2, 2\)"):
        compare(REFERENCE, REFERENCE[0], Tolerance(max_abs=1.0))


@pytest.mark.parametrize("limits", [{}, {"max_abs": math.nan}, {"max_rel": math.inf}])
def test_tolerance_without_a_limit_is_an_error(limits: dict[str, float]) -> None:
    with pytest.raises(SpecError, match="no finite limit"):
        Tolerance(**limits)


def test_stored_measures_are_held_against_other_limits() -> None:
    report = compare(np.array([1.0, 2.0]), np.array([1.0, 2.1]), Tolerance(max_abs=1.0))
    other = Tolerance(max_rel=0.01, min_sqnr_db=20.0)

    margin = margin_of(report.to_json(), other)

    assert margin == pytest.approx(compare(np.array([1.0, 2.0]), np.array([1.0, 2.1]), other).margin)
    assert margin_of(report.to_json() | {"max_rel": None}, other) == math.inf
    assert margin_of({}, other) == math.inf
