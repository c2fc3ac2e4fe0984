"""Show the fields of an arm with the noisiest background (the paper's Figure 11), and whether noise goes with the label.

The emptiest part of each real field is drawn in place of the whole, in the range of the real backgrounds; below all of
them stands whether the noise goes with what was in the wells.
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base import resampling
from brightpaint.base.cli import run
from brightpaint.report.figures.composite import empty_part
from brightpaint.report.figures.failures import draw_failures, read_arguments, read_views
from brightpaint.report.figures.panels import close_up
from brightpaint.report.style import STYLE, save
from brightpaint.scores.images.background import noise_ratio

METRIC = "background_noise"
SHUFFLES = 1000


def emptiest(view: dict) -> dict:
    """Return a view of the emptiest part of its real field, with the noise of each painted stain as its notes."""
    real = view["stains"]["real"]
    painted = next(image for name, image in view["stains"].items() if name != "real")
    notes = [f"noise {value:.1f}" for value in noise_ratio(real, painted)]
    return {**close_up(view, empty_part(real)), "notes": notes}


def noise_by_label(scores: pd.DataFrame) -> dict:
    """Measure how far the noise of the background goes with what was in the wells, as the paper saw it do (B.3).

    Of each well the mean logarithm of the noise is taken, less its plate's mean; chance shuffles wells within plates.
    Wells are grouped by perturbation, or by target where not two perturbations have two wells each, as on one plate.

    Parameters
    ----------
    scores : one row a field and channel, with `Metadata_perturbation`, `Metadata_target` and `background_noise`

    Returns
    -------
    `share` of the variance between groups (0 to 1), `chance`, its mean when shuffled, and `bound`, the shuffled 95th
    percentile: NaN where there are not two groups or nothing varies; `wells` and `groups` compared, `label` they share
    """
    found = share_between(scores, "perturbation")
    return found if found["groups"] > 1 else share_between(scores, "target")


def share_between(scores: pd.DataFrame, label: str) -> dict:
    """Return what `noise_by_label` does, of groups by one label; a group is two wells at least."""
    keys = ["Metadata_Plate", "Metadata_Well", group := f"Metadata_{label}"]
    known = scores[(scores["background_noise"] > 0) & (scores[group] != "")]
    wells = np.log(known.set_index(keys)["background_noise"]).groupby(keys).mean().rename("noise").reset_index()
    wells = wells[wells.groupby(group)["noise"].transform("size") > 1]
    values = (wells["noise"] - wells.groupby("Metadata_Plate")["noise"].transform("mean")).to_numpy()
    labels, plates = (pd.factorize(wells[name])[0] for name in (group, "Metadata_Plate"))
    found = {"share": np.nan, "chance": np.nan, "bound": np.nan, "wells": len(wells), "groups": len(set(labels))}
    found["label"] = label
    if found["groups"] < 2 or np.ptp(values) < 1e-9:
        return found
    rng = resampling.seeded("noise by label", len(wells))
    shuffled = [variance_between(values, within_plates(labels, plates, rng)) for _ in range(SHUFFLES)]
    share, bound = variance_between(values, labels), np.quantile(shuffled, 0.95)
    return found | {"share": share, "chance": float(np.mean(shuffled)), "bound": float(bound)}


def variance_between(values: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of the variance of `values` (n,) that lies between the groups of `labels` (n,), from 0 to 1."""
    centred, sizes = values - values.mean(), np.bincount(labels)
    sums = np.bincount(labels, weights=centred)
    return float((sums[sizes > 0] ** 2 / sizes[sizes > 0]).sum() / (centred**2).sum())


def within_plates(labels: np.ndarray, plates: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shuffle labels (n,) among the wells of each plate (n,)."""
    shuffled = labels.copy()
    for plate in np.unique(plates):
        shuffled[plates == plate] = rng.permutation(labels[plates == plate])
    return shuffled


def label_words(found: dict) -> str:
    """Say in a sentence what `noise_by_label` found."""
    if np.isnan(found["share"]):
        few = "Fewer than two labels have two wells each" if found["groups"] < 2 else "The noise never varies"
        return f"{few}: whether noise goes with the label cannot be said."
    verdict = "more than chance" if found["share"] > found["bound"] else "no more than chance"
    return (
        f"Of the noise's variance over {found['wells']} wells {found['share']:.0%} lies between their {found['groups']} "
        f"{found['label']}s; shuffled within plates {found['chance']:.0%} (95th percentile {found['bound']:.0%}): {verdict}."
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Draw the noisiest backgrounds that an arm paints."""
    args = read_arguments(main.__doc__, argv)
    settings, scores = args.settings, store.read_table(args.scores)
    views = [emptiest(view) for view in read_views(args, scores, METRIC)]
    footer = label_words(noise_by_label(scores)) if views else ""
    with plt.rc_context(STYLE):
        figure = draw_failures(views, channels=settings["channels"], dpi=settings["dpi"], footer=footer)
        save(figure, args.figure, settings["dpi"])


if __name__ == "__main__":
    run(main)
