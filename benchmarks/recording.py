"""Records of measurements: JSON lines under `benchmarks/records`, one file for each kind, newest last."""

from __future__ import annotations

import json
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixio_edge.files import write_text_atomic
from pixio_edge.host import probe_host

if TYPE_CHECKING:
    from pixio_edge.bundle import Bundle

RECORDS = Path(__file__).parent / "records"

# Files of a bundle that decide what is measured, by role, and the field of a record that keeps their hash.
HASHED_ROLES = {"checkpoint": "weights_sha256", "calibration": "calibration_sha256"}


def append_records(kind: str, records: list[dict[str, Any]], folder: Path = RECORDS) -> Path:
    """Add the records of one run, each with the time of the run, the host and the commit, and return the file."""
    run = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    path = folder / f"{kind}.jsonl"
    older = path.read_text(encoding="utf-8") if path.exists() else ""
    common = {"run": run, "host": probe_host().to_json(), "commit": find_commit()}
    lines = [json.dumps(common | record, ensure_ascii=False, sort_keys=True) for record in records]
    folder.mkdir(parents=True, exist_ok=True)
    write_text_atomic(path, older + "\n".join(lines) + "\n")
    return path


def bundle_hashes(bundle: Bundle) -> dict[str, str]:
    """Hashes of the weights and the calibration table of a bundle, by which a record shows that it is out of date."""
    return {HASHED_ROLES[entry.role]: entry.sha256 for entry in bundle.manifest.files if entry.role in HASHED_ROLES}


def find_commit() -> str | None:
    """Commit of this checkout, with "-dirty" if tracked files other than records differ; None outside of one."""
    git = ["git", "-C", str(RECORDS.parent)]
    head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False)
    if head.returncode != 0:
        return None
    changed = [*git, "diff", "--quiet", "HEAD", "--", ":/", ":(exclude,top)benchmarks/records"]
    is_dirty = subprocess.run(changed, capture_output=True, check=False).returncode != 0
    return head.stdout.strip() + ("-dirty" if is_dirty else "")


def latest_run(kind: str, folder: Path = RECORDS) -> list[dict[str, Any]]:
    """Records of the newest run of one kind, in the order they were measured; empty when there are none."""
    path = folder / f"{kind}.jsonl"
    if not path.exists():
        return []
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    newest = max(record["run"] for record in records)
    return [record for record in records if record["run"] == newest]
