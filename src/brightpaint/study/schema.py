"""Read a schema, fill its defaults in, and say in one sentence what does not suit it.

Pure Python without Snakemake. Defaults, ranges and units live in the schemas alone (workflow/schemas).
"""

from __future__ import annotations

import difflib
import functools
import json
import math
import os
from pathlib import Path

import jsonschema
import yaml
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from brightpaint.study.kinds import KINDS

README = "config/README.md explains every key"
# libyaml, in C: each job of a cluster starts Snakemake twice, and the schemas took 0.18 s of each start, and take 0.02.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _with_defaults(validator_class, whole: dict):
    """Return a validator that fills the defaults of the schema `whole` into the instance as it validates."""
    validate_properties = validator_class.VALIDATORS["properties"]
    resolver = Registry().with_resource("", DRAFT202012.create_resource(whole)).resolver()

    def fill(validator, properties, instance, schema):
        if validator.is_type(instance, "object"):
            for name, subschema in properties.items():
                if "default" not in subschema and "$ref" in subschema:
                    subschema = resolver.lookup(subschema["$ref"]).contents
                if "default" in subschema:
                    instance.setdefault(name, json.loads(json.dumps(subschema["default"])))
        yield from validate_properties(validator, properties, instance, schema)

    return jsonschema.validators.extend(validator_class, {"properties": fill})


def _plain(value: object, place: tuple = ()) -> object:
    """Return a copy of what YAML or JSON read; what JSON has no word for (dates, sets, bytes, nan) is an error."""
    where = ".".join(map(str, place)) or "the top level"
    if isinstance(value, dict):
        if odd := [key for key in value if not isinstance(key, str)]:
            raise ValueError(f"{where}: the key {odd[0]!r} is no text; write it in quotes")
        return {key: _plain(item, (*place, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, (*place, number)) for number, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where}: {value} is no number; expected a finite one")
    if value is not None and not isinstance(value, (str, bool, int, float)):
        raise ValueError(f"{where}: YAML reads {value} as a {type(value).__name__}; write it in quotes")
    return value


def _hint(error: jsonschema.ValidationError) -> str:
    """Return what to write instead, where YAML took a number for text or text for something else."""
    if error.validator != "type":
        return ""
    wanted, found = error.validator_value, error.instance
    if isinstance(found, str) and {"number", "integer"} & set([wanted] if isinstance(wanted, str) else wanted):
        try:
            number = repr(float(found))  # YAML takes 8e-5 for text, and 8.0e-5 for a number
            number = number if "." in number else number.replace("e", ".0e")
            return f"; write {number} without quotes" if math.isfinite(float(found)) else ""
        except ValueError:
            return ""
    return "; write it in quotes" if wanted == "string" and isinstance(found, (bool, int, float)) else ""


def _sentence(error: jsonschema.ValidationError, what: str) -> str:
    place = ".".join(str(step) for step in error.absolute_path) or "the top level"
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        unknown = sorted(set(error.instance) - set(known))
        hints = [hint for name in unknown for hint in difflib.get_close_matches(str(name), known, 1)]
        meant = f"; did you mean {', '.join(hints)}?" if hints else f"; known here: {', '.join(known)}"
        return f"{what}: unknown key {', '.join(map(str, unknown))} at {place}{meant}"
    return f"{what}: {place}: {_shortened(error.message)}{_hint(error)}"


def _shortened(text: str, most: int = 400) -> str:
    return text if len(text) <= most else f"{text[: most // 2]} ... {text[-most // 2 :]}"


@functools.cache
def read_schema(path: Path) -> dict:
    """Read a schema, once: a plate table is checked row by row.

    Sections that lie in files of their own are put in, and the names of the kinds of model, which have a registry.
    """
    schema = LOADER(path.read_text()).get_single_data()
    for sections in (schema["properties"], schema.get("$defs", {})):
        for name, section in sections.items():
            if (file := section.get("$ref", "")).endswith(".yaml"):
                sections[name] = LOADER((path.parent / file).read_text()).get_single_data()
    if kind := schema.get("$defs", {}).get("kind"):
        kind["enum"] = [kind.name for kind in KINDS.values() if kind.section == "models"]
    return schema


def defaults(path: Path, section: str) -> dict:
    """Return the defaults of an entry of one of the config's lists, copies each time; of what has none, None."""
    whole = read_schema(path)
    entries = dict(whole["properties"][section]["items"]["properties"])
    for key, entry in entries.items():
        if "default" not in entry and "$ref" in entry:  # as `_with_defaults` does
            entries[key] = whole["$defs"][entry["$ref"].removeprefix("#/$defs/")]
    return json.loads(json.dumps({key: entry.get("default") for key, entry in entries.items()}))


def validate(instance: dict, schema_path: str | Path, what: str) -> dict:
    """Return a copy of `instance` with the schema's defaults filled in.

    Raises
    ------
    ValueError
        naming every unknown key, missing key and value out of range
    """
    schema = read_schema(Path(schema_path))
    try:
        filled = _plain(instance)
    except ValueError as error:
        raise ValueError(f"{what}: {error}. {README}.") from None
    whole = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    )  # 2.0 is an integer to JSON Schema, and none to Python's range()
    strict = jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=whole)
    validator = _with_defaults(strict, schema)(schema)
    errors = sorted(validator.iter_errors(filled), key=lambda error: list(map(str, error.absolute_path)))
    if errors:
        raise ValueError("\n".join(_sentence(error, what) for error in errors) + f"\n{README}.")
    return filled


def expand(text: str, key: str) -> str:
    """Expand environment variables; one that is not set is an error that names it."""
    expanded = os.path.expandvars(text)
    if "$" in expanded:
        name = expanded[expanded.index("$") :].strip("${}").split("}")[0].split("/")[0]
        raise ValueError(
            f"{key}: the environment variable {name} is not set; export {name}=/its/folder, "
            "or write the folder into the config"
        )
    return expanded
