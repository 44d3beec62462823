"""Machine code of fused attention for GPUs that are not there, and the layout of its shared memory."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from compiled_kernels import shipped_cubin
from cubin_code import count_opcodes
from ptx_emulator import run_ptx

from pixio_edge.kernels.catalogue import HEAD_DIMS, SMS, SOURCES, Kernel
from pixio_edge.kernels.compile import compile_ptx
from pixio_edge.kernels.geometry_attention import BLOCKS_BY_REGISTERS, SPLITS, THREADS

pytest.importorskip("cuda.bindings.nvrtc", reason="the extra 'cuda' is not installed")

REGISTERS = 65_536  # of a multiprocessor (CUDA C++ Programming Guide, "Technical Specifications")
CHUNKS_AT_ONCE = 8  # of 16 bytes: 32 banks of 4


@pytest.mark.parametrize(
    ("sm", "head_dim", "bf16"),
    [
        ("sm_87", 64, 0),
        *(
            pytest.param(sm, head_dim, bf16, marks=pytest.mark.slow)
            for sm in SMS
            for head_dim in HEAD_DIMS
            for bf16 in (0, 1)
        ),
    ],
)
def test_code_keeps_everything_in_registers_and_multiplies_on_matrix_units(sm: str, head_dim: int, bf16: int) -> None:
    compiled = shipped_cubin("attention", sm, {"HEAD_DIM": head_dim, "ELEMENT_BF16": bf16})
    code = count_opcodes(compiled.cubin)

    for split in SPLITS:
        resources = compiled.resources[split.entry]
        assert (resources.spill_bytes, resources.stack_bytes) == (0, 0)
        assert REGISTERS // (resources.registers * THREADS) >= BLOCKS_BY_REGISTERS
        # Two products of a tile, 16 x 8 x 16 each; a fragment is loaded once for two columns and all tiles of rows.
        products = 2 * split.row_tiles * split.keys(head_dim) // 8 * head_dim // 16
        assert code[split.entry]["HMMA"] == products
        assert code[split.entry]["LDSM"] == products // (2 * split.row_tiles)
        assert code[split.entry]["LDGSTS"] > 0


@pytest.mark.parametrize("head_dim", HEAD_DIMS)
def test_chunks_of_a_tile_have_places_of_their_own_without_bank_conflicts(tmp_path: Path, head_dim: int) -> None:
    """`place` as the source computes it: a kernel of one line asks for all of a tile of 64 rows."""
    chunks = head_dim // 8
    places = ask_places(tmp_path / "cuda", head_dim) // 16

    assert sorted(places.ravel()) == list(range(64 * chunks))
    banks = places % CHUNKS_AT_ONCE
    for chunk in range(chunks):  # ldmatrix: one chunk of eight successive rows
        assert all(len(set(banks[row : row + 8, chunk])) == CHUNKS_AT_ONCE for row in range(0, 64, 8))
    # A copy: eight threads with eight chunks side by side, or with the further ones of several rows.
    assert all(len(set(banks[row, :8])) == CHUNKS_AT_ONCE for row in range(64))
    rows = CHUNKS_AT_ONCE // max(chunks - 8, 1)
    further = [banks[row : row + rows, 8:].ravel() for row in range(0, 64, rows)]
    assert all(len(set(group)) == len(group) for group in further)


def test_partial_sums_are_stored_without_bank_conflicts() -> None:
    """A half warp stores 8 bytes each: four rows of 16 lanes in 32 banks."""
    padding = int(re.search(r"kStride = HEAD_DIM \+ (\d+);", (SOURCES / "attention_split.cuh").read_text())[1])
    for head_dim in HEAD_DIMS:
        words = [
            row * (head_dim + padding) + 2 * lane + half for row in range(4) for lane in range(4) for half in (0, 1)
        ]
        assert len({word % 32 for word in words}) == len(words)


def ask_places(folder: Path, head_dim: int) -> np.ndarray:
    """Byte offset of each chunk of 64 rows, and that `advance` comes to the same."""
    shutil.copytree(SOURCES, folder)
    (folder / "places.cu").write_text(
        '#include "swizzled_tile.cuh"\n'
        'extern "C" __global__ void places(u32* direct, u32* advanced) {\n'
        "  const int row = blockIdx.x, chunk = threadIdx.x, i = row * tile::kChunks + chunk;\n"
        "  if (chunk >= tile::kChunks) return;\n"
        "  direct[i] = tile::place(row, chunk);\n"
        "  advanced[i] = tile::advance(tile::place(row & 15, chunk & 1), row & ~15, chunk & ~1);\n"
        "}\n"
    )
    kernel = Kernel("places", "places.cu", ("places",), {"HEAD_DIM": HEAD_DIMS}, folder)
    direct, advanced = (np.zeros((64, head_dim // 8), np.uint32) for _ in range(2))
    run_ptx(compile_ptx(kernel, {"HEAD_DIM": head_dim}), "places", (64, 1, 1), (32, 1, 1), [direct, advanced])
    np.testing.assert_array_equal(direct, advanced)
    return direct
