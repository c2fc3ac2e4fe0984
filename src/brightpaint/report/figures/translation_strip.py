"""Draw single cells as every class: source, reconstruction and each dose, what that changes, and real cells of those classes.

Three rows a cell: the translated images; the mean absolute difference of their stains (of the reconstruction from the source,
of each class from the reconstruction: what painting loses by itself is no effect); and below each class a real cell of
it from another well of the plate. Cells and classes are chosen by rule: of each shown field the nucleus nearest to its middle.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.ndimage import center_of_mass

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.models.conditions.labels import TWIN
from brightpaint.report.figures.composite import merged_stains, part_means
from brightpaint.report.figures.panels import display_range, lay_out, scale_bar_um
from brightpaint.report.figures.shown_fields import choose_fields, heading_of, standardised_stains
from brightpaint.report.style import STYLE, save
from brightpaint.scores.translation.class_distance import RECONSTRUCTION
from brightpaint.scores.translation.translated_classes import SHOWN, classes_of, shown_classes, source_class, with_class
from brightpaint.scores.translation.well_shift import CLASS

CELL_UM, LEAST_PX = 70.0, 24
CLASSES = 8  # columns beside source and reconstruction
OBJECTS = "Nuclei"


def shown_targets(targets: Sequence[str], known: pd.DataFrame) -> list[str]:
    """Choose the classes to show: the doses of the compound that has most of them, lowest first; without doses the first classes.

    Parameters
    ----------
    targets : in the order of the translation
    known : from `classes_of`
    """
    about = known[known[CLASS].isin(list(targets)) & (known[CLASS] != TWIN)]
    dosed = about[about["Metadata_dose"].notna() & (about["Metadata_perturbation"] != "")]
    counts = dosed.groupby("Metadata_perturbation", sort=True).size()
    if len(counts) and counts.max() > 1:
        own = dosed[dosed["Metadata_perturbation"] == counts.idxmax()].sort_values("Metadata_dose")[CLASS].tolist()
        places = np.unique(np.linspace(0, len(own) - 1, min(CLASSES, len(own))).round().astype(int))
        return [own[place] for place in places]
    return list(targets)[:CLASSES]


def cell_corner(images: np.ndarray, labels: np.ndarray | None, side: int) -> tuple[int, int]:
    """Return the top left corner of a `side` x `side` part about one cell: (C, H, W) z-scores, (H, W) labels of nuclei.

    The nucleus whose middle is nearest to that of the field; without labels, or nuclei, the part with most stain.
    """
    shape = np.array(images.shape[-2:])
    numbers = np.unique(labels[labels > 0]) if labels is not None else []
    if len(numbers):
        middles = np.array(center_of_mass(labels > 0, labels, numbers))
        middle = middles[np.argmin(((middles - shape / 2) ** 2).sum(axis=1))]
        corner = np.clip(np.round(middle - side / 2), 0, np.maximum(shape - side, 0))
    else:
        means = part_means(images, side)
        corner = np.unravel_index(np.argmax(means), means.shape)
    return int(corner[0]), int(corner[1])


def cut_cell(images: np.ndarray, corner: tuple[int, int], side: int) -> np.ndarray:
    """Cut a part out of images (..., H, W)."""
    return images[..., corner[0] : corner[0] + side, corner[1] : corner[1] + side]


class Strip:
    """What the strips of one plate are drawn from: real and translated stacks with their rows, and nuclei where measured."""

    def __init__(self, real, fields, translated, rows, masks, *, label: str, channels: dict, where: str):
        self.real, self.fields = real, with_class(fields, label)
        self.translated, self.rows, self.masks = translated, shown_classes(rows, where), masks
        self.targets, self.source = channels["target"], source_class(self.rows, label, where)
        shown = [name for name in dict.fromkeys(self.rows[CLASS]) if name != self.source]
        self.classes = shown_targets(shown, classes_of(self.fields))

    def stains(self, field: pd.Series, shown: str = "") -> np.ndarray:
        """Read a field's stains, (C, H, W) z-scores: its own, or as the class `shown`."""
        if shown:
            wanted = pd.Series({**field[store.FIELD_KEYS], SHOWN: shown, "Metadata_draw": 0})
            return standardised_stains(self.translated, self.rows, wanted, self.targets)
        return standardised_stains(self.real, self.fields, field, self.targets)

    def labels(self, field: pd.Series) -> np.ndarray | None:
        """Return a real field's label image of nuclei; None where cells are not measured."""
        if self.masks is None:
            return None
        found = np.flatnonzero((self.masks.fields[store.FIELD_KEYS] == field[store.FIELD_KEYS]).all(axis=1))
        return self.masks.read(found[0], OBJECTS) if len(found) else None

    def real_cell(self, name: str, side: int, number: int) -> np.ndarray | None:
        """Return a real cell of a class, of another field for each strip; None where the plate has no field of it."""
        own = self.fields[self.fields[CLASS] == name].sort_values(store.FIELD_KEYS)
        if not len(own):
            return None
        field = own.iloc[number % len(own)]
        images = self.stains(field)
        return cut_cell(images, cell_corner(images, self.labels(field), side), side)


def strip_panels(
    strip: Strip, field: pd.Series, number: int, um: float, side: int, *, limits: list, most: float
) -> list[list]:
    """Return the three rows of panels of one source field."""
    merged, places = merged_stains(strip.targets), [strip.targets.index(name) for name in merged_stains(strip.targets)]

    def composite(image: np.ndarray | None, **more) -> dict | None:
        if image is None:
            return None
        layers = [(image[place], limits[place], colour) for place, colour in zip(places, merged.values())]
        return {"image": image[0], "layers": layers, **more}

    whole = strip.stains(field)
    corner = cell_corner(whole, strip.labels(field), side)
    source = cut_cell(whole, corner, side)
    shown = {name: cut_cell(strip.stains(field, name), corner, side) for name in [strip.source, *strip.classes]}
    back = shown.pop(strip.source)
    width_um = um * source.shape[-1]
    bar = scale_bar_um(width_um)
    first = composite(source, legend=merged, bar=(bar / width_um, f"{bar:g} µm"))
    images = [first, composite(back), *(composite(image) for image in shown.values())]
    gaps = [np.abs(back - source).mean(axis=0), *(np.abs(image - back).mean(axis=0) for image in shown.values())]
    notes = [f"mean {gap.mean():.2f}" for gap in gaps]
    changed = [
        None,
        *({"image": gap, "limits": (0.0, most), "tint": "white", "note": note} for gap, note in zip(gaps, notes)),
    ]
    real = [composite(strip.real_cell(name, side, number)) for name in strip.classes]
    return [images, changed, [composite(strip.real_cell(strip.source, side, number + 1)), None, *real]]


def strip_figure(strip: Strip, *, count: int, um: float, dpi: int) -> plt.Figure:
    """Draw the strips of `count` source fields; `um` is the width of a prepared pixel."""
    keys = strip.rows.loc[strip.rows[CLASS] == strip.source, store.FIELD_KEYS]
    sources = strip.fields.merge(keys, on=store.FIELD_KEYS).reset_index(drop=True)
    chosen = [sources.iloc[row] for row in choose_fields(sources, count)]
    side = int(np.clip(round(CELL_UM / um), LEAST_PX, min(strip.real.images.shape[-2:])))
    whole = [strip.stains(field) for field in chosen]
    limits = [display_range([image[place] for image in whole]) for place in range(len(strip.targets))]
    shown = [strip.source, *strip.classes]
    gaps = [np.abs(strip.stains(chosen[0], name) - whole[0]).mean(axis=0) for name in shown]
    most = max(float(np.quantile(gaps, 0.99)), 1e-6)
    panels, labels = [], []
    for number, field in enumerate(chosen):
        panels += strip_panels(strip, field, number, um, side, limits=limits, most=most)
        labels += [(heading_of(field), "translated"), ("", "difference"), ("", "real cells")]
    footer = f"Difference: mean over stains; white is {most:.2f} s.d. of a stain."
    return lay_out(panels, ["source", RECONSTRUCTION, *strip.classes], labels, dpi=dpi, footer=footer)


def main(argv: Sequence[str] | None = None) -> None:
    """Draw some cells of a plate as every class of a translation."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument(
        "--settings", type=json.loads, required=True, help="JSON: label, channels, fields, dpi, pixel_size_um"
    )
    for name in ("real", "fields", "translated", "rows"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--masks", type=Path, nargs="*", default=[], help="real label images, where cells are measured")
    parser.add_argument("--figure", type=Path, required=True)
    args = parser.parse_args(argv)
    settings, fields = args.settings, store.read_fields(args.fields)
    stacks = store.open_stack(args.real).select(fields), store.open_stack(args.translated)
    um = float(fields["width_px"].iloc[0]) * settings["pixel_size_um"] / stacks[0].images.shape[-1]
    with ExitStack() as opened, plt.rc_context(STYLE):
        masks = opened.enter_context(store.open_masks(args.masks[0])) if args.masks else None
        strip = Strip(stacks[0], fields, stacks[1], store.read_fields(args.rows), masks, label=settings["label"],
                      channels=settings["channels"], where=str(args.rows))  # fmt: skip
        save(strip_figure(strip, count=settings["fields"], um=um, dpi=settings["dpi"]), args.figure, settings["dpi"])


if __name__ == "__main__":
    run(main)
