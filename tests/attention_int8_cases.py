"""The INT8 attention run by the PTX emulator, launch after launch, and what it leaves in its workspace."""

from dataclasses import dataclass

import numpy as np
from attention_cases import Case, split_named
from compiled_kernels import shipped_ptx
from ptx_emulator import Report, run_ptx

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
from pixio_edge.kernels.oracle_attention_int8 import QuantizedAttention, attention_int8
from pixio_edge.kernels.precision import from_bf16, to_bf16

OUT, WORKSPACE = 2, 3  # positions among the arguments


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
        run_ptx(ptx, launch.entry, launch.grid, launch.block, arguments, launch.shared_bytes, undefined=undefined)
        for launch, undefined in launches
    )
    assert reports[-1].unwritten == {OUT: 0}
    values = from_bf16(out) if case.precision == "bf16" else out.view(np.float16).astype(np.float32)
    return Run(values, *_read_workspace(workspace, case), reports)


def simulate(case: Case, *, smooth_keys: bool = True) -> np.ndarray:
    """The same numbers in numpy."""
    return attention_int8(case.qkv, case.bias, scale=case.scale, precision=case.precision, smooth_keys=smooth_keys)


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
