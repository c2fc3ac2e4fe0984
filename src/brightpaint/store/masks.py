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
from brightpaint.store.names import FIELD_KEYS
from brightpaint.study.cell_engines import UNRECORDED


@dataclass(frozen=True)
class Masks:
    """A plate's label images, opened for reading field by field; they are compressed and never mapped.

    Attributes
    ----------
    fields : FIELD_KEYS of each field, in the order of the file
    objects : what is labelled, e.g. Nuclei, Cells
    shape : (H, W) of an image
    engine : who found and measured the objects (see `engines`)
    """

    path: Path
    fields: pd.DataFrame
    objects: tuple[str, ...]
    shape: tuple[int, int]
    engine: str
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
            engine = described.get("engine", UNRECORDED)
            expected, found = max(len(keys), 1) * len(objects), len(tif.pages)
        except Exception as error:
            raise ValueError(f"{path}: not a file of label images ({error!r}); delete it and rerun") from error
        if expected != found:
            raise ValueError(f"{path}: {found} label images where {expected} are expected; delete it and rerun")
        fields = pd.DataFrame(keys, columns=FIELD_KEYS).astype(dict(zip(FIELD_KEYS, ("str", "str", "int64", "int64"))))
        yield Masks(path, fields, objects, shape[2:], engine, tif)


def write_masks(
    path: str | Path, fields: pd.DataFrame, images: Iterable[np.ndarray], objects: Sequence[str], shape: tuple[int, int],
    engine: str = UNRECORDED,
) -> None:  # fmt: skip
    """Write label images, one field in memory at a time, as one compressed TIFF that says whose they are.

    Parameters
    ----------
    fields : FIELD_KEYS, one row a field; there may be none
    images : (O, H, W) uint16 for each row of `fields`
    objects : O names
    shape : (H, W)
    engine : who found and measured the objects
    """
    keys = [[str(row[0]), str(row[1]), int(row[2]), int(row[3])] for row in fields[FIELD_KEYS].itertuples(index=False)]
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
    described |= {} if engine == UNRECORDED else {"engine": engine}
    with atomic(path) as temporary, tifffile.TiffWriter(temporary, bigtiff=True, byteorder="<") as tif:
        tif.write(pages(), shape=(max(len(keys), 1), *wanted), dtype=np.uint16, photometric="minisblack",
                  compression="zlib", metadata=described, software=False)  # fmt: skip
