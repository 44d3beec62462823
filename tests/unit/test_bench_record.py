"""Records: one schema, published; version 1 stays readable; a file of them survives being cut off."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pixio_edge.bench.measure import bench
from pixio_edge.bench.plan import BenchPlan
from pixio_edge.bench.record import BenchRecord, append_record, read_records
from pixio_edge.bench.schema import SCHEMA_FILE, record_schema, schema_text
from pixio_edge.errors import InputError, OutputError
from tests.bench_rows import make_accuracy, make_row
from tests.tiny_bundle import write_tiny_bundle

# Fixed for those who read `pixio-edge benchmark --json`.
FIXED = [
    "runtime",
    "artifact",
    "precision",
    "size",
    "threads",
    "p50_ms",
    "p90_ms",
    "p99_ms",
    "load_ms",
    "first_ms",
    "pre_ms",
    "infer_ms",
    "post_ms",
    "fps",
    "peak_rss_mib",
    "status",
    "int8_ops",
    "float_ops",
    "host",
]

VERSION_1: dict[str, Any] = {
    "artifact": "onnx-fp32-256x256",
    "bundle": "nano",
    "created": "2026-11-21T09:56:17+00:00",
    "device": "CPU",
    "first_ms": 27.172,
    "float_ops": 68,
    "fps": 44.024,
    "frame": [720, 1280],
    "host": {"cpu": "AMD EPYC", "packages": {"openvino": "2026.4.1"}},
    "infer_ms": 21.077,
    "int8_ops": 0,
    "load_average": 1.427,
    "load_ms": 355.085,
    "p50_ms": 20.942,
    "p90_ms": 21.3,
    "p99_ms": 24.774,
    "parity": {"margin": 0.001, "sqnr_db": None},
    "peak_rss_mib": 204.863,
    "post_ms": 0.341,
    "pre_ms": 1.285,
    "precision": "fp32",
    "runs": 100,
    "runtime": "openvino",
    "runtime_version": "2026.4.1",
    "size": [256, 256],
    "status": "ok",
    "threads": 2,
    "tool": "pixio-edge 0.1.0",
}
NOT_TIMED = dict.fromkeys(("p50_ms", "p90_ms", "p99_ms", "fps", "pre_ms", "infer_ms", "post_ms", "peak_rss_mib"))


def test_published_schema_is_the_one_of_this_release() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text(), "Fix: python -m pixio_edge.bench.schema"


def test_schema_says_what_every_field_means_and_allows_no_other() -> None:
    schema = record_schema()

    parts = [schema, *schema["$defs"].values()]
    records = [part for part in parts if part.get("type") == "object" and "properties" in part]
    assert len(records) > 6
    for part in records:
        assert part["additionalProperties"] is False
        assert all(field["description"] for field in part["properties"].values())
        assert set(part["required"]) == set(part["properties"])
    assert schema["properties"]["schema_version"]["const"] == 2


def test_fields_that_others_read_keep_their_names() -> None:
    assert set(FIXED) <= set(record_schema()["properties"])


def measured(folder: Path) -> BenchRecord:
    """A real one, with a long run."""
    bundle = write_tiny_bundle(folder / "tiny", sizes=((32, 48),))
    return bench(
        BenchPlan(str(bundle.folder), "ort", "onnx-fp32-32x48", threads=1, runs=10, frame=(72, 128), sustained_s=0.01)
    )


@pytest.mark.parametrize(
    "make",
    [lambda _: make_row(accuracy=make_accuracy(0.6)), lambda _: BenchRecord.from_json(VERSION_1), measured],
    ids=["made up", "version 1", "measured"],
)
def test_record_is_valid_by_the_published_schema(make: Callable[[Path], BenchRecord], tmp_path: Path) -> None:
    record = make(tmp_path)
    jsonschema = pytest.importorskip("jsonschema", reason="validates records against the schema")
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))

    assert [error.message for error in validator.iter_errors(record.to_json())] == []
    assert not validator.is_valid(record.to_json() | {"status": "fine"})
    assert not validator.is_valid(record.to_json() | {"surprise": 1})


def test_record_survives_json() -> None:
    record = make_row(accuracy=make_accuracy(0.6), providers={"CPUExecutionProvider": 90}, pin_cores=(0, 1))

    assert BenchRecord.from_json(json.loads(json.dumps(record.to_json()))) == record


def test_version_1_is_read_with_all_that_it_had() -> None:
    record = BenchRecord.from_json(VERSION_1)

    assert (record.schema_version, record.status, record.reason, record.p50_ms) == (2, "ok", None, 20.942)
    assert (record.size, record.batch, record.times_ms, record.key) == ((256, 256), 1, None, None)
    assert record.memory is not None
    assert record.memory.peak_rss_mib == 204.863
    assert record.absent == {"noise": "record of version 1, load average 1.427"}


@pytest.mark.parametrize(
    ("before", "status", "reason"),
    [
        ("mismatch: parity fails: max_abs 3", "failed_accuracy", "parity fails: max_abs 3"),
        ("unavailable: ort: no CUDA: none", "unavailable", "ort: no CUDA: none"),
        ("error: the process ended with 1", "failed", "the process ended with 1"),
    ],
)
def test_status_of_version_1_becomes_status_and_reason(before: str, status: str, reason: str) -> None:
    record = BenchRecord.from_json(VERSION_1 | NOT_TIMED | {"status": before})

    assert (record.status, record.reason) == (status, reason)
    assert not record.is_timed
    assert record.verdict == f"{status}: {reason}"


def test_what_the_project_adds_to_its_own_records_is_understood() -> None:
    record = BenchRecord.from_json(VERSION_1 | {"run": "2026-11-21T09:56:47Z", "commit": "abc-dirty"})

    assert record.git_commit == "abc-dirty"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"runtime": "ort", "surprise": 1}, "field 'bundle' and .* more: Field required.*Fix: measure again"),
        (VERSION_1 | {"surprise": 1}, "field 'surprise': Extra inputs are not permitted"),
        (VERSION_1 | {"p50_ms": "fast"}, "field 'p50_ms': Input should be a valid number"),
        (VERSION_1 | {"status": "fine"}, "field 'status': Input should be 'ok'"),
        (VERSION_1 | {"schema_version": 3}, "got version 3, expected 1 or 2. Fix: upgrade"),
        (["ort"], "got list, expected an object"),
    ],
)
def test_what_is_no_record_is_refused(content: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        BenchRecord.from_json(content)


def test_records_are_appended_one_to_a_line(tmp_path: Path) -> None:
    path = tmp_path / "new" / "records.jsonl"
    rows = [make_row(), make_row(status="failed", reason="none")]

    for row in rows:
        append_record(path, row)

    assert len(path.read_text(encoding="utf-8").splitlines()) == 2
    assert read_records(path) == rows


def test_line_that_was_cut_off_is_no_record_and_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    append_record(path, make_row())
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2])

    assert read_records(path) == [make_row()]
    append_record(path, make_row())

    assert path.read_bytes() == whole * 2


def test_last_line_without_a_line_feed_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    append_record(path, make_row())
    whole = path.read_bytes()
    path.write_bytes(whole.rstrip(b"\n"))

    assert read_records(path) == [make_row()]
    append_record(path, make_row())

    assert path.read_bytes() == whole * 2


def test_text_of_somebody_else_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("shopping: milk", encoding="utf-8")

    with pytest.raises(InputError, match=r"line 1: not JSON .*Fix: remove the line"):
        read_records(path)
    append_record(path, make_row())

    assert path.read_text(encoding="utf-8").startswith("shopping: milk\n{")


def test_records_that_cannot_be_read_name_the_line(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text('{"runtime": "ort"}\n', encoding="utf-8")

    with pytest.raises(InputError, match=r"records.jsonl, line 1: benchmark record: field .*Fix: "):
        read_records(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_records(tmp_path / "absent.jsonl")


def test_records_cannot_be_written_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(OutputError, match="Fix: "):
        append_record(tmp_path / "file" / "records.jsonl", make_row())


def test_record_that_is_not_finite_is_not_written(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    append_record(out, make_row())

    with pytest.raises(OutputError, match="got a record with NaN"):
        append_record(out, make_row().model_copy(update={"p50_ms": float("nan")}))

    assert len(read_records(out)) == 1
