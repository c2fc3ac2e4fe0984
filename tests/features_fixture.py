"""Plates, exported parts and drawn cells for the tests of brightpaint.features."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage

from brightpaint import store
from brightpaint.base import intensity
from brightpaint.features import cells_part, export, pipeline
from conftest import write_pipeline

FIVE = ["DNA", "RNA", "ER", "AGP", "Mito"]


def rows_of(wells, plate="P1", height=64):
    """Return a table of fields, the sites of a well numbered from 1."""
    sites = [wells[:n].count(well) + 1 for n, well in enumerate(wells)]
    return pd.DataFrame({
        "Metadata_Plate": plate, "Metadata_Well": wells, "Metadata_Site": sites, "Metadata_Tile": 1,
        "height_px": height, "width_px": height,
    })  # fmt: skip


def write_plate(folder, wells, *, channels=("BF", "DNA", "RNA"), seed=0, **changes):
    """Write stack.tif and rows.parquet of random fields into `folder` and return the images."""
    images = np.random.default_rng(seed).normal(0, 1, (len(wells), len(channels), 32, 32)).astype(np.float16)
    rows = rows_of(wells, **changes)
    with store.StackWriter(folder / "stack.tif", images.shape, channels, key="test") as writer:
        for number, image in enumerate(images):
            writer.write(number, image)
    store.write_table(rows, folder / "rows.parquet")
    return images


def write_images(folder: Path, images: np.ndarray, channels=FIVE, pixel_um=1.0, plate="P1") -> Path:
    """Write an exported part by hand: images are (N, C, H, W) z-scores, one well each."""
    folder.mkdir()
    records = []
    for number, image in enumerate(images, 1):
        keys = dict(zip(store.FIELD_KEYS, (plate, f"A{number:02d}", 1, 1)))
        files = {name: f"A{number:02d}_s1_t1_{name}.tif" for name in channels}
        for name, plane in zip(channels, image):
            store.write_raw(folder / files[name], export.to_counts(plane, (-5, 15)))
        records.append({**keys, "folder": folder.resolve(), "files": files})
    (folder / "load_data.csv").write_text(export.load_data_csv(records, list(channels)))
    (folder / "export.json").write_text(json.dumps({"pixel_size_um": pixel_um}))
    return folder


def blobs(seed=0, size=128, channels=5):
    """Draw one field of round cells: (C, size, size) z-scores, and the number of whole nuclei."""
    generator = np.random.default_rng(seed)
    centres = [(y, x) for y in range(24, size, 40) for x in range(24, size, 40)]
    yy, xx = np.mgrid[:size, :size]
    distance = np.min([np.hypot(yy - y, xx - x) for y, x in centres], axis=0)
    planes = [1 / (1 + np.exp((distance - (8 if n == 0 else 15)) / 1.2)) for n in range(channels)]
    noisy = np.array(planes) + generator.normal(0, 0.03, (channels, size, size))
    return intensity.standardise(ndimage.gaussian_filter(noisy, (0, 1, 1)), 15), len(centres)


def read(path: Path) -> list[dict]:
    """Return the rows of a CSV."""
    with open(path, newline="") as handle:
        return list(csv.DictReader(handle))


def write_tables(
    folder: Path, counts: list[int], *, wells=None, plate="P1", seed=0, features=3, order=1
) -> pd.DataFrame:
    """Write a measured part by hand, one field a well and `counts` cells each, and return the fields' rows.

    The cell grown from nucleus k has number n + 1 - k (of n), and the cytoplasm yet another, so that a join by
    position or by number is wrong. Every feature of nucleus k of image i is i * 100 + k.
    """
    generator = np.random.default_rng(seed)
    wells = wells or [f"A{number:02d}" for number in range(1, len(counts) + 1)]
    rows = annotated(rows_of(wells, plate=plate))
    files = [f"{well}_s{site}_t1_DNA.tif" for well, site in zip(rows["Metadata_Well"], rows["Metadata_Site"])]
    folder.mkdir(parents=True)
    load_data = rows[store.FIELD_KEYS].assign(FileName_OrigDNA=files)
    load_data.to_csv(folder / "load_data.csv", index=False)
    if not counts:
        return rows
    images = pd.DataFrame({"ImageNumber": range(1, len(counts) + 1), "FileName_OrigDNA": files})
    images.iloc[::order].to_csv(folder / "Image.csv", index=False)
    image = np.repeat(np.arange(1, len(counts) + 1), counts)
    nucleus = np.concatenate([np.arange(1, n + 1) for n in counts]).astype(int)
    total = np.repeat(counts, counts)
    write_labels(folder, files, counts)
    numbers = {"Nuclei": nucleus, "Cells": total + 1 - nucleus, "Cytoplasm": nucleus % np.maximum(total, 1) + 1}
    for name, number in numbers.items():
        frame = pd.DataFrame({"ImageNumber": image, "ObjectNumber": number, "Number_Object_Number": number})
        frame["Location_Center_X"] = generator.uniform(0, 99, len(frame))
        for feature in range(features):
            frame[f"Intensity_F{feature}_DNA"] = (image * 100 + nucleus) * 1.0 + feature * 0.25
        if name != "Nuclei":
            frame["Parent_Nuclei"] = nucleus
        if name == "Cytoplasm":
            frame["Parent_Cells"] = numbers["Cells"]
        frame.sort_values(["ImageNumber", "ObjectNumber"]).to_csv(folder / f"{name}.csv", index=False)
    return rows


def write_labels(folder: Path, files: list[str], counts: list[int]) -> None:
    """Write label images of a measured part: object k of a field is 3 pixels of column k, cells 5."""
    (folder / "labels").mkdir()
    for file, count in zip(files, counts):
        for name, height in (("Nuclei", 3), ("Cells", 5)):
            labels = np.zeros((8, 64), np.uint16)
            labels[:height, :count] = np.arange(1, count + 1)
            store.write_raw(folder / pipeline.label_file(file, name), labels)


def annotated(rows: pd.DataFrame) -> pd.DataFrame:
    """Add the annotations that the index carries to a table of fields."""
    names = {"Source": "s", "Batch": "b", "perturbation": "DMSO", "target": "", "control_type": "negcon"}
    return rows.assign(**{f"Metadata_{name}": value for name, value in names.items()})


def part_cells(folder, name, rows, tables):
    """Join the tables of one measured part by its command and return the path of its single cells."""
    rows_path, path = folder / f"{name}.rows.parquet", folder / f"{name}.parquet"
    store.write_table(rows, rows_path)
    cells_part.main(["--tables", str(tables), "--rows", str(rows_path), "--cells", str(path)])
    return path


def write_prediction(folder: Path) -> np.ndarray:
    """Write stack.tif, rows.parquet and fields.parquet of a predicted plate of two fields; returns their z-scores.

    Its channels lie in another order and on another scale than they are delivered.
    """
    images = np.stack([blobs(seed)[0] for seed in (0, 1)])
    with store.StackWriter(folder / "stack.tif", images.shape, FIVE[::-1], key="test") as writer:
        for number, image in enumerate(images):
            writer.write(number, image[::-1] * 3 + 0.5)
    fields = rows_of(["A01", "B02", "C03"], height=256)
    store.write_table(fields, folder / "fields.parquet")
    store.write_table(fields[store.FIELD_KEYS].iloc[:2], folder / "rows.parquet")
    return images


FILTER = (
    "FilterObjects:[module_num:0|"
    + pipeline.HEAD.replace("{revision}", "10")
    + """
    Select the objects to filter:{taken}
    Name the output objects:{made}
    Select the filtering mode:Image or mask border
    Select the filtering method:Limits
    Select the objects that contain the filtered objects:None
    Select the location of the rules or classifier file:Elsewhere...|
    Rules or classifier file name:rules.txt
    Class number:1
    Measurement count:1
    Additional object count:{count}
    Assign overlapping child to:Both parents
    Keep removed objects as a separate set?:No
    Name the objects removed by the filter:RemovedObjects
    Select the measurement to filter by:AreaShape_Area
    Filter using a minimum measurement value?:Yes
    Minimum value:0.0
    Filter using a maximum measurement value?:Yes
    Maximum value:1.0{further}
    Allow fuzzy feature matching?:No"""
)  # as CellProfiler 4.2.8 writes it


def filtering(taken: str, made: str, further: dict[str, str] | None = None) -> str:
    """Return a FilterObjects that drops objects at the edge and renumbers others with them: {taken: made}."""
    pairs = (further or {}).items()
    lines = [
        f"\n    Select additional object to relabel:{one}\n    Name the relabeled objects:{two}" for one, two in pairs
    ]
    return FILTER.format(taken=taken, made=made, count=len(lines), further="".join(lines))


def write_relabelling_pipeline(path: Path) -> str:
    """Write a pipeline that does as JUMP's production analysis: finds objects, filters those at the edge, renumbers both."""
    write_pipeline(path)
    head, *modules = pipeline.blocks(path.read_text().replace("diameters at 1 um a pixel", "mine"))
    for number, block in enumerate(modules):
        if block.startswith("IdentifyPrimaryObjects"):
            modules[number] = block.replace("identified:Nuclei", "identified:NucleiIncludingEdges").replace(
                "border of the image?:Yes", "border of the image?:No"
            )
        if block.startswith("IdentifySecondaryObjects"):
            renamed = block.replace("objects:Nuclei", "objects:NucleiIncludingEdges")
            modules[number] = renamed.replace("identified:Cells", "identified:CellsIncludingEdges")
    at = next(number for number, block in enumerate(modules) if block.startswith("IdentifyTertiaryObjects"))
    modules.insert(at, filtering("NucleiIncludingEdges", "Nuclei", {"CellsIncludingEdges": "Cells"}))
    path.write_text(pipeline.renumbered(head, modules))
    return path.read_text()
