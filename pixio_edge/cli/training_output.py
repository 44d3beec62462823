"""What every verb that trains shows: progress, an estimate, where the result is."""

from __future__ import annotations

import logging
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from pixio_edge.cli.console import Meter, print_json, print_problem, print_table
from pixio_edge.cli.stopping import StopRequest

if TYPE_CHECKING:
    from typing_extensions import Self

    from pixio_edge.training.loop import Progress
    from pixio_edge.training.processes import Processes
    from pixio_edge.training.time_estimate import TimeEstimate

INTERRUPTED = 130
# Between the Ctrl-C of a terminal and the signal by which a launcher passes it on to the processes it started.
LAUNCHER_ECHO_S = 5.0
# Losses of models that look at nothing, which the log has beside the held-back loss.
PRIORS = ("row_prior", "constant_prior")


def log_to_stderr(processes: Processes) -> None:
    """Log in the main process where no progress bar says how far it is."""
    if processes.is_main and not sys.stderr.isatty():
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")


class TrainingMeter:
    """Progress of training in the main process, and Ctrl-C as a request to save and stop in all of them.

    Args:
        batch: Images per step, over all processes.
        processes: Those that train.
    """

    def __init__(self, batch: int, processes: Processes) -> None:
        self._batch, self._meter = batch, Meter("train")
        self._stop = StopRequest(echo_s=LAUNCHER_ECHO_S if processes.count > 1 else 0.0)
        self._pace: Pace | None = None

    def __enter__(self) -> Self:
        self._stop.__enter__()
        self._meter.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._meter.__exit__(*exception)
        self._stop.__exit__(*exception)

    @property
    def is_stopped(self) -> bool:
        """Whether somebody asked for an early end."""
        return self._stop.is_made

    def show(self, at: Progress) -> None:
        """Show how far a run is."""
        if self._pace is None:  # the first step is slower than all others
            self._pace = Pace(at.step)
        rate = self._pace.per_second(at.step) * self._batch
        self._meter.update(at.step, at.steps, f"{rate:.0f} images/s, loss {at.loss:.4f}")


class Pace:
    """Speed of work that started at some count."""

    def __init__(self, done: int) -> None:
        self._done, self._started = done, time.monotonic()

    def per_second(self, done: int) -> float:
        """Count per second since the start, 0 at the start."""
        seconds = time.monotonic() - self._started
        return (done - self._done) / seconds if seconds > 0 else 0.0


def show_estimate(estimate: TimeEstimate, run: Path, *, json: bool) -> None:
    """Print what would be done and how long it would take."""
    record: dict[str, Any] = {
        "run": str(run),
        "start_s": estimate.start_s,
        "scenes_to_render": estimate.scenes,
        "scenes_per_s": estimate.scenes_per_s,
        "render_s": estimate.render_s,
        "stages": [asdict(stage) | {"bound_by": stage.bound_by, "seconds": stage.seconds} for stage in estimate.stages],
        "train_s": estimate.train_s,
        "total_s": estimate.total_s,
    }
    if json:
        print_json(record)
        return
    scenes_per_s = f"{estimate.scenes_per_s or 0:.1f}"
    rows = [
        ("start rendering", "", "", "", "", duration(estimate.start_s)),
        ("render scenes", estimate.scenes, scenes_per_s, "", "", duration(estimate.render_s)),
    ]
    for stage in estimate.stages:
        rates = (f"{stage.images_per_s:.1f}", f"{stage.input_images_per_s:.1f}", stage.bound_by)
        rows.append((f"train at {stage.pixels} pixels", stage.images, *rates, duration(stage.seconds)))
    header = ("what", "images", "images/s", "input images/s", "bound by", "time")
    print_table(header, [*rows, ("in all", "", "", "", "", duration(record["total_s"]))])


def finish(run: Path, processes: Processes, *, is_done: bool, json: bool) -> None:
    """Say, in the main process, how a run ended; exit in all of them when it was interrupted."""
    if not is_done:
        if processes.is_main:
            print_problem(f"interrupted; {run} is saved, and the same command goes on from there")
        raise typer.Exit(INTERRUPTED)
    if processes.is_main:
        show_result(run, json=json)


def show_result(run: Path, *, json: bool) -> None:
    """Print where the weights are and how good they are on what was held back."""
    from pixio_edge.training.run_folder import RunFolder

    folder = RunFolder(run)
    last = [line for line in folder.read_log() if "held_back" in line][-1]
    record = {"run": str(run), "weights": str(folder.weights), "curve": str(folder.curve), **last}
    if json:
        print_json(record)
        return
    compared = "".join(f" ({key.replace('_', ' ')} {last[key]:.4f})" for key in PRIORS if key in last)
    print(
        f"{folder.weights}: averaged weights after {last['images']} images; held-back loss "
        f"{last['held_back']:.4f}{compared}; curve in {folder.curve}"
    )


def duration(seconds: float) -> str:
    """Hours, minutes and seconds as a person reads them."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min {rest:02d} s"
