"""A gathered stack with the table of its rows: what an arm painted on one plate, beside a parquet of the same name."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from brightpaint.store.stacks import Stack, open_stack
from brightpaint.store.tables import read_fields


def open_gathered(path: str | Path) -> tuple[Stack, pd.DataFrame]:
    """Open an arm's stack of a plate and read `<its name>.parquet`: row n of the table is field n of the stack.

    Raises
    ------
    ValueError
        where one has more fields than the other
    """
    path = Path(path)
    stack, rows = open_stack(path), read_fields(path.with_suffix(".parquet"))
    if len(stack) != len(rows):
        raise ValueError(f"{path}: {len(stack)} fields where its table has {len(rows)}; delete both and rerun")
    return stack, rows
