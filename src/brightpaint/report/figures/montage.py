"""Lay brightfield, real stains and every arm's predicted stains side by side.

All images are shown standardised, and each stain in one range for real and predicted alike, so that what looks
brighter is brighter. The fields shown are chosen by rule, not by eye.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from skimage.transform import resize

from brightpaint import store
from brightpaint.base.intensity import standardise
from brightpaint.report.figures.composite import CLOSE_UP_PX, crowded_part, merged_stains
from brightpaint.scores.measures import pcc
from brightpaint.scores.profiles.matching import well_places

PANEL_IN = 1.7  # side of one image, inches
TALLEST_IN = 40.0  # a montage of many arms gets smaller images, so that the report stays small
GAP = 0.03  # between images, share of a panel
# Light tints of about equal brightness: they make a stain known at sight, but the column's title says it too.
TINTS = {"DNA": "#7fb8ff", "RNA": "#ffe28f", "ER": "#93e593", "AGP": "#ffb380", "Mito": "#ff9ac8"}
log = logging.getLogger(__name__)


def choose_fields(fields: pd.DataFrame, count: int) -> list[int]:
    """Choose fields far from one another on the plate, of different perturbations where there are enough.

    The first is a DMSO field if there is one; each further one lies farthest from those chosen.

    Returns
    -------
    row numbers in `fields`, `count` at most, in the order chosen
    """
    places = well_places(fields["Metadata_Well"])
    places = np.where(np.isfinite(places), places, 0.0)
    order = fields.sort_values(store.FIELD_KEYS).index.to_numpy()
    dmso = [row for row in order if fields.at[row, "Metadata_control_type"] == "negcon"]
    chosen: list[int] = list((dmso or list(order))[:1])
    while len(chosen) < min(count, len(fields)):
        seen = set(fields.loc[chosen, "Metadata_perturbation"])
        left = [row for row in order if row not in chosen]
        fresh = [row for row in left if fields.at[row, "Metadata_perturbation"] not in seen] or left
        gaps = [np.linalg.norm(places[chosen] - places[row], axis=1).min() for row in fresh]
        chosen.append(fresh[int(np.argmax(gaps))])
    return [int(row) for row in chosen]


def display_range(images: Sequence[np.ndarray]) -> tuple[float, float]:
    """Return the values shown as black and as full brightness: the 0.5th and 99.7th percentile of all pixels."""
    low, high = np.percentile(np.concatenate([np.ravel(image) for image in images]), [0.5, 99.7])
    return float(low), float(max(high, low + 1e-6))


def paint(image: np.ndarray, limits: tuple[float, float], tint: str, side_px: tuple[int, int]) -> np.ndarray:
    """Render a z-scored image in a tint: (H, W) -> (h, w, 3) uint8."""
    if image.shape != side_px:
        image = resize(image, side_px, order=1, anti_aliasing=image.shape[0] > side_px[0], preserve_range=True)
    level = np.clip((image - limits[0]) / (limits[1] - limits[0]), 0, 1)
    return np.round(255 * level[..., None] * np.array(to_rgb(tint))).astype(np.uint8)


def picture(panel: dict, side_px: tuple[int, int]) -> np.ndarray:
    """Render a panel, one image in a tint or the composite of several: (h, w, 3) uint8."""
    if "layers" not in panel:
        return paint(panel["image"], panel["limits"], panel["tint"], side_px)
    layers = [paint(image, limits, colour, side_px) for image, limits, colour in panel["layers"]]
    return np.minimum(np.sum(layers, axis=0), 255).astype(np.uint8)


def scale_bar_um(width_um: float) -> float:
    """Return a round length near a quarter of the width: 1, 2 or 5 times a power of ten, micrometres."""
    ceiling = width_um / 4
    power = 10.0 ** np.floor(np.log10(ceiling))
    return float(max(step * power for step in (1, 2, 5) if step * power <= ceiling))


def montage(
    panels: Sequence[Sequence[dict | None]],
    titles: Sequence[str],
    labels: Sequence[tuple[str, str]],
    *,
    dpi: int,
    footer: str = "",
) -> plt.Figure:
    """Lay images out in rows and columns with labels.

    Parameters
    ----------
    panels : rows of panels: `image` (H, W), `limits`, `tint`, or `layers` of a composite in their place; `note` (a few
        words in the corner), `bar` (share of the width, text), `box` (y, x, side as shares), `legend` ({word: colour});
        or None for an empty place
    titles : one a column
    labels : (heading, label) of each row; a heading opens a new group of rows
    footer : a sentence below all
    """
    height, width = next(panel["image"].shape for row in panels for panel in row if panel)
    panel_in = min(PANEL_IN, TALLEST_IN / len(panels) * width / height)
    side = (round(panel_in * dpi * height / width), round(panel_in * dpi))
    gap = max(1, round(GAP * side[1]))
    top, left, head = round(0.32 * dpi), round(1.15 * dpi), round(0.3 * dpi)
    starts, y = [], top
    for heading, _ in labels:
        y += head if heading else 0
        starts.append(y)
        y += side[0] + gap
    foot = round(0.35 * dpi) if footer else 0
    canvas = np.full((y + gap + foot, left + len(titles) * (side[1] + gap), 3), 255, dtype=np.uint8)
    figure = plt.figure(figsize=(canvas.shape[1] / dpi, canvas.shape[0] / dpi), dpi=dpi)
    axes = figure.add_axes((0, 0, 1, 1))
    for row, start, (heading, label) in zip(panels, starts, labels):
        axes.text(left - gap * 3, start + side[0] / 2, label, ha="right", va="center", fontsize=10)
        if heading:
            axes.text(left, start - 0.3 * head, heading, ha="left", va="center", fontsize=10, weight="bold")
        for column, panel in enumerate(row):
            if panel:
                x = left + column * (side[1] + gap)
                canvas[start : start + side[0], x : x + side[1]] = picture(panel, side)
                _annotate(axes, panel, x, start, side)
    for column, title in enumerate(titles):
        axes.text(left + column * (side[1] + gap) + side[1] / 2, top / 2, title, ha="center", va="center", fontsize=11)
    axes.text(left, y + gap + foot / 2, footer, ha="left", va="center", fontsize=10)
    axes.imshow(canvas, interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    return figure


def _annotate(axes: plt.Axes, panel: dict, x: float, y: float, side: tuple[int, int]) -> None:
    outline = {"boxstyle": "square,pad=0.15", "facecolor": "black", "edgecolor": "none", "alpha": 0.6}
    margin = 0.04 * side[1]
    if panel.get("note"):
        axes.text(x + margin, y + side[0] - margin, panel["note"], color="white", fontsize=7, va="bottom", bbox=outline)
    for line, (word, colour) in enumerate(panel.get("legend", {}).items()):
        at = y + margin + 0.1 * line * side[0]
        axes.text(x + margin, at, word, color=colour, fontsize=7, va="top", weight="bold", bbox=outline)
    if panel.get("box"):
        top, left, length = panel["box"]
        corner, size = (x + left * side[1], y + top * side[0]), (length * side[1], length * side[0])
        axes.add_patch(plt.Rectangle(corner, *size, fill=False, edgecolor="#ffd60a", linewidth=1.2))
    if panel.get("bar"):
        share, words = panel["bar"]
        end, base = x + side[1] - margin, y + side[0] - margin
        axes.plot([end - share * side[1], end], [base, base], color="white", linewidth=2.5, solid_capstyle="butt")
        axes.text(end - share * side[1] / 2, base - 0.03 * side[0], words, color="white", fontsize=7, ha="center",
                  va="bottom", bbox=outline)  # fmt: skip


def shown_fields(fields: pd.DataFrame, tables: dict[str, pd.DataFrame], count: int, where: str) -> pd.DataFrame:
    """Return the rows of `fields` to show: chosen among those that every arm predicts."""
    keys = store.FIELD_KEYS
    common = fields.reset_index(names="real_row")
    for rows in tables.values():
        common = common.merge(rows[keys], on=keys)
    if common.empty:
        raise ValueError(f"{where}: no field is predicted by every arm of {', '.join(tables)}; rerun the arms")
    return common.loc[choose_fields(common, count)]


def standardised_stains(
    stack: store.Stack, rows: pd.DataFrame, field: pd.Series, channels: Sequence[str]
) -> np.ndarray:
    """Read the stains of one field, found by its keys: (C, H, W) z-scores."""
    return standardise(stack.images[store.place_of(field, rows)][stack.channel_indices(channels)])


def plate_montage(
    real: store.Stack,
    fields: pd.DataFrame,
    arms: dict[str, tuple[store.Stack, pd.DataFrame]],
    *,
    channels: dict,
    count: int,
    pixel_size_um: float,
    dpi: int,
    closeup: bool = False,
) -> plt.Figure:
    """Draw a plate's montage: per field a row of real stains (where there are any) and one of each arm.

    With `closeup` the part of each field that holds most stain is drawn in place of the whole, at full size; the
    montage of the whole fields frames it.

    Parameters
    ----------
    real : the plate's stack; a predict plate's lacks the target channels
    fields : its field table
    arms : {name: (predicted stack, its rows)}
    channels : `input` and `target` names; the middle input is shown
    count : fields shown
    pixel_size_um : of a raw pixel
    """
    targets, middle = channels["target"], middle_input(channels)
    paired = set(targets) <= set(real.channels)
    sources = {"real": (real, fields), **arms} if paired else dict(arms)
    if not sources:
        raise ValueError(f"{real.path}: nothing to show, neither stains nor predictions")
    shown = shown_fields(fields, {name: rows for name, (_, rows) in arms.items()}, count, str(real.path))
    place = real.channel_indices([middle])[0]
    grey = [standardise(real.images[row][place]) for row in shown["real_row"]]
    stains = [
        {name: standardised_stains(*source, field, targets) for name, source in sources.items()}
        for _, field in shown.iterrows()
    ]
    headings = [heading_of(field) for _, field in shown.iterrows()]
    for _, field in shown.iterrows():
        log.info("shown: %s", store.describe_field(field))
    widths_um = [pixel_size_um * width for width in shown["width_px"]]
    corners = [crowded_part(next(iter(each.values()))) for each in stains]
    if closeup:
        widths_um = [width * min(1, CLOSE_UP_PX / image.shape[1]) for width, image in zip(widths_um, grey)]
        grey = [cut(image, corner) for image, corner in zip(grey, corners)]
        stains = [{name: cut(image, corner) for name, image in each.items()} for each, corner in zip(stains, corners)]
        corners = None
    return draw_fields(grey, stains, headings, widths_um, channels=channels, dpi=dpi, corners=corners)


def cut(images: np.ndarray, corner: tuple[int, int]) -> np.ndarray:
    """Cut the close-up whose top left corner is given out of images (..., H, W)."""
    y, x = corner
    return images[..., y : y + CLOSE_UP_PX, x : x + CLOSE_UP_PX]


def draw_fields(
    grey: Sequence[np.ndarray],
    stains: Sequence[dict[str, np.ndarray]],
    headings: Sequence[str],
    widths_um: Sequence[float],
    *,
    channels: dict,
    dpi: int,
    corners: Sequence[tuple[int, int]] | None = None,
    notes: Sequence[Sequence[str]] | None = None,
    footer: str = "",
) -> plt.Figure:
    """Draw fields below one another: brightfield and the first source in one row, each further source in one more.

    Parameters
    ----------
    grey : one brightfield image (H, W) a field
    stains : for each field {source: (C, H, W)}
    headings, widths_um : one a field
    channels : `input` and `target` names; the middle input is what `grey` shows
    corners : top left corner of each field's close-up, framed in its brightfield
    notes : for each field what stands on its predicted stains, one text a stain; without it their PCC with `real`
        where that is among the sources
    footer : a sentence below all
    """
    targets, middle = channels["target"], middle_input(channels)
    reference = next(iter(stains[0]))
    limits = [display_range([each[reference][channel] for each in stains]) for channel in range(len(targets))]
    panels, labels, merged = [], [], merged_stains(targets)
    for number, (heading, width_um, brightfield, images) in enumerate(zip(headings, widths_um, grey, stains)):
        bar_um = scale_bar_um(width_um)
        bar = (bar_um / width_um, f"{bar_um:g} µm")
        first = {"image": brightfield, "limits": display_range(grey), "tint": "white", "bar": bar}
        if corners:
            shares = zip((*corners[number], CLOSE_UP_PX), (*brightfield.shape, brightfield.shape[1]))
            first["box"] = [min(value / length, 1) for value, length in shares]
        for name, image in images.items():
            said = [""] * len(targets)
            if "real" in images and name != "real":
                said = notes[number] if notes else [f"PCC {value:.2f}" for value in pcc(images["real"], image)]
            stained = [
                {"image": image[channel], "limits": limits[channel], "tint": TINTS.get(target, "white"), "note": note}
                for channel, (target, note) in enumerate(zip(targets, said))
            ]
            composite = {
                "image": image[0],
                "layers": [(image[targets.index(stain)], limits[targets.index(stain)], colour) for stain, colour in merged.items()],
                "legend": merged if name == reference else {},
            }  # fmt: skip
            panels.append([first if name == reference else None, *stained, composite])
            labels.append((heading if name == reference else "", name))
    return montage(panels, [middle.replace("_", " "), *targets, "composite"], labels, dpi=dpi, footer=footer)


def middle_input(channels: dict) -> str:
    """Return the brightfield plane that is shown: the middle one."""
    return channels["input"][len(channels["input"]) // 2]


def heading_of(field: pd.Series) -> str:
    """Name a field above its rows: well, site, and what was in the well."""
    words = [f"{field['Metadata_Well']}, site {field['Metadata_Site']}"]
    if field["Metadata_Tile"] != 1:
        words[0] += f", tile {field['Metadata_Tile']}"
    if field["Metadata_perturbation"]:
        words.append(
            field["Metadata_perturbation"] + (f" ({field['Metadata_target']})" if field["Metadata_target"] else "")
        )
    return ": ".join(words)
