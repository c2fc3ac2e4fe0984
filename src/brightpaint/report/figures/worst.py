"""Show the fields of lowest PCC of an arm: brightfield and real stains above what was painted."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.report.figures.failures import draw_failures, read_arguments, read_views
from brightpaint.report.style import STYLE, save


def main(argv: Sequence[str] | None = None) -> None:
    """Draw the fields that an arm paints worst."""
    args = read_arguments(main.__doc__, argv)
    settings = args.settings
    views = read_views(args, store.read_table(args.scores), "pcc")
    with plt.rc_context(STYLE):
        save(draw_failures(views, channels=settings["channels"], dpi=settings["dpi"]), args.figure, settings["dpi"])


if __name__ == "__main__":
    run(main)
