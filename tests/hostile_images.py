"""Hostile images, indices and illumination functions, by the real commands that read them first."""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile

from brightpaint import store
from brightpaint.plates import fetch, fetch_illumination, illumination, prepare, quality, tabulate
from hostile import Case
from plates_fixture import PLATE, raw_image, source
from tiffs_fixture import GREY, ONE_PAGE, ome

CHANNELS, WELLS, SIDE = ["Brightfield", "DNA"], ["A01", "A02"], 32
ILLUM = f"{PLATE['project']}/{PLATE['source']}/images/{PLATE['batch']}/illum/{PLATE['barcode']}"
WHERE = "(plate P1, well A02, site 1, channel DNA)"
MEND = "source.exclude"


def write_plate(folder: Path) -> Path:
    """Write two fields of two channels as raw/ and their index; return raw/."""
    rows = []
    for well in WELLS:
        for channel in CHANNELS:
            name = f"{well}_s1_{channel}.tif"
            store.write_raw(folder / "raw" / name, raw_image(name, (SIDE, SIDE)))
            size = (folder / "raw" / name).stat().st_size
            rows.append({"Metadata_Plate": "P1", "Metadata_Well": well, "Metadata_Site": 1, "Metadata_Source": "s",
                         "Metadata_Batch": "b", "Metadata_perturbation": "DMSO", "Metadata_target": "",
                         "Metadata_control_type": "negcon", "Channel": channel, "key": name, "file": name,
                         "size": size, "etag": ""})  # fmt: skip
    store.write_table(pd.DataFrame(rows), folder / "index.parquet")
    return folder / "raw"


def change_index(folder: Path, **changes) -> None:
    """Change columns of the index: in its last row, or all of it where a list is given."""
    frame = pd.read_parquet(folder / "index.parquet")
    for name, value in changes.items():
        frame[name] = value if isinstance(value, list) else [*frame[name][:-1], value]
    frame.to_parquet(folder / "index.parquet")


def commands(folder: Path) -> dict:
    """Return {rule: (command, words, outputs)} on the plate of `write_plate`."""
    common = ["--index", folder / "index.parquet", "--raw", folder / "raw"]
    settings = {"method": "median", "size_px": 8, "channels": CHANNELS}
    light, out = folder / "out" / "light.tif", folder / "out"
    fetched = ["--index", folder / "index.parquet", "--raw", out / "raw", "--manifest", out / "P1.tsv"]
    published = ["--settings", json.dumps({**settings, "method": "published"}), "--published", folder / "published"]
    return {
        "fetch": (fetch.main, ["--settings", json.dumps({"source": source(folder / "raw")}), *fetched],
                  [out / "raw", out / "P1.tsv"]),
        "illumination": (illumination.main, ["--settings", json.dumps(settings), *common, "--illumination", light], [light]),
        "published": (illumination.main, [*published, *common, "--illumination", light], [light]),
        "quality": (quality.main, ["--settings", json.dumps({"channels": CHANNELS}), *common, "--quality",
                                   out / "quality.parquet"], [out / "quality.parquet"]),
        "prepare": (prepare.main, ["--settings", json.dumps(PREPARE), *common, "--illumination", folder / "light.tif",
                                   "--stack", out / "P1.tif", "--fields", out / "P1.parquet"],
                    [out / "P1.tif", out / "P1.parquet"]),
    }  # fmt: skip


PREPARE = {"size_px": 32, "grid": [1, 1], "pixel_size_um": None, "normalise": "image", "cutoff": 15, "region": None,
           "channels": CHANNELS}  # fmt: skip


def case(area: str, what: str, rule: str, spoil, *words: str) -> Case:
    def prepared(folder):
        write_plate(folder)
        spoil(folder)
        return commands(folder)[rule]

    return Case(area, what, prepared, words)


def image(what: str, rule: str, make, *words: str) -> Case:
    """A case in which one raw image is replaced by what `make(path, image)` writes."""

    def spoil(folder):
        path = folder / "raw" / "A02_s1_DNA.tif"
        pixels = tifffile.imread(path)
        path.unlink()
        make(path, pixels)
        if path.is_file():  # as the index of such a file would say
            change_index(folder, size=path.stat().st_size)

    return case("images", what, rule, spoil, *words)


def cut(path: Path, pixels: np.ndarray) -> None:
    store.write_raw(path, pixels)
    path.write_bytes(path.read_bytes()[:-100])


def taller(path: Path, pixels: np.ndarray) -> None:
    """Write a TIFF that says it has twice as many rows as it holds."""
    store.write_raw(path, pixels)
    with tifffile.TiffFile(path, mode="r+b") as tif:
        tif.pages.first.tags["ImageLength"].overwrite(2 * SIDE)


def dark_stack(folder: Path, channels=CHANNELS, shape=(SIDE, SIDE), values=1.0) -> None:
    with store.StackWriter(folder / "light.tif", (1, 2, *shape), channels, key="x", dtype="float32") as writer:
        writer.write(0, np.full((2, *shape), values, np.float32))


def stacked(writer: str, planes: int) -> Case:
    """A case of a file with one page that stands for several planes."""
    return image(
        f"{planes} planes in one page ({writer})", "quality",
        lambda path, pixels: ONE_PAGE[writer](path, np.stack([pixels] * planes)),
        WHERE, f"found {planes} page(s)", f"split its {planes} pages into files of one", "tabulate FOLDER --unpack",
    )  # fmt: skip


IMAGES = [
    image("a file cut short", "fetch", cut, "A02_s1_DNA.tif", WHERE[1:-1], "expected a whole TIFF", "truncated", MEND),
    image("a web page", "fetch", lambda path, _: path.write_text("<html>busy</html>"), WHERE[1:-1],
          "found one that cannot be read", MEND),
    image("a PNG by another name", "quality", lambda path, _: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(99)), WHERE, MEND),
    image("zero bytes", "illumination", lambda path, _: path.touch(), WHERE, "found an empty file", MEND),
    image("nothing", "illumination", lambda path, _: None, WHERE, "found nothing", MEND),
    image("a folder", "quality", lambda path, _: path.mkdir(), WHERE, "cannot be read", MEND),
    image("a link to nothing", "quality", lambda path, _: path.symlink_to("/none"), WHERE, "found nothing", MEND),
    image("colour", "illumination", lambda path, pixels: tifffile.imwrite(path, np.stack([pixels] * 3, -1), photometric="rgb"),
          WHERE, "shape (32, 32, 3)", "split its 3 channels into files of one", "tabulate FOLDER --unpack"),
    image("8 bits", "illumination", lambda path, pixels: tifffile.imwrite(path, (pixels // 256).astype(np.uint8)), WHERE,
          "type uint8", "16-bit greyscale, or", "python -m brightpaint.plates.tabulate FOLDER --unpack"),
    image("floating point", "quality", lambda path, pixels: tifffile.imwrite(path, pixels.astype(np.float32)), WHERE,
          "type float32", "16-bit greyscale"),
    image("two pages", "quality", lambda path, pixels: tifffile.imwrite(path, np.stack([pixels] * 2), metadata=None), WHERE,
          "2 page(s)", "split its 2 pages into files of one", "python -m brightpaint.plates.tabulate FOLDER --unpack"),
    *(stacked(writer, planes) for planes, writer in enumerate(ONE_PAGE, 3)),
    image("an OME description of more than it holds", "illumination", lambda path, pixels: ome(
        path, pixels, sizes='SizeZ="4" SizeC="2" SizeT="1"'), WHERE, "8 page(s)", "split its 8 pages"),
    image("another size", "illumination", lambda path, pixels: store.write_raw(path, pixels[:16]), WHERE,
          "expected 32 x 32 px", "found 16 x 32", "a plate of their own"),
    image("more rows announced than are there", "quality", taller, WHERE, "expected a whole TIFF", MEND),
]  # fmt: skip


def unpacking(what: str, make, *words: str, channels=("GFP", "DNA")) -> Case:
    """A case of `tabulate --unpack` on two wells, the second of which `make(path)` writes."""

    def prepared(folder):
        (folder / "stacks").mkdir(parents=True)
        tifffile.imwrite(folder / "stacks" / "A01.tif", PAGES, photometric="minisblack")
        make(folder / "stacks" / "A02.tif")
        table = folder / "out" / "images.csv"
        words = [
            folder / "stacks",
            "--unpack",
            folder / "single",
            "--table",
            table,
            "--channels",
            *channels,
            "--plate",
            "P1",
        ]
        return tabulate.main, [*words, "--pattern", "{well}.tif"], [table]

    return Case("several planes", what, prepared, words)


PAGES = np.arange(2 * SIDE * SIDE, dtype=np.uint16).reshape(2, SIDE, SIDE)
PLANES = [
    unpacking("floating point", lambda path: tifffile.imwrite(path, PAGES.astype(np.float32), **GREY), "A02.tif",
              "expected counts of 8 or 16 bits, found float32", "save raw counts as 16-bit"),
    unpacking("32 bits", lambda path: tifffile.imwrite(path, PAGES.astype(np.uint32), **GREY), "A02.tif", "found uint32",
              "save it as 16-bit"),
    unpacking("a channel too many", lambda path: tifffile.imwrite(path, PAGES[[0, 1, 1]], metadata=None, **GREY), "A02.tif",
              "expected 2 channel(s) (GFP, DNA), found 3", "name each in order"),
    unpacking("z-planes without names", lambda path: tifffile.imwrite(path, PAGES, metadata={"axes": "ZYX"}, **GREY),
              "A02.tif", "expected 2 channel(s) (GFP, DNA), found 1", "--pages"),
    unpacking("fewer planes than it says", lambda path: (
        tifffile.imwrite(path, PAGES, imagej=True, metadata={"axes": "CYX"}),
        path.write_bytes(path.read_bytes().replace(b"images=2", b"images=9"))),
              "A02.tif", "say 9 planes, found 2", "copy it again"),
    unpacking("an OME description of more than it holds", lambda path: ome(path, PAGES, sizes='SizeZ="3" SizeC="1" SizeT="1"'),
              "A02.tif", "say 3 planes, found 2", "copy it again", "if those are all that it shall have", "--pages channel"),
    unpacking("cut short", lambda path: (tifffile.imwrite(path, PAGES, **GREY), path.write_bytes(path.read_bytes()[:3000])),
              "A02.tif", "truncated", "copy it again"),
]  # fmt: skip

INDICES = [
    case("index", "a file name that leaves its folder", "fetch", lambda folder: change_index(folder, file="../x.tif"),
         "'../x.tif'", "is no plain file name", "run the rule index again"),
    case("index", "an absolute key", "fetch", lambda folder: change_index(folder, key="/etc/passwd"), WHERE[1:-1],
         "'/etc/passwd'", "would leave its folder"),
    case("index", "sizes in words", "fetch", lambda folder: change_index(folder, size=["1", "2", "3", "many"]),
         "plate P1, well A01", "a size in bytes", "run the rule index again"),
    case("index", "a CSV by the name of a parquet file", "quality",
         lambda folder: (folder / "index.parquet").write_text("a,b\n"), "index.parquet: not a readable parquet file",
         "delete it and rerun"),
    case("index", "no rows", "illumination",
         lambda folder: pd.read_parquet(folder / "index.parquet")[:0].to_parquet(folder / "index.parquet"),
         "the index has no rows", "run the rule index again"),
    case("index", "a channel of a field is missing", "quality", lambda folder: change_index(folder, Channel="RNA"),
         "plate P1, well A02, site 1: channel DNA is missing", "run the rule index again"),
    case("illumination", "another size than the images", "prepare", lambda folder: dark_stack(folder, shape=(16, 16)),
         "A01_s1_Brightfield.tif", "expected 16 x 16 px", "found 32 x 32"),
    case("illumination", "other channels", "prepare", lambda folder: dark_stack(folder, ["Brightfield", "RNA"]),
         "light.tif: channels ['DNA'] are missing", "it holds"),
    case("illumination", "a foreign TIFF", "prepare",
         lambda folder: tifffile.imwrite(folder / "light.tif", np.ones((2, 8, 8), np.float32)), "light.tif",
         "not a plate stack", "delete it and rerun"),
]  # fmt: skip


class Malicious:
    """A pickle of it makes the file PWNED where it is loaded."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def function(what: str, make, *words: str) -> Case:
    """A case on a gallery's published functions: `make(pwned)` returns the bytes of DNA's .npy."""

    def prepared(folder):
        for channel in CHANNELS:
            path = folder / "mirror" / ILLUM / f"{PLATE['barcode']}_Illum{channel}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, np.ones((SIDE, SIDE), np.float32))
        path.write_bytes(make(folder / "PWNED"))
        settings = {"source": source(folder / "mirror"), "plate": PLATE, "channels": CHANNELS}
        out = folder / "out" / "illum"
        return fetch_illumination.main, ["--settings", json.dumps(settings), "--published", out], [out]

    return Case(
        "illumination", what, prepared, ("IllumDNA.npy", "plate P1, channel DNA", "illumination.method", *words)
    )


def saved(array: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


FUNCTIONS = [
    function("an array of objects that runs code", lambda pwned: saved(np.array([Malicious(pwned)]), allow_pickle=True),
             "cannot be read", "allow_pickle=False"),
    function("a pickle", lambda pwned: pickle.dumps(Malicious(pwned)), "cannot be read"),
    function("an array cut short", lambda _: saved(np.ones((SIDE, SIDE)))[:200], "cannot be read"),
    function("nan", lambda _: saved(np.full((SIDE, SIDE), np.nan)), "expected values above 0"),
    function("another size", lambda _: saved(np.ones((8, 8), np.float32)), "found (8, 8)"),
    function("three dimensions", lambda _: saved(np.ones((2, 8, 8), np.float32)), "expected one image of floats"),
]  # fmt: skip

CASES = IMAGES + PLANES + INDICES + FUNCTIONS
