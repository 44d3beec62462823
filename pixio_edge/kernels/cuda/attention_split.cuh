// How four warps share a block's queries and keys, and how they put together what they found.
#pragma once

#include "attention_rows.cuh"

namespace attention {

constexpr int kWarps = 4;
constexpr int kThreads = 32 * kWarps;
constexpr int kStages = 2;  // Tiles in shared memory, of keys and of values: one is computed with while the next is copied.

// `kRowWarps` warps, a group, divide the queries; the groups divide the keys.
template <int kRowWarps, int kRowTilesOfWarp, int kKeysOfTile>
struct Split {
  static constexpr int kRowTiles = kRowTilesOfWarp;
  static constexpr int kKeys = kKeysOfTile;
  static constexpr int kGroups = kWarps / kRowWarps;
  static_assert(kGroups <= 2 || kRowWarps == 1, "synchronize knows two groups of several warps");
  static constexpr int kGroupThreads = 32 * kRowWarps;
  static constexpr int kWarpRows = 16 * kRowTiles;
  static constexpr int kRows = kWarpRows * kRowWarps;

  __device__ static int group() { return threadIdx.x / kGroupThreads; }

  // First query of this thread's warp.
  __device__ static int first_row() { return blockIdx.x * kRows + threadIdx.x % kGroupThreads / 32 * kWarpRows; }

  // Makes what every thread of the group did to shared memory before visible to all of them.
  __device__ static void synchronize() {
    if constexpr (kGroups == 1) {
      __syncthreads();
    } else if constexpr (kRowWarps == 1) {
      __syncwarp();
    } else if (group() == 0) {  // Two calls: of a number known to the compiler one barrier of 16 is reserved and not all.
      ptx::named_barrier(1, kGroupThreads);
    } else {
      ptx::named_barrier(2, kGroupThreads);
    }
  }
};

// Where the outputs of one image and head go.
struct Output {
  u16* out;
  const u16* bias;  // Of the values, or null.
  int tokens;
  int stride;  // Elements from a token to the next.
};

// What the four warps found for a tile of 16 rows each, in shared memory.
struct Partial {
  static constexpr int kRows = 16 * kWarps;
  static constexpr int kStride = HEAD_DIM + 8;  // Floats. The 8 put four rows of a store on different banks.
  float output[kRows][kStride];
  float reference[kRows];
  float sum[kRows];
};

template <int kRowTiles>
__device__ __forceinline__ void stage_rows(Partial& partial, const Rows<kRowTiles>& rows, int tile) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = threadIdx.x / 32 * 16 + 8 * half + lane / 4;
    float2* output = reinterpret_cast<float2*>(partial.output[row]) + lane % 4;
#pragma unroll
    for (int column = 0; column < HEAD_DIM / 8; ++column) {
      output[4 * column] = make_float2(rows.output[tile][column][2 * half], rows.output[tile][column][2 * half + 1]);
    }
    const float sum = ptx::quad_sum(rows.sum[tile][half]);
    if (lane % 4 != 0) continue;
    partial.reference[row] = rows.reference[tile][half];
    partial.sum[row] = sum;
  }
}

// Puts together eight columns of one row from all groups, whose partial sums lie `distance` rows apart. They are added in order,
// so that equal inputs give equal bits. A group that had no tile has the reference minus infinity and weighs nothing; group 0
// always has one.
template <int kGroups>
__device__ __forceinline__ void combine(float (&values)[8], const Partial& partial, int row, int distance, int chunk) {
  float reference = partial.reference[row];
#pragma unroll
  for (int group = 1; group < kGroups; ++group) reference = fmaxf(reference, partial.reference[row + group * distance]);
  float sum = 0.0f;
#pragma unroll
  for (int i = 0; i < 8; ++i) values[i] = 0.0f;
#pragma unroll
  for (int group = 0; group < kGroups; ++group) {
    const int there = row + group * distance;
    const float weight = ptx::exp2(partial.reference[there] - reference);
    sum += partial.sum[there] * weight;
    const float4* halves = reinterpret_cast<const float4*>(&partial.output[there][8 * chunk]);
    const float4 low = halves[0], high = halves[1];
    const float added[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
    for (int i = 0; i < 8; ++i) values[i] += added[i] * weight;
  }
  const float inverse = 1.0f / sum;
#pragma unroll
  for (int i = 0; i < 8; ++i) values[i] *= inverse;
}

// Eight outputs with the bias of the values, rounded.
__device__ __forceinline__ uint4 round_chunk(const float (&values)[8], const u16* bias, int chunk) {
  const uint4 packed = bias == nullptr ? make_uint4(0, 0, 0, 0) : *reinterpret_cast<const uint4*>(bias + 8 * chunk);
  const u32 offsets[4] = {packed.x, packed.y, packed.z, packed.w};
  u32 words[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    words[i] = ptx::pack2(values[2 * i] + ptx::unpack_low(offsets[i]), values[2 * i + 1] + ptx::unpack_high(offsets[i]));
  }
  return make_uint4(words[0], words[1], words[2], words[3]);
}

// Writes the block's rows, a tile of each warp at a time, 16 bytes at once: a row's outputs are spread over four lanes and over
// the groups. `shared` is where the tiles of keys were.
template <typename S>
__device__ __forceinline__ void finish(u8* shared, const Rows<S::kRowTiles>& rows, const Output& output) {
  Partial& partial = *reinterpret_cast<Partial*>(shared);
  constexpr int kRows = Partial::kRows / S::kGroups;  // That a group has of one tile.
#pragma unroll
  for (int tile = 0; tile < S::kRowTiles; ++tile) {
    __syncthreads();  // All are done with what was in this memory.
    stage_rows(partial, rows, tile);
    __syncthreads();
    for (int index = threadIdx.x; index < kRows * tile::kChunks; index += kThreads) {
      const int row = index / tile::kChunks, chunk = index % tile::kChunks;
      const int token = blockIdx.x * S::kRows + row / 16 * S::kWarpRows + 16 * tile + row % 16;
      if (token >= output.tokens) continue;
      float values[8];
      combine<S::kGroups>(values, partial, row, kRows, chunk);
      u16* address = output.out + static_cast<u64>(token) * output.stride + 8 * chunk;
      *reinterpret_cast<uint4*>(address) = round_chunk(values, output.bias, chunk);
    }
  }
}

}  // namespace attention
