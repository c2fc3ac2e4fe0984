"""Lay the metrics of every arm side by side: one HTML page that needs no network, and one tidy TSV.

The page follows the paper's Tables 1 (all perturbations) and 2 (active ones): arms in rows, metrics in columns.
Beside each number stand its interval, what chance gives, and its floor.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.report import pages
from brightpaint.report.tables import label_words, purposes
from brightpaint.scores.columns import (
    ARROWS,
    BY_CHANNEL,
    CODECS,
    COLUMNS,
    GROUPS,
    LEAKING,
    REFERENCES,
    SAMPLED,
    SAMPLED_IMAGES,
    SUBSETS,
    TARGET_METRICS,
    TRANSLATIONS,
    UNCERTAINTY,
    WITHOUT_PREDICTION,
    Column,
)
from brightpaint.study.kinds import CODEC
from brightpaint.study.spaces import APART, MAIN, SPACES


def over_plates(frame: pd.DataFrame) -> pd.Series:
    """Take the mean of one arm's rows over plates; an interval is one plate's and is kept only where there is one."""
    row = frame[["value", "low", "high", "null", "null_bound", "floor"]].mean()
    if len(frame) > 1:
        row[["low", "high"]] = np.nan
    return row


def cell(found: pd.DataFrame, column: Column, best: float) -> pages.Cell:
    """Return one number with its small print: interval, chance, floor."""
    if found.empty or not np.isfinite(found["value"]).any():
        return pages.EMPTY
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
    counts = sorted(set(found["n"].astype(int)))
    title = f"n {' / '.join(map(str, counts))}"
    return pages.Cell(show(row["value"]), f"{row['value']:.6g}", tuple(small), " ".join(kinds), title)


def best_value(frame: pd.DataFrame, column: Column, leaking: Sequence[str]) -> float:
    """Return the best mean over plates among predicted arms; NaN where fewer than two arms compete."""
    told = list(leaking) if column.key in TARGET_METRICS else []
    predicted = ~frame["arm"].isin([*WITHOUT_PREDICTION, *told])
    means = frame[(frame["metric"] == column.key) & predicted].groupby("arm")["value"].mean().dropna()
    if len(means) < 2 or not column.better:
        return float("nan")
    return float(means.max() if column.better > 0 else means.min())


def head_of(column: Column, space: str = "") -> pages.Cell:
    """Return a column's head, with an arrow towards the better and its meaning; it may name the space of its table."""
    return pages.Cell(f"{column.title.format(space=space)}{ARROWS[column.better]}", title=column.meaning)


def shown_name(arm: str, leaking: Sequence[str]) -> str:
    """Name an arm in a table: references in words, a mark on those that are shown the target."""
    return WITHOUT_PREDICTION.get(arm, f"{arm} {LEAKING}" if arm in leaking else arm)


def arms_table(
    frame: pd.DataFrame,
    arms: Sequence[str],
    leaking: Sequence[str],
    wanted: Sequence[Column] = COLUMNS,
    space: str = "",
    ceilings: Sequence[str] = (),
) -> pages.Table:
    """Return one table of one subset, arms by metrics, then the reference rows; without rows where no metric is there.

    `space` is the space that heads name. `ceilings` are arms that were shown the real stains: they compete for no "best".
    """
    frame = frame[frame["channel"] == "all"]
    columns = [column for column in wanted if (frame["metric"] == column.key).any()]
    heads, rows = [pages.Cell("arm"), *(head_of(column, space) for column in columns)], []
    if not columns:
        return pages.Table(heads, rows)
    references = [name for name in WITHOUT_PREDICTION if name in arms]
    for arm in [name for name in arms if name not in references] + references:
        part, reference = frame[frame["arm"] == arm], arm in [*references, *ceilings]
        cells = []
        for c in columns:
            told = arm in leaking and c.key in TARGET_METRICS
            competing = frame[~frame["arm"].isin(ceilings)]
            best = np.nan if reference or told else best_value(competing, c, leaking)
            cells.append(cell(part[part["metric"] == c.key], c, best))
        if len(part[part["metric"].isin([c.key for c in columns])]):
            rows.append(pages.Row([pages.Cell(shown_name(arm, leaking)), *cells], reference))
    for key, name in REFERENCES.items() if any(c.key == "pcc" for c in columns) else ():
        part = frame[(frame["arm"] == "real") & (frame["metric"] == key)]
        cells = [cell(part if c.key == "pcc" else part[:0], c, np.nan) for c in columns]
        rows += [pages.Row([pages.Cell(name), *cells], reference=True)] if len(part) else []
    return pages.Table(heads, rows)


def channel_table(
    frame: pd.DataFrame, arms: Sequence[str], column: Column, leaking: Sequence[str], ceilings: Sequence[str] = ()
) -> pages.Table:
    """Return one metric of images per channel: arms by channels, then for PCC brightfield; `ceilings` as in `arms_table`."""
    channels = list(dict.fromkeys(frame.loc[frame["space"] == "images", "channel"]))
    rows, competing = [], frame[~frame["arm"].isin(ceilings)]
    for arm in [name for name in arms if name not in WITHOUT_PREDICTION]:
        part = frame[(frame["arm"] == arm) & (frame["metric"] == column.key)]
        each = [
            (part[part["channel"] == c], best_value(competing[competing["channel"] == c], column, leaking))
            for c in channels
        ]
        if len(part):
            cells = [cell(found, column, best) for found, best in each]
            rows.append(pages.Row([pages.Cell(shown_name(arm, leaking)), *cells], arm in ceilings))
    for key, name in REFERENCES.items() if column.key == "pcc" else ():
        part = frame[(frame["arm"] == "real") & (frame["metric"] == key)]
        cells = [cell(part[part["channel"] == c], column, np.nan) for c in channels]
        rows += [pages.Row([pages.Cell(name), *cells], reference=True)] if len(part) else []
    return pages.Table([pages.Cell(name) for name in ["arm", *channels]], rows)


def scored_alike(frame: pd.DataFrame) -> pd.DataFrame:
    """Keep the plates that some predicted arm was scored on, so that references are of the same plates."""
    predicted = set(frame.loc[~frame["arm"].isin(list(WITHOUT_PREDICTION)), "plate"])
    return frame[frame["plate"].isin(predicted)] if predicted else frame


def translation_tables(frame: pd.DataFrame, arms: Sequence[str], wanted: Sequence[Column] = TRANSLATIONS) -> dict:
    """Return {heading: table} of translations, one a space; what is told of their images stands with the cells' features."""
    own = frame[frame["arm"].isin(arms)]
    others = [name for name in SPACES if name != MAIN.name and (own["space"] == name).any()]
    parts = {"": own[~own["space"].isin(others)], **{SPACES[name].title: own[own["space"] == name] for name in others}}
    tables = {
        f"Translations{f', in the space of {title}' if title else ''}": arms_table(part, arms, [], wanted)
        for title, part in parts.items()
    }
    return {heading: table for heading, table in tables.items() if table.rows}


def page(
    frame: pd.DataFrame, arms: Sequence[str], leaking: Sequence[str] = (), roles: dict[str, dict] | None = None
) -> str:
    """Render the whole page; it holds its style, its script and its data.

    Parameters
    ----------
    frame : the metrics tables of all arms
    arms : in the order of the table
    leaking : those that are shown the target in sampling
    roles : {"shown": {arm: what it is shown}, for `label_words`; "kinds": {arm: what paints it}, for `purposes`; "unit" of the
        profiles, where it is not the perturbation; "translations": arms that predict nothing and have tables of their own}
    """
    roles = roles or {}
    ceilings = [arm for arm, role in roles.get("kinds", {}).items() if role == CODEC.role]
    translations = roles.get("translations", [])
    translated, arms = frame[frame["arm"].isin(translations)], [arm for arm in arms if arm not in translations]
    shown, sections = scored_alike(frame[~frame["arm"].isin(translations)]), []
    for subset, title in SUBSETS.items():
        part = shown[shown["subset"] == subset]
        if len(part):
            main = part[~part["space"].isin(APART)]
            tables = {
                name: arms_table(main, arms, leaking, wanted, ceilings=ceilings) for name, wanted in GROUPS.items()
            }
            for space in (SPACES[name] for name in APART):
                own = part[part["space"] == space.name]
                tables[space.apart] = arms_table(own, arms, leaking, space=space.short, ceilings=ceilings)
            for column in [*COLUMNS, *SAMPLED_IMAGES]:
                if column.key in BY_CHANNEL and (part["metric"] == column.key).any():
                    heading = f"{column.title[0].upper()}{column.title[1:]} by channel"
                    tables[heading] = channel_table(part, arms, column, leaking, ceilings)
            sections.append({"title": title, "tables": {name: table for name, table in tables.items() if table.rows}})
    apart = ", ".join(SPACES[name].short for name in APART if (shown["space"] == name).any())
    meanings = [c for c in [*COLUMNS, *UNCERTAINTY, *SAMPLED, *CODECS] if (shown["metric"] == c.key).any()]
    meanings += [c for c in TRANSLATIONS if (translated["metric"] == c.key).any()]
    return pages.render(
        "metrics.html", plates=", ".join(sorted({*shown["plate"], *translated["plate"]})), leaking=LEAKING,
        translations=translation_tables(translated, translations),
        told=bool(set(leaking) & set(shown["arm"])), sections=sections, unit=roles.get("unit", "perturbation"),
        purposes=purposes.table(shown, roles.get("kinds", {}), leaking),
        labels=label_words.sentences(shown, roles.get("shown", {})),
        meanings=[replace(column, title=column.title.format(space=apart)) for column in meanings],
        tsv=frame.to_csv(sep="\t", index=False, lineterminator="\n", float_format="%.6g", na_rep="nan"),
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arms", nargs="+", required=True, help="names, in the order of the table")
    parser.add_argument("--metrics", type=Path, nargs="+", required=True, help="metrics tables, one an arm")
    parser.add_argument("--leaking", nargs="*", default=[], help="arms that are shown the target in sampling")
    parser.add_argument(
        "--roles",
        type=json.loads,
        default={},
        help="JSON: {shown: {arm: unlabelled, labelled, guided or swapped}, "
        "kinds: {arm: network, regression, pixel or mean}, translations: [arm, ...]}",
    )
    parser.add_argument("--html", type=Path, required=True)
    parser.add_argument("--tsv", type=Path, required=True)
    args = parser.parse_args(argv)
    frame = pd.concat([store.read_table(path) for path in args.metrics], ignore_index=True)
    if list(dict.fromkeys(frame["arm"])) != args.arms:
        raise ValueError(f"metrics_table: expected metrics of {args.arms}, found {list(dict.fromkeys(frame['arm']))}")
    store.write_table(store.as_text(frame), args.tsv)
    with store.atomic(args.html) as temporary:
        temporary.write_text(page(frame, args.arms, args.leaking, args.roles))


if __name__ == "__main__":
    run(main)
