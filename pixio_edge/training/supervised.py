"""Supervised training of a student on labelled images: rendered scenes, data sets, or a mixture of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pixio_edge.bundle import Bundle
from pixio_edge.errors import InputError
from pixio_edge.export.source import open_source as open_weights
from pixio_edge.models.checkpoint_names import is_checkpoint
from pixio_edge.models.checkpoints import load_encoder, save_checkpoint
from pixio_edge.models.depth_model import DepthModel
from pixio_edge.models.growth import grow
from pixio_edge.models.presets import build_model
from pixio_edge.training.data import DepthBatch, DepthRows
from pixio_edge.training.loop import Progress, fit
from pixio_edge.training.losses import depth_loss, invariant_loss, row_prior_loss
from pixio_edge.training.metric_loss import constant_prior_loss, metric_labels, silog_loss
from pixio_edge.training.objective import Objective
from pixio_edge.training.pipeline import make_batches
from pixio_edge.training.processes import Processes
from pixio_edge.training.sources import DepthSource, SceneSource, hold_back, open_source
from pixio_edge.training.train_config import SCENES, TrainConfig
from pixio_edge.weights.inherited import InheritedTerms, inherit_terms, write_inherited
from pixio_edge.weights.terms import licence_of

HELD_BACK_BATCHES = 6
# Of the crops of the held-back batches, which are the same in every run.
HELD_BACK_SEED = 9


class DepthObjective(Objective[DepthBatch]):
    """Depth from labels: relative inverse depth, or metres where the run has a `max_depth`.

    Args:
        config: Values of the run; the weights are drawn from its seed.
        held_back: What the averaged model is measured on; empty where it is not asked for.

    Raises:
        InputError: There is no such preset, or the encoder's checkpoint is not one of it.
    """

    def __init__(self, config: TrainConfig, held_back: Sequence[DepthBatch] = ()) -> None:
        super().__init__()
        self.config = config
        self.model: DepthModel = build_student(config)
        shape = self.model.config
        # Blocks after the last tap, and the unit of Pixio's coarsest fusion that has nothing to fuse.
        self.has_unused = max(shape.head.indices) + 1 < shape.encoder.depth or shape.head.output != "edge"
        self._held_back = tuple(held_back)
        self._terms = _terms_begun_with(config)

    def forward(self, batch: DepthBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of a batch: `depth_loss`, or `silog_loss` of metric depth."""
        prediction, config = self._predict(self.model, batch.image), self.config
        if config.max_depth is None:
            return depth_loss(prediction, batch.inverse, gradient_weight=config.gradient_weight, valid=batch.valid)
        depth, valid = metric_labels(batch.inverse, batch.valid, max_depth=config.max_depth)
        loss = silog_loss(prediction, depth, valid)
        return loss, {"silog": loss.detach()}

    @torch.inference_mode()
    def measure(self, average: nn.Module) -> dict[str, float]:
        """Loss on held-back images, and that of a model that looks at nothing; regularisers are left out."""
        measured = [self._measure(average, batch.to(_device_of(average))) for batch in self._held_back]
        held_back, prior = (float(np.mean(values)) for values in zip(*measured, strict=True))
        return {"held_back": held_back, "row_prior" if self.config.max_depth is None else "constant_prior": prior}

    def save(self, path: Path, average: nn.Module) -> None:
        """Write the averaged model, and before it the terms that it has from the encoder it began with."""
        if not isinstance(average, DepthModel):
            raise TypeError(f"got {type(average).__name__}, expected DepthModel")
        if self._terms is not None:
            write_inherited(path, self._terms)
        save_checkpoint(path, average)

    def _measure(self, average: nn.Module, batch: DepthBatch) -> tuple[float, float]:
        prediction, weight = self._predict(average, batch.image), self.config.gradient_weight
        if self.config.max_depth is None:
            loss, _ = invariant_loss(prediction, batch.inverse, gradient_weight=weight, valid=batch.valid)
            return float(loss), row_prior_loss(batch.inverse, gradient_weight=weight, valid=batch.valid)
        depth, valid = metric_labels(batch.inverse, batch.valid, max_depth=self.config.max_depth)
        return float(silog_loss(prediction, depth, valid)), constant_prior_loss(depth, valid)

    def _predict(self, model: nn.Module, image: Tensor) -> Tensor:
        laid_out = image.contiguous(memory_format=torch.channels_last)
        with torch.autocast(image.device.type, torch.bfloat16, enabled=self.config.bf16):
            prediction: Tensor = model(laid_out)
        return prediction


def build_student(config: TrainConfig) -> DepthModel:
    """A fresh model of the run's shape and seed, with the encoder that it begins with.

    Raises:
        InputError: There is no such preset, or the encoder's checkpoint is not one of it.
    """
    torch.manual_seed(config.seed)
    model = build_model(config.preset)
    shape = model.config
    # The loss for relative depth takes any scale and shift, and holds the mean at 0: a head that is cut off there
    # would lose half of its range.
    head = replace(shape.head, max_depth=config.max_depth, non_negative=False)
    if head != shape.head:
        torch.manual_seed(config.seed)
        model = DepthModel(replace(shape, head=head))
    if config.encoder_from is not None:
        source = load_encoder(config.encoder_from, model.config.encoder)
        model.encoder.load_state_dict(source.state_dict())
    if config.begin_from is not None:
        smaller = open_weights(str(config.begin_from)).model
        model.load_state_dict(grow(smaller, model.config, seed=config.seed).state_dict())
    return model


def open_sources(config: TrainConfig) -> tuple[list[tuple[DepthSource, float]], list[DepthSource]]:
    """Open what a run trains on, with weights, and what it is measured on.

    Raises:
        InputError: A source is missing or damaged, scenes are not rendered yet, or labels lack the scale that metric
            depth needs.
        MissingDependencyError: A source needs an extra.
    """
    trained: list[tuple[DepthSource, float]] = []
    measured = [open_source(text) for text in config.measure_on]
    if not measured and config.uses_scenes:
        measured = [SceneSource(config.held_back)]
    splits = not measured
    for part in config.data:
        source: DepthSource = SceneSource(config.pool) if part.source == SCENES else open_source(part.source)
        if splits:
            source, held_back = hold_back(source)
            measured.append(held_back)
        trained.append((source, part.weight))
    require_scale(config, [*(source for source, _ in trained), *measured])
    return trained, measured


def require_scale(config: TrainConfig, sources: Sequence[DepthSource]) -> None:
    """Check that metric depth is not to be learnt from labels of unknown scale.

    Raises:
        InputError: It is.
    """
    relative = [source.name for source in sources if not source.is_metric()]
    if relative and config.max_depth is not None:
        raise InputError(
            f"data '{relative[0]}': got disparity of unknown scale, expected metres for metric depth. Fix: give "
            "fx, baseline_m and doffs_px in its index, or train relative depth"
        )


def depth_rows(config: TrainConfig, sources: Sequence[tuple[DepthSource, float]]) -> DepthRows:
    """The rows of a run's batches."""
    return DepthRows(
        sources,
        pixels_of=config.pixels_of,
        seed=config.seed,
        multiple=_patch_size(config),
        degraded=config.degrade,
    )


def held_back_batches(config: TrainConfig, sources: Sequence[DepthSource]) -> list[DepthBatch]:
    """What a run is measured on: the same crops in every run, in the size of its last stage."""
    pixels = config.stages[-1][1]
    weighted = [(source, 1.0) for source in sources]
    rows = DepthRows(weighted, pixels_of=lambda _: pixels, seed=HELD_BACK_SEED, multiple=_patch_size(config))
    return make_batches(rows, config.batch, steps=range(HELD_BACK_BATCHES))


def train(
    config: TrainConfig,
    folder: Path,
    *,
    processes: Processes | None = None,
    on_step: Callable[[Progress], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> DepthModel:
    """Train, or go on with, the run in `folder`; see `loop.fit`.

    Args:
        config: The run; a resumed run must have the same values, those in `RunConfig.PASSING` apart.
        folder: Run folder, created if missing.
        processes: Those that train together; None: this one, or those that a launcher has started.
        on_step: Called after every step, in the main process.
        should_stop: Asked after every step; the run is saved and ends early when it says yes.

    Returns:
        The averaged model, as far as it has come.

    Raises:
        CheckFailedError: Weights are not finite any more.
        InputError: The folder holds another run or is damaged, or data is missing or damaged.
        OutputError: The folder cannot be written.
        PeerFailedError: Another process failed.
    """
    processes = processes or Processes(config.device)

    def prepare() -> tuple[DepthRows, DepthObjective]:
        trained, measured = open_sources(config)
        # Only the main process measures.
        held_back = held_back_batches(config, measured) if processes.is_main else []
        return depth_rows(config, trained), DepthObjective(config, held_back)

    rows, objective = processes.together(prepare)
    average = fit(config, folder, objective, rows, processes=processes, on_step=on_step, should_stop=should_stop)
    if not isinstance(average, DepthModel):
        raise TypeError(f"got {type(average).__name__}, expected DepthModel")
    return average


def _terms_begun_with(config: TrainConfig) -> InheritedTerms | None:
    """Terms that a run has from the weights that it begins with, as far as they are known."""
    begun = config.begin_from or config.encoder_from
    if begun is None:
        return None
    # By then the weights were loaded, so what is no checkpoint is a bundle; its manifest alone is read again.
    is_bundle = config.begin_from is not None and not is_checkpoint(begun)
    known = Bundle.open(str(begun)).manifest.licence if is_bundle else licence_of(begun)
    return inherit_terms({str(begun): known})


def _patch_size(config: TrainConfig) -> int:
    return build_model(config.preset, device="meta").config.encoder.patch_size


def _device_of(module: nn.Module) -> torch.device:
    return next(module.parameters()).device
