"""Energy and sustained runs, with a clock, a meter and a device that are made up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pixio_edge.bench.energy import IDLE_S, SETTLE_S, measure_energy
from pixio_edge.bench.energy_meters import EnergyMeter, EnergyReading
from pixio_edge.bench.host_state import HostState
from pixio_edge.bench.record_parts import PowerState
from pixio_edge.bench.sensors import Sensors
from pixio_edge.bench.sustained import BUCKETS, run_sustained
from tests.sysfs_tree import ORIN, write_tree

RUN_MS, SLOW_MS = 62.5, 125.0
"""Powers of two in seconds, so that made-up clocks add up exactly."""


class Device:
    """4 W at rest, 10 W while it works; each inference takes `ms`, and time passes only by working and sleeping."""

    def __init__(self, ms: Callable[[float], float] = lambda _: RUN_MS) -> None:
        self.now, self.joules, self._ms = 0.0, 0.0, ms

    def infer(self) -> None:
        seconds = self._ms(self.now) / 1e3
        self.joules += 10.0 * seconds
        self.now += seconds

    def sleep(self, seconds: float) -> None:
        self.joules += 4.0 * seconds
        self.now += seconds

    def clock(self) -> float:
        return self.now


class Meter(EnergyMeter):
    source = "made up"
    rails = ("all",)

    def __init__(self, device: Device, *, is_broken: bool = False) -> None:
        self._device, self._is_broken, self._begun = device, is_broken, (0.0, 0.0)
        self.begins: list[float] = []

    def begin(self) -> None:
        self._begun = (self._device.now, self._device.joules)
        self.begins.append(self._device.now)

    def sample(self) -> None: ...

    def end(self) -> EnergyReading | None:
        if self._is_broken:
            return None
        return EnergyReading(self._device.joules - self._begun[1], self._device.now - self._begun[0], None)


def test_energy_is_of_the_inferences_alone_and_above_idle() -> None:
    device = Device()
    meter = Meter(device)

    energy = measure_energy(device.infer, meter, loop_s=5.0, sleep=device.sleep, clock=device.clock)

    assert energy is not None
    assert energy.frames == 80  # 5 s of 62.5 ms
    assert energy.total_mj_per_frame == pytest.approx(10.0 * RUN_MS)
    assert energy.mj_per_frame == pytest.approx((10.0 - 4.0) * RUN_MS)
    assert (energy.mean_w, energy.idle_w, energy.source) == (pytest.approx(10.0), pytest.approx(4.0), "made up")
    assert meter.begins == [SETTLE_S, pytest.approx(SETTLE_S + IDLE_S, abs=0.06)]


def test_meter_that_lags_behind_is_given_time_to_settle_and_longer_windows() -> None:
    class Lagging(Meter):
        lag_s = 1.0

    device = Device()
    meter = Lagging(device)

    energy = measure_energy(device.infer, meter, loop_s=5.0, sleep=device.sleep, clock=device.clock)

    assert energy is not None
    assert energy.frames == 96  # 6 s of 62.5 ms
    assert meter.begins == [SETTLE_S + 1.0, pytest.approx(SETTLE_S + IDLE_S + 2.0, abs=0.06)]


def test_energy_is_null_when_the_meter_reads_nothing() -> None:
    device = Device()

    found = measure_energy(
        device.infer, Meter(device, is_broken=True), loop_s=1.0, sleep=device.sleep, clock=device.clock
    )

    assert found is None


def sensors_of(root: Path, meter: EnergyMeter | None) -> Sensors:
    power = PowerState(power_mode="15W", governor=None, clocks_locked=None)
    return Sensors(HostState(root), meter, power, None, {})


def test_sustained_run_shows_the_device_getting_slower_bucket_by_bucket(tmp_path: Path) -> None:
    root = write_tree(tmp_path, ORIN)

    def slow_after_five_minutes(now: float) -> float:
        if now == 300.0:
            write_tree(root, {"sys/class/thermal/cooling_device0/cur_state": "1"})
        return RUN_MS if now < 300.0 else SLOW_MS

    device = Device(slow_after_five_minutes)
    said: list[str] = []

    long = run_sustained(device.infer, 600.0, sensors_of(root, Meter(device)), notify=said.append, clock=device.clock)

    assert len(long.buckets) == BUCKETS
    assert long.seconds == 600.0
    assert long.runs == sum(bucket.runs for bucket in long.buckets)
    assert (long.first_p50_ms, long.last_p50_ms) == (RUN_MS, SLOW_MS)
    assert long.p99_ms == SLOW_MS
    assert [bucket.throttled for bucket in long.buckets] == [False] * 30 + [True] * 30
    assert (long.throttled, long.power_mode) == (True, "15W")
    assert [bucket.start_s for bucket in long.buckets] == sorted(bucket.start_s for bucket in long.buckets)
    assert all(bucket.seconds == 10.0 for bucket in long.buckets)
    assert {bucket.power_w for bucket in long.buckets} == {10.0}
    assert long.buckets[0].cpu_mhz == 1400.0
    assert long.buckets[0].temperatures_c == {"cpu-thermal": 51.187, "gpu-thermal": 49.5}
    assert said[0] == "sustained 10 of 600 s, p50 62.5 ms"


def test_sustained_run_without_sensors_has_times_and_nulls(tmp_path: Path) -> None:
    device = Device()

    long = run_sustained(device.infer, 3.0, sensors_of(tmp_path, None), notify=lambda _: None, clock=device.clock)

    assert [bucket.runs for bucket in long.buckets] == [16, 16, 16]
    assert long.throttled is None
    bucket = long.buckets[0]
    assert (bucket.cpu_mhz, bucket.gpu_mhz, bucket.temperatures_c, bucket.power_w) == (None, None, None, None)


def test_sustained_run_of_a_step_longer_than_a_bucket_has_one_run_each(tmp_path: Path) -> None:
    device = Device(lambda _: 2500.0)

    long = run_sustained(device.infer, 5.0, sensors_of(tmp_path, None), notify=lambda _: None, clock=device.clock)

    assert [bucket.runs for bucket in long.buckets] == [1, 1]
