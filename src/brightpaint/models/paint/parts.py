"""Parts of a plate's rows: contiguous, nearly equal, and of whole fields where a field has several rows."""

from __future__ import annotations

import numpy as np
import pandas as pd

from brightpaint import store


def fields_of_part(rows: pd.DataFrame, part: int, parts: int) -> np.ndarray:
    """Return the row numbers of part `part` (1-based) of `parts`, whose fields are nearly as many in each.

    Raises
    ------
    ValueError
        where the rows of a field do not follow one another
    """
    numbers = rows.groupby(store.FIELD_KEYS, sort=False).ngroup().to_numpy()
    if (np.diff(numbers) < 0).any():
        row = rows.iloc[int(np.argmax(np.diff(numbers) < 0)) + 1]
        raise ValueError(
            f"the rows of {store.describe_field(row)} do not follow one another; delete the table and rerun"
        )
    count = int(numbers[-1]) + 1 if len(rows) else 0
    return np.flatnonzero(np.isin(numbers, store.part_rows(count, part, parts)))


def rows_digest(rows: pd.DataFrame) -> str:
    """Return a digest of the keys of these rows, in order: `gather` checks its parts by it."""
    return store.digest(rows[store.row_keys(rows)].astype(str).values.tolist())
