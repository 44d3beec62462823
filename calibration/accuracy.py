"""What INT8 costs: agreement with the float depth on held-back images, and true metrics where depth is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pixio_edge.calibration.agreement import Agreement, compare_depth, mean_agreement
from pixio_edge.calibration.ladder import float_artifacts
from pixio_edge.calibration.predictor import LadderPredictor
from pixio_edge.evaluation.protocol import evaluate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pydantic import JsonValue

    from pixio_edge.bundle import Bundle
    from pixio_edge.calibration.budget import Budget
    from pixio_edge.calibration.dataset import CalibrationSet
    from pixio_edge.evaluation.report import EvaluationReport
    from pixio_edge.evaluation.samples import DepthDataset
    from pixio_edge.manifest import ArtifactEntry
    from pixio_edge.metrics import DepthMetrics

# The float depth is the same in every runtime up to 1e-6, and this one is always installed.
REFERENCE_RUNTIME = "ort"
MACRO = "macro"


@dataclass(frozen=True, slots=True)
class TruthPair:
    """True metrics of the float and the INT8 artifacts on one set, or the mean over sets."""

    of_float: DepthMetrics
    of_int8: DepthMetrics

    def to_json(self) -> dict[str, JsonValue]:
        """Delta1 and AbsRel of both."""
        return {
            "delta1_float": self.of_float.delta1,
            "delta1_int8": self.of_int8.delta1,
            "abs_rel_float": self.of_float.abs_rel,
            "abs_rel_int8": self.of_int8.abs_rel,
        }


@dataclass(frozen=True, slots=True)
class Accuracy:
    """What was measured of one ladder of INT8 artifacts.

    Attributes:
        agreement: With the float depth, mean over the held-back images.
        worst: Of the image with the largest AbsRel.
        worst_image: Its name.
        images: Number of held-back images.
        truth: True metrics by set, and "macro"; empty without labelled data.
        reason: Why it is outside the budget; None if it is inside.
    """

    agreement: Agreement
    worst: Agreement
    worst_image: str
    images: int
    truth: Mapping[str, TruthPair]
    reason: str | None

    def to_json(self) -> dict[str, JsonValue]:
        """All but the reason, for a manifest."""
        return {
            "agreement": self.agreement.to_json(),
            "worst_image": {"name": self.worst_image, **self.worst.to_json()},
            "images": self.images,
            "truth": {name: pair.to_json() for name, pair in self.truth.items()},
        }


class AccuracyGate:
    """Measures candidates against the float artifacts of a bundle, which are run only once.

    Args:
        bundle: Has the float artifacts.
        held_back: Images that nothing was calibrated on.
        datasets: Images with known depth; may be empty.
        budget: What may be lost.
        threads: Of the runtimes; None takes the default.
    """

    def __init__(
        self,
        bundle: Bundle,
        held_back: CalibrationSet,
        datasets: Sequence[DepthDataset],
        budget: Budget,
        threads: int | None,
    ) -> None:
        self._kind = bundle.manifest.output.kind
        self._held_back = held_back
        self._datasets = datasets
        self._budget = budget
        self._threads = threads
        self._truth: EvaluationReport | None = None
        with LadderPredictor(bundle, float_artifacts(bundle), REFERENCE_RUNTIME, threads) as predictor:
            self._references = [predictor.depth(image) for image in held_back.images()]
            if datasets:
                self._truth = evaluate(predictor.inverse, datasets, with_floor=False)

    def measure(self, bundle: Bundle, artifacts: Sequence[ArtifactEntry], runtime: str | None) -> Accuracy:
        """Measure a ladder of artifacts in its runtime.

        Args:
            bundle: Where they are.
            artifacts: One for each size.
            runtime: Name in `registry.RUNTIMES`; None executes Q/DQ as written, in ORT.

        Raises:
            InputError: A depth is not finite.
        """
        with LadderPredictor(bundle, artifacts, runtime, self._threads) as predictor:
            found = self._agreements(predictor)
            truth = self._compare_truth(predictor)
        worst = max(range(len(found)), key=lambda index: found[index].abs_rel)
        mean = mean_agreement(found)
        reasons = [self._budget.against(mean)]
        reasons += [self._budget.against_truth(p.of_float, p.of_int8, _place(name)) for name, p in truth.items()]
        reason = next((reason for reason in reasons if reason is not None), None)
        return Accuracy(mean, found[worst], self._held_back.names[worst], len(found), truth, reason)

    def _agreements(self, predictor: LadderPredictor) -> list[Agreement]:
        pairs: Any = zip(self._references, self._held_back.images(), strict=True)
        return [self._compare(reference, predictor.depth(image)) for reference, image in pairs]

    def _compare(self, reference: NDArray[np.float32], depth: NDArray[np.float32]) -> Agreement:
        return compare_depth(reference, depth, self._kind)

    def _compare_truth(self, predictor: LadderPredictor) -> dict[str, TruthPair]:
        if self._truth is None:
            return {}
        report = evaluate(predictor.inverse, self._datasets, with_floor=False)
        pairs = {MACRO: TruthPair(self._truth.macro, report.macro)}
        for before, after in zip(self._truth.sets, report.sets, strict=True):
            if before.metrics is not None and after.metrics is not None:
                pairs[before.name] = TruthPair(before.metrics, after.metrics)
        return pairs


def _place(name: str) -> str:
    return "the mean of the sets" if name == MACRO else f"set {name}"
