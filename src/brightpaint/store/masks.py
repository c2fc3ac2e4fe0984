"""Label images of a plate: compressed pages of one TIFF that says whose they are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile

from brightpaint.base.atomic import atomic
from brightpaint.store.names import FIELD_KEYS, ROW_KEYS, row_keys, with_row_keys

KEY_TYPES = dict(zip(ROW_KEYS, ("str", "str", "int64", "int64", "str", "int64")))


@dataclass(frozen=True)
class Masks:
    """A plate's label images, opened for reading field by field; they are compressed and never mapped.

    Attributes
    ----------
    fields : FIELD_KEYS of each field, ROW_KEYS where it has several images, in the order of the file
    objects : what is labelled, e.g. Nuclei, Cells
    shape : (H, W) of an image
    """

    path: Path
    fields: pd.DataFrame
    objects: tuple[str, ...]
    shape: tuple[int, int]
    _file: tifffile.TiffFile

    def __len__(self) -> int:
        return len(self.fields)

    def read(self, row: int, objects: str) -> np.ndarray:
        """Return the label image of one field: (H, W) uint16, 0 outside, else the ObjectNumber."""
        if objects not in self.objects:
            raise ValueError(f"{self.path}: it holds no {objects}; it holds {list(self.objects)}")
        return self._file.pages[int(row) * len(self.objects) + self.objects.index(objects)].asarray()


@contextlib.contextmanager
def open_masks(path: str | Path) -> Iterator[Masks]:
    """Open a plate's label images; a truncated or foreign file is an error that names it."""
    path = Path(path)
    if not path.exists():
        raise ValueError(f"{path} is missing; rerun the rule `cells`")
    try:
        tif = tifffile.TiffFile(path)
    except Exception as error:
        raise ValueError(f"{path}: not a file of label images ({error}); delete it and rerun") from error
    with tif:
        try:
            described = tif.shaped_metadata[0]
            keys, objects, shape = described["fields"], tuple(described["objects"]), tuple(described["shape"])
            expected, found = max(len(keys), 1) * len(objects), len(tif.pages)
        except Exception as error:
            raise ValueError(f"{path}: not a file of label images ({error!r}); delete it and rerun") from error
        if expected != found:
            raise ValueError(f"{path}: {found} label images where {expected} are expected; delete it and rerun")
        names = FIELD_KEYS if len(keys) == 0 or len(keys[0]) == len(FIELD_KEYS) else ROW_KEYS
        fields = pd.DataFrame(keys, columns=names).astype({name: KEY_TYPES[name] for name in names})
        yield Masks(path, fields, objects, shape[2:], tif)


def write_masks(
    path: str | Path, fields: pd.DataFrame, images: Iterable[np.ndarray], objects: Sequence[str], shape: tuple[int, int]
) -> None:
    """Write label images, one field in memory at a time, as one compressed TIFF that says whose they are.

    Parameters
    ----------
    fields : FIELD_KEYS or ROW_KEYS, one row an image; there may be none
    images : (O, H, W) uint16 for each row of `fields`
    objects : O names
    shape : (H, W)
    """
    several = len(row_keys(fields)) > len(FIELD_KEYS)
    fields, names = (with_row_keys(fields), ROW_KEYS) if several else (fields, FIELD_KEYS)
    kinds = [str if KEY_TYPES[name] == "str" else int for name in names]
    keys = [[kind(key) for kind, key in zip(kinds, row)] for row in fields[names].itertuples(index=False)]
    wanted = (len(objects), *shape)

    def pages() -> Iterator[np.ndarray]:
        count = 0
        for image in images:
            count += 1
            if image.shape != wanted or image.dtype != np.uint16:
                raise ValueError(f"{path}: labels of {image.shape} {image.dtype}, expected {wanted} uint16")
            yield from image
        if count != len(keys):
            raise ValueError(f"{path}: {count} fields of labels, expected {len(keys)}")
        if not keys:
            yield from np.zeros(wanted, np.uint16)  # TIFF has no empty image: no fields are one unread field

    described = {"axes": "QCYX", "fields": keys, "objects": list(objects)}
    with atomic(path) as temporary, tifffile.TiffWriter(temporary, bigtiff=True, byteorder="<") as tif:
        tif.write(pages(), shape=(max(len(keys), 1), *wanted), dtype=np.uint16, photometric="minisblack",
                  compression="zlib", metadata=described, software=False)  # fmt: skip
