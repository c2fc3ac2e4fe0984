"""Lay a small part of each field of the montage side by side at full size: the one that holds most stain."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt

from brightpaint.base.cli import run
from brightpaint.report.figures.galleries import read_arguments, read_views
from brightpaint.report.figures.panels import close_up, draw_fields
from brightpaint.report.style import STYLE, save


def main(argv: Sequence[str] | None = None) -> None:
    """Draw the close-ups of a plate's montage."""
    args = read_arguments(main.__doc__, argv)
    settings = args.settings
    views = [close_up(view, view["corner"]) for view in read_views(args)]
    with plt.rc_context(STYLE):
        save(draw_fields(views, channels=settings["channels"], dpi=settings["dpi"]), args.figure, settings["dpi"])


if __name__ == "__main__":
    run(main)
