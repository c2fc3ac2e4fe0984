"""What every scoring command shares: its command line, the columns of its table, and how plates find their files.

One row a number, in the columns of docs/contracts.md: `low` and `high` are a bootstrap interval within the plate,
`null` is what chance gives and `null_bound` what chance betters one time in twenty, `floor` is what is reached
without looking at a prediction: brightfield itself (PCC), the position on the plate (matches), the
perturbation's mean profile on the other real plates (CPcor). The arm `real` holds the references: brightfield in
place of a prediction, the matches of the real profiles, and CPcor between replicate plates.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.study.annotations import PERTURBATION, named, unit_column

KEYS = ["arm", "metric", "subset", "space", "plate", "channel"]
NUMBERS = ["value", "low", "high", "null", "null_bound", "floor"]


def parser(description: str) -> argparse.ArgumentParser:
    """Return the command line that every scoring command shares."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--arm", required=True)
    parser.add_argument("--plates", nargs="+", required=True, help="plates on which the arm is scored")
    parser.add_argument("--active", type=Path, nargs="*", default=[], help="the table of actives, where there is one")
    parser.add_argument("--table", type=Path, required=True, help="the table to write")
    return parser


class Active(set):
    """Names of active perturbations, or treatments: `column` names them in a table of fields."""

    column: str = PERTURBATION


def read_active(paths: Sequence[Path]) -> Active | None:
    """Return the names of the active perturbations (or treatments); None where there is no table of them."""
    if not paths:
        return None
    table = store.read_actives(paths[0])
    column = unit_column(table)
    active = Active(table.loc[table["active"].astype(int) == 1, column].astype(str))
    active.column = column
    return active


def is_active(frame: pd.DataFrame, active: set[str]) -> np.ndarray:
    """Tell which rows (fields, wells) are of an active perturbation, or treatment: (n,) bool."""
    return named(frame, getattr(active, "column", PERTURBATION)).isin(active).to_numpy()


def paints_all(real: set[str], painted: set[str], active: set[str] | None) -> bool:
    """Return whether an arm predicts more of a plate's perturbations than the active ones, by their names.

    Names that it lacks do not tell: a perturbation without cells has no profile, and an active one may lie elsewhere.
    """
    return active is None or not painted <= active or real <= active


def one_of(plate: str, arm: str, paths: Sequence[Path], what: str) -> Path:
    """Return the file of a plate among an arm's tables of `what`, one a plate."""
    found = [path for path in paths if path.stem == plate]
    if len(found) != 1:
        given = ", ".join(map(str, found or paths)) or None
        raise ValueError(f"score: expected one table of {what} of plate {plate}, arm {arm}, found {given}")
    return found[0]


def write_rows(rows: Sequence[dict], arm: str, path: Path) -> None:
    """Write rows of the metrics table: `KEYS`, `NUMBERS` (float64) and n (int64); what a row lacks is NaN."""
    frame = pd.DataFrame(list(rows)).assign(arm=arm).reindex(columns=[*KEYS, *NUMBERS, "n"])
    store.write_table(frame.astype(dict.fromkeys(NUMBERS, "float64") | {"n": "int64"}), path)
