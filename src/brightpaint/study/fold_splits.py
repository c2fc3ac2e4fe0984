"""What a fold holds out of training beside its test plates, and what is wrong with its plates. Torch-free.

`held_out` of a fold names perturbations, their share, or {by: scaffold | dose | combination} with a share or names. The latter are
worked out once, from the fields of the fold's plates, by the rule `hold_out`; trainings read its table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from brightpaint.study.annotations import DMSO

if TYPE_CHECKING:
    from brightpaint.study.study import Study

SCAFFOLD, DOSE, COMBINATION = BY = ("scaffold", "dose", "combination")
PERTURBATION = "perturbation"  # what names and shares without `by` are of
NAMES = {
    SCAFFOLD: "names of perturbations, whose whole scaffolds are held out",
    DOSE: "numbers, micromolar",
    COMBINATION: "pairs [perturbation, cell line]",
}


def tabled(held_out: object) -> bool:
    """Return whether a fold's `held_out` is worked out by the rule `hold_out`, whose table trainings then read."""
    return isinstance(held_out, Mapping)


def word_of(held_out: object) -> str:
    """Return by what a fold holds out, "" where it holds nothing out."""
    return held_out["by"] if tabled(held_out) else PERTURBATION if held_out else ""


def problems(study: Study) -> Iterable[str]:
    """Say which plates and which `held_out` of folds can't be."""
    for fold in study.config["folds"]:
        where, held = f"fold {fold['name']}", fold["held_out"]
        for key, role in (("test", "study"), ("predict", "predict")):
            for plate in fold[key]:
                if plate not in study.plates:
                    yield f"{where}: plate {plate} is not in {study.config['plates']}"
                elif (found := study.plates[plate]["role"]) != role:
                    yield f"{where}: plate {plate} has role {found}, expected {role}"
        if held and not study.config["perturbations"]:
            yield f"{where}: held_out needs perturbations: true"
        if tabled(held):
            yield from _table_problems(where, held)


def _table_problems(where: str, held: Mapping) -> Iterable[str]:
    by, names = held["by"], held.get("names", [])
    if ("share" in held) == ("names" in held):
        yield f"{where}: held_out by {by} takes a share or names, one of the two; names are {NAMES[by]}"
        return
    right = {
        SCAFFOLD: lambda name: isinstance(name, str),
        DOSE: lambda name: isinstance(name, (int, float)) and name > 0,
        COMBINATION: lambda name: isinstance(name, list) and len(name) == 2,
    }[by]
    if wrong := [name for name in names if not right(name)]:
        yield f"{where}: held_out by {by}: {wrong[0]!r} among its names; expected {NAMES[by]}"
    elif by != DOSE and DMSO in [name[0] if by == COMBINATION else name for name in names]:
        yield f"{where}: held_out names {DMSO}, the control, always trained on; take it out"
