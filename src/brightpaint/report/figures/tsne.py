"""Lay real and painted wells out in two dimensions (paper, Figure 12), with numbers that a picture cannot give.

t-SNE keeps neighbours and nothing else: distances between islands, their sizes and the axes mean nothing. How well
painted wells can be told from real ones is therefore said by two numbers taken in the profiles themselves: the share of
a well's nearest neighbours that are of its own kind (one half where the kinds mix), and the cross-validated AUC of a
classifier (one half where it can only guess). Their chance level lets real and painted profiles of a well change
places at random.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import TSNE
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.base.resampling import seeded
from brightpaint.base.seeds import seed_of
from brightpaint.report.style import STYLE, as_text, save

NEIGHBOURS = 10
COMPONENTS = 50
SHUFFLES = 50
FOLDS = 5
KINDS = {"real": "#0072b2", "painted": "#d55e00"}  # Okabe and Ito; the plate is the marker
MARKERS = "o^sDvP*X"
log = logging.getLogger(__name__)


def paired_wells(real: pd.DataFrame, painted: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """Put the wells that both tables hold below one another.

    Returns
    -------
    wells : 2 n rows, real ones first, in one order: keys and `kind`
    values : (2 n, F) float64, numbers that some well lacks left out (and counted in the log)
    """
    keys = (
        real[store.WELL_KEYS]
        .merge(painted[store.WELL_KEYS], on=store.WELL_KEYS, validate="one_to_one")
        .sort_values(store.WELL_KEYS, ignore_index=True)
    )
    names = [name for name in real.columns if name in painted.columns and not name.startswith("Metadata_")]
    sides = [keys.merge(side[[*store.WELL_KEYS, *names]], on=store.WELL_KEYS, how="left") for side in (real, painted)]
    both = pd.concat(sides, ignore_index=True)
    empty = both[names].isna().all(axis=1).to_numpy().reshape(2, -1).any(axis=0)  # no cells in either
    both = both[~np.tile(empty, 2)].reset_index(drop=True)
    whole = [name for name in names if both[name].notna().all()]
    log.info("%d wells, %d without cells left out; %d numbers, %d with gaps left out",
             len(both) // 2, empty.sum(), len(whole), len(names) - len(whole))  # fmt: skip
    both["kind"] = np.repeat(["real", "painted"], len(both) // 2)
    return both[[*store.WELL_KEYS, "kind"]], both[whole].to_numpy(np.float64)


def components(values: np.ndarray) -> np.ndarray:
    """Return the leading principal components, 50 at most: what noise lies beyond would drown neighbours."""
    count = min(COMPONENTS, *values.shape)
    return PCA(count, svd_solver="full").fit_transform(values)


def own_kind(nearest: np.ndarray, kind: np.ndarray) -> float:
    """Return the mean share of each row's neighbours that are of its own kind: (n, k) row numbers, (n,) -> [0, 1]."""
    return float((kind[nearest] == kind[:, None]).mean())


def told_apart(values: np.ndarray, kind: np.ndarray, wells: np.ndarray) -> float:
    """Return the AUC with which a logistic regression tells the kinds apart in wells that it was not fitted on.

    Parameters
    ----------
    values : (n, F); their squares are given to it too, so that a wider or narrower cloud is seen
    kind : (n,) bool
    wells : (n,) names; real and painted profiles of one well stay together
    """
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=200))
    folds = GroupKFold(min(FOLDS, len(set(wells))))
    scores = cross_val_predict(
        model, np.hstack([values, values**2]), kind, groups=wells, cv=folds, method="decision_function"
    )
    return float(roc_auc_score(kind, scores))  # fmt: skip


def separation(wells: pd.DataFrame, values: np.ndarray, seed: str) -> dict[str, float]:
    """Say how well painted wells can be told from real ones, and what chance gives.

    Parameters
    ----------
    wells, values : from `paired_wells`, values maybe reduced

    Returns
    -------
    {"own_kind", "own_kind_null", "own_kind_bound", "auc", "auc_null", "auc_bound", "n"}: the bound is what chance
    exceeds one time in twenty; NaN for under three wells
    """
    names, kind = wells[store.WELL_KEYS].agg("/".join, axis=1).to_numpy(), wells["kind"].to_numpy() == "real"
    n = len(wells) // 2
    blank = dict.fromkeys(["own_kind", "own_kind_null", "own_kind_bound", "auc", "auc_null", "auc_bound"], np.nan)
    if n < 3:
        return {**blank, "n": n}
    count = min(NEIGHBOURS, len(values) - 1)
    nearest = NearestNeighbors(n_neighbors=count).fit(values).kneighbors(return_distance=False)
    rng, shuffled = seeded(seed, "tsne"), []
    for _ in range(SHUFFLES):
        swap = np.tile(rng.random(n) < 0.5, 2)
        other = kind ^ swap
        shuffled.append((own_kind(nearest, other), told_apart(values, other, names)))
    null = np.array(shuffled)
    return {
        "own_kind": own_kind(nearest, kind), "own_kind_null": null[:, 0].mean(),
        "own_kind_bound": np.quantile(null[:, 0], 0.95), "auc": told_apart(values, kind, names),
        "auc_null": null[:, 1].mean(), "auc_bound": np.quantile(null[:, 1], 0.95), "n": n,
    }  # fmt: skip


def layout(values: np.ndarray, seed: str) -> np.ndarray:
    """Lay rows out by t-SNE, begun from their first two principal components: (n, F) -> (n, 2)."""
    perplexity = min(30.0, max((len(values) - 1) / 3, 1.0))
    # exact below a thousand rows: the same picture every time, whatever the threads
    method = "exact" if len(values) <= 1000 else "barnes_hut"
    return TSNE(perplexity=perplexity, init="pca", method=method, random_state=seed_of(seed)).fit_transform(values)


def tsne_figure(panels: dict[str, tuple[pd.DataFrame, np.ndarray]], dpi: int) -> plt.Figure:
    """Draw one panel an arm.

    Parameters
    ----------
    panels : {arm: (wells, values)} from `paired_wells`
    """
    across = min(3, len(panels))
    down = -(-len(panels) // across)
    figure, grid = plt.subplots(down, across, figsize=(4.1 * across, 4.5 * down), layout="constrained", squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    for axes, (arm, (wells, values)) in zip(grid.flat, panels.items()):
        axes.set(xticks=[], yticks=[])
        if len(wells) < 6:
            axes.set_title(f"{as_text(arm)}: too few wells", fontsize=10)
            continue
        reduced = components(values)
        said = separation(wells, reduced, arm)
        place = layout(reduced, arm)
        for plate, marker in zip(dict.fromkeys(wells["Metadata_Plate"]), MARKERS * len(wells)):
            for kind, colour in KINDS.items():
                chosen = ((wells["Metadata_Plate"] == plate) & (wells["kind"] == kind)).to_numpy()
                face = colour if kind == "real" else "none"
                axes.scatter(*place[chosen].T, s=16, marker=marker, facecolors=face, edgecolors=colour,
                             linewidths=0.8, label=f"{as_text(plate, 20)}, {kind}")  # fmt: skip
        lines = [f"{as_text(arm)}: {said['n']} wells"]
        for key, name in (("own_kind", "own kind"), ("auc", "AUC")):
            null, bound = said[f"{key}_null"], said[f"{key}_bound"]
            lines.append(f"{name} {said[key]:.2f} (chance {null:.2f}, to {bound:.2f})")
        words = "\n".join(lines)
        axes.set_title(words, fontsize=9)
        log.info("%s", words.replace("\n", "; "))
        axes.legend(fontsize=7, frameon=False, loc="best")
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    """Draw real and painted wells of every arm in two dimensions."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: dpi")
    parser.add_argument("--real", type=Path, required=True, help="real profiles of wells")
    parser.add_argument("--arms", nargs="+", required=True)
    parser.add_argument("--profiles", type=Path, nargs="+", required=True, help="profiles of wells, one table an arm")
    parser.add_argument("--figure", type=Path, required=True)
    args = parser.parse_args(argv)
    store.one_engine([args.real, *args.profiles])
    real = store.read_table(args.real)
    panels = {arm: paired_wells(real, store.read_table(path)) for arm, path in zip(args.arms, args.profiles)}
    with plt.rc_context(STYLE):
        save(tsne_figure(panels, args.settings["dpi"]), args.figure, args.settings["dpi"])


if __name__ == "__main__":
    run(main)
