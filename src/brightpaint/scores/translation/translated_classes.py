"""Which class a real field is of and which a translated row shows, and what a translation's tables must hold."""

from __future__ import annotations

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.models.conditions.labels import label_names
from brightpaint.models.split import held_out_rows, validation_wells
from brightpaint.scores.translation.well_shift import CLASS

SHOWN = "Metadata_painted_as"


def with_class(fields: pd.DataFrame, label: str, twin: bool = False) -> pd.DataFrame:
    """Add the column CLASS to real fields: their class by the model's label; with `twin` half of the DMSO wells are its."""
    return fields.assign(**{CLASS: label_names(fields, label, twin)})


def shown_classes(rows: pd.DataFrame, where: str) -> pd.DataFrame:
    """Add the column CLASS to translated rows: the class shown.

    Raises
    ------
    ValueError
        for rows that name none, or name one twice of a field, and for a field that is not shown as every class
    """
    if SHOWN not in rows or (rows[SHOWN] == "").any():
        raise ValueError(f"{where}: rows do not say which class they show ({SHOWN}); delete it and rerun translate")
    twice = rows[rows.duplicated([*store.FIELD_KEYS, SHOWN])]
    if len(twice):
        raise ValueError(
            f"{where}: {store.describe_field(twice.iloc[0])} is there twice; delete it and rerun translate"
        )
    classes, shown = rows[SHOWN].nunique(), rows.groupby(store.FIELD_KEYS)[SHOWN].transform("size")
    if (shown < classes).any():
        lacking = rows[(shown < classes).to_numpy()].iloc[0]
        raise ValueError(f"{where}: {store.describe_field(lacking[store.FIELD_KEYS])} is shown as {shown.min()} of {classes} "
                         "classes; delete it and rerun translate")  # fmt: skip
    return rows.assign(**{CLASS: rows[SHOWN]})


def source_class(rows: pd.DataFrame, label: str, where: str) -> str:
    """Return the one class of a translation's source fields, whose rows keep the source's annotations.

    Raises
    ------
    ValueError
        where they are of several classes, or no row shows the source class
    """
    names = sorted(set(label_names(rows, label)))
    if len(names) != 1 or names[0] not in set(rows[SHOWN]):
        shown = sorted(set(rows[SHOWN]))
        raise ValueError(f"{where}: source fields of classes {names}, shown as {shown}; expected one source class, shown too "
                         "(the reconstruction); delete it and rerun translate")  # fmt: skip
    return names[0]


def classes_of(fields: pd.DataFrame, column: str = CLASS) -> pd.DataFrame:
    """Return what is known of each class of real fields: `class, Metadata_perturbation, Metadata_dose`.

    Perturbation is "", and dose NaN, where a class pools several, and where a table knows no doses.
    """
    rows = []
    for name, own in fields[fields[column] != ""].groupby(column, sort=True):
        given = own["Metadata_perturbation"].unique()
        doses = own["Metadata_dose"].dropna().map("{:.3g}".format).unique() if "Metadata_dose" in own else []
        dose = float(doses[0]) if len(doses) == 1 else np.nan
        rows.append({CLASS: name, "Metadata_perturbation": given[0] if len(given) == 1 else "", "Metadata_dose": dose})
    return pd.DataFrame(rows, columns=[CLASS, "Metadata_perturbation", "Metadata_dose"])


def aligned(rows: pd.DataFrame, keys: pd.DataFrame, where: str) -> pd.DataFrame:
    """Return one row of `rows` for each of `keys`, in their order, joined by the field keys.

    Raises
    ------
    ValueError
        naming a field that `rows` lacks
    """
    joined = keys[store.FIELD_KEYS].merge(rows, on=store.FIELD_KEYS, how="left", validate="one_to_one", indicator=True)
    lost = joined[joined["_merge"] == "left_only"]
    if len(lost):
        raise ValueError(f"{where}: {store.describe_field(lost.iloc[0])} is not in it; delete it and rerun")
    return joined.drop(columns="_merge")


def trained_wells(fields: pd.DataFrame, share: float, held_out: float | list[str] | dict = 0.0) -> pd.DataFrame:
    """Return the wells that a model was trained on: WELL_KEYS and CLASS, one row a well with a class.

    Parameters
    ----------
    fields : real fields of its training plates, with CLASS and annotations
    share : of the wells, which validate
    held_out : perturbations that the fold holds out, their share, or its table, see `split.held_out_rows`
    """
    own = fields[(fields[CLASS] != "").to_numpy() & ~held_out_rows(fields, held_out)]
    return own[~validation_wells(own, share)][[*store.WELL_KEYS, CLASS]].drop_duplicates(ignore_index=True)
