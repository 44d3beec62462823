"""The choice of artifact, runtime and precision: a pure function that explains itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pixio_edge.errors import RuntimeUnavailableError, SpecError
from pixio_edge.quantization import WEIGHTS_FLAVOUR
from pixio_edge.runtimes.registry import RUNTIMES, RuntimeStatus, find_runtime, runtime_status

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pixio_edge.host import Host
    from pixio_edge.manifest import ArtifactEntry, Precision

# What runs when nothing is asked for and no INT8 artifact is known to win. bf16 is never chosen unless asked for: it
# changes the result without a gate that has looked at it.
DEFAULT_PRECISION: Precision = "fp32"
CPU_PROVIDER = "cpu"


@dataclass(frozen=True, slots=True)
class RuntimeRequest:
    """What the caller insists on; None leaves the choice open.

    Args:
        runtime: Name in `registry.RUNTIMES`.
        precision: Precision to execute in; None takes int8 where the bundle has measured that it wins, else fp32.
        size: Input (height, width) in pixels.
        allow_unverified: Whether artifacts that never ran on real hardware may be chosen.
        provider: Device library inside the runtime; None is the CPU.
    """

    runtime: str | None = None
    precision: Precision | None = None
    size: tuple[int, int] | None = None
    allow_unverified: bool = False
    provider: str | None = None


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why one artifact is not run by one runtime."""

    artifact: str
    runtime: str
    reason: str


@dataclass(frozen=True, slots=True)
class Resolution:
    """A choice with its reasons.

    Args:
        runtime: The chosen runtime.
        precision: Precision it executes in.
        ladder: Chosen artifacts, one for each input size, in the order of the manifest.
        rejected: All other pairs of artifact and runtime that were looked at.
    """

    runtime: str
    precision: Precision
    ladder: tuple[ArtifactEntry, ...]
    rejected: tuple[Rejection, ...]

    @property
    def chosen(self) -> ArtifactEntry:
        """The first of the ladder: what runs when the size does not matter."""
        return self.ladder[0]


def resolve(artifacts: Sequence[ArtifactEntry], host: Host, request: RuntimeRequest) -> Resolution:
    """Choose the runtime and the artifacts it will run.

    Runtimes are tried in the order of preference of the host; the first with an acceptable artifact is chosen, and its
    artifacts of the same kind, stored precision and flavour as that one make up the ladder. When no precision is asked
    for, that is the INT8 ladder of the runtime if it was verified, was measured to be faster than float in this
    runtime, covers every size, and this processor has the instructions that it was measured with; else fp32. A runtime
    with such a ladder goes before those without one.

    Args:
        artifacts: Of one bundle.
        host: The machine to choose for.
        request: What the caller insists on.

    Raises:
        RuntimeUnavailableError: Nothing fits; the message gives the reasons.
    """
    if request.runtime is not None:
        find_runtime(request.runtime)
    _check_size(artifacts, request.size)
    status = runtime_status(host)
    rejected: list[Rejection] = []
    chosen: list[ArtifactEntry] = []
    chosen_runtime = ""
    against = {
        runtime: _reasons_against_all(artifacts, runtime, status[runtime], host, request)
        for runtime in _by_preference(host, request)
    }
    for runtime in sorted(against, key=lambda name: not _takes_int8(artifacts, against[name])):
        for artifact in sorted(artifacts, key=_rank):
            reason = against[runtime][artifact.name]
            if reason is None and chosen:
                reason = _reason_for_another(artifact, runtime, chosen[0], chosen_runtime)
            if reason is None:
                chosen.append(artifact)
                chosen_runtime = runtime
            else:
                rejected.append(Rejection(artifact.name, runtime, reason))
    if not chosen:
        raise RuntimeUnavailableError(_nothing_fits(rejected, request))
    return Resolution(chosen_runtime, _executed(chosen[0], request), tuple(chosen), tuple(rejected))


def choose_size(sizes: Iterable[tuple[int, int]], image_size: tuple[int, int]) -> tuple[int, int]:
    """Size whose aspect ratio is nearest to an image's, by the ratio of the ratios; among equals, the larger area.

    Args:
        sizes: Available (height, width).
        image_size: (height, width) of the image.

    Raises:
        SpecError: There are no sizes.
    """
    candidates = list(sizes)
    if not candidates:
        raise SpecError("sizes: got none, expected at least one. Fix: choose a bundle with artifacts")
    wanted = math.log(image_size[0] / image_size[1])

    def distance(size: tuple[int, int]) -> tuple[float, int]:
        # Rounded so that 256x256 and 384x384 are equally square.
        return round(abs(math.log(size[0] / size[1]) - wanted), 9), -size[0] * size[1]

    return min(candidates, key=distance)


def preferred_runtimes(host: Host) -> tuple[str, ...]:
    """Runtimes that may be chosen unasked, best first: on x86 OpenVINO was the fastest CPU engine that we measured."""
    return ("openvino", "ort") if host.is_x86 else ("ort", "openvino")


def _check_size(artifacts: Sequence[ArtifactEntry], size: tuple[int, int] | None) -> None:
    sizes = dict.fromkeys(artifact.size for artifact in artifacts)
    if size is not None and size not in sizes:
        raise RuntimeUnavailableError(
            f"size: got {_shape(size)}, expected one of {', '.join(map(_shape, sizes)) or 'none'} (height x width). "
            "Fix: choose one of these, or leave it out to take the nearest in shape"
        )


def _by_preference(host: Host, request: RuntimeRequest) -> tuple[str, ...]:
    if request.runtime is not None:
        return (request.runtime,)
    return preferred_runtimes(host)


def _reasons_against_all(
    artifacts: Sequence[ArtifactEntry], runtime: str, status: RuntimeStatus, host: Host, request: RuntimeRequest
) -> dict[str, str | None]:
    """By name, why an artifact is not taken in this runtime, if there were no other runtime."""
    reasons = {a.name: _reason_against(a, runtime, status, host, request) for a in artifacts}
    if request.precision is None:
        reasons |= _reasons_against_default_int8(artifacts, runtime, host, request, reasons)
    return reasons


def _takes_int8(artifacts: Sequence[ArtifactEntry], reasons: dict[str, str | None]) -> bool:
    return any(artifact.computes_in == "int8" and reasons[artifact.name] is None for artifact in artifacts)


def _reason_against(
    artifact: ArtifactEntry, runtime: str, status: RuntimeStatus, host: Host, request: RuntimeRequest
) -> str | None:
    """Why this pair cannot run or was not asked for; None if it can."""
    entry = RUNTIMES[runtime]
    precision = _executed(artifact, request)
    isa = artifact.requires.isa
    reasons = (
        (not status.usable, status.reason),
        (artifact.kind not in entry.kinds, f"runs {', '.join(entry.kinds)}, not {artifact.kind}"),
        (runtime not in artifact.requires.runtimes, f"was built for {', '.join(artifact.requires.runtimes)}"),
        (
            precision not in entry.executes.get(artifact.computes_in, ()),
            f"does not execute {_kind_of_graph(artifact)} in {precision}",
        ),
        (precision == "bf16" and host.lacks_bf16, "this processor has no bf16 arithmetic"),
        (host.lacks(isa), f"this processor has none of {', '.join(isa)}"),
        (
            request.size is not None and request.size != artifact.size,
            f"size {_shape(artifact.size)}, asked for {_shape(request.size or artifact.size)}",
        ),
        (
            not artifact.verified and not request.allow_unverified,
            "never verified on real hardware; allow_unverified is off",
        ),
    )
    return next((reason for applies, reason in reasons if applies), None)


def _reasons_against_default_int8(
    artifacts: Sequence[ArtifactEntry],
    runtime: str,
    host: Host,
    request: RuntimeRequest,
    reasons: dict[str, str | None],
) -> dict[str, str | None]:
    """Why INT8 artifacts that could run are not taken unasked: not known to win here, or not for every size."""
    runnable = [artifact for artifact in artifacts if reasons[artifact.name] is None]
    against = {a.name: _reason_not_to_win(a, runtime, host, request) for a in runnable if a.computes_in == "int8"}
    sizes = {artifact.size for artifact in runnable}
    winners = [artifact for artifact in runnable if against.get(artifact.name, "") is None]
    for artifact in winners:
        covered = {winner.size for winner in winners if winner.flavour == artifact.flavour}
        if covered != sizes:
            against[artifact.name] = f"INT8 for {len(covered)} of {len(sizes)} sizes only, so not unless asked for"
    return against


def _reason_not_to_win(artifact: ArtifactEntry, runtime: str, host: Host, request: RuntimeRequest) -> str | None:
    speed, isa = artifact.speed_in(runtime), artifact.requires.isa
    if speed is None or speed.speedup <= 1.0:
        return f"INT8 that was not measured to be faster in {runtime}, so not unless asked for"
    if (request.provider or CPU_PROVIDER).lower() != CPU_PROVIDER:
        return f"INT8 that was measured on the CPU and not on {request.provider}, so not unless asked for"
    if not host.has(isa):
        wanted = ", ".join(isa) or "none stated"
        return f"INT8 that wins with instructions ({wanted}) not known to exist here, so not unless asked for"
    return None


def _rank(artifact: ArtifactEntry) -> int:
    """INT8 before float, as it is acceptable only where it wins or was asked for; small weights alone come last."""
    return 2 if artifact.flavour == WEIGHTS_FLAVOUR else int(artifact.precision != "int8")


def _executed(artifact: ArtifactEntry, request: RuntimeRequest) -> Precision:
    """Precision that an artifact would be executed in."""
    return request.precision or ("int8" if artifact.computes_in == "int8" else DEFAULT_PRECISION)


def _kind_of_graph(artifact: ArtifactEntry) -> str:
    if artifact.computes_in != artifact.precision:
        return f"an {artifact.computes_in} graph with {artifact.precision} weights"
    return f"a {artifact.precision} artifact"


def _reason_for_another(
    artifact: ArtifactEntry, runtime: str, chosen: ArtifactEntry, chosen_runtime: str
) -> str | None:
    if runtime != chosen_runtime:
        return f"{chosen_runtime} is preferred on this host"
    speed = chosen.speed_in(runtime)
    if speed is not None and artifact.precision != chosen.precision:
        return f"'{chosen.name}' was measured {speed.speedup:.2f} times as fast"
    if (artifact.kind, artifact.precision, artifact.flavour) != (chosen.kind, chosen.precision, chosen.flavour):
        return f"'{chosen.name}' comes first in the bundle"
    return None


def _nothing_fits(rejected: Sequence[Rejection], request: RuntimeRequest) -> str:
    wanted = f"runtime {request.runtime or 'any'}, precision {request.precision or 'any'}"
    if request.size is not None:
        wanted += f", size {_shape(request.size)}"
    # The sizes of a ladder mostly fail for one reason, which is said once.
    alike: dict[tuple[str, str], list[str]] = {}
    for item in rejected:
        alike.setdefault((item.runtime, item.reason), []).append(item.artifact)
    reasons = "; ".join(
        f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''} in {runtime}: {reason}"
        for (runtime, reason), names in alike.items()
    )
    return (
        f"no artifact of this bundle can run as asked ({wanted}): {reasons or 'the bundle has no artifacts'}. "
        "Fix: ask for another runtime, precision or size; 'pixio-edge doctor' lists what this host can run"
    )


def _shape(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
