"""Treatments of known molecules with their real profiles, and what of them is held out together: scaffolds, doses, combinations."""

from __future__ import annotations

import numpy as np
import pandas as pd

from brightpaint.base.seeds import seed_of
from brightpaint.models.conditions.molecule_vectors import canonical_of
from brightpaint.models.conditions.scaffolds import scaffold
from brightpaint.study.annotations import DMSO

KEYS = ["molecule", "dose", "cell_line"]
SPLITS = ("scaffold", "dose", "combination")


class TooFew(ValueError):
    """Treatments of which nothing can be foretold, or not in this split."""


def treatments_of(profiles: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Return treatments of known molecules, their mean profiles over plates, and the mean profile of DMSO.

    Parameters
    ----------
    profiles : one row a plate and treatment: Metadata_Plate, Metadata_smiles, Metadata_perturbation, features

    Returns
    -------
    keys : T rows: molecule (canonical SMILES), dose (log10 of micromolar, NaN where none is known), cell_line
    (T, D) and (D,) float64

    Raises
    ------
    ValueError
        naming plate and well, or what is missing
    """
    names = [name for name in profiles if not name.startswith("Metadata_")]
    features = profiles[names].to_numpy(np.float64)
    if not np.isfinite(features).all():
        bad = [name for name, column in zip(names, features.T) if not np.isfinite(column).all()]
        raise ValueError(f"profiles: {bad[0]} is not finite ({len(bad)} features); give profiles after selection")
    placed = profiles if "Metadata_Well" in profiles else profiles.assign(Metadata_Well="(mean)")
    molecules = canonical_of(placed)
    if not (vehicle := molecules == DMSO).any():
        raise TooFew(f"profiles: no {DMSO} among them; it is one of the baselines, so give the table of all treatments")
    blank = pd.Series("", index=profiles.index)
    doses = profiles["Metadata_dose"] if "Metadata_dose" in profiles else pd.Series(np.nan, index=profiles.index)
    keys = pd.DataFrame(
        {"molecule": molecules, "dose": log_doses(doses),
         "cell_line": profiles.get("Metadata_cell_line", blank).fillna("").to_numpy()}
    )  # fmt: skip
    kept = ~vehicle & (molecules != "")
    if keys[kept].drop_duplicates().shape[0] < 4:
        raise TooFew(
            f"profiles: {keys[kept].drop_duplicates().shape[0]} treatments of known molecules; expected 4 or more"
        )
    own = keys[kept].reset_index(drop=True)
    means = pd.DataFrame(features[kept]).groupby([own[name] for name in KEYS], dropna=False, sort=True).mean()
    return means.index.to_frame(index=False, name=KEYS), means.to_numpy(), features[vehicle].mean(axis=0)


def log_doses(doses: pd.Series) -> np.ndarray:
    """Return doses (micromolar) by their log10, to three decimals: (N,), NaN where none above 0 is known."""
    return np.log10(doses.where(doses > 0).astype(float)).round(3).to_numpy()


def names_by(keys: pd.DataFrame, by: str) -> np.ndarray:
    """Return each treatment's scaffold, or its dose in words, "" where it has none: (T,) object; `keys` as of `treatments_of`."""
    if by == "dose":
        return keys["dose"].map(lambda dose: "" if np.isnan(dose) else f"{10**dose:.3g}").to_numpy(object)
    known = {name: scaffold(name) for name in keys["molecule"].unique()}
    return keys["molecule"].map(known).to_numpy(object)


def groups_of(keys: pd.DataFrame, split: str) -> np.ndarray:
    """Return what is held out together, (T,) object: a scaffold, a dose, or a molecule in a cell line.

    Raises
    ------
    ValueError
        where the treatments have no two of it
    """
    if split in ("scaffold", "dose"):
        groups = names_by(keys, split)
    elif split == "combination":
        groups = (keys["molecule"] + " in " + keys["cell_line"]).to_numpy(object)
    else:
        raise ValueError(f"split {split!r}: expected one of {', '.join(SPLITS)}")
    needed = keys["cell_line"].nunique() if split == "combination" else len(set(groups) - {""})
    if needed < 2:
        word = "cell lines" if split == "combination" else f"{split}s"
        raise TooFew(f"split {split}: the treatments have {needed} {word}, expected two or more; choose another split")
    return groups


def folds_of(groups: np.ndarray, folds: int, seed: int = 0) -> list[np.ndarray]:
    """Return the rows that each fold tests: whole groups, the largest first to the smallest fold; "" is never tested."""
    names, counts = np.unique(groups[groups != ""].astype(str), return_counts=True)
    order = sorted(zip(-counts, [seed_of(seed, name) for name in names], names))
    sizes, places = np.zeros(min(folds, len(names)), int), {}
    for count, _, name in order:
        places[name] = int(np.argmin(sizes))
        sizes[places[name]] -= count
    return [np.flatnonzero([places.get(name) == fold for name in groups]) for fold in range(len(sizes))]
