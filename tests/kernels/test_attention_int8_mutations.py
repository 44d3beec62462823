"""INT8 attention broken on purpose: a guard of the kernel is missed when it is gone.

What it shares with the float kernel is broken in `test_attention_mutations`. One guard is not here: rows past the last
token are not loaded from the workspace, and whatever is there would not show.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from attention_cases import Case, make_case
from attention_int8_cases import run_attention_int8, simulate
from ptx_errors import AsyncCopyError, OutOfBoundsError, PtxError, RaceError, UninitialisedError

from pixio_edge.kernels.catalogue import SOURCES, Kernel, find_kernel
from pixio_edge.kernels.oracle_attention_int8 import quantize_attention
from pixio_edge.kernels.precision import round_to

pytest.importorskip("cuda.bindings.nvrtc", reason="the extra 'cuda' is not installed")

WRONG = "wrong"  # what the kernel leaves differs from the numpy text, no check of the emulator finds it
PREPARE, ROWS, MAIN = "attention_int8_prepare.cuh", "attention_int8_rows.cuh", "attention_int8.cu"

# Largest difference from the numpy text over its largest number. Of the kernel that ships: 0.00063, one last place.
SAME = 0.0013

# What it breaks: file, text, what takes its place, split to run, what finds it.
QUICK = {
    "the mean key": (PREPARE, "__fsub_rn(x[i], mean[half * kHalf + i])", "x[i]", "attention_128", WRONG),
}
SLOW = {
    "the wait for a copy": (MAIN, "ptx::copy_async_wait<kStages - 2>();", "", "attention_128", AsyncCopyError),
    "the bias of queries": (PREPARE, "__fadd_rn(x[i], offset[i])", "x[i]", "attention_128", WRONG),
    "the softmax scale": (PREPARE, "__fmul_rn(scale, kLog2E)", "kLog2E", "attention_128", WRONG),
    "the scale of a row": (PREPARE, "bits = max(bits, ptx::shuffle_xor(bits, 1));\n  const float", "const float",
                           "attention_128", WRONG),
    "the range of keys over two tokens": (PREPARE, "bits = max(bits, ptx::shuffle_xor(bits, 2));", "",
                                          "attention_128", WRONG),
    "the range of keys over eight tokens": (PREPARE, "bits = max(bits, ptx::shuffle_xor(bits, 16));", "",
                                            "attention_128", WRONG),
    "the range of keys over warps": (PREPARE, "max(ranges[2][group], ranges[3][group])", "ranges[2][group]",
                                     "attention_128", WRONG),
    "the range of a zero row": (PREPARE, "u32 range = kSmallestRange", "u32 range = 0", "attention_128", WRONG),
    "the end of the queries to prepare": (PREPARE, "is_valid ? find_row(qkv, 0", "token >= 0 ? find_row(qkv, 0",
                                          "attention_128", OutOfBoundsError),
    "the end of the keys to prepare": (PREPARE, "is_valid ? find_row(qkv, 1", "token >= 0 ? find_row(qkv, 1",
                                       "attention_128", OutOfBoundsError),
    "the end of the keys to add": (PREPARE, "if (token < tokens) {", "if (token >= 0) {", "attention_128",
                                   OutOfBoundsError),
    "the zeros past the last key": (PREPARE, "__syncthreads();\n  if (is_valid)", "__syncthreads();\n  if (true)",
                                    "attention_128", WRONG),
    "the barrier before sums are added": (PREPARE, "__syncthreads();\n  const int dim", "const int dim",
                                          "attention_128", RaceError),
    "the barrier before the mean is read": (PREPARE, "__syncthreads();\n  if (is_valid)", "if (is_valid)",
                                            "attention_128", RaceError),
    "the barrier before ranges are read": (PREPARE, "__syncthreads();\n  bits", "bits", "attention_128", RaceError),
    "the scale of keys of its group": (MAIN, "place.key_scales + lane % 4", "place.key_scales", "attention_128", WRONG),
    "the scale of keys of its tile": (MAIN, "first / int8::kTile * int8::kKeyScales", "0", "attention_64", WRONG),
    "the mask of the tail": (MAIN, "if (first + S::kKeys > place.tokens)", "if (false)", "attention_32", WRONG),
    "the zeros for missing values": (MAIN, "thread_source, row + rows < valid_rows", "thread_source, true",
                                     "attention_128", OutOfBoundsError),
    "the barrier after the wait": (MAIN, "S::synchronize();", "", "attention_128", PtxError),
    "the other stage for the next copy": (MAIN, "kAdvance, 1 - stage)", "kAdvance, stage)", "attention_128", PtxError),
    "the number that products begin with": (ROWS, "__fmaf_rn(-kMagic, scale[tile][half], -rows", "(-rows",
                                            "attention_128", WRONG),
    "the bias of values": (MAIN, "bias + 2 * width + head", "bias + width + head", "attention_128", WRONG),
    "the values": (MAIN, "+ 2 * heads * HEAD_DIM + head", "+ heads * HEAD_DIM + head",
                   "attention_128", WRONG),
    "the place of a copied chunk": (MAIN, "tile::advance(thread_destination, rows, 0)",
                                    "thread_destination + rows * tile::kRowBytes + 16", "attention_128",
                                    OutOfBoundsError),
    "the head of values": (MAIN, "const int head = blockIdx.y * HEAD_DIM, tiles", "const int head = 0, tiles",
                           "attention_64", WRONG),
    "the head of the output": (MAIN, "const int head = blockIdx.y * HEAD_DIM, width", "const int head = 0, width",
                               "attention_64", RaceError),
    "the image": (MAIN, "static_cast<u64>(blockIdx.z) * place.tokens", "static_cast<u64>(0)", "attention_64", PtxError),
}  # fmt: skip


def make_hard_case() -> Case:
    """What guards are for: keys with a common offset, loud ones after quiet ones, a query of zeros, a tail, two images.

    In the second image all keys weigh nearly the same and values are all of one sign, so that each missing key counts.
    """
    case = make_case(197, batch=2, heads=2)
    case.qkv[:, 60:, :2] *= 2
    case.qkv[:, :, 1] += 24 * np.sign(np.random.default_rng(0).standard_normal(64))
    case.qkv[1, :, 0] *= 1 / 16
    case.qkv[1, :, 0] -= case.bias[0]
    case.qkv[1, :, 2] += 4
    case.qkv[:, 3, 0] = -case.bias[0]
    return replace(case, qkv=round_to(case.qkv, case.precision))


def break_kernel(folder: Path, file: str, text: str, broken: str) -> Kernel:
    shutil.copytree(SOURCES, folder)
    source = (folder / file).read_text()
    assert text in source, "the mutation is out of date"
    (folder / file).write_text(source.replace(text, broken, 1))
    return replace(find_kernel("attention_int8"), folder=folder)


def judge(kernel: Kernel | None, entry: str) -> str:
    """What became of a kernel, None being the one that ships; the empty string if nothing noticed."""
    case = make_hard_case()
    try:
        run = run_attention_int8(case, entry, kernel)
    except PtxError as error:
        return type(error).__name__
    except AssertionError:
        return "unwritten"
    simulated = simulate(case)
    query, key = (case.qkv[:, :, part].transpose(0, 2, 1, 3) for part in (0, 1))
    expected = quantize_attention(query + case.bias[0][:, None], key, scale=case.scale)
    parts = ("query", "query_scale", "key", "key_scale")
    if any((getattr(run.quantized, part) != getattr(expected, part)).any() for part in parts):
        return WRONG
    return "" if np.abs(run.out - simulated).max() <= SAME * np.abs(simulated).max() else WRONG


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_kernel_without_a_guard_is_found(tmp_path: Path, name: str) -> None:
    file, text, broken, entry, expected = (QUICK | SLOW)[name]

    found = judge(break_kernel(tmp_path / "cuda", file, text, broken), entry)

    if expected is WRONG:
        assert found == WRONG
    elif expected is PtxError:
        assert found in {RaceError.__name__, AsyncCopyError.__name__, UninitialisedError.__name__, "unwritten"}
    else:
        assert found == expected.__name__


@pytest.mark.parametrize("entry", ["attention_128", "attention_32"])
def test_kernel_that_ships_passes_what_the_broken_ones_fail(entry: str) -> None:
    assert judge(None, entry) == ""
