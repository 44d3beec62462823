"""INT8 artifacts: graphs of all sizes and flavours with one weight file, each checked against the stored outputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx

from pixio_edge.bundle import VerifiedArtifact
from pixio_edge.calibration.emit import emit
from pixio_edge.calibration.speed import sizes_to_time
from pixio_edge.calibration.trial import run_graph
from pixio_edge.errors import CheckFailedError
from pixio_edge.golden import host_record, load_golden
from pixio_edge.manifest import ArtifactEntry, FileEntry, Requirements
from pixio_edge.onnx_weights import write_graphs
from pixio_edge.parity import SUGGESTED_HEADROOM, Tolerance, compare
from pixio_edge.quantization import QuantizationEntry
from pixio_edge.runtimes.base import RuntimeOptions
from pixio_edge.runtimes.registry import make_runtime
from pixio_edge.sizes import Size, size_label

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from pixio_edge.bundle_writer import BundleWriter
    from pixio_edge.calibration.ladder import FloatLadder
    from pixio_edge.calibration.table import CalibrationTable
    from pixio_edge.calibration.targets import Target

WEIGHTS_STEM = "weights-int8"

# The tolerance of an artifact is what was measured on its stored image, with room for other processors, whose kernels
# add in another order and so round a few activations to the next step; never less than this.
SMALLEST_TOLERANCE = 0.01

# Beyond this it is another picture, whatever the budget says: a graph that is broken, not rounded.
LARGEST_DIFFERENCE = 0.25


@dataclass(frozen=True, slots=True)
class Recipe:
    """One ladder of INT8 artifacts to be written.

    Attributes:
        target: What it is for.
        keep_float: Layers that stay float.
        facts: What was measured, with the path of the table; `keep_float` and flavour are filled in, and of the times
            each artifact keeps those of the size that stands for its own.
        suffix: Added to the names, to tell several recipes for one target apart.
    """

    target: Target
    keep_float: tuple[str, ...] = ()
    facts: QuantizationEntry | None = None
    suffix: str = ""

    def graph_name(self, size: Size) -> str:
        """File of the graph of a size."""
        return f"graph_int8_{self.target.flavour}{self.suffix}_{size_label(size)}.onnx"

    def artifact_name(self, size: Size) -> str:
        """Such as "onnx-int8-openvino-256x256"."""
        return f"onnx-int8-{self.target.flavour}{self.suffix}-{size_label(size)}"


@dataclass(frozen=True, slots=True)
class Int8Source:
    """What all INT8 graphs of a bundle are made from.

    Attributes:
        ladder: The float graphs.
        table: Their calibration.
        rounded: Integer weights by layer name, where they were not rounded to nearest.
    """

    ladder: FloatLadder
    table: CalibrationTable
    rounded: dict[str, NDArray[np.int8]]

    def emit(self, size: Size, target: Target, keep_float: Iterable[str]) -> onnx.ModelProto:
        """The INT8 graph of one size."""
        graph = self.ladder[size]
        return emit(graph, self.table, target.flavour, keep_float=tuple(keep_float), rounded=self.rounded)


def write_int8(
    writer: BundleWriter,
    source: Int8Source,
    recipes: Sequence[Recipe],
    *,
    sizes: Sequence[Size] | None = None,
    threads: int | None = None,
) -> tuple[ArtifactEntry, ...]:
    """Write, check and list the INT8 graphs of all recipes and sizes; equal weights are stored once.

    They do not refer to the weights of the float graphs, so that they can be shipped without them.

    Args:
        writer: Of a bundle that has the float artifacts already.
        source: What they are made from.
        recipes: One for each target.
        sizes: Only these; None takes all.
        threads: For the check.

    Raises:
        CheckFailedError: A graph gives something else than the float graph, or no finite depth.
        RuntimeUnavailableError: Its runtime refuses a graph.
    """
    wanted = tuple(source.ladder if sizes is None else sizes)
    weights = writer.free_name(WEIGHTS_STEM, ".bin")
    write_graphs(_graphs(writer.folder, source, recipes, wanted), writer.folder / weights)
    timed = sizes_to_time(tuple(source.ladder))
    entries = []
    for recipe in recipes:
        for size in wanted:
            entry = _describe(writer, source.ladder.artifacts[size], recipe, timed[size])
            entries.append(check_int8(entry, writer.folder, recipe.target, threads))
            writer.add_artifact(entries[-1])
    return tuple(entries)


def check_int8(entry: ArtifactEntry, folder: Path, target: Target, threads: int | None) -> ArtifactEntry:
    """Run an artifact on its stored image, in its runtime where there is one here, and record the difference.

    Returns:
        The entry with parity, a tolerance made from it, and whether and where it was verified.

    Raises:
        CheckFailedError: The depth differs by more than `LARGEST_DIFFERENCE`, or is not finite.
    """
    image, reference = load_golden(folder / str(entry.golden))
    if target.runs_here:
        options = RuntimeOptions(threads, precision=entry.precision)
        with make_runtime(target.runtime, VerifiedArtifact(entry, folder), options) as runtime:
            depth = runtime.run({entry.inputs[0].name: image})[entry.outputs[0].name]
            verified_on = host_record(runtime.info())
    else:
        depth = run_graph(onnx.load(folder / entry.path), [image], threads)[0]
        verified_on = None
    parity = compare(reference, depth, Tolerance(rel_l2=LARGEST_DIFFERENCE))
    if not parity:
        raise CheckFailedError(
            f"artifact {entry.name}: {parity.message}. Fix: calibrate on more images; if that does not help, "
            "please report the graph"
        )
    return entry.model_copy(
        update={
            "parity": {"reference": "stored output of the float model", **parity.to_json()},
            "tolerance": Tolerance(rel_l2=max(SMALLEST_TOLERANCE, SUGGESTED_HEADROOM * parity.rel_l2)),
            "verified": target.runs_here,
            "verified_on": verified_on,
        }
    )


def _graphs(
    folder: Path, source: Int8Source, recipes: Sequence[Recipe], sizes: Sequence[Size]
) -> Iterator[tuple[Path, onnx.ModelProto]]:
    for size in sizes:
        for recipe in recipes:
            yield folder / recipe.graph_name(size), source.emit(size, recipe.target, recipe.keep_float)


def _describe(writer: BundleWriter, base: ArtifactEntry, recipe: Recipe, timed: Size) -> ArtifactEntry:
    target = recipe.target
    graph = writer.describe(recipe.graph_name(base.size), "graph")
    facts = recipe.facts or QuantizationEntry(flavour=target.flavour)
    speed = tuple(entry for entry in facts.speed if entry.size == timed)
    own = {"flavour": target.flavour, "keep_float": recipe.keep_float, "speed": speed}
    return base.model_copy(
        update={
            "name": recipe.artifact_name(base.size),
            "precision": "int8",
            "path": graph.path,
            "sha256": graph.sha256,
            "bytes": graph.bytes,
            "data": graph_data(writer, writer.folder / graph.path),
            "requires": Requirements(runtimes=(target.runtime,), isa=target.isa),
            "quantization": facts.model_copy(update=own),
        }
    )


def graph_data(writer: BundleWriter, graph: Path) -> tuple[FileEntry, ...]:
    """The weight files that a graph in the folder of a writer refers to, by name."""
    constants = onnx.load(graph, load_external_data=False).graph.initializer
    locations = {item.value for tensor in constants for item in tensor.external_data if item.key == "location"}
    return tuple(writer.describe(location, "weights") for location in sorted(locations))
