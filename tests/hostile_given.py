"""Hostile images of another program, by the real command `given`: nothing is written, and the field and channel are named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile

from brightpaint.features import deliver
from brightpaint.models.paint import given
from hostile import Case, copied
from scores_fixture import CHANNELS, Folder

HOW = {"channels": CHANNELS["target"], "pixels": "window", "window": [-5, 15], "cutoff": 15}
TABLE = "predicted/P1/load_data.csv"
PLACE = "plate P1, well A04, site 1, tile 1"


def delivered_plate(folder: Path) -> None:
    """Write a real plate P1, an arm that painted it, and its delivered TIFFs."""
    made, noise = Folder(folder), np.random.default_rng(5)
    made.predict("own", lambda real: 0.8 * real + 0.4 * noise.normal(size=real.shape))
    settings = {
        "channels": CHANNELS["target"],
        "window": [-5, 15],
        "cutoff": 15,
        "pixel_size_um": 1.0,
        "inputs": ["BF"],
    }
    images = folder / "images/own"
    deliver.deliver(settings, stack_path=images / "P1.tif", rows_path=images / "P1.parquet",
                    fields_path=folder / "fields/P1.parquet", folder=folder / "predicted/P1")  # fmt: skip


def outputs_of(root: Path, arm: str) -> list[Path]:
    """Return what the command writes: the stack, its rows, what painting took."""
    return [root / f"images/{arm}/P1{end}" for end in (".tif", ".parquet", ".seconds.tsv")]


def arguments(root: Path, table: Path | None = None, settings: dict = HOW, arm: str = "theirs", active=()) -> list[str]:
    """Return the command line of `given`."""
    words = ["--settings", json.dumps(settings), "--table", table or root / TABLE, "--plate", "P1"]
    words += ["--real", root / "images/real/P1.tif", "--fields", root / "fields/P1.parquet", "--active", *active]
    words += [word for pair in zip(("--stack", "--rows", "--seconds"), outputs_of(root, arm)) for word in pair]
    return [str(word) for word in words]


def rewrite(root: Path, change) -> Path:
    """Change the delivered table; returns its path."""
    change(pd.read_csv(root / TABLE, dtype=str)).to_csv(root / TABLE, index=False)
    return root / TABLE


def file_of(root: Path) -> Path:
    """Return the file of field A04, stain ER."""
    return root / "predicted/P1/A04_s1_t1_ER.ome.tif"


def rows(change):
    return lambda root: rewrite(root, change)


def image(pixels, **how):
    return lambda root: tifffile.imwrite(file_of(root), pixels, **how)


def case(what: str, spoil, *words: str, **settings) -> Case:
    def prepared(folder):
        copied(delivered_plate, folder)
        spoil(folder)
        return given.main, arguments(folder, settings={**HOW, **settings}), outputs_of(folder, "theirs")

    return Case("images painted elsewhere", what, prepared, words)


def scores_with(value):
    def spoil(root):
        for path in (root / "predicted/P1").glob("*.tif"):
            pixels = -5 + tifffile.imread(path) / 65535 * 20
            pixels[3, 4] = value if path == file_of(root) else pixels[3, 4]
            tifffile.imwrite(path, pixels.astype(np.float32))

    return spoil


def without_file(root):
    """Take a file away; the table's PathName columns name the folder from which the plate was copied."""
    file_of(root).unlink()
    rewrite(root, lambda table: table.drop(columns="PathName_OrigER"))


CASES = [
    case("a field that is not listed", rows(lambda table: table.drop(index=3)), TABLE, f"{PLACE}, channel DNA is not listed",
         "add its row, or leave the field out of the study"),
    case("a field that is listed twice", rows(lambda table: pd.concat([table, table[3:4]])), f"row 13: {PLACE}",
         "is listed twice; leave one row"),
    case("a channel without a column", rows(lambda table: table.drop(columns="FileName_OrigER")),
         "plate P1, channel ER has no column; expected FileName_OrigER or ER, found"),
    case("a row that names no file", rows(lambda table: table.assign(ER="x.tif").drop(columns="FileName_OrigER").assign(
         ER=lambda frame: frame["ER"].where(frame.index != 3))), f"row 4: {PLACE}, channel ER names no file"),
    case("no column of wells", rows(lambda table: table.drop(columns="Metadata_Well")), "no column Metadata_Well; expected one"),
    case("a well that is none", rows(lambda table: table.replace({"Metadata_Well": {"A04": "here"}})), "row 4",
         "expected a well such as A01, found 'here'"),
    case("rows of another plate alone", rows(lambda table: table.assign(Metadata_Plate="P7")), "no row is of plate P1",
         "correct Metadata_Plate, or give the plate a table of its own"),
    case("no table", lambda root: (root / TABLE).unlink(), TABLE, "there is no such table of predicted images of plate P1"),
    case("a file that is not there", without_file, "A04_s1_t1_ER.ome.tif", f"({PLACE}, channel ER)",
         "expected a TIFF, found nothing"),
    case("a file that is cut short", lambda root: file_of(root).write_bytes(file_of(root).read_bytes()[:1500]),
         f"({PLACE}, channel ER)", "expected a whole TIFF"),
    case("an image of another size", image(np.zeros((16, 32), np.uint16)), f"({PLACE}, channel ER)",
         "expected 32 x 32 pixels, as the prepared field has, found 16 x 32", "paint the prepared fields"),
    case("pixels of another type", image(np.zeros((32, 32), np.float32)), f"({PLACE}, channel ER)",
         "expected 8- or 16-bit counts (given.pixels: window), found float32", "set given.pixels to what they are"),
    case("several pages", image(np.zeros((3, 32, 32), np.uint16), photometric="minisblack"), f"({PLACE}, channel ER)",
         "expected one grey page, found 3 page(s)"),
    case("z-scores that are not finite", scores_with(np.nan), f"({PLACE}, channel ER)", "holds values that are not finite",
         pixels="z-scores"),
    case("intensities that are called z-scores", scores_with(30_000), f"({PLACE}, channel ER)",
         "expected z-scores, of which prepared fields have none beyond 15, found 30000", "set given.pixels: raw",
         pixels="z-scores"),
]  # fmt: skip
