"""Draw a sweep: what each sampler gives against its evaluations of the network, and the table of all points."""

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
from brightpaint.report import pages
from brightpaint.report.style import LINES, STYLE, save

PANELS = {
    "pcc": "PCC with the real stain",
    "ssim": "SSIM",
    "detail": "detail: fine power, painted / real",
    "mmd2": "MMD² of features",
    "feature_distance": "feature distance, in MADs",
    "wall_s": "seconds a field",
}
DRAWN_PANELS = {  # where points were painted several times
    "energy": "energy score of cells",
    "spread_error": "spread of samples / error",
    "pcc_between": "PCC between samples",
}
MARKERS = "osD^vPX"
# heading, metric, column of the sweep's table, decimals, with interval
COLUMNS = [
    ("PCC", "pcc", "value", 3), ("- reference", "pcc", "difference", 3), ("SSIM", "ssim", "value", 3),
    ("- reference", "ssim", "difference", 3), ("detail", "detail", "value", 2),
    ("feature distance", "feature_distance", "value", 2), ("MMD²", "mmd2", "value", 3),
    ("MMD, increase", "mmd_increase", "value", 3), ("s a field", "wall_s", "value", 2), ("CPU-s", "cpu_s", "value", 2),
    ("times faster", "times_faster", "value", 1),
    ("PCC between samples", "pcc_between", "value", 3), ("spread / error", "spread_error", "value", 2),
    ("energy", "energy", "value", 3), ("- reference", "energy", "difference", 3), ("variogram", "variogram", "value", 3),
    ("CRPS", "crps", "value", 3), ("rank by PCC", "rank_pcc", "value", 0), ("by SSIM", "rank_ssim", "value", 0),
    ("by energy", "rank_energy", "value", 0), ("by spread / error", "rank_spread_error", "value", 0),
]  # fmt: skip


def line_of(frame: pd.DataFrame) -> pd.Series:
    """Name the line that each row belongs to: sampler, spacing, and what else differs from the default."""
    words = frame["sampler"] + ", " + frame["spacing"]
    words = words + frame["eta"].map(lambda eta: f", eta {eta:g}" if eta else "")
    return words + frame["label_scale"].map(
        lambda scale: "" if scale == 1 or pd.isna(scale) else f", label x {scale:g}"
    )


def sweep_figure(frame: pd.DataFrame) -> plt.Figure:
    """Draw every metric against evaluations of the network, one line a sampler and spacing, with 95% intervals.

    Parameters
    ----------
    frame : the sweep's table (docs/contracts.md)
    """
    titles = PANELS | DRAWN_PANELS
    shown = [name for name in titles if frame.loc[frame["metric"] == name, "value"].notna().any()]
    columns = 3
    rows = -(-len(shown) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(11, 3.1 * rows + 0.6), layout="constrained", squeeze=False)
    frame = frame.assign(line=line_of(frame))
    for name, ax in zip(shown, axes.flat):
        part = frame[frame["metric"] == name]
        for number, (line, each) in enumerate(part.groupby("line", sort=False)):
            each = each.sort_values("evaluations")
            spread = np.abs(each[["low", "high"]].to_numpy().T - each["value"].to_numpy())
            style = {"color": LINES[number % len(LINES)], "marker": MARKERS[number % len(MARKERS)]}
            bars = {"yerr": np.nan_to_num(spread)} if np.isfinite(spread).any() else {}
            ax.errorbar(
                each["evaluations"], each["value"], **bars, **style, label=line, capsize=2, markersize=4, linewidth=1.2
            )
        compared = part[part["reference"]]
        if len(compared):
            ax.axhline(compared["value"].iloc[0], color="0.5", linewidth=0.8, linestyle=":")
        ax.set(xscale="log", title=titles[name], xlabel="evaluations of the network")
        if name == "wall_s":
            ax.set_yscale("log")
        elif name in ("detail", "spread_error"):
            ax.axhline(1, color="0.8", linewidth=0.8)
        ax.grid(color="0.93")
    for ax in axes.flat[len(shown) :]:
        ax.set_axis_off()
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    return figure


def cell(rows: pd.DataFrame, column: str, digits: int) -> pages.Cell:
    """Return one number with its interval."""
    value = rows[column].iloc[0] if len(rows) else np.nan
    if not np.isfinite(value):
        return pages.EMPTY
    ends = ["low", "high"] if column == "value" else ["difference_low", "difference_high"]
    low, high = rows[ends].iloc[0]
    small = (f"[{low:.{digits}f}, {high:.{digits}f}]",) if np.isfinite(low) else ()
    return pages.Cell(f"{value:.{digits}f}", f"{value:.6g}", small)


def page(frame: pd.DataFrame, tsv: str) -> str:
    """Render the table of all points as a page that needs no network; `tsv` is its text, to download."""
    columns = [column for column in COLUMNS if frame.loc[frame["metric"] == column[1], "value"].notna().any()]
    heads = [pages.Cell(text) for text in ("point", "steps", "evaluations", *(column[0] for column in columns))]
    lines = []
    for _, rows in frame.groupby("name", sort=False):
        first = rows.iloc[0]
        name = line_of(rows).iloc[0] + (" (reference)" if first["reference"] else "")
        cells = [pages.Cell(name), *(pages.Cell(str(first[key]), str(first[key])) for key in ("steps", "evaluations"))]
        cells += [cell(rows[rows["metric"] == metric], column, digits) for _, metric, column, digits in columns]
        lines.append(pages.Row(cells, reference=bool(first["reference"])))
    plate, n = frame["plate"].iloc[0], frame["n"].iloc[0]
    drawn = frame["metric"].eq("spread_error").any()
    return pages.render("sweep.html", n=n, plate=plate, drawn=drawn, points=pages.Table(heads, lines), tsv=tsv)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: dpi")
    parser.add_argument("--metrics", type=Path, required=True, help="the sweep's table")
    for name in ("figure", "html", "tsv"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args(argv)
    frame = store.read_table(args.metrics)
    store.write_table(frame, args.tsv)
    with store.atomic(args.html) as temporary:
        temporary.write_text(page(frame, args.tsv.read_text()))
    with plt.rc_context(STYLE):
        save(sweep_figure(frame), args.figure, args.settings["dpi"])


if __name__ == "__main__":
    run(main)
