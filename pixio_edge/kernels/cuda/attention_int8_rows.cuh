// What one warp does with its rows of quantised queries: scores with a tile of keys, the online softmax, the sum of a tile of
// values. The plan is told in attention.cu, the method in attention_int8.cu.
#pragma once

#include "attention_int8_prepare.cuh"
#include "swizzled_tile.cuh"

namespace int8 {

constexpr float kSlack = 8.0f;  // As in attention_rows.cuh: rows are rescaled only when a score has grown by more than this.

// A float of this value has a last place of 1: its bits plus a whole number below 2^22 are the bits of the sum. Products that are
// summed up from these bits are floats (value plus kMagic) without a conversion. 96 x 127 x 127 is below 2^21.
constexpr int kMagicBits = 0x4b400000;
constexpr float kMagic = 12582912.0f;  // 1.5 x 2^23

// A row of keys in shared memory is 16 bytes longer than its data: an odd number of chunks of 16 bytes, so that the eight rows
// which ldmatrix reads at a time lie on different banks. Values are a tile of swizzled_tile.cuh.
constexpr int kKeyStride = kPadded + 16;
static_assert(kKeyStride / 16 % 2 == 1, "rows of keys would share banks");

// `kRowTiles` tiles of 16 rows. Index 0 of a pair is row lane / 4 of the tile, 1 is eight rows below.
template <int kRowTiles>
struct Rows {
  u32 query[kRowTiles][kPadded / 32][4];
  float scale[kRowTiles][2];                 // Of the quantised queries, with the softmax scale and log2(e).
  float output[kRowTiles][kHeadDim / 8][4];  // Not yet divided by the sum.
  float reference[kRowTiles][2];             // Score at which a weight is 1.
  float sum[kRowTiles][2];                   // Of this lane's share of the weights.
};

__device__ __forceinline__ float minus_infinity() { return __int_as_float(0xff800000); }

// Reads the rows from `first` on. Those past the last token are zero.
template <int kRowTiles>
__device__ __forceinline__ void load_rows(Rows<kRowTiles>& rows, const u8* queries, const float* scales, int first, int tokens,
                                          int lane) {
#pragma unroll
  for (int tile = 0; tile < kRowTiles; ++tile) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = first + 16 * tile + 8 * half + lane / 4;
      const bool is_valid = row < tokens;
      const u32* words = reinterpret_cast<const u32*>(queries + static_cast<size_t>(row) * kPadded) + lane % 4;
#pragma unroll
      for (int part = 0; part < kPadded / 16; ++part) {
        rows.query[tile][part / 2][2 * (part % 2) + half] = is_valid ? words[4 * part] : 0;
      }
      rows.scale[tile][half] = is_valid ? scales[row] : 1.0f;
      rows.reference[tile][half] = minus_infinity();
      rows.sum[tile][half] = 0.0f;
    }
#pragma unroll
    for (int i = 0; i < kHeadDim / 2; ++i) rows.output[tile][i / 4][i % 4] = 0.0f;
  }
}

// Products of the rows with a tile of `kKeys` keys: whole numbers plus kMagic.
template <int kRowTiles, int kKeys>
__device__ __forceinline__ void multiply_keys(float (&scores)[kRowTiles][kKeys / 8][4], const Rows<kRowTiles>& rows, u32 keys,
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
        ptx::mma_s8_16x8x32(sums[tile][0], rows.query[tile][step], fragment[0], fragment[1]);
        ptx::mma_s8_16x8x32(sums[tile][1], rows.query[tile][step], fragment[2], fragment[3]);
      }
    }
#pragma unroll
    for (int i = 0; i < kRowTiles * 8; ++i) {
      scores[i / 8][column + i / 4 % 2][i % 4] = __int_as_float(sums[i / 8][i / 4 % 2][i % 4]);
    }
  }
}

// Takes the keys from `valid` on out of the softmax.
template <int kRowTiles, int kKeys>
__device__ __forceinline__ void mask_scores(float (&scores)[kRowTiles][kKeys / 8][4], int valid, int lane) {
#pragma unroll
  for (int i = 0; i < kKeys / 2; ++i) {
    if (i / 4 * 8 + lane % 4 * 2 + i % 2 < valid) continue;
#pragma unroll
    for (int tile = 0; tile < kRowTiles; ++tile) scores[tile][i / 4][i % 4] = minus_infinity();
  }
}

// Moves the rows to the reference `risen` (at or above the one they have).
template <int kRowTiles>
__device__ __forceinline__ void rescale(Rows<kRowTiles>& rows, const float (&risen)[kRowTiles][2]) {
#pragma unroll
  for (int tile = 0; tile < kRowTiles; ++tile) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float factor = ptx::exp2(rows.reference[tile][half] - risen[tile][half]);
      rows.reference[tile][half] = risen[tile][half];
      rows.sum[tile][half] *= factor;
#pragma unroll
      for (int column = 0; column < kHeadDim / 8; ++column) {
        rows.output[tile][column][2 * half] *= factor;
        rows.output[tile][column][2 * half + 1] *= factor;
      }
    }
  }
}

// Turns scores into weights relative to the rows' references, and adds them up. All scores that a lane has of a row share one
// scale, which is positive, so the largest product is the largest score, and kMagic leaves together with the reference in one
// rounding: what that costs is below one unit of the products, of which quantising has cost hundreds. Every row has a finite score.
template <int kRowTiles, int kKeys>
__device__ __forceinline__ void exponentiate(float (&scores)[kRowTiles][kKeys / 8][4], Rows<kRowTiles>& rows, float key_scale) {
  float scale[kRowTiles][2], risen[kRowTiles][2];
  bool is_far = false;
#pragma unroll
  for (int tile = 0; tile < kRowTiles; ++tile) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float largest = fmaxf(scores[tile][0][2 * half], scores[tile][0][2 * half + 1]);
#pragma unroll
      for (int column = 1; column < kKeys / 8; ++column) {
        largest = fmaxf(largest, fmaxf(scores[tile][column][2 * half], scores[tile][column][2 * half + 1]));
      }
      scale[tile][half] = rows.scale[tile][half] * key_scale;
      risen[tile][half] = fmaxf(rows.reference[tile][half], ptx::quad_max((largest - kMagic) * scale[tile][half]));
      is_far |= risen[tile][half] - rows.reference[tile][half] > kSlack;
    }
  }
  if (__any_sync(ptx::kFullWarp, is_far)) rescale(rows, risen);
#pragma unroll
  for (int tile = 0; tile < kRowTiles; ++tile) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float offset = __fmaf_rn(-kMagic, scale[tile][half], -rows.reference[tile][half]);
#pragma unroll
      for (int column = 0; column < kKeys / 8; ++column) {
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; ++i) {
          const float weight = ptx::exp2(__fmaf_rn(scores[tile][column][i], scale[tile][half], offset));
          scores[tile][column][i] = weight;
          rows.sum[tile][half] += weight;
        }
      }
    }
  }
}

// output += weights times a tile of `kKeys` values. The accumulators of two products with eight keys each, rounded, are the left
// operand of a product over those 16 keys: same lanes, same order.
template <int kRowTiles, int kKeys>
__device__ __forceinline__ void multiply_values(Rows<kRowTiles>& rows, const float (&weights)[kRowTiles][kKeys / 8][4],
                                                u32 values, int lane) {
#pragma unroll
  for (int step = 0; step < kKeys / 16; ++step) {
    u32 left[kRowTiles][4];
#pragma unroll
    for (int i = 0; i < kRowTiles * 4; ++i) {
      const float* pair = &weights[i / 4][2 * step + i % 4 / 2][i % 2 * 2];
      left[i / 4][i % 4] = ptx::pack2(pair[0], pair[1]);
    }
#pragma unroll
    for (int column = 0; column < kHeadDim / 8; column += 2) {
      u32 fragment[4];
      tile::load_rows_as_rows(fragment, values, 16 * step, column / 2, lane);
#pragma unroll
      for (int tile = 0; tile < kRowTiles; ++tile) {
        ptx::mma_16x8x16(rows.output[tile][column], left[tile], fragment[0], fragment[1]);
        ptx::mma_16x8x16(rows.output[tile][column + 1], left[tile], fragment[2], fragment[3]);
      }
    }
  }
}

}  // namespace int8
