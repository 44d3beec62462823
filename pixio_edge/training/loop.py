"""The loop of every training run: steps, log, measurements, checkpoints, and going on where a run stopped.

A run folder holds `config.json`, `log.jsonl`, `checkpoint.pt` (everything needed to go on), `model.safetensors` (the
averaged weights) and `curve.png`. A stopped run goes on from its last checkpoint with the same batches as unbroken.
With several processes only the main one writes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

from torch import nn

from pixio_edge.training.curve import plot_curve
from pixio_edge.training.learner import Learner
from pixio_edge.training.objective import Batch, Item, Objective, Rows
from pixio_edge.training.pipeline import stream
from pixio_edge.training.processes import GO_ON, STOP, Processes
from pixio_edge.training.run_config import RunConfig
from pixio_edge.training.run_folder import RunFolder

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    Attributes:
        step: Steps done.
        steps: Steps in all.
        loss: Loss of the last batch that was logged, NaN before the first.
    """

    step: int
    steps: int
    loss: float


def fit(
    config: RunConfig,
    folder: Path,
    objective: Objective[Batch],
    rows: Rows[Item, Batch],
    *,
    processes: Processes,
    on_step: Callable[[Progress], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> nn.Module:
    """Train, or go on with, the run in `folder`.

    Args:
        config: The run; a resumed run must have the same values, those in `RunConfig.PASSING` apart.
        folder: Run folder, created if missing.
        objective: What is learnt; freshly made in every process with the same weights.
        rows: What it is learnt from.
        processes: Those that train together; all of them have to call this.
        on_step: Called after every step, in the main process.
        should_stop: Asked after every step; the run is saved and ends early when any process says yes.

    Returns:
        The averaged model, as far as it has come.

    Raises:
        CheckFailedError: Weights are not finite any more.
        InputError: The folder holds another run or is damaged, or the batch cannot be split over the processes.
        OutputError: The folder cannot be written.
        PeerFailedError: Another process failed.
    """
    # Not one call: where a process waits for others, none of them may be waiting to say that it failed.
    run = processes.together(lambda: _Run(config, RunFolder(folder), objective, rows, processes))
    run.learner.join()
    batches = stream(
        rows,
        steps=range(run.learner.step, config.steps),
        parts=processes.share(config.batch, config.accumulate),
        workers=config.workers,
    )
    while run.learner.step < config.steps:
        parts = processes.together(lambda: next(batches))
        run.step(parts)
        is_last = run.learner.step == config.steps
        stop = processes.agree(STOP if should_stop() else GO_ON) == STOP
        run.keep(is_last=is_last, stop=stop)
        if processes.is_main:
            on_step(Progress(run.learner.step, config.steps, run.loss))
        if stop:
            break
    batches.close()
    return run.learner.average


class _Run(Generic[Item, Batch]):
    """A learner, and the folder that it is kept in."""

    def __init__(
        self,
        config: RunConfig,
        folder: RunFolder,
        objective: Objective[Batch],
        rows: Rows[Item, Batch],
        processes: Processes,
    ) -> None:
        self.config, self.folder, self.rows, self.processes = config, folder, rows, processes
        processes.share(config.batch, config.accumulate)  # refuses a batch that cannot be split, before any work
        folder.check(config.lasting_values())
        self.learner = Learner(objective, config, processes)
        if processes.is_main:
            folder.claim(config.lasting_values())
        state = folder.load_state(processes.device)
        if state is not None:
            self.learner.load_state_dict(state)
        if processes.is_main:
            folder.cut_log(self.learner.step)
        self.loss = float("nan")
        self._started, self._images = time.monotonic(), 0

    def step(self, parts: tuple[Batch, ...]) -> None:
        """One step; its loss is written where the log has a line."""
        learner = self.learner
        loss, terms = learner.train_step(parts)
        self._images += self.config.batch
        if learner.step % self.config.log_every == 0:
            # Only here: to read a value, a processor waits for its GPU.
            values = self.processes.mean({"loss": loss, **terms})
            self.loss = values["loss"]
            rate = self._images / (time.monotonic() - self._started)
            self.write_log({**values, "images_per_s": round(rate, 2), **self.rows.facts()})
            self._started, self._images = time.monotonic(), 0

    def keep(self, *, is_last: bool, stop: bool) -> None:
        """Measure and save where it is time to; the others wait, so that an error reaches all."""
        is_due = self.learner.step % self.config.save_every == 0

        def write() -> None:
            if is_due or is_last:
                self.write_log(self.learner.objective.measure(self.learner.average))
            self.save()

        if is_due or is_last or stop:
            self.processes.on_main(write)

    def write_log(self, values: dict[str, Any]) -> None:
        """Log values with the step and the images seen so far, in the main process."""
        if not self.processes.is_main:
            return
        line = {"step": self.learner.step, "images": self.learner.step * self.config.batch, **values}
        self.folder.append_log(line)
        log.info("%s", line)

    def save(self) -> None:
        """Write averaged weights, state and curve; with weights that are not finite, the last state stays."""
        self.learner.objective.save(self.folder.weights, self.learner.average)
        self.folder.save_state(self.learner.state_dict())
        plot_curve(self.folder.read_log(), self.folder.curve)
