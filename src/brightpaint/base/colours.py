"""Colours in which stains are laid over each other, in viewers that add them up."""

from __future__ import annotations

from collections.abc import Sequence

# As Cell Painting is usually shown; each is bright in one or two primaries, so that sums stay readable.
STAINS = {"DNA": "#0080ff", "RNA": "#ffff00", "ER": "#00ff00", "AGP": "#ff8000", "Mito": "#ff0060"}
OTHERS = ("#00ffff", "#ff00ff", "#ff4040", "#80ff80", "#8080ff", "#ffc0c0", "#c0c000", "#00c0a0")


def stain_colours(stains: Sequence[str]) -> dict[str, str]:
    """Return {stain: #rrggbb}: the known ones have their own colours, the others one each that no other has, in order."""
    free = [*OTHERS, *(colour for name, colour in STAINS.items() if name not in stains)]
    unknown = [name for name in stains if name not in STAINS]
    told = {name: free[number % len(free)] for number, name in enumerate(unknown)}
    return {name: STAINS.get(name) or told[name] for name in stains}
