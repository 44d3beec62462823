"""Records of the kernel benchmark: each step's are on the disk before the next step begins."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pixio_edge.host import probe_host

Record = dict[str, Any]

# Measured and final. All else - failed, lost, skipped - is tried again: memory may have been short, time was.
DONE = frozenset({"ok", "missing", "wrong"})


@dataclass(frozen=True, slots=True)
class Journal:
    """The file, and what all records of this run say.

    Args:
        path: JSON lines, newest last.
        common: Time of the run, host, commit and environment.
    """

    path: Path
    common: Record

    @classmethod
    def begin(cls, path: Path, commit: str | None, environment: Record, *, resume: bool) -> Journal:
        """Begin a run, or go on with the newest of the same commit on the same GPU with the same versions."""
        drop_cut_line(path)
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        same = same_runs(path, commit, environment) if resume else []
        run = max((record["run"] for record in same), default=now)
        common = {"run": run, "host": probe_host().to_json(), "commit": commit, "environment": environment}
        return cls(path, common)

    def append(self, key: Record, records: list[Record]) -> None:
        """Write the records of one try of one step, and wait until the disk has them."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        common = self.common | {"key": key, "tried": datetime.now(timezone.utc).isoformat()}
        lines = [json.dumps(common | record, ensure_ascii=False, sort_keys=True) for record in records]
        with self.path.open("a", encoding="utf-8") as file:
            file.write("".join(line + "\n" for line in lines))
            file.flush()
            os.fsync(file.fileno())

    def outcomes(self) -> dict[str, bool]:
        """Keys that this run has tried before, and whether everything of the last try is final."""
        mine = [one for one in read(self.path) if one["run"] == self.common["run"] and one["status"] != "skipped"]
        outcomes: dict[str, bool] = {}
        for record in last_tries(mine):
            name = text(record["key"])
            outcomes[name] = outcomes.get(name, True) and record["status"] in DONE
        return outcomes


def identifies(commit: str | None) -> bool:
    """Whether a commit says which code ran: not without one, and not with changes on top of it."""
    return commit is not None and not commit.endswith("-dirty")


def same_runs(path: Path, commit: str | None, environment: Record) -> list[Record]:
    """Records of the same code on the same GPU with the same versions; none where nobody knows which code."""
    if not identifies(commit):
        return []
    return [one for one in read(path) if one["commit"] == commit and one["environment"] == environment]


def last_tries(records: list[Record]) -> list[Record]:
    """What the last try of each step gave."""
    last = {text(record["key"]): record["tried"] for record in records}
    return [record for record in records if record["tried"] == last[text(record["key"])]]


def read(path: Path) -> list[Record]:
    """All records of the file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def drop_cut_line(path: Path) -> None:
    """Take away a last line that was cut off when the machine went away, so that the next one begins on its own."""
    content = path.read_bytes() if path.exists() else b""
    if content and not content.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)


def text(key: Record) -> str:
    """A key as something to compare."""
    return json.dumps(key, sort_keys=True)
