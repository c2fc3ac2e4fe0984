"""Which wells of the training plates are not trained on: those of held-out perturbations, and those that validate.

Both are drawn from the names of plates, wells and perturbations alone: no seed, no model and no order of files changes
them, so that validation losses can be compared between trainings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base.seeds import seed_of
from brightpaint.study.annotations import DMSO, treatments

SPLIT_KEYS = ["Metadata_treatment", "Metadata_cell_line"]  # of what a fold's table says whether it is held out
PLACE_KEYS = [*SPLIT_KEYS, "Metadata_time_h"]  # of what is painted and scored as one treatment


def held_out_perturbations(fields: pd.DataFrame, held_out: float | list[str]) -> list[str]:
    """Return the perturbations whose wells a fold leaves out of training.

    Parameters
    ----------
    fields : field table of all training plates
    held_out : their names, or the share of the treated perturbations to draw; DMSO is never held out

    Raises
    ------
    ValueError
        for a name that no training plate has, and for DMSO
    """
    if not held_out:
        return []
    names = sorted(set(fields["Metadata_perturbation"]) - {DMSO, ""})
    if not isinstance(held_out, list):
        drawn = sorted(names, key=lambda name: seed_of("held out", name))
        return sorted(drawn[: round(held_out * len(names))])
    for name in held_out:
        if name not in names:
            known = "the control, always trained on" if name == DMSO else "not on the training plates"
            raise ValueError(
                f"held_out: {name} is {known}; name some of their {len(names)} perturbations: {', '.join(names[:5])}, ..."
            )
    return sorted(held_out)


def split_keys(fields: pd.DataFrame) -> pd.DataFrame:
    """Return the fields with all of SPLIT_KEYS and a dose: what older tables lack is the perturbation, no line and no dose."""
    line = fields["Metadata_cell_line"] if "Metadata_cell_line" in fields else pd.Series("", index=fields.index)
    dose = fields["Metadata_dose"] if "Metadata_dose" in fields else pd.Series(np.nan, index=fields.index)
    return fields.assign(Metadata_treatment=treatments(fields), Metadata_cell_line=line.fillna(""), Metadata_dose=dose)


def listed_in(fields: pd.DataFrame, table: pd.DataFrame) -> np.ndarray:
    """Tell which fields are of a treatment and cell line that a table lists: (N,) bool; both have SPLIT_KEYS."""
    listed = set(map(tuple, table[SPLIT_KEYS].to_numpy()))
    return np.array([pair in listed for pair in map(tuple, fields[SPLIT_KEYS].to_numpy())], dtype=bool)


def held_out_rows(fields: pd.DataFrame, held_out: float | list[str] | Mapping) -> np.ndarray:
    """Tell which fields of the training plates a fold leaves out of training: (N,) bool.

    Parameters
    ----------
    fields : field table of all training plates
    held_out : perturbations, as of `held_out_perturbations`; or {"table": path of what the rule `hold_out` wrote}

    Raises
    ------
    ValueError
        for a treatment that the table does not list: it is of other plates
    """
    if not isinstance(held_out, Mapping):
        names = held_out_perturbations(fields, held_out)
        return fields["Metadata_perturbation"].isin(names).to_numpy() if names else np.zeros(len(fields), dtype=bool)
    table = store.read_table(held_out["table"], required=[*SPLIT_KEYS, "held_out"])
    known = dict(zip(zip(*(table[key] for key in SPLIT_KEYS)), table["held_out"] == 1))
    keyed = split_keys(fields)
    nothing = (fields["Metadata_perturbation"] == "").to_numpy()
    found = [
        False if empty else known.get(pair) for empty, pair in zip(nothing, zip(*(keyed[key] for key in SPLIT_KEYS)))
    ]
    if None in found:
        row = keyed.iloc[found.index(None)]
        raise ValueError(
            f"{held_out['table']}: plate {row['Metadata_Plate']}, well {row['Metadata_Well']}: {row['Metadata_treatment']} in cell "
            f"line {row['Metadata_cell_line'] or '(none)'} is not in it, so nothing says whether it is held out; delete it, rerun "
            "hold_out"
        )
    return np.array(found, dtype=bool)


def validation_wells(fields: pd.DataFrame, share: float) -> np.ndarray:
    """Choose wells that validate: others on each plate, and never the last well of a perturbation.

    Parameters
    ----------
    fields : field table of the fields that may be trained on
    share : of each plate's wells, rounded down

    Returns
    -------
    (N,) bool, true for the fields of chosen wells
    """
    perturbation = fields["Metadata_perturbation"].fillna("") if "Metadata_perturbation" in fields else ""
    wells = fields[store.WELL_KEYS].assign(perturbation=perturbation).drop_duplicates(store.WELL_KEYS)
    left, taken, chosen = Counter(wells["perturbation"]), Counter(), set()
    for plate, rows in wells.groupby("Metadata_Plate", sort=True):
        wanted = int(share * len(rows) + 1e-9)  # 0.1 of 10 is 1, whatever the last bit says
        names = dict(zip(rows["Metadata_Well"], rows["perturbation"]))
        for _ in range(wanted):
            free = [well for well, name in names.items() if left[name] > 1 and (plate, well) not in chosen]
            if not free:
                break
            well = min(free, key=lambda well: (taken[names[well]] / left[names[well]], seed_of(plate, well)))
            chosen.add((plate, well))
            taken[names[well]] += 1
            left[names[well]] -= 1
    return np.array([key in chosen for key in zip(fields["Metadata_Plate"], fields["Metadata_Well"])], dtype=bool)
