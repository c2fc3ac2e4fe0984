"""Find the axis from one control class of wells to another in a space, and place every well and treatment on it.

The axis is the normal of the plane by which a linear SVM tells the classes C+ and C- apart, as in GAN-DL (Mascolini et al. 2022;
its effectiveness axis runs from infected to mock). Each control well is placed by a machine that it was held out of
(brightpaint.profiles.held_out), every other one by the mean of the four. The on-score is scaled so that the means of the controls
so placed are +1 and -1: in sample, fewer wells than numbers are told apart whatever they are. The off-score is the norm of what is
left after the projection, `off_1` its first component, both centred on the controls and in the unit of the on-score.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t as student

from brightpaint import store
from brightpaint.base import cli
from brightpaint.profiles.dose_series import SERIES, completed, measured
from brightpaint.profiles.held_out import FOLDS, Split, deal, shuffles, splits_of
from brightpaint.profiles.off_axis import off_scores
from brightpaint.profiles.separation import OutOfFold, cross_fit, told_apart
from brightpaint.profiles.well_numbers import read_wells, refuse_lost
from brightpaint.study.annotations import treatment_name
from brightpaint.study.axes import classes_of, group_names, protocol_name, refuse_classes, tested_plates, text_of
from brightpaint.study.spaces import SPACES

TREATMENT = ["Metadata_treatment", "Metadata_perturbation", "Metadata_dose", *SERIES]
SCORES = ["on", "off", "off_1"]
PLACED = [*store.WELL_KEYS, *TREATMENT, "Metadata_control_type", "class", "fold", "tested", "called", *SCORES, "reason"]
TREATED = [*TREATMENT, "class", *SCORES, "on_low", "on_high", "wells", "plates"]
TOLD = ["cell_line", "fitted", "metric", "value", "low", "high", "null", "p", "wells", "groups", "cost", "folds", "protocol",
        "seen_by", "reason"]  # fmt: skip
ALL, LINE = "all wells", "its line alone"  # on which the machine was fitted
NO_CELLS = "no cells"
log = logging.getLogger(__name__)


def class_labels(wells: pd.DataFrame, entry: Mapping) -> np.ndarray:
    """Return (n,) 1 for wells of C+, 0 of C-, -1 of neither."""
    values, labels = text_of(wells, entry["annotation"]), np.full(len(wells), -1)
    for number, own in enumerate(classes_of(entry).values()):
        labels[values.isin(own).to_numpy()] = number
    return labels


def check(
    wells: pd.DataFrame,
    values: np.ndarray,
    labels: np.ndarray,
    entry: Mapping,
    where: str,
    every: pd.DataFrame | None = None,
) -> None:
    """Refuse wells whose classes can't be told apart: one too small or confined to plates of its own, numbers that don't vary.

    `every` well is named too where some were left out for want of a number.
    """
    refuse_lost(wells if every is None else every, wells, refuse_classes(wells, entry, where), where)
    controls = labels >= 0
    if not (values[controls].std(axis=0) > 0).any():
        raise ValueError(f"{where}: none of {values.shape[1]} numbers differs between {int(controls.sum())} control wells; "
                         "look at their images, and leave the space out")  # fmt: skip


def judge_axis(
    wells: pd.DataFrame, values: np.ndarray, labels: np.ndarray, settings: Mapping, name: str
) -> tuple[OutOfFold, list[Split], np.ndarray, list[dict]]:
    """Fit the axis of some wells, and judge it.

    Parameters
    ----------
    wells : (n rows) by plate and well
    values : (n, p) finite
    labels : see `class_labels`
    settings : see `axis`
    name : seeds the splits, which are the same in every arm and space

    Returns
    -------
    told, splits, (n,) fold of each control (-1 of others), and what was measured (`separation.told_apart`), by cell line
    """
    controls, groups = labels >= 0, group_names(wells, settings["groups"]).to_numpy()
    plates = wells["Metadata_Plate"].astype(str).to_numpy()
    fold = np.full(len(wells), -1)
    fold[controls] = deal(labels[controls], groups[controls], FOLDS, name)
    splits = list(splits_of(values, labels, fold, plates if settings["normalise"] == "plate" else None, f"axes.{name}"))
    told, null, shuffled = cross_fit(splits, labels, groups, name), [], labels.copy()
    own = (each[controls] for each in (labels, groups, plates, fold))
    for other in shuffles(*own, draws=settings["permutations"], seed=name):
        shuffled[controls] = other
        null.append(
            (shuffled.copy(), cross_fit(splits, shuffled, groups, name, told.costs))
        )  # C anew would take 16 times as long
    counts = (
        wells["Metadata_Plate"]
        .isin(tested_plates(sorted(set(plates)), settings["seen"], settings["protocol"]))
        .to_numpy()
    )
    lines = sorted(set(wells.loc[controls, "Metadata_cell_line"]) - {""})
    masks = {"": counts} | {
        line: counts & (wells["Metadata_cell_line"] == line).to_numpy() for line in lines if len(lines) > 1
    }
    return told, splits, fold, told_apart(labels, told, groups, null, masks, seed=name, draws=settings["bootstrap"])


def scaled(told: OutOfFold, labels: np.ndarray, counts: np.ndarray, where: str) -> tuple[float, float, str]:
    """Return middle and half distance of the controls' means as they were placed held out, and why there is no scale, if so."""
    low, high = (float(told.distance[counts & (labels == number)].mean()) for number in (0, 1))
    if not high > low:
        reason = "held out, C+ lies no further along the axis than C-: there is no axis"
        log.warning("%s: %s", where, reason)
        return float("nan"), float("nan"), reason
    return (high + low) / 2, (high - low) / 2, ""


def axis(
    wells: pd.DataFrame, numbers: Sequence[str], settings: Mapping
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Place wells on the axis between two classes of them.

    Parameters
    ----------
    wells : one row a well: Metadata_* and `numbers`
    settings : an entry of `axes`: name, annotation, positive and negative (lists of its values), groups (what is held out
        together), normalise (plate, none), protocol (strict, seen), permutations, bootstrap (draws); and seen, {what was fitted on
        images: plates}

    Returns
    -------
    placed : one row a well: PLACED; `class` is + or -, "" of neither; on, off and off_1 are NaN where `reason` says why
    treated : one row a treatment, cell line and time: TREATED, with the 95% interval of the mean (Student's) of several wells
    told : one row a metric, cell line ("" for all) and machine: TOLD

    Raises
    ------
    ValueError
        for wells of which no axis can be had: a class that isn't there, has one group, or shares no plate with the other; numbers
        that do not vary; by `strict` no two groups of each class that nothing saw
    """
    where = f"axes.{settings['name']}"
    every = completed(wells.copy()).sort_values(store.WELL_KEYS, ignore_index=True).copy()  # in one block
    if "Metadata_treatment" not in every:
        every["Metadata_treatment"] = list(map(treatment_name, every["Metadata_perturbation"], every["Metadata_dose"]))
    every["Metadata_cell_line"] = every["Metadata_cell_line"].fillna("")
    chosen, values = measured(every, numbers, where=where)
    chosen = chosen[[name for name in chosen if name.startswith("Metadata_")]].copy()
    labels = class_labels(chosen, settings)
    check(chosen, values, labels, settings, where, every)
    allowed = tested_plates(sorted(set(chosen["Metadata_Plate"])), settings["seen"], settings["protocol"])
    counts = chosen["Metadata_Plate"].isin(allowed).to_numpy() & (labels >= 0)
    groups = group_names(chosen, settings["groups"])
    for number, name in enumerate(classes_of(settings)):
        if (left := groups[counts & (labels == number)].nunique()) < 2:
            raise ValueError(f"{where}: protocol strict leaves class {name} {left} of its wells or groups on plates that "
                             f"nothing saw ({', '.join(allowed) or 'none'}), expected two or more; set protocol: seen, which the "
                             "results name")  # fmt: skip
    told, splits, fold, rows = judge_axis(chosen, values, labels, settings, settings["name"])
    middle, half, reason = scaled(told, labels, counts, where)
    off, first = off_scores(splits, told, labels)
    placed = chosen.assign(**{"class": np.array(["-", "+", ""])[labels], "fold": fold, "tested": counts.astype(int),
                              "called": np.array(["-", "+", ""])[told.called], "on": (told.distance - middle) / half,
                              "off": off / half, "off_1": first / half, "reason": reason})  # fmt: skip
    lost = every.merge(chosen[store.WELL_KEYS], on=store.WELL_KEYS, how="left", indicator=True)["_merge"].eq(
        "left_only"
    )
    empty = every[lost.to_numpy()]
    names = np.array(["-", "+", ""])[class_labels(empty, settings)]
    empty = empty.assign(**{"class": names, "fold": -1, "tested": 0, "called": "", "reason": NO_CELLS}).reindex(
        columns=PLACED
    )
    placed = pd.concat([placed[PLACED], empty], ignore_index=True) if len(empty) else placed[PLACED]
    placed = placed.sort_values(store.WELL_KEYS, ignore_index=True)
    protocol, seen_by = protocol_name(chosen.loc[counts, "Metadata_Plate"], settings["seen"])
    shared = {"folds": len(splits), "protocol": protocol, "seen_by": seen_by}
    table = told_table(rows, ALL, {**shared, "cost": costs(told), "reason": reason})
    return (
        placed,
        treatment_table(placed),
        pd.concat([table, *by_line(chosen, values, labels, settings, shared)], ignore_index=True),
    )


def costs(told: OutOfFold) -> str:
    """Return the C of each split, in their order."""
    return " ".join(f"{cost:g}" for cost in told.costs)


def told_table(rows: Sequence[dict], fitted: str, shared: Mapping) -> pd.DataFrame:
    """Lay out what was measured of a machine: TOLD."""
    frame = pd.DataFrame(list(rows)).rename(columns={"part": "cell_line", "n": "wells"})
    return frame.assign(fitted=fitted, **shared).reindex(columns=TOLD)


def by_line(
    wells: pd.DataFrame, values: np.ndarray, labels: np.ndarray, settings: Mapping, shared: Mapping
) -> list[pd.DataFrame]:
    """Fit an axis to each of several cell lines by itself, as the paper has it; where that can't be, say why."""
    tables, lines = [], sorted(set(wells.loc[labels >= 0, "Metadata_cell_line"]) - {""})
    for line in lines if len(lines) > 1 else []:
        own = (wells["Metadata_cell_line"] == line).to_numpy()
        part, name = wells[own].reset_index(drop=True), f"{settings['name']}/{line}"
        try:
            check(part, values[own], labels[own], settings, f"axes.{name}")
            told, splits, _, rows = judge_axis(part, values[own], labels[own], settings, name)
        except ValueError as error:
            reason = "; ".join(str(error).splitlines())
            tables.append(
                pd.DataFrame([{"cell_line": line, "fitted": LINE, **shared, "reason": reason}]).reindex(columns=TOLD)
            )
            continue
        rows = [{**row, "part": line} for row in rows if row["part"] == ""]
        more = {
            **shared,
            "folds": len(splits),
            "cost": costs(told),
            "reason": "" if rows else "no plate that nothing saw",
        }
        tables.append(told_table(rows or [{"part": line}], LINE, more))
    return tables


def mean_interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Return Student's interval of a mean; NaN of fewer than two values."""
    if len(values) < 2:
        return float("nan"), float("nan")
    reach = student.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean() - reach), float(values.mean() + reach)


def treatment_table(placed: pd.DataFrame) -> pd.DataFrame:
    """Return the mean scores of each treatment, cell line and time: TREATED, the highest on-score first."""
    rows, known = [], placed[(placed["Metadata_treatment"] != "") & np.isfinite(placed["on"])]
    for key, own in known.groupby(["Metadata_treatment", *SERIES], dropna=False, sort=True):
        low, high = mean_interval(own["on"].to_numpy())
        described = {name: own[name].iloc[0] for name in ("Metadata_perturbation", "Metadata_dose")}
        kinds = set(own["class"])
        rows.append({"Metadata_treatment": key[0], **described, **dict(zip(SERIES, key[1:])),
                     "class": kinds.pop() if len(kinds) == 1 else "",
                     **own[SCORES].mean(), "on_low": low, "on_high": high, "wells": len(own),
                     "plates": own["Metadata_Plate"].nunique()})  # fmt: skip
    table = pd.DataFrame(rows, columns=TREATED)
    return table.sort_values(
        ["on", "Metadata_treatment", *SERIES], ascending=[False, True, True, True], ignore_index=True
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Find the axis between two classes of an arm's wells in a space, and place every well on it."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--space", choices=list(SPACES), required=True)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: see axis")
    parser.add_argument("--wells", type=Path, required=True, help="profiles of wells in that space")
    parser.add_argument("--placed", type=Path, required=True, help="one row a well, to write")
    parser.add_argument("--treatments", type=Path, required=True, help="one row a treatment, to write")
    parser.add_argument("--accuracy", type=Path, required=True, help="how well the classes are told apart, to write")
    args = parser.parse_args(argv)
    wells, numbers = read_wells(args.wells, SPACES[args.space])
    placed, treated, told = axis(wells, numbers, args.settings)
    for row in told[told["metric"].notna()].itertuples():
        log.info("%s %s, %s: %.3f (%.3f to %.3f), shuffled %.3f, p %.2g; %s", row.cell_line or "all", row.metric, row.fitted,
                 row.value, row.low, row.high, row.null, row.p, row.protocol)  # fmt: skip
    for frame, path in ((placed, args.placed), (treated, args.treatments), (told, args.accuracy)):
        store.write_table(store.as_text(frame), path)


if __name__ == "__main__":
    cli.run(main)
