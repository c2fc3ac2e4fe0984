"""The cell lines of simulated plates: shapes, sizes and densities that simple measurements tell apart.

The numbers are of the order seen in culture, not measured: U2OS large and flat, A549 and HeLa smaller and rounder, HepG2
small cells with large nuclei in islands, BJ long fibroblasts, thinly sown.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CellLine:
    """What a line's cells have of their own; the defaults are U2OS, and a plate of no line.

    Attributes
    ----------
    radius_um : of an untreated spread cell
    nucleus_um : its nucleus' half axes
    aspect : log of how much longer than wide a cell is
    lobes : size of the corners that are drawn out of a cell, relative to U2OS
    density : cells an area, relative to U2OS
    clustered : 0 evenly sown, 1 in islands
    apart_um : nuclei are seldom closer than this
    """

    radius_um: float = 26.0
    nucleus_um: tuple[float, float] = (9.2, 6.5)
    aspect: float = 0.58
    lobes: float = 1.0
    density: float = 1.0
    clustered: float = 0.5
    apart_um: float = 19.0


LINES = {
    "U2OS": CellLine(),
    "A549": CellLine(19.5, (7.9, 6.1), 0.40, 0.6, 1.6, 0.5, 16.0),
    "HeLa": CellLine(22.0, (9.0, 8.0), 0.25, 0.7, 1.2, 0.6, 18.0),
    "HepG2": CellLine(17.0, (6.9, 6.3), 0.12, 0.25, 1.7, 0.9, 13.0),
    "BJ": CellLine(28.0, (11.2, 5.2), 1.10, 0.6, 0.5, 0.3, 21.0),
}
