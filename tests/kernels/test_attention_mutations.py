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
TILE, ROWS, MAIN = "swizzled_tile.cuh", "attention_rows.cuh", "attention.cu"

# What it breaks: file, text, what takes its place, entry point to run, what finds it.
QUICK = {
    "the wait for a copy": (MAIN, "ptx::copy_async_wait<kStages - 2>();", "", "attention_128", AsyncCopyError),
}  # fmt: skip
SLOW = {
    "the mask of the tail, by one key": (ROWS, "% 2 < valid)", "% 2 <= valid)", "attention_128", WRONG),
    "the swizzle where values are read": (
        TILE, "tile + place(lane & 15, lane >> 4)", "tile + (lane & 15) * kRowBytes + (lane >> 4) * 16",
        "attention_128", WRONG,
    ),
    "the mask of the tail": (MAIN, "if (valid < S::kKeys)", "if (false)", "attention_32", WRONG),
    "the barrier after the wait": (MAIN, "S::synchronize(group);", "", "attention_128", PtxError),
    "the barrier of a group of two warps": (
        MAIN, "ptx::named_barrier(1, kGroupThreads);", "",
        "attention_64", PtxError,
    ),
    "the barrier of a single warp": (
        MAIN, "      __syncwarp();\n    } else if", "    } else if",
        "attention_32", PtxError,
    ),
    "the barrier before the end": (MAIN, "__syncthreads();  // All", "// All", "attention_128", RaceError),
    "the barrier before groups are put together": (
        MAIN, "  __syncthreads();\n  for", "  for",
        "attention_32", RaceError,
    ),
    "the barrier before a corner is read": (MAIN, "    __syncwarp();\n#pragma", "#pragma", "attention_128", RaceError),
    "the barrier before a corner is used again": (
        MAIN, "    __syncwarp();\n  }\n}", "  }\n}",
        "attention_128", RaceError,
    ),
    "the other stage for the next copy": (MAIN, "(stage + kStages - 1) % kStages", "stage", "attention_128", PtxError),
    "the zeros for missing keys": (TILE, "row + rows < valid_rows", "true", "attention_128", OutOfBoundsError),
    "the end of the queries": (ROWS, "min(first", "max(first", "attention_32", OutOfBoundsError),
    "the end of the output": (
        MAIN, "row < place.tokens) write_chunk", "row >= 0) write_chunk",
        "attention_128", OutOfBoundsError,
    ),
    "the end of the output of groups": (
        MAIN, "row >= place.tokens) break", "row < 0) break",
        "attention_32", OutOfBoundsError,
    ),
    "the rescaling": (ROWS, "far)) rescale(queries, risen);", "far)) return;", "attention_128", WRONG),
    "the rescaling of the sum": (ROWS, "queries.sum[tile][half] *= factor;", "", "attention_128", WRONG),
    "the weight of a group": (MAIN, "sums[there] * weight", "sums[there]", "attention_32", WRONG),
    "the sum over a quad": (
        MAIN, "ptx::quad_sum(queries.sum[tile][1])", "queries.sum[tile][1]",
        "attention_128", WRONG,
    ),
    "the bias of the queries": (ROWS, "query.x + added.x", "query.x", "attention_128", WRONG),
    "the bias of the values": (
        MAIN, "place.bias + 2 * place.distance", "place.bias + place.distance",
        "attention_128", WRONG,
    ),
    "the order of probabilities": (
        ROWS, "[2 * step + i / 2][2 * (i % 2)]", "[2 * step + i % 2][2 * (i / 2)]",
        "attention_128", WRONG,
    ),
    "the transposition of values": (TILE, "load_matrix_x4_transposed(", "load_matrix_x4(", "attention_128", WRONG),
    "the place of a copied chunk": (
        TILE, "const int flipped = ((rows >> kSwizzleShift) ^ chunks)", "const int flipped = chunks",
        "attention_32", WRONG,
    ),
    "the head": (MAIN, "head = blockIdx.y * HEAD_DIM", "head = 0", "attention_64", RaceError),
    "the image": (MAIN, "static_cast<u64>(blockIdx.z) * tokens * place.stride", "0", "attention_64", WRONG),
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
    assert fails(tmp_path / "cuda", (MAIN, "kStages = 2", "kStages = 2", "attention_128", WRONG)) == ""
