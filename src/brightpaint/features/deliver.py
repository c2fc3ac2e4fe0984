"""Write a predicted plate as 16-bit OME-TIFFs that Fiji opens and a load_data.csv that CellProfiler reads.

One file a field and channel, since CellProfiler's LoadData takes one page for one channel without being told of
frames; the OME header names the channel and gives the pixel size, and Fiji joins the channels of a field by name.
The map from z-scores to counts is the one that CellProfiler's own stage uses (`cellprofiler.window`), so that a
pipeline tuned here measures the same intensities there. Same input, same bytes: the UUIDs are made from names.
"""

from __future__ import annotations

import argparse
import json
import uuid
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from brightpaint import store
from brightpaint.base import cli
from brightpaint.base.intensity import rescaled
from brightpaint.features.export import (
    check_rows,
    load_data_csv,
    prepared_pixel_um,
    safe_stem,
    scale_of,
    to_counts,
)

README = """Predicted stains of plate {plate}: {fields} fields, channels {channels}.

These images were painted by a model from brightfield; no cell of this plate was stained.
Each file is one channel of one field, 16 bits, {pixel:.4g} um a pixel. A count c is the z-score
{low} + c / 65535 * {span} of its {whole} (mean 0, s.d. 1, cut-off {cutoff}): counts compare within a {whole},
not between plates as raw fluorescence would.

load_data.csv lists the files for CellProfiler's LoadData module:
    cellprofiler -c -r -p YOUR.cppipe --data-file load_data.csv -o OUTPUT
In Fiji: File > Import > Image Sequence, filtered by a well such as A01_s1_, opens the channels of a field as a stack.
If you move this folder, replace the PathName_ columns of load_data.csv.
"""


def stable_uuid(*names: object) -> str:
    """Return the URN of a UUID that depends on names alone."""
    return uuid.uuid5(uuid.NAMESPACE_URL, "brightpaint/" + "/".join(map(str, names))).urn


def write_field(folder: Path, row: pd.Series, scores: np.ndarray, settings: dict, pixel_um: float) -> dict[str, str]:
    """Write one field's channels and return {channel: file name}.

    Parameters
    ----------
    scores : (C, H, W) raw prediction, any scale: brought to that of the prepared images here
    pixel_um : size of a pixel of `scores`, in micrometres
    """
    scaled = rescaled(scores, **scale_of(settings))
    counts = to_counts(scaled, tuple(settings["window"]))
    files = {}
    for channel, image in zip(settings["channels"], counts):
        files[channel] = f"{safe_stem(row)}_{channel}.ome.tif"
        name = f"{row['Metadata_Plate']}_{files[channel]}"
        store.write_ome(folder / files[channel], image, channel, pixel_um=pixel_um, identifier=stable_uuid(name))
    return files


def whole_of(settings: dict) -> str:
    """Return of what counts are z-scores: an image (planes of a stain are one), or a plate."""
    image = "image, where the planes of a stain are one image" if settings.get("planes") else "image"
    return image if settings.get("renormalise", True) else "plate"


def deliver(settings: dict, *, stack_path: Path, rows_path: Path, fields_path: Path, folder: Path) -> None:
    """Write every field of a predicted stack into `folder`, with load_data.csv and README.txt."""
    stack, rows = store.open_stack(stack_path), store.read_fields(rows_path)
    check_rows(stack, rows, rows_path)
    if len(rows) == 0:
        raise ValueError(f"{rows_path}: no fields were predicted; see the plate's field table {fields_path}")
    indices = stack.channel_indices(settings["channels"])
    pixel_um = prepared_pixel_um(rows, store.read_fields(fields_path), settings["pixel_size_um"], stack.images.shape[2])
    records = []
    with store.atomic_folder(folder) as temporary:
        for number in tqdm(range(len(rows)), disable=None, unit="field"):
            row = rows.iloc[number]
            files = write_field(temporary, row, stack.images[number][indices], settings, pixel_um)
            records.append({**row[store.FIELD_KEYS], "folder": Path(folder).resolve(), "files": files})
        low, high = settings["window"]
        described = {
            "plate": rows["Metadata_Plate"].iloc[0], "fields": len(rows), "channels": ", ".join(settings["channels"]),
            "pixel": pixel_um, "low": low, "span": high - low, "cutoff": settings["cutoff"],
            "whole": whole_of(settings),
        }  # fmt: skip
        (temporary / "load_data.csv").write_text(load_data_csv(records, settings["channels"]))
        (temporary / "README.txt").write_text(README.format(**described))


def main(argv: list[str] | None = None) -> None:
    """Write a predicted plate as OME-TIFFs."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--settings", type=json.loads, required=True)
    for name in ("stack", "rows", "fields", "folder"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args(argv)
    deliver(args.settings, stack_path=args.stack, rows_path=args.rows, fields_path=args.fields, folder=args.folder)


if __name__ == "__main__":
    cli.run(main)
