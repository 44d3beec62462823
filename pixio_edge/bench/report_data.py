"""The records that a report is about: read from files, grouped by the device that they were measured on."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path, PurePath
from typing import Any, TypeAlias

from pixio_edge._version import __version__
from pixio_edge.bench.record import BenchRecord, read_records
from pixio_edge.errors import InputError

Identity: TypeAlias = tuple[str, ...]

# What makes a machine the same one to a report. Not its packages or its kernel, which a comparison may be about.
IDENTITY_FACTS = ("arch", "cpu", "logical_cores", "gpus")


@dataclass(frozen=True, slots=True)
class Combination:
    """What was measured where. Two records that are equal in this answer the same question.

    Args:
        identity: Of the host, as `identify` gives it; empty when hosts do not count.
        bundle: Name of the bundle.
        artifact: Name of the artifact.
        runtime: Name of the runtime.
        provider: Device library that was asked for.
        precision: Precision it was executed in.
        size: Input (height, width).
        threads: Threads of one inference.
        batch: Requests in flight at once.
        pin_cores: Hardware threads that it was bound to.
        frame: (height, width) of the frames of whole predictions.
        power_mode: Of the host while it was measured; None where it has none.
    """

    identity: Identity
    bundle: str
    artifact: str
    runtime: str
    provider: str | None
    precision: str
    size: tuple[int, int]
    threads: int | None
    batch: int
    pin_cores: tuple[int, ...] | None
    frame: tuple[int, int]
    power_mode: str | None

    def describe(self) -> str:
        """All but the host, for a person."""
        provider = [] if self.provider is None else [f"on {self.provider}"]
        threads = [] if self.threads is None else [f"{self.threads} threads" if self.threads > 1 else "1 thread"]
        batch = [] if self.batch == 1 else [f"batch {self.batch}"]
        mode = [] if self.power_mode is None else [f"at {self.power_mode}"]
        return " ".join([self.bundle, self.artifact, self.runtime, *provider, self.precision, *threads, *batch, *mode])


@dataclass(frozen=True, slots=True)
class Device:
    """A machine and what was measured on it.

    Args:
        name: Its processor and accelerators; unique within a report.
        identity: What tells it from others.
        records: One for each combination, the newest: first those that have times, fastest first, then the others.
        long: Of each combination, the newest record with a sustained run, which a later one without does not replace.
        replaced: Number of older records of the same combinations, which are not in `records`.
    """

    name: str
    identity: Identity
    records: tuple[BenchRecord, ...]
    long: tuple[BenchRecord, ...]
    replaced: int

    @property
    def timed(self) -> tuple[BenchRecord, ...]:
        """Those that have times, fastest first."""
        return tuple(record for record in self.records if median_ms(record) is not None)


@dataclass(frozen=True, slots=True)
class Report:
    """What a report shows.

    Args:
        devices: By name.
        bundles: Names by what records call their bundle.
        files: Names of the files that the records are of, without their folders.
        created: ISO 8601 UTC time of the report.
        tool: Version of this package that made it.
    """

    devices: tuple[Device, ...]
    bundles: dict[str, str]
    files: tuple[str, ...]
    created: str
    tool: str

    @property
    def records(self) -> tuple[BenchRecord, ...]:
        """Those of all devices."""
        return tuple(record for device in self.devices for record in device.records)


def make_report(records: Sequence[BenchRecord], files: Sequence[Path]) -> Report:
    """Order records for a report.

    Args:
        records: All of them.
        files: Where they were read.
    """
    return Report(
        devices=group_devices(records),
        bundles=bundle_names(records),
        files=tuple(dict.fromkeys(path.name for path in files)),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        tool=f"pixio-edge {__version__}",
    )


def load_records(paths: Sequence[Path]) -> list[BenchRecord]:
    """All records of all files: JSON lines, or what `benchmark --json` prints.

    Raises:
        InputError: A file is missing, empty, or holds something else.
    """
    records = []
    for path in paths:
        found = read_printed(path) if _is_printed(path) else read_records(path)
        if not found:
            raise InputError(
                f"{path}: got no record, expected one on each line. Fix: name a file written by 'pixio-edge benchmark'"
            )
        records += found
    return records


def read_printed(path: Path) -> list[BenchRecord]:
    """Records of a file that holds one JSON value: a list, or an object with the list as `records`.

    Raises:
        InputError: It is not JSON, has no list, or an item is not a record.
    """
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error}). Fix: write the file again") from error
    items = content.get("records") if isinstance(content, dict) else content
    if not isinstance(items, list):
        raise InputError(f"{path}: got no list of records. Fix: name a file written by 'pixio-edge benchmark'")
    records = []
    for number, item in enumerate(items, start=1):
        try:
            records.append(BenchRecord.from_json(item))
        except InputError as error:
            raise InputError(f"{path}, item {number}: {error}") from error
    return records


def group_devices(records: Sequence[BenchRecord]) -> tuple[Device, ...]:
    """Devices by name, each with the newest record of every combination."""
    groups: dict[Identity, list[BenchRecord]] = defaultdict(list)
    for record in records:
        groups[identify(record)].append(record)
    names = _unique({identity: device_name(group[0].host) for identity, group in groups.items()})
    bundles = bundle_names(records)
    devices = []
    for identity, group in groups.items():
        ordered = _newest(group, bundles)
        long = _newest([record for record in group if record.sustained is not None], bundles)
        devices.append(Device(names[identity], identity, ordered, long, len(group) - len(ordered)))
    return tuple(sorted(devices, key=lambda device: device.name.casefold()))


def combination_of(record: BenchRecord, bundles: dict[str, str], *, with_host: bool = True) -> Combination:
    """What a record measured.

    Args:
        record: The record.
        bundles: Names by what a record calls its bundle, as `bundle_names` gives them.
        with_host: Whether the host counts.
    """
    return Combination(
        identity=identify(record) if with_host else (),
        bundle=bundles[record.bundle],
        artifact=record.artifact,
        runtime=record.runtime,
        provider=record.provider,
        precision=record.precision,
        size=record.size,
        threads=record.threads,
        batch=record.batch,
        pin_cores=record.pin_cores,
        frame=record.frame,
        power_mode=power_mode(record),
    )


def bundle_names(records: Iterable[BenchRecord]) -> dict[str, str]:
    """Name by what records call a bundle: of a folder its last part, unless two folders share that."""
    folders = {record.bundle for record in records}
    last = {folder: PurePath(folder.replace("\\", "/")).name or folder for folder in folders}
    shared = {name for name in last.values() if list(last.values()).count(name) > 1}
    return {folder: folder if name in shared else name for folder, name in last.items()}


def identify(record: BenchRecord) -> Identity:
    """What tells the host of a record from others; of a Jetson its board, as a power mode may switch cores off."""
    board = _board(record.host)
    if board is not None:
        return str(record.host.get("arch")), board
    return tuple(str(record.host.get(fact)) for fact in IDENTITY_FACTS)


def power_mode(record: BenchRecord) -> str | None:
    """Power mode of the host while it was measured; None where it has none or none was read."""
    return None if record.power is None else record.power.power_mode


def made_at(record: BenchRecord) -> datetime:
    """When a record was made; one that does not say so is older than all others."""
    try:
        made = datetime.fromisoformat(record.created.replace("Z", "+00:00"))
    except ValueError:
        return datetime.min.replace(tzinfo=timezone.utc)
    return made if made.tzinfo is not None else made.replace(tzinfo=timezone.utc)


def device_name(host: dict[str, Any]) -> str:
    """Processor with its cores, then the GPUs; several equal ones once. Of a Jetson, the board, which says it all."""
    cpu, cores, gpus = host.get("cpu") or "unknown processor", host.get("physical_cores"), host.get("gpus")
    processor = f"{cpu}, {cores} cores" if isinstance(cores, int) and cores > 1 else str(cpu)
    names = list(dict.fromkeys(map(str, gpus))) if isinstance(gpus, list) else []
    return _board(host) or " + ".join([processor, *names])


def _board(host: dict[str, Any]) -> str | None:
    """Name of a Jetson; None of another host."""
    gpus = host.get("gpus")
    names = map(str, gpus) if isinstance(gpus, list) else ()
    return next((name for name in names if "jetson" in name.casefold()), None)


def median_ms(record: BenchRecord) -> float | None:
    """Median of one inference, where there is one that can be drawn: finite and above 0."""
    return usable(record.p50_ms)


def usable(value: float | None) -> float | None:
    """A number that can be put on an axis, or None."""
    return value if value is not None and math.isfinite(value) and value > 0 else None


def finite(value: float | None) -> float | None:
    """A number that is one, or None."""
    return value if value is not None and math.isfinite(value) else None


def is_noisy(record: BenchRecord) -> bool:
    """Whether the record itself says that its times are not to be trusted."""
    return record.noise is not None and record.noise.noisy


def _is_printed(path: Path) -> bool:
    """Whether a file begins as one indented value; one that cannot be read is left to `read_records` to complain."""
    try:
        with path.open("rb") as file:
            return file.read(64).lstrip().startswith((b"[", b"{\n", b"{\r"))
    except OSError:
        return False


def _newest(records: Sequence[BenchRecord], bundles: dict[str, str]) -> tuple[BenchRecord, ...]:
    """The newest record of each combination, fastest first."""
    ordered = sorted(records, key=made_at)
    return tuple(sorted({combination_of(record, bundles): record for record in ordered}.values(), key=_order))


def _order(record: BenchRecord) -> tuple[bool, float, str, str]:
    time = median_ms(record)
    return time is None, time or 0.0, record.runtime, record.artifact


def _unique(names: dict[Identity, str]) -> dict[Identity, str]:
    """The same names, numbered where two devices share one."""
    used: dict[str, int] = defaultdict(int)
    shared = {name for name in names.values() if list(names.values()).count(name) > 1}
    result = {}
    for identity, name in names.items():
        used[name] += 1
        result[identity] = f"{name} ({used[name]})" if name in shared else name
    return result
