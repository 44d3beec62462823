"""Energy of one inference: a loop of its own beside a meter, after a look at what the idle host takes."""

from __future__ import annotations

import time
from time import perf_counter
from typing import TYPE_CHECKING

from pixio_edge.bench.record_parts import Energy

if TYPE_CHECKING:
    from collections.abc import Callable

    from pixio_edge.bench.energy_meters import EnergyMeter, EnergyReading

LOOP_S = 5.0
"""Several hundred inferences of a fast engine. As all windows here, it is longer by the meter's lag."""

IDLE_S = 2.0
SETTLE_S = 0.5
"""Thread pools of the engines spin for some milliseconds after an inference, and clocks take a while to fall."""

IDLE_STEP_S = 0.05


def measure_energy(
    step: Callable[[], object],
    meter: EnergyMeter,
    *,
    loop_s: float = LOOP_S,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = perf_counter,
) -> Energy | None:
    """Energy of `step`, read right before the first and right after the last of a loop; None if nothing could be read.

    Args:
        step: One inference.
        meter: From `energy_meters.find_meter`.
        loop_s: Length of the loop.
        sleep: As `time.sleep`.
        clock: As `time.perf_counter`.
    """
    sleep(SETTLE_S + meter.lag_s)
    idle = _read_idle(meter, sleep, clock)
    frames, end = 0, clock() + loop_s + meter.lag_s
    meter.begin()
    while frames == 0 or clock() < end:
        step()
        frames += 1
        meter.sample()
    busy = meter.end()
    if busy is None:
        return None
    total_mj = busy.joules / frames * 1e3
    idle_w = None if idle is None else idle.watts
    above_idle_mj = total_mj if idle_w is None else total_mj - idle_w * busy.seconds / frames * 1e3
    return Energy(
        source=meter.source,
        rails=meter.rails,
        seconds=round(busy.seconds, 3),
        frames=frames,
        mean_w=round(busy.watts, 3),
        idle_w=None if idle_w is None else round(idle_w, 3),
        mj_per_frame=round(above_idle_mj, 3),
        total_mj_per_frame=round(total_mj, 3),
        samples=busy.samples,
    )


def _read_idle(meter: EnergyMeter, sleep: Callable[[float], None], clock: Callable[[], float]) -> EnergyReading | None:
    meter.begin()
    end = clock() + IDLE_S + meter.lag_s
    while clock() < end:
        sleep(IDLE_STEP_S)
        meter.sample()
    return meter.end()
