"""The INT8 attention run by the PTX emulator, launch after launch, and what it leaves in its workspace."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from attention_cases import Case, split_named
from compiled_kernels import shipped_ptx
from ptx_emulator import Report, run_ptx

from pixio_edge.kernels import launch
from pixio_edge.kernels.catalogue import Kernel
from pixio_edge.kernels.compile import compile_ptx
from pixio_edge.kernels.geometry_attention_int8 import (
    KEY_GROUPS,
    TILE,
    launch_split,
    pad_head_dim,
    plan_attention_int8,
    plan_workspace,
)
from pixio_edge.kernels.oracle_attention_int8 import QuantizedAttention, attention_int8, quantize_attention
from pixio_edge.kernels.precision import from_bf16, to_bf16

OUT, WORKSPACE = 2, 3  # positions among the arguments

# The largest difference from the numpy text, in last places of the largest value that is mixed: weights are rounded at
# another reference of the exponent, and one that rounds the other way shifts a sum of outputs by less than one place.
PLACES = 1.0


@dataclass(frozen=True, slots=True)
class Run:
    """What one attention left behind.

    Args:
        out: As float32.
        quantized: Queries, keys and their scales, from the workspace.
        padding: Columns of quantised rows past head_dim.
        reports: Of the emulator, by launch.
    """

    out: np.ndarray
    quantized: QuantizedAttention
    padding: np.ndarray
    reports: tuple[Report, ...]


def run_attention_int8(
    case: Case,
    entry: str = "attention_16",
    kernel: Kernel | None = None,
    *,
    poison: int | None = None,
    arch: str = "compute_80",
) -> Run:
    """Run all launches with memory and races checked.

    Args:
        case: Arguments.
        entry: Split of the last launch, by the float kernel's name for it.
        kernel: To run in place of the one that ships.
        poison: Byte that fills the workspace before; None leaves it undefined for the first launch.
        arch: That the PTX is made for.
    """
    batch, tokens, heads, head_dim = case.shape
    out = np.zeros((batch, tokens, heads * head_dim), np.uint16)
    workspace = np.full(plan_workspace(batch, tokens, heads, head_dim).size, poison or 0, np.uint8)
    bias = None if case.bias is None else _store(case.bias, case.precision)
    arguments = [_store(case.qkv, case.precision), bias, out, workspace, batch, tokens, heads, case.scale]
    shipped = shipped_ptx("attention_int8", case.defines, arch) if kernel is None else None
    ptx = shipped or compile_ptx(kernel, case.defines)
    prepare, prepare_keys, _ = plan_attention_int8(batch, tokens, heads, head_dim)
    attend = launch_split(split_named(entry), batch, tokens, heads, head_dim)
    launches = ((prepare, [WORKSPACE] if poison is None else []), (prepare_keys, []), (attend, [OUT]))
    reports = tuple(
        run_ptx(ptx, one.entry, one.grid, one.block, arguments, one.shared_bytes, undefined=undefined)
        for one, undefined in launches
    )
    assert reports[-1].unwritten == {OUT: 0}
    values = from_bf16(out) if case.precision == "bf16" else out.view(np.float16).astype(np.float32)
    return Run(values, *_read_workspace(workspace, case), reports)


def simulate(case: Case, *, smooth_keys: bool = True) -> np.ndarray:
    """The same numbers in numpy."""
    return attention_int8(case.qkv, case.bias, scale=case.scale, precision=case.precision, smooth_keys=smooth_keys)


def run_on_gpu(gpu: Any, case: Case, entry: str) -> np.ndarray:
    """The result on a GPU, in a workspace that is full of ones; arguments as of `attention_cases.run_on_gpu`."""
    batch, tokens, heads, head_dim = case.shape
    launches = (*plan_attention_int8(*case.shape)[:2], launch_split(split_named(entry), *case.shape))
    qkv = gpu.upload(case.qkv, case.precision)
    bias = None if case.bias is None else gpu.upload(case.bias, case.precision)
    out = gpu.poisoned((batch, tokens, heads * head_dim), case.precision)
    workspace = gpu.upload(np.full(plan_workspace(*case.shape).size, 0xFF, np.uint8))
    sizes = (np.int32(batch), np.int32(tokens), np.int32(heads), np.float32(case.scale))
    addresses = (qkv.data_ptr(), None if bias is None else bias.data_ptr(), out.data_ptr(), workspace.data_ptr())
    launch.start("attention_int8", case.defines, launches, (*addresses, *sizes), device=0, stream=gpu.stream)
    return gpu.download(out)


def split_bias(case: Case, out: np.ndarray) -> np.ndarray:
    """Output less the bias of values."""
    return out if case.bias is None else out - case.bias[2].reshape(-1).astype(np.float64)


def rel_l2(case: Case, candidate: np.ndarray) -> float:
    exact = split_bias(case, case.exact())
    return float(np.linalg.norm(split_bias(case, candidate) - exact) / np.linalg.norm(exact))


def cosine_gap(case: Case, candidate: np.ndarray) -> float:
    exact, got = split_bias(case, case.exact()).ravel(), split_bias(case, candidate).ravel().astype(np.float64)
    return float(1 - exact @ got / (np.linalg.norm(exact) * np.linalg.norm(got)))


def places_apart(case: Case, candidate: np.ndarray, simulated: np.ndarray) -> float:
    """Largest difference in last places of the largest biased value."""
    bias = 0 if case.bias is None else case.bias[2]
    largest = float(np.abs(case.qkv[:, :, 2] + bias).max())
    place = 2.0 ** (np.floor(np.log2(largest)) - (7 if case.precision == "bf16" else 10))
    return float(np.abs(candidate - simulated).max()) / place


def assert_agrees(case: Case, run: Run, limit: float) -> None:
    """As the numpy text says, and within an error of float64."""
    query, key = case.qkv[:, :, 0].transpose(0, 2, 1, 3), case.qkv[:, :, 1].transpose(0, 2, 1, 3)
    offset = 0 if case.bias is None else case.bias[0][:, None]
    expected = quantize_attention(query + offset, key, scale=case.scale)
    for part in ("query", "query_scale", "key", "key_scale"):
        np.testing.assert_array_equal(getattr(run.quantized, part), getattr(expected, part), err_msg=part)
    assert not run.padding.any()
    assert places_apart(case, run.out, simulate(case)) <= PLACES
    assert rel_l2(case, run.out) <= limit


def _read_workspace(workspace: np.ndarray, case: Case) -> tuple[QuantizedAttention, np.ndarray]:
    batch, tokens, heads, head_dim = case.shape
    plan, tiles = plan_workspace(batch, tokens, heads, head_dim), -(-tokens // TILE)
    rows = (batch, heads, tiles * TILE)
    levels = workspace[: plan.query_scale].view(np.int8).reshape(2, *rows, pad_head_dim(head_dim))
    query, key = levels[..., :head_dim].astype(np.float32)
    query_scale = workspace[plan.query_scale : plan.key_scale].view(np.float32).reshape(rows)
    key_scale = workspace[plan.key_scale : plan.key_sum].view(np.float32).reshape(batch, heads, tiles, KEY_GROUPS)
    return QuantizedAttention(query, query_scale, key, key_scale), levels[..., head_dim:]


def _store(values: np.ndarray, precision: str) -> np.ndarray:
    return to_bf16(values) if precision == "bf16" else values.astype(np.float16).view(np.uint16)
