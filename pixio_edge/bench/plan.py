"""What to measure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pixio_edge.errors import SpecError
from pixio_edge.runtimes.registry import RUNTIMES, find_runtime

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pixio_edge.bundle import Bundle
    from pixio_edge.manifest import Precision

# Enough that p99 is not the maximum of a handful, few enough that a slow device is done within a minute.
DEFAULT_RUNS = 100
DEFAULT_WARMUP = 10
# A stalled or very slow device stops early, but not before there are enough runs for a median.
DEFAULT_BUDGET_S = 30.0
MIN_RUNS = 10
# What cameras deliver.
DEFAULT_FRAME = (720, 1280)


@dataclass(frozen=True, slots=True)
class BenchPlan:
    """One measurement.

    Args:
        bundle: Name or folder.
        runtime: Name in `registry.RUNTIMES`.
        artifact: Name of the artifact.
        precision: Precision to execute in.
        threads: Threads for one inference; None takes one for each usable core.
        pin_cores: Hardware threads to bind to.
        provider: Device library inside the runtime.
        warmup: Runs before those that count.
        runs: Runs that count.
        budget_s: Time after which no further run is started, once there are `MIN_RUNS`.
        frame: (height, width) of the frames for the end-to-end part.
        seed: Of the noise that the frames are made of.
    """

    bundle: str
    runtime: str
    artifact: str
    precision: Precision = "fp32"
    threads: int | None = None
    pin_cores: tuple[int, ...] | None = None
    provider: str | None = None
    warmup: int = DEFAULT_WARMUP
    runs: int = DEFAULT_RUNS
    budget_s: float = DEFAULT_BUDGET_S
    frame: tuple[int, int] = DEFAULT_FRAME
    seed: int = 0

    def __post_init__(self) -> None:
        if self.runs < 1 or self.warmup < 0:
            raise SpecError(
                f"benchmark: got {self.runs} runs after {self.warmup} for warm-up, expected at least 1 and 0. "
                "Fix: give positive numbers"
            )

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> BenchPlan:
        """Read what `to_json` wrote."""
        pinned = record["pin_cores"]
        values = record | {"frame": tuple(record["frame"]), "pin_cores": None if pinned is None else tuple(pinned)}
        return cls(**values)


def list_plans(
    bundle: Bundle,
    name: str,
    *,
    runtimes: Sequence[str] | None = None,
    precision: Precision | None = None,
    size: tuple[int, int] | None = None,
) -> list[BenchPlan]:
    """Every combination of artifact, runtime and precision that the bundle was built for.

    Whether it can run on this host is not looked at: a measurement that cannot be made gives a record that says why.

    Args:
        bundle: The opened bundle.
        name: How to open it again: name or folder.
        runtimes: Names in `registry.RUNTIMES`; None takes all.
        precision: Only this one; None takes all that a runtime can execute.
        size: Only this (height, width); None takes all.

    Raises:
        RuntimeUnavailableError: A runtime is unknown.
        SpecError: No combination is left.
    """
    chosen = {name: find_runtime(name) for name in (RUNTIMES if runtimes is None else runtimes)}
    plans = [
        BenchPlan(name, runtime, artifact.name, executed)
        for artifact in bundle.artifacts
        if size is None or artifact.size == size
        for runtime, entry in chosen.items()
        if runtime in artifact.requires.runtimes and artifact.kind in entry.kinds
        for executed in entry.executes.get(artifact.computes_in, ())
        if precision is None or executed == precision
    ]
    if not plans:
        sizes = sorted({f"{artifact.size[0]}x{artifact.size[1]}" for artifact in bundle.artifacts})
        raise SpecError(
            f"benchmark: nothing in the bundle fits runtimes {list(chosen)}, precision {precision or 'any'}, size "
            f"{size or 'any'}, expected sizes out of {sizes}. Fix: ask for less"
        )
    return plans
