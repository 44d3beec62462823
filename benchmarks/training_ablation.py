"""Measures what each part of the training recipe brings, at an equal number of images.

Each arm trains the same student on the same scenes with one part taken out, or is taught by a teacher on photos instead
(`--teacher` with `--photos`). It is measured on held-back scenes and, with `--data`, on photos with true depth that
nothing is trained on. An interrupted measurement goes on where it stopped, since each run does.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from pretraining_ablation import accuracy
from recording import append_records

from pixio_edge.models import presets
from pixio_edge.models.depth_model import DepthModel
from pixio_edge.training.device import open_device
from pixio_edge.training.distill import distill
from pixio_edge.training.distill_config import DistillConfig
from pixio_edge.training.run_folder import RunFolder
from pixio_edge.training.supervised import DepthObjective, held_back_batches, open_sources, train
from pixio_edge.training.train_config import TrainConfig

# Steps of a short run; that of the recipe is made for one twenty times as long.
WARMUP = 60

PLAIN = "without-stem"
"""Name of the shape that exists for this measurement alone: patches are cut out, as in a plain ViT."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One recipe.

    Attributes:
        name: What it is called in the record.
        config: Of its training; None where a teacher teaches.
        lesson: Of its distillation; None where labels are trained on.
    """

    name: str
    config: TrainConfig | None = None
    lesson: DistillConfig | None = None


def add_plain_shape(preset: str) -> None:
    """Make the shape without a stem known as `PLAIN`."""
    shape = presets.find_preset(preset)
    encoder = replace(shape.encoder, stem=None)
    # Four levels from tokens, where two of them came from the stem: after each quarter of the blocks.
    indices = tuple((quarter + 1) * encoder.depth // 4 - 1 for quarter in range(4))
    head = replace(shape.head, use_stem=False, indices=indices)
    presets.PRESETS[PLAIN] = replace(shape, encoder=encoder, head=head)


def plan_arms(recipe: TrainConfig, lesson: DistillConfig | None) -> list[Arm]:
    """The recipe, the same without each of its parts, and the lessons of a teacher."""
    arms = [
        Arm("recipe", recipe),
        Arm("plain patches, no stem", replace(recipe, preset=PLAIN)),
        Arm("AdamW for all, no Muon", replace(recipe, optimizer="adamw")),
        Arm("no degradations", replace(recipe, degrade=False)),
        Arm("no gradient term", replace(recipe, gradient_weight=0.0)),
        Arm("batches of twice the size", replace(recipe, batch=2 * recipe.batch)),
    ]
    return arms if lesson is None else [*arms, Arm("taught by the teacher on photos", lesson=lesson)]


def run(arm: Arm, folder: Path) -> DepthModel:
    """Train as an arm says, or go on with it."""
    model = train(arm.config, folder) if arm.config is not None else None
    if arm.lesson is not None:
        model = distill(arm.lesson, folder)
    if model is None:
        raise TypeError(f"arm '{arm.name}' gave no depth model")
    return model


def measure(arm: Arm, recipe: TrainConfig, runs: Path, data: Path | None) -> dict[str, Any]:
    """One record."""
    own = RunFolder(runs / f"{arm.name.replace(',', '').replace(' ', '-')}-{recipe.seed}")
    model = run(arm, own.path)
    record: dict[str, Any] = {"arm": arm.name, "preset": recipe.preset, "images": recipe.images, "seed": recipe.seed}
    # Of the model itself on the recipe's scenes, with the recipe's weights of terms, so that all arms compare.
    judge = DepthObjective(recipe, held_back_batches(recipe, open_sources(recipe)[1]))
    record |= {key: round(value, 4) for key, value in judge.measure(model).items()}
    if data is not None:
        record |= {key: round(value, 4) for key, value in accuracy(model, data, recipe.stages[-1][1]).items()}
    return record


def main() -> None:
    """Measure and append to `records/training_ablation.jsonl`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pool", type=Path, help="rendered scenes, such as RUN/pool of a training")
    parser.add_argument("held_back", type=Path, help="further scenes to measure on")
    parser.add_argument("--teacher", help="checkpoint or bundle that teaches the last arm")
    parser.add_argument("--photos", nargs="*", default=[], help="what it teaches on")
    parser.add_argument("--data", type=Path, help="folder of RGB-D sets to evaluate on")
    parser.add_argument("--preset", default="nano")
    parser.add_argument("--images", type=int, default=8_000, help="that each arm sees")
    parser.add_argument("--pixels", type=int, default=96 * 128)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=Path("build/training_ablation"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--records", type=Path, help="another folder for the record")
    options = parser.parse_args()
    open_device(options.device, threads=options.threads)
    recipe = TrainConfig(
        options.preset, options.pool, options.held_back, images=options.images, stages=((1.0, options.pixels),)
    )
    recipe = replace(recipe, batch=options.batch, rate=options.rate, warmup=WARMUP, seed=options.seed, degrade=True)
    recipe = replace(recipe, device=options.device)
    lesson = None
    if options.teacher:
        lesson = DistillConfig(options.teacher, options.preset, tuple(options.photos), images=options.images)
        lesson = replace(lesson, batch=options.batch, rate=options.rate, warmup=WARMUP, seed=options.seed)
        lesson = replace(lesson, stages=recipe.stages, device=options.device, cache=options.runs / "lessons")
    add_plain_shape(options.preset)
    records = []
    for arm in plan_arms(recipe, lesson):
        about = {"pixels": options.pixels, "batch": options.batch, "teacher": options.teacher is not None}
        records.append(measure(arm, recipe, options.runs, options.data) | about | {"torch": torch.__version__})
        print(records[-1], flush=True)
    append_records("training_ablation", records, *([options.records] if options.records else []))


if __name__ == "__main__":
    main()
