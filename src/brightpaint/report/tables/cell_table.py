"""Count what was measured and what was not: cells, empty fields and wells, features missing or constant, of every arm and plate.

From field medians alone. A feature that is missing or constant somewhere is named in the TSV, with what `select` did to it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.features.median import features_of
from brightpaint.report import pages


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
    dropped = ", ".join(f"{count} by {name}" for name, count in reasons.items() if name)
    selection = (
        f"Selection kept {int(reasons.get('', 0))} of {int(reasons.sum())} features; it dropped {dropped or 'none'}."
        if len(reasons)
        else ""
    )
    return pages.render("cells.html", selection=selection, counts=pages.table(table), tsv=tsv)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--medians", type=Path, nargs="+", required=True, help="field medians in folders named by arm")
    parser.add_argument("--selection", type=Path, nargs="*", default=[])
    parser.add_argument("--html", type=Path, required=True)
    parser.add_argument("--tsv", type=Path, required=True)
    args = parser.parse_args(argv)
    store.one_engine(args.medians)
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
