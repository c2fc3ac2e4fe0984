"""Lay the metrics of every arm side by side: one HTML page that needs no network, and one tidy TSV.

The page follows the paper's Tables 1 (all perturbations) and 2 (active ones): arms in rows, metrics in columns.
Beside each number stand its interval, what chance gives, and its floor.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import pages, store
from brightpaint.cli import run
from brightpaint.evaluation import label_words


@dataclass(frozen=True)
class Column:
    """A metric as the tables show it: key, heading, +1 if larger is better (-1 smaller, 0 neither), decimals, meaning."""

    key: str
    title: str
    better: int
    digits: int
    meaning: str


COLUMNS = [
    Column("pcc", "PCC", 1, 3, "Pearson correlation of pixels, mean over fields and channels. Floor: the largest |PCC| "
           "that a brightfield plane, or its local s.d., reaches by itself. Chance: the same prediction against "
           "another well's real image"),
    Column("ssim", "SSIM", 1, 3, "structural similarity, data range set to the cut-off of the z-scores"),
    Column("ssim_paper", "SSIM, range 2", 1, 3, "the same with data range 2, as published"),
    Column("mse", "MSE", -1, 3, "mean squared error of standardised images; nearly 2 (1 - PCC), so it adds nothing to it"),
    Column("mae", "MAE", -1, 3, "mean absolute error of standardised images"),
    Column("mse_raw", "MSE, raw", -1, 3, "mean squared error of the prediction as it came, not standardised again"),
    Column("fid", "FID", -1, 1, "Frechet Inception Distance of painted and real images, channel by channel as grey 8-bit "
           "pictures: how far the two heaps of images are apart, whichever well an image shows. It falls with the number of "
           "images: compare numbers of as many images only, and with the next column. Floor: a brightfield plane"),
    Column("fid_sampling", "FID, chance", 0, 1, "the FID that as many images have if real and painted ones change places at "
           "random, well by well: FID says nothing below it"),
    Column("kid", "KID", -1, 4, "kernel Inception distance: the same question, unbiased by the number of images and around 0 "
           "where nothing tells the heaps apart. Floor: a brightfield plane"),
    Column("background_noise", "background noise", 0, 2, "grain of the painted background over that of the real one: 1 is "
           "as real, above 1 the model adds noise (the paper's B.3), below 1 it paints smoother than the camera sees. An "
           "image of little contrast scores high too"),
    Column("cell_count", "cells, difference", 0, 2, "cells that CellProfiler finds in the painted wells beyond those in the "
           "real ones, as a share of these: 0 is right, 0.1 a tenth too many, -0.1 a tenth too few"),
    Column("cell_count_r", "cells, r", 1, 3, "correlation over wells of painted and real cell counts. Chance: shuffled wells"),
    Column("nuclei_f1", "nuclei F1", 1, 3, "nuclei that CellProfiler finds in the painted and the real field with an "
           "intersection over union above one half: 2 x matches over all nuclei of both, mean over fields. Chance: the same "
           "prediction against other wells. Floor: another well's real nuclei in place of the prediction"),
    Column("nuclei_dice", "nuclei Dice", 1, 3, "twice the area that lies in nuclei in both images, over both areas"),
    Column("nuclei_iou", "nuclei IoU", 1, 3, "best intersection over union of each real nucleus with a painted one, mean"),
    Column("cells_f1", "cells F1", 1, 3, "as for nuclei, with the outlines of whole cells"),
    Column("nn", "NN matches", 1, 1, "perturbations of a plate whose nearest neighbour shares a target. Floor: the "
           "nearest wells on the plate in place of the nearest profiles"),
    Column("nn_paper", "NN hits", 1, 1, "hits, a query counted more than once, as published"),
    Column("top5", "NN top 5", 1, 1, "the same for any of the five nearest"),
    Column("top5_paper", "top 5 hits", 1, 1, "hits among the five nearest, a query counted more than once, as published"),
    Column("map_target", "target mAP", 1, 3, "mean average precision: 1 if those that share a perturbation's target are its "
           "nearest of all, mean over targets. Floor: wells ranked by distance on the plate"),
    Column("failed_painted", "failed, painted", 0, 2, "simulated plates: share of the wells whose compound failed that are "
           "painted with its phenotype all the same, that is beyond half-way from the arm's DMSO wells to where the training "
           "plates show it"),
    Column("working_painted", "working, painted", 0, 2, "the same of wells whose compound worked: none if none is painted"),
    Column("map_replicate", "replicate mAP", 1, 3, "mean average precision: 1 if a perturbation's real replicates on other plates "
           "are the nearest of all their profiles. Floor: the nearest well on the plate is asked in its place"),
    Column("mtdist", "MTdist", -1, 3, "mean cosine distance of perturbations that share a target"),
    Column("mtdist_paper", "MTdist, last pairs", -1, 3, "the same, each target's last pair only, as published"),
    Column("cpcor", "CPcor", 1, 3, "mean over features of the correlation across perturbations with the real profiles "
           "(real Cell Painting: with other real plates). Floor: the perturbation's mean real profile on the other "
           "plates, no image used"),
    Column("embedding_r", "embedding r", 1, 3, "mean over the numbers of an embedding of their correlation, across "
           "perturbations, with the real stains' profiles (real Cell Painting and brightfield: with their own other plates). "
           "Floor: the mean real profile on the other plates"),
]  # fmt: skip
# A table of their own: beside the paper's columns they would not fit a screen.
FURTHER = [
    Column("feature_distance", "feature distance", -1, 2, "mean over the selected features of the difference between the "
           "medians of painted and real fields, in median absolute deviations of the real fields. Chance: the other real "
           "plates in place of a prediction"),
    Column("mmd2", "MMD²", -1, 3, "squared maximum mean discrepancy of the same features, all at once: 0 if painted fields "
           "are distributed as real ones (estimated without bias, so that it may fall below 0). Chance: the other real plates"),
    Column("embedding_distance", "DINO distance", -1, 2, "mean over the numbers of an embedding of the difference between the "
           "medians of painted and real fields, in median absolute deviations of the real fields; no cell is segmented. Chance: "
           "the other real plates in place of a prediction"),
    Column("embedding_mmd2", "DINO MMD²", -1, 3, "squared maximum mean discrepancy of whole embeddings: 0 if painted fields are "
           "distributed as real ones (it may fall below 0). Not a FID, whose network and formula are others. Chance: the other "
           "real plates"),
    Column("uncertainty", "uncertainty", 0, 3, "mean squared s.d. of a field's samples: one minus the PCC of two of them, "
           "which one minus PCC would equal if the real stain were one more sample"),
    Column("aurc", "AURC", -1, 3, "area under the risk-coverage curve: one minus PCC of the fields kept, averaged over all "
           "shares kept, when the most uncertain are set aside first. Chance: random order, which is the mean error"),
    Column("aurc_oracle", "AURC, oracle", 0, 3, "the same if the order were that of the errors themselves: the least possible"),
    Column("uncertainty_r", "uncertainty, r", 1, 3, "rank correlation over fields of uncertainty and one minus PCC"),
]  # fmt: skip
ARROWS = {1: " ↑", -1: " ↓", 0: ""}
SUBSETS = {
    "full": "All perturbations (as the paper's Table 1)",
    "active": "Active perturbations (as the paper's Table 2)",
}
BY_CHANNEL = ("pcc", "fid", "kid", "background_noise")
REFERENCES = {"pcc_brightfield": "brightfield itself", "pcc_brightfield_sd": "local s.d. of brightfield"}
# What an arm that is shown the target has been told: it competes for no "best" there.
TARGET_METRICS = ("nn", "nn_paper", "top5", "top5_paper", "map_target", "mtdist", "mtdist_paper")
LEAKING = "†"
WITHOUT_PREDICTION = {
    "lookup": "lookup: real training plates, no image",
    "real": "real Cell Painting",
    "brightfield": "brightfield",
}
EMBEDDED = "dino"  # its numbers are set apart: a match there is not a match among CellProfiler's features


def over_plates(frame: pd.DataFrame) -> pd.Series:
    """Take the mean of one arm's rows over plates; an interval is one plate's and is kept only where there is one."""
    row = frame[["value", "low", "high", "null", "null_bound", "floor"]].mean()
    if len(frame) > 1:
        row[["low", "high"]] = np.nan
    return row


def cell(found: pd.DataFrame, column: Column, best: float) -> str:
    """Render one number with its small print: interval, chance, floor."""
    if found.empty or not np.isfinite(found["value"]).any():
        return '<td data-value="">&ndash;</td>'
    row = over_plates(found)
    show = lambda value: f"{value:.{column.digits}f}"  # noqa: E731
    small, kinds = [], []
    if np.isfinite(row["low"]):
        small.append(f"[{show(row['low'])}, {show(row['high'])}]")
    if len(found) > 1:
        small += [f"{plate} {show(value)}" for plate, value in zip(found["plate"], found["value"])]
    if np.isfinite(row["null"]):
        small.append(f"chance {show(row['null'])}")
    if np.isfinite(row["floor"]):
        passed = column.better * (row["value"] - row["floor"]) > 0
        small.append(f"{'floor' if passed else 'below floor'} {show(row['floor'])}")
    if np.isfinite(row["null_bound"]) and column.better * (row["value"] - row["null_bound"]) <= 0:
        kinds.append("chance")
        small.append("within chance")
    if np.isclose(row["value"], best, atol=0.5 * 10**-column.digits, rtol=0):
        kinds.append("best")
    inside = "".join(f"<small>{escape(line)}</small>" for line in small)
    kind = f' class="{" ".join(kinds)}"' if kinds else ""
    counts = sorted(set(found["n"].astype(int)))
    return f'<td{kind} data-value="{row["value"]:.6g}" title="n {" / ".join(map(str, counts))}">{show(row["value"])}{inside}</td>'


def best_value(frame: pd.DataFrame, column: Column, leaking: Sequence[str]) -> float:
    """Return the best mean over plates among predicted arms; NaN where fewer than two arms compete."""
    told = list(leaking) if column.key in TARGET_METRICS else []
    predicted = ~frame["arm"].isin([*WITHOUT_PREDICTION, *told])
    means = frame[(frame["metric"] == column.key) & predicted].groupby("arm")["value"].mean().dropna()
    if len(means) < 2 or not column.better:
        return float("nan")
    return float(means.max() if column.better > 0 else means.min())


def table_row(name: str, cells: Sequence[str], *, reference: bool = False) -> str:
    kind = ' class="reference"' if reference else ""
    return f"<tr{kind}><td>{escape(name)}</td>{''.join(cells)}</tr>"


def shown_name(arm: str, leaking: Sequence[str]) -> str:
    """Name an arm in a table: references in words, a mark on those that are shown the target."""
    return WITHOUT_PREDICTION.get(arm, f"{arm} {LEAKING}" if arm in leaking else arm)


def arms_table(
    frame: pd.DataFrame, arms: Sequence[str], leaking: Sequence[str], wanted: Sequence[Column] = COLUMNS
) -> str:
    """Render the table of one subset: arms by metrics, then the reference rows."""
    frame = frame[frame["channel"] == "all"]
    columns = [column for column in wanted if (frame["metric"] == column.key).any()]
    head = "".join(f'<th title="{escape(c.meaning)}">{escape(c.title)}{ARROWS[c.better]}</th>' for c in columns)
    rows = []
    references = [name for name in WITHOUT_PREDICTION if name in arms]
    for arm in [name for name in arms if name not in references] + references:
        part, reference = frame[frame["arm"] == arm], arm in references
        cells = []
        for c in columns:
            told = arm in leaking and c.key in TARGET_METRICS
            best = np.nan if reference or told else best_value(frame, c, leaking)
            cells.append(cell(part[part["metric"] == c.key], c, best))
        if len(part[part["metric"].isin([c.key for c in columns])]):
            rows.append(table_row(shown_name(arm, leaking), cells, reference=reference))
    for key, name in REFERENCES.items() if any(c.key == "pcc" for c in columns) else ():
        part = frame[(frame["arm"] == "real") & (frame["metric"] == key)]
        cells = [cell(part if c.key == "pcc" else part[:0], c, np.nan) for c in columns]
        rows.append(table_row(name, cells, reference=True))
    return f"<table><thead><tr><th>arm</th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def channel_table(frame: pd.DataFrame, arms: Sequence[str], column: Column, leaking: Sequence[str]) -> str:
    """Render one metric of images per channel: arms by channels, then for PCC brightfield."""
    channels = list(dict.fromkeys(frame.loc[frame["space"] == "images", "channel"]))
    rows = []
    for arm in [name for name in arms if name not in WITHOUT_PREDICTION]:
        part = frame[(frame["arm"] == arm) & (frame["metric"] == column.key)]
        each = [
            (part[part["channel"] == c], best_value(frame[frame["channel"] == c], column, leaking)) for c in channels
        ]
        if len(part):
            rows.append(table_row(shown_name(arm, leaking), [cell(found, column, best) for found, best in each]))
    for key, name in REFERENCES.items() if column.key == "pcc" else ():
        part = frame[(frame["arm"] == "real") & (frame["metric"] == key)]
        cells = [cell(part[part["channel"] == c], column, np.nan) for c in channels]
        rows.append(table_row(name, cells, reference=True))
    head = "".join(f"<th>{escape(channel)}</th>" for channel in channels)
    return f"<table><thead><tr><th>arm</th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def scored_alike(frame: pd.DataFrame) -> pd.DataFrame:
    """Keep the plates that some predicted arm was scored on, so that references are of the same plates."""
    predicted = set(frame.loc[~frame["arm"].isin(list(WITHOUT_PREDICTION)), "plate"])
    return frame[frame["plate"].isin(predicted)] if predicted else frame


def page(
    frame: pd.DataFrame, arms: Sequence[str], leaking: Sequence[str] = (), roles: dict[str, str] | None = None
) -> str:
    """Render the whole page; it holds its style, its script and its data.

    Parameters
    ----------
    frame : the metrics tables of all arms
    arms : in the order of the table
    leaking : those that are shown the target in sampling
    roles : what each arm is shown, for `label_words`
    """
    shown = scored_alike(frame)
    sections = []
    for subset, title in SUBSETS.items():
        part = shown[shown["subset"] == subset]
        if len(part):
            embedded = (part["space"] == EMBEDDED) & ~part["metric"].isin([c.key for c in FURTHER])
            sections.append(f"<h2>{escape(title)}</h2>{arms_table(part[~embedded], arms, leaking)}")
            if embedded.any():
                heading = f"{title}: profiles by DINO, which segments no cell"
                sections.append(f"<h2>{escape(heading)}</h2>{arms_table(part[embedded], arms, leaking)}")
            if part["metric"].isin([c.key for c in FURTHER]).any():
                heading = f"Distributions of features, and uncertainty: {title[0].lower() + title[1:]}"
                sections.append(f"<h2>{escape(heading)}</h2>{arms_table(part[~embedded], arms, leaking, FURTHER)}")
            for column in COLUMNS:
                if column.key in BY_CHANNEL and (part["metric"] == column.key).any():
                    heading = f"{column.title} by channel: {title[0].lower() + title[1:]}"
                    heading = heading[0].upper() + heading[1:]
                    sections.append(f"<h2>{escape(heading)}</h2>{channel_table(part, arms, column, leaking)}")
    plates = ", ".join(sorted(set(shown["plate"])))
    meanings = "".join(
        f"<dt>{escape(c.title)}</dt><dd>{escape(c.meaning)}.</dd>"
        for c in [*COLUMNS, *FURTHER]
        if (shown["metric"] == c.key).any()
    )
    legend = (f"<p>{LEAKING} is shown the target in sampling, by its label or by a classifier: it has been told the answer that "
              "matches, mAP and MTdist ask for. They are no evidence there, and it is never the best in them.</p>"
              if set(leaking) & set(shown["arm"]) else "")  # fmt: skip
    tidy = frame.to_csv(sep="\t", index=False, lineterminator="\n", float_format="%.6g", na_rep="nan")
    body = f"""<p>Test plates: {escape(plates)}. Means over plates where there are several, each beside it. Square brackets: 95%
bootstrap interval within the plate (over wells for pixels and cells, targets for matches and mAP, perturbations for CPcor); it
does not speak of other batches. Blue: best predicted arm. Grey: within what chance reaches one time in twenty. Rows in italics
are references: what the training plates' real profiles say of a perturbation without any image (an arm that is shown
labels must do better), real cells, and brightfield without any prediction. Click a heading to sort.
{pages.download("metrics.tsv", tidy, "Download every number (TSV)")}.</p>
{legend}
{label_words.section(shown, roles or {})}
{"".join(sections)}
<h2>What the columns say</h2><dl>{meanings}</dl>"""
    return pages.page("metrics", "What the predictions are worth", body)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arms", nargs="+", required=True, help="names, in the order of the table")
    parser.add_argument("--metrics", type=Path, nargs="+", required=True, help="metrics tables, one an arm")
    parser.add_argument("--leaking", nargs="*", default=[], help="arms that are shown the target in sampling")
    parser.add_argument(
        "--roles", type=json.loads, default={}, help="JSON: {arm: unlabelled, labelled, guided or swapped}"
    )
    parser.add_argument("--html", type=Path, required=True)
    parser.add_argument("--tsv", type=Path, required=True)
    args = parser.parse_args(argv)
    frame = pd.concat([store.read_table(path) for path in args.metrics], ignore_index=True)
    if list(dict.fromkeys(frame["arm"])) != args.arms:
        raise ValueError(f"tables: expected metrics of {args.arms}, found {list(dict.fromkeys(frame['arm']))}")
    numbers = frame.select_dtypes("float").columns
    text = frame.assign(**{name: [f"{value:.6g}" for value in frame[name]] for name in numbers})
    store.write_table(text, args.tsv)
    with store.atomic(args.html) as temporary:
        temporary.write_text(page(frame, args.arms, args.leaking, args.roles))


if __name__ == "__main__":
    run(main)
