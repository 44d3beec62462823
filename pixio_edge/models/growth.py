"""Growing a trained student into a larger one that computes the same, so that its training does not begin at nothing.

Every feature of the larger model is a copy of a feature of the smaller one, and what reads several copies splits the
weight between them (Net2Net, Chen et al. 2016, arXiv:1511.05641). The split is random and differs from reader to
reader: with equal shares the copies would get equal gradients and stay copies for ever. Further transformer blocks
begin as the identity: their residual branches end in zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from pixio_edge.errors import InputError
from pixio_edge.models.depth_model import DepthConfig, DepthModel

# Shares of the copies of one feature, before they are scaled to sum to 1. Far from 0, so that no copy begins unread.
LEAST_SHARE, LARGEST_SHARE = 0.5, 1.5

# Kinds of tensors whose second axis reads nothing, though they have one: copied along every axis and never split.
COPIED = ("pos_embed", "cls_token")

# What reads two sets of features side by side: each patch token beside the readout of the class tokens.
PAIRED_INPUT = "token_levels"
# What makes three sets of features one below the other: queries, keys and values.
TRIPLE_OUTPUT = "attn.qkv"
# The last linear of each residual branch of a block.
BRANCH_ENDS = ("attn.proj.weight", "attn.proj.bias", "mlp.fc2.weight", "mlp.fc2.bias")


def grow(model: DepthModel, config: DepthConfig, *, seed: int = 0) -> DepthModel:
    """A model of another shape that computes what this one does.

    Args:
        model: The smaller model; it is not changed.
        config: Shape of the larger one. Its width is a whole multiple of the smaller one's, with heads of the same
            width; nothing of it is smaller, and both taps of the head see as many of the old blocks as before.
        seed: Of the shares.

    Returns:
        The larger model, in evaluation mode; in exact arithmetic its output is the same.

    Raises:
        InputError: The smaller model does not fit into the larger one.
    """
    blocks = _block_sources(model.config, config)
    generator = torch.Generator().manual_seed(seed)
    old = model.state_dict()
    transposed = {f"{name}.weight" for name, module in model.named_modules() if isinstance(module, nn.ConvTranspose2d)}
    larger = DepthModel(config)
    new = larger.state_dict()
    for name, target in new.items():
        source = _source_name(name, blocks)
        if source is None:
            target.copy_(_identity_start(name, target))
            continue
        if source not in old:
            raise InputError(f"growing: '{name}' has no counterpart. Fix: begin with a model of the same family")
        axes = (1, 0) if source in transposed else (0, 1)  # a transposed convolution stores its inputs first
        value, place = (tensor.movedim(axes, (0, 1)) if tensor.ndim > 1 else tensor for tensor in (old[source], target))
        place.copy_(_widen(source, value, tuple(place.shape), generator))
    larger.load_state_dict(new)
    return larger.eval()


def _block_sources(small: DepthConfig, large: DepthConfig) -> tuple[int | None, ...]:
    """For each block of the larger encoder, the block that it copies; None where it begins as the identity.

    Raises:
        InputError: The shapes do not fit.
    """
    pair = (small.encoder, large.encoder)
    ratio, rest = divmod(pair[1].embed_dim, pair[0].embed_dim)
    if rest or pair[1].num_heads != ratio * pair[0].num_heads:
        raise InputError(
            f"growing: got width {pair[0].embed_dim} with {pair[0].num_heads} heads for width {pair[1].embed_dim} with "
            f"{pair[1].num_heads}, expected a whole multiple of both. Fix: begin with a smaller model of the same "
            "family"
        )
    _require_same_kind(small, large)
    ends = [[index + 1 for index in config.head.indices] for config in (small, large)]
    ends = [[0, *ends[0], small.encoder.depth], [0, *ends[1], large.encoder.depth]]
    sources: list[int | None] = []
    for number in range(len(ends[0]) - 1):
        sources += _spread(range(ends[0][number], ends[0][number + 1]), ends[1][number + 1] - ends[1][number])
    return tuple(sources)


def _require_same_kind(small: DepthConfig, large: DepthConfig) -> None:
    """Compare all that is no size: patches, tokens, and the head but for its widths.

    A clamp at 0 has no weights, so that it may differ.

    Raises:
        InputError: Something differs.
    """
    sizes = small.head
    head = replace(
        large.head,
        indices=sizes.indices,
        channels=sizes.channels,
        widths=sizes.widths,
        output_channels=sizes.output_channels,
        non_negative=sizes.non_negative,
    )
    old, new = small.encoder, large.encoder
    differs = {
        "patch size": (old.patch_size, new.patch_size),
        "class tokens": (old.num_cls_tokens, new.num_cls_tokens),
        "image size": (old.image_size, new.image_size),
        "stem": (old.stem is not None, new.stem is not None),
        "taps": (len(small.head.indices), len(large.head.indices)),
        "kind of head": (sizes, head),
    }
    for name, (before, after) in differs.items():
        if before != after:
            raise InputError(
                f"growing: got {name} {before} for {after}, expected the same. Fix: begin with a smaller model of the "
                "same family"
            )


def _spread(old: Sequence[int], places: int) -> list[int | None]:
    """Old blocks in order, with the new ones after them at even distances.

    Raises:
        InputError: There are fewer places than blocks.
    """
    if places < len(old):
        raise InputError(
            f"growing: got {len(old)} blocks before a tap for {places}, expected at most as many. "
            "Fix: take a deeper shape"
        )
    kept = {(number + 1) * places // len(old) - 1 if number else 0: block for number, block in enumerate(old)}
    return [kept.get(place) for place in range(places)]


def _source_name(name: str, blocks: Sequence[int | None]) -> str | None:
    parts = name.split(".")
    if parts[:2] != ["encoder", "blocks"]:
        return name
    source = blocks[int(parts[2])]
    return None if source is None else ".".join((*parts[:2], str(source), *parts[3:]))


def _identity_start(name: str, fresh: Tensor) -> Tensor:
    return torch.zeros_like(fresh) if name.endswith(BRANCH_ENDS) else fresh


def _widen(name: str, old: Tensor, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """One tensor: its outputs are copied, and its inputs copied and shared out."""
    if old.ndim == 0 or tuple(old.shape) == shape:
        return old
    if name.endswith(COPIED):
        return old[..., _copies(old.shape[-1], shape[-1])]
    outputs = _copies(old.shape[0], shape[0], groups=3 if TRIPLE_OUTPUT in name else 1)
    rows = old[outputs]
    if old.ndim == 1 or old.shape[1] == shape[1]:
        return rows
    paired = PAIRED_INPUT in name and ".project." in name
    inputs = _copies(old.shape[1], shape[1], groups=2 if paired else 1)
    shares = torch.empty(rows.shape[0], shape[1]).uniform_(LEAST_SHARE, LARGEST_SHARE, generator=generator)
    sums = torch.zeros(rows.shape[0], old.shape[1]).index_add_(1, inputs, shares)
    shares /= sums[:, inputs]
    return rows[:, inputs] * shares.reshape(*shares.shape, *(1,) * (old.ndim - 2))


def _copies(old: int, new: int, *, groups: int = 1) -> Tensor:
    """For each new feature, the old one that it copies: the old ones over and over, within each group.

    Raises:
        InputError: There would be fewer features than before.
    """
    if new < old:
        raise InputError(f"growing: got {old} features for {new}, expected at most as many. Fix: take a wider shape")
    within = torch.arange(new // groups) % (old // groups)
    return torch.cat([within + group * (old // groups) for group in range(groups)])
