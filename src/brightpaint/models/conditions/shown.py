"""What the fields of an arm are told as they are painted: their own label and conditions, or what the arm says in place of them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint.models.conditions.condition import Condition
from brightpaint.models.conditions.labels import shown_indices
from brightpaint.models.conditions.vocabulary import tell
from brightpaint.study.annotations import DMSO, treatment_name
from brightpaint.study.conditions import ordered

log = logging.getLogger(__name__)


def check_conditions(meta: Mapping, settings: Mapping, path: Path) -> None:
    """Raise ValueError where the config says of given weights that they are told what they are not, or by another encoder."""
    wanted, found = settings.get("model_conditions"), meta["settings"].get("conditions", {})
    for name in ordered({*wanted, *found}) if wanted is not None else []:
        one, other = (
            "none" if each is None else each.get("encoder", "told") for each in (wanted.get(name), found.get(name))
        )
        if one != other:
            raise ValueError(
                f"{path}: condition {name}: {other} in the weights, {one} in the config; correct the model's conditions, or train "
                "on these"
            )


def vectors_of(settings: Mapping, meta: Mapping) -> str | None:
    """Return the table of molecules' vectors: the arm's own, else the one that trained."""
    return settings.get("vectors") or meta["settings"].get("conditions", {}).get("molecule", {}).get("vectors")


def parts_shown(fields: pd.DataFrame, meta: Mapping, settings: Mapping, *, own: bool = False) -> dict[str, np.ndarray]:
    """Return what fields are told beside their label: their own conditions, where not `own` as the arm sets them."""
    vocabulary, shown = meta.get("conditions", {}), {} if own else settings.get("conditions", {})
    if own:  # what the arm leaves out of both ways of a translation is what the label stands for
        shown = {name: None for name, value in settings.get("conditions", {}).items() if value is None}
    return tell(fields, vocabulary, shown=shown, vectors=vectors_of(settings, meta))


def condition_shown(fields: pd.DataFrame, meta: Mapping, settings: Mapping) -> Condition:
    """Return what the fields of an arm are told.

    Parameters
    ----------
    fields : field table of the plate
    meta : what the model's weights say of themselves
    settings : the arm's: `sampling_label`, and `conditions`, {name: value for all fields, None to leave it out}
    """
    label = meta["settings"]["label"]
    labels = shown_indices(fields, label, meta["label_map"], settings["sampling_label"])
    if label != "none" and settings["sampling_label"] != "none":
        log.info("%d of %d fields have no label that was seen in training: null", (labels == 0).sum(), len(fields))
    return Condition.of(labels, parts_shown(fields, meta, settings))


def painted_as(fields: pd.DataFrame, shown: Mapping[str, object]) -> np.ndarray:
    """Return the treatment that each field is painted as in place of its own, "" where it is its own: (N,) object.

    What an arm sets beside what a well was given (a batch, a cell line) leaves the treatment as it is. A molecule or a target
    that is set stands for a treatment by its own name. Wells of DMSO keep what they were given.
    """
    given = {name: value for name, value in shown.items() if value is not None}
    names = fields["Metadata_perturbation"].astype(str)
    if "treatment" in given:
        painted = pd.Series(given["treatment"], index=fields.index)
    elif "perturbation" in given or "dose" in given:
        own = fields["Metadata_dose"] if "Metadata_dose" in fields else np.full(len(fields), np.nan)
        compounds = [given.get("perturbation", name) for name in names]
        doses = [float(given.get("dose", dose)) for dose in own]
        painted = pd.Series([treatment_name(*pair) for pair in zip(compounds, doses)], index=fields.index)
    elif "molecule" in given or "target" in given:
        painted = pd.Series(given.get("molecule", given.get("target")), index=fields.index)
    else:
        return np.full(len(fields), "", dtype=object)
    own_treatment = fields["Metadata_treatment"] if "Metadata_treatment" in fields else names
    kept = names.isin([DMSO, ""]) | (painted == own_treatment)
    return painted.where(~kept, "").astype(object).to_numpy()
