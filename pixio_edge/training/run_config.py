"""The values that every kind of training run has."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal

from pixio_edge.errors import InputError

# Shares of stages are typed by hand: 0.33 three times is meant to be everything.
SHARE_TOLERANCE = 0.011

OptimizerName = Literal["muon", "adamw"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """A run, whatever it learns.

    Attributes:
        images: Images to see in all.
        batch: Images per step, over all processes and parts.
        stages: (share of the images, pixels per image) in order: small images first, which cost less.
        rate: Peak learning rate.
        warmup: Steps of warm-up.
        weight_decay: Decoupled weight decay.
        average: Decay of the weight average.
        seed: Seed of initialisation, crops and order.
        log_every: Steps between log lines.
        save_every: Steps between checkpoints and measurements.
        device: "cpu" or "cuda".
        bf16: Autocast to bfloat16.
        optimizer: "muon" for the matrices inside transformer blocks and AdamW for the rest, or "adamw" for all.
        layer_decay: Factor on the learning rate from each layer of the encoder to the one before; 1: no decay.
        freeze_encoder: Leave the encoder as it is, its BatchNorm statistics included.
        accumulate: Parts of a batch whose gradients are added up before the weights move; saves memory.
        compiled: Fuse the model with `torch.compile`.
        workers: Threads that prepare images.

    Raises:
        InputError: A count or rate is not positive, or the shares of the stages do not add up to 1.
    """

    # May differ between the beginning of a run and where it goes on.
    PASSING: ClassVar[frozenset[str]] = frozenset({"log_every", "save_every", "workers", "compiled"})
    # Came later: left out of the record while they have their default, so that older runs can still go on.
    LATER: ClassVar[frozenset[str]] = frozenset({"optimizer", "layer_decay", "freeze_encoder", "accumulate"})

    images: int
    batch: int = 24
    stages: tuple[tuple[float, int], ...] = ((0.6, 128 * 160), (0.4, 192 * 256))
    rate: float = 1e-3
    warmup: int = 200
    weight_decay: float = 0.05
    average: float = 0.998
    seed: int = 0
    log_every: int = 20
    save_every: int = 250
    device: str = "cpu"
    bf16: bool = True
    optimizer: OptimizerName = "muon"
    layer_decay: float = 1.0
    freeze_encoder: bool = False
    accumulate: int = 1
    compiled: bool = False
    workers: int = 1

    def __post_init__(self) -> None:
        for name in ("images", "batch", "rate", "log_every", "save_every", "accumulate", "workers", "layer_decay"):
            if not getattr(self, name) > 0:
                raise InputError(f"training: got {name} {getattr(self, name)}, expected more than 0. Fix: raise it")
        if self.layer_decay > 1:
            raise InputError(f"training: got layer_decay {self.layer_decay}, expected at most 1. Fix: 0.75 is usual")
        if self.optimizer not in ("muon", "adamw"):
            raise InputError(f"training: got optimizer '{self.optimizer}', expected muon or adamw. Fix: choose one")
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

    def pixels_of(self, step: int) -> int:
        """Pixels per image at a step."""
        return self.pixels_at[max(start for start in self.pixels_at if start <= step)]

    def lasting_values(self) -> dict[str, Any]:
        """What a resumed run has to have in common with its beginning, as JSON values."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self), default=str))
        unused = {field.name for field in fields(self) if getattr(self, field.name) == field.default} & self.LATER
        return {key: value for key, value in values.items() if key not in self.PASSING | unused}
