"""The encoder in the layout of the Neural Engine: exact rewrites, for variant "ane".

Tokens lie as (B, C, 1, S), channels first and the sequence last, where the engine stores a tensor without padding;
linear layers are 1x1 convolutions; attention is done one head at a time, so that each intermediate is small, and with
softmax over the channel axis. Source: Apple, "Deploying Transformers on the Apple Neural Engine" (2022), and its
repositories ml-ane-transformers and ml-vision-transformers-ane. Whether it is faster has to be measured on a device:
the Neural Engine's compiler does some of this by itself since then, so it is a variant and not the default.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from pixio_edge.export.encoder_rewrites import BakedEncoder, ExplicitAttention
from pixio_edge.export.prepare import PreparedModel
from pixio_edge.models.pixio import EncoderFeatures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pixio_edge.models.vit_blocks import Block


@torch.no_grad()
def channels_first(prepared: PreparedModel) -> PreparedModel:
    """A prepared model with its encoder rewritten; it computes the same and has equal weights.

    Args:
        prepared: Not changed; the parts that stay as they are are shared.

    Raises:
        TypeError: Its encoder is not one that `prepare` makes.
    """
    encoder = prepared.model.get_submodule("encoder")
    if not isinstance(encoder, BakedEncoder):
        raise TypeError(f"expected a prepared model, got an encoder of type {type(encoder).__name__}")
    model = copy.copy(prepared.model)
    model._modules = dict(prepared.model._modules)  # so that replacing a part leaves the original alone
    model.set_submodule("encoder", ChannelsFirstEncoder(encoder))
    return PreparedModel(model, prepared.pixel_mean).eval().requires_grad_(False)


class ChannelsFirstEncoder(nn.Module):
    """`BakedEncoder` on tokens (1, C, 1, S).

    Args:
        encoder: The encoder to take over; it is not changed.
    """

    cls_tokens: Tensor
    patch_positions: Tensor

    def __init__(self, encoder: BakedEncoder) -> None:
        super().__init__()
        self.config = encoder.config
        self.patch_embed = encoder.patch_embed
        self.blocks = nn.ModuleList(ChannelsFirstBlock(block) for block in encoder.blocks)  # type: ignore[arg-type]
        self.norm = ChannelNorm(encoder.norm)
        self.register_buffer("cls_tokens", _to_channels_first(encoder.cls_tokens))
        self.register_buffer("patch_positions", _to_channels_first(encoder.patch_positions))

    def forward_intermediates(self, image: Tensor, indices: Sequence[int]) -> EncoderFeatures:
        """As `BakedEncoder.forward_intermediates`."""
        grid_map, stem = self.patch_embed(image)
        dim, rows, columns = grid_map.shape[1:]
        split = self.config.num_cls_tokens
        patch_tokens = grid_map.reshape(1, dim, 1, rows * columns) + self.patch_positions
        tokens = torch.cat([self.cls_tokens, patch_tokens], dim=3)
        patches, cls_tokens = [], []
        for index in range(max(indices) + 1):
            tokens = self.blocks[index](tokens)
            if index in indices:
                normed = self.norm(tokens)
                cls_tokens.append(normed[:, :, 0, :split].transpose(1, 2))
                patches.append(normed[..., split:].reshape(1, dim, rows, columns))
        return EncoderFeatures(stem, tuple(patches), tuple(cls_tokens))


class ChannelsFirstBlock(nn.Module):
    """A transformer block on tokens (1, C, 1, S).

    Args:
        block: Prepared: explicit attention, LayerScale folded.

    Raises:
        TypeError: It is not prepared.
    """

    def __init__(self, block: Block) -> None:
        super().__init__()
        attention: nn.Module = block.attn
        if not isinstance(attention, ExplicitAttention) or not isinstance(block.ls1, nn.Identity):
            raise TypeError(f"expected a prepared block, got {type(attention).__name__} and {type(block.ls1).__name__}")
        self.head_dim = attention.dim // attention.num_heads
        self.norm1, self.norm2 = ChannelNorm(block.norm1), ChannelNorm(block.norm2)
        self.qkv, self.proj = _pointwise(attention.qkv), _pointwise(attention.proj)
        self.fc1, self.fc2 = _pointwise(block.mlp.fc1), _pointwise(block.mlp.fc2)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (1, C, 1, S) to the same shape."""
        x = x + self._attend(self.norm1(x))
        mixed: Tensor = x + self.fc2(functional.gelu(self.fc1(self.norm2(x))))
        return mixed

    def _attend(self, x: Tensor) -> Tensor:
        parts = self.qkv(x).split(self.head_dim, dim=1)  # q of each head, then k, then v: (1, head_dim, 1, S)
        heads = len(parts) // 3
        mixed = []
        for query, key, value in zip(parts[:heads], parts[heads : 2 * heads], parts[2 * heads :], strict=True):
            scores = torch.einsum("bkhc,bchq->bkhq", key.transpose(1, 3), query)  # (1, keys, 1, queries)
            mixed.append(torch.einsum("bchk,bkhq->bchq", value, functional.softmax(scores, dim=1)))
        result: Tensor = self.proj(torch.cat(mixed, dim=1))
        return result


class ChannelNorm(nn.Module):
    """LayerNorm over axis 1 of (1, C, 1, S).

    Args:
        norm: The LayerNorm over the last axis to take over.
    """

    def __init__(self, norm: nn.LayerNorm) -> None:
        super().__init__()
        self.eps = norm.eps
        self.has_affine = norm.elementwise_affine
        if self.has_affine:
            self.weight = nn.Parameter(norm.weight.detach()[:, None, None].clone())
            self.bias = nn.Parameter(norm.bias.detach()[:, None, None].clone())

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each position over its channels."""
        centred = x - x.mean(dim=1, keepdim=True)
        normed = centred * torch.rsqrt((centred * centred).mean(dim=1, keepdim=True) + self.eps)
        return normed * self.weight + self.bias if self.has_affine else normed


def _pointwise(linear: nn.Linear) -> nn.Conv2d:
    conv = nn.Conv2d(linear.in_features, linear.out_features, 1, bias=linear.bias is not None)
    conv.weight.data = linear.weight.detach()[:, :, None, None].clone()
    if conv.bias is not None:
        conv.bias.data = linear.bias.detach().clone()
    return conv


def _to_channels_first(tokens: Tensor) -> Tensor:
    return tokens.detach().transpose(1, 2)[:, :, None].contiguous()
