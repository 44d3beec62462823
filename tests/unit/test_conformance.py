"""Conformance folders: what they hold, that other languages can read it, and the verdict on a program's output."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_bundle import SIZES, write_tiny_bundle

from pixio_edge.bundle import Bundle
from pixio_edge.conformance.check import check_output
from pixio_edge.conformance.picture import MAX_MEAN_DIFFERENCE, render_picture
from pixio_edge.conformance.schema import CONFORMANCE, Conformance, read_array, read_conformance
from pixio_edge.conformance.write import write_conformance
from pixio_edge.errors import BundleError, InputError, OutputError, SchemaError
from pixio_edge.golden import read_golden

CASE = "onnx-fp32-32x32"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="module")
def folder(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("conformance") / "written"
    write_conformance(bundle, target)
    return target


def copy_of(folder: Path, target: Path) -> Path:
    target.mkdir()
    for path in folder.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


def test_folder_holds_a_case_for_every_artifact_and_a_resize_for_every_size(bundle: Bundle, folder: Path) -> None:
    conformance = read_conformance(folder)

    assert [case.name for case in conformance.cases] == [artifact.name for artifact in bundle.artifacts]
    assert [case.size for case in conformance.preparations] == list(SIZES)
    listed = {case.input.path for case in conformance.cases} | {case.expected.path for case in conformance.cases}
    listed |= {case.expected.path for case in conformance.preparations} | {"picture.npy", CONFORMANCE}
    assert {path.name for path in folder.iterdir()} == listed


def test_case_is_the_stored_output_of_its_artifact(bundle: Bundle, folder: Path) -> None:
    case = read_conformance(folder).cases[1]
    image, depth = read_golden(bundle, bundle.artifacts[1])

    assert np.array_equal(read_array(folder, case.input), image)
    assert np.array_equal(read_array(folder, case.expected), depth)
    assert (case.model, case.data) == (bundle.artifacts[1].path, ("weights.bin",))
    assert case.tolerance == bundle.artifacts[1].tolerance


def test_json_is_plain_and_has_exactly_the_fields_of_the_schema(bundle: Bundle, folder: Path) -> None:
    record = json.loads((folder / CONFORMANCE).read_text(encoding="ascii"))

    assert set(record) == set(Conformance.model_fields)
    assert record["image"] == {
        "layout": "NHWC",
        "color": "RGB",
        "dtype": "uint8",
        "resize": "stretch",
        "multiple_of": 16,
    }
    assert record["normalisation"] == "in_graph"
    case = record["cases"][0]
    assert set(case["tolerance"]) == {"max_abs", "max_rel", "rel_l2", "min_sqnr_db"}
    assert set(case["input"]) == {"path", "dtype", "shape", "sha256"}


def test_every_field_is_explained_in_the_documentation(folder: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text(encoding="utf-8")
    record = json.loads((folder / CONFORMANCE).read_text())

    names = {*record, *record["cases"][0], *record["preparations"][0], *record["cases"][0]["tolerance"]}

    assert {name for name in names if f"`{name}`" not in text} == set()


def test_arrays_are_npy_that_a_reader_of_a_few_lines_understands(folder: Path) -> None:
    for path in folder.glob("*.npy"):
        data = path.read_bytes()
        assert data[:8] == b"\x93NUMPY\x01\x00", "version 1.0"
        (length,) = struct.unpack("<H", data[8:10])
        header = data[10 : 10 + length].decode("ascii")
        assert "'fortran_order': False" in header
        assert "'descr': '<f4'" in header or "'descr': '|u1'" in header
        assert (10 + length) % 64 == 0, "data is aligned, so it may be mapped"


def test_resize_is_that_of_the_image_spec(bundle: Bundle, folder: Path) -> None:
    case = read_conformance(folder).preparations[1]

    prepared = bundle.manifest.image.prepare(read_array(folder, case.source), case.size)

    assert np.array_equal(read_array(folder, case.expected), prepared)


def test_output_within_the_limits_passes(folder: Path, tmp_path: Path) -> None:
    expected = np.load(folder / "golden_32x32.depth.npy")
    limit = 1e-5 * float(np.abs(expected).max())
    np.save(tmp_path / "depth.npy", expected + np.float32(0.5 * limit))

    result = check_output(folder, CASE, tmp_path / "depth.npy")

    assert result
    assert result.allowed == {"max_rel": 1e-5}
    assert result.margin == pytest.approx(0.5, abs=0.3)


def test_output_outside_of_the_limits_fails_with_the_error(folder: Path, tmp_path: Path) -> None:
    expected = np.load(folder / "golden_32x32.depth.npy")
    np.save(tmp_path / "depth.npy", expected[0] * 1.01)

    result = check_output(folder, CASE, tmp_path / "depth.npy")

    assert not result
    assert result.measured["max_rel"] == pytest.approx(0.01, rel=1e-3)
    assert result.margin == pytest.approx(1000, rel=1e-2)


def test_output_that_is_not_finite_fails(folder: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "depth.npy", np.full((1, 32, 32), np.nan, np.float32))

    result = check_output(folder, CASE, tmp_path / "depth.npy")

    assert not result
    assert result.margin is None
    assert result.not_finite == 32 * 32


@pytest.mark.parametrize(
    "array",
    [np.zeros((1, 32, 48), np.float32), np.zeros((1, 32, 32), np.uint8), np.zeros((32, 32, 1), np.float32)],
    ids=["size", "dtype", "axes"],
)
def test_output_of_another_shape_or_type_is_refused(folder: Path, tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "depth.npy", array)

    with pytest.raises(InputError, match=r"expected float32 \(1, 32, 32\)"):
        check_output(folder, CASE, tmp_path / "depth.npy")


def npy(header: bytes) -> bytes:
    """A .npy file of version 1.0 with a header and no values."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (b"depth: 3", "got something else, expected a .npy file"),
        (b"", "got an empty file"),
        (b"PK\x03\x04" + bytes(40), "got a .npz archive"),
        (b"\x93NUMPY\x01", "cut off"),
        (npy(b"{'descr': ('f4'"), "damaged"),
        (npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 32, 32), }"), "cut off"),
    ],
    ids=["text", "empty", "npz", "magic", "header", "values"],
)
def test_output_that_is_no_array_is_refused_in_our_words(
    folder: Path, tmp_path: Path, content: bytes, got: str
) -> None:
    (tmp_path / "depth.npy").write_bytes(content)

    with pytest.raises(InputError, match=rf"{re.escape(got)}.*Fix: write the output") as caught:
        check_output(folder, CASE, tmp_path / "depth.npy")

    assert "pickle" not in str(caught.value)
    assert "trust" not in str(caught.value)


def test_output_that_is_missing_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"depth\.npy: got no file, expected a \.npy file\. Fix") as caught:
        check_output(folder, CASE, tmp_path / "depth.npy")
    with pytest.raises(InputError, match="got a folder"):
        check_output(folder, CASE, tmp_path)

    assert "Errno" not in str(caught.value)


def test_pickled_output_is_never_loaded(folder: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "depth.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)

    with pytest.raises(InputError, match="holds Python objects"):
        check_output(folder, CASE, tmp_path / "depth.npy")


@pytest.mark.parametrize(
    ("change", "passes"),
    [
        (lambda image, size: cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA), True),
        (lambda image, size: cv2.resize(image[..., ::-1], size[::-1], interpolation=cv2.INTER_AREA), False),
        (lambda image, size: cv2.resize(image[:, ::-1], size[::-1], interpolation=cv2.INTER_AREA), False),
        (lambda image, size: cv2.resize(image[:, 80:560], size[::-1], interpolation=cv2.INTER_AREA), False),
    ],
    ids=["area", "channels swapped", "mirrored", "cropped"],
)
def test_resize_passes_only_with_the_right_geometry_and_colours(
    folder: Path, tmp_path: Path, change: object, passes: bool
) -> None:
    assert callable(change)
    np.save(tmp_path / "image.npy", change(render_picture(), (32, 32)))

    result = check_output(folder, "prepare-32x32", tmp_path / "image.npy")

    assert bool(result) is passes
    assert result.allowed == {"mean_difference": MAX_MEAN_DIFFERENCE}


def test_altered_file_is_refused_before_it_is_parsed(folder: Path, tmp_path: Path) -> None:
    copy = copy_of(folder, tmp_path / "copy")
    (copy / "golden_32x32.depth.npy").write_bytes(b"no array")

    with pytest.raises(BundleError, match="altered"):
        check_output(copy, CASE, folder / "golden_32x32.depth.npy")


def test_link_out_of_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    copy = copy_of(folder, tmp_path / "copy")
    (copy / "golden_32x32.depth.npy").unlink()
    (copy / "golden_32x32.depth.npy").symlink_to(folder / "golden_32x32.depth.npy")

    with pytest.raises(BundleError, match="links to a file outside"):
        check_output(copy, CASE, folder / "golden_32x32.depth.npy")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"schema_version": 2}, SchemaError, "schema version 2"),
        ({"surprise": 1}, SchemaError, "surprise"),
        ({"normalisation": "imagenet"}, SchemaError, "normalisation"),
    ],
)
def test_json_that_is_not_understood_whole_is_refused(
    folder: Path, tmp_path: Path, change: dict[str, object], error: type[Exception], message: str
) -> None:
    copy = copy_of(folder, tmp_path / "copy")
    record = json.loads((copy / CONFORMANCE).read_text())
    (copy / CONFORMANCE).write_text(json.dumps(record | change))

    with pytest.raises(error, match=message):
        read_conformance(copy)


def test_missing_folder_says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="pixio-edge conformance write"):
        read_conformance(tmp_path)


def test_unknown_case_names_the_known_ones(folder: Path) -> None:
    with pytest.raises(BundleError, match=f"expected one of: {CASE}"):
        check_output(folder, "nope", folder / "picture.npy")


def test_existing_folder_is_never_touched(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()

    with pytest.raises(OutputError, match="exists already"):
        write_conformance(bundle, tmp_path / "there")

    assert not list((tmp_path / "there").iterdir())


def test_nothing_is_left_behind_when_a_stored_output_is_damaged(bundle: Bundle, tmp_path: Path) -> None:
    copy = copy_of(bundle.folder, tmp_path / "bundle")
    golden = copy / "golden_32x48.npz"
    golden.write_bytes(b"x" * golden.stat().st_size)

    with pytest.raises(BundleError, match="golden_32x48"):
        write_conformance(Bundle.open(copy), tmp_path / "out")

    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_only_the_artifacts_that_are_asked_for_are_written(bundle: Bundle, tmp_path: Path) -> None:
    written = write_conformance(bundle, tmp_path / "one", artifacts=[CASE])

    assert [case.name for case in written.cases] == [CASE]
    assert [case.name for case in written.preparations] == ["prepare-32x32"]
