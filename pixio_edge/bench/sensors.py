"""All sensors of this host in one place, chosen for what executes; what is missing has a name and a reason."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pixio_edge.bench import nvidia_smi
from pixio_edge.bench.energy_meters import EnergyMeter, find_meter
from pixio_edge.bench.host_state import HostState, read_power_state

if TYPE_CHECKING:
    from pixio_edge.bench.record_parts import PowerState

# How ORT's providers and torch call an NVIDIA GPU; TensorRT gives its name, which may be "Orin".
NVIDIA_DEVICES = re.compile(r"cuda|tensorrt", re.IGNORECASE)

SEVERAL_GPUS = (
    "several NVIDIA GPUs, which CUDA numbers in another order than nvidia-smi. Fix: a container with one of them"
)
"""CUDA puts the fastest first and shows those of CUDA_VISIBLE_DEVICES alone (CUDA programming guide, environment
variables); nvidia-smi goes by the bus. The wrong board's energy would look like a result."""


@dataclass(frozen=True, slots=True)
class Sensors:
    """What can be read on this host.

    Attributes:
        state: Clocks, temperatures, throttling.
        meter: Power or energy of what executes; None if nothing measures it.
        power: Power mode, governor and clocks when the sensors were looked for.
        gpu_memory_mib: What this process holds on NVIDIA GPUs; None if it uses none, or nobody tells.
        absent: What is not there, by name, with the reason.
    """

    state: HostState
    meter: EnergyMeter | None
    power: PowerState
    gpu_memory_mib: float | None
    absent: dict[str, str]


def find_sensors(gpu: int | None, *, device: str | None = None, root: Path = Path("/")) -> Sensors:
    """Look at the host; starts `nvidia-smi` only where an NVIDIA GPU executes.

    Args:
        gpu: From `nvidia_gpu`.
        device: What the engine says that executes.
        root: Where /sys and /proc are looked for.
    """
    is_ambiguous = gpu is not None and nvidia_smi.count_gpus() > 1
    state = HostState(root, gpu=None if is_ambiguous else gpu)
    power, absent = read_power_state(root)
    meter = SEVERAL_GPUS if is_ambiguous else find_meter(root, gpu=gpu, device=device)
    memory = None if gpu is None else nvidia_smi.process_memory_mib(os.getpid())
    absent |= state.absent()
    if is_ambiguous:
        absent["gpu_clock"] = SEVERAL_GPUS
    if isinstance(meter, str):
        absent["energy"] = meter
    if memory is None:
        absent["gpu_memory"] = "no NVIDIA GPU executes" if gpu is None else "nvidia-smi does not list this process"
    found = None if isinstance(meter, str) else meter
    return Sensors(state, found, power, memory, dict(sorted(absent.items())))


def nvidia_gpu(runtime: str, provider: str | None, device: str | None) -> int | None:
    """Index of the NVIDIA GPU that executes; None if none does.

    Args:
        runtime: Name in `registry.RUNTIMES`.
        provider: What was asked for, such as "cuda:1".
        device: What the engine says; see `RuntimeInfo.device`.
    """
    if not runtime.startswith("tensorrt") and (device is None or NVIDIA_DEVICES.search(device) is None):
        return None
    index = re.search(r"cuda:(\d+)", f"{provider} {device}", re.IGNORECASE)
    return int(index[1]) if index else 0
