"""DPT depth head: reassemble encoder features into a pyramid, fuse it from coarse to fine, predict one value per pixel.

Ranftl et al., "Vision Transformers for Dense Prediction" (ICCV 2021). One class for our light edge head, for the head
of Pixio's depth evaluation and for Depth Anything V2's: they differ in readout, output stage and last activation.
Levels go from fine (a quarter of a patch) to coarse (two patches). transformers has no depth head that takes Pixio: its
DPT and Depth Anything classes cut off exactly one class token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from pixio_edge.errors import SpecError
from pixio_edge.models.pixio import EncoderFeatures

# Side of each level's map over the side of the token map, fine to coarse: strides 4, 8, 16 and 32 for patches of 16.
FINER = (4, 2, 1)
COARSER = 2
LEVELS = 4

# Number of output channels that each output stage takes.
OUTPUT_STAGES = {"edge": 2, "pixio": 1, "depth_anything": 2}


@dataclass(frozen=True, slots=True)
class HeadConfig:
    """Shape of a head.

    Attributes:
        indices: 0-based encoder blocks to tap, ascending; one per level that the stem does not provide.
        channels: Channels of each of the four levels after reassembly, fine to coarse.
        widths: Channels of each fusion stage, fine to coarse.
        output_channels: Channels of the 3x3 convolutions of the output stage, in order.
        use_stem: Take the stride-4 and stride-8 levels from the convolutional stem instead of upsampled tokens.
        align_corners: Sampling convention of every bilinear resize.
        readout: "mean" concatenates the mean of the class tokens to every patch token (2D channels), as Pixio's head
            does; "ignore" reads patch tokens only, as Depth Anything's does.
        output: Where the output convolutions run. "edge": the first at the finest level, the second at twice its size.
            "pixio": one, at twice the finest level. "depth_anything": the first at twice the finest level, the second
            at the size of the image.
        non_negative: Relative inverse depth below 0 becomes 0.
        max_depth: The head predicts metric depth, a sigmoid times this many metres; None for relative inverse depth.
    """

    indices: tuple[int, ...]
    channels: tuple[int, int, int, int]
    widths: tuple[int, int, int, int]
    output_channels: tuple[int, ...]
    use_stem: bool = False
    align_corners: bool = False
    readout: Literal["mean", "ignore"] = "mean"
    output: Literal["edge", "pixio", "depth_anything"] = "edge"
    non_negative: bool = False
    max_depth: float | None = None


class TokenReassemble(nn.Module):
    """One tapped block to one pyramid level: readout, 1x1 projection, resize.

    Args:
        embed_dim: Width of a token.
        channels: Channels of the level.
        level: 0 is the finest.
        use_cls_tokens: Whether the mean class token is concatenated to the patch tokens.
    """

    def __init__(self, embed_dim: int, channels: int, level: int, *, use_cls_tokens: bool) -> None:
        super().__init__()
        self.use_cls_tokens = use_cls_tokens
        self.project = nn.Conv2d(2 * embed_dim if use_cls_tokens else embed_dim, channels, 1)
        self.resize: nn.Module
        if level >= len(FINER):
            self.resize = nn.Conv2d(channels, channels, 3, stride=COARSER, padding=1)
        elif FINER[level] > 1:
            self.resize = nn.ConvTranspose2d(channels, channels, FINER[level], stride=FINER[level])
        else:
            self.resize = nn.Identity()

    def forward(self, patches: Tensor, cls_tokens: Tensor) -> Tensor:
        """Map patches (B, D, h, w) and class tokens (B, N, D) to (B, C, h', w')."""
        if self.use_cls_tokens:
            readout = cls_tokens.mean(dim=1)[:, :, None, None].expand(-1, -1, *patches.shape[-2:])
            patches = torch.cat([patches, readout], dim=1)
        level: Tensor = self.resize(self.project(patches))
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
        stem_channels: Channels of the stem's stride-4 and stride-8 maps; needed when `config.use_stem`.

    Raises:
        SpecError: `config.use_stem` without stem channels, not one index per level that the tokens have to fill, or
            not as many output channels as the output stage has convolutions.
    """

    def __init__(self, config: HeadConfig, *, embed_dim: int, stem_channels: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.config = config
        from_stem = _stem_levels(config, stem_channels)
        _check_output(config)
        self.stem_projects = nn.ModuleList(
            nn.Conv2d(in_channels, channels, 1)
            for in_channels, channels in zip(from_stem, config.channels, strict=False)
        )
        self.token_levels = nn.ModuleList(
            TokenReassemble(embed_dim, config.channels[level], level, use_cls_tokens=config.readout == "mean")
            for level in range(len(from_stem), LEVELS)
        )
        # No bias: the residual units that follow have their own.
        self.level_convs = nn.ModuleList(
            nn.Conv2d(channels, width, 3 if not config.use_stem else 1, padding=0 if config.use_stem else 1, bias=False)
            for channels, width in zip(config.channels, config.widths, strict=True)
        )
        out_widths = (config.widths[0], *config.widths[:3])
        self.fusions = nn.ModuleList(
            FusionBlock(width, out_width, has_path=level < LEVELS - 1, align_corners=config.align_corners)
            for level, (width, out_width) in enumerate(zip(config.widths, out_widths, strict=True))
        )
        first, last = config.output_channels[0], config.output_channels[-1]
        self.output_conv1 = nn.Conv2d(config.widths[0], first, 3, padding=1)
        if OUTPUT_STAGES[config.output] > 1:
            self.output_conv2 = nn.Conv2d(first, last, 3, padding=1)
        self.output_conv3 = nn.Conv2d(last, 1, 1)

    def forward(self, features: EncoderFeatures, size: tuple[int, int]) -> Tensor:
        """Predict one value per pixel.

        Args:
            features: Taps of the encoder at `config.indices`.
            size: Height and width of the result.

        Returns:
            (B, height, width): inverse depth, or depth in [0, `config.max_depth`] metres.
        """
        levels = self._levels(features)
        sizes = [(level.shape[-2], level.shape[-1]) for level in levels]
        path: Tensor | None = None
        for index, fusion in reversed(list(enumerate(self.fusions))):
            path = fusion(levels[index], path, sizes[index - 1] if index else self._finest(sizes[0]))
        assert path is not None  # there are four fusions
        return self._activate(self._predict(path, size)[:, 0])

    def _levels(self, features: EncoderFeatures) -> list[Tensor]:
        """Maps to be fused, finest first, each in the width of its fusion."""
        levels = [project(stem) for project, stem in zip(self.stem_projects, features.stem, strict=False)]
        levels += [
            reassemble(patches, cls_tokens)
            for reassemble, patches, cls_tokens in zip(
                self.token_levels, features.patches, features.cls_tokens, strict=True
            )
        ]
        return [conv(level) for conv, level in zip(self.level_convs, levels, strict=True)]

    def _finest(self, level: tuple[int, int]) -> tuple[int, int]:
        """Size of the last fusion's result: the edge head works on a quarter of the pixels."""
        return level if self.config.output == "edge" else (2 * level[0], 2 * level[1])

    def _predict(self, path: Tensor, size: tuple[int, int]) -> Tensor:
        hidden = self.output_conv1(path)
        if self.config.output == "depth_anything":  # no activation between the first two convolutions
            hidden = functional.relu(self.output_conv2(self._resize(hidden, size)))
            full: Tensor = self.output_conv3(hidden)
            return full
        hidden = functional.relu(hidden)
        if self.config.output == "edge":
            doubled = self._resize(hidden, (hidden.shape[-2] * 2, hidden.shape[-1] * 2))
            hidden = functional.relu(self.output_conv2(doubled))
        return self._resize(self.output_conv3(hidden), size)

    def _resize(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        return functional.interpolate(x, size=size, mode="bilinear", align_corners=self.config.align_corners)

    def _activate(self, value: Tensor) -> Tensor:
        if self.config.max_depth is not None:
            return torch.sigmoid(value) * self.config.max_depth
        return functional.relu(value) if self.config.non_negative else value


def _stem_levels(config: HeadConfig, stem_channels: tuple[int, int] | None) -> tuple[int, ...]:
    """Channels of the stem maps that become pyramid levels, fine to coarse; checks that the tokens fill the others."""
    if config.use_stem and stem_channels is None:
        raise SpecError("depth head: use_stem without a stem in the encoder. Fix: give the encoder a StemConfig")
    from_stem = stem_channels if config.use_stem and stem_channels is not None else ()
    expected = LEVELS - len(from_stem)
    if len(config.indices) != expected:
        raise SpecError(
            f"depth head: got {len(config.indices)} block indices, expected {expected}, one per level that the stem "
            "does not provide. Fix: change indices or use_stem"
        )
    return from_stem


def _check_output(config: HeadConfig) -> None:
    expected = OUTPUT_STAGES[config.output]
    if len(config.output_channels) != expected:
        raise SpecError(
            f"depth head: got {len(config.output_channels)} output channels, expected {expected} for output "
            f"'{config.output}'. Fix: change output_channels or output"
        )
