"""Join an arm's scores into one table of metrics, and those of its single fields into another.

Rows are sorted by plate, as the study lists the arm's plates; within a plate the subjects follow one another as in
`brightpaint.study.subjects`, and each keeps the order of its own table.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.scores.rows import KEYS, NUMBERS


def joined_scores(tables: Sequence[pd.DataFrame], plates: Sequence[str]) -> pd.DataFrame:
    """Put tables of scores below one another, plate by plate, the tables in the order given.

    Raises
    ------
    ValueError
        for a plate that is not among `plates`
    """
    filled = [table for table in tables if len(table)]
    strange = sorted({plate for table in filled for plate in table["plate"]} - set(plates))
    if strange:
        raise ValueError(f"metrics: scores of plates {strange}, expected {list(plates)}; delete the scores and rerun")
    parts = [table[table["plate"] == plate] for plate in plates for table in filled]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*KEYS, *NUMBERS, "n"])


def joined_fields(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Join the scores of single fields: one row a field and channel, as the first table has them."""
    if not tables:
        return pd.DataFrame(columns=[*store.FIELD_KEYS, "Channel"])  # a look-up has no fields
    joined = tables[0]
    for table in tables[1:]:
        joined = joined.merge(table, on=store.row_keys(table), how="left", validate="many_to_one")
    return joined


def main(argv: Sequence[str] | None = None) -> None:
    """Join an arm's scores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plates", nargs="+", required=True, help="in the order of the table")
    parser.add_argument("--scores", type=Path, nargs="*", default=[], help="tables of scores, in the order of subjects")
    parser.add_argument("--fields", type=Path, nargs="*", default=[], help="tables of single fields, images first")
    parser.add_argument("--metrics", type=Path, required=True, help="the table to write")
    parser.add_argument("--by-field", type=Path, required=True, help="the table of single fields to write")
    args = parser.parse_args(argv)
    scores, fields = ([store.read_table(path) for path in paths] for paths in (args.scores, args.fields))
    store.write_table(joined_scores(scores, args.plates), args.metrics)
    store.write_table(joined_fields(fields), args.by_field)


if __name__ == "__main__":
    run(main)
