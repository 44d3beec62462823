"""Distillation: a student learns from a teacher on plain images, without a label of anyone's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pixio_edge.errors import InputError
from pixio_edge.export.source import open_source
from pixio_edge.manifest import LicenceEntry
from pixio_edge.models.checkpoints import save_checkpoint
from pixio_edge.models.depth_model import DepthModel
from pixio_edge.models.pixio import EncoderFeatures
from pixio_edge.models.presets import PRESETS
from pixio_edge.training.distill_config import DistillConfig
from pixio_edge.training.distill_data import DistillBatch, DistillRows
from pixio_edge.training.distill_losses import feature_loss, pseudo_label_loss, ramp_prior
from pixio_edge.training.fake_quant import fake_quantised
from pixio_edge.training.loop import Progress, fit
from pixio_edge.training.losses import ANCHOR_WEIGHT, anchor_loss, bound_loss
from pixio_edge.training.objective import Objective
from pixio_edge.training.photos import Photos, open_photos
from pixio_edge.training.pipeline import make_batches
from pixio_edge.training.processes import Processes
from pixio_edge.training.run_folder import RunFolder
from pixio_edge.training.teacher import Teacher, open_teacher
from pixio_edge.training.teacher_cache import Lessons
from pixio_edge.weights.inherited import InheritedTerms, inherit_terms, write_inherited
from pixio_edge.weights.terms import licence_of

HELD_BACK_BATCHES = 4
# Of the windows of the held-back batches, which are the same in every run.
HELD_BACK_SEED = 9


class DistillObjective(Objective[DistillBatch]):
    """A student of pseudo-labels, of tokens, or of both.

    Args:
        config: Values of the run.
        student: What learns; taken over.
        teacher_width: Width of the teacher's tokens.
        terms: Terms of the weights to come; None if they are unknown.
        held_back: What the averaged model is measured on; empty where it is not asked for.
    """

    def __init__(
        self,
        config: DistillConfig,
        student: DepthModel,
        *,
        teacher_width: int,
        terms: InheritedTerms | None = None,
        held_back: Sequence[DistillBatch] = (),
    ) -> None:
        super().__init__()
        self.config, self._terms, self._held_back = config, terms, tuple(held_back)
        self.model: DepthModel = student
        shape = student.config
        self.projector = build_projector(shape.encoder.embed_dim, teacher_width) if config.feature_weight else None
        reads_all = max(shape.head.indices) + 1 == shape.encoder.depth or config.feature_weight > 0
        self.has_unused = not (reads_all and config.label_weight and shape.head.output == "edge")

    def forward(self, batch: DistillBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of a batch; rounding, from the step on that the run has it from."""
        loss, terms, prediction = self._compare(self.model, batch, rounded=batch.step >= self.config.first_rounded_step)
        if prediction is not None:
            # Alignment hides scale, shift and outliers from the other terms: see `anchor_loss`, `bound_loss`.
            anchor, bound = anchor_loss(prediction), bound_loss(prediction)
            loss = loss + ANCHOR_WEIGHT * anchor + bound
            terms |= {"anchor": anchor.detach(), "bound": bound.detach()}
        return loss, terms

    @torch.inference_mode()
    def measure(self, average: nn.Module) -> dict[str, float]:
        """Loss on held-back images, of the model as it is and, if the run has that, rounding; and that of a prior."""
        if not isinstance(average, DepthModel):
            raise TypeError(f"got {type(average).__name__}, expected DepthModel")
        device = next(average.parameters()).device
        measured: dict[str, list[float]] = {}
        for batch in (each.to(device) for each in self._held_back):
            measured.setdefault("held_back", []).append(float(self._compare(average, batch, rounded=False)[0]))
            if self.config.qat_share:
                measured.setdefault("held_back_int8", []).append(float(self._compare(average, batch, rounded=True)[0]))
            if batch.label is not None and not self.config.feature_weight:
                prior = self._label_loss(ramp_prior(batch.label), batch.label)[0]
                measured.setdefault("row_prior", []).append(float(prior))
        return {name: float(np.mean(values)) for name, values in measured.items()}

    def save(self, path: Path, average: nn.Module) -> None:
        """Write the averaged model, and before it the terms that it has from its teacher."""
        if not isinstance(average, DepthModel):
            raise TypeError(f"got {type(average).__name__}, expected DepthModel")
        if self._terms is not None:
            write_inherited(path, self._terms)
        save_checkpoint(path, average)

    def _compare(
        self, model: DepthModel, batch: DistillBatch, *, rounded: bool
    ) -> tuple[Tensor, dict[str, Tensor], Tensor | None]:
        """Loss without regularisers, its terms, and the predicted inverse depth if it takes part."""
        config = self.config
        prediction, tokens = self._run(model, batch.image, rounded=rounded)
        loss, terms = batch.image.new_zeros(()), dict[str, Tensor]()
        if prediction is not None and batch.label is not None:
            label, terms = self._label_loss(prediction, batch.label)
            loss = loss + config.label_weight * label
        if tokens is not None and batch.patches is not None and batch.class_tokens is not None:
            count = model.config.encoder.num_cls_tokens
            feature = feature_loss(tokens[:, :count], tokens[:, count:], batch.class_tokens, batch.patches)
            loss, terms = loss + config.feature_weight * feature, terms | {"feature": feature.detach()}
        return loss, terms, prediction

    def _label_loss(self, prediction: Tensor, label: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        config = self.config
        return pseudo_label_loss(prediction, label, gradient_weight=config.gradient_weight, dropped=config.dropped)

    def _run(self, model: DepthModel, image: Tensor, *, rounded: bool) -> tuple[Tensor | None, Tensor | None]:
        """Predicted inverse depth (B, H, W) and projected tokens (B, N + P, D), each if it takes part, in float32."""
        laid_out = image.contiguous(memory_format=torch.channels_last)
        autocast = torch.autocast(image.device.type, torch.bfloat16, enabled=self.config.bf16)
        with autocast, fake_quantised(model) if rounded else nullcontext():
            if self.projector is None:
                return model(laid_out).float(), None
            taps = model.config.head.indices
            last = model.config.encoder.depth - 1
            seen = model.encoder.forward_intermediates(laid_out, sorted({*taps, last}))
            tokens = torch.cat([seen.cls_tokens[-1], seen.patches[-1].flatten(2).transpose(1, 2)], dim=1)
            projected = self.projector(tokens).float()
            if not self.config.label_weight:
                return None, projected
            tapped = EncoderFeatures(seen.stem, seen.patches[: len(taps)], seen.cls_tokens[: len(taps)])
            return model.head(tapped, (image.shape[-2], image.shape[-1])).float(), projected


def build_projector(width: int, teacher_width: int) -> nn.Module:
    """From the student's tokens to the teacher's; left behind after training.

    Pixio's own: linear, LayerNorm, GELU, linear, all of the teacher's width (arXiv 2512.15715, published code).
    """
    return nn.Sequential(
        nn.Linear(width, teacher_width),
        nn.LayerNorm(teacher_width),
        nn.GELU(),
        nn.Linear(teacher_width, teacher_width),
    )


def open_student(config: DistillConfig) -> tuple[DepthModel, dict[str, LicenceEntry | None]]:
    """The student as it begins, and the terms of the weights that it begins with, by their name; none at random.

    Raises:
        BundleError: No such bundle, or it has no checkpoint.
        InputError: There is no such preset or checkpoint, or it predicts metric depth.
        LicenceError: Commercial use is insisted on, and the weights forbid it.
    """
    if config.student in PRESETS:
        torch.manual_seed(config.seed)
        shape = PRESETS[config.student]
        # Relative depth of any scale and shift: see `supervised.build_student`.
        return DepthModel(replace(shape, head=replace(shape.head, max_depth=None, non_negative=False))), {}
    opened = open_source(config.student)
    if opened.model.config.head.max_depth is not None:
        raise InputError(
            f"student '{config.student}': predicts metric depth, expected relative inverse depth, which is what labels "
            "of unknown scale can teach. Fix: take a preset"
        )
    licence = opened.manifest.licence if opened.manifest else licence_of(Path(config.student))
    return opened.model.train().requires_grad_(True), {config.student: licence}


def distill_rows(config: DistillConfig, photos: Photos, lessons: Lessons, *, patch: int) -> DistillRows:
    """The rows of a run's batches."""
    return DistillRows(
        photos,
        lessons.on,
        pixels_of=config.pixels_of,
        seed=config.seed,
        patch=patch,
        min_area=config.min_area,
        augment=config.augment,
    )


def held_back_batches(config: DistillConfig, photos: Photos, lessons: Lessons, *, patch: int) -> list[DistillBatch]:
    """What a run is measured on: clean windows, the same in every run, in the size of its last stage."""
    pixels = config.stages[-1][1]
    rows = DistillRows(
        photos,
        lessons.on,
        pixels_of=lambda _: pixels,
        seed=HELD_BACK_SEED,
        patch=patch,
        min_area=config.min_area,
        augment=False,
    )
    return make_batches(rows, config.batch, steps=range(HELD_BACK_BATCHES))


def check_teacher(config: DistillConfig, teacher: Teacher) -> None:
    """Check that a teacher has what it is asked for.

    Raises:
        InputError: It is an encoder, and pseudo-labels are asked for.
    """
    if config.label_weight and not teacher.has_depth:
        raise InputError(
            f"teacher {teacher.name}: got an encoder without a depth head, which has no pseudo-labels. Fix: "
            "--label-weight 0 --feature-weight 1 teaches the encoder alone"
        )


def distill(
    config: DistillConfig,
    folder: Path,
    *,
    processes: Processes | None = None,
    on_step: Callable[[Progress], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> DepthModel:
    """Distil, or go on with, the run in `folder`; see `loop.fit`.

    Args:
        config: The run; a resumed run must have the same values, those in `DistillConfig.PASSING` apart.
        folder: Run folder, created if missing.
        processes: Those that train together; None: this one, or those that a launcher has started.
        on_step: Called after every step, in the main process.
        should_stop: Asked after every step; the run is saved and ends early when it says yes.

    Returns:
        The averaged student, as far as it has come.

    Raises:
        BundleError: A bundle is missing or has no checkpoint.
        CheckFailedError: Weights, or what the teacher says, are not finite.
        InputError: The folder holds another run, or teacher, student or images are missing or damaged.
        LicenceError: Commercial use is insisted on, and the weights forbid it.
        OutputError: The folder or the cache cannot be written.
        PeerFailedError: Another process failed.
    """
    processes = processes or Processes(config.device)

    def prepare() -> tuple[DistillConfig, DistillRows, DistillObjective]:
        photos, held_back = open_photos(config.photos).hold_back()
        student, terms = open_student(config)
        teacher = open_teacher(config.teacher, config.teacher_preset, side=config.teacher_side)
        check_teacher(config, teacher)
        run = replace(config, teacher_sha256=teacher.sha256)
        RunFolder(folder).check(run.lasting_values())  # before the teacher works
        lessons = Lessons(teacher.to(processes.device), tokens=config.feature_weight > 0, folder=config.cache)
        patch = student.config.encoder.patch_size
        objective = DistillObjective(
            run,
            student,
            teacher_width=teacher.encoder.config.embed_dim,
            terms=inherit_terms({config.teacher: teacher.licence} | terms),
            # Only the main process measures.
            held_back=held_back_batches(config, held_back, lessons, patch=patch) if processes.is_main else (),
        )
        return run, distill_rows(config, photos, lessons, patch=patch), objective

    run, rows, objective = processes.together(prepare)
    average = fit(run, folder, objective, rows, processes=processes, on_step=on_step, should_stop=should_stop)
    if not isinstance(average, DepthModel):
        raise TypeError(f"got {type(average).__name__}, expected DepthModel")
    return average
