"""Predicted images that another program painted: the table that lists them, the files, and what a pixel means.

The table is a load_data.csv as brightpaint delivers one (`FileName_Orig{channel}`, `Metadata_Well`, `Metadata_Site`,
`Metadata_Tile`), or any CSV of these columns; a file may also stand under its channel's own name. What is wrong is said before
anything runs, as far as the table and the files tell it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from brightpaint import store
from brightpaint.base.intensity import standardise
from brightpaint.plates import platemaps
from brightpaint.plates.load_data import normal_site
from brightpaint.store.images import raw_page

if TYPE_CHECKING:
    from brightpaint.study.study import Study

Field = tuple[str, int, int]  # well, site, tile
# What pixels may be: {as the config says it: (kinds of pixel, largest bytes of one, in words)}.
PIXELS = {
    "window": ("u", 2, "8- or 16-bit counts"),
    "z-scores": ("f", 8, "floating-point z-scores"),
    "raw": ("uif", 8, "numbers of any one unit"),
}
FAR = 10  # times the cut-off, beyond which a number is no z-score
MEND = "paint it again, or mend the table"


@dataclass(frozen=True)
class Given:
    """The images of one plate.

    Attributes
    ----------
    table : the CSV
    plate : as the study names it
    files : {field: {channel: file}}
    """

    table: Path
    plate: str
    files: dict[Field, dict[str, Path]]

    def place(self, field: Field, channel: str) -> str:
        """Name a field and channel as error messages do."""
        return store.describe_field({"Metadata_Plate": self.plate, **dict(zip(store.FIELD_KEYS[1:], field))}, channel)

    def file(self, field: Field, channel: str) -> Path:
        """Return the file of a field; one that is not listed is an error."""
        if field not in self.files:
            raise ValueError(
                f"{self.table}: {self.place(field, channel)} is not listed, and every field that the arm predicts must be; "
                "add its row, or leave the field out of the study (source.exclude)"
            )
        return self.files[field][channel]


def table_of(given: dict, plate: str) -> Path:
    """Return the table that lists a plate's images: in a folder of the plate's name, else in the folder itself."""
    folder, name = Path(given["folder"]), given["table"]
    own = folder / plate / name
    return own if own.is_file() else folder / name


def read_given(path: Path, plate: str, channels: Sequence[str]) -> Given:
    """Read which files show a plate's fields.

    Raises
    ------
    ValueError
        naming the table and the field of what is wrong: a column or a file's name that is missing, a field that is listed twice
    """
    try:
        with open(path, "rb") as handle:
            listed = platemaps.open_text_table(
                handle, str(path), separator=",", kept=(*platemaps.NAMES, "Metadata_Plate")
            )
            found = _files(Given(path, plate, {}), listed, channels)
    except FileNotFoundError:
        raise ValueError(
            f"{path}: there is no such table of predicted images of plate {plate}; expected a load_data.csv, or name the CSV in "
            "given.table"
        ) from None
    if not found.files:
        raise ValueError(
            f"{path}: no row is of plate {plate}; correct Metadata_Plate, or give the plate a table of its own"
        )
    return found


def _files(given: Given, listed: platemaps.Table, channels: Sequence[str]) -> Given:
    """Fill in the files of every row that is of the plate."""
    table, columns = given.table, {}
    for channel in channels:
        named = [name for name in (f"FileName_Orig{channel}", channel) if name in listed.columns]
        if not named:
            raise ValueError(
                f"{table}: plate {given.plate}, channel {channel} has no column; expected FileName_Orig{channel} or {channel}, "
                f"found {', '.join(listed.columns[:12])}"
            )
        columns[channel] = named[0]
    for number, row in enumerate(listed.records(), start=1):
        if row.get("Metadata_Plate", given.plate) != given.plate:
            continue
        where = f"{table}: row {number}"
        if "Metadata_Well" not in row:
            raise ValueError(f"{table}: no column Metadata_Well; expected one that names wells such as A01")
        field = (platemaps.normal_well(row["Metadata_Well"], where),
                 *(normal_site(row.get(key) or "1", where) for key in store.FIELD_KEYS[2:]))  # fmt: skip
        if field in given.files:
            raise ValueError(f"{where}: {given.place(field, '')} is listed twice; leave one row")
        given.files[field] = {}
        for channel, column in columns.items():
            if not row[column]:
                raise ValueError(f"{where}: {given.place(field, channel)} names no file; {MEND}")
            given.files[field][channel] = _found(table.parent, row.get(f"PathName_Orig{channel}", ""), row[column])
    return given


def _found(folder: Path, path: str, name: str) -> Path:
    """Return where a file lies: beside the table, where it is there, else in the folder that the row names."""
    beside = folder / name
    return beside if not path or os.path.exists(beside) else Path(path) / name


def check_file(path: Path, place: str, pixels: str, shape: tuple[int, int] | None = None) -> None:
    """Raise ValueError unless a file is one whole grey page of the right type and size, by its header alone."""
    kinds, most, words = PIXELS[pixels]
    with raw_page(path, place, MEND) as (where, tif, page):
        dtype, found, pages = np.dtype(page.dtype), tuple(page.shape), len(tif.pages)
    if pages != 1 or len(found) != 2:
        raise ValueError(f"{where}: expected one grey page, found {pages} page(s) of shape {found}; {MEND}")
    if dtype.kind not in kinds or dtype.itemsize > most:
        others = ", ".join(name for name in PIXELS if name != pixels)
        raise ValueError(
            f"{where}: expected {words} (given.pixels: {pixels}), found {dtype}; set given.pixels to what they are ({others})"
        )
    if shape is not None and found != tuple(shape):
        raise ValueError(
            f"{where}: expected {shape[0]} x {shape[1]} pixels, as the prepared field has, found {found[0]} x {found[1]}; "
            "paint the prepared fields (prepare.size_px, prepare.grid)"
        )


def read_scores(path: Path, place: str, pixels: str, window: Sequence[float], cutoff: float) -> np.ndarray:
    """Read one image as z-scores within +-cutoff: (H, W) float32.

    Parameters
    ----------
    pixels : `window`: 0 and the largest count are the z-scores of `window`; `z-scores`: as they are; `raw`: brought to
        mean 0 and s.d. 1
    """
    with raw_page(path, place, MEND) as (where, _, page):
        try:
            image = page.asarray()
        except Exception as error:
            raise ValueError(
                f"{where}: expected a whole TIFF, found one that cannot be read ({error}); {MEND}"
            ) from error
    values = image.astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"{where}: holds values that are not finite; {MEND}")
    if pixels == "raw":
        return standardise(values, cutoff)
    if pixels == "window":
        values = window[0] + values / np.iinfo(image.dtype).max * (window[1] - window[0])
    elif (far := float(np.abs(values).max())) > FAR * cutoff:
        raise ValueError(
            f"{where}: expected z-scores, of which prepared fields have none beyond {cutoff:g}, found {far:g}; set given.pixels: "
            "raw if these are intensities"
        )
    return np.clip(values, -cutoff, cutoff).astype(np.float32)


def problems(study: Study) -> Iterator[str]:
    """Say what is wrong with tables and files that can be told before the plates are prepared: one sentence an arm and plate."""
    for arm in study.arms:
        if not study.kind_of(arm).given:
            continue
        entry = study.model_of(arm)["given"]
        for plate in study.test_plates(arm) + study.predict_plates(arm):
            try:
                _check_plate(
                    read_given(table_of(entry, plate), plate, study.config["channels"]["target"]), entry["pixels"]
                )
            except ValueError as error:
                yield f"arm {arm}: {error}"


def _check_plate(given: Given, pixels: str) -> None:
    """Look at the header of the first field's files, and whether all others are there."""
    for number, (field, files) in enumerate(given.files.items()):
        for channel, path in files.items():
            if not number:
                check_file(path, given.place(field, channel), pixels)
            elif not path.is_file():
                raise ValueError(f"{path} ({given.place(field, channel)}): expected a TIFF, found nothing; {MEND}")
