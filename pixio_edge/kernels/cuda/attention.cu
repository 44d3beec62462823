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
#include "attention_rows.cuh"

namespace {

constexpr int kWarps = 4;
constexpr int kThreads = 32 * kWarps;
constexpr int kStages = 2;  // Tiles in shared memory, of keys and of values: one is computed with while the next is copied.
constexpr float kLog2E = 1.4426950408889634f;
constexpr int kPartialStride = HEAD_DIM + 8;  // Floats. The 8 put four rows of a store of partial sums on different banks.

// Where this block is in the arrays.
struct Place {
  const u16* queries;
  const u16* bias;  // Of the queries, or null.
  u16* out;
  int tokens;
  int stride;    // Elements from a token to the next in qkv.
  int distance;  // Elements from a token's query to its key, and from its key to its value.
};

// How four warps share a block's work: `kRowWarps` of them, a group, divide the queries; the groups divide the keys.
template <int kRowWarps, int kRowTilesOfWarp, int kKeysOfTile>
struct Split {
  static constexpr int kRowTiles = kRowTilesOfWarp;
  static constexpr int kKeys = kKeysOfTile;
  static constexpr int kGroups = kWarps / kRowWarps;
  static_assert(kGroups <= 2 || kRowWarps == 1, "synchronize knows two groups of several warps");
  static constexpr int kGroupThreads = 32 * kRowWarps;
  static constexpr int kWarpRows = 16 * kRowTiles;
  static constexpr int kRows = kWarpRows * kRowWarps;
  static constexpr int kTileBytes = kKeys * tile::kRowBytes;
  static constexpr int kStageBytes = 2 * kTileBytes;

  // Makes what every thread of the group did to shared memory before visible to all of them.
  __device__ static void synchronize(int group) {
    if constexpr (kGroups == 1) {
      __syncthreads();
    } else if constexpr (kRowWarps == 1) {
      __syncwarp();
    } else if (group == 0) {  // Two calls, as a barrier with a number known to the compiler reserves one of 16 and not all.
      ptx::named_barrier(1, kGroupThreads);
    } else {
      ptx::named_barrier(2, kGroupThreads);
    }
  }
};

// One tile of keys with its values, of which the first `valid` are there.
template <typename S>
__device__ __forceinline__ void attend_tile(attention::Queries<S::kRowTiles>& queries, u32 keys, int valid, float scale_log2,
                                            int lane) {
  float scores[S::kRowTiles][S::kKeys / 8][4];
  attention::multiply_keys<S::kRowTiles, S::kKeys>(scores, queries, keys, lane);
  if (valid < S::kKeys) attention::mask_scores<S::kRowTiles, S::kKeys>(scores, valid, lane);
  attention::exponentiate<S::kRowTiles, S::kKeys>(scores, queries, scale_log2);
  attention::multiply_values<S::kRowTiles, S::kKeys>(queries, scores, keys + S::kTileBytes, lane);
}

// Reads the warp's queries from `first_row` on and goes through the group's tiles of keys: tile `group`, then every kGroups-th.
// The first copies are under way before the queries are waited for. A warp whose rows all lie past the last token only copies.
template <typename S>
__device__ __forceinline__ void attend(attention::Queries<S::kRowTiles>& queries, const Place& place, u32 shared, int group,
                                       int first_row, float scale_log2) {
  const int thread = threadIdx.x % S::kGroupThreads, lane = threadIdx.x % 32;
  const u16* keys = place.queries + place.distance;
  auto start_copy = [&](int first, int stage) {
    if (first < place.tokens) {
      tile::copy_pair<S::kKeys, S::kGroupThreads>(shared + stage * S::kStageBytes, keys + static_cast<u64>(first) * place.stride,
                                                  place.stride, place.distance, place.tokens - first, thread);
    }
    ptx::copy_async_commit();  // Also of nothing, so that a wait can count groups.
  };
  constexpr int kAdvance = S::kGroups * S::kKeys;
  const int begin = group * S::kKeys;
#pragma unroll
  for (int stage = 0; stage < kStages - 1; ++stage) start_copy(begin + stage * kAdvance, stage);
  attention::load_queries(queries, place.queries, place.stride, place.bias, first_row, place.tokens, lane);
  const bool has_rows = first_row < place.tokens;
  int stage = 0;
#pragma unroll 1
  for (int first = begin; first < place.tokens; first += kAdvance) {
    ptx::copy_async_wait<kStages - 2>();
    S::synchronize(group);  // The tile is there for all, and all are done with the one that the next copy replaces.
    start_copy(first + (kStages - 1) * kAdvance, (stage + kStages - 1) % kStages);
    if (has_rows) attend_tile<S>(queries, shared + stage * S::kStageBytes, place.tokens - first, scale_log2, lane);
    stage = (stage + 1) % kStages;
  }
}

// Eight outputs of a row with the bias of the values, rounded and written as 16 bytes.
__device__ __forceinline__ void write_chunk(const Place& place, const float (&values)[8], int row, int chunk) {
  uint4 packed;
  u32* words = &packed.x;
  uint4 bias = make_uint4(0, 0, 0, 0);
  if (place.bias != nullptr) bias = *reinterpret_cast<const uint4*>(place.bias + 2 * place.distance + 8 * chunk);
  const u32 added[4] = {bias.x, bias.y, bias.z, bias.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    words[i] = ptx::pack2(values[2 * i] + ptx::unpack_low(added[i]), values[2 * i + 1] + ptx::unpack_high(added[i]));
  }
  *reinterpret_cast<uint4*>(place.out + static_cast<u64>(row) * place.distance + 8 * chunk) = packed;
}

// Puts the sums of a tile of 16 rows into `partial`, row by row, times a factor for each half of them.
template <int kRowTiles>
__device__ __forceinline__ void stage_rows(float* partial, const attention::Queries<kRowTiles>& queries, int tile,
                                           float upper_factor, float lower_factor, int lane) {
  float* lane_partial = partial + lane / 4 * kPartialStride + 2 * (lane % 4);
#pragma unroll
  for (int column = 0; column < HEAD_DIM / 8; ++column) {
    const float(&sums)[4] = queries.output[tile][column];
    float2* upper = reinterpret_cast<float2*>(lane_partial + 8 * column);
    *upper = make_float2(sums[0] * upper_factor, sums[1] * upper_factor);
    upper[4 * kPartialStride] = make_float2(sums[2] * lower_factor, sums[3] * lower_factor);
  }
}

__device__ __forceinline__ void add_chunk(float (&values)[8], const float* partial, float weight) {
  const float4* pair = reinterpret_cast<const float4*>(partial);
  const float4 low = pair[0], high = pair[1];
  const float added[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
  for (int i = 0; i < 8; ++i) values[i] += added[i] * weight;
}

// Writes the rows of a warp that saw all keys, through a corner of shared memory that is its own: a row's outputs are spread over
// four lanes, and memory is written 16 bytes at a time.
template <typename S>
__device__ __forceinline__ void finish_alone(const attention::Queries<S::kRowTiles>& queries, const Place& place,
                                             float* shared, int first_row) {
  const int lane = threadIdx.x % 32;
  float* partial = shared + threadIdx.x / 32 * 16 * kPartialStride;
#pragma unroll
  for (int tile = 0; tile < S::kRowTiles; ++tile) {
    const float upper = 1.0f / ptx::quad_sum(queries.sum[tile][0]), lower = 1.0f / ptx::quad_sum(queries.sum[tile][1]);
    stage_rows(partial, queries, tile, upper, lower, lane);
    __syncwarp();
#pragma unroll
    for (int index = lane; index < 16 * tile::kChunks; index += 32) {
      const int row = index / tile::kChunks, chunk = index % tile::kChunks;
      float values[8] = {};
      add_chunk(values, partial + row * kPartialStride + 8 * chunk, 1.0f);
      if (first_row + 16 * tile + row < place.tokens) write_chunk(place, values, first_row + 16 * tile + row, chunk);
    }
    __syncwarp();
  }
}

// Puts together what the groups of warps found in their keys and writes it. The groups are added in order, so that equal inputs
// give equal bits. A group that had no tile has the reference minus infinity and weighs nothing; group 0 always has one.
template <typename S>
__device__ __forceinline__ void finish_together(const attention::Queries<S::kRowTiles>& queries, const Place& place,
                                                float* shared, int group, int warp_row, int block_row) {
  const int lane = threadIdx.x % 32;
  float* references = shared + S::kGroups * S::kRows * kPartialStride;
  float* sums = references + S::kGroups * S::kRows;
#pragma unroll
  for (int tile = 0; tile < S::kRowTiles; ++tile) {
    const int row = group * S::kRows + warp_row + 16 * tile;
    stage_rows(shared + row * kPartialStride, queries, tile, 1.0f, 1.0f, lane);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float sum = ptx::quad_sum(queries.sum[tile][half]);
      if (lane % 4 != 0) continue;
      references[row + lane / 4 + 8 * half] = queries.reference[tile][half];
      sums[row + lane / 4 + 8 * half] = sum;
    }
  }
  __syncthreads();
  for (int index = threadIdx.x; index < S::kRows * tile::kChunks; index += kThreads) {
    const int row = index / tile::kChunks, chunk = index % tile::kChunks;
    if (block_row + row >= place.tokens) break;
    float reference = references[row];
#pragma unroll
    for (int other = 1; other < S::kGroups; ++other) reference = fmaxf(reference, references[other * S::kRows + row]);
    float sum = 0.0f, values[8] = {};
#pragma unroll
    for (int other = 0; other < S::kGroups; ++other) {
      const int there = other * S::kRows + row;
      const float weight = ptx::exp2(references[there] - reference);
      sum += sums[there] * weight;
      add_chunk(values, shared + there * kPartialStride + 8 * chunk, weight);
    }
    const float inverse = 1.0f / sum;
#pragma unroll
    for (int i = 0; i < 8; ++i) values[i] *= inverse;
    write_chunk(place, values, block_row + row, chunk);
  }
}

template <typename S>
__device__ __forceinline__ void run(const u16* qkv, const u16* bias, u16* out, int tokens, int heads, float scale) {
  extern __shared__ __align__(128) u8 shared[];
  const int warp = threadIdx.x / 32;
  const int group = warp / (kWarps / S::kGroups), warp_row = warp % (kWarps / S::kGroups) * S::kWarpRows;
  const int block_row = blockIdx.x * S::kRows, head = blockIdx.y * HEAD_DIM;
  Place place;
  place.tokens = tokens;
  place.distance = heads * HEAD_DIM;
  place.stride = 3 * place.distance;
  place.queries = qkv + static_cast<u64>(blockIdx.z) * tokens * place.stride + head;
  place.bias = bias == nullptr ? nullptr : bias + head;
  place.out = out + static_cast<u64>(blockIdx.z) * tokens * place.distance + head;
  attention::Queries<S::kRowTiles> queries;
  attend<S>(queries, place, ptx::shared_address(shared) + group * kStages * S::kStageBytes, group, block_row + warp_row,
            scale * kLog2E);
  __syncthreads();  // All tiles are done with: their memory takes what is written next.
  float* partial = reinterpret_cast<float*>(shared);
  if constexpr (S::kGroups == 1) {
    finish_alone<S>(queries, place, partial, block_row + warp_row);
  } else {
    finish_together<S>(queries, place, partial, group, warp_row, block_row);
  }
}

}  // namespace

// One entry point for each number of queries in a block; see geometry_attention.py, which knows the same numbers.
#define ENTRY(name, row_warps, row_tiles, keys)                                                                     \
  extern "C" __global__ void __launch_bounds__(kThreads)                                                            \
      name(const u16* __restrict__ qkv, const u16* __restrict__ bias, u16* __restrict__ out, int batch, int tokens, \
           int heads, float scale) {                                                                                \
    run<Split<row_warps, row_tiles, keys>>(qkv, bias, out, tokens, heads, scale);                                   \
  }

ENTRY(attention_128, 4, 2, HEAD_DIM == 64 ? 64 : 32)
ENTRY(attention_64, 2, 2, 32)
ENTRY(attention_32, 1, 2, 32)
ENTRY(attention_16, 1, 1, 32)
