"""A study: its configuration and its plates, and who trains, tests and predicts what.

Pure Python without Snakemake, so that it can be tested and used by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from brightpaint.study import (
    bases,
    calibration,
    certain_bases,
    codecs,
    critics,
    fold_splits,
    generations,
    sweep_points,
    translations,
)
from brightpaint.study.kinds import KINDS, Kind
from brightpaint.study.plate_table import read_names, read_plates
from brightpaint.study.presets import AS_CODED, PRESETS, trained_by
from brightpaint.study.problems import problems_of
from brightpaint.study.schema import README, defaults, expand, validate

OF_CELLS = "cellprofiler"  # the space of measured cells, as study/spaces.py registers it


@dataclass(frozen=True)
class Study:
    """A validated study: the config with defaults, and its plates by name."""

    config: dict
    plates: dict[str, dict]

    @classmethod
    def load(cls, config: dict, schemas: str | Path, root: str | Path = ".") -> Study:
        """Validate `config` and the plate table that it names (relative to `root`)."""
        filled = validate(config, Path(schemas) / "config.schema.yaml", "config")
        if not filled["channels"][
            "planes"
        ]:  # rules have all of `channels` among their params: no new key for old studies
            del filled["channels"]["planes"]
        source = filled["source"]
        for key in ("url", "table", "compounds", "metadata", "wells", "molecules", "exclude"):
            if source[key]:
                source[key] = expand(source[key], f"config: source.{key}")
        for entry in filled["own_crops"]:
            for key in ("folder", "table"):
                entry[key] = expand(entry[key], f"config: own_crops.{entry['name']}.{key}")
        for entry in filled["zero_shot"]:
            entry["study"] = expand(entry["study"], f"config: zero_shot.{entry['name']}.study")
        for section, key in (("embed", "weights"), ("fid", "weights"), ("gan", "imagenet")):
            if filled[section][key]:
                filled[section][key] = expand(filled[section][key], f"config: {section}.{key}")
        for key in ("nuclei", "cells"):
            filled["cellpose"][key] = expand(filled["cellpose"][key], f"config: cellpose.{key}")
        usual = defaults(Path(schemas) / "config.schema.yaml", "models")
        conflicts = list(bases.inherit(filled["models"], usual))
        for model in filled["models"]:
            model["objective"] = model["objective"] or PRESETS[model["preset"]].objective
            if model["weights"]:
                continue  # trained elsewhere
            if KINDS[model["kind"]].stepwise and (own := trained_by(model["preset"], config.get("train") or {})):
                model["trained_by"] = own
            if model["as_coded"]:
                model["trained_by"] = dict(AS_CODED)
        filled["models"] += [codecs.as_model(entry, usual) for entry in filled["codecs"]]
        for model in filled["models"]:
            if (model["conditions"].get("molecule") or {}).get("vectors"):
                where = f"config: models.{model['name']}.conditions.molecule.vectors"
                model["conditions"]["molecule"]["vectors"] = expand(model["conditions"]["molecule"]["vectors"], where)
            if model["weights"]:
                model["weights"] = expand(model["weights"], f"config: models.{model['name']}.weights")
            if given := model["given"]:
                given["folder"] = expand(given["folder"], f"config: models.{model['name']}.given.folder")
        fold_splits.find_files(filled["folds"], Path(root))
        filled["arms"], filled["translations"] = translations.split(filled["arms"], filled["models"])
        filled["arms"], filled["generations"] = generations.split(filled["arms"])
        if isinstance(filled["active"]["targets"], str):
            filled["active"]["targets"] = read_names(Path(root) / filled["active"]["targets"], "config: active.targets")
        table = filled["plates"]
        plates = read_plates(Path(root) / table, Path(schemas) / "plates.schema.yaml") if table is not None else {}
        for name, row in plates.items():
            if row.get("fields"):
                row["fields"] = str(Path(root) / expand(row["fields"], f"plate {name}: fields"))
        study = cls(filled, plates)
        if problems := [f"config: {problem}" for problem in [*conflicts, *problems_of(study)]]:
            raise ValueError("\n".join(problems) + f"\n{README}.")
        return study

    def by_role(self, role: str) -> list[str]:
        """Return the plates of role `study` or `predict`."""
        return [name for name, row in self.plates.items() if row["role"] == role]

    def entry(self, section: str, name: str) -> dict:
        """Return the entry called `name` of a list: models, classifiers, folds or arms (of any sort)."""
        every = self.every_arm + self.sweep_points + calibration.draw_arms(self.config) if section == "arms" else ()
        for entry in every or self.config[section]:
            if entry["name"] == name:
                return entry
        known = ", ".join(entry["name"] for entry in self.config[section])
        raise ValueError(f"config: no {section.rstrip('s')} is called {name!r}; there are: {known}")

    @property
    def arms(self) -> list[str]:
        """Names of the predicted arms."""
        return [arm["name"] for arm in self.config["arms"]]

    @property
    def translations(self) -> list[str]:
        """Names of the arms that translate real fields, each with its companion `fresh_{arm}` behind it."""
        return [arm["name"] for arm in self.config.get("translations", [])]

    @property
    def generations(self) -> list[str]:
        """Names of the arms that paint treatments from conditions alone; see `generations`."""
        return [arm["name"] for arm in self.config.get("generations", [])]

    @property
    def every_arm(self) -> list[dict]:
        """The entries of all arms that the config lists: those that predict fields, translate them, or generate without."""
        return [arm for key in ("arms", "translations", "generations") for arm in self.config.get(key, [])]

    @property
    def arm_names(self) -> list[str]:
        """Names of `every_arm`."""
        return [arm["name"] for arm in self.every_arm]

    @property
    def drawn(self) -> list[str]:
        """Names of the companions that paint samples of arms that are judged as distributions; see `calibration`."""
        return [arm["name"] for arm in calibration.draw_arms(self.config)]

    def translated_plates(self) -> list[str]:
        """Return the plates with which translations and generations are compared: what their folds test, and what they train on."""
        arms = {fold: arm for arm in self.translations + self.generations for fold in self.entry("arms", arm)["folds"]}
        known = {plate for fold in arms for plate in self.entry("folds", fold)["test"] + self.training_plates(fold)}
        return [plate for plate in self.plates if plate in known]

    @property
    def sweep_points(self) -> list[dict]:
        """The sweep's points as arms that differ from its arm in how they sample; see `sweep_points.point_arms`."""
        return sweep_points.point_arms(self.config)

    @property
    def sweep_plate(self) -> str:
        """The plate that the sweep paints: the first test plate of its fold."""
        return self.entry("folds", self.sweep_points[0]["folds"][0])["test"][0]

    def model_of(self, arm: str) -> dict:
        return self.entry("models", self.entry("arms", arm)["model"])

    def trained_for(self, arm: str) -> list[dict]:
        """Return the models that are trained for an arm, in the order of training: what its model stands on, then itself."""
        return codecs.trained_for(self, self.model_of(arm))

    def training_of(self, entry: dict) -> dict:
        """Return the section `train` as it holds for a model or a classifier: with its preset's own keys, where none was named."""
        return {**self.config["train"], **entry.get("trained_by", {})}

    def kind_of(self, arm: str) -> Kind:
        """Return what is known of the kind of model that paints `arm`."""
        return KINDS[self.model_of(arm)["kind"]]

    def inputs(self, entry: dict) -> list[str]:
        """Return the brightfield channels that a model sees: its own `inputs`, or its base's, else all; a classifier sees all."""
        base = certain_bases.base_of(self.config, entry) if entry.get("inputs") is None else None
        own = (base or entry).get("inputs")
        return self.config["channels"]["input"] if own is None else own

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
        if self.kind_of(arm).stains:
            return []  # such a plate has none to show it
        return [plate for name in self.entry("arms", arm)["folds"] for plate in self.entry("folds", name)["predict"]]

    def arms_of(self, plate: str) -> list[str]:
        """Return the arms that predict `plate`."""
        return [arm for arm in self.arms if plate in self.test_plates(arm) + self.predict_plates(arm)]

    def profiled(self, arm: str) -> bool:
        """Return whether CellProfiler measures `arm` (the mean image has no cells to measure)."""
        return self.asks_for_cells if arm == "real" else self._profiled(arm)

    def _profiled(self, arm: str) -> bool:
        return bool(self.entry("arms", arm)["profile"] and self.kind_of(arm).cells)

    @cached_property
    def asks_for_cells(self) -> bool:
        """Whether anything asks for the real cells: arms compared with them, actives, crops, doses, axes; without arms, always.

        An arm that names a model, classifier or fold that is not there asks for none: that is said by itself.
        """
        named = {key: [entry["name"] for entry in self.config[key]] for key in ("models", "folds", "classifiers")}
        whole = [arm["name"] for arm in self.every_arm
                 if arm["model"] in named["models"] and set(arm["folds"]) <= set(named["folds"])]  # fmt: skip
        guides = [self.entry("arms", arm)["classifier"] for arm in whole]
        trained = [self.model_of(arm) for arm in whole]
        trained += [self.entry("classifiers", name) for name in guides if name in named["classifiers"]]
        crops, doses = self.config["crops"], self.config["doses"]
        return (
            bool(self.plates and not self.every_arm)
            or any(self._profiled(arm) and self.test_plates(arm) for arm in whole)
            or any(entry["subset"] == "active" or entry.get("examples") == "crops" for entry in trained)
            or bool(crops["size_um"] and "real" in crops["arms"])
            or any(
                OF_CELLS in one["spaces"] and "real" in one["arms"]
                for one in (doses, *self.config["axes"], *self.config["zero_shot"])
            )
        )

    def profile_plates(self, arm: str) -> list[str]:
        """Return the plates of `arm` that are scored, and whose cells are measured where it is profiled."""
        if arm != "real":
            return self.test_plates(arm)
        if not self.arms:
            return self.by_role("study")
        tested = {plate for name in self.arms for plate in self.test_plates(name)}
        chosen = self.config["perturbations"] and self.asks_for_cells  # features and actives: on these plates
        fitted = set(self.fitted_on("select") + self.fitted_on("active")) if chosen else set()
        return [plate for plate in self.by_role("study") if plate in tested | fitted | set(self.translated_plates())]

    def seen_arms(self, section: str) -> list[str]:
        """Return the arms that a network of photographs looks at (`embed`, `fid`); none where its weights are not given.

        The mean image is the same in every field: it has no embedding worth a profile.
        """
        if not self.config[section]["weights"]:
            return []
        every = section != "embed"
        chosen = [arm for arm in self.arms if self.test_plates(arm) and (every or self.kind_of(arm).varied)]
        brightfield = ["brightfield"] if self.config["channels"]["input"] else []
        alone = section == "embed" and not self.arms and self.plates
        return ["real", *brightfield, *chosen] if chosen or alone else []

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
        """Return the plates whose images the study needs: trained on, tested, predicted or selected on, a critic's too."""
        used = set(self.profile_plates("real") + critics.trained_plates(self))
        for arm in self.arm_names:
            used |= set(self.test_plates(arm) + (self.predict_plates(arm) if arm in self.arms else []))
            if not (self.model_of(arm)["weights"] or self.kind_of(arm).given):
                used.update(plate for fold in self.entry("arms", arm)["folds"] for plate in self.training_plates(fold))
        return [plate for plate in self.plates if plate in used]
