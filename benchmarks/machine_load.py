"""How busy other processes kept the machine during a measurement, so that its record can say so."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import psutil  # type: ignore[import-untyped]

# What the kernel and an idle desktop take; measured at 0.01 on the machine of the records when nothing else ran.
QUIET_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class LoadReading:
    """Processor time at one moment, in seconds.

    Attributes:
        wall: Of the clock.
        busy: Of all processes, on all cores.
        own: Of this process.
    """

    wall: float
    busy: float
    own: float

    @classmethod
    def now(cls) -> LoadReading:
        """Read the counters of the system."""
        times, own = psutil.cpu_times(), psutil.Process().cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        # Time of guests is contained in that of users on Linux.
        total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        return cls(time.monotonic(), total - idle, own.user + own.system + own.children_user + own.children_system)


def load_since(before: LoadReading) -> dict[str, Any]:
    """Fields of a record: the share of all cores that other processes used since a reading, and whether that is much.

    Children count as this process once they have ended.
    """
    now = LoadReading.now()
    cores = psutil.cpu_count() or 1
    others = (now.busy - before.busy) - (now.own - before.own)
    share = max(0.0, others / max(1e-9, (now.wall - before.wall) * cores))
    return {"others_cpu_share": round(share, 3), "loaded": share > QUIET_SHARE}


def load_note(record: dict[str, Any]) -> str:
    """What a table says of it: nothing when the machine was quiet."""
    if not record.get("loaded"):
        return ""
    return f"**loaded machine: other processes used {record['others_cpu_share']:.0%} of it, times are too long**; "
