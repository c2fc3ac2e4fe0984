"""What becomes of the samples of a field: the one image, their mean, or how far they lie apart.

The samples of all fields are painted one after the other in batches of one shape, whichever field they are of: a batch is full
though fields are few, and an image's last bits do not depend on how many samples there are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from brightpaint.base.intensity import standardise


class Single:
    """The image itself, of a field with one sample."""

    def __init__(self, row: int):
        pass

    def add(self, image: np.ndarray) -> None:
        """Take the sample."""
        self._image = image

    def image(self) -> np.ndarray:
        """Return what is written of the field."""
        return self._image


class Mean(Single):
    """The mean of a field's samples: nearer the real stains, and blurred."""

    def __init__(self, row: int):
        self._sum, self._count = None, 0

    def add(self, image: np.ndarray) -> None:
        """Take one more sample."""
        self._sum, self._count = image if self._sum is None else self._sum + image, self._count + 1

    def image(self) -> np.ndarray:
        """Return the mean of the samples."""
        return self._sum / self._count


class Spread(Single):
    """The s.d. of images that come one at a time (Welford 1962), the first of them there already.

    Attributes
    ----------
    count : images seen
    """

    def __init__(self, first: np.ndarray):
        self.count, self._mean, self._squares = 1, np.array(first, np.float32), np.zeros_like(first, np.float32)

    def add(self, image: np.ndarray) -> None:
        """Take one more image of the first one's shape."""
        self.count += 1
        away = image - self._mean
        self._mean += away / self.count
        self._squares += away * (image - self._mean)

    def image(self) -> np.ndarray:
        """Return the s.d. of each pixel, at least 0, with `count` - 1 in the denominator."""
        return np.sqrt(np.maximum(self._squares / max(self.count - 1, 1), 0))


class StandardisedSpread(Spread):
    """The s.d. of samples, each standardised and clipped to +-`cutoff` as for scoring; `first` is sample 0."""

    def __init__(self, first: np.ndarray, cutoff: float):
        super().__init__(standardise(first, cutoff))
        self._cutoff = cutoff

    def add(self, image: np.ndarray) -> None:
        """Take one more sample."""
        super().add(standardise(image, self._cutoff))


@dataclass(frozen=True)
class Samples:
    """Which samples are painted of each field, and what becomes of them.

    Attributes
    ----------
    numbers : of the samples, ascending; 0 is the arm's own image
    begin : row of the field table -> what takes the field's samples in their order (`add`) and returns the `image` to write
    """

    numbers: Sequence[int] = (0,)
    begin: Callable[[int], Single] = Single

    def table(self, fields: pd.DataFrame) -> pd.DataFrame:
        """Return a row a sample, field by field: sample s of a field is painted as draw s of it (`field_noise`)."""
        if tuple(self.numbers) == (0,):
            return fields
        rows = fields.loc[fields.index.repeat(len(self.numbers))].reset_index(drop=True)
        own = rows["Metadata_draw"].to_numpy() if "Metadata_draw" in rows else np.zeros(len(rows), np.int64)
        wanted = np.tile(np.asarray(self.numbers), len(fields))
        return rows.assign(Metadata_draw=np.where(wanted > 0, wanted, own))

    def row(self, field: int, place: int) -> int:
        """Return the row of `table` that is sample `numbers[place]` of a field."""
        return field * len(self.numbers) + place
