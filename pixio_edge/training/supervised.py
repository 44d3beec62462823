"""Supervised training of a student on procedural scenes.

A run folder holds `config.json`, `log.jsonl`, `checkpoint.pt` (everything needed to go on), `model.safetensors` (the
averaged weights) and `curve.png`. A stopped run goes on from its last checkpoint with the same batches as unbroken.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixio_edge.models.checkpoints import save_checkpoint
from pixio_edge.models.depth_model import DepthModel
from pixio_edge.models.presets import build_model
from pixio_edge.training.curve import plot_curve
from pixio_edge.training.data import batches, make_batch
from pixio_edge.training.losses import depth_loss, invariant_loss, row_prior_loss
from pixio_edge.training.optimizer import average_decay, build_optimizers, learning_rate, update_average
from pixio_edge.training.pool import ScenePool
from pixio_edge.training.run_folder import RunFolder
from pixio_edge.training.train_config import TrainConfig

log = logging.getLogger(__name__)

GRADIENT_CLIP = 1.0
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
    run = Run(config, RunFolder(folder))
    pool = ScenePool(config.pool)
    device = torch.device(config.device)
    loader = batches(
        pool, batch=config.batch, pixels_at=config.pixels_at, steps=range(run.step, config.steps), seed=config.seed
    )
    started, images = time.monotonic(), 0
    for image, target in loader:
        loss, terms = run.train_step(image.to(device), target.to(device))
        images += config.batch
        if run.step % config.log_every == 0:
            rate = images / (time.monotonic() - started)
            run.write_log({"loss": loss, **terms, "images_per_s": round(rate, 2), "pool": len(pool)})
            started, images = time.monotonic(), 0
        stop = should_stop()
        if run.step % config.save_every == 0 or run.step == config.steps:
            run.write_log({"held_back": run.held_back_loss(), "row_prior": run.row_prior})
            run.save()
        elif stop:
            run.save()
        on_step(Progress(run.step, config.steps, loss))
        if stop:
            break
    return run.average


class Run:
    """Models, optimisers and step of a run: a new one, or the last state of the one that the folder holds.

    Args:
        config: Values of the run.
        folder: Where it is kept.

    Raises:
        InputError: The folder holds another run or is damaged, or the held-back pool is missing.
        OutputError: The folder cannot be written.
    """

    def __init__(self, config: TrainConfig, folder: RunFolder) -> None:
        self.config, self.folder = config, folder
        self.device = torch.device(config.device)
        self.held_back = _held_back_batches(config, self.device)
        folder.claim(config.lasting_values())
        torch.manual_seed(config.seed)
        self.model = build_model(config.preset)
        # Channels last is what convolutions are fastest in. (The stubs of torch lack the argument.)
        self.model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.model).eval()
        self.optimizers = build_optimizers(self.model, rate=config.rate, weight_decay=config.weight_decay)
        self.step = 0
        self.row_prior = float(
            np.mean([row_prior_loss(target, gradient_weight=config.gradient_weight) for _, target in self.held_back])
        )
        self._resume()

    def train_step(self, image: Tensor, target: Tensor) -> tuple[float, dict[str, float]]:
        """One optimiser step on a batch on the run's device; returns the loss and its terms."""
        config = self.config
        rate = learning_rate(self.step, steps=config.steps, warmup=config.warmup, peak=config.rate)
        self.model.train()
        with torch.autocast(image.device.type, torch.bfloat16, enabled=config.bf16):
            prediction = self.model(image.contiguous(memory_format=torch.channels_last))
        loss, terms = depth_loss(prediction, target, gradient_weight=config.gradient_weight)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), GRADIENT_CLIP)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        update_average(self.average, self.model, average_decay(self.step, config.average))
        self.step += 1
        return float(loss.detach()), terms

    @torch.inference_mode()
    def held_back_loss(self) -> float:
        """Mean loss of the averaged weights on scenes that are not trained on."""
        losses = []
        for image, target in self.held_back:
            with torch.autocast(image.device.type, torch.bfloat16, enabled=self.config.bf16):
                prediction = self.average(image)
            losses.append(float(invariant_loss(prediction, target, gradient_weight=self.config.gradient_weight)[0]))
        return float(np.mean(losses))

    def write_log(self, values: dict[str, Any]) -> None:
        """Log values with the step and the images seen so far."""
        line = {"step": self.step, "images": self.step * self.config.batch, **values}
        self.folder.append_log(line)
        log.info("%s", line)

    def save(self) -> None:
        """Write state, averaged weights and curve.

        Raises:
            CheckFailedError: Weights are not finite any more; the last state stays.
            OutputError: The folder cannot be written.
        """
        save_checkpoint(self.folder.weights, self.average)
        self.folder.save_state(
            {
                "model": self.model.state_dict(),
                "average": self.average.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
                "step": self.step,
            }
        )
        plot_curve(self.folder.read_log(), self.folder.curve)

    def _resume(self) -> None:
        state = self.folder.load_state(self.device)
        if state is not None:
            self.model.load_state_dict(state["model"])
            self.average.load_state_dict(state["average"])
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
            self.step = state["step"]
        self.folder.cut_log(self.step)


def _held_back_batches(config: TrainConfig, device: torch.device) -> list[tuple[Tensor, Tensor]]:
    pool = ScenePool(config.held_back)
    pixels = config.stages[-1][1]
    made = [
        make_batch(pool, batch=config.batch, pixels=pixels, rng=np.random.default_rng([HELD_BACK_SEED, index]))
        for index in range(HELD_BACK_BATCHES)
    ]
    return [(image.to(device, memory_format=torch.channels_last), target.to(device)) for image, target in made]
