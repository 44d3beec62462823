"""`pixio-edge train`: a student from nothing but rendered scenes."""

from __future__ import annotations

import logging
import re
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from pixio_edge.cli.console import Meter
from pixio_edge.cli.extras import needs_extra
from pixio_edge.cli.options import examples
from pixio_edge.errors import InputError

EXAMPLES = examples(
    "pixio-edge train runs/nano --textures path/to/textures",
    "pixio-edge train runs/quick --preset tiny --scenes 512 --images 4096 --stage 1:96x128",
    "pixio-edge train runs/nano --textures path/to/textures --device cuda",
)

# Two parts of a run folder; the held-back scenes have a seed of their own, so none of them is trained on.
POOL, HELD_BACK = "pool", "held_back"
HELD_BACK_SEED_OFFSET = 1_000_003
# Shares are typed by hand: 0.33 three times is meant to be everything.
SHARE_TOLERANCE = 0.011


def train(
    run: Annotated[Path, typer.Argument(help="Run folder: scenes, log, curve, checkpoints, weights.")],
    preset: Annotated[str, typer.Option("--preset", help="Shape of the model.")] = "nano",
    textures: Annotated[
        Path | None,
        typer.Option("--textures", help="Folder of images to render with. Default: procedural noise alone."),
    ] = None,
    scenes: Annotated[int, typer.Option("--scenes", min=1, help="Scenes to render, each seen several times.")] = 24_576,
    held_back: Annotated[int, typer.Option("--held-back", min=1, help="Further scenes to measure on.")] = 512,
    images: Annotated[int, typer.Option("--images", min=1, help="Images to see in all.")] = 180_000,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Images per step.")] = 32,
    rate: Annotated[float, typer.Option("--rate", help="Peak learning rate.")] = 1e-3,
    stages: Annotated[
        list[str] | None,
        typer.Option("--stage", metavar="SHARE:HxW", help="Share of the images and their size; repeat in order."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the scenes, the weights and the order.")] = 0,
    device: Annotated[str, typer.Option("--device", help="cpu or cuda.")] = "cpu",
    compiled: Annotated[
        bool, typer.Option("--compile/--no-compile", help="Fuse the renderer's loops, which needs a C++ compiler.")
    ] = True,
    threads: Annotated[
        int | None, typer.Option("--threads", "-t", min=1, help="Threads. Default: torch decides.")
    ] = None,
) -> None:
    """Render scenes, train on them, and keep a log, a curve and checkpoints; the same command goes on where it stopped.

    The averaged weights are RUN/model.safetensors, for `pixio-edge export`.
    """
    parsed = parse_stages(stages)
    with needs_extra("train", "pixio-edge train"):
        from pixio_edge.models.presets import build_model
        from pixio_edge.training.device import open_device
        from pixio_edge.training.pool import PoolConfig, render_pool
        from pixio_edge.training.supervised import train as run_training
        from pixio_edge.training.textures import load_atlas
        from pixio_edge.training.train_config import TrainConfig
    torch_device = open_device(device, threads=threads)
    build_model(preset)  # a wrong name ends here and not after the rendering
    with Meter("render") as meter:
        atlas = load_atlas(textures, seed=seed)
        for part, count, part_seed in ((HELD_BACK, held_back, seed + HELD_BACK_SEED_OFFSET), (POOL, scenes, seed)):
            pool = PoolConfig(count, seed=part_seed, textures=textures.resolve().name if textures else "noise")
            show = partial(meter.update, total=count, label=part)
            render_pool(run / part, pool, atlas, device=torch_device, compiled=compiled, on_shard=show)
    config = TrainConfig(preset, run / POOL, run / HELD_BACK, images, batch=batch, rate=rate, seed=seed, device=device)
    if parsed is not None:
        config = replace(config, stages=parsed)
    if not sys.stderr.isatty():  # no progress bar there, so the log says how far it is
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    with Meter("train") as meter:
        run_training(config, run, on_step=lambda at: meter.update(at.step, at.steps, f"loss {at.loss:.4f}"))
    print(f"{run / 'model.safetensors'}: averaged weights after {images} images; curve in {run / 'curve.png'}")


def parse_stages(texts: list[str] | None) -> tuple[tuple[float, int], ...] | None:
    """Read `SHARE:HxW` as (share of the images, pixels per image).

    Raises:
        InputError: A text is no stage, or the shares do not add up to 1.
    """
    if not texts:
        return None
    stages = []
    for text in texts:
        match = re.fullmatch(r"(\d*\.?\d+):(\d+)x(\d+)", text.strip())
        if match is None:
            raise InputError(f"--stage: got '{text}', expected SHARE:HEIGHTxWIDTH. Fix: --stage 0.6:128x160")
        stages.append((float(match[1]), int(match[2]) * int(match[3])))
    if abs(sum(share for share, _ in stages) - 1.0) > SHARE_TOLERANCE:
        raise InputError(
            f"--stage: shares add up to {sum(share for share, _ in stages):.3f}, expected 1. Fix: adjust them"
        )
    return tuple(stages)
