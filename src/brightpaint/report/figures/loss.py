"""Draw the training and validation loss of every network over the images that it has seen."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.report.style import LINES, STYLE, as_text, save


def loss_figure(histories: dict[str, pd.DataFrame]) -> plt.Figure:
    """Draw the training and validation loss of each model over the images it has seen, on logarithmic axes.

    The training loss is a line, the validation loss one with dots, and a ring marks the weights that were kept.

    Parameters
    ----------
    histories : {label: frame with columns images, loss and, where wells validate, validation_loss}
    """
    figure, axes = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
    validated = False
    for number, (label, history) in enumerate(histories.items()):
        style = {"color": LINES[number % len(LINES)], "linestyle": ["-", "--", ":"][number // len(LINES) % 3]}
        training = history.dropna(subset="loss")
        marker = "o" if len(training) < 3 else None
        last = f"{as_text(label)} ({training['loss'].iloc[-1]:.3g}"
        held = history.dropna(subset="validation_loss") if "validation_loss" in history else history.iloc[:0]
        if len(held):
            validated, kept = True, held.loc[held["validation_loss"].idxmin()]
            last += f"; {kept['validation_loss']:.3g} at {int(kept['images']):,}"
            axes.plot(held["images"], held["validation_loss"], marker=".", **style)
            ring = {"facecolors": "none", "edgecolors": style["color"], "linewidths": 1.5, "zorder": 3}
            axes.scatter(kept["images"], kept["validation_loss"], s=90, **ring)
        axes.plot(training["images"], training["loss"], label=f"{last})", marker=marker, alpha=0.6, **style)
    axes.set(xlabel="images seen", ylabel="loss", yscale="log")
    axes.grid(color="0.9")
    words = "last training loss; validation loss of the weights kept" if validated else "last loss"
    axes.legend(frameon=False, title=f"model, fold ({words})")
    return figure


def read_histories(paths: Sequence[Path]) -> dict[str, pd.DataFrame]:
    """Read histories of models/<model>/<fold>/history.jsonl: {"model, fold": frame}."""
    histories = {}
    for path in paths:
        lines = pd.DataFrame(store.read_json_lines(path))
        if not {"images", "loss"} <= set(lines.columns):
            raise ValueError(f"{path}: expected JSON lines with images and loss; delete it and rerun `train`")
        histories[f"{path.parent.parent.name}, {path.parent.name}"] = lines
    return histories


def main(argv: Sequence[str] | None = None) -> None:
    """Draw the loss of every network."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: dpi")
    parser.add_argument("--histories", type=Path, nargs="+", required=True)
    parser.add_argument("--figure", type=Path, required=True)
    args = parser.parse_args(argv)
    with plt.rc_context(STYLE):
        save(loss_figure(read_histories(args.histories)), args.figure, args.settings["dpi"])


if __name__ == "__main__":
    run(main)
