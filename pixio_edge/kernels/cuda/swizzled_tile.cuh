// A tile of rows of HEAD_DIM 16-bit elements in shared memory: copied from global memory with cp.async, read with ldmatrix,
// neither with a bank conflict and without a byte of padding.
//
// A row is 8, 10 or 12 chunks of 16 bytes. Shared memory serves eight chunks at a time, as long as their places differ modulo 8
// (8 x 16 bytes = all 32 banks). ldmatrix asks for the same chunk of eight successive rows. Unswizzled, row r would put it at
//   HEAD_DIM 64:  8 r + c: one place for all, conflicts of 8;
//   HEAD_DIM 80: 10 r + c: four places, conflicts of 2;
//   HEAD_DIM 96: 12 r + c: two places, conflicts of 4.
// So row r keeps its chunk c at c ^ ((r >> kSwizzleShift) & kSwizzleMask):
//   64: c ^ (r & 7), eight places in eight rows;
//   80: c ^ ((r >> 2) & 1): rows 0 to 3 take four places of one parity, rows 4 to 7 the four of the other;
//   96: c ^ ((r >> 1) & 3): rows of one parity share one half of the places, and r >> 1 tells the four of them apart.
// The mask never leaves an aligned group of 8, 2 or 4 chunks, of which a row is a whole number, so that a chunk stays in its row
// and eight chunks that a copy writes side by side still fill eight places. tests/kernels/test_attention_kernel.py checks this.
#pragma once

#include "ptx.cuh"

namespace tile {

constexpr int kChunks = HEAD_DIM / 8;
constexpr int kRowBytes = HEAD_DIM * 2;
constexpr int kSwizzleShift = HEAD_DIM == 64 ? 0 : HEAD_DIM == 80 ? 2 : 1;
constexpr int kSwizzleMask = HEAD_DIM == 64 ? 7 : HEAD_DIM == 80 ? 1 : 3;
static_assert(HEAD_DIM == 64 || HEAD_DIM == 80 || HEAD_DIM == 96, "the swizzle is worked out for these");

// Bytes from the start of a tile to a chunk of a row.
__device__ __forceinline__ u32 place(int row, int chunk) {
  return row * kRowBytes + ((chunk ^ ((row >> kSwizzleShift) & kSwizzleMask)) << 4);
}

// The address `rows` rows and `chunks` chunks after `address`, for numbers that the compiler knows: it becomes at most one
// exclusive-or of what a thread computes once, and the offset of the access itself. `rows` and `chunks` have no bit in common
// with the row and the chunk at `address`, and tiles begin at a multiple of 128 bytes.
__device__ __forceinline__ u32 advance(u32 address, int rows, int chunks) {
  const int flipped = ((rows >> kSwizzleShift) ^ chunks) & kSwizzleMask;
  return (address ^ (flipped << 4)) + rows * kRowBytes + ((chunks & ~kSwizzleMask) << 4);
}

// Starts the copy of `kColumns` chunks, from `first` on, of every row of two tiles that lie `source_distance` elements and
// `kRows` rows apart. Rows from `valid_rows` on are not read and become 0.
template <int kRows, int kThreads, int kColumns>
__device__ __forceinline__ void copy_columns(u32 destination, const u16* source, s64 stride, s64 source_distance,
                                             int valid_rows, int thread, int first) {
  constexpr int kRowsAtOnce = kThreads / kColumns;
  const int row = thread / kColumns, chunk = first + thread % kColumns;
  if (kRowsAtOnce > kRows && row >= kRows) return;
  const u32 thread_destination = destination + place(row, chunk);
  const u16* chunk_source = source + row * stride + chunk * 8;
#pragma unroll
  for (int rows = 0; rows < kRows; rows += kRowsAtOnce, chunk_source += kRowsAtOnce * stride) {
    const u32 target = advance(thread_destination, rows, 0);
    ptx::copy_async_16(target, chunk_source, row + rows < valid_rows);
    ptx::copy_async_16(target + kRows * kRowBytes, chunk_source + source_distance, row + rows < valid_rows);
  }
}

// Starts the copy of two tiles by `kThreads` threads, of which this is number `thread`. A thread stays in one column: first the
// eight columns that every head has, then one of the two or four further ones.
template <int kRows, int kThreads>
__device__ __forceinline__ void copy_pair(u32 destination, const u16* source, s64 stride, s64 source_distance, int valid_rows,
                                          int thread) {
  copy_columns<kRows, kThreads, 8>(destination, source, stride, source_distance, valid_rows, thread, 0);
  if constexpr (kChunks > 8) {
    copy_columns<kRows, kThreads, kChunks - 8>(destination, source, stride, source_distance, valid_rows, thread, 8);
  }
}

// The right operand of mma_16x8x16 with the tile's rows as columns: elements 16 `step` to 16 `step` + 15 of rows `row` to
// `row` + 15, where `row` is a multiple of 16. fragment[0] and [1] are of the first eight rows, [2] and [3] of the others.
__device__ __forceinline__ void load_rows_as_columns(u32 (&fragment)[4], u32 tile, int row, int step, int lane) {
  const u32 lane_address = tile + place((lane & 7) + ((lane >> 4) << 3), (lane >> 3) & 1);
  ptx::load_matrix_x4(fragment, advance(lane_address, row, 2 * step));
}

// The right operand with the tile's rows as rows: rows `row` to `row` + 15 of elements 16 `step` to 16 `step` + 15. fragment[0]
// and [1] are of the first eight elements, [2] and [3] of the others.
__device__ __forceinline__ void load_rows_as_rows(u32 (&fragment)[4], u32 tile, int row, int step, int lane) {
  const u32 lane_address = tile + place(lane & 15, lane >> 4);
  ptx::load_matrix_x4_transposed(fragment, advance(lane_address, row, 2 * step));
}

}  // namespace tile
