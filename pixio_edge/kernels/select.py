"""The choice between a CUDA kernel and its reference: a pure function that says why."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

from pixio_edge import env
from pixio_edge.errors import PixioEdgeError, RuntimeUnavailableError
from pixio_edge.kernels import compile as compiler
from pixio_edge.kernels import devices
from pixio_edge.kernels.cache import kernel_folder
from pixio_edge.kernels.catalogue import HEAD_DIMS, find_kernel
from pixio_edge.kernels.geometry_rows import MOST_CHANNELS
from pixio_edge.kernels.prebuilt import prebuilt_by

Implementation = Literal["cuda", "reference"]

KERNEL_DTYPES = ("float16", "bfloat16")
"""Element types that the kernels are compiled for."""

_MAJOR = re.compile(r" (\d+)\.")  # of a compiler with its version
# What a 16-byte access holds of them; rows of other lengths would begin between two accesses.
CHANNEL_MULTIPLE = 8


@dataclass(frozen=True, slots=True)
class Selection:
    """An implementation and why it is that one.

    Args:
        implementation: "cuda" is the kernel, "reference" the same function in torch or numpy.
        reason: One line.
    """

    implementation: Implementation
    reason: str


@dataclass(frozen=True, slots=True)
class Situation:
    """All that the choice depends on.

    Args:
        device: "cpu", or "cuda" with or without a number.
        dtype: Of the elements, such as "float16".
        head_dim: Width of an attention head, where the operator has heads.
        channels: Length of a row, where the operator works on rows.
        forced: What PIXIO_EDGE_KERNELS says; None where it says nothing.
        obstacle: Why this host cannot run kernels on that device; None if it can.
        gpu: What the kernels would run on, for the reason.
    """

    device: str
    dtype: str
    head_dim: int | None = None
    channels: int | None = None
    forced: str | None = None
    obstacle: str | None = None
    gpu: str = ""


def select(
    name: str, *, device: str, dtype: str, head_dim: int | None = None, channels: int | None = None
) -> Selection:
    """Choose what runs an operator here.

    Args:
        name: Of the kernel in the catalogue.
        device: Where the arrays are, such as "cpu" or "cuda:0".
        dtype: Of their elements, such as "float16".
        head_dim: Width of an attention head, where the operator has heads.
        channels: Length of a row, where the operator works on rows.

    Raises:
        SpecError: There is no kernel of that name.
        InputError: PIXIO_EDGE_KERNELS is neither "cuda" nor "reference".
        RuntimeUnavailableError: PIXIO_EDGE_KERNELS is "cuda", and the kernel cannot run.
    """
    forced = env.kernels()
    obstacle, gpu = None, ""
    if forced != "reference" and device.startswith("cuda"):
        obstacle, gpu = _probe(int(device.partition(":")[2] or 0))
    return choose(name, Situation(device, dtype, head_dim, channels, forced, obstacle, gpu))


def choose(name: str, situation: Situation) -> Selection:
    """As `select`, with everything that it looks at given.

    Raises:
        SpecError: There is no kernel of that name.
        RuntimeUnavailableError: The kernel is forced and cannot run.
    """
    find_kernel(name)
    if situation.forced == "reference":
        return Selection("reference", "PIXIO_EDGE_KERNELS=reference")
    objection = _objection(situation)
    if objection is None:
        return Selection("cuda", situation.gpu)
    if situation.forced == "cuda":
        raise RuntimeUnavailableError(
            f"kernel '{name}': {objection}, expected to run it, as PIXIO_EDGE_KERNELS=cuda says. "
            "Fix: remove what is in the way, or unset PIXIO_EDGE_KERNELS"
        )
    return Selection("reference", objection)


def insist(name: str, selection: Selection, *, forced: str | None) -> None:
    """Refuse a reference that nobody asked for, where the arrays are on a GPU.

    Args:
        name: Of the kernel in the catalogue.
        selection: From `select`.
        forced: From `env.kernels`.

    Raises:
        RuntimeUnavailableError: It is the reference, and PIXIO_EDGE_KERNELS does not say so.
    """
    if selection.implementation == "reference" and forced != "reference":
        raise RuntimeUnavailableError(
            f"kernel '{name}': {selection.reason}, expected to run it on the GPU. "
            "Fix: remove what is in the way, or PIXIO_EDGE_KERNELS=reference for the same function in torch"
        )


def describe_kernels() -> tuple[bool, str]:
    """Whether kernels run on the first GPU of this host, and what they run on or why not, in one line."""
    try:
        if env.kernels() == "reference":
            return False, "PIXIO_EDGE_KERNELS=reference"
        if not devices.count_devices():
            return False, f"no NVIDIA GPU; NVRTC {compiler.nvrtc_version()} can compile for one ahead of time"
        obstacle, gpu = _probe(0)
    except PixioEdgeError as error:
        return False, str(error)
    return obstacle is None, obstacle or gpu


def _objection(situation: Situation) -> str | None:
    if not situation.device.startswith("cuda"):
        return f"the arrays are on {situation.device}"
    if situation.dtype not in KERNEL_DTYPES:
        return f"no kernel for {situation.dtype}, only for {' and '.join(KERNEL_DTYPES)}"
    if situation.head_dim is not None and situation.head_dim not in HEAD_DIMS:
        return f"no kernel for heads of {situation.head_dim}, only of {', '.join(map(str, HEAD_DIMS))}"
    channels = situation.channels
    if channels is not None and (channels % CHANNEL_MULTIPLE or channels > MOST_CHANNELS):
        return f"no kernel for rows of {channels}, only for multiples of {CHANNEL_MULTIPLE} up to {MOST_CHANNELS}"
    return situation.obstacle


@cache
def _probe(device: int) -> tuple[str | None, str]:
    """What is in the way on this host, without its full stop and fix; and the GPU with its compiler."""
    try:
        sm = devices.sm_of(device)
    except PixioEdgeError as error:
        return str(error), ""
    try:
        compiler.check_sm(sm)
        made_by = f"NVRTC {compiler.nvrtc_version()}"
        gpu = f"{sm}, compiled by {made_by}"
    except PixioEdgeError as error:
        found = prebuilt_by(sm, kernel_folder())
        if found is None:
            return str(error), ""
        made_by, gpu = found, f"{sm}, compiled ahead of time by {found}"
    obstacle = _reason_against_driver(made_by)
    return obstacle, "" if obstacle else gpu


def _reason_against_driver(made_by: str) -> str | None:
    """Why the driver does not load the code of a compiler, such as "NVRTC 13.5"; None if it does.

    A driver loads the code of every compiler of its own major version and of those before it (CUDA Compatibility,
    "Minor Version Compatibility").
    """
    wanted = _MAJOR.search(made_by)
    major, minor = devices.driver_version()
    if wanted is None or major >= int(wanted[1]):
        return None
    return (
        f"kernels: got a driver for CUDA {major}.{minor}, expected one for CUDA {wanted[1]}, which code of {made_by} "
        f"needs. Fix: update the driver (CUDA 13: 580, JetPack 7), or pip install 'pixio-edge[cuda12]' in place of cuda"
    )
