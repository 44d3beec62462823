"""Fused attention broken on purpose: every guard of the kernel is missed by some test when it is gone."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from attention_cases import make_case, run_attention
from ptx_errors import AsyncCopyError, OutOfBoundsError, PtxError, RaceError

from pixio_edge.kernels.catalogue import SOURCES, Kernel, find_kernel
from pixio_edge.kernels.oracle import RATIO_LIMIT

pytest.importorskip("cuda.bindings.nvrtc", reason="the extra 'cuda' is not installed")

WRONG = None  # the output is wrong, no check of the emulator finds it
TILE, ROWS = "swizzled_tile.cuh", "attention_rows.cuh"
SPLIT, MAIN = "attention_split.cuh", "attention.cu"

# What it breaks: file, text, what takes its place, entry point to run, what finds it.
QUICK = {
    "the wait for a copy": (MAIN, "ptx::copy_async_wait<kStages - 2>();", "", "attention_128", AsyncCopyError),
}  # fmt: skip
SLOW = {
    "the mask of the tail, by one key": (ROWS, "% 2 < valid)", "% 2 <= valid)", "attention_128", WRONG),
    "the mask of the tail": (MAIN, "if (valid < S::kKeys)", "if (false)", "attention_32", WRONG),
    "the swizzle where values are read": (
        TILE, "tile + place(lane & 15, lane >> 4)", "tile + (lane & 15) * kRowBytes + (lane >> 4) * 16",
        "attention_128", WRONG,
    ),
    "the swizzle where tiles are copied": (
        TILE, "const int flipped = ((rows >> kSwizzleShift) ^ chunks)", "const int flipped = chunks",
        "attention_32", WRONG,
    ),
    "the barrier after the wait": (MAIN, "S::synchronize();", "", "attention_128", PtxError),
    "the barrier of two warps": (SPLIT, "ptx::named_barrier(1, kGroupThreads);", "", "attention_64", PtxError),
    "the barrier of one warp": (SPLIT, "      __syncwarp();\n", "", "attention_32", PtxError),
    "the barrier before the end": (SPLIT, "__syncthreads();  // All", "// All", "attention_128", RaceError),
    "the barrier before sums are read": (SPLIT, "    __syncthreads();\n    for", "    for", "attention_32", RaceError),
    "the other stage for the next copy": (MAIN, "(stage + kStages - 1) % kStages", "stage", "attention_128", PtxError),
    "the zeros for missing keys": (TILE, "row + rows < valid_rows", "true", "attention_128", OutOfBoundsError),
    "the end of the queries": (MAIN, "min(first", "max(first", "attention_32", OutOfBoundsError),
    "the end of the output": (SPLIT, "(token >= output.tokens)", "(token < 0)", "attention_128", OutOfBoundsError),
    "the rescaling": (ROWS, "is_far)) rescale(rows, risen);", "is_far)) return;", "attention_128", WRONG),
    "the rescaling of the sum": (ROWS, "rows.sum[tile][half] *= factor;", "", "attention_128", WRONG),
    "the weight of a group": (SPLIT, "sum[there] * weight", "sum[there]", "attention_32", WRONG),
    "the sum over a quad": (SPLIT, "ptx::quad_sum(rows.sum", "(rows.sum", "attention_16", WRONG),
    "the bias of the queries": (MAIN, "query.x + added.x", "query.x", "attention_128", WRONG),
    "the bias of the values": (MAIN, "bias + 2 * width + head", "bias + width + head", "attention_128", WRONG),
    "the order of probabilities": (
        ROWS, "[2 * step + i / 2][2 * (i % 2)]", "[2 * step + i % 2][2 * (i / 2)]",
        "attention_128", WRONG,
    ),
    "the transposition of values": (TILE, "load_matrix_x4_transposed(", "load_matrix_x4(", "attention_128", WRONG),
    "the head": (MAIN, "head = blockIdx.y * HEAD_DIM", "head = 0", "attention_64", RaceError),
    "the image": (MAIN, "qkv + image * 3 * width", "qkv", "attention_64", WRONG),
}  # fmt: skip


def fails(folder: Path, mutation: tuple[str, str, str, str, type[PtxError] | None]) -> str:
    """What became of the broken kernel; the empty string if nothing noticed."""
    file, text, broken, entry, _ = mutation
    shutil.copytree(SOURCES, folder)
    source = (folder / file).read_text()
    assert text in source, "the mutation is out of date"
    (folder / file).write_text(source.replace(text, broken, 1))
    kernel: Kernel = replace(find_kernel("attention"), folder=folder)
    # Loud keys after quiet ones, so that rows are rescaled; scores below that of a missing key, which would be 0; more
    # tiles than stages; a tail; more than one head and image.
    case = make_case(133, batch=2, heads=2)
    case.qkv[:, 60:, :2] *= 2
    case.qkv[:, :, 0, :, 0] = 8
    case.qkv[:, :, 1, :, 0] = -24
    try:
        out, _ = run_attention(case, entry, kernel)
    except PtxError as error:
        return type(error).__name__
    except AssertionError:
        return "unwritten"
    return "wrong" if case.ratio(out) > RATIO_LIMIT else ""


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_kernel_without_a_guard_is_found(tmp_path: Path, name: str) -> None:
    mutation = (QUICK | SLOW)[name]
    expected = mutation[4]

    found = fails(tmp_path / "cuda", mutation)

    if expected is WRONG:
        assert found == "wrong"
    elif expected is PtxError:
        assert found in {"RaceError", "AsyncCopyError", "UninitialisedError"}
    else:
        assert found == expected.__name__


def test_kernel_that_ships_passes_what_the_broken_ones_fail(tmp_path: Path) -> None:
    assert fails(tmp_path / "cuda", (SPLIT, "kStages = 2", "kStages = 2", "attention_128", WRONG)) == ""
