"""Why a check cannot be made on a host. Nothing is opened for it: what opens and then fails is a failure."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from pixio_edge.runtimes.registry import runtime_status
from pixio_edge.verification.ladder import AHEAD_LIBRARY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pixio_edge.host import Host
    from pixio_edge.verification.ladder import Check

# What the MIL interpreter imports; it is asked for by name so that a base install is never made to import it.
INTERPRETER_PACKAGES = ("coremltools", "torch")


def reason_to_skip(check: Check, host: Host) -> str | None:
    """Why a check says nothing here; None if it can be made."""
    return next(_reasons(check, host), None)


def _reasons(check: Check, host: Host) -> Iterator[str]:
    artifact = check.artifact
    if check.means == "none":
        yield f"no runtime of this release runs kind '{artifact.kind}'"
        return
    if check.means == "MIL interpreter":
        missing = [package for package in INTERPRETER_PACKAGES if find_spec(package) is None]
        if missing:
            yield f"{' and '.join(missing)} not installed. Fix: pip install 'pixio-edge[coreml]'"
    elif check.means == "ahead of time":
        yield from _reasons_ahead()
        return
    else:
        yield from _reasons_of_runtime(check, host)
    if artifact.golden is None:
        yield "stores no golden output"


def _reasons_of_runtime(check: Check, host: Host) -> Iterator[str]:
    needs = check.artifact.requires
    status = runtime_status(host)[check.runtime]
    if not status.usable:
        yield status.reason
    if check.means == "runtime" and check.runtime not in needs.runtimes:
        yield f"was built for {', '.join(needs.runtimes)}"
    if check.precision == "bf16" and host.lacks_bf16:
        yield "this processor has no bf16 arithmetic"
    if host.lacks(needs.isa):
        yield f"this processor has none of {', '.join(needs.isa)}"


def _reasons_ahead() -> Iterator[str]:
    if find_spec("tensorrt_rtx") is None:
        yield f"tensorrt_rtx is not installed. Fix: pip install 'pixio-edge[{AHEAD_LIBRARY}]'"
    if find_spec("onnx") is None:
        yield f"onnx is not installed. Fix: pip install 'pixio-edge[{AHEAD_LIBRARY}]'"
