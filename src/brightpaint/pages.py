"""Small HTML pages of tables for the report."""

from __future__ import annotations

from html import escape

import pandas as pd

from brightpaint.evaluation.tables import STYLE


def table(frame: pd.DataFrame) -> str:
    """Return a frame as an HTML table; `Metadata_` and underscores are left out of its heads."""
    heads = "".join(
        f"<th>{escape(name.removeprefix('Metadata_').replace('_', ' ').lower())}</th>" for name in frame.columns
    )
    lines = (frame[name].astype(str) for name in frame.columns)
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in zip(*lines))
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def page(title: str, body: str) -> str:
    """Return a whole HTML page under its title."""
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title><style>{STYLE}</style>"
        f"<h1>{escape(title)}</h1>{body}</html>\n"
    )
