"""Exact rewrites of the DPT head for export.

Each function changes the graph and not the function it computes beyond rounding; `tests/parity` proves every one of
them in float64. All change the head they are given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from pixio_edge.models.dpt import DPTHead, FusionBlock, TokenReassemble

if TYPE_CHECKING:
    from pixio_edge.models.dpt import ResidualConvUnit


def merge_pointwise_convs_(head: DPTHead) -> int:
    """Merge each 1x1 level convolution into the convolution before it, where that saves multiplications.

    Two linear maps in a row are one: the 1x1 convolution mixes the output channels of its predecessor. Can be deleted
    when no preset has 1x1 level convolutions.

    Returns:
        How many were merged.
    """
    merged = 0
    for index, level_conv in enumerate(head.level_convs):
        if not isinstance(level_conv, nn.Conv2d) or level_conv.kernel_size != (1, 1):
            continue
        owner, name = _last_conv(head, index)
        conv = owner.get_submodule(name)
        if isinstance(conv, nn.Conv2d) and _merging_saves(conv, level_conv):
            owner.set_submodule(name, _merge(conv, level_conv))
            head.level_convs[index] = nn.Identity()
            merged += 1
    return merged


def split_readouts_(head: DPTHead) -> int:
    """Turn the class-token half of each readout projection into a bias per image.

    The mean class token is the same at every position, so its half of the 1x1 convolution is one matrix-vector product
    instead of one per position: half the multiplications, and no concatenation. Source: the structure of Pixio's depth
    head. Can be deleted when heads do not read class tokens.

    Returns:
        How many levels were changed.
    """
    for index, level in enumerate(head.token_levels):
        if isinstance(level, TokenReassemble) and level.use_cls_tokens:
            head.token_levels[index] = SplitReadout(level)
    return sum(isinstance(level, SplitReadout) for level in head.token_levels)


def unfold_transposed_convs_(head: DPTHead) -> int:
    """Write each ConvTranspose whose kernel equals its stride as a 1x1 convolution and DepthToSpace.

    Windows do not overlap, so output pixel (i, j) of a cell is a matrix product of the input pixel with the kernel's
    tap (i, j). ONNX Runtime and TensorRT have no INT8 kernel for ConvTranspose, and a fast one for the 1x1 convolution.
    Can be deleted when they have.

    Returns:
        How many were written.
    """
    found = [
        (name, module)
        for name, module in head.named_modules()
        if isinstance(module, nn.ConvTranspose2d) and module.kernel_size == module.stride
    ]
    for name, module in found:
        head.set_submodule(name, _depth_to_space(module))
    return len(found)


def commute_out_convs_(head: DPTHead) -> int:
    """Move the 1x1 convolution of each fusion block before its bilinear resize.

    They commute: one mixes channels and the other positions, and bilinear weights sum to 1, so the bias passes too. At
    a factor of 2 the convolution then costs a quarter. Can be deleted when the blocks are trained in this order.

    Returns:
        How many blocks were changed.
    """
    for index, fusion in enumerate(head.fusions):
        if isinstance(fusion, FusionBlock):
            head.fusions[index] = CommutedFusion(fusion)
    return len(head.fusions)


class SplitReadout(nn.Module):
    """`TokenReassemble` with the class-token half of its projection as a bias.

    Args:
        level: The module to take over; it is not changed.
    """

    def __init__(self, level: TokenReassemble) -> None:
        super().__init__()
        weight, bias = level.project.weight.detach(), level.project.bias
        channels, dim = weight.shape[0], weight.shape[1] // 2
        self.patches = nn.Conv2d(dim, channels, 1, bias=False, dtype=weight.dtype)
        self.readout = nn.Linear(dim, channels, bias=bias is not None, dtype=weight.dtype)
        self.resize = level.resize
        self.patches.weight.data = weight[:, :dim].clone()
        self.readout.weight.data = weight[:, dim:, 0, 0].clone()
        if bias is not None:
            self.readout.bias.data = bias.detach().clone()

    def forward(self, patches: Tensor, cls_tokens: Tensor) -> Tensor:
        """As `TokenReassemble.forward`."""
        bias = self.readout(cls_tokens.mean(dim=1))[:, :, None, None]
        result: Tensor = self.resize(self.patches(patches) + bias)
        return result


class CommutedFusion(nn.Module):
    """`FusionBlock` whose 1x1 convolution runs before the resize.

    Args:
        fusion: The module to take over; its parts are shared, not copied.
    """

    def __init__(self, fusion: FusionBlock) -> None:
        super().__init__()
        self.align_corners = fusion.align_corners
        self.level_unit: ResidualConvUnit | None = fusion.level_unit
        self.path_unit, self.out_conv = fusion.path_unit, fusion.out_conv

    def forward(self, level: Tensor, path: Tensor | None, size: tuple[int, int]) -> Tensor:
        """As `FusionBlock.forward`."""
        if self.level_unit is not None and path is not None:
            level = path + self.level_unit(level)
        refined: Tensor = self.out_conv(self.path_unit(level))
        if size == tuple(refined.shape[-2:]):
            return refined
        return functional.interpolate(refined, size=size, mode="bilinear", align_corners=self.align_corners)


def _last_conv(head: DPTHead, index: int) -> tuple[nn.Module, str]:
    """Owner and name of the last linear layer of a level, before its level convolution."""
    first_token_level = len(head.stem_projects)
    if index < first_token_level:
        return head.stem_projects, str(index)
    level = head.token_levels[index - first_token_level]
    return level, "project" if isinstance(level.resize, nn.Identity) else "resize"


def _merging_saves(conv: nn.Conv2d, pointwise: nn.Conv2d) -> bool:
    before = conv.weight.numel() + pointwise.weight.numel()
    return pointwise.out_channels * conv.weight[0].numel() < before


def _merge(conv: nn.Conv2d, pointwise: nn.Conv2d) -> nn.Conv2d:
    """One convolution that computes `pointwise(conv(x))`."""
    mix = pointwise.weight.detach().double()[:, :, 0, 0]  # (out, middle)
    bias = torch.zeros(conv.out_channels, dtype=torch.float64) if conv.bias is None else conv.bias.detach().double()
    shift = mix @ bias
    if pointwise.bias is not None:
        shift = shift + pointwise.bias.detach().double()
    dtype = conv.weight.dtype
    merged = nn.Conv2d(
        conv.in_channels,
        pointwise.out_channels,
        (conv.kernel_size[0], conv.kernel_size[1]),
        stride=(conv.stride[0], conv.stride[1]),
        padding=(int(conv.padding[0]), int(conv.padding[1])),
        dtype=dtype,
    )
    merged.weight.data = torch.einsum("om,micd->oicd", mix, conv.weight.detach().double()).to(dtype)
    if merged.bias is not None:
        merged.bias.data = shift.to(dtype)
    return merged


def _depth_to_space(conv: nn.ConvTranspose2d) -> nn.Sequential:
    """One 1x1 convolution to `factor * factor` taps for each output channel, and the shuffle that places them."""
    factor = conv.stride[0]
    taps = conv.weight.detach().flatten(1).t()  # (out * factor * factor, in): channel-major, as PixelShuffle reads them
    pointwise = nn.Conv2d(conv.in_channels, taps.shape[0], 1, bias=conv.bias is not None, dtype=taps.dtype)
    pointwise.weight.data = taps[:, :, None, None].clone()
    if conv.bias is not None and pointwise.bias is not None:
        pointwise.bias.data = conv.bias.detach().repeat_interleave(factor * factor)
    return nn.Sequential(pointwise, nn.PixelShuffle(factor))
