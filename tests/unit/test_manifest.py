"""The manifest schema: understood whole or refused, with one line that says what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pixio_edge.errors import BundleError, SchemaError
from pixio_edge.manifest import parse_manifest
from tests.tiny_bundle import write_tiny_bundle


@pytest.fixture(scope="module")
def manifest_text(tmp_path_factory: pytest.TempPathFactory) -> str:
    bundle = write_tiny_bundle(tmp_path_factory.mktemp("manifest") / "tiny")
    return (bundle.folder / "manifest.json").read_text(encoding="utf-8")


@pytest.fixture
def content(manifest_text: str) -> dict[str, Any]:
    return json.loads(manifest_text)


def refusal(content: object) -> str:
    """The one line with which a manifest is refused."""
    text = content if isinstance(content, str) else json.dumps(content)
    with pytest.raises(BundleError) as caught:
        parse_manifest(text, "here/manifest.json")
    message = str(caught.value)
    assert message.startswith(("here/manifest.json: ", "manifest: "))
    assert "Fix: " in message
    assert "\n" not in message
    return message


def test_manifest_survives_a_round_trip(manifest_text: str) -> None:
    manifest = parse_manifest(manifest_text, "here")

    assert manifest.to_json() == manifest_text
    assert parse_manifest(manifest.to_json(), "here") == manifest


def test_parsed_records_are_the_projects_own_types(content: dict[str, Any]) -> None:
    manifest = parse_manifest(json.dumps(content), "here")

    assert manifest.image.prepare.__self__ is manifest.image
    artifact = manifest.artifacts[0]
    assert artifact.size == (32, 32)
    assert artifact.inputs[0].shape == (1, 32, 32, 3)
    assert artifact.tolerance is not None
    assert artifact.tolerance.max_rel == 1e-5


def test_manifest_is_frozen(manifest_text: str) -> None:
    manifest = parse_manifest(manifest_text, "here")

    with pytest.raises(Exception, match="frozen"):
        manifest.artifacts = ()  # type: ignore[misc]


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "not json"])
def test_text_that_is_not_json_is_refused(text: str) -> None:
    assert "not JSON" in refusal(text)


@pytest.mark.parametrize("value", [[], '"text"', 3, {}, {"schema_version": "1"}, {"schema_version": True}])
def test_json_without_a_schema_version_is_refused(value: object) -> None:
    assert "schema_version" in refusal(value)


def test_newer_schema_says_to_upgrade(content: dict[str, Any]) -> None:
    content["schema_version"] = 2

    message = refusal(content)

    assert "schema version 2, this release reads 1. Fix: upgrade pixio-edge" in message


def test_older_schema_says_to_export_again(content: dict[str, Any]) -> None:
    content["schema_version"] = 0

    assert "Fix: export the bundle again" in refusal(content)


UNKNOWN_PLACES = [
    "",
    "model",
    "image",
    "output",
    "licence",
    "artifacts.0",
    "artifacts.0.inputs.0",
    "artifacts.0.requires",
]


@pytest.mark.parametrize("place", [*UNKNOWN_PLACES, "artifacts.0.tolerance", "artifacts.0.data.0", "files.0"])
def test_unknown_field_is_refused_wherever_it_is(content: dict[str, Any], place: str) -> None:
    find(content, place)["surprise"] = 1

    assert "surprise" in refusal(content)


@pytest.mark.parametrize(
    ("place", "field", "value"),
    [
        ("artifacts.0", "sha256", "abc"),
        ("artifacts.0", "bytes", -1),
        ("artifacts.0", "bytes", "510"),
        ("artifacts.0", "size", [32]),
        ("artifacts.0", "size", [0, 32]),
        ("artifacts.0", "precision", "fp8"),
        ("artifacts.0", "verified", "yes"),
        ("artifacts.0.inputs.0", "shape", ["1"]),
        ("artifacts.0.tolerance", "max_rel", "small"),
        ("image", "layout", "NCHW"),
        ("image", "multiple_of", 0),
        ("licence", "commercial", 1),
        ("model", "gflop", None),
        ("output", "kind", "disparity"),
    ],
)
def test_wrong_value_is_refused_naming_the_field(
    content: dict[str, Any], place: str, field: str, value: object
) -> None:
    find(content, place)[field] = value

    assert field in refusal(content)


@pytest.mark.parametrize("place", ["model", "image", "output", "licence", "artifacts", "files"])
def test_missing_record_is_refused(content: dict[str, Any], place: str) -> None:
    del content[place]

    assert f"field '{place}'" in refusal(content)


ESCAPES = ["../graph.onnx", "a/../../graph.onnx", "/etc/passwd", "C:/graph.onnx", "C:graph.onnx", "\\\\server\\share"]
UNCLEAR = ["..\\graph.onnx", "a\\b", "", ".", "./graph.onnx", "a//b", "a/", "graph\0.onnx"]


@pytest.mark.parametrize("path", ESCAPES + UNCLEAR)
@pytest.mark.parametrize("place", ["artifacts.0", "artifacts.0.data.0", "files.0"])
def test_path_that_leaves_the_bundle_is_refused(content: dict[str, Any], place: str, path: str) -> None:
    find(content, place)["path"] = path

    assert "path" in refusal(content)


def test_golden_path_that_leaves_the_bundle_is_refused(content: dict[str, Any]) -> None:
    content["artifacts"][0]["golden"] = "../golden.npz"

    assert "'../golden.npz'" in refusal(content)


def test_golden_file_that_is_not_listed_is_refused(content: dict[str, Any]) -> None:
    content["files"] = content["files"][1:]

    assert "golden files or tables not listed ['golden_32x32.npz']" in refusal(content)


def test_artifact_name_that_is_used_twice_is_refused(content: dict[str, Any]) -> None:
    content["artifacts"][1]["name"] = content["artifacts"][0]["name"]

    assert "names used twice ['onnx-fp32-32x32']" in refusal(content)


def test_file_with_two_hashes_is_refused(content: dict[str, Any]) -> None:
    content["artifacts"][1]["data"][0]["sha256"] = "0" * 64

    assert "'weights.bin' is listed with two hashes" in refusal(content)


def test_newer_schema_is_a_schema_error(content: dict[str, Any]) -> None:
    content["schema_version"] = 99

    with pytest.raises(SchemaError):
        parse_manifest(json.dumps(content), "here")


def find(content: dict[str, Any], place: str) -> Any:
    node: Any = content
    for part in filter(None, place.split(".")):
        node = node[int(part) if part.isdigit() else part]
    return node


def test_schema_of_the_documentation_example_is_complete(tmp_path: Path) -> None:
    """Every field of every record is written, so a manifest shows what there is to know."""
    bundle = write_tiny_bundle(tmp_path / "tiny")
    record = json.loads((bundle.folder / "manifest.json").read_text(encoding="utf-8"))

    assert set(record["artifacts"][0]) == set(type(bundle.artifacts[0]).model_fields)
    assert set(record) == set(type(bundle.manifest).model_fields)
