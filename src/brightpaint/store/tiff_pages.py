"""Greyscale planes of the user's own TIFFs: stacks of crops, z-planes of a volume, label images; any whole or real numbers."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np

from brightpaint.store.hyperstacks import check_said, count_pages, map_planes
from brightpaint.store.images import raw_page
from brightpaint.store.planes_said import planes_said

SAVE = "save the file again, whole"


class Pages:
    """A TIFF's planes, read one by one; a context that closes the file.

    Each has a page of its own, or they lie one after another behind a single page, as in ImageJ's large files.

    Raises
    ------
    ValueError
        naming the file, for what is no whole TIFF of greyscale planes of one size, with as many as it says it has, all finite
    """

    def __init__(self, path: str | Path):
        self.path, self._opened = Path(path), contextlib.ExitStack()
        if not self.path.exists():
            raise ValueError(f"{path}: there is no such file; correct its name")
        with contextlib.ExitStack() as opened:
            place, self._file, page = opened.enter_context(raw_page(self.path, "", SAVE))
            self.shape, self.dtype = page.shape, page.dtype
            if len(self.shape) != 2 or self.dtype is None or self.dtype.kind not in "uif":
                raise ValueError(
                    f"{path}: expected greyscale pages, found {self.shape} {self.dtype}; save one page a channel or plane"
                )
            pages, said = count_pages(place, self._file, SAVE), planes_said(self._file)
            self._mapped = map_planes(place, self._file, page, said, mend=SAVE) if pages == 1 < said else None
            check_said(place, said, len(self), SAVE)
            self._opened = opened.pop_all()

    def __len__(self) -> int:
        return len(self._file.pages) if self._mapped is None else len(self._mapped)

    def read(self, number: int) -> np.ndarray:
        """Return plane `number`, from 0: (H, W)."""
        if not 0 <= number < len(self):
            raise ValueError(f"{self.path}: there is no page {number}; it has {len(self)}, counted from 0")
        if self._mapped is not None:
            return self._finite(np.array(self._mapped[number], self.dtype), number)
        try:
            image = self._file.pages[number].asarray()
        except Exception as error:
            raise ValueError(f"{self.path}: page {number} cannot be read ({error}); {SAVE}") from error
        if image.shape != self.shape or image.dtype.newbyteorder("=") != self.dtype:
            raise ValueError(
                f"{self.path}: page {number} is of {image.shape} px and {image.dtype}, the first of {self.shape} and "
                f"{self.dtype}; save pages of one size and type"
            )
        return self._finite(image, number)

    def _finite(self, image: np.ndarray, number: int) -> np.ndarray:
        """Return a plane; raise ValueError where it is not finite."""
        if image.dtype.kind == "f" and not (finite := np.isfinite(image)).all():
            y, x = np.argwhere(~finite)[0]
            where = f"{self.path}: page {number}, pixel ({y}, {x})"
            raise ValueError(f"{where} is {image[y, x]}, expected finite numbers; mend the file, or leave it out")
        return image

    def close(self) -> None:
        self._opened.close()

    def __enter__(self) -> Pages:
        return self

    def __exit__(self, *_) -> None:
        self.close()


def read_pages(path: str | Path) -> np.ndarray:
    """Read all planes of a TIFF: (D, H, W)."""
    with Pages(path) as pages:
        planes = np.empty((len(pages), *pages.shape), pages.dtype)
        for number in range(len(pages)):
            planes[number] = pages.read(number)
    return planes
