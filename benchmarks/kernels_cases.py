"""Kernels beside what torch has for the same work: same inputs, same outputs, checked before they are timed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from kernels_timing import Clock, Peaks, Work
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from pixio_edge.kernels import ops
from pixio_edge.kernels.geometry_add_layer_norm import count_add_layer_norm_bytes
from pixio_edge.kernels.geometry_attention import count_attention
from pixio_edge.kernels.geometry_attention_int8 import count_attention_int8
from pixio_edge.kernels.geometry_bias_gelu import count_bias_gelu_bytes

# 256², 384² and 512² with patches of 16 and eight class tokens, and one beyond.
TOKENS = (264, 584, 1032, 1400)
BATCHES = (1, 8)
# (heads, head_dim): nano, small, Pixio-B, Pixio-L; Pixio-H and Pixio-5B.
HEADS = ((3, 64), (6, 64), (12, 64), (16, 64), (16, 80), (32, 96))
MLP_RATIO = 4
EPS = 1e-6
# Against float32 of the same inputs. INT8 codes have 8 bits, and a wrong kernel is off by the size of the values.
TOLERANCE = {"float16": 2e-2, "bfloat16": 6e-2, "float32": 1e-4}
INT8_TOLERANCE = 1e-1
BACKENDS = {
    "sdpa flash": SDPBackend.FLASH_ATTENTION,
    "sdpa cudnn": SDPBackend.CUDNN_ATTENTION,
    "sdpa efficient": SDPBackend.EFFICIENT_ATTENTION,
}


@dataclass(frozen=True, slots=True)
class Case:
    """One operator at one shape.

    Args:
        operator: Name of ours.
        shape: What tells it from others, for the record.
        contenders: Ways to compute it, ours first.
        expected: The result in float32.
        tolerance: Largest difference relative to the largest value.
        least: What has to be moved and computed, as arguments of `Peaks.shortest_ms`.
        value: Takes what is compared with `expected` out of what a contender gives.
    """

    operator: str
    shape: dict[str, Any]
    contenders: dict[str, Work]
    expected: Callable[[], Tensor]
    tolerance: float
    least: dict[str, float] = field(default_factory=dict)
    value: Callable[[Any], Tensor] = lambda result: result


def attention_cases(device: str, dtype: torch.dtype, tokens: int, batch: int, heads: tuple[int, int]) -> Iterator[Case]:
    """Attention, plain and with INT8 products, beside the backends of torch with the transposes that they need."""
    number, head_dim = heads
    qkv = torch.randn(batch, tokens, 3, number, head_dim, device=device).to(dtype)
    bias = torch.randn(3, number, head_dim, device=device).to(dtype)
    biased = qkv + bias  # for torch the bias is in the product before, where it costs nothing
    scale = head_dim**-0.5
    shape = {"batch": batch, "tokens": tokens, "heads": number, "head_dim": head_dim, "dtype": _name(dtype)}

    def plain(packed: Tensor) -> Tensor:
        query, key, value = packed.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value, scale=scale)
        return mixed.transpose(1, 2).reshape(batch, tokens, -1)

    def with_backend(backend: SDPBackend) -> Tensor:
        with sdpa_kernel(backend):
            return plain(biased)

    backends = {"sdpa math": SDPBackend.MATH} if device == "cpu" else BACKENDS
    torchs: dict[str, Work] = {name: partial(with_backend, backend) for name, backend in backends.items()}

    def expected() -> Tensor:
        return plain(biased.float())

    work, int8 = count_attention(batch, tokens, number, head_dim), count_attention_int8(batch, tokens, number, head_dim)
    least: dict[str, float] = {"moved": work.bytes_moved, "half": work.float_operations}
    ours: dict[str, Work] = {"ours": lambda: ops.attention(qkv, bias, scale)}
    yield Case("attention", shape, ours | torchs, expected, TOLERANCE[_name(dtype)], least)
    least = {"moved": int8.bytes_moved, "int8": int8.int8_operations, "half": int8.float_operations}
    contenders = {"ours": lambda: ops.attention_int8(qkv, bias, scale), "ours fp16": ours["ours"]}
    yield Case("attention_int8", shape, contenders | torchs, expected, INT8_TOLERANCE, least)


def norm_cases(device: str, dtype: torch.dtype, tokens: int, batch: int, channels: int) -> Iterator[Case]:
    """Residual add and LayerNorm beside torch's code and a copy of as many bytes."""
    x = torch.randn(batch, tokens, channels, device=device)
    branch = torch.randn(batch, tokens, channels, device=device).to(dtype)
    vectors = [torch.randn(channels, device=device).to(dtype) for _ in range(4)]
    rows = batch * tokens

    def plain(x: Tensor, branch: Tensor, vectors: list[Tensor]) -> tuple[Tensor, Tensor]:
        branch_bias, layer_scale, weight, bias = (vector.float() for vector in vectors)
        total = x + (branch.float() + branch_bias) * layer_scale
        return total, functional.layer_norm(total, (channels,), weight, bias, EPS).to(branch.dtype)

    def quantised(x: Tensor, branch: Tensor, vectors: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        total, normed = plain(x, branch, vectors)
        return total, *_quantise(normed)

    def expected() -> Tensor:
        return plain(x, branch.float(), vectors)[1]

    shape = {"batch": batch, "tokens": tokens, "channels": channels, "dtype": _name(dtype), "residual": "float32"}
    for operator, compute, quantize in (("add_layer_norm", plain, False), ("add_layer_norm_int8", quantised, True)):
        compiled = compile_for(compute, device)
        own = getattr(ops, operator)
        moved = count_add_layer_norm_bytes(rows, channels, residual_bytes=4, quantize=quantize)
        contenders: dict[str, Work] = {
            "ours": partial(own, x, branch, *vectors, EPS),
            "torch eager": partial(compute, x, branch, vectors),
            "torch.compile": partial(compiled, x, branch, vectors),
            "copy of as many bytes": _copy(moved, device),
        }
        tolerance = INT8_TOLERANCE if quantize else TOLERANCE[_name(dtype)]
        value = dequantised if quantize else normed
        yield Case(operator, shape, contenders, expected, tolerance, {"moved": moved}, value)


def gelu_cases(device: str, dtype: torch.dtype, tokens: int, batch: int, channels: int) -> Iterator[Case]:
    """Bias and GELU beside torch's code and a copy of as many bytes."""
    hidden = MLP_RATIO * channels
    x = torch.randn(batch, tokens, hidden, device=device).to(dtype)
    bias = torch.randn(hidden, device=device).to(dtype)

    def plain(x: Tensor, bias: Tensor) -> Tensor:
        return functional.gelu(x + bias)

    def quantised(x: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        return _quantise(plain(x, bias))

    shape = {"batch": batch, "tokens": tokens, "channels": hidden, "dtype": _name(dtype)}
    moved = count_bias_gelu_bytes(batch * tokens, hidden)
    compiled = compile_for(plain, device)
    contenders: dict[str, Work] = {
        "ours": lambda: ops.bias_gelu(x, bias),
        "torch eager": lambda: plain(x, bias),
        "torch.compile": lambda: compiled(x, bias),
        "copy of as many bytes": _copy(moved, device),
    }

    def expected() -> Tensor:
        return functional.gelu(x.float() + bias.float())

    yield Case("bias_gelu", shape, contenders, expected, TOLERANCE[_name(dtype)], {"moved": moved})
    moved = count_bias_gelu_bytes(batch * tokens, hidden, quantize=True)
    compiled_codes = compile_for(quantised, device)
    contenders = {
        "ours": lambda: ops.bias_gelu_int8(x, bias),
        "torch eager": lambda: quantised(x, bias),
        "torch.compile": lambda: compiled_codes(x, bias),
        "copy of as many bytes": _copy(moved, device),
    }
    yield Case("bias_gelu_int8", shape, contenders, expected, INT8_TOLERANCE, {"moved": moved}, dequantised)


def measure(case: Case, clock: Clock, peaks: Peaks) -> list[dict[str, Any]]:
    """Check each contender against float32 and time it; one record for each, with what failed where something did."""
    expected = case.expected().float()
    least_ms = peaks.shortest_ms(**case.least)
    records = []
    for name, work in case.contenders.items():
        record: dict[str, Any] = {"operator": case.operator, **case.shape, "contender": name, "least_ms": least_ms}
        try:
            error = None if name.startswith("copy") else _error(case.value(work()), expected)
            if error is not None and not error <= case.tolerance:
                records.append(record | {"status": "wrong", "error": error})
                continue
            times = clock.in_graph(work)
        except Exception as failure:  # a backend that does not take a shape must not end the run
            reason = (str(failure).splitlines() or [type(failure).__name__])[0]
            records.append(record | {"status": "failed", "reason": reason})
            continue
        share = least_ms / times.median_ms
        measured = {"median_ms": times.median_ms, "mad_ms": times.mad_ms, "rounds": times.rounds, "roofline": share}
        records.append(record | {"status": "ok", "error": error} | measured)
    return records


def compile_for(function: Callable[..., Any], device: str) -> Callable[..., Any]:
    """torch.compile for one shape; a dry run on the CPU only traces, and needs no C++ compiler."""
    backend = "aot_eager" if device == "cpu" else "inductor"
    return torch.compile(function, dynamic=False, backend=backend)


def normed(result: tuple[Tensor, Tensor]) -> Tensor:
    """The second of sum and norm."""
    return result[1]


def dequantised(result: tuple[Tensor, ...]) -> Tensor:
    """Codes times their scales, which come last."""
    return result[-2] * result[-1][..., None]


def _error(value: Tensor, expected: Tensor) -> float:
    return float((value.float() - expected).abs().max() / expected.abs().max())


def _quantise(values: Tensor) -> tuple[Tensor, Tensor]:
    scale = values.float().abs().amax(dim=-1) / 127
    return (values.float() / scale[..., None]).round().to(torch.int8), scale


def _copy(moved: int, device: str) -> Work:
    source = torch.zeros(moved // 2, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
