"""One tiny bundle and one photo for all commands; tests that damage a bundle copy it first."""

from __future__ import annotations

from pathlib import Path

import pytest
from pictures import write_photo
from tiny_bundle import write_tiny_bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    write_tiny_bundle(folder)
    return folder


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "photo.jpg"
    write_photo(path, (90, 120))
    return path
