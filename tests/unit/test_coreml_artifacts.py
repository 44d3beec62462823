"""Core ML packages in a bundle: listed, checked, told apart, and refused when something is missing or wrong."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest

pytest.importorskip("coremltools", reason="the extra 'coreml' is not installed")

from coreml_models import tiny_model
from int8_tables import table_of
from tiny_bundle import write_tiny_bundle

from pixio_edge.bundle import Bundle
from pixio_edge.bundle_writer import write_bundle
from pixio_edge.calibration.ladder import FloatLadder
from pixio_edge.cli.options import parse_size
from pixio_edge.errors import BundleError, CheckFailedError, InputError
from pixio_edge.export.bundle_details import BundleDetails
from pixio_edge.export.coreml import artifacts, gate
from pixio_edge.export.coreml.artifacts import add_coreml
from pixio_edge.export.coreml.convert import Conversion
from pixio_edge.export.coreml.options import read_options
from pixio_edge.export.coreml.request import check_request, enumerable
from pixio_edge.export.coreml.table import BundleCalibration
from pixio_edge.export.pipeline import export_bundle
from pixio_edge.manifest import ArtifactEntry, LicenceEntry
from pixio_edge.parity import Tolerance, compare
from pixio_edge.quantization import QuantizationEntry

SIZES = ((64, 64), (64, 96))
TERMS = LicenceEntry(weights="Apache-2.0", commercial=True, notice="made of random numbers")


@pytest.fixture(scope="module")
def nano() -> Bundle:
    """For what ends before a conversion."""
    return Bundle.open("nano")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("coreml") / "tiny"
    return export_bundle(tiny_model(), folder, details=BundleDetails("tiny", "tiny", TERMS), sizes=SIZES)


def add(bundle: Bundle, folder: Path, **options: object) -> tuple[ArtifactEntry, ...]:
    with write_bundle(folder, bundle.manifest) as writer:
        writer.take_over(bundle)
        return add_coreml(bundle, writer, **options)  # type: ignore[arg-type]


@pytest.mark.slow
def test_packages_are_listed_with_what_was_measured(bundle: Bundle, tmp_path: Path) -> None:
    stages: list[str] = []

    (entry,) = add(bundle, tmp_path / "out", sizes=[(64, 96)], on_stage=stages.append)

    assert stages == ["converted fp16 at 64x96"]
    assert (entry.name, entry.kind, entry.precision, entry.flavour) == ("coreml-fp16-64x96", "coreml", "fp16", None)
    assert entry.path == "coreml-fp16-64x96.mlpackage/Data/com.apple.CoreML/model.mlmodel"
    assert [data.path.rpartition("/")[2] for data in entry.data] == ["weight.bin", "Manifest.json"]
    assert entry.requires.runtimes == ("coreml",)
    assert not entry.verified and entry.verified_on is None
    assert entry.parity is not None and "MIL interpreter" in str(entry.parity["method"])
    assert 0 < cast(float, entry.parity["rel_l2"]) < 0.01
    assert entry.tolerance == Tolerance(rel_l2=0.01)
    written = Bundle.open(tmp_path / "out")
    assert written.verify_hashes() > 0
    assert entry in written.artifacts
    assert len(written.artifacts) == len(bundle.artifacts) + 1


@pytest.mark.slow
def test_every_variant_comes_from_a_bundle_with_a_table(bundle: Bundle, tmp_path: Path) -> None:
    source = _with_table(bundle, tmp_path / "table")
    names = ("fp16-islands", "fp32", "ane", "w8", "p8", "p6", "w8a8")

    entries = add(source, tmp_path / "out", variants=names, target="iOS18", sizes=[(64, 64)])

    assert [entry.name for entry in entries] == [f"coreml-{name}-64x64" for name in names]
    assert [entry.precision for entry in entries] == ["fp16", "fp32", "fp16", "fp16", "fp16", "fp16", "int8"]
    assert len({(entry.precision, entry.flavour) for entry in entries}) == len(entries)
    quantization = entries[-1].quantization
    assert quantization is not None
    assert quantization.calibration == "calibration.json"
    assert quantization.keep_float == ("encoder.blocks.0.mlp.fc2/MatMul",)


@pytest.mark.slow
def test_float32_gives_an_image_of_depth_too(bundle: Bundle, tmp_path: Path) -> None:
    (entry,) = add(bundle, tmp_path / "out", variants=("fp32",), output="image", sizes=[(64, 64)])

    assert entry.parity is not None
    assert 1e-5 < cast(float, entry.parity["rel_l2"]) < gate.IMAGE_LIMIT  # an array gives 1e-7
    assert entry.tolerance == Tolerance(rel_l2=1e-3)


@pytest.mark.slow
def test_enumerated_sizes_share_one_package(bundle: Bundle, tmp_path: Path) -> None:
    first, second = add(bundle, tmp_path / "out", enumerated=True, variants=("w8",))

    assert [first.size, second.size] == list(SIZES)
    assert first.path == second.path == "coreml-w8-enumerated.mlpackage/Data/com.apple.CoreML/model.mlmodel"
    assert first.golden != second.golden


@pytest.mark.slow
def test_layers_that_a_search_gave_back_are_taken_from_the_symmetric_flavour(bundle: Bundle, tmp_path: Path) -> None:
    assert BundleCalibration(bundle).keep_float == ()
    assert BundleCalibration(_with_table(bundle, tmp_path / "t")).keep_float == ("encoder.blocks.0.mlp.fc2/MatMul",)


def test_bundle_without_a_table_is_told_before_any_conversion(nano: Bundle, tmp_path: Path) -> None:
    with write_bundle(tmp_path / "bare", nano.manifest) as writer:
        writer.take_over(nano, drop={"calibration.json", *(a.name for a in nano.artifacts if a.quantization)})

    with pytest.raises(BundleError, match=r"no calibration table.*--variant w8a8.*Fix: pixio-edge quantize"):
        add(Bundle.open(tmp_path / "bare"), tmp_path / "out", variants=("fp16", "w8a8"), target="iOS17")

    assert not (tmp_path / "out").exists()


def test_size_that_the_bundle_lacks_is_refused(nano: Bundle, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--size 32x32: the bundle has 256x256, 224x304"):
        add(nano, tmp_path / "out", sizes=[(32, 32)])


def test_one_size_alone_is_not_enumerated(nano: Bundle, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="got 256x256 alone, expected several sizes"):
        add(nano, tmp_path / "out", sizes=[(256, 256)], enumerated=True)


def test_sizes_with_odd_grids_are_refused_with_a_command_that_works(nano: Bundle) -> None:
    options = read_options(enumerated=True)

    with pytest.raises(InputError) as caught:
        check_request(nano, options, None)

    message = str(caught.value)
    assert "--enumerated: got 224x304, 304x224, 192x336" in message
    assert "of the bundle's sizes these can be: 256x256. Fix: " in message
    command = message.partition("Fix: pixio-edge export ")[2]
    assert command.startswith(f"{nano.folder} -o FOLDER --format onnx --format coreml --enumerated --size 256x256 ")
    sizes = [parse_size(word) for word in command.split() if "x" in word and word[0].isdigit()]
    assert len(sizes) == 7
    assert all(size is not None and enumerable(size, 16) for size in sizes)


def test_sizes_that_can_be_enumerated_are_named_when_the_bundle_has_them(tmp_path: Path) -> None:
    plain = write_tiny_bundle(tmp_path / "plain", sizes=((32, 64), (64, 32)))

    with pytest.raises(InputError, match=r"can be: 32x64, 64x32\. Fix: .* --format coreml --enumerated --size 32x64 "):
        check_request(plain, read_options(enumerated=True), [(32, 64)])


def test_package_that_is_there_is_not_written_over(nano: Bundle, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="has it already"), write_bundle(tmp_path / "out", nano.manifest) as writer:
        (writer.folder / "coreml-fp16-256x256.mlpackage").mkdir()
        add_coreml(nano, writer, sizes=[(256, 256)])


@pytest.mark.parametrize(
    ("variant", "output", "errors", "message"),
    [
        ("w8", "array", (0.5, 0.5), "in float32: parity fails.*Fix: --variant fp16, which"),
        ("fp16", "array", (0.5, 0.5), "in float32: parity fails.*Fix: pixio-edge verify the bundle"),
        ("fp16", "array", (0.0, 0.5), "in half precision: parity fails.*Fix: --variant fp16-islands"),
        ("fp16", "array", (0.0, np.inf), "in half precision: overflows at 'add_7'.*Fix: --variant fp16-islands"),
        ("fp16-islands", "array", (0.0, 0.5), "in half precision: parity fails.*Fix: --variant fp32$"),
        ("fp32", "image", (0.0, np.inf), "in half precision: overflows at 'add_7'.*Fix: --depth-output array"),
    ],
)
def test_package_that_computes_something_else_is_refused(
    nano: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    variant: str,
    output: str,
    errors: tuple[float, float],
    message: str,
) -> None:
    def measure(_: Path, image: np.ndarray, reference: np.ndarray, limit: float) -> gate.PackageParity:
        reports = [compare(reference, reference * (1 + error), Tolerance(rel_l2=limit)) for error in errors]
        return gate.PackageParity(*reports, 70000.0, ("add_7",) if np.isinf(errors[1]) else (), reference)

    monkeypatch.setattr(gate, "measure_package", measure)
    monkeypatch.setattr(artifacts, "convert_variant", lambda *_: Conversion(None, "torch.export"))
    monkeypatch.setattr(artifacts, "write_package", _write_empty)

    with pytest.raises(CheckFailedError, match=message):
        add(nano, tmp_path / "out", sizes=[(256, 256)], variants=(variant,), output=output)

    assert not (tmp_path / "out").exists()


def _write_empty(_: object, folder: Path, **__: object) -> None:
    for path in artifacts.FILES:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()


def _with_table(bundle: Bundle, folder: Path) -> Bundle:
    """The bundle with a table, and with an INT8 artifact whose search gave a layer back; its graph is the float one."""
    ladder = FloatLadder(bundle)
    base = ladder.artifacts[(64, 64)]
    with write_bundle(folder, bundle.manifest) as writer:
        writer.take_over(bundle)
        table_of(ladder[(64, 64)]).save(writer.folder / "calibration.json")
        writer.add_file("calibration.json", "calibration")
        kept = QuantizationEntry(
            flavour="openvino", keep_float=("encoder.blocks.0.mlp.fc2/MatMul",), calibration="calibration.json"
        )
        writer.add_artifact(
            base.model_copy(update={"name": "onnx-int8-openvino-64x64", "precision": "int8", "quantization": kept})
        )
    return Bundle.open(folder)
