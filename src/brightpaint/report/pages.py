"""The HTML pages of the report that are tables: Jinja2 templates (`templates/`), all text escaped, nothing from the network.

Every page extends `page.html`: one head, one style, one script that sorts and filters. `front.html`, a piece of
the report's own page, has the same style.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup

DASH = Markup("&ndash;")  # in the place of a number that is not there
TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=jinja2.StrictUndefined,
    trim_blocks=True, keep_trailing_newline=True,
)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One cell of a table, or one of its heads.

    Attributes
    ----------
    value : by which a click on the head sorts a number; "" where there is none, None where the cell is text
    small : lines of small print
    kind : CSS classes
    title : what hovering over it says
    """

    text: str
    value: str | None = None
    small: tuple[str, ...] = ()
    kind: str = ""
    title: str = ""


EMPTY = Cell(DASH, value="")


@dataclass(frozen=True)
class Row:
    """One row; those of `reference` are set in italics."""

    cells: Sequence[Cell]
    reference: bool = False


@dataclass(frozen=True)
class Table:
    """A table that a click on a head sorts; a template that names it shows it."""

    heads: Sequence[Cell]
    rows: Sequence[Row]
    kind: str = ""

    def __html__(self) -> str:
        return TEMPLATES.get_template("table.html").render(table=self)


def decimals(column: pd.Series) -> int:
    """Return the decimals of all numbers of a column: three figures of the largest, fewer where none needs them."""
    finite = column[np.isfinite(column)].to_numpy(dtype=float)
    largest = np.abs(finite).max(initial=0.0)
    most = int(np.clip(2 - np.floor(np.log10(largest)), 0, 9)) if largest else 0
    return next(digits for digits in range(most + 1) if digits == most or (np.round(finite, digits) == finite).all())


def _cells(column: pd.Series) -> list[Cell]:
    """Return a column's cells; numbers carry their value, and are rounded alike."""
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return [Cell(text) for text in column.astype(str)]
    digits = f",.{decimals(column)}f" if pd.api.types.is_float_dtype(column) else ","
    return [EMPTY if pd.isna(value) else Cell(f"{value:{digits}}", value=str(value)) for value in column]


def table(frame: pd.DataFrame) -> Table:
    """Return a frame as a table; `Metadata_` and underscores are left out of its heads."""
    heads = [Cell(name.removeprefix("Metadata_").replace("_", " ").lower()) for name in frame.columns]
    return Table(heads, [Row(cells) for cells in zip(*(_cells(frame[name]) for name in frame.columns))])


def render(template: str, **values: object) -> str:
    """Return a whole page: the template of that name with these values."""
    return TEMPLATES.get_template(template).render(**values)
