"""PhenDiff's own test: the area that a stain covers above a threshold, real wells against real, translated against reconstructed.

The threshold of a stain is fixed on the real source fields of the plate (the mean of their 95th percentiles) and never moved.
The same test by well follows on both sides: Student's two-sample test with the spread of all classes' wells pooled, for a class
may have one well. What is asked is whether both conclude the same: no change, more, or less. (Bourou et al. 2024 test 1,000
translated images as if they were as many wells.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from brightpaint.scores.translation.well_shift import ALPHA, CLASS, real_shift, well_noise

QUANTILE = 0.95
WORDS = {-1: "less", 0: "no change", 1: "more"}


def area_thresholds(images: Sequence[np.ndarray]) -> np.ndarray:
    """Return the (C,) thresholds from real source fields: (C, H, W) z-scores each."""
    return np.mean([np.quantile(image, QUANTILE, axis=(1, 2)) for image in images], axis=0)


def area_above(image: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Return the (C,) shares of pixels above their thresholds: (C, H, W), (C,)."""
    return (image > thresholds[:, None, None]).mean(axis=(1, 2))


def area_tests(wells: pd.DataFrame, channels: Sequence[str], source: str) -> pd.DataFrame:
    """Test every class's wells against those of the source class, stain by stain.

    Parameters
    ----------
    wells : WELL_KEYS, CLASS and the share of each of `channels`, one row a well and class of one plate

    Returns
    -------
    one row a class and channel: `class, channel, area, source_area, p, conclusion` (-1, 0, 1; NaN where it is not tested)
    """
    names = list(channels)
    noise = well_noise(wells, names, source)
    base, rows = wells[wells[CLASS] == source][names].to_numpy(np.float64), []
    for name in [name for name in dict.fromkeys(wells[CLASS]) if name not in (source, "")]:
        own = wells[wells[CLASS] == name][names].to_numpy(np.float64)
        shift = real_shift(own, base, noise)
        conclusion = np.where(np.isfinite(shift.p), np.where(shift.p < ALPHA, np.sign(shift.value), 0.0), np.nan)
        rows.append(pd.DataFrame({CLASS: name, "channel": names, "area": own.mean(axis=0), "source_area": base.mean(axis=0),
                                  "p": shift.p, "conclusion": conclusion}))  # fmt: skip
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=[CLASS, "channel", "p", "conclusion"])


def agreement(real: pd.DataFrame, translated: pd.DataFrame) -> pd.DataFrame:
    """Join both sides' tests by class and channel: columns of `translated`, those of `real` as `real_...`, and `agree` (0/1).

    `agree` is NaN where either side could not be tested.
    """
    renamed = real.rename(columns={name: f"real_{name}" for name in real if name not in (CLASS, "channel")})
    joined = translated.merge(renamed, on=[CLASS, "channel"], how="left", validate="one_to_one")
    both = joined["conclusion"].notna() & joined["real_conclusion"].notna()
    same = (joined["conclusion"] == joined["real_conclusion"]).astype(np.float64)
    return joined.assign(agree=same.where(both))


def expected_agreement(joined: pd.DataFrame) -> float:
    """Return the agreement of two sides that conclude as often what they do, but of other classes and stains (Cohen 1960)."""
    both = joined[joined["agree"].notna()]
    shares = [both[name].value_counts(normalize=True) for name in ("conclusion", "real_conclusion")]
    return float(sum(shares[0].get(word, 0.0) * shares[1].get(word, 0.0) for word in WORDS)) if len(both) else np.nan
