"""The table "what changes": each number of each target class, translation against reconstruction, and real cells beside it.

Against the reconstruction, not the source: what inversion and painting lose by themselves is no effect of a class. Shifts are
in s.d. between real wells of one class, with the tests of `well_shift`; the false discovery rate is controlled within each
class (Benjamini and Hochberg 1995). A number is *found* where its q is at most ALPHA.

Two kinds of classes differ from the source by nothing, and say what "found" is worth: a *twin* (half of the source's wells,
trained as a class of its own) and *inert* ones. What is found in them is found wrongly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base import resampling
from brightpaint.scores.translation.well_shift import (
    ALPHA,
    CLASS,
    WellNoise,
    false_discovery,
    real_shift,
    training_counts,
    translated_shift,
    well_means,
)

BOTH, OPPOSITE = "found in real cells", "found in real cells, the other way"
ALONE, MISSED, NEITHER, UNTESTED = "found only in translations", "found only in real cells", "not found", "not tested"
DRAWS = 1000


def verdicts(q: np.ndarray, real_q: np.ndarray, shift: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Say of each number where it is found: (F,) q-values and shifts of translations and of real wells -> (F,) words.

    What real wells are too few to test is "found only in translations", which is no proof that real cells lack it.
    """
    found, there = q <= ALPHA, real_q <= ALPHA
    same = np.sign(shift) == np.sign(real)
    cases = [found & there & same, found & there, found, there, ~np.isfinite(q)]
    return np.select(cases, [BOTH, OPPOSITE, ALONE, MISSED, UNTESTED], NEITHER).astype(object)


def class_changes(
    differences: np.ndarray,
    real: tuple[np.ndarray, np.ndarray],
    trained: tuple[dict[str, int], dict[str, int]],
    noise: WellNoise,
) -> pd.DataFrame:
    """Test every number of one class on one plate.

    Parameters
    ----------
    differences : (n, F) of each source well, translation less reconstruction
    real : (a, F) and (b, F), real held-out wells of the target class and of the source class on that plate
    trained : {plate: training wells} of the target class and of the source class

    Returns
    -------
    one row a number: `shift, low, high` (s.d. between wells), `p, q`, the same of real wells as `real_...`, `verdict`
    """
    pair = {"": translated_shift(differences, noise, *trained), "real_": real_shift(*real, noise)}
    columns = {}
    for prefix, shift in pair.items():
        low, high = shift.interval()
        columns |= {f"{prefix}{name}": values / noise.sd
                    for name, values in (("shift", shift.value), ("low", low), ("high", high))}  # fmt: skip
        columns |= {f"{prefix}p": shift.p, f"{prefix}q": false_discovery(shift.p)}
    columns["verdict"] = verdicts(columns["q"], columns["real_q"], columns["shift"], columns["real_shift"])
    return pd.DataFrame(columns)


def changes(
    translated: pd.DataFrame,
    real: pd.DataFrame,
    trained: pd.DataFrame,
    numbers: Sequence[str],
    source: str,
    noise: WellNoise,
) -> pd.DataFrame:
    """Test every number of every target class of one plate, ranked within each class: the surest change first.

    Parameters
    ----------
    translated : fields of the plate: WELL_KEYS, CLASS (the class shown) and numbers
    real : real wells of that plate, from `well_means`
    trained : the training wells: WELL_KEYS and CLASS
    source : the class that was translated

    Returns
    -------
    `class, number, rank`, the columns of `class_changes`, `source_wells, training_wells, real_wells`
    """
    wells = well_means(translated, numbers).set_index([*store.WELL_KEYS, CLASS])
    base = wells.xs(source, level=CLASS)
    kept = real[real[CLASS] == source][list(numbers)].to_numpy(np.float64)
    parts = []
    for name in [name for name in dict.fromkeys(translated[CLASS]) if name != source]:
        moved = (wells.xs(name, level=CLASS) - base)[list(numbers)].to_numpy(np.float64)
        held = real[real[CLASS] == name][list(numbers)].to_numpy(np.float64)
        counts = training_counts(trained, name), training_counts(trained, source)
        table = class_changes(moved, (held, kept), counts, noise)
        with np.errstate(invalid="ignore"):
            sure = np.abs(table["shift"]) / (table["high"] - table["low"])
        order = np.lexsort([-sure.fillna(-1).to_numpy(), table["p"].fillna(2).to_numpy()])
        table = pd.concat([pd.DataFrame({CLASS: name, "number": list(numbers)}), table], axis=1)
        table = table.assign(source_wells=len(moved), training_wells=sum(counts[0].values()), real_wells=len(held))
        parts.append(table.iloc[order].assign(rank=np.arange(1, len(table) + 1)))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def found_rate(table: pd.DataFrame) -> dict:
    """Return how many of one class's numbers are found: `tested`, `found` and `real_found` (shares of those tested)."""
    tested, real = np.isfinite(table["q"]), np.isfinite(table["real_q"])
    share = lambda q, of: float(np.mean(q[of] <= ALPHA)) if of.any() else np.nan  # noqa: E731
    return {"tested": int(tested.sum()), "found": share(table["q"], tested), "real_found": share(table["real_q"], real)}


def sign_agreement(table: pd.DataFrame, noise: WellNoise, seed: str) -> dict:
    """Say how often a class's translation moves a number the way its real cells do, of the numbers that are real changes.

    Parameters
    ----------
    table : the rows of one class in the order of the numbers of `noise`
    seed : name from which the null is drawn

    Returns
    -------
    value : share of the numbers found in real cells whose shift has the same sign; NaN where there are none
    null, null_bound : mean of and what 5% reach by chance: directions of wells that differ by nothing, correlated as the
        numbers are (random sums of the wells' residuals); by number alone half would be the bound
    n : those numbers
    """
    chosen = (table["real_q"] <= ALPHA).to_numpy() & np.isfinite(table["shift"].to_numpy())
    row = {"value": np.nan, "null": np.nan, "null_bound": np.nan, "n": int(chosen.sum())}
    if not chosen.any():
        return row
    signs = np.sign(table["shift"].to_numpy()[chosen])
    row["value"] = float(np.mean(signs == np.sign(table["real_shift"].to_numpy()[chosen])))
    if len(noise.residuals):
        rng = resampling.seeded(seed, "signs")
        drawn = np.sign(rng.normal(size=(DRAWS, len(noise.residuals))) @ noise.residuals[:, chosen])
        shares = np.mean(drawn == signs, axis=1)
        row |= {"null": float(shares.mean()), "null_bound": float(np.quantile(shares, 0.95))}
    return row


def control_of(name: str, twin: str, inert: Sequence[str]) -> str:
    """Return what kind of control a class is: `A/A`, `inert`, or ""."""
    return "A/A" if twin and name == twin else "inert" if name in inert else ""


def control_rows(table: pd.DataFrame) -> Iterator[dict]:
    """Yield the shares found where nothing is: `found_twin`, `found_inert` (the mean over such classes), from rows of classes.

    Parameters
    ----------
    table : one row a class: `control`, `found`, `tested`, `real_found`
    """
    for control, metric in (("A/A", "found_twin"), ("inert", "found_inert")):
        own = table[(table["control"] == control) & (table["tested"] > 0)]
        if len(own):
            yield {"metric": metric, "value": own["found"].mean(), "null": own["real_found"].mean(), "null_bound": ALPHA,
                   "n": len(own)}  # fmt: skip
