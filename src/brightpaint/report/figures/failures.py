"""Show where an arm fails: the fields of lowest PCC, and those of noisiest background (the paper's Figure 11)."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base.intensity import standardise
from brightpaint.report.figures.composite import CLOSE_UP_PX, empty_part
from brightpaint.report.figures.montage import cut, draw_fields, heading_of, middle_input, standardised_stains
from brightpaint.scores import measures
from brightpaint.scores.columns import BY_KEY
from brightpaint.scores.images.background import noise_ratio

SHUFFLES = 1000


def field_means(scores: pd.DataFrame, metric: str) -> pd.Series:
    """Return a metric's mean over the channels of each field that has one, by the field's keys."""
    return scores.groupby(store.FIELD_KEYS)[metric].mean().dropna()


def worst_fields(scores: pd.DataFrame, count: int, metric: str = "pcc") -> pd.DataFrame:
    """Choose the fields on which an arm is worst by a metric, mean over the channels that can be compared.

    Parameters
    ----------
    scores : one row a field and channel, of any number of plates (docs/contracts.md)
    count : fields at most
    metric : a column of `scores`; its direction is that of the tables (`columns.BY_KEY`)

    Returns
    -------
    one row a field, the worst first: keys, the metric, `rank` from 1 and `fields`, of how many
    """
    means = field_means(scores, metric).sort_values(kind="stable", ascending=BY_KEY[metric].better > 0)
    worst = means.head(count).reset_index()
    return worst.assign(rank=np.arange(1, len(worst) + 1), fields=len(means))


def failures_montage(
    worst: pd.DataFrame,
    plates: dict[str, dict],
    scores: pd.DataFrame,
    *,
    metric: str,
    channels: dict,
    pixel_size_um: dict[str, float],
    dpi: int,
) -> plt.Figure:
    """Draw the fields on which an arm fails: brightfield and real stains above what was painted.

    Where the metric is the background's noise, the emptiest part of each real field is drawn in place of the whole, in the
    range of the real backgrounds, and above all of them stands whether the noise goes with what was in the wells.

    Parameters
    ----------
    worst : from `worst_fields`, by the same metric
    plates : {plate: {"real": (stack, field table), arm: (stack, its rows)}}
    scores : of all fields, from which `worst` was chosen
    pixel_size_um : of a raw pixel, by plate
    """
    grey, stains, headings, widths_um, notes = [], [], [], [], []
    for _, field in worst.iterrows():
        sources = plates[field["Metadata_Plate"]]
        real, fields = sources["real"]
        row = fields.iloc[store.place_of(field, fields)]
        brightfield = standardise(real.images[row.name][real.channel_indices([middle_input(channels)])[0]])
        images = {name: standardised_stains(*source, field, channels["target"]) for name, source in sources.items()}
        width_um = pixel_size_um[field["Metadata_Plate"]] * row["width_px"]
        if metric == "background_noise":
            painted = next(image for name, image in images.items() if name != "real")
            notes.append([f"noise {value:.1f}" for value in noise_ratio(images["real"], painted)])
            corner = empty_part(images["real"])
            width_um *= min(1, CLOSE_UP_PX / brightfield.shape[1])
            brightfield, images = cut(brightfield, corner), {name: cut(image, corner) for name, image in images.items()}
        grey.append(brightfield)
        stains.append(images)
        widths_um.append(width_um)
        rank = f"{field['rank']} of {field['fields']}: mean {BY_KEY[metric].title} {field[metric]:.2f}"
        headings.append(f"{rank}   {field['Metadata_Plate']} {heading_of(row)}")
    if not grey:
        figure = plt.figure(figsize=(6, 1.5))
        figure.text(0.5, 0.5, "no field has a stain to compare with", ha="center", va="center")
        return figure
    said = {"notes": notes, "footer": label_words(noise_by_label(scores))} if metric == "background_noise" else {}
    return draw_fields(grey, stains, headings, widths_um, channels=channels, dpi=dpi, **said)


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
    rng = measures.seeded("noise by label", len(wells))
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
