"""The config's schema: one file a section, put together; every default, range and shared definition in its place."""

from __future__ import annotations

import json
import re

import jsonschema
import pytest
import yaml

from brightpaint.study.schema import read_schema
from conftest import ROOT

SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"
FILES = sorted((SCHEMA.parent / "config").glob("*"))


@pytest.fixture(scope="module")
def schema() -> dict:
    return read_schema(SCHEMA)


def test_every_section_has_a_file_and_every_file_a_section(schema):
    named = {
        name: part["$ref"] for name, part in yaml.safe_load(SCHEMA.read_text())["properties"].items() if "$ref" in part
    }
    assert named == {path.stem: f"config/{path.name}" for path in FILES}
    sections = {name for name, part in schema["properties"].items() if part["type"] in ("object", "array")}
    assert sections == set(named)  # what stands in the first file is a single key


def test_a_section_is_short():
    assert all(len(path.read_text().splitlines()) < 100 for path in (SCHEMA, *FILES))


def test_the_schema_put_together_is_one(schema):
    jsonschema.Draft202012Validator.check_schema(schema)
    used = set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(schema)))
    assert used == {f"#/$defs/{name}" for name in schema["$defs"]}


def test_every_key_has_a_default_or_is_required_and_none_is_let_in_unknown(schema):
    for name, section in schema["properties"].items():
        assert name in schema["required"] or "default" in section, name
        for key, value in section.get("properties", {}).items():
            assert "default" in value or "$ref" in value, f"{name}.{key}"
        entries = section.get("items", section)
        assert "properties" not in entries or entries["additionalProperties"] is False, name
