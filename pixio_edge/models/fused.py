"""A depth model that runs through the fused operators of `kernels`: the same weights, the same function, fewer passes.

Of a block, plain torch reads and writes the tokens for each bias, scale, sum, norm and transpose. Here the matrix
products stand alone, without bias, and one operator does all that lies between two of them:

    qkv product -> attention, with the qkv bias, reading the packed product and writing what the next product reads
    projection  -> add_layer_norm: its bias, LayerScale, residual sum and the norm that follows, also of the next block
    fc1 product -> bias_gelu
    fc2 product -> add_layer_norm

The residual stream is float32 whatever the weights are: the sums of a dozen blocks grow far beyond what a branch adds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from pixio_edge.kernels import ops
from pixio_edge.models.pixio import EncoderFeatures
from pixio_edge.models.vit_blocks import Block, LayerScale

if TYPE_CHECKING:
    from pixio_edge.models.depth_model import DepthModel


class FusedDepthModel(nn.Module):
    """The modules of a `DepthModel`, which it shares, run through fused operators. For inference.

    Names and values of the parameters are the model's, so is the state dict. Change their type or device through
    `convert_`, which keeps the position embedding in float32.

    Args:
        model: A loaded model of any preset, with LayerScale or without.
        size: Height and width in pixels of the images, if they are all of one size: the position embedding is then
            resampled once; None resamples it for each image.
        quantize_attention: Queries and keys are quantised to INT8 inside attention.
    """

    position: Tensor | None

    def __init__(
        self, model: DepthModel, *, size: tuple[int, int] | None = None, quantize_attention: bool = False
    ) -> None:
        super().__init__()
        self.config = model.config
        self.encoder = model.encoder
        self.head = model.head
        self._attention = ops.attention_int8 if quantize_attention else ops.attention
        position = None
        if size is not None:
            patch = model.config.encoder.patch_size
            with torch.no_grad():
                position = model.encoder.position_embedding(size[0] // patch, size[1] // patch).detach().float()
        self.register_buffer("position", position, persistent=False)

    def convert_(self, device: torch.device | str, dtype: torch.dtype) -> FusedDepthModel:
        """Move to a device and convert the weights, with convolutions in the layout that their kernels are fast in."""
        position = self.encoder.pos_embed.detach().float()
        for module in (self.encoder, self.head):
            # torch's stubs do not have the layout.
            module.to(device=device, dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.encoder.pos_embed.data = position.to(device)
        if self.position is not None:
            self.position = self.position.to(device)
        return self

    def forward(self, image: Tensor) -> Tensor:
        """Map images (B, 3, H, W), RGB in [0, 1] minus mean over std, of the weights' type, to depth (B, H, W).

        Raises:
            SpecError: H or W is not a multiple of the patch size, or a size was given and the image has another.
        """
        depth: Tensor = self.head(self._encode(image), (image.shape[-2], image.shape[-1]))
        return depth

    def _encode(self, image: Tensor) -> EncoderFeatures:
        """As `PixioEncoder.forward_intermediates`, of the blocks that the head reads."""
        encoder, indices = self.encoder, self.config.head.indices
        blocks = cast("list[Block]", list(encoder.blocks))
        position, tokens, grid, stem = self._embed(image)
        x, normed = _add_layer_norm(position, tokens, None, nn.Identity(), blocks[0].norm1)
        patches, cls_tokens = [], []
        for index, block in enumerate(blocks[: max(indices) + 1]):
            is_tapped = index in indices
            x, normed = self._run(block, x, normed, encoder.norm if is_tapped else blocks[index + 1].norm1)
            if is_tapped:
                split = encoder.config.num_cls_tokens
                cls_tokens.append(normed[:, :split])
                # Tokens side by side are a map in the layout channels_last, without a copy.
                patches.append(torch.unflatten(normed[:, split:], 1, grid).permute(0, 3, 1, 2))
                if index < max(indices):
                    normed = _layer_norm(x, blocks[index + 1].norm1, like=normed)
        return EncoderFeatures(stem, tuple(patches), tuple(cls_tokens))

    def _embed(self, image: Tensor) -> tuple[Tensor, Tensor, tuple[int, int], tuple[Tensor, ...]]:
        """Position and tokens, whose sum the first block takes; the patch grid; the maps of the stem."""
        grid_map, stem = self.encoder.embed_patches(image)
        rows, columns = grid_map.shape[-2:]
        cls_token = self.encoder.cls_token.to(grid_map.dtype).expand(len(image), -1, -1)
        tokens = torch.cat([cls_token, grid_map.flatten(2).transpose(1, 2)], dim=1)
        position = self.position if self.position is not None else self.encoder.position_embedding(rows, columns)
        # The kernels check the shape, so an image of another size than was given is refused there.
        return position.float().expand(len(image), -1, -1).contiguous(), tokens, (rows, columns), stem

    def _run(self, block: Block, x: Tensor, normed: Tensor, norm: nn.LayerNorm) -> tuple[Tensor, Tensor]:
        """One block: residual stream and norm of it in, the same out, the norm being that which follows."""
        attention, mlp = block.attn, block.mlp
        qkv = functional.linear(normed, attention.qkv.weight)
        head_dim = qkv.shape[-1] // (3 * attention.num_heads)
        packed = (3, attention.num_heads, head_dim)
        mixed = self._attention(qkv.view(*qkv.shape[:2], *packed), attention.qkv.bias.view(packed), head_dim**-0.5)
        branch = functional.linear(mixed, attention.proj.weight)
        x, normed = _add_layer_norm(x, branch, attention.proj.bias, block.ls1, block.norm2)
        hidden = ops.bias_gelu(functional.linear(normed, mlp.fc1.weight), mlp.fc1.bias)
        return _add_layer_norm(x, functional.linear(hidden, mlp.fc2.weight), mlp.fc2.bias, block.ls2, norm)


def _add_layer_norm(
    x: Tensor, branch: Tensor, branch_bias: Tensor | None, layer_scale: nn.Module, norm: nn.LayerNorm
) -> tuple[Tensor, Tensor]:
    scale = layer_scale.gamma if isinstance(layer_scale, LayerScale) else None
    results: tuple[Tensor, Tensor] = ops.add_layer_norm(x, branch, branch_bias, scale, norm.weight, norm.bias, norm.eps)
    return results


def _layer_norm(x: Tensor, norm: nn.LayerNorm, *, like: Tensor) -> Tensor:
    """The norm of a block that follows a tapped one, whose sum was normalised for the head."""
    weight, bias = norm.weight.float(), norm.bias.float()
    return functional.layer_norm(x, x.shape[-1:], weight, bias, norm.eps).to(like.dtype)
