"""Draw where an arm is right: feature groups by channel (the paper's Figure 5), and wells as they lie on the plate.

Pure functions of tables: nothing here opens an image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from brightpaint.scores import measures
from brightpaint.scores.profiles.matching import feature_names, joined_values, well_places
from brightpaint.study.choice import row_letters

NO_CHANNEL = "no stain"
DIVERGING = "RdBu_r"  # red and blue are told apart by colour-blind readers; the number stands in each cell besides
SEQUENTIAL = "viridis"
GROUPS = (
    "AreaShape",
    "Neighbors",
    "Location",
    "Correlation",
    "Granularity",
    "Intensity",
    "RadialDistribution",
    "Texture",
)
COLUMNS = 3  # panels side by side
WITHOUT_WELL = "0.88"  # the grey of places where nothing was measured
NUMBERED_COLUMNS = 12  # on wider plates the numbers in the wells could not be read


# --- features ------------------------------------------------------------------------------------


def feature_group(name: str) -> str:
    """Return the group of a CellProfiler feature: Nuclei_Texture_Contrast_DNA_3_00_64 -> Texture."""
    words = name.split("_")
    return words[1] if len(words) > 1 else name


def feature_channels(name: str, channels: Sequence[str]) -> list[str]:
    """Return the channels that a feature speaks of; two for a correlation of channels, `no stain` for a shape."""
    found = [channel for channel in channels if f"_{channel}_" in f"{name}_"]
    return found or [NO_CHANNEL]


def feature_scores(real: Mapping[str, pd.DataFrame], arm: Mapping[str, pd.DataFrame], names: set | None) -> pd.Series:
    """Correlate every feature with the real one across perturbations: the mean over plates, by feature.

    Parameters
    ----------
    real, arm : {plate: treated profiles, indexed by perturbation}; plates that only one of them has are left out
    names : the perturbations to take; None for all

    Returns
    -------
    one value a feature, NaN where the real feature is constant; empty where no plate has three common perturbations
    """
    plates = []
    for plate in sorted(set(real) & set(arm)):
        pair = [frame if names is None else frame[frame.index.isin(names)] for frame in (real[plate], arm[plate])]
        left, right = joined_values(*pair)
        if len(left) >= 3:
            features = [name for name in feature_names(pair[0]) if name in pair[1]]
            plates.append(pd.Series(measures.feature_correlations(left, right)[0], index=features))
    return pd.concat(plates, axis=1).mean(axis=1) if plates else pd.Series(dtype=np.float64)


def group_means(scores: pd.Series, channels: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Average features by group and channel.

    Returns
    -------
    means, counts : groups in rows, channels and `no stain` in columns, without rows or columns that hold no feature
    """
    said = scores.dropna()
    rows = [(feature_group(name), channel, value) for name, value in said.items()
            for channel in feature_channels(name, channels)]  # fmt: skip
    long = pd.DataFrame(rows, columns=["group", "channel", "value"])
    known = [group for group in GROUPS if (long["group"] == group).any()]
    order = known + sorted(set(long["group"]) - set(known)), [*channels, NO_CHANNEL]
    tables = [
        long.pivot_table(index="group", columns="channel", values="value", aggfunc=how) for how in ("mean", "count")
    ]
    means, counts = (table.reindex(index=order[0], columns=order[1]).dropna(axis=1, how="all") for table in tables)
    return means, counts.fillna(0).astype(int)


def feature_figure(arms: Mapping[str, pd.Series], channels: Sequence[str]) -> plt.Figure:
    """Draw one heat map an arm (after the paper's Figure 5), all in one colour scale.

    Parameters
    ----------
    arms : {name: one correlation a feature}, from `feature_scores`
    channels : the stains, in order
    """
    columns = min(COLUMNS, len(arms))
    rows = -(-len(arms) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(4.6 * columns + 0.9, 3.9 * rows), layout="constrained", squeeze=False
    )
    shown = None
    for place, (name, scores) in zip(axes.flat, arms.items()):
        if not scores.notna().any():
            place.set_title(name, fontsize=11)
            place.text(0.5, 0.5, "fewer than three\nperturbations to compare", ha="center", transform=place.transAxes)
            place.set_axis_off()
            continue
        means, counts = group_means(scores, channels)
        shown = place.imshow(means.to_numpy(), cmap=DIVERGING, vmin=-1, vmax=1, aspect="auto")
        place.set_xticks(range(len(means.columns)), means.columns)
        place.set_yticks(range(len(means)), means.index)
        place.tick_params(length=0)
        place.set_title(f"{name}: mean {scores.mean():.2f} of {int(scores.notna().sum())} features", fontsize=11)
        place.spines[:].set_visible(False)
        for (row, column), value in np.ndenumerate(means.to_numpy()):
            if np.isfinite(value):
                words = f"{value:.2f}\n({counts.iat[row, column]})"
                colour = "white" if abs(value) > 0.6 else "black"
                place.text(column, row, words, ha="center", va="center", fontsize=8, color=colour)
    for place in axes.flat[len(arms) :]:
        place.set_axis_off()
    if shown is not None:
        figure.colorbar(shown, ax=axes, shrink=0.6, label="mean correlation with the real feature")
    return figure


# --- plates --------------------------------------------------------------------------------------


def well_means(table: pd.DataFrame, column: str, how: str = "mean") -> pd.Series:
    """Reduce a table of fields (and channels) to one value a well."""
    return table.groupby("Metadata_Well")[column].agg(how)


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
        grid = np.ma.masked_invalid(plate_grid(panel["values"], height, width))
        low, high = panel["limits"]
        drawn = place.imshow(grid, cmap=SEQUENTIAL, vmin=low, vmax=high, extent=(0.5, width + 0.5, height + 0.5, 0.5))
        place.set_facecolor(WITHOUT_WELL)
        corner = (
            np.array([0.33, 0.36]) if width <= NUMBERED_COLUMNS else np.zeros(2)
        )  # beside the number, if there is one
        place.scatter(*(dots - corner).T[::-1], s=12, c="white", edgecolors="black", linewidths=0.7)
        for (row, column), value in np.ndenumerate(grid.filled(np.nan)) if width <= NUMBERED_COLUMNS else ():
            if np.isfinite(value):
                colour = "white" if value < (low + high) / 2 else "black"
                words = format(value, panel["form"])
                place.text(column + 1, row + 1, words, ha="center", va="center", fontsize=8, color=colour)
        place.set_xticks(range(1, width + 1, 1 if width <= 12 else 2))
        place.set_yticks(range(1, height + 1), [row_letters(row) for row in range(1, height + 1)])
        place.tick_params(labelsize=8, length=0)
        place.spines[:].set_visible(False)
        place.set_title(panel["title"], fontsize=10, loc="left")
        figure.colorbar(drawn, ax=place, shrink=0.85, label=panel["label"])
    return figure


def spread(values: Sequence[pd.Series], floor: float | None = None) -> tuple[float, float]:
    """Return one colour range for several maps; `floor` fixes its lower end."""
    every = np.concatenate([np.asarray(each, dtype=np.float64) for each in values]) if len(values) else np.zeros(0)
    every = every[np.isfinite(every)]
    low, high = (every.min(), every.max()) if len(every) else (0.0, 1.0)
    low = low if floor is None else floor
    return float(low), float(max(high, low + 1e-6))


def plate_page(
    arms: Mapping[str, pd.DataFrame], counts: Mapping[str, pd.DataFrame], fields: pd.DataFrame
) -> plt.Figure:
    """Draw a plate: per arm the PCC and the cells of each well, beside the real cells.

    Parameters
    ----------
    arms : {name: scores of single fields and channels of this plate}
    counts : {name: field medians of this plate}, `real` among them where cells were measured
    fields : the plate's field table
    """
    pccs = {name: well_means(table, "pcc") for name, table in arms.items()}
    cells = {name: well_means(table, "Metadata_cells", "sum") for name, table in counts.items()}
    most = spread(list(cells.values()), floor=0.0)

    def count_panel(name: str) -> dict | None:
        if name not in cells:
            return None
        title = f"{name}: {int(cells[name].sum()):,} cells"
        return {"title": title, "label": "cells in a well", "values": cells[name], "limits": most, "form": ".0f"}

    panels = [[None, count_panel("real")]] if "real" in cells else []
    for name, values in pccs.items():
        title = f"{name}: PCC {values.mean():.2f}, lowest {values.min():.2f}"
        panels.append([{"title": title, "label": "PCC, mean of stains", "values": values, "limits": spread([values]),
                        "form": ".2f"}, count_panel(name)])  # fmt: skip
    if not cells:
        panels = [row[:1] for row in panels]
    controls = fields.loc[fields["Metadata_control_type"] == "negcon", "Metadata_Well"].drop_duplicates()
    figure = plate_figure(panels, list(controls))
    if cells:
        figure.axes[0].text(0, 0.5, "dot: DMSO well\ngrey: no field of this well was scored\nPCC: each arm has a colour range of "
                            "its own\ncells: one range for all", va="center", fontsize=9)  # fmt: skip
    return figure
