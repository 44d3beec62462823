"""Facts about the machine, and the only place that looks for them."""

from __future__ import annotations

import importlib.metadata
import math
import os
import platform
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pixio_edge.nvidia import Nvidia, read_nvidia

# Distributions whose version decides what can run or explains a number.
PACKAGES = (
    "numpy",
    "opencv-python-headless",
    "opencv-python",
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-directml",
    "onnxruntime-openvino",
    "onnxruntime-qnn",
    "onnxruntime-rocm",
    "openvino",
    "torch",
    "onnx",
    "safetensors",
    "tensorrt",
    "tensorrt-cu13",
    "tensorrt-cu12",
    "tensorrt_rtx",
    "coremltools",
)
# Instruction sets that change which kernels run, under the names that Linux gives them.
ISA_FLAGS = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "avx512_bf16",
    "amx_bf16",
    "amx_int8",
    "asimddp",
    "i8mm",
    "bf16",
)
BF16_ISA = ("avx512_bf16", "amx_bf16", "bf16")
X86_ARCHS = ("x86_64", "AMD64")
SYSCTL_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Host:
    """What is known about a machine; a plain value, so choices can be tested for machines that are not at hand.

    Args:
        os: "Linux", "Darwin" or "Windows", with the release.
        arch: As `platform.machine()` says: "x86_64", "aarch64", "arm64", "AMD64".
        cpu: Marketing name of the processor, "unknown" if it has none.
        logical_cores: Hardware threads of the machine.
        physical_cores: Cores of the machine; equal to `logical_cores` where the system does not tell.
        affinity: Hardware threads that this process may use; empty where the system has no such notion.
        usable_cores: Default number of threads: cores within the affinity and the container's quota.
        isa: Instruction sets out of `ISA_FLAGS` that the processor has; empty where the system does not tell.
        ram_mib: Main memory in MiB, None where the system does not tell.
        python: Version of the interpreter.
        packages: Version by distribution name, for those of `PACKAGES` that are installed.
        gpus: Names of NVIDIA GPUs whose driver is loaded, and of a Jetson board.
        nvidia: NVIDIA's driver, CUDA and JetPack; None where there is no trace of any.
        macos: Version of macOS, which is that of Core ML, such as "15.5"; None on other systems.
    """

    os: str
    arch: str
    cpu: str
    logical_cores: int
    physical_cores: int
    affinity: tuple[int, ...]
    usable_cores: int
    isa: tuple[str, ...]
    ram_mib: int | None
    python: str
    packages: dict[str, str]
    gpus: tuple[str, ...] = ()
    nvidia: Nvidia | None = None
    macos: str | None = None

    @property
    def is_x86(self) -> bool:
        """Whether the processor is a 64-bit x86."""
        return self.arch in X86_ARCHS

    @property
    def lacks_bf16(self) -> bool:
        """Whether the processor is known to have no bfloat16 arithmetic; false where the system does not tell."""
        return self.lacks(BF16_ISA)

    def lacks(self, isa: tuple[str, ...]) -> bool:
        """Whether the processor is known to have none of these instruction sets.

        False where the system does not tell, and when none is asked for.
        """
        return bool(self.isa) and bool(isa) and not set(isa) & set(self.isa)

    def has(self, isa: tuple[str, ...]) -> bool:
        """Whether the processor is known to have one of these instruction sets."""
        return bool(set(isa) & set(self.isa))

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def probe_host() -> Host:
    """Look at this machine; takes a few milliseconds, imports none of the packages and starts no GPU."""
    cpuinfo = _read_text("/proc/cpuinfo")
    logical = os.cpu_count() or 1
    physical = _physical_cores(cpuinfo) or logical
    affinity = _affinity()
    return Host(
        os=f"{platform.system()} {platform.release()}",
        arch=platform.machine(),
        cpu=_cpu_name(cpuinfo),
        logical_cores=logical,
        physical_cores=physical,
        affinity=affinity,
        usable_cores=_usable(physical, affinity),
        isa=_isa(cpuinfo),
        ram_mib=_ram_mib(),
        python=platform.python_version(),
        packages=_package_versions(),
        gpus=_gpus(),
        nvidia=read_nvidia(_read_text),
        macos=platform.mac_ver()[0] or None,
    )


def usable_cores() -> int:
    """Default number of threads: cores that this process may use, within the quota of its container."""
    return _usable(_physical_cores(_read_text("/proc/cpuinfo")) or os.cpu_count() or 1, _affinity())


def peak_rss_mib() -> float | None:
    """Largest resident memory of this process so far in MiB; None where the system does not tell."""
    if sys.platform == "win32":
        return None
    if high_water := _status_field("VmHWM"):
        return int(high_water.split()[0]) / 1024.0
    import resource  # noqa: PLC0415 - POSIX only

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024.0 * 1024.0 if sys.platform == "darwin" else 1024.0)


def _usable(physical: int, affinity: tuple[int, ...]) -> int:
    limits = [physical, len(affinity) or physical, _cgroup_quota() or physical]
    return max(1, min(limits))


def _status_field(name: str) -> str | None:
    """Of this process. Linux keeps `ru_maxrss` over an exec, so a child would start with the peak of its parent."""
    return _fields(_read_text("/proc/self/status")).get(name)


def _affinity() -> tuple[int, ...]:
    if sys.platform != "linux":
        return ()
    return tuple(sorted(os.sched_getaffinity(0)))


def _cgroup_quota() -> int | None:
    """Whole cores that the container grants, rounded up; more threads than that would be throttled."""
    quota, _, period = _read_text("/sys/fs/cgroup/cpu.max").strip().partition(" ")
    if not (quota.isdigit() and period.isdigit() and int(period) > 0):
        return None
    return math.ceil(int(quota) / int(period))


def _physical_cores(cpuinfo: str) -> int | None:
    cores = {
        (fields.get("physical id"), fields["core id"])
        for fields in map(_fields, cpuinfo.split("\n\n"))
        if "core id" in fields
    }
    return len(cores) or None


def _fields(block: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in block.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _cpu_name(cpuinfo: str) -> str:
    name = _fields(cpuinfo.partition("\n\n")[0]).get("model name")
    if name is None and sys.platform == "darwin":
        name = _sysctl("machdep.cpu.brand_string")
    return name or platform.processor() or "unknown"


def _isa(cpuinfo: str) -> tuple[str, ...]:
    fields = _fields(cpuinfo.partition("\n\n")[0])
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    return tuple(flag for flag in ISA_FLAGS if flag in flags)


def _sysctl(name: str) -> str | None:
    try:
        result = subprocess.run(
            ["/usr/sbin/sysctl", "-n", name], capture_output=True, text=True, check=True, timeout=SYSCTL_TIMEOUT_S
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip() or None


def _ram_mib() -> int | None:
    if sys.platform == "win32":
        return None
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20


def _package_versions() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _gpus() -> tuple[str, ...]:
    """From the kernel's own files: starting `nvidia-smi` would cost more than opening a bundle."""
    texts = [_read_text(str(path)) for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))]
    names = [_fields(text).get("Model", "unknown NVIDIA GPU") for text in texts]
    board = _read_text("/proc/device-tree/model").strip("\0\n ")
    return (*names, board) if "Jetson" in board else tuple(names)


def _read_text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
