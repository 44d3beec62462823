"""Inputs of the fused attention, and the kernel run on them by the PTX emulator."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from compiled_kernels import shipped_ptx
from ptx_emulator import Report, run_ptx

from pixio_edge.kernels import launch, oracle
from pixio_edge.kernels.catalogue import Kernel, Launch
from pixio_edge.kernels.compile import compile_ptx
from pixio_edge.kernels.geometry_attention import SPLITS, THREADS, Split
from pixio_edge.kernels.precision import from_bf16, round_to, to_bf16

OUT = 2  # position of the output among the kernel's arguments


@dataclass(frozen=True, slots=True)
class Case:
    """Arguments of one attention: float32 arrays of values that `precision` can hold."""

    qkv: np.ndarray
    bias: np.ndarray | None
    scale: float
    precision: str

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Batch, tokens, heads, head_dim."""
        batch, tokens, _, heads, head_dim = self.qkv.shape
        return batch, tokens, heads, head_dim

    @property
    def defines(self) -> dict[str, int]:
        return {"HEAD_DIM": self.qkv.shape[-1], "ELEMENT_BF16": int(self.precision == "bf16")}

    def naive(self) -> np.ndarray:
        return oracle.naive_attention(self.qkv, self.bias, scale=self.scale, precision=self.precision)

    def exact(self) -> np.ndarray:
        return oracle.attention(self.qkv, self.bias, scale=self.scale)

    def ratio(self, out: np.ndarray) -> float:
        return oracle.ratio_to_naive(out, self.exact(), self.naive())

    def with_bias(self, bias: np.ndarray | None) -> "Case":
        return replace(self, bias=None if bias is None else round_to(bias, self.precision))


def make_case(
    tokens: int,
    *,
    head_dim: int = 64,
    precision: str = "fp16",
    batch: int = 1,
    heads: int = 1,
    magnitude: float = 1.0,
    with_bias: bool = True,
    seed: int = 0,
) -> Case:
    """Normal values times `magnitude`, and the same of a bias."""
    rng = np.random.default_rng([seed, tokens, head_dim, heads])
    qkv = round_to(rng.standard_normal((batch, tokens, 3, heads, head_dim)) * magnitude, precision)
    bias = round_to(rng.standard_normal((3, heads, head_dim)) * magnitude, precision)
    return Case(qkv, bias if with_bias else None, head_dim**-0.5, precision)


def split_named(entry: str) -> Split:
    return next(split for split in SPLITS if split.entry == entry)


def launch_of(split: Split, case: Case) -> Launch:
    batch, tokens, heads, head_dim = case.shape
    grid = (-(-tokens // split.rows), heads, batch)
    return Launch(split.entry, grid, (THREADS, 1, 1), split.shared_bytes(head_dim))


def run_attention(
    case: Case, entry: str, kernel: Kernel | None = None, *, arch: str = "compute_80"
) -> tuple[np.ndarray, Report]:
    """The kernel's output as float32, and what the emulator counted, races and memory checked.

    Args:
        case: Its arguments.
        entry: Entry point.
        kernel: To run in place of the one that ships.
        arch: That the PTX is made for.
    """
    planned = launch_of(split_named(entry), case)
    batch, tokens, heads, head_dim = case.shape
    out = _store(np.zeros((batch, tokens, heads * head_dim)), case.precision)
    bias = None if case.bias is None else _store(case.bias, case.precision)
    arguments = [_store(case.qkv, case.precision), bias, out, batch, tokens, heads, case.scale]
    shipped = shipped_ptx("attention", case.defines, arch) if kernel is None else None
    ptx = shipped or compile_ptx(kernel, case.defines)
    report = run_ptx(ptx, entry, planned.grid, planned.block, arguments, planned.shared_bytes, undefined=[OUT])
    assert report.unwritten == {OUT: 0}
    return from_bf16(out) if case.precision == "bf16" else out.astype(np.float32), report


def run_on_gpu(gpu: Any, case: Case, entry: str) -> np.ndarray:
    """The same on a GPU.

    Args:
        gpu: Of the fixture, which finds what is written beside the output.
        case: Arguments.
        entry: Entry point.
    """
    batch, tokens, heads, head_dim = case.shape
    qkv = gpu.upload(case.qkv, case.precision)
    bias = None if case.bias is None else gpu.upload(case.bias, case.precision)
    out = gpu.poisoned((batch, tokens, heads * head_dim), case.precision)
    sizes = (np.int32(batch), np.int32(tokens), np.int32(heads), np.float32(case.scale))
    arguments = (qkv.data_ptr(), None if bias is None else bias.data_ptr(), out.data_ptr(), *sizes)
    launch.start(
        "attention", case.defines, (launch_of(split_named(entry), case),), arguments, device=0, stream=gpu.stream
    )
    return gpu.download(out)


def _store(values: np.ndarray, precision: str) -> np.ndarray:
    return to_bf16(values) if precision == "bf16" else values.astype(np.float16)
