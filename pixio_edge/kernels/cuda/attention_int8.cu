// Attention whose scores are products of signed bytes: the method of SageAttention (Zhang et al., arXiv 2410.02367) with scales for
// the keys that one thread holds, as in SageAttention2 (arXiv 2411.10958), for every GPU from sm_80. The numpy text of the same
// numbers is oracle_attention_int8.py; launches and workspace are in geometry_attention_int8.py.
//
//   qkv        (B, N, 3, H, D) 16-bit floats, as the QKV product leaves them, 16-byte aligned
//   bias       (3, H, D) or null: on queries before they are quantised, on values at the end (the weights sum to 1). The one on keys
//              is never read: it adds one number to all scores of a query, which softmax does not see.
//   out        (B, N, H * D)
//   workspace  see Workspace
//   scale      on the scores before softmax, usually 1/sqrt(D)
//
// Three launches with the same arguments, grid (tiles of 64 tokens, H, B), 128 threads:
//   attention_int8_prepare       queries to s8, one scale for each row; sums of the keys of each tile
//   attention_int8_prepare_keys  mean key from the sums; keys minus their mean to s8, four scales for each tile
//   attention_int8               online softmax over tiles of keys
// No sum depends on the order in which threads arrive, so the result is the same to the bit each time.
//
// HEAD_DIM: D. ELEMENT_BF16: the element is bfloat16. Softmax's weights are rounded to the element, so that values go from memory to
// the matrix unit as they are: bfloat16 values could pass the range of fp16, and converting them costs more than the products.
#include "ptx.cuh"

constexpr int kHeadDim = HEAD_DIM;
constexpr int kPadded = (kHeadDim + 31) / 32 * 32;  // a product of bytes is 32 deep; what is past kHeadDim is zero
constexpr int kTile = 64;
constexpr int kGroups = 4;  // scales of a tile of keys: key 8a + 2g + b has scale g, and a thread holds keys of one g only
constexpr int kThreads = 128;
constexpr int kWarps = kThreads / 32;
constexpr int kWarpRows = kTile / kWarps;  // 16, the height of a matrix product
constexpr int kHalf = kPadded / 2;         // in prepare, two threads share a row
constexpr int kVector = 8;                 // elements in 16 bytes

constexpr float kLevels = 127.0f;
constexpr u32 kSmallestRange = 0x26800000u;  // 2^-50 as bits. Ranges below count as it, so a zero row's scale is not zero
constexpr float kLog2E = 1.44269504088896341f;

// A float of this value has a last place of 1, so its bits plus a whole number below 2^22 are the bits of the sum: sums of products
// that begin with these bits become floats without a conversion. 96 * 127 * 127 < 2^21.
constexpr int kMagicBits = 0x4b400000;
constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23

// A row of a tile in shared memory is 16 bytes longer than its data. That makes it an odd number of 16-byte units, so the eight rows
// which ldmatrix reads at a time lie in eight different groups of banks.
constexpr int kKeyStride = kPadded + 16;
constexpr int kValueStride = kHeadDim * 2 + 16;
constexpr int kKeyBytes = kTile * kKeyStride;
constexpr int kStageBytes = kKeyBytes + kTile * kValueStride;  // 14, 18 or 20 KiB; two stages fit into 48 KiB

__device__ __forceinline__ float minus_infinity() { return __int_as_float(0xff800000); }

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
    key_sum = key_scale + rows / kTile * kGroups;
  }
};

// One (image, head), and the block's tile of it.
struct Place {
  int tiles;
  size_t tile;      // among the tiles of all planes
  size_t tile0;     // the first of this plane
  int first_token;  // of the tile

  __device__ Place(int tokens, int heads) {
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

// ---- Preparation ----------------------------------------------------------------------------------------------------------

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
                                                 const Place& place, int tokens, int heads, float scale) {
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
__device__ __forceinline__ void sum_keys(const u16* qkv, float* key_sum, const Place& place, int tokens, int heads) {
  __shared__ float parts[kWarps][kHeadDim];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  for (int pair = lane; pair < kHeadDim / 2; pair += 32) {
    float low = 0.0f, high = 0.0f;
#pragma unroll
    for (int r = 0; r < kWarpRows; ++r) {
      const int token = place.first_token + warp * kWarpRows + r;
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

extern "C" __global__ void __launch_bounds__(kThreads)
    attention_int8_prepare(const u16* qkv, const u16* bias, u16*, u8* base, int batch, int tokens, int heads, float scale) {
  const Place place(tokens, heads);
  const Workspace workspace(base, batch, heads, place.tiles);
  quantize_queries(qkv, bias, workspace, place, tokens, heads, scale);
  sum_keys(qkv, workspace.key_sum, place, tokens, heads);
}

extern "C" __global__ void __launch_bounds__(kThreads)
    attention_int8_prepare_keys(const u16* qkv, const u16*, u16*, u8* base, int batch, int tokens, int heads, float) {
  __shared__ float mean[kPadded];
  __shared__ u32 ranges[kWarps][kGroups];
  const Place place(tokens, heads);
  const Workspace workspace(base, batch, heads, place.tiles);
  if (threadIdx.x < kPadded) {
    float sum = 0.0f;
    if (threadIdx.x < kHeadDim) {
      const float* sums = workspace.key_sum + place.tile0 * kHeadDim + threadIdx.x;
#pragma unroll 4
      for (int tile = 0; tile < place.tiles; ++tile) sum = __fadd_rn(sum, sums[tile * kHeadDim]);
    }
    mean[threadIdx.x] = __fdiv_rn(sum, static_cast<float>(tokens));
  }
  const int row = threadIdx.x / 2, half = threadIdx.x % 2, token = place.first_token + row;
  const bool is_valid = token < tokens;
  float x[kHalf];
  load_half_row(x, is_valid ? find_row(qkv, 1, token, tokens, heads) : nullptr, half);
  __syncthreads();
  if (is_valid) {
#pragma unroll
    for (int i = 0; i < kHalf; ++i) x[i] = __fsub_rn(x[i], mean[half * kHalf + i]);
  }
  // Rows of one group lie in the lanes that differ in bits 0 (half of a row), 1 and 4 (row), and in all four warps.
  u32 bits = find_range(x);
  bits = max(bits, ptx::shuffle_xor(bits, 1));
  bits = max(bits, ptx::shuffle_xor(bits, 2));
  bits = max(bits, ptx::shuffle_xor(bits, 16));
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, group = lane / 4 % kGroups;
  if (lane < 16 && lane % 4 == 0) ranges[warp][group] = bits;
  __syncthreads();
  bits = max(max(ranges[0][group], ranges[1][group]), max(ranges[2][group], ranges[3][group]));
  const float range = __uint_as_float(bits);
  store_quantized(workspace.key + (place.tile * kTile + row) * kPadded, half, x, range);
  if (warp == 0 && lane < 16 && lane % 4 == 0) {
    workspace.key_scale[place.tile * kGroups + group] = __fdiv_rn(range, kLevels);
  }
}

// ---- Attention ------------------------------------------------------------------------------------------------------------

// Starts the copies of one tile of keys and values; rows of values past the last token become zero (a weight of zero times a NaN
// from beyond would be one). Keys there are zeros of the workspace.
__device__ __forceinline__ void copy_tile(u32 stage, const u8* keys, const u16* qkv, int first_token, int tokens, int heads) {
  constexpr int kKeyUnits = kPadded / 16, kValueUnits = kHeadDim / kVector;
#pragma unroll
  for (int i = threadIdx.x; i < kTile * kKeyUnits; i += kThreads) {
    ptx::copy_async_16(stage + i / kKeyUnits * kKeyStride + i % kKeyUnits * 16, keys + i * 16, true);
  }
#pragma unroll
  for (int i = threadIdx.x; i < kTile * kValueUnits; i += kThreads) {
    const int row = i / kValueUnits, unit = i % kValueUnits, token = first_token + row;
    const bool is_valid = token < tokens;
    const u16* source = find_row(qkv, 2, is_valid ? token : 0, tokens, heads) + unit * kVector;
    ptx::copy_async_16(stage + kKeyBytes + row * kValueStride + unit * 16, source, is_valid);
  }
}

// Accumulators and statistics of a warp's 16 rows. A thread has rows g = lane / 4 and g + 8, and of every eight columns 2t and 2t + 1
// with t = lane % 4.
struct Rows {
  u32 query[kPadded / 32][4];
  float scale[2];  // of the two rows
  float maximum[2] = {minus_infinity(), minus_infinity()};
  float total[2] = {0.0f, 0.0f};  // of this thread's columns alone
  float mixed[kHeadDim / 8][4] = {};

  __device__ Rows(const Workspace& workspace, const Place& place) {
    const int lane = threadIdx.x % 32;
    const size_t row = place.tile * kTile + threadIdx.x / 32 * kWarpRows + lane / 4;
    const u32* low = reinterpret_cast<const u32*>(workspace.query + row * kPadded) + lane % 4;
    const u32* high = low + 8 * (kPadded / 4);
#pragma unroll
    for (int k = 0; k < kPadded / 32; ++k) {
      query[k][0] = low[8 * k];
      query[k][1] = high[8 * k];
      query[k][2] = low[8 * k + 4];
      query[k][3] = high[8 * k + 4];
    }
    scale[0] = workspace.query_scale[row];
    scale[1] = workspace.query_scale[row + 8];
  }
};

// Products of the warp's queries with a tile of keys: whole numbers, as floats.
__device__ __forceinline__ void multiply_keys(float (&scores)[kTile / 8][4], const Rows& rows, u32 keys) {
  const int lane = threadIdx.x % 32;
  const u32 address = keys + (lane / 16 * 8 + lane % 8) * kKeyStride + lane / 8 % 2 * 16;
#pragma unroll
  for (int n = 0; n < kTile / 8; n += 2) {
    int sums[2][4];
#pragma unroll
    for (int i = 0; i < 8; ++i) sums[i / 4][i % 4] = kMagicBits;
#pragma unroll
    for (int k = 0; k < kPadded / 32; ++k) {
      u32 fragment[4];  // keys 8n to 8n + 7, bytes 0 to 15 and 16 to 31 of this step; then the next eight keys
      ptx::load_matrix_x4(fragment, address + n * 8 * kKeyStride + k * 32);
      ptx::mma_s8_16x8x32(sums[0], rows.query[k], fragment[0], fragment[1]);
      ptx::mma_s8_16x8x32(sums[1], rows.query[k], fragment[2], fragment[3]);
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) scores[n + i / 4][i % 4] = __int_as_float(sums[i / 4][i % 4]) - kMagic;
  }
}

// Scores to weights, with the running maximum and total of each row. The scale of a thread's scores in a row is one number, and it is
// positive: the largest score is the largest scaled one.
__device__ __forceinline__ void weigh(float (&scores)[kTile / 8][4], Rows& rows, float key_scale, int keys_left) {
  if (keys_left < kTile) {
#pragma unroll
    for (int n = 0; n < kTile / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        if (n * 8 + threadIdx.x % 4 * 2 + i % 2 >= keys_left) scores[n][i] = minus_infinity();
      }
    }
  }
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float highest = scores[0][2 * r];
#pragma unroll
    for (int n = 0; n < kTile / 8; ++n) highest = fmaxf(highest, fmaxf(scores[n][2 * r], scores[n][2 * r + 1]));
    const float scale = __fmul_rn(rows.scale[r], key_scale);
    const float maximum = fmaxf(rows.maximum[r], ptx::quad_max(__fmul_rn(highest, scale)));
    const float rescaled = ptx::exp2(rows.maximum[r] - maximum);
    rows.maximum[r] = maximum;
    float total = __fmul_rn(rows.total[r], rescaled);
#pragma unroll
    for (int n = 0; n < kTile / 8; ++n) {
#pragma unroll
      for (int i = 2 * r; i < 2 * r + 2; ++i) {
        scores[n][i] = ptx::exp2(__fmaf_rn(scores[n][i], scale, -maximum));
        total = __fadd_rn(total, scores[n][i]);
      }
    }
    rows.total[r] = total;
#pragma unroll
    for (int n = 0; n < kHeadDim / 8; ++n) {
      rows.mixed[n][2 * r] *= rescaled;
      rows.mixed[n][2 * r + 1] *= rescaled;
    }
  }
}

// Adds weights times values of a tile. An accumulator of scores is laid out as the left operand of this product is.
__device__ __forceinline__ void mix_values(Rows& rows, const float (&weights)[kTile / 8][4], u32 values) {
  const int lane = threadIdx.x % 32;
  const u32 address = values + lane % 16 * kValueStride + lane / 16 * 16;
#pragma unroll
  for (int k = 0; k < kTile / 16; ++k) {
    const float(&near)[4] = weights[2 * k], (&far)[4] = weights[2 * k + 1];
    const u32 left[4] = {ptx::pack2(near[0], near[1]), ptx::pack2(near[2], near[3]), ptx::pack2(far[0], far[1]),
                         ptx::pack2(far[2], far[3])};
#pragma unroll
    for (int n = 0; n < kHeadDim / 8; n += 2) {
      u32 fragment[4];
      ptx::load_matrix_x4_transposed(fragment, address + k * 16 * kValueStride + n * 16);
      ptx::mma_16x8x16(rows.mixed[n], left, fragment[0], fragment[1]);
      ptx::mma_16x8x16(rows.mixed[n + 1], left, fragment[2], fragment[3]);
    }
  }
}

__device__ __forceinline__ void store_rows(u16* out, const u16* bias, const Rows& rows, int first_token, int tokens, int heads) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const float inverse = __fdiv_rn(1.0f, ptx::quad_sum(rows.total[r]));
    const int token = first_token + threadIdx.x / 32 * kWarpRows + lane / 4 + 8 * r;
    if (token >= tokens) continue;
    u32* row = reinterpret_cast<u32*>(out + ((static_cast<size_t>(blockIdx.z) * tokens + token) * heads + blockIdx.y) * kHeadDim);
    const u32* offsets = reinterpret_cast<const u32*>(bias + (2 * heads + blockIdx.y) * kHeadDim);
#pragma unroll
    for (int n = 0; n < kHeadDim / 8; ++n) {
      const float2 offset = bias == nullptr ? make_float2(0.0f, 0.0f) : ptx::unpack2(offsets[n * 4 + lane % 4]);
      row[n * 4 + lane % 4] = ptx::pack2(__fmaf_rn(rows.mixed[n][2 * r], inverse, offset.x),
                                         __fmaf_rn(rows.mixed[n][2 * r + 1], inverse, offset.y));
    }
  }
}

extern "C" __global__ void __launch_bounds__(kThreads)
    attention_int8(const u16* qkv, const u16* bias, u16* out, u8* base, int batch, int tokens, int heads, float) {
  __shared__ __align__(16) u8 shared[2 * kStageBytes];
  const Place place(tokens, heads);
  const Workspace workspace(base, batch, heads, place.tiles);
  const u8* keys = workspace.key + place.tile0 * kTile * kPadded;
  const float* key_scales = workspace.key_scale + place.tile0 * kGroups + threadIdx.x % 4;
  const u32 stages = ptx::shared_address(shared);

  copy_tile(stages, keys, qkv, 0, tokens, heads);
  ptx::copy_async_commit();
  Rows rows(workspace, place);
  for (int tile = 0; tile < place.tiles; ++tile) {
    const float key_scale = key_scales[tile * kGroups];
    const u32 stage = stages + tile % 2 * kStageBytes;
    ptx::copy_async_wait<0>();
    __syncthreads();  // this tile is here for all, and all are done with the one before
    if (tile + 1 < place.tiles) {
      const int next = tile + 1;
      copy_tile(stages + next % 2 * kStageBytes, keys + static_cast<size_t>(next) * kTile * kPadded, qkv, next * kTile, tokens,
                heads);
      ptx::copy_async_commit();
    }
    float scores[kTile / 8][4];
    multiply_keys(scores, rows, stage);
    weigh(scores, rows, key_scale, tokens - tile * kTile);
    mix_values(rows, scores, stage + kKeyBytes);
  }
  store_rows(out, bias, rows, place.first_token, tokens, heads);
}
