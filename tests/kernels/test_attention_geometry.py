"""How fused attention is started: the numbers of the source, the limits of GPUs, and a choice that fills them."""

from __future__ import annotations

import re

import pytest

from pixio_edge.errors import SpecError
from pixio_edge.kernels.catalogue import HEAD_DIMS, SMS, SOURCES, find_kernel
from pixio_edge.kernels.geometry_attention import (
    GPUS,
    RESERVED_SHARED_BYTES,
    SPLITS,
    STAGES,
    THREADS,
    count_attention,
    estimate_cycles,
    find_gpu,
    plan_attention,
)

SOURCE = (SOURCES / "attention.cu").read_text() + (SOURCES / "attention_split.cuh").read_text()


def test_entry_points_are_those_of_the_source_with_the_same_numbers() -> None:
    entries = re.findall(r"^ENTRY\((\w+), (\d), (\d), (.+)\)$", SOURCE, re.MULTILINE)

    assert [name for name, *_ in entries] == list(find_kernel("attention").entries)
    for split, (name, row_warps, row_tiles, keys) in zip(SPLITS, entries, strict=True):
        assert (split.entry, split.row_warps, split.row_tiles) == (name, int(row_warps), int(row_tiles))
        wide, narrow = ("64", "32") if split.wide_tiles else (keys, keys)
        assert keys in {"32", "HEAD_DIM == 64 ? 64 : 32"}
        assert (split.keys(64), split.keys(80), split.keys(96)) == (int(wide), int(narrow), int(narrow))
    assert f"kStages = {STAGES};" in SOURCE
    assert f"kWarps = {THREADS // 32};" in SOURCE


@pytest.mark.parametrize("head_dim", HEAD_DIMS)
def test_shared_memory_fits_every_listed_gpu(head_dim: int) -> None:
    assert set(GPUS) == set(SMS)
    for split in SPLITS:
        needed = split.shared_bytes(head_dim) + RESERVED_SHARED_BYTES
        assert all(needed <= gpu.shared_bytes for gpu in GPUS.values())
        assert all(split.blocks_at_once(head_dim, gpu) >= 1 for gpu in GPUS.values())


@pytest.mark.parametrize("sm", SMS)
@pytest.mark.parametrize("tokens", [1, 16, 17, 264, 1400])
def test_launch_covers_every_token_of_every_head_and_image(sm: str, tokens: int) -> None:
    (launch,) = plan_attention(3, tokens, 6, 80, sm=sm)

    rows = next(split.rows for split in SPLITS if split.entry == launch.entry)
    assert (launch.grid[0] - 1) * rows < tokens <= launch.grid[0] * rows
    assert launch.grid[1:] == (6, 3)
    assert launch.block == (128, 1, 1)


@pytest.mark.parametrize(("sm", "least"), [("sm_80", 90), ("sm_89", 90), ("sm_90", 90), ("sm_120", 90)])
def test_one_image_of_a_small_model_fills_a_large_gpu(sm: str, least: int) -> None:
    """584 tokens and 6 heads are 30 blocks of 128 queries: a quarter of these GPUs."""
    (launch,) = plan_attention(1, 584, 6, 64, sm=sm)

    assert launch.grid[0] * launch.grid[1] >= least


@pytest.mark.parametrize("sm", ["sm_87", "sm_110"])
def test_small_gpu_is_not_given_more_reads_of_keys_than_it_takes_to_fill_it(sm: str) -> None:
    (launch,) = plan_attention(1, 584, 6, 64, sm=sm)

    assert launch.entry == "attention_128"


def test_batch_takes_larger_blocks_than_one_image() -> None:
    rows = {split.entry: split.rows for split in SPLITS}
    for sm in SMS:
        one, eight = (rows[plan_attention(batch, 584, 6, 64, sm=sm)[0].entry] for batch in (1, 8))
        assert eight >= max(one, 64), sm


def test_device_with_fewer_multiprocessors_than_its_kind_takes_larger_blocks() -> None:
    (large,) = plan_attention(1, 264, 6, 64, sm="sm_89")
    (small,) = plan_attention(1, 264, 6, 64, sm="sm_89", multiprocessors=20)

    assert large.grid[0] > small.grid[0]


@pytest.mark.parametrize(("sm", "alike"), [("sm_103", "sm_100"), ("sm_88", "sm_89"), ("sm_121", "sm_120")])
def test_gpu_that_the_table_has_not_is_planned_as_the_newest_of_its_generation(sm: str, alike: str) -> None:
    """A B300 has twice the shared memory of a GeForce, and four times its products in a cycle."""
    assert find_gpu(sm) == GPUS[alike]


@pytest.mark.parametrize("sm", ["sm_86", "sm_89", "sm_120"])
@pytest.mark.parametrize(("tokens", "heads", "head_dim"), [(1400, 6, 64), (584, 16, 80), (1400, 16, 80)])
def test_many_tokens_on_a_geforce_are_not_read_by_blocks_of_16_queries(
    sm: str, tokens: int, heads: int, head_dim: int
) -> None:
    """Each block reads all keys and values of its head: 630 MB for 1,400 tokens, of a cache that gives little."""
    (launch,) = plan_attention(1, tokens, heads, head_dim, sm=sm)

    assert launch.entry != "attention_16"


def test_gpu_newer_than_the_table_is_planned_as_the_newest_of_it() -> None:
    assert plan_attention(1, 584, 6, 64, sm="sm_121") == plan_attention(1, 584, 6, 64, sm="sm_120")


def test_work_on_the_fullest_multiprocessor_is_never_estimated_below_its_products() -> None:
    """16 x 8 scores are D / 8 instructions, four of which a multiprocessor does at once."""
    for split in SPLITS:
        cycles = estimate_cycles(split, 8, 1032, 12, 64, sm="sm_80")
        instructions = 8 * 12 * (1032 / 16) * (1032 / 8) * (64 / 8)
        assert cycles >= instructions / 108 / 4 * 8


def test_bytes_and_operations_are_counted_as_on_paper() -> None:
    work = count_attention(1, 584, 6, 64)

    assert work.bytes_moved == 584 * 3 * 384 * 2 + 3 * 384 * 2 + 584 * 384 * 2
    assert work.float_operations == 2 * (2 * 584 * 584 * 64) * 6  # two products, 64 multiply-adds for each score
    assert work.exponentials == 584 * 584 * 6
    assert work.transpose_bytes == 4 * 2 * 584 * 384 * 2


@pytest.mark.parametrize("arguments", [(1, 0, 6, 64), (0, 5, 6, 64), (1, 5, 0, 64), (70000, 5, 1, 64), (1, 5, 6, 128)])
def test_size_that_the_kernel_does_not_take_is_refused(arguments: tuple[int, int, int, int]) -> None:
    for function in (plan_attention, count_attention):
        with pytest.raises(SpecError, match=r"^attention: got .*, expected .*\. Fix: "):
            function(*arguments)
