"""Show a plate's wells as they lie: PCC and cells of every arm, beside the real cells."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.report.figures.plate_layout import plate_figure
from brightpaint.report.style import STYLE, as_text, save


def well_means(table: pd.DataFrame, column: str, how: str = "mean") -> pd.Series:
    """Reduce a table of fields (and channels) to one value a well."""
    return table.groupby("Metadata_Well")[column].agg(how)


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
        title = f"{as_text(name, 24)}: {int(cells[name].sum()):,} cells"
        return {"title": title, "label": "cells in a well", "values": cells[name], "limits": most, "form": ".0f"}

    panels = [[None, count_panel("real")]] if "real" in cells else []
    for name, values in pccs.items():
        title = f"{as_text(name, 24)}: PCC {values.mean():.2f}, lowest {values.min():.2f}"
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


def main(argv: Sequence[str] | None = None) -> None:
    """Draw PCC and cells of each well of a plate."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: dpi")
    parser.add_argument("--plate", required=True)
    parser.add_argument("--fields", type=Path, required=True)
    parser.add_argument("--arms", nargs="+", required=True)
    parser.add_argument("--scores", type=Path, nargs="+", required=True, help="scores of single fields, one an arm")
    parser.add_argument("--medians", type=Path, nargs="*", default=[], help="field medians in folders named by arm")
    parser.add_argument("--figure", type=Path, required=True)
    args = parser.parse_args(argv)
    store.one_engine(args.medians)
    tables = {arm: store.read_table(path) for arm, path in zip(args.arms, args.scores)}
    arms = {arm: table[table["Metadata_Plate"] == args.plate] for arm, table in tables.items()}
    counts = {path.parent.name: store.read_fields(path) for path in args.medians}
    with plt.rc_context(STYLE):
        save(plate_page(arms, counts, store.read_fields(args.fields)), args.figure, args.settings["dpi"])


if __name__ == "__main__":
    run(main)
