"""What a quantisation is asked for, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixio_edge.calibration.budget import DEFAULT_BUDGET, Budget
from pixio_edge.calibration.config import CalibrationConfig
from pixio_edge.calibration.speed import SpeedPlan
from pixio_edge.calibration.targets import check_runtimes
from pixio_edge.errors import CheckFailedError, InputError

if TYPE_CHECKING:
    from pydantic import JsonValue

    from pixio_edge.calibration.accuracy import Accuracy
    from pixio_edge.calibration.search import LayerSensitivity, SearchStep
    from pixio_edge.calibration.table import Provenance
    from pixio_edge.quantization import SpeedEntry

DEFAULT_HELD_BACK = 32
"""Images for the gate: enough that one odd picture weighs 3 %, few enough to be run again for every candidate."""

DEFAULT_SEARCH_IMAGES = 8
"""Images for the search, of those calibrated on. Every layer costs an inference for each; where the search is content
too early for them, the gate on all held-back images asks for more layers."""


@dataclass(frozen=True, slots=True)
class QuantizeRequest:
    """How to quantise.

    Args:
        runtimes: Names out of `targets.TARGETS`.
        budget: What may be lost.
        config: How to calibrate.
        held_back: Images to check with, beside those calibrated on; a quarter of all where there are too few for both.
        search_images: Images for the search of layers.
        labelled: Data set, or folder of data sets, with known depth to check with as well.
        report: Folder for the report with plots; None makes none.
        speed: How to time; its threads are those of every runtime.

    Raises:
        InputError: A number is not positive.
        RuntimeUnavailableError: A runtime is unknown, or there is none.
    """

    runtimes: tuple[str, ...]
    budget: Budget = field(default_factory=Budget)
    config: CalibrationConfig = field(default_factory=CalibrationConfig)
    held_back: int = DEFAULT_HELD_BACK
    search_images: int = DEFAULT_SEARCH_IMAGES
    labelled: Path | None = None
    report: Path | None = None
    speed: SpeedPlan = field(default_factory=SpeedPlan)

    def __post_init__(self) -> None:
        check_runtimes(self.runtimes)
        for name in ("held_back", "search_images"):
            if getattr(self, name) < 1:
                raise InputError(f"quantize {name}: got {getattr(self, name)}, expected at least 1. Fix: leave it out")


def make_request(
    runtimes: Sequence[str],
    *,
    budget: float = DEFAULT_BUDGET,
    images: int | None = None,
    seed: int = 0,
    method: str | None = None,
    smoothing: bool = True,
    rounding: str | None = None,
    bias_correction: bool = True,
    labelled: Path | None = None,
    report: Path | None = None,
    threads: int | None = None,
) -> QuantizeRequest:
    """A request from the plain values of a command line; None takes the default.

    Raises:
        InputError: A value is none of those that are known.
        RuntimeUnavailableError: A runtime is unknown, or there is none.
    """
    given: dict[str, Any] = {"images": images, "activation_method": method, "rounding": rounding, "threads": threads}
    given |= {"seed": seed, "bias_correction": bias_correction}
    if not smoothing:
        given["smoothing"] = False
    config = CalibrationConfig(**{name: value for name, value in given.items() if value is not None})
    return QuantizeRequest(
        tuple(runtimes),
        Budget(budget),
        config,
        labelled=labelled,
        report=report,
        speed=SpeedPlan(threads=threads),
    )


@dataclass(frozen=True, slots=True)
class TargetReport:
    """What came of one runtime.

    Attributes:
        runtime: Its name.
        flavour: Form of the graph.
        keep_float: Layers that the search gave back to float, in that order.
        accuracy: What INT8 costs.
        speed: What it gains, one record per cost of a size; empty where there is no such runtime here, or where
            accuracy was refused before.
        reason: Why the artifacts were refused; None if they are kept.
        ranking: Layers by what they cost alone, worst first; empty if nothing was searched.
        steps: The walk back to float.
    """

    runtime: str
    flavour: str
    keep_float: tuple[str, ...]
    accuracy: Accuracy
    speed: tuple[SpeedEntry, ...]
    reason: str | None
    ranking: tuple[LayerSensitivity, ...] = ()
    steps: tuple[SearchStep, ...] = ()

    def to_json(self) -> dict[str, JsonValue]:
        """All fields as JSON values."""
        return {
            "runtime": self.runtime,
            "flavour": self.flavour,
            "kept": self.reason is None,
            "reason": self.reason,
            "keep_float": list(self.keep_float),
            "accuracy": self.accuracy.to_json(),
            "speed": [speed.model_dump(mode="json") for speed in self.speed],
            "ranking": [item.to_json() for item in self.ranking],
            "steps": [step.to_json() for step in self.steps],
        }


@dataclass(frozen=True, slots=True)
class QuantizeReport:
    """What came of a quantisation.

    Attributes:
        folder: The bundle that was written; None if nothing was.
        artifacts: Names of the new artifacts.
        targets: One report per runtime.
        budget: Points of delta1 that were allowed.
        provenance: Where the calibration comes from.
        seconds: Time of each stage.
        files: Written into the report folder.
    """

    folder: Path | None
    artifacts: tuple[str, ...]
    targets: tuple[TargetReport, ...]
    budget: float
    provenance: Provenance
    seconds: Mapping[str, float]
    files: tuple[Path, ...] = ()

    @property
    def is_accepted(self) -> bool:
        """Whether every runtime passed both gates."""
        return all(target.reason is None for target in self.targets)

    def require(self) -> None:
        """End with the verdict.

        Raises:
            CheckFailedError: A runtime was refused, so nothing was written.
        """
        refused = [f"{target.runtime}: {target.reason}" for target in self.targets if target.reason is not None]
        if refused:
            passed = [target.runtime for target in self.targets if target.reason is None]
            fix = f"ask for {', '.join(passed)} only" if passed else self._fix()
            raise CheckFailedError(f"INT8 refused, no artifact is kept. {'; '.join(refused)}. Fix: {fix}")

    def _fix(self) -> str:
        """What helps depends on the gate that failed: no budget makes a graph faster that is in INT8 already."""
        refused = [target for target in self.targets if target.reason is not None]
        # Layers go back to float only to keep the budget, so a larger one also makes what was slowed by them faster.
        if any(target.accuracy.reason is not None or target.keep_float for target in refused):
            return "run in fp32, or allow more with --budget"
        return "run in fp32 on this host, or quantize on the host that it is meant for"

    def to_json(self) -> dict[str, JsonValue]:
        """All fields as JSON values."""
        return {
            "folder": None if self.folder is None else str(self.folder),
            "accepted": self.is_accepted,
            "artifacts": list(self.artifacts),
            "budget": self.budget,
            "targets": [target.to_json() for target in self.targets],
            "provenance": self.provenance.model_dump(mode="json"),
            "seconds": {name: round(value, 2) for name, value in self.seconds.items()},
            "files": [str(path) for path in self.files],
        }
