"""Climb the ladder: run each check, measure it, and say why the others could not be run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pixio_edge.errors import CheckFailedError, InputError, MissingDependencyError, RuntimeUnavailableError, SpecError
from pixio_edge.golden import read_golden, tolerance_for
from pixio_edge.host import Host, probe_host
from pixio_edge.parity import Tolerance
from pixio_edge.verification.execute import build_ahead, execute
from pixio_edge.verification.ladder import (
    CHAIN,
    Check,
    Outcome,
    Status,
    branch_distance,
    plan_checks,
    select_artifacts,
)
from pixio_edge.verification.measure import Measured, limits, measure, relative_max
from pixio_edge.verification.reasons import reason_to_skip

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from pixio_edge.bundle import Bundle
    from pixio_edge.sizes import Size

    Depth = NDArray[Any]

# What a run may raise about itself. Damage of the bundle (BundleError) ends the verification instead.
REFUSALS = (RuntimeUnavailableError, MissingDependencyError, SpecError, CheckFailedError, InputError)


@dataclass(frozen=True, slots=True)
class VerificationRequest:
    """What to verify, and how.

    Args:
        runtimes: Names of runtimes; empty for all.
        threads: Threads of a runtime; None for its default.
        provider: Where the runtime executes; None is the CPU.
        compute_capabilities: GPUs to build TensorRT engines for ahead of time, such as "8.6".
        artifacts: Names of artifacts; empty for all.
        sizes: (height, width) of artifacts; empty for all.
    """

    runtimes: tuple[str, ...] = ()
    threads: int | None = None
    provider: str | None = None
    compute_capabilities: tuple[str, ...] = ()
    artifacts: tuple[str, ...] = ()
    sizes: tuple[Size, ...] = ()

    def plan(self, bundle: Bundle) -> list[Check]:
        """What there is to check of a bundle, in the order of the ladder.

        Raises:
            InputError: The bundle has no such artifact or size.
            RuntimeUnavailableError: A runtime does not exist.
        """
        wanted = select_artifacts(bundle.artifacts, self.artifacts, self.sizes)
        return plan_checks(wanted, self.runtimes, self.compute_capabilities)


@dataclass(frozen=True, slots=True)
class _Done:
    """A run whose output later rungs may be compared with."""

    check: Check
    depth: Depth

    @property
    def label(self) -> str:
        return f"{self.check.artifact.name} in {self.check.runtime}"


@dataclass(slots=True)
class _Steps:
    """Outputs so far, by input size."""

    done: dict[tuple[int, int], list[_Done]] = field(default_factory=dict)

    def before(self, check: Check) -> _Done | None:
        """What a check is a step from, at the same size.

        A run on a device or in bf16 is held against another run of the same artifact, all else against a rung below:
        one of the same branch, so that a step shows what one change costs; see `branch_distance`.
        """
        ran = self.done.get(check.artifact.size, [])
        same = [item for item in ran if item.check.artifact.name == check.artifact.name]
        if check.rung not in CHAIN and same:
            return min(same, key=lambda item: item.check.runtime != check.runtime)
        below = [item for item in ran if item.check.rung in check.rungs_before]
        return min(below, key=lambda item: branch_distance(check, item.check), default=None)

    def add(self, check: Check, depth: Depth) -> None:
        """Keep an output."""
        self.done.setdefault(check.artifact.size, []).append(_Done(check, depth))


def verify_bundle(bundle: Bundle, request: VerificationRequest | None = None) -> tuple[Outcome, ...]:
    """Run every artifact that this host can run against its stored output; the Python twin of `pixio-edge verify`.

    Args:
        bundle: Opened; files are hashed before they are run.
        request: What to verify; None for everything.

    Raises:
        BundleError: A file is damaged, or an artifact states no tolerance.
        InputError: Engines are to be built ahead of time, and there are no graphs for them.
        RuntimeUnavailableError: A runtime that is asked for does not exist.
    """
    asked = request or VerificationRequest()
    return tuple(run_checks(bundle, asked.plan(bundle), asked))


def run_checks(bundle: Bundle, checks: Sequence[Check], request: VerificationRequest) -> Iterator[Outcome]:
    """Run checks in their order, one outcome for each.

    Raises:
        BundleError: A file is damaged, or an artifact states no tolerance.
    """
    host = probe_host()
    steps = _Steps()
    for check in checks:
        yield _run_check(bundle, check, request, host, steps)


def _run_check(bundle: Bundle, check: Check, request: VerificationRequest, host: Host, steps: _Steps) -> Outcome:
    reason = reason_to_skip(check, host, request.provider)
    if reason is not None:
        return _outcome(check, plan_of(check), "skipped", reason)
    try:
        if check.means == "ahead of time":
            built = build_ahead(bundle, check)
            return _outcome(check, built.how, "ok", built.note)
        image, reference = read_golden(bundle, check.artifact)
        ran = execute(bundle, check, image, threads=request.threads, provider=request.provider)
        measured = measure(reference, ran.depth, tolerance_of(check), bundle.manifest.output.kind)
    except REFUSALS as error:
        return _outcome(check, plan_of(check), "failed", str(error))
    outcome = _measured_outcome(check, ran.how, measured, steps.before(check), ran.depth)
    if measured:
        steps.add(check, ran.depth)
    return outcome


def tolerance_of(check: Check) -> Tolerance:
    """Limits of a check: those of its artifact, for whatever runs it.

    Raises:
        BundleError: The manifest states none.
    """
    # An interpreter that computes an fp16 program in fp32 has to be inside the limits of fp16: the program is the same.
    precision = check.precision if check.means == "runtime" else check.artifact.computes_in
    return tolerance_for(check.artifact, precision)


def plan_of(check: Check) -> str:
    """How a check would be run."""
    if check.means == "none":
        return "-"
    if check.means == "ahead of time":
        return f"{check.runtime} builds for SM {check.compute_capability}"
    suffix = "" if check.means == "runtime" else f", {check.means}"
    return f"{check.runtime} in {check.precision}{suffix}"


def _measured_outcome(check: Check, how: str, measured: Measured, before: _Done | None, depth: Depth) -> Outcome:
    step = None if before is None or before.depth.shape != depth.shape else before
    return Outcome(
        rung=check.rung,
        artifact=check.artifact.name,
        runtime=check.runtime,
        precision=check.precision,
        how=how,
        against=check.artifact.golden,
        status="ok" if measured else "failed",
        note="" if measured else measured.parity.message,
        max_rel=measured.parity.max_rel,
        mean_rel=measured.mean_rel,
        delta1=measured.delta1,
        measured={name: value for name, value in measured.parity.to_json().items() if name != "margin"},
        allowed=limits(measured.parity.tolerance),
        margin=measured.parity.margin,
        step_from=None if step is None else step.label,
        step_max_rel=None if step is None else relative_max(step.depth, depth),
    )


def _outcome(check: Check, how: str, status: Status, note: str) -> Outcome:
    return Outcome(
        rung=check.rung,
        artifact=check.artifact.name,
        runtime=check.runtime,
        precision=check.precision,
        how=how,
        against=None,
        status=status,
        note=note,
    )


def conclude(outcomes: Sequence[Outcome]) -> None:
    """End with the status that the outcomes deserve.

    Raises:
        CheckFailedError: A check failed, or none could be run.
    """
    failed = [f"{item.artifact} on {item.runtime} in {item.precision}" for item in outcomes if item.status == "failed"]
    if failed:
        raise CheckFailedError(
            f"{len(failed)} of {len(outcomes)} checks failed: {', '.join(failed)}. Fix: use another runtime or artifact"
        )
    if all(item.status == "skipped" for item in outcomes):
        raise CheckFailedError("no artifact could be run on this host. Fix: see 'pixio-edge doctor'")
