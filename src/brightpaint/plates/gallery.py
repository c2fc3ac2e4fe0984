"""Where a plate's tables and images lie in the Cell Painting Gallery's bucket, or in a mirror of it.

The layout is described at https://broadinstitute.github.io/cellpainting-gallery.
"""

from __future__ import annotations

import difflib

from brightpaint.plates.folder import FolderSource
from brightpaint.plates.s3 import S3Source

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


def find_load_data(source: S3Source | FolderSource, plate: dict) -> list[str]:
    """Return the keys of a plate's load_data files, the ones with illumination columns first.

    Raises
    ------
    ValueError
        when the source has no such plate; the message says which folder was looked in and what is there
    """
    batch = f"{workspace(plate)}/load_data_csv/{plate['batch']}"
    folder = f"{batch}/{plate['barcode']}"
    present = source.list(folder + "/")
    keys = [f"{folder}/{name}" for name in LOAD_DATA if f"{folder}/{name}" in present]
    if keys:
        return keys
    if present:
        raise ValueError(
            f"plate {plate['plate']}: expected one of {', '.join(LOAD_DATA)} in {source.describe(folder)}/, "
            f"found {', '.join(key.rpartition('/')[2] for key in list(present)[:8])}"
        )
    there = source.folders(batch)
    near = difflib.get_close_matches(plate["barcode"], there, 3, 0.5) or there[:5]
    found = f"that batch has {len(there)} plates, among them {', '.join(near)}" if there else "that batch has no plates"
    raise ValueError(
        f"plate {plate['plate']} is missing from the gallery: nothing at {source.describe(folder)}/; {found}. "
        "Correct project, source, batch and barcode in the plate table"
    )
