"""Measure one exported part: its fields one after the other, or several abreast, into the tables that CellProfiler writes.

Columns bear CellProfiler's names in CellProfiler's order, numbers are written in full, and the tables are the same bytes
however many fields are measured at once. Image.csv holds what follows reads or what is measured anyway, not all of it.
"""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from brightpaint import store
from brightpaint.base import atomic, pool
from brightpaint.features import cellprofiler, loaded_objects, pipeline
from brightpaint.features.engine.one_field import Field, measure_field
from brightpaint.features.engine.pipeline_steps import Step, read_steps
from brightpaint.study.cell_engines import FAST

KEYS = ("ImageNumber", "ObjectNumber")
MOST_OBJECTS = np.iinfo(np.uint16).max  # label images are of 16 bits


def measure(pipeline_path: Path, images: Path, tables: Path, labels: Path | None = None, *, threads: int = 1) -> None:
    """Measure one exported part; `tables` appears only when all is well.

    Parameters
    ----------
    labels : a folder of label images that are measured in place of what the pipeline would find
    threads : fields that are measured at once; each holds some 100 MB at 512 px and five stains

    Raises
    ------
    ValueError
        for a pipeline, images or label images that CellProfiler's run refuses too, and a pipeline that the engine does not
        know whole, before anything is measured
    """
    load_data = images / "load_data.csv"
    rows, channels = cellprofiler.read_csv(load_data), cellprofiler.channels_of(load_data)
    described = cellprofiler.exported(images)
    with atomic.scratch_folder(tables) as folder:
        (folder / "tables").mkdir()
        if rows:
            pixel_um = described.get("pixel_size_um")
            steps = read_steps(pipeline_path, channels, pixel_um, described, loaded=labels is not None)
            cellprofiler.check_images(rows, channels)
            first, expected = f"FileName_Orig{channels[0]}", None
            if labels:
                expected = loaded_objects.expected_counts(labels, [row[first] for row in rows])
            work = partial(_measured, steps, channels, labels)
            write_tables(folder / "tables", rows, first, steps, pool.ordered(work, rows, workers=threads))
            cellprofiler.check_tables(folder / "tables", rows, images, [])
            if expected:
                loaded_objects.check_counts(cellprofiler.read_csv(folder / "tables" / "Image.csv"), first, expected)
        shutil.copy(load_data, folder / "tables" / "load_data.csv")
        store.write_part_engine(folder / "tables", FAST)
        atomic.replace_folder(folder / "tables", tables)


def _measured(steps: list[Step], channels: list[str], labels: Path | None, row: dict[str, str]) -> Field:
    """Return one field, measured."""
    where = cellprofiler.describe(row)
    images = {}
    for name in channels:
        path = Path(row[f"PathName_Orig{name}"]) / row[f"FileName_Orig{name}"]
        images[f"Orig{name}"] = store.read_raw(path, cellprofiler.describe(row, name))
    loaded = {}
    for name in pipeline.LABELLED if labels else ():
        path = labels / loaded_objects.label_name(row[f"FileName_Orig{channels[0]}"], name)
        loaded[name] = store.read_raw(path, f"{where}, {name}")
        if loaded[name].shape != images[f"Orig{channels[0]}"].shape:
            raise ValueError(f"{path} ({where}): labels of {loaded[name].shape} pixels, expected those of the images, "
                             f"{images[f'Orig{channels[0]}'].shape}; rerun cellpose")  # fmt: skip
    try:
        return measure_field(steps, images, loaded)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


# --- tables ---


def write_tables(
    folder: Path, rows: list[dict[str, str]], first: str, steps: list[Step], fields: Iterator[Field]
) -> None:
    """Write the tables of a part and the label images of its fields, one field in memory at a time.

    Parameters
    ----------
    rows : of load_data.csv
    first : name of its column of the first channel's files
    fields : measured, in the order of `rows`
    """
    (folder / pipeline.LABELS_FOLDER).mkdir()
    images, open_tables = [], {}
    try:
        for number, (row, field) in enumerate(zip(rows, fields, strict=True), 1):
            for name, columns in field.tables.items():
                if name not in open_tables:
                    open_tables[name] = _Table(folder / f"{name}.csv", sorted(columns))
                open_tables[name].write(number, field.objects[name].count, columns)
            for name in pipeline.LABELLED:
                _write_labels(folder / pipeline.label_file(row[first], name), field.objects[name].labels, name, row)
            images.append(_image_row(number, row, field, steps))
    finally:
        for table in open_tables.values():
            table.close()
    text = io.StringIO()
    writer = csv.DictWriter(text, sorted(images[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(images)
    (folder / "Image.csv").write_text(text.getvalue(), encoding="utf-8")


class _Table:
    """A table of objects that is written a field at a time."""

    def __init__(self, path: Path, columns: list[str]):
        self.path, self.columns = path, columns
        types = [(name, pa.int64()) for name in KEYS] + [(name, pa.float64()) for name in columns]
        self._file = open(path, "wb")
        self._file.write((",".join([*KEYS, *columns]) + "\n").encode())
        options = pyarrow.csv.WriteOptions(include_header=False)
        self._schema = pa.schema(types)
        self._writer = pyarrow.csv.CSVWriter(self._file, self._schema, write_options=options)

    def write(self, image: int, count: int, columns: dict[str, np.ndarray]) -> None:
        """Add the objects of one image."""
        if sorted(columns) != self.columns:
            odd = sorted(set(columns) ^ set(self.columns))[:5]
            raise ValueError(
                f"{self.path.name}: image {image} has other columns than the first: {odd}; please report this"
            )
        numbers = [np.full(count, image), np.arange(1, count + 1)]
        arrays = numbers + [np.asarray(columns[name], np.float64) for name in self.columns]
        if wrong := [name for name, values in zip([*KEYS, *self.columns], arrays) if values.shape != (count,)]:
            raise ValueError(
                f"{self.path.name}: {wrong[:5]} are not of {count} objects in image {image}; please report this"
            )
        self._writer.write_batch(pa.record_batch([pa.array(values) for values in arrays], schema=self._schema))

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()
        self._file.close()


def _image_row(number: int, row: dict[str, str], field: Field, steps: list[Step]) -> dict[str, object]:
    """Return a field's row of Image.csv."""
    errors = {f"ModuleError_{step.place}": 0 for step in steps if step.module != "ExportToSpreadsheet"}
    return {"ImageNumber": number, **row, **errors, **field.numbers}


def _write_labels(path: Path, labels: np.ndarray, name: str, row: dict[str, str]) -> None:
    if labels.max(initial=0) > MOST_OBJECTS:
        raise ValueError(
            f"{cellprofiler.describe(row)}: {labels.max()} {name}, expected {MOST_OBJECTS} at most in one field"
        )
    store.write_raw(path, labels.astype(np.uint16))
