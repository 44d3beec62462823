"""The values of a distillation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pixio_edge.errors import InputError
from pixio_edge.training.run_config import RunConfig


@dataclass(frozen=True, slots=True)
class DistillConfig(RunConfig):
    """A distillation; see `RunConfig` for what all runs have.

    Attributes:
        teacher: Checkpoint or bundle, as `teacher.open_teacher` takes it.
        student: Name of a preset to begin at random, or checkpoint or bundle to go on from.
        photos: What `photos.open_photos` takes.
        teacher_preset: Shape of the teacher, if its file does not say it.
        teacher_side: Shorter side of what the teacher is shown; None: the size it was trained at.
        label_weight: Weight of the pseudo-label loss; 0 teaches the encoder alone.
        gradient_weight: Weight of gradient matching in that loss.
        dropped: Share of the pixels that are left out of that loss, the worst ones.
        feature_weight: Weight of the feature loss.
        min_area: Smallest window that the student sees; see `data.window_of`.
        augment: Recolour and degrade the student's view.
        qat_share: Share of the steps, the last ones, in which the student rounds like its INT8 artifacts.
        cache: Folder for what the teacher makes of images; None: it is asked every time.
        teacher_sha256: Hash of the teacher's weights, filled in by `distill`: a run has one teacher from end to end.

    Raises:
        InputError: As for `RunConfig`, or a weight or share is not possible.
    """

    PASSING: ClassVar[frozenset[str]] = RunConfig.PASSING | {"cache"}

    teacher: str
    student: str
    photos: tuple[str, ...]
    teacher_preset: str | None = None
    teacher_side: int | None = None
    label_weight: float = 1.0
    gradient_weight: float = 2.0
    dropped: float = 0.1
    feature_weight: float = 0.0
    min_area: float = 0.45
    augment: bool = True
    qat_share: float = 0.0
    cache: Path | None = None
    teacher_sha256: str = ""

    def __post_init__(self) -> None:
        RunConfig.__post_init__(self)
        if min(self.label_weight, self.feature_weight, self.gradient_weight) < 0 or not (
            self.label_weight or self.feature_weight
        ):
            raise InputError(
                f"distill: got weights {self.label_weight} of labels and {self.feature_weight} of features, expected "
                "one above 0 and none below. Fix: raise one"
            )
        for name, low, high in (("dropped", 0, 0.9), ("min_area", 0.05, 1), ("qat_share", 0, 1)):
            if not low <= getattr(self, name) <= high:
                raise InputError(
                    f"distill: got {name} {getattr(self, name)}, expected {low} to {high}. Fix: choose one between"
                )
        if self.qat_share and self.compiled:
            raise InputError("distill: got both rounding in training and a compiled model. Fix: leave out one of them")
        if self.qat_share and not self.label_weight:
            raise InputError(
                "distill: got rounding in training with label weight 0, which has no depth. Fix: leave out one"
            )

    @property
    def first_rounded_step(self) -> int:
        """The step from which on the student rounds."""
        return self.steps - round(self.qat_share * self.steps)
