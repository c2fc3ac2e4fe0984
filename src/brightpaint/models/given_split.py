"""A split that somebody else made: a table that says of molecules, perturbations or treatments whether they train or test.

So a published split can be given (Mol2Image's, of molecules, is one): its test part is held out of training; what the table does
not list is trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from brightpaint.models.split import SPLIT_KEYS, split_keys
from brightpaint.plates.platemaps import find_column, read_own_table
from brightpaint.study.annotations import DMSO, PERTURBATION
from brightpaint.study.fold_splits import SMILES

TRAIN, TEST = PARTS = ("train", "test")
PART = "part"


@dataclass(frozen=True)
class Listed:
    """What a table says of one molecule, perturbation or treatment: its part, its row's number, and how it is written there."""

    part: str
    row: int
    text: str


def read_split(path: str, key: str) -> dict[str, Listed]:
    """Read a table of parts.

    Parameters
    ----------
    path : text, between commas where the name ends in .csv, else tabs; columns `part` (train or test) and `key`
    key : smiles, perturbation or treatment

    Returns
    -------
    {canonical SMILES, perturbation or treatment: where it stands first}, without DMSO

    Raises
    ------
    ValueError
        naming file, row and key: a column that is missing, an empty or unknown part, a SMILES that is none, one that stands in both
        parts, DMSO in the test part, and a test part without rows
    """
    frame = read_own_table(path, "held_out.path")
    columns = {name: find_column(frame.columns, name) for name in (key, PART)}
    for name, column in columns.items():
        if column is None:
            raise ValueError(
                f"held_out: {path} has no column {name}; found {', '.join(frame.columns)}; it takes the columns {key} and {PART} "
                f"({' or '.join(PARTS)})"
            )
    listed: dict[str, Listed] = {}
    for number, text, part in zip(range(1, len(frame) + 1), frame[columns[key]], frame[columns[PART]]):
        where = f"held_out: {path}: row {number}"
        if not text:
            raise ValueError(f"{where}: no {key}; write one, or take the row out")
        if part not in PARTS:
            raise ValueError(f"{where}: the {PART} of {text} is {part!r}; expected {' or '.join(PARTS)}")
        name = _name_of(text, key, where)
        if name == DMSO and part == TEST:
            raise ValueError(f"{where}: {text} is {DMSO}, the control, always trained on; take the row out")
        first = listed.setdefault(name, Listed(part, number, text))
        if first.part != part:
            alike = "" if first.text == text else f", written {first.text},"
            raise ValueError(
                f"{where}: {text} is in part {part}, and in row {first.row}{alike} in part {first.part}; keep one of the rows"
            )
    listed.pop(DMSO, None)
    if not any(one.part == TEST for one in listed.values()):
        raise ValueError(f"held_out: {path}: no row is in part {TEST}, so that nothing would be held out; name some")
    return listed


def _name_of(text: str, key: str, where: str) -> str:
    """Return the one spelling by which a cell is compared with the plates."""
    if key != SMILES:
        return text
    from brightpaint.models.conditions.molecule_vectors import BadMolecule, canonical

    try:
        return canonical(text)
    except BadMolecule as error:
        raise ValueError(f"{where}: {error}; correct it, or take the row out") from None


def by_file(table: pd.DataFrame, wells: pd.DataFrame, chosen: Mapping) -> tuple[pd.Series, pd.Series]:
    """Return what each treatment is held out together with, "" of one that is not listed, and whether it is held out.

    Parameters
    ----------
    table : rows with SPLIT_KEYS and the perturbation
    wells : fields or wells of the fold's plates, Metadata_smiles among their columns where `key` is smiles
    chosen : path and key

    Raises
    ------
    ValueError
        as `read_split`; for what none of the plates has, and a treatment that has molecules of both parts
    """
    path, key = chosen["path"], chosen["key"]
    listed = read_split(path, key)
    names = _names_of_treatments(wells, key)
    known = set().union(*names.values())
    if missing := [one for name, one in listed.items() if name not in known]:
        raise ValueError(
            f"held_out: {path}: row {missing[0].row}: no plate that the fold trains on or tests has the {key} "
            f"{missing[0].text} ({len(missing)} such of {len(listed)}); correct it, or take out the rows of what other plates "
            "have, or no field shows"
        )
    groups, held = [], []
    for treatment in map(tuple, table[SPLIT_KEYS].to_numpy()):
        own = sorted(names.get(treatment, set()) & set(listed))
        if len({listed[name].part for name in own}) > 1:
            pair = [next(listed[name] for name in own if listed[name].part == part) for part in PARTS]
            raise ValueError(
                f"held_out: {path}: {treatment[0]} has molecules of both parts on these plates: {pair[0].text} (row {pair[0].row}, "
                f"{TRAIN}) and {pair[1].text} (row {pair[1].row}, {TEST}); give them names of their own, or one part"
            )
        groups.append(own[0] if own else "")
        held.append(bool(own) and listed[own[0]].part == TEST)
    return pd.Series(groups, index=table.index, dtype=object), pd.Series(held, index=table.index, dtype=bool)


def _names_of_treatments(wells: pd.DataFrame, key: str) -> dict[tuple[str, str], set[str]]:
    """Return {treatment and cell line: its molecules, or its perturbation or treatment}, without DMSO and what is not known."""
    keyed = split_keys(wells)
    if key == SMILES:
        from brightpaint.models.conditions.molecule_vectors import canonical_of

        spelled = canonical_of(wells)
    else:
        spelled = keyed[PERTURBATION if key == "perturbation" else "Metadata_treatment"].to_numpy(object)
    found: dict[tuple[str, str], set[str]] = {}
    told = ~np.isin(spelled.astype(str), ["", DMSO]) & (keyed[PERTURBATION] != "").to_numpy()
    for treatment, name in zip(map(tuple, keyed.loc[told, SPLIT_KEYS].to_numpy()), spelled[told]):
        found.setdefault(treatment, set()).add(name)
    return found
