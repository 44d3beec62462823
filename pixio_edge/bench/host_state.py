"""Clocks, temperatures, throttling and power mode, as far as the host tells."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pixio_edge.bench import nvidia_smi
from pixio_edge.bench.record_parts import PowerState
from pixio_edge.bench.sysfs import read_line, read_number, sum_numbers

CPU = "sys/devices/system/cpu"
THERMAL = "sys/class/thermal"
DEVFREQ = "sys/class/devfreq"
HWMON = "sys/class/hwmon"
PLATFORM_PROFILE = "sys/firmware/acpi/platform_profile"

NVPMODEL = "nvpmodel"
NVPMODEL_TIMEOUT_S = 10.0

# Names of a Jetson's GPU below /sys/class/devfreq: "17000000.ga10b" (JetPack 5), "17000000.gpu" (JetPack 6).
JETSON_GPUS = re.compile(r"gpu|ga10b|gv11b|gp10b|gm20b")
# Cooling devices of Orin and Thor whose state is above 0 while heat holds the clocks back: "cpu-throttle-alert", ….
THROTTLE_ALERT = "throttle-alert"
# Counters of under-voltage and over-current events of Orin and Thor, which throttle (kernel driver tegra234-oc-event).
OC_EVENTS, OC_NAME = "oc*_event_cnt", "soctherm_oc"


@dataclass(frozen=True, slots=True)
class HostReading:
    """One look at the sensors; each None where the host has none. See `record_parts.Bucket`."""

    cpu_mhz: float | None
    gpu_mhz: float | None
    temperatures_c: dict[str, float] | None
    throttled: bool | None


class HostState:
    """The sensors of one host.

    Args:
        root: Where /sys is looked for.
        gpu: Index of the NVIDIA GPU that executes; None if the processor does, whose state is then all that is read.
    """

    def __init__(self, root: Path = Path("/"), *, gpu: int | None = None) -> None:
        self._root, self._gpu = root, gpu
        self._throttle_count = self._count_throttling()

    def read(self) -> HostReading:
        """Look at all sensors; `throttled` is about the time since the look before."""
        gpu = None if self._gpu is None else nvidia_smi.read_gpu(self._gpu)
        temperatures = self._temperatures()
        if gpu is not None and gpu.temperature_c is not None:
            temperatures["gpu"] = gpu.temperature_c
        clock = self._jetson_gpu_mhz() if gpu is None or gpu.clock_mhz is None else gpu.clock_mhz
        throttled = self._throttled(None if gpu is None else gpu.throttled)
        return HostReading(self._cpu_mhz(), clock, temperatures or None, throttled)

    def absent(self) -> dict[str, str]:
        """Sensors that this host does not have, each with the reason."""
        reading = self.read()
        reasons = {
            "cpu_clock": (reading.cpu_mhz, "no /sys/devices/system/cpu/cpu*/cpufreq"),
            "gpu_clock": (reading.gpu_mhz, "no GPU below /sys/class/devfreq, and no NVIDIA GPU executes"),
            "temperature": (reading.temperatures_c, "no readable /sys/class/thermal/thermal_zone*"),
            "throttling": (reading.throttled, "no counters or alerts of throttling"),
        }
        return {name: reason for name, (value, reason) in reasons.items() if value is None}

    def _cpu_mhz(self) -> float | None:
        files = sorted((self._root / CPU).glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))
        clocks = [khz for path in files if (khz := read_number(path)) is not None]
        return round(sum(clocks) / len(clocks) / 1e3, 1) if clocks else None

    def _jetson_gpu_mhz(self) -> float | None:
        hertz = [read_number(folder / "cur_freq") for folder in self._jetson_gpus()]
        known = [value for value in hertz if value is not None]
        return round(max(known) / 1e6, 1) if known else None

    def _jetson_gpus(self) -> list[Path]:
        return [path for path in sorted((self._root / DEVFREQ).glob("*")) if JETSON_GPUS.search(path.name)]

    def _temperatures(self) -> dict[str, float]:
        found = {}
        for zone in sorted((self._root / THERMAL).glob("thermal_zone*")):
            millidegrees = read_number(zone / "temp")
            # A zone whose sensor is off answers with an error, or with a temperature far below any that runs.
            if millidegrees is not None and millidegrees > 0:
                name = read_line(zone / "type") or zone.name
                found[name if name not in found else f"{name} {zone.name}"] = millidegrees / 1e3
        return found

    def _throttled(self, gpu: bool | None) -> bool | None:
        count, alert = self._count_throttling(), self._alert()
        rose = None if count is None or self._throttle_count is None else count > self._throttle_count
        self._throttle_count = count
        known = [value for value in (rose, alert, gpu) if value is not None]
        return any(known) if known else None

    def _count_throttling(self) -> float | None:
        """Counters of x86 processors (kernel, thermal_throttle) and of a Jetson's power supply."""
        files = sorted((self._root / CPU).glob("cpu[0-9]*/thermal_throttle/*_throttle_count"))
        for folder in sorted((self._root / HWMON).glob("hwmon*")):
            if read_line(folder / "name") == OC_NAME:
                files += sorted(folder.glob(OC_EVENTS))
        return sum_numbers(files)

    def _alert(self) -> bool | None:
        devices = sorted((self._root / THERMAL).glob("cooling_device*"))
        alerts = [path for path in devices if (read_line(path / "type") or "").endswith(THROTTLE_ALERT)]
        state = sum_numbers([path / "cur_state" for path in alerts])
        return None if state is None else state > 0


def read_power_state(root: Path = Path("/")) -> tuple[PowerState, dict[str, str]]:
    """Power mode, governor and whether the clocks are held; and what of it this host does not have, with the reason."""
    mode, why = _nvpmodel()
    if mode is None:
        mode = read_line(root / PLATFORM_PROFILE)
    policies = sorted((root / CPU).glob("cpu[0-9]*/cpufreq"))
    governors = sorted({text for path in policies if (text := read_line(path / "scaling_governor"))})
    state = PowerState(
        power_mode=mode,
        governor=", ".join(governors) or None,
        clocks_locked=_clocks_locked(policies, sorted((root / DEVFREQ).glob("*"))),
    )
    absent = {} if mode is not None else {"power_mode": why}
    if not governors:
        absent["governor"] = "no /sys/devices/system/cpu/cpu*/cpufreq"
    return state, absent


def _clocks_locked(policies: list[Path], devices: list[Path]) -> bool | None:
    """Lowest and highest allowed clock are the same for every processor, and for a Jetson's GPU."""
    pairs = [(read_number(path / "scaling_min_freq"), read_number(path / "scaling_max_freq")) for path in policies]
    pairs += [
        (read_number(path / "min_freq"), read_number(path / "max_freq"))
        for path in devices
        if JETSON_GPUS.search(path.name)
    ]
    known = [(low, high) for low, high in pairs if low is not None and high is not None]
    return all(low == high for low, high in known) if known else None


def _nvpmodel() -> tuple[str | None, str]:
    """Power mode of a Jetson, from output such as "NV Power Mode: MAXN" and a line with its number; or why not."""
    if shutil.which(NVPMODEL) is None:
        return None, "no nvpmodel, and no /sys/firmware/acpi/platform_profile"
    try:
        result = subprocess.run(
            [NVPMODEL, "-q"], capture_output=True, text=True, check=False, timeout=NVPMODEL_TIMEOUT_S, errors="replace"
        )
    except (OSError, subprocess.SubprocessError) as error:
        return None, f"nvpmodel -q failed ({error})"
    found = re.search(r"NV Power Mode:\s*(\S+)", result.stdout)
    said = (result.stderr.strip() or result.stdout.strip() or f"status {result.returncode}").splitlines()[-1]
    return (found[1], "") if found else (None, f"nvpmodel -q said: {said}")
