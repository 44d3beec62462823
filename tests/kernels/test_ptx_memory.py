"""State spaces of the PTX emulator: generic addresses, local arrays, module variables, parameters, 64-bit values."""

import math
import struct
from fractions import Fraction

import numpy as np
import pytest
from ptx_compile import compile_cuda
from ptx_emulator import run_ptx
from ptx_errors import OutOfBoundsError, UninitialisedError

ONE, BLOCK = (1, 1, 1), (64, 1, 1)

GENERIC = """
extern "C" __global__ void generic(const int* in, int* out) {
  __shared__ int row[64];
  row[threadIdx.x] = 1000 + in[threadIdx.x];
  __syncthreads();
  volatile const int* from = threadIdx.x % 3 ? row : in;
  asm volatile("ld.s32 %0, [%1];" : "=r"(out[threadIdx.x]) : "l"(from + 63 - threadIdx.x));
}
"""


def test_a_generic_load_takes_each_lane_from_the_space_of_its_address():
    values, out = np.arange(64, dtype=np.int32), np.zeros(64, np.int32)
    run_ptx(compile_cuda(GENERIC), "generic", ONE, BLOCK, [values, out])
    lanes = np.arange(64)
    np.testing.assert_array_equal(out, np.where(lanes % 3, 1000, 0) + 63 - lanes)


LOCAL = """
extern "C" __global__ void local(const int* in, int* out, int count) {
  int kept[16];
  for (int i = 0; i < count; ++i) kept[(i * 5 + threadIdx.x) & 15] = in[i] * (int)threadIdx.x;
  out[threadIdx.x] = kept[in[threadIdx.x & 15] & 15];
}
"""


def test_a_local_array_belongs_to_its_thread_and_remembers_what_was_not_written():
    values, out = np.arange(16, dtype=np.int32)[::-1].copy(), np.zeros(64, np.int32)
    report = run_ptx(compile_cuda(LOCAL), "local", ONE, BLOCK, [values, out, 16])
    for thread in range(64):
        kept = {(i * 5 + thread) & 15: int(values[i]) * thread for i in range(16)}
        assert out[thread] == kept[int(values[thread & 15])]
    assert report.count("st.local") > 0
    with pytest.raises(UninitialisedError, match="local memory"):
        run_ptx(compile_cuda(LOCAL), "local", ONE, BLOCK, [values, out, 15])


TABLES = """
__constant__ float weights[4] = {0.5f, 1.5f, 2.5f, 3.5f};
__device__ short steps[6] = {1, -2, 3, -4, 5, -6};
struct Pair { int first; double second; };
extern "C" __global__ void tables(float* out, double* wide, Pair pair, char shift, int choice) {
  out[threadIdx.x] = weights[threadIdx.x & 3] + steps[(threadIdx.x + choice) % 6];
  wide[threadIdx.x] = pair.second * pair.first + shift;
}
"""


def test_module_variables_and_parameters_by_value_are_read():
    out, wide = np.zeros(64, np.float32), np.zeros(64, np.float64)
    pair = struct.pack("<i4xd", 3, math.pi)
    run_ptx(compile_cuda(TABLES), "tables", ONE, BLOCK, [out, wide, pair, -7, 0], undefined=(0, 1))
    lanes = np.arange(64)
    np.testing.assert_array_equal(
        out, np.array([0.5, 1.5, 2.5, 3.5])[lanes % 4] + np.array([1, -2, 3, -4, 5, -6])[lanes % 6]
    )
    np.testing.assert_array_equal(wide, float(Fraction(math.pi) * 3 - 7))
    with pytest.raises(OutOfBoundsError, match="variable steps"):
        run_ptx(compile_cuda(TABLES.replace("% 6", "")), "tables", ONE, BLOCK, [out, wide, pair, 0, 0])


def test_a_register_of_an_inner_block_hides_the_outer_one_of_its_name():
    source = """extern "C" __global__ void scopes(u32* out) { u32 r;
      asm volatile("{ .reg .b32 t; mov.b32 t, %1; { .reg .b16 t; mov.b16 t, 7; } mov.b32 %0, t; }"
          : "=r"(r) : "r"(0x12345678 + threadIdx.x));
      out[threadIdx.x] = r; }"""
    out = np.zeros(64, np.uint32)
    run_ptx(compile_cuda(source), "scopes", ONE, BLOCK, [out], undefined=(0,))
    np.testing.assert_array_equal(out, 0x12345678 + np.arange(64))


def test_an_array_passed_twice_is_one_buffer():
    source = 'extern "C" __global__ void add(const float* a, float* b) { b[threadIdx.x] = a[threadIdx.x] + 1; }'
    values = np.arange(64, dtype=np.float32)
    run_ptx(compile_cuda(source), "add", ONE, BLOCK, [values, values])
    np.testing.assert_array_equal(values, np.arange(64) + 1)


GRID = """
extern "C" __global__ void place(int* out) {
  int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z), lane;
  asm("mov.u32 %0, %%laneid;" : "=r"(lane));
  out[block * blockDim.x * blockDim.y * blockDim.z + thread] = block * 10000 + thread * 100 + lane;
}
"""


def test_threads_and_blocks_are_numbered_x_first():
    out = np.zeros((24, 30), np.int32)
    run_ptx(compile_cuda(GRID), "place", (2, 3, 4), (5, 3, 2), [out], max_lanes=96, undefined=(0,))
    threads = np.arange(30)
    np.testing.assert_array_equal(out, np.arange(24)[:, None] * 10000 + threads * 100 + threads)


VECTORS = """
extern "C" __global__ void vectors(const signed char* bytes, const double* wide, int4* out, double2* sums) {
  asm volatile("{ .reg .s16 t; ld.global.s8 t, [%1]; cvt.s32.s16 %0, t; }"
      : "=r"(out[threadIdx.x].x) : "l"(bytes + threadIdx.x));
  int4 rest = ((const int4*)bytes)[threadIdx.x & 3];
  out[threadIdx.x].y = rest.w;
  long long big = (long long)rest.x * rest.y - rest.z;
  out[threadIdx.x].z = (int)(big >> 20);
  out[threadIdx.x].w = (int)__popcll(big);
  double2 pair = ((const double2*)wide)[threadIdx.x];
  sums[threadIdx.x] = make_double2(pair.x + pair.y, pair.x * pair.y);
}
"""


def test_signed_bytes_vectors_and_64_bit_values_keep_their_bits():
    rng = np.random.default_rng(5)
    values, wide = rng.integers(-128, 128, 64).astype(np.int8), rng.normal(size=(64, 2))
    out, sums = np.zeros((64, 4), np.int32), np.zeros((64, 2))
    run_ptx(compile_cuda(VECTORS), "vectors", ONE, BLOCK, [values, wide, out, sums], undefined=(2, 3))
    words = values.view(np.int32).reshape(4, 4)[np.arange(64) & 3].astype(np.int64)
    big = words[:, 0] * words[:, 1] - words[:, 2]
    np.testing.assert_array_equal(out[:, 0], values)
    np.testing.assert_array_equal(out[:, 1], words[:, 3])
    np.testing.assert_array_equal(out[:, 2], (big >> 20).astype(np.int32))
    np.testing.assert_array_equal(out[:, 3], [(int(value) & (2**64 - 1)).bit_count() for value in big])
    np.testing.assert_array_equal(sums, np.stack([wide.sum(1), wide.prod(1)], 1))
