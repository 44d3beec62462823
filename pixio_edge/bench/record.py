"""What was measured, and where it is kept: one JSON object on each line of a file that only grows."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from pydantic import ConfigDict
from pydantic import ValidationError as PydanticValidationError

from pixio_edge.bench.record_parts import (
    AccuracyRecord,
    Energy,
    JsonObject,
    Memory,
    Noise,
    PowerState,
    Sustained,
)
from pixio_edge.bench.record_v1 import upgrade
from pixio_edge.errors import InputError, OutputError
from pixio_edge.manifest_base import Record, Size

if TYPE_CHECKING:
    from pathlib import Path

RECORD_VERSION: Literal[2] = 2

Status = Literal["ok", "slower_than_float", "failed_accuracy", "failed", "unavailable"]
OK: Status = "ok"
SLOWER: Status = "slower_than_float"
WRONG: Status = "failed_accuracy"
FAILED: Status = "failed"
UNAVAILABLE: Status = "unavailable"

# `benchmarks/recording.py` adds them to every line of the project's own records.
ADDED_BY_RECORDING = ("run", "commit")


class BenchRecord(Record):
    """One measurement. Times are milliseconds, and null when nothing was timed: see `status`.

    Attributes:
        schema_version: Version of this schema.
        key: Digest of all that decides a measurement, equal for the same ones; null in records of version 1.
        bundle: Name or folder of the bundle.
        model: Name of the model in the bundle.
        parameters: Number of weights of the model.
        artifact: Name of the artifact.
        artifact_kind: File format of the artifact.
        artifact_sha256: Digest of all files that the artifact reads.
        artifact_bytes: Their size.
        runtime: Name in `registry.RUNTIMES`.
        runtime_version: Version of the engine; null when it did not start.
        provider: Device library that was asked for; null is the default of the runtime.
        device: What executed, as the engine said.
        providers: Executed nodes by provider (ort), device (openvino, tensorrt) or compute unit (coreml); null when the
            engine does not tell.
        fallbacks: Operators that ran elsewhere than on `device`; null when the engine does not tell.
        precision: Precision it was executed in.
        size: Input (height, width).
        tokens: Patches of one input.
        threads: Threads of one inference, as the engine said; null when it did not start.
        pin_cores: Hardware threads that it was bound to; null if none.
        batch: Requests in flight at once, each with a session and `threads` threads of its own; graphs take one image.
        frame: (height, width) of the frames of whole predictions.
        status: "ok"; "slower_than_float", over 3 % slower than the float artifact of the same runtime, size, threads,
            batch and provider in this sweep, neither of them noisy; "failed_accuracy", wrong output, so not timed;
            "failed", the process died or did not end; "unavailable", this host cannot run it.
        reason: Why it is not "ok"; null when it is.
        load_ms: From nothing to a runtime that can run: import of the engine, hashing, reading, optimising,
            with nothing kept by the engine, but files that the system has in memory: they were read right before.
        first_ms: The first inference after that.
        times_ms: Every timed inference, in order, on an input that is prepared already; with `batch` above 1 those of
            all requests, in the order they ended.
        runs: Number of these.
        warmup: Inferences before them that do not count, as asked for.
        min_ms: Shortest of `times_ms`.
        p50_ms: Median of `times_ms`.
        p90_ms: 90th percentile of `times_ms`.
        p99_ms: 99th percentile of `times_ms`; of less than a hundred it is little more than the longest.
        throughput_fps: Inferences in a second, with `batch` requests in flight.
        pre_ms: Median of preparing a frame of size `frame`; as all of whole predictions null with `batch` above 1.
        infer_ms: Median of the inference within whole predictions.
        post_ms: Median of restoring the depth to the size of the frame, within whole predictions.
        predict_p50_ms: Median of whole predictions.
        predict_p90_ms: 90th percentile of whole predictions.
        predict_p99_ms: 99th percentile of whole predictions.
        fps: Whole predictions in a second, one after the other, by the median.
        peak_rss_mib: Largest resident memory of the process that did only this; the same as in `memory`.
        memory: Memory in more detail.
        energy_mj: Energy of one inference above idle; the same as in `energy`. Null where the host has no sensor.
        energy: How it was measured.
        sustained: The long run, if one was asked for.
        noise: How quiet the machine was.
        parity: What was measured against the stored output, before timing.
        accuracy: Accuracy of this artifact; null when neither measured nor stated by the manifest.
        int8_ops: Matrix products and convolutions that executed in INT8.
        float_ops: Matrix products and convolutions that executed in a float type.
        power: Power mode, governor and clocks after the timed loops.
        absent: Sensors that the host has not or does not let be read, and what was not measured; each with the reason.
        host: Facts about the machine, as `Host.to_json`.
        tool: Version of this package.
        git_commit: Commit of the checkout that it was run from, with "-dirty" if that had changes; null outside of one.
        created: ISO 8601 UTC time.
    """

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    schema_version: Literal[2] = RECORD_VERSION
    key: str | None = None
    bundle: str
    model: str | None = None
    parameters: int | None = None
    artifact: str
    artifact_kind: str | None = None
    artifact_sha256: str | None = None
    artifact_bytes: int | None = None
    runtime: str
    runtime_version: str | None
    provider: str | None = None
    device: str | None
    providers: dict[str, int] | None = None
    fallbacks: tuple[str, ...] | None = None
    precision: str
    size: Size
    tokens: int | None = None
    threads: int | None
    pin_cores: tuple[int, ...] | None = None
    batch: int = 1
    frame: Size
    status: Status
    reason: str | None = None
    load_ms: float | None
    first_ms: float | None
    times_ms: tuple[float, ...] | None = None
    runs: int
    warmup: int | None = None
    min_ms: float | None = None
    p50_ms: float | None
    p90_ms: float | None
    p99_ms: float | None
    throughput_fps: float | None = None
    pre_ms: float | None
    infer_ms: float | None
    post_ms: float | None
    predict_p50_ms: float | None = None
    predict_p90_ms: float | None = None
    predict_p99_ms: float | None = None
    fps: float | None
    peak_rss_mib: float | None
    memory: Memory | None = None
    energy_mj: float | None = None
    energy: Energy | None = None
    sustained: Sustained | None = None
    noise: Noise | None = None
    parity: JsonObject | None
    accuracy: AccuracyRecord | None = None
    int8_ops: int | None
    float_ops: int | None
    power: PowerState | None = None
    absent: dict[str, str] | None = None
    host: JsonObject
    tool: str
    git_commit: str | None = None
    created: str

    @property
    def is_ok(self) -> bool:
        """Whether it was right, timed, and not slower than float."""
        return self.status == OK

    @property
    def is_timed(self) -> bool:
        """Whether there are times."""
        return self.p50_ms is not None

    @property
    def verdict(self) -> str:
        """The status, with the reason where there is one."""
        return self.status if self.reason is None else f"{self.status}: {self.reason}"

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, content: object) -> BenchRecord:
        """Read what `to_json` wrote, of this version or of version 1.

        Raises:
            InputError: It is of a newer version, or a field is missing, unknown or of the wrong type.
        """
        if not isinstance(content, dict):
            raise InputError(
                f"benchmark record: got {type(content).__name__}, expected an object. "
                "Fix: name a file written by 'pixio-edge benchmark'"
            )
        version = content.get("schema_version", 1)
        if version not in (1, RECORD_VERSION):
            raise InputError(
                f"benchmark record: got version {version!r}, expected 1 or {RECORD_VERSION}. Fix: upgrade pixio-edge"
            )
        own = {name: value for name, value in content.items() if name not in ADDED_BY_RECORDING}
        if own.get("git_commit") is None and isinstance(content.get("commit"), str):
            own["git_commit"] = content["commit"]
        try:
            return cls.model_validate_json(json.dumps(upgrade(own) if version == 1 else own))
        except PydanticValidationError as error:
            raise InputError(
                f"benchmark record: {_problem(error)}. Fix: measure again, or read it with the release that wrote it"
            ) from error


def append_record(path: Path, record: BenchRecord) -> None:
    """Add one line to a file of records, which is created if needed; on failure the file is as it was.

    What a power cut left of a last line is dropped first: `read_records` does not count it either.

    Raises:
        OutputError: The file cannot be written, or the record has a number that JSON does not.
    """
    try:
        line = json.dumps(record.to_json(), sort_keys=True, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    except ValueError as error:  # one such line and nobody could read the file again
        raise OutputError(f"{path}: got a record with NaN or infinity, expected finite. Fix: report it") from error
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            _mend(file)
            before = file.seek(0, os.SEEK_END)
            try:
                file.write(line)
                file.flush()
            except OSError:
                file.truncate(before)
                raise
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}). Fix: choose a writable place") from error


def read_records(path: Path) -> list[BenchRecord]:
    """All records of a file, oldest first; a last line that was cut off is none.

    Raises:
        InputError: The file is missing, or a line is not a record.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: cannot be read ({error}). Fix: name a file written by 'pixio-edge benchmark'"
        ) from error
    *lines, last = text.split("\n")
    records = []
    for number, line in enumerate(lines if _is_cut_off(last.encode()) else [*lines, last], start=1):
        if not line.strip():
            continue
        try:
            records.append(BenchRecord.from_json(json.loads(line)))
        except json.JSONDecodeError as error:
            raise InputError(
                f"{path}, line {number}: not JSON ({error}). Fix: remove the line, and measure what it held again"
            ) from error
        except InputError as error:
            raise InputError(f"{path}, line {number}: {error}") from error
    return records


def _mend(file: BinaryIO) -> None:
    """Make the file end with a line feed: what stands after the last one is ended if it is whole, else dropped."""
    end = file.seek(0, os.SEEK_END)
    if end == 0:
        return
    file.seek(end - 1)
    if file.read(1) == b"\n":
        return
    file.seek(0)
    tail = file.read().rpartition(b"\n")[2]
    if _is_cut_off(tail):
        file.truncate(end - len(tail))
    else:
        file.write(b"\n")


def _is_cut_off(tail: bytes) -> bool:
    """Whether what stands after the last line feed is the beginning of an object, as records are, without its end."""
    try:
        json.loads(tail)
    except ValueError:
        return tail.startswith(b"{")
    return False


def _problem(error: PydanticValidationError) -> str:
    """One line for the first of possibly many problems, with their number."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
    return f"field '{'.'.join(map(str, problems[0]['loc']))}'{more}: {problems[0]['msg']}".replace("\n", " ")
