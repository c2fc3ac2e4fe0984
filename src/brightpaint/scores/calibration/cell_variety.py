"""Do painted cells vary as real ones do? Each feature's spread between cells, and its distribution: well by well, in one pass.

A painter of means gives every cell the features of the mean cell. Real cells of the fields that are compared are read once
for the quantiles of each feature, painted ones a well at a time, and what is kept of a well are counts between quantiles,
sums and sums of squares.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base import resampling

SHARES = np.arange(0.05, 0.96, 0.05)  # of real cells that lie below the limits between which cells are counted
SPLITS = 20


@dataclass(frozen=True)
class Limits:
    """By what cells are counted, fitted on real cells.

    Attributes
    ----------
    features : names of the F features that vary between real cells
    edges : (19, F), their quantiles
    middle, scale : (F,) mean and s.d., so that sums of squares are of numbers near 1
    """

    features: list[str]
    edges: np.ndarray
    middle: np.ndarray
    scale: np.ndarray


@dataclass(frozen=True)
class Tally:
    """What is known of the cells of W wells.

    Attributes
    ----------
    wells : their names
    below : (W, 19, F), cells at or below each edge
    known : (W, F), cells that have the feature
    sums, squares : (W, F), of the features less the real mean, in real s.d.
    """

    wells: list[str]
    below: np.ndarray
    known: np.ndarray
    sums: np.ndarray
    squares: np.ndarray


def cells_of(path: Path, features: Sequence[str], fields: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the cells of a plate's table that lie in `fields`, a well at a time: its name and (n, F) float64."""
    wanted = fields[store.FIELD_KEYS].drop_duplicates()
    for table in store.read_groups(path, [*store.FIELD_KEYS, *features]):
        frame = table.to_pandas().merge(wanted, on=store.FIELD_KEYS)
        for well, rows in frame.groupby("Metadata_Well", sort=False):
            values = rows[list(features)].to_numpy(np.float64)
            yield str(well), np.where(np.isfinite(values), values, np.nan)


def limits_of(cells: Iterable[tuple[str, np.ndarray]], features: Sequence[str]) -> Limits | None:
    """Fit the limits on real cells; None where there are fewer than two cells, or no feature that varies."""
    held = [values.astype(np.float32) for _, values in cells]
    values = np.concatenate(held) if held else np.zeros((0, len(features)), np.float32)
    if len(values) < 2:
        return None
    usable = np.isfinite(values).sum(axis=0) > 1
    values, names = values[:, usable], np.array(list(features), dtype=object)[usable]
    middle, scale = np.nanmean(values, axis=0, dtype=np.float64), np.nanstd(values, axis=0, ddof=1, dtype=np.float64)
    varies = scale > 1e-6 * np.maximum(np.abs(middle), 1e-6)
    if not varies.any():
        return None
    edges = np.nanquantile(values[:, varies], SHARES, axis=0).astype(np.float64)
    return Limits(list(names[varies]), edges, middle[varies], scale[varies])


def tally(cells: Iterable[tuple[str, np.ndarray]], limits: Limits) -> Tally:
    """Count cells well by well; `cells` have the limits' features, in order."""
    found: dict[str, list[np.ndarray]] = {}
    for well, values in cells:
        scores = (values - limits.middle) / limits.scale
        below = np.stack([(values <= edge).sum(axis=0) for edge in limits.edges])
        known, present = np.isfinite(scores), np.nan_to_num(scores)
        numbers = [below, known.sum(axis=0), present.sum(axis=0), (present**2).sum(axis=0)]
        before = found.get(well)
        found[well] = [own + more for own, more in zip(before, numbers)] if before else numbers
    if not found:
        empty = np.zeros((0, len(limits.features)))
        return Tally([], np.zeros((0, *limits.edges.shape)), empty, empty, empty)
    return Tally(list(found), *(np.stack([numbers[place] for numbers in found.values()]) for place in range(4)))


def spread(cells: Tally, weights: np.ndarray) -> np.ndarray:
    """Return the s.d. between cells in real s.d., of each of B draws of wells: (B, W) -> (B, F); NaN for fewer than two."""
    known, sums, squares = (weights @ numbers for numbers in (cells.known, cells.sums, cells.squares))
    enough = known > 1
    count = np.where(enough, known, 2)
    return np.where(enough, np.sqrt(np.maximum(squares - sums**2 / count, 0) / (count - 1)), np.nan)


def distance(one: Tally, other: Tally, weights: np.ndarray, other_weights: np.ndarray) -> np.ndarray:
    """Return the largest difference of cumulative shares at the edges, of each feature: (B, W), (B, V) -> (B, F).

    It is Kolmogorov's distance but for what happens between two edges, a twentieth at most.
    """
    shares = []
    for cells, drawn in ((one, weights), (other, other_weights)):
        known = drawn @ cells.known  # (B, F)
        below = np.einsum("bw,wef->bef", drawn, cells.below, optimize=True)
        shares.append(np.divide(below, known[:, None], out=np.full(below.shape, np.nan), where=known[:, None] > 0))
    return np.abs(shares[0] - shares[1]).max(axis=1)


def halves(real: Tally, limits: Limits, seed: str) -> tuple[float, float]:
    """Return what half of the real wells shows beside the other: the ratio of spreads, and the distance; NaN for one well."""
    count = len(real.wells)
    if count < 2:
        return np.nan, np.nan
    rng = resampling.seeded(seed, "halves")
    chosen = np.stack([rng.permutation(count) < count // 2 for _ in range(SPLITS)]).astype(np.float64)
    ratio = spread(real, chosen) / positive(spread(real, 1 - chosen))
    return float(np.nanmean(typical(ratio))), float(np.nanmean(distance(real, real, chosen, 1 - chosen)))


def positive(values: np.ndarray) -> np.ndarray:
    """Return the values, NaN for 0."""
    return np.where(values > 0, values, np.nan)


def typical(ratios: np.ndarray) -> np.ndarray:
    """Return the median over features that are known: (B, F) -> (B,)."""
    known = np.isfinite(ratios).any(axis=1)
    found = np.full(len(ratios), np.nan)
    found[known] = np.nanmedian(ratios[known], axis=1)
    return found


def compare(real: Tally, painted: Tally, limits: Limits, seed: str) -> tuple[list[dict], pd.DataFrame]:
    """Compare painted cells with real ones.

    Returns
    -------
    rows of the metrics table: `cell_sd` (median over features of the painted s.d. between cells over the real one) and
    `cell_distribution` (mean over features of the distance), with intervals over wells and real halves as chance
    table : one row a feature, `feature, real_sd, painted_sd` (in its own unit), `ratio, distance`
    """
    wells = [well for well in real.wells if well in set(painted.wells)]
    sides = [_of_wells(side, wells) for side in (real, painted)]
    ones = np.ones((1, len(wells)))
    ratio = lambda weights: spread(sides[1], weights) / positive(spread(sides[0], weights))  # noqa: E731
    apart = lambda weights: distance(*sides, weights, weights)  # noqa: E731
    null, rows = halves(real, limits, seed), []
    for name, measure, over, chance in (
        ("cell_sd", ratio, typical, null[0]),
        ("cell_distribution", apart, resampling.mean_known, null[1]),
    ):
        row = {
            "metric": name,
            "value": float(over(measure(ones))[0]) if wells else np.nan,
            "n": len(wells),
            "null": chance,
        }
        if len(wells) > 1:
            weights = resampling.resample_counts(len(wells), resampling.seeded(seed, name), 200)
            row["low"], row["high"] = resampling.interval(over(measure(weights)))
        rows.append(row)
    own = [spread(side, ones)[0] if wells else np.full(len(limits.features), np.nan) for side in sides]
    table = pd.DataFrame(
        {"feature": limits.features, "real_sd": own[0] * limits.scale, "painted_sd": own[1] * limits.scale}
    )
    table["ratio"] = own[1] / positive(own[0])
    table["distance"] = apart(ones)[0] if wells else np.nan
    return rows, table


def _of_wells(cells: Tally, wells: Sequence[str]) -> Tally:
    """Return the tally of these wells, in their order."""
    places = [cells.wells.index(well) for well in wells]
    return Tally(list(wells), *(numbers[places] for numbers in (cells.below, cells.known, cells.sums, cells.squares)))
