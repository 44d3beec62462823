"""Whole models: torch eager, torch.compile, and the fused kernels in one CUDA graph."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from kernels_timing import Clock
from torch import Tensor

from pixio_edge.kernels.launch import record_starts
from pixio_edge.models.depth_model import IMAGE_MEAN, IMAGE_STD
from pixio_edge.models.fused import FusedDepthModel
from pixio_edge.models.presets import build_model

MODELS = ("nano", "small", "pixio-vitb16-indoor")
SIZES = (256, 384, 512)
# In this order: what compiles for minutes comes last, so that a lease that ends has everything else.
CONTENDERS = ("ours", "ours int8 attention", "eager", "compile default", "compile max-autotune")
# Of random weights in float16 against float32, relative to the largest depth; a wrong graph is off by its size.
TOLERANCE = 5e-2

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
    """One contender, with the same weights as the others."""
    torch.manual_seed(0)
    model = build_model(preset).eval().requires_grad_(False)
    if contender.startswith("ours"):
        quantize = contender == "ours int8 attention"
        fused = FusedDepthModel(model, size=(size, size), quantize_attention=quantize).convert_(device, dtype)
        return normalised(fused, device, dtype)
    # torch's stubs do not have the layout.
    model.to(device=device, dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    forward = normalised(model, device, dtype)
    if contender == "eager":
        return forward
    mode = contender.removeprefix("compile ")
    return torch.compile(forward, mode=None if mode == "default" else mode, fullgraph=True, dynamic=False)


def measure_models(contender: str, preset: str, size: int, clock: Clock, dtype: torch.dtype) -> list[dict[str, Any]]:
    """Time one contender in one model; one record, with what failed where something did."""
    record: dict[str, Any] = {"model": preset, "size": size, "contender": contender, "dtype": str(dtype)[6:]}
    image = torch.randint(0, 256, (1, size, size, 3), dtype=torch.uint8, device=clock.device)
    begin = time.perf_counter()
    torch._dynamo.reset()
    try:
        with torch.inference_mode(), record_starts() as started:
            exact = make_forward("eager", preset, size, clock.device, torch.float32)(image)
            forward = make_forward(contender, preset, size, clock.device, dtype)
            depth = forward(image)
            error = float((depth.float() - exact).abs().max() / exact.abs().max())
            record |= {"error": error, "kernels": len(started), "first_s": time.perf_counter() - begin}
            if not error <= TOLERANCE:
                return [record | {"status": "wrong"}]
            return [record | {"status": "ok"} | _times(contender, forward, image, clock)]
    except Exception as failure:  # one contender that does not compile must not end the run
        reason = (str(failure).splitlines() or [type(failure).__name__])[0]
        return [record | {"status": "failed", "reason": reason}]


def _times(contender: str, forward: Forward, image: Tensor, clock: Clock) -> dict[str, Any]:
    """Ours is one graph; max-autotune makes its own graphs; eager and default are timed as they are called."""
    if contender.startswith("ours"):
        times = clock.in_graph(lambda: forward(image), repeats=1)
    else:
        times = clock.as_called(lambda: forward(image))
    found = {"median_ms": times.median_ms, "mad_ms": times.mad_ms, "rounds": times.rounds}
    if contender == "eager":
        # What eager would be without Python between its kernels, where that can be recorded.
        with suppress(RuntimeError):
            found["in_graph_ms"] = clock.in_graph(lambda: forward(image), repeats=1).median_ms
    return found
