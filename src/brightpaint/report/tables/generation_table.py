"""Say what treatments painted from conditions alone are worth: a table an arm, space and split, and a sentence above it.

The sentence says that the model lies above ridge regression and nearest neighbours on fingerprints only where the paired interval
of its gain over each lies above 0 in the correlation of effects; otherwise it says that it does not.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.report import pages
from brightpaint.scores.generation import panel
from brightpaint.scores.generation.foretold import BASELINES, BY_MOLECULE, CONTROL, MEAN, MODEL, REAL, REPLICATE
from brightpaint.scores.generation.gains import BY_FEATURE, CORRELATION, MATCHED, RANK, SEEN, WITH_CELLS
from brightpaint.scores.generation.populations import EACH, POOLED
from brightpaint.study.spaces import SPACES

METRICS = (CORRELATION, RANK, BY_FEATURE, MATCHED, *panel.METRICS, *EACH, *POOLED)
PATCHES, IMAGES = "patch_distance_", "images"
WORDS = {
    "scaffold": "molecules of held-out scaffolds",
    "dose": "held-out doses",
    "combination": "held-out combinations of perturbation and cell line",
    "perturbation": "held-out perturbations",
    "file": "treatments that a given split holds out",
    SEEN: "treatments seen in training",
}
NAMES = {MODEL: "the model", "ridge": "ridge regression on fingerprints", "nearest neighbours": "nearest neighbours by fingerprint",
         "nearest molecule": "the nearest molecule's own", MEAN: "mean of the training treatments",
         "swapped": "the model, of another molecule", "real replicate": "real training plates, the same treatment",
         REAL: "the real fields themselves"}  # fmt: skip


def what(split: str) -> str:
    """Return a split in words."""
    return WORDS.get(split, f"treatments {split}")


def interval(row: pd.Series, word: str = "value") -> str:
    """Return a number with its interval."""
    ends = ("low", "high") if word == "value" else (f"{word}_low", f"{word}_high")
    if not np.isfinite(row[word]):
        return "unknown"
    known = all(np.isfinite(row[end]) for end in ends)
    return f"{row[word]:.2f}" + (
        f" [{row[ends[0]]:.2f}, {row[ends[1]]:.2f}]" if known else " (no interval: one group alone)"
    )


def sentence_of_images(part: pd.DataFrame) -> str:
    """Return what is said of one arm's images and split: how far their patches lie from real ones, beside real replicates."""
    finest = part[part["metric"] == part["metric"].iloc[0]].set_index("baseline")
    model, px = finest.loc[MODEL], finest["metric"].iloc[0].removeprefix(PATCHES)
    counted = f"{model['treatments']} {what(part['split'].iloc[0])}"
    start = f"Of {counted}, patches at {px} lie {interval(model)} s.d. from those of real images"
    if REPLICATE not in finest.index or not np.isfinite(finest.loc[REPLICATE, "value"]):
        return f"{start}; no real image of them on the training plates stands beside."
    real = finest.loc[REPLICATE]
    far = bool(real["gain_high"] < 0)
    return (
        f"{start}; those of the same treatments on real training plates {interval(real)}. The model's lie "
        f"{'farther away' if far else 'not farther away'}, by paired intervals."
    )


def sentence(part: pd.DataFrame) -> str:
    """Return what is said of one arm, space and split: whether the model lies above its floors.

    Parameters
    ----------
    part : rows of `gains.COLUMNS` of one split
    """
    rows = {name: own.iloc[0] for name, own in part[part["metric"] == CORRELATION].groupby("baseline")}
    model, split = rows[MODEL], part["split"].iloc[0]
    groups = f" ({model['groups']} scaffold{'' if model['groups'] == 1 else 's'})" if split == "scaffold" else ""
    counted = f"{model['treatments']} {what(split)}{groups}"
    start = f"Of {counted}, effects correlate with the real ones by {interval(model)}."
    painted = part[(part["metric"] == WITH_CELLS) & (part["baseline"] == MODEL)]["value"]
    if len(painted) and painted.iloc[0] < 1:
        start += f" {1 - painted.iloc[0]:.0%} of them were painted without a cell and count as the mean."
    named = [name for name in BY_MOLECULE if name in rows]
    floors = named or [MEAN, CONTROL]
    above = [bool(rows[name]["gain_low"] > 0) for name in floors]
    told = " and ".join(
        f"{NAMES.get(name, name)} ({interval(rows[name])}; gain {interval(rows[name], 'gain')})" for name in floors
    )
    claim = "" if split == SEEN or not named else " of what it was not trained on"
    if all(above):
        return f"{start} The model lies above {told}, by paired intervals."
    return f"{start} The model does not lie above {told}, by paired intervals: no knowledge{claim or ' of treatments'} is claimed."


def cell(own: pd.DataFrame) -> pages.Cell:
    """Return the cell of one baseline and metric, with its interval, and the model's gain over it in small print."""
    if own.empty or not np.isfinite(own["value"].iloc[0]):
        return pages.EMPTY
    row, small = own.iloc[0], []
    if np.isfinite(row["low"]):
        small.append(f"[{row['low']:.3g}, {row['high']:.3g}]")
    if np.isfinite(row["gain"]):
        ends = f" [{row['gain_low']:.3g}, {row['gain_high']:.3g}]" if np.isfinite(row["gain_low"]) else ""
        small.append(f"gain {row['gain']:.3g}{ends}")
    return pages.Cell(f"{row['value']:.3g}", value=f"{row['value']:.6g}", small=tuple(small))


def split_table(part: pd.DataFrame) -> pages.Table:
    """Return one row a baseline, the model first, of one arm, space and split."""
    metrics = [metric for metric in METRICS if (part["metric"] == metric).any()]
    metrics += [metric for metric in part["metric"].unique() if metric.startswith(PATCHES)]
    heads = [
        pages.Cell("what is held to the real ones"),
        pages.Cell("treatments"),
        *(pages.Cell(name.replace("_", " ")) for name in metrics),
    ]
    rows = []
    for name in [name for name in BASELINES if (part["baseline"] == name).any()]:
        own = part[part["baseline"] == name]
        count = int(own["treatments"].max())
        cells = [cell(own[own["metric"] == metric]) for metric in metrics]
        rows.append(
            pages.Row(
                [pages.Cell(NAMES.get(name, name)), pages.Cell(str(count), value=str(count)), *cells], name != MODEL
            )
        )
    return pages.Table(heads, rows)


def read(paths: Sequence[Path]) -> pd.DataFrame:
    """Return the tables of all arms and spaces, which their paths name: `{arm}/{space}.tsv`."""
    tables = [store.read_table(path, required=["split", "baseline", "metric", "gain_low"]) for path in paths]
    return pd.concat(
        [table.assign(arm=path.parent.name, space=path.stem) for table, path in zip(tables, paths)], ignore_index=True
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Write the page of generations."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument(
        "--tables",
        type=Path,
        nargs="+",
        required=True,
        help="of the rule generation, {arm}/{space}.tsv, and {arm}/images.tsv",
    )
    parser.add_argument("--html", type=Path, required=True)
    args = parser.parse_args(argv)
    frame = read(args.tables)
    parts = []
    for (arm, space, split), part in frame.groupby(["arm", "space", "split"], sort=False):
        title, said = ("images", sentence_of_images) if space == IMAGES else (SPACES[space].title, sentence)
        parts.append((f"{arm}, {title}: {what(split)}", said(part), split_table(part)))
    text = pages.render("generation.html", parts=parts, tsv=frame.to_csv(sep="\t", index=False, lineterminator="\n"))
    with store.atomic(args.html) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run(main)
