"""The Pixio encoder: a plain pre-norm ViT with several class tokens. DINOv2's differs by three fields of its shape.

Architecture facts from Yang et al., "In Pursuit of Pixel Supervision for Visual Pre-training" (arXiv 2512.15715) and
Oquab et al., "DINOv2" (2023); the code is our own. Parameter names equal the published checkpoints' (timm lineage), so
weights load by name. No q/k norm, no rotary embedding; learned position embedding with rows of its own for the class
tokens; LayerNorm epsilon 1e-6. Pixio has 8 class tokens, patch 16 and no LayerScale; DINOv2 has 1, 14 and LayerScale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from pixio_edge.errors import SpecError
from pixio_edge.models.stem import STRIDE, ConvStem, StemConfig
from pixio_edge.models.vit_blocks import LAYER_NORM_EPS, Block, PatchEmbed


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """Shape of an encoder.

    Attributes:
        embed_dim: Width of a token.
        depth: Number of transformer blocks.
        num_heads: Attention heads; divides `embed_dim`.
        mlp_ratio: Hidden width of a block's MLP over `embed_dim`.
        patch_size: Side of a patch in pixels.
        num_cls_tokens: Class tokens in front of the patch tokens.
        image_size: Square size in pixels whose patch grid has its position embedding stored; other sizes resample it.
        stem: Convolutions in place of the single patch-embedding convolution ("early convolutions", Xiao et al. 2021).
        layer_scale: LayerScale on both branches of a block, as in DINOv2.
        position_offset: Added to a side of the patch grid when the position embedding is resampled for it by that
            factor. 0 is Pixio's choice and that of transformers for every ViT; DINOv2 and Depth Anything V2 were
            trained and released with 0.1, which shifts the samples by up to a tenth of a patch.
    """

    embed_dim: int
    depth: int
    num_heads: int
    mlp_ratio: int = 4
    patch_size: int = 16
    num_cls_tokens: int = 8
    image_size: int = 256
    stem: StemConfig | None = None
    layer_scale: bool = False
    position_offset: float = 0.0

    @property
    def grid(self) -> int:
        """Patches per side at `image_size`."""
        return self.image_size // self.patch_size


@dataclass(frozen=True, slots=True)
class EncoderFeatures:
    """What a head reads.

    Attributes:
        stem: Maps of the stem at strides 4 and 8, (B, C, H/4, W/4) and (B, C', H/8, W/8); empty without a stem.
        patches: Patch tokens per tapped block as maps, each (B, D, H/patch, W/patch).
        cls_tokens: Class tokens per tapped block, each (B, N, D).
    """

    stem: tuple[Tensor, ...]
    patches: tuple[Tensor, ...]
    cls_tokens: tuple[Tensor, ...]


class PixioEncoder(nn.Module):
    """Image to tokens, with taps by explicit block indices.

    Block indices are 0-based. transformers counts from 1 ("stage8" is block 7, `hidden_states[8]` its output), and the
    example in its documentation of Pixio is one off from Pixio's own depth taps.

    Args:
        config: Shape of the encoder.

    Raises:
        SpecError: The stem and the patch size differ in stride.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        if config.stem is not None and config.patch_size != STRIDE:
            raise SpecError(
                f"encoder: got a stem of stride {STRIDE} and patch size {config.patch_size}, expected equal strides. "
                f"Fix: patch_size={STRIDE}, or no stem"
            )
        self.config = config
        dim = config.embed_dim
        self.cls_token = nn.Parameter(torch.zeros(1, config.num_cls_tokens, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, config.num_cls_tokens + config.grid**2, dim))
        self.patch_embed = ConvStem(config.stem, dim) if config.stem else PatchEmbed(dim, config.patch_size)
        self.blocks = nn.ModuleList(
            Block(dim, config.num_heads, config.mlp_ratio, layer_scale=config.layer_scale) for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self._initialise()

    def forward(self, image: Tensor) -> Tensor:
        """Final tokens after the last norm.

        Args:
            image: (B, 3, H, W), RGB, ImageNet-normalised; H and W multiples of the patch size.

        Returns:
            (B, N + H/patch * W/patch, D): class tokens first, then patches row by row.

        Raises:
            SpecError: H or W is not a multiple of the patch size.
        """
        tokens, _, _ = self._embed(image)
        for block in self.blocks:
            tokens = block(tokens)
        normed: Tensor = self.norm(tokens)
        return normed

    def encode_visible(self, windows: Tensor, positions: Tensor, grid: tuple[int, int]) -> Tensor:
        """Final tokens of an image of which only some windows are seen, for masked pretraining.

        Each window goes through the stem as an image of its own, so that nothing outside it can show in its tokens; the
        blocks then see the tokens of all windows, each with the position embedding of its place in the whole image.
        One window that is the whole image gives what `forward` gives.

        Args:
            windows: (B, K, 3, h, w), as for `forward`; cut along the patch grid.
            positions: Row-major number in the patch grid of each patch, int64 (B, V), V = K * h/patch * w/patch: window
                by window, row by row in each.
            grid: Rows and columns of patches of the whole image.

        Returns:
            (B, N + V, D): class tokens first, then patches in the order of `positions`.
        """
        batch = len(windows)
        laid_out = windows.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        grid_map, _ = self.patch_embed(laid_out)
        patches = grid_map.flatten(2).transpose(1, 2).reshape(batch, -1, self.config.embed_dim)
        split = self.config.num_cls_tokens
        embedding = self.position_embedding(*grid)
        tokens = torch.cat(
            [(self.cls_token + embedding[:, :split]).expand(batch, -1, -1), patches + embedding[0, split:][positions]],
            dim=1,
        )
        for block in self.blocks:
            tokens = block(tokens)
        normed: Tensor = self.norm(tokens)
        return normed

    def forward_intermediates(self, image: Tensor, indices: Sequence[int]) -> EncoderFeatures:
        """Outputs of some blocks, each through the final norm, as the original's depth heads read them.

        Every tap gets the same final norm, also the last. (transformers' `hidden_states` are before it, and its
        `PixioBackbone` leaves its own copy of it untrained when it loads a `PixioModel` checkpoint.)

        Args:
            image: As for `forward`.
            indices: Ascending 0-based block indices; blocks after the last are not run.

        Returns:
            One map and one set of class tokens per index, in ascending order.

        Raises:
            SpecError: H or W is not a multiple of the patch size.
        """
        tokens, stem, (rows, columns) = self._embed(image)
        patches, cls_tokens = [], []
        split = self.config.num_cls_tokens
        for index in range(max(indices) + 1):
            tokens = self.blocks[index](tokens)
            if index in indices:
                normed = self.norm(tokens)
                cls_tokens.append(normed[:, :split])
                patches.append(normed[:, split:].transpose(1, 2).reshape(-1, self.config.embed_dim, rows, columns))
        return EncoderFeatures(stem, tuple(patches), tuple(cls_tokens))

    def position_embedding(self, rows: int, columns: int) -> Tensor:
        """Position embedding for a patch grid, (1, N + rows * columns, D).

        Patch rows are resampled bicubically without antialiasing (the original's choice); class-token rows are kept.
        With an offset torch samples by the given factor and not by the ratio of the sizes, as DINOv2 does.
        """
        split, grid = self.config.num_cls_tokens, self.config.grid
        if (rows, columns) == (grid, grid):
            return self.pos_embed
        stored = self.pos_embed[:, split:].reshape(1, grid, grid, -1).permute(0, 3, 1, 2)
        if offset := self.config.position_offset:
            factors = ((rows + offset) / grid, (columns + offset) / grid)
            resampled = functional.interpolate(stored, scale_factor=factors, mode="bicubic", align_corners=False)
        else:
            resampled = functional.interpolate(stored, size=(rows, columns), mode="bicubic", align_corners=False)
        return torch.cat([self.pos_embed[:, :split], resampled.flatten(2).transpose(1, 2)], dim=1)

    def embed_patches(self, image: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Image to patch tokens without position, as a map (B, D, H/patch, W/patch), and the maps of the stem.

        Args:
            image: As for `forward`.

        Raises:
            SpecError: H or W is not a multiple of the patch size.
        """
        height, width = image.shape[-2:]
        patch = self.config.patch_size
        if height % patch or width % patch:
            raise SpecError(
                f"encoder input: got {height}x{width}, expected both sides to be multiples of {patch}. "
                "Fix: resize or pad the image"
            )
        embedded: tuple[Tensor, tuple[Tensor, ...]] = self.patch_embed(image)
        return embedded

    def _embed(self, image: Tensor) -> tuple[Tensor, tuple[Tensor, ...], tuple[int, int]]:
        grid_map, stem = self.embed_patches(image)
        rows, columns = grid_map.shape[-2:]
        tokens = torch.cat([self.cls_token.expand(image.shape[0], -1, -1), grid_map.flatten(2).transpose(1, 2)], dim=1)
        return tokens + self.position_embedding(rows, columns), stem, (rows, columns)

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        with torch.no_grad():
            self.pos_embed[:, self.config.num_cls_tokens :] = sincos_embedding(self.config.grid, self.config.embed_dim)


def sincos_embedding(grid: int, dim: int) -> Tensor:
    """Fixed 2-D sine-cosine embedding (MAE, He et al. 2022), as a starting point for the learned one.

    Args:
        grid: Patches per side.
        dim: Width of a token, a multiple of 4.

    Returns:
        (1, grid * grid, dim), row by row: the first half of a token encodes the column, the second the row.
    """
    quarter = dim // 4
    omega = 10000.0 ** -(torch.arange(quarter, dtype=torch.float64) / quarter)
    angles = torch.arange(grid, dtype=torch.float64)[:, None] * omega  # (grid, dim/4)
    axis = torch.cat([angles.sin(), angles.cos()], dim=1)  # (grid, dim/2)
    rows = axis[:, None, :].expand(grid, grid, -1)
    columns = axis[None, :, :].expand(grid, grid, -1)
    return torch.cat([columns, rows], dim=-1).reshape(1, grid * grid, 4 * quarter).float()
