"""Lay the spaces of a study side by side: axes, zero-shot classes and replicates found, the critic beside all that it must beat.

A space of a trained critic is worth what it gains over the others on the same wells: `gain` is the critic's number less the
space's own, with the 95% interval of the difference when what is held out together is drawn anew. Above 0 as a whole, and not
before, the critic is the better.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base import resampling
from brightpaint.base.cli import run
from brightpaint.profiles.separation import auc
from brightpaint.report import pages
from brightpaint.scores.profiles.replicates_found import read_found
from brightpaint.study.axes import group_names
from brightpaint.study.critics import TRAINED
from brightpaint.study.spaces import SPACES

COLUMNS = ["question", "arm", "space", "metric", "value", "low", "high", "shuffled", "p", "gain", "gain_low", "gain_high",
           "wells", "protocol"]  # fmt: skip
ALL_LINES, FITTED = "", "all wells"
DRAWS = 1000
Wells = Mapping[str, np.ndarray]  # class (+ or -), called, and place on the axis, by their column's name
SHOWN = ("accuracy", "auc")
REPLICATES = "replicates found on other plates"


def place_of(path: Path) -> tuple[str, str, str]:
    """Return the (name, arm, space) of a table <name>/<arm>/<space>.<word>.tsv."""
    return path.parent.parent.name, path.parent.name, path.name.split(".")[0]


def is_critic(space: str) -> bool:
    """Return whether a space is a trained critic's."""
    return SPACES[space].encoder == TRAINED


def accuracy_of(wells: Wells) -> float:
    """Return the share of wells that are called what they are; NaN of none."""
    right = np.asarray(wells["called"]) == np.asarray(wells["class"])
    return float(right.mean()) if len(right) else float("nan")


def auc_of(wells: Wells) -> float:
    """Return the probability that a well of + lies further along the axis than one of -; NaN where there is no axis."""
    on = np.asarray(wells["on"], np.float64)
    return auc((np.asarray(wells["class"]) == "+").astype(int), on) if np.isfinite(on).all() else float("nan")


def tested_wells(path: Path, groups: str) -> pd.DataFrame:
    """Return the wells of an axis that count, by key, with the `group` that is held out together."""
    wells = store.read_table(path)
    if groups != "Well" and f"Metadata_{groups}" not in wells:
        groups = "Plate"  # the table of wells does not hold it: plates are the coarser unit that it does
    wells = wells.assign(group=group_names(wells, groups))
    for name in ("class", "called"):
        wells[name] = wells[name].fillna("").astype(str)
    return wells[wells["tested"].astype(int) == 1].set_index(store.WELL_KEYS)


def gained(
    critic: pd.DataFrame, other: pd.DataFrame, measure: Callable[[Wells], float], seed: str
) -> tuple[float, float, float]:
    """Return a critic's number less another space's on the wells of both, and its 95% interval over groups.

    Groups are drawn within their class (their first well's), so that no draw lacks one.
    """
    shared = critic.index.intersection(other.index)
    known = [name for name in ("class", "called", "on") if name in critic]
    sides = [{name: frame.loc[shared, name].to_numpy() for name in known} for frame in (critic, other)]
    classes, groups = sides[0]["class"], critic.loc[shared, "group"].to_numpy(str)
    if len(set(classes)) < 2:
        return (float("nan"),) * 3
    _, first, member = np.unique(groups, return_index=True, return_inverse=True)
    rows = [np.flatnonzero(member == number) for number in range(len(first))]
    pools = [np.flatnonzero(classes[first] == name) for name in sorted(set(classes[first]))]
    rng, draws = resampling.seeded(seed, "gain"), np.full(DRAWS, np.nan)
    for number in range(DRAWS):
        drawn = np.concatenate([rows[group] for pool in pools for group in rng.choice(pool, len(pool))])
        if len(set(classes[drawn])) > 1:
            one, two = (measure({name: values[drawn] for name, values in side.items()}) for side in sides)
            draws[number] = one - two
    return (measure(sides[0]) - measure(sides[1]), *resampling.interval(draws))


def axis_rows(accuracies: Sequence[Path], wells: Sequence[Path], groups: Mapping[str, str]) -> list[dict]:
    """Return the rows of all axes: accuracy and AUC over all cell lines, and what the critic gains."""
    told = {place_of(path): store.read_table(path) for path in accuracies}
    placed = {place_of(path): tested_wells(path, groups[place_of(path)[0]]) for path in wells}
    found = []
    for (name, arm, space), table in told.items():
        critics = [other for other in placed if other[:2] == (name, arm) and is_critic(other[2]) and other[2] != space]
        whole = table[(table["cell_line"].fillna("") == ALL_LINES) & (table["fitted"] == FITTED)].set_index("metric")
        for metric, measure in zip(SHOWN, (accuracy_of, auc_of)):
            if metric not in whole.index:
                continue
            row = whole.loc[metric]
            gain = {}
            if critics:
                own = placed[critics[0]], placed[name, arm, space]
                gain = dict(zip(("gain", "gain_low", "gain_high"), gained(*own, measure, f"{name}/{arm}/{metric}")))
            found.append({"question": f"axis {name}", "arm": arm, "space": space, "metric": metric, **gain,
                          **{key: row[key] for key in ("value", "low", "high", "p", "wells", "protocol")},
                          "shuffled": row["null"]})  # fmt: skip
    return found


def zero_shot_rows(accuracies: Sequence[Path]) -> list[dict]:
    """Return the rows of classes told apart zero-shot."""
    found = []
    for path in accuracies:
        name, arm, space = place_of(path)
        for row in store.read_table(path).to_dict("records"):
            if row["metric"] == SHOWN[0]:
                found.append({"question": f"zero-shot {name}, {row['classifier']}", "arm": arm, "space": space,
                              **{key: row[key] for key in ("metric", "value", "low", "high", "p", "wells", "protocol")},
                              "shuffled": row["null"]})  # fmt: skip
    return found


def mean_row(values: pd.Series, seed: str) -> dict[str, float]:
    """Return the mean over plates and treatments, with its 95% interval over treatments."""
    names = values.index.get_level_values(1)
    low, high = resampling.bootstrap_ratio(values.to_numpy(), np.ones(len(values)), names, resampling.seeded(seed))
    return {"value": float(values.mean()), "low": low, "high": high}


def replicate_rows(profiles: Mapping[str, Path]) -> list[dict]:
    """Return the rows of replicates found: mean average precision over treatments, in each space of real wells."""
    found = {space: read_found(path, f"replicates/{space}") for space, path in profiles.items()}
    critics = [space for space in found if is_critic(space)]
    rows = []
    for space, (values, null) in found.items():
        if not len(values):
            continue
        row = {
            "question": REPLICATES,
            "arm": "real",
            "space": space,
            "metric": "map_replicate",
            "shuffled": null.mean(),
        }
        row |= mean_row(values, f"replicates/{space}") | {"p": (1 + (null >= values.mean()).sum()) / (1 + len(null))}
        if critics and space not in critics:
            both = pd.concat([found[critics[0]][0], values], axis=1, join="inner")
            if len(both):
                gain = mean_row(both.iloc[:, 0] - both.iloc[:, 1], f"replicates/gain/{space}")
                row |= {"gain": gain["value"], "gain_low": gain["low"], "gain_high": gain["high"]}
        rows.append(row)
    return rows


def sentence(table: pd.DataFrame) -> str:
    """Say over what the trained critic is shown to gain, and over what not."""
    judged = table[np.isfinite(table["gain"].astype(float))]
    if not len(judged):
        return ""
    better, worse = judged["gain_low"] > 0, judged["gain_high"] < 0
    said = []
    for question, own in judged.groupby(["question", "metric"], sort=False):
        names = {"better than": own[better.loc[own.index]], "worse than": own[worse.loc[own.index]]}
        parts = [
            f"{word} {', '.join(SPACES[space].short for space in rows['space'])}"
            for word, rows in names.items()
            if len(rows)
        ]
        said.append(f"{question[0]} ({question[1]}): {' and '.join(parts) or 'told from no other space'}")
    return f"By intervals of the difference the trained critic is, on {'; on '.join(said)}."


def spaces_table(rows: Sequence[dict]) -> pd.DataFrame:
    """Return the table: question by question, in the order of the registry of spaces, the critic first."""
    table = pd.DataFrame(list(rows)).reindex(columns=COLUMNS)
    order = {name: number for number, name in enumerate(SPACES)}
    table["place"] = [-1 if is_critic(name) else order[name] for name in table["space"]]
    questions = {name: number for number, name in enumerate(dict.fromkeys(table["question"]))}
    table["first"] = table["question"].map(questions)
    table = table.sort_values(["first", "arm", "metric", "place"], kind="stable", ignore_index=True)
    return table.drop(columns=["place", "first"])


def laid(named: pd.DataFrame) -> pages.Table:
    """Lay the table out; of p three decimals are shown, since two of a column that reaches 1 would make a small one 0."""
    table, place = pages.table(named), list(named.columns).index("p")
    shown = [pages.EMPTY if pd.isna(p) else pages.Cell(f"{p:.3f}", value=str(p)) for p in named["p"]]
    rows = [
        pages.Row([*row.cells[:place], p, *row.cells[place + 1 :]], row.reference) for row, p in zip(table.rows, shown)
    ]
    return pages.Table(table.heads, rows, table.kind)


def page(table: pd.DataFrame) -> str:
    """Render the page."""
    named = table.assign(space=[SPACES[name].short for name in table["space"]], protocol=table["protocol"].fillna(""))
    tsv = table.to_csv(sep="\t", index=False, lineterminator="\n")
    return pages.render("spaces.html", sentence=sentence(table), spaces=laid(named), tsv=tsv)


def main(argv: Sequence[str] | None = None) -> None:
    """Lay the spaces of a study side by side."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--groups", type=json.loads, required=True, help="JSON: {axis: what is held out together}")
    for name in ("accuracies", "wells", "zero_shot", "profiles"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=Path, nargs="*", default=[])
    parser.add_argument("--tsv", type=Path, required=True)
    parser.add_argument("--html", type=Path, required=True)
    args = parser.parse_args(argv)
    rows = axis_rows(args.accuracies, args.wells, args.groups) + zero_shot_rows(args.zero_shot)
    rows += replicate_rows({path.parent.name: path for path in args.profiles})
    table = spaces_table(rows)
    store.write_table(store.as_text(table), args.tsv)
    with store.atomic(args.html) as temporary:
        temporary.write_text(page(table))


if __name__ == "__main__":
    run(main)
