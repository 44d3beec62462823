"""Sensors, each on a fake tree of the kernel's files or with a fake command; each absent, with the reason."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pixio_edge.bench.energy_meters import Ina3221Meter, NvidiaSmiMeter, RaplMeter, find_meter
from pixio_edge.bench.host_state import HostState, read_power_state
from pixio_edge.bench.nvidia_smi import process_memory_mib, read_gpu
from pixio_edge.bench.sensors import find_sensors, nvidia_gpu
from pixio_edge.bench.sysfs import resident_mib
from tests.sysfs_tree import ORIN, install_command, jetson_rails, write_tree

POWERCAP = "sys/class/powercap"
RAPL = {
    f"{POWERCAP}/intel-rapl:0/name": "package-0",
    f"{POWERCAP}/intel-rapl:0/energy_uj": "900000",
    f"{POWERCAP}/intel-rapl:0/max_energy_range_uj": "1000000",
    f"{POWERCAP}/intel-rapl:0:0/name": "core",
    f"{POWERCAP}/intel-rapl:0:0/energy_uj": "400000",
    f"{POWERCAP}/intel-rapl:0:1/name": "dram",
    f"{POWERCAP}/intel-rapl:0:1/energy_uj": "5000000",
    f"{POWERCAP}/intel-rapl:0:1/max_energy_range_uj": "65000000",
    f"{POWERCAP}/intel-rapl:1/name": "psys",
    f"{POWERCAP}/intel-rapl:1/energy_uj": "7000000",
}
# Answers the three questions that are asked, as an RTX at full power does.
GPU_SCRIPT = """
case "$*" in
  *compute-apps*) echo "4242, 512"; echo "77, 100"; echo "4242, 8" ;;
  *-lms*) i=0; while :; do echo 61.5; i=$((i+1)); [ $i = 3 ] && touch "$0.read"; sleep 0.02; done ;;
  *clocks_event_reasons*) echo "1980, 71, 62.00, 0x0000000000000004" ;;
  *) exit 1 ;;
esac"""


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def made(found: object, kind: type) -> None:
    assert isinstance(found, kind), found


def test_rapl_adds_packages_and_memory_and_survives_that_a_counter_starts_over(tmp_path: Path) -> None:
    root = write_tree(tmp_path, RAPL)
    clock = Clock()
    meter = RaplMeter([root / POWERCAP / "intel-rapl:0", root / POWERCAP / "intel-rapl:0:1"], clock=clock)

    meter.begin()
    write_tree(root, {f"{POWERCAP}/intel-rapl:0/energy_uj": "100000"})  # over its end at 1 J: 0.2 J
    clock.now = 0.5
    meter.sample()
    write_tree(
        root, {f"{POWERCAP}/intel-rapl:0/energy_uj": "400000", f"{POWERCAP}/intel-rapl:0:1/energy_uj": "5500000"}
    )
    clock.now = 2.0
    reading = meter.end()

    assert reading is not None
    assert reading.joules == pytest.approx(0.2 + 0.3 + 0.5)
    assert (reading.seconds, reading.watts, reading.samples) == (2.0, pytest.approx(0.5), None)


@pytest.mark.parametrize("energy", ["", "error"])
def test_rapl_leaves_out_a_reading_that_fails(tmp_path: Path, energy: str) -> None:
    root = write_tree(tmp_path, RAPL)
    counter, clock = f"{POWERCAP}/intel-rapl:0/energy_uj", Clock()
    meter = RaplMeter([root / POWERCAP / "intel-rapl:0"], clock=clock)

    meter.begin()
    write_tree(root, {counter: energy})
    clock.now = 1.0
    meter.sample()
    write_tree(root, {counter: "950000"})
    clock.now = 2.0
    reading = meter.end()

    assert reading is not None
    assert (reading.joules, reading.seconds) == (pytest.approx(0.05), 2.0)


@pytest.mark.parametrize("fails", ["first", "last"])
def test_rapl_without_its_first_or_last_reading_has_none(tmp_path: Path, fails: str) -> None:
    root = write_tree(tmp_path, RAPL)
    file, clock = root / POWERCAP / "intel-rapl:0/energy_uj", Clock()
    meter = RaplMeter([file.parent], clock=clock)
    file.write_text("error" if fails == "first" else "900000", encoding="ascii")

    meter.begin()
    file.write_text("910000", encoding="ascii")
    clock.now = 1.0
    meter.sample()
    file.write_text("error" if fails == "last" else "920000", encoding="ascii")
    clock.now = 2.0

    assert meter.end() is None


def test_rapl_that_does_not_tell_where_it_starts_over_is_absent(tmp_path: Path) -> None:
    root = write_tree(tmp_path, RAPL)
    (root / POWERCAP / "intel-rapl:0:1/max_energy_range_uj").unlink()

    assert "does not tell where it starts over" in str(RaplMeter.find(root))


def test_rapl_leaves_out_what_would_be_counted_twice(tmp_path: Path) -> None:
    meter = RaplMeter.find(write_tree(tmp_path, RAPL))

    assert isinstance(meter, RaplMeter)
    assert meter.rails == ("intel-rapl:0 package-0", "intel-rapl:0:1 dram")


def test_rapl_for_root_alone_is_absent_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_tree(tmp_path, RAPL)

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)

    reason = RaplMeter.find(root)

    assert isinstance(reason, str)
    assert "permission denied" in reason
    assert "Fix: let your user read it" in reason


def test_jetson_input_rail_counts_alone(tmp_path: Path) -> None:
    root = write_tree(tmp_path, jetson_rails(["VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"]))

    meter = Ina3221Meter.find(root)

    assert isinstance(meter, Ina3221Meter)
    assert meter.rails == ("VDD_IN",)
    assert meter.watts() == pytest.approx(5.0 * 0.4)


@pytest.mark.parametrize(
    "rails",
    [["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"], ["VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"]],
    ids=["AGX Orin", "Thor"],
)
def test_jetson_rails_are_added_where_no_input_rail_is_measured(tmp_path: Path, rails: list[str]) -> None:
    root = write_tree(tmp_path, jetson_rails(rails) | jetson_rails(["NC", "VDDQ_VDD2_1V8AO", "NC"], hwmon="hwmon4"))

    meter = Ina3221Meter.find(root)

    assert isinstance(meter, Ina3221Meter)
    assert meter.rails == tuple(rails)
    assert meter.watts() == pytest.approx(5.0 * 0.4 * (1 + 2 + 3))


def test_jetson_power_is_integrated_from_the_first_to_the_last_reading(tmp_path: Path) -> None:
    root = write_tree(tmp_path, jetson_rails(["VDD_IN"]))
    folder = root / "sys/class/hwmon/hwmon3"
    clock = Clock()
    meter = Ina3221Meter({"VDD_IN": (folder / "in1_input", folder / "curr1_input")}, clock=clock)

    meter.begin()
    clock.now = 0.01
    meter.sample()  # too early: a reading costs time
    (folder / "curr1_input").write_text("1200\n", encoding="ascii")
    clock.now = 1.0
    meter.sample()
    clock.now = 2.0
    reading = meter.end()

    assert reading is not None
    assert reading.joules == pytest.approx((2.0 + 6.0) / 2 * 1.0 + 6.0 * 1.0)
    assert (reading.seconds, reading.samples) == (2.0, 3)


def test_jetson_with_unknown_rails_is_not_guessed_at(tmp_path: Path) -> None:
    root = write_tree(tmp_path, jetson_rails(["LEFT", "RIGHT"]))

    assert "unknown rails ['LEFT', 'RIGHT']" in str(Ina3221Meter.find(root))


def test_sensor_that_answers_with_an_error_is_absent(tmp_path: Path) -> None:
    root = write_tree(tmp_path, jetson_rails(["VDD_IN"]) | {"sys/class/hwmon/hwmon3/curr1_input": "error"})

    assert Ina3221Meter.find(root) == "the INA3221 power monitor cannot be read"


def test_gpu_is_read_by_its_own_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_command(tmp_path, "nvidia-smi", GPU_SCRIPT, monkeypatch)

    state = read_gpu(0)

    assert state is not None
    assert (state.clock_mhz, state.temperature_c, state.power_w, state.throttled) == (1980.0, 71.0, 62.0, True)
    assert process_memory_mib(4242) == 520.0
    assert process_memory_mib(1) is None


def test_older_driver_is_asked_by_the_older_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = 'case "$*" in *clocks_throttle_reasons*) echo "300, 40, 9.5, 0x0000000000000001" ;; *) exit 2 ;; esac'
    install_command(tmp_path, "nvidia-smi", script, monkeypatch)

    state = read_gpu(0)

    assert state is not None
    assert state.throttled is False  # idle is no throttling


def test_gpu_that_does_not_tell_is_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_command(tmp_path, "nvidia-smi", 'echo "[N/A], [N/A], [N/A], [N/A]"', monkeypatch)

    state = read_gpu(0)

    assert state is not None
    assert (state.clock_mhz, state.temperature_c, state.power_w, state.throttled) == (None, None, None, None)
    assert NvidiaSmiMeter.find(0) == "nvidia-smi does not tell the power"


def test_power_of_a_gpu_is_the_mean_of_what_the_process_beside_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_command(tmp_path, "nvidia-smi", GPU_SCRIPT, monkeypatch)
    meter = NvidiaSmiMeter.find(0)
    assert isinstance(meter, NvidiaSmiMeter)

    meter.begin()
    process = meter._process
    end = time.monotonic() + 30.0
    while not (tmp_path / "nvidia-smi.read").exists() and time.monotonic() < end:
        time.sleep(0.01)
    reading = meter.end()

    assert reading is not None
    assert reading.watts == pytest.approx(61.5)
    assert reading.samples  # those of the first readings are left out unless there are no others
    assert process is not None
    assert process.poll() is not None
    assert meter.end() is None


def test_readings_of_a_gpu_that_still_hold_what_was_before_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lagging = "i=$((i+1)); [ $i -le 12 ] && echo 9 || echo 80; [ $i = 20 ]"
    script = GPU_SCRIPT.replace("echo 61.5; i=$((i+1)); [ $i = 3 ]", lagging)
    install_command(tmp_path, "nvidia-smi", script, monkeypatch)
    meter = NvidiaSmiMeter(0)

    meter.begin()
    end = time.monotonic() + 30.0
    while not (tmp_path / "nvidia-smi.read").exists() and time.monotonic() < end:
        time.sleep(0.01)
    reading = meter.end()

    assert reading is not None
    assert reading.watts == pytest.approx(80.0)


def test_hosts_without_any_sensor_name_each_with_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))

    sensors = find_sensors(None, root=tmp_path)

    assert sensors.meter is None
    assert sensors.gpu_memory_mib is None
    assert (sensors.power.power_mode, sensors.power.governor, sensors.power.clocks_locked) == (None, None, None)
    assert list(sensors.absent) == sorted(
        ["cpu_clock", "energy", "governor", "gpu_clock", "gpu_memory", "power_mode", "temperature", "throttling"]
    )
    assert "no INA3221" in sensors.absent["energy"]
    assert "no RAPL" in sensors.absent["energy"]
    assert all(sensors.absent.values())
    reading = sensors.state.read()
    assert (reading.cpu_mhz, reading.gpu_mhz, reading.temperatures_c, reading.throttled) == (None, None, None, None)


@pytest.mark.parametrize(("listed", "is_read"), [("echo 0", True), ("echo 0; echo 1", False)])
def test_gpu_is_read_where_it_is_certain_which_one_executes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: str, is_read: bool
) -> None:
    script = GPU_SCRIPT.replace('case "$*" in', f'case "$*" in *gpu=index*) {listed} ;;')
    install_command(tmp_path / "bin", "nvidia-smi", script, monkeypatch)

    sensors = find_sensors(0, device="cuda", root=tmp_path)

    assert isinstance(sensors.meter, NvidiaSmiMeter) is is_read
    assert (sensors.state.read().gpu_mhz == 1980.0) is is_read
    assert ("several NVIDIA GPUs" in sensors.absent.get("energy", "")) is not is_read
    assert ("several NVIDIA GPUs" in sensors.absent.get("gpu_clock", "")) is not is_read


def test_state_of_an_orin_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_tree(tmp_path / "root", ORIN | jetson_rails(["VDD_IN"]))
    install_command(tmp_path / "bin", "nvpmodel", 'echo "NV Power Mode: 25W"; echo 1', monkeypatch)

    sensors = find_sensors(0, root=root)
    reading = sensors.state.read()

    assert (reading.cpu_mhz, reading.gpu_mhz) == (1400.0, 624.8)
    assert reading.temperatures_c == {"cpu-thermal": 51.187, "gpu-thermal": 49.5}  # the sleeping sensor is left out
    assert reading.throttled is False
    assert (sensors.power.power_mode, sensors.power.governor) == ("25W", "schedutil")
    assert sensors.power.clocks_locked is False
    made(sensors.meter, Ina3221Meter)
    assert sensors.absent == {"gpu_memory": "nvidia-smi does not list this process"}


@pytest.mark.parametrize(
    "change",
    [
        {"sys/class/thermal/cooling_device0/cur_state": "1"},
        {"sys/class/hwmon/hwmon1/oc3_event_cnt": "38"},
        {"sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count": "6"},
    ],
    ids=["heat alert", "over-current event", "x86 counter"],
)
def test_throttling_is_seen(tmp_path: Path, change: dict[str, str]) -> None:
    root = write_tree(tmp_path, ORIN | {"sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count": "5"})
    state = HostState(root)
    assert state.read().throttled is False

    write_tree(root, change)

    assert state.read().throttled is True


def test_counter_of_throttling_is_about_the_time_since_the_last_look(tmp_path: Path) -> None:
    root = write_tree(tmp_path, ORIN)
    state = HostState(root)
    write_tree(root, {"sys/class/hwmon/hwmon1/oc3_event_cnt": "40"})

    assert [state.read().throttled for _ in range(2)] == [True, False]


def test_clocks_are_locked_when_all_lowest_are_the_highest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    cpu, gpu = "sys/devices/system/cpu/cpu0/cpufreq/scaling_min_freq", "sys/class/devfreq/17000000.gpu/min_freq"
    root = write_tree(tmp_path, ORIN | {cpu: "1510400"})
    assert read_power_state(root)[0].clocks_locked is False

    write_tree(root, {gpu: "624750000"})

    assert read_power_state(root)[0].clocks_locked is True


def test_power_mode_that_needs_root_is_absent_with_what_the_command_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_command(tmp_path / "bin", "nvpmodel", 'echo "NVPM ERROR: please run as root" >&2; exit 1', monkeypatch)

    power, absent = read_power_state(tmp_path)

    assert power.power_mode is None
    assert absent["power_mode"] == "nvpmodel -q said: NVPM ERROR: please run as root"


def test_platform_profile_stands_in_for_a_power_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    root = write_tree(tmp_path, {"sys/firmware/acpi/platform_profile": "balanced"})

    assert read_power_state(root)[0].power_mode == "balanced"


@pytest.mark.parametrize(
    ("runtime", "provider", "device", "gpu"),
    [
        ("ort", None, "CPUExecutionProvider", None),
        ("ort", "cuda", "CUDAExecutionProvider", 0),
        ("ort", "tensorrt", "TensorrtExecutionProvider", 0),
        ("pytorch", "cuda", "cuda", 0),
        ("tensorrt", None, "Orin (SM 8.7), FP16", 0),
        ("tensorrt", "cuda:1", "NVIDIA RTX A4000 (SM 8.6)", 1),
        ("openvino", "GPU", "GPU", None),
        ("coreml", None, "cpu_and_ne", None),
        ("ort", None, None, None),
    ],
)
def test_sensors_of_a_gpu_are_for_runtimes_that_use_one(
    runtime: str, provider: str | None, device: str | None, gpu: int | None
) -> None:
    assert nvidia_gpu(runtime, provider, device) == gpu


def test_meter_is_that_of_what_executes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_command(tmp_path / "bin", "nvidia-smi", GPU_SCRIPT, monkeypatch)
    root = write_tree(tmp_path / "root", RAPL)

    made(find_meter(root, gpu=None), RaplMeter)
    made(find_meter(root, gpu=None, device="CPUExecutionProvider"), RaplMeter)
    made(find_meter(root, gpu=0, device="cuda"), NvidiaSmiMeter)
    for device in ("GPU", "GPU.1", "NPU", "DmlExecutionProvider", "ROCMExecutionProvider"):
        assert "RAPL measures the processor" in str(find_meter(root, gpu=None, device=device))
    write_tree(root, jetson_rails(["VDD_IN"]))
    made(find_meter(root, gpu=0), Ina3221Meter)


def test_resident_memory_of_this_process_is_read(tmp_path: Path) -> None:
    write_tree(tmp_path, {"proc/self/statm": "900000 25600 7000 5 0 60000 0"})

    mib = resident_mib(tmp_path)

    assert mib is not None
    assert mib > 0
    assert mib % 25 == 0  # 25,600 pages of 4, 16 or 64 KiB
    assert resident_mib(tmp_path / "absent") is None
