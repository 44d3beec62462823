"""Convolutional stem for student encoders.

A ViT with one patch-embedding convolution learns from scratch very slowly on the image counts that an edge student
sees; a few stride-2 convolutions in its place cure that (Xiao et al., "Early Convolutions Help Transformers See
Better", 2021). Its maps at strides 4 and 8 also feed the depth head, as in the hybrid DPT (Ranftl et al., "Vision
Transformers for Dense Prediction", 2021), which keeps object edges sharp without upsampling tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

# Of the token map.
STRIDE = 16


@dataclass(frozen=True, slots=True)
class StemConfig:
    """Shape of a stem.

    Attributes:
        channels: Channels at strides 2, 4 and 8.
        blocks: Residual blocks at strides 4 and 8.
    """

    channels: tuple[int, int, int]
    blocks: tuple[int, int] = (1, 1)


class ConvNorm(nn.Module):
    """3x3 convolution, BatchNorm (folded at export) and optional ReLU."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1, relu: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)
        self.act = nn.ReLU() if relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C', H/stride, W/stride)."""
        result: Tensor = self.act(self.norm(self.conv(x)))
        return result


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a skip (He et al. 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(channels, channels)
        self.conv2 = ConvNorm(channels, channels, relu=False)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        result: Tensor = self.act(x + self.conv2(self.conv1(x)))
        return result


class ConvStem(nn.Module):
    """Image to a stride-16 token map, with the stride-4 and stride-8 maps on the way.

    Args:
        config: Shape of the stem.
        embed_dim: Channels of the token map.
    """

    def __init__(self, config: StemConfig, embed_dim: int) -> None:
        super().__init__()
        half, quarter, eighth = config.channels
        self.stage2 = ConvNorm(3, half, stride=2)
        self.stage4 = nn.Sequential(
            ConvNorm(half, quarter, stride=2), *(ResidualBlock(quarter) for _ in range(config.blocks[0]))
        )
        self.stage8 = nn.Sequential(
            ConvNorm(quarter, eighth, stride=2), *(ResidualBlock(eighth) for _ in range(config.blocks[1]))
        )
        self.proj = nn.Conv2d(eighth, embed_dim, 3, stride=2, padding=1)

    def forward(self, image: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Map (B, 3, H, W) to tokens (B, D, H/16, W/16) and the maps (B, C, H/4, W/4) and (B, C', H/8, W/8)."""
        quarter = self.stage4(self.stage2(image))
        eighth = self.stage8(quarter)
        return self.proj(eighth), (quarter, eighth)
