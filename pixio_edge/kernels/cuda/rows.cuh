// Rows of 16-bit elements or floats that a group of threads holds in registers: what kernels that reduce over channels share.
//
// blockDim.x threads (a power of two from 8 to kMostThreads) hold one row: thread t the vectors t, t + blockDim.x, ... of eight
// elements, so that neighbouring threads touch neighbouring 16 bytes. blockDim.y rows are in one block; more than one only where a
// row takes less than a warp or exactly one, so that no barrier is shared between rows.
#pragma once

#include "ptx.cuh"

namespace rows {

constexpr int kWidth = 8;          // elements of one vector
constexpr int kMaxThreads = 512;   // of one block
constexpr int kMaxWarps = kMaxThreads / 32;

// Threads of the largest block: so many that a thread may use 128 registers, or 255 where it holds more than three vectors, which
// 128 do not always take.
template <int kVectors>
constexpr int kMostThreads = kVectors > 3 ? kMaxThreads / 2 : kMaxThreads;

// The part of a row that this thread holds. A row past the last exists for no thread, yet its threads go along: shuffles and
// barriers need them all.
struct Part {
  long long row;
  bool exists;
  int channels;

  __device__ __forceinline__ Part(int rows, int channels_)
      : row(static_cast<long long>(blockIdx.x) * blockDim.y + threadIdx.y), exists(row < rows), channels(channels_) {}

  __device__ __forceinline__ int channel(int vector) const { return (threadIdx.x + vector * blockDim.x) * kWidth; }
  __device__ __forceinline__ bool holds(int vector) const { return exists && channel(vector) < channels; }
  __device__ __forceinline__ long long offset(int vector) const { return row * channels + channel(vector); }
};

// Eight elements as they are in memory: 16-bit elements or floats.
struct Packed16 { uint4 words; };
struct Packed32 { uint4 low, high; };

// Zero where `valid` is false; nothing is read then. The conditional is one instruction, so that all loads of a row are under way
// at once.
__device__ __forceinline__ Packed16 load(const u16* source, bool valid) {
  return {valid ? *reinterpret_cast<const uint4*>(source) : make_uint4(0, 0, 0, 0)};
}
__device__ __forceinline__ Packed32 load(const float* source, bool valid) {
  const uint4* vectors = reinterpret_cast<const uint4*>(source);
  const uint4 zero = make_uint4(0, 0, 0, 0);
  return {valid ? vectors[0] : zero, valid ? vectors[1] : zero};
}
// Of what no thread of the kernel writes: through the read-only cache. Words of `other` where `valid` is false.
__device__ __forceinline__ Packed16 load_constant(const u16* source, bool valid, u32 other = 0) {
  return {valid ? __ldg(reinterpret_cast<const uint4*>(source)) : make_uint4(other, other, other, other)};
}

__device__ __forceinline__ void unpack(const Packed16& packed, float (&values)[kWidth]) {
  const u32 words[4] = {packed.words.x, packed.words.y, packed.words.z, packed.words.w};
#pragma unroll
  for (int pair = 0; pair < 4; ++pair) {
    values[2 * pair] = ptx::unpack_low(words[pair]);
    values[2 * pair + 1] = ptx::unpack_high(words[pair]);
  }
}
__device__ __forceinline__ void unpack(const Packed32& packed, float (&values)[kWidth]) {
  const u32 words[kWidth] = {packed.low.x,  packed.low.y,  packed.low.z,  packed.low.w,
                             packed.high.x, packed.high.y, packed.high.z, packed.high.w};
#pragma unroll
  for (int element = 0; element < kWidth; ++element) values[element] = __uint_as_float(words[element]);
}

__device__ __forceinline__ void store(u16* target, const float (&v)[kWidth]) {
  *reinterpret_cast<uint4*>(target) =
      make_uint4(ptx::pack2(v[0], v[1]), ptx::pack2(v[2], v[3]), ptx::pack2(v[4], v[5]), ptx::pack2(v[6], v[7]));
}
__device__ __forceinline__ void store(float* target, const float (&v)[kWidth]) {
  reinterpret_cast<float4*>(target)[0] = make_float4(v[0], v[1], v[2], v[3]);
  reinterpret_cast<float4*>(target)[1] = make_float4(v[4], v[5], v[6], v[7]);
}

struct Add {
  __device__ __forceinline__ float operator()(float a, float b) const { return a + b; }
  __device__ __forceinline__ float2 operator()(float2 a, float2 b) const { return make_float2(a.x + b.x, a.y + b.y); }
};
// NaN wins, so that a row with one shows it.
struct Larger {
  __device__ __forceinline__ float operator()(float a, float b) const { return ptx::max_nan(a, b); }
};

__device__ __forceinline__ float from_lane(float value, int lane_mask) { return ptx::shuffle_xor(value, lane_mask); }
__device__ __forceinline__ float2 from_lane(float2 value, int lane_mask) {
  return make_float2(ptx::shuffle_xor(value.x, lane_mask), ptx::shuffle_xor(value.y, lane_mask));
}

// Combines one value of every thread of the row; all get the same bits, since a butterfly adds the same pairs in every lane.
// `partial` are kMaxWarps values in shared memory that no other reduction of this launch uses: that saves a second barrier.
template <typename Value, typename Combine>
__device__ __forceinline__ Value reduce(Value value, Value* partial, Combine combine) {
  const int threads = blockDim.x;
#pragma unroll
  for (int mask = 16; mask > 0; mask >>= 1) {
    if (mask < threads) value = combine(value, from_lane(value, mask));
  }
  if (threads > 32) {
    const int lane = threadIdx.x % 32;
    const int warps = threads / 32;
    if (lane == 0) partial[threadIdx.x / 32] = value;
    __syncthreads();
    value = partial[lane & (warps - 1)];
#pragma unroll
    for (int mask = kMaxWarps / 2; mask > 0; mask >>= 1) {
      if (mask < warps) value = combine(value, from_lane(value, mask));
    }
  }
  return value;
}

// Symmetric INT8 of a row with one scale: largest magnitude / 127, ties to the even code. A row of zeros (or so small that the
// inverse of its scale overflows) has codes 0 and scale 1. A row with a NaN or an infinity has that as its scale and codes 0.
template <int kVectors>
__device__ __forceinline__ void quantize(const float (&values)[kVectors][kWidth], const Part& part, float* partial,
                                         signed char* codes, float* scale) {
  constexpr float kLevels = 127.0f;
  constexpr float kSmallest = kLevels * 7.888609052210118e-31f;  // 2^-100
  float largest = 0.0f;
#pragma unroll
  for (int vector = 0; vector < kVectors; ++vector) {
#pragma unroll
    for (int element = 0; element < kWidth; ++element) largest = ptx::max_nan(largest, fabsf(values[vector][element]));
  }
  largest = reduce(largest, partial, Larger());
  const bool is_zero = largest < kSmallest;
  // Of an infinite `largest` it is 0; infinity times 0, a NaN, becomes code 0 in the conversion.
  const float steps_per_unit = is_zero ? 0.0f : kLevels / largest;
  if (part.exists && threadIdx.x == 0) scale[part.row] = is_zero ? 1.0f : largest / kLevels;
#pragma unroll
  for (int vector = 0; vector < kVectors; ++vector) {
    int code[kWidth];
#pragma unroll
    for (int element = 0; element < kWidth; ++element) code[element] = ptx::round_to_s8(values[vector][element] * steps_per_unit);
    if (part.holds(vector)) {
      *reinterpret_cast<uint2*>(codes + part.offset(vector)) =
          make_uint2(ptx::pack_s8x4(code[0], code[1], code[2], code[3]), ptx::pack_s8x4(code[4], code[5], code[6], code[7]));
    }
  }
}

}  // namespace rows
