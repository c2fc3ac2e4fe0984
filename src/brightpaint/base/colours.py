"""The colour of each stain, in figures and in the viewers that lay delivered images over one another.

A stain has one colour in every figure of a study, alone as in a composite. The first colours are near Okabe and Ito's blue,
vermillion and bluish green, brightened for a black ground.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from itertools import chain, count

KNOWN = {"DNA": "#5b9dff", "AGP": "#ff8534", "ER": "#2fc88f", "Mito": "#ff7ab8", "RNA": "#ffd24d"}
FURTHER = (*KNOWN.values(), "#b08cff", "#35d3e6", "#c6e04a")  # of stains with other names, in their order
GOLDEN = 0.618034  # share of the circle of hues between colours beyond those


def stain_colours(stains: Sequence[str]) -> dict[str, str]:
    """Return {stain: #rrggbb} of a study's stains, all different: the usual ones have theirs, others take what is free."""
    colours = {name: KNOWN[name] for name in stains if name in KNOWN}
    free = (colour for colour in chain(FURTHER, _beyond()) if colour not in colours.values())
    for name in stains:
        if name not in colours:
            colours[name] = next(free)
    return {name: colours[name] for name in stains}


def _beyond():
    """Yield ever further colours, each far from the one before in hue."""
    for step in count(1):
        parts = colorsys.hsv_to_rgb(GOLDEN * step % 1, 0.45, 1.0)
        yield "#" + "".join(f"{round(255 * part):02x}" for part in parts)
