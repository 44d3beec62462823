"""`pixio-edge export --format`: what is added to a bundle, and which options belong to which format."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from block_bundle import write_block_bundle
from command import leftovers
from int8_tables import table_of
from tiny_graphs import block_graph

from pixio_edge.bundle import MANIFEST, SUMS, Bundle
from pixio_edge.bundle_writer import BundleWriter, write_bundle
from pixio_edge.calibration.calibrate import range_tensors
from pixio_edge.cli import export_formats
from pixio_edge.cli.export import export
from pixio_edge.cli.export_formats import FORMATS, FormatRequest
from pixio_edge.errors import BundleError, InputError, MissingDependencyError
from pixio_edge.export.coreml import artifacts as coreml
from pixio_edge.models.checkpoints import save_checkpoint
from pixio_edge.models.presets import build_model
from pixio_edge.verification.run import conclude, verify_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_block_bundle(tmp_path / "float")


def calibrate_(bundle: Bundle) -> None:
    graph = onnx.shape_inference.infer_shapes(block_graph())
    with write_bundle(bundle.folder, bundle.manifest, replace=True) as writer:
        writer.take_over(bundle)
        table_of(graph, tensors=range_tensors(graph)).save(writer.folder / "calibration.json")
        writer.add_file("calibration.json", "calibration")


@pytest.fixture
def run(bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Export the bundle as the command line would, to "out", and give what it prints as JSON."""

    def call(*formats: str, **options: Any) -> dict[str, Any]:
        given = {"source": str(bundle.folder), "output": tmp_path / "out", "formats": list(formats), "json": True}
        export(**(given | options))
        printed: dict[str, Any] = json.loads(capsys.readouterr().out)
        return printed

    return call


def kinds(printed: dict[str, Any]) -> list[tuple[str, str]]:
    return [(artifact["kind"], artifact["precision"]) for artifact in printed["artifacts"]]


def test_bundle_is_taken_over_with_graphs_for_tensorrt_beside_it(
    run: Callable[..., dict[str, Any]], bundle: Bundle, tmp_path: Path
) -> None:
    printed = run("tensorrt")

    assert kinds(printed) == [("onnx", "fp32")] * 2 + [("tensorrt", "fp16")] * 2
    assert printed["folder"] == str(tmp_path / "out")
    assert printed["model"]["name"] == bundle.manifest.model.name
    assert "without INT8" in printed["notes"][0]
    assert "pixio-edge quantize" in printed["notes"][0]


def test_int8_comes_by_itself_when_the_bundle_is_calibrated(run: Callable[..., dict[str, Any]], bundle: Bundle) -> None:
    calibrate_(bundle)

    printed = run("tensorrt", sizes=["64x64"])

    assert kinds(printed)[2:] == [("tensorrt", "fp16"), ("tensorrt", "int8")]
    assert printed["notes"] == []


def test_only_the_precision_asked_for_is_written(run: Callable[..., dict[str, Any]]) -> None:
    assert kinds(run("tensorrt", precisions=["fp32"], sizes=["48x80"]))[2:] == [("tensorrt", "fp32")]


def test_int8_is_refused_when_it_is_asked_for_and_there_is_no_table(
    run: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no calibration table"):
        run("tensorrt", precisions=["int8"])

    assert not (tmp_path / "out").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["float"]


def test_note_is_one_line_on_standard_error(bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export(str(bundle.folder), tmp_path / "out", formats=["tensorrt"])

    out, err = capsys.readouterr()
    assert len(err.splitlines()) == 1
    assert "tensorrt: without INT8" in err
    assert "tensorrt-fp16-64x64" in out


def test_bundle_is_extended_in_place(run: Callable[..., dict[str, Any]], bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="exists already"):
        run("tensorrt", output=bundle.folder)

    run("tensorrt", output=bundle.folder, replace=True)
    printed = run("tensorrt", output=bundle.folder, replace=True)

    assert kinds(printed) == [("onnx", "fp32")] * 2 + [("tensorrt", "fp16")] * 2


def test_dry_run_checks_everything_and_writes_nothing(run: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    before = leftovers(tmp_path)

    printed = run("tensorrt", dry_run=True)

    assert ("tensorrt", "fp16") in kinds(printed)
    assert printed["folder"] is None
    assert leftovers(tmp_path) == before


@pytest.mark.slow
def test_weights_become_onnx_first_and_leave_nothing_else_behind(
    run: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "model.safetensors", build_model("tiny"))
    terms = {"licence": "MIT", "commercial": True, "sizes": ["32x48"]}

    printed = run("onnx", "tensorrt", source=str(tmp_path / "model.safetensors"), **terms)

    assert kinds(printed) == [("onnx", "fp32"), ("safetensors", "fp32"), ("tensorrt", "fp16")]
    assert printed["model"]["name"] == "out"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["float", "model.safetensors", "out"]


@pytest.mark.slow
def test_only_graphs_of_weights_are_kept_without_the_checkpoint(
    run: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "model.safetensors", build_model("tiny"))
    terms = {"licence": "MIT", "commercial": True, "sizes": ["32x48"]}

    printed = run("onnx", only=True, source=str(tmp_path / "model.safetensors"), **terms)

    assert kinds(printed) == [("onnx", "fp32")]
    assert not list((tmp_path / "out").rglob("*.safetensors"))
    conclude(verify_bundle(Bundle.open(tmp_path / "out")))


@pytest.mark.slow
def test_only_the_package_of_core_ml_is_kept_and_verifies(run: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    pytest.importorskip("coremltools", reason="the extra 'coreml' is not installed")
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "model.safetensors", build_model("tiny"))
    terms = {"licence": "MIT", "commercial": True, "sizes": ["64x64"]}

    printed = run("coreml", only=True, source=str(tmp_path / "model.safetensors"), **terms)

    assert kinds(printed) == [("coreml", "fp16")]
    bundle = Bundle.open(tmp_path / "out")
    assert {path.name for path in bundle.folder.iterdir()} == {
        "coreml-fp16-64x64.mlpackage",
        "golden_64x64.npz",
        MANIFEST,
        SUMS,
    }
    outcomes = verify_bundle(bundle)
    conclude(outcomes)
    assert [outcome.status for outcome in outcomes].count("ok") >= 2  # in float32 and in half precision


@pytest.mark.parametrize("formats", [("tensorrt",), ("onnx", "tensorrt")])
def test_int8_of_bare_weights_is_refused_before_any_work(
    run: Callable[..., dict[str, Any]], tmp_path: Path, formats: tuple[str, ...]
) -> None:
    (tmp_path / "model.safetensors").touch()

    with pytest.raises(InputError, match=r"have no calibration table.*Fix: export to ONNX, pixio-edge quantize"):
        run(*formats, source=str(tmp_path / "model.safetensors"), precisions=["int8"])


def test_w8a8_of_bare_weights_is_refused_before_any_work(run: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    weights.touch()

    with pytest.raises(InputError, match=r"--variant w8a8: .* no calibration table.*Fix: export to ONNX"):
        run("coreml", source=str(weights), variants=["w8a8"], target="iOS17")


@pytest.mark.parametrize("source", ["model.safetensors", "float"])
def test_missing_coremltools_is_told_before_any_work(
    run: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    (tmp_path / "model.safetensors").touch()
    monkeypatch.setitem(sys.modules, "coremltools", None)
    monkeypatch.setattr(BundleWriter, "take_over", _refuse)
    monkeypatch.setattr("pixio_edge.cli.export.export_weights", _refuse)

    with pytest.raises(
        MissingDependencyError, match=r"^pixio-edge export --format coreml needs .*pixio-edge\[coreml\]"
    ):
        run("coreml", source=str(tmp_path / source))


def test_bundle_without_a_table_is_told_before_it_is_copied(
    run: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BundleWriter, "take_over", _refuse)

    with pytest.raises(BundleError, match="no calibration table"):
        run("coreml", variants=["w8a8"], target="iOS17")


def _refuse(*_: object, **__: object) -> None:
    raise AssertionError("work was begun")


def test_only_keeps_what_was_asked_for_and_verifies(run: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    printed = run("tensorrt", only=True, sizes=["48x80"])

    assert kinds(printed) == [("tensorrt", "fp16")]
    bundle = Bundle.open(tmp_path / "out")
    roles = sorted(entry.role for entry in bundle.manifest.all_files().values())
    assert roles == ["golden", "graph", "recipe", "weights"]
    assert leftovers(bundle.folder) == sorted([*bundle.manifest.all_files(), MANIFEST, SUMS])
    conclude(outcomes := verify_bundle(bundle))
    assert [outcome.status for outcome in outcomes].count("ok") == 1


def test_only_is_refused_where_it_would_take_the_weights_away(
    run: Callable[..., dict[str, Any]], bundle: Bundle
) -> None:
    with pytest.raises(InputError, match=r"--only: got .* as output and as source.*Fix: choose another folder"):
        run("tensorrt", output=bundle.folder, only=True, replace=True)


def test_core_ml_is_asked_for_what_the_options_say(
    run: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(coreml, "add_coreml", lambda bundle, writer, **options: asked.append(options))

    run("coreml", variants=["w8", "ane"], target="iOS18", depth_output="image", sizes=["48x80"])
    monkeypatch.setattr(export_formats, "check_request", lambda *_: None)  # one of its sizes has an odd grid
    run("coreml", enumerated=True, replace=True)

    first, second = ({name: value for name, value in options.items() if name != "on_stage"} for options in asked)
    image = {"variants": ("w8", "ane"), "target": "iOS18", "output": "image", "enumerated": False}
    assert first == {**image, "sizes": ((48, 80),)}
    plain = {"variants": ("fp16",), "target": "iOS16", "output": "array", "enumerated": True}
    assert second == {**plain, "sizes": None}


def test_formats_are_made_in_one_order_and_earlier_ones_stay(
    run: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, ...]] = []

    def note(bundle: Bundle, writer: BundleWriter, **options: Any) -> tuple[()]:
        seen.append(tuple(artifact.kind for artifact in writer.artifacts))
        return ()

    monkeypatch.setattr(coreml, "add_coreml", note)

    run("coreml", "tensorrt")

    assert seen == [("onnx", "onnx", "tensorrt", "tensorrt")]


def test_missing_package_is_named_with_its_extra(
    run: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError("No module named 'coremltools'", name="coremltools")

    monkeypatch.setattr("builtins.__import__", _importing(missing, "pixio_edge.export.coreml.artifacts"))

    with pytest.raises(MissingDependencyError, match=r"pixio-edge\[coreml\]"):
        run("coreml")

    assert not (tmp_path / "out").exists()


def _importing(missing: Callable[[str], None], module: str) -> Callable[..., Any]:
    real = __import__

    def load(name: str, *arguments: Any, **options: Any) -> Any:
        if name == module:
            missing(name)
        return real(name, *arguments, **options)

    return load


@pytest.mark.parametrize(
    ("option", "value"),
    [("name", "mine"), ("licence", "MIT"), ("commercial", False), ("notice", "text"), ("commit", "abc")],
)
def test_options_about_weights_are_refused_when_a_bundle_is_taken_over(
    run: Callable[..., dict[str, Any]], option: str, value: object
) -> None:
    with pytest.raises(InputError, match=rf"--{option}: is about weights.*Fix: leave it out, or add --format onnx"):
        run("tensorrt", **{option: value})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"formats": ("stone",)}, "--format: got 'stone', expected one of onnx, tensorrt, coreml"),
        ({"formats": ("tensorrt",), "precisions": ("int4",)}, "--precision: got 'int4'"),
        ({"formats": ("onnx",), "precisions": ("fp16",)}, "--precision: is about tensorrt.*add --format tensorrt"),
        ({"formats": ("tensorrt",), "variants": ("w8",)}, "--variant: is about coreml"),
        ({"formats": ("onnx",), "target": "iOS18"}, "--target: is about coreml"),
        ({"formats": ("onnx",), "depth_output": "image"}, "--depth-output: is about coreml"),
        ({"formats": ("tensorrt",), "enumerated": True}, "--enumerated: is about coreml"),
        ({"formats": ("coreml",), "variants": ("w9",)}, "--variant: got 'w9', expected one of fp16"),
        ({"formats": ("coreml",), "target": "iOS12"}, "--target: got 'iOS12'"),
        ({"formats": ("coreml",), "variants": ("w8a8",)}, "--variant w8a8: got --target iOS16.*Fix: --target iOS17"),
        ({"formats": ("coreml",), "depth_output": "image", "enumerated": True}, "--depth-output image: got --enum"),
    ],
)
def test_request_is_refused_when_its_options_do_not_belong_together(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        FormatRequest(**options)


def test_every_format_is_added_but_onnx() -> None:
    assert FormatRequest(formats=tuple(reversed(FORMATS))).added == ("tensorrt", "coreml")
