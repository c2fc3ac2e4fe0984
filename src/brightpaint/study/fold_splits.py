"""What a fold holds out of training beside its test plates, and what is wrong with its plates. Torch-free.

`held_out` of a fold names perturbations, their share, or {by: scaffold | dose | combination} with a share or names, or {by: file},
a table of parts that somebody else made. The latter are worked out once, from the fields of the fold's plates, by the rule
`hold_out`; trainings read its table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from brightpaint.study.annotations import DMSO
from brightpaint.study.plate_table import read_names
from brightpaint.study.schema import expand

if TYPE_CHECKING:
    from brightpaint.study.study import Study

SCAFFOLD, DOSE, COMBINATION, FILE = BY = ("scaffold", "dose", "combination", "file")
PERTURBATION = "perturbation"  # what names and shares without `by` are of
SMILES, TREATMENT = "smiles", "treatment"  # what a table of parts may name beside perturbations
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


def find_files(folds: list[dict], root: Path) -> None:
    """Put the names of a text file in its place, and a table of parts under its whole path."""
    for fold in folds:
        held, where = fold["held_out"], f"config: folds.{fold['name']}.held_out"
        if isinstance(held, str):
            fold["held_out"] = read_names(root / held, where)
        elif tabled(held) and "path" in held:
            fold["held_out"] = {**held, "path": str(root / expand(held["path"], f"{where}.path"))}


def by_molecule(held_out: object) -> bool:
    """Return whether what a fold holds out is told from molecules, which RDKit reads."""
    return word_of(held_out) == SCAFFOLD or (word_of(held_out) == FILE and held_out.get("key") == SMILES)


def of_new_names(held_out: object) -> bool:
    """Return whether names of what a fold holds out are none that it trains on, at any dose."""
    by = word_of(held_out)
    return by in (SCAFFOLD, PERTURBATION) or (by == FILE and held_out.get("key") != TREATMENT)


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
    given = {"path", "key"} & set(held)
    if by == FILE:
        if len(given) < 2 or "share" in held or "names" in held:
            yield (
                f"{where}: held_out by {FILE} takes the path of a table and its key ({SMILES}, {PERTURBATION} or {TREATMENT}), "
                "and no share or names"
            )
        return
    if given:
        yield f"{where}: held_out by {by} takes a share or names, and no {' or '.join(sorted(given))}, which is for by: {FILE}"
        return
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
