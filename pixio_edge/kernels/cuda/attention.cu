// Fused attention of a vision transformer: out = softmax((q + b_q) (k + b_k)^T scale) (v + b_v), without a mask.
//
//   qkv   (batch, tokens, 3, heads, HEAD_DIM), as the product with the stacked weights leaves it; 16-byte aligned
//   bias  (3, heads, HEAD_DIM) of that product, or null; 16-byte aligned
//   out   (batch, tokens, heads * HEAD_DIM), as the output projection takes it; 16-byte aligned
//   scale finite and above 0
//
// The plan follows FlashAttention-2 (Dao, arXiv 2307.08691): scores never leave registers, the softmax is computed online in
// float, a row is divided by its sum once at the end, and the rounded probabilities are the left operand of the second product
// in the registers where the first product left the scores. What differs is made for one image at a time:
//
// - The bias. Of the three only b_q enters the scores. b_k adds q . b_k to every score of a query, a constant over its keys that
//   the softmax cancels; b_v adds itself to the output, because the weights of a query sum to 1. So b_q is added where q is
//   read, b_k is never read and b_v is added once at the end, in float. That is exact, and keys need no pass of their own.
// - The split. A block always has four warps. A warp holds 16 or 32 queries; the warps divide the block's queries among them,
//   or its keys, or both. A block with fewer queries has more groups of warps, each with every n-th tile of keys and its own
//   copies and barrier; at the end the groups' sums are put together in shared memory. geometry_attention.py chooses: many
//   small blocks for one image, few large ones, which read keys less often, for a batch.
// - The reference of the exponent. Rows are rescaled only when their largest score has grown by more than kSlack since the last
//   time, as in FlashAttention-4: any reference gives the same quotient, and probabilities up to 2^kSlack are far from the end
//   of float16. After the first tiles that is rare, and the whole warp skips it.
//
// Two products of 32 queries share each fragment of keys and values, which halves the reads of shared memory per product: with 16
// queries an sm_80 or sm_87 would need 128 bytes a clock, all that shared memory gives.
//
// Tokens need not fill a tile: missing queries repeat the last one and are not written, missing keys are copied as 0 and their
// scores are minus infinity. Nothing outside the arrays is read or written.
#include "attention_split.cuh"

namespace {

constexpr float kLog2E = 1.4426950408889634f;

// The queries of a warp, `kRowTiles` tiles of 16, as left operands.
template <int kRowTiles>
struct Queries {
  u32 fragment[kRowTiles][HEAD_DIM / 16][4];
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

// Turns scores into probabilities relative to the rows' references, and adds them up. Every row has a finite score: a tile has
// at least one key.
template <int kRowTiles, int kKeys>
__device__ __forceinline__ void exponentiate(float (&scores)[kRowTiles][kKeys / 8][4], attention::Rows<kRowTiles>& rows,
                                             float scale_log2) {
  float largest[kRowTiles][2];
#pragma unroll
  for (int tile = 0; tile < kRowTiles; ++tile) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      largest[tile][half] = ptx::quad_max(attention::largest_score<kKeys / 8>(scores[tile], half)) * scale_log2;
    }
  }
  attention::follow(rows, largest);
#pragma unroll
  for (int tile = 0; tile < kRowTiles; ++tile) {
#pragma unroll
    for (int column = 0; column < kKeys / 8; ++column) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float probability = ptx::exp2(scores[tile][column][i] * scale_log2 - rows.reference[tile][i / 2]);
        scores[tile][column][i] = probability;
        rows.sum[tile][i / 2] += probability;
      }
    }
  }
}

// One tile of keys with its values, of which the first `valid` are there.
template <typename S>
__device__ __forceinline__ void attend_tile(attention::Rows<S::kRowTiles>& rows, const Queries<S::kRowTiles>& queries, u32 keys,
                                            int valid, float scale_log2) {
  const int lane = threadIdx.x % 32;
  float scores[S::kRowTiles][S::kKeys / 8][4];
  multiply_keys<S::kRowTiles, S::kKeys>(scores, queries, keys, lane);
  if (valid < S::kKeys) attention::mask_scores<S::kRowTiles, S::kKeys>(scores, valid, lane);
  exponentiate<S::kRowTiles, S::kKeys>(scores, rows, scale_log2);
  attention::multiply_values<S::kRowTiles, S::kKeys>(rows, scores, keys + S::kKeys * tile::kRowBytes, lane);
}

// Where the block's image and head are.
struct Place {
  const u16* queries;
  const u16* bias;  // Of the queries, or null.
  int tokens;
  int stride;    // Elements from a token to the next.
  int distance;  // Elements from a token's query to its key, and from its key to its value.
};

// Reads the warp's queries and goes through the group's tiles of keys: tile `group`, then every kGroups-th. The first copies are
// under way before the queries are waited for. A warp whose rows all lie past the last token only copies.
template <typename S>
__device__ __forceinline__ void attend(attention::Rows<S::kRowTiles>& rows, const Place& place, u32 shared, float scale_log2) {
  constexpr int kStages = attention::kStages, kAdvance = S::kGroups * S::kKeys;
  constexpr int kStageBytes = 2 * S::kKeys * tile::kRowBytes;
  const u32 stages = shared + S::group() * kStages * kStageBytes;
  const u16* keys = place.queries + place.distance;
  auto start_copy = [&](int first, int stage) {
    if (first < place.tokens) {
      tile::copy_pair<S::kKeys, S::kGroupThreads>(stages + stage * kStageBytes, keys + static_cast<u64>(first) * place.stride,
                                                  place.stride, place.distance, place.tokens - first,
                                                  threadIdx.x % S::kGroupThreads);
    }
    ptx::copy_async_commit();  // Also of nothing, so that a wait can count groups.
  };
  const int begin = S::group() * S::kKeys;
#pragma unroll
  for (int stage = 0; stage < kStages - 1; ++stage) start_copy(begin + stage * kAdvance, stage);
  Queries<S::kRowTiles> queries;
  load_queries(queries, place.queries, place.stride, place.bias, S::first_row(), place.tokens, threadIdx.x % 32);
  attention::clear(rows);
  int stage = 0;
#pragma unroll 1
  for (int first = begin; first < place.tokens; first += kAdvance) {
    ptx::copy_async_wait<kStages - 2>();
    S::synchronize();  // The tile is there for all, and all are done with the one that the next copy replaces.
    start_copy(first + (kStages - 1) * kAdvance, (stage + kStages - 1) % kStages);
    if (S::first_row() < place.tokens) {
      attend_tile<S>(rows, queries, stages + stage * kStageBytes, place.tokens - first, scale_log2);
    }
    stage = (stage + 1) % kStages;
  }
}

template <typename S>
__device__ __forceinline__ void run(const u16* qkv, const u16* bias, u16* out, int tokens, int heads, float scale) {
  extern __shared__ __align__(128) u8 shared[];
  const int head = blockIdx.y * HEAD_DIM, width = heads * HEAD_DIM;
  const u64 image = static_cast<u64>(blockIdx.z) * tokens;
  const u16* query_bias = bias == nullptr ? nullptr : bias + head;
  const u16* value_bias = bias == nullptr ? nullptr : bias + 2 * width + head;
  attention::Rows<S::kRowTiles> rows;
  attend<S>(rows, {qkv + image * 3 * width + head, query_bias, tokens, 3 * width, width}, ptx::shared_address(shared),
            scale * kLog2E);
  attention::finish<S>(shared, rows, {out + image * width + head, value_bias, tokens, width});
}

}  // namespace

// One entry point for each number of queries in a block; geometry_attention.py knows the same numbers. It counts on two blocks on a
// multiprocessor, which leave each thread 255 registers; left alone, the assembler aims lower and computes addresses again.
#define ENTRY(name, row_warps, row_tiles, keys)                                                                     \
  extern "C" __global__ void __launch_bounds__(attention::kThreads, 2)                                              \
      name(const u16* __restrict__ qkv, const u16* __restrict__ bias, u16* __restrict__ out, int batch, int tokens, \
           int heads, float scale) {                                                                                \
    run<attention::Split<row_warps, row_tiles, keys>>(qkv, bias, out, tokens, heads, scale);                        \
  }

ENTRY(attention_128, 4, 2, HEAD_DIM == 64 ? 64 : 32)
ENTRY(attention_64, 2, 2, 32)
ENTRY(attention_32, 1, 2, 32)
ENTRY(attention_16, 1, 1, 32)
