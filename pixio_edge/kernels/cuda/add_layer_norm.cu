// Residual add and LayerNorm in one pass over memory: sum = x + layer_scale * (branch + branch_bias), normed = LayerNorm(sum).
// `_int8` entry points write the norm as symmetric INT8 with one scale per row.
//
// Macros: ELEMENT_BF16 (elements are bfloat16 and not half), RESIDUAL_FP32 (x and sum are floats and not elements).
// Entry points end in the vectors of eight elements that a thread holds; threads and blocks are in rows.cuh.
//
// Everything is computed in float. The mean is taken first and the variance from what is left in registers, so that a mean far
// larger than the deviation costs no digits; the mean of what is left corrects the mean's own rounding. The norm is of the sum
// before that is rounded to its type.
//
// Every global access is of 16 bytes (8 for codes). A thread reads its elements of x before it writes the same elements of sum,
// and nobody else touches them: `sum` may be `x`. No other array may overlap one that is written.
#include "rows.cuh"

#ifndef RESIDUAL_FP32
#define RESIDUAL_FP32 0
#endif

namespace {

#if RESIDUAL_FP32
typedef float Residual;
typedef rows::Packed32 PackedResidual;
#else
typedef u16 Residual;
typedef rows::Packed16 PackedResidual;
#endif

// Two elements of value 1.
constexpr u32 kOnes = ELEMENT_BF16 ? 0x3f803f80u : 0x3c003c00u;

struct Inputs {
  const Residual* x;         // (rows, channels)
  const u16* branch;         // (rows, channels)
  const u16* branch_bias;    // (channels,), or null
  const u16* layer_scale;    // (channels,), or null
  const u16* weight;         // (channels,)
  const u16* bias;           // (channels,)
};

// One value per warp of each reduction.
struct Partials {
  float sum[rows::kMaxWarps], largest[rows::kMaxWarps];
  float2 centred[rows::kMaxWarps];
};

// Leaves sum in `values` and stores it.
template <int kVectors>
__device__ __forceinline__ void add(const Inputs& inputs, const rows::Part& part, Residual* sum,
                                    float (&values)[kVectors][rows::kWidth]) {
  PackedResidual x[kVectors];
  rows::Packed16 branch[kVectors], branch_bias[kVectors], layer_scale[kVectors];
  // What comes from memory is asked for before what the caches have.
#pragma unroll
  for (int vector = 0; vector < kVectors; ++vector) {
    x[vector] = rows::load(inputs.x + part.offset(vector), part.holds(vector));
    branch[vector] = rows::load_constant(inputs.branch + part.offset(vector), part.holds(vector));
  }
#pragma unroll
  for (int vector = 0; vector < kVectors; ++vector) {
    const bool holds = part.holds(vector);
    // What is not given is 0 and 1, which change no bit, rather than a branch that the loads behind it would wait for.
    branch_bias[vector] = rows::load_constant(inputs.branch_bias + part.channel(vector), holds && inputs.branch_bias != nullptr);
    layer_scale[vector] =
        rows::load_constant(inputs.layer_scale + part.channel(vector), holds && inputs.layer_scale != nullptr, kOnes);
  }
#pragma unroll
  for (int vector = 0; vector < kVectors; ++vector) {
    float added[rows::kWidth], offset[rows::kWidth], factor[rows::kWidth];
    rows::unpack(x[vector], values[vector]);
    rows::unpack(branch[vector], added);
    rows::unpack(branch_bias[vector], offset);
    rows::unpack(layer_scale[vector], factor);
#pragma unroll
    for (int element = 0; element < rows::kWidth; ++element) {
      values[vector][element] = fmaf(factor[element], added[element] + offset[element], values[vector][element]);
    }
    if (part.holds(vector)) rows::store(sum + part.offset(vector), values[vector]);
  }
}

// Replaces the sum by its norm.
template <int kVectors>
__device__ __forceinline__ void normalize(const Inputs& inputs, const rows::Part& part, float eps, Partials& partials,
                                          float (&values)[kVectors][rows::kWidth]) {
  // Asked for before the reductions, which they arrive behind.
  rows::Packed16 weight[kVectors], bias[kVectors];
#pragma unroll
  for (int vector = 0; vector < kVectors; ++vector) {
    weight[vector] = rows::load_constant(inputs.weight + part.channel(vector), part.holds(vector));
    bias[vector] = rows::load_constant(inputs.bias + part.channel(vector), part.holds(vector));
  }
  const float per_channel = __fdividef(1.0f, part.channels);
  float sum = 0.0f;
#pragma unroll
  for (int vector = 0; vector < kVectors; ++vector) {
#pragma unroll
    for (int element = 0; element < rows::kWidth; ++element) sum += values[vector][element];
  }
  const float mean = rows::reduce(sum, partials.sum, rows::Add()) * per_channel;
  float square = 0.0f, remainder = 0.0f;
#pragma unroll
  for (int vector = 0; vector < kVectors; ++vector) {
    const bool holds = part.holds(vector);
#pragma unroll
    for (int element = 0; element < rows::kWidth; ++element) {
      const float centred = holds ? values[vector][element] - mean : 0.0f;
      values[vector][element] = centred;
      square += centred * centred;
      remainder += centred;
    }
  }
  const float2 centred = rows::reduce(make_float2(square, remainder), partials.centred, rows::Add());
  remainder = centred.y * per_channel;
  float variance = centred.x * per_channel - remainder * remainder;
  // Rounding may take that of a constant row below zero. A NaN passes.
  if (variance < 0.0f) variance = 0.0f;
  const float inverse = rsqrtf(variance + eps);
#pragma unroll
  for (int vector = 0; vector < kVectors; ++vector) {
    float scale[rows::kWidth], shift[rows::kWidth];
    rows::unpack(weight[vector], scale);
    rows::unpack(bias[vector], shift);
#pragma unroll
    for (int element = 0; element < rows::kWidth; ++element) {
      values[vector][element] = (values[vector][element] - remainder) * inverse * scale[element] + shift[element];
    }
  }
}

template <int kVectors>
__device__ __forceinline__ void add_layer_norm(const Inputs& inputs, Residual* sum, u16* normed, int row_count, int channels,
                                               float eps) {
  __shared__ Partials partials;
  const rows::Part part(row_count, channels);
  float values[kVectors][rows::kWidth];
  add<kVectors>(inputs, part, sum, values);
  normalize<kVectors>(inputs, part, eps, partials, values);
#pragma unroll
  for (int vector = 0; vector < kVectors; ++vector) {
    if (part.holds(vector)) rows::store(normed + part.offset(vector), values[vector]);
  }
}

template <int kVectors>
__device__ __forceinline__ void add_layer_norm_int8(const Inputs& inputs, Residual* sum, signed char* codes, float* scale,
                                                    int row_count, int channels, float eps) {
  __shared__ Partials partials;
  const rows::Part part(row_count, channels);
  float values[kVectors][rows::kWidth];
  add<kVectors>(inputs, part, sum, values);
  normalize<kVectors>(inputs, part, eps, partials, values);
  rows::quantize<kVectors>(values, part, partials.largest, codes, scale);
}

}  // namespace

#define ADD_LAYER_NORM(vectors)                                                                                               \
  extern "C" __global__ void __launch_bounds__(rows::kMostThreads<vectors>) add_layer_norm_##vectors(                                   \
      const Residual* x, const u16* branch, const u16* branch_bias, const u16* layer_scale, const u16* weight,                \
      const u16* bias, Residual* sum, u16* normed, int row_count, int channels, float eps) {                                  \
    add_layer_norm<vectors>({x, branch, branch_bias, layer_scale, weight, bias}, sum, normed, row_count, channels, eps);      \
  }                                                                                                                           \
  extern "C" __global__ void __launch_bounds__(rows::kMostThreads<vectors>) add_layer_norm_int8_##vectors(                              \
      const Residual* x, const u16* branch, const u16* branch_bias, const u16* layer_scale, const u16* weight,                \
      const u16* bias, Residual* sum, signed char* codes, float* scale, int row_count, int channels, float eps) {             \
    add_layer_norm_int8<vectors>({x, branch, branch_bias, layer_scale, weight, bias}, sum, codes, scale, row_count, channels, \
                                 eps);                                                                                        \
  }

ADD_LAYER_NORM(3)
ADD_LAYER_NORM(5)
