"""Count what was measured and what was not: cells, empty fields and wells, features missing or constant, of every arm and plate.

From field medians alone. A feature that is missing or constant somewhere is named in the TSV, with what `select` did to it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.cli import run
from brightpaint.evaluation.tables import SCRIPT, STYLE
from brightpaint.features.median import features_of


def count_features(medians: pd.DataFrame, kept: Sequence[str]) -> tuple[dict, dict[str, str]]:
    """Count one plate's cells and features.

    Parameters
    ----------
    medians : field medians of one plate (docs/contracts.md)
    kept : the selected features

    Returns
    -------
    counts : fields, fields without cells, wells without cells, cells, median cells of a field, features, and, over
        the fields with cells, features missing somewhere, constant features, each also among the kept ones, values missing
    named : {feature: "missing in n fields" or "constant"}
    """
    features = features_of(list(medians.columns))
    measured = medians["Metadata_cells"] > 0
    values = medians.loc[measured, features].to_numpy(dtype=np.float64)
    gaps = np.isnan(values).sum(axis=0) if len(values) else np.zeros(len(features), dtype=int)
    low, high = (
        how(values, axis=0, initial=edge, where=~np.isnan(values))
        for how, edge in ((np.min, np.inf), (np.max, -np.inf))
    )
    constant = (high <= low) if len(values) > 1 else np.zeros(len(features), dtype=bool)
    named = {name: "constant" for name, flat in zip(features, constant) if flat}
    named |= {name: f"missing in {count} fields" for name, count in zip(features, gaps) if count}
    wells = medians.groupby("Metadata_Well")["Metadata_cells"].sum()
    chosen = np.isin(features, list(kept))
    return {
        "fields": len(medians), "fields without cells": int((~measured).sum()), "wells without cells": int((wells == 0).sum()),
        "cells": int(medians["Metadata_cells"].sum()), "median cells of a field": float(medians["Metadata_cells"].median()),
        "features": len(features), "features missing somewhere": int((gaps > 0).sum()),
        "missing, selected": int((chosen & (gaps > 0)).sum()), "constant features": int(constant.sum()),
        "constant, selected": int((chosen & constant).sum()), "values missing": int(gaps.sum()),
    }, named  # fmt: skip


def page(table: pd.DataFrame, reasons: pd.Series, tsv: str) -> str:
    """Render the counts as one page that needs no network."""
    head = "".join(f"<th>{escape(name)}</th>" for name in table.columns)
    rows = [[f"{value:,.6g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else escape(str(value))
             for value in row] for row in table.astype(object).itertuples(index=False)]  # fmt: skip
    body = "".join("<tr>" + "".join(f"<td>{word}</td>" for word in row) + "</tr>" for row in rows)
    dropped = ", ".join(f"{count} by {name}" for name, count in reasons.items() if name)
    said = (
        f"Selection kept {int(reasons.get('', 0))} of {int(reasons.sum())} features; it dropped {dropped or 'none'}."
        if len(reasons)
        else ""
    )
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>brightpaint: cells and features</title><link rel="icon" href="data:,">
<style>{STYLE} td:nth-child(2) {{ text-align: left }}</style></head><body>
<h1>Cells and features that were measured</h1>
<p>{escape(said)} Fields without cells have no part in any profile. A missing value is a feature that CellProfiler could not
give for any cell of a field. <a download="cells.tsv" href="data:text/tab-separated-values;charset=utf-8,{quote(tsv)}">Download
(TSV), the features named</a>.</p>
<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>
<script>{SCRIPT}</script></body></html>
"""


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--medians", type=Path, nargs="+", required=True, help="field medians in folders named by arm")
    parser.add_argument("--selection", type=Path, nargs="*", default=[])
    parser.add_argument("--html", type=Path, required=True)
    parser.add_argument("--tsv", type=Path, required=True)
    args = parser.parse_args(argv)
    selection = store.read_table(args.selection[0], ["feature", "kept", "reason"]) if args.selection else None
    kept = selection.loc[selection["kept"].astype(int) == 1, "feature"].tolist() if selection is not None else []
    reasons = selection["reason"].fillna("").value_counts() if selection is not None else pd.Series(dtype=int)
    rows, listed = [], []
    for path in args.medians:
        counts, named = count_features(store.read_fields(path), kept)
        rows.append({"arm": path.parent.name, "plate": path.stem, **counts})
        listed.append("; ".join(f"{name}: {what}" for name, what in named.items()))
    table = pd.DataFrame(rows)
    tidy = table.assign(named=listed)
    store.write_table(tidy, args.tsv)
    with store.atomic(args.html) as temporary:
        temporary.write_text(page(table, reasons, tidy.to_csv(sep="\t", index=False, lineterminator="\n")))


if __name__ == "__main__":
    run(main)
