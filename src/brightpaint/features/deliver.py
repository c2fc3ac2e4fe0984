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
from dataclasses import dataclass
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

These images were painted by a model {sight}; no cell of this plate was stained.{told}
Each image is one channel of one field, 16 bits, {pixel:.4g} um a pixel. A count c is the z-score
{low} + c / 65535 * {span} of its {whole} (mean 0, s.d. 1, cut-off {cutoff}): counts compare within a {whole},
not between plates as raw fluorescence would.
"""
FILES = """
Each file holds one image. load_data.csv lists them for CellProfiler's LoadData module:
    cellprofiler -c -r -p YOUR.cppipe --data-file load_data.csv -o OUTPUT
In Fiji: File > Import > Image Sequence, filtered by a well such as A01_s1_, opens the channels of a field as a stack.
If you move this folder, replace the PathName_ columns of load_data.csv.
"""


@dataclass(frozen=True)
class Painted:
    """A predicted plate that is to be delivered: its stack, the channels' places in it, its rows, how it becomes counts."""

    stack: store.Stack
    indices: list[int]
    rows: pd.DataFrame
    pixel_um: float
    settings: dict

    def counts(self, number: int) -> np.ndarray:
        """Return field `number` as (C, H, W) uint16 counts, on the scale of the prepared images first."""
        scores = rescaled(self.stack.images[number][self.indices], **scale_of(self.settings))
        return to_counts(scores, tuple(self.settings["window"]))


def open_plate(settings: dict, *, stack_path: Path, rows_path: Path, fields_path: Path) -> Painted:
    """Open a predicted plate; one without fields, or whose tables do not fit it, is refused."""
    stack, rows = store.open_stack(stack_path), store.read_fields(rows_path)
    check_rows(stack, rows, rows_path)
    if len(rows) == 0:
        raise ValueError(f"{rows_path}: no fields were predicted; see the plate's field table {fields_path}")
    indices, height = stack.channel_indices(settings["channels"]), stack.images.shape[2]
    pixel_um = prepared_pixel_um(rows, store.read_fields(fields_path), settings["pixel_size_um"], height)
    return Painted(stack, indices, rows, pixel_um, settings)


def readme(settings: dict, plate: Painted) -> str:
    """Say what the images are: what the model saw and was told, and what a count means."""
    low, high = settings["window"]
    inputs, label = settings["inputs"], settings.get("label", "")
    channels = "channel" if len(inputs) == 1 else "channels"
    return README.format(
        plate=plate.rows["Metadata_Plate"].iloc[0], fields=len(plate.rows), channels=", ".join(settings["channels"]),
        sight=f"from the {channels} {', '.join(inputs)}" if inputs else "that saw no image of this plate",
        told=f"\nThe model was told each field's {label}." if label else "",
        pixel=plate.pixel_um, low=low, span=high - low, cutoff=settings["cutoff"],
        whole=whole_of(settings),
    )  # fmt: skip


def stable_uuid(*names: object) -> str:
    """Return the URN of a UUID that depends on names alone."""
    return uuid.uuid5(uuid.NAMESPACE_URL, "brightpaint/" + "/".join(map(str, names))).urn


def write_field(
    folder: Path, row: pd.Series, counts: np.ndarray, channels: list[str], pixel_um: float
) -> dict[str, str]:
    """Write one field's channels, (C, H, W) uint16 of `pixel_um` micrometres a pixel, and return {channel: file name}."""
    files = {}
    for channel, image in zip(channels, counts):
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
    plate = open_plate(settings, stack_path=stack_path, rows_path=rows_path, fields_path=fields_path)
    records = []
    with store.atomic_folder(folder) as temporary:
        for number in tqdm(range(len(plate.rows)), disable=None, unit="field"):
            row = plate.rows.iloc[number]
            files = write_field(temporary, row, plate.counts(number), settings["channels"], plate.pixel_um)
            records.append({**row[store.FIELD_KEYS], "folder": Path(folder).resolve(), "files": files})
        (temporary / "load_data.csv").write_text(load_data_csv(records, settings["channels"]))
        (temporary / "README.txt").write_text(readme(settings, plate) + FILES)


def parser(description: str) -> argparse.ArgumentParser:
    """Return the command line that every way of delivering shares."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--settings", type=json.loads, required=True, help="JSON: channels, window, cutoff, inputs, label, ..."
    )
    for name in ("stack", "rows", "fields"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    return parser


def main(argv: list[str] | None = None) -> None:
    """Write a predicted plate as OME-TIFFs."""
    commands = parser(main.__doc__)
    commands.add_argument("--folder", type=Path, required=True)
    args = commands.parse_args(argv)
    deliver(args.settings, stack_path=args.stack, rows_path=args.rows, fields_path=args.fields, folder=args.folder)


if __name__ == "__main__":
    cli.run(main)
