"""Read a study's configuration and plate table: defaults, validation, and who trains, tests and predicts what.

Pure Python without Snakemake, so that it can be tested and used by itself. Defaults, ranges and units
live in the schemas alone (workflow/schemas).
"""

from __future__ import annotations

import csv
import difflib
import functools
import io
import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import yaml
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from brightpaint.study import sweep_points
from brightpaint.study.choice import chosen_wells, overlap, plate_tiles
from brightpaint.study.presets import PRESETS

README = "config/README.md explains every key"
NETWORKS = ("diffusion", "regression")  # kinds of model that are trained step by step; the others are floors


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
    """Read a schema, once: a plate table is checked row by row. Sections that lie in files of their own are put in."""
    schema = yaml.safe_load(path.read_text())
    for name, section in schema["properties"].items():
        if (file := section.get("$ref", "")).endswith(".yaml"):
            schema["properties"][name] = yaml.safe_load((path.parent / file).read_text())
    return schema


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


def read_plates(path: str | Path, schema_path: str | Path) -> dict[str, dict]:
    """Read the plate table: a TSV, or a CSV by its ending. Returns {plate: row} in file order."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: there is no such plate table; set `plates` in the config. {README}.")
    try:
        text = path.read_bytes().decode("utf-8-sig")
        lines = [line for line in io.StringIO(text, newline="") if line.strip() and not line.startswith("#")]
        reader = csv.DictReader(lines, delimiter="," if path.suffix == ".csv" else "\t", strict=True)
        rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: not a readable plate table ({error}); save it as UTF-8 text. {README}.") from error
    header = reader.fieldnames or []
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise ValueError(f"{path}: the column {twice[0]} occurs twice in the header; keep one. {README}.")
    plates: dict[str, dict] = {}
    for number, row in enumerate(rows, start=1):
        if None in row or None in row.values():
            raise ValueError(f"{path}, row {number}: expected as many cells as the header has columns; mend the row")
        row = {key: value.strip() for key, value in row.items() if value.strip()}
        row = validate(row, schema_path, f"{path}, row {number} (plate {row.get('plate', '?')!r})")
        if row["plate"] in plates:
            raise ValueError(
                f"{path}, row {number}: plate {row['plate']} occurs twice; give each row a name of its own"
            )
        plates[row["plate"]] = row
    if not plates:
        raise ValueError(f"{path}: no plates; expected a header and one row a plate. {README}.")
    return plates


def read_names(path: Path, key: str) -> list[str]:
    """Read a text file of names, one a line; empty lines and those that begin with # are passed over."""
    if not path.is_file():
        raise ValueError(f"{key}: there is no file {path}; correct its path, or write a list of names. {README}.")
    try:
        lines = path.read_bytes().decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{key}: {path} is not a text file ({error}); save it as UTF-8, one name a line") from error
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


@dataclass(frozen=True)
class Study:
    """A validated study: the config with defaults, and its plates by name."""

    config: dict
    plates: dict[str, dict]

    @classmethod
    def load(cls, config: dict, schemas: str | Path, root: str | Path = ".") -> Study:
        """Validate `config` and the plate table that it names (relative to `root`)."""
        filled = validate(config, Path(schemas) / "config.schema.yaml", "config")
        source = filled["source"]
        for key in ("url", "table", "compounds", "exclude"):
            if source[key]:
                source[key] = expand(source[key], f"config: source.{key}")
        for section in ("embed", "fid"):
            if filled[section]["weights"]:
                filled[section]["weights"] = expand(filled[section]["weights"], f"config: {section}.weights")
        for key in ("nuclei", "cells"):
            filled["cellpose"][key] = expand(filled["cellpose"][key], f"config: cellpose.{key}")
        for model in filled["models"]:
            model["objective"] = model["objective"] or PRESETS[model["preset"]].objective
            if model["weights"]:
                model["weights"] = expand(model["weights"], f"config: models.{model['name']}.weights")
        for fold in filled["folds"]:
            if isinstance(fold["held_out"], str):
                fold["held_out"] = read_names(Path(root) / fold["held_out"], f"config: folds.{fold['name']}.held_out")
        if isinstance(filled["active"]["targets"], str):
            filled["active"]["targets"] = read_names(Path(root) / filled["active"]["targets"], "config: active.targets")
        plates = read_plates(Path(root) / filled["plates"], Path(schemas) / "plates.schema.yaml")
        study = cls(filled, plates)
        problems = [f"config: {problem}" for problem in study._problems()]
        if problems:
            raise ValueError("\n".join(problems) + f"\n{README}.")
        return study

    # --- look-ups ---

    def by_role(self, role: str) -> list[str]:
        """Return the plates of role `study` or `predict`."""
        return [name for name, row in self.plates.items() if row["role"] == role]

    def entry(self, section: str, name: str) -> dict:
        """Return the entry called `name` of a list: models, classifiers, folds or arms (the sweep's points among them)."""
        for entry in self.config[section] + (self.sweep_points if section == "arms" else []):
            if entry["name"] == name:
                return entry
        known = ", ".join(entry["name"] for entry in self.config[section])
        raise ValueError(f"config: no {section.rstrip('s')} is called {name!r}; there are: {known}")

    @property
    def arms(self) -> list[str]:
        """Names of the predicted arms."""
        return [arm["name"] for arm in self.config["arms"]]

    @property
    def sweep_points(self) -> list[dict]:
        """The sweep's points as arms that differ from its arm in how they sample; see `sweep_config.point_arms`."""
        return sweep_points.point_arms(self.config)

    @property
    def sweep_plate(self) -> str:
        """The plate that the sweep paints: the first test plate of its fold."""
        return self.entry("folds", self.sweep_points[0]["folds"][0])["test"][0]

    def model_of(self, arm: str) -> dict:
        return self.entry("models", self.entry("arms", arm)["model"])

    def fold_of(self, arm: str, plate: str) -> str:
        """Return the one fold of `arm` that tests or serves `plate`."""
        for name in self.entry("arms", arm)["folds"]:
            fold = self.entry("folds", name)
            if plate in fold["test"] + fold["predict"]:
                return name
        raise ValueError(f"config: arm {arm} has no fold that tests or predicts plate {plate}")

    def training_plates(self, fold: str) -> list[str]:
        """Return the study plates that `fold` does not test."""
        tested = self.entry("folds", fold)["test"]
        return [plate for plate in self.by_role("study") if plate not in tested]

    def never_tested(self) -> list[str]:
        """Return the study plates that no fold tests: what selects may be fitted on them."""
        tested = {plate for fold in self.config["folds"] for plate in fold["test"]}
        return [plate for plate in self.by_role("study") if plate not in tested]

    def fitted_on(self, section: str) -> list[str]:
        """Return the real plates on which `select` or `active` is fitted."""
        every = self.config[section]["plates"] == "all"
        return self.by_role("study") if every else self.never_tested()

    def test_plates(self, arm: str) -> list[str]:
        """Return the plates that `arm` predicts and that have real stains."""
        return [plate for name in self.entry("arms", arm)["folds"] for plate in self.entry("folds", name)["test"]]

    def predict_plates(self, arm: str) -> list[str]:
        """Return the plates of role predict that `arm` predicts."""
        return [plate for name in self.entry("arms", arm)["folds"] for plate in self.entry("folds", name)["predict"]]

    def arms_of(self, plate: str) -> list[str]:
        """Return the arms that predict `plate`."""
        return [arm for arm in self.arms if plate in self.test_plates(arm) + self.predict_plates(arm)]

    def profiled(self, arm: str) -> bool:
        """Return whether CellProfiler measures `arm` (the mean image has no cells to measure)."""
        return arm == "real" or (self.entry("arms", arm)["profile"] and self.model_of(arm)["kind"] != "mean")

    def profile_plates(self, arm: str) -> list[str]:
        """Return the plates of `arm` whose cells are measured for scoring."""
        if arm != "real":
            return self.test_plates(arm)
        tested = {plate for name in self.arms for plate in self.test_plates(name)}
        fitted = set(self.fitted_on("select") + self.fitted_on("active")) if self.config["perturbations"] else set()
        return [plate for plate in self.by_role("study") if plate in tested | fitted]

    def seen_arms(self, section: str) -> list[str]:
        """Return the arms that a network of photographs looks at (`embed`, `fid`); none where its weights are not given.

        The mean image is the same in every field: it has no embedding worth a profile.
        """
        if not self.config[section]["weights"]:
            return []
        chosen = [arm for arm in self.arms if self.test_plates(arm)]
        if section == "embed":
            chosen = [arm for arm in chosen if self.model_of(arm)["kind"] != "mean"]
        return ["real", "brightfield", *chosen] if chosen else []

    def seen_plates(self, arm: str) -> list[str]:
        """Return the plates of `arm` that such a network looks at."""
        return self.profile_plates("real") if arm in ("real", "brightfield") else self.test_plates(arm)

    def lookup_plates(self) -> dict[str, list[str]]:
        """Return {test plate: plates of its fold's training on which perturbations can be looked up}."""
        if not self.config["perturbations"]:
            return {}
        measured, found = set(self.profile_plates("real")), {}
        for arm in self.arms:
            for plate in self.test_plates(arm) if self.profiled(arm) else []:
                training = [name for name in self.training_plates(self.fold_of(arm, plate)) if name in measured]
                if training:
                    found.setdefault(plate, training)
        return found

    def channels(self, plate: str) -> list[str]:
        """Return the channels that `plate` must have: all of them, or the inputs of a predict plate."""
        channels = self.config["channels"]
        return channels["input"] + (channels["target"] if self.plates[plate]["role"] == "study" else [])

    def pixel_size_um(self, plate: str) -> float:
        """Return the size of a raw pixel of `plate`: its own in the plate table, else the study's."""
        return float(self.plates[plate].get("pixel_size_um", self.config["pixel_size_um"]))

    def used_plates(self) -> list[str]:
        """Return the plates whose images the study needs: trained on, tested, predicted or selected on."""
        used = set(self.profile_plates("real"))
        for arm in self.arms:
            used |= set(self.test_plates(arm) + self.predict_plates(arm))
            if not self.model_of(arm)["weights"]:
                used.update(plate for fold in self.entry("arms", arm)["folds"] for plate in self.training_plates(fold))
        return [plate for plate in self.plates if plate in used]

    # --- checks beyond the schema ---

    def _problems(self) -> Iterable[str]:
        yield from self._duplicates()
        yield from self._source_problems()
        yield from self._channel_problems()
        yield from self._fold_problems()
        yield from self._model_problems()
        yield from self._arm_problems()
        yield from self._region_problems()
        yield from self._cellpose_problems()
        yield from sweep_points.problems(self.config)
        weights = self.config["embed"]["weights"]
        if weights and weights[0] in "./~" and not Path(weights).is_dir():
            yield f"embed.weights: there is no folder {weights}"
        for section in ("cellprofiler", "embed", "fid"):
            for key in ("window", "brightfield_window"):
                window = self.config[section].get(key, [0, 1])
                if window[0] >= window[1]:
                    yield f"{section}: {key} {window} is empty; give its lower end, the z-score that becomes black, first"

    def _duplicates(self):
        named = {"plates": list(self.plates)}
        for section in ("models", "classifiers", "folds", "arms"):
            named[section] = [entry["name"] for entry in self.config[section]]
            for name in sorted({name for name in named[section] if named[section].count(name) > 1}):
                yield f"{section}: the name {name} occurs twice"
        for section, names in named.items():
            folded: dict[str, str] = {}
            for name in dict.fromkeys(names):
                other = folded.setdefault(name.lower(), name)
                if other != name:
                    yield f"{section}: {other} and {name} differ in case alone, and some disks take them for one file"

    def _source_problems(self):
        layout, method = self.config["source"]["layout"], self.config["illumination"]["method"]
        if method == "published" and layout != "gallery":
            yield (
                f"illumination: method published takes functions from the gallery, and source.layout is {layout}; "
                "set illumination.method to median or jump"
            )

    def _channel_problems(self):
        channels = self.config["channels"]
        for name in sorted(set(channels["input"]) & set(channels["target"])):
            yield f"channels: {name} is both input and target"

    def _cellpose_problems(self):
        target = self.config["channels"]["target"]
        if self.config["cellprofiler"]["segmentation"] != "cellpose":
            return
        for key in ("nuclei", "cells"):
            model = self.config["cellpose"][key]
            if "/" in model and not Path(model).is_file():
                yield f"cellpose.{key}: there is no file {model}"
        if "DNA" not in target or not {"AGP", "RNA"} & set(target):
            yield f"cellprofiler.segmentation: cellpose looks at DNA and AGP or RNA, and channels.target is {target}"

    def _fold_problems(self):
        for fold in self.config["folds"]:
            for key, role in (("test", "study"), ("predict", "predict")):
                for plate in fold[key]:
                    if plate not in self.plates:
                        yield f"fold {fold['name']}: plate {plate} is not in {self.config['plates']}"
                    elif (found := self.plates[plate]["role"]) != role:
                        yield f"fold {fold['name']}: plate {plate} has role {found}, expected {role}"
            if fold["held_out"] and not self.config["perturbations"]:
                yield f"fold {fold['name']}: held_out needs perturbations: true"

    def _model_problems(self):
        for entry in self.config["models"] + self.config["classifiers"]:
            name, labelled = entry["name"], entry["label"] != "none"
            if labelled and not self.config["perturbations"]:
                yield f"model {name}: label {entry['label']} needs perturbations: true"
            if entry["subset"] == "active" and not self.config["perturbations"]:
                yield f"model {name}: subset active needs perturbations: true"
            if labelled and entry.get("kind", "diffusion") not in NETWORKS:
                yield f"model {name}: kind {entry['kind']} takes no label"

    def _arm_problems(self):
        folds = {fold["name"]: fold for fold in self.config["folds"]}
        models = {model["name"]: model for model in self.config["models"]}
        classifiers = {entry["name"]: entry for entry in self.config["classifiers"]}
        for arm in self.config["arms"]:
            where = f"arm {arm['name']}"
            if arm["model"] not in models:
                yield f"{where}: there is no model {arm['model']}"
            if arm["guidance_interval"] and arm["guidance_interval"][0] >= arm["guidance_interval"][1]:
                yield f"{where}: guidance_interval {arm['guidance_interval']} is empty; give its lower end first"
            missing = [name for name in arm["folds"] if name not in folds]
            for name in missing:
                yield f"{where}: there is no fold {name}"
            if arm["classifier"] and arm["classifier"] not in classifiers:
                yield f"{where}: there is no classifier {arm['classifier']}"
            if missing or arm["model"] not in models:
                continue
            for key in ("samples", "mean_of"):
                if arm[key] > 1 and models[arm["model"]]["kind"] != "diffusion":
                    yield f"{where}: {key} {arm[key]}, but model {arm['model']} paints without noise; give {key}: 1"
            if arm["samples"] > 1 and arm["mean_of"] > 1:
                yield (
                    f"{where}: mean_of {arm['mean_of']} with samples {arm['samples']}: the spread is that of single samples; "
                    "give the mean an arm of its own"
                )
            yield from _unguided(arm, models[arm["model"]])
            unlabelled, noisy = models[arm["model"]]["label"] == "none", models[arm["model"]]["kind"] == "diffusion"
            if unlabelled and (arm["sampling_label"] == "swapped" or (noisy and arm["label_scale"] != 1)):
                yield f"{where}: model {arm['model']} has no label to swap or to guide by"
            served = [plate for name in arm["folds"] for plate in folds[name]["test"] + folds[name]["predict"]]
            for plate in sorted({plate for plate in served if served.count(plate) > 1}):
                yield f"{where}: plate {plate} is in two of its folds"
            if not served:
                yield f"{where}: its folds test and predict no plate"
            if not models[arm["model"]]["weights"]:
                for name in arm["folds"]:
                    if not self.training_plates(name):
                        given = f"models.{arm['model']}.weights"
                        yield f"{where}: fold {name} leaves no study plate to train on; give {given}"

    def _region_problems(self):
        rows, columns = self.config["prepare"]["grid"]
        used: dict[tuple, list[str]] = {}
        for name, plate in self.plates.items():
            try:
                chosen_wells(plate)
            except ValueError as error:
                yield f"plate {name}: {error}"
                continue
            tiles = plate_tiles(plate, rows * columns)
            if max(tiles) > rows * columns:
                yield f"plate {name}: region {plate['region']} is outside the {rows} x {columns} tiles of prepare.grid"
            barcode = plate.get("barcode", name)
            others = used.setdefault((plate.get("source"), plate.get("batch"), barcode), [])
            for other in others:
                shared = set(tiles) & set(plate_tiles(self.plates[other], rows * columns))
                if shared and overlap(plate, self.plates[other]):
                    yield f"plates {other} and {name}: tile {min(shared)} of {barcode} is in both regions"
            others.append(name)


def _unguided(arm: dict, model: dict) -> Iterable[str]:
    """Say which guidance an arm asks for of a model that paints without noise: it would be swallowed."""
    if model["kind"] == "diffusion":
        return
    for key, nothing in {"classifier": None, "label_scale": 1, "guidance_scale": 1, "guidance_interval": None}.items():
        if arm[key] != nothing:
            yield (
                f"arm {arm['name']}: {key} {arm[key]}, but model {model['name']} of kind {model['kind']} paints without noise, "
                f"which is what guidance acts on; leave {key} out, or name a model of kind diffusion"
            )
