"""Packages read back from disk and run: inputs and outputs as an app sees them, precision, overflow, errors."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'coreml' is not installed")
pytest.importorskip("coremltools", reason="the extra 'coreml' is not installed")

from pixio_edge.errors import BundleError, InputError, SpecError  # noqa: E402
from pixio_edge.export.coreml import mil_elementwise, mil_reductions  # noqa: E402
from pixio_edge.export.coreml.interpreter import MilInterpreter, load_program  # noqa: E402
from pixio_edge.export.coreml.mil_call import MIL_OPS  # noqa: E402
from pixio_edge.export.coreml.mil_program import MODEL_FILE, WEIGHTS_FOLDER  # noqa: E402
from tests.coreml_packages import SIZE, convert_tiny, tiny_module, tiny_reference  # noqa: E402
from tests.mil_programs import mb, mil_program, trace_op  # noqa: E402
from tests.tiny_bundle import tiny_image  # noqa: E402

# Three layers of float32 with weights of fp32.
FLOAT32_RTOL = 1e-5
# One rounding is 2^-11; there are four in a row.
FLOAT16_RTOL = 4 * 2**-11


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return convert_tiny(tmp_path_factory.mktemp("mil") / "tiny.mlpackage")


@pytest.fixture
def image() -> np.ndarray:
    return tiny_image(SIZE)[None]


def test_package_computes_what_the_model_does(package: Path, image: np.ndarray) -> None:
    program = load_program(package)

    depth = MilInterpreter(program).run({"image": image})["depth"]

    assert depth.dtype == np.float32
    assert depth.shape == (1, *SIZE)
    np.testing.assert_allclose(depth, tiny_reference(image), rtol=FLOAT32_RTOL)


def test_program_says_what_an_app_sees(package: Path) -> None:
    program = load_program(package)

    (image,), (depth,) = program.inputs, program.outputs
    assert (image.name, image.layout, image.shape, image.sizes) == ("image", "RGB", (1, *SIZE, 3), ())
    assert (depth.name, depth.layout, depth.shape, depth.dtype) == ("depth", None, (1, *SIZE), "float32")


@pytest.mark.parametrize("layout", ["RGB", "BGR"])
def test_layout_scale_and_bias_of_an_image_are_applied(tmp_path: Path, image: np.ndarray, layout: str) -> None:
    package = convert_tiny(tmp_path / "scaled.mlpackage", layout=layout, scale=1 / 64, bias=[-1.0, 0.5, 2.0])
    planes = image if layout == "RGB" else image[..., ::-1]
    pixels = planes.astype(np.float64) / 64 + [-1.0, 0.5, 2.0]

    depth = MilInterpreter(load_program(package)).run({"image": image})["depth"]

    np.testing.assert_allclose(depth, tiny_reference(pixels), rtol=FLOAT32_RTOL)


def test_depth_image_comes_without_its_channel(tmp_path: Path, image: np.ndarray) -> None:
    package = convert_tiny(tmp_path / "image.mlpackage", image_output=True)

    depth = MilInterpreter(load_program(package), "fp16").run({"image": image})["depth"]

    assert depth.shape == (1, *SIZE)
    np.testing.assert_array_equal(depth, depth.astype(np.float16))
    np.testing.assert_allclose(depth, tiny_reference(image), rtol=FLOAT16_RTOL)


@pytest.mark.parametrize("size", [SIZE, (24, 16)])
def test_package_of_several_sizes_runs_at_each(tmp_path: Path, size: tuple[int, int]) -> None:
    package = convert_tiny(tmp_path / "sizes.mlpackage", sizes=(SIZE, (24, 16)))
    image = tiny_image(size)[None]

    program = load_program(package)

    assert set(program.inputs[0].sizes) == {SIZE, (24, 16)}
    depth = MilInterpreter(program).run({"image": image})["depth"]
    np.testing.assert_allclose(depth, tiny_reference(image), rtol=FLOAT32_RTOL)
    with pytest.raises(SpecError, match=r"expected uint8 .* at one of"):
        MilInterpreter(program).run({"image": tiny_image((16, 16))[None]})


def test_fp16_package_is_rounded_only_when_fp16_is_emulated(tmp_path: Path, image: np.ndarray) -> None:
    program = load_program(convert_tiny(tmp_path / "half.mlpackage", precision="FLOAT16"))

    exact = MilInterpreter(program, "fp32").run({"image": image})["depth"]
    rounded = MilInterpreter(program, "fp16").run({"image": image})["depth"]

    np.testing.assert_array_equal(rounded, rounded.astype(np.float16))
    assert not np.array_equal(exact, rounded)
    np.testing.assert_allclose(rounded, exact, rtol=FLOAT16_RTOL)


def test_same_image_gives_the_same_bits(package: Path, image: np.ndarray) -> None:
    interpreter = MilInterpreter(load_program(package), "fp16")

    first, second = (interpreter.run({"image": image})["depth"] for _ in range(2))

    assert first.tobytes() == second.tobytes()
    assert not np.shares_memory(first, second)


def test_overflow_is_kept_and_the_operation_that_began_it_is_named() -> None:
    x = np.array([[2.0, 300.0]], np.float16)

    def make(x: Any) -> Any:
        large = mb.mul(x=x, y=np.float16(300.0), name="first")
        return mb.mul(x=mb.add(x=large, y=large), y=np.float16(0.0), name="last")

    trace = trace_op(make, x, precision="fp16")

    (overflow,) = trace.overflows  # the others had an infinite input already
    assert (overflow.name, overflow.op_type, overflow.elements, overflow.size) == ("first", "mul", 1, 2)
    (output,) = trace.outputs.values()
    np.testing.assert_array_equal(output, [[0.0, np.nan]])


def test_nothing_overflows_in_fp32() -> None:
    x = np.array([[300.0]], np.float16)

    trace = trace_op(lambda x: mb.mul(x=x, y=np.float16(300.0)), x)

    assert trace.overflows == ()
    assert next(iter(trace.outputs.values())) == 90000.0


def test_peak_is_the_largest_magnitude_of_what_is_declared_fp16() -> None:
    x = np.array([[-100.0, 2.0]], np.float16)

    def make(x: Any) -> Any:
        return mb.relu(x=mb.mul(x=x, y=np.float16(2.0), name="doubled"))

    trace = trace_op(make, x, precision="fp16")

    assert (trace.peak, trace.peak_name) == (200.0, "doubled")


def test_unknown_operations_are_all_named() -> None:
    program = mil_program(lambda x: mb.cumsum(x=mb.band_part(x=x)), np.zeros((2, 2), np.float32))

    with pytest.raises(InputError, match=r"does not know: band_part, cumsum\. Fix: "):
        MilInterpreter(program)


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({}, r"inputs: got \[\], expected \['image'\]"),
        ({"image": np.zeros((1, *SIZE, 3), np.float32)}, r"tensor 'image': got float32 .*, expected uint8"),
        ({"image": np.zeros((1, 8, 8, 3), np.uint8)}, r"tensor 'image': got uint8 \(1, 8, 8, 3\), expected uint8"),
    ],
)
def test_wrong_inputs_are_refused(package: Path, feeds: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        MilInterpreter(load_program(package)).run(feeds)


def test_folder_without_a_model_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"found no Data/com\.apple\.CoreML/model\.mlmodel.*Fix: "):
        load_program(tmp_path)


def test_damaged_model_is_a_bundle_error(tmp_path: Path) -> None:
    model = tmp_path / MODEL_FILE
    model.parent.mkdir(parents=True)
    model.write_bytes(b"\xff" * 64)

    with pytest.raises(BundleError, match="cannot be read"):
        load_program(tmp_path)


def test_package_without_its_weights_is_a_bundle_error(package: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(package, tmp_path / "broken.mlpackage"))
    shutil.rmtree(broken / WEIGHTS_FOLDER)

    with pytest.raises(BundleError, match=r"cannot be read .*Fix: copy or export it again"):
        load_program(broken)


def test_package_of_several_functions_is_an_input_error(package: Path, tmp_path: Path) -> None:
    from coremltools.proto import Model_pb2  # noqa: PLC0415 - needs the extra

    broken = Path(shutil.copytree(package, tmp_path / "several.mlpackage"))
    model = Model_pb2.Model.FromString((broken / MODEL_FILE).read_bytes())
    model.mlProgram.functions["other"].CopyFrom(model.mlProgram.functions["main"])
    (broken / MODEL_FILE).write_bytes(model.SerializeToString())

    with pytest.raises(InputError, match=r"has functions \['main', 'other'\], expected one named 'main'"):
        load_program(broken)


def test_model_that_is_no_program_is_an_input_error(tmp_path: Path) -> None:
    from coremltools.proto import Model_pb2  # noqa: PLC0415 - needs the extra

    model = Model_pb2.Model(specificationVersion=4)
    model.identity.SetInParent()
    (tmp_path / MODEL_FILE).parent.mkdir(parents=True)
    (tmp_path / MODEL_FILE).write_bytes(model.SerializeToString())

    with pytest.raises(InputError, match="holds 'identity', expected an ML program"):
        load_program(tmp_path)


def test_every_known_operation_has_a_case() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_mil_*.py"))
    tested = set(re.findall(r"mb\.(\w+)\(", sources)) | set(
        re.findall(r'^    \(?"(\w+)"(?:,|: )', sources, re.MULTILINE)
    )
    tested |= set(re.findall(r'\("(\w+)", ', sources))

    assert set(MIL_OPS) - tested == set()
    assert set(mil_elementwise.UNARY) | set(mil_reductions.REDUCTIONS) <= set(MIL_OPS)


def test_tiny_module_is_what_the_reference_says(image: np.ndarray) -> None:
    with torch.inference_mode():
        depth = tiny_module()(torch.from_numpy(image).float().permute(0, 3, 1, 2))

    np.testing.assert_allclose(depth, tiny_reference(image), rtol=FLOAT32_RTOL)
