"""Normalise an arm's field medians per plate and take the median of each well and perturbation.

The paper's recipe: each plate is standardised with all of its fields (not with the controls alone), the
features selected on real images are kept, and medians are taken. Real and predicted plates go the same way,
each by its own mean and s.d. Fields without cells have no part in the medians and are counted; NaN stays NaN.

`recipe: standard` is the field's usual way instead (brightpaint.profiles.recipes): wells against their plate's DMSO
wells, then sphered.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pycytominer

from brightpaint import store
from brightpaint.base import cli
from brightpaint.features.median import features_of, read_medians
from brightpaint.profiles import recipes

WELL = ["Metadata_Plate", "Metadata_Well"]
PERTURBATION = ["Metadata_Plate", "Metadata_perturbation"]
SUMS = ["Metadata_cells", "Metadata_fields", "Metadata_fields_empty"]
log = logging.getLogger(__name__)


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


def annotations_of(frame: pd.DataFrame, strata: list[str]) -> pd.DataFrame:
    """Return the annotations that are the same throughout each group; one that differs is an error."""
    counted = {
        "Metadata_Well",
        "Metadata_Site",
        "Metadata_Tile",
        "Metadata_cells",
        "Metadata_fields",
        "Metadata_fields_empty",
    }
    names = [c for c in frame.columns if c.startswith("Metadata_") and c not in counted and c not in strata]
    groups = frame.groupby(strata, sort=False)[names]
    differing = groups.nunique(dropna=False) > 1
    if differing.to_numpy().any():
        place = dict(zip(strata, differing.index[differing.any(axis=1)][0]))
        raise ValueError(
            f"{place}: {list(differing.columns[differing.any()])} differ within it, expected one value; mend the metadata"
        )
    return groups.first().reset_index()


def median_of(frame: pd.DataFrame, strata: list[str], features: list[str], sums: list[str]) -> pd.DataFrame:
    """Return the median of each group, with its annotations and the sums of `sums`, in order of first appearance.

    A group without any value of a feature keeps NaN there.
    """
    described = annotations_of(frame, strata)
    totals = frame.groupby(strata, sort=False)[sums].sum().reset_index()
    described = described.merge(totals, on=strata, validate="one_to_one")
    if not features or not len(frame):
        return described.reindex(columns=[*described.columns, *features])
    medians = pycytominer.aggregate(frame, strata=strata, features=features, operation="median")
    return described.merge(medians[strata + features], on=strata, validate="one_to_one")


def profiles(
    plates: Sequence[pd.DataFrame], kept: list[str], *, recipe: str = "paper", reference: Sequence[pd.DataFrame] = ()
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the profiles of wells and of perturbations.

    Parameters
    ----------
    plates : field medians of one plate each
    kept : the selected features. A plate without a single cell may lack them: its profiles are NaN.
    recipe : paper (fields standardised by all of their plate) or standard (wells against DMSO, sphered)
    reference : field medians of the real plates on whose DMSO wells `standard` fits its sphering

    Returns
    -------
    wells : keys, annotations, Metadata_cells, Metadata_fields, Metadata_fields_empty, features
    perturbations : likewise, the median of the wells; wells whose perturbation is unknown ("") have none
    """
    if recipe == "standard":
        sphering = recipes.fit_sphering([standard_wells(plate, kept) for plate in reference], kept)
        wells = pd.concat([standard_wells(plate, kept) for plate in plates], ignore_index=True)
        wells = recipes.sphere(wells, kept, sphering)
    else:
        fields = pd.concat([normalise_plate(_whole(medians, kept), kept) for medians in plates], ignore_index=True)
        wells = median_of(_counted(fields), WELL, kept, SUMS)
    known = wells[wells["Metadata_perturbation"] != ""]
    return wells, median_of(known, PERTURBATION, kept, SUMS)


def standard_wells(medians: pd.DataFrame, features: list[str]) -> pd.DataFrame:
    """Return one plate's wells, the medians of their fields, normalised against its DMSO wells."""
    wells = median_of(_counted(_whole(medians, features)), WELL, features, SUMS)
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


def kept_features(selection: pd.DataFrame) -> list[str]:
    """Return the features that `select` kept, in its order."""
    return selection.loc[selection["kept"].astype(int) == 1, "feature"].tolist()


def read_selection(path: Path) -> list[str]:
    """Read which features `select` kept; a table that keeps none, or one twice, is an error."""
    selection = store.read_table(path, ["feature", "kept"])
    if not selection["kept"].isin([0, 1]).all():
        raise ValueError(f"{path}: the column kept holds more than 0 and 1; delete it and rerun select")
    kept = kept_features(selection)
    if not kept or len(set(kept)) < len(kept):
        raise ValueError(
            f"{path}: {len(kept)} features are kept, {len(set(kept))} of them different; delete it and rerun select"
        )
    return kept


def main(argv: list[str] | None = None) -> None:
    """Make an arm's profiles."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--settings", type=json.loads, default={}, help="JSON: recipe")
    parser.add_argument("--medians", type=Path, nargs="+", required=True)
    parser.add_argument(
        "--reference", type=Path, nargs="*", default=[], help="real medians on which sphering is fitted"
    )
    parser.add_argument("--selection", type=Path, required=True)
    parser.add_argument("--wells", type=Path, required=True)
    parser.add_argument("--perturbations", type=Path, required=True)
    args = parser.parse_args(argv)
    kept = read_selection(args.selection)
    plates, reference = ([read_medians(path) for path in paths] for paths in (args.medians, args.reference))
    wells, perturbations = profiles(plates, kept, recipe=args.settings.get("recipe", "paper"), reference=reference)
    for name, frame in (("wells", wells), ("perturbations", perturbations)):
        gaps = int(frame[features_of(list(frame.columns))].isna().to_numpy().sum())
        empty = int((frame["Metadata_cells"] == 0).sum())
        log.info("%d %s, %d without cells, %d features, %d values missing", len(frame), name, empty, len(kept), gaps)
    store.write_table(wells, args.wells)
    store.write_table(perturbations, args.perturbations)


if __name__ == "__main__":
    cli.run(main)
