"""What a model and its floors say of the treatments of one test plate: effects, and fields in the treatments' place."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from brightpaint.models.conditions.scaffolds import scaffold
from brightpaint.models.split import SPLIT_KEYS
from brightpaint.scores.generation import correspondence, foretold, populations
from brightpaint.scores.generation.foretold import CONTROL, LOOK_UP, MEAN, MODEL, REAL, REPLICATE, SWAPPED
from brightpaint.scores.generation.gains import SEEN
from brightpaint.scores.generation.plate_answers import Said, said_of, trained_rows
from brightpaint.scores.generation.treatment_effects import (
    KEYS,
    Fields,
    field_effects,
    fields_of,
    joined,
)
from brightpaint.study.annotations import DMSO, PERTURBATION
from brightpaint.study.fold_splits import FILE, SCAFFOLD

log = logging.getLogger(__name__)
NEW = "not on training plates"


@dataclass(frozen=True)
class Plate:
    """What is known of one test plate.

    Attributes
    ----------
    tested : T treatments in their places: KEYS, perturbation, dose, SMILES where known, `plate`, `split`, `group`
    truth : (T, F) real effects, centred; answers : {baseline: (T, F)}, NaN where there is none
    real, fields : T sets of fields (n, F), and {baseline: T sets}
    matched : {baseline: (T,)} how well fields go with the treatment's molecule (`correspondence`); none without molecules
    """

    tested: pd.DataFrame
    truth: np.ndarray
    answers: dict[str, np.ndarray]
    real: list[np.ndarray]
    fields: dict[str, list[np.ndarray]]
    matched: dict[str, np.ndarray]


def treatments_tested(painted: pd.DataFrame, held_out: pd.DataFrame, plate: str, by: str) -> pd.DataFrame:
    """Return the treatments of a plate's painted fields, with or without cells, what the fold did with them, and their group.

    A group is drawn anew as one: a scaffold where the fold holds out scaffolds, what a table names where it holds out by one, else
    a treatment.
    """
    keys = fields_of(painted.assign(one=1.0), ["one"]).keys
    keys = keys[keys[PERTURBATION] != DMSO].drop_duplicates(KEYS).reset_index(drop=True)
    known = held_out.set_index(SPLIT_KEYS)
    rows = [known.loc[pair] if pair in known.index else None for pair in map(tuple, keys[SPLIT_KEYS].to_numpy())]
    splits = [SEEN if row is not None and row["trained_wells"] > 0 else by if row is not None and row["held_out"] else NEW
              for row in rows]  # fmt: skip
    own = keys[KEYS].agg("|".join, axis=1)
    groups = [
        row["Metadata_group"] if by in (SCAFFOLD, FILE) and row is not None and row["Metadata_group"] else name
        for row, name in zip(rows, own)
    ]
    return keys.assign(plate=plate, split=splits, group=groups)


def plate_of(
    plate: str, painted: Fields, real: Fields, training: Mapping[str, Fields], tested: pd.DataFrame, held_out: pd.DataFrame,
    *, by: str, molecules: bool, where: str,
) -> Plate:  # fmt: skip
    """Work out what the model and its floors say of the treatments of one plate.

    Parameters
    ----------
    painted, real, training : fields of the plate, and of its fold's training plates, scaled
    tested, held_out : of `treatments_tested` and the rule `hold_out`
    by : how the fold holds out
    molecules : whether what they alone say stands beside

    Raises
    ------
    ValueError
        where no treatment that was painted has real fields with cells
    """
    said = said_of(plate, painted, real, training, tested, held_out, by=by, molecules=molecules, where=where)
    shown = populations_of(said.tested, painted, real, training, held_out, said.other, said.nearest)
    matched = {}
    if molecules:
        sides = (
            field_effects(painted),
            field_effects(real),
            {name: field_effects(each) for name, each in training.items()},
        )
        matched = _matched(said, *sides, held_out, by=by, where=where)
    return Plate(said.tested, said.truth, said.answers, *shown, matched)


def _matched(said: Said, painted, real, training, held_out, *, by: str, where: str) -> dict[str, np.ndarray]:
    """Return how well fields go with their treatment's molecule, {baseline: (T,)}, by a matcher of real training fields."""
    train = joined(list(training.values()))
    names = foretold.molecules_of(train.keys)
    own = trained_rows(train.keys, held_out) & ~np.isin(names, ["", DMSO]) & ~train.controls()
    groups = np.array([scaffold(name) for name in names[own]], dtype=object) if by == SCAFFOLD else names[own]
    matcher = correspondence.fit(train.values[own], names[own], groups, where)
    truth, sets = populations_of(said.tested, painted, real, training, held_out, said.other, said.nearest)
    molecules = np.where(said.molecules == DMSO, "", said.molecules)
    return {
        name: correspondence.correspondence(matcher, each, molecules) for name, each in {**sets, REAL: truth}.items()
    }


def populations_of(
    tested, painted, real, training, held_out, other, nearest
) -> tuple[list[np.ndarray], dict[str, list[np.ndarray]]]:
    """Return the real fields of each treatment, and what the model and its floors show in their place, as many as were painted.

    Parameters
    ----------
    tested : T treatments, with KEYS and `plate`
    painted, real, training : `Fields` of the plate, and of its fold's training plates
    held_out : of the rule `hold_out`
    other : (T,) whose answer stands for each as swapped
    nearest : the trained treatment of the most alike molecule, one a treatment, None where there is none; or None
    """
    train = joined(list(training.values()))
    trained = trained_rows(train.keys, held_out)
    control, nothing = train.controls(), np.empty((0, train.values.shape[1]))
    keys = [tuple(row) for row in tested[KEYS].to_numpy()]
    fields: dict[str, list[np.ndarray]] = {name: [] for name in (MODEL, MEAN, SWAPPED, CONTROL, REPLICATE)}
    fields |= {LOOK_UP: []} if nearest is not None else {}
    shown = [painted.of(key) for key in keys]
    for row, key in enumerate(keys):
        count, names = max(1, len(shown[row])), (tested["plate"].iloc[row], *key)
        place = (train.keys[KEYS[1:]] == list(key[1:])).all(axis=1).to_numpy()
        fields[MODEL].append(shown[row])
        fields[SWAPPED].append(
            nothing if other[row] == row else populations.drawn(shown[other[row]], count, SWAPPED, *names)
        )
        fields[MEAN].append(populations.drawn(train.values[trained & ~control & place], count, MEAN, *names))
        fields[CONTROL].append(populations.drawn(train.values[control & place], count, CONTROL, *names))
        fields[REPLICATE].append(populations.drawn(train.of(key), count, REPLICATE, *names))
        if nearest is not None:
            near = nothing if nearest[row] is None else train.of(tuple(nearest[row][KEYS]))
            fields[LOOK_UP].append(populations.drawn(near, count, LOOK_UP, *names))
    return [real.of(key) for key in keys], fields
