"""DPT depth head: reassemble encoder features into a pyramid, fuse it from coarse to fine, predict one value per pixel.

Ranftl et al., "Vision Transformers for Dense Prediction" (ICCV 2021); the class-token readout is Pixio's: patch tokens
concatenated with the mean of the class tokens. Levels go from fine (stride 4) to coarse (stride 32).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from pixio_edge.errors import SpecError
from pixio_edge.models.pixio import EncoderFeatures

# Of the pyramid's levels, fine to coarse.
STRIDES = (4, 8, 16, 32)


@dataclass(frozen=True, slots=True)
class HeadConfig:
    """Shape of a head.

    Attributes:
        indices: 0-based encoder blocks to tap, ascending; one per level that the stem does not provide.
        channels: Channels of each of the four levels after reassembly, fine to coarse.
        widths: Channels of each fusion stage, fine to coarse.
        output_channels: Channels of the two output convolutions (at the finest level, and after doubling it).
        use_stem: Take the stride-4 and stride-8 levels from the convolutional stem instead of upsampled tokens.
        align_corners: Sampling convention of every bilinear resize.
    """

    indices: tuple[int, ...]
    channels: tuple[int, int, int, int]
    widths: tuple[int, int, int, int]
    output_channels: tuple[int, int]
    use_stem: bool = False
    align_corners: bool = False


class TokenReassemble(nn.Module):
    """One tapped block to one pyramid level: readout, 1x1 projection, resize to the level's stride."""

    def __init__(self, embed_dim: int, channels: int, stride: int, patch_size: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(2 * embed_dim, channels, 1)
        self.resize: nn.Module
        if stride < patch_size:
            factor = patch_size // stride
            self.resize = nn.ConvTranspose2d(channels, channels, factor, stride=factor)
        elif stride == patch_size:
            self.resize = nn.Identity()
        else:
            self.resize = nn.Conv2d(channels, channels, 3, stride=stride // patch_size, padding=1)

    def forward(self, patches: Tensor, cls_tokens: Tensor) -> Tensor:
        """Map patches (B, D, h, w) and class tokens (B, N, D) to (B, C, h', w')."""
        readout = cls_tokens.mean(dim=1)[:, :, None, None].expand(-1, -1, *patches.shape[-2:])
        level: Tensor = self.resize(self.project(torch.cat([patches, readout], dim=1)))
        return level


class ResidualConvUnit(nn.Module):
    """Pre-activation residual unit of two 3x3 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        refined: Tensor = x + self.conv2(functional.relu(self.conv1(functional.relu(x))))
        return refined


class FusionBlock(nn.Module):
    """Add a level to the coarser path, refine, and resize to the next finer level."""

    def __init__(self, width: int, out_width: int, *, has_path: bool, align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.level_unit = ResidualConvUnit(width) if has_path else None
        self.path_unit = ResidualConvUnit(width)
        self.out_conv = nn.Conv2d(width, out_width, 1)

    def forward(self, level: Tensor, path: Tensor | None, size: tuple[int, int]) -> Tensor:
        """Fuse `level` (B, C, h, w) with `path` of the same shape and return (B, C', *size)."""
        if self.level_unit is not None and path is not None:
            level = path + self.level_unit(level)
        fused = self.path_unit(level)
        if size != tuple(fused.shape[-2:]):
            fused = functional.interpolate(fused, size=size, mode="bilinear", align_corners=self.align_corners)
        refined: Tensor = self.out_conv(fused)
        return refined


class DPTHead(nn.Module):
    """Encoder features to one value per pixel.

    Args:
        config: Shape of the head.
        embed_dim: Width of the encoder's tokens.
        patch_size: Stride of the encoder's tokens.
        stem_channels: Channels of the stem's stride-4 and stride-8 maps; needed when `config.use_stem`.

    Raises:
        SpecError: `config.use_stem` without stem channels, or not one index per level that the tokens have to fill.
    """

    def __init__(
        self, config: HeadConfig, *, embed_dim: int, patch_size: int = 16, stem_channels: tuple[int, int] | None = None
    ) -> None:
        super().__init__()
        self.config = config
        from_stem = _stem_levels(config, stem_channels)
        self.stem_projects = nn.ModuleList(
            nn.Conv2d(in_channels, channels, 1)
            for in_channels, channels in zip(from_stem, config.channels, strict=False)
        )
        self.token_levels = nn.ModuleList(
            TokenReassemble(embed_dim, config.channels[level], STRIDES[level], patch_size)
            for level in range(len(from_stem), len(STRIDES))
        )
        # No bias: the residual units that follow have their own.
        self.level_convs = nn.ModuleList(
            nn.Conv2d(channels, width, 3 if not config.use_stem else 1, padding=0 if config.use_stem else 1, bias=False)
            for channels, width in zip(config.channels, config.widths, strict=True)
        )
        out_widths = (config.widths[0], *config.widths[:3])
        self.fusions = nn.ModuleList(
            FusionBlock(width, out_width, has_path=level < 3, align_corners=config.align_corners)
            for level, (width, out_width) in enumerate(zip(config.widths, out_widths, strict=True))
        )
        self.output_conv1 = nn.Conv2d(config.widths[0], config.output_channels[0], 3, padding=1)
        self.output_conv2 = nn.Conv2d(config.output_channels[0], config.output_channels[1], 3, padding=1)
        self.output_conv3 = nn.Conv2d(config.output_channels[1], 1, 1)

    def forward(self, features: EncoderFeatures, size: tuple[int, int]) -> Tensor:
        """Predict one value per pixel.

        Args:
            features: Taps of the encoder at `config.indices`.
            size: Height and width of the result.

        Returns:
            (B, height, width), unbounded.
        """
        levels = [project(stem) for project, stem in zip(self.stem_projects, features.stem, strict=False)]
        levels += [
            reassemble(patches, cls_tokens)
            for reassemble, patches, cls_tokens in zip(
                self.token_levels, features.patches, features.cls_tokens, strict=True
            )
        ]
        levels = [conv(level) for conv, level in zip(self.level_convs, levels, strict=True)]
        path: Tensor | None = None
        for index, fusion in reversed(list(enumerate(self.fusions))):
            finer = levels[max(index - 1, 0)].shape[-2:]
            path = fusion(levels[index], path, (finer[0], finer[1]))
        assert path is not None  # there are four fusions
        return self._predict(path, size)

    def _predict(self, path: Tensor, size: tuple[int, int]) -> Tensor:
        align = self.config.align_corners
        hidden = functional.relu(self.output_conv1(path))
        half = (hidden.shape[-2] * 2, hidden.shape[-1] * 2)
        hidden = functional.interpolate(hidden, size=half, mode="bilinear", align_corners=align)
        value = self.output_conv3(functional.relu(self.output_conv2(hidden)))
        return functional.interpolate(value, size=size, mode="bilinear", align_corners=align)[:, 0]


def _stem_levels(config: HeadConfig, stem_channels: tuple[int, int] | None) -> tuple[int, ...]:
    """Channels of the stem maps that become pyramid levels, fine to coarse; checks that the tokens fill the others."""
    if config.use_stem and stem_channels is None:
        raise SpecError("depth head: use_stem without a stem in the encoder. Fix: give the encoder a StemConfig")
    from_stem = stem_channels if config.use_stem and stem_channels is not None else ()
    expected = len(STRIDES) - len(from_stem)
    if len(config.indices) != expected:
        raise SpecError(
            f"depth head: got {len(config.indices)} block indices, expected {expected}, one per level that the stem "
            "does not provide. Fix: change indices or use_stem"
        )
    return from_stem
