"""Where the cells of a simulated field lie and what shape each has.

Lengths are in um, angles in radians. Every draw has a size that depends on visible parameters alone, so that
two fields which differ in an invisible parameter have the same cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from brightpaint.plates.simulator.cell_lines import CellLine
from brightpaint.plates.simulator.phenotypes import PARAMETERS
from brightpaint.plates.simulator.textures import look_up

CELL_SPREAD = 0.4  # s.d. of the scores of cells in one well
MARGIN_UM = 24.0  # drawn around the field, so that cells are cut by its edge and optics see no border
COUNT_SPREAD = 0.6  # s.d. of the number of cells, relative to Poisson's: cells are seeded evenly
MITOTIC_SHARE, DEAD_SHARE = 0.025, 0.015
SPREAD, MITOTIC, DEAD = 0, 1, 2
N_LOBES, N_ANGLES = 7, 256


@dataclass(frozen=True)
class Population:
    """The n cells of a field; every array has n rows.

    Attributes
    ----------
    scores : phenotype scores by parameter, each (n,)
    kind : (n,) SPREAD, MITOTIC or DEAD
    centre, nucleus : (n, 2) y and x
    angle, nucleus_angle, golgi_angle : (n,)
    radius, aspect : (n,) of the cell
    outline : (n, 256) relative radius of the cell by angle
    axes : (n, 2) half axes of the nucleus
    dna : (n,) DNA concentration, 1 on average
    offset : (n, 2) where the cell cuts its textures
    brightness : (n, 5) stain uptake of the cell, about 1: DNA, RNA, ER, AGP, Mito
    """

    scores: dict[str, np.ndarray]
    kind: np.ndarray
    centre: np.ndarray
    nucleus: np.ndarray
    angle: np.ndarray
    nucleus_angle: np.ndarray
    golgi_angle: np.ndarray
    radius: np.ndarray
    aspect: np.ndarray
    outline: np.ndarray
    axes: np.ndarray
    dna: np.ndarray
    offset: np.ndarray
    brightness: np.ndarray

    def __len__(self) -> int:
        return len(self.kind)


def place_cells(rng: np.random.Generator, count: int, side_um: float, line: CellLine) -> np.ndarray:
    """Place `count` nuclei in a square, in clusters, seldom closer than a nucleus is long.

    Returns
    -------
    (count, 2) float64 y and x from -MARGIN_UM to side_um + MARGIN_UM
    """
    shift = rng.uniform(0, 128, 2)
    points = np.empty((0, 2))
    apart = line.apart_um
    while len(points) < count:
        tries = rng.uniform(-MARGIN_UM, side_um + MARGIN_UM, (64, 2))
        # clusters some 100 um wide: the slow texture, read at a sixth of its scale
        crowd = look_up("slow", tries[:, 1] / 6 + shift[1], tries[:, 0] / 6 + shift[0])
        tries = tries[rng.uniform(0, 1.8, 64) < (1 - line.clustered) + line.clustered * crowd]
        for point in tries:
            if len(points) < count and (len(points) == 0 or np.hypot(*(points - point).T).min() > apart):
                points = np.vstack([points, point])
        apart *= 0.98  # crowded fields close up
    return points


def _outlines(rng: np.random.Generator, count: int, line: CellLine) -> np.ndarray:
    """Return (count, 256) relative radii: a blunt body with corners drawn out, concave between them."""
    theta = np.linspace(0, 2 * np.pi, N_ANGLES, endpoint=False)
    at = rng.uniform(0, 2 * np.pi, (count, N_LOBES, 1))
    size = rng.gamma(1.5, 0.24, (count, N_LOBES, 1))
    sharpness = rng.uniform(5, 40, (count, N_LOBES, 1))
    lobes = size * np.exp(sharpness * (np.cos(theta - at) - 1))
    return 0.70 + line.lobes * lobes.sum(axis=1)  # (count, lobes, angles) -> (count, angles)


def _angles(rng: np.random.Generator, centre: np.ndarray) -> np.ndarray:
    """Return (n,) angles of the cells: neighbours lie roughly parallel, as fibroblast-like cells do."""
    shift = rng.uniform(0, 128, 2)
    field = 2.5 * np.log(look_up("slow", centre[:, 1] / 5 + shift[1], centre[:, 0] / 5 + shift[0]))
    return field + rng.uniform(0, np.pi) + rng.normal(0, 0.45, len(centre))


def _kinds(rng: np.random.Generator, count: int, state: dict[str, float]) -> np.ndarray:
    """Return (count,) SPREAD, MITOTIC or DEAD; the fewer cells a compound leaves, the more of them are dead."""
    dying, fate = DEAD_SHARE * np.exp(-0.45 * state["cell_number"]), rng.uniform(size=count)
    return np.where(fate < dying, DEAD, np.where(fate > 1 - MITOTIC_SHARE, MITOTIC, SPREAD))


def draw_population(
    rng: np.random.Generator, state: dict[str, float], *, side_um: float, density: float, line: CellLine
) -> Population:
    """Draw the cells of one field.

    Parameters
    ----------
    state : the well's mean scores
    side_um : side of the field
    density : cells per square um of an untreated field of U2OS
    line : what the cells' line has of its own
    """
    mean = density * line.density * (side_um + 2 * MARGIN_UM) ** 2 * np.exp(0.26 * state["cell_number"])
    count = max(0, round(rng.normal(mean, COUNT_SPREAD * np.sqrt(mean))))
    spread = rng.normal(0, CELL_SPREAD, (count, len(PARAMETERS)))
    scores = {name: state[name] + spread[:, index] for index, name in enumerate(PARAMETERS)}
    kind = _kinds(rng, count, state)
    centre = place_cells(rng, count, side_um, line)
    angle = _angles(rng, centre)
    cycle = 1 + (rng.uniform(size=count) < 0.35) * 0.8 + 0.2 * rng.uniform(size=count)  # G1, S and G2
    growth = np.sqrt(cycle / 1.3) * np.exp(rng.normal(0, 0.07, count) + 0.115 * scores["nuclear_size"])
    long = np.exp(np.clip(rng.normal(0.0, 0.10, count) + 0.10 * scores["elongation"], -0.13, 0.35))
    axes = np.stack([line.nucleus_um[0] * growth * long, line.nucleus_um[1] * growth / long], axis=1)
    radius = line.radius_um * cycle**0.25 * np.exp(rng.normal(0, 0.10, count) + 0.14 * scores["cell_area"])
    aspect = np.exp(np.clip(line.aspect + rng.normal(0, 0.22, count) + 0.22 * scores["elongation"], 0.05, 1.3))
    axes[kind == MITOTIC] = rng.uniform(0.9, 1.1) * np.array([6.5, 2.4])
    axes[kind == DEAD] = (3.6, 3.2)
    radius = np.where(kind == SPREAD, radius, np.where(kind == MITOTIC, 10.5, 7.5))
    aspect = np.where(kind == SPREAD, aspect, 1.08)
    outline = np.where(kind[:, None] == SPREAD, _outlines(rng, count, line), 1.0)
    push = rng.normal(0, 1.5, (count, 2)) * (kind == SPREAD)[:, None]
    return Population(
        scores, kind, centre, centre + push, angle,
        nucleus_angle=angle + rng.normal(0, 0.25, count),
        golgi_angle=angle + rng.normal(0, 0.5, count) + np.pi * rng.integers(0, 2, count),
        radius=radius, aspect=aspect, outline=outline, axes=axes,
        dna=np.exp(rng.normal(0, 0.12, count)) * cycle**0.25 * np.where(kind == SPREAD, 1, 3.0),
        offset=rng.uniform(0, 128, (count, 2)),
        brightness=np.exp(rng.normal(0, 0.13, (count, 1)) + rng.normal(0, 0.12, (count, 5))),
    )  # fmt: skip


@dataclass(frozen=True)
class Canvas:
    """A square grid over the field and its margin.

    Attributes
    ----------
    step_um : side of a grid pixel
    size : pixels along a side
    margin_um : width of the margin
    """

    step_um: float
    size: int
    margin_um: float = MARGIN_UM

    def axis(self) -> np.ndarray:
        """Return the (size,) float32 coordinates of pixel centres; 0 is the field's edge."""
        return ((np.arange(self.size) + 0.5) * self.step_um - self.margin_um).astype(np.float32)

    def window(self, y_um: float, x_um: float, reach_um: float) -> tuple[slice, slice] | None:
        """Return the slices within `reach_um` of a point, or None where they are off the grid."""
        bounds = []
        for value in (y_um, x_um):
            low = max(0, int((value - reach_um + self.margin_um) / self.step_um))
            high = min(self.size, int((value + reach_um + self.margin_um) / self.step_um) + 1)
            if low >= high:
                return None
            bounds.append(slice(low, high))
        return bounds[0], bounds[1]


def partition(cells: Population, canvas: Canvas, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Divide the grid among the cells: each point goes to the cell in which it lies deepest.

    Free cells keep their outline; crowded ones meet in the curved polygons of a confluent layer.

    Returns
    -------
    owner : (S, S) int32, the cell's number, -1 outside all cells
    depth : (S, S) float32, 0 in a cell's centre, 1 at its outline
    """
    axis = canvas.axis()
    shift = rng.uniform(0, 128, 4)
    yy, xx = np.meshgrid(axis, axis, indexing="ij")
    # crooked edges: bend the coordinates a little, on a scale of some 10 um
    bent_y = yy + 5.0 * np.log(look_up("slow", 0.35 * xx + shift[0], 0.35 * yy + shift[1]))
    bent_x = xx + 5.0 * np.log(look_up("slow", 0.35 * xx + shift[2], 0.35 * yy + shift[3]))
    owner = np.full((canvas.size, canvas.size), -1, np.int32)
    depth = np.ones((canvas.size, canvas.size), np.float32)
    for number in range(len(cells)):
        stretch = np.float32(np.sqrt(cells.aspect[number]))
        reach = cells.radius[number] * float(stretch) * cells.outline[number].max() + 6
        window = canvas.window(*cells.centre[number], reach)
        if window is None:
            continue
        spread = cells.kind[number] == SPREAD
        dy = (bent_y if spread else yy)[window] - np.float32(cells.centre[number, 0])
        dx = (bent_x if spread else xx)[window] - np.float32(cells.centre[number, 1])
        cos, sin = np.float32(np.cos(cells.angle[number])), np.float32(np.sin(cells.angle[number]))
        u, v = (dx * cos + dy * sin) / stretch, (dy * cos - dx * sin) * stretch
        turn = np.arctan2(v, u) * np.float32(N_ANGLES / (2 * np.pi))
        allowed = cells.outline[number].astype(np.float32)[turn.astype(np.int32) % N_ANGLES]
        here = np.hypot(u, v) / (allowed * np.float32(cells.radius[number]))
        # a round cell sits on the layer, not in it
        here_owner = here if spread else np.where(here < 1, here * 0.3, here)
        deeper = (here < 1) & (here_owner < depth[window])
        depth[window][deeper] = here_owner[deeper]
        owner[window][deeper] = number
    round_cells = np.isin(owner, np.flatnonzero(cells.kind != SPREAD))
    depth[round_cells] /= 0.3
    return owner, depth


def edge_distance(owner: np.ndarray, step_um: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the distance in um to the cell's border, and to the next point outside all cells, both (S, S) float32."""
    border = np.zeros(owner.shape, bool)
    across, down = owner[:, 1:] != owner[:, :-1], owner[1:] != owner[:-1]
    border[:, 1:] |= across
    border[:, :-1] |= across
    border[1:] |= down
    border[:-1] |= down
    to_border = ndimage.distance_transform_edt(~border) if border.any() else np.full(owner.shape, 1e3)
    free = owner < 0
    to_free = ndimage.distance_transform_edt(~free) if free.any() else np.full(owner.shape, 1e3)
    return (to_border * step_um).astype(np.float32), (to_free * step_um).astype(np.float32)
