"""How long a run will take on this host, measured on a few batches."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch

from pixio_edge.scenes.studio import TASK_IMAGES, Studio
from pixio_edge.training.data import DepthBatch, DepthRows, shape_near
from pixio_edge.training.learner import Learner
from pixio_edge.training.pipeline import stream
from pixio_edge.training.processes import Processes
from pixio_edge.training.sources import LabelledImage
from pixio_edge.training.supervised import DepthObjective
from pixio_edge.training.train_config import TrainConfig

# The first call compiles and allocates; the second is what the others will take.
MEASURED_CALLS = 2
# Of rendering, per process; scenes differ, so that one would not tell.
MEASURED_TASKS = 4
# Of the shape that most batches have.
MEASURED_RATIO = (3.0, 4.0)
# Batches of the input pipeline that are timed, after as many that fill it.
MEASURED_BATCHES = 4

Bound = Literal["training", "input"]


@dataclass(frozen=True, slots=True)
class StageEstimate:
    """One stage of a run as this host and this process would do it.

    Attributes:
        images: Images to see, over all processes.
        pixels: Pixels per image.
        images_per_s: Rate of training steps alone, on batches that lie ready.
        input_images_per_s: Rate of the input pipeline alone.
    """

    images: int
    pixels: int
    images_per_s: float
    input_images_per_s: float

    @property
    def bound_by(self) -> Bound:
        """What is slower; more workers help only where it is the input."""
        return "training" if self.images_per_s <= self.input_images_per_s else "input"

    @property
    def seconds(self) -> float:
        """Time of the stage; the pipeline works while the model trains, so the slower of the two counts."""
        return self.images / min(self.images_per_s, self.input_images_per_s)


@dataclass(frozen=True, slots=True)
class TimeEstimate:
    """What a run would take from where it is now.

    Attributes:
        scenes: Images still to render.
        scenes_per_s: Rate of rendering, None when there is nothing to render.
        stages: Stages still to train, each as far as it is left.
        start_s: Time until rendering is at that rate: textures, models and compiled code are loaded, processes started.
    """

    scenes: int
    scenes_per_s: float | None
    stages: tuple[StageEstimate, ...]
    start_s: float = 0.0

    @property
    def render_s(self) -> float:
        """Time of rendering, once it is started."""
        return self.scenes / self.scenes_per_s if self.scenes_per_s else 0.0

    @property
    def train_s(self) -> float:
        """Time of training."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def total_s(self) -> float:
        """Time of everything."""
        return self.start_s + self.render_s + self.train_s


def measure_rendering(size: tuple[int, int], studio: Studio, layouts: Mapping[str, float]) -> tuple[float, float]:
    """Time that a studio takes to start, and the images per second that it renders then.

    Args:
        size: (height, width) in pixels.
        studio: Not open yet; closed afterwards.
        layouts: As for `render.render`.

    Raises:
        CheckFailedError: A rendering process died.
        InputError: The texture folder cannot be used, or there is no such layout.
        OutputError: There is no room for the textures in the folder of temporary files.
    """
    images = range(MEASURED_TASKS * studio.workers * TASK_IMAGES)
    times = [time.perf_counter()]
    with studio:
        times.append(time.perf_counter())
        # What its processes load and compile at first makes the first call longer than the others.
        for _ in range(MEASURED_CALLS):
            for _ in studio.render(0, images, size, layouts=layouts):
                pass
            times.append(time.perf_counter())
    opening, *calls = (after - before for before, after in itertools.pairwise(times))
    return opening + max(0.0, calls[0] - calls[-1]), len(images) / calls[-1]


def measure_training(
    config: TrainConfig, processes: Processes, rows: DepthRows | None = None, *, steps_done: int = 0
) -> tuple[StageEstimate, ...]:
    """What is left of each stage, and the rates of training and of its input.

    Several processes are taken to be as fast as this one, and their exchange of gradients to cost nothing.

    Args:
        config: The run.
        processes: Those that would train it; only one of them has to call this.
        rows: What it is trained on; None: scenes that are not rendered yet, for which noise stands in.
        steps_done: Steps it has behind it.

    Raises:
        InputError: There is no such preset.
    """
    learner = Learner(DepthObjective(config), config, processes)
    (share,) = processes.share(config.batch, 1)
    rows = rows or DepthRows([(NoiseSource(), 1.0)], pixels_of=config.pixels_of, seed=config.seed)
    starts = [*config.pixels_at.items(), (config.steps, 0)]
    stages = []
    for (first, pixels), (end, _) in itertools.pairwise(starts):
        steps = end - max(first, steps_done)
        if steps > 0:
            rate = config.batch / _time_last(partial(_random_step, learner, len(share), pixels))
            input_rate = measure_input(rows, share, first, workers=config.workers) * processes.count
            stages.append(StageEstimate(steps * config.batch, pixels, rate, input_rate))
    return tuple(stages)


def measure_input(rows: DepthRows, share: range, step: int, *, workers: int) -> float:
    """Images per second of the input pipeline of one process with nothing beside it.

    Args:
        rows: What it is trained on.
        share: Rows of each batch that the process makes.
        step: First step that is made.
        workers: Threads.
    """
    steps = range(step, step + 2 * MEASURED_BATCHES)
    batches = stream(rows, steps=steps, parts=(share,), workers=workers)
    for _ in range(MEASURED_BATCHES):
        next(batches)
    started = time.perf_counter()
    for _ in range(MEASURED_BATCHES):
        next(batches)
    return MEASURED_BATCHES * len(share) / (time.perf_counter() - started)


class NoiseSource:
    """Random labelled images in memory, in place of data that is not there yet.

    Args:
        size: (height, width).
    """

    name = "noise"

    def __init__(self, size: tuple[int, int] = (192, 256)) -> None:
        rng = np.random.default_rng(0)
        self._image = LabelledImage(
            rng.integers(0, 256, (*size, 3), dtype=np.uint8), rng.random(size).astype(np.float16)
        )

    def refresh(self) -> int:
        """One image."""
        return 1

    def read(self, index: int) -> LabelledImage:
        """The image."""
        del index
        return self._image

    def is_metric(self) -> bool:
        """Yes."""
        return True


def _random_step(learner: Learner[DepthBatch], batch: int, pixels: int) -> float:
    height, width = shape_near(pixels, MEASURED_RATIO)
    loss, _ = learner.train_step([DepthBatch(torch.randn(batch, 3, height, width), torch.rand(batch, height, width))])
    return float(loss)


def _time_last(call: Callable[[], float]) -> float:
    """Seconds of the last of a few calls; each returns a number, so that a GPU has finished."""
    seconds = 0.0
    for _ in range(MEASURED_CALLS):
        started = time.perf_counter()
        call()
        seconds = time.perf_counter() - started
    return seconds
