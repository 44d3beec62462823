"""Measures what students can do on rendered scenes and on photos: is it the scenes that limit them, or the training?

A student that is no better on its own scenes than on photos has not learned them yet: more training should help photos.
One that is much better on its scenes than on photos has: other scenes are needed. Scenes are scored like photos,
by the zero-shot protocol of `pixio-edge evaluate`, beside the row index.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pretraining_ablation import predictor
from recording import append_records

from pixio_edge.evaluation.datasets import DepthDataset, DepthSample, open_datasets
from pixio_edge.evaluation.protocol import evaluate
from pixio_edge.models.checkpoints import load_checkpoint
from pixio_edge.training.device import open_device
from pixio_edge.training.pool import ScenePool

# Depth that counts, as in the evaluation of driving sets: beyond it a picture says little, and sky has none.
FAR_M = 80.0


@dataclass(frozen=True, slots=True)
class PoolDataset:
    """The first images of a pool as a data set.

    Attributes:
        name: Name of the pool's folder.
        pool: The pool.
        images: How many.
    """

    name: str
    pool: ScenePool
    images: int
    note: str = "rendered scenes"

    def __len__(self) -> int:
        """Number of images."""
        return self.images

    def __iter__(self) -> Iterator[DepthSample]:
        """Images with their depth in metres; sky and what is farther than `FAR_M` do not count."""
        for index in range(self.images):
            rgb, stored = self.pool.read(index)
            inverse: NDArray[np.float32] = stored.astype(np.float32)
            valid = inverse > 1 / FAR_M
            depth = np.asarray(1 / np.where(valid, inverse, 1.0), dtype=np.float32)
            yield DepthSample(f"{self.name}/{index}", np.ascontiguousarray(rgb), depth, valid, "m")


def scores(weights: Path, datasets: list[DepthDataset], pixels: int) -> dict[str, float]:
    """Macro δ1 over the sets, and that of the row index."""
    report = evaluate(predictor(load_checkpoint(weights), pixels), datasets)
    floor = report.macro_floor
    return {"delta1": round(report.macro.delta1, 4), "delta1_floor": round(floor.delta1, 4) if floor else float("nan")}


def main() -> None:
    """Measure and append to `records/transfer.jsonl`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", nargs="+", metavar="NAME=FILE", help="students and what to call them")
    parser.add_argument("--scenes", nargs="+", required=True, metavar="NAME=POOL", help="pools that none has seen")
    parser.add_argument("--data", type=Path, required=True, help="folder of RGB-D sets")
    parser.add_argument("--images", type=int, default=256, help="of each pool")
    parser.add_argument("--pixels", type=int, default=192 * 256, help="of the input, about")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--records", type=Path, help="another folder for the record")
    options = parser.parse_args()
    open_device("cpu", threads=options.threads)
    domains: dict[str, list[DepthDataset]] = {}
    for text in options.scenes:
        name, folder = text.split("=", 1)
        pool = ScenePool(Path(folder))
        domains[name] = [PoolDataset(name, pool, min(options.images, len(pool)))]
    domains["photos"] = list(open_datasets(options.data))
    records: list[dict[str, Any]] = []
    for text in options.weights:
        student, file = text.split("=", 1)
        for domain, datasets in domains.items():
            about = {"student": student, "domain": domain, "pixels": options.pixels, "torch": torch.__version__}
            records.append(about | scores(Path(file), datasets, options.pixels))
            print(records[-1], flush=True)
    append_records("transfer", records, *([options.records] if options.records else []))


if __name__ == "__main__":
    main()
