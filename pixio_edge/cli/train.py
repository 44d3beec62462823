"""`pixio-edge train`: a student from rendered scenes, from labelled images, or from both."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixio_edge.cli.console import Meter
from pixio_edge.cli.extras import needs_extra
from pixio_edge.cli.options import JsonOption, LayoutOption, RenderersOption, examples, parse_layouts, parse_size
from pixio_edge.cli.stopping import term_interrupts
from pixio_edge.cli.training_output import Pace, TrainingMeter, finish, log_to_stderr, show_estimate
from pixio_edge.errors import InputError

if TYPE_CHECKING:
    from pixio_edge.training.processes import Processes
    from pixio_edge.training.run_config import OptimizerName
    from pixio_edge.training.session import TrainingSession
    from pixio_edge.training.train_config import DataPart

EXAMPLES = examples(
    "pixio-edge train runs/nano --textures path/to/textures",
    "pixio-edge train runs/nano --textures path/to/textures --dry-run",
    "pixio-edge train runs/quick --preset tiny --scenes 512 --images 4096 --stage 1:96x128",
    "pixio-edge train runs/arm --textures path/to/textures --layout tabletop:3 --layout shelf --layout still_life",
    "pixio-edge train runs/small --preset small --begin-from runs/nano/model.safetensors --textures path/to/textures",
    "pixio-edge train runs/mixed --data 0.7:scenes --data 0.3:path/to/index_folder",
    "pixio-edge train runs/nyu --data nyu_train.txt@path/to/nyu --max-depth 10 --encoder-from nano.safetensors",
    "accelerate launch --multi_gpu --num_processes 4 -m pixio_edge.cli.main train runs/nano --device cuda",
)

SCENE_SIZE = (192, 256)


def train(
    run: Annotated[Path, typer.Argument(help="Run folder: scenes, log, curve, checkpoints, weights.")],
    preset: Annotated[str, typer.Option("--preset", help="Shape of the model.")] = "nano",
    textures: Annotated[
        Path | None,
        typer.Option("--textures", help="Folder of images to render with. Default: procedural noise alone."),
    ] = None,
    layout: LayoutOption = None,
    scenes: Annotated[
        int,
        typer.Option("--scenes", min=1, help="Images to render, four of each scene; each is seen several times."),
    ] = 24_576,
    held_back: Annotated[int, typer.Option("--held-back", min=1, help="Images of other scenes to measure on.")] = 256,
    scene_size: Annotated[
        str, typer.Option("--scene-size", metavar="HxW", help="Size of rendered images.")
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
    begin_from: Annotated[
        Path | None,
        typer.Option(
            "--begin-from",
            help="Checkpoint or bundle of a whole model to begin with; a smaller one, such as nano for small, is "
            "widened and deepened first, so that it computes the same. Default: begin at random.",
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data",
            metavar="[WEIGHT:]SOURCE",
            help="What to train on; repeat to mix by weight. scenes, a folder with index.csv, NYUv2's .mat, a KITTI "
            "folder, another run's pool, or a BTS split LIST.txt@FOLDER. Default: scenes.",
        ),
    ] = None,
    measure_on: Annotated[
        list[str] | None,
        typer.Option(
            "--measure-on",
            metavar="SOURCE",
            help="What to measure on. Default: held-back scenes; without scenes, the last tenth of each source.",
        ),
    ] = None,
    max_depth: Annotated[
        float | None,
        typer.Option("--max-depth", help="Predict metric depth up to this many metres. Default: relative depth."),
    ] = None,
    degrade: Annotated[
        bool,
        typer.Option("--degrade/--no-degrade", help="Filter, blur, shade and roughen some of the images at random."),
    ] = True,
    freeze_encoder: Annotated[
        bool, typer.Option("--freeze-encoder", help="Leave the encoder as it is, BatchNorm statistics included.")
    ] = False,
    optimizer: Annotated[
        str, typer.Option("--optimizer", help="muon (for the matrices of blocks, AdamW for the rest) or adamw.")
    ] = "muon",
    layer_decay: Annotated[
        float,
        typer.Option("--layer-decay", help="Factor on the rate from each layer of the encoder to the one before it."),
    ] = 1.0,
    accumulate: Annotated[
        int, typer.Option("--accumulate", min=1, help="Parts of a batch that are computed one by one; saves memory.")
    ] = 1,
    bf16: Annotated[
        bool, typer.Option("--bf16/--fp32", help="Precision inside the model; weights are float32.")
    ] = True,
    compile_model: Annotated[
        bool, typer.Option("--compile-model", help="Fuse the model with torch.compile; each image shape compiles once.")
    ] = False,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Threads that prepare images.")] = 1,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the scenes, the weights and the order.")] = 0,
    device: Annotated[str, typer.Option("--device", help="cpu or cuda.")] = "cpu",
    renderers: RenderersOption = None,
    threads: Annotated[
        int | None, typer.Option("--threads", "-t", min=1, help="Threads. Default: torch decides.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only measure how long it would take here; writes nothing.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Render scenes or read labelled images, train on them, and keep a log, a curve and checkpoints.

    The same command goes on where it stopped. The averaged weights are RUN/model.safetensors, for `pixio-edge export`.
    Ctrl-C saves first. Several processes, GPUs or machines: start it with `accelerate launch`; --batch is that of all.
    """
    with needs_extra("train", "pixio-edge train"):
        from pixio_edge.host import usable_cores
        from pixio_edge.training.device import open_device
        from pixio_edge.training.processes import Processes
        from pixio_edge.training.scene_plan import HELD_BACK, POOL, ScenePlan
        from pixio_edge.training.session import TrainingSession
        from pixio_edge.training.train_config import TrainConfig
    size = parse_size(scene_size, option="--scene-size") or SCENE_SIZE
    plan = ScenePlan(scenes, held_back, size, seed, textures, parse_layouts(layout))
    config = TrainConfig(
        preset, run / POOL, run / HELD_BACK, images=images, batch=batch, rate=rate, warmup=warmup, seed=seed
    )
    config = replace(config, stages=parse_stages(stages) or config.stages, device=device, encoder_from=encoder_from)
    config = replace(config, begin_from=begin_from)
    config = replace(config, data=parse_data(data) or config.data, measure_on=tuple(measure_on or ()))
    config = replace(config, max_depth=max_depth, freeze_encoder=freeze_encoder, layer_decay=layer_decay, bf16=bf16)
    config = replace(config, accumulate=accumulate, compiled=compile_model, workers=workers, degrade=degrade)
    config = replace(config, optimizer=parse_optimizer(optimizer))
    open_device(device, threads=threads)
    session = TrainingSession(run, plan, config, renderers or usable_cores())
    processes = Processes(device)
    if dry_run:
        if processes.is_main:
            with term_interrupts():
                estimate = session.estimate(processes)
            show_estimate(estimate, run, json=json)
        return
    log_to_stderr(processes)
    is_done = render_with_progress(session, processes) and train_with_progress(session, processes)
    finish(run, processes, is_done=is_done, json=json)


def render_with_progress(session: TrainingSession, processes: Processes) -> bool:
    """Render what is missing under a progress bar, while other processes wait; False if it was interrupted."""
    paces: dict[str, Pace] = {}
    with term_interrupts(), Meter("render") as meter:

        def show(part: str, done: int, total: int) -> None:
            pace = paces.setdefault(part, Pace(done))
            meter.update(done, total, f"{part} {pace.per_second(done):.0f} images/s")

        try:
            processes.on_main(lambda: session.render(progress=show))
        except KeyboardInterrupt:
            return False
    return True


def train_with_progress(session: TrainingSession, processes: Processes) -> bool:
    """Train under a progress bar; False if it was interrupted, after saving."""
    with TrainingMeter(session.config.batch, processes) as meter:
        session.train(processes=processes, on_step=meter.show, should_stop=lambda: meter.is_stopped)
        return not meter.is_stopped


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


def parse_data(texts: list[str] | None) -> tuple[DataPart, ...] | None:
    """Read `[WEIGHT:]SOURCE`; a weight is a number, so that the drive of a Windows path is none.

    Raises:
        InputError: A weight is not positive.
    """
    from pixio_edge.training.train_config import DataPart

    if not texts:
        return None
    parts = []
    for text in texts:
        match = re.fullmatch(r"(\d+\.?\d*|\.\d+):(.+)", text.strip())
        parts.append(DataPart(match[2], float(match[1])) if match else DataPart(text.strip()))
    return tuple(parts)


def parse_optimizer(text: str) -> OptimizerName:
    """Read the name of an optimiser.

    Raises:
        InputError: There is none of that name.
    """
    known: tuple[OptimizerName, ...] = ("muon", "adamw")
    for name in known:
        if name == text.lower():
            return name
    raise InputError(f"--optimizer: got '{text}', expected one of {', '.join(known)}. Fix: choose one of these")
