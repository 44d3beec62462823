"""Which layers cost the most accuracy in INT8, and how many of them have to stay float.

Sensitivity is measured with one layer in INT8 at a time and all others float. The other way round, one layer back to
float at a time, has to find the small change that one layer makes to the noise of all the others, and needs many more
images for the same order; interactions between layers, which it would see, are small at 8 bits (rounding noises of
different layers are independent, so their squares add) and are accounted for when the greedy walk measures every step.

All candidates run at one size, on the same images, against stored float depths, so a candidate costs one emission, one
session and one inference per image.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pixio_edge.calibration.agreement import Agreement
from pixio_edge.calibration.budget import Budget

if TYPE_CHECKING:
    import onnx
    from pydantic import JsonValue

    from pixio_edge.calibration.trial import TrialImages

    Emit = Callable[[Collection[str]], onnx.ModelProto]
    """Graph with these layers kept in float."""
    Progress = Callable[[int, int, str], None]
    """Told the number of candidates done, their number, and the label of the last."""


@dataclass(frozen=True, slots=True)
class LayerSensitivity:
    """What one layer alone in INT8 does.

    Attributes:
        layer: Its name.
        agreement: Mean over the images.
    """

    layer: str
    agreement: Agreement

    def to_json(self) -> dict[str, JsonValue]:
        """All fields as JSON values."""
        return {"layer": self.layer, **self.agreement.to_json()}


@dataclass(frozen=True, slots=True)
class SearchStep:
    """One candidate of the walk.

    Attributes:
        keep_float: Layers in float, in the order in which they were given back.
        agreement: Mean over the images.
    """

    keep_float: tuple[str, ...]
    agreement: Agreement

    def to_json(self) -> dict[str, JsonValue]:
        """The number of layers, the last one given back, and the agreement."""
        last = self.keep_float[-1] if self.keep_float else None
        return {"float_layers": len(self.keep_float), "last": last, **self.agreement.to_json()}


def rank_layers(
    emit: Emit, layers: Sequence[str], images: TrialImages, *, progress: Progress | None = None
) -> tuple[LayerSensitivity, ...]:
    """Measure each layer alone in INT8.

    Args:
        emit: Makes a candidate.
        layers: All layers that the flavour runs in INT8.
        images: What to measure on.
        progress: Called after each layer.

    Returns:
        The layers, worst first: by AbsRel, as the share of pixels beyond a threshold is 0 for most layers alone.
    """
    found = []
    for done, layer in enumerate(layers, 1):
        found.append(LayerSensitivity(layer, images.measure(emit([name for name in layers if name != layer]))))
        if progress is not None:
            progress(done, len(layers), layer)
    # The name makes the order the same on every host when two are equal.
    return tuple(sorted(found, key=lambda item: (-item.agreement.abs_rel, item.layer)))


def return_layers(
    emit: Emit,
    ranking: Sequence[LayerSensitivity],
    images: TrialImages,
    budget: Budget,
    *,
    start: Collection[str] = (),
    progress: Progress | None = None,
) -> tuple[SearchStep, ...]:
    """Give layers back to float, worst first, until a candidate is inside the budget.

    Args:
        emit: Makes a candidate.
        ranking: From `rank_layers`.
        images: What to measure on.
        budget: What may be lost.
        start: Layers that are in float already.
        progress: Called after each step.

    Returns:
        Every candidate in turn. The last one is inside the budget, or has no layer left in INT8.
    """
    kept = list(start)
    steps = [SearchStep(tuple(kept), images.measure(emit(kept)))]
    for item in ranking:
        if budget.against(steps[-1].agreement) is None:
            break
        if item.layer in kept:
            continue
        kept.append(item.layer)
        steps.append(SearchStep(tuple(kept), images.measure(emit(kept))))
        if progress is not None:
            progress(len(steps) - 1, len(ranking), item.layer)
    return tuple(steps)
