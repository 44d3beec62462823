"""From a model to a bundle that opens, verifies and predicts; or to nothing at all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from random_models import SIZES, random_image, random_model

from pixio_edge.bundle import Bundle
from pixio_edge.errors import BundleError, CheckFailedError, InputError, OutputError, PixioEdgeError
from pixio_edge.export import encoder_rewrites, pipeline
from pixio_edge.export.bundle_details import BundleDetails
from pixio_edge.export.pipeline import FP32_TOLERANCE, export_bundle
from pixio_edge.export.reference import reference_depth
from pixio_edge.manifest import LicenceEntry
from pixio_edge.models.checkpoints import load_checkpoint
from pixio_edge.parity import compare
from pixio_edge.runtimes.base import RuntimeOptions
from pixio_edge.runtimes.registry import make_runtime

LICENCE = LicenceEntry(weights="Apache-2.0", commercial=True, notice="made of random numbers")
DETAILS = BundleDetails("random", "stem", LICENCE, training={"seed": 0})


@pytest.fixture(scope="module")
def stages() -> list[str]:
    return []


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, stages: list[str]) -> Bundle:
    folder = tmp_path_factory.mktemp("export")
    (folder / "terms.txt").write_text("terms")
    (folder / "credits.md").write_text("credits")
    details = BundleDetails(
        "random", "stem", LICENCE, folder / "terms.txt", folder / "credits.md", training={"seed": 0}, commit="abc"
    )
    return export_bundle(
        random_model("stem"), folder / "new" / "bundle", details=details, sizes=SIZES, on_stage=stages.append
    )


@pytest.mark.parametrize(
    ("runtime", "index"), [("ort", 0), ("ort", 1), ("openvino", 0), ("openvino", 1), ("pytorch", 2)]
)
def test_artifact_computes_what_its_checkpoint_computes_when_run(bundle: Bundle, runtime: str, index: int) -> None:
    pytest.importorskip({"openvino": "openvino"}.get(runtime, "onnxruntime"))
    model = load_checkpoint(bundle.folder / "weights.safetensors")
    artifact = bundle.artifacts[index]
    image = random_image(artifact.size)

    with make_runtime(runtime, bundle.read_artifact(artifact), RuntimeOptions(threads=1)) as opened:
        depth = opened.run({"image": image})["depth"]
    report = compare(reference_depth(model, image), depth, FP32_TOLERANCE)

    assert runtime in artifact.requires.runtimes
    assert report, report.message


def test_bundle_describes_itself_when_exported(bundle: Bundle, stages: list[str]) -> None:
    manifest = bundle.manifest
    roles = {entry.path: entry.role for entry in manifest.files}

    bundle.verify_hashes()
    names = [artifact.name for artifact in bundle.artifacts]
    assert names == ["onnx-fp32-64x64", "onnx-fp32-48x80", "safetensors-fp32-64x64"]
    assert len({artifact.data for artifact in bundle.artifacts[:2]}) == 1
    assert roles["LICENSE.txt"] == "licence"
    assert roles["ATTRIBUTION.md"] == "attribution"
    assert roles["weights.safetensors"] == "checkpoint"
    assert manifest.model.parameters == sum(value.numel() for value in random_model("stem").parameters())
    assert manifest.model.commit == "abc"
    assert manifest.training == {"seed": 0}
    assert manifest.image.multiple_of == 16
    assert all(artifact.verified and artifact.parity for artifact in bundle.artifacts)
    assert stages == ["exported 64x64", "exported 48x80", "checked 64x64", "checked 48x80"]


def test_cost_is_that_of_the_matrix_products_when_counted(bundle: Bundle) -> None:
    # One encoder block at 256x256: 264 tokens of width 32, 12 D^2 for the linear layers and 2 L D for attention.
    block = 2 * 264 * (12 * 32**2 + 2 * 264 * 32) / 1e9

    assert 3 * block < bundle.manifest.model.gflop < 3 * block + 0.3


def test_golden_output_is_the_torch_model_s_when_read(bundle: Bundle) -> None:
    model = load_checkpoint(bundle.folder / "weights.safetensors")

    for artifact in bundle.artifacts:
        with np.load(bundle.folder / str(artifact.golden), allow_pickle=False) as golden:
            assert golden["image"].dtype == np.uint8
            assert np.array_equal(golden["depth"], reference_depth(model, golden["image"]))


def test_graph_explains_itself_when_taken_out_of_its_bundle(bundle: Bundle) -> None:
    graph = onnx.load(bundle.folder / bundle.artifacts[0].path, load_external_data=False)
    metadata = {entry.key: json.loads(entry.value) for entry in graph.metadata_props}

    assert metadata["pixio_edge.output"] == json.loads(bundle.manifest.output.model_dump_json())
    assert metadata["pixio_edge.licence"]["weights"] == "Apache-2.0"
    assert metadata["pixio_edge.model"]["name"] == "random"
    assert metadata["pixio_edge.image"] == bundle.manifest.image.to_json()


def test_second_size_costs_little_when_weights_are_shared(bundle: Bundle) -> None:
    model = random_model("stem")
    largest = sum(value.numel() * 4 for value in model.parameters())
    positions = sum(height * width // 256 for height, width in SIZES) * 32 * 4

    assert (bundle.folder / "weights.bin").stat().st_size < largest + positions


def wrong_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_rewrites, "PIXEL_MAX", 254.0)


def interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "export_graphs", stop)


def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_named: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pipeline, "write_graphs", fail)


@pytest.mark.parametrize(
    ("break_it", "error", "message"),
    [
        (wrong_scale, CheckFailedError, r"artifact onnx-fp32-64x64 against the torch model: parity fails: max_abs"),
        (interrupt, KeyboardInterrupt, "^$"),
        (full_disk, OutputError, "No space left on device"),
    ],
    ids=["rewrite is wrong", "interrupted", "disk is full"],
)
def test_nothing_is_left_when_the_export_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, break_it: object, error: type[BaseException], message: str
) -> None:
    break_it(monkeypatch)  # type: ignore[operator]

    with pytest.raises(error, match=message) as caught:
        export_bundle(random_model("stem"), tmp_path / "bundle", details=DETAILS, sizes=SIZES[:1])

    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_model_is_refused_when_its_depth_is_flat(tmp_path: Path) -> None:
    model = random_model("stem")
    torch.nn.init.zeros_(model.head.output_conv3.weight)

    with pytest.raises(CheckFailedError, match="at every pixel of the test image"):
        export_bundle(model, tmp_path / "bundle", details=DETAILS, sizes=SIZES[:1])

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("details", "sizes", "error", "message"),
    [
        (DETAILS, ((64, 65),), InputError, "expected two multiples of 16"),
        (BundleDetails("a", "stem", LICENCE, Path("no.txt")), SIZES, InputError, "licence file no.txt: no such file"),
        (BundleDetails("a", "stem", LICENCE, None, Path("no")), SIZES, InputError, "attribution file no: no such"),
    ],
    ids=["size", "licence", "attribution"],
)
def test_export_is_refused_before_any_work_when_an_input_is_bad(
    tmp_path: Path,
    details: BundleDetails,
    sizes: tuple[tuple[int, int], ...],
    error: type[PixioEdgeError],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        export_bundle(random_model("stem"), tmp_path / "new" / "bundle", details=details, sizes=sizes)

    assert not list(tmp_path.iterdir())


def test_existing_bundle_is_kept_when_replacing_was_not_asked_for(bundle: Bundle) -> None:
    before = (bundle.folder / "manifest.json").read_bytes()

    with pytest.raises(BundleError, match="exists already"):
        export_bundle(random_model("stem"), bundle.folder, details=DETAILS, sizes=SIZES[:1])

    assert (bundle.folder / "manifest.json").read_bytes() == before
