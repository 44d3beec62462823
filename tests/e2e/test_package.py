"""What a wheel of this project contains."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOT_SOURCE = shutil.ignore_patterns(".*", "build", "dist", "out", "runs", "*.egg-info", "__pycache__", "tests", "docs")


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    folder = tmp_path_factory.mktemp("package")
    shutil.copytree(ROOT, folder / "source", ignore=NOT_SOURCE)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run([*command, str(folder / "source")], check=True, timeout=300, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_wheel_has_every_module_under_its_full_name(wheel_names: set[str]) -> None:
    homes = {"pixio_edge": "pixio_edge", "export": "pixio_edge/export", "runtimes": "pixio_edge/runtimes"}
    homes["calibration"] = "pixio_edge/calibration"
    expected = {
        f"{home}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, home in homes.items()
        for path in (ROOT / folder).rglob("*.py")
    }

    assert expected <= wheel_names
    assert {name for name in wheel_names if name.endswith(".py")} == expected


def test_wheel_carries_assets_types_and_licence(wheel_names: set[str]) -> None:
    assets = {
        f"pixio_edge/{path.relative_to(ROOT / 'pixio_edge').as_posix()}"
        for path in (ROOT / "pixio_edge" / "assets").rglob("*")
        if path.is_file()
    }

    assert assets <= wheel_names
    assert "pixio_edge/py.typed" in wheel_names
    assert any(name.endswith("licenses/LICENSE") for name in wheel_names)
