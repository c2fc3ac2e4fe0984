"""Write a predicted plate as OME-Zarr, a plate of wells, fields and resolutions: the counts of the OME-TIFFs (`deliver`).

Fields of a well are numbered from 0 in the order of the plate's sites and tiles, the same number in every well; an image's
name says site and tile. What a count means stands in the plate's attribute `brightpaint`.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from brightpaint import __version__, store
from brightpaint.base import cli
from brightpaint.base.colours import stain_colours
from brightpaint.features import deliver
from brightpaint.features.export import safe_stem, to_counts

SHOWN = (-1.5, 6.0)  # z-scores that a viewer shows as black and as full brightness, as in the report's embeddings


def places(rows: pd.DataFrame) -> list[store.FieldPlace]:
    """Return where each field lies on the plate."""
    keys = list(zip(rows["Metadata_Site"], rows["Metadata_Tile"]))
    numbers = {key: number for number, key in enumerate(sorted(set(keys)))}
    found = []
    for row, key in zip(rows.to_dict("records"), keys):
        stem, well = safe_stem(row), re.fullmatch(r"([A-Z]{1,2})([0-9]{1,2})", row["Metadata_Well"])
        if not well:
            raise ValueError(
                f"{store.describe_field(row)}: expected a well such as A01, a row and a column of a plate; rename it in "
                "the table of images, or leave ome-zarr out of deliver"
            )
        found.append(store.FieldPlace(well[1], int(well[2]), numbers[key], stem))
    return found


def shown_channels(settings: dict) -> list[store.ShownChannel]:
    """Return how viewers show each stain."""
    black, white = (int(count) for count in to_counts(SHOWN, tuple(settings["window"])))
    colours = stain_colours(settings["channels"])
    return [store.ShownChannel(name, colours[name], black, max(white, black + 1)) for name in settings["channels"]]


def deliver_zarr(settings: dict, *, stack_path: Path, rows_path: Path, fields_path: Path, plate_path: Path) -> None:
    """Write every field of a predicted stack into one OME-Zarr plate."""
    plate = deliver.open_plate(settings, stack_path=stack_path, rows_path=rows_path, fields_path=fields_path)
    name = plate.rows["Metadata_Plate"].iloc[0]
    made = {"version": __version__, "readme": deliver.readme(settings, plate), "window": settings["window"],
            "cutoff": settings["cutoff"], "inputs": settings["inputs"]}  # fmt: skip
    images = (plate.counts(number) for number in tqdm(range(len(plate.rows)), disable=None, unit="field"))
    channels = shown_channels(settings)
    store.write_plate_zarr(plate_path, name, places(plate.rows), images, channels, pixel_um=plate.pixel_um, made=made)


def main(argv: list[str] | None = None) -> None:
    """Write a predicted plate as OME-Zarr."""
    parser = deliver.parser(main.__doc__)
    parser.add_argument("--zarr", type=Path, required=True)
    args: argparse.Namespace = parser.parse_args(argv)
    deliver_zarr(
        args.settings, stack_path=args.stack, rows_path=args.rows, fields_path=args.fields, plate_path=args.zarr
    )


if __name__ == "__main__":
    cli.run(main)
