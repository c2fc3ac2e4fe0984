"""Score how far the median cells of painted fields lie from those of the real ones: `embedding_distance`, where both have cells.

A field without cells on one side has no place in the space: it is left out on both, and counted in the log.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import pandas as pd

from brightpaint import store
from brightpaint.profiles.median_activations import read as read
from brightpaint.scores.profiles import embedding_distance
from brightpaint.study.spaces import Space

log = logging.getLogger(__name__)


def with_cells(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the fields that have cells."""
    return frame[frame["Metadata_cells"] > 0].reset_index(drop=True)


def plate_rows(
    plate: str,
    arm: str,
    real: pd.DataFrame,
    painted: pd.DataFrame,
    others: Sequence[pd.DataFrame],
    kept: Sequence[str] | None,
    active: set | None,
    space: Space,
) -> Iterator[dict]:
    """Score an arm's median cells on one plate: see `embedding_distance.plate_rows`."""
    measured = [with_cells(side) for side in (real, painted)]
    both = measured[0][store.FIELD_KEYS].merge(measured[1][store.FIELD_KEYS], on=store.FIELD_KEYS)
    both = both.drop_duplicates()
    sides = [side.merge(both, on=store.FIELD_KEYS) for side in measured]
    log.info("%s, %s: %d of %d fields have cells on both sides", arm, plate, len(both), len(real))
    if len(both):
        others = [with_cells(other) for other in others]
        yield from embedding_distance.plate_rows(plate, arm, *sides, others, kept, active, space)
