"""Who takes part in `peers.py`: every system, engine, precision and setting, each as a job."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from engine_jobs import Job
from made_graphs import graph_file
from peers_prepare import DEPTH_ANYTHING, DEPTH_ANYTHING_SIZE, OUR_SIZES, YOLO, YOLO_SIDES, float_path, graph_path

from pixio_edge import Bundle
from pixio_edge.host import probe_host
from pixio_edge.sizes import Size, size_label

TRAINED_SIZE: Size = (256, 256)
# Image (height, width) of the whole pipelines: the default of transformers' one, which then resizes nothing.
FRAME: Size = DEPTH_ANYTHING_SIZE
MODEL, PIPELINE = "model", "image to depth"
# Sizes of ours beyond 256x256 run only in these: the rest of the table would say the same again.
LARGE_SIZE_RUNS = (("ort", "fp32"), ("openvino", "fp32"), ("openvino", "bf16"), ("openvino", "int8"))


@dataclass(frozen=True)
class Contender:
    """One row.

    Attributes:
        system: Model as its makers call it, or ours.
        size: Input (height, width).
        engine: What executes, for the table.
        precision: "fp32", "bf16" or "int8".
        setting: What was chosen of the engine's settings; of several, the fastest is shown.
        scope: `MODEL`, from a prepared input to depth, or `PIPELINE`, from an image to depth of its size.
        weights: "trained" or "random".
        graph: Float graph that the cost is counted from.
        job: How it runs.
    """

    system: str
    size: Size
    engine: str
    precision: str
    setting: str
    scope: str
    weights: str
    graph: Path
    job: Job

    @property
    def name(self) -> str:
        """Unique among the contenders."""
        parts = (self.system, size_label(self.size), self.engine, self.precision, self.setting, self.scope)
        return " | ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """What a record says of it."""
        return {
            "system": self.system,
            "size": list(self.size),
            "engine": self.engine,
            "precision": self.precision,
            "setting": self.setting,
            "scope": self.scope,
            "weights": self.weights,
            "threads": self.job.threads,
        }


def list_contenders(folder: Path, threads: int) -> list[Contender]:
    """All of them, also those whose graph was not prepared."""
    return [*depth_anything(folder, threads), *yolo(folder, threads), *ours(folder, threads)]


@cache
def hints() -> tuple[str, ...]:
    """Precision hints that this processor can execute."""
    return ("f32",) if probe_host().lacks_bf16 else ("f32", "bf16")


def depth_anything(folder: Path, threads: int) -> Iterator[Contender]:
    """transformers: its pipeline, torch eager and compiled, and its export in the engines."""
    size = DEPTH_ANYTHING_SIZE
    graph = float_path(folder, DEPTH_ANYTHING, size)
    for hint in hints():
        precision = "fp32" if hint == "f32" else "bf16"
        common = {"size": list(size)}
        for engine, scope, kind, settings in (
            ("transformers pipeline", PIPELINE, "pipeline", common | {"frame": list(FRAME)}),
            ("torch eager", MODEL, "torch", common),
            ("torch.compile", MODEL, "torch", common | {"compiled": True}),
        ):
            job = Job(kind, threads=threads, hint=hint, settings=settings)
            setting = {"torch.compile": "frozen weights"}.get(engine, "default")
            yield Contender(DEPTH_ANYTHING, size, engine, precision, setting, scope, "random", graph, job)
    yield from exported(folder, DEPTH_ANYTHING, size, threads)


def yolo(folder: Path, threads: int) -> Iterator[Contender]:
    """Ultralytics' own export in the engines."""
    for side in YOLO_SIDES:
        yield from exported(folder, YOLO, (side, side), threads)


def exported(folder: Path, system: str, size: Size, threads: int) -> Iterator[Contender]:
    """The export of another system in both engines, and quantised by NNCF with the rest in each float type."""
    graph = graph_path(folder, system, size)

    def row(engine: str, precision: str, setting: str, job: Job) -> Contender:
        return Contender(system, size, engine, precision, setting, MODEL, "random", graph, job)

    yield row("ONNX Runtime", "fp32", "all optimisations", Job("ort", str(graph), threads=threads))
    quantized = str(graph_path(folder, system, size, "nncf"))
    yield row("ONNX Runtime", "int8", "NNCF, rest fp32", Job("ort", quantized, threads=threads))
    for hint in hints():
        precision = "fp32" if hint == "f32" else "bf16"
        yield row("OpenVINO", precision, "latency hint", Job("openvino", str(graph), threads=threads, hint=hint))
        setting = f"NNCF, rest {precision}"
        yield row("OpenVINO", "int8", setting, Job("openvino", quantized, threads=threads, hint=hint))


def ours(folder: Path, threads: int) -> Iterator[Contender]:
    """Nano as it ships, and both presets with random weights at the sizes of the others."""
    bundle = Bundle.open("nano")
    for size in (TRAINED_SIZE, *OUR_SIZES["nano"]):
        yield from our_size(folder, "nano", size, threads, bundle if size == TRAINED_SIZE else None)
    for size in OUR_SIZES["small"]:
        yield from our_size(folder, "small", size, threads, None)


def our_size(folder: Path, preset: str, size: Size, threads: int, bundle: Bundle | None) -> Iterator[Contender]:
    """One of our models at one size in every engine and precision: the graphs of a bundle.

    The engines get the settings that `DepthEstimator` gives them; its checks of outputs and its pool are not timed.
    """
    names = {"ort": "ONNX Runtime", "openvino": "OpenVINO"}
    graph = our_graph(folder, preset, size, engine="ort", precision="fp32", bundle=bundle)

    def row(engine: str, precision: str, scope: str, job: Job) -> Contender:
        weights = "random" if bundle is None or job.kind == "our_torch" else "trained"
        return Contender(preset, size, engine, precision, "as shipped", scope, weights, graph, job)

    runs = [(engine, precision) for engine in names for precision in ("fp32", "bf16", "int8")]
    for engine, precision in runs if size == TRAINED_SIZE else LARGE_SIZE_RUNS:
        if precision == "bf16" and (engine == "ort" or "bf16" not in hints()):
            continue
        path = str(our_graph(folder, preset, size, engine=engine, precision=precision, bundle=bundle))
        # What INT8 leaves in float is bf16 where the processor has it, as in `OpenVinoRuntime`.
        hint = "f32" if precision == "fp32" or engine == "ort" else hints()[-1]
        yield row(names[engine], precision, MODEL, Job(engine, path, threads=threads, hint=hint))
        if size == TRAINED_SIZE and precision == "int8":
            settings = {"engine": engine, "frame": list(FRAME)}
            job = Job("ours", path, threads=threads, hint=hint, settings=settings)
            yield row(names[engine], precision, PIPELINE, job)
    if size == TRAINED_SIZE:
        for hint in hints():
            job = Job("our_torch", threads=threads, hint=hint, settings={"preset": preset, "size": list(size)})
            yield row("torch eager", "fp32" if hint == "f32" else "bf16", MODEL, job)


def our_graph(folder: Path, preset: str, size: Size, *, engine: str, precision: str, bundle: Bundle | None) -> Path:
    """Graph of one of ours: out of the bundle, or with random weights."""
    if bundle is None:
        return graph_file(folder / "ours", preset, size, engine, precision)
    stored = "int8" if precision == "int8" else "fp32"
    entry = next(
        item
        for item in bundle.artifacts
        if (item.kind, item.precision, item.size) == ("onnx", stored, size) and engine in item.requires.runtimes
    )
    return bundle.folder / entry.path
