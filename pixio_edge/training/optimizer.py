"""Optimisers, schedule and weight averaging of all training runs."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

# Key of a parameter group: its share of the learning rate.
RATE_SHARE = "rate_share"


def build_optimizers(
    module: nn.Module,
    encoder: nn.Module | None,
    *,
    rate: float,
    weight_decay: float,
    muon: bool = True,
    layer_decay: float = 1.0,
) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside transformer blocks, AdamW for everything else.

    Muon (Jordan et al. 2024) orthogonalises each update; with updates scaled to AdamW's size (Moonlight, Liu et al.
    2025) both share one learning rate. It is here because students of this kind sat for long on the plateau of "lower
    in the picture is nearer" with AdamW alone. Its update is a function of weight and gradient alone, so processes that
    hold the same weights and the same averaged gradients stay together.

    Args:
        module: Its parameters are optimised, frozen ones excepted.
        encoder: Module inside it with `blocks` and `norm`; None: there is none.
        rate: Learning rate of both.
        weight_decay: Decoupled decay; none on biases, norms and other vectors.
        muon: False: AdamW for all.
        layer_decay: See `rate_shares`.

    Returns:
        One or two optimisers; groups carry `RATE_SHARE`.
    """
    shares = rate_shares(encoder, layer_decay) if encoder is not None else {}
    blocks = encoder.blocks.parameters() if encoder is not None and muon else ()  # type: ignore[union-attr]
    chosen = {id(p) for p in blocks if p.ndim == 2}
    trained = [p for p in module.parameters() if p.requires_grad]
    orthogonal: dict[float, list[nn.Parameter]] = {}
    decayed: dict[float, list[nn.Parameter]] = {}
    plain: dict[float, list[nn.Parameter]] = {}
    for p in trained:
        kind = orthogonal if id(p) in chosen else decayed if p.ndim >= 2 else plain
        kind.setdefault(shares.get(id(p), 1.0), []).append(p)
    optimizers: list[torch.optim.Optimizer] = []
    if orthogonal:
        groups = _groups(orthogonal, weight_decay, rate)
        optimizers.append(torch.optim.Muon(groups, lr=rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"))
    groups = [*_groups(decayed, weight_decay, rate), *_groups(plain, 0.0, rate)]
    if groups:
        optimizers.append(torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.99)))
    return optimizers


def rate_shares(encoder: nn.Module, layer_decay: float) -> dict[int, float]:
    """Share of the learning rate by the `id` of an encoder's parameter, falling towards the image.

    As in BEiT (Bao et al. 2022): the final norm, like the head, has 1; the last block has `layer_decay`, each block
    before it that much less again, and the embedding (patches, stem, class tokens, positions) one factor less still.

    Args:
        encoder: With `blocks` and `norm`.
        layer_decay: Factor from layer to layer; 1 is the same rate for all.
    """
    blocks: nn.ModuleList = encoder.blocks  # type: ignore[assignment]
    norm: nn.Module = encoder.norm  # type: ignore[assignment]
    shares = {id(p): layer_decay ** (len(blocks) + 1) for p in encoder.parameters()}
    for index, block in enumerate(blocks):
        shares |= {id(p): layer_decay ** (len(blocks) - index) for p in block.parameters()}
    return shares | {id(p): 1.0 for p in norm.parameters()}


def _groups(by_share: dict[float, list[nn.Parameter]], weight_decay: float, rate: float) -> list[dict[str, Any]]:
    return [
        {"params": parameters, "weight_decay": weight_decay, "lr": rate * share, RATE_SHARE: share}
        for share, parameters in sorted(by_share.items())
    ]


def learning_rate(step: int, *, steps: int, warmup: int, peak: float, floor: float = 0.01) -> float:
    """Linear warm-up, then half a cosine down to `floor` times the peak.

    Args:
        step: 0-based step.
        steps: Steps in all.
        warmup: Steps of warm-up; the last of them is at the peak.
        peak: Highest rate.
        floor: Last rate over the peak.
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    return peak * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress)))


def average_decay(step: int, decay: float) -> float:
    """Decay of the weight average at a 0-based step: short at first, so that the random start is forgotten."""
    return min(decay, (1 + step) / (10 + step))


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Exponential moving average of parameters and BatchNorm statistics, in place."""
    current: dict[str, Tensor] = model.state_dict()
    for name, value in average.state_dict().items():
        if value.dtype.is_floating_point:
            value.lerp_(current[name], 1 - decay)
        else:
            value.copy_(current[name])
