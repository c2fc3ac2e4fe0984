"""Join CellProfiler's nuclei, cells and cytoplasm of one part into one row a cell.

Columns bear the names of public Cell Painting tables: `Nuclei_AreaShape_Area`, `Cells_Texture_...`, after the
field's keys and annotations. Features are stored as float32: a full plate (345,000 cells, 4,486 columns) is
6 GB instead of 12, and the rounding, 6e-8 of the value, is below the 1e-6 to which CellProfiler repeats itself.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from brightpaint import store
from brightpaint.base import cli
from brightpaint.features import label_images, object_links
from brightpaint.study.annotations import NUMBERS

COMPARTMENTS = ("Nuclei", "Cells", "Cytoplasm")
WHOLE = ("Metadata_Site", "Metadata_Tile", "Metadata_draw")  # keys that are integers
log = logging.getLogger(__name__)


def join_compartments(
    nuclei: pd.DataFrame,
    cells: pd.DataFrame,
    cytoplasm: pd.DataFrame,
    between: Mapping[str, pd.DataFrame] | None = None,
) -> pd.DataFrame:
    """Join each cell to its nucleus and cytoplasm by CellProfiler's Parent columns, never by position.

    Parameters
    ----------
    nuclei, cells, cytoplasm : CellProfiler's tables: ImageNumber, ObjectNumber, features, Parent columns
    between : tables of the other objects (ImageNumber, ObjectNumber, Parent columns), over which they may be joined

    Returns
    -------
    One row a cell that has all three: ImageNumber, ObjectNumber (the cell's), then the prefixed features, the number of
    its nucleus, Cells_Parent_Nuclei, and its own, Cytoplasm_Parent_Cells, always among them.
    """
    keys = ["ImageNumber", "ObjectNumber"]
    tables = dict(zip(COMPARTMENTS, (nuclei, cells, cytoplasm)))
    joined = object_links.cell_links({**(between or {}), **tables})
    features = []
    for name, frame in tables.items():
        named = frame.rename(columns={column: f"{name}_{column}" for column in frame.columns if column not in keys})
        features += [column for column in named.columns if column not in keys]
        joined = joined.merge(
            named.rename(columns={"ObjectNumber": name}), on=["ImageNumber", name], validate="one_to_one"
        )
    links = {"Cells_Parent_Nuclei": joined["Nuclei"], "Cytoplasm_Parent_Cells": joined["Cells"]}
    joined = joined.copy().assign(**links).rename(columns={"Cells": "ObjectNumber"})
    return joined[list(dict.fromkeys([*keys, *features, *links]))]


def image_keys(image: pd.DataFrame, load_data: pd.DataFrame) -> pd.DataFrame:
    """Return ImageNumber and keys of each image (ROW_KEYS where fields have several).

    The link is the name of the first file: CellProfiler turns a plate called 007 into the number 7.
    """
    first = next(column for column in load_data.columns if column.startswith("FileName_Orig"))
    linked = image[["ImageNumber", first]].merge(load_data[[first, *store.row_keys(load_data)]], on=first, how="left")
    if (
        linked["Metadata_Well"].isna().any()
        or len(linked) != len(load_data)
        or linked["ImageNumber"].duplicated().any()
    ):
        found = f"Image.csv has {len(image)} images that do not match load_data.csv's {len(load_data)}"
        raise ValueError(f"{found}; delete the measured part and rerun cellprofiler")
    return linked.drop(columns=first)


def annotate(joined: pd.DataFrame, keys: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Put keys and annotations before the features, by the rows' keys, in the order of `rows`.

    Returns
    -------
    Metadata_* columns of `rows`, ObjectNumber (int64), features (float32)
    """
    described = rows[[column for column in rows.columns if column.startswith("Metadata_")]].assign(
        _order=range(len(rows))
    )
    linked = keys.merge(described, on=store.row_keys(keys), how="left")
    strange = linked["_order"].isna()
    if strange.any():
        raise ValueError(
            f"{store.describe_field(linked[strange].iloc[0])}: measured, but not among the rows of the plate"
        )
    metadata = list(described.columns[:-1])
    features = [column for column in joined.columns if column not in ("ImageNumber", "ObjectNumber")]
    frame = joined.merge(linked, on="ImageNumber", validate="many_to_one")
    frame = frame.sort_values(["_order", "ObjectNumber"], kind="stable")
    types = {name: "float64" if name in NUMBERS else "str" for name in metadata}
    types |= {"ObjectNumber": "int64", **{key: "int64" for key in WHOLE if key in metadata or key in store.FIELD_KEYS}}
    types.update(dict.fromkeys(features, "float32"))
    return frame[[*metadata, "ObjectNumber", *features]].astype(types).reset_index(drop=True)


def read_load_data(folder: Path) -> pd.DataFrame:
    """Read the table of a measured part's images."""
    return store.read_table(folder / "load_data.csv")


def read_tables(folder: Path) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Read the keys of each image and the object tables of a measured part: the three, and of others what joins them."""
    load_data = read_load_data(folder)
    if len(load_data) == 0:
        return load_data, {}
    first = next(column for column in load_data.columns if column.startswith("FileName_Orig"))
    image = _read(folder / "Image.csv", dtype={first: str})
    if missing := [name for name in ("ImageNumber", first) if name not in image]:
        raise ValueError(
            f"{folder / 'Image.csv'}: columns {missing} are missing; delete {folder} and rerun cellprofiler"
        )
    image = image[["ImageNumber", first]]
    tables = {name: _numbers(folder / f"{name}.csv") for name in COMPARTMENTS}
    for path in sorted(folder.glob("*.csv")):
        if path.stem not in (*COMPARTMENTS, "Image", "load_data"):
            tables |= _parents(path)
    return image_keys(image, load_data), tables


def _numbers(path: Path) -> pd.DataFrame:
    """Read an object table; every column must be numbers."""
    frame = _read(path, low_memory=False)
    words = [column for column in frame.columns if len(frame) and not pd.api.types.is_numeric_dtype(frame[column])]
    if words:
        raise ValueError(f"{path}: columns {words[:5]} hold words; switch off the export of metadata and file names")
    keys = ["ImageNumber", "ObjectNumber"]
    if missing := [name for name in keys if name not in frame]:
        raise ValueError(f"{path}: columns {missing} are missing; delete {path.parent} and rerun cellprofiler")
    twice = frame.duplicated(keys) | frame[keys].isna().any(axis=1)
    if twice.any():
        row = frame[twice].iloc[0]
        raise ValueError(
            f"{path}: object {row['ObjectNumber']} of image {row['ImageNumber']} occurs twice or has no number, expected "
            f"each once; delete {path.parent} and rerun cellprofiler"
        )
    return frame.astype(np.float64)


def _parents(path: Path) -> dict[str, pd.DataFrame]:
    """Read the Parent columns of other objects than the three; nothing of a table that holds none."""
    columns = _read(path, nrows=0).columns
    wanted = [name for name in columns if name.startswith(object_links.PARENT)]
    keys = ["ImageNumber", "ObjectNumber"]
    if not wanted or not set(keys) <= set(columns):
        return {}
    return {path.stem: _read(path, usecols=[*keys, *wanted]).astype(np.float64)}


def _read(path: Path, **options) -> pd.DataFrame:
    """Read one of CellProfiler's CSVs."""
    try:
        return pd.read_csv(path, **options)
    except FileNotFoundError:
        raise ValueError(f"{path} is missing; delete {path.parent} and rerun cellprofiler") from None
    except (ValueError, pd.errors.ParserError) as error:
        raise ValueError(
            f"{path}: not a readable CSV ({error}); delete {path.parent} and rerun cellprofiler"
        ) from error


def cells_of_part(keys: pd.DataFrame, tables: dict[str, pd.DataFrame], rows: pd.DataFrame) -> pd.DataFrame:
    """Return the single cells of a measured part (see `read_tables`); one without fields has no rows and no features."""
    if not tables:
        nothing = pd.DataFrame({"ImageNumber": pd.Series(dtype=float), "ObjectNumber": pd.Series(dtype=float)})
        return annotate(nothing, keys[store.row_keys(keys)].assign(ImageNumber=pd.Series(dtype=float)), rows)
    between = {name: frame for name, frame in tables.items() if name not in COMPARTMENTS}
    joined = join_compartments(*(tables[name] for name in COMPARTMENTS), between)
    for name in COMPARTMENTS:
        frame = tables[name]
        if len(frame) != len(joined):
            log.info("%d of %d %s belong to no whole cell and are left out", len(frame) - len(joined), len(frame), name)
    return annotate(joined, keys, rows)


def by_well(frame: pd.DataFrame, schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield the cells of one well after the other."""
    for _, well in frame.groupby("Metadata_Well", sort=False):
        yield pa.Table.from_pandas(well, schema=schema, preserve_index=False)


def write_part(folder: Path, rows_path: Path, path: Path, masks_path: Path | None = None) -> None:
    """Write the single cells of a part, one row group a well, and its label images."""
    keys, tables = read_tables(folder)
    frame = cells_of_part(keys, tables, store.read_fields(rows_path))
    schema = pa.Schema.from_pandas(frame, preserve_index=False).remove_metadata()
    store.write_groups(by_well(frame, schema), path, schema)
    if masks_path:
        label_images.write_part(folder, read_load_data(folder), keys, tables, masks_path)
    log.info("%d cells, %d columns", len(frame), len(frame.columns))


def main(argv: list[str] | None = None) -> None:
    """Join the tables of one measured part: one row a cell, and its label images."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--tables", type=Path, required=True)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--cells", type=Path, required=True)
    parser.add_argument("--masks", type=Path, help="where the label images go")
    args = parser.parse_args(argv)
    write_part(args.tables, args.rows, args.cells, args.masks)


if __name__ == "__main__":
    cli.run(main)
