"""Artifacts of kind `tensorrt`: typed graphs of all sizes with one weight file, from which devices build engines."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx

from pixio_edge.calibration.agreement import compare_depth
from pixio_edge.calibration.artifact import SMALLEST_TOLERANCE, graph_data
from pixio_edge.calibration.budget import DEFAULT_BUDGET, Budget
from pixio_edge.errors import CheckFailedError, InputError
from pixio_edge.export.trt.emulation import run_typed
from pixio_edge.export.trt.int8_source import Int8Graphs
from pixio_edge.export.trt.lint import require_buildable
from pixio_edge.export.trt.precision import to_portable, to_typed
from pixio_edge.export.trt.recipe import KIND, RECIPE, RECIPE_ROLE, make_recipe
from pixio_edge.files import write_text_atomic
from pixio_edge.golden import load_golden
from pixio_edge.manifest import ArtifactEntry, DepthKind, Precision, Requirements
from pixio_edge.onnx_weights import write_graphs
from pixio_edge.parity import SUGGESTED_HEADROOM, Tolerance, compare
from pixio_edge.sizes import Size, size_label

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pixio_edge.bundle import Bundle
    from pixio_edge.bundle_writer import BundleWriter
    from pixio_edge.calibration.agreement import Agreement

logger = logging.getLogger(__name__)

RUNTIMES = ("tensorrt", "tensorrt-rtx")
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")

# What the check on a CPU allows, and the most that the tolerance of an artifact may be. fp32 only adds in another
# order. fp16: nano's depth differed by 2.3e-4 with every value rounded, and random models of all shapes by less than
# 2e-3; a wrong type or a value out of range is off by more than a tenth. INT8: nano's sizes that are inside the budget
# differ by 6e-3 to 1.1e-2 and the tallest by 3.7e-2, models of random weights by up to 3.8e-2; the tallest differed by
# 8.6e-2 and was outside the budget while calibration had not seen such shapes. Twice 3.7e-2 leaves each its headroom.
LIMITS: dict[Precision, Tolerance] = {
    "fp32": Tolerance(rel_l2=1e-4),
    "fp16": Tolerance(rel_l2=0.02),
    "int8": Tolerance(rel_l2=0.075),
}

# What an engine may differ by at least. Kernels of a GPU may also add in half precision, and INT8 rounds a few values
# to the next step when sums differ in their last digit; TensorRT computes fp32 products in TF32, with 10 bits, where
# it finds them faster.
SMALLEST_TOLERANCES: dict[Precision, float] = {"fp32": 0.005, "fp16": 0.005, "int8": SMALLEST_TOLERANCE}

EXECUTED = "ONNX Runtime on a CPU, every half value rounded as a GPU rounds it; no engine was run"


@dataclass(frozen=True, slots=True)
class _Inspection:
    """How typed graphs are checked."""

    writer: BundleWriter
    kind: DepthKind
    threads: int | None
    is_budgeted: bool


@dataclass(frozen=True, slots=True)
class _Job:
    """One typed graph to be made."""

    base: ArtifactEntry
    precision: Precision

    @property
    def name(self) -> str:
        return f"tensorrt-{self.precision}-{size_label(self.base.size)}"

    @property
    def path(self) -> str:
        return f"graph_tensorrt-{self.precision}_{size_label(self.base.size)}.onnx"


def add_tensorrt(
    bundle: Bundle,
    writer: BundleWriter,
    *,
    precisions: Sequence[Precision] = ("fp16", "int8"),
    sizes: Sequence[Size] | None = None,
    threads: int | None = None,
    is_budgeted: bool = True,
    on_stage: Callable[[str], None] | None = None,
) -> tuple[ArtifactEntry, ...]:
    """Write typed graphs for TensorRT and the recipe of their engines, each graph linted and run on a CPU.

    Args:
        bundle: Has fp32 ONNX graphs, and for INT8 a calibration table.
        writer: Has taken the bundle over, without the artifacts of kind `tensorrt` and the recipe that it may have.
        precisions: Out of `PRECISIONS`.
        sizes: Only these; None takes all of the bundle.
        threads: Of ONNX Runtime for the check.
        is_budgeted: Whether INT8 may lose no more depth on the stored image than `calibration.budget` allows. Without
            it only `LIMITS` hold, for weights that were never trained.
        on_stage: Told in a few words what was done, twice for each graph.

    Returns:
        The new artifacts, named "tensorrt-fp16-256x256"; not verified, since no engine was built.

    Raises:
        InputError: A precision is unknown, a size is not in the bundle, or INT8 is asked for without a table.
        BundleError: The bundle is damaged or has no fp32 ONNX graph.
        CheckFailedError: TensorRT would refuse a graph, or it gives another depth than the stored one, or INT8 costs
            more than the budget.
    """
    report = on_stage or logger.debug
    graphs = Int8Graphs(bundle)
    wanted = _wanted_sizes(tuple(graphs.ladder), sizes)
    _check_precisions(precisions)
    if "int8" in precisions:
        graphs.require_table()
    how = _Inspection(writer, bundle.manifest.output.kind, threads, is_budgeted)
    entries: list[ArtifactEntry] = []
    for precision in dict.fromkeys(precisions):
        jobs = [_Job(graphs.ladder.artifacts[size], precision) for size in wanted]
        weights = writer.free_name(f"weights-tensorrt-{precision}", ".bin")
        write_graphs(
            ((writer.folder / job.path, graph) for job, graph in _typed(graphs, jobs, report)), writer.folder / weights
        )
        for job in jobs:
            entries.append(_check(_describe(writer, job, graphs), how))
            writer.add_artifact(entries[-1])
            report(f"checked {job.name}")
    write_text_atomic(writer.folder / RECIPE, make_recipe(writer.artifacts).to_json())
    writer.add_file(RECIPE, RECIPE_ROLE)
    return tuple(entries)


def typed_names(bundle: Bundle) -> frozenset[str]:
    """What a writer leaves out of a bundle whose typed graphs are made anew: artifacts by name, and the recipe."""
    return frozenset({RECIPE, *(artifact.name for artifact in bundle.artifacts if artifact.kind == KIND)})


def _wanted_sizes(ladder: Sequence[Size], sizes: Sequence[Size] | None) -> tuple[Size, ...]:
    missing = [size for size in sizes or () if size not in ladder]
    if missing:
        known = ", ".join(size_label(size) for size in ladder)
        raise InputError(
            f"size {size_label(missing[0])}: the bundle has no graph of it, expected one of {known}. "
            "Fix: choose one of these, or export the weights at this size"
        )
    return tuple(dict.fromkeys(ladder if sizes is None else sizes))


def _check_precisions(precisions: Sequence[Precision]) -> None:
    unknown = [name for name in precisions if name not in PRECISIONS]
    if unknown or not precisions:
        got = f"'{unknown[0]}'" if unknown else "none"
        raise InputError(
            f"precision for TensorRT: got {got}, expected one of {', '.join(PRECISIONS)}. Fix: choose one of these"
        )


def _typed(
    graphs: Int8Graphs, jobs: Sequence[_Job], report: Callable[[str], None]
) -> Iterator[tuple[_Job, onnx.ModelProto]]:
    for job in jobs:
        source = graphs[job.base.size] if job.precision == "int8" else graphs.ladder[job.base.size]
        typed = to_portable(source) if job.precision == "fp32" else to_typed(source)
        require_buildable(typed)
        yield job, typed
        report(f"typed {job.name}")


def _describe(writer: BundleWriter, job: _Job, graphs: Int8Graphs) -> ArtifactEntry:
    graph = writer.describe(job.path, "graph")
    return job.base.model_copy(
        update={
            "name": job.name,
            "kind": KIND,
            "precision": job.precision,
            "path": graph.path,
            "sha256": graph.sha256,
            "bytes": graph.bytes,
            "data": graph_data(writer, writer.folder / graph.path),
            "requires": Requirements(runtimes=RUNTIMES),
            "verified": False,
            "verified_on": None,
            "quantization": graphs.facts if job.precision == "int8" else None,
        }
    )


def _check(entry: ArtifactEntry, how: _Inspection) -> ArtifactEntry:
    """Run a typed graph on its stored image and record the difference.

    Raises:
        CheckFailedError: It is more than `LIMITS`, outside the budget of INT8, or the depth is not finite.
    """
    image, reference = load_golden(how.writer.folder / str(entry.golden))
    depth = run_typed(onnx.load(how.writer.folder / entry.path), [image], how.threads)[0]
    limit = LIMITS[entry.precision]
    parity = compare(reference, depth, limit)
    if entry.precision == "int8" and how.is_budgeted and np.isfinite(depth).all():
        _check_budget(entry, compare_depth(reference, depth, how.kind))
    if not parity:
        raise CheckFailedError(f"artifact {entry.name}: {parity.message}. Fix: {_fix(entry)}")
    smallest = SMALLEST_TOLERANCES[entry.precision]
    suggested = max(smallest, SUGGESTED_HEADROOM * parity.rel_l2)
    return entry.model_copy(
        update={
            "parity": {"reference": "stored output of the float model", "executed": EXECUTED, **parity.to_json()},
            "tolerance": Tolerance(rel_l2=min(suggested, limit.rel_l2 or suggested)),
        }
    )


def _check_budget(entry: ArtifactEntry, agreement: Agreement) -> None:
    """Refuse an INT8 graph that costs too much on its stored image.

    Raises:
        CheckFailedError: It does.
    """
    facts = entry.quantization
    # Whoever quantised with another budget for this flavour has chosen what INT8 may cost.
    budget = Budget(DEFAULT_BUDGET if facts is None or facts.budget is None else facts.budget)
    reason = budget.against(agreement)
    if reason is not None:
        raise CheckFailedError(f"artifact {entry.name}: INT8 costs too much: {reason}. Fix: {_fix(entry)}")


def _fix(entry: ArtifactEntry) -> str:
    if entry.precision != "int8":
        return "keep fp32 for this model, and please report the graph"
    label = size_label(entry.size)
    return (
        f"quantize with images of the shape of {label} (pixio-edge quantize --data), export with "
        f"--precision fp16, or leave size {label} out"
    )
