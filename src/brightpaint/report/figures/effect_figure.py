"""Draw effect matrices: what is read of each factor when one is changed, painted, between real replicates, and shuffled."""

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
from brightpaint.report.style import STYLE, as_text, save
from brightpaint.study.spaces import SPACES

TITLES = {"painted": "painted, from one noise", "real": "real replicates", "shuffled": "real, conditions shuffled"}
GREY = "#d9d9d9"


def effect_figure(table: pd.DataFrame, *, name: str, space: str) -> plt.Figure:
    """Draw a panel a kind, from the table that `effects` writes; what has no value is grey."""
    kinds = [kind for kind in TITLES if kind in set(table["kind"])]
    changed, read = (list(dict.fromkeys(table[key])) for key in ("changed", "read"))
    width, height = 1.6 + 0.8 * len(read), 1.8 + 0.6 * len(changed)
    figure, axes = plt.subplots(
        1, len(kinds), figsize=(width * len(kinds) + 1, height + 0.8), layout="constrained", squeeze=False
    )
    picture, colours = None, plt.get_cmap("Blues").with_extremes(bad=GREY)
    for panel, kind in zip(axes.flat, kinds):
        own = table[table["kind"] == kind].set_index(["changed", "read"])
        values = own["value"].unstack().reindex(index=changed, columns=read).to_numpy(np.float64)
        picture = panel.imshow(np.ma.masked_invalid(values), vmin=0, vmax=1, cmap=colours)
        for row, column in np.argwhere(np.isfinite(values)):
            panel.text(column, row, f"{values[row, column]:.2f}", ha="center", va="center", fontsize=8,
                       color="white" if values[row, column] > 0.5 else "black")  # fmt: skip
        shares = own["share"].dropna().groupby("changed").first()
        words = [
            f"{as_text(each, 18)}, {shares[each]:.0%} on it" if each in shares else as_text(each, 18)
            for each in changed
        ]
        panel.set_xticks(range(len(read)), [as_text(each, 18) for each in read], rotation=45, ha="right", fontsize=8)
        panel.set_yticks(range(len(changed)), words, fontsize=8)
        panel.set(xlabel="read", ylabel="changed")
        panel.set_title(TITLES[kind], fontsize=9)
    figure.colorbar(picture, ax=axes, label="share of what was asked", shrink=0.8)
    figure.suptitle(f"{as_text(name)}: what a change of one condition moves, in {space}", fontsize=10)
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    """Draw effect matrices."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: dpi")
    parser.add_argument("--name", required=True, help="of the entry of effects")
    parser.add_argument("--space", choices=list(SPACES), required=True)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--figure", type=Path, required=True)
    args = parser.parse_args(argv)
    table = store.read_table(args.table, required=["kind", "changed", "read", "value", "share"])
    with plt.rc_context(STYLE):
        save(effect_figure(table, name=args.name, space=SPACES[args.space].title), args.figure, args.settings["dpi"])


if __name__ == "__main__":
    run(main)
