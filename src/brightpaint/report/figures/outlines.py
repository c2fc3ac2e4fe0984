"""Draw what CellProfiler took for nuclei and cells over the stains, real and painted side by side.

Whoever trusts a count or a feature should have looked at the outlines once. The fields are those of the montage,
chosen by rule; large ones show their middle, pixel for pixel.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from skimage.segmentation import find_boundaries

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.report.figures.panels import display_range
from brightpaint.report.figures.shown_fields import heading_of, shown_fields, standardised_stains
from brightpaint.report.style import STYLE, as_text, letters_in, save
from brightpaint.scores.cells.object_overlap import overlap
from brightpaint.study.object_stains import cell_stains, nuclear_stain

CROP_PX = 320
PANEL_IN = 3.2
COLOURS = {"Nuclei": "#e69f00", "Cells": "#56b4e9"}  # Okabe and Ito


def middle(image: np.ndarray, size_px: int = CROP_PX) -> np.ndarray:
    """Cut the middle out of an image: (..., H, W) -> (..., h, w) of at most `size_px` a side."""
    top, left = (max(0, (side - size_px) // 2) for side in image.shape[-2:])
    return image[..., top : top + size_px, left : left + size_px]


def outlined(image: np.ndarray, limits: tuple[float, float], labels: dict[str, np.ndarray]) -> np.ndarray:
    """Render a stain in grey with the outlines of objects, which lie within the objects.

    Parameters
    ----------
    image : (H, W) z-scores
    limits : what is shown as black and as white
    labels : {Nuclei or Cells: (H, W) labels}

    Returns
    -------
    (H, W, 3) float in 0 to 1
    """
    level = np.clip((image - limits[0]) / (limits[1] - limits[0]), 0, 1)
    painted = np.repeat(level[..., None], 3, axis=2)
    for name, objects in labels.items():
        painted[find_boundaries(objects, mode="inner")] = to_rgb(COLOURS[name])
    return painted


def panel_note(labels: dict[str, np.ndarray], real: dict[str, np.ndarray] | None) -> str:
    """Say how many nuclei a whole field holds, and how well they overlap the real ones."""
    count = len(np.unique(labels["Nuclei"][labels["Nuclei"] > 0]))
    words = f"{count} nuclei" if count != 1 else "1 nucleus"
    return words + ("" if real is None else f", F1 {overlap(real['Nuclei'], labels['Nuclei'])['f1']:.2f}")


def stains_shown(targets: Sequence[str], settings: dict | None = None) -> list[str]:
    """Return the stains to draw over: that of the nuclei, and the first that cells are grown on.

    Parameters
    ----------
    settings : may name them, as `nuclear_stain` and `cell_stains`
    """
    nuclear = nuclear_stain(targets, settings or {}) or targets[0]
    return list(dict.fromkeys([nuclear, *cell_stains(targets, settings or {})[:1]]))


def outline_figure(fields: Sequence[dict], stains: Sequence[str], dpi: int) -> plt.Figure:
    """Lay fields out: a column a source, per field a row a stain, nuclei over the first, nuclei and cells over the next.

    Parameters
    ----------
    fields : one dict a field: `heading`, and `sources`, {name: {"images": (C, H, W) of `stains`, "labels": {objects:
        (H, W)}}}; what is called real comes first and is what overlap is measured against
    """
    names = list(fields[0]["sources"])
    rows = len(fields) * len(stains)
    size = (PANEL_IN * len(names), (PANEL_IN + 0.3) * rows)
    figure, axes = plt.subplots(rows, len(names), figsize=size, layout="constrained", squeeze=False, dpi=dpi)
    for place, field in enumerate(fields):
        sources = field["sources"]
        real = sources["real"]["labels"] if "real" in sources else None
        for number, stain in enumerate(stains):
            limits = display_range([middle(sources[names[0]]["images"][number])])
            for column, (name, source) in enumerate(sources.items()):
                one = axes[place * len(stains) + number, column]
                objects = source["labels"] if number else {"Nuclei": source["labels"]["Nuclei"]}
                chosen = {key: middle(labels) for key, labels in reversed(objects.items())}
                one.imshow(outlined(middle(source["images"][number]), limits, chosen), interpolation="nearest")
                one.set(xticks=[], yticks=[])
                one.set_xlabel(panel_note(source["labels"], None if name == "real" else real) if not number else "")
                heading = as_text(field["heading"], letters_in(size[0], 10))
                head = f"{heading}\n" if not number and not column else ""
                one.set_title(f"{head}{as_text(name, 24)}, {as_text(stain, 14)}", fontsize=10, loc="left")
    return figure


def plate_outlines(
    stacks: dict[str, tuple[store.Stack, pd.DataFrame]], masks: dict[str, Path], fields: pd.DataFrame, *,
    settings: dict,
) -> plt.Figure:  # fmt: skip
    """Draw a plate's outlines.

    Parameters
    ----------
    stacks : {source: (stack, its rows)}, `real` first
    masks : {source: file of its label images}
    fields : the plate's field table
    settings : `channels`, `fields` (how many), `dpi`, and which stains objects were found in, where the study names them
    """
    painted = {name: rows for name, (_, rows) in stacks.items() if name != "real"}
    shown = shown_fields(fields, painted, settings["fields"], ", ".join(masks))
    stains = stains_shown(settings["channels"]["target"], settings)
    drawn = [{"heading": heading_of(field), "sources": {}} for _, field in shown.iterrows()]
    for name, (stack, rows) in stacks.items():
        with store.open_masks(masks[name]) as labels:
            for (_, field), one in zip(shown.iterrows(), drawn):
                place = store.place_of(field, labels.fields, str(masks[name]))
                images = standardised_stains(stack, rows, field, stains)
                found = {objects: labels.read(place, objects) for objects in COLOURS}
                one["sources"][name] = {"images": images, "labels": found}
    return outline_figure(drawn, stains, settings["dpi"])


def main(argv: Sequence[str] | None = None) -> None:
    """Draw outlines over the stains of some fields of a plate."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: channels, fields, dpi")
    parser.add_argument("--fields", type=Path, required=True)
    parser.add_argument("--arms", nargs="*", default=[])
    for name in ("real", "real-masks"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("predicted", "masks"):
        parser.add_argument(f"--{name}", type=Path, nargs="*", default=[], help="one an arm")
    parser.add_argument("--figure", type=Path, required=True)
    args = parser.parse_args(argv)
    if not len(args.arms) == len(args.predicted) == len(args.masks):
        raise ValueError("outlines: --arms, --predicted and --masks must be as many")
    store.one_engine([args.real_masks, *args.masks])
    fields, settings = store.read_fields(args.fields), args.settings
    stacks = {"real": (store.open_stack(args.real).select(fields), fields)}
    for arm, path in zip(args.arms, args.predicted):
        stacks[arm] = store.open_gathered(path)
    masks = dict(zip(stacks, [args.real_masks, *args.masks]))
    with plt.rc_context(STYLE):
        figure = plate_outlines(stacks, masks, fields, settings=settings)
        save(figure, args.figure, settings["dpi"])


if __name__ == "__main__":
    run(main)
