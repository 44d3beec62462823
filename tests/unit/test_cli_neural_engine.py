"""`inspect --neural-engine` tells what of each Core ML package falls off, and says so when there is none."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra 'coreml' is not installed")
pytest.importorskip("coremltools", reason="the extra 'coreml' is not installed")

from typer.testing import CliRunner

from pixio_edge.bundle import Bundle
from pixio_edge.cli.inspect import inspect
from pixio_edge.cli.neural_engine import inspect_neural_engine
from pixio_edge.errors import InputError, MissingDependencyError
from tests.coreml_packages import write_coreml_bundle
from tests.tiny_bundle import write_tiny_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_coreml_bundle(tmp_path_factory.mktemp("engine") / "tiny", sizes=((16, 24),))


def test_operations_in_fp32_are_listed_once_by_kind(bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    inspect(str(bundle.folder), neural_engine=True)

    lines = capsys.readouterr().out.splitlines()
    package = "coreml_16x24.mlpackage"
    assert [line.split() for line in lines if line.startswith(f"{package} ")] == [[package, "0", "0", "4"]]
    (note,) = (line for line in lines if line.startswith(f"{package}: conv "))
    assert " and 1 more) computes in fp32, the engine in fp16. Fix: " in note


def test_json_names_every_operation(bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    inspect(str(bundle.folder), neural_engine=True, json=True)

    engine = json.loads(capsys.readouterr().out)["neural_engine"]["coreml_16x24.mlpackage"]
    assert engine["off"] == {"conv": 2, "relu": 1, "squeeze": 1}
    assert len({finding["name"] for finding in engine["findings"]}) == 4


def test_bundle_without_packages_is_an_input_error(tmp_path: Path) -> None:
    plain = write_tiny_bundle(tmp_path / "plain")

    with pytest.raises(InputError, match=r"has no Core ML package, expected one\. Fix: pixio-edge export"):
        inspect_neural_engine(plain)


def test_nothing_is_printed_before_a_bundle_without_packages_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = write_tiny_bundle(tmp_path / "plain")

    with pytest.raises(InputError, match="has no Core ML package"):
        inspect(str(plain.folder), neural_engine=True)

    assert capsys.readouterr().out == ""


def test_missing_coremltools_is_told_by_the_name_of_the_verb(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "coremltools", None)

    with pytest.raises(MissingDependencyError, match=r"^pixio-edge inspect --neural-engine needs .*'coremltools'"):
        inspect(str(bundle.folder), neural_engine=True)

    assert capsys.readouterr().out == ""


def test_flag_is_documented() -> None:
    import typer  # noqa: PLC0415

    app = typer.Typer()
    app.command()(inspect)

    assert "--neural-engine" in CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).output
