"""How far the painted images of a plate, taken together, are from the real ones: FID and KID, channel by channel.

Both compare two heaps of images in the features of one network; neither asks whether an image shows its own well.
FID (Heusel et al. 2017, eq. 6) is the Frechet distance between Gaussians fitted to the features. It is biased upwards,
the more the fewer images there are, so `fid_sampling` stands beside it: what it would be if nothing but chance told
the two heaps apart. KID (Binkowski et al. 2018, section 4) is the squared maximum mean discrepancy under a cubic
kernel, unbiased at any number of images.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base import resampling
from brightpaint.features.embedders.vectors import metadata_of
from brightpaint.scores.rows import is_active

JACKKNIFE_GROUPS = 10  # a full plate's distance in 2048 features costs seconds, so they are few
RELABELLINGS = 2
LEAST_IMAGES = 4
log = logging.getLogger(__name__)


def covariance_root(features: np.ndarray) -> np.ndarray:
    """Return R with R.T @ R the covariance of the rows, and no more rows than it needs: (n, F) -> (min(n, F), F)."""
    centred = (features - features.mean(axis=0)) / np.sqrt(len(features) - 1)
    return centred if len(centred) <= centred.shape[1] else np.linalg.qr(centred, mode="r")


def trace_of_root(first: np.ndarray, second: np.ndarray) -> float:
    """Return tr((S1 S2)^(1/2)) from the roots R1, R2 of two covariances: the sum of the singular values of R1 R2^T.

    The eigenvalues of S1 S2 = R1^T R1 R2^T R2 that are not 0 are those of (R1 R2^T)(R1 R2^T)^T, so that no matrix root
    is iterated and none can turn complex.
    """
    product = first @ second.T
    product = product if len(product) <= len(product.T) else product.T
    return float(np.sqrt(np.maximum(np.linalg.eigvalsh(product @ product.T), 0.0)).sum())  # thrice as fast as an SVD


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Squared Frechet distance of the Gaussians fitted to two sets of features: |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)).

    Parameters
    ----------
    first, second : (n, F) and (m, F), two rows at least

    Returns
    -------
    at least 0; in the units of the features, squared
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if min(len(first), len(second)) < 2:
        return float("nan")
    roots = covariance_root(first), covariance_root(second)
    shift = np.sum((first.mean(axis=0) - second.mean(axis=0)) ** 2)
    spread = sum(np.sum(root**2) for root in roots) - 2 * trace_of_root(*roots)
    return float(max(shift + spread, 0.0))


def deleted_groups(wells: Sequence[str], count: int) -> np.ndarray:
    """Return the number of the group, `count` at most, with which each field is left out: whole wells, dealt in turn."""
    codes, _ = pd.factorize(np.asarray(wells, dtype=str), sort=True)
    return codes % min(count, codes.max() + 1) if len(codes) else codes


def jackknife_interval(value: float, left_out: Sequence[float]) -> tuple[float, float]:
    """Return value -+ 1.96 standard errors by the delete-a-group jackknife (Shao and Wu 1989); not below 0."""
    left_out = np.asarray(left_out, dtype=np.float64)
    if len(left_out) < 2 or not np.isfinite(left_out).all():
        return float("nan"), float("nan")
    error = np.sqrt((len(left_out) - 1) * np.mean((left_out - left_out.mean()) ** 2))
    return max(value - 1.96 * error, 0.0), value + 1.96 * error


def cubic(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return KID's kernel (x.y / F + 1)^3: (n, F), (m, F) -> (n, m)."""
    return (left @ right.T / left.shape[1] + 1) ** 3


def kernel_sums(
    first: np.ndarray, second: np.ndarray, wells: Sequence[np.ndarray], count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Sum the kernel (x.y / F + 1)^3 over the pairs of images of each pair of wells.

    Parameters
    ----------
    first, second : (n, F) and (m, F); the very same array where a set is compared with itself
    wells : the well's number of each row, (n,) and (m,)
    count : how many wells there are

    Returns
    -------
    sums, pairs : (count, count); an image is not paired with itself
    """
    kernel = cubic(first, second)
    pairs = np.ones_like(kernel)
    if first is second:
        np.fill_diagonal(kernel, 0.0)
        np.fill_diagonal(pairs, 0.0)
    rows, columns = (np.eye(count)[np.asarray(codes)] for codes in wells)  # (n, count)
    return rows.T @ kernel @ columns, rows.T @ pairs @ columns


def kernel_distance(
    first: np.ndarray, second: np.ndarray, wells: tuple, rng: np.random.Generator | None = None
) -> dict:
    """KID of two sets of features, with a bootstrap interval over wells.

    The published KID is the mean over random subsets of an unbiased estimate; over all pairs of images, as here, it is
    the same estimate without the chance of the subsets. Wells are drawn anew in both sets together; pairs of a well
    with its own double are left out, so that doubles do not make a set look tighter than it is.

    Parameters
    ----------
    first, second : (n, F), (m, F)
    wells : names of the well of each row, (n,) and (m,)
    rng : for the interval; None for none

    Returns
    -------
    {"value", "low", "high"}; around 0, and so sometimes below it, where the sets are alike
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    names, codes = np.unique(np.concatenate([np.asarray(side, dtype=str) for side in wells]), return_inverse=True)
    sides, count = (codes[: len(first)], codes[len(first) :]), len(names)
    sums = [
        kernel_sums(first, first, (sides[0], sides[0]), count),
        kernel_sums(second, second, (sides[1], sides[1]), count),
        kernel_sums(first, second, sides, count),
    ]
    row = {"value": _estimate(sums, np.ones((1, count)))[0], "low": np.nan, "high": np.nan}
    if rng is not None and count > 2:
        row["low"], row["high"] = resampling.interval(_estimate(sums, resampling.resample_counts(count, rng)))
    return row


def _estimate(sums: list, weights: np.ndarray) -> np.ndarray:
    """Return within first + within second - twice across, for (B, W) weights of wells: (B,)."""
    means = []
    for number, (kernel, pairs) in enumerate(sums):
        both = [_weighted(side, weights, within=number < 2) for side in (kernel, pairs)]
        with np.errstate(invalid="ignore", divide="ignore"):
            means.append(both[0] / both[1])
    return means[0] + means[1] - 2 * means[2]


def _weighted(table: np.ndarray, weights: np.ndarray, *, within: bool) -> np.ndarray:
    """Sum a (W, W) table under weights; within one set a well drawn w times meets itself w times, not w * w times."""
    total = np.sum(weights @ table * weights, axis=1)
    if within:
        total = total - (weights**2 - weights) @ np.diag(table)
    return total


def channel_rows(real: pd.DataFrame, painted: pd.DataFrame, seed: str) -> dict[str, dict]:
    """Compare one channel's real and painted features.

    Parameters
    ----------
    real, painted : one row a field: keys, annotations, `Inception_*`

    Returns
    -------
    {"fid": {value, low, high, n}, "fid_sampling": {value, n}, "kid": {value, low, high, n}}
    """
    names = [name for name in real.columns if name.startswith("Inception_")]
    first, second = (side[names].to_numpy(np.float64) for side in (real, painted))
    wells = tuple(side["Metadata_Well"].to_numpy(str) for side in (real, painted))
    n = min(len(first), len(second))
    if n < LEAST_IMAGES:
        return {}
    value = frechet_distance(first, second)
    groups = deleted_groups(np.concatenate(wells), JACKKNIFE_GROUPS)
    own = groups[: len(first)], groups[len(first) :]
    left_out = [frechet_distance(first[own[0] != group], second[own[1] != group]) for group in range(groups.max() + 1)]
    low, high = jackknife_interval(value, left_out)
    rng = resampling.seeded(seed, "fid", "relabel")
    alike = [frechet_distance(*_relabelled(first, second, wells, rng)) for _ in range(RELABELLINGS)]
    kid = kernel_distance(first, second, wells, resampling.seeded(seed, "kid"))
    return {
        "fid": {"value": value, "low": low, "high": high, "n": n},
        "fid_sampling": {"value": float(np.mean(alike)), "n": n},
        "kid": {**kid, "n": n},
    }


def _relabelled(first: np.ndarray, second: np.ndarray, wells: tuple, rng: np.random.Generator) -> list[np.ndarray]:
    """Let the images of each well change places between the two sets, at random, whole wells at a time."""
    names = np.unique(np.concatenate(wells))
    swapped = set(names[rng.random(len(names)) < 0.5])
    take = [np.array([well in swapped for well in side]) for side in wells]
    return [
        np.concatenate([first[~take[0]], second[take[1]]]),
        np.concatenate([second[~take[1]], first[take[0]]]),
    ]


def plate_rows(
    plate: str, real: pd.DataFrame, painted: pd.DataFrame, brightfield: pd.DataFrame, active: set[str] | None
) -> Iterator[dict]:
    """Give the rows of FID and KID of one plate, by channel and as their mean, for all fields and the active ones.

    Parameters
    ----------
    real, painted, brightfield : Inception features, one row a field and channel; brightfield's planes in place of a
        prediction are the floor (the nearest plane counts)

    Raises
    ------
    ValueError
        where a channel is painted that the real table has not
    """
    channels = list(dict.fromkeys(painted["Channel"]))
    missing = sorted(set(channels) - set(real["Channel"]))
    if missing:
        raise ValueError(f"score: plate {plate}: real images have no features of {missing}; delete them and rerun")
    names = {"full": None, "active": active}
    if len(painted) < len(real):  # an arm that paints the active subset alone
        del names["full"]
    for subset, chosen in names.items():
        if subset == "active" and active is None:
            continue
        parts = [_part(table, chosen) for table in (real, painted, brightfield)]
        yield from _subset_rows(plate, subset, *parts, channels)


def _part(table: pd.DataFrame, names: set[str] | None) -> pd.DataFrame:
    return table if names is None else table[is_active(table, names)]


def _subset_rows(plate, subset, real, painted, brightfield, channels) -> Iterator[dict]:
    collected: dict[str, list[dict]] = {}
    for channel in channels:
        truth = real[real["Channel"] == channel]
        seed = f"{plate}/{subset}/{channel}"
        rows = channel_rows(truth, painted[painted["Channel"] == channel], seed)
        planes = [plane for _, plane in brightfield.groupby("Channel") if len(plane) == len(truth)]
        for name, row in rows.items():
            if name in ("fid", "kid") and planes:
                row["floor"] = min(_between(name, truth, plane) for plane in planes)
            collected.setdefault(name, []).append({**row, "metric": name, "channel": channel})
    for name, rows in collected.items():
        # the mean's interval: channels show the same cells, so their errors are not taken as independent
        each = {key: np.mean([row.get(key, np.nan) for row in rows]) for key in ("value", "low", "high", "floor")}
        rows.append({**each, "n": rows[0]["n"], "metric": name, "channel": "all"})
        for row in rows:
            yield {**row, "plate": plate, "subset": subset, "space": "images"}
        log.info("%s, %s: %s %.3g over %d channels", plate, subset, name, rows[-1]["value"], len(rows) - 1)


def _between(name: str, first: pd.DataFrame, second: pd.DataFrame) -> float:
    names = [column for column in first.columns if column.startswith("Inception_")]
    left, right = (side[names].to_numpy(np.float64) for side in (first, second))
    if name == "fid":
        return frechet_distance(left, right)
    return kernel_distance(left, right, tuple(side["Metadata_Well"].to_numpy(str) for side in (first, second)))["value"]


def replicate_rows(plate: str, plates: dict[str, pd.DataFrame], active: set[str] | None) -> Iterator[dict]:
    """Give the references: FID and KID of a plate's real images against the other real plates', in the mean.

    Replicate plates hold other cells of another batch (the paper's GT row): no prediction, and no limit.
    """
    truth = plates[plate]
    for subset, chosen in {"full": None, "active": active}.items():
        if subset == "active" and active is None:
            continue
        mine = _part(truth, chosen)
        for channel in ["all", *dict.fromkeys(truth["Channel"])]:
            for name in ("fid", "kid"):
                values = [_mean_over_channels(name, mine, _part(other, chosen), channel)
                          for key, other in plates.items() if key != plate]  # fmt: skip
                if values and np.isfinite(values).any():
                    yield {"metric": name, "value": float(np.nanmean(values)), "channel": channel, "plate": plate,
                           "n": len(metadata_of(mine).drop_duplicates(store.FIELD_KEYS)), "subset": subset,
                           "space": "images"}  # fmt: skip


def _mean_over_channels(name: str, first: pd.DataFrame, second: pd.DataFrame, channel: str) -> float:
    channels = dict.fromkeys(first["Channel"]) if channel == "all" else [channel]
    pairs = [(first[first["Channel"] == each], second[second["Channel"] == each]) for each in channels]
    values = [_between(name, *pair) for pair in pairs if min(map(len, pair)) >= LEAST_IMAGES]
    return float(np.mean(values)) if values else float("nan")
