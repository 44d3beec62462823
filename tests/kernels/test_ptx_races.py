"""Races between threads, and data of cp.async before it is there, are found; the repaired kernels pass."""

import numpy as np
import pytest
from ptx_compile import run_cuda
from ptx_errors import AsyncCopyError, OutOfBoundsError, RaceError

NEIGHBOUR = """
extern "C" __global__ void neighbour(const int* in, int* out) {
  __shared__ int row[128];
  row[threadIdx.x] = in[threadIdx.x];
  %s
  out[threadIdx.x] = row[threadIdx.x %s];
}
"""
NUMBERS = np.arange(128, dtype=np.int32)


def test_reading_what_another_warp_wrote_is_a_race_without_a_barrier():
    out = np.zeros_like(NUMBERS)
    run_cuda(NEIGHBOUR % ("__syncthreads();", "^ 64"), NUMBERS, out)
    np.testing.assert_array_equal(out, NUMBERS ^ 64)
    with pytest.raises(RaceError, match=r"reads what thread \d+ of block 0 wrote"):
        run_cuda(NEIGHBOUR % ("", "^ 64"), NUMBERS, out)


@pytest.mark.parametrize("barrier", ["", "if (__shfl_xor_sync(~0u, (int)threadIdx.x, 1) < 0) out[0] = 1;"])
def test_lanes_of_a_warp_race_unless_a_warp_barrier_orders_them(barrier):
    out = np.zeros_like(NUMBERS)
    run_cuda(NEIGHBOUR % ("__syncwarp();", "^ 1"), NUMBERS, out)
    with pytest.raises(RaceError):
        run_cuda(NEIGHBOUR % (barrier, "^ 1"), NUMBERS, out)


def test_a_warp_barrier_does_not_order_two_warps():
    with pytest.raises(RaceError):
        run_cuda(NEIGHBOUR % ("__syncwarp();", "^ 64"), NUMBERS, np.zeros_like(NUMBERS))


GROUPS = 'asm volatile("bar.sync %%0, 64;" :: "r"((int)threadIdx.x / 64 + 1) : "memory");'


def test_a_barrier_of_two_warps_orders_those_two_only():
    out = np.zeros_like(NUMBERS)
    run_cuda(NEIGHBOUR % (GROUPS.replace("%%", "%"), "^ 32"), NUMBERS, out)
    np.testing.assert_array_equal(out, NUMBERS ^ 32)
    with pytest.raises(RaceError):
        run_cuda(NEIGHBOUR % (GROUPS.replace("%%", "%"), "^ 64"), NUMBERS, out)


READERS = """
extern "C" __global__ void readers(int* out) {
  __shared__ int cell;
  if (threadIdx.x == 64) cell = 5;
  __syncthreads();
  if (threadIdx.x >= %d) out[threadIdx.x] = cell;
  if (threadIdx.x >= 64) {
    asm volatile("bar.sync 1, 64;" ::: "memory");
    if (threadIdx.x == 127) cell = 6;
  }
}
"""


def test_a_write_has_to_be_ordered_after_the_readers_of_every_warp():
    run_cuda(READERS % 64, np.zeros(128, np.int32))
    with pytest.raises(RaceError, match=r"writes what thread \d+ of block 0 read"):
        run_cuda(READERS % 0, np.zeros(128, np.int32))


OVERWRITE = """
extern "C" __global__ void overwrite(int* out) {
  __shared__ int row[128];
  for (int step = 0; step < 3; ++step) {
    row[threadIdx.x] = step;
    __syncthreads();
    out[threadIdx.x] += row[127 - threadIdx.x];
    %s
  }
}
"""


def test_overwriting_what_another_thread_still_reads_is_a_race():
    out = np.zeros(128, np.int32)
    run_cuda(OVERWRITE % "__syncthreads();", out)
    np.testing.assert_array_equal(out, 3)
    with pytest.raises(RaceError, match=r"writes what thread \d+ of block 0 read"):
        run_cuda(OVERWRITE % "", out)


def test_two_threads_that_store_to_one_place_race_and_atomics_do_not():
    source = 'extern "C" __global__ void store(int* out) { %s; }'
    out = np.zeros(1, np.int32)
    run_cuda(source % "atomicAdd(out, 2)", out, grid=(2, 1, 1))
    assert out[0] == 2 * 2 * 128
    with pytest.raises(RaceError):
        run_cuda(source % "out[0] = threadIdx.x", out)


def test_blocks_that_touch_the_same_global_memory_race_also_in_different_batches():
    source = 'extern "C" __global__ void turn(int* out) { out[(threadIdx.x + 128 * blockIdx.x) % %d] += 1; }'
    run_cuda(source.replace("%d", "256"), np.zeros(256, np.int32), grid=(2, 1, 1), max_lanes=128)
    for lanes in (128, 256):
        with pytest.raises(RaceError, match="block 1"):
            run_cuda(source.replace("%d", "129"), np.zeros(256, np.int32), grid=(2, 1, 1), max_lanes=lanes)


def test_a_barrier_does_not_order_two_blocks():
    source = """extern "C" __global__ void exchange(int* out, int* copy) {
      int own = 128 * blockIdx.x, from = 128 * (%s);
      out[threadIdx.x + own] = 1; __syncthreads(); copy[threadIdx.x + own] = out[from + 127 - threadIdx.x]; }"""
    arrays = np.zeros(256, np.int32), np.zeros(256, np.int32)
    run_cuda(source % "blockIdx.x", *arrays, grid=(2, 1, 1))
    for lanes in (128, 256):
        with pytest.raises(RaceError, match=r"thread \d+ of block [01] (reads|writes) what"):
            run_cuda(source % "1 - blockIdx.x", *arrays, grid=(2, 1, 1), max_lanes=lanes)


def test_races_are_not_looked_for_when_not_asked():
    run_cuda(NEIGHBOUR % ("", "^ 64"), NUMBERS, np.zeros_like(NUMBERS), check_races=False)


COPY = """
extern "C" __global__ void copy(const int4* in, int4* out, int count) {
  __shared__ __align__(16) int4 rows[128];
  u32 address = (u32)__cvta_generic_to_shared(rows + threadIdx.x);
  asm volatile("cp.async.cg.shared.global [%%0], [%%1], 16, %%2;"
      :: "r"(address), "l"(in + threadIdx.x), "r"(threadIdx.x < count ? 16 : 0) : "memory");
  asm volatile("cp.async.commit_group;" ::: "memory");
  %s
  out[threadIdx.x] = rows[threadIdx.x %s];
}
"""
WAIT = 'asm volatile("cp.async.wait_group 0;" ::: "memory");'
WAIT_FOR_OTHERS = 'asm volatile("cp.async.wait_group 1;" ::: "memory");'


def test_cp_async_fills_with_zeros_and_does_not_touch_a_source_of_size_zero():
    values, out = np.arange(400, dtype=np.int32), np.ones(512, np.int32)
    report = run_cuda(COPY % (WAIT, ""), values, out, 100)
    np.testing.assert_array_equal(out, np.pad(values, (0, 112)))
    assert report.count("cp.async.cg") == 4
    with pytest.raises(OutOfBoundsError, match="argument 0"):
        run_cuda(COPY % (WAIT, ""), values, out, 101)


@pytest.mark.parametrize("wait", ["", "__syncthreads();", WAIT_FOR_OTHERS])
def test_cp_async_data_may_not_be_read_before_its_own_group_is_waited_for(wait):
    with pytest.raises(AsyncCopyError, match=r"read before cp\.async was waited"):
        run_cuda(COPY % (wait, ""), np.arange(512, dtype=np.int32), np.zeros(512, np.int32), 128)


def test_what_another_thread_copied_needs_its_wait_and_then_a_barrier():
    values, out = np.arange(512, dtype=np.int32), np.zeros(512, np.int32)
    run_cuda(COPY % (WAIT + " __syncthreads();", "^ 64"), values, out, 128)
    np.testing.assert_array_equal(out.reshape(128, 4), values.reshape(128, 4)[np.arange(128) ^ 64])
    for wrong in (WAIT, "__syncthreads(); " + WAIT):
        with pytest.raises(RaceError):
            run_cuda(COPY % (wrong, "^ 64"), values, out, 128)


REFILL = """
extern "C" __global__ void refill(const int4* in, int4* out) {
  __shared__ __align__(16) int4 rows[128];
  u32 address = (u32)__cvta_generic_to_shared(rows + threadIdx.x);
  rows[threadIdx.x] = in[threadIdx.x];
  __syncthreads();
  int4 kept = rows[threadIdx.x ^ 64];
  %s
  asm volatile("cp.async.cg.shared.global [%%0], [%%1], 16;" :: "r"(address), "l"(in + threadIdx.x) : "memory");
  __syncthreads();
  asm volatile("cp.async.wait_all;" ::: "memory");
  out[threadIdx.x] = kept;
}
"""


def test_cp_async_may_not_start_while_another_thread_reads_its_destination():
    values, out = np.arange(512, dtype=np.int32), np.zeros(512, np.int32)
    run_cuda(REFILL % "__syncthreads();", values, out)
    with pytest.raises(RaceError, match=r"writes what thread \d+ of block 0 read"):
        run_cuda(REFILL % "", values, out)


OWN_ROW = """
extern "C" __global__ void own_row(const int4* in, int4* out) {
  __shared__ __align__(16) int4 rows[32];
  rows[threadIdx.x] = in[threadIdx.x];
  %s
  u32 address = (u32)__cvta_generic_to_shared(rows + threadIdx.x), r0, r1, r2, r3;
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%%0, %%1, %%2, %%3}, [%%4];"
      : "=r"(r0), "=r"(r1), "=r"(r2), "=r"(r3) : "r"(address) : "memory");
  out[threadIdx.x] = make_int4(r0, r1, r2, r3);
}
"""


def test_ldmatrix_races_with_a_row_that_its_own_lane_wrote_because_others_receive_it():
    values, out = np.arange(128, dtype=np.int32), np.zeros(128, np.int32)
    run_cuda(OWN_ROW % "__syncwarp();", values, out, block=(32, 1, 1))
    np.testing.assert_array_equal(out.reshape(32, 4), values.reshape(4, 8, 4).transpose(1, 2, 0).reshape(32, 4))
    with pytest.raises(RaceError, match="ldmatrix"):
        run_cuda(OWN_ROW % "", values, out, block=(32, 1, 1))
