"""Take medians of groups of rows: of a well's fields, of a perturbation's wells. Of every space alike."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pycytominer

from brightpaint import store
from brightpaint.study.annotations import named, with_unit

POOLED = ["Metadata_treatment", "Metadata_cell_line", "Metadata_time_h"]  # may differ between a perturbation's wells


def annotations_of(frame: pd.DataFrame, strata: list[str]) -> pd.DataFrame:
    """Return the annotations that are the same throughout each group; one that differs is an error."""
    counted = {
        "Metadata_Well",
        "Metadata_Site",
        "Metadata_Tile",
        "Metadata_draw",
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


def with_one_dose(frame: pd.DataFrame, strata: list[str]) -> pd.DataFrame:
    """Give every row the dose and treatment of its group: where doses are pooled, none, and the perturbation.

    One treatment's doses may differ in their last digits, as platemaps write them: their median stands for it. Cell
    lines and times that are pooled are left blank likewise.
    """
    if "Metadata_treatment" not in frame:
        return frame
    groups = frame.groupby(strata, sort=False)
    several = {name: groups[name].transform("nunique") > 1 for name in POOLED if name in frame}
    blank = {"Metadata_treatment": frame["Metadata_perturbation"], "Metadata_cell_line": "", "Metadata_time_h": np.nan}
    pooled = {name: frame[name].mask(differ, blank[name]) for name, differ in several.items()}
    dose = groups["Metadata_dose"].transform("median").mask(several["Metadata_treatment"])
    return frame.assign(**pooled, Metadata_dose=dose)


def by_unit(wells: pd.DataFrame, unit: str, features: list[str], sums: list[str]) -> pd.DataFrame:
    """Return the median of each perturbation's (or treatment's) wells, plate by plate; wells of nothing have none."""
    known = wells[wells["Metadata_perturbation"] != ""]
    column = f"Metadata_{unit}"
    return with_unit(
        median_of(known.assign(**{column: named(known, column)}), [store.WELL_KEYS[0], column], features, sums), unit
    )


def median_of(frame: pd.DataFrame, strata: list[str], features: list[str], sums: list[str]) -> pd.DataFrame:
    """Return the median of each group, with its annotations and the sums of `sums`, in order of first appearance.

    A group without any value of a feature keeps NaN there.
    """
    described = annotations_of(with_one_dose(frame, strata), strata)
    totals = frame.groupby(strata, sort=False)[sums].sum().reset_index()
    described = described.merge(totals, on=strata, validate="one_to_one")
    if not features or not len(frame):
        return described.reindex(columns=[*described.columns, *features])
    medians = pycytominer.aggregate(frame, strata=strata, features=features, operation="median")
    return described.merge(medians[strata + features], on=strata, validate="one_to_one")
