from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numba
import numpy as np
import pytest

from pixio_edge.scenes.drawing import compiled_folder as module
from pixio_edge.scenes.drawing.compiled_folder import SCENES, compiled_folder, digest_of
from pixio_edge.scenes.drawing.jit import exact, quick


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    compiled_folder.cache_clear()
    yield
    compiled_folder.cache_clear()


def total(values: np.ndarray) -> float:
    result = 0.0
    for value in values:
        result += value
    return result


def kept_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.suffix in {".nbi", ".nbc"}]


def test_kernels_are_kept_where_numba_is_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    assert exact(total)(np.arange(4.0)) == 6.0

    folder = compiled_folder(str(tmp_path))
    assert folder is not None
    assert folder.parent == tmp_path
    assert {path.suffix for path in kept_files(folder)} == {".nbi", ".nbc"}
    assert str(tmp_path) == numba.config.CACHE_DIR


def test_next_folder_is_taken_when_the_package_cannot_be_written(
    unwritable_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory() as writable:  # tmp_path is root's, who has given up his powers
        monkeypatch.setattr(module, "_bases", lambda _: iter([unwritable_folder, Path(writable) / "cache"]))

        assert quick(total)(np.arange(4.0)) == 6.0

        folder = compiled_folder("")
        assert folder is not None
        assert folder.parent == Path(writable) / "cache"
        assert kept_files(folder)


def test_rendering_goes_on_with_a_warning_when_nothing_can_be_written(
    unwritable_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_bases", lambda _: iter([unwritable_folder]))

    with pytest.warns(RuntimeWarning, match="Fix: set NUMBA_CACHE_DIR") as caught:
        first, second = exact(total), quick(total)

    assert len(caught) == 1
    assert first(np.arange(4.0)) == second(np.arange(4.0)) == 6.0
    assert kept_files(unwritable_folder) == []


def write_modules(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        path = folder / f"{name.replace('_', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def test_what_was_kept_is_stale_when_a_file_that_kernels_import_changes(tmp_path: Path) -> None:
    kernel = "from pixio_edge.scenes.drawing.jit import exact\nfrom pixio_edge.scenes.textures import SIDE\n"
    modules = write_modules(
        tmp_path / "scenes", drawing_kernel=kernel, textures="SIDE = 1\n", things_seats="LEGS = 4\n"
    )
    before = digest_of(modules)

    assert digest_of(write_modules(modules, things_seats="LEGS = 3\n")) == before
    assert digest_of(write_modules(modules, textures="SIDE = 2\n")) != before
    assert digest_of(write_modules(modules, textures="SIDE = 1\n")) == before
    assert digest_of(write_modules(modules, drawing_kernel=kernel + "# other\n")) != before


def test_kernels_are_found_by_what_they_import() -> None:
    """Else `digest_of` would miss a file with kernels."""
    files = [path for path in SCENES.rglob("*.py") if "\n@exact\n" in path.read_text(encoding="utf-8")]

    assert files
    for path in files:
        assert "from pixio_edge.scenes.drawing.jit import" in path.read_text(encoding="utf-8"), path.name
