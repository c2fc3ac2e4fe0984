"""Tell classes of wells apart in numbers that were not made for them: cell lines, plates or studies that nothing was trained on.

As GAN-DL's test on the four cell types of RxRx1, but that whole groups are held out (brightpaint.profiles.held_out), and that the
nearest neighbour stands beside the linear SVM: what it tells apart lies apart. Another study's numbers are matched by name. Those
of channels that are not here are dropped; a channel that the other lacks is refused, since nothing stands for its numbers.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base import cli
from brightpaint.profiles.axis import check
from brightpaint.profiles.dose_series import completed, measured
from brightpaint.profiles.held_out import FOLDS, Split, deal, nearest, shuffles, splits_of
from brightpaint.profiles.separation import OutOfFold, cross_fit, told_apart
from brightpaint.profiles.well_numbers import read_wells
from brightpaint.study.axes import classes_of, group_names, protocol_name, tested_plates, text_of
from brightpaint.study.spaces import SPACES

SVM, NEIGHBOUR = "linear SVM", "nearest neighbour"
CONFUSION = ["classifier", "true", "called", "wells", "share"]
TOLD = [
    "classifier",
    "metric",
    "value",
    "low",
    "high",
    "null",
    "p",
    "wells",
    "groups",
    "classes",
    "folds",
    "numbers",
    "protocol",
    "seen_by",
]
log = logging.getLogger(__name__)


def matched_numbers(own: Sequence[str], other: Sequence[str], parts: pd.DataFrame, where: str) -> list[str]:
    """Return the numbers in which another study's wells are told apart: this study's, all of which it must have.

    Parameters
    ----------
    own, other : names of numbers, here and there
    parts : `channel` of this study's numbers, by name; several are joined by `|`
    where : names the other study

    Raises
    ------
    ValueError
        naming the channels, or the numbers of none, that the other lacks
    """
    missing = [name for name in own if name not in set(other)]
    if missing:
        channels = sorted(
            {channel for text in parts.loc[missing, "channel"] for channel in str(text).split("|") if channel}
        )
        there = {
            channel for name in own if name in set(other) for channel in str(parts.loc[name, "channel"]).split("|")
        }
        lost = [channel for channel in channels if channel not in there]
        what = (
            f"the channels {', '.join(lost)}" if lost else f"{len(missing)} numbers, {', '.join(missing[:3])} the first"
        )
        raise ValueError(f"{where}: it lacks {what}; expected every channel of this study's numbers by its name: rename it there, "
                         "or leave it out of the space here")  # fmt: skip
    log.info("numbers: %d; of the other study, dropped: %d", len(own), len(set(other) - set(own)))
    return list(own)


def neighbours(
    splits: Sequence[Split], labels: np.ndarray, near: Sequence[np.ndarray] | None = None
) -> tuple[OutOfFold, list[np.ndarray]]:
    """Return what the nearest training well of each held-out one is, and which well that is, split by split."""
    called = np.full(len(labels), -1)
    near = [nearest(split) for split in splits] if near is None else list(near)
    for split, others in zip(splits, near):
        called[split.held] = labels[others]
    return OutOfFold(called, np.full(len(labels), np.nan), [], []), near


def confusion(labels: np.ndarray, called: np.ndarray, names: Sequence[str], classifier: str) -> pd.DataFrame:
    """Return one row a true and a called class: CONFUSION; `share` is of the true class's wells."""
    rows = []
    for true, name in enumerate(names):
        own = labels == true
        for guess, other in enumerate(names):
            count = int((called[own] == guess).sum())
            rows.append((classifier, name, other, count, count / max(int(own.sum()), 1)))
    return pd.DataFrame(rows, columns=CONFUSION)


def zero_shot(wells: pd.DataFrame, numbers: Sequence[str], settings: Mapping) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tell classes of wells apart, each well by machines that saw none of its group.

    Parameters
    ----------
    wells : one row a well: Metadata_* and `numbers`
    settings : an entry of `zero_shot`: name, annotation, classes, groups, normalise, protocol, permutations; and seen, {what was
        fitted on images: plates}

    Returns
    -------
    confusion : CONFUSION of both classifiers
    told : one row a classifier and metric: TOLD
    """
    where = f"zero_shot.{settings['name']}"
    if not len(wells):
        raise ValueError(f"{where}: there are no wells; delete their profiles and rerun profile")
    every = completed(wells.copy()).sort_values(store.WELL_KEYS, ignore_index=True).copy()
    every = every[
        every["Metadata_Plate"].isin(
            tested_plates(sorted(set(every["Metadata_Plate"])), settings["seen"], settings["protocol"])
        )
    ]
    if not len(every):
        raise ValueError(
            f"{where}: protocol strict leaves no plate that nothing saw; set protocol: seen, which the results name"
        )
    every = every.assign(known=text_of(every, settings["annotation"]))
    names = list(classes_of(settings)) or sorted(set(every["known"]) - {""})
    every = every[every["known"].isin(names)].drop(columns="known").reset_index(drop=True)
    chosen, values = measured(every, numbers, where=where)
    values_of = text_of(chosen, settings["annotation"])
    labels = np.array([names.index(name) for name in values_of], dtype=np.int64)
    check(chosen, values, labels, {**settings, "classes": names}, where, every)
    groups, plates = group_names(chosen, settings["groups"]).to_numpy(), chosen["Metadata_Plate"].astype(str).to_numpy()
    fold = deal(labels, groups, FOLDS, where)
    splits = list(splits_of(values, labels, fold, plates if settings["normalise"] == "plate" else None, where))
    svm, (closest, near) = cross_fit(splits, labels, groups, where), neighbours(splits, labels)
    nulls: dict[str, list] = {SVM: [], NEIGHBOUR: []}
    for other in shuffles(labels, groups, plates, fold, draws=settings["permutations"], seed=where):
        nulls[SVM].append((other, cross_fit(splits, other, groups, where, svm.costs)))
        nulls[NEIGHBOUR].append((other, neighbours(splits, other, near)[0]))
    protocol, seen_by = protocol_name(plates, settings["seen"])
    shared = {
        "classes": len(names),
        "folds": len(splits),
        "numbers": values.shape[1],
        "protocol": protocol,
        "seen_by": seen_by,
    }
    tables, told = [], []
    for classifier, found in ((SVM, svm), (NEIGHBOUR, closest)):
        tables.append(confusion(labels, found.called, names, classifier))
        rows = told_apart(
            labels, found, groups, nulls[classifier], {"": np.ones(len(labels), bool)}, seed=where, draws=0
        )
        told += [
            {**row, "classifier": classifier, "wells": row["n"], **shared} for row in rows if row["metric"] != "auc"
        ]
    return pd.concat(tables, ignore_index=True), pd.DataFrame(told).reindex(columns=TOLD)


def main(argv: Sequence[str] | None = None) -> None:
    """Tell classes of an arm's wells, or of another study's, apart in a space."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--space", choices=list(SPACES), required=True)
    parser.add_argument(
        "--settings",
        type=json.loads,
        required=True,
        help="JSON: see zero_shot; channels, where wells are another study's",
    )
    parser.add_argument("--wells", type=Path, required=True, help="profiles of the wells that are told apart")
    parser.add_argument("--own", type=Path, required=True, help="this study's, whose numbers they are told apart in")
    parser.add_argument("--confusion", type=Path, required=True)
    parser.add_argument("--accuracy", type=Path, required=True)
    args = parser.parse_args(argv)
    space = SPACES[args.space]
    profiler, (wells, numbers) = import_module(space.profiler), read_wells(args.wells, space)
    if "channels" in args.settings:
        own = profiler.numbers_of(list(store.read_table(args.own).columns), space)
        parts = profiler.parts_of(own, space, args.settings["channels"])
        numbers = matched_numbers(own, numbers, parts, f"{args.wells}: zero_shot.{args.settings['name']}")
    table, told = zero_shot(wells, numbers, args.settings)
    for row in told.itertuples():
        log.info("%s, %s: %.3f (%.3f to %.3f), shuffled %.3f, p %.2g; %s", row.classifier, row.metric, row.value, row.low, row.high,
                 row.null, row.p, row.protocol)  # fmt: skip
    store.write_table(store.as_text(table), args.confusion)
    store.write_table(store.as_text(told), args.accuracy)


if __name__ == "__main__":
    cli.run(main)
