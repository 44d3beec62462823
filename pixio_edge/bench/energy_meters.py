"""Sensors of power and energy, each behind the same three calls: begin, sample between inferences, end."""

from __future__ import annotations

import re
import subprocess
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, ClassVar

from pixio_edge.bench import nvidia_smi
from pixio_edge.bench.sysfs import read_line, read_number

if TYPE_CHECKING:
    from collections.abc import Callable

POWERCAP = "sys/class/powercap"
RANGE = "max_energy_range_uj"
HWMON = "sys/class/hwmon"
INA3221_CHANNELS = (1, 2, 3)

# Rails of Jetson boards by the names on the INA3221 (NVIDIA's developer guide of each board; of Thor as tegrastats
# prints them). The first group of which all are there counts: the whole input of the module where it is measured, else
# the rails beside each other that its parts are fed from. AGX Orin's VDDQ_VDD2_1V8AO is fed from VIN_SYS_5V0.
JETSON_RAILS = (
    ("VDD_IN",),  # Orin Nano, Orin NX, Xavier NX
    ("POM_5V_IN",),  # Nano
    ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"),  # AGX Orin
    ("VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"),  # Thor
    ("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"),  # AGX Xavier
)

SAMPLE_S = 0.1
"""Between readings of power. A reading of one rail is two transfers over I2C of about a millisecond each, so more would
be felt in the inferences."""

TERMINATE_S = 5.0

# How engines call what is neither the processor nor an NVIDIA GPU; that some are in the processor's package none says.
OTHER_DEVICES = re.compile(r"gpu|npu|dml|rocm|migraphx|qnn|neural|ne$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class EnergyReading:
    """Energy between `begin` and `end`.

    Attributes:
        joules: Energy.
        seconds: Time between the first and the last reading.
        samples: Readings of power; None for counters of energy.
    """

    joules: float
    seconds: float
    samples: int | None

    @property
    def watts(self) -> float:
        """Mean power."""
        return self.joules / self.seconds


class EnergyMeter(ABC):
    """One source of power or energy.

    Attributes:
        rails: Names of what is added up.
        lag_s: How long a change of the power takes to be all in the readings.
    """

    source: ClassVar[str]
    lag_s: ClassVar[float] = 0.0
    rails: tuple[str, ...]

    @abstractmethod
    def begin(self) -> None:
        """Start, right before the first inference."""

    @abstractmethod
    def sample(self) -> None:
        """Between two inferences: takes a reading if it is time for one."""

    @abstractmethod
    def end(self) -> EnergyReading | None:
        """Stop, right after the last inference; None when there was not enough to read."""


class RaplMeter(EnergyMeter):
    """Energy counters of Intel and AMD processors (kernel documentation, "Power Capping Framework").

    Packages and their memory; cores and graphics are parts of the package, and "psys" would count it twice.
    """

    source = "rapl"

    def __init__(self, zones: list[Path], *, clock: Callable[[], float] = perf_counter) -> None:
        self.rails = tuple(f"{zone.name} {read_line(zone / 'name')}" for zone in zones)
        self._zones, self._clock = zones, clock
        self._ranges = [read_number(zone / RANGE) or 0.0 for zone in zones]
        self._last: list[float] | None = None
        self._microjoules = self._start = self._end = 0.0

    @classmethod
    def find(cls, root: Path) -> RaplMeter | str:
        """The counters of this host, or why there are none."""
        zones = sorted((root / POWERCAP).glob("intel-rapl:*"))
        named = [zone for zone in zones if (read_line(zone / "name") or "").startswith(("package", "dram"))]
        if not named:
            return "no RAPL counters below /sys/class/powercap, as in most virtual machines"
        wanted = [zone for zone in named if read_number(zone / RANGE)]
        if len(wanted) < len(named):
            return f"a RAPL counter does not tell where it starts over ({RANGE})"
        try:
            for zone in wanted:
                (zone / "energy_uj").read_bytes()
        except PermissionError:
            return (
                "permission denied: /sys/class/powercap/intel-rapl:*/energy_uj is for root alone. "
                "Fix: let your user read it, or run as root"
            )
        except OSError as error:
            return f"the RAPL counters cannot be read ({error.strerror})"
        return cls(wanted)

    def begin(self) -> None:
        """Read the counters."""
        self._last, self._microjoules = self._read(), 0.0
        self._start = self._end = self._clock()

    def sample(self) -> None:
        """Read them again: they start over after some minutes at full power, and must not do so twice unseen.

        A reading that fails is left out, as the next one that does not has what it would have had.
        """
        now = self._read()
        if now is None or self._last is None:
            return
        for last, value, largest in zip(self._last, now, self._ranges, strict=True):
            self._microjoules += value - last + (largest if value < last else 0.0)
        self._last, self._end = now, self._clock()

    def end(self) -> EnergyReading | None:
        """Read them for the last time; None where that or the first reading failed."""
        self._end = self._start
        self.sample()
        seconds = self._end - self._start
        return EnergyReading(self._microjoules / 1e6, seconds, None) if seconds > 0 else None

    def _read(self) -> list[float] | None:
        """All counters; None when one cannot be read, which must not be taken for a counter at 0."""
        values = [read_number(zone / "energy_uj") for zone in self._zones]
        known = [value for value in values if value is not None]
        return known if len(known) == len(values) else None


class Ina3221Meter(EnergyMeter):
    """Power monitors of a Jetson: voltage times current of each rail (kernel documentation, ina3221)."""

    source = "ina3221"

    def __init__(self, channels: dict[str, tuple[Path, Path]], *, clock: Callable[[], float] = perf_counter) -> None:
        self.rails = tuple(channels)
        self._channels, self._clock = tuple(channels.values()), clock
        self._readings: list[tuple[float, float]] = []

    @classmethod
    def find(cls, root: Path) -> Ina3221Meter | str:
        """The rails of this host, or why there are none."""
        folders = [
            path for path in sorted((root / HWMON).glob("hwmon*")) if (read_line(path / "name") or "") == "ina3221"
        ]
        found = {
            label: (folder / f"in{channel}_input", folder / f"curr{channel}_input")
            for folder in folders
            for channel in INA3221_CHANNELS
            if (label := read_line(folder / f"in{channel}_label")) and (folder / f"curr{channel}_input").exists()
        }
        if not found:
            return "no INA3221 power monitor below /sys/class/hwmon"
        rails = next((group for group in JETSON_RAILS if set(group) <= set(found)), None)
        if rails is None:
            return f"an INA3221 with unknown rails {sorted(found)}, of which it is not known what adds up to the whole"
        meter = cls({rail: found[rail] for rail in rails})
        return meter if meter.watts() is not None else "the INA3221 power monitor cannot be read"

    def watts(self) -> float | None:
        """Power of all rails now; None when one cannot be read."""
        total = 0.0
        for millivolts, milliamperes in self._channels:
            voltage, current = read_number(millivolts), read_number(milliamperes)
            if voltage is None or current is None:
                return None
            total += voltage * current * 1e-6
        return total

    def begin(self) -> None:
        """Take the first reading."""
        self._readings = []
        self._take()

    def sample(self) -> None:
        """Take a reading if the last one is old enough."""
        if not self._readings or self._clock() - self._readings[-1][0] >= SAMPLE_S:
            self._take()

    def end(self) -> EnergyReading | None:
        """Take the last reading, and add up the trapezia between readings."""
        self._take()
        pairs = list(zip(self._readings, self._readings[1:], strict=False))
        if not pairs:
            return None
        joules = sum((later[1] + earlier[1]) / 2 * (later[0] - earlier[0]) for earlier, later in pairs)
        seconds = self._readings[-1][0] - self._readings[0][0]
        return EnergyReading(joules, seconds, len(self._readings)) if seconds > 0 else None

    def _take(self) -> None:
        watts = self.watts()
        if watts is not None:
            self._readings.append((self._clock(), watts))


class NvidiaSmiMeter(EnergyMeter):
    """Power of a GPU's board, read by a process beside this one.

    The driver averages it over up to a second on some GPUs ("power.draw", nvidia-smi(1)), so loops have to be some
    seconds long, and readings within `lag_s` of their beginning still hold what was before.
    """

    source = "nvidia-smi"
    lag_s = 1.2

    def __init__(self, gpu: int = 0) -> None:
        self.rails = (f"gpu {gpu}",)
        self._gpu = gpu
        self._process: subprocess.Popen[bytes] | None = None
        self._start = 0.0

    @classmethod
    def find(cls, gpu: int = 0) -> NvidiaSmiMeter | str:
        """The GPU's sensor, or why there is none."""
        if not nvidia_smi.has_nvidia_smi():
            return "no nvidia-smi"
        state = nvidia_smi.read_gpu(gpu)
        return cls(gpu) if state is not None and state.power_w is not None else "nvidia-smi does not tell the power"

    def begin(self) -> None:
        """Start the process that reads."""
        command = nvidia_smi.power_log_command(self._gpu, round(SAMPLE_S * 1e3))
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self._start = perf_counter()

    def sample(self) -> None:
        """Nothing to do: the other process reads."""

    def end(self) -> EnergyReading | None:
        """Stop it; its readings are evenly spaced, so the mean of those after `lag_s` is the mean power.

        In a window that is too short for that, as the stretches of a sustained run may be, the last reading counts.
        """
        if self._process is None:
            return None
        seconds = perf_counter() - self._start
        self._process.terminate()
        try:
            output, _ = self._process.communicate(timeout=TERMINATE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            output, _ = self._process.communicate()
        self._process = None
        read = [value for line in output.split(b"\n") if (value := _watts(line)) is not None]
        watts = read[round(self.lag_s / SAMPLE_S) :] or read[-1:]
        return EnergyReading(sum(watts) / len(watts) * seconds, seconds, len(watts)) if watts else None


def find_meter(root: Path, *, gpu: int | None, device: str | None = None) -> EnergyMeter | str:
    """The sensor that measures what executes, or why there is none.

    Args:
        root: Where /sys is looked for.
        gpu: Index of the NVIDIA GPU that executes; None if none does.
        device: What the engine says that executes; see `RuntimeInfo.device`.
    """
    jetson = Ina3221Meter.find(root)
    if not isinstance(jetson, str):
        return jetson
    if gpu is None and device is not None and OTHER_DEVICES.search(device):
        return f"{jetson}; {device} executes, and RAPL measures the processor"
    found = RaplMeter.find(root) if gpu is None else NvidiaSmiMeter.find(gpu)
    return f"{jetson}; {found}" if isinstance(found, str) else found


def _watts(line: bytes) -> float | None:
    try:
        return float(line)
    except ValueError:
        return None
