"""Kernels that were compiled ahead of time, for a host whose NVRTC is missing or does not know its GPU.

`python -m pixio_edge.kernels.compile --sm 87 -o FOLDER` on any host writes them; they are put in the folder `kernels`
of the cache. They are taken only if they were made from the very sources that are installed here.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from pixio_edge.errors import SpecError
from pixio_edge.kernels.catalogue import find_kernel
from pixio_edge.kernels.compile import Compiled, Resources
from pixio_edge.kernels.source import read_source

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pixio_edge.kernels.catalogue import Kernel

REPORT = "kernels.json"
"""What was compiled, beside the cubins."""


def read_prebuilt(kernel: Kernel, sm: str, defines: Mapping[str, int], folder: Path) -> tuple[Compiled, str] | None:
    """A kernel that was compiled ahead of time, with its digest; None if there is none, of other sources, or damaged.

    Args:
        kernel: Of the catalogue.
        sm: GPU, such as "sm_87".
        defines: A value for each macro of the kernel.
        folder: Where it was put.
    """
    report = _read_report(folder)
    try:
        wanted = (kernel.name, sm, dict(defines))
        row = next(row for row in report["kernels"] if (row["kernel"], row["sm"], row["defines"]) == wanted)
        options = tuple(report["options"])
        digest = read_source(kernel).digest(sm=sm, defines=defines, compiler=report["compiler"], options=options)
        cubin = (folder / row["file"]).read_bytes()
        if row["digest"] != digest or row["sha256"] != hashlib.sha256(cubin).hexdigest():
            return None
        resources = {entry: Resources(**numbers) for entry, numbers in row["resources"].items()}
    except (OSError, StopIteration, KeyError, TypeError, AttributeError):
        return None
    return Compiled(cubin, None, resources, ""), digest


def prebuilt_by(sm: str, folder: Path) -> str | None:
    """What compiled the kernels for a GPU that are in a folder; None if there are none, or one is of other sources."""
    report = _read_report(folder)
    try:
        rows = [row for row in report["kernels"] if row["sm"] == sm]
        made_by, options = str(report["compiler"]), tuple(report["options"])
        sources = {name: read_source(find_kernel(name)) for name in {row["kernel"] for row in rows}}
        digests = (
            sources[row["kernel"]].digest(sm=sm, defines=row["defines"], compiler=made_by, options=options)
            for row in rows
        )
        are_these = all(row["digest"] == digest for row, digest in zip(rows, digests, strict=True))
    except (KeyError, TypeError, AttributeError, SpecError):
        return None
    return made_by if rows and are_these else None


def _read_report(folder: Path) -> dict[str, Any]:
    try:
        report = json.loads((folder / REPORT).read_bytes())
    except (OSError, ValueError):
        return {}
    return report if isinstance(report, dict) else {}
