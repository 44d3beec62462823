"""Optimiser, schedule and weight averaging of the supervised loop."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from pixio_edge.models.depth_model import DepthModel


def build_optimizers(model: DepthModel, *, rate: float, weight_decay: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside transformer blocks, AdamW for everything else.

    Muon (Jordan et al. 2024) orthogonalises each update; with updates scaled to AdamW's size (Moonlight, Liu et al.
    2025) both share one learning rate. It is here because students of this kind sat for long on the plateau of "lower
    in the picture is nearer" with AdamW alone.

    Args:
        model: Its parameters are optimised.
        rate: Learning rate of both.
        weight_decay: Decoupled decay; none on biases, norms and other vectors.
    """
    matrices = [p for name, p in model.encoder.blocks.named_parameters() if p.ndim == 2]
    chosen = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in chosen]
    decayed = [p for p in others if p.ndim >= 2]
    plain = [p for p in others if p.ndim < 2]
    return [
        torch.optim.Muon(matrices, lr=rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(
            [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}],
            lr=rate,
            betas=(0.9, 0.99),
        ),
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
