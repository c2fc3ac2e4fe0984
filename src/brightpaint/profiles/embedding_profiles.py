"""Profiles of fields: the median of each well and perturbation in the space of a network, which segments no cell.

As published, embeddings of length 1 are used as they are (`normalise: none`): cosine distances between them are small,
for every picture of cells has much in common. `plate` standardises each number over the fields of a plate, as
CellProfiler's features are. Wells may then be sphered on controls (profiles.sphering).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from brightpaint import store
from brightpaint.features.embedders.vectors import read_vectors, vector_names
from brightpaint.profiles.aggregate import by_unit, median_of
from brightpaint.profiles.feature_parts import parts_of_vectors
from brightpaint.profiles.sphering import sphere_on_controls
from brightpaint.study.spaces import Space


def read(path: Path, space: Space) -> pd.DataFrame:
    """Read one plate's embeddings."""
    return read_vectors(path, space.prefixes, space.rule)


def numbers_of(columns: Sequence[str], space: Space) -> list[str]:
    """Return the columns that are numbers of the space."""
    return vector_names(columns, space.prefixes)


def parts_of(names: Sequence[str], space: Space, channels: Sequence[str]) -> pd.DataFrame:
    """Return compartment (none), group and channel of each number, by its name."""
    return parts_of_vectors(names, space.prefixes, channels)


def embedding_names(frame: pd.DataFrame) -> list[str]:
    """Return the columns of a table that are no metadata."""
    return [name for name in frame.columns if not name.startswith("Metadata_")]


def standardise_plate(fields: pd.DataFrame) -> pd.DataFrame:
    """Bring each number to mean 0 and s.d. 1 over the fields of one plate; a constant one becomes 0."""
    names = embedding_names(fields)
    values = fields[names].astype("float64")
    sd = values.std(ddof=0)
    scaled = (values - values.mean()) / sd.where(sd > 1e-12, 1.0)
    return pd.concat([fields.drop(columns=names), scaled], axis=1)[list(fields.columns)]


def profiles(
    plates: Sequence[pd.DataFrame],
    kept: Sequence[str] | None = None,
    *,
    normalise: str = "none",
    reference: Sequence[pd.DataFrame] = (),
    unit: str = "perturbation",
    sphering: dict | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the profiles of wells and of perturbations.

    Parameters
    ----------
    plates : embeddings of one plate each, one row a field
    kept : the selected numbers; None for all
    normalise : none or plate
    reference : embeddings of the real plates on whose controls a sphering is fitted
    unit : perturbation or treatment
    sphering : how wells are sphered, see `sphering.sphere_on_controls`; None: they are not

    Returns
    -------
    wells : keys, annotations, Metadata_fields (and Metadata_cells, where plates count them), the median of each number over
        the well's fields
    perturbations : likewise, the median of the wells of each perturbation (or treatment); wells whose perturbation is
        unknown ("") have none
    """
    names = embedding_names(plates[0])
    for plate in [*plates, *reference]:
        if embedding_names(plate) != names:
            raise ValueError("embeddings of plates differ in their columns; delete them and rerun what makes them")
    names = names if kept is None else list(kept)
    wells, sums = wells_of(plates, names, normalise)
    if sphering:
        wells = sphere_on_controls(wells, names, wells_of(reference, names, normalise)[0], **sphering)
    return wells, by_unit(wells, unit, names, sums)


def wells_of(plates: Sequence[pd.DataFrame], names: list[str], normalise: str) -> tuple[pd.DataFrame, list[str]]:
    """Return wells, the median of each number over their fields, and what is summed over them."""
    scaled = [standardise_plate(plate) if normalise == "plate" else plate for plate in plates]
    fields = pd.concat(scaled, ignore_index=True).assign(Metadata_fields=1)
    sums = [name for name in ("Metadata_cells", "Metadata_fields") if name in fields]
    return median_of(fields, store.WELL_KEYS, names, sums), sums
