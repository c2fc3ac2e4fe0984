"""Merge stains into one coloured picture, and choose the small part of a field that is shown at full size.

A stain has one colour in every figure of a study, alone as in a composite. At most three stains are merged: more hues cannot
be told apart where they overlap, nor by colour-blind readers. The first colours are near Okabe and Ito's blue, vermillion
and bluish green, brightened for a black ground; a legend names them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, count

import numpy as np
from matplotlib.colors import hsv_to_rgb, to_hex
from scipy.ndimage import uniform_filter

KNOWN = {"DNA": "#5b9dff", "AGP": "#ff8534", "ER": "#2fc88f", "Mito": "#ff7ab8", "RNA": "#ffd24d"}
FURTHER = (*KNOWN.values(), "#b08cff", "#35d3e6", "#c6e04a")  # of stains with other names, in their order
GOLDEN = 0.618034  # share of the circle of hues between colours beyond those
MERGED = 3
PREFERRED = ("DNA", "AGP", "ER")  # nucleus, outline, cytoplasm; other stains where a study has not these
CLOSE_UP_PX = 100  # side of the paper's Figures 2 and 3
SHARPEST = 6.0  # z-score beyond which a pixel counts no more in choosing a part: debris shines


def stain_colours(targets: Sequence[str]) -> dict[str, str]:
    """Return {stain: colour} of a study's stains, all different: the usual ones have theirs, others take what is free."""
    colours = {name: KNOWN[name] for name in targets if name in KNOWN}
    beyond = (to_hex(hsv_to_rgb((GOLDEN * step % 1, 0.45, 1.0))) for step in count(1))
    free = (colour for colour in chain(FURTHER, beyond) if colour not in colours.values())
    for name in targets:
        if name not in colours:
            colours[name] = next(free)
    return {name: colours[name] for name in targets}


def merged_stains(targets: Sequence[str]) -> dict[str, str]:
    """Return {stain: colour} of the stains in a composite, three at most."""
    chosen = [name for name in PREFERRED if name in targets]
    chosen += [name for name in targets if name not in chosen]
    colours = stain_colours(targets)
    return {name: colours[name] for name in chosen[:MERGED]}


def crowded_part(images: np.ndarray, side: int = CLOSE_UP_PX) -> tuple[int, int]:
    """Return the top left corner of the `side` x `side` part with most stain that lies wholly in the field.

    Parameters
    ----------
    images : (C, H, W) z-scores; their mean is taken, each cut off at 6

    Returns
    -------
    y, x in pixels; (0, 0) for a field no larger than the part
    """
    means = part_means(images, side)
    y, x = np.unravel_index(np.argmax(means), means.shape)
    return int(y), int(x)


def empty_part(images: np.ndarray, side: int = CLOSE_UP_PX) -> tuple[int, int]:
    """Return the top left corner of the part with least stain: as `crowded_part`."""
    means = part_means(images, side)
    y, x = np.unravel_index(np.argmin(means), means.shape)
    return int(y), int(x)


def part_means(images: np.ndarray, side: int) -> np.ndarray:
    """Return the mean stain of each `side` x `side` part of (C, H, W) z-scores, by its top left corner (y, x)."""
    height, width = images.shape[1:]
    side_y, side_x = min(side, height), min(side, width)
    level = np.clip(images, None, SHARPEST).mean(axis=0)
    means = uniform_filter(level.astype(np.float64), (side_y, side_x), mode="nearest")
    rows = slice(side_y // 2, side_y // 2 + height - side_y + 1)  # centres of the parts that lie within
    columns = slice(side_x // 2, side_x // 2 + width - side_x + 1)
    return means[rows, columns]


def cut(images: np.ndarray, corner: tuple[int, int]) -> np.ndarray:
    """Cut the close-up whose top left corner is given out of images (..., H, W)."""
    y, x = corner
    return images[..., y : y + CLOSE_UP_PX, x : x + CLOSE_UP_PX]
