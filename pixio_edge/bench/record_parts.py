"""The parts of a benchmark record that are records themselves."""

from __future__ import annotations

from pydantic import JsonValue

from pixio_edge.manifest_base import Record


class Noise(Record):
    """How much the machine disturbed the timed inferences, and whether the times are to be trusted.

    Attributes:
        mad_ms: Median absolute deviation of the timed inferences, milliseconds.
        load_average: One-minute load of the machine when the measurement began; in a sweep, the measurement before this
            one is part of it. Null where the system has none.
        other_cpu_cores: Cores that other processes kept busy during the timed loops, bare inferences and whole frames,
            on average; null where the system does not tell, or in less than half a second.
        involuntary_switches: How often the system took the processor away from a thread of this process meanwhile; null
            where it does not tell.
        noisy: Whether a limit of `bench.noise` was exceeded.
        reasons: Which limits, one phrase each.
    """

    mad_ms: float
    load_average: float | None
    other_cpu_cores: float | None
    involuntary_switches: int | None
    noisy: bool
    reasons: tuple[str, ...]


class Memory(Record):
    """Memory of the process that did only this, in MiB; each null where the host does not tell.

    Attributes:
        rss_before_mib: Resident before the engine was imported.
        rss_loaded_mib: Resident after loading and the first inference.
        peak_rss_mib: Largest resident memory until the timed inferences ended. Nothing that was compiled earlier is
            used, so it is that of a first load.
        gpu_mib: Memory that this process held on NVIDIA GPUs after the timed inferences, as nvidia-smi says.
    """

    rss_before_mib: float | None
    rss_loaded_mib: float | None
    peak_rss_mib: float | None
    gpu_mib: float | None


class Energy(Record):
    """Energy from the first to the last inference of a loop of its own, after the timed ones.

    Attributes:
        source: Where it was read: "rapl", "ina3221" or "nvidia-smi".
        rails: Names of the counters or rails that were added up.
        seconds: Length of the loop.
        frames: Inferences in it.
        mean_w: Power during the loop, watts, idle included.
        idle_w: Power before it, with the runtime loaded and nothing to do, watts; null when it could not be measured.
        mj_per_frame: Energy of one inference above idle, millijoules; with idle included when `idle_w` is null.
        total_mj_per_frame: Energy of one inference with idle included, millijoules.
        samples: Readings of power; null for counters of energy, which need only two.
    """

    source: str
    rails: tuple[str, ...]
    seconds: float
    frames: int
    mean_w: float
    idle_w: float | None
    mj_per_frame: float
    total_mj_per_frame: float
    samples: int | None


class Bucket(Record):
    """One stretch of a sustained run; sensors are read at its end, each null where the host has none.

    Attributes:
        start_s: Seconds from the start of the run.
        seconds: Its length.
        runs: Inferences in it.
        p50_ms: Median of these.
        p99_ms: 99th percentile of these.
        cpu_mhz: Mean clock of all processors of the host, those without work included.
        gpu_mhz: Clock of the GPU.
        temperatures_c: Degrees Celsius by name of the sensor.
        throttled: Whether a limit of heat, current or power held the clocks back during it.
        power_w: Power at its end, or over it where the host counts energy, watts.
    """

    start_s: float
    seconds: float
    runs: int
    p50_ms: float
    p99_ms: float
    cpu_mhz: float | None
    gpu_mhz: float | None
    temperatures_c: dict[str, float] | None
    throttled: bool | None
    power_w: float | None


class Sustained(Record):
    """Inference after inference for a long time.

    Attributes:
        seconds: How long it ran.
        runs: Inferences in it.
        p50_ms: Median over the whole run.
        p99_ms: 99th percentile over the whole run.
        first_p50_ms: Median of the first bucket.
        last_p50_ms: Median of the last bucket.
        throttled: Whether any bucket was throttled; null where the host does not tell.
        power_mode: Power mode when it began, such as "MAXN" of nvpmodel; null where the host has none.
        buckets: The run in stretches of equal length, oldest first.
    """

    seconds: float
    runs: int
    p50_ms: float
    p99_ms: float
    first_p50_ms: float
    last_p50_ms: float
    throttled: bool | None
    power_mode: str | None
    buckets: tuple[Bucket, ...]


class AccuracyRecord(Record):
    """Accuracy of this artifact on images with known depth.

    Attributes:
        delta1: Share of pixels within 25 % after alignment, macro mean over the sets, 0 to 1. From a manifest it is of
            the whole ladder, each image at the size that suits it, and not of the size of the record.
        abs_rel: Mean relative error after alignment, macro mean over the sets.
        images: Images that count; null where the source does not tell.
        sets: Names of the sets.
        source: "measured" in this sweep, or "manifest".
        on: On what: the data folder, or what the manifest says of it.
    """

    delta1: float | None
    abs_rel: float | None
    images: int | None
    sets: tuple[str, ...]
    source: str
    on: str


class PowerState(Record):
    """Settings of the host that decide its speed; each null where the host has none.

    Attributes:
        power_mode: Of nvpmodel on a Jetson, such as "MAXN", or the platform profile of a laptop.
        governor: Governor of the processors' clocks, such as "performance".
        clocks_locked: Whether the clocks are held at one value, as `jetson_clocks` does: lowest and highest equal.
    """

    power_mode: str | None
    governor: str | None
    clocks_locked: bool | None


JsonObject = dict[str, JsonValue]
