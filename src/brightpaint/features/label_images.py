"""Keep the label images of nuclei and cells that CellProfiler measured: of a part, and of a plate.

A pixel holds the ObjectNumber of its object in CellProfiler's tables, 0 outside. The images are compressed: 24 fields
of 256 px with nuclei and cells are 0.1 MB in place of 6. What reads them joins by the field keys that the file holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.features.pipeline import LABELLED, label_file

NO_FIELD = (8, 8)  # size of the images of no field: TIFF has no empty image


def check_numbers(labels: np.ndarray, numbers: pd.Series, where: str) -> None:
    """Refuse a label image with a number that its table does not hold.

    An object without a pixel of its own (an own pipeline's objects may overlap) is none: it was measured all the same.
    """
    strange = np.setdiff1d(labels, np.append(numbers.to_numpy(np.int64), 0))
    if len(strange):
        raise ValueError(f"{where}: the label image holds objects {strange[:5].tolist()}, which are not in the table of "
                         f"{len(numbers)}; delete the part and rerun cellprofiler")  # fmt: skip


def labels_of_part(
    folder: Path, load_data: pd.DataFrame, keys: pd.DataFrame, tables: dict[str, pd.DataFrame]
) -> Iterator[np.ndarray]:
    """Yield the label images of each field of a measured part, in the order of load_data.csv: (O, H, W) uint16.

    Parameters
    ----------
    keys : ImageNumber and field keys of each image
    tables : CellProfiler's object tables, by name
    """
    first = next(column for column in load_data.columns if column.startswith("FileName_Orig"))
    images = load_data.merge(keys, on=store.row_keys(load_data), how="left", validate="one_to_one")
    for _, row in images.iterrows():
        field = []
        for name in LABELLED:
            path, table = folder / label_file(row[first], name), tables[name]
            field.append(store.read_raw(path, store.describe_field(row)))
            numbers = table.loc[table["ImageNumber"] == row["ImageNumber"], "ObjectNumber"]
            check_numbers(field[-1], numbers, f"{path} ({store.describe_field(row)})")
        yield np.stack(field)


def write_part(
    folder: Path, load_data: pd.DataFrame, keys: pd.DataFrame, tables: dict[str, pd.DataFrame], path: Path
) -> None:
    """Write the label images of a part; a part without fields holds none."""
    if load_data.empty:
        store.write_masks(path, load_data, [], LABELLED, NO_FIELD)
        return
    first = next(column for column in load_data.columns if column.startswith("FileName_Orig"))
    shape = store.read_raw(folder / label_file(load_data[first].iloc[0], LABELLED[0])).shape
    store.write_masks(path, load_data, labels_of_part(folder, load_data, keys, tables), LABELLED, shape)


def gather(parts: list[Path], path: Path) -> None:
    """Join the parts of a plate, in their order; no more than one field lies in memory."""
    fields, shapes = [], {}
    for part in parts:
        with store.open_masks(part) as masks:
            fields.append(masks.fields)
            if len(masks):
                shapes[masks.shape] = part
    if len(shapes) > 1:
        named = ", ".join(f"{shape} in {part}" for shape, part in shapes.items())
        raise ValueError(f"label images of unlike size: {named}; delete the parts and rerun")

    def images() -> Iterator[np.ndarray]:
        for part in parts:
            with store.open_masks(part) as masks:
                for row in range(len(masks)):
                    yield np.stack([masks.read(row, name) for name in LABELLED])

    store.write_masks(path, pd.concat(fields), images(), LABELLED, next(iter(shapes), NO_FIELD))
