// The PTX instructions that the kernels are made of, one small function each: every line of inline assembly of this package is
// in this file. The base is sm_80 (mma.sync, ldmatrix, cp.async); nothing here asks for a later one.
//
// Compiled by NVRTC without a header of the toolkit, so 16-bit floats are carried as bits: `u16` is one element, a `u32` two of
// them, the lower half being the one at the lower address. ELEMENT_BF16 says which format the bits are: 0 is IEEE half, 1 is
// bfloat16.
//
// `volatile` and the "memory" clobber are where order against other memory accesses matters (cp.async, barriers, ldmatrix of
// what others wrote). Plain arithmetic has neither, so that the compiler may move and merge it.
#pragma once

#ifndef ELEMENT_BF16
#define ELEMENT_BF16 0
#endif

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long s64;

namespace ptx {

constexpr u32 kFullWarp = 0xffffffffu;

// ---- 16-bit floats --------------------------------------------------------------------------------------------------------

// Two floats rounded to nearest even and packed: `low` goes to the lower address.
__device__ __forceinline__ u32 pack2(float low, float high) {
  u32 packed;
#if ELEMENT_BF16
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
#else
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
#endif
  return packed;
}

// The element in the lower 16 bits. A bfloat16 is the upper half of a float.
__device__ __forceinline__ float unpack_low(u32 packed) {
#if ELEMENT_BF16
  return __uint_as_float(packed << 16);
#else
  float value;
  asm("{ .reg .b16 low, high;\n mov.b32 {low, high}, %1;\n cvt.f32.f16 %0, low; }" : "=f"(value) : "r"(packed));
  return value;
#endif
}

// The element in the upper 16 bits.
__device__ __forceinline__ float unpack_high(u32 packed) {
#if ELEMENT_BF16
  return __uint_as_float(packed & 0xffff0000u);
#else
  float value;
  asm("{ .reg .b16 low, high;\n mov.b32 {low, high}, %1;\n cvt.f32.f16 %0, high; }" : "=f"(value) : "r"(packed));
  return value;
#endif
}

__device__ __forceinline__ float2 unpack2(u32 packed) { return make_float2(unpack_low(packed), unpack_high(packed)); }

__device__ __forceinline__ float to_float(u16 element) { return unpack_low(element); }

__device__ __forceinline__ u16 from_float(float value) { return static_cast<u16>(pack2(value, 0.0f)); }

// ---- Arithmetic -----------------------------------------------------------------------------------------------------------

// 2^x. Exact at 0 (1) and at minus infinity (0); elsewhere within 2 ulp; results below 2^-126 are flushed to 0.
__device__ __forceinline__ float exp2(float x) {
  float value;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(value) : "f"(x));
  return value;
}

// The larger one, and a NaN if either is one: fmaxf would drop it.
__device__ __forceinline__ float max_nan(float a, float b) {
  float value;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(value) : "f"(a), "f"(b));
  return value;
}

// Rounds to nearest even and saturates to [-128, 127]; a NaN becomes 0. The value is in the lowest byte of the result.
__device__ __forceinline__ int round_to_s8(float x) {
  int value;
  asm("cvt.rni.sat.s8.f32 %0, %1;" : "=r"(value) : "f"(x));
  return value;
}

// Four signed bytes of one register, `a` at the lowest address.
__device__ __forceinline__ u32 pack_s8x4(int a, int b, int c, int d) {
  return (a & 0xff) | ((b & 0xff) << 8) | ((c & 0xff) << 16) | (static_cast<u32>(d) << 24);
}

// ---- Within a warp --------------------------------------------------------------------------------------------------------

template <typename T>
__device__ __forceinline__ T shuffle_xor(T value, int lane_mask) {
  return __shfl_xor_sync(kFullWarp, value, lane_mask);
}

// The largest value among the four lanes of a quad: a row of an mma accumulator lies in one quad.
__device__ __forceinline__ float quad_max(float value) {
  value = fmaxf(value, shuffle_xor(value, 1));
  return fmaxf(value, shuffle_xor(value, 2));
}

__device__ __forceinline__ float quad_sum(float value) {
  value += shuffle_xor(value, 1);
  return value + shuffle_xor(value, 2);
}

__device__ __forceinline__ float warp_max(float value) {
#pragma unroll
  for (int mask = 16; mask > 0; mask >>= 1) value = fmaxf(value, shuffle_xor(value, mask));
  return value;
}

__device__ __forceinline__ float warp_sum(float value) {
#pragma unroll
  for (int mask = 16; mask > 0; mask >>= 1) value += shuffle_xor(value, mask);
  return value;
}

// ---- Shared memory --------------------------------------------------------------------------------------------------------

// The address of `pointer` in the shared window, as ldmatrix and cp.async take it.
__device__ __forceinline__ u32 shared_address(const void* pointer) {
  return static_cast<u32>(__cvta_generic_to_shared(pointer));
}

// Copies 16 bytes from global to shared memory without passing a register, past L1. Both addresses are multiples of 16. Where
// `valid` is false nothing is read (`source` may lie anywhere) and the 16 bytes become 0.
__device__ __forceinline__ void copy_async_16(u32 destination, const void* source, bool valid) {
  const int source_bytes = valid ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(destination), "l"(__cvta_generic_to_global(source)),
               "r"(source_bytes)
               : "memory");
}

// Closes a group of this thread's copies so far.
__device__ __forceinline__ void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until at most `kPending` of this thread's newest groups are under way. What OTHER threads copied is visible only after a
// barrier that follows their wait.
template <int kPending>
__device__ __forceinline__ void copy_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

// A barrier of `threads` threads (a multiple of 32) of the block; `barrier` is 1 to 15, 0 being __syncthreads'.
__device__ __forceinline__ void named_barrier(int barrier, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
}

// ---- Matrix fragments -----------------------------------------------------------------------------------------------------

// Four 8 x 8 matrices of 16-bit elements (or 8 x 16 of bytes). Lane l gives the address of row l % 8 of matrix l / 8, 16 bytes
// each; lane l receives elements 2 (l % 4) and 2 (l % 4) + 1 of row l / 4 of matrix i in fragment[i].
__device__ __forceinline__ void load_matrix_x4(u32 (&fragment)[4], u32 address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(fragment[0]), "=r"(fragment[1]), "=r"(fragment[2]), "=r"(fragment[3])
               : "r"(address)
               : "memory");
}

// The same of the transposed matrices: lane l receives rows 2 (l % 4) and 2 (l % 4) + 1 of column l / 4.
__device__ __forceinline__ void load_matrix_x4_transposed(u32 (&fragment)[4], u32 address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(fragment[0]), "=r"(fragment[1]), "=r"(fragment[2]), "=r"(fragment[3])
               : "r"(address)
               : "memory");
}

// sum += a b for a 16 x 16 and b 16 x 8 of 16-bit floats, summed in float. Of lane l, with g = l / 4 and t = l % 4:
//   a[0] row g, columns 2t and 2t + 1; a[1] row g + 8; a[2] row g, columns 2t + 8 and 2t + 9; a[3] row g + 8 of those;
//   b0 rows 2t and 2t + 1 of column g; b1 rows 2t + 8 and 2t + 9;
//   sum[0], sum[1] row g, columns 2t and 2t + 1; sum[2], sum[3] row g + 8.
__device__ __forceinline__ void mma_16x8x16(float (&sum)[4], const u32 (&a)[4], u32 b0, u32 b1) {
#if ELEMENT_BF16
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
#else
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
#endif
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// sum += a b for a 16 x 32 and b 32 x 8 of signed bytes, summed in 32-bit integers. Each register holds four bytes; with g and t
// as above: a[0] row g, columns 4t to 4t + 3; a[1] row g + 8; a[2] row g, columns 4t + 16 to 4t + 19; a[3] row g + 8 of those;
// b0 rows 4t to 4t + 3 of column g; b1 rows 4t + 16 to 4t + 19; sum as above.
__device__ __forceinline__ void mma_s8_16x8x32(int (&sum)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+r"(sum[0]), "+r"(sum[1]), "+r"(sum[2]), "+r"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

}  // namespace ptx
