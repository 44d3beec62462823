"""The README shows what the records say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pixio_edge.bundle import Bundle

ROOT = Path(__file__).parents[2]
RECORDS = ROOT / "benchmarks" / "records"


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    # A script folder, not a package: importable only while a test needs it.
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import tables  # noqa: PLC0415

    return tables


def test_readme_is_up_to_date_with_the_records() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "tables.py"), "--check"]

    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert result.returncode == 0, result.stderr


def test_records_that_name_their_weights_are_of_the_embedded_bundle(tables: ModuleType) -> None:
    newest = [record for path in sorted(RECORDS.glob("*.jsonl")) for record in tables.latest_run(path.stem)]

    assert newest
    assert [stale_hashes(record) for record in newest if stale_hashes(record)] == []


def test_record_of_other_weights_is_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from recording import bundle_hashes  # noqa: PLC0415

    hashes = bundle_hashes(Bundle.open("nano"))

    assert set(hashes) == {"weights_sha256", "calibration_sha256"}
    assert stale_hashes({"model": "nano", **hashes}) == {}
    assert set(stale_hashes({"model": "nano", **hashes, "weights_sha256": "0" * 64})) == {"weights_sha256"}
    assert stale_hashes({"model": "nano"}) == {}


def stale_hashes(record: dict[str, Any]) -> dict[str, str]:
    """Hashes of a record that no file of the bundle which it names has; none for a record without hashes."""
    hashes = {name: value for name, value in record.items() if name in ("weights_sha256", "calibration_sha256")}
    if not hashes:
        return {}
    known = {entry.sha256 for entry in Bundle.open(record["model"]).manifest.files}
    return {name: value for name, value in hashes.items() if value not in known}


def test_newest_run_wins_and_its_numbers_reach_the_table(tables: ModuleType, tmp_path: Path) -> None:
    host = {"cpu": "test cpu", "usable_cores": 2, "logical_cores": 4, "os": "Linux", "packages": {"onnxruntime": "1.0"}}
    common = {"host": host, "repeats": 3, "min_s": 0.01}
    runs = [("2026-01-01T00:00:00Z", 9.0), ("2026-02-01T00:00:00Z", 0.25)]
    lines = [json.dumps(common | {"run": run, "what": "import", "median_s": median}) for run, median in runs]
    (tmp_path / "startup.jsonl").write_text("\n".join(lines))

    block = tables.render_all(tmp_path)["startup"]

    assert "| import | 0.250 | 0.010 |" in block
    assert "9.000" not in block
    assert "test cpu" in block
    assert "onnxruntime 1.0" in block


def test_accuracy_table_sets_the_floor_beside_the_score(tables: ModuleType) -> None:
    result = {"delta1": 0.7, "floor_delta1": 0.5, "abs_rel": 0.2, "images": 4}
    host = {"cpu": "c", "usable_cores": 1, "logical_cores": 1, "os": "o", "packages": {}}
    record = {"run": "2026", "host": host, "bundle": "nano", "source": "ort", "images": 4}
    record |= {"sets": {"rooms": result}, "macro": result}

    block = tables.render_accuracy([record])

    assert "| rooms | 4 | 0.700 | 0.500 | 0.200 |" in block
    assert "| **macro** | **4** | **0.700** | **0.500** | **0.200** |" in block


def test_latency_table_shows_why_a_runtime_did_not_run(tables: ModuleType) -> None:
    host = {"cpu": "c", "usable_cores": 1, "logical_cores": 1, "os": "o", "packages": {}}
    record = {"run": "2026", "host": host, "runtime": "ort", "precision": "fp32", "size": [256, 256], "threads": 2}

    block = tables.render_latency([record | {"status": "parity fails"}])

    assert "| ort | fp32 | 256x256 | 2 | parity fails |" in block


def test_block_without_records_says_so(tables: ModuleType, tmp_path: Path) -> None:
    assert set(tables.render_all(tmp_path).values()) == {tables.NOT_MEASURED}


def test_filling_keeps_the_text_around_the_blocks(tables: ModuleType) -> None:
    text = "before\n<!-- generated:one -->\nold\n<!-- /generated:one -->\nafter\n"

    filled = tables.fill(text, {"one": "new"})

    assert filled == "before\n<!-- generated:one -->\nnew\n<!-- /generated:one -->\nafter\n"
    assert tables.fill(filled, {"one": "new"}) == filled


def test_filling_refuses_a_block_that_nobody_renders(tables: ModuleType) -> None:
    with pytest.raises(ValueError, match="two"):
        tables.fill("<!-- generated:two -->\n<!-- /generated:two -->", {"one": "new"})
