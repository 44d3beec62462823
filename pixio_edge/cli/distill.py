"""`pixio-edge distill`: a student from a teacher and plain images."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixio_edge.cli.console import print_json, print_table
from pixio_edge.cli.extras import needs_extra
from pixio_edge.cli.options import JsonOption, examples
from pixio_edge.cli.train import parse_optimizer, parse_stages
from pixio_edge.cli.training_output import TrainingMeter, duration, finish, log_to_stderr

if TYPE_CHECKING:
    from pixio_edge.training.distill_config import DistillConfig
    from pixio_edge.training.distill_plan import DistillPlan
    from pixio_edge.training.processes import Processes

EXAMPLES = examples(
    "pixio-edge distill runs/student --teacher depth_anything_v2_vits.pth --teacher-preset depth-anything-v2-small "
    "--images path/to/photos --cache cache",
    "pixio-edge distill runs/student --teacher runs/small/model.safetensors --images shards --qat-share 0.1",
    "pixio-edge distill runs/encoder --teacher pixio_vith16.pth --teacher-preset pixio-vith16 --images photos "
    "--label-weight 0 --feature-weight 1 --min-area 1",
)


def distill(
    run: Annotated[Path, typer.Argument(help="Run folder: log, curve, checkpoints, weights.")],
    teacher: Annotated[str, typer.Option("--teacher", help="Checkpoint or bundle that teaches.")],
    photos: Annotated[
        list[str],
        typer.Option(
            "--images", metavar="SOURCE", help="Images to learn on: folder, with all below; .tar shard; glob; repeat."
        ),
    ],
    student: Annotated[
        str, typer.Option("--student", help="Preset to begin at random, or checkpoint or bundle to go on from.")
    ] = "nano",
    teacher_preset: Annotated[
        str | None, typer.Option("--teacher-preset", help="Shape of the teacher, if its file does not say it.")
    ] = None,
    teacher_side: Annotated[
        int | None,
        typer.Option("--teacher-side", min=16, help="Shorter side of what it is shown. Default: as it was trained."),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option("--cache", help="Folder for what the teacher makes of images. Default: ask it every time."),
    ] = None,
    count: Annotated[int, typer.Option("--count", min=1, help="Images to see in all.")] = 180_000,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Images per step.")] = 32,
    stages: Annotated[
        list[str] | None,
        typer.Option(
            "--stage",
            metavar="SHARE:HxW",
            help="Share of the images and their size; repeat in order. Default: 0.6:128x160 0.4:192x256.",
        ),
    ] = None,
    label_weight: Annotated[
        float, typer.Option("--label-weight", help="Weight of the pseudo-labels; 0 teaches the encoder alone.")
    ] = 1.0,
    gradient_weight: Annotated[
        float, typer.Option("--gradient-weight", help="Weight of matching gradients of the pseudo-labels.")
    ] = 2.0,
    feature_weight: Annotated[
        float, typer.Option("--feature-weight", help="Weight of matching the teacher's tokens.")
    ] = 0.0,
    dropped: Annotated[
        float, typer.Option("--drop", help="Share of the pixels of each pseudo-label to leave out, the worst ones.")
    ] = 0.1,
    min_area: Annotated[
        float, typer.Option("--min-area", help="Smallest window that the student sees, as a share of the image.")
    ] = 0.45,
    augment: Annotated[
        bool, typer.Option("--augment/--no-augment", help="Recolour and degrade what the student sees.")
    ] = True,
    qat_share: Annotated[
        float, typer.Option("--qat-share", help="Share of the steps, the last ones, that round as INT8 does.")
    ] = 0.0,
    rate: Annotated[float, typer.Option("--rate", help="Peak learning rate.")] = 1e-3,
    warmup: Annotated[int, typer.Option("--warmup", min=0, help="Steps in which the rate rises to its peak.")] = 200,
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
    bf16: Annotated[bool, typer.Option("--bf16/--fp32", help="Precision inside the student.")] = True,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Threads that prepare images.")] = 1,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the weights, the order and the windows.")] = 0,
    device: Annotated[str, typer.Option("--device", help="cpu or cuda.")] = "cpu",
    threads: Annotated[
        int | None, typer.Option("--threads", "-t", min=1, help="Threads. Default: torch decides.")
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only say what would be done and how large the cache gets."),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Teach a student what a teacher makes of plain images, and keep a log, a curve and checkpoints.

    The same command goes on where it stopped. The averaged weights are RUN/model.safetensors, with their terms beside
    them where those of the teacher are known. Several processes, GPUs or machines: start it with `accelerate launch`.
    """
    with needs_extra("train", "pixio-edge distill"):
        from pixio_edge.training.device import open_device
        from pixio_edge.training.distill_config import DistillConfig
        from pixio_edge.training.processes import Processes
    config = DistillConfig(
        teacher, student, tuple(photos), teacher_preset, teacher_side, images=count, batch=batch, rate=rate
    )
    config = replace(config, label_weight=label_weight, gradient_weight=gradient_weight, feature_weight=feature_weight)
    config = replace(config, dropped=dropped, min_area=min_area, augment=augment, qat_share=qat_share, cache=cache)
    config = replace(config, stages=parse_stages(stages) or config.stages, device=device, warmup=warmup, seed=seed)
    config = replace(config, layer_decay=layer_decay, bf16=bf16, accumulate=accumulate, workers=workers)
    config = replace(config, optimizer=parse_optimizer(optimizer))
    open_device(device, threads=threads)
    processes = Processes(device)
    if dry_run:
        if processes.is_main:
            show_plan(config, json=json)
        return
    log_to_stderr(processes)
    finish(run, processes, is_done=distill_with_progress(config, run, processes), json=json)


def distill_with_progress(config: DistillConfig, run: Path, processes: Processes) -> bool:
    """Distil under a progress bar; False if it was interrupted, after saving."""
    from pixio_edge.training import distill as training

    with TrainingMeter(config.batch, processes) as meter:
        training.distill(config, run, processes=processes, on_step=meter.show, should_stop=lambda: meter.is_stopped)
        return not meter.is_stopped


def show_plan(config: DistillConfig, *, json: bool) -> None:
    """Print what would be done."""
    from pixio_edge.training.distill_plan import plan

    found: DistillPlan = plan(config)
    if json:
        print_json(asdict(found) | {"cache_bytes": found.cache_bytes, "teaching_s": found.teaching_s})
        return
    kept = "every time again, without --cache" if config.cache is None else f"{found.cached_share:.0%} cached"
    rows = [
        ("images", f"{found.photos}"),
        ("steps", f"{found.steps} of {config.batch} images"),
        ("teacher", f"{found.lesson_s:.2f} s per image here; {kept}"),
        ("lessons to come", duration(found.teaching_s)),
        ("size of all lessons", f"{found.cache_bytes / 1e6:.1f} MB"),
    ]
    print_table(("what", "value"), rows)
