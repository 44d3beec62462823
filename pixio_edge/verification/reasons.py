"""Why a check cannot be made on a host. No artifact is opened for it: what opens and then fails is a failure."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from pixio_edge.engine_cache import explain_absence, fits, list_records
from pixio_edge.errors import MissingDependencyError, RuntimeUnavailableError
from pixio_edge.runtimes.registry import reason_against_provider, runtime_status
from pixio_edge.runtimes.trt import find_gpu

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pixio_edge.engine_record import Library
    from pixio_edge.host import Host
    from pixio_edge.verification.ladder import Check, Means

# Packages that the stand-ins of a device import, and the extra that has them. They are asked for by name, so that a
# base install is never made to import them.
STAND_IN_PACKAGES: Mapping[Means, tuple[tuple[str, ...], str]] = {
    "MIL interpreter": (("coremltools", "torch"), "coreml"),
    "typed graph": (("onnx",), "tensorrt"),
    "ahead of time": (("tensorrt_rtx", "onnx"), "tensorrt-rtx"),
}


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
    if check.means in STAND_IN_PACKAGES:
        packages, extra = STAND_IN_PACKAGES[check.means]
        missing = [package for package in packages if find_spec(package) is None]
        if missing:
            yield f"{' and '.join(missing)} not installed. Fix: pip install 'pixio-edge[{extra}]'"
    else:
        yield from _reasons_of_runtime(check, host, provider)
        if artifact.kind == "tensorrt":
            yield from _reasons_of_engine(check, provider)
    if artifact.golden is None and check.means != "ahead of time":
        yield "stores no golden output"


def _reasons_of_runtime(check: Check, host: Host, provider: str | None) -> Iterator[str]:
    needs = check.artifact.requires
    status = runtime_status(host)[check.runtime]
    if not status.usable:
        yield status.reason
    if check.runtime not in needs.runtimes:
        yield f"was built for {', '.join(needs.runtimes)}"
    if check.precision == "bf16" and host.lacks_bf16:
        yield "this processor has no bf16 arithmetic"
    against = reason_against_provider(check.runtime, check.precision, provider)
    if against is not None:
        yield against
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
