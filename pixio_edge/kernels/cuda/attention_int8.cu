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

namespace {

constexpr int kStages = 2;  // Tiles in shared memory: one is computed with while the next is copied.

// How four warps share a block's work: `kRowWarps` of them, a group, divide the queries; the groups divide the keys.
template <int kRowWarps, int kRowTilesOfWarp, int kKeysOfTile>
struct Split {
  static constexpr int kRowTiles = kRowTilesOfWarp;
  static constexpr int kKeys = kKeysOfTile;
  static constexpr int kGroups = int8::kWarps / kRowWarps;
  static constexpr int kGroupThreads = 32 * kRowWarps;
  static constexpr int kWarpRows = 16 * kRowTiles;
  static constexpr int kRows = kWarpRows * kRowWarps;
  static constexpr int kKeyBytes = kKeys * int8::kKeyStride;
  static constexpr int kStageBytes = kKeyBytes + kKeys * tile::kRowBytes;
  static_assert(kKeyBytes % 128 == 0 && kStageBytes % 128 == 0, "swizzled_tile.cuh wants tiles of values so");

  // Makes what every thread of the group did to shared memory before visible to all of them.
  __device__ static void synchronize(int group) {
    if constexpr (kGroups == 1) {
      __syncthreads();
    } else if constexpr (kRowWarps == 1) {
      __syncwarp();
    } else {
      ptx::named_barrier(1 + group, kGroupThreads);
    }
  }
};

// Where this block is in the arrays.
struct Place {
  const u8* queries;        // Of this image and head, as all that follows.
  const u8* keys;
  const float* query_scales;
  const float* key_scales;
  const u16* values;
  const u16* bias;  // Of the values, or null.
  u16* out;
  int tokens;
  int value_stride;  // Elements from a token to the next.
  int out_stride;

  __device__ Place(const u16* qkv, const u16* all_bias, u16* all_out, u8* base, int batch, int tokens, int heads)
      : tokens(tokens), value_stride(3 * heads * HEAD_DIM), out_stride(heads * HEAD_DIM) {
    const int head = blockIdx.y * HEAD_DIM, tiles = (tokens + int8::kTile - 1) / int8::kTile;
    const int8::Workspace workspace(base, batch, heads, tiles);
    const size_t image = blockIdx.z, tile = (image * heads + blockIdx.y) * tiles;
    queries = workspace.query + tile * int8::kTile * int8::kPadded;
    keys = workspace.key + tile * int8::kTile * int8::kPadded;
    query_scales = workspace.query_scale + tile * int8::kTile;
    key_scales = workspace.key_scale + tile * int8::kKeyScales;
    values = qkv + image * tokens * value_stride + 2 * out_stride + head;
    bias = all_bias == nullptr ? nullptr : all_bias + 2 * out_stride + head;
    out = all_out + image * tokens * out_stride + head;
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
__device__ __forceinline__ void attend(int8::Rows<S::kRowTiles>& rows, const Place& place, u32 shared, int group,
                                       bool has_rows) {
  const int thread = threadIdx.x % S::kGroupThreads, lane = threadIdx.x % 32;
  auto start_copy = [&](int first, int stage) {
    if (first < place.tokens) {
      const u32 keys = shared + stage * S::kStageBytes, values = keys + S::kKeyBytes;
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
  const float* key_scales = place.key_scales + lane % 4;
  const int begin = group * S::kKeys;
  start_copy(begin, 0);
  int stage = 0;
#pragma unroll 1
  for (int first = begin; first < place.tokens; first += S::kGroups * S::kKeys) {
    const float key_scale = key_scales[first / int8::kTile * int8::kKeyScales];
    ptx::copy_async_wait<kStages - 2>();
    S::synchronize(group);  // The tile is there for all, and all are done with the one that the next copy replaces.
    start_copy(first + S::kGroups * S::kKeys, 1 - stage);
    const u32 tile = shared + stage * S::kStageBytes;
    stage = 1 - stage;
    if (!has_rows) continue;
    float scores[S::kRowTiles][S::kKeys / 8][4];
    int8::multiply_keys<S::kRowTiles, S::kKeys>(scores, rows, tile, lane);
    if (first + S::kKeys > place.tokens) int8::mask_scores<S::kRowTiles, S::kKeys>(scores, place.tokens - first, lane);
    int8::exponentiate<S::kRowTiles, S::kKeys>(scores, rows, key_scale);
    int8::multiply_values<S::kRowTiles, S::kKeys>(rows, scores, tile + S::kKeyBytes, lane);
  }
}

// What the four warps found for a tile of 16 rows each, in shared memory.
struct Partial {
  static constexpr int kRows = 16 * int8::kWarps;
  static constexpr int kStride = HEAD_DIM + 8;  // Floats. The 8 put four rows of a store on different banks.
  float output[kRows][kStride];
  float reference[kRows];
  float sum[kRows];
};

template <int kRowTiles>
__device__ __forceinline__ void stage_rows(Partial& partial, const int8::Rows<kRowTiles>& rows, int tile, int lane) {
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
__device__ __forceinline__ uint4 combine(const Partial& partial, int row, int distance, int chunk, const u16* bias) {
  float reference = partial.reference[row];
#pragma unroll
  for (int group = 1; group < kGroups; ++group) reference = fmaxf(reference, partial.reference[row + group * distance]);
  float sum = 0.0f, values[8] = {};
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
  const uint4 packed = bias == nullptr ? make_uint4(0, 0, 0, 0) : *reinterpret_cast<const uint4*>(bias + 8 * chunk);
  const u32 offsets[4] = {packed.x, packed.y, packed.z, packed.w};
  u32 words[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    words[i] = ptx::pack2(values[2 * i] * inverse + ptx::unpack_low(offsets[i]),
                          values[2 * i + 1] * inverse + ptx::unpack_high(offsets[i]));
  }
  return make_uint4(words[0], words[1], words[2], words[3]);
}

// Writes the block's rows, a tile of each warp at a time: a row's outputs are spread over four lanes and over the groups.
template <typename S>
__device__ __forceinline__ void finish(Partial& partial, const int8::Rows<S::kRowTiles>& rows, const Place& place,
                                       int block_row) {
  constexpr int kRows = Partial::kRows / S::kGroups;  // That a group has of one tile.
#pragma unroll
  for (int tile = 0; tile < S::kRowTiles; ++tile) {
    __syncthreads();  // All are done with what was in this memory.
    stage_rows(partial, rows, tile, threadIdx.x % 32);
    __syncthreads();
    for (int index = threadIdx.x; index < kRows * tile::kChunks; index += int8::kThreads) {
      const int row = index / tile::kChunks, chunk = index % tile::kChunks;
      const int token = block_row + row / 16 * S::kWarpRows + 16 * tile + row % 16;
      if (token >= place.tokens) continue;
      u16* address = place.out + static_cast<size_t>(token) * place.out_stride + 8 * chunk;
      *reinterpret_cast<uint4*>(address) = combine<S::kGroups>(partial, row, kRows, chunk, place.bias);
    }
  }
}

template <typename S>
__device__ __forceinline__ void run(const Place& place) {
  extern __shared__ __align__(128) u8 shared[];
  const int warp = threadIdx.x / 32, row_warps = int8::kWarps / S::kGroups, group = warp / row_warps;
  const int block_row = blockIdx.x * S::kRows;
  const int first_row = block_row + warp % row_warps * S::kWarpRows;
  int8::Rows<S::kRowTiles> rows;
  int8::load_rows(rows, place.queries, place.query_scales, first_row, place.tokens, threadIdx.x % 32);
  attend<S>(rows, place, ptx::shared_address(shared) + group * kStages * S::kStageBytes, group, first_row < place.tokens);
  finish<S>(*reinterpret_cast<Partial*>(shared), rows, place, block_row);
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

// One entry point for each number of queries in a block; geometry_attention_int8.py knows the same numbers.
#define ENTRY(name, row_warps, row_tiles, keys)                                                  \
  extern "C" __global__ void __launch_bounds__(int8::kThreads) name(PARAMETERS) {                \
    run<Split<row_warps, row_tiles, keys>>(Place(qkv, bias, out, base, batch, tokens, heads));   \
  }

ENTRY(attention_int8_128, 4, 2, HEAD_DIM == 64 ? 64 : 32)
ENTRY(attention_int8_64, 2, 2, 32)
ENTRY(attention_int8_32, 1, 2, 32)
ENTRY(attention_int8_16, 1, 1, 32)
