// What one warp does with its rows of quantised queries that attention_rows.cuh does not do for every attention: scores with a tile
// of keys and their probabilities. The method is told in attention_int8.cu.
#pragma once

#include "attention_int8_prepare.cuh"
#include "attention_rows.cuh"

namespace int8 {

// A float of this value has a last place of 1: its bits plus a whole number below 2^22 are the bits of the sum. Products that are
// summed up from these bits are floats (value plus kMagic) without a conversion. 96 x 127 x 127 is below 2^21.
constexpr int kMagicBits = 0x4b400000;
constexpr float kMagic = 12582912.0f;  // 1.5 x 2^23

// A row of keys in shared memory is 16 bytes longer than its data: an odd number of chunks of 16 bytes, so that the eight rows
// which ldmatrix reads at a time lie on different banks. Values are a tile of swizzled_tile.cuh.
constexpr int kKeyStride = kPadded + 16;
static_assert(kKeyStride / 16 % 2 == 1, "rows of keys would share banks");

// `kRowTiles` tiles of 16 queries as left operands. Index 0 of a scale is row lane / 4 of the tile, 1 is eight rows below.
template <int kRowTiles>
struct Queries {
  u32 fragment[kRowTiles][kPadded / 32][4];
  float scale[kRowTiles][2];  // With the softmax scale and log2(e).
};

// Reads the queries from `first` on. Those past the last token are zero.
template <int kRowTiles>
__device__ __forceinline__ void load_queries(Queries<kRowTiles>& queries, const u8* source, const float* scales, int first, int tokens,
                                          int lane) {
#pragma unroll
  for (int tile = 0; tile < kRowTiles; ++tile) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = first + 16 * tile + 8 * half + lane / 4;
      const bool is_valid = row < tokens;
      const u32* words = reinterpret_cast<const u32*>(source + static_cast<size_t>(row) * kPadded) + lane % 4;
#pragma unroll
      for (int part = 0; part < kPadded / 16; ++part) {
        queries.fragment[tile][part / 2][2 * (part % 2) + half] = is_valid ? words[4 * part] : 0;
      }
      queries.scale[tile][half] = is_valid ? scales[row] : 1.0f;
    }
  }
}

// Products of the rows with a tile of `kKeys` keys: whole numbers plus kMagic.
template <int kRowTiles, int kKeys>
__device__ __forceinline__ void multiply_keys(float (&scores)[kRowTiles][kKeys / 8][4], const Queries<kRowTiles>& queries, u32 keys,
                                              int lane) {
  const u32 address = keys + (lane / 16 * 8 + lane % 8) * kKeyStride + lane / 8 % 2 * 16;
#pragma unroll
  for (int column = 0; column < kKeys / 8; column += 2) {
    int sums[kRowTiles][2][4];
#pragma unroll
    for (int i = 0; i < kRowTiles * 8; ++i) sums[i / 8][i / 4 % 2][i % 4] = kMagicBits;
#pragma unroll
    for (int step = 0; step < kPadded / 32; ++step) {
      u32 fragment[4];  // Bytes 0 to 15 and 16 to 31 of eight keys at this depth; then of the next eight.
      ptx::load_matrix_x4(fragment, address + 8 * column * kKeyStride + 32 * step);
#pragma unroll
      for (int tile = 0; tile < kRowTiles; ++tile) {
        ptx::mma_s8_16x8x32(sums[tile][0], queries.fragment[tile][step], fragment[0], fragment[1]);
        ptx::mma_s8_16x8x32(sums[tile][1], queries.fragment[tile][step], fragment[2], fragment[3]);
      }
    }
#pragma unroll
    for (int i = 0; i < kRowTiles * 8; ++i) {
      scores[i / 8][column + i / 4 % 2][i % 4] = __int_as_float(sums[i / 8][i / 4 % 2][i % 4]);
    }
  }
}

// Turns scores into probabilities relative to the rows' references, and adds them up. All scores that a lane has of a row share one
// scale, which is positive, so the largest product is the largest score, and kMagic leaves together with the reference in one
// rounding: what that costs is below one unit of the products, of which quantising has cost hundreds. Every row has a finite score.
template <int kRowTiles, int kKeys>
__device__ __forceinline__ void exponentiate(float (&scores)[kRowTiles][kKeys / 8][4], attention::Rows<kRowTiles>& rows,
                                             const Queries<kRowTiles>& queries, float key_scale) {
  float scale[kRowTiles][2], largest[kRowTiles][2];
#pragma unroll
  for (int tile = 0; tile < kRowTiles; ++tile) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      scale[tile][half] = queries.scale[tile][half] * key_scale;
      largest[tile][half] = ptx::quad_max((attention::largest_score<kKeys / 8>(scores[tile], half) - kMagic) * scale[tile][half]);
    }
  }
  attention::follow(rows, largest);
#pragma unroll
  for (int tile = 0; tile < kRowTiles; ++tile) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float offset = __fmaf_rn(-kMagic, scale[tile][half], -rows.reference[tile][half]);
#pragma unroll
      for (int column = 0; column < kKeys / 8; ++column) {
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; ++i) {
          const float probability = ptx::exp2(__fmaf_rn(scores[tile][column][i], scale[tile][half], offset));
          scores[tile][column][i] = probability;
          rows.sum[tile][half] += probability;
        }
      }
    }
  }
}

}  // namespace int8
