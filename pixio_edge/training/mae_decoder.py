"""The decoder of a masked autoencoder, which is thrown away after pretraining, and the loss on what it paints.

Pixio (arXiv 2512.15715) keeps MAE's pixels as targets (He et al. 2022) and makes the decoder deep and narrow, so that
the details of pixels are its business and the encoder's last tokens stay about the scene: 512 wide with 32 blocks,
where MAE has 8. Class tokens of the encoder are fed to it too.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from pixio_edge.errors import InputError
from pixio_edge.models.pixio import EncoderConfig, PixioEncoder, sincos_embedding
from pixio_edge.models.vit_blocks import LAYER_NORM_EPS, Block
from pixio_edge.training.masking import BlockGrid, hidden_patches, visible_positions, visible_windows

# Width of an attention head: narrower than the encoder's 64, so that a narrow decoder has more than one.
HEAD_WIDTH = 32
# Of the encoder's width.
WIDTH_SHARE = 0.5
# Added to the variance of a patch (Pixio and MAE).
VARIANCE_EPS = 1e-6


@dataclass(frozen=True, slots=True)
class DecoderConfig:
    """Shape of a decoder.

    Attributes:
        width: Width of a token, a multiple of 4.
        depth: Number of transformer blocks.

    Raises:
        InputError: The width is not a positive multiple of 4, or there is no block.
    """

    width: int
    depth: int

    def __post_init__(self) -> None:
        if self.width < 4 or self.width % 4:
            raise InputError(f"decoder: got width {self.width}, expected a multiple of 4. Fix: 96 suits nano")
        if self.depth < 1:
            raise InputError(f"decoder: got depth {self.depth}, expected at least 1. Fix: 8 suits nano")

    @classmethod
    def beside(cls, encoder: EncoderConfig) -> DecoderConfig:
        """The usual decoder for an encoder: half as wide, as deep."""
        return cls(width=round(encoder.embed_dim * WIDTH_SHARE / 4) * 4, depth=encoder.depth)

    @property
    def heads(self) -> int:
        """Attention heads, of about `HEAD_WIDTH` each."""
        return max(heads for heads in range(1, max(1, self.width // HEAD_WIDTH) + 1) if self.width % heads == 0)


class MaeDecoder(nn.Module):
    """Visible tokens to the pixels of all patches.

    Args:
        config: Its shape.
        encoder: Shape of the encoder whose tokens it gets.
    """

    def __init__(self, config: DecoderConfig, encoder: EncoderConfig) -> None:
        super().__init__()
        self.num_cls_tokens, self.grid = encoder.num_cls_tokens, encoder.grid
        self.embed = nn.Linear(encoder.embed_dim, config.width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, encoder.num_cls_tokens + encoder.grid**2, config.width))
        self.blocks = nn.ModuleList(Block(config.width, config.heads, 4) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width, eps=LAYER_NORM_EPS)
        self.paint = nn.Linear(config.width, 3 * encoder.patch_size**2)
        self._initialise()

    def forward(self, tokens: Tensor, positions: Tensor, grid: tuple[int, int]) -> Tensor:
        """Predict every patch.

        Args:
            tokens: The encoder's, (B, N + V, D), class tokens first.
            positions: Where the V visible patches are, int64 (B, V).
            grid: Rows and columns of patches.

        Returns:
            (B, rows * columns, 3 * patch²) in the layout of `cut_patches`; those of visible patches mean nothing.
        """
        embedded = self.embed(tokens)
        split, width = self.num_cls_tokens, embedded.shape[-1]
        # Under autocast the linear layer gives bfloat16, and scatter wants one type.
        patches = self.mask_token.to(embedded.dtype).expand(len(tokens), grid[0] * grid[1], -1)
        patches = patches.scatter(1, positions[..., None].expand(-1, -1, width), embedded[:, split:])
        x = torch.cat([embedded[:, :split], patches], dim=1) + self._positions(grid)
        for block in self.blocks:
            x = block(x)
        painted: Tensor = self.paint(self.norm(x)[:, split:])
        return painted

    def _positions(self, grid: tuple[int, int]) -> Tensor:
        """Position embedding for a patch grid, resampled as the encoder's is."""
        if grid == (self.grid, self.grid):
            return self.pos_embed
        split = self.num_cls_tokens
        stored = self.pos_embed[:, split:].reshape(1, self.grid, self.grid, -1).permute(0, 3, 1, 2)
        resampled = functional.interpolate(stored, size=grid, mode="bicubic", align_corners=False)
        return torch.cat([self.pos_embed[:, :split], resampled.flatten(2).transpose(1, 2)], dim=1)

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.trunc_normal_(self.mask_token, std=0.02)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        with torch.no_grad():
            self.pos_embed[:, self.num_cls_tokens :] = sincos_embedding(self.grid, self.pos_embed.shape[-1])


class MaskedAutoencoder(nn.Module):
    """An encoder that sees a quarter of an image, and a decoder that paints the rest.

    Args:
        encoder: What is kept.
        decoder: Shape of what is not.
    """

    def __init__(self, encoder: PixioEncoder, decoder: DecoderConfig) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = MaeDecoder(decoder, encoder.config)

    def forward(self, image: Tensor, blocks: Tensor, grid: BlockGrid) -> Tensor:
        """Predict every patch from the blocks that are seen.

        Args:
            image: (B, 3, H, W), ImageNet-normalised; only the blocks that are seen are read.
            blocks: Numbers of these, int64 (B, K).
            grid: Their grid.

        Returns:
            (B, patches, 3 * patch²), see `MaeDecoder`.
        """
        windows, positions = visible_windows(image, blocks, grid), visible_positions(blocks, grid)
        tokens = self.encoder.encode_visible(windows, positions, grid.patches)
        painted: Tensor = self.decoder(tokens, positions, grid.patches)
        return painted


def cut_patches(image: Tensor, patch: int) -> Tensor:
    """Pixels by patch.

    Args:
        image: (B, 3, H, W), sides multiples of the patch.
        patch: Its side in pixels.

    Returns:
        (B, H/patch * W/patch, patch² * 3): patches row by row, in each its pixels row by row with their channels.
    """
    batch, channels, height, width = image.shape
    cells = image.reshape(batch, channels, height // patch, patch, width // patch, patch)
    return cells.permute(0, 2, 4, 3, 5, 1).reshape(batch, -1, patch * patch * channels)


def join_patches(patches: Tensor, grid: tuple[int, int], patch: int) -> Tensor:
    """What `cut_patches` cut, as images (B, 3, H, W).

    Args:
        patches: (B, rows * columns, patch² * 3).
        grid: Rows and columns of patches.
        patch: Side of a patch in pixels.
    """
    rows, columns = grid
    cells = patches.reshape(-1, rows, columns, patch, patch, 3).permute(0, 5, 1, 3, 2, 4)
    return cells.reshape(-1, 3, rows * patch, columns * patch)


def patch_statistics(patches: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each patch over all its pixels and channels, each (B, patches, 1).

    The deviation is sqrt(unbiased variance + 1e-6), as in MAE and Pixio.
    """
    variance, mean = torch.var_mean(patches, dim=-1, keepdim=True)
    return mean, (variance + VARIANCE_EPS).sqrt()


def reconstruction_losses(painted: Tensor, image: Tensor, hidden: Tensor) -> Tensor:
    """Mean squared error of each image on its hidden patches, (B,), in float32.

    The target is each patch less its mean and over its deviation ("norm_pix_loss" of MAE, He et al. 2022, section 4.1;
    kept by Pixio): contrast and brightness of a hole do not count, what is in it does. To predict 0 costs just under 1.

    Args:
        painted: What was predicted, (B, patches, patch² * 3).
        image: What was to be seen, (B, 3, H, W).
        hidden: bool (B, patches); the same number in each image or not.
    """
    patch = round((painted.shape[-1] / image.shape[1]) ** 0.5)
    target = cut_patches(image.float(), patch)
    mean, deviation = patch_statistics(target)
    error = (painted.float() - (target - mean) / deviation).square().mean(dim=-1)
    return (error * hidden).sum(dim=1) / hidden.sum(dim=1)


def hidden_of(blocks: Tensor, grid: BlockGrid) -> Tensor:
    """Which patches are hidden when some blocks are seen, bool (B, patches)."""
    rows, columns = grid.patches
    return hidden_patches(visible_positions(blocks, grid), rows * columns)
