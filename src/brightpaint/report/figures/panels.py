"""Lay images out in rows and columns: brightfield, real stains and painted ones side by side.

All images are shown standardised, and each stain in one range for real and painted alike, so that what looks
brighter is brighter.
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import to_rgb
from skimage.transform import resize

from brightpaint.base.colours import stain_colours
from brightpaint.report.figures.composite import CLOSE_UP_PX, cut, merged_stains
from brightpaint.report.figures.shown_fields import middle_input
from brightpaint.report.style import as_text, in_lines, letters_in
from brightpaint.scores.images.pixels import pcc

PANEL_IN = 1.7  # side of one image, inches
TALLEST_IN = 40.0  # a montage of many arms gets smaller images, so that the report stays small
TITLE_PT = 11.0  # size of a column's title, points
GAP = 0.03  # between images, share of a panel


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


def panel_side(panels: Sequence[Sequence[dict | None]], dpi: int) -> tuple[int, int]:
    """Return height and width of one image, pixels."""
    height, width = next(panel["image"].shape for row in panels for panel in row if panel)
    panel_in = min(PANEL_IN, TALLEST_IN / len(panels) * width / height)
    return round(panel_in * dpi * height / width), round(panel_in * dpi)


def row_starts(labels: Sequence[tuple[str, str]], step: int, top: int, head: int) -> np.ndarray:
    """Return where each row begins, pixels: a row with a heading leaves `head` for it."""
    steps = np.array([step] * len(labels))
    return top + np.cumsum([head if heading else 0 for heading, _ in labels]) + np.cumsum(steps) - steps


def blank(height: int, width: int, dpi: int) -> tuple[np.ndarray, plt.Figure, plt.Axes]:
    """Return a white canvas, (height, width, 3) uint8, and a figure of its size with bare axes over all of it."""
    figure = plt.figure(figsize=(width / dpi, height / dpi), dpi=dpi)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    return np.full((height, width, 3), 255, dtype=np.uint8), figure, axes


def lay_out(
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
    side = panel_side(panels, dpi)
    gap = max(1, round(GAP * side[1]))
    named = [in_lines(title, letters_in(side[1] / dpi, TITLE_PT)) for title in titles]
    top, left, head = (
        round((0.32 + 0.16 * any("\n" in title for title in named)) * dpi),
        round(1.15 * dpi),
        round(0.3 * dpi),
    )
    starts = row_starts(labels, side[0] + gap, top, head)
    y = int(starts[-1]) + side[0] + gap
    columns = [left + column * (side[1] + gap) for column in range(len(titles))]
    foot = round(0.35 * dpi) if footer else 0
    canvas, figure, axes = blank(y + gap + foot, left + len(titles) * (side[1] + gap), dpi)
    for row, start, (heading, label) in zip(panels, starts, labels):
        words = in_lines(label, letters_in((left - gap * 3) / dpi, 10))
        axes.text(left - gap * 3, start + side[0] / 2, words, ha="right", va="center", fontsize=10)
        if heading:
            shown = as_text(heading, letters_in((canvas.shape[1] - left) / dpi, 10))
            axes.text(left, start - 0.3 * head, shown, ha="left", va="center", fontsize=10, weight="bold")
        for x, panel in zip(columns, row):
            if panel:
                canvas[start : start + side[0], x : x + side[1]] = picture(panel, side)
                _annotate(axes, panel, x, start, side)
    for x, title in zip(columns, named):
        axes.text(x + side[1] / 2, top / 2, title, ha="center", va="center", fontsize=TITLE_PT)
    axes.text(left, y + gap + foot / 2, footer, ha="left", va="center", fontsize=10)
    axes.imshow(canvas, interpolation="nearest", aspect="auto")
    return figure


def _annotate(axes: plt.Axes, panel: dict, x: float, y: float, side: tuple[int, int]) -> None:
    outline = {"boxstyle": "square,pad=0.15", "facecolor": "black", "edgecolor": "none", "alpha": 0.6}
    margin = 0.04 * side[1]
    if panel.get("note"):
        axes.text(x + margin, y + side[0] - margin, panel["note"], color="white", fontsize=7, va="bottom", bbox=outline)
    for line, (word, colour) in enumerate(panel.get("legend", {}).items()):
        at = y + margin + 0.1 * line * side[0]
        axes.text(x + margin, at, as_text(word, 20), color=colour, fontsize=7, va="top", weight="bold", bbox=outline)
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


def close_up(view: dict, corner: tuple[int, int]) -> dict:
    """Return a view (see `draw_fields`) of the part of its field whose top left corner is given, at full size."""
    share = min(1, CLOSE_UP_PX / next(iter(view["stains"].values())).shape[-1])
    stains = {name: cut(image, corner) for name, image in view["stains"].items()}
    small = {"stains": stains, "width_um": view["width_um"] * share}
    small |= {"brightfield": cut(view["brightfield"], corner)} if "brightfield" in view else {}
    return {key: value for key, value in view.items() if key != "corner"} | small


def draw_fields(views: Sequence[dict], *, channels: dict, dpi: int, footer: str = "") -> plt.Figure:
    """Draw fields below one another: brightfield and the first source in one row, each further source in one more.

    Scale bar and frame stand on brightfield; without it, on the first stain.

    Parameters
    ----------
    views : one dict a field: `heading`, `width_um`, `brightfield` (H, W), where there is any, and `stains`, {source:
        (C, H, W)}, z-scores; `corner`, the top left one (y, x) of a close-up to frame, may be there; `notes` are what
        stands on its painted stains, one text a stain, in place of their PCC with `real` where that is among the sources
    channels : `input` and `target` names; the middle input is what `brightfield` shows
    footer : a sentence below all
    """
    targets, middle = channels["target"], middle_input(channels)
    reference = next(iter(views[0]["stains"]))
    limits = [display_range([view["stains"][reference][channel] for view in views]) for channel in range(len(targets))]
    grey = display_range([view["brightfield"] for view in views]) if middle else None
    panels, labels = [], []
    for view in views:
        for name in view["stains"]:
            row = stain_panels(view, name, targets, limits, legend=name == reference)
            if middle:
                shown = {"image": view["brightfield"], "limits": grey, "tint": "white"} if name == reference else None
                row = [shown, *row]
            panels.append([{**row[0], **scale_marks(view)}, *row[1:]] if name == reference else row)
            labels.append((view["heading"] if name == reference else "", name))
    titles = [middle.replace("_", " ")] if middle else []
    return lay_out(panels, [*titles, *targets, "composite"], labels, dpi=dpi, footer=footer)


def scale_marks(view: dict) -> dict:
    """Return the scale bar of a view's first panel, and the frame of its close-up."""
    shape, bar_um = next(iter(view["stains"].values())).shape[-2:], scale_bar_um(view["width_um"])
    marks = {"bar": (bar_um / view["width_um"], f"{bar_um:g} µm")}
    if "corner" in view:
        shares = zip((*view["corner"], CLOSE_UP_PX), (*shape, shape[1]))
        marks["box"] = [min(value / length, 1) for value, length in shares]
    return marks


def stain_panels(
    view: dict, name: str, targets: Sequence[str], limits: Sequence[tuple[float, float]], *, legend: bool
) -> list[dict]:
    """Return the panels of one source's stains, and last their composite."""
    image, notes = view["stains"][name], [""] * len(targets)
    merged, colours = merged_stains(targets), stain_colours(targets)
    if "real" in view["stains"] and name != "real":
        notes = view.get("notes") or [f"PCC {value:.2f}" for value in pcc(view["stains"]["real"], image)]
    stained = [
        {"image": image[channel], "limits": limits[channel], "tint": colours[target], "note": note}
        for channel, (target, note) in enumerate(zip(targets, notes))
    ]
    places = {targets.index(stain): colour for stain, colour in merged.items()}
    layers = [(image[place], limits[place], colour) for place, colour in places.items()]
    return [*stained, {"image": image[0], "layers": layers, "legend": merged if legend else {}}]
