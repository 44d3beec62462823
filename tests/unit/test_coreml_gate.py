"""The gate of Core ML packages: the right one passes, and one that is wrong in a way that happens does not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("coremltools", reason="the extra 'coreml' is not installed")

import torch
from coreml_models import SIZE, header_of, tiny_model
from int8_tables import table_of

from pixio_edge.errors import CheckFailedError
from pixio_edge.export.base import ExportRequest
from pixio_edge.export.coreml import gate
from pixio_edge.export.coreml.calibrated import CalibratedModel, apply_table_
from pixio_edge.export.coreml.gate import LIMITS, check_package, limit_of, tolerance_of
from pixio_edge.export.coreml.library import load_reader
from pixio_edge.export.coreml.options import VARIANTS
from pixio_edge.export.coreml.package import write_package
from pixio_edge.export.coreml.variants import VariantSource, convert_variant
from pixio_edge.export.golden_image import make_golden_image
from pixio_edge.export.onnx import export_graphs
from pixio_edge.export.prepare import PreparedModel
from pixio_edge.export.reference import reference_depth
from pixio_edge.manifest import ArtifactEntry, Requirements
from pixio_edge.models.depth_model import DepthModel
from pixio_edge.tensor import TensorSpec

PACKAGE = "model.mlpackage"
MODEL = f"{PACKAGE}/Data/com.apple.CoreML/model.mlmodel"
BGR = 30  # ImageFeatureType.ColorSpace of Core ML's model format

QUICK = {"fp16", "w8a8"}
"""Converted in every run of the tests; the others in the slow ones."""

EACH_VARIANT = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in VARIANTS]


def other_model() -> DepthModel:
    """Of the same shape, trained otherwise."""
    torch.manual_seed(7)
    model = tiny_model()
    for parameter in model.parameters():
        parameter.data += 0.5 * parameter.std(correction=0) * torch.randn_like(parameter)
    return model


def apply_noise_table_(prepared: PreparedModel) -> CalibratedModel:
    ((_, graph),) = export_graphs(tiny_model(), ExportRequest((SIZE,)), {})
    return apply_table_(prepared, graph, table_of(graph))


@pytest.fixture(scope="module")
def package_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder with the package of a variant and its stored output."""

    @cache
    def make(variant: str) -> Path:
        folder, model = tmp_path_factory.mktemp(variant), tiny_model()
        conversion = convert_variant(VariantSource(model, (SIZE,), apply_noise_table_), variant, "iOS17", "array")  # type: ignore[arg-type]
        write_package(conversion.model, folder / PACKAGE, header=header_of(model), facts={})
        store(folder, model)
        return folder

    return make


def store(folder: Path, model: DepthModel) -> None:
    image = make_golden_image(SIZE)
    np.savez(folder / "golden.npz", image=image, depth=reference_depth(model, image))


def entry() -> ArtifactEntry:
    return ArtifactEntry(
        name="coreml",
        kind="coreml",
        precision="fp16",
        size=SIZE,
        path=MODEL,
        sha256="0" * 64,
        bytes=1,
        inputs=(TensorSpec("image", (1, *SIZE, 3), "uint8"),),
        outputs=(TensorSpec("depth", (1, *SIZE), "float32"),),
        requires=Requirements(runtimes=("coreml",)),
        golden="golden.npz",
    )


def swap_channels_(folder: Path) -> None:
    spec = _read(folder)
    spec.description.input[0].type.imageType.colorSpace = BGR
    (folder / MODEL).write_bytes(spec.SerializeToString())


def drop_bias_(folder: Path) -> None:
    spec = _read(folder)
    (block,) = spec.mlProgram.functions["main"].block_specializations.values()
    (bias,) = (op for op in block.operations if "image__biased__" in op.outputs[0].name and op.type == "const")
    values = bias.attributes["val"].immediateValue.tensor.floats.values
    assert min(values) < -100  # the mean of a channel, in grey levels
    values[:] = [0.0, 0.0, 0.0]
    (folder / MODEL).write_bytes(spec.SerializeToString())


def store_another_model_(folder: Path) -> None:
    store(folder, other_model())


def _read(folder: Path) -> object:
    return load_reader()[0].FromString((folder / MODEL).read_bytes())


@pytest.mark.parametrize("variant", EACH_VARIANT)
def test_right_package_passes_and_its_tolerance_stays_below_the_limit(
    package_of: Callable[[str], Path], variant: str
) -> None:
    checked = check_package(entry(), package_of(variant), variant)

    assert checked.tolerance is not None and checked.tolerance.rel_l2 is not None
    assert checked.tolerance.rel_l2 <= max(LIMITS[variant], gate.SMALLEST_TOLERANCE.get(variant, 0.0))


@pytest.mark.parametrize("break_", [swap_channels_, drop_bias_, store_another_model_])
@pytest.mark.parametrize("variant", EACH_VARIANT)
def test_wrong_package_is_refused(
    package_of: Callable[[str], Path], tmp_path: Path, variant: str, break_: Callable[[Path], None]
) -> None:
    folder = shutil.copytree(package_of(variant), tmp_path / "broken")
    break_(folder)

    with pytest.raises(CheckFailedError, match=r"in float32: parity fails.*Fix: "):
        check_package(entry(), folder, variant)


def test_every_variant_is_held_to_less_than_a_wrong_package_gives_on_nano() -> None:
    swapped_on_nano = 0.10

    assert set(LIMITS) == set(VARIANTS)
    assert max(LIMITS.values()) <= 0.6 * swapped_on_nano


@pytest.mark.parametrize(
    ("variant", "measured", "expected"),
    [("w8a8", 0.04, 0.05), ("w8a8", 0.012, 0.024), ("fp16", 1e-4, 0.01), ("fp32", 1e-7, 1e-3), ("p6", 0.059, 0.06)],
)
def test_tolerance_is_twice_what_was_measured_up_to_the_limit(variant: str, measured: float, expected: float) -> None:
    assert tolerance_of(variant, LIMITS[variant], measured) == pytest.approx(expected)


def test_image_is_held_to_what_half_precision_can_give() -> None:
    step = float(np.finfo(np.float16).eps) / 2

    assert limit_of("fp32", "array") == LIMITS["fp32"] < step < limit_of("fp32", "image")
    assert limit_of("w8", "image") == LIMITS["w8"]
