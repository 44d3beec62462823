"""Building ahead of time around the library: folders, records and what is said. With the library in `contracts`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from fake_builder import fake_builder_module
from typed_bundle import write_typed_bundle

from pixio_edge.bundle import Bundle
from pixio_edge.engines import ahead
from pixio_edge.engines.ahead import AheadRequest, build_ahead, layers_path
from pixio_edge.engines.outcome import Outcome
from pixio_edge.errors import OutputError


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_typed_bundle(tmp_path_factory.mktemp("typed") / "bundle", precisions=("fp16",))


@pytest.fixture(autouse=True)
def library(monkeypatch: pytest.MonkeyPatch) -> Any:
    module = fake_builder_module("tensorrt_rtx", "1.7.1")
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", module)
    return module


def build(bundle: Bundle, output: Path, notes: list[str] | None = None) -> Outcome:
    told = [] if notes is None else notes
    (outcome,) = build_ahead(
        bundle, AheadRequest(("8.6",), output), progress=lambda share, label: None, notify=told.append
    )
    return outcome


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_output_that_is_no_folder_is_refused_before_any_build(
    bundle: Bundle, tmp_path: Path, library: Any, name: str
) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(OutputError, match=r"--output: cannot create .*Fix: name another folder with --output"):
        build(bundle, tmp_path / name)

    assert library.configs == []


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_output_gets_the_mode_of_the_user(bundle: Bundle, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        made = build(bundle, tmp_path / "new" / "engines")
    finally:
        os.umask(before)

    leaf = Path(str(made.file)).parent
    assert [folder.stat().st_mode & 0o777 for folder in (leaf, leaf.parent, leaf.parent.parent)] == [0o755] * 3


def test_engine_whose_layers_cannot_be_written_has_no_record(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, text: str) -> None:
        raise OutputError(f"cannot write {path}: no space left. Fix: free some")

    with monkeypatch.context() as patch:
        patch.setattr(ahead, "write_text_atomic", full)
        with pytest.raises(OutputError, match="no space left"):
            build(bundle, tmp_path)

    made = build(bundle, tmp_path)
    assert made.status == "built"
    assert layers_path(Path(str(made.file))).is_file()


def test_damaged_engine_is_built_again_and_said(bundle: Bundle, tmp_path: Path) -> None:
    notes: list[str] = []
    path = Path(str(build(bundle, tmp_path).file))
    path.write_bytes(b"x" + path.read_bytes()[1:])

    assert build(bundle, tmp_path, notes).status == "built"
    assert any("built again, as engine" in note and "the file was damaged" in note for note in notes)
    assert build(bundle, tmp_path).status == "cached"
