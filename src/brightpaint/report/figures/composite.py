"""Merge stains into one coloured picture, and choose the small part of a field that is shown at full size.

At most three stains are merged: more hues cannot be told apart where they overlap, nor by colour-blind readers; a legend
names them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import uniform_filter

from brightpaint.base.colours import stain_colours

MERGED = 3
PREFERRED = ("DNA", "AGP", "ER")  # nucleus, outline, cytoplasm; other stains where a study has not these
CLOSE_UP_PX = 100  # side of the paper's Figures 2 and 3
SHARPEST = 6.0  # z-score beyond which a pixel counts no more in choosing a part: debris shines


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
