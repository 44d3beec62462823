"""Folders that refuse writes, for tests of output errors."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2  # noqa: F401  (before root's powers are given up: the virtual environment may be private to root)
import pytest

NOBODY = 65534


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "tiny_disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    is_root = os.name == "posix" and os.geteuid() == 0
    if not is_root or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a tiny tmpfs needs root and the right to mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def unwritable_folder() -> Iterator[Path]:
    """A folder without write permission; root gives up its powers for the test, as it may write anywhere."""
    if os.name != "posix":
        pytest.skip("permission bits need POSIX")
    with tempfile.TemporaryDirectory() as name:  # tmp_path is private to its owner
        folder = Path(name)
        folder.chmod(0o555)
        user = os.geteuid()
        if user == 0:
            os.seteuid(NOBODY)
        try:
            yield folder
        finally:
            os.seteuid(user)
            folder.chmod(0o755)
