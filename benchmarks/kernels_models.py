"""Whole models: the fused kernels beside torch eager and torch.compile, by the same two clocks for everybody.

Graph: GPU time of the forward recorded in one CUDA graph. Wall: a caller that copies its image into that graph's input,
starts it and waits. What a contender takes as it is usually called, with Python between its kernels or graphs of its
own, is a third number and no part of a ratio.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from kernels_measure import failed
from kernels_timing import WARM_UP, Clock, Replay
from torch import Tensor

from pixio_edge.kernels.launch import record_starts
from pixio_edge.models.depth_model import IMAGE_MEAN, IMAGE_STD
from pixio_edge.models.fused import FusedDepthModel
from pixio_edge.models.presets import build_model

# Of random weights in float16 against float32, relative to the largest depth; a wrong graph is off by its size.
TOLERANCE = 5e-2
RUNS = 10  # forwards in one graph that is timed
OURS = "ours"
# For the graph all contenders get; its own graphs are what it makes when it is called.
AUTOTUNE = {"max-autotune": "max-autotune-no-cudagraphs"}

Record = dict[str, Any]
Forward = Callable[[Tensor], Tensor]


def normalised(model: Any, device: str, dtype: torch.dtype) -> Forward:
    """Image uint8 (1, H, W, 3) to depth, with the same normalisation for everybody."""
    mean, std = (torch.tensor(values, device=device) for values in (IMAGE_MEAN, IMAGE_STD))
    scale, offset = 1 / (255.0 * std), -mean / std

    def forward(image: Tensor) -> Tensor:
        depth: Tensor = model(torch.addcmul(offset, image.float(), scale).to(dtype).permute(0, 3, 1, 2))
        return depth

    return forward


def make_forward(contender: str, preset: str, size: int, device: str, dtype: torch.dtype) -> Forward:
    """One contender, with the same weights as the others; what is compiled is compiled by its first call."""
    torch.manual_seed(0)
    model = build_model(preset).eval().requires_grad_(False)
    if contender.startswith(OURS):
        quantize = contender == "ours int8 attention"
        fused = FusedDepthModel(model, size=(size, size), quantize_attention=quantize).convert_(device, dtype)
        return normalised(fused, device, dtype)
    # torch's stubs do not have the layout.
    model.to(device=device, dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return normalised(model, device, dtype)


def compiled(forward: Forward, mode: str) -> Forward:
    """torch.compile in one of its modes; a forward with a break in it would not be what is named."""
    return torch.compile(forward, mode=None if mode == "default" else mode, fullgraph=True, dynamic=False)


def measure_pair(rival: str, preset: str, size: int, clock: Clock, dtype: torch.dtype) -> list[Record]:
    """One contender and ours by turns; a record for each, with what failed where something did."""
    records: dict[str, Record] = {}
    graphs: dict[str, tuple[Replay, Replay]] = {}
    with torch.inference_mode():
        image = torch.randint(0, 256, (1, size, size, 3), dtype=torch.uint8, device=clock.device)
        exact = make_forward("eager", preset, size, clock.device, torch.float32)(image)
        forwards: dict[str, Forward] = {}
        for name in (OURS, rival):
            records[name] = {"model": preset, "size": size, "contender": name, "dtype": str(dtype)[6:]}
            try:
                forward = make_forward(name, preset, size, clock.device, dtype)
                mode = name.removeprefix("compile ")
                run = compiled(forward, AUTOTUNE.get(mode, mode)) if name.startswith("compile") else forward
                records[name] |= check(run, image, exact)
                if records[name]["status"] == "ok":
                    graphs[name] = record_forward(run, image, clock)
                    forwards[name] = compiled(forward, mode) if mode in AUTOTUNE else run
            except Exception as failure:  # a contender that does not compile must not take ours with it
                records[name] |= failed(failure, [])
        time_pair(records, graphs, forwards, image, clock)
    return list(records.values())


def check(forward: Forward, image: Tensor, exact: Tensor) -> Record:
    """Run a forward once and hold it against float32."""
    with record_starts() as started:
        depth = forward(image)
    error = float((depth.float() - exact).abs().max() / exact.abs().max())
    status = "ok" if error <= TOLERANCE else "wrong"
    return {"status": status, "error": error if math.isfinite(error) else None, "kernels": len(started)}


def record_forward(forward: Forward, image: Tensor, clock: Clock) -> tuple[Replay, Replay]:
    """A graph of several forwards for events, and one of a single forward for callers."""
    return clock.record([lambda: forward(image)], passes=RUNS), clock.record([lambda: forward(image)])


def time_pair(
    records: dict[str, Record],
    graphs: dict[str, tuple[Replay, Replay]],
    forwards: dict[str, Forward],
    image: Tensor,
    clock: Clock,
) -> None:
    """Add graph, wall and called times to the records of those that have a graph."""
    if not graphs:
        return
    fresh = image.cpu()

    def caller(replay: Replay) -> Callable[[], None]:
        def call() -> None:
            image.copy_(fresh)
            replay()

        return call

    on_gpu = clock.compare({name: graph for name, (graph, _) in graphs.items()}, runs=RUNS)
    by_wall = clock.by_wall({name: caller(single) for name, (_, single) in graphs.items()})
    for name in graphs:
        records[name]["graph"] = {"median_ms": on_gpu[name].median_ms, "mad_ms": on_gpu[name].mad_ms}
        records[name]["wall"] = {"median_ms": by_wall[name].median_ms, "mad_ms": by_wall[name].mad_ms}
        forward = forwards[name]
        try:
            for _ in range(WARM_UP):  # the first compiles, the next ones make its graphs
                forward(image)
            called = clock.by_wall({name: partial(forward, image)})[name]
        except Exception as failure:  # its own graphs are a third number; the two that are compared are there
            records[name]["called"] = failed(failure, [])
            continue
        records[name]["called"] = {"median_ms": called.median_ms, "mad_ms": called.mad_ms}
