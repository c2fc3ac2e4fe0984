"""The effect of each treatment on a plate, real or painted: its fields' mean less that of the plate's own DMSO, in s.d.

What a generator does to every image alike, and a plate's batch, is in its DMSO too and cancels. Pure functions.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from brightpaint.models.split import PLACE_KEYS, split_keys
from brightpaint.study.annotations import DMSO, PERTURBATION

KEYS = PLACE_KEYS  # of a treatment in its place: time as text, "" where none is known


@dataclass(frozen=True)
class Fields:
    """Fields of some plates in a space.

    Attributes
    ----------
    keys : (n) rows with KEYS, perturbation, dose, plate, well and, where known, SMILES
    values : (n, F) float64
    """

    keys: pd.DataFrame
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.values)

    def rows(self, chosen: np.ndarray) -> Fields:
        return Fields(self.keys[chosen].reset_index(drop=True), self.values[chosen])

    def of(self, key: tuple) -> np.ndarray:
        """Return the values of the fields of one treatment in its place: (k, F)."""
        return self.values[self._places.get(key, [])]

    @functools.cached_property
    def _places(self) -> dict[tuple, np.ndarray]:
        rows = pd.Series(np.arange(len(self)))
        return {key: own.to_numpy() for key, own in rows.groupby([self.keys[name] for name in KEYS], sort=False)}

    def controls(self) -> np.ndarray:
        """Tell which fields are of DMSO: (n,) bool."""
        return (self.keys[PERTURBATION] == DMSO).to_numpy()


def fields_of(frame: pd.DataFrame, names: Sequence[str]) -> Fields:
    """Return the fields of a space's table that have all of these numbers: one without cells has none, and no part in anything."""
    keyed = split_keys(frame)
    times = keyed["Metadata_time_h"] if "Metadata_time_h" in keyed else pd.Series(np.nan, index=keyed.index)
    keyed = keyed.assign(Metadata_time_h=[f"{time:g}" if np.isfinite(time) else "" for time in times.astype(float)])
    values = frame[list(names)].to_numpy(np.float64)
    whole = np.isfinite(values).all(axis=1)
    kept = [*KEYS, PERTURBATION, "Metadata_dose", "Metadata_Plate", "Metadata_Well"]
    kept += [name for name in ("Metadata_smiles",) if name in keyed]
    return Fields(keyed.loc[whole, kept].reset_index(drop=True), values[whole])


def joined(parts: Sequence[Fields]) -> Fields:
    """Return the fields of several plates as one."""
    return Fields(
        pd.concat([part.keys for part in parts], ignore_index=True), np.concatenate([part.values for part in parts])
    )


def spread_of(plates: Sequence[Fields]) -> np.ndarray:
    """Return the s.d. of each number over the fields of a plate, pooled over plates: (F,), 0 of one that does not vary."""
    squares = sum(((plate.values - plate.values.mean(axis=0)) ** 2).sum(axis=0) for plate in plates if len(plate))
    count = sum(len(plate) - 1 for plate in plates if len(plate))
    sd = np.sqrt(squares / max(1, count))
    largest = np.max([np.abs(plate.values).max(axis=0, initial=0.0) for plate in plates], axis=0)
    return np.where(sd > 1e-9 * np.maximum(largest, 1e-9), sd, 0.0)


def scaled(fields: Fields, spread: np.ndarray) -> Fields:
    """Return fields in s.d., without the numbers that do not vary."""
    return Fields(fields.keys, fields.values[:, spread > 0] / spread[spread > 0])


def effects_of(fields: Fields, where: str, *, strict: bool = True) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the treatments of one plate and their effects.

    Parameters
    ----------
    strict : whether a cell line and time without DMSO is an error; else there are no effects in it (NaN)

    Returns
    -------
    keys : T rows: KEYS, perturbation, dose and, where known, SMILES
    effects : (T, F), the mean of the treatment's fields less that of DMSO's in the same cell line and at the same time

    Raises
    ------
    ValueError
        where a cell line and time has no DMSO, if `strict`
    """
    places = fields.keys[KEYS[1:]].agg("|".join, axis=1) if len(fields) else pd.Series(dtype=str)
    control, rows, effects = fields.controls(), [], []
    for place in dict.fromkeys(places):
        here = (places == place).to_numpy()
        own = here & ~control & (fields.keys[PERTURBATION] != "").to_numpy()
        bare = own.any() and not (here & control).any()
        if bare and strict:
            words = " at ".join(part for part in place.split("|") if part)
            raise ValueError(
                f"{where}: no field of {DMSO} with cells{f' in {words}' if words else ''}, from which effects are measured; test "
                "and train on plates that have some"
            )
        for _, part in fields.keys[own].groupby(KEYS, sort=True):
            rows.append(part.iloc[0])
            base = np.nan if bare else fields.values[here & control].mean(axis=0)
            effects.append(fields.values[part.index].mean(axis=0) - base)
    keys = (
        pd.DataFrame(rows, columns=fields.keys.columns)
        .drop(columns=["Metadata_Plate", "Metadata_Well"], errors="ignore")
        .reset_index(drop=True)
    )
    return keys, np.array(effects).reshape(len(rows), fields.values.shape[1])


def field_effects(fields: Fields) -> Fields:
    """Return the fields of one plate less the mean of DMSO in the same cell line at the same time; none of a place without it."""
    places = fields.keys[KEYS[1:]].agg("|".join, axis=1).to_numpy() if len(fields) else np.empty(0, dtype=object)
    control, values = fields.controls(), np.full(fields.values.shape, np.nan)
    for place in dict.fromkeys(places):
        here = places == place
        if (here & control).any():
            values[here] = fields.values[here] - fields.values[here & control].mean(axis=0)
    known = np.isfinite(values).all(axis=1)
    return Fields(fields.keys[known].reset_index(drop=True), values[known])


def mean_effects(plates: Sequence[tuple[pd.DataFrame, np.ndarray]]) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the treatments of several plates, each once, and the mean of their effects over plates."""
    keys = pd.concat([keys for keys, _ in plates], ignore_index=True)
    effects = np.concatenate([effects for _, effects in plates])
    number = keys.groupby(KEYS, sort=True).ngroup().to_numpy()
    count = np.bincount(number)
    means = (
        np.array([np.bincount(number, weights=column) for column in effects.T]).T.reshape(len(count), -1)
        / count[:, None]
    )
    first = keys.assign(number=number).drop_duplicates("number").sort_values("number")
    return first.drop(columns="number").reset_index(drop=True), means


def answers_for(keys: pd.DataFrame, known: pd.DataFrame, effects: np.ndarray) -> np.ndarray:
    """Return the effects of `keys` among the `known` treatments: (T, F), NaN of one that is not."""
    places = {key: place for place, key in enumerate(map(tuple, known[KEYS].to_numpy()))}
    rows = [
        effects[places[key]] if key in places else np.full(effects.shape[1], np.nan)
        for key in map(tuple, keys[KEYS].to_numpy())
    ]
    return np.array(rows).reshape(len(keys), effects.shape[1])
