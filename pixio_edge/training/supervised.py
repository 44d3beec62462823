"""Supervised training of a student on procedural scenes.

A run folder holds `config.json`, `log.jsonl`, `checkpoint.pt` (everything needed to go on), `model.safetensors` (the
averaged weights) and `curve.png`. A stopped run goes on from its last checkpoint with the same batches as unbroken.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from pixio_edge.models.checkpoints import save_checkpoint
from pixio_edge.models.depth_model import DepthModel
from pixio_edge.training.curve import plot_curve
from pixio_edge.training.data import batches, make_batch
from pixio_edge.training.losses import row_prior_loss
from pixio_edge.training.pool import ScenePool
from pixio_edge.training.run_folder import RunFolder
from pixio_edge.training.student import Student
from pixio_edge.training.train_config import TrainConfig

log = logging.getLogger(__name__)

HELD_BACK_BATCHES = 6
# Of the crops of the held-back batches, which are the same in every run.
HELD_BACK_SEED = 9


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    Attributes:
        step: Steps done.
        steps: Steps in all.
        loss: Loss of the last batch.
    """

    step: int
    steps: int
    loss: float


def train(
    config: TrainConfig,
    folder: Path,
    *,
    on_step: Callable[[Progress], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> DepthModel:
    """Train, or go on with, the run in `folder`.

    Args:
        config: The run; a resumed run must have the same values, the log and save intervals apart.
        folder: Run folder, created if missing.
        on_step: Called after every step.
        should_stop: Asked after every step; the run is saved and ends early when it says yes.

    Returns:
        The averaged model, as far as it has come.

    Raises:
        CheckFailedError: Weights are not finite any more.
        InputError: The folder holds another run or is damaged, or a pool is missing.
        OutputError: The folder cannot be written.
    """
    run = _Run(config, RunFolder(folder))
    student, pool = run.student, ScenePool(config.pool)
    loader = batches(
        pool, batch=config.batch, pixels_at=config.pixels_at, steps=range(student.step, config.steps), seed=config.seed
    )
    started, images = time.monotonic(), 0
    for image, target in loader:
        loss, terms = student.train_step(image, target)
        images += config.batch
        if student.step % config.log_every == 0:
            rate = images / (time.monotonic() - started)
            run.write_log({"loss": loss, **terms, "images_per_s": round(rate, 2), "pool": len(pool)})
            started, images = time.monotonic(), 0
        is_last, stop = student.step == config.steps, should_stop()
        if student.step % config.save_every == 0 or is_last:
            run.measure()
        if student.step % config.save_every == 0 or is_last or stop:
            run.save()
        on_step(Progress(student.step, config.steps, loss))
        if stop:
            break
    return student.average


class _Run:
    """A student, what it is measured on, and the folder that both are kept in."""

    def __init__(self, config: TrainConfig, folder: RunFolder) -> None:
        self.folder = folder
        self.held_back = _held_back_batches(config)
        self.student = Student(config)
        self.row_prior = float(
            np.mean([row_prior_loss(target, gradient_weight=config.gradient_weight) for _, target in self.held_back])
        )
        folder.claim(config.lasting_values())
        state = folder.load_state(self.student.device)
        if state is not None:
            self.student.load_state_dict(state)
        folder.cut_log(self.student.step)

    def write_log(self, values: dict[str, Any]) -> None:
        """Log values with the step and the images seen so far."""
        student = self.student
        line = {"step": student.step, "images": student.step * student.config.batch, **values}
        self.folder.append_log(line)
        log.info("%s", line)

    def measure(self) -> None:
        """Log the loss on scenes that are not trained on."""
        held_back = float(np.mean([self.student.measure(image, target) for image, target in self.held_back]))
        self.write_log({"held_back": held_back, "row_prior": self.row_prior})

    def save(self) -> None:
        """Write averaged weights, state and curve; with weights that are not finite, the last state stays."""
        save_checkpoint(self.folder.weights, self.student.average)
        self.folder.save_state(self.student.state_dict())
        plot_curve(self.folder.read_log(), self.folder.curve)


def _held_back_batches(config: TrainConfig) -> list[tuple[Tensor, Tensor]]:
    pool = ScenePool(config.held_back)
    pixels = config.stages[-1][1]
    return [
        make_batch(pool, batch=config.batch, pixels=pixels, rng=np.random.default_rng([HELD_BACK_SEED, index]))
        for index in range(HELD_BACK_BATCHES)
    ]
