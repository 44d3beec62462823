"""Kernels beside what torch has for the same work: same inputs, same outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from kernels_timing import Least, Work
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from pixio_edge.kernels import ops
from pixio_edge.kernels.geometry_add_layer_norm import count_add_layer_norm_bytes
from pixio_edge.kernels.geometry_attention import count_attention
from pixio_edge.kernels.geometry_attention_int8 import count_attention_int8
from pixio_edge.kernels.geometry_bias_gelu import count_bias_gelu_bytes

MLP_RATIO = 4
EPS = 1e-6
# Against float32 of the same inputs. INT8 codes have 8 bits, and a wrong kernel is off by the size of the values.
TOLERANCE = {"float16": 2e-2, "bfloat16": 6e-2, "float32": 1e-4}
INT8_TOLERANCE = 1e-1
BACKENDS = {"flash": "FLASH_ATTENTION", "cudnn": "CUDNN_ATTENTION", "efficient": "EFFICIENT_ATTENTION"}
COPY = "copy of as many bytes"
BARE = ", without transposes"

Value = Callable[[Any], Tensor]


@dataclass(frozen=True, slots=True)
class Case:
    """One operator at one shape.

    Args:
        operator: Name of ours.
        shape: What tells it from others, for the record.
        make: Makes inputs and, on them, the contenders by name and the result in float32; each call makes other memory.
        tolerance: Largest difference relative to the largest value, by contender; None for what gives no such result.
        least: What has to be moved and computed, by contender.
        value: Takes what is compared out of what a contender gives.
    """

    operator: str
    shape: dict[str, Any]
    make: Callable[[], tuple[dict[str, Work], Callable[[], Tensor]]]
    tolerance: Callable[[str], float | None]
    least: Callable[[str], Least]
    value: Value = lambda result: result


def attention_case(device: str, dtype: torch.dtype, tokens: int, batch: int, heads: tuple[int, int]) -> Case:
    """Attention, plain and with INT8 scores, beside torch's backends with and without the transposes that they need."""
    number, head_dim = heads
    scale = head_dim**-0.5
    attend = partial(functional.scaled_dot_product_attention, scale=scale)

    def packed(biased: Tensor) -> Tensor:
        query, key, value = biased.permute(2, 0, 3, 1, 4).unbind(0)
        mixed: Tensor = attend(query, key, value)
        return mixed.transpose(1, 2).reshape(batch, tokens, -1)

    def make() -> tuple[dict[str, Work], Callable[[], Tensor]]:
        qkv = torch.randn(batch, tokens, 3, number, head_dim, device=device).to(dtype)
        bias = torch.randn(3, number, head_dim, device=device).to(dtype)
        biased = qkv + bias  # for torch the bias is in the product before, where it costs nothing
        split = [part.contiguous() for part in biased.permute(2, 0, 3, 1, 4).unbind(0)]

        works: dict[str, Work] = {
            "ours": lambda: ops.attention(qkv, bias, scale),
            "ours int8": lambda: ops.attention_int8(qkv, bias, scale),
        }
        for name in {"math": "MATH"} if device == "cpu" else BACKENDS:
            backend = getattr(SDPBackend, BACKENDS.get(name, "MATH"))
            works[f"sdpa {name}"] = partial(_with_backend, backend, partial(packed, biased))
            works[f"sdpa {name}{BARE}"] = partial(_with_backend, backend, partial(attend, *split))
        return works, lambda: packed(biased.float())

    def value(result: Tensor) -> Tensor:
        return result if result.dim() == 3 else result.transpose(1, 2).reshape(batch, tokens, -1)

    def least(name: str) -> Least:
        if name == "ours int8":
            int8 = count_attention_int8(batch, tokens, number, head_dim)
            return Least(int8.bytes_moved, half=int8.float_operations, int8=int8.int8_operations)
        work = count_attention(batch, tokens, number, head_dim)
        return Least(work.bytes_moved, half=work.float_operations)

    shape = {"batch": batch, "tokens": tokens, "heads": number, "head_dim": head_dim, "dtype": _name(dtype)}
    tolerance = TOLERANCE[_name(dtype)]
    return Case(
        "attention", shape, make, lambda name: INT8_TOLERANCE if name == "ours int8" else tolerance, least, value
    )


def row_cases(device: str, dtype: torch.dtype, tokens: int, batch: int, channels: int) -> Iterator[Case]:
    """The kernels that work on rows, each plain and with an INT8 result."""
    for quantize in (False, True):
        yield norm_case(device, dtype, tokens, batch, channels, quantize=quantize)
        yield gelu_case(device, dtype, tokens, batch, channels, quantize=quantize)


def norm_case(device: str, dtype: torch.dtype, tokens: int, batch: int, channels: int, *, quantize: bool) -> Case:
    """Residual add and LayerNorm beside torch's code and a copy of as many bytes."""

    def plain(x: Tensor, branch: Tensor, *vectors: Tensor) -> tuple[Tensor, ...]:
        branch_bias, layer_scale, weight, bias = (vector.float() for vector in vectors)
        total = x + (branch.float() + branch_bias) * layer_scale
        return total, functional.layer_norm(total, (channels,), weight, bias, EPS).to(branch.dtype)

    def quantised(x: Tensor, branch: Tensor, *vectors: Tensor) -> tuple[Tensor, ...]:
        total, normed = plain(x, branch, *vectors)
        return total, *_quantise(normed)

    moved = count_add_layer_norm_bytes(batch * tokens, channels, residual_bytes=4, quantize=quantize)
    compute = quantised if quantize else plain
    compiled = compile_for(compute, device)
    own = ops.add_layer_norm_int8 if quantize else ops.add_layer_norm

    def make() -> tuple[dict[str, Work], Callable[[], Tensor]]:
        x = torch.randn(batch, tokens, channels, device=device)
        branch = torch.randn(batch, tokens, channels, device=device).to(dtype)
        vectors = [torch.randn(channels, device=device).to(dtype) for _ in range(4)]
        works: dict[str, Work] = {
            "ours": partial(own, x, branch, *vectors, EPS),
            "torch eager": partial(compute, x, branch, *vectors),
            "torch.compile": partial(compiled, x, branch, *vectors),
            COPY: _copy(moved, device),
        }
        return works, lambda: plain(x, branch.float(), *vectors)[1]

    shape = {"batch": batch, "tokens": tokens, "channels": channels, "dtype": _name(dtype), "residual": "float32"}
    return _row_case("add_layer_norm", shape, make, moved, quantize=quantize, value=lambda result: result[1])


def gelu_case(device: str, dtype: torch.dtype, tokens: int, batch: int, channels: int, *, quantize: bool) -> Case:
    """Bias and GELU beside torch's code and a copy of as many bytes."""
    hidden = MLP_RATIO * channels

    def plain(x: Tensor, bias: Tensor) -> Tensor:
        return functional.gelu(x + bias)

    def quantised(x: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        return _quantise(plain(x, bias))

    moved = count_bias_gelu_bytes(batch * tokens, hidden, quantize=quantize)
    compute: Callable[..., Any] = quantised if quantize else plain
    compiled = compile_for(compute, device)
    own: Callable[..., Any] = ops.bias_gelu_int8 if quantize else ops.bias_gelu

    def make() -> tuple[dict[str, Work], Callable[[], Tensor]]:
        x = torch.randn(batch, tokens, hidden, device=device).to(dtype)
        bias = torch.randn(hidden, device=device).to(dtype)
        works: dict[str, Work] = {
            "ours": partial(own, x, bias),
            "torch eager": partial(compute, x, bias),
            "torch.compile": partial(compiled, x, bias),
            COPY: _copy(moved, device),
        }
        return works, lambda: functional.gelu(x.float() + bias.float())

    shape = {"batch": batch, "tokens": tokens, "channels": hidden, "dtype": _name(dtype)}
    return _row_case("bias_gelu", shape, make, moved, quantize=quantize, value=lambda result: result)


def _row_case(operator: str, shape: Mapping[str, Any], make: Any, moved: int, *, quantize: bool, value: Value) -> Case:
    name = f"{operator}_int8" if quantize else operator
    tolerance = INT8_TOLERANCE if quantize else TOLERANCE[shape["dtype"]]
    return Case(
        name,
        dict(shape),
        make,
        lambda contender: None if contender == COPY else tolerance,
        lambda _: Least(moved),
        dequantised if quantize else value,
    )


def compile_for(function: Callable[..., Any], device: str) -> Callable[..., Any]:
    """torch.compile for one shape; a dry run on the CPU only traces, and needs no C++ compiler."""
    backend = "aot_eager" if device == "cpu" else "inductor"
    return torch.compile(function, dynamic=False, backend=backend)


def dequantised(result: tuple[Tensor, ...]) -> Tensor:
    """Codes times their scales, which come last."""
    return result[-2] * result[-1][..., None]


def _with_backend(backend: SDPBackend, work: Work) -> Any:
    with sdpa_kernel(backend):
        return work()


def _quantise(values: Tensor) -> tuple[Tensor, Tensor]:
    scale = values.float().abs().amax(dim=-1) / 127
    return (values.float() / scale[..., None]).round().to(torch.int8), scale


def _copy(moved: int, device: str) -> Work:
    source = torch.randint(0, 256, (moved // 2,), dtype=torch.uint8, device=device)
    return lambda: torch.clone(source)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
