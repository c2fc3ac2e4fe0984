"""What a model can be told of a field beside its label: each condition, where it stands, and what becomes of unseen values.

Torch-free. A model's `conditions` names some of these; `models.conditions.vocabulary` learns from its training fields what
their values mean, and keeps it in the weights.

Which of them can be known on a plate that was held out: what a well was given, its dose, molecule, cell line, time and position
can. Its plate never can, and its batch or source only where another plate of them was trained on: they say nothing but where an
image comes from, and are missing where they were not trained on. So is the name of an unseen compound, target or treatment; its
molecule and dose still tell of it. A cell line, dose, time or position outside what was trained on is refused, unless the arm
leaves that condition out: nothing else would say that a picture is of another line than its well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from brightpaint.study.study import Study

CATEGORY, NUMBER, MOLECULE = "category", "number", "molecule"
MISSING, REFUSED = "missing", "refused"
VECTORS = "vectors"  # the encoder that reads a table of the user's own


@dataclass(frozen=True)
class Told:
    """One condition.

    Attributes
    ----------
    name : as the config says it
    column : where it stands in a field table
    form : CATEGORY by a table of embeddings, NUMBER by sinusoids and a network of its own, MOLECULE by a vector
    unseen : what becomes of a value that was not trained on, MISSING or REFUSED
    given : part of what a well was given; a well of DMSO keeps its own whatever an arm says
    unit : of a number, for messages
    logarithmic : a number told by its logarithm
    """

    name: str
    column: str
    form: str
    unseen: str
    given: bool = False
    unit: str = ""
    logarithmic: bool = False


CONDITIONS = {
    told.name: told
    for told in (
        Told("perturbation", "Metadata_perturbation", CATEGORY, MISSING, given=True),
        Told("target", "Metadata_target", CATEGORY, MISSING, given=True),
        Told("treatment", "Metadata_treatment", CATEGORY, MISSING, given=True),
        Told("molecule", "Metadata_smiles", MOLECULE, MISSING, given=True),
        Told("dose", "Metadata_dose", NUMBER, REFUSED, given=True, unit=" uM", logarithmic=True),
        Told("cell_line", "Metadata_cell_line", CATEGORY, REFUSED),
        Told("time", "Metadata_time_h", NUMBER, REFUSED, unit=" h"),
        Told("source", "Metadata_Source", CATEGORY, MISSING),
        Told("batch", "Metadata_Batch", CATEGORY, MISSING),
        Told("plate", "Metadata_Plate", CATEGORY, MISSING),
        Told("well_position", "Metadata_Well", NUMBER, REFUSED),
    )
}


@dataclass(frozen=True)
class Part:
    """How a network is told a condition: its `form`, and how many categories, numbers or entries it has."""

    form: str
    count: int


def ordered(names) -> list[str]:
    """Return names of conditions in the order of `CONDITIONS`, in which networks sum them."""
    return [name for name in CONDITIONS if name in set(names)]


def shares(chosen: Mapping[str, dict]) -> tuple[float, ...]:
    """Return the share of images from which each condition of a model is dropped in training, in order."""
    return tuple(chosen[name]["dropout"] for name in ordered(chosen))


def needs_rdkit(model: Mapping) -> bool:
    """Return whether a model of the config is told molecules."""
    return any(CONDITIONS[name].form == MOLECULE for name in model.get("conditions", {}))


def given_conditions(names) -> list[str]:
    """Return those of some conditions that are part of what a well was given."""
    return [name for name in ordered(names) if CONDITIONS[name].given]


def problems(study: Study) -> Iterator[str]:
    """Say which conditions of models and arms do not go together."""
    for model in study.config["models"]:
        yield from _model_problems(study, model)
    models = {model["name"]: model for model in study.config["models"]}
    for arm in study.every_arm:
        if arm["model"] in models and not arm["name"].startswith("fresh_"):
            yield from _arm_problems(arm, models[arm["model"]])


def _model_problems(study: Study, model: dict) -> Iterator[str]:
    from brightpaint.study.kinds import KINDS

    where, chosen = f"model {model['name']}", model["conditions"]
    if chosen and not KINDS[model["kind"]].labels:
        yield f"{where}: kind {model['kind']} takes no conditions; leave them out, or name a kind that learns step by step"
    if model["label"] in chosen:
        yield f"{where}: {model['label']} is both its label and among its conditions; name it once"
    for name in given_conditions(chosen) if not study.config["perturbations"] else []:
        yield f"{where}: condition {name} needs perturbations: true"
    molecule = chosen.get("molecule")
    if not molecule:
        return
    if (molecule["encoder"] == VECTORS) != bool(molecule["vectors"]):
        yield (
            f"{where}: conditions.molecule: encoder {molecule['encoder']} with vectors {molecule['vectors']}; the encoder vectors "
            "reads the table that vectors names, and no other does"
        )
    elif molecule["vectors"] and not Path(molecule["vectors"]).is_file():
        yield f"{where}: conditions.molecule.vectors: there is no file {molecule['vectors']}; correct its path"


def _arm_problems(arm: dict, model: dict) -> Iterator[str]:
    from brightpaint.study.kinds import KINDS

    where, told = f"arm {arm['name']}", model["conditions"]
    known = f"model {model['name']} is told {', '.join(ordered(told)) or 'no conditions'}"
    own = model["weights"] is None or bool(told)  # given weights say themselves what they are told
    for key in ("conditions", "condition_scales"):
        for name in ordered(arm[key]) if own else []:
            if name not in told:
                yield f"{where}: {key} names {name}, and {known}; train it with that condition, or leave it out"
    if any(scale != 1 for scale in arm["condition_scales"].values()) and not KINDS[model["kind"]].walks:
        yield f"{where}: condition_scales guide a model that walks from noise, and {model['name']} is of kind {model['kind']}"
    for name, scale in arm["condition_scales"].items():
        if scale != 1 and name in arm["conditions"] and arm["conditions"][name] is None:
            yield f"{where}: condition_scales amplifies {name}, which conditions leaves out; drop one of the two"
    if arm["translate"] and (kept := [name for name in given_conditions(told) if name not in arm["conditions"]]):
        yield (
            f"{where}: a translation shows classes of the label {model['label']}, and {known}: the source's own "
            f"{', '.join(kept)} would contradict the class shown; leave them out with conditions: "
            f"{{{', '.join(f'{name}: null' for name in kept)}}}"
        )
    for name in given_conditions(arm["conditions"]) if arm["translate"] else []:
        if arm["conditions"][name] is not None:
            yield f"{where}: a translation shows a class of its label in place of conditions.{name}; set that to null"
