"""The values of a supervised training run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pixio_edge.errors import InputError
from pixio_edge.training.run_config import RunConfig

# Stands for the rendered scenes of the run among the data that is mixed.
SCENES = "scenes"


@dataclass(frozen=True, slots=True)
class DataPart:
    """One of the sources that are mixed.

    Attributes:
        source: `SCENES`, or what `sources.open_source` takes.
        weight: How often it is drawn from, beside the weights of the others.

    Raises:
        InputError: The weight is not positive.
    """

    source: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not self.weight > 0:
            raise InputError(
                f"data '{self.source}': got weight {self.weight}, expected more than 0. Fix: raise it or leave it out"
            )


@dataclass(frozen=True, slots=True)
class TrainConfig(RunConfig):
    """A supervised training run; see `RunConfig` for what all runs have.

    Attributes:
        preset: Model shape.
        pool: Folder of rendered scenes to train on.
        held_back: Folder of rendered scenes of another seed, to measure on.
        gradient_weight: Weight of the gradient term of the loss for relative depth.
        encoder_from: Checkpoint whose encoder the student begins with; its head begins at random.
        begin_from: Checkpoint or bundle of a whole model to begin with; one of a smaller shape is grown into this one.
        data: What is trained on.
        measure_on: What is measured on, as `sources.open_source` takes it. Empty: the held-back scenes where scenes are
            trained on, else the last tenth of each source, which then is not trained on.
        max_depth: Predict metric depth up to this many metres; None: relative inverse depth.
        degrade: Degrade the colours that are trained on at random, see `pixio_edge.training.degrade`.

    Raises:
        InputError: As for `RunConfig`, or there is no data or no positive range.
    """

    LATER: ClassVar[frozenset[str]] = RunConfig.LATER | {"data", "measure_on", "max_depth", "degrade", "begin_from"}

    preset: str
    pool: Path
    held_back: Path
    gradient_weight: float = 0.5
    encoder_from: Path | None = None
    data: tuple[DataPart, ...] = (DataPart(SCENES),)
    measure_on: tuple[str, ...] = ()
    max_depth: float | None = None
    degrade: bool = False
    begin_from: Path | None = None

    def __post_init__(self) -> None:
        # Not super(): a dataclass with slots is a new class, which the empty form does not know.
        RunConfig.__post_init__(self)
        if not self.data:
            raise InputError("training: got no data, expected at least one source. Fix: name one, or scenes")
        if self.begin_from is not None and self.encoder_from is not None:
            raise InputError(
                f"training: got an encoder ('{self.encoder_from}') and a whole model ('{self.begin_from}') to begin "
                "with, expected one. Fix: leave one out"
            )
        if self.max_depth is not None and not self.max_depth > 0:
            raise InputError(f"training: got max_depth {self.max_depth}, expected more than 0 m. Fix: raise it")

    @property
    def uses_scenes(self) -> bool:
        """Whether scenes are trained on, and so have to be rendered."""
        return any(part.source == SCENES for part in self.data)
