"""What to measure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pixio_edge.errors import SpecError
from pixio_edge.runtimes.registry import RUNTIMES, find_runtime

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pixio_edge.bundle import Bundle
    from pixio_edge.manifest import Precision

# Enough that p99 is not the maximum of a handful, few enough that a slow device is done within a minute.
DEFAULT_RUNS = 100
DEFAULT_WARMUP = 10
WARMUP_S = 1.0
"""As well as `DEFAULT_WARMUP`: governors look at the load every 10 to 100 ms and raise the clocks step by step, so ten
runs of a fast engine would all be timed on the way up."""
TIMED_S = 2.0
"""As well as `DEFAULT_RUNS`: in less than half a second nobody can tell how much others worked (`noise.MIN_WINDOW_S`),
and what happens every second, as the system's own services do, would be in one record and not in the next."""
MOST_RUNS = 10_000
"""Single times are kept in the record: of an engine that takes 0.1 ms these are a second, and 60 kB."""
# A stalled or very slow device stops early, but not before there are enough runs for a median.
DEFAULT_BUDGET_S = 30.0
MIN_RUNS = 3
WARMUP_SHARE = 1 / 3
"""Of the budget, after which the warm-up of a slow device ends: its clocks are up long before."""
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
        batch: Requests in flight at once. Graphs take one image, so each has a session and threads of its own.
        warmup: Runs before those that count; fewer where they take more than a third of `budget_s`.
        runs: Runs that count, of each request in flight.
        warmup_s: Seconds that the warm-up of the first timed loop takes at least.
        timed_s: Seconds that each timed loop takes at least, `MOST_RUNS` apart.
        budget_s: Time after which no further run is started, once there are `MIN_RUNS`.
        frame: (height, width) of the frames for the end-to-end part.
        seed: Of the noise that the frames are made of.
        sustained_s: Seconds of inference after inference at the end; 0 for none.
    """

    bundle: str
    runtime: str
    artifact: str
    precision: Precision = "fp32"
    threads: int | None = None
    pin_cores: tuple[int, ...] | None = None
    provider: str | None = None
    batch: int = 1
    warmup: int = DEFAULT_WARMUP
    runs: int = DEFAULT_RUNS
    warmup_s: float = WARMUP_S
    timed_s: float = TIMED_S
    budget_s: float = DEFAULT_BUDGET_S
    frame: tuple[int, int] = DEFAULT_FRAME
    seed: int = 0
    sustained_s: float = 0.0

    @property
    def longest_s(self) -> float:
        """Seconds of both timed loops with their warm-up, where no single run takes long."""
        return 2 * self.budget_s * (1 + WARMUP_SHARE)

    def __post_init__(self) -> None:
        if self.runs < 1 or self.warmup < 0 or self.batch < 1 or self.sustained_s < 0:
            raise SpecError(
                f"benchmark: got {self.runs} runs after {self.warmup} for warm-up, {self.batch} in flight and "
                f"{self.sustained_s:g} s sustained, expected at least 1, 0, 1 and 0. Fix: give positive numbers"
            )
        if self.batch > 1 and (self.pin_cores is not None or self.sustained_s > 0):
            raise SpecError(
                f"benchmark: got {self.batch} requests in flight with cores to pin to or a sustained run, expected 1. "
                "Fix: measure one or the other"
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

    def __str__(self) -> str:
        threads = "" if self.threads is None else f" t{self.threads}"
        batch = "" if self.batch == 1 else f" x{self.batch}"
        sustained = "" if not self.sustained_s else f" for {self.sustained_s:g} s"
        return f"{self.runtime} {self.artifact} {self.precision}{threads}{batch}{sustained}"


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
        raise _nothing_fits(bundle, name, chosen, precision, size)
    return plans


def _nothing_fits(
    bundle: Bundle, name: str, chosen: Iterable[str], precision: Precision | None, size: tuple[int, int] | None
) -> SpecError:
    """Why no combination is left: no artifact for the runtimes, or none of that precision or size."""
    runs = {runtime for artifact in bundle.artifacts for runtime in artifact.requires.runtimes}
    if not runs & set(chosen):
        return SpecError(
            f"benchmark: got runtime {', '.join(chosen)}, expected one of {', '.join(sorted(runs))} as {name} has. "
            f"Fix: one of these, or 'pixio-edge export {name} -o NEW --format …' for another (tensorrt, coreml)"
        )
    sizes = sorted({f"{artifact.size[0]}x{artifact.size[1]}" for artifact in bundle.artifacts})
    return SpecError(
        f"benchmark: nothing in the bundle fits runtimes {list(chosen)}, precision {precision or 'any'}, size "
        f"{size or 'any'}, expected sizes out of {sizes}. Fix: ask for less"
    )
