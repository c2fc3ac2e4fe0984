"""Lay the arms out as the paper's Tables 1 and 2 do: one row a pair of labels, one page and one TSV a table.

Table 1 has the models trained on all perturbations, by the label in training and in sampling, scored on full plates;
Table 2 those trained on the active subset, by the label of AdaGN and of classifier guidance (CG), scored on the actives. Then come
arms that the paper has not (wrong labels, regression, floors), then what the tables call GT, and brightfield.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.report import pages
from brightpaint.report.tables.metrics_table import best_value, cell, head_of
from brightpaint.scores.columns import BY_KEY, LEAKING, REFERENCES, Column

# The paper's columns in its order, then what it has not; those that no arm has are left out.
SHOWN = ("pcc", "fid", "kid", "ssim", "ssim_paper", "mse", "mae", "nn", "nn_paper", "top5", "top5_paper", "mtdist", "mtdist_paper",
         "cpcor", "map_target", "map_replicate")  # fmt: skip
OWN_SPACES = ("images", "cellprofiler")
SUBSET = {1: "full", 2: "active"}
TITLES = {
    1: "Table 1: full plates, by the label in training and in sampling",
    2: "Table 2: the active subset, by the label of AdaGN and of classifier guidance (CG)",
}
HEADS = {1: ("label in training", "label in sampling"), 2: ("AdaGN", "CG")}
ORDER = ["none", "pert", "target"]
NUMBERS = ["value", "low", "high", "null", "null_bound", "floor"]
log = logging.getLogger(__name__)


def rows_of_table(arms: Sequence[Mapping], number: int) -> tuple[list[dict], str]:
    """Choose and order the arms of one table.

    Parameters
    ----------
    arms : name, kind, label (none, perturbation, target), sampling_label (own, none, swapped), subset (all, active),
        classifier (the label it guides by, or None), folds
    number : 1 or 2

    Returns
    -------
    rows : the arms with `first` and `second`, the two labels as the paper words them
    remark : what to say where Table 2 has no model of its own
    """
    subset = {1: "all", 2: "active"}[number]
    chosen, remark = [arm for arm in arms if arm["subset"] == subset], ""
    if number == 2 and not chosen:
        chosen = list(arms)
        remark = ("No model of this study was trained on the active subset: these were trained on all perturbations, and are "
                  "scored on the active ones.")  # fmt: skip
    rows = [{**arm, **dict(zip(("first", "second"), labels_of(arm, number)))} for arm in chosen]

    def place(row: dict) -> tuple:
        known = row["kind"] == "diffusion" and row["first"] in ORDER
        words = row["second"].split()[0]
        return (not known, ORDER.index(row["first"]) if known else 0, ORDER.index(words) if words in ORDER else 9)

    return sorted(rows, key=place), remark  # stable: the config's order within a pair of labels


def labels_of(arm: Mapping, number: int) -> tuple[str, str]:
    """Return the two labels of an arm: in training and sampling (Table 1), of AdaGN and guidance (Table 2)."""
    short = {"none": "none", "perturbation": "pert", "target": "target"}
    trained, guide = short[arm["label"]], short[arm["classifier"] or "none"]
    if arm["kind"] != "diffusion":
        return {"regression": "regression"}.get(arm["kind"], f"{arm['kind']} (floor)"), trained
    shown = (
        "none"
        if trained == "none"
        else {"own": trained, "none": "none", "swapped": "wrong label"}[arm["sampling_label"]]
    )
    if number == 1:
        return trained, shown + (f" + CG {guide}" if guide != "none" else "")
    return (trained if shown == trained else f"{trained}, sampled with {shown}"), guide


def columns_of(frame: pd.DataFrame) -> list[tuple[str | None, Column]]:
    """Return (space, column) of the metrics there are; a space of other features follows with its name."""
    columns = []
    for space in [None, *sorted(set(frame["space"]) - set(OWN_SPACES))]:
        part = frame[frame["space"].isin(OWN_SPACES) if space is None else frame["space"] == space]
        for key in SHOWN:
            if key in BY_KEY and (part["metric"] == key).any():
                column = BY_KEY[key]
                title = column.title if space is None else f"{column.title}, {space}"
                columns.append((space, Column(key, title, column.better, column.digits, column.meaning)))
    return columns


def of_space(frame: pd.DataFrame, space: str | None) -> pd.DataFrame:
    return frame[frame["space"].isin(OWN_SPACES) if space is None else frame["space"] == space]


def tidy_table(frame: pd.DataFrame, rows: Sequence[Mapping], number: int) -> pd.DataFrame:
    """Return what the page shows, one row a number: labels, whether the arm is told the target, metric, plate, fold."""
    heads = {"real": ("GT", "Cell Painting"), "brightfield": ("GT", "brightfield"), "lookup": ("lookup", "no image")}
    described = {row["name"]: (row["first"], row["second"], row["leaking"], row["folds"]) for row in rows}
    frame = frame[frame["arm"].isin([*described, *heads])]
    parts = []
    for arm, part in frame.groupby("arm", sort=False):
        first, second, leaking, folds = described.get(arm, (*heads.get(arm, ("", "")), False, {}))
        parts.append(
            part.assign(first=first, second=second, leaking=int(leaking), fold=part["plate"].map(folds).fillna(""))
        )
    keys = ["arm", "first", "second", "leaking", "metric", "space", "plate", "fold"]
    return (
        pd.concat(parts, ignore_index=True)[[*keys, *NUMBERS, "n"]]
        if parts
        else pd.DataFrame(columns=[*keys, *NUMBERS, "n"])
    )


def table_rows(frame: pd.DataFrame, rows: Sequence[Mapping], columns: Sequence[tuple]) -> list[pages.Row]:
    """Return the rows: arms by labels, then look-up, GT and brightfield."""
    told = [row["name"] for row in rows if row["leaking"]]
    lines = []
    for row in rows:
        part, cells = frame[frame["arm"] == row["name"]], []
        for space, column in columns:
            best = np.nan if row["leaking"] else best_value(of_space(frame, space), column, told)
            cells.append(cell(of_space(part, space).query("metric == @column.key"), column, best))
        mark = f" {LEAKING}" if row["leaking"] else ""
        words = (row["first"], row["second"] + mark, row["name"])
        lines.append(pages.Row([*map(pages.Cell, words), *cells]))
    references = {
        "lookup": ("look-up", "no image"),
        "real": ("GT", "Cell Painting"),
        "brightfield": ("GT", "brightfield"),
    }
    for arm, words in references.items():
        part = frame[frame["arm"] == arm]
        cells = [
            cell(of_space(part, space).query("metric == @column.key"), column, np.nan) for space, column in columns
        ]
        if arm == "brightfield" and not len(part):
            cells = [brightfield_cell(frame, column) for _, column in columns]
        if len(part) or (arm == "brightfield" and frame["metric"].isin(list(REFERENCES)).any()):
            lines.append(pages.Row([*map(pages.Cell, (*words, arm)), *cells], reference=True))
    return lines


def brightfield_cell(frame: pd.DataFrame, column: Column) -> pages.Cell:
    """Return brightfield's own PCC where it was not embedded: the better of itself and its local s.d."""
    part = frame[(frame["arm"] == "real") & frame["metric"].isin(list(REFERENCES))]
    if column.key != "pcc" or part.empty:
        return cell(part[:0], column, np.nan)
    best = part.groupby("metric")["value"].mean().idxmax()
    return cell(part[part["metric"] == best], column, np.nan)


def page(frame: pd.DataFrame, rows: Sequence[Mapping], number: int, remark: str) -> str:
    """Render one table as a page that needs no network."""
    columns = columns_of(frame)
    heads = [*map(pages.Cell, (*HEADS[number], "arm")), *(head_of(column) for _, column in columns)]
    folds = {plate: fold for row in rows for plate, fold in row["folds"].items()}
    tested = ", ".join(f"fold {fold}: {plate}" for plate, fold in sorted(folds.items(), key=lambda pair: pair[::-1]))
    tidy = tidy_table(frame, rows, number).to_csv(
        sep="\t", index=False, lineterminator="\n", float_format="%.6g", na_rep="nan"
    )
    return pages.render(
        "paper_table.html", number=number, heading=TITLES[number], tested=tested, remark=remark, leaking=LEAKING,
        told=any(row["leaking"] for row in rows), tsv=tidy, arms=pages.Table(heads, table_rows(frame, rows, columns)),
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: arms, number")
    parser.add_argument("--metrics", type=Path, nargs="+", required=True, help="metrics tables, one an arm")
    parser.add_argument("--html", type=Path, required=True)
    parser.add_argument("--tsv", type=Path, required=True)
    args = parser.parse_args(argv)
    number = args.settings["number"]
    frame = pd.concat([store.read_table(path) for path in args.metrics], ignore_index=True)
    rows, remark = rows_of_table(args.settings["arms"], number)
    tested = {plate for row in rows for plate in row["folds"]}
    frame = frame[(frame["subset"] == SUBSET[number]) & (frame["channel"] == "all") & frame["plate"].isin(tested)]
    rows = [row for row in rows if (frame["arm"] == row["name"]).any()]
    tidy = tidy_table(frame, rows, number)
    store.write_table(store.as_text(tidy), args.tsv)
    with store.atomic(args.html) as temporary:
        temporary.write_text(page(frame, rows, number, remark))
    log.info("table %d: %d arms, %d numbers", number, len(rows), len(tidy))


if __name__ == "__main__":
    run(main)
