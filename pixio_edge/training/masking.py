"""Which parts of an image a masked autoencoder sees: whole blocks of patches, as windows cut out of the image.

Pixio (arXiv 2512.15715) masks 75 % of the patches in blocks of 4x4, since what is left of a smaller hole can be guessed
from its rim. MAE (He et al. 2022) masks single patches; that is a block grid with blocks of 1x1 here.

A convolutional stem makes masking harder than dropping tokens. Its receptive field (79 pixels for ours) reaches two
patches beyond its own, so a visible token that is computed from the whole image tells of hidden pixels, and the task is
solved by looking instead of by understanding. Three cures were weighed:

- Pixels set to 0, then the stem as ever: no hidden pixel gets through, but the stem costs as much as without a mask,
  three quarters of what its BatchNorms count is made of holes, and rims of holes look like edges.
- Masked convolutions (ConvMAE, Gao et al. 2022) or sparse ones (SparK, Tian et al. 2023): the mask is applied again
  after every layer, and statistics count only what is visible. Right, but every layer of the stem gets a second
  implementation, and without sparse kernels the cost is still that of the whole image.
- Windows, which we chose: what is visible are whole blocks, so each is cut out and goes through the unchanged stem as
  a small image. At its border it meets the zero padding that masked convolutions see at the border of a hole; only
  two visible blocks that touch do not see each other before attention does. Statistics count visible pixels alone, a
  quarter of the pixels cost a quarter, and the encoder is never given a hidden pixel, so that none can leak.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Patches along a side of a block, and the share of blocks that is seen: Pixio's.
BLOCK_PATCHES = 4
VISIBLE_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class BlockGrid:
    """How the patches of an image are put together to blocks, all of the same size.

    Attributes:
        rows: Blocks from top to bottom.
        columns: Blocks from left to right.
        height: Patches of a block from top to bottom.
        width: Patches of a block from left to right.
    """

    rows: int
    columns: int
    height: int
    width: int

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return self.rows * self.columns

    @property
    def patches(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return self.rows * self.height, self.columns * self.width

    @property
    def visible(self) -> int:
        """Blocks that are seen: the nearest number to a quarter, at least one, and never all."""
        return min(max(1, round(self.blocks * VISIBLE_SHARE)), self.blocks - 1)


def block_grid(rows: int, columns: int) -> BlockGrid:
    """Blocks for a patch grid.

    A side of a block is the divisor of the grid's side that is nearest to 4 by ratio, the smaller of two that are as
    near, and at most half of the grid's side, so that something can be hidden. Sides of 8, 12 and 16 patches have
    blocks of 4; of 10 blocks of 5, of 9 and 6 blocks of 3. A prime number of patches has none but single ones, as MAE.

    Args:
        rows: Rows of patches, at least 2.
        columns: Columns of patches, at least 2.
    """
    height, width = _block_side(rows), _block_side(columns)
    return BlockGrid(rows // height, columns // width, height, width)


def _block_side(patches: int) -> int:
    divisors = [side for side in range(1, patches // 2 + 1) if patches % side == 0]
    return min(divisors, key=lambda side: abs(math.log(side / BLOCK_PATCHES)))


def draw_visible(grid: BlockGrid, rng: np.random.Generator) -> NDArray[np.int64]:
    """Numbers of the blocks that are seen, ascending, (`grid.visible`,): drawn evenly without repetition."""
    return np.sort(rng.permutation(grid.blocks)[: grid.visible]).astype(np.int64)


def visible_windows(image: Tensor, blocks: Tensor, grid: BlockGrid) -> Tensor:
    """Cut the blocks that are seen out of images.

    Args:
        image: (B, C, H, W).
        blocks: Numbers of blocks, row by row, int64 (B, K).
        grid: Blocks of such an image.

    Returns:
        (B, K, C, h, w) with h = H / grid.rows and w = W / grid.columns.
    """
    batch, channels, height, width = image.shape
    high, wide = height // grid.rows, width // grid.columns
    cells = image.reshape(batch, channels, grid.rows, high, grid.columns, wide).permute(0, 2, 4, 1, 3, 5)
    cells = cells.reshape(batch, grid.blocks, channels, high, wide)
    return cells[torch.arange(batch, device=image.device)[:, None], blocks]


def visible_positions(blocks: Tensor, grid: BlockGrid) -> Tensor:
    """Where the patches of blocks are in the patch grid.

    Args:
        blocks: Numbers of blocks, int64 (B, K).
        grid: Their grid.

    Returns:
        Row-major numbers of patches, int64 (B, K * grid.height * grid.width): block by block, row by row in each.
    """
    rows, columns = grid.patches
    number = torch.arange(rows * columns, device=blocks.device)
    cells = number.reshape(grid.rows, grid.height, grid.columns, grid.width).permute(0, 2, 1, 3)
    return cells.reshape(grid.blocks, -1)[blocks].flatten(1)


def hidden_patches(positions: Tensor, patches: int) -> Tensor:
    """Which patches are hidden, bool (B, patches).

    Args:
        positions: Numbers of those that are seen, int64 (B, V).
        patches: Patches of the whole image.
    """
    hidden = torch.ones(positions.shape[0], patches, dtype=torch.bool, device=positions.device)
    return hidden.scatter(1, positions, False)
