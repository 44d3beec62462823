"""GPU, driver, clocks and versions, as far as there are any."""

from __future__ import annotations

import subprocess
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from pixio_edge.kernels.compile import nvrtc_version

Record = dict[str, Any]

CLOCKS = ("clocks.sm", "clocks.mem", "temperature.gpu", "power.draw", "clocks_event_reasons.active")


def environment() -> Record:
    """What stays the same from run to run; two runs with the same may be one."""
    found: Record = {"torch": torch.__version__, "cuda": torch.version.cuda, "nvrtc": nvrtc_version()}
    if not torch.cuda.is_available():
        return found | {"gpu": None}
    properties = torch.cuda.get_device_properties(0)
    driver = getattr(torch._C, "_cuda_getDriverVersion", None)
    return found | {
        "gpu": properties.name,
        "sm": f"sm_{properties.major}{properties.minor}",
        "multiprocessors": properties.multi_processor_count,
        "memory_mib": properties.total_memory >> 20,
        "driver_cuda": driver() if driver else None,  # 13000 is CUDA 13.0; a Jetson has no other number
        "smi": query("driver_version", "power.limit", "clocks.max.sm", "clocks.max.mem"),
        "power_mode": power_mode(),
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        "triton": _version("triton"),
    }


def clocks() -> Record | None:
    """Clocks, temperature, power and reasons for slowing down, just now; None without nvidia-smi."""
    return query(*CLOCKS) or query(*CLOCKS[:-1])  # drivers before 535 have another name for the last


def power_mode() -> str | None:
    """Power mode of a Jetson, by its own tool; None elsewhere."""
    try:
        result = subprocess.run(["nvpmodel", "-q"], capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return " ".join(result.stdout.split()) or None


def query(*names: str) -> Record | None:
    """Answers of nvidia-smi for the first GPU by name; None where there is none or it knows one of them not."""
    command = ["nvidia-smi", f"--query-gpu={','.join(names)}", "--format=csv,noheader", "-i", "0"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    answers = [answer.strip() for answer in result.stdout.split(",")]
    if result.returncode != 0 or len(answers) != len(names):
        return None
    return dict(zip(names, answers, strict=True))


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
