"""The commit in a record: of the checkout, marked when it has changes, and none for an installed package."""

from __future__ import annotations

import subprocess
from pathlib import Path

from pixio_edge.bench.revision import find_commit


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_commit_is_that_of_the_checkout_and_marked_when_it_has_changes(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    source, records = tmp_path / "package" / "source.py", tmp_path / "benchmarks" / "records" / "rows.jsonl"
    for path in (source, records):
        path.parent.mkdir(parents=True)
        path.write_text("1\n", encoding="utf-8")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    head = git(tmp_path, "rev-parse", "--short=12", "HEAD")
    commit = find_commit.__wrapped__

    assert commit(source) == head
    records.write_text("2\n", encoding="utf-8")
    assert commit(source) == head
    source.write_text("2\n", encoding="utf-8")
    assert commit(source) == f"{head}-dirty"


def test_file_that_git_does_not_track_has_no_commit_even_within_a_checkout(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    installed = tmp_path / "site-packages" / "source.py"
    installed.parent.mkdir()
    installed.write_text("1\n", encoding="utf-8")

    assert find_commit.__wrapped__(installed) is None
    assert find_commit.__wrapped__(Path("/nowhere/at/all.py")) is None
