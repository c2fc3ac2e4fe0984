"""Take the last activations of every cell of a plate in the classifier of cells, and of every field the median cell.

A cell's numbers, `CellNet_000` and on, are those before the classifier's last layer. The medians hold cells of wells that no
network was trained on, unless `wells` is all: a network that has been told which wells are alike finds them alike.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from tqdm import tqdm

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.base.device import pick_device
from brightpaint.features.embedders.seer import Seer
from brightpaint.models.cell_split import HELD_OUT
from brightpaint.models.see_cells import BATCH, CellReader, read_network

ROLE = "Metadata_cellnet_role"  # of the cell's well: train, validate, test, or "" (see cell_split)
log = logging.getLogger(__name__)


def vectors_of(reader: CellReader, writer: store.StackWriter) -> None:
    """Write the activations of the cells that `writer` still lacks, in whole batches, so that a killed job goes on."""
    left = np.flatnonzero(~writer.done)
    for first in tqdm(range(0, len(left), BATCH), unit="batch", disable=None):
        rows = left[first : first + BATCH]
        found = reader.activations(rows)
        if not np.isfinite(found).all():
            raise ValueError(f"{reader.trained.path}: it answers with values that are not finite; train it again")
        for row, numbers in zip(rows.tolist(), found):
            writer.write(row, numbers[None, None])


def cell_groups(
    table: Path, writer: store.StackWriter, roles: dict[str, str] | None, names: list[str]
) -> Iterator[pa.Table]:
    """Yield the rows of the table of cells, a field at a time; with the roles of their wells, where there are such."""
    first = 0
    for group in store.read_groups(table):
        cells = group.to_pandas()
        numbers = np.stack([writer.read(row)[0, 0] for row in range(first, first + len(cells))]) if len(cells) else []
        first += len(cells)
        if roles is not None:
            cells[ROLE] = cells["group"].map(roles).fillna("")
        values = pd.DataFrame(numbers, columns=names, index=cells.index)
        yield pa.Table.from_pandas(pd.concat([cells, values], axis=1), preserve_index=False)


def write_cells(reader, crops: Path, names: list[str], path: Path, made_by: str, roles: dict | None = None) -> None:
    """Write the table of a plate's cells with their numbers, resumably.

    Parameters
    ----------
    reader : `activations(rows)`, and `trained.path`, the weights; not asked where there are no crops
    crops : the file of crops, its table beside it
    made_by : digest of the weights
    roles : {group: role of its well}, where there are such
    """
    count, table, unfinished = len(store.open_crops(crops)), crops.with_suffix(".parquet"), path.with_suffix(".tif")
    key = store.digest(store.fingerprint(crops), made_by)
    with store.StackWriter(unfinished, (count, 1, 1, len(names)), ["cell"], key=key, dtype="float32") as writer:
        if count:
            vectors_of(reader, writer)
        schema = store.read_schema(table)
        for name, kind in [
            *([(ROLE, pa.string())] if roles is not None else []),
            *((name, pa.float32()) for name in names),
        ]:
            schema = schema.append(pa.field(name, kind))
        parts = (part.cast(schema.remove_metadata()) for part in cell_groups(table, writer, roles, names))
        store.write_groups(parts, path, schema.remove_metadata())
    unfinished.unlink()
    log.info("%d cells", count)


def field_medians(cells: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Return one row a field of these cells: keys, Metadata_cells, and the median of each number."""
    keys = cells.groupby(store.FIELD_KEYS, sort=False)
    return pd.concat([keys.size().rename("Metadata_cells"), keys[names].median()], axis=1).reset_index()


def medians_of_plate(
    cells_path: Path, fields: pd.DataFrame, roles: dict, names: list[str], wells: str, kept: str = ""
) -> pd.DataFrame:
    """Return the median cell of every field whose well is wanted; one without cells has Metadata_cells 0 and NaN.

    Parameters
    ----------
    fields : the arm's rows, keys and annotations
    roles : {group: role}
    wells : `held_out` or `all`
    kept : column of the cells that is 1 where a cell counts; all do without it
    """
    described = [name for name in fields.columns if name.startswith("Metadata_") and name not in store.ROW_DEFAULTS]
    fields = fields[described]
    if wells != "all":
        role = (fields["Metadata_Plate"] + "/" + fields["Metadata_Well"]).map(roles).fillna("")
        fields = fields[role.isin(HELD_OUT).to_numpy()]
    wanted = [*store.FIELD_KEYS, *names, *([kept] if kept else [])]
    groups = (group.to_pandas() for group in store.read_groups(cells_path, wanted))
    parts = [field_medians(group[group[kept] == 1] if kept else group, names) for group in groups]
    found = (
        pd.concat(parts, ignore_index=True)
        if parts
        else pd.DataFrame(columns=[*store.FIELD_KEYS, "Metadata_cells", *names])
    )
    if not len(found):
        found = fields[store.FIELD_KEYS].iloc[:0].assign(Metadata_cells=0, **dict.fromkeys(names, np.float32(0)))
    frame = fields.merge(found, on=store.FIELD_KEYS, how="left", validate="one_to_one").reset_index(drop=True)
    return frame.assign(Metadata_cells=frame["Metadata_cells"].fillna(0).astype("int64"))


def seer(weights: Path, settings: dict, device: torch.device) -> Seer:
    """Return the classifier of cells as what makes its space."""
    trained = read_network(weights, device)

    def answer(numbers: np.ndarray) -> np.ndarray:
        return trained.logits(numbers).argmax(axis=1)

    told = {"answer": answer, "labels": trained.labels, "label": trained.settings["label"]}
    return Seer(trained.channels, trained.numbers, masked=trained.settings["masked"], **told)


def main(argv=None) -> None:
    """Take the last activations of every cell of a plate."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: wells")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=1)
    for name in ("weights", "split", "crops", "rows", "cells", "medians"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    trained, split = read_network(args.weights, pick_device(args.device)), store.read_table(args.split)
    roles = dict(zip(split["group"], split["role"]))
    names = [f"CellNet_{number:03d}" for number in range(trained.network.features)]
    write_cells(
        CellReader([args.crops], trained), args.crops, names, args.cells, store.file_digest(args.weights), roles
    )
    frame = medians_of_plate(args.cells, store.read_fields(args.rows), roles, names, args.settings["wells"])
    log.info("%d numbers a cell; %d fields, %d of them without cells", len(names), len(frame),
             (frame["Metadata_cells"] == 0).sum())  # fmt: skip
    store.write_table(frame, args.medians)


if __name__ == "__main__":
    run(main)
