"""The kernels keep their tolerances on the coarsest arithmetic that PTX allows and that tensor cores were measured at.

The other tests run on approximations and matrix sums that are nearly exact. A GPU's ex2, rcp and rsqrt may err by
2 ulp, and its matrix products drop bits below their largest term; here both always do (`rough` of the emulator).
Measured: the ratios to the naive error are those of exact arithmetic to all digits; rounding to 16 bits hides the rest.
"""

from __future__ import annotations

import attention_cases
import attention_int8_cases
import numpy as np
import pytest
import row_cases
from ptx_emulator import run_ptx

from pixio_edge.kernels.oracle import RATIO_LIMIT

pytest.importorskip("cuda.bindings.nvrtc", reason="the extra 'cuda' is not installed")

SCALE_REL = 4 * 2.0**-22
"""Of a row's scale: rsqrt and the products after it. Measured: 4.2e-7, and no code that moves."""

INT8_ABS = 2.0**-8
"""Against the same kernel without roughness: the last place of the largest value, which is between 4 and 8, because a
weight may round the other way. Measured: an eighth of it, in 0.14 % of the outputs."""


@pytest.fixture
def rough(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Every run of a kernel in the test is rough; gives a list with an entry for each."""
    runs: list[int] = []

    def run_rough(*args, **options):
        runs.append(1)
        return run_ptx(*args, **(options | {"rough": True}))

    for module in (attention_cases, attention_int8_cases, row_cases):
        monkeypatch.setattr(module, "run_ptx", run_rough)
    return runs


@pytest.mark.parametrize(
    ("precision", "head_dim", "entry"), [("fp16", 64, "attention_128"), ("bf16", 80, "attention_16")]
)
@pytest.mark.parametrize("magnitude", [1.0, 4.0])
def test_attention_stays_within_twice_the_naive_error(rough, precision, head_dim, entry, magnitude) -> None:
    case = attention_cases.make_case(65, head_dim=head_dim, precision=precision, magnitude=magnitude)

    out, _ = attention_cases.run_attention(case, entry)

    assert case.ratio(out) <= RATIO_LIMIT
    assert rough


def test_attention_int8_differs_by_a_place_at_most(rough, monkeypatch: pytest.MonkeyPatch) -> None:
    case = attention_cases.make_case(65)
    out = attention_int8_cases.run_attention_int8(case, "attention_64").out
    assert len(rough) == 3
    monkeypatch.setattr(attention_int8_cases, "run_ptx", run_ptx)

    smooth = attention_int8_cases.run_attention_int8(case, "attention_64").out

    assert np.abs(out - smooth).max() <= INT8_ABS


def test_layer_norm_codes_move_by_one_at_most_and_scales_by_ulps(rough, monkeypatch: pytest.MonkeyPatch) -> None:
    case = row_cases.make_norm_case(5, 768)
    _, codes, scale = row_cases.run_norm(case, quantize=True).outputs
    assert rough
    monkeypatch.setattr(row_cases, "run_ptx", run_ptx)

    _, exact_codes, exact_scale = row_cases.run_norm(case, quantize=True).outputs

    assert np.abs(codes.astype(int) - exact_codes).max() <= 1
    np.testing.assert_allclose(scale, exact_scale, rtol=SCALE_REL)
