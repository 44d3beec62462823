"""Examples in other languages read fields of `manifest.json` and `conformance.json`: they have to exist.

The C++ program is built and run in `tests/e2e/test_cpp_example.py`. For Kotlin and Swift there is no compiler here, so
this is what keeps them from falling behind the schemas.
"""

from __future__ import annotations

import re
import types
import typing
from dataclasses import fields, is_dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest
from pydantic import BaseModel

from pixio_edge.conformance.schema import Conformance
from pixio_edge.image import ImageSpec
from pixio_edge.manifest import Manifest

EXAMPLES = Path(__file__).parents[2] / "examples"
KOTLIN = sorted((EXAMPLES / "android").rglob("*.kt"))
SWIFT = sorted((EXAMPLES / "ios").rglob("*.swift"))
CPP = EXAMPLES / "cpp" / "depth.cpp"

KOTLIN_FIELD = re.compile(r"get(?:String|Int|Double|JSONObject|JSONArray)\(\"(\w+)\"")
KOTLIN_LISTED = re.compile(r"listOf\(((?:\"\w+\"(?:, )?)+)\)\.map|check\(artifact\.name, (\"\w+\")")
SWIFT_STRUCT = re.compile(r"struct \w+: Decodable \{")
SWIFT_FIELD = re.compile(r"let ((?:\w+, )*\w+):")
CPP_FIELD = re.compile(r"(?:\.at|load|apply)\(\"(\w+)\"")


def names_in(record: object) -> set[str]:
    """Names of all fields of a record, and of the records in them."""
    if isinstance(record, type) and issubclass(record, BaseModel):
        own = {name: field.annotation for name, field in record.model_fields.items()}
        return set(own).union(*(names_in(annotation) for annotation in own.values()))
    if isinstance(record, type) and is_dataclass(record):
        return {field.name for field in fields(record)}
    if isinstance(record, types.GenericAlias | types.UnionType) or typing.get_origin(record):
        return set().union(*(names_in(argument) for argument in typing.get_args(record)))
    return set()


KNOWN = names_in(Manifest) | names_in(Conformance) | names_in(ImageSpec)


def kotlin_fields(text: str) -> set[str]:
    listed = {name for match in KOTLIN_LISTED.findall(text) for name in re.findall(r"\w+", " ".join(match))}
    return set(KOTLIN_FIELD.findall(text)) | listed


def swift_fields(text: str) -> set[str]:
    bodies = " ".join(body_at(text, match.end()) for match in SWIFT_STRUCT.finditer(text))
    named = {name for names in SWIFT_FIELD.findall(bodies) for name in names.split(", ")}
    return {re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name).lower() for name in named}


def body_at(text: str, start: int) -> str:
    """Text up to the brace that closes the one before `start`."""
    depth = 1
    for index in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if depth == 0:
            return text[start:index]
    raise AssertionError("unbalanced")


def test_schemas_are_walked_to_the_bottom() -> None:
    assert {"schema_version", "max_rel", "layout", "sha256", "max_mean_difference", "runtimes", "dtype"} <= KNOWN
    assert "confromance" not in KNOWN


@pytest.mark.parametrize("path", KOTLIN, ids=lambda path: path.name)
def test_kotlin_reads_fields_that_exist(path: Path) -> None:
    assert kotlin_fields(path.read_text(encoding="utf-8")) <= KNOWN


@pytest.mark.parametrize("path", SWIFT, ids=lambda path: path.name)
def test_swift_reads_fields_that_exist(path: Path) -> None:
    assert swift_fields(path.read_text(encoding="utf-8")) <= KNOWN


def test_cpp_reads_fields_that_exist() -> None:
    assert set(CPP_FIELD.findall(CPP.read_text(encoding="utf-8"))) <= KNOWN


def test_fields_are_found_where_the_examples_read_them() -> None:
    kotlin = set().union(*(kotlin_fields(path.read_text(encoding="utf-8")) for path in KOTLIN))
    swift = set().union(*(swift_fields(path.read_text(encoding="utf-8")) for path in SWIFT))

    assert {"schema_version", "artifacts", "resize", "cases", "tolerance", "max_mean_difference", "rel_l2"} <= kotlin
    assert {"schema_version", "artifacts", "path", "cases", "tolerance", "max_mean_difference", "rel_l2"} <= swift
    assert {"schema_version", "input_name", "min_sqnr_db"} <= set(CPP_FIELD.findall(CPP.read_text(encoding="utf-8")))


@pytest.mark.parametrize("folder", ["android", "ios"])
def test_example_that_was_never_built_says_so(folder: str) -> None:
    assert "Never built or run by this project" in (EXAMPLES / folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("test", "guards"),
    [
        (
            "ios/Tests/PixioDepthTests/ConformanceTests.swift",
            ("XCTAssertFalse(cases.isEmpty", "XCTAssertFalse(conformance.preparations.isEmpty"),
        ),
        (
            "android/app/src/androidTest/java/dev/pixioedge/depth/ConformanceTest.kt",
            ("checked > 0)", "preparations.isNotEmpty())"),
        ),
    ],
)
def test_conformance_without_a_case_fails(test: str, guards: tuple[str, ...]) -> None:
    text = (EXAMPLES / test).read_text(encoding="utf-8")

    assert [guard for guard in guards if guard not in text] == []


@pytest.mark.parametrize("path", [*KOTLIN, *SWIFT, CPP], ids=lambda path: path.name)
def test_brackets_are_balanced(path: Path) -> None:
    """A cut-off edit shows at once; strings and comments of these files hold pairs too."""
    text = path.read_text(encoding="utf-8")

    counts = {pair: (text.count(pair[0]), text.count(pair[1])) for pair in ("{}", "()")}

    assert path == CPP or all(opened == closed for opened, closed in counts.values()), counts
    assert len(text.splitlines()) < 500


def test_android_manifest_is_xml_and_names_the_activity() -> None:
    folder = EXAMPLES / "android" / "app" / "src" / "main"
    activity = ElementTree.parse(folder / "AndroidManifest.xml").getroot().find("application/activity")

    assert activity is not None
    (name,) = (value for key, value in activity.attrib.items() if key.endswith("}name"))
    assert list(folder.rglob(f"{name.removeprefix('.')}.kt"))
