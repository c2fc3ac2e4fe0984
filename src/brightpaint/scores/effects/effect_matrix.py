"""The effect matrix: change factor i of what is painted, at fixed noise, and read factor j by a linear probe of real images.

Row i, column j says how far the read-out of j moves when i is changed, in units of how far j itself is asked to move. On the
diagonal stands the share of the asked change that is read (a slope, 1 for all of it); off it the root mean square of what is read
of another factor, 0 for none. Where one factor is nested in another (a plate in its batch) no probe can tell them apart, and there
is no number.
A column is worth what its probe is: `skill`, the share of variance that it explains in wells that it was not fitted to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold

PENALTIES = np.logspace(-6, 6, 25)
SWAPS = 200  # draws of the null: before and after exchanged at random
FOLDS = 5


@dataclass(frozen=True)
class Coding:
    """How a factor's values become numbers: one for a number, in s.d.; for categories one each, 0 or 1.

    Attributes
    ----------
    values : the categories in order; empty for a number
    centre, spread : of a number
    """

    values: tuple[str, ...] = ()
    centre: float = 0.0
    spread: float = 1.0

    def __call__(self, given: Sequence) -> np.ndarray:
        """Return (N, K) float64; raise ValueError for a category that is not known."""
        if not self.values:
            return (np.asarray(given, dtype=np.float64)[:, None] - self.centre) / self.spread
        if foreign := sorted(set(map(str, given)) - set(self.values)):
            raise ValueError(f"value {foreign[0]} is read by no probe; it knows {', '.join(self.values)}")
        return (np.asarray(list(map(str, given)), dtype=object)[:, None] == np.array(self.values, dtype=object)).astype(
            float
        )


def coding_of(values: pd.Series) -> Coding:
    """Return the coding of a factor's values: of numbers where they are such, else of categories."""
    if pd.api.types.is_numeric_dtype(values):
        spread = float(values.std(ddof=0))
        return Coding(centre=float(values.mean()), spread=spread if spread > 0 else 1.0)
    return Coding(values=tuple(sorted(set(values.astype(str)))))


@dataclass(frozen=True)
class Probe:
    """A linear read-out of a factor.

    Attributes
    ----------
    mean, sd : (D,) of the features it was fitted to; a feature that does not vary has s.d. inf, and tells nothing
    weights : (D, K)
    offset : (K,)
    coding : of the factor
    skill : share of variance explained in groups that were left out; NaN with fewer than two groups
    """

    mean: np.ndarray
    sd: np.ndarray
    weights: np.ndarray
    offset: np.ndarray
    coding: Coding
    skill: float

    def read(self, features: np.ndarray) -> np.ndarray:
        """Return what is read of features (N, D): (N, K)."""
        return ((features - self.mean) / self.sd) @ self.weights + self.offset


def fit_probe(
    features: np.ndarray, values: pd.Series, groups: Sequence, *, scaled_by: np.ndarray | None = None
) -> Probe:
    """Fit a ridge regression of a factor on features of real images.

    Parameters
    ----------
    features : (N, D) float64, finite
    values : (N,) of the factor
    groups : (N,) what is left out together to judge the skill: wells
    scaled_by : (M, D) the images by which features are scaled, `features` by default. Where these show less than those that are
        read (one batch of several), a feature that does not vary in them would weigh too much in others

    Raises
    ------
    ValueError
        where the factor does not vary
    """
    coding = coding_of(values)
    if values.nunique() < 2:
        raise ValueError(f"factor {values.name}: one value alone ({values.iloc[0]}), which nothing can be read against")
    wanted, groups = coding(values), np.asarray(groups)
    every = features if scaled_by is None else scaled_by
    mean, sd = every.mean(axis=0), every.std(axis=0)
    sd = np.where(sd > 1e-12, sd, np.inf)
    scaled = (features - mean) / sd
    whole = RidgeCV(alphas=PENALTIES).fit(scaled, wanted)
    folds = min(FOLDS, len(set(groups)))
    skill = float("nan")
    if folds > 1:
        left = np.full_like(wanted, np.nan)
        for train, test in GroupKFold(folds).split(scaled, wanted, groups):
            left[test] = (
                RidgeCV(alphas=PENALTIES).fit(scaled[train], wanted[train]).predict(scaled[test]).reshape(len(test), -1)
            )
        skill = float(1 - ((wanted - left) ** 2).sum() / ((wanted - wanted.mean(axis=0)) ** 2).sum())
    weights = np.atleast_2d(whole.coef_).T
    return Probe(mean, sd, weights, np.atleast_1d(whole.intercept_), coding, skill)


@dataclass(frozen=True)
class Change:
    """One factor changed and all else kept.

    Attributes
    ----------
    factor : its name
    before, after : its two values
    unchanged, changed : (n, D) features of the same n images under either, row by row from the same noise
    """

    factor: str
    before: object
    after: object
    unchanged: np.ndarray
    changed: np.ndarray


def crossed(one: pd.Series, other: pd.Series) -> bool:
    """Tell whether two factors cross in a design: neither's value decides the other's, and both vary."""
    known = (one.notna() & other.notna()).to_numpy()
    table = pd.crosstab(one[known].astype(str), other[known].astype(str)).to_numpy() > 0
    if not table.size:
        return False
    return min(table.shape) > 1 and bool((table.sum(axis=0) > 1).any() and (table.sum(axis=1) > 1).any())


def _asked(coding: Coding, changes: Sequence[Change]) -> np.ndarray:
    """Return by how much a factor is asked to move by each change of it: (P, K)."""
    return np.array([(coding([each.after]) - coding([each.before]))[0] for each in changes])


def _sizes(means: np.ndarray, asked: np.ndarray, unit: float, own: bool) -> np.ndarray:
    """Return the slope of mean moves on what was asked, for the factor's own column; else their root mean square, by `unit`.

    Parameters
    ----------
    means : (..., P, K) of P changes
    """
    if own:
        return (means * asked).sum(axis=(-2, -1)) / (asked**2).sum()
    return np.sqrt((means**2).sum(axis=-1).mean(axis=-1)) / unit


def effect_matrix(
    changes: Sequence[Change], probes: Mapping[str, Probe], design: pd.DataFrame, *, seed: int = 0
) -> pd.DataFrame:
    """Return the effect of every factor that is changed on what is read of every factor that has a probe.

    Parameters
    ----------
    changes : of one factor or several, each between two values or more
    probes : {factor: its probe}
    design : one row a real image that the probes were fitted to, a column a factor: which pairs of factors cross
    seed : of the null

    Returns
    -------
    one row a pair: changed, read, value, null (mean of draws in which before and after are exchanged at random, image by image),
    null_bound (what they pass one time in twenty), skill (of the probe), changes, images, reason (where there is no value)
    """
    rng, rows = np.random.default_rng(seed), []
    names = list(dict.fromkeys(each.factor for each in changes))
    for name in names:
        own = [each for each in changes if each.factor == name]
        for read, probe in probes.items():
            reason = _unread(name, read, design, probe)
            row = {"changed": name, "read": read, "value": np.nan, "null": np.nan, "null_bound": np.nan, "skill": probe.skill,
                   "changes": len(own), "images": sum(len(each.changed) for each in own), "reason": reason}  # fmt: skip
            if not reason:
                moved = [probe.read(each.changed) - probe.read(each.unchanged) for each in own]
                asked = _asked(probe.coding, own) if read == name else np.zeros(0)
                unit = _unit(probe.coding, design[read])
                row["value"] = float(_sizes(np.array([each.mean(axis=0) for each in moved]), asked, unit, read == name))
                signs = [rng.choice([-1.0, 1.0], size=(SWAPS, len(each))) for each in moved]
                means = np.stack([sign @ each / len(each) for sign, each in zip(signs, moved)], axis=1)  # (SWAPS, P, K)
                drawn = _sizes(means, asked, unit, read == name)
                row |= {"null": float(np.mean(drawn)), "null_bound": float(np.quantile(drawn, 0.95))}
            rows.append(row)
    return pd.DataFrame(rows)


def _unread(name: str, read: str, design: pd.DataFrame, probe: Probe) -> str:
    if name != read and not crossed(design[name], design[read]):
        return f"{name} and {read} do not cross in the design: one is nested in the other"
    if not probe.skill > 0:
        return f"the probe of {read} reads nothing in wells that it was not fitted to"
    return ""


def _unit(coding: Coding, values: pd.Series) -> float:
    """Return the root mean square distance between two different values of a factor, as they occur in the design."""
    codes = coding(sorted(set(values.dropna())))
    gaps = ((codes[:, None] - codes[None]) ** 2).sum(axis=-1)
    return float(np.sqrt(gaps[~np.eye(len(codes), dtype=bool)].mean()))


def diagonal_shares(matrix: pd.DataFrame) -> dict[str, float]:
    """Return, for each changed factor, the share of its squared effects that falls on itself: 1 where it moves nothing else.

    NaN where its own effect has no value; factors that are not read against it count for nothing.
    """
    shares = {}
    for name, rows in matrix.groupby("changed", sort=False):
        squares = rows.set_index("read")["value"] ** 2
        own = squares.get(name, np.nan)
        shares[name] = float(own / squares.sum()) if np.isfinite(own) and squares.sum() > 0 else np.nan
    return shares


def real_changes(features: np.ndarray, design: pd.DataFrame, factor: str) -> list[Change]:
    """Return the changes of a factor between real images that share all factors that cross it: what a perfect model would paint.

    Images of one value in one stratum of the others are averaged; a pair of values is a change where a stratum has both.

    Parameters
    ----------
    features : (N, D)
    design : (N,) rows, a column a factor
    """
    others = [name for name in design if name != factor and crossed(design[name], design[factor])]
    frame = pd.DataFrame(features).assign(_value=design[factor].to_numpy())
    strata = np.array(["|".join(map(str, row)) for row in design[others].to_numpy(object)], dtype=object)
    means = frame.groupby([strata, "_value"], sort=True).mean()
    values, found = sorted(set(design[factor])), []
    for place, before in enumerate(values):
        for after in values[place + 1 :]:
            there = [{stratum for stratum, value in means.index if value == each} for each in (before, after)]
            both = sorted(there[0] & there[1])
            if both:
                rows = [means.loc[[(stratum, value) for stratum in both]].to_numpy() for value in (before, after)]
                found.append(Change(factor, before, after, *rows))
    return found


def shuffled(design: pd.DataFrame, factor: str, seed: int = 0) -> pd.DataFrame:
    """Return the design with a factor's values dealt out at random: what a model that ignores it gives."""
    order = np.random.default_rng(seed).permutation(len(design))
    return design.assign(**{factor: design[factor].to_numpy()[order]})
