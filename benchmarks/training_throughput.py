"""Measures images per second of training, of the input pipeline alone, and of both together, for some presets.

On rendered scenes (noise where no pool is given) or any data that `pixio-edge train --data` takes. Training alone runs
on batches that lie ready, input alone has nothing beside it; together is what a run gets.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch
from recording import append_records

from pixio_edge.training.data import DepthBatch, DepthRows
from pixio_edge.training.device import open_device
from pixio_edge.training.learner import Learner
from pixio_edge.training.pipeline import stream
from pixio_edge.training.processes import Processes
from pixio_edge.training.sources import DepthSource, open_source
from pixio_edge.training.supervised import DepthObjective
from pixio_edge.training.time_estimate import NoiseSource
from pixio_edge.training.train_config import TrainConfig

# The first steps allocate, and do not count.
WARMUP_STEPS = 3

Turn = Callable[[], float]


def measure(config: TrainConfig, source: DepthSource, pixels: int, steps: int, rounds: int) -> dict[str, Any]:
    """One record: rates in images per second; best round of each, the three in turn, so that a slow spell meets all."""
    processes = Processes(config.device)
    learner: Learner[DepthBatch] = Learner(DepthObjective(config), config, processes)
    rows = DepthRows([(source, 1.0)], pixels_of=lambda _: pixels, seed=config.seed)
    parts = processes.share(config.batch, config.accumulate)
    ready = [
        tuple(part.to(processes.device) for part in batch)
        for batch in stream(rows, steps=range(WARMUP_STEPS), parts=parts, workers=config.workers)
    ]
    train(learner, ready, len(ready))

    def training() -> float:
        return train(learner, ready, steps)

    def loading() -> float:
        batches = stream(rows, steps=range(steps), parts=parts, workers=config.workers)
        started = time.perf_counter()
        for _ in batches:
            pass
        return steps * config.batch / (time.perf_counter() - started)

    def together() -> float:
        started = time.perf_counter()
        last = torch.zeros(())
        for batch in stream(rows, steps=range(steps), parts=parts, workers=config.workers):
            last = learner.train_step(batch)[0]
        float(last)
        return steps * config.batch / (time.perf_counter() - started)

    turns: dict[str, Turn] = {"train": training, "input": loading, "both": together}
    best = dict.fromkeys(turns, 0.0)
    for _ in range(rounds):
        best = {name: max(best[name], turn()) for name, turn in turns.items()}
    return {f"{name}_images_per_s": round(rate, 1) for name, rate in best.items()} | {
        "bound_by": "training" if best["train"] <= best["input"] else "input"
    }


def train(learner: Learner[DepthBatch], ready: Sequence[Sequence[DepthBatch]], steps: int) -> float:
    """Images per second of training steps on batches that lie ready."""
    started = time.perf_counter()
    last = torch.zeros(())
    for batch in islice(cycle(ready), steps):
        last = learner.train_step(batch)[0]
    float(last)  # a GPU has finished
    return steps * learner.config.batch / (time.perf_counter() - started)


def main() -> None:
    """Measure and append to `records/training_throughput.jsonl`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", nargs="+", default=["nano"])
    parser.add_argument("--size", nargs="+", default=["128x160", "192x256"], help="about HxW, as --stage of train")
    parser.add_argument("--data", help="what to read, as --data of train; default: noise in memory")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    open_device(options.device, threads=options.threads)
    source = open_source(options.data) if options.data else NoiseSource()
    base = TrainConfig("nano", Path("pool"), Path("held_back"), images=options.batch, batch=options.batch)
    base = replace(base, device=options.device, workers=options.workers)
    records = []
    for preset in options.preset:
        for size in options.size:
            height, width = (int(side) for side in size.split("x"))
            config = replace(base, preset=preset)
            rates = measure(config, source, height * width, options.steps, options.rounds)
            about = {"preset": preset, "size": size, "batch": options.batch, "workers": options.workers}
            about |= {"device": options.device, "threads": torch.get_num_threads(), "torch": torch.__version__}
            data = "noise" if options.data is None else type(source).__name__
            records.append(about | {"data": data, "bf16": config.bf16} | rates)
            print(records[-1])
    append_records("training_throughput", records)


if __name__ == "__main__":
    main()
