"""Which nuclei of the source a translation keeps, loses or adds, beside how many the real class has.

A toxic dose should lose cells, so that kept nuclei are no virtue by themselves: they are read beside real counts, beside the
reconstruction (what painting alone loses), and beside unrelated cells: the nuclei of another well's source field.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from brightpaint.base import resampling
from brightpaint.scores.cells.object_overlap import MATCH_IOU, ious, overlap

COUNTED = ("kept", "lost", "new")
METRICS = (*COUNTED, "f1", "dice", "iou")


def kept_objects(source: np.ndarray, image: np.ndarray) -> dict[str, int]:
    """Match the objects of two label images of one field at an IoU above one half.

    Parameters
    ----------
    source, image : (H, W) labels, 0 outside

    Returns
    -------
    kept : objects of the source with a partner; lost : those without; new : objects of the image without
    """
    table, left, right = ious(source, image)
    kept = int((table > MATCH_IOU).sum())
    return {"kept": kept, "lost": len(left) - kept, "new": len(right) - kept}


def pair_scores(source: np.ndarray, image: np.ndarray) -> dict[str, float]:
    """Return the counts of `kept_objects`, and f1, dice, iou as `object_overlap.overlap` defines them."""
    return {**kept_objects(source, image), **overlap(source, image)}


def object_summary(fields: pd.DataFrame, seed: str) -> dict:
    """Sum up the fields of one class and reference, with intervals over wells.

    Parameters
    ----------
    fields : one row a field: Metadata_Plate, Metadata_Well and METRICS

    Returns
    -------
    kept, lost, new as shares of all source nuclei, f1, dice, iou as means over fields, each with `_low`, `_high`; `fields`
    """
    wells = fields["Metadata_Plate"] + "/" + fields["Metadata_Well"]
    nuclei, found = (fields["kept"] + fields["lost"]).to_numpy(np.float64), {"fields": len(fields)}
    for name in METRICS:
        values = fields[name].to_numpy(np.float64)
        counts = nuclei if name in COUNTED else np.ones(len(values))
        said = np.isfinite(values)
        total = counts[said].sum()
        rng = resampling.seeded(seed, name)
        found[name] = float(values[said].sum() / total) if total > 0 else np.nan
        found[f"{name}_low"], found[f"{name}_high"] = resampling.bootstrap_ratio(
            values[said], counts[said], wells[said], rng
        )
    return found


def count_ratio(target: pd.DataFrame, source: pd.DataFrame, seed: str) -> dict:
    """Return cells a field of one class over those of another: `ratio, low, high` (wells of both are drawn anew).

    Parameters
    ----------
    target, source : field medians with Metadata_cells and Metadata_Well
    """
    sides = [side.groupby("Metadata_Well")["Metadata_cells"].agg(["sum", "size"]) for side in (target, source)]
    row = {"ratio": np.nan, "low": np.nan, "high": np.nan}
    if not all(len(side) for side in sides) or not sides[1]["sum"].sum() > 0:
        return row
    mean = lambda side, weights: (weights @ side["sum"]) / (weights @ side["size"])  # noqa: E731
    once = [np.ones((1, len(side))) for side in sides]
    row["ratio"] = float(mean(sides[0], once[0])[0] / mean(sides[1], once[1])[0])
    if max(map(len, sides)) > 1:
        rng = resampling.seeded(seed, "counts")
        above, below = (mean(side, resampling.resample_counts(len(side), rng)) for side in sides)
        row["low"], row["high"] = resampling.interval(above[below > 0] / below[below > 0])
    return row
