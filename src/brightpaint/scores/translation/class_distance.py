"""How near translations come to the real target class, and how much of their source they keep: always both, and references.

One number alone is won by doing one thing alone: fresh images of the class are nearest to it and keep nothing, the
untouched source keeps all and goes nowhere. So a translation stands beside `REFERENCES`, on the same scale:

identity         the untouched source fields
reconstruction   source fields inverted and painted under their own class
fresh noise      the target class painted from noise, without the source
real training    as many real training fields of the target class, drawn at random
real half        one half of the real held-out fields of the class (by well, where it has two wells) against the other
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from brightpaint.base import resampling
from brightpaint.profiles.similarity import feature_correlations
from brightpaint.scores.profiles import discrepancy

TRANSLATION = "translation"
IDENTITY, RECONSTRUCTION, FRESH, TRAINING, HALF = REFERENCES = (
    "identity", "reconstruction", "fresh noise", "real training", "real half",
)  # fmt: skip


@dataclass(frozen=True)
class Fields:
    """Fields of one kind in a space.

    Attributes
    ----------
    values : (n, F) float64, a row of NaN for a field without cells
    wells : (n,) names, which are drawn anew together
    """

    values: np.ndarray
    wells: np.ndarray

    def __len__(self) -> int:
        return len(self.values)

    def rows(self, chosen: np.ndarray) -> Fields:
        return Fields(self.values[chosen], self.wells[chosen])

    def weights(self, rng: np.random.Generator) -> np.ndarray:
        """Return (RESAMPLES, n), whole wells drawn anew."""
        return discrepancy.field_weights(self.wells, rng)


@dataclass(frozen=True)
class FieldScale:
    """Mean and s.d. of each number over the real source fields of a plate; `usable` is False where they do not vary."""

    mean: np.ndarray
    sd: np.ndarray
    usable: np.ndarray

    def of(self, fields: Fields) -> Fields:
        """Return fields in s.d. of the source fields: (n, the usable numbers)."""
        return Fields(((fields.values - self.mean) / np.where(self.usable, self.sd, 1.0))[:, self.usable], fields.wells)


def field_scale(source: Fields, where: str) -> FieldScale:
    """Fit the scale on the real source fields.

    Raises
    ------
    ValueError
        where fewer than two of them have numbers
    """
    measured = source.values[np.isfinite(source.values).any(axis=1)]
    if len(measured) < 2:
        raise ValueError(f"{where}: {len(measured)} real fields of the source class have numbers, expected two at least; "
                         "look at the plate's montage and its quality flags")  # fmt: skip
    known = np.isfinite(measured).sum(axis=0) > 1
    mean, sd = np.full(measured.shape[1], np.nan), np.full(measured.shape[1], np.nan)
    mean[known], sd[known] = np.nanmean(measured[:, known], axis=0), np.nanstd(measured[:, known], axis=0, ddof=1)
    return FieldScale(mean, sd, known & (np.nan_to_num(sd) > 1e-9 * np.maximum(np.abs(np.nan_to_num(mean)), 1e-9)))


def mean_distance(first: Fields, second: Fields, rng: np.random.Generator) -> dict:
    """Return `distance, low, high`: mean over numbers of the difference between the two means, in s.d. of source fields."""
    sides = first, second
    value = np.abs(_mean_gap(sides, [np.ones((1, len(side))) for side in sides]))
    drawn = np.abs(_mean_gap(sides, [side.weights(rng) for side in sides]))
    low, high = resampling.interval(resampling.mean_known(drawn)) if _resampled(first, second) else (np.nan, np.nan)
    return {"distance": float(resampling.mean_known(value)[0]), "low": low, "high": high}


def _resampled(*sides: Fields) -> bool:
    """Whether some side has wells to draw anew."""
    return any(len(set(side.wells)) > 1 for side in sides)


def _mean_gap(sides: Sequence[Fields], weights: Sequence[np.ndarray]) -> np.ndarray:
    """Return the difference of weighted means: (B, F)."""
    first, second = (resampling.weighted_means(side.values, weight) for side, weight in zip(sides, weights))
    return first - second


def distribution_distance(first: Fields, second: Fields, sigma: float, rng: np.random.Generator) -> dict:
    """Return `mmd2, mmd2_low, mmd2_high`: unbiased, so that numbers of different counts of fields can be compared.

    Numbers that some field lacks are left out; NaN with fewer than two fields on either side.
    """
    nothing = {"mmd2": np.nan, "mmd2_low": np.nan, "mmd2_high": np.nan}
    left, right = discrepancy.complete(first.values, second.values)
    if min(np.isfinite(side).all(axis=1).sum() for side in (left, right)) < 2 or not left.shape[1] or not sigma > 0:
        return nothing
    kernels = discrepancy.kernels(left, right, sigma, paired=False)
    low, high = np.nan, np.nan
    if _resampled(first, second):
        low, high = resampling.interval(discrepancy.mmd2(kernels, first.weights(rng), second.weights(rng)))
    return {"mmd2": float(discrepancy.mmd2(kernels)[0]), "mmd2_low": low, "mmd2_high": high}


def bandwidth_of(*sides: Fields) -> float:
    """Return sigma of the kernel, the median distance between the real fields of both classes; NaN with fewer than two."""
    whole = np.concatenate(discrepancy.complete(*(side.values for side in sides)))
    whole = whole[np.isfinite(whole).all(axis=1)]
    try:
        return discrepancy.bandwidth(whole) if whole.shape[1] else np.nan
    except ValueError:  # all the same
        return np.nan


def preservation(source: Fields, images: Fields, rng: np.random.Generator) -> dict:
    """Say how much of its own source field each image keeps; row i of both is one field.

    Returns
    -------
    kept, kept_low, kept_high : mean over numbers of the correlation across source fields between source and image: 1 kept
        whole, 0 for images of other fields; a shift that all share costs nothing
    moved, moved_low, moved_high : mean difference of a field's numbers from its source's, in s.d. of source fields
    """
    both = np.isfinite(source.values).any(axis=1) & np.isfinite(images.values).any(axis=1)
    left, right = source.rows(both), images.rows(both)
    whole = np.isfinite(left.values).all(axis=0) & np.isfinite(right.values).all(axis=0)
    found = dict.fromkeys(("kept", "kept_low", "kept_high", "moved", "moved_low", "moved_high"), np.nan)
    if not whole.any() or not len(left):
        return found
    gaps = np.abs(left.values - right.values)[:, whole].mean(axis=1)
    low, high = resampling.bootstrap_ratio(gaps, np.ones(len(gaps)), left.wells, rng)
    found |= {"moved": float(gaps.mean()), "moved_low": low, "moved_high": high}
    if len(left) > 2:
        pair = left.values[:, whole], right.values[:, whole]
        found["kept"] = float(resampling.mean_known(feature_correlations(*pair))[0])
        if _resampled(left):
            found["kept_low"], found["kept_high"] = resampling.interval(
                resampling.mean_known(feature_correlations(*pair, left.weights(rng)))
            )
    return found


def halves(fields: Fields, rng: np.random.Generator) -> tuple[Fields, Fields]:
    """Split fields at random in two halves: whole wells where there are two or more, else single fields."""
    wells = np.unique(fields.wells)
    if len(wells) > 1:
        first = np.isin(fields.wells, rng.permutation(wells)[: len(wells) // 2])
    else:
        first = np.isin(np.arange(len(fields)), rng.permutation(len(fields))[: len(fields) // 2])
    return fields.rows(first), fields.rows(~first)


def drawn_fields(fields: Fields, count: int, rng: np.random.Generator) -> Fields:
    """Draw `count` fields at random, each once before any twice."""
    if not len(fields):
        return fields
    order = np.concatenate([rng.permutation(len(fields)) for _ in range(-(-count // len(fields)))])
    return fields.rows(order[:count])


def class_rows(
    source: Fields, images: dict[str, Fields], training: Fields, target: Fields, sigma: float, names: Sequence[object]
) -> list[dict]:
    """Measure one target class: a row for the translation and for each reference that there is.

    Parameters
    ----------
    source : the source fields, scaled
    images : {translation, reconstruction, fresh noise: fields}, row by row those of `source`
    training, target : real training fields, and real held-out fields of the class on the plate; there may be none
    sigma : of the kernel
    names : what seeds the draws

    Returns
    -------
    rows with `reference`, the distances to `target` and the preservation of `source` (NaN for a half of the real class,
    which has no source), `fields` and `wells` of the row
    """
    rng = resampling.seeded(*names, "references")
    kinds = {TRANSLATION: images[TRANSLATION], IDENTITY: source} | {k: v for k, v in images.items() if k != TRANSLATION}
    if len(training):
        kinds[TRAINING] = drawn_fields(training, len(source), rng)
    rows = []
    for kind, fields in kinds.items():
        rows.append({"reference": kind, **_distances(fields, target, sigma, rng), **preservation(source, fields, rng)})
    kinds[HALF], other = halves(target, rng)
    if min(len(kinds[HALF]), len(other)):
        rows.append({"reference": HALF, **_distances(kinds[HALF], other, sigma, rng)})
    counted = {kind: {"fields": len(fields), "wells": len(set(fields.wells))} for kind, fields in kinds.items()}
    return [{**row, **counted[row["reference"]]} for row in rows]


def _distances(fields: Fields, target: Fields, sigma: float, rng: np.random.Generator) -> dict:
    if not len(target) or not len(fields):
        return {}
    return {**mean_distance(fields, target, rng), **distribution_distance(fields, target, sigma, rng)}
