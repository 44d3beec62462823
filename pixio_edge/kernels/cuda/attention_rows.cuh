// What every attention here does with the rows of one warp: the mask of the tail, the reference of the exponents, the sum of a
// tile of values. The plan is told in attention.cu; the scores are each kernel's own.
#pragma once

#include "swizzled_tile.cuh"

namespace attention {

constexpr float kSlack = 8.0f;  // In powers of 2: probabilities up to 256, of which float16 and sums in float are far from full.

__device__ __forceinline__ float minus_infinity() { return __int_as_float(0xff800000); }

// `kRowTiles` tiles of 16 rows, each with what the softmax knows about it. Index 0 of a pair is row lane / 4 of the tile, 1 is
// eight rows below.
template <int kRowTiles>
struct Rows {
  float output[kRowTiles][HEAD_DIM / 8][4];  // Not yet divided by the sum.
  float reference[kRowTiles][2];             // Score, in powers of 2, at which a probability is 1.
  float sum[kRowTiles][2];                   // Of this lane's share of the probabilities.
};

// Rows that have seen no key.
template <int kRowTiles>
__device__ __forceinline__ void clear(Rows<kRowTiles>& rows) {
#pragma unroll
  for (int tile = 0; tile < kRowTiles; ++tile) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      rows.reference[tile][half] = minus_infinity();
      rows.sum[tile][half] = 0.0f;
    }
#pragma unroll
    for (int column = 0; column < HEAD_DIM / 8; ++column) {
#pragma unroll
      for (int i = 0; i < 4; ++i) rows.output[tile][column][i] = 0.0f;
    }
  }
}

// Takes the keys from `valid` on out of the softmax.
template <int kRowTiles, int kKeys>
__device__ __forceinline__ void mask_scores(float (&scores)[kRowTiles][kKeys / 8][4], int valid, int lane) {
#pragma unroll
  for (int column = 0; column < kKeys / 8; ++column) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (8 * column + 2 * (lane % 4) + i % 2 < valid) continue;
#pragma unroll
      for (int tile = 0; tile < kRowTiles; ++tile) scores[tile][column][i] = minus_infinity();
    }
  }
}

// The largest score that this lane has of one row.
template <int kColumns>
__device__ __forceinline__ float largest_score(const float (&scores)[kColumns][4], int half) {
  float largest = fmaxf(scores[0][2 * half], scores[0][2 * half + 1]);
#pragma unroll
  for (int column = 1; column < kColumns; ++column) {
    largest = fmaxf(largest, fmaxf(scores[column][2 * half], scores[column][2 * half + 1]));
  }
  return largest;
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
      for (int column = 0; column < HEAD_DIM / 8; ++column) {
        rows.output[tile][column][2 * half] *= factor;
        rows.output[tile][column][2 * half + 1] *= factor;
      }
    }
  }
}

// Lets the references follow the largest scores, if one of the warp's rows is more than kSlack behind.
template <int kRowTiles>
__device__ __forceinline__ void follow(Rows<kRowTiles>& rows, const float (&largest)[kRowTiles][2]) {
  float risen[kRowTiles][2];
  bool is_far = false;
#pragma unroll
  for (int tile = 0; tile < kRowTiles; ++tile) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      risen[tile][half] = fmaxf(rows.reference[tile][half], largest[tile][half]);
      is_far |= risen[tile][half] - rows.reference[tile][half] > kSlack;
    }
  }
  if (__any_sync(ptx::kFullWarp, is_far)) rescale(rows, risen);
}

// output += probabilities times a tile of `kKeys` values. The accumulators of two products with eight keys each, rounded, are the
// left operand of a product over those 16 keys: same lanes, same order.
template <int kRowTiles, int kKeys>
__device__ __forceinline__ void multiply_values(Rows<kRowTiles>& rows,
                                                const float (&probabilities)[kRowTiles][kKeys / 8][4], u32 values,
                                                int lane) {
#pragma unroll
  for (int step = 0; step < kKeys / 16; ++step) {
    u32 left[kRowTiles][4];
#pragma unroll
    for (int tile = 0; tile < kRowTiles; ++tile) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float* pair = &probabilities[tile][2 * step + i / 2][2 * (i % 2)];
        left[tile][i] = ptx::pack2(pair[0], pair[1]);
      }
    }
#pragma unroll
    for (int column = 0; column < HEAD_DIM / 8; column += 2) {
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

}  // namespace attention
