"""Fake trees of the kernel's files, and fake commands, for tests of sensors."""

from __future__ import annotations

from pathlib import Path

import pytest


def write_tree(root: Path, files: dict[str, str]) -> Path:
    """Write small files below `root`, each with the line feed that the kernel ends them with."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
    return root


def install_command(folder: Path, name: str, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `name` a command that runs a shell script, and the only one of that name that is found."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def jetson_rails(
    labels: list[str], *, hwmon: str = "hwmon3", millivolts: int = 5000, milliamperes: int = 400
) -> dict[str, str]:
    """An INA3221 with a rail on each channel, all alike, and the sum of shunt voltages that is no rail."""
    folder = f"sys/class/hwmon/{hwmon}"
    files = {f"{folder}/name": "ina3221", f"{folder}/in7_label": "sum of shunt voltages", f"{folder}/in7_input": "760"}
    for channel, label in enumerate(labels, start=1):
        files[f"{folder}/in{channel}_label"] = label
        files[f"{folder}/in{channel}_input"] = str(millivolts)
        files[f"{folder}/curr{channel}_input"] = str(milliamperes * channel)
    return files


ORIN = {
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1500000",
    "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": "1300000",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "schedutil",
    "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor": "schedutil",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_min_freq": "115200",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq": "1510400",
    "sys/class/devfreq/17000000.gpu/cur_freq": "624750000",
    "sys/class/devfreq/17000000.gpu/min_freq": "306000000",
    "sys/class/devfreq/17000000.gpu/max_freq": "624750000",
    "sys/class/devfreq/15340000.vic/cur_freq": "729600000",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal",
    "sys/class/thermal/thermal_zone0/temp": "51187",
    "sys/class/thermal/thermal_zone1/type": "gpu-thermal",
    "sys/class/thermal/thermal_zone1/temp": "49500",
    "sys/class/thermal/thermal_zone2/type": "cv0-thermal",
    "sys/class/thermal/thermal_zone2/temp": "-256000",
    "sys/class/thermal/cooling_device0/type": "cpu-throttle-alert",
    "sys/class/thermal/cooling_device0/cur_state": "0",
    "sys/class/thermal/cooling_device1/type": "pwm-fan",
    "sys/class/thermal/cooling_device1/cur_state": "3",
    "sys/class/hwmon/hwmon1/name": "soctherm_oc",
    "sys/class/hwmon/hwmon1/oc1_event_cnt": "0",
    "sys/class/hwmon/hwmon1/oc3_event_cnt": "37",
}
"""An Orin Nano that is warm, not throttled, and whose clocks are not held."""
