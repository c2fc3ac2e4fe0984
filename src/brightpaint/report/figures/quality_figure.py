"""Draw a plate's image quality as the plate is laid out: a measure a row, a channel a column, a well a square."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.profiles.treatments import well_places
from brightpaint.report.figures.plate_layout import plate_grid
from brightpaint.report.style import STYLE, as_text, letters_in, save
from brightpaint.study.choice import row_letters

# Measure, heading, and whether its colours run over logarithms.
MEASURES = [
    ("background", "background\n(5th percentile,\ncounts)", True),
    ("slope", "slope of the\npower spectrum", False),
    ("maximal", "share of pixels\nat the largest\nvalue", True),
]
PANEL_IN, LABEL_IN = 1.9, 0.9
PLATES = [(8, 12), (16, 24), (32, 48)]  # 96, 384 and 1536 wells
MARK_PX = 26.0


def plate_shape(places: np.ndarray) -> tuple[int, int]:
    """Return rows and columns of the part of a plate that holds `places` (n, 2), from 1; whole plates if half full."""
    rows, columns = (int(largest) for largest in np.nanmax(places, axis=0))
    for shape in PLATES:
        if rows <= shape[0] and columns <= shape[1]:
            return shape if rows > shape[0] / 2 and columns > shape[1] / 2 else (rows, columns)
    return rows, columns


def quality_figure(measures: pd.DataFrame, flags: pd.DataFrame, channels: Sequence[str]) -> plt.Figure:
    """Draw the medians over each well's sites; wells with a flag of that channel wear a ring, left out ones a cross.

    Parameters
    ----------
    measures : one row a field and channel, from `quality`
    flags : one row a flag, from `flag`
    channels : the columns, in order
    """
    wells = sorted(measures["Metadata_Well"].unique())
    places = well_places(wells)
    if not np.isfinite(places).all():
        return _message(
            f"{as_text(measures['Metadata_Plate'].iloc[0])}:\nwells are not named A01, A02, ...: no layout to draw"
        )
    shape = plate_shape(places)
    height = 0.25 + 0.75 * PANEL_IN * min(1.2, max(0.35, shape[0] / shape[1]))
    size = (LABEL_IN + PANEL_IN * len(channels), 0.9 + (height + 0.3) * len(MEASURES))
    figure, axes = plt.subplots(len(MEASURES), len(channels), figsize=size, layout="constrained", squeeze=False)
    for row, (measure, heading, logarithmic) in zip(axes, MEASURES):
        for column, (panel, channel) in enumerate(zip(row, channels)):
            values = measures[measures["Channel"] == channel].groupby("Metadata_Well")[measure].median()
            _panel(panel, plate_grid(values, *shape), logarithmic)
            _marks(panel, flags[flags["Channel"] == channel])
            if measure == MEASURES[0][0]:
                panel.set_title(as_text(channel.replace("_", " "), letters_in(PANEL_IN, 9)), fontsize=9)
            if column == 0:
                panel.set_ylabel(heading, fontsize=7)
    gone = flags[flags["excluded"] == 1][["Metadata_Well", "Metadata_Site"]].drop_duplicates()
    fields = measures[["Metadata_Well", "Metadata_Site"]].drop_duplicates()
    figure.suptitle(
        f"Plate {as_text(measures['Metadata_Plate'].iloc[0], 24)}: {len(flags)} flags, {len(gone)} of {len(fields)} fields left out"
        "   (ring: flagged; cross: left out)",
        fontsize=10,
    )
    return figure


def _message(text: str) -> plt.Figure:
    figure, axes = plt.subplots(figsize=(7, 1.2), layout="constrained")
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes)
    axes.set_axis_off()
    return figure


def _panel(panel: plt.Axes, grid: np.ndarray, logarithmic: bool) -> None:
    shown = np.log10(np.maximum(grid, 1e-7)) if logarithmic else grid
    finite = shown[np.isfinite(shown)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0, 1)
    image = panel.imshow(shown, cmap="cividis", vmin=low, vmax=max(high, low + 1e-6))
    rows, columns = grid.shape
    bar = panel.figure.colorbar(image, ax=panel, fraction=0.046 * rows / columns, aspect=12, pad=0.03)
    ends = [(low, _number(low, logarithmic)), (high, _number(high, logarithmic))][: 2 if high > low else 1]
    bar.set_ticks([value for value, _ in ends], labels=[label for _, label in ends])
    bar.ax.tick_params(labelsize=6, length=2)
    bar.outline.set_linewidth(0.4)
    panel.set_xticks(_ticks(columns), [str(n + 1) for n in _ticks(columns)], fontsize=6)
    panel.set_yticks(_ticks(rows), [row_letters(n + 1) for n in _ticks(rows)], fontsize=6)
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)


def _ticks(count: int) -> list[int]:
    return list(range(0, count, max(1, (count + 5) // 6)))


def _number(value: float, logarithmic: bool) -> str:
    return f"{10**value:.3g}" if logarithmic else f"{value:.2f}"


def _marks(panel: plt.Axes, flags: pd.DataFrame) -> None:
    wells = flags.groupby("Metadata_Well")["excluded"].max()
    if not len(wells):
        return
    places = well_places(wells.index) - 1
    ring = {"facecolors": "none", "edgecolors": "#d55e00", "linewidths": 1.1, "s": MARK_PX}
    panel.scatter(places[:, 1], places[:, 0], marker="o", **ring)
    gone = places[wells.to_numpy() == 1]
    panel.scatter(gone[:, 1], gone[:, 0], marker="x", c="#d55e00", linewidths=1.1, s=MARK_PX * 0.6)


def main(argv: Sequence[str] | None = None) -> None:
    """Draw a plate's image quality, laid out as the plate is."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: channels, dpi")
    parser.add_argument("--measures", type=Path, required=True)
    parser.add_argument("--flags", type=Path, required=True)
    parser.add_argument("--figure", type=Path, required=True)
    args = parser.parse_args(argv)
    tables = [store.read_table(path) for path in (args.measures, args.flags)]
    with plt.rc_context(STYLE):
        save(quality_figure(*tables, args.settings["channels"]), args.figure, args.settings["dpi"])


if __name__ == "__main__":
    run(main)
