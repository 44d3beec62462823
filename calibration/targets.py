"""What an INT8 graph is made for: a runtime on this kind of processor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pixio_edge.errors import RuntimeUnavailableError
from pixio_edge.runtimes.registry import runtime_status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pixio_edge.calibration.emit import Flavour
    from pixio_edge.host import Host

TARGETS = ("openvino", "ort", "tensorrt")

# Sets of instructions that the same kernels are fast and exact on, best first. Without the second of them, products of
# two pairs of bytes are added in 16 bits and can saturate, which is why weights then get 7 bits.
X86_INT8 = ("avx512_vnni", "avx_vnni", "amx_int8")
X86_PLAIN = ("avx2", "avx512f")
ARM_INT8 = ("asimddp", "i8mm")


@dataclass(frozen=True, slots=True)
class Target:
    """One runtime, and the graph it runs best on this kind of processor.

    Attributes:
        runtime: Name that artifacts require.
        flavour: Form of the graph.
        isa: Instruction sets of which a processor needs one for what is measured here to hold; empty where the system
            does not tell.
        runs_here: Whether there is such a runtime on this host, so that accuracy and speed can be measured in it.
    """

    runtime: str
    flavour: Flavour
    isa: tuple[str, ...]
    runs_here: bool


def check_runtimes(runtimes: Sequence[str]) -> None:
    """Whether these can be quantised for at all, here or elsewhere.

    Args:
        runtimes: Names out of `TARGETS`.

    Raises:
        RuntimeUnavailableError: A name is unknown, or there is none.
    """
    unknown = [name for name in runtimes if name not in TARGETS]
    if unknown or not runtimes:
        got = f"'{unknown[0]}'" if unknown else "none"
        raise RuntimeUnavailableError(
            f"runtime to quantise for: got {got}, expected one of {', '.join(TARGETS)}. Fix: choose one of these"
        )


def find_targets(runtimes: Sequence[str], host: Host) -> tuple[Target, ...]:
    """The targets of a request, each once.

    Args:
        runtimes: Names out of `TARGETS`.
        host: The machine that will measure.

    Raises:
        RuntimeUnavailableError: A name is unknown, or its runtime is not installed, so it cannot be measured.
    """
    check_runtimes(runtimes)
    return tuple(_target(name, host) for name in dict.fromkeys(runtimes))


def _target(runtime: str, host: Host) -> Target:
    if runtime == "tensorrt":
        return Target(runtime, "tensorrt", (), runs_here=False)
    status = runtime_status(host)[runtime]
    if not status.usable:
        fix = status.reason  # says what is missing, and how to get it
        raise RuntimeUnavailableError(f"cannot measure what is quantised for {runtime}: {fix}")
    isa = next((group for group in (X86_INT8, ARM_INT8, X86_PLAIN) if host.has(group)), ())
    return Target(runtime, "openvino" if runtime == "openvino" else _ort_flavour(host), isa, runs_here=True)


def _ort_flavour(host: Host) -> Flavour:
    if not host.is_x86:
        return "ort-arm"
    return "ort-x86-7bit" if host.lacks(X86_INT8) else "ort-x86"
