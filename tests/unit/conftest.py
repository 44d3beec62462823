"""Folders that refuse writes, for tests of output errors; what all tests that render share."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2  # noqa: F401  (before root's powers are given up: the virtual environment may be private to root)
import pytest

if TYPE_CHECKING:
    from pixio_edge.scenes.library import Library
    from pixio_edge.scenes.studio import Studio
    from pixio_edge.scenes.textures import TextureAtlas

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


@pytest.fixture(scope="session")
def atlas() -> TextureAtlas:
    """Procedural textures."""
    from pixio_edge.scenes.textures import load_atlas  # noqa: PLC0415 - of an extra

    return load_atlas()


@pytest.fixture(scope="session")
def library() -> Library:
    """All models: seconds of work, and the same for every test of a process."""
    from pixio_edge.scenes.library import build_library  # noqa: PLC0415 - of an extra

    return build_library()


@pytest.fixture(scope="session")
def studio() -> Studio:
    """Renders with procedural textures in this process."""
    from pixio_edge.scenes.studio import Studio  # noqa: PLC0415 - of an extra

    return Studio()
