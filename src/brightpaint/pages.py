"""The HTML pages of the report that are tables: one head, one style, one script that sorts, nothing from the network."""

from __future__ import annotations

from html import escape
from urllib.parse import quote

import pandas as pd

STYLE = """
:root { color-scheme: light }
body { font: 13px/1.4 system-ui, sans-serif; margin: 1.5em; color: #1a1a1a; max-width: 1240px }
h1 { font-size: 1.4em } h2 { font-size: 1.15em; margin-top: 1.8em } h3 { font-size: 1em; margin: 1.2em 0 0 }
table { border-collapse: collapse; font-size: 12px; margin: .6em 0 1em }
th, td { padding: .35em .35em; text-align: right; border-bottom: 1px solid #ddd; vertical-align: top }
th:first-child, td:first-child { text-align: left; min-width: 8.5em }
thead th { border-bottom: 2px solid #333; cursor: pointer; position: sticky; top: 0; background: #fff }
thead th:focus-visible { outline: 2px solid #0072b2 }
th[aria-sort=ascending]::after { content: " \\25B4" } th[aria-sort=descending]::after { content: " \\25BE" }
small { display: block; color: #555; font-size: .78em; white-space: nowrap }
td.best { background: #e3f0fa; font-weight: 600 } td.best small { font-weight: 400 }
td.chance { color: #777 }
table.words td, table.words th { text-align: left } td.against { color: #a33d00 }
tr.reference td { background: #f6f6f4; font-style: italic } tr.reference small { font-style: normal }
dt { font-weight: 600; float: left; clear: left; width: 9.5em } dd { margin: 0 0 .35em 10em }
"""

# Sorts a table by the clicked column; empty cells stay last, and Enter does what a click does.
SCRIPT = """
for (const head of document.querySelectorAll('thead th')) {
  head.tabIndex = 0;
  const sort = () => {
    const table = head.closest('table'), place = head.cellIndex, body = table.tBodies[0];
    const up = head.getAttribute('aria-sort') === 'descending';
    for (const other of head.parentNode.cells) other.removeAttribute('aria-sort');
    head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
    const key = row => { const v = row.cells[place].dataset.value; return v === undefined ? null : v === '' ? NaN : +v };
    const text = row => row.cells[place].textContent.trim();
    const order = (a, b) => {
      const x = key(a), y = key(b);
      if (x === null) return (up ? 1 : -1) * text(a).localeCompare(text(b));
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
      return up ? x - y : y - x;
    };
    body.append(...[...body.rows].sort(order));
  };
  head.addEventListener('click', sort);
  head.addEventListener('keydown', event => { if (event.key === 'Enter') sort() });
}
"""


def download(name: str, text: str, words: str = "Download (TSV)") -> str:
    """Return a link that saves `text` as the file `name`: it lies in the page itself."""
    return f'<a download="{name}" href="data:text/tab-separated-values;charset=utf-8,{quote(text)}">{escape(words)}</a>'


def _cells(column: pd.Series) -> list[str]:
    """Render a column; numbers carry their value, by which a click on the head sorts them."""
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return [f"<td>{escape(text)}</td>" for text in column.astype(str)]
    digits = ",.6g" if pd.api.types.is_float_dtype(column) else ","
    return [
        '<td data-value="">&ndash;</td>' if pd.isna(value) else f'<td data-value="{value}">{value:{digits}}</td>'
        for value in column
    ]


def table(frame: pd.DataFrame) -> str:
    """Return a frame as an HTML table that a click on a head sorts; `Metadata_` and underscores are left out of its heads."""
    heads = "".join(
        f"<th>{escape(name.removeprefix('Metadata_').replace('_', ' ').lower())}</th>" for name in frame.columns
    )
    columns = (_cells(frame[name]) for name in frame.columns)
    rows = "".join("<tr>" + "".join(row) + "</tr>" for row in zip(*columns))
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def page(title: str, heading: str, body: str, style: str = "") -> str:
    """Return a whole page: `title` names it after "brightpaint:", `body` is HTML, `style` CSS beside the pages' own."""
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>brightpaint: {escape(title)}</title><link rel="icon" href="data:,"><style>{STYLE}{style}</style></head><body>
<h1>{escape(heading)}</h1>
{body}
<script>{SCRIPT}</script></body></html>
"""
