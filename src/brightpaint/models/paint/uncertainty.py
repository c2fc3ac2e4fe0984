"""Paint a plate's fields several times from other noise and keep how far the samples lie apart.

An arm's stack is sample 0. Here samples 1 to K - 1 are painted from noise of their own, and only a running mean and sum
of squares of the fields in hand is held (Welford 1962). What is written is the standard deviation of
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
from brightpaint.models.paint.sample import paint_part, parser
from brightpaint.models.paint.samples import Samples, StandardisedSpread
from brightpaint.models.trained import cutoff_of


def read_drawn(path: Path, fields: pd.DataFrame) -> Callable[[int], np.ndarray]:
    """Return `drawn(row)`: sample 0 of a row of `fields`, found by key, (C, H, W) as the arm's stack holds it."""
    stack, table = store.open_gathered(path)
    places = table[store.FIELD_KEYS].assign(place=np.arange(len(table)))
    found = fields[store.FIELD_KEYS].merge(places, on=store.FIELD_KEYS, how="left")["place"].to_numpy()

    def drawn(row: int) -> np.ndarray:
        if not np.isfinite(found[row]):
            field = store.describe_field(fields.iloc[row])
            raise ValueError(f"{path}: {field} was not painted; delete the stack and rerun `sample` and `gather`")
        return stack.images[int(found[row])]

    return drawn


def main(argv=None) -> None:
    """Measure the spread of samples on one part of a plate."""
    command = parser(main.__doc__)
    command.add_argument("--drawn", type=Path, required=True, help="the arm's stack of the plate, which is sample 0")
    args = command.parse_args(argv)
    samples = args.settings["samples"]
    if samples < 2:
        raise ValueError(f"samples {samples}: a spread needs 2 samples at least; set the arm's samples in the config")

    def taken(fields: pd.DataFrame) -> Samples:
        drawn, cutoff = read_drawn(args.drawn, fields), cutoff_of(args.settings)
        return Samples(range(1, samples), lambda row: StandardisedSpread(drawn(row), cutoff))

    paint_part(args, taken, [store.fingerprint(args.drawn)])


if __name__ == "__main__":
    run(main)
