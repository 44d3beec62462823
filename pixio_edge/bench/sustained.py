"""A long run without a pause, in stretches: what is left of the speed when the device is warm."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from pixio_edge.bench.record_parts import Bucket, Sustained

if TYPE_CHECKING:
    from collections.abc import Callable

    from pixio_edge.bench.energy_meters import EnergyMeter
    from pixio_edge.bench.sensors import Sensors

BUCKETS = 60
"""Stretches of a run: with ten minutes, one for each ten seconds."""

MIN_BUCKET_S = 1.0
"""The sensors are read between two stretches, which takes up to some tenths of a second where nvidia-smi is asked."""


def run_sustained(
    step: Callable[[], object],
    seconds: float,
    sensors: Sensors,
    *,
    notify: Callable[[str], None],
    clock: Callable[[], float] = perf_counter,
) -> Sustained:
    """Run `step` again and again, and read the sensors after each stretch.

    Args:
        step: One inference.
        seconds: For how long; at least one stretch is run.
        sensors: Of this host.
        notify: Called with a line of progress after each stretch.
        clock: As `time.perf_counter`.
    """
    length = max(MIN_BUCKET_S, seconds / BUCKETS)
    sensors.state.read()  # throttling is counted from here
    start = clock()
    buckets: list[Bucket] = []
    times: list[list[float]] = []
    while not buckets or clock() - start < seconds - length / 2:
        bucket, found = _run_bucket(step, length, sensors, start, clock)
        buckets.append(bucket)
        times.append(found)
        notify(f"sustained {clock() - start:.0f} of {seconds:.0f} s, p50 {bucket.p50_ms:.1f} ms")
    all_times = np.concatenate(times)
    p50, p99 = np.percentile(all_times, (50, 99))
    throttled = [bucket.throttled for bucket in buckets if bucket.throttled is not None]
    return Sustained(
        seconds=round(clock() - start, 3),
        runs=len(all_times),
        p50_ms=round(float(p50), 3),
        p99_ms=round(float(p99), 3),
        first_p50_ms=buckets[0].p50_ms,
        last_p50_ms=buckets[-1].p50_ms,
        throttled=any(throttled) if throttled else None,
        power_mode=sensors.power.power_mode,
        buckets=tuple(buckets),
    )


def _run_bucket(
    step: Callable[[], object], length: float, sensors: Sensors, origin: float, clock: Callable[[], float]
) -> tuple[Bucket, list[float]]:
    meter: EnergyMeter | None = sensors.meter
    if meter is not None:
        meter.begin()
    start = clock()
    times: list[float] = []
    while not times or clock() - start < length:
        before = clock()
        step()
        times.append((clock() - before) * 1e3)
        if meter is not None:
            meter.sample()
    seconds = clock() - start
    power = None if meter is None else meter.end()
    reading = sensors.state.read()
    p50, p99 = np.percentile(times, (50, 99))
    bucket = Bucket(
        start_s=round(start - origin, 3),
        seconds=round(seconds, 3),
        runs=len(times),
        p50_ms=round(float(p50), 3),
        p99_ms=round(float(p99), 3),
        cpu_mhz=reading.cpu_mhz,
        gpu_mhz=reading.gpu_mhz,
        temperatures_c=reading.temperatures_c,
        throttled=reading.throttled,
        power_w=None if power is None else round(power.watts, 3),
    )
    return bucket, times
