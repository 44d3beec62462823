"""Accuracy of one artifact: what the manifest states of it, and when INT8 has lost too much of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pixio_edge.bench.record_parts import AccuracyRecord

if TYPE_CHECKING:
    from pydantic import JsonValue

    from pixio_edge.bundle import Bundle
    from pixio_edge.manifest import ArtifactEntry, Precision

STATED, MEASURED = "manifest", "measured"
MACRO = "macro"

DELTA1_BUDGET = 0.005
"""Loss of delta1 against the float artifact that is still right: half a point, the budget that INT8 is made under."""

ABS_REL_BUDGET = 1.02
"""Growth of AbsRel against the float artifact that is still right: 2 %, the same."""


def lost_accuracy(found: AccuracyRecord, reference: AccuracyRecord) -> str | None:
    """Why an artifact is too much worse than the float one; None if it is not, or they are not from the same data."""
    if (found.source, found.on) != (reference.source, reference.on):
        return None
    if found.delta1 is None or reference.delta1 is None or found.abs_rel is None or reference.abs_rel is None:
        return None
    if reference.delta1 - found.delta1 > DELTA1_BUDGET:
        return (
            f"delta1 {found.delta1:.4f} against {reference.delta1:.4f} in float on {found.on}, "
            f"at most {DELTA1_BUDGET * 100:g} points less allowed"
        )
    if found.abs_rel > ABS_REL_BUDGET * reference.abs_rel:
        return (
            f"AbsRel {found.abs_rel:.4f} against {reference.abs_rel:.4f} in float on {found.on}, "
            f"at most {ABS_REL_BUDGET - 1:.0%} more allowed"
        )
    return None


def stated_accuracy(bundle: Bundle, artifact: ArtifactEntry, precision: Precision) -> AccuracyRecord | None:
    """What the manifest says of an artifact as it is executed; None if nothing, as of fp32 artifacts in bf16.

    It was measured when INT8 was made, on sets with known depth, each image at the size of the ladder that fits it.
    """
    if precision != artifact.precision:
        return None
    quantised = artifact.quantization is not None
    sources = [artifact] if quantised else [other for other in bundle.artifacts if other.quantization is not None]
    for source in sources:
        truth = _truth(source)
        if truth:
            return _stated(truth, "int8" if quantised else "float", source.name)
    return None


def _truth(artifact: ArtifactEntry) -> dict[str, JsonValue]:
    """By set, and "macro"; see `calibration.accuracy.Accuracy.to_json`."""
    stored = None if artifact.quantization is None else artifact.quantization.accuracy
    truth = None if stored is None else stored.get("truth")
    return truth if isinstance(truth, dict) else {}


def _stated(truth: dict[str, JsonValue], which: str, artifact: str) -> AccuracyRecord | None:
    macro = truth.get(MACRO)
    if not isinstance(macro, dict):
        return None
    delta1, abs_rel = macro.get(f"delta1_{which}"), macro.get(f"abs_rel_{which}")
    if not isinstance(delta1, float) or not isinstance(abs_rel, float):
        return None
    return AccuracyRecord(
        delta1=delta1,
        abs_rel=abs_rel,
        images=None,
        sets=tuple(name for name in truth if name != MACRO),
        source=STATED,
        on=f"sets with known depth when {artifact} was made, over the whole ladder of sizes",
    )
