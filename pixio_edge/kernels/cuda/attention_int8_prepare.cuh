// Queries and keys to signed bytes: the first two launches of attention_int8.cu, where arguments and method are told.
#pragma once

#include "ptx.cuh"

namespace int8 {

constexpr int kHeadDim = HEAD_DIM;
constexpr int kPadded = (kHeadDim + 31) / 32 * 32;  // a product of bytes is 32 deep; what is past kHeadDim is zero
constexpr int kTile = 64;
constexpr int kKeyScales = 4;  // of a tile: key 8a + 2g + b has scale g, and a thread of a product holds keys of one g only
constexpr int kThreads = 2 * kTile;
constexpr int kWarps = kThreads / 32;
constexpr int kHalf = kPadded / 2;  // two threads share a row
constexpr int kVector = 8;          // elements in 16 bytes

constexpr float kLevels = 127.0f;
constexpr u32 kSmallestRange = 0x26800000u;  // 2^-50 as bits. Ranges below count as it, so a zero row's scale is not zero
constexpr float kLog2E = 1.44269504088896341f;

// The parts of the workspace; the arithmetic is that of plan_workspace in geometry_attention_int8.py.
struct Workspace {
  u8* query;           // (B, H, tiles * 64, kPadded) signed bytes
  u8* key;             // the same
  float* query_scale;  // (B, H, tiles * 64)
  float* key_scale;    // (B, H, tiles, 4)
  float* key_sum;      // (B, H, tiles, kHeadDim)

  __device__ Workspace(u8* base, int batch, int heads, int tiles) {
    const size_t rows = static_cast<size_t>(batch) * heads * tiles * kTile;
    query = base;
    key = query + rows * kPadded;
    query_scale = reinterpret_cast<float*>(key + rows * kPadded);
    key_scale = query_scale + rows;
    key_sum = key_scale + rows / kTile * kKeyScales;
  }
};

// The block's 64 tokens of one head of one image.
struct TokenTile {
  int tiles;
  size_t tile;      // among those of all heads and images
  size_t tile0;     // the first of this head and image
  int first_token;  // of the tile

  __device__ TokenTile(int tokens, int heads) {
    tiles = (tokens + kTile - 1) / kTile;
    tile0 = (static_cast<size_t>(blockIdx.z) * heads + blockIdx.y) * tiles;
    tile = tile0 + blockIdx.x;
    first_token = blockIdx.x * kTile;
  }
};

// Row `token` of queries (0), keys (1) or values (2) of the block's head.
__device__ __forceinline__ const u16* find_row(const u16* qkv, int part, int token, int tokens, int heads) {
  const size_t row = (static_cast<size_t>(blockIdx.z) * tokens + token) * 3 + part;
  return qkv + (row * heads + blockIdx.y) * kHeadDim;
}

// The thread's half of a row as floats; zeros past the head's width, and everywhere if the row is null.
__device__ __forceinline__ void load_half_row(float (&x)[kHalf], const u16* row, int half) {
#pragma unroll
  for (int c = 0; c < kHalf; c += kVector) {
    const int dim = half * kHalf + c;
    uint4 packed = make_uint4(0, 0, 0, 0);
    if (row != nullptr && dim < kHeadDim) packed = *reinterpret_cast<const uint4*>(row + dim);
    const u32 words[4] = {packed.x, packed.y, packed.z, packed.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      x[c + 2 * i] = ptx::unpack_low(words[i]);
      x[c + 2 * i + 1] = ptx::unpack_high(words[i]);
    }
  }
}

// The largest magnitude as bits. Bits of positive floats are ordered as their values, and those of infinity and NaN come after all:
// unlike a maximum of floats, this one never loses a NaN.
__device__ __forceinline__ u32 find_range(const float (&x)[kHalf]) {
  u32 range = kSmallestRange;
#pragma unroll
  for (int i = 0; i < kHalf; ++i) range = max(range, __float_as_uint(x[i]) & 0x7fffffffu);
  return range;
}

__device__ __forceinline__ void store_quantized(u8* row, int half, const float (&x)[kHalf], float range) {
  const float inverse = __fdiv_rn(kLevels, range);
#pragma unroll
  for (int c = 0; c < kHalf; c += 16) {
    u32 words[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      int levels[4];
#pragma unroll
      for (int j = 0; j < 4; ++j) levels[j] = ptx::round_to_s8(__fmul_rn(x[c + 4 * i + j], inverse));
      words[i] = ptx::pack_s8x4(levels[0], levels[1], levels[2], levels[3]);
    }
    *reinterpret_cast<uint4*>(row + half * kHalf + c) = make_uint4(words[0], words[1], words[2], words[3]);
  }
}

__device__ __forceinline__ void quantize_queries(const u16* qkv, const u16* bias, const Workspace& workspace,
                                                 const TokenTile& place, int tokens, int heads, float scale) {
  const int row = threadIdx.x / 2, half = threadIdx.x % 2, token = place.first_token + row;
  const bool is_valid = token < tokens;
  float x[kHalf];
  load_half_row(x, is_valid ? find_row(qkv, 0, token, tokens, heads) : nullptr, half);
  if (bias != nullptr && is_valid) {
    float offset[kHalf];
    load_half_row(offset, bias + blockIdx.y * kHeadDim, half);
#pragma unroll
    for (int i = 0; i < kHalf; ++i) x[i] = __fadd_rn(x[i], offset[i]);
  }
  u32 bits = find_range(x);
  bits = max(bits, ptx::shuffle_xor(bits, 1));
  const float range = __uint_as_float(bits);
  store_quantized(workspace.query + (place.tile * kTile + row) * kPadded, half, x, range);
  if (half == 0) {
    workspace.query_scale[place.tile * kTile + row] = __fmul_rn(__fdiv_rn(range, kLevels), __fmul_rn(scale, kLog2E));
  }
}

// A warp adds up 16 rows, a lane two columns at a time; then the four warps' sums are added.
__device__ __forceinline__ void sum_keys(const u16* qkv, float* key_sum, const TokenTile& place, int tokens, int heads) {
  __shared__ float parts[kWarps][kHeadDim];
  constexpr int kRows = kTile / kWarps;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  for (int pair = lane; pair < kHeadDim / 2; pair += 32) {
    float low = 0.0f, high = 0.0f;
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const int token = place.first_token + warp * kRows + r;
      if (token < tokens) {
        const u32 packed = reinterpret_cast<const u32*>(find_row(qkv, 1, token, tokens, heads))[pair];
        low = __fadd_rn(low, ptx::unpack_low(packed));
        high = __fadd_rn(high, ptx::unpack_high(packed));
      }
    }
    parts[warp][2 * pair] = low;
    parts[warp][2 * pair + 1] = high;
  }
  __syncthreads();
  const int dim = threadIdx.x;
  if (dim < kHeadDim) {
    const float first = __fadd_rn(parts[0][dim], parts[1][dim]), second = __fadd_rn(parts[2][dim], parts[3][dim]);
    key_sum[place.tile * kHeadDim + dim] = __fadd_rn(first, second);
  }
}

// The mean key, from the sums of all tiles in order. Every block does it for itself: it is a few numbers for each tile.
__device__ __forceinline__ void find_mean(float (&mean)[kPadded], const float* key_sum, const TokenTile& place, int tokens) {
  const int dim = threadIdx.x;
  if (dim >= kPadded) return;
  float sum = 0.0f;
  if (dim < kHeadDim) {
    const float* sums = key_sum + place.tile0 * kHeadDim + dim;
#pragma unroll 4
    for (int tile = 0; tile < place.tiles; ++tile) sum = __fadd_rn(sum, sums[tile * kHeadDim]);
  }
  mean[dim] = __fdiv_rn(sum, static_cast<float>(tokens));
}

__device__ __forceinline__ void quantize_keys(const u16* qkv, const Workspace& workspace, const TokenTile& place, int tokens,
                                              int heads) {
  __shared__ float mean[kPadded];
  __shared__ u32 ranges[kWarps][kKeyScales];
  find_mean(mean, workspace.key_sum, place, tokens);
  const int row = threadIdx.x / 2, half = threadIdx.x % 2, token = place.first_token + row;
  const bool is_valid = token < tokens;
  float x[kHalf];
  load_half_row(x, is_valid ? find_row(qkv, 1, token, tokens, heads) : nullptr, half);
  __syncthreads();
  if (is_valid) {
#pragma unroll
    for (int i = 0; i < kHalf; ++i) x[i] = __fsub_rn(x[i], mean[half * kHalf + i]);
  }
  // Keys of one scale lie in the lanes that differ in bits 0 (half of a row), 1 and 4 (row), and in all warps.
  u32 bits = find_range(x);
  bits = max(bits, ptx::shuffle_xor(bits, 1));
  bits = max(bits, ptx::shuffle_xor(bits, 2));
  bits = max(bits, ptx::shuffle_xor(bits, 16));
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, group = lane / 4 % kKeyScales;
  const bool is_first = lane < 16 && lane % 4 == 0;
  if (is_first) ranges[warp][group] = bits;
  __syncthreads();
  bits = max(max(ranges[0][group], ranges[1][group]), max(ranges[2][group], ranges[3][group]));
  const float range = __uint_as_float(bits);
  store_quantized(workspace.key + (place.tile * kTile + row) * kPadded, half, x, range);
  if (warp == 0 && is_first) workspace.key_scale[place.tile * kKeyScales + group] = __fdiv_rn(range, kLevels);
}

}  // namespace int8
