"""What a system's files tell about NVIDIA's software: driver, CUDA, JetPack. Starts no GPU, loads nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

TEGRA_RELEASE = "/etc/nv_tegra_release"
DRIVER_VERSION = "/proc/driver/nvidia/version"
CUDA_VERSION = "/usr/local/cuda/version.json"
COMPATIBLE = "/proc/device-tree/compatible"

JETSON_VENV = "/usr/bin/python3 -m venv --system-site-packages .venv"
"""TensorRT of JetPack is a package of the system's Python alone."""
JETSON_FIX = "sudo apt install python3-libnvinfer, and make the environment with the system's Python: " + JETSON_VENV

# Compute capability by the name of the chip in the device tree: Xavier, Orin, Thor.
TEGRA_SMS = {"nvidia,tegra194": "7.2", "nvidia,tegra234": "8.7", "nvidia,tegra264": "11.0"}


@dataclass(frozen=True, slots=True)
class JetPack:
    """One release of JetPack and what it carries.

    Args:
        version: As NVIDIA calls it.
        l4t: Release of Jetson Linux that it is known by; those that start with it belong to it as well.
        tensorrt: Version of TensorRT, "major.minor".
        cuda: Version of CUDA, "major.minor".
        python: Version of Python that its TensorRT is for.
        newer: Oldest TensorRT that may be installed in place of that one; None if none may.
    """

    version: str
    l4t: str
    tensorrt: str
    cuda: str
    python: str
    newer: str | None = None

    def runs(self, tensorrt: str) -> bool:
        """Whether a version of TensorRT, such as "10.16.2", runs on it."""
        is_own = f"{tensorrt}.".startswith(f"{self.tensorrt}.")
        return is_own or (self.newer is not None and _numbers(tensorrt) >= _numbers(self.newer))


# NVIDIA's JetPack archive; 7.2 by the release notes that meta-tegra and others follow. The first that fits counts.
# TensorRT 11 runs on a Jetson from 11.4.1 and JetPack 7.2.2 on (documentation of TensorRT 11.4.1,
# page "tensorrt-10x-to-11x-jetson").
JETPACKS = (
    JetPack("7.2.2", "39.2.2", "10.16", "13.2", "3.12", newer="11.4.1"),
    JetPack("7.2.1", "39.2.1", "10.16", "13.2", "3.12"),
    JetPack("7.2", "39.2", "10.16", "13.2", "3.12"),
    JetPack("7.1", "38.4", "10.13", "13.0", "3.12"),
    JetPack("7.0", "38.2", "10.13", "13.0", "3.12"),
    JetPack("6.2.2", "36.5", "10.3", "12.6", "3.10"),
    JetPack("6.2.1", "36.4.7", "10.3", "12.6", "3.10"),
    JetPack("6.2.1", "36.4.4", "10.3", "12.6", "3.10"),
    JetPack("6.2", "36.4.3", "10.3", "12.6", "3.10"),
    JetPack("6.1", "36.4", "10.3", "12.6", "3.10"),
    JetPack("6.0", "36.3", "8.6", "12.2", "3.10"),
    JetPack("5", "35", "8.5", "11.4", "3.8"),
)


@dataclass(frozen=True, slots=True)
class Nvidia:
    """NVIDIA's software on a machine; each None where the system does not tell.

    Args:
        driver: Version of the kernel module, such as "540.4.0".
        cuda: Version of the toolkit in /usr/local/cuda, such as "12.6.11".
        l4t: Release of Jetson Linux, such as "36.4.3".
        jetpack: Release of JetPack that it belongs to, such as "6.2".
        sm: Compute capability of a Jetson's GPU, such as "8.7"; of other GPUs the driver alone knows it.
    """

    driver: str | None = None
    cuda: str | None = None
    l4t: str | None = None
    jetpack: str | None = None
    sm: str | None = None


def read_nvidia(read_text: Callable[[str], str]) -> Nvidia | None:
    """Look for NVIDIA's software; None if there is no trace of any.

    Args:
        read_text: Gives the content of a file, "" if it cannot be read.
    """
    l4t = _l4t(read_text(TEGRA_RELEASE))
    jetpack = find_jetpack(l4t)
    chips = read_text(COMPATIBLE).split("\0")
    found = Nvidia(
        driver=_driver(read_text(DRIVER_VERSION)),
        cuda=_cuda(read_text(CUDA_VERSION)),
        l4t=l4t,
        jetpack=None if jetpack is None else jetpack.version,
        sm=next((TEGRA_SMS[chip.strip()] for chip in chips if chip.strip() in TEGRA_SMS), None),
    )
    return None if found == Nvidia() else found


def find_jetpack(l4t: str | None) -> JetPack | None:
    """JetPack that a release of Jetson Linux belongs to; None if it is not known, or newer than all that are."""
    newest = _numbers(JETPACKS[0].l4t)
    if l4t is None or _numbers(l4t)[: len(newest)] > newest:
        return None
    return next((jetpack for jetpack in JETPACKS if f"{l4t}.".startswith(f"{jetpack.l4t}.")), None)


def _l4t(text: str) -> str | None:
    """Of a line such as "# R36 (release), REVISION: 4.3, GCID: …"."""
    found = re.search(r"R(\d+) \(release\), REVISION: ([\d.]+)", text)
    return None if found is None else f"{found[1]}.{found[2]}"


def _numbers(version: str) -> tuple[int, ...]:
    """Leading numbers of a version: (11, 4, 1) of "11.4.1" and of "11.4.1rc2"."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    return () if found is None else tuple(map(int, found[0].split(".")))


def _driver(text: str) -> str | None:
    """Of a line such as "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.82.07  Wed …"."""
    found = re.search(r"NVRM version:.*?\s(\d+\.\d+(?:\.\d+)?)\s", text)
    return None if found is None else found[1]


def _cuda(text: str) -> str | None:
    try:
        version = json.loads(text)["cuda"]["version"]
    except (ValueError, KeyError, TypeError):
        return None
    return str(version)
