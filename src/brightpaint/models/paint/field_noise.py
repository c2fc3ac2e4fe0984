"""The noise that a field is painted from."""

from __future__ import annotations

import pandas as pd
import torch

from brightpaint import store
from brightpaint.base.seeds import seed_of


def field_noise(row: pd.Series, seed: int, sample: int = 0) -> torch.Generator:
    """Return the source of a field's noise: the same for the same plate, well, site, tile, seed and sample.

    Sample 0 is what the arm's stack holds; the others are painted for their spread. A row that is a draw itself
    (`Metadata_draw`) has the noise of the sample of that number.
    """
    sample = sample or int(row.get("Metadata_draw", 0))
    further = ("sample", sample) if sample else ()
    return torch.Generator().manual_seed(seed_of(*(row[key] for key in store.FIELD_KEYS), seed, *further))
