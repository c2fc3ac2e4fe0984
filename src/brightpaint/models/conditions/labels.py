"""Labels: which class a field shows, and the map from class names to the network's numbers.

A label is any annotation of the study that is text: what a well was given (its perturbation, target or treatment), or a
cell line, or a batch. 0 is the null label: a field without a known label, or with one that was never seen in training.
DMSO is a class of its own, for targets too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base.seeds import seed_of
from brightpaint.study.annotations import DMSO, GIVEN, named, unit_column

TWIN = f"{DMSO}_twin"  # the A/A control of a translation: wells that differ from DMSO by nothing but their name


def label_names(fields: pd.DataFrame, label: str, twin: bool = False) -> pd.Series:
    """Return each field's class name, the empty string where there is none.

    Parameters
    ----------
    fields : field table with the annotation `Metadata_<label>`, and with `Metadata_perturbation` where that is one of
        `GIVEN`, what a well was given
    label : `perturbation`, `target` (a set of targets is one class), any other annotation, or `none`
    twin : whether half of each plate's DMSO wells are of a class of their own, TWIN, see `twin_fields`
    """
    if label == "none":
        return pd.Series("", index=fields.index)
    column = f"Metadata_{label}"
    for name in [column, "Metadata_perturbation"] if label in GIVEN else [column]:
        if name not in fields.columns:
            raise ValueError(f"label {label}: the field table has no column {name}; found {list(fields.columns)}")
    if pd.api.types.is_float_dtype(fields[column]):
        raise ValueError(
            f"label {label}: {column} holds numbers, which are no classes; choose an annotation that is text"
        )
    names = fields[column].astype(object).fillna("").astype(str)
    names = names.where(fields["Metadata_perturbation"] != DMSO, DMSO) if label in GIVEN else names
    return names.where(~twin_fields(fields), TWIN) if twin else names


def twin_fields(fields: pd.DataFrame) -> np.ndarray:
    """Tell which fields are of a DMSO well that the twin takes: half of each plate's (rounded down), drawn by their names.

    Returns
    -------
    (N,) bool
    """
    dmso = fields[fields["Metadata_perturbation"] == DMSO][store.WELL_KEYS].drop_duplicates()
    taken = set()
    for plate, wells in dmso.groupby("Metadata_Plate")["Metadata_Well"]:
        order = sorted(wells, key=lambda well: seed_of("twin", plate, well))
        taken |= {(plate, well) for well in order[: len(order) // 2]}
    return np.array([place in taken for place in zip(fields["Metadata_Plate"], fields["Metadata_Well"])], dtype=bool)


def label_map(tables: Sequence[pd.DataFrame], label: str, twin: bool = False) -> dict[str, int]:
    """Number the classes of the training fields from 1, in alphabetical order; empty for label `none`."""
    names = sorted({name for table in tables for name in label_names(table, label, twin) if name})
    if label != "none" and not names:
        raise ValueError(
            f"label {label}: no training field has one; train with label none, or check the platemap, or your own CSV"
        )
    return {name: number for number, name in enumerate(names, start=1)}


def label_indices(fields: pd.DataFrame, label: str, numbers: dict[str, int], twin: bool = False) -> np.ndarray:
    """Return (N,) int64: each field's class number, 0 (null) for unknown and unseen labels."""
    names = label_names(fields, label, twin)
    return np.array([numbers.get(name, 0) for name in names], dtype=np.int64)


def swapped_names(fields: pd.DataFrame, label: str, numbers: dict[str, int]) -> dict[str, str]:
    """Give each class on this plate the name of another one, of another target: the wrong label on purpose.

    The classes, ordered by target and name, are moved on by the smallest share of a circle from a half on that leaves
    nobody with a label of its own target. DMSO keeps its own, so that profiles are still normalised against it.

    Raises
    ------
    ValueError
        where the plate shows fewer than two targets, or the label is not what a well was given
    """
    if label not in GIVEN:
        raise ValueError(f"sampling_label swapped: label {label} has no target; expected one of {', '.join(GIVEN)}")
    names = label_names(fields, label)
    known = pd.DataFrame({"name": names, "target": fields["Metadata_target"].fillna("").astype(str)})
    known = known[known["name"].isin(set(numbers) - {DMSO})].drop_duplicates("name").sort_values(["target", "name"])
    classes, targets = known["name"].to_numpy(), known["target"].to_numpy()
    for shift in range(len(classes) // 2, len(classes)):
        if shift and not (targets == np.roll(targets, shift)).any():
            return dict(zip(classes.tolist(), np.roll(classes, shift).tolist()))
    raise ValueError(
        f"sampling_label swapped: the {len(classes)} known classes of this plate have {len(set(targets))} targets, and "
        "none can be given a label of another target; leave the arm out, or show its own label"
    )


def shown_indices(fields: pd.DataFrame, label: str, numbers: dict[str, int], shown: str) -> np.ndarray:
    """Return (N,) int64 class numbers to show in sampling: each field's `own`, `none` (null), or a `swapped` one."""
    if shown == "none" or label == "none":
        return np.zeros(len(fields), dtype=np.int64)
    if shown == "own":
        return label_indices(fields, label, numbers)
    if shown != "swapped":
        raise ValueError(f"sampling_label {shown!r}: expected own, none or swapped")
    names = label_names(fields, label)
    wrong = names.replace(swapped_names(fields, label, numbers))
    return np.array([numbers.get(name, 0) for name in wrong], dtype=np.int64)


def active_rows(fields: pd.DataFrame, actives: pd.DataFrame | None) -> np.ndarray:
    """Return the row numbers of the fields whose perturbation (or treatment) is active; of all fields without a table.

    DMSO is not an active perturbation: a model of the active subset never sees it, as in the paper.
    """
    if actives is None:
        return np.arange(len(fields))
    missing = {"Metadata_perturbation", "active"} - set(actives.columns)
    if missing:
        raise ValueError(f"table of actives: columns {sorted(missing)} are missing; found {list(actives.columns)}")
    unit = unit_column(actives)
    chosen = set(actives.loc[actives["active"] == 1, unit].astype(str)) - {DMSO, ""}
    return np.flatnonzero(named(fields, unit).isin(chosen).to_numpy())
