"""How early treatments are found again on other real plates, over all plates at once, and how two spaces differ in it.

The average precision is `retrieval`'s; a plate is asked of the plates that follow it, as `score_profiles` does. Each number is
brought to mean 0 and s.d. 1 over the treatments of its plate first: a space may be normalised by plate or not, and plates differ.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint.base import resampling
from brightpaint.scores.profiles.matching import by_plate, feature_names
from brightpaint.scores.profiles.retrieval import replicate_columns, replicate_precisions, replicate_ranks
from brightpaint.scores.profiles.score_profiles import next_plates

SHUFFLES = 100


def standardised(profiles: pd.DataFrame) -> pd.DataFrame:
    """Bring each feature to mean 0 and s.d. 1 over the rows of a plate; a constant one becomes 0."""
    names = feature_names(profiles)
    values = profiles[names].to_numpy(np.float64)
    sd = values.std(axis=0)
    scaled = (values - values.mean(axis=0)) / np.where(sd > 1e-12, sd, 1.0)
    return pd.DataFrame(scaled, columns=names, index=profiles.index)


def found_again(profiles: dict[str, pd.DataFrame], seed: str) -> tuple[pd.Series, np.ndarray]:
    """Return the average precision of each treatment by plate and name, and the mean of each of SHUFFLES shuffles of names.

    Parameters
    ----------
    profiles : {plate: treated profiles, indexed by name}
    """
    profiles, parts, null = {plate: standardised(own) for plate, own in profiles.items() if len(own)}, [], []
    for plate, own in profiles.items():
        gallery = [profiles[name] for name in next_plates(plate, list(profiles))]
        if not gallery:
            continue
        common = [name for name in feature_names(gallery[0]) if all(name in frame for frame in gallery)]
        others = pd.concat([frame[common] for frame in gallery])
        columns, ranks = replicate_columns(own.index, others.index), replicate_ranks(own, others, f"{seed}/{plate}")
        values = replicate_precisions(ranks, columns)
        parts.append(pd.Series(values, index=pd.MultiIndex.from_arrays([[plate] * len(own), own.index])).dropna())
        rng = resampling.seeded(seed, plate, "replicates", "shuffle")
        shuffled = [replicate_precisions(ranks, columns[rng.permutation(len(columns))]) for _ in range(SHUFFLES)]
        null.append(np.array([one[np.isfinite(one)] for one in shuffled]))
    if not any(map(len, parts)):
        return pd.Series(dtype=float), np.zeros(0)
    return pd.concat(parts), np.concatenate(null, axis=1).mean(1)


def read_found(path: Path, seed: str) -> tuple[pd.Series, np.ndarray]:
    """Return `found_again` of a file of real perturbation profiles."""
    return found_again(by_plate(path, "real"), seed)
