// Attention whose scores are products of signed bytes: the method of SageAttention (Zhang et al., arXiv 2410.02367) with scales
// for the keys that one thread holds, as in SageAttention2 (arXiv 2411.10958), for every GPU from sm_80. The numpy text of the
// same numbers is oracle_attention_int8.py; launches and workspace are in geometry_attention_int8.py.
//
//   qkv        (batch, tokens, 3, heads, HEAD_DIM), as the product with the stacked weights leaves it; 16-byte aligned
//   bias       (3, heads, HEAD_DIM) of that product, or null: on queries before they are quantised, on values at the end (the
//              weights of a query sum to 1). The one on keys is never read: it adds one number to all scores of a query, which
//              softmax does not see; subtracting the mean key would remove it anyway
//   out        (batch, tokens, heads * HEAD_DIM), as the output projection takes it; 16-byte aligned
//   base       workspace of the size and parts that plan_workspace says; 16-byte aligned, its content does not matter
//   scale      finite and above 0, on the scores before softmax
//
// Three launches with the same arguments:
//   attention_int8_prepare       queries to s8, one scale for each row; sums of the keys of each tile of 64
//   attention_int8_prepare_keys  mean key from the sums; keys minus their mean to s8, four scales for each tile
//   attention_int8_{128,64,32}   online softmax; the plan and the split among warps are those of attention.cu
// No sum depends on the order in which threads arrive, so the result is the same to the bit each time.
//
// Weights are rounded to the element and values are used as they are. With bfloat16 that keeps fewer digits of a weight than fp16
// would, but bfloat16 values may be past the range of fp16, and to convert them costs each warp about as many instructions as the
// softmax. SageAttention's fp8 product of weights and values, for sm_89 on, is not here.
#include "attention_int8_prepare.cuh"
#include "attention_int8_rows.cuh"
#include "attention_split.cuh"

namespace {

// Bytes of a stage: a tile of keys, then one of values.
template <typename S>
struct Stage {
  static constexpr int kKeyBytes = S::kKeys * int8::kKeyStride;
  static constexpr int kBytes = kKeyBytes + S::kKeys * tile::kRowBytes;
  static_assert(kKeyBytes % 128 == 0 && kBytes % 128 == 0, "swizzled_tile.cuh wants tiles of values so");
};

// Where what this block reads is.
struct Place {
  const u8* queries;        // Of this image and head, as all that follows.
  const u8* keys;
  const float* query_scales;
  const float* key_scales;
  const u16* values;
  int tokens;
  int value_stride;  // Elements from a token to the next.

  __device__ Place(const u16* qkv, u8* base, int batch, int tokens, int heads)
      : tokens(tokens), value_stride(3 * heads * HEAD_DIM) {
    const int head = blockIdx.y * HEAD_DIM, tiles = (tokens + int8::kTile - 1) / int8::kTile;
    const int8::Workspace workspace(base, batch, heads, tiles);
    const size_t image = blockIdx.z, tile = (image * heads + blockIdx.y) * tiles;
    queries = workspace.query + tile * int8::kTile * int8::kPadded;
    keys = workspace.key + tile * int8::kTile * int8::kPadded;
    query_scales = workspace.query_scale + tile * int8::kTile;
    key_scales = workspace.key_scale + tile * int8::kKeyScales;
    values = qkv + image * tokens * value_stride + 2 * heads * HEAD_DIM + head;
  }
};

// Starts the copies of `kColumns` chunks of 16 bytes, from `first` on, of a tile's keys. All of them are in the workspace, those past
// the last token as zeros.
template <typename S, int kColumns>
__device__ __forceinline__ void copy_keys(u32 destination, const u8* source, int thread, int first) {
  constexpr int kRowsAtOnce = S::kGroupThreads / kColumns;
  const int row = thread / kColumns, chunk = first + thread % kColumns;
  if (kRowsAtOnce > S::kKeys && row >= S::kKeys) return;
  const u32 thread_destination = destination + row * int8::kKeyStride + 16 * chunk;
  const u8* thread_source = source + row * int8::kPadded + 16 * chunk;
#pragma unroll
  for (int rows = 0; rows < S::kKeys; rows += kRowsAtOnce) {
    ptx::copy_async_16(thread_destination + rows * int8::kKeyStride, thread_source + rows * int8::kPadded, true);
  }
}

// The same of a tile's values, of which rows from `valid_rows` on are not read and become 0: a weight of 0 times what lies beyond
// the last token could be a NaN.
template <typename S, int kColumns>
__device__ __forceinline__ void copy_values(u32 destination, const u16* source, int stride, int valid_rows, int thread,
                                            int first) {
  constexpr int kRowsAtOnce = S::kGroupThreads / kColumns;
  const int row = thread / kColumns, chunk = first + thread % kColumns;
  if (kRowsAtOnce > S::kKeys && row >= S::kKeys) return;
  const u32 thread_destination = destination + tile::place(row, chunk);
  const u16* thread_source = source + row * stride + 8 * chunk;
#pragma unroll
  for (int rows = 0; rows < S::kKeys; rows += kRowsAtOnce, thread_source += kRowsAtOnce * stride) {
    ptx::copy_async_16(tile::advance(thread_destination, rows, 0), thread_source, row + rows < valid_rows);
  }
}

// Goes through the group's tiles of keys: tile `group`, then every kGroups-th. A warp whose rows all lie past the last token copies
// for the others and computes nothing.
template <typename S>
__device__ __forceinline__ void attend(attention::Rows<S::kRowTiles>& rows, const Place& place, u32 shared) {
  constexpr int kStages = attention::kStages, kAdvance = S::kGroups * S::kKeys;
  const u32 stages = shared + S::group() * kStages * Stage<S>::kBytes;
  const int thread = threadIdx.x % S::kGroupThreads, lane = threadIdx.x % 32;
  auto start_copy = [&](int first, int stage) {
    if (first < place.tokens) {
      const u32 keys = stages + stage * Stage<S>::kBytes, values = keys + Stage<S>::kKeyBytes;
      const u8* key_source = place.keys + static_cast<u64>(first) * int8::kPadded;
      const u16* value_source = place.values + static_cast<u64>(first) * place.value_stride;
      const int valid = place.tokens - first;
      copy_keys<S, 4>(keys, key_source, thread, 0);
      copy_values<S, 8>(values, value_source, place.value_stride, valid, thread, 0);
      if constexpr (HEAD_DIM > 64) {
        copy_keys<S, 2>(keys, key_source, thread, 4);
        copy_values<S, tile::kChunks - 8>(values, value_source, place.value_stride, valid, thread, 8);
      }
    }
    ptx::copy_async_commit();  // Also of nothing, so that a wait can count groups.
  };
  const int begin = S::group() * S::kKeys;
  start_copy(begin, 0);
  int8::Queries<S::kRowTiles> queries;
  int8::load_queries(queries, place.queries, place.query_scales, S::first_row(), place.tokens, lane);
  attention::clear(rows);
  const float* key_scales = place.key_scales + lane % 4;
  int stage = 0;
#pragma unroll 1
  for (int first = begin; first < place.tokens; first += kAdvance) {
    const float key_scale = key_scales[first / int8::kTile * int8::kKeyScales];
    ptx::copy_async_wait<kStages - 2>();
    S::synchronize();  // The tile is there for all, and all are done with the one that the next copy replaces.
    start_copy(first + kAdvance, 1 - stage);
    const u32 tile = stages + stage * Stage<S>::kBytes;
    stage = 1 - stage;
    if (S::first_row() >= place.tokens) continue;
    float scores[S::kRowTiles][S::kKeys / 8][4];
    int8::multiply_keys<S::kRowTiles, S::kKeys>(scores, queries, tile, lane);
    if (first + S::kKeys > place.tokens) attention::mask_scores<S::kRowTiles, S::kKeys>(scores, place.tokens - first, lane);
    int8::exponentiate<S::kRowTiles, S::kKeys>(scores, rows, queries, key_scale);
    attention::multiply_values<S::kRowTiles, S::kKeys>(rows, scores, tile + Stage<S>::kKeyBytes, lane);
  }
}

template <typename S>
__device__ __forceinline__ void run(const Place& place, const u16* bias, u16* out, int heads) {
  extern __shared__ __align__(128) u8 shared[];
  attention::Rows<S::kRowTiles> rows;
  attend<S>(rows, place, ptx::shared_address(shared));
  const int head = blockIdx.y * HEAD_DIM, width = heads * HEAD_DIM;
  const u16* value_bias = bias == nullptr ? nullptr : bias + 2 * width + head;
  u16* image_out = out + static_cast<u64>(blockIdx.z) * place.tokens * width + head;
  attention::finish<S>(shared, rows, {image_out, value_bias, place.tokens, width});
}

}  // namespace

#define PARAMETERS                                                                                                            \
  const u16 *__restrict__ qkv, const u16 *__restrict__ bias, u16 *__restrict__ out, u8 *__restrict__ base, int batch,         \
      int tokens, int heads, float scale

extern "C" __global__ void __launch_bounds__(int8::kThreads) attention_int8_prepare(PARAMETERS) {
  const int8::TokenTile place(tokens, heads);
  const int8::Workspace workspace(base, batch, heads, place.tiles);
  int8::quantize_queries(qkv, bias, workspace, place, tokens, heads, scale);
  int8::sum_keys(qkv, workspace.key_sum, place, tokens, heads);
}

extern "C" __global__ void __launch_bounds__(int8::kThreads) attention_int8_prepare_keys(PARAMETERS) {
  const int8::TokenTile place(tokens, heads);
  const int8::Workspace workspace(base, batch, heads, place.tiles);
  int8::quantize_keys(qkv, workspace, place, tokens, heads);
}

// One entry point for each number of queries in a block; geometry_attention_int8.py knows the same numbers. Two blocks on a
// multiprocessor are what it counts on: they leave each thread 255 registers. Left alone, the assembler aims at 128 for some entry
// points and spills.
#define ENTRY(name, row_warps, row_tiles, keys)                                                                  \
  extern "C" __global__ void __launch_bounds__(int8::kThreads, 2) name(PARAMETERS) {                             \
    run<attention::Split<row_warps, row_tiles, keys>>(Place(qkv, base, batch, tokens, heads), bias, out, heads); \
  }

ENTRY(attention_int8_128, 4, 2, HEAD_DIM == 64 ? 64 : 32)
ENTRY(attention_int8_64, 2, 2, 32)
ENTRY(attention_int8_32, 1, 2, 32)
ENTRY(attention_int8_16, 1, 1, 32)
