"""How long a run will take on this host, measured on a few batches."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from pixio_edge.training.data import shape_near
from pixio_edge.training.pool import RENDER_BATCH
from pixio_edge.training.scenes import render
from pixio_edge.training.student import Student
from pixio_edge.training.textures import TextureAtlas
from pixio_edge.training.train_config import TrainConfig

# The first call compiles and allocates; the second is what the others will take.
MEASURED_CALLS = 2
# Of the shape that most batches have.
MEASURED_RATIO = (3.0, 4.0)


@dataclass(frozen=True, slots=True)
class StageEstimate:
    """One stage of a run: images to see, pixels per image, and the rate at which this host trains."""

    images: int
    pixels: int
    images_per_s: float

    @property
    def seconds(self) -> float:
        """Time of the stage."""
        return self.images / self.images_per_s


@dataclass(frozen=True, slots=True)
class TimeEstimate:
    """What a run would take from where it is now.

    Attributes:
        scenes: Images still to render.
        scenes_per_s: Rate of rendering, None when there is nothing to render.
        stages: Stages still to train, each as far as it is left.
    """

    scenes: int
    scenes_per_s: float | None
    stages: tuple[StageEstimate, ...]

    @property
    def render_s(self) -> float:
        """Time of rendering."""
        return self.scenes / self.scenes_per_s if self.scenes_per_s else 0.0

    @property
    def train_s(self) -> float:
        """Time of training."""
        return sum(stage.seconds for stage in self.stages)


def measure_rendering(size: tuple[int, int], atlas: TextureAtlas, *, device: torch.device, compiled: bool) -> float:
    """Images per second of the renderer; with `compiled`, the first call takes up to a minute and does not count.

    Raises:
        SpecError: The size is not a multiple of 16.
    """
    seconds = _time_last(
        lambda: float(render(0, range(RENDER_BATCH), size, atlas, device=device, compiled=compiled).depth[0, 0, 0])
    )
    return RENDER_BATCH / seconds


def measure_training(config: TrainConfig, *, steps_done: int = 0) -> tuple[StageEstimate, ...]:
    """What is left of each stage, and the rate of a training step in it on random images.

    Args:
        config: The run.
        steps_done: Steps it has behind it.

    Raises:
        InputError: There is no such preset.
    """
    student = Student(config)
    starts = [*config.pixels_at.items(), (config.steps, 0)]
    stages = []
    for (first, pixels), (end, _) in itertools.pairwise(starts):
        steps = end - max(first, steps_done)
        if steps > 0:
            rate = config.batch / _time_last(partial(_random_step, student, config.batch, pixels))
            stages.append(StageEstimate(steps * config.batch, pixels, rate))
    return tuple(stages)


def _random_step(student: Student, batch: int, pixels: int) -> float:
    height, width = shape_near(pixels, MEASURED_RATIO)
    return student.train_step(torch.randn(batch, 3, height, width), torch.rand(batch, height, width))[0]


def _time_last(call: Callable[[], float]) -> float:
    """Seconds of the last of a few calls; each returns a number, so that a GPU has finished."""
    seconds = 0.0
    for _ in range(MEASURED_CALLS):
        started = time.perf_counter()
        call()
        seconds = time.perf_counter() - started
    return seconds
