"""A bundle with typed graphs for TensorRT, made by the exporter itself from a small transformer, and a GPU for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from block_bundle import write_block_bundle
from int8_tables import table_of
from tiny_graphs import SIZES

from pixio_edge.bundle import Bundle
from pixio_edge.bundle_writer import write_bundle
from pixio_edge.engine_cache import HostGpu
from pixio_edge.engines.build import BuildSettings, BuiltEngine, Progress
from pixio_edge.engines.workbench import Ran, Trial
from pixio_edge.errors import RuntimeUnavailableError
from pixio_edge.export.trt.artifacts import add_tensorrt
from pixio_edge.export.trt.emulation import run_typed
from pixio_edge.manifest import BundleHeader, Precision
from pixio_edge.runtimes.trt_layers import EngineLayer

SIZE = SIZES[0]
ORIN = HostGpu(library="tensorrt", version="10.3.0", sm="8.7", device="Orin")
PRODUCTS = 3
MS = {"fp32": 9.0, "fp16": 4.0, "int8": 2.0}


def write_typed_bundle(
    folder: Path,
    *,
    precisions: Sequence[Precision] = ("fp16", "int8"),
    sizes: tuple[tuple[int, int], ...] = (SIZE,),
) -> Bundle:
    """Write fp32 graphs, a calibration table, and typed graphs.

    Args:
        folder: Must not exist; others beside it are used on the way.
        precisions: Of the typed graphs.
        sizes: Of all graphs.
    """
    source = write_block_bundle(folder.with_name(f"{folder.name}-float"), sizes=sizes)
    return write_typed(with_table(source, folder.with_name(f"{folder.name}-table")), folder, precisions=precisions)


def with_table(bundle: Bundle, folder: Path) -> Bundle:
    """A bundle of fp32 graphs and a calibration table from a few random images."""
    float_graph = next(artifact for artifact in bundle.artifacts if artifact.kind == "onnx")
    with write_bundle(folder, _header(bundle)) as writer:
        writer.take_over(bundle)
        table = table_of(onnx.load(bundle.folder / float_graph.path))
        (writer.folder / "calibration.json").write_text(table.model_dump_json())
        writer.add_file("calibration.json", "calibration")
    return Bundle.open(folder)


def write_typed(
    bundle: Bundle,
    folder: Path,
    *,
    precisions: Sequence[Precision] = ("fp16", "int8"),
    sizes: Sequence[tuple[int, int]] | None = None,
    is_budgeted: bool = True,
) -> Bundle:
    """A bundle and its typed graphs.

    Args:
        bundle: With fp32 graphs, and a calibration table for INT8.
        folder: Must not exist.
        precisions: Of the typed graphs.
        sizes: Of the typed graphs; None takes all.
        is_budgeted: Whether INT8 is held to the budget, which random weights do not keep.
    """
    with write_bundle(folder, _header(bundle)) as writer:
        writer.take_over(bundle)
        add_tensorrt(bundle, writer, precisions=precisions, sizes=sizes, is_budgeted=is_budgeted)
    return Bundle.open(folder)


def _header(bundle: Bundle) -> BundleHeader:
    return BundleHeader(**{name: getattr(bundle.manifest, name) for name in BundleHeader.model_fields})


class FakeBench:
    """A GPU that computes typed graphs as the exporter's emulation does, and overflows where it is told to.

    Args:
        gpu: What it is.
        overflows: Names of nodes that give infinity in half precision, by precision of the artifact.
        ms: Milliseconds by precision.

    Attributes:
        built: Names of the graph files of all builds.
        timed: Precisions that were timed, call by call.
        refuses: Precisions whose graphs the library refuses.
    """

    def __init__(
        self,
        gpu: HostGpu = ORIN,
        *,
        overflows: dict[str, tuple[str, ...]] | None = None,
        ms: dict[str, float] | None = None,
    ) -> None:
        self.gpu = gpu
        self.overflows = overflows or {}
        self.ms = ms or MS
        self.built: list[str] = []
        self.timed: list[list[str]] = []
        self.refuses: set[str] = set()

    def build(self, graph: Path, settings: BuildSettings, progress: Progress) -> BuiltEngine:
        if any(precision in graph.name for precision in self.refuses):
            raise RuntimeUnavailableError(f"tensorrt 10.3.0 cannot build {graph.name}: no kernel. Fix: none")
        self.built.append(graph.name)
        progress(0.5, "Timing tactics")
        return BuiltEngine(onnx.load(graph).SerializeToString(), 60.0)

    def run(self, trial: Trial, image: np.ndarray) -> Ran:
        model = onnx.ModelProto.FromString(trial.data)
        depth = run_typed(model, [image])[0]
        if any(computes_in_half(model, name) for name in self.overflows.get(trial.artifact.precision, ())):
            depth = np.full_like(depth, np.inf)
        kind = "int8" if trial.artifact.precision == "int8" else "fp16"
        return Ran(depth, tuple(EngineLayer(f"gemm{i}", "gemm", (kind,), (kind,), ()) for i in range(PRODUCTS)))

    def time(self, trials: Sequence[Trial], image: np.ndarray) -> dict[str, float]:
        self.timed.append([trial.artifact.precision for trial in trials])
        return {trial.artifact.name: self.ms[trial.artifact.precision] for trial in trials}


def computes_in_half(model: onnx.ModelProto, name: str) -> bool:
    """Whether a node of a typed graph gives half values."""
    types = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    node = next(node for node in model.graph.node if node.name == name)
    return types[node.output[0]] == onnx.TensorProto.FLOAT16
