"""Where a plate's tables and images lie in the Cell Painting Gallery's bucket, or in a mirror of it.

The layout is described at https://broadinstitute.github.io/cellpainting-gallery.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Iterable

from brightpaint.plates.folder import FolderSource
from brightpaint.plates.s3 import S3Source

log = logging.getLogger(__name__)
SHORTEST = 4  # letters that two names of a plate have in common at least
HUNG_ON = re.compile(r"[-_ .]*(?!rep|plate)[a-z]{3,}.*|[-_ ]+\d{4}-?\d\d-?\d\d.*|[.]0")
LOAD_DATA = [f"load_data{kind}.{ending}" for kind in ("_with_illum", "") for ending in ("parquet", "csv.gz", "csv")]


def plate_row(plate: dict) -> dict:
    """Return the plate's row with `barcode` filled in; a gallery plate without project, source or batch is an error."""
    missing = [key for key in ("project", "source", "batch") if not plate.get(key)]
    if missing:
        raise ValueError(
            f"plate {plate['plate']}: the gallery's layout needs {', '.join(missing)}; add the column to the plate "
            "table"
        )
    return {"barcode": plate["plate"], **plate}


def workspace(plate: dict) -> str:
    """Return the prefix of a plate's workspace."""
    return f"{plate['project']}/{plate['source']}/workspace"


def images(plate: dict) -> str:
    """Return the prefix of a batch's images."""
    return f"{plate['project']}/{plate['source']}/images/{plate['batch']}/images"


def metadata(plate: dict) -> str:
    """Return the prefix of a workspace's metadata: platemaps and external_metadata."""
    return f"{workspace(plate)}/metadata"


def same_plate(one: str, other: str) -> bool:
    """Tell whether two names are obviously of one plate: one is the other with a word or a day of measurement hung on.

    `EC000157real` and `BR00117035__2021-05-02T16_02_51-Measurement1` are EC000157 and BR00117035; EC0001570, EC000157B and
    EC000157_rep2 may be other plates.
    """
    short, long = sorted((one.strip().casefold(), other.strip().casefold()), key=len)
    known = len(short) >= SHORTEST and any(letter.isdigit() for letter in short)
    hung_on = long.removeprefix(short)
    return short == long or (known and long.startswith(short) and HUNG_ON.fullmatch(hung_on) is not None)


def obvious_name(names: Iterable[str], barcode: str, taken: Iterable[str] = ()) -> list[str]:
    """Return the names that a plate bears in a list: its barcode, else those that are obviously its own.

    Parameters
    ----------
    taken : names of plates of their own, which are nobody else's
    """
    names = sorted(set(names))
    if barcode in names:
        return [barcode]
    return [name for name in names if same_plate(name, barcode) and name not in taken]


def find_load_data(source: S3Source | FolderSource, plate: dict) -> list[str]:
    """Return the keys of a plate's load_data files, the ones with illumination columns first.

    Where no folder bears the plate's barcode, the one folder is taken that is obviously its own (see `same_plate`).

    Raises
    ------
    ValueError
        when the source has no such plate; the message says which folder was looked in and what is there
    """
    batch = f"{workspace(plate)}/load_data_csv/{plate['batch']}"
    folder = f"{batch}/{plate['barcode']}"
    present, there = source.list(folder + "/"), []
    if not present:
        there = source.folders(batch)
        if len(own := obvious_name(there, plate["barcode"])) == 1:
            folder = f"{batch}/{own[0]}"
            present = source.list(folder + "/")
            log.info("plate %s lies in %s/", plate["plate"], source.describe(folder))
    keys = [f"{folder}/{name}" for name in LOAD_DATA if f"{folder}/{name}" in present]
    if keys:
        return keys
    if present:
        raise ValueError(
            f"plate {plate['plate']}: expected one of {', '.join(LOAD_DATA)} in {source.describe(folder)}/, "
            f"found {', '.join(key.rpartition('/')[2] for key in list(present)[:8])}"
        )
    near = difflib.get_close_matches(plate["barcode"], there, 3, 0.5) or there[:5]
    found = f"that batch has {len(there)} plates, among them {', '.join(near)}" if there else "that batch has no plates"
    raise ValueError(
        f"plate {plate['plate']} is missing from the gallery: nothing at {source.describe(folder)}/; {found}. "
        "Correct project, source, batch and barcode in the plate table: barcode is the folder's name"
    )
