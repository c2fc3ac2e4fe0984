"""Greyscale pages of the user's own TIFFs: stacks of crops, z-planes of a volume, label images; any whole or real numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile


class Pages:
    """A TIFF's pages, read one by one; a context that closes the file.

    Raises
    ------
    ValueError
        naming the file, for what is no TIFF of greyscale pages of one size
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        try:
            self._file = tifffile.TiffFile(self.path)
        except FileNotFoundError:
            raise ValueError(f"{path}: there is no such file; correct its name") from None
        except Exception as error:
            raise ValueError(f"{path}: expected a whole TIFF, found one that cannot be read ({error})") from error
        page = self._file.pages.first
        self.shape, self.dtype = page.shape, page.dtype
        if len(self.shape) != 2 or self.dtype is None or self.dtype.kind not in "uif":
            self._file.close()
            raise ValueError(
                f"{path}: expected greyscale pages, found {self.shape} {self.dtype}; save one page a channel or plane"
            )

    def __len__(self) -> int:
        return len(self._file.pages)

    def read(self, number: int) -> np.ndarray:
        """Return page `number`, from 0: (H, W)."""
        if not 0 <= number < len(self):
            raise ValueError(f"{self.path}: there is no page {number}; it has {len(self)}, counted from 0")
        try:
            image = self._file.pages[number].asarray()
        except Exception as error:
            raise ValueError(f"{self.path}: page {number} cannot be read ({error}); save the file again") from error
        if image.shape != self.shape:
            raise ValueError(f"{self.path}: page {number} is of {image.shape} px, the first of {self.shape}")
        return image

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Pages:
        return self

    def __exit__(self, *_) -> None:
        self.close()


def read_pages(path: str | Path) -> np.ndarray:
    """Read all pages of a TIFF: (D, H, W)."""
    with Pages(path) as pages:
        return np.stack([pages.read(number) for number in range(len(pages))])
