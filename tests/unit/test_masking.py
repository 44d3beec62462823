"""What a masked autoencoder sees of an image."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pixio_edge.training.masking import (
    BlockGrid,
    block_grid,
    draw_visible,
    hidden_patches,
    visible_positions,
    visible_windows,
)


@pytest.mark.parametrize(
    ("patches", "block"), [(16, 4), (12, 4), (8, 4), (20, 4), (4, 2), (6, 3), (9, 3), (10, 5), (7, 1), (11, 1), (2, 1)]
)
def test_side_of_a_block_is_the_divisor_nearest_to_4_that_leaves_two_blocks(patches: int, block: int) -> None:
    grid = block_grid(patches, 16)

    assert (grid.height, grid.rows) == (block, patches // block)
    assert (grid.width, grid.columns) == (4, 4)
    assert grid.patches == (patches, 16)


@pytest.mark.parametrize(("patches", "hidden"), [((16, 16), 192), ((8, 8), 48), ((8, 10), 60), ((12, 16), 144)])
def test_mask_hides_exactly_three_quarters_in_every_draw(patches: tuple[int, int], hidden: int) -> None:
    grid = block_grid(*patches)
    for seed in range(20):
        blocks = torch.from_numpy(draw_visible(grid, np.random.default_rng(seed)))[None]
        mask = hidden_patches(visible_positions(blocks, grid), patches[0] * patches[1])
        assert int(mask.sum()) == hidden


def test_mask_is_made_of_whole_blocks_of_4_by_4_patches() -> None:
    grid = block_grid(16, 16)

    blocks = torch.from_numpy(draw_visible(grid, np.random.default_rng(3)))[None]
    mask = hidden_patches(visible_positions(blocks, grid), 256).reshape(16, 16)

    cells = mask.reshape(4, 4, 4, 4).permute(0, 2, 1, 3).reshape(16, 16)  # block by block
    assert torch.equal(cells.all(dim=1), cells.any(dim=1))
    assert torch.equal(torch.nonzero(~cells.any(dim=1)).flatten(), blocks[0])


def test_something_is_hidden_and_something_seen_in_the_smallest_grid() -> None:
    assert block_grid(2, 2) == BlockGrid(rows=2, columns=2, height=1, width=1)
    assert BlockGrid(rows=1, columns=2, height=4, width=4).visible == 1
    assert BlockGrid(rows=3, columns=3, height=4, width=4).visible == 2


def test_draw_is_that_of_its_seed_without_repetition_and_every_block_has_its_turn() -> None:
    grid = block_grid(16, 16)

    draws = [draw_visible(grid, np.random.default_rng(seed)) for seed in range(200)]

    assert np.array_equal(draws[5], draw_visible(grid, np.random.default_rng(5)))
    assert len({tuple(draw) for draw in draws}) > 150
    assert all(len(set(draw)) == 4 for draw in draws)
    counts = np.bincount(np.concatenate(draws), minlength=16)
    # 50 each are expected with a standard deviation of 6; a fixed seed cannot fail by chance.
    assert counts.min() > 30
    assert counts.max() < 70


def test_windows_hold_the_pixels_of_the_patches_at_their_positions() -> None:
    grid = BlockGrid(rows=2, columns=2, height=1, width=2)  # patches of 3 x 3 pixels, 2 rows of 4
    number = torch.arange(8).reshape(2, 4).repeat_interleave(3, 0).repeat_interleave(3, 1)
    image = torch.stack([number, number + 100]).unsqueeze(1).float()

    blocks = torch.tensor([[0, 3], [1, 2]])
    windows, positions = visible_windows(image, blocks, grid), visible_positions(blocks, grid)

    assert positions.tolist() == [[0, 1, 6, 7], [2, 3, 4, 5]]
    assert windows.shape == (2, 2, 1, 3, 6)
    assert windows[0, 1, 0, 0].tolist() == [6, 6, 6, 7, 7, 7]
    assert windows[1, 0, 0, 2].tolist() == [102, 102, 102, 103, 103, 103]


def test_hidden_are_all_patches_that_are_not_seen() -> None:
    hidden = hidden_patches(torch.tensor([[0, 3], [1, 2]]), 4)

    assert hidden.tolist() == [[False, True, True, False], [True, False, False, True]]
