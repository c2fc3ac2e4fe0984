"""How far the fast engine's numbers agree with CellProfiler's, feature by feature, on the same exported fields.

    python bench/agreement.py PART ... [--pipeline full] [--folder /tmp/agreement] [--labels LABELS]
                              [--markdown agreement.md] [--columns agreement.tsv]

A PART is the folder of an exported part (TIFFs, load_data.csv, export.json); `PART=TABLES` names tables that CellProfiler
made of it, which it else makes here. Both engines measure it by the same pipeline. Objects are equal where their pixels are;
values are compared of equal objects only, those of neighbours in fields whose objects are all equal. A difference is taken
relative to the larger of the two values, or to a billionth of the column's largest where both are less than that: CellProfiler
writes 7.8e-17 for nothing. NaN equals NaN; a number where the other has none is a difference without end.

Rows of the table are features, over all objects, channels and scales; --columns writes every column by itself.
"""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.features import cellprofiler, pipeline
from brightpaint.features.engine.measured_part import measure

ROOT = Path(__file__).parent.parent
SETS = ("Nuclei", "Cells", "Cytoplasm")
EQUAL, CLOSE = 1e-6, 1e-5
FLOOR = 1e-9  # of a column's largest value: less is nothing
RINGS, NUMBER = re.compile(r"\dof\d|Overflow"), re.compile(r"\d+")


def run(part: Path, tables: Path | None, folder: Path, path: Path, labels: Path | None) -> tuple[Path, Path, str]:
    """Return CellProfiler's tables and the engine's of a part, and what the engine's took."""
    name = "_".join(part.resolve().parts[-2:])
    if tables is None:
        tables = folder / f"{name}_cellprofiler"
        if not tables.exists():
            cellprofiler.measure("cellprofiler", path, part, tables, labels)
    own, took = folder / f"{name}_fast", []
    for _ in range(2):  # what the first takes more is what this process had to load or compile
        start = time.process_time()
        measure(path, part, own, labels)
        took.append(time.process_time() - start)
    fields = len(cellprofiler.read_csv(part / "load_data.csv"))
    said = f"{name}: {fields} fields, fast engine {took[1] / fields:.2f} CPU-s a field, start {took[0] - took[1]:.1f} CPU-s"
    return tables, own, said


def field_labels(tables: Path, file: str) -> dict[str, np.ndarray]:
    """Return the label images of a field; of cytoplasm, which is not kept, what stands in for it: its cell and nucleus."""
    found = {
        name: store.read_raw(tables / pipeline.label_file(file, name)).astype(np.int64) for name in pipeline.LABELLED
    }
    inside = found["Nuclei"] * 65536 + found["Cells"]
    return found | {"Cytoplasm": np.where(found["Cells"] > 0, inside, 0)}


def equal_objects(one: dict, two: dict) -> dict[str, np.ndarray]:
    """Return {objects: (n, 2) numbers} of objects with the very same pixels, by their numbers here and there."""
    found = {name: _equal(one[name], two[name]) for name in pipeline.LABELLED}
    cells = {tuple(pair) for pair in found["Cells"]}
    rest = _equal(one["Cytoplasm"] % 65536, two["Cytoplasm"] % 65536)
    nuclei_alike = (one["Nuclei"] > 0) == (two["Nuclei"] > 0)
    spoilt = set(np.unique((one["Cytoplasm"] % 65536)[~nuclei_alike]))
    found["Cytoplasm"] = np.array([p for p in map(tuple, rest) if p in cells and p[0] not in spoilt]).reshape(-1, 2)
    return found


def _equal(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    pairs, both = np.unique(np.stack([one.ravel(), two.ravel()]), axis=1, return_counts=True)
    sizes = [np.bincount(labels.ravel()) for labels in (one, two)]
    inside = (pairs > 0).all(0)
    same = inside & (both == sizes[0][pairs[0]]) & (both == sizes[1][pairs[1]])
    return pairs[:, same].T


def best_overlaps(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Return the best intersection over union of each object of `one` with any of `two`."""
    pairs, both = np.unique(np.stack([one.ravel(), two.ravel()]), axis=1, return_counts=True)
    sizes = [np.bincount(labels.ravel(), minlength=int(labels.max()) + 1) for labels in (one, two)]
    inside = (pairs > 0).all(0)
    overlap = np.zeros(len(sizes[0]))
    ious = both[inside] / (sizes[0][pairs[0, inside]] + sizes[1][pairs[1, inside]] - both[inside])
    np.maximum.at(overlap, pairs[0, inside], ious)
    return overlap[np.unique(one[one > 0]).astype(int)]


def differences(theirs: np.ndarray, own: np.ndarray, largest: float) -> np.ndarray:
    """Return the relative differences of a column's values."""
    with np.errstate(invalid="ignore"):
        scale = np.maximum(np.maximum(np.abs(theirs), np.abs(own)), FLOOR * largest)
        apart = np.abs(theirs - own) / np.where(scale > 0, scale, 1)
    apart[np.isnan(theirs) != np.isnan(own)] = np.inf
    apart[(np.isnan(theirs) & np.isnan(own)) | (theirs == own)] = 0
    return apart


def compare(part: Path, theirs: Path, own: Path) -> tuple[list[dict], list[dict]]:
    """Return a row a field, of its objects, and a row a column, of the values of equal objects, of one part."""
    rows = cellprofiler.read_csv(part / "load_data.csv")
    first = "FileName_Orig" + cellprofiler.channels_of(part / "load_data.csv")[0]
    numbers = {folder: {row[first]: int(row["ImageNumber"]) for row in cellprofiler.read_csv(folder / "Image.csv")}
               for folder in (theirs, own)}  # fmt: skip
    pairs, fields, every = {name: [] for name in SETS}, [], {name: [] for name in SETS}
    for row in rows:
        file = row[first]
        one, two = field_labels(theirs, file), field_labels(own, file)
        equal = equal_objects(one, two)
        counts = {name: [len(np.unique(x[name][x[name] > 0])) for x in (one, two)] for name in pipeline.LABELLED}
        whole = all(np.array_equal(one[name], two[name]) for name in pipeline.LABELLED)
        overlap = best_overlaps(one["Nuclei"], two["Nuclei"])
        fields.append({
            "field": f"{'_'.join(part.resolve().parts[-2:-1])} {row['Metadata_Well']}",
            "nuclei": counts["Nuclei"][0], "nuclei_fast": counts["Nuclei"][1], "cells": counts["Cells"][0],
            "cells_fast": counts["Cells"][1], "median IoU of nuclei": np.median(overlap) if len(overlap) else np.nan,
            **{f"equal {name}": len(equal[name]) for name in pipeline.LABELLED}, "all pixels equal": whole,
        })  # fmt: skip
        for name in SETS:
            images = [numbers[folder][file] for folder in (theirs, own)]
            pairs[name] += [(images[0], a, images[1], b) for a, b in equal[name]]
            every[name] += [whole] * len(equal[name])
    return fields, [
        line for name in SETS for line in _columns(name, theirs, own, pairs[name], np.array(every[name], bool))
    ]


def _columns(name: str, theirs: Path, own: Path, pairs: list[tuple], whole: np.ndarray) -> list[dict]:
    tables = [pd.read_csv(folder / f"{name}.csv", low_memory=False) for folder in (theirs, own)]
    if list(tables[0].columns) != list(tables[1].columns):
        odd = set(tables[0].columns) ^ set(tables[1].columns)
        raise ValueError(f"{own}/{name}.csv: columns are not CellProfiler's: {sorted(odd)[:8] or 'in another order'}")
    keys = ["ImageNumber", "ObjectNumber"]
    values = []
    for at, table in zip((0, 2), tables):
        wanted = pd.DataFrame([pair[at : at + 2] for pair in pairs], columns=keys)
        values.append(wanted.merge(table.astype(float), on=keys, how="left", validate="one_to_one"))
    found = []
    for column in tables[0].columns[2:]:
        one, two = (frame[column].to_numpy(np.float64) for frame in values)
        if re.match(
            r"Neighbors_|Parent_|Children_|Number_", column
        ):  # of which objects there are, and as they are numbered
            one, two = one[whole], two[whole]
        finite = np.abs(np.concatenate([one, two]))
        apart = differences(one, two, float(np.max(finite[np.isfinite(finite)], initial=0)))
        found.append({"objects": name, "column": column, "apart": apart})
    return found


def feature_of(column: str, channels: list[str]) -> tuple[str, str]:
    """Return group and feature of a column, with channels, scales and orders left out."""
    group, *words = column.split("_")
    kept = [word for word in words if word not in channels and not NUMBER.fullmatch(word) and not RINGS.fullmatch(word)]
    return group, "_".join(kept) or group


def summary(lines: list[dict], by: list[str]) -> pd.DataFrame:
    """Return number of columns and values, median and largest difference and shares that are equal, by what they share."""
    rows = []
    for key, chosen in pd.DataFrame(lines).groupby(by, sort=True):
        apart = np.concatenate(list(chosen["apart"]))
        known = len(apart) > 0
        rows.append({
            **dict(zip(by, key)), "columns": chosen["column"].nunique(), "values": len(apart),
            "median": np.median(apart) if known else np.nan, "largest": apart.max() if known else np.nan,
            f"share to {EQUAL:g}": (apart <= EQUAL).mean() if known else np.nan,
            f"share to {CLOSE:g}": (apart <= CLOSE).mean() if known else np.nan,
        })  # fmt: skip
    return pd.DataFrame(rows)


def markdown(frame: pd.DataFrame) -> str:
    """Return a table in Markdown."""

    def text(name: str, value: object) -> str:
        if not isinstance(value, float):
            return str(value)
        return f"{value:.4f}" if name.startswith("share") or "IoU" in name else f"{value:.1e}" if value else "0"

    lines = ["| " + " | ".join(frame.columns) + " |", "|" + "---|" * len(frame.columns)]
    lines += ["| " + " | ".join(text(name, value) for name, value in zip(frame.columns, row)) + " |"
              for row in frame.itertuples(index=False)]  # fmt: skip
    return "\n".join(lines) + "\n"


def main(argv: list[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", metavar="PART[=TABLES]")
    parser.add_argument("--pipeline", default="full", help="slim, full or a .cppipe")
    parser.add_argument("--labels", type=Path, help="label images to measure in place of what is found, of one PART")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/agreement"))
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--columns", type=Path)
    args = parser.parse_args(argv)
    shipped = ROOT / "resources" / "cellprofiler" / f"{args.pipeline}.cppipe"
    path = shipped if shipped.exists() else Path(args.pipeline)
    args.folder.mkdir(parents=True, exist_ok=True)
    fields, lines, channels, took = [], [], [], []
    for text in args.parts:
        part, _, tables = text.partition("=")
        theirs, own, said = run(Path(part), Path(tables) if tables else None, args.folder, path, args.labels)
        found, columns = compare(Path(part), theirs, own)
        fields, lines, took = fields + found, lines + columns, [*took, said]
        channels += cellprofiler.channels_of(Path(part) / "load_data.csv")
    for line in lines:
        line["group"], line["feature"] = feature_of(line["column"], channels)
    pieces = [pd.DataFrame(fields), summary(lines, ["group"]), summary(lines, ["group", "feature"])]
    text = "\n".join([*(markdown(piece) for piece in pieces), *took]) + "\n"
    print(text)
    if args.markdown:
        args.markdown.write_text(text)
    if args.columns:
        store.write_table(summary(lines, ["objects", "column"]), args.columns)


if __name__ == "__main__":
    main()
