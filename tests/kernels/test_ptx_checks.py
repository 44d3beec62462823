"""Accesses, divergence and arguments: each check of the emulator finds its defect and accepts the repaired kernel."""

import numpy as np
import pytest
from ptx_compile import compile_cuda, run_cuda
from ptx_emulator import run_ptx
from ptx_errors import DivergenceError, MisalignedError, OutOfBoundsError, PtxError, UninitialisedError

ONE, BLOCK = (1, 1, 1), (128, 1, 1)
SHIFT = 'extern "C" __global__ void shift(const float* in, float* out) { int i = threadIdx.x; out[i%s] = in[i%s]; }'


@pytest.mark.parametrize(("write", "read"), [("", " + 1"), (" + 1", ""), ("", " - 1")])
def test_an_access_one_element_outside_a_buffer_names_buffer_and_byte(write, read):
    values = np.ones(128, np.float32)
    run_cuda(SHIFT % ("", ""), values, np.zeros(128, np.float32))
    with pytest.raises(OutOfBoundsError, match=r"byte (512|-4) of argument [01], which has 512 bytes"):
        run_cuda(SHIFT % (write, read), values, np.zeros(128, np.float32))


def test_a_null_pointer_and_shared_memory_that_was_not_asked_for_are_outside():
    with pytest.raises(OutOfBoundsError, match="in no buffer"):
        run_cuda(SHIFT % ("", ""), None, np.zeros(128, np.float32))
    source = """extern "C" __global__ void dynamic(int* out) {
      extern __shared__ int rows[]; rows[threadIdx.x] = 1; out[threadIdx.x] = rows[threadIdx.x]; }"""
    assert run_cuda(source, np.zeros(128, np.int32), shared_bytes=512).shared_bytes == 512
    with pytest.raises(OutOfBoundsError, match="shared memory, which has 508 bytes"):
        run_cuda(source, np.zeros(128, np.int32), shared_bytes=508)


def test_what_ran_before_the_error_is_in_the_arrays():
    source = (
        'extern "C" __global__ void late(int* out) { out[threadIdx.x] = 7; __syncthreads(); out[threadIdx.x + 1] = 8; }'
    )
    out = np.zeros(128, np.int32)
    with pytest.raises(PtxError):
        run_cuda(source, out)
    np.testing.assert_array_equal(out, 7)


VECTOR = """
extern "C" __global__ void vector(const char* in, float4* out) {
  out[threadIdx.x] = *(const float4*)(in + 16 * threadIdx.x + %d);
}
"""


@pytest.mark.parametrize("offset", [4, 8])
def test_a_vector_access_needs_the_alignment_of_the_whole_vector(offset):
    values, out = np.arange(1024, dtype=np.float32), np.zeros(512, np.float32)
    run_cuda(VECTOR % 16, values, out)
    np.testing.assert_array_equal(out, values[4:516])
    with pytest.raises(MisalignedError, match="not a multiple of 16"):
        run_cuda(VECTOR % offset, values, out)


def test_shared_memory_that_nobody_wrote_may_not_be_read():
    source = """extern "C" __global__ void stale(int* out) {
      __shared__ int row[128]; if (threadIdx.x < %d) row[threadIdx.x] = 1;
      __syncthreads(); out[threadIdx.x] = row[threadIdx.x]; }"""
    run_cuda(source % 128, np.zeros(128, np.int32))
    with pytest.raises(UninitialisedError, match="byte 508 of shared memory"):
        run_cuda(source % 127, np.zeros(128, np.int32))


def test_an_undefined_output_is_poisoned_not_readable_and_its_gaps_are_counted():
    out = np.zeros(130, np.float32)
    report = run_cuda(SHIFT % ("", ""), np.ones(128, np.float32), out, undefined=(1,))
    assert report.unwritten == {1: 8}
    assert np.isnan(out[128:]).all()
    with pytest.raises(UninitialisedError, match="argument 0"):
        run_cuda(SHIFT % ("", ""), np.ones(128, np.float32), out, undefined=(0,))


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
    run_cuda(source % 128, np.zeros(128, np.int32))
    with pytest.raises(DivergenceError, match=named):
        run_cuda(source % 100, np.zeros(128, np.int32))


def test_a_shuffle_from_a_lane_that_does_not_take_part_is_an_error():
    source = """extern "C" __global__ void half(int* out) {
      if (threadIdx.x < 16) out[threadIdx.x] = __shfl_sync(0xffffu, (int)threadIdx.x, %d); }"""
    run_cuda(source % 15, np.zeros(32, np.int32), block=(32, 1, 1))
    with pytest.raises(DivergenceError, match="does not take part"):
        run_cuda(source % 16, np.zeros(32, np.int32), block=(32, 1, 1))


def test_mma_needs_all_lanes_of_its_warp():
    source = """extern "C" __global__ void part(float* out) {
      if (threadIdx.x >= %d) return;
      float d[4] = {}; u32 a = 0;
      asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%%0,%%1,%%2,%%3}, {%%4,%%4,%%4,%%4}, {%%4,%%4},"
          "{%%0,%%1,%%2,%%3};" : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a));
      out[threadIdx.x] = d[0]; }"""
    assert run_cuda(source % 96, np.ones(128, np.float32)).count("mma.sync") == 3
    with pytest.raises(DivergenceError, match=r"mma\.sync"):
        run_cuda(source % 100, np.ones(128, np.float32))


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


def test_a_kernel_that_never_ends_is_given_up():
    source = 'extern "C" __global__ void spin(volatile int* out) { while (out[0] == 0) {} }'
    with pytest.raises(PtxError, match="gives up"):
        run_cuda(source, np.zeros(1, np.int32), block=(32, 1, 1), max_branches=1000)
