"""What is said of a treatment's effect without painting it: by molecules, by other treatments, by real replicates. Pure functions.

Ridge regression and nearest neighbours are those of `scores.profiles.from_molecules`, fitted on the real effects of the treatments
that a fold trains on: what a model that paints has to beat.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from brightpaint.base.seeds import seed_of
from brightpaint.scores.generation.treatment_effects import KEYS
from brightpaint.scores.profiles.from_molecules import NEIGHBOURS, PENALTIES, chosen
from brightpaint.scores.profiles.molecule_kernels import likeness, neighbours, ridge
from brightpaint.scores.profiles.molecule_splits import log_doses, names_by
from brightpaint.study.annotations import DMSO, PERTURBATION
from brightpaint.study.fold_splits import DOSE, SCAFFOLD

MODEL, RIDGE, NEAREST, LOOK_UP, MEAN, SWAPPED, CONTROL, REPLICATE, REAL = BASELINES = (
    "model", "ridge", "nearest neighbours", "nearest molecule", "mean", "swapped", DMSO, "real replicate", "real",
)  # fmt: skip
BY_MOLECULE = (RIDGE, NEAREST)
LEAST = 4  # trained treatments of known molecules


@dataclass(frozen=True)
class Foretold:
    """What molecules say of T treatments.

    Attributes
    ----------
    answers : {RIDGE, NEAREST, LOOK_UP: (T, F)} centred effects; 0, the mean, of a treatment whose molecule is not known
    nearest : (T,) row among the trained treatments of the most alike one, -1 where the molecule is not known
    """

    answers: dict[str, np.ndarray]
    nearest: np.ndarray


def likeness_keys(keys: pd.DataFrame, molecules: np.ndarray) -> pd.DataFrame:
    """Return treatments as `from_molecules` has them: molecule, dose (log10 of micromolar), cell_line."""
    doses = log_doses(keys["Metadata_dose"].astype(float))
    return pd.DataFrame(
        {"molecule": molecules, "dose": doses, "cell_line": keys["Metadata_cell_line"].to_numpy(object)}
    )


def inner_groups(keys: pd.DataFrame, by: str) -> np.ndarray:
    """Return what is left out together as penalty and neighbours are chosen, (T,) object: as the fold holds out, else molecules."""
    return names_by(keys, by) if by in (SCAFFOLD, DOSE) else keys["molecule"].to_numpy(object)


def foretell(
    tested: pd.DataFrame,
    trained: pd.DataFrame,
    effects: np.ndarray,
    molecules: tuple[np.ndarray, np.ndarray],
    by: str,
    where: str,
) -> Foretold:
    """Foretell the effects of `tested` treatments from those of the `trained` ones, by their molecules, doses and cell lines.

    Parameters
    ----------
    tested, trained : T and K treatments
    effects : (K, F) centred
    molecules : canonical SMILES of either, (T,) and (K,); "" where none is known
    by : how the fold holds out

    Raises
    ------
    ValueError
        with fewer than LEAST trained treatments of known molecules
    """
    known = [~np.isin(names, ["", DMSO]) for names in molecules]
    if known[1].sum() < LEAST:
        raise ValueError(
            f"{where}: {known[1].sum()} trained treatments have a molecule that is known, ridge and nearest neighbours need "
            f"{LEAST}; check the SMILES of the training plates"
        )
    keys = [likeness_keys(part[own], names[own]) for part, names, own in zip((tested, trained), molecules, known)]
    both = pd.concat([keys[1], keys[0]], ignore_index=True)  # trained first
    train, test = np.arange(len(keys[1])), len(keys[1]) + np.arange(len(keys[0]))
    alike, groups = likeness(both), inner_groups(both, by)
    wanted = np.concatenate([effects[known[1]], np.zeros((len(test), effects.shape[1]))])
    best = {
        way: chosen(way, choices, alike, wanted, train, groups, 0)
        for way, choices in ((ridge, PENALTIES), (neighbours, NEIGHBOURS))
    }
    said = {RIDGE: ridge(alike, wanted, train, test, best[ridge]),
            NEAREST: neighbours(alike, wanted, train, test, best[neighbours]),
            LOOK_UP: neighbours(alike, wanted, train, test, 1)}  # fmt: skip
    answers = {name: np.zeros((len(tested), effects.shape[1])) for name in said}
    for name, values in said.items():
        answers[name][known[0]] = values
    nearest = np.full(len(tested), -1)
    nearest[known[0]] = np.flatnonzero(known[1])[np.argmax(alike[np.ix_(test, train)], axis=1)] if len(test) else []
    return Foretold(answers, nearest)


def swapped_with(keys: pd.DataFrame, names: np.ndarray) -> np.ndarray:
    """Return for each treatment one of another molecule: (T,) int row, its own where there is no other.

    The place among molecules, in an order that follows from their names, is moved on by a half; of the other's treatments that in
    the same cell line at the nearest dose is taken.

    Parameters
    ----------
    names : (T,) molecule of each, or perturbation
    """
    order = sorted(set(names), key=lambda name: seed_of("swap", name))
    other = {name: order[(place + max(1, len(order) // 2)) % len(order)] for place, name in enumerate(order)}
    doses = np.nan_to_num(
        np.log10(keys["Metadata_dose"].astype(float).where(lambda dose: dose > 0)).to_numpy(), nan=0.0
    )
    places = keys[KEYS[1:]].agg("|".join, axis=1).to_numpy()
    found = []
    for row, name in enumerate(names):
        rows = np.flatnonzero(names == other[name])
        found.append(min(rows, key=lambda each: (places[each] != places[row], abs(doses[each] - doses[row]), each)))
    return np.array(found, dtype=int)


def molecules_of(keys: pd.DataFrame) -> np.ndarray:
    """Return the canonical SMILES of treatments, "" where none is known: (T,) object; raise ValueError naming one that is none."""
    from brightpaint.models.conditions.molecule_vectors import canonical_of

    return canonical_of(keys.assign(Metadata_Plate="(mean)", Metadata_Well="(mean)"))


def names_of(keys: pd.DataFrame, molecules: np.ndarray | None) -> np.ndarray:
    """Return by what treatments are swapped: molecules where they are known, else perturbations."""
    own = keys[PERTURBATION].to_numpy(object)
    return own if molecules is None else np.where(molecules == "", own, molecules)
