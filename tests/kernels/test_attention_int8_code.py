"""Launches, workspace and machine code of the INT8 attention, for GPUs that are not there."""

from __future__ import annotations

import re

import pytest
from compiled_kernels import shipped_cubin
from cubin_code import count_opcodes

from pixio_edge.errors import SpecError
from pixio_edge.kernels.arrays import ALIGNMENT
from pixio_edge.kernels.catalogue import HEAD_DIMS, SMS, SOURCES
from pixio_edge.kernels.geometry_attention import BLOCKS_BY_REGISTERS, SPLITS, THREADS, plan_attention
from pixio_edge.kernels.geometry_attention_int8 import (
    KEY_GROUPS,
    TILE,
    count_attention_int8,
    launch_split,
    pad_head_dim,
    plan_attention_int8,
    plan_workspace,
)

REGISTERS = 65_536  # of a multiprocessor (CUDA C++ Programming Guide, "Technical Specifications")
BLOCK_SHARED_BYTES = 99 * 1024  # the most that a block may ask for on every listed GPU ("Technical Specifications")
SHAPES = [(batch, tokens, heads) for batch in (1, 8) for tokens in (1, 63, 64, 65, 584, 1400) for heads in (3, 16)]


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
    pytest.importorskip("cuda.bindings.nvrtc", reason="the extra 'cuda' is not installed")
    compiled = shipped_cubin("attention_int8", sm, {"HEAD_DIM": head_dim, "ELEMENT_BF16": bf16})
    code = count_opcodes(compiled.cubin)

    assert all((one.spill_bytes, one.stack_bytes) == (0, 0) for one in compiled.resources.values())
    for split in SPLITS:
        entry = launch_split(split, 1, 1, 1, head_dim).entry
        assert REGISTERS // (compiled.resources[entry].registers * THREADS) >= BLOCKS_BY_REGISTERS
        # Per 16 rows and 8 keys: bytes 32 deep for the scores, half as many products as 16-bit numbers would need.
        tiles = split.row_tiles * split.keys(head_dim) // 8
        assert code[entry]["IMMA"] == tiles * pad_head_dim(head_dim) // 32
        assert code[entry]["HMMA"] == tiles * head_dim // 16
        assert code[entry]["LDSM"] == (code[entry]["IMMA"] + code[entry]["HMMA"]) // (2 * split.row_tiles)
        assert code[entry]["LDGSTS"] > 0


@pytest.mark.parametrize("head_dim", HEAD_DIMS)
def test_rows_of_keys_have_banks_of_their_own(head_dim: int) -> None:
    """ldmatrix reads 16 bytes of eight successive rows at a time: all 32 banks once."""
    source = (SOURCES / "attention_int8_rows.cuh").read_text()
    padding = int(re.search(r"kKeyStride = kPadded \+ (\d+);", source)[1])
    stride = (pad_head_dim(head_dim) + padding) // 16

    assert len({row * stride % 8 for row in range(8)}) == 8


@pytest.mark.parametrize("head_dim", HEAD_DIMS)
@pytest.mark.parametrize(("batch", "tokens", "heads"), SHAPES)
def test_workspace_holds_its_parts_one_after_the_other_at_aligned_places(
    batch: int, tokens: int, heads: int, head_dim: int
) -> None:
    plan = plan_workspace(batch, tokens, heads, head_dim)

    rows = batch * heads * -(-tokens // TILE) * TILE
    assert plan.query == 0
    assert plan.key - plan.query == plan.query_scale - plan.key == rows * pad_head_dim(head_dim)
    assert plan.key_scale - plan.query_scale == rows * 4
    assert plan.key_sum - plan.key_scale == rows // TILE * KEY_GROUPS * 4
    assert plan.size - plan.key_sum == rows // TILE * head_dim * 4
    assert all(place % ALIGNMENT == 0 for place in (plan.key, plan.query_scale, plan.key_scale, plan.key_sum))


@pytest.mark.parametrize("sm", SMS)
@pytest.mark.parametrize(("batch", "tokens", "heads"), SHAPES)
def test_launches_cover_every_token_head_and_image_and_split_as_the_float_kernel(
    batch: int, tokens: int, heads: int, sm: str
) -> None:
    prepare, prepare_keys, attend = plan_attention_int8(batch, tokens, heads, 64, sm=sm)

    (of_float,) = plan_attention(batch, tokens, heads, 64, sm=sm)
    assert [prepare.entry, prepare_keys.entry] == ["attention_int8_prepare", "attention_int8_prepare_keys"]
    assert prepare.grid == prepare_keys.grid == (-(-tokens // TILE), heads, batch)
    assert attend.entry == of_float.entry.replace("attention", "attention_int8")
    assert attend.grid == of_float.grid
    assert {prepare.block, prepare_keys.block, attend.block} == {(THREADS, 1, 1)}
    assert attend.shared_bytes <= BLOCK_SHARED_BYTES


@pytest.mark.parametrize("head_dim", HEAD_DIMS)
def test_shared_memory_of_every_split_fits_every_gpu(head_dim: int) -> None:
    assert max(launch_split(split, 1, 1, 1, head_dim).shared_bytes for split in SPLITS) <= BLOCK_SHARED_BYTES


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 264, 6, 72), r"attention_int8: got head_dim 72, expected one of: 64, 80, 96\. Fix: "),
        ((1, 0, 6, 64), r"attention_int8: got batch 1, tokens 0 and heads 6, expected at least one.*Fix: "),
        ((0, 264, 6, 64), r"attention_int8: got batch 0, tokens 264 and heads 6, expected at least one.*Fix: "),
        ((1, 264, 70_000, 64), r"attention_int8: got .*heads 70000, expected .*at most 65535.*Fix: "),
    ],
)
def test_size_that_the_kernel_does_not_take_is_refused(shape: tuple[int, int, int, int], message: str) -> None:
    for plan in (plan_attention_int8, plan_workspace, count_attention_int8):
        with pytest.raises(SpecError, match=message):
            plan(*shape)


def test_work_is_counted_from_the_shape() -> None:
    work = count_attention_int8(2, 584, 6, 64)

    pairs = 2 * 6 * 584 * 584
    assert work.int8_operations == work.float_operations == 2 * pairs * 64
    assert work.exponentials == pairs
    plane = 2 * 584 * 6 * 64 * 2
    assert work.bytes_moved == 5 * plane + 2 * plan_workspace(2, 584, 6, 64).size
