"""What was measured, and where it is kept: one JSON object on each line of a file that only grows."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from pixio_edge.errors import InputError, OutputError

if TYPE_CHECKING:
    from pathlib import Path

OK = "ok"


@dataclass(frozen=True, slots=True)
class BenchRecord:
    """One measurement. Times are in milliseconds, and None when `status` is not "ok".

    Args:
        runtime: Name in `registry.RUNTIMES`.
        artifact: Name of the artifact.
        precision: Precision it was executed in.
        size: Input (height, width).
        threads: Threads that the engine said it uses; None when it did not start.
        p50_ms: Median of one inference, on an input that is prepared already.
        p90_ms: 90th percentile of the same.
        p99_ms: 99th percentile of the same.
        load_ms: From nothing to a runtime that can run: import of the engine, hashing, reading, optimising.
        first_ms: The first inference after that.
        pre_ms: Median of preparing a frame of size `frame`, within whole predictions.
        infer_ms: Median of the inference within whole predictions.
        post_ms: Median of restoring the depth to the size of the frame, within whole predictions.
        fps: Whole predictions in a second, one after the other, by the median.
        peak_rss_mib: Largest resident memory of the process that did only this.
        status: "ok", or why there are no times: "mismatch: …" when the output was wrong, "unavailable: …" when it could
            not run, "error: …" when the process died.
        int8_ops: Matrix products and convolutions that executed in INT8.
        float_ops: Matrix products and convolutions that executed in a float type.
        host: Facts about the machine, as `Host.to_json`.
        bundle: Name or folder of the bundle.
        device: What executed.
        runtime_version: Version of the engine.
        tool: Version of this package.
        frame: (height, width) of the frames.
        runs: Inferences that count.
        load_average: Load of the machine when the measurement began; above 0.5 on an otherwise idle machine, times are
            not to be trusted.
        created: ISO 8601 UTC time.
        parity: What was measured against the stored output, before timing.
    """

    runtime: str
    artifact: str
    precision: str
    size: tuple[int, int]
    threads: int | None
    p50_ms: float | None
    p90_ms: float | None
    p99_ms: float | None
    load_ms: float | None
    first_ms: float | None
    pre_ms: float | None
    infer_ms: float | None
    post_ms: float | None
    fps: float | None
    peak_rss_mib: float | None
    status: str
    int8_ops: int | None
    float_ops: int | None
    host: dict[str, Any]
    bundle: str
    device: str | None
    runtime_version: str | None
    tool: str
    frame: tuple[int, int]
    runs: int
    load_average: float | None
    created: str
    parity: dict[str, Any] | None

    @property
    def is_ok(self) -> bool:
        """Whether there are times."""
        return self.status == OK

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> BenchRecord:
        """Read what `to_json` wrote.

        Raises:
            InputError: A field is missing or unknown.
        """
        names = {field.name for field in fields(cls)}
        if not isinstance(content, dict) or set(content) != names:
            got = sorted(set(content) ^ names) if isinstance(content, dict) else type(content).__name__
            raise InputError(
                f"benchmark record: fields {got} missing or unknown, expected those of this release. "
                "Fix: measure again, or read it with the release that wrote it"
            )
        return cls(**(content | {"size": tuple(content["size"]), "frame": tuple(content["frame"])}))


def append_record(path: Path, record: BenchRecord) -> None:
    """Add one line to a file of records, which is created if needed; on failure the file is as it was.

    Raises:
        OutputError: The file cannot be written.
    """
    line = json.dumps(record.to_json(), sort_keys=True, ensure_ascii=False).encode() + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            before = file.tell()
            try:
                file.write(line)
                file.flush()
            except OSError:
                file.truncate(before)
                raise
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}). Fix: choose a writable place") from error


def read_records(path: Path) -> list[BenchRecord]:
    """All records of a file, oldest first.

    Raises:
        InputError: The file is missing, or a line is not a record.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: cannot be read ({error}). Fix: name a file written by 'pixio-edge benchmark'"
        ) from error
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(BenchRecord.from_json(json.loads(line)))
        except (json.JSONDecodeError, InputError) as error:
            raise InputError(f"{path}, line {number}: {error}") from error
    return records
