"""One graph for several image sizes: what is constant for one size is chosen or computed from the image's shape.

Core ML compiles such a graph once for each of the enumerated sizes, so their weights are stored once. The position
embeddings of all sizes are in the graph, and one is cut out; resizes have constant factors, which needs patch grids
with even sides: the coarsest level of the head halves the grid, and half of an odd side is rounded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from pixio_edge.errors import InputError
from pixio_edge.export.coreml.request import enumerable
from pixio_edge.export.encoder_rewrites import BakedEncoder
from pixio_edge.export.head_rewrites import CommutedFusion
from pixio_edge.export.prepare import PreparedModel, prepare
from pixio_edge.models.dpt import DPTHead
from pixio_edge.models.pixio import EncoderFeatures
from pixio_edge.sizes import size_label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pixio_edge.models.depth_model import DepthModel
    from pixio_edge.models.pixio import PixioEncoder
    from pixio_edge.sizes import Size

MOST_SHAPES = 128
"""Core ML takes no more enumerated shapes (guide of coremltools, "Flexible Input Shapes")."""

# The head's levels are 4, 2, 1 and 1/2 times the patch grid, and each fusion doubles the one it came from.
DOUBLE = 2.0
FINEST = 8


@torch.no_grad()
def prepare_enumerated(model: DepthModel, sizes: Sequence[Size]) -> PreparedModel:
    """As `prepare`, for several sizes in one module.

    Args:
        model: The trained model; it is not changed.
        sizes: Height and width of each.

    Raises:
        InputError: More sizes than Core ML takes, or one whose patch grid has an odd side.
    """
    patch = model.config.encoder.patch_size
    if len(sizes) > MOST_SHAPES:
        raise InputError(f"--enumerated: got {len(sizes)} sizes, expected at most {MOST_SHAPES}. Fix: name fewer sizes")
    for size in sizes:
        if not enumerable(size, patch):
            raise InputError(
                f"--enumerated: got {size_label(size)}, expected two multiples of {2 * patch}, twice the patch: other "
                "sizes need a graph of their own. Fix: name sizes that are, or leave out --enumerated"
            )
    prepared = prepare(model, sizes[0])
    baked = prepared.model.get_submodule("encoder")
    if not isinstance(baked, BakedEncoder):
        raise TypeError(f"expected a prepared model, got an encoder of type {type(baked).__name__}")
    grids = [(height // patch, width // patch) for height, width in sizes]
    prepared.model.set_submodule("encoder", EnumeratedEncoder(baked, model.encoder, grids))
    prepared.model.set_submodule("head", ScaledHead(prepared.model.head, patch))
    return prepared


class EnumeratedEncoder(BakedEncoder):
    """`BakedEncoder` with a position embedding for each of several patch grids.

    Args:
        baked: The encoder to take over; its modules are shared.
        encoder: What it was made from, for the position embeddings.
        grids: Rows and columns of patches of each size.
    """

    positions: Tensor
    starts: Tensor
    codes: Tensor

    def __init__(self, baked: BakedEncoder, encoder: PixioEncoder, grids: Sequence[tuple[int, int]]) -> None:
        nn.Module.__init__(self)  # that of BakedEncoder would compute the embedding of one size
        self.config = baked.config
        self.patch_embed, self.blocks, self.norm = baked.patch_embed, baked.blocks, baked.norm
        split = self.config.num_cls_tokens
        tables = [encoder.position_embedding(*grid)[:, split:].detach() for grid in grids]
        lengths = torch.tensor([0, *(table.shape[1] for table in tables[:-1])])
        self.register_buffer("cls_tokens", baked.cls_tokens)
        self.register_buffer("positions", torch.cat(tables, dim=1))  # (1, patches of all sizes, D)
        self.register_buffer("starts", torch.cumsum(lengths, 0).to(torch.int32))
        # Rows and columns as digits of one number, small enough for the 16 bits that Core ML may store it in.
        self.base = 1 + max(columns for _, columns in grids)
        self.register_buffer("codes", torch.tensor([r * self.base + c for r, c in grids], dtype=torch.int32))

    def positions_for(self, rows: int, columns: int) -> Tensor:
        """Position embedding (1, rows * columns, D) of the one of the grids that this is."""
        start = (self.starts * (self.codes == rows * self.base + columns).to(torch.int32)).sum()
        return self.positions[:, start : start + rows * columns]


class ScaledHead(DPTHead):
    """A prepared head whose resizes have constant factors.

    Args:
        head: The head to take over; its modules are shared, under the same names.
        patch_size: Side of a patch in pixels.
    """

    def __init__(self, head: DPTHead, patch_size: int) -> None:
        nn.Module.__init__(self)  # that of DPTHead would make modules that are not needed
        self.config = head.config
        for name, module in head.named_children():
            self.add_module(name, module)
        self.last_factor = patch_size / FINEST

    def forward(self, features: EncoderFeatures, size: tuple[int, int]) -> Tensor:
        """As `DPTHead.forward`; the size of the result follows from that of the features."""
        levels = self._levels(features)
        path: Tensor | None = None
        for index, fusion in reversed(list(enumerate(self.fusions))):
            assert isinstance(fusion, CommutedFusion)  # what `prepare` makes
            level = levels[index]
            if fusion.level_unit is not None and path is not None:
                level = path + fusion.level_unit(level)
            refined = fusion.out_conv(fusion.path_unit(level))
            path = refined if index == 0 and self.config.output == "edge" else self._scale(refined, DOUBLE)
        assert path is not None  # there are four fusions
        return self._activate(self._predict_scaled(path)[:, 0])

    def _predict_scaled(self, path: Tensor) -> Tensor:
        hidden = self.output_conv1(path)
        if self.config.output == "depth_anything":
            full: Tensor = self.output_conv3(functional.relu(self.output_conv2(self._scale(hidden, self.last_factor))))
            return full
        hidden = functional.relu(hidden)
        if self.config.output == "edge":
            hidden = functional.relu(self.output_conv2(self._scale(hidden, DOUBLE)))
        return self._scale(self.output_conv3(hidden), self.last_factor)

    def _scale(self, x: Tensor, factor: float) -> Tensor:
        corners = self.config.align_corners
        return functional.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=corners)
