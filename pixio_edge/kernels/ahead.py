"""Kernels compiled ahead of time: `python -m pixio_edge.kernels.compile --sm 87 -o FOLDER`.

For hosts without NVRTC, which take them from the folder `kernels` of the cache (see `prebuilt`), and to see what a
change costs: beside the cubins lies `kernels.json` with registers, spilled bytes and shared memory of each entry point.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixio_edge.errors import PixioEdgeError, RuntimeUnavailableError
from pixio_edge.files import create_folder, write_bytes_atomic, write_text_atomic
from pixio_edge.kernels import compile as compiler
from pixio_edge.kernels.cache import NAME_DIGITS
from pixio_edge.kernels.catalogue import KERNELS, find_kernel
from pixio_edge.kernels.prebuilt import REPORT
from pixio_edge.kernels.source import read_source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pixio_edge.kernels.catalogue import Kernel

NVCC_OPTIONS = ("-std=c++17", "-Xptxas", "-v")
_NVCC_VERSION = re.compile(r"release [\d.]+, V([\d.]+)")
NVCC_TIMEOUT_S = 600
"""Seconds; no kernel takes a minute."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Compile every variant of the kernels that were asked for; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m pixio_edge.kernels.compile", description=__doc__)
    parser.add_argument("--sm", required=True, action="append", help="GPU, such as 87; may be given several times")
    parser.add_argument("-o", "--out", required=True, type=Path, help="folder for cubins and kernels.json")
    parser.add_argument("--kernel", action="append", help=f"one of {', '.join(KERNELS)}; default: all")
    parser.add_argument("--nvcc", help="compile with this nvcc and not with NVRTC")
    given = parser.parse_args(arguments)
    try:
        kernels = [find_kernel(name) for name in given.kernel or KERNELS]
        report = build(kernels, [f"sm_{sm.removeprefix('sm_')}" for sm in given.sm], given.out, nvcc=given.nvcc)
    except PixioEdgeError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a command
        return error.exit_code
    spilled = sum(numbers["spill_bytes"] for row in report for numbers in row["resources"].values())
    print(f"{len(report)} variants in {given.out}, {spilled} bytes spilled")  # noqa: T201 - a command
    return 0


def build(kernels: Sequence[Kernel], sms: Sequence[str], folder: Path, *, nvcc: str | None) -> list[dict[str, Any]]:
    """Compile every variant of some kernels for some GPUs, and write them with a report; on any error, nothing.

    Args:
        kernels: Of the catalogue.
        sms: GPUs, such as "sm_87".
        folder: Created if it is not there.
        nvcc: Program to compile with; None is NVRTC.

    Returns:
        One row for each variant, as in the report.

    Raises:
        MissingDependencyError: NVRTC is not installed.
        RuntimeUnavailableError: The compiler does not know a GPU, refuses a source, or there is no such program.
        OutputError: The folder cannot be written.
    """
    version = f"nvrtc {compiler.nvrtc_version()}" if nvcc is None else read_nvcc_version(nvcc)
    options = compiler.OPTIONS if nvcc is None else NVCC_OPTIONS
    rows: list[dict[str, Any]] = []
    cubins: dict[str, bytes] = {}
    for kernel, sm in ((kernel, sm) for kernel in kernels for sm in sms):
        for defines in kernel.variants():
            compiled = _compile(nvcc, kernel, sm, defines)
            digest = read_source(kernel).digest(sm=sm, defines=defines, compiler=version, options=options)
            file = f"{kernel.name}-{sm}-{digest[:NAME_DIGITS]}.cubin"
            resources = {entry: asdict(numbers) for entry, numbers in compiled.resources.items()}
            row = {"kernel": kernel.name, "sm": sm, "defines": defines, "file": file, "resources": resources}
            sha256 = hashlib.sha256(compiled.cubin).hexdigest()
            rows.append(row | {"bytes": len(compiled.cubin), "sha256": sha256, "digest": digest})
            cubins[file] = compiled.cubin
    create_folder(folder)
    for file, cubin in cubins.items():
        write_bytes_atomic(folder / file, cubin)
    report = {"compiler": version, "options": list(options), "kernels": rows}
    write_text_atomic(folder / REPORT, json.dumps(report, indent=2) + "\n")
    return rows


def compile_with_nvcc(nvcc: str, kernel: Kernel, sm: str, defines: Mapping[str, int]) -> compiler.Compiled:
    """Compile one variant with nvcc.

    Raises:
        SpecError: A macro is missing, unknown or has a value that the kernel is not made for.
        RuntimeUnavailableError: There is no such program, or it refuses the source or the GPU.
    """
    kernel.check(defines)
    macros = [f"-D{name}={value}" for name, value in defines.items()]
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "kernel.cubin"
        command = [nvcc, "-cubin", f"-arch={sm}", *NVCC_OPTIONS, *macros, "-o", str(target), str(kernel.path)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=NVCC_TIMEOUT_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RuntimeUnavailableError(
                f"nvcc '{nvcc}': {error}. Fix: give the path of a CUDA toolkit's nvcc"
            ) from error
        if done.returncode:
            raise compiler.refusal(kernel, sm, defines, done.stderr) from compiler.CompilerError(done.stderr)
        return compiler.Compiled(target.read_bytes(), None, compiler.read_resources(done.stderr), done.stderr)


def read_nvcc_version(nvcc: str) -> str:
    """Name and version of a toolkit's compiler, such as "nvcc 13.0.48".

    Raises:
        RuntimeUnavailableError: There is no such program, or it does not tell its version.
    """
    try:
        command = [nvcc, "--version"]
        said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=NVCC_TIMEOUT_S).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeUnavailableError(f"nvcc '{nvcc}': {error}. Fix: give the path of a CUDA toolkit's nvcc") from error
    found = _NVCC_VERSION.search(said)
    if found is None:
        raise RuntimeUnavailableError(
            f"nvcc '{nvcc}': got no version from --version, expected a release number. "
            "Fix: give the path of a CUDA toolkit's nvcc"
        )
    return f"nvcc {found[1]}"


def _compile(nvcc: str | None, kernel: Kernel, sm: str, defines: Mapping[str, int]) -> compiler.Compiled:
    if nvcc is not None:
        return compile_with_nvcc(nvcc, kernel, sm, defines)
    return compiler.compile_kernel(kernel, sm, defines)
