"""Why a check cannot be made on a host. No artifact is opened for it: what opens and then fails is a failure."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from pixio_edge.engine_cache import explain_absence, fits, list_records
from pixio_edge.errors import MissingDependencyError, RuntimeUnavailableError
from pixio_edge.runtimes.registry import runtime_status
from pixio_edge.runtimes.trt import find_gpu
from pixio_edge.verification.ladder import AHEAD_LIBRARY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pixio_edge.engine_record import Library
    from pixio_edge.host import Host
    from pixio_edge.verification.ladder import Check

# What the MIL interpreter imports; it is asked for by name so that a base install is never made to import it.
INTERPRETER_PACKAGES = ("coremltools", "torch")


def reason_to_skip(check: Check, host: Host, provider: str | None = None) -> str | None:
    """Why a check says nothing here; None if it can be made.

    Args:
        check: What would be run.
        host: This one.
        provider: Where a runtime would execute, such as "cuda:1"; None for its default.
    """
    return next(_reasons(check, host, provider), None)


def _reasons(check: Check, host: Host, provider: str | None) -> Iterator[str]:
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
        if artifact.kind == "tensorrt" and check.means == "runtime":
            yield from _reasons_of_engine(check, provider)
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


def _reasons_of_engine(check: Check, provider: str | None) -> Iterator[str]:
    """No GPU, or no engine built on it. One that is damaged or failed its checks is no reason to look away."""
    library: Library = "tensorrt" if check.runtime == "tensorrt" else "tensorrt-rtx"
    try:
        _, gpu = find_gpu(library, provider)
    except (RuntimeUnavailableError, MissingDependencyError) as error:
        yield str(error)
        return
    if not any(fits(record, gpu) for record in list_records(check.artifact)):
        yield explain_absence(check.artifact, gpu)


def _reasons_ahead() -> Iterator[str]:
    if find_spec("tensorrt_rtx") is None:
        yield f"tensorrt_rtx is not installed. Fix: pip install 'pixio-edge[{AHEAD_LIBRARY}]'"
    if find_spec("onnx") is None:
        yield f"onnx is not installed. Fix: pip install 'pixio-edge[{AHEAD_LIBRARY}]'"
