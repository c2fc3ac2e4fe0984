"""Lay what was measured of wells out as they lie on the plate."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.image import AxesImage

from brightpaint.profiles.treatments import well_places
from brightpaint.study.choice import row_letters

SEQUENTIAL = "viridis"
WITHOUT_WELL = "0.88"  # the grey of places where nothing was measured
NUMBERED_COLUMNS = 12  # on wider plates the numbers in the wells could not be read


def plate_grid(values: pd.Series, rows: int, columns: int) -> np.ndarray:
    """Lay values by well out as the plate lies: (rows, columns), NaN where there is no well of that name."""
    grid = np.full((rows, columns), np.nan)
    for (row, column), value in zip(well_places(values.index), values):
        if np.isfinite(row):
            grid[int(row) - 1, int(column) - 1] = value
    return grid


def plate_figure(panels: Sequence[Sequence[dict | None]], controls: Sequence[str]) -> plt.Figure:
    """Draw well-layout heat maps in rows and columns.

    Parameters
    ----------
    panels : rows of panels: `title`, `label` (of the colour bar), `values` (one a well), `limits`, `form` (of the numbers);
        None for an empty place
    controls : wells of DMSO, marked by a dot

    Notes
    -----
    The plate is drawn as far as its last row and column that hold anything, at least; missing wells are grey.
    """
    wells = sorted({well for row in panels for panel in row if panel for well in panel["values"].index} | set(controls))
    places = well_places(wells)
    places = places[np.isfinite(places).all(axis=1)].astype(int)
    height, width = places.max(axis=0) if len(places) else (1, 1)
    side = (max(3.2, min(6.4, 0.36 * width + 1.6)), max(1.7, min(4.6, 0.3 * height + 0.9)))
    size = (side[0] * len(panels[0]), side[1] * len(panels))
    figure, axes = plt.subplots(len(panels), len(panels[0]), figsize=size, layout="constrained", squeeze=False)
    dots = well_places(controls)
    for place, panel in zip(axes.flat, (panel for row in panels for panel in row)):
        if panel is None:
            place.set_axis_off()
            continue
        drawn = _well_map(place, panel, (height, width), dots)
        figure.colorbar(drawn, ax=place, shrink=0.85, label=panel["label"])
    return figure


def _well_map(place: plt.Axes, panel: dict, shape: tuple[int, int], dots: np.ndarray) -> AxesImage:
    """Draw one heat map of wells: `shape` is the plate's rows and columns, `dots` (n, 2) the places of DMSO."""
    height, width = shape
    grid = np.ma.masked_invalid(plate_grid(panel["values"], height, width))
    low, high = panel["limits"]
    drawn = place.imshow(grid, cmap=SEQUENTIAL, vmin=low, vmax=high, extent=(0.5, width + 0.5, height + 0.5, 0.5))
    place.set_facecolor(WITHOUT_WELL)
    numbered = width <= NUMBERED_COLUMNS
    corner = np.array([0.33, 0.36]) if numbered else np.zeros(2)  # beside the number, if there is one
    place.scatter(*(dots - corner).T[::-1], s=12, c="white", edgecolors="black", linewidths=0.7)
    for (row, column), value in np.ndenumerate(grid.filled(np.nan)) if numbered else ():
        if np.isfinite(value):
            colour = "white" if value < (low + high) / 2 else "black"
            words = format(value, panel["form"])
            place.text(column + 1, row + 1, words, ha="center", va="center", fontsize=8, color=colour)
    place.set_xticks(range(1, width + 1, 1 if width <= 12 else 2))
    place.set_yticks(range(1, height + 1), [row_letters(row) for row in range(1, height + 1)])
    place.tick_params(labelsize=8, length=0)
    place.spines[:].set_visible(False)
    place.set_title(panel["title"], fontsize=10, loc="left")
    return drawn
