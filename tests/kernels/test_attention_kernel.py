"""Fused attention, run from the PTX of its source, against float64 and the naive run at its own precision.

Every run here is on the emulator with bounds, races, asynchronous copies and unwritten output checked.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from attention_cases import make_case, run_attention, run_on_gpu, split_named

from pixio_edge.kernels.catalogue import HEAD_DIMS
from pixio_edge.kernels.geometry_attention import SPLITS
from pixio_edge.kernels.oracle import RATIO_LIMIT

pytest.importorskip("cuda.bindings.nvrtc", reason="the extra 'cuda' is not installed")

ENTRIES = tuple(split.entry for split in SPLITS)
PRECISIONS = ("fp16", "bf16")
VARIANTS = [(precision, head_dim) for precision in PRECISIONS for head_dim in HEAD_DIMS]


@pytest.mark.parametrize("tokens", [1, 7, 65])
@pytest.mark.parametrize("entry", ENTRIES)
def test_error_is_within_twice_that_of_the_naive_run_for_odd_lengths(entry: str, tokens: int) -> None:
    case = make_case(tokens)

    out, _ = run_attention(case, entry)

    assert case.ratio(out) <= RATIO_LIMIT


@pytest.mark.parametrize(
    ("precision", "head_dim", "entry"), [("bf16", 80, "attention_128"), ("fp16", 96, "attention_64")]
)
@pytest.mark.parametrize("with_bias", [True, False])
def test_error_is_within_twice_that_of_the_naive_run_for_images_with_several_heads(
    precision: str, head_dim: int, entry: str, with_bias: bool
) -> None:
    case = make_case(41, head_dim=head_dim, precision=precision, batch=2, heads=3, with_bias=with_bias)

    out, _ = run_attention(case, entry)

    assert case.ratio(out) <= RATIO_LIMIT


@pytest.mark.slow
@pytest.mark.parametrize("tokens", [1, 31, 63, 64, 65, 264])
@pytest.mark.parametrize(("precision", "head_dim"), VARIANTS)
@pytest.mark.parametrize("entry", ENTRIES)
def test_error_is_within_twice_that_of_the_naive_run_for_every_variant(
    entry: str, precision: str, head_dim: int, tokens: int
) -> None:
    case = make_case(tokens, head_dim=head_dim, precision=precision, heads=2)

    out, _ = run_attention(case, entry)

    assert case.ratio(out) <= RATIO_LIMIT


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_error_is_within_twice_that_of_the_naive_run_for_random_shapes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    precision, head_dim = VARIANTS[rng.integers(len(VARIANTS))]
    case = make_case(
        int(rng.integers(1, 300)),
        head_dim=head_dim,
        precision=precision,
        batch=int(rng.integers(1, 3)),
        heads=int(rng.integers(1, 4)),
        magnitude=float(2.0 ** rng.uniform(-3, 3)),
        with_bias=bool(rng.integers(2)),
        seed=seed,
    )

    out, _ = run_attention(case, ENTRIES[rng.integers(len(ENTRIES))])

    assert case.ratio(out) <= RATIO_LIMIT


@pytest.mark.slow
@pytest.mark.parametrize("entry", ENTRIES)
def test_error_is_within_twice_that_of_the_naive_run_for_a_whole_image(entry: str) -> None:
    case = make_case(584)

    out, _ = run_attention(case, entry)

    assert case.ratio(out) <= RATIO_LIMIT


@pytest.mark.parametrize("entry", ENTRIES)
def test_work_is_done_by_matrix_instructions_on_tiles_copied_asynchronously(entry: str) -> None:
    """The counts of a run, worked out from the split: none of it goes a slower way."""
    case = make_case(65, heads=2)
    split = split_named(entry)
    warps = 2 * split.row_warps * -(-65 // split.rows)
    if split.row_warps > 1:  # a warp whose rows lie past the last token computes nothing
        warps = 2 * -(-65 // (16 * split.row_tiles))
    keys = split.keys(64)
    tiles = -(-65 // keys)
    fragments = 2 * keys // 16 * 64 // 16  # of one tile of keys and of values, 16 by 16 each

    _, report = run_attention(case, entry)

    assert report.count("ldmatrix.sync.aligned.m8n8.x4") == warps * tiles * fragments
    assert report.count("mma.sync.aligned.m16n8k16") == warps * tiles * fragments * 2 * split.row_tiles
    copied = 2 * tiles * keys * 64 * 2 // (16 * 32)  # chunks of 16 bytes, 32 by one warp instruction
    assert report.count("cp.async.cg.shared.global") == 2 * -(-65 // split.rows) * copied


@pytest.mark.parametrize("entry", ["attention_16", "attention_128"])
def test_equal_inputs_give_equal_bits(entry: str) -> None:
    case = make_case(65)

    first, second = (run_attention(case, entry)[0] for _ in range(2))

    np.testing.assert_array_equal(first, second)


@pytest.mark.cuda
@pytest.mark.parametrize(("precision", "head_dim"), VARIANTS)
@pytest.mark.parametrize("entry", ENTRIES)
def test_error_on_a_gpu_is_within_twice_that_of_the_naive_run(
    gpu: Any, entry: str, precision: str, head_dim: int
) -> None:
    for tokens in (1, 7, 63, 64, 65, 264, 584, 1037):
        case = make_case(tokens, head_dim=head_dim, precision=precision, batch=2, heads=3)

        first, second = (run_on_gpu(gpu, case, entry) for _ in range(2))

        assert case.ratio(first) <= RATIO_LIMIT, tokens
        np.testing.assert_array_equal(first, second)
