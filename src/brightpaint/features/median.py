"""Take the median cell of every field, as in the paper (single cells -> median per image).

What says where a cell lies or how it is numbered is no feature and is left out: Location, Number, Parent,
Children, object numbers, and the centre and corners that AreaShape gives.
"""

from __future__ import annotations

import argparse
import logging
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pycytominer

from brightpaint import store
from brightpaint.base import cli

COMPARTMENTS = ("Nuclei_", "Cells_", "Cytoplasm_")
PLACE_OR_NUMBER = re.compile(
    r"^[A-Za-z]+_(Location|Number|Parent|Children)_|ObjectNumber|_AreaShape_(Center|BoundingBox(Minimum|Maximum))_"
)
log = logging.getLogger(__name__)


def features_of(columns: list[str]) -> list[str]:
    """Return the columns that measure a cell."""
    return [name for name in columns if name.startswith(COMPARTMENTS) and not PLACE_OR_NUMBER.search(name)]


def read_medians(path: Path) -> pd.DataFrame:
    """Read field medians; features that are no numbers, or infinite, are an error (NaN is a field without cells)."""
    frame = store.read_fields(path)
    counts = frame.get("Metadata_cells")
    if counts is None or not pd.api.types.is_integer_dtype(counts) or (counts < 0).any():
        raise ValueError(f"{path}: expected counts of cells in the column Metadata_cells; delete it and rerun median")
    for name in features_of(list(frame.columns)):
        if not pd.api.types.is_numeric_dtype(frame[name]):
            raise ValueError(f"{path}: feature {name} holds words, expected numbers; delete it and rerun median")
        bad = np.isinf(frame[name].to_numpy(np.float64))
        if bad.any():
            place = store.describe_field(frame.iloc[int(bad.argmax())])
            raise ValueError(f"{path}: feature {name} is infinite ({place}); delete it and rerun median")
    return frame


def field_medians(cells: pd.DataFrame, features: list[str]) -> pd.DataFrame:
    """Return one row a field that has cells: keys, Metadata_cells (count), the median of every feature.

    Medians ignore NaN (a cell in which a feature is not defined); infinite values count as not defined.
    """
    numbers = cells[features].astype(np.float64).replace([np.inf, -np.inf], np.nan)
    keys = store.row_keys(cells)
    frame = pd.concat([cells[keys], numbers], axis=1)
    medians = pycytominer.aggregate(frame, strata=keys, features=features, operation="median")
    counts = frame.groupby(keys).size().rename("Metadata_cells").reset_index()
    return counts.merge(medians, on=keys)


def with_every_field(medians: pd.DataFrame, rows: pd.DataFrame, features: list[str]) -> pd.DataFrame:
    """Give every field of `rows` its row, in their order: a field without cells has Metadata_cells 0 and NaN."""
    keys = store.row_keys(rows)
    known = rows[keys].assign(_known=True)
    strange = medians.merge(known, on=keys, how="left")["_known"].isna()
    if strange.any():
        raise ValueError(
            f"{store.describe_field(medians[strange.to_numpy()].iloc[0])}: has cells, but is not among the plate's rows; "
            "delete the table of cells and rerun"
        )
    described = rows[[column for column in rows.columns if column.startswith("Metadata_")]]
    frame = described.merge(medians, on=keys, how="left")
    frame["Metadata_cells"] = frame["Metadata_cells"].fillna(0).astype("int64")
    return frame[[*described.columns, "Metadata_cells", *features]]


def medians_of_plate(cells_path: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the median of every field of a plate, reading one well at a time."""
    features = features_of(store.read_schema(cells_path).names)
    keys = store.row_keys(rows)
    empty = pd.DataFrame(columns=[*keys, "Metadata_cells", *features]).astype(
        {
            **{key: rows[key].dtype for key in keys},
            **dict.fromkeys(["Metadata_cells", *features], np.float64),
        }
    )
    wells = [field_medians(table.to_pandas(), features) for table in store.read_groups(cells_path)]
    frame = pd.concat(wells, ignore_index=True) if wells else empty
    twice = frame.duplicated(keys)
    if twice.any():
        raise ValueError(
            f"{cells_path}: {store.describe_field(frame[twice].iloc[0])} lies in two row groups; rerun cells"
        )
    return with_every_field(frame, rows, features)


def main(argv: list[str] | None = None) -> None:
    """Take the median cell of every field."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--cells", type=Path, required=True)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--medians", type=Path, required=True)
    args = parser.parse_args(argv)
    frame = medians_of_plate(args.cells, store.read_fields(args.rows))
    empty = frame[frame["Metadata_cells"] == 0]
    log.info("%d fields, %d of them without cells", len(frame), len(empty))
    for _, row in empty.iterrows():
        log.info("no cells: %s", store.describe_field(row))
    store.write_table(frame, args.medians)


if __name__ == "__main__":
    cli.run(main)
