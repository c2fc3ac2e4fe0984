"""Fit a dose-response curve to every compound of an arm in a space, where that is warranted, and say where it is not.

A well's score is how far it lies from DMSO along its compound's own direction, signed and cross-fitted
(brightpaint.profiles.projection), in standard deviations of DMSO. A Hill curve from 0 (brightpaint.profiles.hill) is fitted where
the compound has doses enough, an effect that DMSO wells taken for a compound do not reach, and a curve that does not come down
again. A half effect outside the tested doses is marked, not told. Wells of one cell line and time are one series, whatever plates
they lie on: each plate is measured from its own DMSO wells.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base import cli
from brightpaint.profiles import dose_layout
from brightpaint.profiles.dose_series import SERIES, Series, completed, measured, prepare_series, series_of
from brightpaint.profiles.half_interval import half_interval
from brightpaint.profiles.hill import Fit, fit, hill, interval_beyond, rough_fit
from brightpaint.profiles.projection import FEWEST_DMSO, Controls, Scores, centre, null_effects, score
from brightpaint.profiles.well_numbers import read_wells
from brightpaint.study.spaces import SPACES

TOP_DOSES, TOP_WELLS = 2, 4  # at least, in the direction; at most the upper half of the doses, but three wells
FALL = 3.0  # standard errors by which a curve must come down to be no curve of rising doses
FALL_SHARE = 0.25  # and this share of its height
RISE = 3.84  # of chi-square: 5% where the dose does not matter
COLUMNS = ["Metadata_perturbation", *SERIES, "status", "reason", "half_um", "half_low_um", "half_high_um", "slope", "top",
           "effect", "null_p", "direction", "explained", "wells", "doses", "dose_min_um", "dose_max_um", "plates", "dmso_wells",
           "cells_share", "layout"]  # fmt: skip
POINTS = ["Metadata_perturbation", *SERIES, "Metadata_Plate", "Metadata_Well", "dose_um", "score", "noise", "weight"]
LITTLE = ("inactive", "weak")  # statuses of compounds whose top doses do little
TOLD = ("fitted", "toxic")  # statuses whose half effect is told
log = logging.getLogger(__name__)


def top_wells(dose: np.ndarray) -> np.ndarray:
    """Return 1 for the wells of the top doses, which make the direction, and 0 for others.

    From the highest dose down: two doses and four wells at least, but no more than the upper half of the doses unless there
    are less than three wells in it.
    """
    doses = np.unique(dose)[::-1]
    for number in range(min(TOP_DOSES, len(doses)), len(doses) + 1):
        chosen = dose >= doses[number - 1]
        if chosen.sum() >= TOP_WELLS or (number >= np.ceil(len(doses) / 2) and chosen.sum() >= 3):
            break
    return chosen.astype(np.float64)


def comes_down(dose: np.ndarray, scores: Scores) -> bool:
    """Return whether the highest doses lie below those before them, by more than noise: FALL errors and FALL_SHARE of the height.

    Compared are the means of all blocks of doses that end below a dose with the mean of all from there on. The noise is
    DMSO's, or the replicates' where that is larger.
    """
    doses, member = np.unique(dose, return_inverse=True)
    means = np.bincount(member, scores.wells) / np.bincount(member)
    spare = len(dose) - len(doses)
    replicate = ((scores.wells - means[member]) ** 2).sum() / spare if spare else 0.0
    variances = np.maximum(scores.noise**2, replicate)
    for cut in range(1, len(doses)):
        above = member >= cut
        for start in range(cut):
            block = (member >= start) & ~above
            fall = scores.wells[block].mean() - scores.wells[above].mean()
            error = np.sqrt(variances[block].sum() / block.sum() ** 2 + variances[above].sum() / above.sum() ** 2)
            if fall > FALL * error and fall > FALL_SHARE * means.max():
                return True
    return False


def only_lower_act(centred: np.ndarray, plate: np.ndarray, dose: np.ndarray, controls: Controls, least: float) -> bool:
    """Return whether a compound whose top doses do nothing acts at lower ones: along the direction of all of its wells.

    Its strongest dose must reach `least`, and all wells together half of it, which DMSO wells do not.
    """
    scores = score(centred, plate, dose, np.ones(len(dose)), controls)
    strongest = pd.Series(scores.wells).groupby(dose).mean().max()
    return bool(scores.effect >= least / 2 and strongest >= least and comes_down(dose, scores))


def judge(found: dict, *, settings: dict) -> tuple[str, str]:
    """Return the status of a compound whose wells were scored but whose curve is not fitted, and why; "", "" where it is to be.

    Parameters
    ----------
    found : effect, null_p, falls (see `comes_down`)
    """
    if np.isnan(found["null_p"]):
        return "too_few_dmso", "too few DMSO wells to tell what DMSO wells taken for a compound would give"
    reached = f"effect {found['effect']:.2g} s.d. of DMSO"
    if found["null_p"] > settings["alpha"]:
        sham = f"DMSO wells taken for a compound reach it with probability {found['null_p']:.2g}"
        return "inactive", f"{reached}: {sham}, expected {settings['alpha']:g} or less"
    if found["effect"] < settings["min_effect"]:
        return "weak", f"{reached}, expected {settings['min_effect']:g} or more to fit a curve"
    if found["falls"]:
        return "non_monotone", "the highest doses lie below those before them: toxic, or another phenotype sets in"
    return "", ""


def judge_curve(curve: Fit, dose: np.ndarray, cells_share: float, *, settings: dict) -> tuple[str, str]:
    """Return the status of a fitted curve, by where its half effect lies and by the cells that are left, and why."""
    if curve.half > dose.max():
        return (
            "censored_above",
            f"the half effect lies above the highest dose, {dose.max():.3g} uM: the curve is still rising",
        )
    if curve.half < dose.min() or curve.rise < RISE:
        acts = "all doses act alike, or their wells differ from DMSO's by their places"
        return "censored_below", f"no rise from the lowest dose on, {dose.min():.3g} uM: {acts}"
    if cells_share < settings["cells_share"]:
        fall = f"cells fall to {100 * cells_share:.0f}% of DMSO's"
        return "toxic", f"{fall}: the curve may be that of dying cells"
    return "fitted", "half of the effect is reached within the tested doses"


def fit_compound(
    series: Series, own: np.ndarray, null: Callable, *, settings: dict, seed: int
) -> tuple[dict, pd.DataFrame]:
    """Score and fit one compound.

    Parameters
    ----------
    own : (n,) mask of its usable wells in the series
    null : returns the effects of sham compounds for a number of wells on each plate

    Returns
    -------
    what is found of it, as in COLUMNS, and its wells, as in POINTS
    """
    wells, plate, dose = series.wells[own], series.plate[own], series.wells.loc[own, "Metadata_dose"].to_numpy()
    found = {"wells": len(dose), "doses": len(np.unique(dose)), "dose_min_um": dose.min(), "dose_max_um": dose.max(),
             "plates": len(np.unique(plate)), "dmso_wells": int((series.control & np.isin(series.plate, plate)).sum())}  # fmt: skip
    if found["doses"] < settings["min_doses"]:
        reason = f"{found['doses']} doses, expected {settings['min_doses']} or more"
        return found | {"status": "too_few_doses", "reason": reason}, pd.DataFrame()
    weights, (centred, controls) = (
        top_wells(dose),
        centre(series.points, series.plate, series.control, own, series.condition),
    )
    scores = score(centred, plate, dose, weights, controls)
    shams = null(np.bincount(plate[weights > 0], minlength=len(controls.shared)))
    share = pd.Series(series.cells[own]).groupby(dose).mean().min()
    found |= {"effect": scores.effect, "direction": scores.quality, "falls": comes_down(dose, scores), "cells_share": share,
              "null_p": (1 + (shams >= scores.effect).sum()) / (1 + len(shams)) if len(shams) else np.nan}  # fmt: skip
    found["status"], found["reason"] = judge(found, settings=settings)
    if found["status"] in LITTLE and only_lower_act(centred, plate, dose, controls, settings["min_effect"]):
        found |= {"status": "non_monotone", "reason": "lower doses act, the highest ones do not"}
    if not found["status"]:
        weights, scores, curve = fit_twice(centred, plate, dose, controls, scores, slopes=settings["slope"])
        found["status"], found["reason"] = judge_curve(curve, dose, share, settings=settings)
        found |= {"top": curve.top, "slope": curve.slope, "explained": curve.explained}
        if found["status"] in TOLD:
            low, high = half_interval(centred, plate, dose, weights, controls, scores, slopes=settings["slope"],
                                      draws=settings["bootstrap"], seed=seed)  # fmt: skip
            found |= {"half_um": curve.half, "half_low_um": low, "half_high_um": high}
            found["reason"] += interval_beyond(low, high, dose)
    keys = wells[["Metadata_perturbation", *SERIES, "Metadata_Plate", "Metadata_Well"]]
    return found, keys.assign(dose_um=dose, score=scores.wells, noise=scores.noise, weight=weights)


def fit_twice(
    centred: np.ndarray,
    plate: np.ndarray,
    dose: np.ndarray,
    controls: Controls,
    scores: Scores,
    *,
    slopes: Sequence[float],
) -> tuple[np.ndarray, Scores, Fit]:
    """Fit a curve roughly, score the wells anew, each weighing what the curve says of its dose, and fit again.

    The top doses alone waste the wells of a compound that acts at low doses, and hold weak ones where it acts at the highest
    only. Returns the weights, the scores and the curve.
    """
    half, slope = rough_fit(dose, scores.wells, scores.noise, slopes=slopes)
    weights = hill(dose, 1.0, half, slope)
    scores = score(centred, plate, dose, weights, controls)
    return weights, scores, fit(dose, scores.wells, scores.noise, slopes=slopes)


def curves(wells: pd.DataFrame, numbers: Sequence[str], settings: dict) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fit the curves of all compounds.

    Parameters
    ----------
    wells : one row a well: Metadata_* and `numbers`, normalised
    settings : min_doses, min_effect (s.d.), alpha, draws, slope (limits), bootstrap (draws), cells_share

    Returns
    -------
    table : one row a compound, cell line and time: COLUMNS; sorted by effect, the largest first
    points : one row a scored well: POINTS
    """
    chosen, values = measured(completed(wells), numbers)
    places = dose_layout.in_words(dose_layout.dose_places(chosen))
    rows, points = [], []
    for key, mask in series_of(chosen):
        treated = chosen[mask & (chosen["Metadata_control_type"] != "negcon")]
        series = prepare_series(chosen[mask].reset_index(drop=True), values[mask])
        shams = cache_nulls(series, settings)
        for name, every in treated.groupby("Metadata_perturbation"):
            own = series.usable & (series.wells["Metadata_perturbation"] == name).to_numpy()
            seed = crc32(f"{name}/{key[0]}/{key[1]}".encode())
            found, scored = (
                fit_compound(series, own, shams, settings=settings, seed=seed)
                if own.any()
                else (unscored(every), pd.DataFrame())
            )
            said = "; ".join(places[plate] for plate in sorted(set(every["Metadata_Plate"])) if plate in places)
            rows.append({"Metadata_perturbation": name, **dict(zip(SERIES, key)), **found, "layout": said})
            points.append(scored)
    table = pd.DataFrame(rows).reindex(columns=COLUMNS)
    counts = ["wells", "doses", "plates", "dmso_wells"]
    table[counts] = table[counts].fillna(0).astype(int)
    table = table.sort_values(["effect", *COLUMNS[:3]], ascending=[False, True, True, True], ignore_index=True)
    scored = [part for part in points if len(part)]
    return table, pd.concat(scored, ignore_index=True)[POINTS] if scored else pd.DataFrame(columns=POINTS)


def unscored(wells: pd.DataFrame) -> dict:
    """Say why a compound has no scored well."""
    if not (wells["Metadata_dose"] > 0).any():
        return {"status": "no_dose", "reason": "no dose is known of any of its wells"}
    plates = ", ".join(sorted(set(wells["Metadata_Plate"])))
    return {"status": "too_few_dmso", "reason": f"fewer than {FEWEST_DMSO} DMSO wells with cells on plate {plates}"}


def cache_nulls(series: Series, settings: dict) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from the wells of a direction on each plate to the effects of sham compounds, drawn once a design."""
    drawn: dict[bytes, np.ndarray] = {}

    def effects(design: np.ndarray) -> np.ndarray:
        key = design.tobytes()
        if key not in drawn:
            drawn[key] = null_effects(
                series.points,
                series.plate,
                series.control,
                design,
                draws=settings["draws"],
                seed=crc32(key),
                condition=series.condition,
            )
        return drawn[key]

    return effects


def main(argv: Sequence[str] | None = None) -> None:
    """Fit a dose-response curve to every compound of an arm in a space."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--space", choices=list(SPACES), required=True)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: see curves")
    parser.add_argument("--wells", type=Path, required=True, help="profiles of wells in that space")
    parser.add_argument("--table", type=Path, required=True, help="one row a compound, to write")
    parser.add_argument("--points", type=Path, required=True, help="one row a well, to write")
    args = parser.parse_args(argv)
    wells, numbers = read_wells(args.wells, SPACES[args.space])
    table, points = curves(wells, numbers, args.settings)
    for status, count in table["status"].value_counts().items():
        log.info("%s: %d", status, count)
    store.write_table(store.as_text(table), args.table)
    store.write_table(store.as_text(points), args.points)


if __name__ == "__main__":
    cli.run(main)
