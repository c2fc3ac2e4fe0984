"""Set predicted fields beside the real ones: joined by key, with which subsets they cover, and fields of other wells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.scores.rows import is_active


def join_rows(fields: pd.DataFrame, rows: pd.DataFrame, where: str) -> pd.DataFrame:
    """Join predicted rows with the real fields they predict.

    Returns
    -------
    frame with one row a predicted field (or image of one, see `store.ROW_KEYS`): keys, annotations, `real_row`, `predicted_row`

    Raises
    ------
    ValueError
        naming a predicted field that the plate does not have
    """
    keys, own = store.FIELD_KEYS, store.row_keys(rows)
    left = rows[own].assign(predicted_row=np.arange(len(rows)))
    twice = left[left.duplicated(own)]
    if len(twice):
        raise ValueError(f"{where}: {store.describe_field(twice.iloc[0])} is predicted twice; delete it and rerun")
    right = fields.drop(columns=list(store.ROW_DEFAULTS), errors="ignore").assign(real_row=np.arange(len(fields)))
    joined = left.merge(right, on=keys, how="left", validate="many_to_one")
    unknown = joined["real_row"].isna()
    if unknown.any():
        raise ValueError(
            f"{where}: {store.describe_field(joined[unknown].iloc[0])} is predicted but not among the real fields; "
            "delete the arm's stack and rerun"
        )
    return joined.astype({"real_row": int}).sort_values(["real_row", "predicted_row"], ignore_index=True)


def other_well(wells: Sequence[str]) -> np.ndarray:
    """Return, for each field, the place of the next field that lies in another well (its own if all share one)."""
    wells = np.asarray(wells)
    n = len(wells)
    steps = (next((step for step in range(1, n) if wells[(place + step) % n] != wells[place]), 0) for place in range(n))
    return np.array([(place + step) % n for place, step in enumerate(steps)], dtype=int)


def covered(fields: pd.DataFrame, joined: pd.DataFrame, active: set | None, where: str) -> dict[str, np.ndarray]:
    """Tell which subsets a prediction covers: `full` (every real field), `active` (every active field).

    Returns
    -------
    {subset: (n,) bool over `joined`}

    Raises
    ------
    ValueError
        where fields are missing that neither subset can do without
    """
    subsets = {}
    if len(joined) == len(fields):
        subsets["full"] = np.ones(len(joined), dtype=bool)
    if active is not None:
        chosen = is_active(joined, active)
        if chosen.sum() == is_active(fields, active).sum():
            subsets["active"] = chosen
    if not subsets:
        missing = fields.merge(joined[store.FIELD_KEYS], on=store.FIELD_KEYS, how="left", indicator=True)
        lost = missing[missing["_merge"] == "left_only"]
        raise ValueError(f"{where}: {len(lost)} of {len(fields)} fields are not predicted, "
                         f"{store.describe_field(lost.iloc[0])} first; delete the stack and rerun")  # fmt: skip
    return subsets
