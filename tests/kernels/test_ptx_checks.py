"""Every check of the PTX emulator finds the defect it is for, and accepts the kernel that has it repaired."""

import re

import numpy as np
import pytest
from ptx_compile import compile_cuda
from ptx_emulator import Report, run_ptx
from ptx_errors import (
    AsyncCopyError,
    DivergenceError,
    MisalignedError,
    OutOfBoundsError,
    PtxError,
    RaceError,
    UninitialisedError,
)

BLOCK = (128, 1, 1)
ONE = (1, 1, 1)


def run(source: str, *args: object, grid=ONE, block=BLOCK, shared_bytes: int = 0, undefined=(), **options) -> Report:
    name = re.search(r"void (\w+)\(", source).group(1)
    return run_ptx(compile_cuda(source), name, grid, block, list(args), shared_bytes, undefined=undefined, **options)


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
    run(NEIGHBOUR % ("__syncthreads();", "^ 64"), NUMBERS, out)
    np.testing.assert_array_equal(out, NUMBERS ^ 64)
    with pytest.raises(RaceError, match=r"reads what thread \d+ of block 0 wrote"):
        run(NEIGHBOUR % ("", "^ 64"), NUMBERS, out)


@pytest.mark.parametrize("barrier", ["", "if (__shfl_xor_sync(~0u, (int)threadIdx.x, 1) < 0) out[0] = 1;"])
def test_lanes_of_a_warp_race_unless_a_warp_barrier_orders_them(barrier):
    out = np.zeros_like(NUMBERS)
    run(NEIGHBOUR % ("__syncwarp();", "^ 1"), NUMBERS, out)
    with pytest.raises(RaceError):
        run(NEIGHBOUR % (barrier, "^ 1"), NUMBERS, out)


def test_a_warp_barrier_does_not_order_two_warps():
    with pytest.raises(RaceError):
        run(NEIGHBOUR % ("__syncwarp();", "^ 64"), NUMBERS, np.zeros_like(NUMBERS))


GROUPS = 'asm volatile("bar.sync %%0, 64;" :: "r"((int)threadIdx.x / 64 + 1) : "memory");'


def test_a_barrier_of_two_warps_orders_those_two_only():
    out = np.zeros_like(NUMBERS)
    run(NEIGHBOUR % (GROUPS.replace("%%", "%"), "^ 32"), NUMBERS, out)
    np.testing.assert_array_equal(out, NUMBERS ^ 32)
    with pytest.raises(RaceError):
        run(NEIGHBOUR % (GROUPS.replace("%%", "%"), "^ 64"), NUMBERS, out)


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
    run(READERS % 64, np.zeros(128, np.int32))
    with pytest.raises(RaceError, match=r"writes what thread \d+ of block 0 read"):
        run(READERS % 0, np.zeros(128, np.int32))


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
    run(OVERWRITE % "__syncthreads();", out)
    np.testing.assert_array_equal(out, 3)
    with pytest.raises(RaceError, match=r"writes what thread \d+ of block 0 read"):
        run(OVERWRITE % "", out)


def test_two_threads_that_store_to_one_place_race_and_atomics_do_not():
    source = 'extern "C" __global__ void store(int* out) { %s; }'
    out = np.zeros(1, np.int32)
    run(source % "atomicAdd(out, 2)", out, grid=(2, 1, 1))
    assert out[0] == 2 * 2 * 128
    with pytest.raises(RaceError):
        run(source % "out[0] = threadIdx.x", out)


def test_blocks_that_touch_the_same_global_memory_race_also_in_different_batches():
    source = 'extern "C" __global__ void turn(int* out) { out[(threadIdx.x + 128 * blockIdx.x) % %d] += 1; }'
    run(source.replace("%d", "256"), np.zeros(256, np.int32), grid=(2, 1, 1), max_lanes=128)
    for lanes in (128, 256):
        with pytest.raises(RaceError, match="block 1"):
            run(source.replace("%d", "129"), np.zeros(256, np.int32), grid=(2, 1, 1), max_lanes=lanes)


def test_a_barrier_does_not_order_two_blocks():
    source = """extern "C" __global__ void exchange(int* out, int* copy) {
      int own = 128 * blockIdx.x, from = 128 * (%s);
      out[threadIdx.x + own] = 1; __syncthreads(); copy[threadIdx.x + own] = out[from + 127 - threadIdx.x]; }"""
    arrays = np.zeros(256, np.int32), np.zeros(256, np.int32)
    run(source % "blockIdx.x", *arrays, grid=(2, 1, 1))
    for lanes in (128, 256):
        with pytest.raises(RaceError, match=r"thread \d+ of block [01] (reads|writes) what"):
            run(source % "1 - blockIdx.x", *arrays, grid=(2, 1, 1), max_lanes=lanes)


def test_a_kernel_that_never_ends_is_given_up():
    source = 'extern "C" __global__ void spin(volatile int* out) { while (out[0] == 0) {} }'
    with pytest.raises(PtxError, match="gives up"):
        run(source, np.zeros(1, np.int32), block=(32, 1, 1), max_branches=1000)


def test_races_are_not_looked_for_when_not_asked():
    run(NEIGHBOUR % ("", "^ 64"), NUMBERS, np.zeros_like(NUMBERS), check_races=False)


SHIFT = 'extern "C" __global__ void shift(const float* in, float* out) { int i = threadIdx.x; out[i%s] = in[i%s]; }'


@pytest.mark.parametrize(("write", "read"), [("", " + 1"), (" + 1", ""), ("", " - 1")])
def test_an_access_one_element_outside_a_buffer_names_buffer_and_byte(write, read):
    values = np.ones(128, np.float32)
    run(SHIFT % ("", ""), values, np.zeros(128, np.float32))
    with pytest.raises(OutOfBoundsError, match=r"byte (512|-4) of argument [01], which has 512 bytes"):
        run(SHIFT % (write, read), values, np.zeros(128, np.float32))


def test_a_null_pointer_and_shared_memory_that_was_not_asked_for_are_outside():
    with pytest.raises(OutOfBoundsError, match="in no buffer"):
        run(SHIFT % ("", ""), None, np.zeros(128, np.float32))
    source = """extern "C" __global__ void dynamic(int* out) {
      extern __shared__ int rows[]; rows[threadIdx.x] = 1; out[threadIdx.x] = rows[threadIdx.x]; }"""
    assert run(source, np.zeros(128, np.int32), shared_bytes=512).shared_bytes == 512
    with pytest.raises(OutOfBoundsError, match="shared memory, which has 508 bytes"):
        run(source, np.zeros(128, np.int32), shared_bytes=508)


def test_what_ran_before_the_error_is_in_the_arrays():
    source = (
        'extern "C" __global__ void late(int* out) { out[threadIdx.x] = 7; __syncthreads(); out[threadIdx.x + 1] = 8; }'
    )
    out = np.zeros(128, np.int32)
    with pytest.raises(PtxError):
        run(source, out)
    np.testing.assert_array_equal(out, 7)


VECTOR = """
extern "C" __global__ void vector(const char* in, float4* out) {
  out[threadIdx.x] = *(const float4*)(in + 16 * threadIdx.x + %d);
}
"""


@pytest.mark.parametrize("offset", [4, 8])
def test_a_vector_access_needs_the_alignment_of_the_whole_vector(offset):
    values, out = np.arange(1024, dtype=np.float32), np.zeros(512, np.float32)
    run(VECTOR % 16, values, out)
    np.testing.assert_array_equal(out, values[4:516])
    with pytest.raises(MisalignedError, match="not a multiple of 16"):
        run(VECTOR % offset, values, out)


def test_shared_memory_that_nobody_wrote_may_not_be_read():
    source = """extern "C" __global__ void stale(int* out) {
      __shared__ int row[128]; if (threadIdx.x < %d) row[threadIdx.x] = 1;
      __syncthreads(); out[threadIdx.x] = row[threadIdx.x]; }"""
    run(source % 128, np.zeros(128, np.int32))
    with pytest.raises(UninitialisedError, match="byte 508 of shared memory"):
        run(source % 127, np.zeros(128, np.int32))


def test_an_undefined_output_is_poisoned_not_readable_and_its_gaps_are_counted():
    out = np.zeros(130, np.float32)
    report = run(SHIFT % ("", ""), np.ones(128, np.float32), out, undefined=(1,))
    assert report.unwritten == {1: 8}
    assert np.isnan(out[128:]).all()
    with pytest.raises(UninitialisedError, match="argument 0"):
        run(SHIFT % ("", ""), np.ones(128, np.float32), out, undefined=(0,))


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
    report = run(COPY % (WAIT, ""), values, out, 100)
    np.testing.assert_array_equal(out, np.pad(values, (0, 112)))
    assert report.count("cp.async.cg") == 4
    with pytest.raises(OutOfBoundsError, match="argument 0"):
        run(COPY % (WAIT, ""), values, out, 101)


@pytest.mark.parametrize("wait", ["", "__syncthreads();", WAIT_FOR_OTHERS])
def test_cp_async_data_may_not_be_read_before_its_own_group_is_waited_for(wait):
    with pytest.raises(AsyncCopyError, match=r"read before cp\.async was waited"):
        run(COPY % (wait, ""), np.arange(512, dtype=np.int32), np.zeros(512, np.int32), 128)


def test_what_another_thread_copied_needs_its_wait_and_then_a_barrier():
    values, out = np.arange(512, dtype=np.int32), np.zeros(512, np.int32)
    run(COPY % (WAIT + " __syncthreads();", "^ 64"), values, out, 128)
    np.testing.assert_array_equal(out.reshape(128, 4), values.reshape(128, 4)[np.arange(128) ^ 64])
    for wrong in (WAIT, "__syncthreads(); " + WAIT):
        with pytest.raises(RaceError):
            run(COPY % (wrong, "^ 64"), values, out, 128)


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("__syncthreads();", r"bar(rier)?\.sync"),
        ("value = __shfl_xor_sync(~0u, value, 1);", r"shfl\.sync"),
        ("__syncwarp();", r"bar\.warp\.sync"),
        ("value = __any_sync(~0u, value > 3);", r"vote\.sync"),
    ],
)
def test_what_a_whole_warp_or_block_must_reach_is_an_error_in_a_branch_of_some(statement, named):
    source = """extern "C" __global__ void split(int* out) {
      int value = threadIdx.x; if (threadIdx.x < %d) { STATEMENT } else { out[threadIdx.x] = 1; __syncthreads(); }
      out[threadIdx.x] = value; }"""
    source = source.replace("STATEMENT", statement)
    run(source % 128, np.zeros(128, np.int32))
    with pytest.raises(DivergenceError, match=named):
        run(source % 100, np.zeros(128, np.int32))


def test_mma_needs_all_lanes_of_its_warp():
    source = """extern "C" __global__ void part(float* out) {
      if (threadIdx.x >= %d) return;
      float d[4] = {}; u32 a = 0;
      asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%%0,%%1,%%2,%%3}, {%%4,%%4,%%4,%%4}, {%%4,%%4},"
          "{%%0,%%1,%%2,%%3};" : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a));
      out[threadIdx.x] = d[0]; }"""
    assert run(source % 96, np.ones(128, np.float32)).count("mma.sync") == 3
    with pytest.raises(DivergenceError, match=r"mma\.sync"):
        run(source % 100, np.ones(128, np.float32))


def test_an_error_names_the_instruction_its_line_and_that_of_the_source():
    ptx = compile_cuda(SHIFT % ("", " + 1"), "-lineinfo")
    with pytest.raises(OutOfBoundsError, match=r"PTX line \d+, source line \d+: ld\.global\S* %\w+, \[%rd\d+\+4\]"):
        run_ptx(ptx, "shift", ONE, BLOCK, [np.ones(128, np.float32), np.ones(128, np.float32)])


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([np.ones(128, np.float32)], "1 arguments, the kernel has 2"),
        ([np.ones((128, 2), np.float32)[:, 0], np.ones(128, np.float32)], "not C-contiguous"),
        ([np.ones(128, np.float32), 1.5], "a float for a parameter"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(args, message):
    with pytest.raises(ValueError, match=message):
        run_ptx(compile_cuda(SHIFT % ("", "")), "shift", ONE, BLOCK, args)
