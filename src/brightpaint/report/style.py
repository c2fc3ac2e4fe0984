"""How every figure of the report looks, and how it is written.

The same input gives the same bytes: no dates and no versions go into the files.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt

from brightpaint import store

matplotlib.use("Agg")  # no command needs a screen

# Okabe and Ito's colours, told apart by colour-blind readers.
LINES = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#333333"]
STYLE = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "brightpaint"}


def save(figure: plt.Figure, path: Path, dpi: int) -> None:
    """Write a figure as PNG, or as JPEG if its name says so, the same bytes every time."""
    kind = {"format": "png", "metadata": {"Software": None}}
    if path.suffix == ".jpg":  # a gallery an arm: as PNG, a full study's report would grow by tens of megabytes
        kind = {"format": "jpg", "pil_kwargs": {"quality": 90}}
    with store.atomic(path) as temporary:
        figure.savefig(temporary, dpi=dpi, facecolor="white", **kind)
    plt.close(figure)
