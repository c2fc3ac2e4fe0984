"""Count what the plates lack, one row a plate, from what the rule index lists of each."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.report import pages

FIELD = ["Metadata_Well", "Metadata_Site"]


def count_missing(plate: str, index: pd.DataFrame, missing: pd.DataFrame) -> dict:
    """Return one plate's counts.

    Parameters
    ----------
    index : Metadata_Well, Metadata_Site and, where it says so, Metadata_perturbation of the images that are there
    missing : as the rule index lists them: Metadata_Well, Metadata_Site, Channel, reason
    """
    counts = {
        "plate": plate,
        "wells": index["Metadata_Well"].nunique(),
        "fields": index.groupby(FIELD).ngroups,
        "fields left out": missing.groupby(FIELD).ngroups,
        "wells left out": len(set(missing["Metadata_Well"]) - set(index["Metadata_Well"])),
        "images missing": len(missing),
    }
    blank = index["Metadata_perturbation"] == "" if "Metadata_perturbation" in index else []
    if unknown := index.loc[blank, "Metadata_Well"].nunique():
        counts["wells of nothing known"] = unknown
    return counts | missing["reason"].value_counts().to_dict()


def count_plates(indices: Sequence[Path], lists: Sequence[Path]) -> pd.DataFrame:
    """Return one row a plate: what is there, what is left out, and why."""
    rows = []
    for index, missing in zip(indices, lists):
        listed = store.read_table(missing, [*FIELD, "Channel", "reason"])
        rows.append(count_missing(index.stem, store.read_table(index, required=FIELD), listed))
    return pd.DataFrame(rows).fillna(0).astype({"plate": str}).convert_dtypes()


def page(table: pd.DataFrame, tsv: str) -> str:
    """Render the counts as one page that needs no network; `tsv` is their text, to download."""
    return pages.render("missing.html", counts=pages.table(table), tsv=tsv)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--indices", type=Path, nargs="+", required=True)
    parser.add_argument("--missing", type=Path, nargs="+", required=True)
    parser.add_argument("--tsv", type=Path, required=True)
    parser.add_argument("--html", type=Path, required=True)
    args = parser.parse_args(argv)
    table = count_plates(args.indices, args.missing)
    store.write_table(table, args.tsv)
    with store.atomic(args.html) as temporary:
        temporary.write_text(page(table, args.tsv.read_text()))


if __name__ == "__main__":
    run(main)
