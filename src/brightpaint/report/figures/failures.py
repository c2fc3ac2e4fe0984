"""What the galleries of an arm's failures share, `worst` and `noise`: which fields are drawn, and what is read of them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.report.figures.panels import draw_fields
from brightpaint.report.figures.shown_fields import heading_of, standardised_middle, standardised_stains
from brightpaint.report.style import as_text
from brightpaint.scores.columns import BY_KEY


def field_means(scores: pd.DataFrame, metric: str) -> pd.Series:
    """Return a metric's mean over the channels of each field that has one, by the field's keys."""
    return scores.groupby(store.FIELD_KEYS)[metric].mean().dropna()


def worst_fields(scores: pd.DataFrame, count: int, metric: str = "pcc") -> pd.DataFrame:
    """Choose the fields on which an arm is worst by a metric, mean over the channels that can be compared.

    Parameters
    ----------
    scores : one row a field and channel, of any number of plates (docs/contracts.md)
    count : fields at most
    metric : a column of `scores`; its direction is that of the tables (`columns.BY_KEY`)

    Returns
    -------
    one row a field, the worst first: keys, the metric, `rank` from 1 and `fields`, of how many
    """
    means = field_means(scores, metric).sort_values(kind="stable", ascending=BY_KEY[metric].better > 0)
    worst = means.head(count).reset_index()
    return worst.assign(rank=np.arange(1, len(worst) + 1), fields=len(means))


def failure_views(
    worst: pd.DataFrame, plates: dict[str, dict], *, metric: str, channels: dict, pixel_size_um: dict[str, float]
) -> list[dict]:
    """Return the views of the fields on which an arm fails (see `panels.draw_fields`), real stains above painted ones.

    Parameters
    ----------
    worst : from `worst_fields`, by the same metric
    plates : {plate: {"real": (stack, field table), arm: (stack, its rows)}}
    pixel_size_um : of a raw pixel, by plate
    """
    views = []
    for _, field in worst.iterrows():
        sources = plates[field["Metadata_Plate"]]
        real, fields = sources["real"]
        row = fields.iloc[store.place_of(field, fields)]
        rank = f"{field['rank']} of {field['fields']}: mean {BY_KEY[metric].title} {field[metric]:.2f}"
        view = {
            "heading": f"{rank}   {as_text(field['Metadata_Plate'], 24)} {heading_of(row)}",
            "width_um": pixel_size_um[field["Metadata_Plate"]] * row["width_px"],
            **standardised_middle(real, row.name, channels),
            "stains": {n: standardised_stains(*source, field, channels["target"]) for n, source in sources.items()},
        }
        views.append(view)
    return views


def draw_failures(views: Sequence[dict], *, channels: dict, dpi: int, footer: str = "") -> plt.Figure:
    """Draw views below one another, or say that no field can be compared."""
    if views:
        return draw_fields(views, channels=channels, dpi=dpi, footer=footer)
    figure = plt.figure(figsize=(6, 1.5))
    figure.text(0.5, 0.5, "no field has a stain to compare with", ha="center", va="center")
    return figure


def read_arguments(words: str, argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line of a gallery of failures, which `words` describe."""
    parser = argparse.ArgumentParser(description=words)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: channels, worst, pixel_size_um, dpi")
    parser.add_argument("--arm", required=True)
    parser.add_argument("--scores", type=Path, required=True, help="the arm's scores of single fields")
    parser.add_argument("--plates", nargs="+", required=True)
    for images in ("real", "fields", "predicted"):
        parser.add_argument(f"--{images}", type=Path, nargs="+", required=True, help="one a plate")
    parser.add_argument("--figure", type=Path, required=True, help="the PNG or JPEG to write")
    return parser.parse_args(argv)


def read_views(args: argparse.Namespace, scores: pd.DataFrame, metric: str) -> list[dict]:
    """Read the views that a command line asks for: of the fields worst by a metric."""
    worst = worst_fields(scores, args.settings["worst"], metric)
    shown, plates = set(worst["Metadata_Plate"]), {}
    for plate, real, table, predicted in zip(args.plates, args.real, args.fields, args.predicted):
        if plate in shown:
            fields = store.read_fields(table)
            painted = store.open_gathered(predicted)
            plates[plate] = {"real": (store.open_stack(real).select(fields), fields), args.arm: painted}
    chosen = {key: args.settings[key] for key in ("channels", "pixel_size_um")}
    return failure_views(worst, plates, metric=metric, **chosen)
