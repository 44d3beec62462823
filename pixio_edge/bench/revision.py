"""Where the measured code came from."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

GIT_TIMEOUT_S = 10.0
# Where measurements are kept: writing one does not change what is measured.
RECORDS = "benchmarks/records"


@cache
def find_commit(file: Path = Path(__file__)) -> str | None:
    """Commit of the checkout that a source file belongs to, with "-dirty" if tracked files differ from it.

    None for an installed package, also below somebody else's checkout, where git does not track the file.
    """
    if _git(file, "ls-files", "--error-unmatch", file.name) is None:
        return None
    head = _git(file, "rev-parse", "--short=12", "HEAD")
    if head is None:
        return None
    is_clean = _git(file, "diff", "--quiet", "HEAD", "--", ":/", f":(exclude,top){RECORDS}") is not None
    return head.strip() + ("" if is_clean else "-dirty")


def _git(file: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(file.parent), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=GIT_TIMEOUT_S).stdout
    except (OSError, subprocess.SubprocessError):
        return None
