"""Lay encoders of molecules side by side: how well each foretells real profiles of what was held out, without any image.

It is what a model that is told molecules has to beat: where fingerprints alone foretell as much, images of unseen molecules say no
more than their structure. An encoder foretells something where its interval lies above what shuffled molecules give.
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
from brightpaint.scores.profiles.from_molecules import BY_MOLECULE, METRICS
from brightpaint.scores.profiles.molecule_splits import SPLITS
from brightpaint.study.spaces import SPACES

HELD_OUT = {"scaffold": "scaffolds", "dose": "doses", "combination": "combinations of molecule and cell line"}
SHOWN = {"space": "space", "split": "held out", "encoder": "encoder", "baseline": "by", "metric": "metric", "value": "value",
         "low": "low", "high": "high", "shuffled": "shuffled", "shuffled_bound": "shuffled 95%", "encoder_gain": "over morgan",
         "encoder_gain_low": "over morgan low", "encoder_gain_high": "over morgan high", "treatments": "treatments",
         "groups": "groups", "features": "features"}  # fmt: skip


def read(path: Path) -> pd.DataFrame:
    """Return the scores of one space, which its table's name says."""
    return store.read_table(path, required=["split", "value", "why"]).assign(space=path.stem)


def best_of(found: pd.DataFrame) -> str:
    """Return which encoder foretells the most of held-out scaffolds in one space, and whether more than chance and than Morgan's.

    Parameters
    ----------
    found : rows of one space and split, by correlation
    """
    own = found[found["baseline"].isin(BY_MOLECULE) & (found["metric"] == METRICS[0])]
    if not len(own):
        return ""
    best = own.loc[own["value"].idxmax()]
    beyond = "more than" if best["low"] > best["shuffled_bound"] else "no more than"
    words = (f"{best['encoder']} by {best['baseline']}, {best['value']:.2f} ({best['low']:.2f} to {best['high']:.2f}), "
             f"{beyond} shuffled molecules ({best['shuffled']:.2f}, 95% below {best['shuffled_bound']:.2f})")  # fmt: skip
    if np.isfinite(best["encoder_gain_low"]):
        words += ", and " + ("above" if best["encoder_gain_low"] > 0 else "not surely above") + " the first encoder"
    return words


def sentences(table: pd.DataFrame) -> list[str]:
    """Return a sentence a space on held-out scaffolds, and one of each split that can't be made, with its reason."""
    said = []
    for space, part in table.groupby("space", sort=False):
        words = best_of(part[part["split"] == SPLITS[0]])
        said += [f"{SPACES[space].short}: the most is foretold by {words}."] if words else []
        for row in part[part["why"] != ""].to_dict("records"):
            said.append(f"{SPACES[space].short}, held-out {HELD_OUT[row['split']]}: not made; {row['why']}.")
    return said


def molecules_table(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the tables of all spaces as one: spaces in the order of the registry, scaffolds first."""
    table = pd.concat(parts, ignore_index=True)
    order = {name: number for number, name in enumerate(SPACES)}
    for name in ("why", "encoder", "baseline", "metric"):
        table[name] = table[name].astype(object).fillna("")
    return table.iloc[np.argsort([order[name] for name in table["space"]], kind="stable")].reset_index(drop=True)


def page(table: pd.DataFrame) -> str:
    """Render the page."""
    made = table[table["why"] == ""]
    named = (
        made.assign(space=[SPACES[name].short for name in made["space"]])
        .reindex(columns=list(SHOWN))
        .rename(columns=SHOWN)
    )
    tsv = table.to_csv(sep="\t", index=False, lineterminator="\n")
    return pages.render("molecules.html", sentences=sentences(table), molecules=pages.table(named), tsv=tsv)


def main(argv: Sequence[str] | None = None) -> None:
    """Lay encoders of molecules side by side."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument(
        "--scores", type=Path, nargs="+", required=True, help="tables of from_molecules, named by their space"
    )
    parser.add_argument("--tsv", type=Path, required=True)
    parser.add_argument("--html", type=Path, required=True)
    args = parser.parse_args(argv)
    table = molecules_table([read(path) for path in args.scores])
    store.write_table(store.as_text(table), args.tsv)
    with store.atomic(args.html) as temporary:
        temporary.write_text(page(table), encoding="utf-8")


if __name__ == "__main__":
    run(main)
