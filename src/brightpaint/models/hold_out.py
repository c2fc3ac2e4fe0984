"""Work out what a fold holds out of training, and write it down: one row a treatment and cell line of its plates.

Perturbations by name or share; or whole scaffolds, doses, or combinations of a perturbation and a cell line whose halves are each
trained on; or what a table of one's own says. What is drawn is drawn from names alone. Trainings read the table where it says more
than names of perturbations, and what is painted of a treatment is scored as seen or held out by it.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.base.seeds import seed_of
from brightpaint.models.given_split import by_file
from brightpaint.models.split import SPLIT_KEYS, held_out_perturbations, split_keys
from brightpaint.study.annotations import DMSO, PERTURBATION
from brightpaint.study.fold_splits import COMBINATION, DOSE, FILE, SCAFFOLD, tabled

log = logging.getLogger(__name__)
COLUMNS = [
    *SPLIT_KEYS,
    PERTURBATION,
    "Metadata_dose",
    "Metadata_group",
    "held_out",
    "training_wells",
    "trained_wells",
    "test_wells",
]


def treatments_listed(training: pd.DataFrame, tested: pd.DataFrame) -> pd.DataFrame:
    """Return one row a treatment and cell line of a fold's plates: SPLIT_KEYS, perturbation, dose, training_wells, test_wells.

    Parameters
    ----------
    training, tested : field tables (or wells) of the plates that the fold trains on, and of those that it tests
    """
    sides = [split_keys(side).assign(training_wells=int(own), test_wells=int(not own))
             for side, own in ((training, True), (tested, False)) if len(side)]  # fmt: skip
    both = pd.concat(sides, ignore_index=True).drop_duplicates([*store.WELL_KEYS, *SPLIT_KEYS])
    both = both[both[PERTURBATION] != ""]
    groups = both.groupby(SPLIT_KEYS, sort=True)
    counted = groups[["training_wells", "test_wells"]].sum()
    return counted.join(groups[[PERTURBATION]].first()).join(groups[["Metadata_dose"]].median()).reset_index()


def scaffold_groups(wells: pd.DataFrame) -> dict[str, str]:
    """Return {perturbation: its scaffold}; perturbations of one scaffold are of one group, and so is one of several scaffolds.

    Raises
    ------
    ValueError
        naming plate and well of a SMILES that is none
    """
    from brightpaint.models.conditions.molecule_vectors import canonical_of
    from brightpaint.models.conditions.scaffolds import scaffold

    spelled = pd.Series(canonical_of(wells), index=wells.index, dtype=object)
    known = wells.assign(molecule=spelled)[~spelled.isin(["", DMSO])]
    own = {name: sorted(set(map(scaffold, part["molecule"]))) for name, part in known.groupby(PERTURBATION)}
    head: dict[str, str] = {}

    def first(name: str) -> str:
        while head.setdefault(name, name) != name:
            name = head[name]
        return name

    for scaffolds in own.values():  # one written with two molecules joins their scaffolds
        for other in scaffolds[1:]:
            low, high = sorted((first(scaffolds[0]), first(other)))
            head[high] = low
    return {name: first(scaffolds[0]) for name, scaffolds in own.items()}


def drawn(names: Iterable[str], share: float, what: str) -> list[str]:
    """Return this share of some names, drawn by the names alone.

    Raises
    ------
    ValueError
        where that is none, or all
    """
    names = sorted(set(names), key=lambda name: seed_of("held out", name))
    count = round(share * len(names))
    if not 0 < count < len(names):
        raise ValueError(
            f"held_out: a share of {share:g} of {len(names)} {what} is {count}, and some must be held out and some "
            "trained on; give another share"
        )
    return sorted(names[:count])


def _check_known(names: Iterable[object], known: Iterable[object], what: str) -> None:
    known = list(dict.fromkeys(known))
    if missing := [name for name in names if name not in known]:
        shown = ", ".join(map(str, known[:8])) + (f", ... ({len(known)} in all)" if len(known) > 8 else "")
        raise ValueError(
            f"held_out: {missing[0]} is none of the {what} of the training plates: {shown or 'none'}; name some of these"
        )


def _by_perturbation(table: pd.DataFrame, wells: pd.DataFrame, chosen: object) -> tuple[pd.Series, pd.Series]:
    trained = table[table["training_wells"] > 0]
    held = held_out_perturbations(trained, chosen)
    return table[PERTURBATION], table[PERTURBATION].isin(held)


def _by_scaffold(table: pd.DataFrame, wells: pd.DataFrame, chosen: Mapping) -> tuple[pd.Series, pd.Series]:
    groups = scaffold_groups(wells)
    trained = sorted(set(table.loc[table["training_wells"] > 0, PERTURBATION]) & set(groups))
    if "share" in chosen:
        held = drawn((groups[name] for name in trained), chosen["share"], "scaffolds of the training plates")
    else:
        _check_known(chosen["names"], trained, "perturbations with a SMILES")
        held = [groups[name] for name in chosen["names"]]
    own = table[PERTURBATION].map(groups).fillna("")
    return own, own.isin(held)


def _by_dose(table: pd.DataFrame, wells: pd.DataFrame, chosen: Mapping) -> tuple[pd.Series, pd.Series]:
    doses = table["Metadata_dose"].where(table[PERTURBATION] != DMSO)
    own = doses.map(lambda dose: "" if np.isnan(dose) else f"{dose:.3g}").astype(object)
    known = sorted(set(own[table["training_wells"] > 0]) - {""}, key=float)
    if "share" in chosen:  # a model is told no dose outside the range that it was trained on
        held = drawn(known[1:-1], chosen["share"], "doses between the least and the largest")
    else:
        held = [f"{dose:.3g}" for dose in chosen["names"]]
        _check_known(held, known, "doses (uM)")
        if ends := [dose for dose in held if dose in (known[0], known[-1])]:
            raise ValueError(
                f"held_out: {ends[0]} uM is the {'least' if ends[0] == known[0] else 'largest'} dose of the training plates, and "
                f"no model is told a dose outside those that it was trained on; name some of {', '.join(known[1:-1]) or 'none'}"
            )
    return own, own.isin(held)


def _by_combination(table: pd.DataFrame, wells: pd.DataFrame, chosen: Mapping) -> tuple[pd.Series, pd.Series]:
    line = table["Metadata_cell_line"]
    own = table[PERTURBATION] + " in " + line.replace("", "no cell line")
    treated = table[(table["training_wells"] > 0) & (table[PERTURBATION] != DMSO)]
    lines = {name: sorted(set(part["Metadata_cell_line"])) for name, part in treated.groupby(PERTURBATION)}
    if "share" in chosen:
        several = [name for name, found in lines.items() if len(found) > 1]
        names = drawn(several, chosen["share"], "perturbations in two cell lines or more")
        pairs = [(name, min(lines[name], key=lambda line: seed_of("held out", name, line))) for name in names]
    else:
        pairs = [tuple(pair) for pair in chosen["names"]]
        _check_known(pairs, [(name, line) for name, found in lines.items() for line in found], "combinations")
    held = pd.Series([pair in set(pairs) for pair in zip(table[PERTURBATION], line)], index=table.index, dtype=bool)
    kept = table[~held & (table["training_wells"] > 0) & (table[PERTURBATION] != DMSO)]
    for (
        name,
        where,
    ) in pairs:  # or it is a new perturbation, or a new line, and not their combination, that is asked of a model
        if name not in set(kept[PERTURBATION]) or where not in set(kept["Metadata_cell_line"]):
            half = name if name not in set(kept[PERTURBATION]) else where
            raise ValueError(
                f"held_out: {name} in {where}: nothing else of {half} is left to train on; hold out fewer combinations"
            )
    return own, held


WAYS: dict[str, Callable] = {SCAFFOLD: _by_scaffold, DOSE: _by_dose, COMBINATION: _by_combination, FILE: by_file}


def hold_out(training: pd.DataFrame, tested: pd.DataFrame, chosen: object) -> pd.DataFrame:
    """Return what a fold holds out: one row a treatment and cell line, COLUMNS.

    Parameters
    ----------
    training, tested : field tables of the plates that it trains on, and of those that it tests
    chosen : its `held_out`

    Returns
    -------
    `Metadata_group` is what is held out together, "" of what never is; `trained_wells` is 0 of what a model of the fold never sees

    Raises
    ------
    ValueError
        for names that the training plates lack, what is wrong with a table of one's own, and where nothing would be held out, or
        nothing trained on
    """
    table = treatments_listed(training, tested)
    way = WAYS[chosen["by"]] if tabled(chosen) else _by_perturbation
    group, held = way(table, pd.concat([training, tested], ignore_index=True), chosen)
    table = table.assign(Metadata_group=group, held_out=(held & (table[PERTURBATION] != DMSO)).astype(int))
    table = table.assign(trained_wells=table["training_wells"].where(table["held_out"] == 0, 0))
    if not table.loc[table[PERTURBATION] != DMSO, "trained_wells"].sum():
        raise ValueError("held_out: no treated well is left to train on; hold out less")
    return table[COLUMNS]


def main(argv: Sequence[str] | None = None) -> None:
    """Write down what a fold holds out."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: held_out, as the fold has it")
    parser.add_argument("--training", type=Path, nargs="+", required=True, help="field tables of training plates")
    parser.add_argument("--tested", type=Path, nargs="*", default=[], help="those of test plates")
    parser.add_argument("--table", type=Path, required=True, help="to write")
    args = parser.parse_args(argv)
    sides = [[store.read_fields(path) for path in paths] for paths in (args.training, args.tested)]
    training, tested = (pd.concat(side, ignore_index=True) if side else pd.DataFrame() for side in sides)
    table = hold_out(training, tested, args.settings["held_out"])
    held = table[table["held_out"] == 1]
    log.info("%d of %d treatments held out, of %d groups", len(held), len(table), held["Metadata_group"].nunique())
    store.write_table(store.as_text(table), args.table)


if __name__ == "__main__":
    run(main)
