"""What `nvidia-smi` tells about a GPU.

Its options and fields: manual page nvidia-smi(1), and `nvidia-smi --help-query-gpu`. On a Jetson it is missing, or
answers most fields with "[N/A]"; a Jetson's own files are read in `host_state` and `energy_meters`.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass

COMMAND = "nvidia-smi"
FORMAT = "--format=csv,noheader,nounits"
TIMEOUT_S = 10.0
"""The first call loads the driver when no process uses the GPU yet: some seconds without persistence mode."""

# Bits of "clocks_event_reasons.active" that hold the clocks back against the user's will (NVML, clocks event reasons):
# software power cap, hardware slowdown, software thermal slowdown, hardware thermal slowdown, hardware power brake.
THROTTLE_BITS = 0x4 | 0x8 | 0x20 | 0x40 | 0x80
# The field's name since driver 535, and before.
REASON_FIELDS = ("clocks_event_reasons.active", "clocks_throttle_reasons.active")


@dataclass(frozen=True, slots=True)
class GpuState:
    """One reading; each None where the GPU does not tell.

    Attributes:
        clock_mhz: Clock of the multiprocessors.
        temperature_c: Of the GPU.
        throttled: Whether heat or power hold the clocks back.
        power_w: Power of the board.
    """

    clock_mhz: float | None
    temperature_c: float | None
    throttled: bool | None
    power_w: float | None


def has_nvidia_smi() -> bool:
    """Whether the command is installed; whether it works shows when it is asked."""
    return shutil.which(COMMAND) is not None


def count_gpus() -> int:
    """How many GPUs the command lists; 0 where there is no command or it fails."""
    return len(ask(["--query-gpu=index", FORMAT]) or [])


def read_gpu(gpu: int = 0) -> GpuState | None:
    """Ask about one GPU by its index; None where there is no command or no such GPU."""
    reasons = None
    for field in REASON_FIELDS:
        rows = ask([f"--query-gpu=clocks.sm,temperature.gpu,power.draw,{field}", FORMAT, "-i", str(gpu)])
        if rows:
            clock, temperature, power, reasons = (rows[0] + [""] * 4)[:4]
            return GpuState(_number(clock), _number(temperature), _throttled(reasons), _number(power))
    return None


def process_memory_mib(pid: int) -> float | None:
    """Memory that a process holds on all GPUs; None where it is not listed, as in a container with its own numbers."""
    rows = ask(["--query-compute-apps=pid,used_gpu_memory", FORMAT]) or []
    found = [_number(row[1]) for row in rows if len(row) > 1 and row[0] == str(pid)]
    known = [mib for mib in found if mib is not None]
    return sum(known) if known else None


def ask(arguments: list[str]) -> list[list[str]] | None:
    """Rows of comma-separated cells that the command prints; None where it is missing or fails."""
    try:
        result = subprocess.run(
            [COMMAND, *arguments], capture_output=True, text=True, check=True, timeout=TIMEOUT_S, errors="replace"
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return [[cell.strip() for cell in line.split(",")] for line in result.stdout.splitlines() if line.strip()]


def power_log_command(gpu: int, interval_ms: int) -> list[str]:
    """A command that prints the power of a GPU in watts, one line every `interval_ms`, until it is ended."""
    return [COMMAND, "-i", str(gpu), "--query-gpu=power.draw", FORMAT, "-lms", str(interval_ms)]


def _throttled(text: str) -> bool | None:
    try:
        return bool(int(text, 16) & THROTTLE_BITS)
    except ValueError:
        return None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
