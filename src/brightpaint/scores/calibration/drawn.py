"""What samples of a plate's fields show beside the real fields: one row a field and channel, and one a field for its cells.

Fields are read one by one, a field's samples together: K + 1 images are in memory, never a plate.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from brightpaint import store
from brightpaint.base.intensity import standardise
from brightpaint.base.resampling import mean_known
from brightpaint.scores.calibration import bands, proper_scores
from brightpaint.scores.pairing import other_well
from brightpaint.scores.profiles import discrepancy

CELLS = "all"  # what the column Channel says of scores of a field's cells


def draws_of(rows: pd.DataFrame, fields: pd.DataFrame, samples: int, where: str) -> np.ndarray:
    """Find the samples of fields in a table of rows.

    Parameters
    ----------
    rows : with ROW_KEYS or FIELD_KEYS alone, in any order; other fields are passed over
    fields : n of them
    samples : how many each must have, draws 0 to `samples` - 1

    Returns
    -------
    (n, samples) row numbers

    Raises
    ------
    ValueError
        naming a field that lacks a draw
    """
    keyed = store.with_row_keys(rows)
    places = keyed[[*store.FIELD_KEYS, "Metadata_draw"]].assign(place=np.arange(len(rows)))
    wanted = fields[store.FIELD_KEYS].reset_index(drop=True)
    found = np.full((len(wanted), samples), -1)
    for draw in range(samples):
        own = places[places["Metadata_draw"] == draw].drop(columns="Metadata_draw")
        found[:, draw] = wanted.merge(own, on=store.FIELD_KEYS, how="left", validate="one_to_one")["place"].fillna(-1)
    lost = np.argwhere(found < 0)
    if len(lost):
        place, draw = lost[0]
        raise ValueError(
            f"{where}: draw {draw} of {store.describe_field(wanted.iloc[place])} is missing, expected {samples} of each field; "
            "delete it and rerun"
        )
    return found


def image_table(
    real: store.Stack,
    drawn: store.Stack,
    places: np.ndarray,
    fields: pd.DataFrame,
    channels: Sequence[str],
    cutoff: float,
) -> pd.DataFrame:
    """Set the samples of each field beside it, see `bands.field_scores_of`: one row a field and channel.

    Parameters
    ----------
    real, drawn : stacks; row n of `real` is field n of `fields`
    places : (n, K), the rows of `drawn` that are a field's samples
    """
    targets, painted = real.channel_indices(channels), drawn.channel_indices(channels)
    if len(fields) and drawn.images.shape[2:] != real.images.shape[2:]:
        raise ValueError(
            f"{drawn.path}: images of {drawn.images.shape[2:]} pixels, expected {real.images.shape[2:]} as in {real.path}; "
            "delete it and rerun"
        )
    image = lambda stack, row, which: np.asarray(stack.images[int(row)][which], np.float32)  # noqa: E731
    shape, others, found = bands.band_map(*real.images.shape[2:]), other_well(fields["Metadata_Well"]), []
    for number in tqdm(range(len(fields)), unit="field", disable=None):
        truth, other = (standardise(image(real, row, targets), cutoff) for row in (number, others[number]))
        samples = np.stack([standardise(image(drawn, row, painted), cutoff) for row in places[number]])
        found.append(bands.field_scores_of(samples, truth, other, shape))
    keys = fields[[name for name in fields.columns if name.startswith("Metadata_")]]
    rows = keys.loc[keys.index.repeat(len(channels))].reset_index(drop=True)
    names = found[0] if found else {}
    columns = {name: np.concatenate([one[name] for one in found]) for name in names}
    return rows.assign(Channel=np.tile(np.array(channels, dtype=object), len(fields)), **columns)


def cell_table(
    real: pd.DataFrame, drawn: pd.DataFrame, fields: pd.DataFrame, samples: int, features: Sequence[str],
    training: pd.DataFrame, components: int, where: str,
) -> pd.DataFrame:  # fmt: skip
    """Set the median cells of each field's samples beside the real field's: one row a field, `Channel` CELLS.

    Parameters
    ----------
    real, drawn : field medians of the plate; `drawn` has a row a draw
    features : the selected ones
    training : real field medians of training plates, to whiten by

    Returns
    -------
    `energy, variogram, energy_other_well, feature_error, feature_error_other_well` (MADs of real fields, features averaged
    over the samples first), `component_spread2, component_error2, count_spread2, count_error2`, and `without_cells` (share of
    samples without cells or a feature, where the real field has both). Without whole samples, NaN but for counts
    """
    truth = real.iloc[draws_of(real, fields, 1, f"{where}, real medians")[:, 0]]
    places = draws_of(drawn, fields, samples, where)
    whitening = proper_scores.whitening_of(training, features_known(features, training, truth), components)
    others = other_well(fields["Metadata_Well"])
    target = proper_scores.whitened(truth, whitening)
    painted = proper_scores.whitened(drawn, whitening)[places]  # (n, K, P)
    mean, scale = painted.mean(axis=1), discrepancy.scale_of(truth, features)
    own = discrepancy.scaled(truth, scale)
    averaged = mean_known(np.moveaxis(discrepancy.scaled(drawn, scale)[places], 1, 2))  # (n, K, F) -> (n, F)
    counts = drawn["Metadata_cells"].to_numpy(np.float64)[places]
    lost = np.isnan(painted).any(axis=2).mean(axis=1)
    columns = {
        "energy": proper_scores.energy_score(painted, target),
        "energy_other_well": proper_scores.energy_score(painted, target[others]),
        "variogram": proper_scores.variogram_score(painted, target),
        "feature_error": mean_known(np.abs(averaged - own)),
        "feature_error_other_well": mean_known(np.abs(averaged - own[others])),
        "component_spread2": _variance(painted).sum(axis=1),
        "component_error2": ((mean - target) ** 2).sum(axis=1),
        "count_spread2": _variance(counts[..., None])[:, 0],
        "count_error2": (counts.mean(axis=1) - truth["Metadata_cells"].to_numpy()) ** 2,
        "without_cells": np.where(np.isfinite(target).all(axis=1), lost, np.nan),
    }
    keys = fields[[name for name in fields.columns if name.startswith("Metadata_")]].reset_index(drop=True)
    return keys.assign(Channel=CELLS, **columns)


def _variance(samples: np.ndarray) -> np.ndarray:
    """Return the variance over samples, 0 of one: (n, K, P) -> (n, P)."""
    return samples.var(axis=1, ddof=1) if samples.shape[1] > 1 else 0 * samples[:, 0]


def features_known(features: Sequence[str], *frames: pd.DataFrame) -> list[str]:
    """Return the features that every real field with cells has: the same for all arms of a plate."""
    cells = [frame[frame["Metadata_cells"] > 0] for frame in frames]
    return [name for name in features if all(np.isfinite(frame[name].to_numpy(np.float64)).all() for frame in cells)]


def open_drawn(path: Path, fields: pd.DataFrame, samples: int) -> tuple[store.Stack, np.ndarray]:
    """Open the stack of an arm's samples, or of an arm that paints without noise, and find those of `fields`: (n, samples)."""
    stack, rows = store.open_gathered(path)
    return stack, draws_of(rows, fields, samples, str(path))
