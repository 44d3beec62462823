"""The PTX emulator gives the numbers that PTX defines. References follow the formulas of the PTX ISA, lane by lane."""

from fractions import Fraction

import numpy as np
import pytest
from ptx_compile import compile_cuda
from ptx_emulator import run_ptx
from ptx_errors import UnknownInstructionError
from ptx_floats import fma_f32

ml_dtypes = pytest.importorskip("ml_dtypes", reason="bf16 arrays for the references")
WARP = (32, 1, 1)
ONE = (1, 1, 1)
LANES = range(32)

MMA_SOURCE = """
extern "C" __global__ void multiply(const u32* a, const u32* b, const SUM* c, SUM* d) {
  const u32 *left = a + MANY * threadIdx.x, *right = b + FEW * threadIdx.x;
  SUM s0 = c[4 * threadIdx.x], s1 = c[4 * threadIdx.x + 1], s2 = c[4 * threadIdx.x + 2], s3 = c[4 * threadIdx.x + 3];
  asm volatile("mma.sync.aligned.SHAPE.row.col.TYPES {%0, %1, %2, %3}, {LEFT}, {RIGHT}, {%0, %1, %2, %3};"
      : "+KIND"(s0), "+KIND"(s1), "+KIND"(s2), "+KIND"(s3) : INPUTS);
  d[4 * threadIdx.x] = s0; d[4 * threadIdx.x + 1] = s1; d[4 * threadIdx.x + 2] = s2; d[4 * threadIdx.x + 3] = s3;
}
"""


def mma_source(shape: str, types: str, many: int, few: int) -> str:
    integer = types.startswith("s32")
    words = {
        "SHAPE": shape, "TYPES": types, "MANY": str(many), "FEW": str(few),
        "SUM": "int" if integer else "float", "KIND": "r" if integer else "f",
        "LEFT": ", ".join(f"%{4 + index}" for index in range(many)),
        "RIGHT": ", ".join(f"%{4 + many + index}" for index in range(few)),
        "INPUTS": ", ".join([f'"r"(left[{i}])' for i in range(many)] + [f'"r"(right[{i}])' for i in range(few)]),
    }  # fmt: skip
    source = MMA_SOURCE
    for word, text in words.items():
        source = source.replace(word, text)
    return source


def left_element(lane: int, index: int, in_register: int) -> tuple[int, int]:
    """Row and column of element ``index`` of A (PTX ISA, "Matrix Fragments for mma.m16n8k16" and "mma.m16n8k32")."""
    group, thread, half = lane >> 2, lane % 4, in_register
    row = group if index % (2 * half) < half else group + 8
    return row, thread * half + index % half + (4 * half if index >= 2 * half else 0)


def right_element(lane: int, index: int, in_register: int) -> tuple[int, int]:
    """Row and column of element ``index`` of B."""
    row = (lane % 4) * in_register + index % in_register + 4 * in_register * (index // in_register)
    return row, lane >> 2


def sum_element(lane: int, index: int) -> tuple[int, int]:
    """Row and column of element ``index`` of C and D."""
    return (lane >> 2) + (8 if index >= 2 else 0), (lane % 4) * 2 + (index & 1)


def fragments(matrix: np.ndarray, place, count: int) -> np.ndarray:
    """(32, count) elements in the order of a lane's registers."""
    return np.array([[matrix[place(lane, index)] for index in range(count)] for lane in LANES], matrix.dtype)


CASES = [
    ("m16n8k16", "f32.f16.f16.f32", np.float16, 16, 2),
    ("m16n8k8", "f32.f16.f16.f32", np.float16, 8, 2),
    ("m16n8k16", "f32.bf16.bf16.f32", ml_dtypes.bfloat16, 16, 2),
    ("m16n8k32", "s32.s8.s8.s32", np.int8, 32, 4),
    ("m16n8k16", "s32.s8.s8.s32", np.int8, 16, 4),
]
# A sum of 8 products and the accumulator is truncated once, by less than 2^-23 of it; k = 16 makes two such sums.
MMA_TOLERANCE = 2 * 2.0**-23
# Rough sums also cut each of their 9 terms by less than the last bit of the largest.
ROUGH_MMA_TOLERANCE = 2 * 10 * 2.0**-23


@pytest.mark.parametrize("rough", [False, True])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def test_mma_multiplies_the_matrices_that_its_fragments_hold(case, rough):
    shape, types, dtype, depth, in_register = case
    rng, integer = np.random.default_rng(0), dtype is np.int8
    draw = (lambda size: rng.integers(-128, 128, size)) if integer else (lambda size: rng.normal(size=size))
    a, b = draw((16, depth)).astype(dtype), draw((depth, 8)).astype(dtype)
    c = draw((16, 8)).astype(np.int32 if integer else np.float32)
    counts = 16 * depth // 32, 8 * depth // 32
    left = fragments(a, lambda lane, i: left_element(lane, i, in_register), counts[0]).view(np.uint32)
    right = fragments(b, lambda lane, i: right_element(lane, i, in_register), counts[1]).view(np.uint32)
    out = np.zeros((32, 4), c.dtype)
    source = mma_source(shape, types, left.shape[1], right.shape[1])
    args = [left, right, fragments(c, sum_element, 4), out]
    report = run_ptx(compile_cuda(source), "multiply", ONE, WARP, args, undefined=(3,), rough=rough)
    expected = a.astype(np.float64) @ b.astype(np.float64) + c
    scale = np.abs(a.astype(np.float64)) @ np.abs(b.astype(np.float64)) + np.abs(c)
    scale = scale * (0 if integer else ROUGH_MMA_TOLERANCE if rough else MMA_TOLERANCE)
    for lane in LANES:
        for index in range(4):
            place = sum_element(lane, index)
            assert abs(float(out[lane, index]) - expected[place]) <= scale[place]
    assert report.count(f"mma.sync.aligned.{shape}.row.col.{types}") == 1
    assert report.unwritten == {3: 0}


def test_a_rough_mma_drops_what_is_below_the_last_bit_of_the_largest_term():
    a, b = np.zeros((16, 16), np.float16), np.zeros((16, 8), np.float16)
    a[:, :4], b[:4] = [1, 2.0**-12, 2.0**-12, 0], 1
    b[1:3] = 2.0**-12  # 1 + 2 x 2^-24: the sum has a last fp32 bit that no small term reaches alone
    left = fragments(a, lambda lane, i: left_element(lane, i, 2), 8).view(np.uint32)
    right = fragments(b, lambda lane, i: right_element(lane, i, 2), 4).view(np.uint32)
    ptx = compile_cuda(mma_source("m16n8k16", "f32.f16.f16.f32", 4, 2))
    for rough, expected in ((False, 1 + 2.0**-23), (True, 1.0)):
        out = np.zeros((32, 4), np.float32)
        run_ptx(ptx, "multiply", ONE, WARP, [left, right, np.zeros((32, 4), np.float32), out], rough=rough)
        np.testing.assert_array_equal(out, np.float32(expected))


LDMATRIX = """
extern "C" __global__ void load(const u16* in, u32* out) {
  __shared__ __align__(16) u16 tile[4 * 64];
  for (int i = threadIdx.x; i < 256; i += 32) tile[i] = in[i];
  __syncthreads();
  u32 address = (u32)__cvta_generic_to_shared(tile + threadIdx.x * 8), r0, r1, r2, r3;
  asm volatile("ldmatrix.sync.aligned.m8n8.x4%s.shared.b16 {%%0, %%1, %%2, %%3}, [%%4];"
      : "=r"(r0), "=r"(r1), "=r"(r2), "=r"(r3) : "r"(address));
  out += 4 * threadIdx.x;
  out[0] = r0; out[1] = r1; out[2] = r2; out[3] = r3;
}
"""


@pytest.mark.parametrize("transposed", [False, True])
def test_ldmatrix_gives_lane_4i_plus_t_elements_2t_and_2t_plus_1_of_row_i(transposed):
    tiles = np.arange(256, dtype=np.uint16).reshape(4, 8, 8)
    out = np.zeros((32, 4), np.uint32)
    source = LDMATRIX % (".trans" if transposed else "")
    report = run_ptx(compile_cuda(source), "load", ONE, WARP, [tiles, out])
    wanted = tiles.transpose(0, 2, 1) if transposed else tiles
    for lane in LANES:
        for matrix in range(4):
            pair = wanted[matrix, lane // 4, 2 * (lane % 4) : 2 * (lane % 4) + 2]
            assert list(out[lane].view(np.uint16)[2 * matrix : 2 * matrix + 2]) == list(pair)
    assert report.count("ldmatrix") == 1


SHUFFLES = """
extern "C" __global__ void shuffle(const int* in, int* out) {
  int v = in[threadIdx.x], *o = out + threadIdx.x * 6;
  o[0] = __shfl_xor_sync(~0u, v, 5); o[1] = __shfl_up_sync(~0u, v, 3); o[2] = __shfl_down_sync(~0u, v, 3);
  o[3] = __shfl_sync(~0u, v, 2, 8); o[4] = __shfl_xor_sync(~0u, v, 4, 8); o[5] = __shfl_up_sync(~0u, v, 1, 4);
}
"""


def test_shuffles_take_from_the_lane_that_their_mode_names():
    values, out = np.arange(100, 132, dtype=np.int32), np.zeros((32, 6), np.int32)
    run_ptx(compile_cuda(SHUFFLES), "shuffle", ONE, WARP, [values, out])
    for lane in LANES:
        sources = [lane ^ 5, lane - 3 if lane >= 3 else lane, lane + 3 if lane + 3 < 32 else lane]
        sources += [lane // 8 * 8 + 2, lane ^ 4]
        sources.append(lane - 1 if lane % 4 >= 1 else lane)
        assert list(out[lane]) == [100 + source for source in sources]


def round_f32(value: Fraction) -> np.float32:
    """The fp32 nearest to an exact number of the normal range, ties to even."""
    if value == 0:
        return np.float32(0)
    exponent = int(np.floor(np.log2(abs(float(value))))) - 23
    scaled = value / Fraction(2) ** exponent
    return np.float32(float(round(scaled)) * 2.0**exponent)


def test_fma_rounds_once_where_float64_rounds_to_a_tie():
    rng = np.random.default_rng(1)
    # Products with 24 fraction bits, many of them half way between two fp32; the addend breaks the tie below float64.
    a, b = (np.float32(1 + rng.integers(0, 2**11, 4000) * 2.0**-12) for _ in range(2))
    c = (rng.choice([-1, 1], 4000) * 2.0 ** rng.integers(-80, 3, 4000)).astype(np.float32)
    rows = zip(*(row.astype(float) for row in (a, b, c)), strict=True)
    expected = np.array([round_f32(Fraction(x) * Fraction(y) + Fraction(z)) for x, y, z in rows])
    twice = (a.astype(np.float64) * b + c).astype(np.float32)
    assert (twice != expected).any(), "the case has no double rounding to avoid"
    np.testing.assert_array_equal(fma_f32(a, b, c), expected)


CONVERT = """
extern "C" __global__ void convert(const float* in, u16* half, u16* brain, int* nearest, int* byte, u32* pair,
                                   u32* packed) {
  int i = threadIdx.x; float v = in[i]; u16 h, b; int n, s; u32 p, q;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(v));
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(b) : "f"(v));
  asm("cvt.rni.s32.f32 %0, %1;" : "=r"(n) : "f"(v));
  asm("{ .reg .s8 t; .reg .s16 w; cvt.rni.sat.s8.f32 w, %1; cvt.s32.s8 %0, w; }" : "=r"(s) : "f"(v));
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(p) : "f"(v), "f"(-v));
  asm("cvt.pack.sat.s8.s32.b32 %0, %1, %2, %3;" : "=r"(q) : "r"(n), "r"(-n), "r"(0x1234));
  half[i] = h; brain[i] = b; nearest[i] = n; byte[i] = s; pair[i] = p; packed[i] = q;
}
"""


def test_conversions_round_to_nearest_even_and_saturate():
    special = [0.5, 1.5, 2.5, -0.5, 65504, 65519.99, 65520, 1e-8, 6e-8, 127.5, -128.5, 300, -300, 1e10, np.inf, np.nan]
    values = np.array([*special, *np.random.default_rng(2).normal(scale=50, size=16)], np.float32)
    half, brain = np.zeros(32, np.uint16), np.zeros(32, np.uint16)
    nearest, byte, pair, packed = (np.zeros(32, kind) for kind in (np.int32, np.int32, np.uint32, np.uint32))
    run_ptx(compile_cuda(CONVERT), "convert", ONE, WARP, [values, half, brain, nearest, byte, pair, packed])
    with np.errstate(over="ignore"):
        pairs = np.stack([-values, values], 1).astype(np.float16)
    np.testing.assert_array_equal(half.view(np.float16), pairs[:, 1])
    expected = values.astype(ml_dtypes.bfloat16).astype(np.float32)
    np.testing.assert_array_equal(brain.view(ml_dtypes.bfloat16).astype(np.float32), expected)
    whole = np.nan_to_num(np.rint(values.astype(np.float64)), nan=0)
    np.testing.assert_array_equal(nearest, np.clip(whole, -(2**31), 2**31 - 1).astype(np.int64))
    np.testing.assert_array_equal(byte, np.clip(whole, -128, 127))
    np.testing.assert_array_equal(pair.view(np.float16).reshape(-1, 2), pairs)
    wrapped = -nearest.astype(np.int64)
    first = np.clip(nearest, -128, 127).astype(np.int8).view(np.uint8).astype(np.uint32)
    second = np.clip(wrapped, -128, 127).astype(np.int8).view(np.uint8).astype(np.uint32)
    np.testing.assert_array_equal(packed, (np.uint32(0x1234) << 16) | (first << 8) | second)


DIVERGE = """
extern "C" __global__ void diverge(const int* in, int* out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  int steps = 0;
  for (unsigned v = in[i]; v != 1; ++steps) { if (v & 1) v = 3 * v + 1; else v >>= 1; }
  if (steps > 20) atomicAdd(out + n, 1);
  out[i] = steps;
}
"""


def test_lanes_that_diverge_meet_again_and_each_counts_its_own_steps():
    values = np.arange(1, 101, dtype=np.int32)
    out = np.zeros(101, np.int32)
    report = run_ptx(compile_cuda(DIVERGE), "diverge", (3, 1, 1), (40, 1, 1), [values, out, 100])
    expected = []
    for start in values.tolist():
        steps, value = 0, start
        while value != 1:
            steps, value = steps + 1, 3 * value + 1 if value & 1 else value // 2
        expected.append(steps)
    assert out[:100].tolist() == expected
    assert out[100] == sum(steps > 20 for steps in expected)
    assert report.count("atom") + report.count("red") > 0


def test_blocks_side_by_side_and_one_after_another_give_the_same():
    values, first, second = np.arange(1, 101, dtype=np.int32), np.zeros(101, np.int32), np.zeros(101, np.int32)
    ptx = compile_cuda(DIVERGE)
    run_ptx(ptx, "diverge", (4, 1, 1), (32, 1, 1), [values, first, 100])
    run_ptx(ptx, "diverge", (4, 1, 1), (32, 1, 1), [values, second, 100], max_lanes=32)
    np.testing.assert_array_equal(first, second)


def test_an_instruction_without_a_meaning_is_named():
    source = 'extern "C" __global__ void k(u32* o) { asm volatile("pmevent 1;"); o[0] = 1; }'
    with pytest.raises(UnknownInstructionError, match="pmevent"):
        run_ptx(compile_cuda(source), "k", ONE, ONE, [np.zeros(1, np.uint32)])
