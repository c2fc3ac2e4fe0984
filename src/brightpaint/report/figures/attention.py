"""Show where DINO looks: the attention that its class token pays to each patch of a channel (paper, Figures 8 to 10).

The maps are those of the last layer, mean over the heads, of the very four crops from which a field is embedded, laid
together (56 x 56 patches of 8 px); each crop's attention sums to 1 by itself, so that crops can be told apart at
their seams. Under each painted map stands its correlation with the real stain's map, which chance makes what the maps
of another field give: the figure's last line says that too.
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
import torch

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.base.device import pick_device
from brightpaint.base.intensity import in_window
from brightpaint.features.embedders.dino import four_crops, load_network, middle, pictures
from brightpaint.features.embedders.vectors import window_of, z_scores
from brightpaint.report.figures.shown_fields import heading_of, shown_fields
from brightpaint.report.style import as_text, in_lines, letters_in, save
from brightpaint.scores.images.pixels import pcc

PANEL_IN = 1.0
FIELDS = 2  # the pairs of picture and map are many; more fields than these are not shown
BRIGHTFIELD_ROW = "brightfield"
log = logging.getLogger(__name__)


def attention_maps(network: torch.nn.Module, images: np.ndarray, window) -> tuple[np.ndarray, np.ndarray]:
    """Return what is looked at and how much: the middle of each channel in [0, 1], and its attention.

    Parameters
    ----------
    network : from `dino.load_network(..., attention=True)`
    images : (C, H, W) float32 z-scores

    Returns
    -------
    shown : (C, 448, 448) float32; maps : (C, 2 P, 2 P) float32 for P patches a side of a crop; each crop sums to 1
    """
    device = next(network.parameters()).device
    centre = middle(torch.from_numpy(np.ascontiguousarray(images, np.float32)))
    quarters = []
    for crop in four_crops(centre):  # one at a time: every layer's attention is in memory
        with torch.inference_mode():
            said = network(pixel_values=pictures(crop[None], window).to(device), output_attentions=True)
        heads = said.attentions[-1][:, :, 0, 1:].mean(dim=1)  # (C, heads, 1 + P * P, 1 + P * P) -> (C, P * P)
        patches = round(heads.shape[1] ** 0.5)
        part = (heads / heads.sum(dim=1, keepdim=True)).reshape(len(images), patches, patches)
        quarters.append(part.float().cpu().numpy())
    top, bottom = (np.concatenate(quarters[row : row + 2], axis=2) for row in (0, 2))
    return in_window(centre.numpy(), window), np.concatenate([top, bottom], axis=1)


def field_maps(network, field: pd.Series, sources: dict, settings: dict) -> dict[str, dict]:
    """Return {row: {"channels", "shown", "maps"}} of one field: brightfield, then the real stains and each arm's."""
    rows = {}
    for name, (stack, table) in sources.items():
        place = store.place_of(field, table)
        bright = [BRIGHTFIELD_ROW] if name == "real" and settings["channels"]["input"] else []
        for row in (*bright, name):
            channels = settings["channels"]["input" if row == BRIGHTFIELD_ROW else "target"]
            images = z_scores(stack, place, channels, settings)
            shown, maps = attention_maps(network, images, window_of(row, settings))
            rows[row] = {"channels": channels, "shown": shown, "maps": maps}
    return rows


def alike(fields: Sequence[dict[str, dict]], arm: str) -> tuple[float, float]:
    """Return the mean correlation of an arm's maps with the real ones, and with another field's; NaN for one field."""
    own = [pcc(each["real"]["maps"], each[arm]["maps"]).mean() for each in fields]
    other = [pcc(fields[place - 1]["real"]["maps"], each[arm]["maps"]).mean() for place, each in enumerate(fields)]
    return float(np.mean(own)), float(np.mean(other)) if len(fields) > 1 else float("nan")


def attention_figure(fields: Sequence[dict[str, dict]], headings: Sequence[str], dpi: int) -> plt.Figure:
    """Lay pictures and their maps side by side, field below field.

    Parameters
    ----------
    fields : from `field_maps`
    headings : one a field
    """
    columns = max(len(row["channels"]) for row in fields[0].values())
    names = list(fields[0])
    high = len(fields) * (len(names) + 0.45)
    figure = plt.figure(figsize=(1.1 + 2 * columns * PANEL_IN, high * PANEL_IN + 0.4), dpi=dpi)
    width, height = figure.get_size_inches()
    most = letters_in(width - 1, 9)
    for number, (rows, heading) in enumerate(zip(fields, headings)):
        top = height - 0.1 - number * (len(names) + 0.45) * PANEL_IN
        figure.text(
            1.0 / width,
            (top - 0.12) / height,
            as_text(heading, most),
            fontsize=9,
            weight="bold",
            va="center",
        )
        for line, (name, row) in enumerate(rows.items()):
            bottom = top - 0.3 - (line + 1) * PANEL_IN
            label = in_lines(name, letters_in(0.9, 8))
            figure.text(0.9 / width, (bottom + PANEL_IN / 2) / height, label, fontsize=8, ha="right", va="center")
            notes = row["channels"]
            if name not in (BRIGHTFIELD_ROW, "real") and "real" in rows:
                found = pcc(rows["real"]["maps"], row["maps"])
                notes = [f"{as_text(channel, 16)}  r {value:.2f}" for channel, value in zip(row["channels"], found)]
            for channel, note in enumerate(notes):
                _pair(figure, row, channel, as_text(note.replace("_", " "), 24), 1.0 + 2 * channel * PANEL_IN, bottom)
    painted = [name for name in names if name not in (BRIGHTFIELD_ROW, "real")] if "real" in names else []
    words = [
        f"{as_text(arm, 24)} {own:.2f} (another field's map {other:.2f})"
        for arm in painted
        for own, other in [alike(fields, arm)]
    ]
    figure.text(0.1 / width, 0.12 / height, "mean r with the real stains' maps: " + "; ".join(words), fontsize=8)
    return figure


def _pair(figure: plt.Figure, row: dict, channel: int, note: str, left: float, bottom: float) -> None:
    width, height = figure.get_size_inches()
    for place, (image, colours) in enumerate(((row["shown"][channel], "gray"), (row["maps"][channel], "viridis"))):
        size = 0.96 * PANEL_IN
        axes = figure.add_axes(((left + place * PANEL_IN) / width, bottom / height, size / width, size / height))
        high = 1.0 if colours == "gray" else np.percentile(image, 99.5)
        axes.imshow(image, cmap=colours, vmin=0, vmax=max(high, 1e-12), interpolation="nearest")
        axes.set_axis_off()
        if not place:
            box = {"boxstyle": "square,pad=0.15", "facecolor": "black", "edgecolor": "none", "alpha": 0.6}
            axes.text(0.04, 0.04, note, color="white", fontsize=6, transform=axes.transAxes, bbox=box)


def main(argv: Sequence[str] | None = None) -> None:
    """Draw the attention maps of some fields of a plate."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: those of embed, and fields, dpi")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--fields", type=Path, required=True)
    parser.add_argument("--predicted", type=Path, nargs="*", default=[], help="one stack an arm")
    parser.add_argument("--arms", nargs="*", default=[])
    parser.add_argument("--figure", type=Path, required=True)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    fields = store.read_fields(args.fields)
    arms = {arm: store.open_gathered(path) for arm, path in zip(args.arms, args.predicted)}
    sources = {"real": (store.open_stack(args.real).select(fields), fields), **arms}
    count = min(args.settings["fields"], FIELDS)
    chosen = shown_fields(fields, {name: rows for name, (_, rows) in arms.items()}, count, str(args.real))
    network = load_network(args.settings["weights"], pick_device(args.device), attention=True)
    seen = [field_maps(network, field, sources, args.settings) for _, field in chosen.iterrows()]
    headings = [heading_of(field) for _, field in chosen.iterrows()]
    save(attention_figure(seen, headings, args.settings["dpi"]), args.figure, args.settings["dpi"])


if __name__ == "__main__":
    run(main)
