"""What a model and its floors say of the effects of treatments on one test plate, beside the real ones."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from brightpaint.models.split import listed_in
from brightpaint.scores.generation import foretold
from brightpaint.scores.generation.foretold import CONTROL, MEAN, MODEL, REPLICATE, SWAPPED
from brightpaint.scores.generation.treatment_effects import Fields, answers_for, effects_of, mean_effects

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Said:
    """What is said of T treatments.

    Attributes
    ----------
    tested : those of the treatments asked about that have real fields with cells
    truth : (T, F) real effects, centred; answers : {baseline: (T, F)}, NaN where there is none
    other : (T,) row of the treatment whose answer stands for each as swapped
    nearest : the trained treatment of the most alike molecule, one a treatment, None where there is none; None without molecules
    molecules : (T,) canonical SMILES, "" where none is known; None without molecules
    """

    tested: pd.DataFrame
    truth: np.ndarray
    answers: dict[str, np.ndarray]
    other: np.ndarray
    nearest: list | None
    molecules: np.ndarray | None


def trained_rows(keys: pd.DataFrame, held_out: pd.DataFrame) -> np.ndarray:
    """Tell which treatments a fold trains on: (K,) bool."""
    return listed_in(keys, held_out[held_out["trained_wells"] > 0])


def said_of(
    plate: str, painted: Fields, real: Fields, training: Mapping[str, Fields], tested: pd.DataFrame, held_out: pd.DataFrame,
    *, by: str, molecules: bool, where: str,
) -> Said:  # fmt: skip
    """Work out the effects of the treatments of one plate, the model's and its floors' answers; arguments as of `plate_of`."""
    known, effects = mean_effects([effects_of(each, f"plate {name}") for name, each in training.items()])
    own = trained_rows(known, held_out)
    if not own.any():
        raise ValueError(
            f"{where}: no real field of a treatment that its fold trains on has cells; look at the training plates' montages"
        )
    centre = effects[own].mean(axis=0)
    truth = answers_for(tested, *effects_of(real, f"plate {plate}")) - centre
    there = np.isfinite(truth).all(axis=1)
    if not there.any():
        raise ValueError(
            f"{where}: no treatment that was painted has real fields with cells; look at the plate's montage"
        )
    if not there.all():
        log.info(
            "%s: %d of %d treatments have no real field with cells and are not scored",
            where,
            (~there).sum(),
            len(there),
        )
    tested, truth = tested[there].reset_index(drop=True), truth[there]
    said = answers_for(tested, *effects_of(painted, f"{where}, painted", strict=False)) - centre
    empty = ~np.isfinite(said).all(axis=1)
    if empty.any():
        log.info(
            "%s: %d of %d treatments were painted without a cell and count as the mean", where, empty.sum(), len(empty)
        )
    said[empty] = 0.0
    spelled = foretold.molecules_of(tested) if molecules else None
    other = foretold.swapped_with(tested, foretold.names_of(tested, spelled))
    itself = other == np.arange(len(other))
    answers = {
        MODEL: said, MEAN: np.zeros_like(said), SWAPPED: np.where(itself[:, None], np.nan, said[other]),
        CONTROL: np.tile(-centre, (len(said), 1)), REPLICATE: answers_for(tested, known, effects) - centre,
    }  # fmt: skip
    nearest = None
    if molecules:
        trained = known[own].reset_index(drop=True)
        pair = spelled, foretold.molecules_of(trained)
        found = foretold.foretell(tested, trained, effects[own] - centre, pair, by, where)
        answers |= found.answers
        nearest = [trained.iloc[row] if row >= 0 else None for row in found.nearest]
    return Said(tested, truth, answers, other, nearest, spelled)
