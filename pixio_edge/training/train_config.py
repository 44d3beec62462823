"""The values of a training run."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pixio_edge.errors import InputError

# Shares of stages are typed by hand: 0.33 three times is meant to be everything.
SHARE_TOLERANCE = 0.011


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """A training run.

    Attributes:
        preset: Model shape.
        pool: Folder of rendered scenes to train on.
        held_back: Folder of rendered scenes of another seed, to measure on.
        images: Images to see in all.
        batch: Images per step.
        stages: (share of the images, pixels per image) in order: small images first, which cost less.
        rate: Peak learning rate.
        warmup: Steps of warm-up.
        weight_decay: Decoupled weight decay.
        gradient_weight: Weight of the gradient term of the loss.
        average: Decay of the weight average.
        seed: Seed of initialisation, crops and order.
        log_every: Steps between log lines.
        save_every: Steps between checkpoints and held-back losses.
        device: "cpu" or "cuda".
        bf16: Autocast to bfloat16.
        encoder_from: Checkpoint whose encoder the student begins with; its head begins at random.

    Raises:
        InputError: A count or rate is not positive, or the shares of the stages do not add up to 1.
    """

    preset: str
    pool: Path
    held_back: Path
    images: int
    batch: int = 24
    stages: tuple[tuple[float, int], ...] = ((0.6, 128 * 160), (0.4, 192 * 256))
    rate: float = 1e-3
    warmup: int = 200
    weight_decay: float = 0.05
    gradient_weight: float = 0.5
    average: float = 0.998
    seed: int = 0
    log_every: int = 20
    save_every: int = 250
    device: str = "cpu"
    bf16: bool = True
    encoder_from: Path | None = None

    def __post_init__(self) -> None:
        for name in ("images", "batch", "rate", "log_every", "save_every"):
            if not getattr(self, name) > 0:
                raise InputError(f"training: got {name} {getattr(self, name)}, expected more than 0. Fix: raise it")
        shares = [share for share, _ in self.stages]
        if not shares or min(shares) <= 0 or not math.isclose(sum(shares), 1.0, abs_tol=SHARE_TOLERANCE):
            raise InputError(
                f"training: got stages with shares {shares}, expected positive ones that add up to 1. Fix: adjust them"
            )

    @property
    def steps(self) -> int:
        """Optimiser steps in all."""
        return -(-self.images // self.batch)

    @property
    def pixels_at(self) -> dict[int, int]:
        """First step of each stage and its pixels per image."""
        starts, done = {}, 0.0
        for share, pixels in self.stages:
            starts[round(done * self.steps)] = pixels
            done += share
        return starts

    def lasting_values(self) -> dict[str, Any]:
        """What a resumed run has to have in common with its beginning, as JSON values."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self), default=str))
        return {key: value for key, value in values.items() if key not in {"log_every", "save_every"}}
