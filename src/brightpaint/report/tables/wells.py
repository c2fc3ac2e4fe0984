"""List the wells of a plate that an arm's painted stains should not be trusted in, and why.

A well is listed for what is seen in it, never for what its compound does. Reasons, in this order:

- flag: `quality` flagged an image of it (the fields that were left out for it are counted)
- floor: its PCC is not above what brightfield, or brightfield's local s.d., reaches by itself in this well
- PCC, nuclei F1, uncertainty: more than OUTLIER_SD robust standard deviations (1.4826 MAD) worse than the plate's median
  well, and by LEAST of the measure at least
- counts: painted and real cells differ by more than COUNT_SHARE of the real ones and by more than COUNT_CELLS
- few cells: less than FEW of the median well's real cells, so that its profile rests on few

Where there are no real stains (a plate that is only predicted) flags and uncertainty are all that can be said.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.plates.flag import ROBUST
from brightpaint.report import pages
from brightpaint.scores.images.risk_coverage import field_uncertainty
from brightpaint.study.annotations import treatments

OUTLIER_SD = 3.0
LEAST = {"pcc": 0.05, "nuclei_f1": 0.1, "uncertainty": 0.02}
WORDS = {"pcc": "PCC", "nuclei_f1": "nuclei F1", "uncertainty": "uncertainty"}
COUNT_SHARE, COUNT_CELLS = 0.3, 3
FEW = 1 / 3
WELL = "Metadata_Well"
COLUMNS = [
    "arm",
    "well",
    "perturbation",
    "fields",
    "pcc",
    "floor",
    "nuclei_f1",
    "uncertainty",
    "cells_real",
    "cells_painted",
]


def flag_words(flags: pd.DataFrame) -> pd.Series:
    """Say what was flagged in each well: {well: "blurred (DNA, ER); 1 field left out: blank (AGP)"}."""
    said = {}
    for well, rows in flags.groupby(WELL):
        words = []
        for excluded, part in rows.groupby("excluded"):
            named = [f"{flag} ({', '.join(sorted(set(of['Channel'])))})" for flag, of in part.groupby("flag")]
            lost = part["Metadata_Site"].nunique()
            left_out = f"{lost} field{'s' if lost > 1 else ''} left out: " if excluded else ""
            words.append(left_out + ", ".join(named))
        said[well] = "; ".join(words)
    return pd.Series(said, dtype=object)


def mean_wells(scores: pd.DataFrame) -> pd.DataFrame:
    """Take means over a well's fields and channels: `pcc`, `floor`, `nuclei_f1`, `uncertainty`, those that were scored.

    Parameters
    ----------
    scores : one row a field and channel of one plate, from `score --by-field`
    """
    names = ["pcc", "pcc_brightfield", "pcc_brightfield_sd", "nuclei_f1", "uncertainty"]
    means = scores.groupby(WELL)[[name for name in names if name in scores]].mean()
    if "pcc_brightfield" in means:
        means["floor"] = means[["pcc_brightfield", "pcc_brightfield_sd"]].max(axis=1)
    return means


def count_wells(real: pd.DataFrame, painted: pd.DataFrame) -> pd.DataFrame:
    """Sum cells over the fields that both have: indexed by well, `cells_real` and `cells_painted`."""
    cells = [frame[[*store.FIELD_KEYS, "Metadata_cells"]] for frame in (real, painted)]
    pairs = cells[0].merge(cells[1], on=store.FIELD_KEYS, suffixes=("_real", "_painted"))
    sums = pairs.groupby(WELL)[["Metadata_cells_real", "Metadata_cells_painted"]].sum()
    return sums.rename(columns=lambda name: name.removeprefix("Metadata_"))


def outliers(values: pd.Series, better: int, least: float) -> pd.Series:
    """Tell which wells are far worse than the plate's median well: bool, False where a value is missing."""
    centre = values.median()
    spread = ROBUST * (values - centre).abs().median()
    return better * (centre - values) > max(OUTLIER_SD * spread, least)


def reasons(wells: pd.DataFrame, flagged: pd.Series) -> pd.Series:
    """List why each well of one arm is not to be trusted; an empty list where nothing speaks against it.

    Parameters
    ----------
    wells : indexed by well, with those of COLUMNS that are known
    flagged : from `flag_words`
    """
    said: dict[str, list[str]] = {well: [f"flag: {flagged[well]}"] if well in flagged else [] for well in wells.index}

    def add(chosen: pd.Series, words) -> None:
        for well, row in wells[chosen].iterrows():
            said[well].append(words(row))

    if "floor" in wells:
        add(wells["pcc"] <= wells["floor"],
            lambda row: f"PCC {row['pcc']:.2f}, brightfield itself {row['floor']:.2f}")  # fmt: skip
    for name, better in (("pcc", 1), ("nuclei_f1", 1), ("uncertainty", -1)):
        if name in wells:
            usual = wells[name].median()
            add(outliers(wells[name], better, LEAST[name]),
                lambda row, name=name, usual=usual: f"{WORDS[name]} {row[name]:.2f}, median well {usual:.2f}")  # fmt: skip
    if "cells_real" in wells:
        real, painted, usual = wells["cells_real"], wells["cells_painted"], wells["cells_real"].median()
        apart = (painted - real).abs()
        add((apart > COUNT_SHARE * real) & (apart > COUNT_CELLS),
            lambda row: f"{row['cells_painted']:.0f} cells painted, {row['cells_real']:.0f} real")  # fmt: skip
        add(real < FEW * usual, lambda row: f"few cells: {row['cells_real']:.0f}, median well {usual:.0f}")
    return pd.Series(said, dtype=object)


def arm_table(
    arm: str, fields: pd.DataFrame, scores: pd.DataFrame, counts: pd.DataFrame | None, flags: pd.DataFrame
) -> pd.DataFrame:
    """Return one row a well of the plate: COLUMNS and `reasons`, wells with most reasons first.

    Parameters
    ----------
    fields : the plate's field table
    scores : one row a field and channel, at least keys and one measure
    counts : from `count_wells`; None where cells were not measured
    flags : the plate's flags

    Raises
    ------
    ValueError
        where the arm has scores of a well that the plate does not have
    """
    held = treatments(fields) if "Metadata_perturbation" in fields else ""  # with its dose, where it has one
    named = fields.assign(perturbation=held).groupby(WELL)
    wells = pd.DataFrame({"perturbation": named["perturbation"].first(), "fields": named.size()})
    means = mean_wells(scores)
    unknown = means.index.difference(wells.index)
    if len(unknown):
        raise ValueError(f"arm {arm}: well {unknown[0]} was scored but is not in the field table; rerun score")
    wells = wells.join(means.drop(columns=["pcc_brightfield", "pcc_brightfield_sd"], errors="ignore"))
    if counts is not None:
        wells = wells.join(counts)
    wells = wells.loc[means.index]
    why = reasons(wells, flag_words(flags))
    wells = wells.assign(arm=arm, well=wells.index, reasons=why.map("; ".join), many=why.map(len)).dropna(
        axis=1, how="all"
    )
    order = ["many", *(["pcc"] if "pcc" in wells else [])]
    wells = wells.sort_values(order, ascending=[False, True][: len(order)], kind="stable")
    return wells[[name for name in [*COLUMNS, "reasons"] if name in wells]].reset_index(drop=True)


def lost_wells(flags: pd.DataFrame, fields: pd.DataFrame) -> dict[str, str]:
    """Return {well: why} of the wells of which no field was kept."""
    gone = sorted(set(flags[WELL]) - set(fields[WELL]))
    return flag_words(flags[flags[WELL].isin(gone)]).to_dict()


def page(plate: str, tables: dict[str, pd.DataFrame], lost: dict[str, str], tsv: str) -> str:
    """Render the wells that have a reason, an arm a table, with a sentence on each arm.

    `lost` are wells without a kept field, `tsv` the text of all wells.
    """
    arms = []
    for arm, wells in tables.items():
        doubted = wells[wells["reasons"] != ""].drop(columns="arm")
        shown = doubted.rename(columns={"pcc": "PCC", "nuclei_f1": "nuclei F1"})
        measured = bool({"pcc", "uncertainty"} & set(wells))
        arms.append({"name": arm, "wells": len(wells), "doubted": pages.table(shown), "measured": measured})
    return pages.render(
        "wells.html", plate=plate, arms=arms, lost=lost, tsv=tsv, outlier_sd=f"{OUTLIER_SD:g}",
        count_share=f"{COUNT_SHARE:.0%}", stained=any("pcc" in wells for wells in tables.values()),
    )  # fmt: skip


def scores_of(arm: str, plate: str, scores: Sequence[Path], uncertainty: Sequence[Path]) -> pd.DataFrame | None:
    """Read what is known of an arm's fields on a plate: its scores, else its uncertainty, else None.

    Files are told apart by name: `{arm}.fields.parquet`, `{arm}/{plate}.tif`.
    """
    for path in scores:
        if path.name == f"{arm}.fields.parquet":
            table = store.read_table(path, required=[*store.FIELD_KEYS, "pcc"])
            return table[table["Metadata_Plate"] == plate]
    for path in uncertainty:
        if path.parent.name == arm:
            stack, rows = store.open_gathered(path)
            return rows.assign(uncertainty=[field_uncertainty(stack.images[n]).mean() for n in range(len(rows))])
    return None


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plate", required=True)
    parser.add_argument("--arms", nargs="+", required=True)
    parser.add_argument("--fields", type=Path, required=True)
    parser.add_argument("--flags", type=Path, required=True)
    parser.add_argument("--scores", type=Path, nargs="*", default=[], help="scores of single fields, one an arm")
    parser.add_argument(
        "--medians", type=Path, nargs="*", default=[], help="field medians in folders named by arm, real first"
    )
    parser.add_argument(
        "--uncertainty", type=Path, nargs="*", default=[], help="uncertainty stacks in folders named by arm"
    )
    parser.add_argument("--html", type=Path, required=True)
    parser.add_argument("--tsv", type=Path, required=True)
    args = parser.parse_args(argv)
    store.one_engine(args.medians)
    fields, flags = store.read_fields(args.fields), store.read_table(args.flags, required=[WELL, "flag", "excluded"])
    medians = {path.parent.name: path for path in args.medians}
    real, tables = store.read_fields(medians["real"]) if "real" in medians else None, {}
    for arm in args.arms:
        scores = scores_of(arm, args.plate, args.scores, args.uncertainty)
        if scores is None:  # one sample a field and no real stains: the field table and the flags are all there is
            scores = fields[store.FIELD_KEYS].assign(uncertainty=np.nan)
        counts = count_wells(real, store.read_fields(medians[arm])) if real is not None and arm in medians else None
        tables[arm] = arm_table(arm, fields, scores, counts, flags)
    every = pd.concat(tables.values(), ignore_index=True)
    store.write_table(store.as_text(every), args.tsv)
    with store.atomic(args.html) as temporary:
        temporary.write_text(page(args.plate, tables, lost_wells(flags, fields), args.tsv.read_text()))


if __name__ == "__main__":
    run(main)
