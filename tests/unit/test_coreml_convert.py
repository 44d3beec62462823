"""Conversion: the program computes what the model does, whichever frontend read it, and says which did."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("coremltools", reason="the extra 'coreml' is not installed")

import torch
from coreml_models import SIZE, one_layer, operations, random_image, random_model, run_package, tiny_model, write

from pixio_edge.errors import CheckFailedError, MissingDependencyError
from pixio_edge.export.coreml import convert as convert_module
from pixio_edge.export.coreml import library
from pixio_edge.export.coreml.convert import Conversion, convert
from pixio_edge.export.coreml.library import load_coremltools
from pixio_edge.export.coreml.mil_program import load_program
from pixio_edge.export.coreml.package import FILES, MODEL
from pixio_edge.export.coreml.planar import PlanarModel
from pixio_edge.export.prepare import prepare
from pixio_edge.export.reference import reference_depth
from pixio_edge.parity import Tolerance, compare

# Float32 on both sides, summed in another order: measured at most 7e-7.
FLOAT32 = Tolerance(max_rel=1e-5)
# Weights and results rounded to 11 bits, some dozens of times in a row: measured 1.5e-3.
FLOAT16 = Tolerance(rel_l2=1e-2)


@pytest.fixture(scope="module")
def half() -> Conversion:
    """A model with a stem in half precision, as an array."""
    return convert(PlanarModel(prepare(tiny_model(), SIZE)), [SIZE])


@pytest.fixture(scope="module")
def islands() -> Conversion:
    """The same with islands of float32, as an image."""
    return convert(PlanarModel(prepare(tiny_model(), SIZE), "image"), [SIZE], compute="fp16-islands")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stem", "plain", "pixio", "depth_anything"])
def test_program_computes_what_the_model_does(tmp_path: Path, name: str) -> None:
    model, image = random_model(name), random_image((48, 80))
    conversion = convert(PlanarModel(prepare(model, (48, 80))), [(48, 80)], compute="fp32")

    depth = run_package(write(conversion, tmp_path, model), image)

    parity = compare(reference_depth(model, image), depth, FLOAT32)
    assert parity, parity.message
    assert (conversion.frontend, conversion.fallback) == ("torch.export", None)


def test_half_precision_program_is_near_the_model(tmp_path: Path, half: Conversion) -> None:
    model, image = tiny_model(), random_image(SIZE)

    depth = run_package(write(half, tmp_path, model), image, "fp16")

    parity = compare(reference_depth(model, image), depth, FLOAT16)
    assert parity, parity.message
    assert Counter(op.outputs[0].dtype.__name__ for op in operations(half))["fp32"] == 2  # the mean and the last cast


def test_islands_stay_in_float32_and_products_do_not(islands: Conversion) -> None:
    kinds = {(op.op_type, op.outputs[0].dtype.__name__) for op in operations(islands)}

    assert {("softmax", "fp32"), ("layer_norm", "fp32"), ("linear", "fp16"), ("conv", "fp16")} <= kinds
    assert not kinds & {("softmax", "fp16"), ("layer_norm", "fp16"), ("linear", "fp32"), ("conv", "fp32")}
    matmuls = Counter(op.outputs[0].dtype.__name__ for op in operations(islands) if op.op_type == "matmul")
    assert matmuls == {"fp32": 2, "fp16": 2}  # scores, and softmax times v
    streams = [op for op in operations(islands) if op.op_type == "add" and op.outputs[0].rank == 3]
    assert {op.outputs[0].dtype.__name__ for op in streams} == {"fp32"}
    last_conv = max(i for i, op in enumerate(operations(islands)) if op.op_type == "conv")
    tail = [op for op in operations(islands)[last_conv + 1 :] if op.op_type != "cast"]
    assert tail and {op.outputs[0].dtype.__name__ for op in tail} == {"fp32"}


def test_image_output_is_half_precision_grey(tmp_path: Path, islands: Conversion) -> None:
    model, image = tiny_model(), random_image(SIZE)
    package = write(islands, tmp_path, model)

    (output,) = load_program(package).outputs
    depth = run_package(package, image, "fp16")

    assert (output.layout, output.dtype) == ("GRAYSCALE_FLOAT16", "float16")
    assert compare(reference_depth(model, image), depth.reshape(1, *SIZE), FLOAT16)


def test_mean_is_subtracted_from_pixels_before_they_are_rounded(half: Conversion) -> None:
    first, second = operations(half)[:2]

    assert (first.op_type, first.outputs[0].dtype.__name__) == ("add", "fp32")
    assert (second.op_type, second.outputs[0].dtype.__name__) == ("cast", "fp16")
    np.testing.assert_allclose(first.inputs["y"].val.reshape(-1), [-123.675, -116.28, -103.53], rtol=1e-6)


def test_model_whose_convolution_holds_the_mean_takes_pixels_as_they_are() -> None:
    assert PlanarModel(prepare(random_model("pixio"), SIZE)).bias == (0.0, 0.0, 0.0)


def test_tracing_takes_over_when_torch_export_fails_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, image = one_layer(), random_image(SIZE)

    def fail(*_: object) -> object:
        raise NotImplementedError("dialect of\nanother year")

    monkeypatch.setitem(convert_module.READERS, "torch.export", fail)
    conversion = convert(model, [SIZE], compute="fp32")

    assert conversion.frontend == "torch.jit.trace"
    assert conversion.fallback == "torch.export: NotImplementedError: dialect of another year"
    expected = model(torch.from_numpy(image).permute(0, 3, 1, 2).float()).numpy()
    assert compare(expected, run_package(write(conversion, tmp_path, tiny_model()), image), FLOAT32)


def test_conversion_that_no_frontend_can_do_is_refused_with_every_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> object:
        raise RuntimeError("no")

    for name in ("torch.export", "torch.jit.trace"):
        monkeypatch.setitem(convert_module.READERS, name, fail)

    with pytest.raises(CheckFailedError, match=r"torch\.export: RuntimeError: no; torch\.jit\.trace: RuntimeError"):
        convert(one_layer(), [SIZE])


def test_defect_of_ours_is_not_taken_for_a_conversion_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> object:
        raise AttributeError("typing error")

    monkeypatch.setitem(convert_module.READERS, "torch.export", fail)

    with pytest.raises(AttributeError, match="typing error"):
        convert(one_layer(), [SIZE])


def test_conversion_writes_nothing_to_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    convert(one_layer(), [SIZE])

    assert capfd.readouterr() == ("", "")


def test_package_carries_the_contract_and_the_licence(tmp_path: Path, half: Conversion) -> None:
    package = write(half, tmp_path, tiny_model())

    description = load_coremltools().models.MLModel(str(package), skip_model_load=True).get_spec().description

    metadata = description.metadata
    assert metadata.license == "CC-BY-4.0 made of random numbers"
    assert json.loads(metadata.userDefined["pixio_edge.output"])["direction"] == "larger_is_nearer"
    assert json.loads(metadata.userDefined["pixio_edge.labels"]) == ["relative_inverse"]
    assert metadata.userDefined["pixio_edge.variant"] == "test"
    assert "larger is nearer" in description.output[0].shortDescription


def test_equal_models_give_equal_packages(tmp_path: Path) -> None:
    first, second = (write(convert(one_layer(), [SIZE]), tmp_path / name, tiny_model()) for name in "ab")

    assert {path.relative_to(first).as_posix() for path in first.rglob("*") if path.is_file()} == set(FILES)
    assert [(first / path).read_bytes() == (second / path).read_bytes() for path in FILES] == [True] * 3


@pytest.mark.parametrize(("target", "version"), [("iOS16", 7), ("iOS17", 8), ("iOS18", 9)])
def test_target_decides_the_oldest_system(target: str, version: int) -> None:
    conversion = convert(one_layer(), [SIZE], target=target)  # type: ignore[arg-type]

    assert conversion.model.get_spec().specificationVersion == version


def test_missing_coremltools_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> object:
        raise ModuleNotFoundError(f"No module named '{name}'", name=name)

    monkeypatch.setattr(library.importlib, "import_module", fail)

    with pytest.raises(MissingDependencyError, match=r"pip install 'pixio-edge\[coreml\]'"):
        load_coremltools()


def test_graph_is_the_first_file_of_a_package() -> None:
    assert next(iter(FILES)) == MODEL
