// What one warp does with its rows of queries: scores with a tile of keys, the online softmax, the sum of a tile of values. The
// plan is told in attention.cu.
#pragma once

#include "swizzled_tile.cuh"

namespace attention {

constexpr float kSlack = 8.0f;  // In powers of 2: probabilities up to 256, of which float16 and sums in float are far from full.
#define MINUS_INFINITY __int_as_float(0xff800000)

// The queries of a warp, `kRowTiles` tiles of 16, each with what the softmax knows about its rows. Index 0 of a pair is row
// lane / 4 of the tile, 1 is eight rows below.
template <int kRowTiles>
struct Queries {
  u32 fragment[kRowTiles][HEAD_DIM / 16][4];
  float output[kRowTiles][HEAD_DIM / 8][4];  // Not yet divided by the sum.
  float reference[kRowTiles][2];             // Score, times scale and log2(e), at which a probability is 1.
  float sum[kRowTiles][2];                   // Of this lane's share of the probabilities.
};

__device__ __forceinline__ u32 load_pair(const u16* address) { return *reinterpret_cast<const u32*>(address); }

// Reads the queries from `first` on, adds their bias and rounds once. Past the last token that one is read again: such a row is
// computed like any other and never written.
template <int kRowTiles>
__device__ __forceinline__ void load_queries(Queries<kRowTiles>& queries, const u16* source, int stride, const u16* bias,
                                             int first, int tokens, int lane) {
#pragma unroll
  for (int tile = 0; tile < kRowTiles; ++tile) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = min(first + 16 * tile + 8 * half + lane / 4, tokens - 1);
      const u16* row_source = source + static_cast<u64>(row) * stride + 2 * (lane % 4);
#pragma unroll
      for (int part = 0; part < HEAD_DIM / 8; ++part) {
        queries.fragment[tile][part / 2][2 * (part % 2) + half] = load_pair(row_source + 8 * part);
      }
      queries.reference[tile][half] = MINUS_INFINITY;
      queries.sum[tile][half] = 0.0f;
    }
#pragma unroll
    for (int column = 0; column < HEAD_DIM / 8; ++column) {
#pragma unroll
      for (int i = 0; i < 4; ++i) queries.output[tile][column][i] = 0.0f;
    }
  }
  if (bias == nullptr) return;
#pragma unroll
  for (int part = 0; part < HEAD_DIM / 8; ++part) {
    const float2 added = ptx::unpack2(load_pair(bias + 8 * part + 2 * (lane % 4)));
#pragma unroll
    for (int tile = 0; tile < kRowTiles; ++tile) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        u32& pair = queries.fragment[tile][part / 2][2 * (part % 2) + half];
        const float2 query = ptx::unpack2(pair);
        pair = ptx::pack2(query.x + added.x, query.y + added.y);
      }
    }
  }
}

// Scores of the queries with a tile of `kKeys` keys.
template <int kRowTiles, int kKeys>
__device__ __forceinline__ void multiply_keys(float (&scores)[kRowTiles][kKeys / 8][4], const Queries<kRowTiles>& queries,
                                              u32 keys, int lane) {
#pragma unroll
  for (int tile = 0; tile < kRowTiles; ++tile) {
#pragma unroll
    for (int column = 0; column < kKeys / 8; ++column) {
#pragma unroll
      for (int i = 0; i < 4; ++i) scores[tile][column][i] = 0.0f;
    }
  }
#pragma unroll
  for (int step = 0; step < HEAD_DIM / 16; ++step) {
#pragma unroll
    for (int column = 0; column < kKeys / 8; column += 2) {
      u32 fragment[4];
      tile::load_rows_as_columns(fragment, keys, 8 * column, step, lane);
#pragma unroll
      for (int tile = 0; tile < kRowTiles; ++tile) {
        ptx::mma_16x8x16(scores[tile][column], queries.fragment[tile][step], fragment[0], fragment[1]);
        ptx::mma_16x8x16(scores[tile][column + 1], queries.fragment[tile][step], fragment[2], fragment[3]);
      }
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
      for (int tile = 0; tile < kRowTiles; ++tile) scores[tile][column][i] = MINUS_INFINITY;
    }
  }
}

// Moves the rows to the reference `risen` (at or above the one they have).
template <int kRowTiles>
__device__ __forceinline__ void rescale(Queries<kRowTiles>& queries, const float (&risen)[kRowTiles][2]) {
#pragma unroll
  for (int tile = 0; tile < kRowTiles; ++tile) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float factor = ptx::exp2(queries.reference[tile][half] - risen[tile][half]);
      queries.reference[tile][half] = risen[tile][half];
      queries.sum[tile][half] *= factor;
#pragma unroll
      for (int column = 0; column < HEAD_DIM / 8; ++column) {
        queries.output[tile][column][2 * half] *= factor;
        queries.output[tile][column][2 * half + 1] *= factor;
      }
    }
  }
}

// Turns scores into probabilities relative to the rows' references, and adds them up. Every row has a finite score: a tile has
// at least one key.
template <int kRowTiles, int kKeys>
__device__ __forceinline__ void exponentiate(float (&scores)[kRowTiles][kKeys / 8][4], Queries<kRowTiles>& queries,
                                             float scale_log2) {
  float risen[kRowTiles][2];
  bool far = false;
#pragma unroll
  for (int tile = 0; tile < kRowTiles; ++tile) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float largest = fmaxf(scores[tile][0][2 * half], scores[tile][0][2 * half + 1]);
#pragma unroll
      for (int column = 1; column < kKeys / 8; ++column) {
        largest = fmaxf(largest, fmaxf(scores[tile][column][2 * half], scores[tile][column][2 * half + 1]));
      }
      risen[tile][half] = fmaxf(queries.reference[tile][half], ptx::quad_max(largest) * scale_log2);
      far |= risen[tile][half] - queries.reference[tile][half] > kSlack;
    }
  }
  if (__any_sync(ptx::kFullWarp, far)) rescale(queries, risen);
#pragma unroll
  for (int tile = 0; tile < kRowTiles; ++tile) {
#pragma unroll
    for (int column = 0; column < kKeys / 8; ++column) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float probability = ptx::exp2(scores[tile][column][i] * scale_log2 - queries.reference[tile][i / 2]);
        scores[tile][column][i] = probability;
        queries.sum[tile][i / 2] += probability;
      }
    }
  }
}

// output += probabilities times a tile of `kKeys` values. The accumulators of two products with eight keys each, rounded, are the
// left operand of a product over those 16 keys: same lanes, same order.
template <int kRowTiles, int kKeys>
__device__ __forceinline__ void multiply_values(Queries<kRowTiles>& queries,
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
        ptx::mma_16x8x16(queries.output[tile][column], left[tile], fragment[0], fragment[1]);
        ptx::mma_16x8x16(queries.output[tile][column + 1], left[tile], fragment[2], fragment[3]);
      }
    }
  }
}

}  // namespace attention
