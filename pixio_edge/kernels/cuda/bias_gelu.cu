// Bias and GELU in one pass over memory: out = gelu(x + bias), by the error function. `_int8` entry points write the result as
// symmetric INT8 with one scale per row.
//
// Macro: ELEMENT_BF16 (elements are bfloat16 and not half).
// Entry points end in the vectors of eight elements that a thread holds.
//
// gelu(v) = v Phi(v) = max(v, 0) - |v| tail(|v|), where tail(t) is the chance that a normal number exceeds t. Its logarithm is
// nearly a parabola: a polynomial and one exp2 give |v| tail(|v|) with an error below 3e-8, less than a float erf leaves after
// 1 + erf has cancelled, in half the instructions. Where v is negative that is also below 2e-4 of the result, less than half and
// bfloat16 round. Below -6, where |gelu| < 6e-9, the polynomial falls faster than the true logarithm.
//
// A thread reads its elements of x before it writes the same elements of `out`, and nobody else touches them: `out` may be `x`.
#include "rows.cuh"

namespace {

constexpr int kThreads = 128;  // of a block of what works without rows: four warps

__device__ __forceinline__ float gelu(float value) {
  // Where the tail is 0 in float anyway; keeps infinities out of the polynomial.
  const float size = fminf(fabsf(value), 16.0f);
  // As GELU_TAIL of reference.py, highest power first.
  float power = -5.542214580600557e-07f;
  power = fmaf(power, size, 9.247994057659525e-06f);
  power = fmaf(power, size, -2.6211670046905056e-05f);
  power = fmaf(power, size, -0.0005774546531029046f);
  power = fmaf(power, size, 0.007740854285657406f);
  power = fmaf(power, size, -0.05307922139763832f);
  power = fmaf(power, size, -0.4589423239231109f);
  power = fmaf(power, size, -1.1511611938476562f);
  power = fmaf(power, size, -0.9999961853027344f);
  // fmaxf would turn a NaN into 0.
  return fmaf(-size, ptx::exp2(power), ptx::max_nan(value, 0.0f));
}

// A warp takes 32 neighbouring vectors of a row; a thread the same vector of kRows rows, for which it reads the bias once.
template <int kRows>
__device__ __forceinline__ void bias_gelu(const u16* x, const u16* bias, u16* out, int row_count, int channels) {
  const int channel = (blockIdx.y * blockDim.x + threadIdx.x) * rows::kWidth;
  const int first = blockIdx.x * blockDim.y * kRows + threadIdx.y;
  rows::Packed16 packed[kRows];
#pragma unroll
  for (int step = 0; step < kRows; ++step) {
    const int row = first + step * blockDim.y;
    packed[step] = rows::load(x + static_cast<long long>(row) * channels + channel, channel < channels && row < row_count);
  }
  const rows::Packed16 packed_bias = rows::load_constant(bias + channel, channel < channels);
  float offset[rows::kWidth];
  rows::unpack(packed_bias, offset);
#pragma unroll
  for (int step = 0; step < kRows; ++step) {
    const int row = first + step * blockDim.y;
    float values[rows::kWidth];
    rows::unpack(packed[step], values);
#pragma unroll
    for (int element = 0; element < rows::kWidth; ++element) values[element] = gelu(values[element] + offset[element]);
    if (channel < channels && row < row_count) rows::store(out + static_cast<long long>(row) * channels + channel, values);
  }
}

// The scale of a row is known only when all of it is: the row stays in registers until then.
template <int kVectors>
__device__ __forceinline__ void bias_gelu_int8(const u16* x, const u16* bias, signed char* codes, float* scale, int row_count,
                                               int channels) {
  __shared__ float partial[rows::kMaxWarps];
  const rows::Part part(row_count, channels);
  rows::Packed16 packed[kVectors], offset[kVectors];
#pragma unroll
  for (int vector = 0; vector < kVectors; ++vector) {
    packed[vector] = rows::load_constant(x + part.offset(vector), part.holds(vector));
    offset[vector] = rows::load_constant(bias + part.channel(vector), part.holds(vector));
  }
  float values[kVectors][rows::kWidth];
#pragma unroll
  for (int vector = 0; vector < kVectors; ++vector) {
    float shift[rows::kWidth];
    rows::unpack(packed[vector], values[vector]);
    rows::unpack(offset[vector], shift);
    // Elements that do not exist are 0, and so is their GELU.
#pragma unroll
    for (int element = 0; element < rows::kWidth; ++element) {
      values[vector][element] = gelu(values[vector][element] + shift[element]);
    }
  }
  rows::quantize<kVectors>(values, part, partial, codes, scale);
}

}  // namespace

#define BIAS_GELU(vectors)                                                                                                 \
  extern "C" __global__ void __launch_bounds__(kThreads)                                                                   \
      bias_gelu_##vectors(const u16* x, const u16* bias, u16* out, int row_count, int channels) {                          \
    bias_gelu<vectors>(x, bias, out, row_count, channels);                                                                 \
  }

#define BIAS_GELU_INT8(vectors)                                                                                            \
  extern "C" __global__ void __launch_bounds__(rows::kMostThreads<vectors>) bias_gelu_int8_##vectors(                      \
      const u16* x, const u16* bias, signed char* codes, float* scale, int row_count, int channels) {                      \
    bias_gelu_int8<vectors>(x, bias, codes, scale, row_count, channels);                                                   \
  }

BIAS_GELU(1)
BIAS_GELU(2)
BIAS_GELU_INT8(3)
BIAS_GELU_INT8(5)
