"""Make rows of the metrics table of what samples show beside the real fields of one plate: pure functions.

Means over fields have bootstrap intervals over wells. A gain is another arm's score less this one's, of the same fields,
with the interval of the paired differences: above 0 this arm is better.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base import resampling
from brightpaint.scores.calibration.bands import BANDS, spread_over_error
from brightpaint.scores.calibration.drawn import CELLS
from brightpaint.scores.images.field_scores import OTHER_WELL, chance_level
from brightpaint.study.spaces import MAIN

IMAGE_MEANS = ("pcc_drawn", "pcc_between", "crps", *(f"crps_{band}" for band in BANDS))
CELL_MEANS = ("energy", "variogram", "feature_error", "without_cells")
CELL_SPREADS = {"component_spread": "component", "count_spread": "count"}
COMPARED = {"crps", "energy", "variogram", "feature_error"}  # of which gains are told
FLOOR = "floor"  # the word of what stands in the column of that name


def by_field(table: pd.DataFrame, names: Sequence[str], channels: Sequence[str]) -> pd.DataFrame:
    """Return one row a field: keys, and the mean over `channels` of the columns `names`, NaN where one of them is NaN."""
    part = table[table["Channel"].isin(channels)]
    if part.empty:
        return part[[*store.FIELD_KEYS, *names]]
    sums = part.groupby(store.FIELD_KEYS, sort=False)[list(names)].sum(min_count=len(channels))
    return (sums / len(channels)).reset_index()


def mean_row(values: np.ndarray, wells: np.ndarray, name: str, seed: str) -> dict:
    """Return the mean over fields that have a number, with its interval over wells."""
    known = np.isfinite(values)
    row = {"metric": name, "n": int(known.sum()), "value": values[known].mean() if known.any() else np.nan}
    rng = resampling.seeded(seed, name)
    low, high = resampling.bootstrap_ratio(values[known], np.ones(known.sum()), wells[known], rng)
    return {**row, "low": low, "high": high}


def spread_row(spread: np.ndarray, error: np.ndarray, wells: np.ndarray, samples: int, name: str, seed: str) -> dict:
    """Return the spread of samples over the error of their mean, of sums over fields: 1 is right, below it too sure."""
    known = np.isfinite(spread) & np.isfinite(error)
    row = {"metric": name, "n": int(known.sum()), "value": np.nan}
    if known.any():
        sums = spread[known], error[known]
        row["value"] = float(spread_over_error(sums[0].sum(), sums[1].sum(), samples))
        drawn = resampling.bootstrap_ratio(*sums, wells[known], resampling.seeded(seed, name))
        row["low"], row["high"] = (float(np.sqrt(end * (samples + 1) / samples)) for end in drawn)
    return row


def gain_rows(frame: pd.DataFrame, others: dict[str, pd.DataFrame], name: str, seed: str) -> tuple[list[dict], float]:
    """Return how much better an arm is than those it is compared with, and the mean of the one that is its floor.

    Parameters
    ----------
    frame, others : keys and the score `name`, one row a field; {word: of another arm}
    """
    rows, floor = [], np.nan
    for word, other in others.items():
        pair = frame.merge(other, on=store.FIELD_KEYS, suffixes=("", "_other"))
        gain = (pair[f"{name}_other"] - pair[name]).to_numpy(np.float64)
        if np.isfinite(gain).any():
            rows.append(mean_row(gain, pair["Metadata_Well"].to_numpy(), f"{name}_gain_{word}", seed))
            floor = pair[f"{name}_other"][np.isfinite(gain)].mean() if word == FLOOR else floor
    return rows, floor


def means(
    table: pd.DataFrame, names: Sequence[str], others: dict[str, pd.DataFrame], channels: Sequence[str], seed: str
) -> Iterator[dict]:
    """Yield the means of scores over fields, with chance and floor where they have one, and the gains."""
    for name in [name for name in names if name in table and table[name].notna().any()]:
        against = name + OTHER_WELL
        frame = by_field(table, [name, *([against] if against in table else [])], channels)
        if frame.empty or not frame[name].notna().any():
            continue
        wells = frame["Metadata_Well"].to_numpy()
        row = mean_row(frame[name].to_numpy(np.float64), wells, name, seed)
        if against in frame and len(set(wells)) > 1:
            row |= chance_level(frame[against].to_numpy(np.float64), wells, -1, resampling.seeded(seed, against))
        gains, known = [], {word: other for word, other in others.items() if name in other}
        if name in COMPARED:
            own = {word: by_field(other, [name], channels) for word, other in known.items()}
            gains, row["floor"] = gain_rows(frame, own, name, seed)
        yield row
        yield from gains


def image_rows(
    table: pd.DataFrame, others: dict[str, pd.DataFrame], samples: int, channels: Sequence[str], seed: str
) -> Iterator[dict]:
    """Score the images of one plate's samples, by channel and for all: rows of the metrics table without their place.

    Parameters
    ----------
    table : from `drawn.image_table`
    others : {word: the same of another arm}
    samples : of a field
    """
    for channel in ["all", *channels]:
        chosen, named = (list(channels) if channel == "all" else [channel]), f"{seed}/{channel}"
        for row in means(table, IMAGE_MEANS, others, chosen, named):
            yield {**row, "channel": channel}
        pair = by_field(table, ["pcc_between", "pcc_drawn"], chosen)
        excess = (pair["pcc_between"] - pair["pcc_drawn"]).to_numpy(np.float64)
        yield {**mean_row(excess, pair["Metadata_Well"].to_numpy(), "pcc_excess", named), "channel": channel}
        yield from ({**row, "channel": channel} for row in band_rows(table, samples, chosen, named))


def band_rows(table: pd.DataFrame, samples: int, channels: Sequence[str], seed: str) -> Iterator[dict]:
    """Score spread over error of each band that the images have, and of all together."""
    known = [band for band in BANDS if table[f"error2_{band}"].notna().any()]
    columns = [f"{side}2_{band}" for band in known for side in ("spread", "error")]
    frame = by_field(table, columns, channels)
    wells = frame["Metadata_Well"].to_numpy()
    sums = {side: frame[[f"{side}2_{band}" for band in known]].to_numpy(np.float64) for side in ("spread", "error")}
    yield spread_row(*(sums[side].sum(axis=1) for side in ("spread", "error")), wells, samples, "spread_error", seed)
    for place, band in enumerate(known):
        sides = (sums[side][:, place] for side in ("spread", "error"))
        yield spread_row(*sides, wells, samples, f"spread_error_{band}", seed)


def cell_rows(table: pd.DataFrame, others: dict[str, pd.DataFrame], samples: int, seed: str) -> Iterator[dict]:
    """Score the cells of one plate's samples: rows of the metrics table without their place; `table` from `drawn.cell_table`."""
    yield from means(table, CELL_MEANS, others, [CELLS], seed)
    for name, column in CELL_SPREADS.items():
        frame = by_field(table, [f"{column}_spread2", f"{column}_error2"], [CELLS])
        sides = (frame[f"{column}_{side}2"].to_numpy(np.float64) for side in ("spread", "error"))
        yield spread_row(*sides, frame["Metadata_Well"].to_numpy(), samples, name, seed)


def plate_rows(
    plate: str, subset: str, images: pd.DataFrame, cells: pd.DataFrame | None, others: dict[str, pd.DataFrame], samples: int,
    channels: Sequence[str],
) -> Iterator[dict]:  # fmt: skip
    """Score one plate's samples: rows of the metrics table without `arm`; `others` are {word: another arm's fields}."""
    place, seed = {"plate": plate, "subset": subset}, f"{plate}/{subset}/calibration"
    for row in image_rows(images, others, samples, channels, seed):
        yield {**row, **place, "space": "images"}
    for row in cell_rows(cells, others, samples, seed) if cells is not None else ():
        yield {**row, **place, "space": MAIN.name, "channel": "all"}
