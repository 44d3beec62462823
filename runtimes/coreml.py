"""Core ML on macOS, on the unit that was measured to be the fastest: Neural Engine, GPU or CPU."""

from __future__ import annotations

import logging
import math
import platform
from collections import Counter
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pixio_edge.errors import RuntimeUnavailableError
from pixio_edge.runtimes.base import Runtime, RuntimeInfo
from pixio_edge.runtimes.coreml_model import (
    COMPUTE_UNITS,
    find_fallbacks,
    find_package,
    find_placement,
    import_coremltools,
    import_pil,
    input_specs,
    load,
    predict,
)
from pixio_edge.tensor import TensorSpec

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from numpy.typing import NDArray

    from pixio_edge.bundle import VerifiedArtifact
    from pixio_edge.manifest_base import Size
    from pixio_edge.runtimes.base import RuntimeOptions

logger = logging.getLogger(__name__)

WARMUP_RUNS = 2
"""The first run on a unit loads what was compiled for it."""

TIMED_RUNS = 5
"""Their median decides: enough to pass over one interruption, few enough to open in a second or two."""


@dataclass(frozen=True, slots=True)
class UnitTiming:
    """What was measured on one compute unit.

    Args:
        unit: Name out of `COMPUTE_UNITS`.
        median_ms: Median time of a prediction in milliseconds; None where it does not work.
        reason: Why it does not work, empty where it does.
    """

    unit: str
    median_ms: float | None
    reason: str = ""


class CoreMlRuntime(Runtime):
    """Runs a Core ML package through coremltools, which hands images to Core ML as PIL images.

    Unless a compute unit is asked for as provider, `open` times a few predictions on each and keeps the fastest whose
    depth is finite; `timings` and `info` tell what was measured. The choice is remembered in the process. Core ML
    chooses its own threads, and its precision is in the package.

    Raises:
        MissingDependencyError: On `open`: coremltools or pillow is not installed.
        RuntimeUnavailableError: On `open`: not macOS, no such compute unit, none works, or cores to pin to are given.
        BundleError: On `open`: the package holds files that the manifest does not list.
    """

    name: ClassVar[str] = "coreml"
    # By digest of the model and size: opening again in this process need not measure again.
    _measured: ClassVar[dict[tuple[str, Size], tuple[UnitTiming, ...]]] = {}

    def __init__(self, artifact: VerifiedArtifact, options: RuntimeOptions) -> None:
        super().__init__(artifact, options)
        self._model: Any = None
        self._timings: tuple[UnitTiming, ...] = ()
        self._unit = ""

    @classmethod
    def list_providers(cls) -> tuple[str, ...]:
        """Compute units by the names that coremltools gives them, in lower case."""
        import_coremltools()
        return COMPUTE_UNITS

    @property
    def timings(self) -> tuple[UnitTiming, ...]:
        """What was measured on each compute unit; empty where one was asked for."""
        return self._timings

    def _open(self) -> None:
        self._check_options()
        coremltools, entry = import_coremltools(), self.artifact.entry
        import_pil()
        package = find_package(self.artifact)
        self._check_specs(input_specs(package, entry.size), entry.outputs)
        if self.options.provider is None:
            self._unit, self._model = self._choose(coremltools, package)
        else:
            self._unit = self.options.provider.lower()
            self._model = self._load(coremltools, package, self._unit)
        outputs = self._run(self._probe())
        found = [TensorSpec(name, array.shape, array.dtype.name) for name, array in outputs.items()]
        self._check_specs(entry.inputs, found)

    def _run(self, feeds: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return predict(self._model, feeds, [spec.name for spec in self.artifact.entry.outputs])

    def _close(self) -> None:
        self._model = None
        self._timings = ()
        self._unit = ""

    def _info(self, *, profile: bool) -> RuntimeInfo:
        placed = find_placement(self._model, self._unit) if profile else None
        return RuntimeInfo(
            runtime=self.name,
            version=import_coremltools().__version__,
            device=self._unit,
            precision=self.options.precision,
            threads=self.options.thread_count,
            kernels=None if placed is None else Counter(key for key, _ in placed),
            fallbacks=None if placed is None else find_fallbacks(placed, self._unit),
            nodes=None if placed is None else Counter(device for _, device in placed),
            device_ms={timing.unit: timing.median_ms for timing in self._timings if timing.median_ms is not None}
            or None,
        )

    def _check_options(self) -> None:
        options, entry = self.options, self.artifact.entry
        if not _is_macos():
            raise RuntimeUnavailableError(
                f"runtime 'coreml': this is {platform.system()}, expected macOS 13 or later. "
                "Fix: choose another runtime here; 'pixio-edge verify' checks packages on any system"
            )
        if options.pin_cores is not None:
            raise RuntimeUnavailableError(
                f"pin_cores: got {options.pin_cores}, but Core ML places its threads itself, expected none. "
                "Fix: leave pin_cores out"
            )
        if options.precision != entry.computes_in:
            raise RuntimeUnavailableError(
                f"coreml: got precision '{options.precision}' for artifact '{entry.name}', expected "
                f"'{entry.computes_in}', which is in the package. Fix: choose that, or another artifact"
            )
        if options.provider is not None and options.provider.lower() not in COMPUTE_UNITS:
            raise RuntimeUnavailableError(
                f"coreml provider '{options.provider}': no such compute unit, expected one of: "
                f"{', '.join(COMPUTE_UNITS)}. Fix: choose one of these, or none to take the fastest"
            )

    def _choose(self, coremltools: ModuleType, package: Path) -> tuple[str, Any]:
        """The fastest unit and the package loaded for it; of the others, nothing stays in memory."""
        key = (self.artifact.entry.sha256, self.artifact.entry.size)
        if key in self._measured:
            self._timings = self._measured[key]
            unit = min(_working(self._timings), key=_median).unit
            return unit, self._load(coremltools, package, unit)
        best: tuple[UnitTiming, Any] | None = None
        for unit in COMPUTE_UNITS:
            timing, model = self._time(coremltools, package, unit)
            self._timings = (*self._timings, timing)
            if timing.median_ms is not None and (best is None or _median(timing) < _median(best[0])):
                best = timing, model
        if best is None:
            raise self._unusable("; ".join(f"{timing.unit}: {timing.reason}" for timing in self._timings))
        self._measured[key] = self._timings
        logger.info("%s: %s of %s", self.artifact.entry.name, best[0].unit, self._timings)
        return best[0].unit, best[1]

    def _time(self, coremltools: ModuleType, package: Path, unit: str) -> tuple[UnitTiming, Any]:
        try:
            model = load(coremltools, package, unit)
            return UnitTiming(unit, self._median_ms(model)), model
        except Exception as error:  # see `_load`
            logger.info("coreml on %s: %s", unit, error)
            return UnitTiming(unit, None, _one_line(error)), None

    def _load(self, coremltools: ModuleType, package: Path, unit: str) -> Any:
        try:
            model = load(coremltools, package, unit)
            self._median_ms(model)
        except Exception as error:
            # Core ML's errors arrive as plain exceptions without a common base.
            raise self._unusable(f"{unit}: {_one_line(error)}") from error
        return model

    def _median_ms(self, model: Any) -> float:
        names, feeds = [spec.name for spec in self.artifact.entry.outputs], self._probe()
        seconds = []
        for run in range(WARMUP_RUNS + TIMED_RUNS):
            started = perf_counter()
            outputs = predict(model, feeds, names)
            if run >= WARMUP_RUNS:
                seconds.append(perf_counter() - started)
        if not all(np.isfinite(array).all() for array in outputs.values()):
            raise ArithmeticError("depth is not finite")
        return float(np.median(seconds)) * 1e3

    def _probe(self) -> dict[str, NDArray[Any]]:
        """An image that is neither dark nor flat, so that an overflow shows."""
        entry = self.artifact.entry
        return {s.name: (np.arange(np.prod(s.shape)) % 251).astype(s.dtype).reshape(s.shape) for s in entry.inputs}

    def _unusable(self, reason: str) -> RuntimeUnavailableError:
        return RuntimeUnavailableError(
            f"coreml cannot run artifact '{self.artifact.entry.name}' ({reason}). "
            "Fix: choose another compute unit as provider, update macOS, or choose another runtime"
        )


def _is_macos() -> bool:
    return platform.system() == "Darwin"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _working(timings: tuple[UnitTiming, ...]) -> list[UnitTiming]:
    return [timing for timing in timings if timing.median_ms is not None]


def _median(timing: UnitTiming) -> float:
    return math.inf if timing.median_ms is None else timing.median_ms
