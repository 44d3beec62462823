"""Floating point instructions of the PTX emulator: rounding, NaN, subnormals, packed halves, approximations."""

from fractions import Fraction

import numpy as np
import pytest
from ptx_compile import run_cuda

ml_dtypes = pytest.importorskip("ml_dtypes", reason="bf16 arrays for the references")
COUNT = 128
HALVES = {"f16": np.dtype(np.float16), "bf16": np.dtype(ml_dtypes.bfloat16)}
SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 3e38], np.float32)


def calls(*codes: str) -> str:
    """A kernel that gives each thread two fp32 ``a`` and ``b`` and stores what every asm statement leaves in ``r``."""
    body = "\n  ".join(
        f'asm volatile("{code}" : "=f"(r) : "f"(a), "f"(b)); out[{index} * {COUNT} + threadIdx.x] = r;'
        for index, code in enumerate(codes)
    )
    return f"""extern "C" __global__ void floats(const float* x, const float* y, float* out) {{
  float a = x[threadIdx.x], b = y[threadIdx.x], r;
  {body}
}}"""


def results(a: np.ndarray, b: np.ndarray, *codes: str, rough: bool = False) -> np.ndarray:
    out = np.zeros((len(codes), COUNT), np.float32)
    run_cuda(calls(*codes), a, b, out, undefined=(2,), rough=rough)
    return out


def pairs() -> tuple[np.ndarray, np.ndarray]:
    """Every special value against every other, then numbers of all sizes."""
    rng = np.random.default_rng(6)
    first, second = (rng.normal(size=COUNT) * 10.0 ** rng.integers(-8, 9, COUNT) for _ in range(2))
    first[:64], second[:64] = np.repeat(SPECIAL, 8), np.tile(SPECIAL, 8)
    return first.astype(np.float32), second.astype(np.float32)


def test_min_and_max_prefer_numbers_and_order_zeros_and_nan_forms_do_not():
    a, b = pairs()
    low, high, strict = results(a, b, "min.f32 %0, %1, %2;", "max.f32 %0, %1, %2;", "max.NaN.f32 %0, %1, %2;")
    for x, y, small, large, nan_form in zip(a, b, low, high, strict, strict=True):
        numbers = sorted((v for v in (x, y) if not np.isnan(v)), key=lambda v: (v, not np.signbit(v)))
        if not numbers:
            assert np.isnan(small)
            assert np.isnan(large)
            continue
        assert (small, np.signbit(small)) == (numbers[0], np.signbit(numbers[0]))
        assert (large, np.signbit(large)) == (numbers[-1], np.signbit(numbers[-1]))
        assert np.isnan(nan_form) == (len(numbers) < 2)


def test_ftz_flushes_inputs_and_results_and_others_keep_subnormals():
    a, b = pairs()
    kept, flushed = results(a, b, "mul.f32 %0, %1, %2;", "mul.ftz.f32 %0, %1, %2;")
    tiny = np.finfo(np.float32).tiny
    with np.errstate(all="ignore"):
        exact = a * b
        small_a, small_b = (np.where(np.abs(row) < tiny, row * 0, row) for row in (a, b))
        expected = small_a * small_b
        expected = np.where(np.abs(expected) < tiny, expected * 0, expected)
    np.testing.assert_array_equal(kept, exact)
    np.testing.assert_array_equal(flushed, expected)
    assert (kept != flushed).sum() > np.isnan(kept).sum()


def test_directed_rounding_brackets_the_exact_sum():
    rng = np.random.default_rng(7)
    a, b = (rng.normal(size=COUNT).astype(np.float32) for _ in range(2))
    down, up, zero = results(a, b, *(f"add.{mode}.f32 %0, %1, %2;" for mode in ("rm", "rp", "rz")))
    for x, y, low, high, cut in zip(*(row.tolist() for row in (a, b, down, up, zero)), strict=True):
        exact = Fraction(x) + Fraction(y)
        assert Fraction(low) <= exact <= Fraction(high)
        assert Fraction(low) == exact or np.nextafter(np.float32(low), np.float32(np.inf)) == np.float32(high)
        assert cut == (low if exact > 0 else high)


PACKED = """
extern "C" __global__ void packed(const u32* a, const u32* b, const u32* c, u32* out) {
  int i = threadIdx.x; u32 r;
  asm volatile("fma.rn.KINDx2 %0, %1, %2, %3;" : "=r"(r) : "r"(a[i]), "r"(b[i]), "r"(c[i])); out[i] = r;
  asm volatile("max.KINDx2 %0, %1, %2;" : "=r"(r) : "r"(a[i]), "r"(b[i])); out[128 + i] = r;
}
"""


@pytest.mark.parametrize("kind", HALVES)
def test_packed_halves_fuse_with_one_rounding_in_each_half(kind):
    rng = np.random.default_rng(8)
    a, b, c = (rng.normal(size=(COUNT, 2)).astype(HALVES[kind]) for _ in range(3))
    out = np.zeros((2, COUNT, 2), HALVES[kind])
    run_cuda(PACKED.replace("KIND", kind), a, b, c, out, undefined=(3,))
    # Products have at most 22 bits and the sums of these sizes at most 50: float64 is exact, its rounding the only one.
    exact = a.astype(float) * b.astype(float) + c.astype(float)
    np.testing.assert_array_equal(out[0].astype(float), exact.astype(HALVES[kind]).astype(float))
    np.testing.assert_array_equal(out[1].astype(float), np.maximum(a.astype(float), b.astype(float)))


APPROXIMATE = {
    "ex2.approx.f32 %0, %1;": lambda a, b: np.exp2(a),
    "lg2.approx.f32 %0, %2;": lambda a, b: np.log2(b),
    "rcp.approx.ftz.f32 %0, %1;": lambda a, b: 1 / a,
    "rsqrt.approx.f32 %0, %2;": lambda a, b: 1 / np.sqrt(b),
    "sqrt.rn.f32 %0, %2;": lambda a, b: np.sqrt(b),
    "div.full.f32 %0, %1, %2;": lambda a, b: a / b,
    "tanh.approx.f32 %0, %1;": lambda a, b: np.tanh(a),
}
# Half an ulp of a correctly rounded fp32, and that on top of the 2 ulp, or 2^-11 for tanh, that PTX allows.
EXACT_RELATIVE = 2.0**-24
ROUGH_RELATIVE, ROUGH_TANH = 2.0**-22 + EXACT_RELATIVE, 2.0**-11 + EXACT_RELATIVE


@pytest.mark.parametrize("rough", [False, True])
def test_approximations_are_correctly_rounded_or_as_rough_as_ptx_allows(rough):
    rng = np.random.default_rng(9)
    a, b = rng.normal(size=COUNT).astype(np.float32), rng.uniform(2, 9, COUNT).astype(np.float32)
    got = results(a, b, *APPROXIMATE, rough=rough)
    for (code, function), row in zip(APPROXIMATE.items(), got, strict=True):
        exact = function(a.astype(np.float64), b.astype(np.float64))
        error = np.abs(row - exact) / np.abs(exact)
        worst = ROUGH_TANH if "tanh" in code else ROUGH_RELATIVE
        assert error.max() <= (worst if rough and ".rn" not in code else EXACT_RELATIVE), code
        if rough and ".rn" not in code:
            assert error.max() > 2 * EXACT_RELATIVE, code


COMPARE = """
extern "C" __global__ void compare(const float* x, const float* y, int* out) {
  float a = x[threadIdx.x], b = y[threadIdx.x]; int r;
  BODY
}
"""
COMPARISONS = {
    "lt": lambda a, b: a < b,
    "ne": lambda a, b: (a != b) & ~np.isnan(a) & ~np.isnan(b),
    "neu": lambda a, b: a != b,
    "geu": lambda a, b: (a >= b) | np.isnan(a) | np.isnan(b),
    "num": lambda a, b: ~np.isnan(a) & ~np.isnan(b),
    "nan": lambda a, b: np.isnan(a) | np.isnan(b),
}


def test_comparisons_tell_ordered_from_unordered():
    lines = [
        f'asm volatile("{{ .reg .pred p; setp.{name}.f32 p, %1, %2; selp.s32 %0, 1, 0, p; }}"'
        f' : "=r"(r) : "f"(a), "f"(b)); out[{index} * 128 + threadIdx.x] = r;'
        for index, name in enumerate(COMPARISONS)
    ]
    a, b = pairs()
    out = np.zeros((len(COMPARISONS), COUNT), np.int32)
    run_cuda(COMPARE.replace("BODY", "\n  ".join(lines)), a, b, out, undefined=(2,))
    for (name, function), row in zip(COMPARISONS.items(), out, strict=True):
        np.testing.assert_array_equal(row, function(a, b), err_msg=name)
