"""Exact rewrites of the encoder for export.

Each function changes the graph and not the function it computes beyond rounding; `tests/parity` proves every one of
them in float64. Names that end in an underscore change the module they are given.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import fuse_conv_bn_eval

from pixio_edge.models.depth_model import IMAGE_MEAN, IMAGE_STD
from pixio_edge.models.pixio import EncoderFeatures, PixioEncoder
from pixio_edge.models.stem import ConvNorm
from pixio_edge.models.vit_blocks import Attention, Block, LayerScale

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PIXEL_MAX = 255.0

_Module = TypeVar("_Module", bound=nn.Module)


def fold_batch_norms_(root: nn.Module) -> int:
    """Merge every BatchNorm of the stem into the convolution before it.

    At inference BatchNorm is a fixed scale and shift per channel. Runtimes fold it too, but quantisation needs the
    weights that really run. Source: Jacob et al., "Quantization and Training of Neural Networks" (CVPR 2018), section
    3.2. Can be deleted when no model has BatchNorm.

    Returns:
        How many were merged.
    """

    def build(unit: ConvNorm) -> nn.Module:
        return nn.Sequential(OrderedDict(conv=fuse_conv_bn_eval(unit.conv, unit.norm), act=unit.act))

    return _replace(root, ConvNorm, build)


def fold_layer_scales_(root: nn.Module) -> int:
    """Move each LayerScale into the linear layer that ends its branch.

    diag(g) (W x + c) = (diag(g) W) x + diag(g) c. One multiplication per token and channel less, and the quantiser sees
    the weights that really run: DINOv2's factors span orders of magnitude, which per-channel scales then absorb.
    Source: Touvron et al., "Going deeper with Image Transformers" (2021). Can be deleted when no model has LayerScale.

    Returns:
        How many were folded.
    """
    blocks = [module for module in root.modules() if isinstance(module, Block)]
    folded = 0
    for block in blocks:
        for name, linear in (("ls1", block.attn.proj), ("ls2", block.mlp.fc2)):
            scale = block.get_submodule(name)
            if isinstance(scale, LayerScale):
                gamma = scale.gamma.double()
                linear.weight.copy_(gamma[:, None] * linear.weight.double())
                linear.bias.copy_(gamma * linear.bias.double())
                block.set_submodule(name, nn.Identity())
                folded += 1
    return folded


def fold_attention_scale_(root: nn.Module) -> int:
    """Scale W_q and b_q by 1/sqrt(head_dim), and spell attention out as MatMul, Softmax, MatMul.

    The scale costs one pass over the scores or the queries otherwise. Spelled out because TensorRT's parser knows the
    `Attention` operator only from 10.14 on, and because it is no faster on CPUs. Can be deleted when TensorRT 10.14 is
    the oldest supported release and quantised graphs keep their attention fused there.

    Returns:
        How many attentions were replaced.
    """
    return _replace(root, Attention, ExplicitAttention)


def fold_layer_norms_(root: nn.Module) -> int:
    """Move scale and shift of each block's LayerNorms into the linear layer that follows.

    LN(x) = n * g + b, hence W LN(x) + c = (W diag(g)) n + (W b + c). One tensor range less for a quantiser; no gain in
    float, so it is optional. Can be deleted when no quantiser asks for it.

    Returns:
        How many norms were folded.
    """
    blocks = [module for module in root.modules() if isinstance(module, Block)]
    for block in blocks:
        for name, linear in (("norm1", block.attn.qkv), ("norm2", block.mlp.fc1)):
            norm = block.get_submodule(name)
            if not isinstance(norm, nn.LayerNorm) or norm.weight is None:
                raise TypeError(f"{name} is not a LayerNorm with scale and shift; it was folded already")
            weight = linear.weight.double()
            linear.bias.copy_(linear.bias.double() + weight @ norm.bias.double())
            linear.weight.copy_(weight * norm.weight.double())
            block.set_submodule(name, nn.LayerNorm(norm.normalized_shape, eps=norm.eps, elementwise_affine=False))
    return 2 * len(blocks)


def fold_normalisation_(patch_embed: nn.Module) -> Tensor | None:
    """Fold ImageNet normalisation into the first convolution, which then takes pixels 0 to 255.

    The convolution is linear: w * (x / 255 - mean) / std = (w / (255 std)) * x - sum(w mean / std). The constant goes
    into the bias only if no window sees padding. With zero padding the bias would be wrong along the border, where
    fewer taps see the mean, so the mean has to be subtracted from the pixels first; zero padding then means "the mean",
    as in training. Can be deleted when all runtimes normalise uint8 images for free.

    Returns:
        The mean in pixel values, (3, 1, 1), to subtract before the convolution; None if the bias holds it.
    """
    conv = next(module for module in patch_embed.modules() if isinstance(module, nn.Conv2d))
    mean = torch.tensor(IMAGE_MEAN, dtype=torch.float64)[:, None, None]
    std = torch.tensor(IMAGE_STD, dtype=torch.float64)[:, None, None]
    weight = conv.weight.double() / std
    conv.weight.copy_(weight / PIXEL_MAX)
    if any(conv.padding):
        return (mean * PIXEL_MAX).to(conv.weight.dtype)
    shift = -(weight * mean).sum(dim=(1, 2, 3))
    bias = shift if conv.bias is None else conv.bias.double() + shift
    conv.bias = nn.Parameter(bias.to(conv.weight.dtype), requires_grad=False)
    return None


class ExplicitAttention(nn.Module):
    """Attention of plain operators, with the score scale inside `qkv`.

    Args:
        attention: The module to take the weights from; it is not changed.
    """

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.num_heads = attention.num_heads
        self.dim = attention.proj.out_features
        self.qkv = nn.Linear(self.dim, 3 * self.dim, dtype=attention.qkv.weight.dtype)
        self.proj = attention.proj
        scale = (self.dim // self.num_heads) ** -0.5
        for target, source in ((self.qkv.weight, attention.qkv.weight), (self.qkv.bias, attention.qkv.bias)):
            scaled = source.detach().double()
            target.data = torch.cat([scaled[: self.dim] * scale, scaled[self.dim :]]).to(source.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Mix tokens (B, N, D)."""
        batch, tokens, dim = x.shape
        heads = self.num_heads
        # One transpose for q, k and v together: (B, N, 3 * heads, head_dim) -> (B, 3 * heads, N, head_dim).
        packed = self.qkv(x).reshape(batch, tokens, 3 * heads, dim // heads).transpose(1, 2)
        query, key, value = packed.split(heads, dim=1)
        mixed = functional.softmax(query @ key.transpose(2, 3), dim=-1) @ value
        result: Tensor = self.proj(mixed.transpose(1, 2).reshape(batch, tokens, dim))
        return result


class BakedEncoder(nn.Module):
    """An encoder for one image size, whose position embedding is a constant.

    Resampling the embedding in the graph would need a bicubic Resize, which engines implement differently or not at
    all, to compute the same constant for every frame (transformers traces one even where nothing changes). Can be
    deleted when encoders have no learned position embedding.

    Args:
        encoder: The encoder to take over; its modules are shared, not copied.
        size: Image height and width in pixels.
    """

    cls_tokens: Tensor
    patch_positions: Tensor

    def __init__(self, encoder: PixioEncoder, size: tuple[int, int]) -> None:
        super().__init__()
        self.config = encoder.config
        self.patch_embed, self.blocks, self.norm = encoder.patch_embed, encoder.blocks, encoder.norm
        patch, split = self.config.patch_size, self.config.num_cls_tokens
        positions = encoder.position_embedding(size[0] // patch, size[1] // patch).detach()
        self.register_buffer("cls_tokens", encoder.cls_token.detach() + positions[:, :split])
        self.register_buffer("patch_positions", positions[:, split:].clone())

    def forward_intermediates(self, image: Tensor, indices: Sequence[int]) -> EncoderFeatures:
        """As `PixioEncoder.forward_intermediates`, for one image of the baked size."""
        grid_map, stem = self.patch_embed(image)
        dim, rows, columns = grid_map.shape[1:]
        positions = self.positions_for(rows, columns)
        tokens = torch.cat([self.cls_tokens, grid_map.flatten(2).transpose(1, 2) + positions], dim=1)
        patches, cls_tokens = [], []
        for index in range(max(indices) + 1):
            tokens = self.blocks[index](tokens)
            if index in indices:
                normed = self.norm(tokens)
                cls_tokens.append(normed[:, : self.config.num_cls_tokens])
                grid = normed[:, self.config.num_cls_tokens :].transpose(1, 2)
                patches.append(grid.reshape(1, dim, rows, columns))
        return EncoderFeatures(stem, tuple(patches), tuple(cls_tokens))

    def positions_for(self, rows: int, columns: int) -> Tensor:
        """Position embedding (1, rows * columns, D) of a grid of patches: here there is one grid."""
        return self.patch_positions


def _replace(root: nn.Module, kind: type[_Module], build: Callable[[_Module], nn.Module]) -> int:
    """Swap every submodule of type `kind` below `root` for `build(module)`; return how many."""
    found = [(name, module) for name, module in root.named_modules() if isinstance(module, kind)]
    for name, module in found:
        root.set_submodule(name, build(module))
    return len(found)
