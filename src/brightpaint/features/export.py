"""Write one part of a plate's stains as 16-bit TIFFs and a load_data.csv for CellProfiler.

CellProfiler wants intensities in [0, 1]. Real and predicted images alike get there by one fixed affine map
of the z-scores, `window` -> 0..65535; stretching each image by its own ends would let one hot pixel set the
scale (FACTS: the authors' pipeline did that). At the default window of 20 z-scores a step is 3e-4, finer
than the float16 of the stacks. A predicted image is brought back to mean 0 and s.d. 1 first, as in the paper
(Cross-Zamirski et al. 2022), unless plates are normalised as a whole; a real one already is. Planes of one stain share
their mean and s.d., as they do where they are prepared.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import re
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from brightpaint import store
from brightpaint.base import cli
from brightpaint.base.intensity import rescaled
from brightpaint.study.object_stains import named_stains
from brightpaint.study.planes import group_places

SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
COUNTS = 65535
LONGEST_CLASS = 40  # characters of a class in a file's name, which disks take 255 of


def to_counts(scores: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    """Map z-scores to 16-bit counts: `window[0]` to 0 and `window[1]` to 65535; what lies outside is clipped.

    Parameters
    ----------
    scores : any shape, z-scores
    window : (low, high) z-scores

    Returns
    -------
    uint16 counts of the same shape
    """
    low, high = window
    if not low < high:
        raise ValueError(f"cellprofiler.window is {list(window)}: expected the lower z-score first")
    share = (np.asarray(scores, np.float64) - low) / (high - low)
    return np.rint(np.clip(share, 0, 1) * COUNTS).astype(np.uint16)


def from_counts(counts: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    """Undo `to_counts` to within half a step, (high - low) / 131070."""
    low, high = window
    return low + np.asarray(counts, np.float64) / COUNTS * (high - low)


def rows_of_part(wells: np.ndarray, part: int, parts: int) -> np.ndarray:
    """Return the rows of part `part` (1-based): whole, contiguous wells, nearly equal in fields.

    Parameters
    ----------
    wells : (N,) one name a field. Wells are taken in order of first appearance; each goes to the part in
        which the middle of its fields falls, so a part may be empty where wells are few.

    Returns
    -------
    (n,) row numbers, well by well
    """
    if not 1 <= part <= parts:
        raise ValueError(f"part {part} of {parts}: expected a part from 1 to {parts}")
    if len(wells) == 0:
        return np.zeros(0, int)
    codes, _ = pd.factorize(np.asarray(wells))
    sizes = np.bincount(codes)
    middles = np.cumsum(sizes) - sizes / 2
    chosen = np.floor(middles * parts / len(codes)).astype(int) == part - 1
    order = np.argsort(codes, kind="stable")
    return order[chosen[codes[order]]]


def prepared_pixel_um(rows: pd.DataFrame, fields: pd.DataFrame | None, raw_um: float, height: int) -> float | None:
    """Return the size of a prepared pixel, in micrometres: raw pixel * raw height of the tile / prepared height.

    Parameters
    ----------
    rows : the fields; has `height_px`, or is joined to `fields`, which has it
    raw_um : size of a raw pixel
    height : rows of pixels of a prepared image

    Returns
    -------
    None where there are no fields
    """
    if "height_px" not in rows:
        if fields is None:
            raise ValueError("the table of rows has no column height_px; pass --fields, the plate's field table")
        rows = rows.merge(fields[store.FIELD_KEYS + ["height_px"]], on=store.FIELD_KEYS, how="left")
    if len(rows) == 0:
        return None
    missing = rows["height_px"].isna()
    if missing.any():
        raise ValueError(
            f"{store.describe_field(rows[missing].iloc[0])}: not in the plate's field table; rerun prepare"
        )
    heights = sorted(set(rows["height_px"]))
    if len(heights) > 1:
        raise ValueError(f"fields of {heights} raw pixels in one plate; expected one height, for one pixel size")
    return raw_um * heights[0] / height


def safe_stem(row: pd.Series | dict) -> str:
    """Return a file name's beginning for a field, `A01_s1_t1`; a well or plate that is no plain name is refused.

    What an image shows in place of its own treatment follows as letters, digits and a checksum, since it may hold any sign:
    `A01_s1_t1_as_taxol-0-3uM-1f2e3d4c`; then its draw, if it is not the first.
    """
    for key in ("Metadata_Plate", "Metadata_Well"):
        if not SAFE_NAME.fullmatch(str(row[key])):
            raise ValueError(
                f"{store.describe_field(row)}: expected letters, digits, - and _ in {key.removeprefix('Metadata_').lower()}; "
                "rename it in the plate table or the table of images"
            )
    field = f"{row['Metadata_Well']}_s{int(row['Metadata_Site'])}_t{int(row['Metadata_Tile'])}"
    shown, draw = (row.get(key, default) for key, default in store.ROW_DEFAULTS.items())
    plain = re.sub(r"[^A-Za-z0-9]+", "-", str(shown)).strip("-")[:LONGEST_CLASS]
    named = f"_as_{plain}-{zlib.crc32(str(shown).encode()):08x}" if shown else ""
    return field + named + (f"_d{int(draw)}" if int(draw) else "")


def scale_of(settings: dict) -> dict:
    """Return how predicted stains are brought to the scale of prepared ones, as `rescaled` takes it."""
    groups = group_places(settings.get("planes", ()), settings["channels"])
    return {"cutoff": settings["cutoff"], "renormalise": settings.get("renormalise", True), "groups": groups}


def check_rows(stack: store.Stack, rows: pd.DataFrame, path: str | Path) -> None:
    """Refuse a table of rows that does not fit its stack."""
    if len(stack) != len(rows):
        raise ValueError(f"{path}: {len(rows)} rows, but {stack.path} holds {len(stack)} fields; delete both and rerun")


def load_data_csv(records: list[dict], channels: list[str], keys: Sequence[str] = store.FIELD_KEYS) -> str:
    """Return the text of a load_data.csv.

    Parameters
    ----------
    records : one dict an image: its keys, `folder`, and `files`, {channel: file name}
    keys : of the images, ROW_KEYS where a field has several
    """
    header = [f"FileName_Orig{name}" for name in channels] + [f"PathName_Orig{name}" for name in channels]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*header, *keys])
    for record in records:
        cells = [record["files"][name] for name in channels] + [str(record["folder"])] * len(channels)
        writer.writerow(cells + [record[key] for key in keys])
    return text.getvalue()


def export(
    settings: dict, *, arm: str, stack_path: Path, rows_path: Path, fields_path: Path | None, part: int, parts: int,
    folder: Path,
) -> None:  # fmt: skip
    """Write the TIFFs of one part, load_data.csv, and export.json with the map from z-scores to counts."""
    rows = store.read_fields(rows_path)
    stack = store.open_stack(stack_path).select(rows)
    check_rows(stack, rows, rows_path)
    channels, window = settings["channels"], tuple(settings["window"])
    indices = stack.channel_indices(channels)
    fields = store.read_fields(fields_path) if fields_path else None
    pixel_um = prepared_pixel_um(rows, fields, settings["pixel_size_um"], stack.images.shape[2])
    scale = scale_of(settings)
    clipped, records = dict.fromkeys(channels, 0), []
    with store.atomic_folder(folder) as temporary:
        for number in tqdm(rows_of_part(rows["Metadata_Well"].to_numpy(), part, parts), disable=None, unit="field"):
            row = rows.iloc[number]
            scores = np.asarray(stack.images[number][indices], np.float32)  # (C, H, W)
            if arm != "real":
                scores = rescaled(scores, **scale)
            files = {name: f"{safe_stem(row)}_{name}.tif" for name in channels}
            for name, image in zip(channels, scores):
                store.write_raw(temporary / files[name], to_counts(image, window))
                clipped[name] += int(((image < window[0]) | (image > window[1])).sum())
            records.append({**row[store.row_keys(rows)], "folder": Path(folder).resolve(), "files": files})
        described = {
            "arm": arm, "channels": channels, "window": list(window), "pixel_size_um": pixel_um, "fields": len(records),
            "renormalised": arm != "real" and settings.get("renormalise", True), "pixels_outside_window": clipped,
            **named_stains(settings),
        }  # fmt: skip
        (temporary / "load_data.csv").write_text(load_data_csv(records, channels, store.row_keys(rows)))
        (temporary / "export.json").write_text(json.dumps(described, indent=1, sort_keys=True) + "\n")


def main(argv: list[str] | None = None) -> None:
    """Write one part of a plate for CellProfiler."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--settings", type=json.loads, required=True)
    parser.add_argument("--arm", required=True)
    parser.add_argument("--stack", type=Path, required=True)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--fields", type=Path, help="field table, where the rows do not tell height_px")
    parser.add_argument("--part", type=int, required=True)
    parser.add_argument("--parts", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    args = parser.parse_args(argv)
    export(
        args.settings, arm=args.arm, stack_path=args.stack, rows_path=args.rows, fields_path=args.fields,
        part=args.part, parts=args.parts, folder=args.folder,
    )  # fmt: skip


if __name__ == "__main__":
    cli.run(main)
