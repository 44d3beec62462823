"""`pixio-edge train`: a student from nothing but rendered scenes."""

from __future__ import annotations

import logging
import re
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pixio_edge.cli.console import Meter, print_json, print_problem, print_table
from pixio_edge.cli.extras import needs_extra
from pixio_edge.cli.options import JsonOption, examples, parse_size
from pixio_edge.cli.stopping import StopRequest
from pixio_edge.errors import InputError

if TYPE_CHECKING:
    from pixio_edge.training.session import TrainingSession
    from pixio_edge.training.supervised import Progress
    from pixio_edge.training.time_estimate import TimeEstimate

EXAMPLES = examples(
    "pixio-edge train runs/nano --textures path/to/textures",
    "pixio-edge train runs/nano --textures path/to/textures --dry-run",
    "pixio-edge train runs/quick --preset tiny --scenes 512 --images 4096 --stage 1:96x128",
    "pixio-edge train runs/nano --textures path/to/textures --device cuda",
)

INTERRUPTED = 130
SCENE_SIZE = (192, 256)


def train(
    run: Annotated[Path, typer.Argument(help="Run folder: scenes, log, curve, checkpoints, weights.")],
    preset: Annotated[str, typer.Option("--preset", help="Shape of the model.")] = "nano",
    textures: Annotated[
        Path | None,
        typer.Option("--textures", help="Folder of images to render with. Default: procedural noise alone."),
    ] = None,
    scenes: Annotated[int, typer.Option("--scenes", min=1, help="Scenes to render, each seen several times.")] = 24_576,
    held_back: Annotated[int, typer.Option("--held-back", min=1, help="Further scenes to measure on.")] = 256,
    scene_size: Annotated[
        str, typer.Option("--scene-size", metavar="HxW", help="Size of rendered images, multiples of 16.")
    ] = "192x256",
    images: Annotated[int, typer.Option("--images", min=1, help="Images to see in all.")] = 180_000,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Images per step.")] = 32,
    rate: Annotated[float, typer.Option("--rate", help="Peak learning rate.")] = 1e-3,
    warmup: Annotated[int, typer.Option("--warmup", min=0, help="Steps in which the rate rises to its peak.")] = 200,
    stages: Annotated[
        list[str] | None,
        typer.Option(
            "--stage",
            metavar="SHARE:HxW",
            help="Share of the images and their size; repeat in order. Default: 0.6:128x160 0.4:192x256.",
        ),
    ] = None,
    encoder_from: Annotated[
        Path | None,
        typer.Option("--encoder-from", help="Checkpoint whose encoder to begin with. Default: begin at random."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the scenes, the weights and the order.")] = 0,
    device: Annotated[str, typer.Option("--device", help="cpu or cuda.")] = "cpu",
    compiled: Annotated[
        bool | None,
        typer.Option(
            "--compile/--no-compile",
            help="Fuse the renderer's loops: about ten times faster on a CPU after half a minute of compiling. "
            "Default: on a CPU with a C++ compiler.",
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", "-t", min=1, help="Threads. Default: torch decides.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only measure how long it would take here; writes nothing.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Render scenes, train on them, and keep a log, a curve and checkpoints; the same command goes on where it stopped.

    The averaged weights are RUN/model.safetensors, for `pixio-edge export`. Ctrl-C saves first.
    """
    with needs_extra("train", "pixio-edge train"):
        from pixio_edge.training.device import open_device
        from pixio_edge.training.scene_plan import HELD_BACK, POOL, ScenePlan
        from pixio_edge.training.session import TrainingSession, can_compile
        from pixio_edge.training.train_config import TrainConfig
    plan = ScenePlan(scenes, held_back, parse_size(scene_size, option="--scene-size") or SCENE_SIZE, seed, textures)
    config = TrainConfig(preset, run / POOL, run / HELD_BACK, images, batch=batch, rate=rate, warmup=warmup, seed=seed)
    config = replace(config, stages=parse_stages(stages) or config.stages, device=device, encoder_from=encoder_from)
    open_device(device, threads=threads)
    if compiled is None:
        compiled = device == "cpu" and can_compile()
    session = TrainingSession(run, plan, config, compiled)
    if dry_run:
        show_estimate(session.estimate(), run, json=json)
        return
    if not sys.stderr.isatty():  # no progress bar there, so the log says how far it is
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if not render_with_progress(session) or not train_with_progress(session):
        print_problem(f"interrupted; {run} is saved, and the same command goes on from there")
        raise typer.Exit(INTERRUPTED)
    show_result(run, json=json)


def render_with_progress(session: TrainingSession) -> bool:
    """Render what is missing under a progress bar; False if it was interrupted."""
    paces: dict[str, Pace] = {}
    with Meter("render") as meter:

        def show(part: str, done: int, total: int) -> None:
            pace = paces.setdefault(part, Pace(done))
            meter.update(done, total, f"{part} {pace.per_second(done):.0f} images/s")

        try:
            session.render(progress=show)
        except KeyboardInterrupt:
            return False
    return True


def train_with_progress(session: TrainingSession) -> bool:
    """Train under a progress bar; False if it was interrupted, after saving."""
    batch = session.config.batch
    paces: list[Pace] = []
    with Meter("train") as meter, StopRequest() as stop:

        def show(at: Progress) -> None:
            if not paces:  # the first step is slower than all others
                paces.append(Pace(at.step))
            rate = paces[0].per_second(at.step) * batch
            meter.update(at.step, at.steps, f"{rate:.0f} images/s, loss {at.loss:.4f}")

        session.train(on_step=show, should_stop=lambda: stop.is_made)
        return not stop.is_made


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
        "scenes_to_render": estimate.scenes,
        "scenes_per_s": estimate.scenes_per_s,
        "render_s": estimate.render_s,
        "stages": [asdict(stage) | {"seconds": stage.seconds} for stage in estimate.stages],
        "train_s": estimate.train_s,
        "total_s": estimate.render_s + estimate.train_s,
    }
    if json:
        print_json(record)
        return
    rows = [("render scenes", estimate.scenes, f"{estimate.scenes_per_s or 0:.1f}", duration(estimate.render_s))]
    rows += [
        (f"train at {stage.pixels} pixels", stage.images, f"{stage.images_per_s:.1f}", duration(stage.seconds))
        for stage in estimate.stages
    ]
    print_table(("what", "images", "images/s", "time"), [*rows, ("in all", "", "", duration(record["total_s"]))])


def show_result(run: Path, *, json: bool) -> None:
    """Print where the weights are and how good they are on held-back scenes."""
    from pixio_edge.training.run_folder import RunFolder

    folder = RunFolder(run)
    last = [line for line in folder.read_log() if "held_back" in line][-1]
    record = {"run": str(run), "weights": str(folder.weights), "curve": str(folder.curve), **last}
    if json:
        print_json(record)
        return
    print(
        f"{folder.weights}: averaged weights after {last['images']} images; loss on held-back scenes "
        f"{last['held_back']:.4f} (row prior {last['row_prior']:.4f}); curve in {folder.curve}"
    )


def duration(seconds: float) -> str:
    """Hours, minutes and seconds as a person reads them."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min {rest:02d} s"


def parse_stages(texts: list[str] | None) -> tuple[tuple[float, int], ...] | None:
    """Read `SHARE:HxW` as (share of the images, pixels per image).

    Raises:
        InputError: A text is no stage.
    """
    if not texts:
        return None
    stages = []
    for text in texts:
        match = re.fullmatch(r"(\d*\.?\d+):(\d+)x(\d+)", text.strip())
        if match is None:
            raise InputError(f"--stage: got '{text}', expected SHARE:HEIGHTxWIDTH. Fix: --stage 0.6:128x160")
        stages.append((float(match[1]), int(match[2]) * int(match[3])))
    return tuple(stages)
