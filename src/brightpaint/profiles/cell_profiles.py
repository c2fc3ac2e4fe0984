"""Profiles of cells: normalise field medians per plate and take the median of each well and perturbation.

The paper's recipe: each plate is standardised with all of its fields (not with the controls alone), the
features selected on real images are kept, and medians are taken. Real and predicted plates go the same way,
each by its own mean and s.d. Fields without cells have no part in the medians and are counted; NaN stays NaN.

`recipe: standard` is the field's usual way instead (brightpaint.profiles.recipes): wells against their plate's DMSO
wells, then sphered. The paper's recipe may be followed by sphering too (brightpaint.profiles.sphering).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pycytominer

from brightpaint import store
from brightpaint.features.median import features_of, read_medians
from brightpaint.profiles import recipes
from brightpaint.profiles.aggregate import by_unit, median_of
from brightpaint.profiles.feature_parts import parts_of_cells
from brightpaint.profiles.sphering import sphere_on_controls
from brightpaint.study.spaces import Space

SUMS = ["Metadata_cells", "Metadata_fields", "Metadata_fields_empty"]


def read(path: Path, space: Space) -> pd.DataFrame:
    """Read one plate's field medians."""
    return read_medians(path)


def numbers_of(columns: Sequence[str], space: Space) -> list[str]:
    """Return the columns that measure a cell."""
    return features_of(list(columns))


def parts_of(names: Sequence[str], space: Space, channels: Sequence[str]) -> pd.DataFrame:
    """Return compartment, group and channel of each number, by its name."""
    return parts_of_cells(names, channels)


def normalise_plate(medians: pd.DataFrame, features: list[str]) -> pd.DataFrame:
    """Standardise one plate: each feature to mean 0 and s.d. 1 over all fields that have cells.

    Parameters
    ----------
    medians : one row a field: Metadata_* and `features`

    Returns
    -------
    The same rows in the same order, Metadata_* and `features`; a constant feature becomes 0
    """
    metadata = [column for column in medians.columns if column.startswith("Metadata_")]
    measured = medians["Metadata_cells"] > 0
    kept = medians[metadata + features].reset_index(drop=True)
    if not measured.any() or not features:
        return kept
    chosen = kept[measured.to_numpy()]
    scaled = pycytominer.normalize(
        chosen.reset_index(drop=True), features=features, meta_features=metadata, samples="all", method="standardize"
    )
    kept.loc[chosen.index, features] = scaled[features].to_numpy()
    return kept


def profiles(
    plates: Sequence[pd.DataFrame],
    kept: list[str],
    *,
    recipe: str = "paper",
    reference: Sequence[pd.DataFrame] = (),
    unit: str = "perturbation",
    sphering: dict | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the profiles of wells and of perturbations.

    Parameters
    ----------
    plates : field medians of one plate each
    kept : the selected features. A plate without a single cell may lack them: its profiles are NaN.
    recipe : paper (fields standardised by all of their plate) or standard (wells against DMSO, sphered)
    reference : field medians of the real plates on whose DMSO wells a sphering is fitted
    unit : perturbation or treatment
    sphering : how wells of the recipe paper are sphered, see `sphering.sphere_on_controls`; None: they are not

    Returns
    -------
    wells : keys, annotations, Metadata_cells, Metadata_fields, Metadata_fields_empty, features
    perturbations : likewise, the median of the wells of each perturbation (or treatment); wells whose perturbation is
        unknown ("") have none
    """
    if recipe == "standard":
        fitted = recipes.fit_sphering([standard_wells(plate, kept) for plate in reference], kept)
        wells = pd.concat([standard_wells(plate, kept) for plate in plates], ignore_index=True)
        wells = recipes.sphere(wells, kept, fitted)
    else:
        wells = paper_wells(plates, kept)
        if sphering:
            wells = sphere_on_controls(wells, kept, paper_wells(reference, kept), **sphering)
    return wells, by_unit(wells, unit, kept, SUMS)


def paper_wells(plates: Sequence[pd.DataFrame], kept: list[str]) -> pd.DataFrame:
    """Return wells, the medians of their fields, each plate standardised by all of its fields."""
    fields = pd.concat([normalise_plate(_whole(medians, kept), kept) for medians in plates], ignore_index=True)
    return median_of(_counted(fields), store.WELL_KEYS, kept, SUMS)


def standard_wells(medians: pd.DataFrame, features: list[str]) -> pd.DataFrame:
    """Return one plate's wells, the medians of their fields, normalised against its DMSO wells."""
    wells = median_of(_counted(_whole(medians, features)), store.WELL_KEYS, features, SUMS)
    return recipes.robustize_plate(wells, features)


def _whole(medians: pd.DataFrame, kept: list[str]) -> pd.DataFrame:
    """Return metadata and kept features of one plate; a feature that was not measured is an error, if there are cells."""
    missing = sorted(set(kept) - set(medians.columns))
    if missing and (medians["Metadata_cells"] > 0).any():
        plate = medians["Metadata_Plate"].iloc[0]
        raise ValueError(f"plate {plate}: selected features {missing[:5]} were not measured; rerun select and medians")
    return medians.reindex(columns=_columns(medians, kept))


def _counted(fields: pd.DataFrame) -> pd.DataFrame:
    """Add what is summed over a well: its fields, and those without cells."""
    fields = fields.copy()  # one block: a fragmented table is slow to extend
    fields["Metadata_fields"], fields["Metadata_fields_empty"] = 1, (fields["Metadata_cells"] == 0).astype(int)
    return fields


def _columns(medians: pd.DataFrame, kept: list[str]) -> list[str]:
    return [column for column in medians.columns if column.startswith("Metadata_")] + kept
