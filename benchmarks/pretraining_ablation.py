"""Measures whether masked pretraining helps a student, at equal budget.

Three runs per seed on the same rendered scenes: trained alone ("scratch"); pretrained on the same scenes, and photos if
given, for a share of the budget and trained for the rest ("same budget"); pretrained as long, then trained as long as
alone ("on top"). Budget is floating point operations of training steps, counted and not timed. An interrupted
measurement goes on where it stopped, since each run does.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from recording import append_records
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from pixio_edge.evaluation.datasets import open_datasets
from pixio_edge.evaluation.protocol import evaluate
from pixio_edge.image import ImageSpec
from pixio_edge.models.depth_model import DepthModel
from pixio_edge.training.curation import Curation
from pixio_edge.training.data import DepthBatch, normalise, shape_near
from pixio_edge.training.device import open_device
from pixio_edge.training.masking import block_grid
from pixio_edge.training.pretrain import PretrainObjective, pretrain
from pixio_edge.training.pretrain_config import PretrainConfig
from pixio_edge.training.pretrain_data import PretrainBatch, square_side
from pixio_edge.training.run_config import RunConfig
from pixio_edge.training.run_folder import RunFolder
from pixio_edge.training.supervised import DepthObjective, train
from pixio_edge.training.train_config import TrainConfig

if TYPE_CHECKING:
    from pixio_edge.evaluation.protocol import Predict

# Images in the batch whose operations are counted.
COUNTED = 2


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to spend images.

    Attributes:
        name: What it is called in the record.
        crops: Crops to pretrain on.
        images: Images to train on.
    """

    name: str
    crops: int
    images: int


def training_cost(config: TrainConfig) -> float:
    """Operations of a training step per image, over the stages of a run."""
    objective = DepthObjective(config)

    def loss(pixels: int) -> Tensor:
        height, width = shape_near(pixels, (3, 4))
        batch = DepthBatch(torch.zeros(COUNTED, 3, height, width), torch.rand(COUNTED, height, width))
        return objective.forward(batch)[0]

    return cost(config, loss)


def pretraining_cost(config: PretrainConfig) -> float:
    """Operations of a pretraining step per crop, over the stages of a run."""
    objective = PretrainObjective(config, Curation(COUNTED, None))
    patch = objective.shape.encoder.patch_size

    def loss(pixels: int) -> Tensor:
        side = square_side(pixels, patch)
        blocks = torch.arange(block_grid(side // patch, side // patch).visible).expand(COUNTED, -1)
        batch = PretrainBatch(0, torch.arange(COUNTED), torch.randn(COUNTED, 3, side, side), blocks)
        return objective.forward(batch)[0]

    return cost(config, loss)


def cost(config: RunConfig, loss: Callable[[int], Tensor]) -> float:
    """Operations of forward and backward per image, weighted by the shares of the stages."""
    total = 0.0
    for share, pixels in config.stages:
        with FlopCounterMode(display=False) as counter:
            torch.autograd.backward(loss(pixels))
        total += share * counter.get_total_flops() / COUNTED
    return total


def plan_arms(images: int, share: float, ratio: float) -> tuple[Arm, ...]:
    """The three ways to spend a budget.

    Args:
        images: Images that training alone sees.
        share: Share of the budget that goes into pretraining.
        ratio: Cost of a trained image over that of a pretrained crop.
    """
    crops = round(images * share * ratio)
    return (
        Arm("scratch", 0, images),
        Arm("same budget", crops, round(images * (1 - share))),
        Arm("on top", crops, images),
    )


def run_arm(arm: Arm, training: TrainConfig, pretraining: PretrainConfig, runs: Path) -> tuple[DepthModel, RunFolder]:
    """Pretrain and train as an arm says, or go on with it; pretraining is shared by the arms that have it."""
    encoder: Path | None = None
    if arm.crops:
        folder = runs / f"pretrained-{training.preset}-{training.seed}"
        pretrain(replace(pretraining, images=arm.crops), folder)
        encoder = RunFolder(folder).weights
    own = RunFolder(runs / f"{arm.name.replace(' ', '-')}-{training.preset}-{training.seed}")
    return train(replace(training, images=arm.images, encoder_from=encoder), own.path), own


@torch.inference_mode()
def predictor(model: DepthModel, pixels: int) -> Predict:
    """Relative inverse depth by a model, in images resized to about so many pixels."""
    spec, patch = ImageSpec(), model.config.encoder.patch_size
    device = next(model.parameters()).device

    @torch.inference_mode()
    def predict(rgb: NDArray[np.uint8]) -> NDArray[np.floating[Any]]:
        size = shape_near(pixels, (float(rgb.shape[0]), float(rgb.shape[1])), patch)
        prepared = torch.from_numpy(spec.prepare(rgb, size).astype(np.float32) / 255)
        depth = model(normalise(prepared).to(device)).float().cpu().numpy()
        return spec.restore(depth, (rgb.shape[0], rgb.shape[1]))

    return predict


def accuracy(model: DepthModel, data: Path, pixels: int) -> dict[str, float]:
    """Macro δ1 of a model and of the row index on a folder of RGB-D sets, at about so many pixels."""
    report = evaluate(predictor(model, pixels), open_datasets(data))
    floor = report.macro_floor
    return {"delta1": report.macro.delta1, "delta1_floor": float("nan") if floor is None else floor.delta1}


def measure(
    arm: Arm, training: TrainConfig, pretraining: PretrainConfig, runs: Path, data: Path | None
) -> dict[str, Any]:
    """One record."""
    model, folder = run_arm(arm, training, pretraining, runs)
    last = [line for line in folder.read_log() if "held_back" in line][-1]
    record: dict[str, Any] = {"arm": arm.name, "crops": arm.crops, "images": arm.images}
    record |= {"preset": training.preset, "seed": training.seed, "device": training.device}
    record |= {key: round(last[key], 4) for key in ("held_back", "row_prior")}
    if data is not None:
        found = accuracy(model, data, training.stages[-1][1])
        record |= {key: round(value, 4) for key, value in found.items()}
    return record


def main() -> None:
    """Measure and append to `records/pretraining_ablation.jsonl`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pool", type=Path, help="rendered scenes, such as RUN/pool of a training")
    parser.add_argument("held_back", type=Path, help="further scenes to measure on")
    parser.add_argument("--photos", nargs="*", default=[], help="images to pretrain on too")
    parser.add_argument("--data", type=Path, help="folder of RGB-D sets to evaluate on")
    parser.add_argument("--preset", default="nano")
    parser.add_argument("--images", type=int, default=180_000, help="that training alone sees")
    parser.add_argument("--share", type=float, default=0.3, help="of the budget, for pretraining")
    parser.add_argument("--pixels", type=int, nargs="+", default=[128 * 160, 192 * 256], help="training, in stages")
    parser.add_argument("--crop-pixels", type=int, default=192 * 192)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--runs", type=Path, default=Path("build/pretraining_ablation"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--records", type=Path, help="another folder for the record")
    options = parser.parse_args()
    open_device(options.device, threads=options.threads)
    stages = tuple((1 / len(options.pixels), pixels) for pixels in options.pixels)
    training = TrainConfig(options.preset, options.pool, options.held_back, images=options.images, stages=stages)
    training = replace(training, batch=options.batch, device=options.device)
    pretraining = PretrainConfig(
        options.preset, tuple(options.photos), options.pool, images=1, stages=((1.0, options.crop_pixels),)
    )
    pretraining = replace(pretraining, batch=options.batch, device=options.device)
    costs = {"gflop_per_image": training_cost(training) / 1e9, "gflop_per_crop": pretraining_cost(pretraining) / 1e9}
    arms = plan_arms(options.images, options.share, costs["gflop_per_image"] / costs["gflop_per_crop"])
    records = []
    for seed in options.seeds:
        for arm in arms:
            values = (replace(training, seed=seed), replace(pretraining, seed=seed))
            about = {"share": options.share, "torch": torch.__version__}
            about |= {name: round(value, 3) for name, value in costs.items()}
            records.append(measure(arm, *values, options.runs, options.data) | about)
            print(records[-1])
    append_records("pretraining_ablation", records, *([options.records] if options.records else []))


if __name__ == "__main__":
    main()
