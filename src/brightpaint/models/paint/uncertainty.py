"""Paint a plate's fields several times from other noise and keep how far the samples lie apart.

An arm's stack is sample 0. Here samples 1 to K - 1 are painted from noise of their own, one after the other, and
only a running mean and sum of squares of one batch is held (Welford 1962). What is written is the standard deviation of
each pixel and channel over the K samples (K - 1 in the denominator), each sample standardised per image and channel
as for scoring. In these units the mean of the squared s.d. over an image is one minus the mean PCC between two
samples, so that it can be laid beside one minus the PCC with the real stain.
"""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.base.intensity import standardise
from brightpaint.models.paint.sample import paint_part, parser
from brightpaint.models.trained import cutoff_of


class Spread:
    """Running mean and s.d. of images that come one at a time (Welford 1962).

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

    def sd(self) -> np.ndarray:
        """Return the s.d. of each pixel, at least 0, with `count` - 1 in the denominator."""
        return np.sqrt(np.maximum(self._squares / max(self.count - 1, 1), 0))


def read_drawn(path: Path, fields: pd.DataFrame) -> Callable[[list[int]], np.ndarray]:
    """Return `drawn(rows)`: sample 0 of these rows of `fields`, found by key, (B, C, H, W) as the arm's stack holds them."""
    stack, table = store.open_gathered(path)
    places = table[store.FIELD_KEYS].assign(place=np.arange(len(table)))
    found = fields[store.FIELD_KEYS].merge(places, on=store.FIELD_KEYS, how="left")["place"].to_numpy()

    def drawn(rows: list[int]) -> np.ndarray:
        lost = [row for row in rows if not np.isfinite(found[row])]
        if lost:
            field = store.describe_field(fields.iloc[lost[0]])
            raise ValueError(f"{path}: {field} was not painted; delete the stack and rerun `sample` and `gather`")
        return np.stack([stack.images[int(found[row])] for row in rows])

    return drawn


def spread_painter(paint: Callable, drawn: Callable, samples: int, cutoff: float) -> Callable:
    """Return `paint(x, rows)` that gives the s.d. over `samples` samples in place of an image: (B, C, H, W) float32.

    Each sample is standardised and clipped to +-`cutoff`, as for scoring.
    """

    def painted(x: np.ndarray, rows: list[int]) -> np.ndarray:
        spread = Spread(standardise(drawn(rows), cutoff))
        for sample in range(1, samples):
            spread.add(standardise(paint(x, rows, sample), cutoff))
        return spread.sd()

    return painted


def main(argv=None) -> None:
    """Measure the spread of samples on one part of a plate."""
    command = parser(main.__doc__)
    command.add_argument("--drawn", type=Path, required=True, help="the arm's stack of the plate, which is sample 0")
    args = command.parse_args(argv)
    samples = args.settings["samples"]
    if samples < 2:
        raise ValueError(f"samples {samples}: a spread needs 2 samples at least; set the arm's samples in the config")
    paint_part(
        args,
        lambda paint, fields: spread_painter(paint, read_drawn(args.drawn, fields), samples, cutoff_of(args.settings)),
        [store.fingerprint(args.drawn)],
    )


if __name__ == "__main__":
    run(main)
