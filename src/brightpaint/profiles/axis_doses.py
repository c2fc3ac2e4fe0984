"""Fit a dose-response curve to every compound's wells along an axis, where the score changes with the dose; say where it does not.

The score is a well's place on an axis between two control classes (brightpaint.profiles.axis), the same axis for every compound;
beside it stand the curves along each compound's own direction (brightpaint.profiles.doses). A Hill curve of four parameters is
fitted where doses that have changed places among a compound's wells seldom give as good a one. The half-effect dose is where the
score lies half-way between the curve's own ends.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base import cli
from brightpaint.base.resampling import seeded
from brightpaint.profiles import dose_layout
from brightpaint.profiles.axis import mean_interval
from brightpaint.profiles.dose_series import SERIES, completed
from brightpaint.profiles.doses import RISE, comes_down
from brightpaint.profiles.half_interval import profile_interval
from brightpaint.profiles.hill import Fit, fit_free, free_losses, grid, interval_beyond
from brightpaint.profiles.projection import Scores
from brightpaint.profiles.well_numbers import REQUIRED, check_wells

COLUMNS = ["Metadata_perturbation", *SERIES, "status", "reason", "half_um", "half_low_um", "half_high_um", "slope", "bottom", "top",
           "effect", "flat_p", "explained", "wells", "doses", "dose_min_um", "dose_max_um", "plates", "layout"]  # fmt: skip
MEANS = ["Metadata_perturbation", *SERIES, "dose_um", "on", "on_low", "on_high", "wells"]
COARSE = 4  # steps of the grid that tests against flat: the same for every draw
log = logging.getLogger(__name__)


def flat_p(
    dose: np.ndarray, scores: np.ndarray, plates: np.ndarray, *, noise: float, slopes: Sequence[float], draws: int, seed: str
) -> float:  # fmt: skip
    """Return how often wells whose doses have changed places give as good a curve: the p of a score that is flat in the dose.

    Doses change places within a plate, where some plate has several.
    """
    doses, member = np.unique(dose, return_inverse=True)
    within = pd.Series(member).groupby(plates).nunique().max() > 1
    parts = [np.flatnonzero(plates == plate) for plate in np.unique(plates)] if within else [np.arange(len(dose))]
    rng, order = seeded(seed, "flat"), np.tile(np.arange(len(dose)), (draws + 1, 1))
    for part in parts:
        order[1:, part] = rng.permuted(np.tile(part, (draws, 1)), axis=1)
    counts = np.bincount(member)
    share = (member[:, None] == np.arange(len(doses))) / counts  # (n, D): wells to means of doses
    means = scores[order] @ share
    losses = free_losses(grid(doses, slopes, coarse=COARSE), means, counts / noise**2)[0].min(axis=1)
    level = (means @ counts / counts.sum())[:, None]
    whole = ((means - level) ** 2 @ counts) / noise**2
    gained = whole - losses
    return float((gained >= gained[0] - 1e-9).mean())


def judge_curve(curve: Fit, dose: np.ndarray) -> tuple[str, str]:
    """Return the status of a fitted curve by where its half effect lies, and why."""
    if curve.half > dose.max():
        return (
            "censored_above",
            f"the half effect lies above the highest dose, {dose.max():.3g} uM: the curve is still rising",
        )
    if curve.half < dose.min() or curve.rise < RISE:
        return "censored_below", f"no rise from the lowest dose on, {dose.min():.3g} uM: all doses act alike"
    return "fitted", "half of the effect is reached within the tested doses"


def control_noise(placed: pd.DataFrame) -> tuple[float, int]:
    """Return the s.d. of control wells about the mean of their class, of both classes together, and its degrees of freedom."""
    control = placed[placed["class"].isin(["+", "-"]) & np.isfinite(placed["on"])]
    left, freedom = (
        control["on"] - control.groupby("class")["on"].transform("mean"),
        len(control) - control["class"].nunique(),
    )
    return max(float(np.sqrt((left**2).sum() / freedom)), 1e-6), freedom


def fit_series(own: pd.DataFrame, noise: tuple[float, int], settings: Mapping, name: str) -> dict:
    """Judge and fit one compound's wells; `noise` is that of `control_noise`. See `curves`."""
    noise, freedom = noise
    dose, scores = own["Metadata_dose"].to_numpy(), own["on"].to_numpy()
    found = {"wells": len(own), "doses": len(np.unique(dose)), "dose_min_um": dose.min(), "dose_max_um": dose.max(),
             "plates": own["Metadata_Plate"].nunique()}  # fmt: skip
    if found["doses"] < settings["min_doses"]:
        reason = f"{found['doses']} doses, expected {settings['min_doses']} or more"
        return found | {"status": "too_few_doses", "reason": reason}
    slopes = settings["slope"]
    p = flat_p(
        dose, scores, own["Metadata_Plate"].to_numpy(), noise=noise, slopes=slopes, draws=settings["draws"], seed=name
    )
    means = own.groupby("Metadata_dose")["on"].mean()
    found |= {"flat_p": p, "effect": float(means.iloc[-1] - means.iloc[0])}
    if p > settings["alpha"]:
        reason = f"wells whose doses have changed places give as good a curve with probability {p:.2g}"
        return found | {"status": "flat", "reason": f"{reason}, expected {settings['alpha']:g} or less"}
    spread = np.full(len(dose), noise)
    curve = fit_free(dose, scores, spread, slopes=slopes)
    sign = 1.0 if curve.top >= curve.bottom else -1.0
    rising = Scores(sign * (scores - curve.bottom), spread, 0.0, 0.0, 1.0)
    found |= {"slope": curve.slope, "bottom": curve.bottom, "top": curve.top, "explained": curve.explained}
    if comes_down(dose, rising):
        reason = "the highest doses lie nearer the lowest than those before them: toxic, or another phenotype sets in"
        return found | {"status": "non_monotone", "reason": reason}
    found["status"], found["reason"] = judge_curve(curve, dose)
    if found["status"] == "fitted":
        low, high = profile_interval(dose, scores, spread, curve, slopes=slopes, freedom=freedom)
        if low <= dose.min() and high >= dose.max():
            reason = "the change is too small against the noise to say at which of the doses half of it is reached"
            return found | {"status": "weak", "reason": reason}
        found |= {"half_um": curve.half, "half_low_um": low, "half_high_um": high}
        found["reason"] += interval_beyond(low, high, dose)
    return found


def dosed(placed: pd.DataFrame) -> pd.DataFrame:
    """Return the wells of compounds with a dose that have a place on the axis."""
    known = completed(placed)
    treated = (known["Metadata_perturbation"] != "") & (known["Metadata_control_type"].fillna("") != "negcon")
    return known[treated & (known["Metadata_dose"] > 0)]


def read_placed(path: Path) -> pd.DataFrame:
    """Read wells as `axis` places them; an infinite score, or a scale without two wells of each class, is an error."""
    placed = store.read_table(path, required=[*REQUIRED, "Metadata_dose", "on", "class"])
    placed = check_wells(placed, ["on"], path, "axis")
    known = placed["on"].notna()
    for name in "-+":
        count = int((known & (placed["class"] == name)).sum())
        if known.any() and count < 2:
            raise ValueError(
                f"{path}: {count} wells of class {name} are placed, expected two or more; delete it and rerun axis"
            )
    return placed


def curves(placed: pd.DataFrame, settings: Mapping) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fit the curves of all compounds along one axis.

    Parameters
    ----------
    placed : wells as `axis` places them
    settings : min_doses, alpha, draws, slope (limits), of the config's `doses`

    Returns
    -------
    table : one row a compound, cell line and time: COLUMNS, the largest change of the score first; `half_um` is NaN where `status`
        is not fitted, and `reason` says why
    means : one row a dose of these: MEANS, with Student's 95% interval of several wells
    """
    wells, rows, means = dosed(placed), [], []
    has_scale = np.isfinite(placed["on"]).any()
    noise = control_noise(placed) if has_scale else (1.0, 0)
    places = dose_layout.in_words(dose_layout.dose_places(wells)) if len(wells) else {}
    for key, every in wells.groupby(["Metadata_perturbation", *SERIES], dropna=False, sort=True):
        own, name = every[np.isfinite(every["on"])], "/".join(map(str, key))
        if len(own):
            found = fit_series(own, noise, settings, name)
        else:
            reason = (
                "its wells hold no cells" if has_scale else "held out, the classes are not told apart: there is no axis"
            )
            found = {"status": "no_axis", "reason": reason, "wells": 0}
        layout = "; ".join(places[plate] for plate in sorted(set(every["Metadata_Plate"])) if plate in places)
        rows.append({**dict(zip(["Metadata_perturbation", *SERIES], key)), **found, "layout": layout})
        for dose, part in own.groupby("Metadata_dose"):
            low, high = mean_interval(part["on"].to_numpy())
            said = {"dose_um": dose, "on": part["on"].mean(), "on_low": low, "on_high": high, "wells": len(part)}
            means.append({**dict(zip(["Metadata_perturbation", *SERIES], key)), **said})
    table = pd.DataFrame(rows).reindex(columns=COLUMNS)
    table[["wells", "doses", "plates"]] = table[["wells", "doses", "plates"]].fillna(0).astype(int)
    order = table["effect"].abs().sort_values(ascending=False, kind="stable").index
    return table.loc[order].reset_index(drop=True), pd.DataFrame(means, columns=MEANS)


def main(argv: Sequence[str] | None = None) -> None:
    """Fit a dose-response curve along an axis to every compound of an arm in a space."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: see curves")
    parser.add_argument("--placed", type=Path, required=True, help="wells on the axis, as `axis` places them")
    parser.add_argument("--table", type=Path, required=True, help="one row a compound, to write")
    parser.add_argument("--means", type=Path, required=True, help="one row a dose, to write")
    args = parser.parse_args(argv)
    table, means = curves(read_placed(args.placed), args.settings)
    for status, count in table["status"].value_counts().items():
        log.info("%s: %d", status, count)
    store.write_table(store.as_text(table), args.table)
    store.write_table(store.as_text(means), args.means)


if __name__ == "__main__":
    cli.run(main)
