"""The record of a measurement, from what was measured and what is known of artifact and host."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import numpy as np

from pixio_edge import env
from pixio_edge._version import __version__
from pixio_edge.bench.accuracy import stated_accuracy
from pixio_edge.bench.host_state import read_power_state
from pixio_edge.bench.noise import MIN_WINDOW_S
from pixio_edge.bench.record import BenchRecord
from pixio_edge.bench.record_parts import Memory
from pixio_edge.bench.revision import find_commit
from pixio_edge.engine_cache import list_records
from pixio_edge.host import probe_host
from pixio_edge.runtimes.built import ENGINE_KIND

if TYPE_CHECKING:
    from pixio_edge.bench.plan import BenchPlan
    from pixio_edge.bench.record import Status
    from pixio_edge.bench.record_parts import Energy, Noise, PowerState, Sustained
    from pixio_edge.bench.sensors import Sensors
    from pixio_edge.bench.timing import Timed
    from pixio_edge.bundle import Bundle
    from pixio_edge.manifest import ArtifactEntry
    from pixio_edge.parity import ParityReport
    from pixio_edge.runtimes.base import RuntimeInfo

TOOL = f"pixio-edge {__version__}"
PERCENTILES = (50, 90, 99)


@dataclass(slots=True)
class Measured:
    """Filled step by step, so that a record of a failure keeps what was measured before it. See `BenchRecord`."""

    load_average: float | None = None
    rss_before_mib: float | None = None
    load_ms: float | None = None
    first_ms: float | None = None
    rss_loaded_mib: float | None = None
    parity: ParityReport | None = None
    info: RuntimeInfo | None = None
    infer: Timed | None = None
    parts: Timed | None = None
    noise: Noise | None = None
    peak_rss_mib: float | None = None
    gpu_mib: float | None = None
    energy: Energy | None = None
    sustained: Sustained | None = None
    power: PowerState | None = None
    absent: dict[str, str] | None = None

    def keep(self, sensors: Sensors, seconds: float) -> None:
        """Note what the host has, and what it does not; `seconds` is how long the timed loops took."""
        self.power, self.absent, self.gpu_mib = sensors.power, dict(sensors.absent), sensors.gpu_memory_mib
        if seconds < MIN_WINDOW_S:
            why = f"timed for {seconds:.2f} s, expected {MIN_WINDOW_S:g} or more to tell the work of others"
            self.absent |= {"noise": why}


def make_record(plan: BenchPlan, bundle: Bundle, measured: Measured, status: Status, reason: str | None) -> BenchRecord:
    """Put everything into a record."""
    artifact = bundle.artifact(plan.artifact)
    return BenchRecord(
        **_of_plan(plan, bundle, artifact),
        **_of_times(measured),
        **_of_runtime(plan, measured.info),
        status=status,
        reason=reason,
        memory=_memory(measured),
        peak_rss_mib=_rounded(measured.peak_rss_mib),
        energy_mj=None if measured.energy is None else measured.energy.mj_per_frame,
        energy=measured.energy,
        sustained=measured.sustained,
        noise=measured.noise,
        parity=None if measured.parity is None else measured.parity.to_json(),
        accuracy=stated_accuracy(bundle, artifact, plan.precision),
        power=measured.power,
        absent=measured.absent,
        host=probe_host().to_json(),
        git_commit=find_commit(),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )


def measurement_key(plan: BenchPlan, bundle: Bundle) -> str:
    """Digest of all that decides a measurement: equal keys need not be measured twice.

    The plan without the place of the bundle, the files of the artifact, the engines that were built of it here, the
    version of this package, the host with the versions of its engines, and its power mode, governor and whether clocks
    are held. A commit is no part of it: in a checkout, `--force` measures changed code again.
    """
    artifact = bundle.artifact(plan.artifact)
    facts = {name: value for name, value in plan.to_json().items() if name != "bundle"}
    facts["threads"] = env.threads() if plan.threads is None else plan.threads
    engines = sorted(record.sha256 for record in list_records(artifact)) if artifact.kind == ENGINE_KIND else []
    power, _ = read_power_state()
    known = [facts, _file_digests(artifact), artifact.golden, engines, TOOL, probe_host().to_json(), power.model_dump()]
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def _of_plan(plan: BenchPlan, bundle: Bundle, artifact: ArtifactEntry) -> dict[str, Any]:
    digests, patch = _file_digests(artifact), bundle.manifest.image.multiple_of
    return {
        "key": measurement_key(plan, bundle),
        "bundle": plan.bundle,
        "model": bundle.manifest.model.name,
        "parameters": bundle.manifest.model.parameters,
        "artifact": artifact.name,
        "artifact_kind": artifact.kind,
        "artifact_sha256": hashlib.sha256("".join(digests).encode()).hexdigest(),
        "artifact_bytes": artifact.bytes + sum(entry.bytes for entry in artifact.data),
        "provider": plan.provider,
        "precision": plan.precision,
        "size": artifact.size,
        "tokens": (artifact.size[0] // patch) * (artifact.size[1] // patch),
        "pin_cores": plan.pin_cores,
        "batch": plan.batch,
        "frame": plan.frame,
        "warmup": plan.warmup,
        "tool": TOOL,
    }


def _of_runtime(plan: BenchPlan, info: RuntimeInfo | None) -> dict[str, Any]:
    nodes = None if info is None else info.nodes_by_device
    return {
        "runtime": plan.runtime,
        "runtime_version": None if info is None else info.version,
        "device": None if info is None else info.device,
        "threads": None if info is None else info.threads,
        "providers": None if nodes is None else dict(nodes),
        "fallbacks": None if info is None else info.fallbacks,
        "int8_ops": None if info is None else info.int8_ops,
        "float_ops": None if info is None else info.float_ops,
    }


def _of_times(measured: Measured) -> dict[str, Any]:
    times = None if measured.infer is None else measured.infer.rows[:, 0]
    parts = None if measured.parts is None else measured.parts.rows
    pre, infer, post = (None, None, None) if parts is None else np.median(parts, axis=0)
    whole = None if parts is None else parts.sum(axis=1)
    p50, p90, p99 = (None, None, None) if times is None else np.percentile(times, PERCENTILES)
    whole_p50, whole_p90, whole_p99 = (None, None, None) if whole is None else np.percentile(whole, PERCENTILES)
    values = {
        "load_ms": measured.load_ms,
        "first_ms": measured.first_ms,
        "min_ms": None if times is None else times.min(),
        "p50_ms": p50,
        "p90_ms": p90,
        "p99_ms": p99,
        "throughput_fps": None if measured.infer is None else measured.infer.per_second,
        "pre_ms": pre,
        "infer_ms": infer,
        "post_ms": post,
        "predict_p50_ms": whole_p50,
        "predict_p90_ms": whole_p90,
        "predict_p99_ms": whole_p99,
        "fps": None if whole_p50 is None else 1e3 / whole_p50,
    }
    rounded = {name: _rounded(value) for name, value in values.items()}
    listed = None if times is None else tuple(round(float(time), 3) for time in times)
    return rounded | {"times_ms": listed, "runs": 0 if listed is None else len(listed)}


def _memory(measured: Measured) -> Memory | None:
    if measured.rss_loaded_mib is None and measured.peak_rss_mib is None:
        return None
    return Memory(
        rss_before_mib=_rounded(measured.rss_before_mib),
        rss_loaded_mib=_rounded(measured.rss_loaded_mib),
        peak_rss_mib=_rounded(measured.peak_rss_mib),
        gpu_mib=_rounded(measured.gpu_mib),
    )


def _file_digests(artifact: ArtifactEntry) -> list[str]:
    return [artifact.sha256, *(entry.sha256 for entry in artifact.data)]


def _rounded(value: float | None) -> float | None:
    """Microseconds are the most that a clock and a scheduler are good for."""
    return None if value is None else round(float(value), 3)
