"""Arms that paint treatments from conditions alone, without an image of the well, and what is wrong with them. Torch-free.

A generation is an entry of `arms` with `generate`. It paints some fields of each treatment of a test plate, by a model that sees no
brightfield: a row borrows a real field's keys and conditions, and none of its pixels. It predicts no single field, so it stands
apart from the arms that do, under `Study.generations`, and is scored as populations (rule `generation`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from brightpaint.study.annotations import GIVEN
from brightpaint.study.conditions import given_conditions, needs_rdkit
from brightpaint.study.fold_splits import by_molecule, of_new_names, tabled
from brightpaint.study.kinds import KINDS

if TYPE_CHECKING:
    from brightpaint.study.study import Study

HELD_OUT = "held_out"
CONTROLS = 4  # times as many fields of DMSO, from which the effect of every treatment is measured
NAMED = ("perturbation", "treatment")  # what says nothing of a treatment that was not trained on


def split(arms: list[dict]) -> tuple[list[dict], list[dict]]:
    """Return the arms that paint real fields, and those that generate."""
    return [arm for arm in arms if not arm["generate"]], [arm for arm in arms if arm["generate"]]


def told_of_treatments(model: dict) -> list[str]:
    """Return what a model is told of what a well was given: its label, if it is such, and its conditions."""
    return [name for name in (model["label"],) if name in GIVEN] + given_conditions(model["conditions"])


def reads_molecules(study: Study, name: str) -> bool:
    """Return whether a generation stands beside what molecules alone say: its model is told them, or they are held out as such."""
    arm = study.entry("arms", name)
    read = any(by_molecule(study.entry("folds", fold)["held_out"]) for fold in arm["folds"])
    return needs_rdkit(study.model_of(name)) or read


def split_folds(study: Study) -> list[str]:
    """Return the folds of which the rule `hold_out` writes what is held out: those worked out by it, and those of generations."""
    shown = {fold for name in study.generations for fold in study.entry("arms", name)["folds"]}
    return [fold["name"] for fold in study.config["folds"] if fold["name"] in shown or tabled(fold["held_out"])]


def problems(study: Study) -> Iterator[str]:
    """Say what is wrong with generations that a look at the config can tell; `plan.generating` looks at the wells."""
    models = {model["name"]: model for model in study.config["models"]}
    folds = {fold["name"]: fold for fold in study.config["folds"]}
    for arm in study.config["translations"]:
        if arm["generate"] and not arm["name"].startswith("fresh_"):
            yield f"arm {arm['name']}: translate starts from a real field, generate from none; leave one of them out"
    for arm in study.config["generations"]:
        where = f"arm {arm['name']}"
        if not study.config["perturbations"]:
            yield f"{where}: generate needs perturbations: true"
        if arm["model"] not in models or not set(arm["folds"]) <= set(folds):
            continue  # said by itself
        yield from _model_problems(study, where, models[arm["model"]])
        yield from _arm_problems(where, arm)
        for name in arm["folds"]:
            yield from _fold_problems(where, arm, models[arm["model"]], folds[name])


def _model_problems(study: Study, where: str, model: dict) -> Iterator[str]:
    named = f"model {model['name']}"
    if not KINDS[model["kind"]].walks:
        able = " or ".join(kind.name for kind in KINDS.values() if kind.walks and not kind.brightfield)
        yield f"{where}: generate paints fields from noise, and {named} is of kind {model['kind']}; use one of kind {able}"
        return
    if inputs := study.inputs(model):
        yield (
            f"{where}: generate paints without an image, and {named} sees brightfield ({', '.join(inputs)}); train one without "
            "(inputs: [])"
        )
    if not told_of_treatments(model) and not model["weights"]:
        yield (
            f"{where}: {named} is told nothing of what a well was given, so that all treatments would look alike; give it a label "
            f"({', '.join(GIVEN)}) or conditions such as molecule and dose"
        )
    if model["subset"] == "active":
        yield f"{where}: {named} trains on active perturbations alone, and DMSO is generated beside them; set subset: all"


def _arm_problems(where: str, arm: dict) -> Iterator[str]:
    for key, only in (("samples", 1), ("mean_of", 1), ("sampling_label", "own"), ("classifier", None)):
        if arm[key] != only:
            yield f"{where}: {key} {arm[key]} is not for generate, which paints each field once as its own treatment; leave it out"
    for name in given_conditions(arm["conditions"]):
        if arm["conditions"][name] is not None:
            yield f"{where}: generate shows each treatment in place of conditions.{name}; leave it out, or set it to null"


def _fold_problems(where: str, arm: dict, model: dict, fold: dict) -> Iterator[str]:
    if not fold["test"]:
        yield f"{where}: fold {fold['name']} tests no plate, and generate is held to real treatments of one; name one in test"
    if arm["generate"]["treatments"] != HELD_OUT:
        return
    if not fold["held_out"]:
        yield f"{where}: generate.treatments is held_out, and fold {fold['name']} holds none out; give it held_out, or name some"
        return
    told = [name for name in told_of_treatments(model) if arm["conditions"].get(name, True) is not None]
    if set(told) <= set(NAMED) and of_new_names(fold["held_out"]) and not model["weights"]:
        yield (
            f"{where}: of what fold {fold['name']} holds out, model {model['name']} is told {' and '.join(told) or 'nothing'} "
            "alone, a name that it was not trained on; give it the condition molecule (or target)"
        )
