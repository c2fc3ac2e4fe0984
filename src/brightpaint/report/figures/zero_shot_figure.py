"""Draw the confusion matrices of classes that were told apart zero-shot: by the linear SVM and by the nearest neighbour."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.report.style import STYLE, as_text, headed, save
from brightpaint.study.spaces import SPACES

NUMBERED = 12  # classes at most whose cells bear their number


def zero_shot_figure(confusion: pd.DataFrame, told: pd.DataFrame, *, arm: str, space: str, name: str) -> plt.Figure:
    """Draw one panel a classifier, from the tables that `zero_shot` writes; rows are the true classes and add up to 1."""
    classifiers, names = list(dict.fromkeys(confusion["classifier"])), list(dict.fromkeys(confusion["true"]))
    side = min(max(3.2, 0.55 * len(names)), 12)
    figure, axes = plt.subplots(1, len(classifiers), figsize=(len(classifiers) * (side + 1.2), side + 1.6), layout="constrained",
                                squeeze=False)  # fmt: skip
    picture = None
    for panel, classifier in zip(axes.flat, classifiers):
        own = confusion[confusion["classifier"] == classifier]
        shares, wells = (
            own.pivot(index="true", columns="called", values=key).loc[names, names] for key in ("share", "wells")
        )
        picture = panel.imshow(shares, vmin=0, vmax=1, cmap="Blues")
        for row in range(len(names)) if len(names) <= NUMBERED else ():
            for column in range(len(names)):
                share = shares.iat[row, column]
                panel.text(column, row, f"{share:.2f}\n{int(wells.iat[row, column])}", ha="center", va="center", fontsize=7,
                           color="white" if share > 0.5 else "black")  # fmt: skip
        words = [as_text(each, 18) for each in names]
        panel.set_xticks(range(len(names)), words, rotation=45, ha="right", fontsize=8)
        panel.set_yticks(range(len(names)), words, fontsize=8)
        panel.set(xlabel="called", ylabel="true")
        row = told[(told["classifier"] == classifier) & (told["metric"] == "balanced_accuracy")].iloc[0]
        panel.set_title(f"{classifier}: balanced accuracy {row['value']:.2f}\n({row['low']:.2f} to {row['high']:.2f}; shuffled "
                        f"{row['null']:.2f}, p {row['p']:.2g})", fontsize=9)  # fmt: skip
    figure.colorbar(picture, ax=axes, label="share of the true class", shrink=0.7)
    first = told.iloc[0]
    saw = f" by {first['seen_by']}" if isinstance(first["seen_by"], str) and first["seen_by"] else ""
    title = f"{as_text(name)}: wells of {as_text(arm)} told apart held out, in the space of {space}"
    headed(figure, [title, f"{int(first['wells'])} wells, protocol: {first['protocol']}{saw}"])
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    """Draw the confusion matrices of zero-shot classes."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: dpi")
    parser.add_argument("--name", required=True, help="of the entry of zero_shot")
    parser.add_argument("--space", choices=list(SPACES), required=True)
    parser.add_argument("--arm", required=True)
    parser.add_argument("--confusion", type=Path, required=True)
    parser.add_argument("--accuracy", type=Path, required=True)
    parser.add_argument("--figure", type=Path, required=True)
    args = parser.parse_args(argv)
    confusion = store.read_table(args.confusion, required=["classifier", "true", "called"])
    with plt.rc_context(STYLE):
        figure = zero_shot_figure(
            confusion, store.read_table(args.accuracy), arm=args.arm, space=SPACES[args.space].title, name=args.name
        )
        save(figure, args.figure, args.settings["dpi"])


if __name__ == "__main__":
    run(main)
