"""What of a source's pixels and nuclei its images keep, field by field: each class, its reconstruction and fresh noise.

Beside each stands the same image against the source field of another well: unrelated cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base import resampling
from brightpaint.scores.images.pixels import mse, pcc
from brightpaint.scores.pairing import other_well
from brightpaint.scores.translation.class_distance import RECONSTRUCTION, TRANSLATION
from brightpaint.scores.translation.kept_objects import object_summary, pair_scores
from brightpaint.scores.translation.well_shift import CLASS

UNRELATED = "unrelated cells"
OBJECTS = "Nuclei"


def image_rows(
    read: Callable[[pd.Series], np.ndarray], rows: pd.DataFrame, sources: pd.DataFrame, source_images: list[np.ndarray],
    kind: str, source: str, channels: list[str],
) -> Iterator[dict]:  # fmt: skip
    """Compare every row of a stack with its source field, stain by stain.

    Parameters
    ----------
    read : a row of `rows` -> (C, H, W) z-scores
    rows : with CLASS; sources : the source fields; source_images : theirs, (C, H, W) each
    kind : translation or fresh noise; rows of a translation that show the `source` class are the reconstruction

    Yields
    ------
    one row an image and channel: field keys, class, `reference`, channel, `mse, pcc`; those of unrelated cells too, of
    translations alone
    """
    place = {tuple(row): n for n, row in enumerate(sources[store.FIELD_KEYS].itertuples(index=False))}
    others = other_well(sources["Metadata_Well"])
    for _, row in rows.iterrows():
        n, image = place[tuple(row[key] for key in store.FIELD_KEYS)], read(row)
        name = RECONSTRUCTION if kind == TRANSLATION and row[CLASS] == source else kind
        pairs = {name: source_images[n]}
        if kind == TRANSLATION and others[n] != n:
            pairs[UNRELATED] = source_images[others[n]]
        for reference, real in pairs.items():
            for channel, *found in zip(channels, mse(real, image), pcc(real, image)):
                yield {**{key: row[key] for key in store.FIELD_KEYS}, CLASS: row[CLASS], "reference": reference,
                       "channel": channel, "mse": float(found[0]), "pcc": float(found[1])}  # fmt: skip


def image_table(rows: pd.DataFrame, plate: str) -> pd.DataFrame:
    """Take means over fields with intervals by well: one row a class, reference and channel: `mse, pcc` with `_low`, `_high`."""
    found = []
    for (name, reference, channel), own in rows.groupby([CLASS, "reference", "channel"], sort=False):
        line = {"plate": plate, CLASS: name, "reference": reference, "channel": channel, "fields": len(own)}
        for metric in ("mse", "pcc"):
            values = own[metric].to_numpy(np.float64)
            said = np.isfinite(values)
            low, high = resampling.bootstrap_ratio(
                values[said],
                np.ones(said.sum()),
                own["Metadata_Well"][said],
                resampling.seeded(plate, name, channel, metric),
            )
            line |= {
                metric: values[said].mean() if said.any() else np.nan,
                f"{metric}_low": low,
                f"{metric}_high": high,
            }
        found.append(line)
    return pd.DataFrame(found)


def object_rows(
    real: store.Masks, images: store.Masks, sources: pd.DataFrame, kind: str, source: str
) -> Iterator[dict]:
    """Match the nuclei of every translated row with those of its source field: as `image_rows`, METRICS in place of pixels."""
    places = {tuple(row): n for n, row in enumerate(real.fields[store.FIELD_KEYS].itertuples(index=False))}
    keys = [tuple(row) for row in sources[store.FIELD_KEYS].itertuples(index=False)]
    others, number = other_well(sources["Metadata_Well"]), {key: n for n, key in enumerate(keys)}
    labels = {key: real.read(places[key], OBJECTS) for key in keys if key in places}
    for n, row in enumerate(images.fields.to_dict("records")):
        key, shown = tuple(row[key] for key in store.FIELD_KEYS), row["Metadata_painted_as"]
        if key not in labels:
            continue
        image = images.read(n, OBJECTS)
        name = RECONSTRUCTION if kind == TRANSLATION and shown == source else kind
        pairs, other = {name: labels[key]}, keys[others[number[key]]]
        if kind == TRANSLATION and other != key and other in labels:
            pairs[UNRELATED] = labels[other]
        for reference, truth in pairs.items():
            yield {
                **{name: row[name] for name in store.FIELD_KEYS},
                CLASS: shown,
                "reference": reference,
                **pair_scores(truth, image),
            }


def object_table(rows: pd.DataFrame, plate: str) -> pd.DataFrame:
    """Sum the nuclei up: one row a class and reference, see `object_summary`."""
    return pd.DataFrame([
        {"plate": plate, CLASS: name, "reference": reference, **object_summary(own, f"{plate}/{name}/{reference}")}
        for (name, reference), own in rows.groupby([CLASS, "reference"], sort=False)
    ])  # fmt: skip


def summed(table: pd.DataFrame, metric: str, reference: str, source: str, seed: str) -> dict:
    """Return the mean over target classes (of the reconstruction: its own row) of one metric and reference, with an interval.

    Of several classes interval and n are of classes, of one class of its wells and fields.
    """
    own = table[(table["reference"] == reference) & table[metric].notna()]
    own = own[(own[CLASS] == source) == (reference == RECONSTRUCTION)]
    row = {"value": own[metric].mean() if len(own) else np.nan, "low": np.nan, "high": np.nan, "n": len(own)}
    if len(own) == 1:
        row["n"] = int(own["fields"].iloc[0])
        row |= {"low": own[f"{metric}_low"].iloc[0], "high": own[f"{metric}_high"].iloc[0]}
    elif len(own):
        values = own[metric].to_numpy(np.float64)
        row["low"], row["high"] = resampling.bootstrap_ratio(
            values, np.ones(len(own)), own[CLASS], resampling.seeded(seed, metric)
        )
    return row
