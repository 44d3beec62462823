"""What the kernel benchmark measures, in the order of its worth, and the process that measures it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import product
from multiprocessing.connection import Connection
from typing import Any

Record = dict[str, Any]

# 256², 384² and 512² with patches of 16 and eight class tokens, and one beyond.
TOKENS = (264, 584, 1032, 1400)
BATCHES = (1, 8)
# (heads, head_dim): nano, small, Pixio-B, Pixio-L; Pixio-H and Pixio-5B.
HEADS = ((3, 64), (6, 64), (12, 64), (16, 64), (16, 80), (32, 96))
MODELS = ("nano", "small", "pixio-vitb16-indoor")
SIZES = (256, 384, 512)
# The target is against max-autotune; where there is no time left for it, the others still fit.
RIVALS = ("eager", "compile max-autotune", "compile default", "ours int8 attention")
# Seconds that a step may take beyond which it is ended, and that have to be left for it to begin.
LIMIT_S = 240.0
LEAST_S = 10.0
COMPILE_S = 480.0
LEAST_COMPILE_S = 180.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured.

    Args:
        tokens: Numbers of tokens.
        batches: Images at once.
        heads: Pairs of heads and their width.
        models: Presets.
        sizes: Sides of square images in pixels.
        rivals: Of ours, for the models.
        dtype: Of the elements.
        second_dtype: For attention at one number of tokens; None for none.
        kernels: Whose compilation by the installed NVRTC is recorded; None for all.
    """

    tokens: tuple[int, ...] = TOKENS
    batches: tuple[int, ...] = BATCHES
    heads: tuple[tuple[int, int], ...] = HEADS
    models: tuple[str, ...] = MODELS
    sizes: tuple[int, ...] = SIZES
    rivals: tuple[str, ...] = RIVALS
    dtype: str = "float16"
    second_dtype: str | None = "bfloat16"
    kernels: tuple[str, ...] = field(default=("attention", "add_layer_norm", "bias_gelu", "attention_int8"))


# The rivals that compile take half a minute on the CPU, and are no other path.
TINY = Plan((5,), (1,), ((2, 64),), ("tiny",), (32,), ("ours int8 attention", "eager"), "float32", None, ("bias_gelu",))


def keys(plan: Plan) -> Iterator[Record]:
    """What identifies each step. What torch compiles for minutes comes late, and other lengths of rows last."""
    middle = plan.tokens[1:2] or plan.tokens
    others = tuple(number for number in plan.tokens if number not in middle)
    yield from attention_keys(plan, middle, plan.dtype)
    yield from row_keys(plan, middle)
    quick = [rival for rival in plan.rivals if not rival.startswith("compile")]
    yield from model_keys(plan, quick)
    yield from attention_keys(plan, others, plan.dtype)
    for kernel in plan.kernels:
        yield {"part": "compiled", "kernel": kernel}
    yield from model_keys(plan, [rival for rival in plan.rivals if rival not in quick])
    yield from attention_keys(plan, middle if plan.second_dtype else (), plan.second_dtype)
    yield from row_keys(plan, others)


def attention_keys(plan: Plan, tokens: tuple[int, ...], dtype: str | None) -> Iterator[Record]:
    """Steps of attention."""
    for number, batch, heads in product(tokens, plan.batches, plan.heads):
        yield {"part": "attention", "tokens": number, "batch": batch, "heads": list(heads), "dtype": dtype}


def row_keys(plan: Plan, tokens: tuple[int, ...]) -> Iterator[Record]:
    """Steps of the kernels that work on rows."""
    for number, batch, channels in product(tokens, plan.batches, sorted({a * b for a, b in plan.heads})):
        yield {"part": "rows", "tokens": number, "batch": batch, "channels": channels, "dtype": plan.dtype}


def model_keys(plan: Plan, rivals: list[str]) -> Iterator[Record]:
    """Steps of whole models."""
    for rival, preset, size in product(rivals, plan.models, plan.sizes):
        yield {"part": "model", "model": preset, "size": size, "rival": rival, "dtype": plan.dtype}


def limits(key: Record) -> tuple[float, float]:
    """Seconds after which a step is ended, and without which it is not begun."""
    autotunes = key.get("rival") == "compile max-autotune"
    return (COMPILE_S, LEAST_COMPILE_S) if autotunes else (LIMIT_S, LEAST_S)


class Measurer:
    """Does steps, on one device.

    Args:
        options: "device", "rounds", "heat_s", and "tiny" for peaks of a dry run.
    """

    def __init__(self, options: Record) -> None:
        from kernels_timing import Clock  # noqa: PLC0415  (torch: only in the process that measures)

        self.clock = Clock(options["device"], rounds=options["rounds"], heat_s=options["heat_s"])
        self._tiny = options["tiny"]

    def answer(self, request: Record) -> Record:
        """Records of one step, whatever fails in it, and whether this process can go on."""
        try:
            records = self._do(request["key"], request["peaks"])
        except Exception as failure:  # a step must not take what was measured before with it
            reason = (str(failure).splitlines() or [""])[0]
            records = [{"status": "failed", "reason": f"{type(failure).__name__}: {reason}"}]
        return {"records": records, "lost": self._lost()}

    def _lost(self) -> str | None:
        """What CUDA says where an illegal access has ended it for this process."""
        try:
            self.clock.wait()
        except Exception as failure:  # whatever it is, the next step begins in another process
            return (str(failure).splitlines() or [type(failure).__name__])[0]
        return None

    def _do(self, key: Record, peaks: Record | None) -> list[Record]:
        if key["part"] == "peaks":
            return [{"status": "ok", **self._peaks()}]
        if key["part"] == "compiled":
            return compiled(key["kernel"], self.clock.device, every=not self._tiny)
        return measured(key, self.clock, peaks or {})

    def _peaks(self) -> Record:
        if self._tiny:
            return asdict(self.clock.peaks(copy_bytes=1 << 13, side=64))
        return asdict(self.clock.peaks())


def measured(key: Record, clock: Any, peaks: Record) -> list[Record]:
    """Records of kernels or of a model."""
    import torch  # noqa: PLC0415
    from kernels_cases import attention_case, row_cases  # noqa: PLC0415
    from kernels_measure import measure  # noqa: PLC0415
    from kernels_models import measure_pair  # noqa: PLC0415
    from kernels_timing import Peaks  # noqa: PLC0415

    dtype = getattr(torch, key["dtype"])
    if "torch._dynamo" in sys.modules:
        # One code at many shapes: beyond eight, torch would give up compiling it and time its eager self.
        torch._dynamo.reset()
    if key["part"] == "model":
        return measure_pair(key["rival"], key["model"], key["size"], clock, dtype)
    shape = (clock.device, dtype, key["tokens"], key["batch"])
    heads = tuple(key.get("heads", ()))
    cases = [attention_case(*shape, heads)] if heads else row_cases(*shape, key["channels"])
    return [record for case in cases for record in measure(case, clock, Peaks(**peaks))]


def compiled(name: str, device: str, *, every: bool) -> list[Record]:
    """Registers and spills of a kernel as the installed NVRTC compiles it for this GPU; another does it otherwise."""
    import torch  # noqa: PLC0415

    from pixio_edge.kernels.catalogue import KERNELS  # noqa: PLC0415
    from pixio_edge.kernels.compile import compile_kernel, nvrtc_version  # noqa: PLC0415

    sm = "sm_80"
    if device != "cpu":
        major, minor = torch.cuda.get_device_capability(0)
        sm = f"sm_{major}{minor}"
    variants = list(KERNELS[name].variants())
    rows = []
    for defines in variants if every else variants[:1]:
        found = compile_kernel(KERNELS[name], sm, defines).resources
        rows += [{"entry": entry, "defines": defines} | asdict(one) for entry, one in found.items()]
    spilled = sum(row["spill_bytes"] for row in rows)
    facts = {"kernel": name, "sm": sm, "nvrtc": nvrtc_version(), "spill_bytes": spilled}
    return [{"status": "ok", **facts, "resources": rows}]


def serve(connection: Connection, options: Record) -> None:
    """Answer requests until the connection ends."""
    measurer = Measurer(options)
    while True:
        request = json.loads(connection.recv_bytes())
        connection.send_bytes(json.dumps(measurer.answer(request)).encode())
