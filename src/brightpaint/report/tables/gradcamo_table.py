"""Lay out in words and numbers where the classifier of cells looks: verdicts by class, attention beside its nulls, erasure."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.report import pages
from brightpaint.report.figures.gradcamo_figure import PUBLISHED
from brightpaint.scores.cells.erasure import FLOOR
from brightpaint.scores.cells.verdicts import AT, AWAY, OPEN

METRICS = ["camo", "area", "lift", "above_half", "share_nan", "neighbours", "neighbours_lift"]


def summary(verdicts: pd.DataFrame) -> str:
    """Say in a sentence of how many classes the classifier looks at the cell, elsewhere, or it can't be said."""
    counts = verdicts["verdict"].value_counts()
    said = [f"of {counts.get(AT, 0)} it looks at the cell", f"of {counts.get(AWAY, 0)} elsewhere"]
    return f"Of {len(verdicts)} classes: {said[0]}, {said[1]}, and of {counts.get(OPEN, 0)} it can't be said."


def wide(table: pd.DataFrame, rows: Sequence[str], metrics: Sequence[str]) -> pd.DataFrame:
    """Return one row a combination of `rows`, one column a metric, of the numbers over all classes."""
    whole = table[table["class"] == ""]
    laid = whole.set_index([*rows, "metric"])["value"].unstack("metric")
    order = whole[list(rows)].drop_duplicates()
    return order.merge(laid.reindex(columns=list(metrics)).reset_index(), on=list(rows)).reset_index(drop=True)


def page(arm: str, table: pd.DataFrame, erased: pd.DataFrame, verdicts: pd.DataFrame) -> str:
    """Render the page."""
    trained = (erased["shown"] == FLOOR).any()
    floor = (
        f"; {FLOOR}: a network that never saw a cell, on such crops, which tells what the background does"
        if trained
        else ""
    )
    return pages.render(
        "gradcamo.html", arm=arm, sentence=summary(verdicts), verdicts=pages.table(verdicts.drop(columns="arm")),
        attention=pages.table(wide(table, ["variant", "explained"], METRICS)), published=PUBLISHED, floor=floor,
        erased=pages.table(wide(erased, ["shown"], ["accuracy", "balanced_accuracy", "macro_f1"])),
        tsv=verdicts.to_csv(sep="\t", index=False, lineterminator="\n"),
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    """Lay out where the classifier of cells looks."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--arm", required=True)
    for name in ("table", "erased", "verdicts", "html"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args(argv)
    tables = [store.read_table(path) for path in (args.table, args.erased, args.verdicts)]
    with store.atomic(args.html) as temporary:
        temporary.write_text(page(args.arm, *tables))


if __name__ == "__main__":
    run(main)
