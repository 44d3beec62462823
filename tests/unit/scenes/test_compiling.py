from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numba
import numpy as np
import pytest

from pixio_edge.scenes import compiling
from pixio_edge.scenes.compiling import compiled, digest_of, kept_folder


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    kept_folder.cache_clear()
    yield
    kept_folder.cache_clear()


def total(values: np.ndarray) -> float:
    result = 0.0
    for value in values:
        result += value
    return result


def kept_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.suffix in {".nbi", ".nbc"}]


def test_compiled_function_is_kept_where_numba_is_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    function = compiled()(total)

    assert function(np.arange(4.0)) == 6.0
    assert isinstance(function, numba.core.dispatcher.Dispatcher)
    folder = kept_folder()
    assert folder is not None
    assert folder.parent == tmp_path
    assert {path.suffix for path in kept_files(folder)} == {".nbi", ".nbc"}
    assert str(tmp_path) == numba.config.CACHE_DIR


def test_next_folder_is_taken_when_the_package_cannot_be_written(
    unwritable_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory() as writable:  # tmp_path is root's, who has given up his powers
        monkeypatch.setattr(compiling, "_bases", lambda: iter([unwritable_folder, Path(writable) / "cache"]))

        assert compiled()(total)(np.arange(4.0)) == 6.0

        folder = kept_folder()
        assert folder is not None
        assert folder.parent == Path(writable) / "cache"
        assert kept_files(folder)


def test_rendering_goes_on_with_a_warning_when_nothing_can_be_written(
    unwritable_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "_bases", lambda: iter([unwritable_folder]))

    with pytest.warns(RuntimeWarning, match="Fix: set NUMBA_CACHE_DIR") as caught:
        first, second = compiled()(total), compiled(fastmath=True)(total)

    assert len(caught) == 1
    assert first(np.arange(4.0)) == second(np.arange(4.0)) == 6.0
    assert kept_files(unwritable_folder) == []


def write_modules(folder: Path, **texts: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    return folder


def test_what_was_kept_is_stale_when_a_file_that_compiled_functions_import_changes(tmp_path: Path) -> None:
    kernel = "from pixio_edge.scenes.compiling import compiled\nfrom pixio_edge.scenes.constants import SIDE\n"
    modules = write_modules(tmp_path / "scenes", kernel=kernel, constants="SIDE = 1\n", chairs="LEGS = 4\n")
    before = digest_of(modules)

    assert digest_of(write_modules(modules, chairs="LEGS = 3\n")) == before
    assert digest_of(write_modules(modules, constants="SIDE = 2\n")) != before
    assert digest_of(write_modules(modules, constants="SIDE = 1\n")) == before
    assert digest_of(write_modules(modules, kernel=kernel + "# other\n")) != before
