"""Profiles of the last activations of cells: the median of each well and perturbation of its fields' median cells.

As those of fields (`embedding_profiles`), but a field may have no cell: it has no part in the medians, and a well without
any keeps NaN.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.features.embedders.vectors import vector_names
from brightpaint.profiles.embedding_profiles import numbers_of as numbers_of
from brightpaint.profiles.embedding_profiles import parts_of as parts_of
from brightpaint.profiles.embedding_profiles import profiles as profiles
from brightpaint.study.spaces import Space


def read(path: Path, space: Space) -> pd.DataFrame:
    """Read one plate's median cells; what is not finite in a field that has cells is an error."""
    frame = store.read_fields(path)
    names, counts = vector_names(frame.columns, space.prefixes), frame.get("Metadata_cells")
    if not names or counts is None or not pd.api.types.is_integer_dtype(counts):
        wanted = f"{space.prefixes[0]}* and counts of cells in Metadata_cells"
        raise ValueError(f"{path}: expected the columns {wanted}; delete it and rerun {space.rule}")
    bad = ~np.isfinite(frame[names].to_numpy(np.float64)) & (counts > 0).to_numpy()[:, None]
    if bad.any():
        row, column = np.argwhere(bad)[0]
        place = store.describe_field(frame.iloc[row])
        raise ValueError(f"{path}: {names[column]} is not finite ({place}); delete it and rerun {space.rule}")
    return frame
