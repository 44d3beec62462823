"""The JSON Schema of a benchmark record, which ships beside this file for those who read records without this package.

`python -m pixio_edge.bench.schema` writes it again; a test compares the two.
"""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from pixio_edge.bench import record_parts
from pixio_edge.bench.record import BenchRecord
from pixio_edge.files import write_text_atomic
from pixio_edge.manifest_base import Record

SCHEMA_FILE = Path(__file__).with_name("record.schema.json")
TITLE = "pixio-edge benchmark record, version 2"


def record_schema() -> dict[str, Any]:
    """Schema of one line of a file of records, JSON Schema draft 2020-12, with the meaning of each field.

    Every field is required, since `pixio-edge benchmark` writes all of them, null where it has no value.
    """
    schema = BenchRecord.model_json_schema(mode="serialization")
    models = (BenchRecord, *(value for value in vars(record_parts).values() if _is_record(value)))
    for model in models:
        _describe(schema if model is BenchRecord else schema["$defs"][model.__name__], model)
    return {"$schema": GenerateJsonSchema.schema_dialect} | schema | {"title": TITLE}


def schema_text() -> str:
    """Content of the file."""
    return json.dumps(record_schema(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _is_record(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Record) and value is not Record


def _describe(schema: dict[str, Any], model: type[Record]) -> None:
    """Put the docstring of a record into its schema: the first line on the whole, `Attributes:` on its fields."""
    text = inspect.getdoc(model) or ""
    summary, _, attributes = text.partition("Attributes:\n")
    schema["description"] = re.sub(r"\s+", " ", summary).strip()
    meanings = dict(re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", attributes, re.MULTILINE))
    for name, property_schema in schema["properties"].items():
        # Titles that pydantic makes of the names say nothing more than these.
        property_schema.pop("title", None)
        property_schema["description"] = re.sub(r"\s+", " ", meanings[name])


if __name__ == "__main__":
    write_text_atomic(SCHEMA_FILE, schema_text())
