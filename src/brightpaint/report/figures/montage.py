"""Lay brightfield, real stains and every arm's painted stains of some fields side by side.

The fields shown are chosen by rule, not by eye; a frame in each brightfield is what its close-up shows.
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt

from brightpaint.base.cli import run
from brightpaint.report.figures.galleries import read_arguments, read_views
from brightpaint.report.figures.panels import draw_fields
from brightpaint.report.style import STYLE, save


def main(argv: Sequence[str] | None = None) -> None:
    """Draw a plate's montage."""
    args = read_arguments(main.__doc__, argv)
    settings = args.settings
    with plt.rc_context(STYLE):
        figure = draw_fields(read_views(args), channels=settings["channels"], dpi=settings["dpi"])
        save(figure, args.figure, settings["dpi"])


if __name__ == "__main__":
    run(main)
