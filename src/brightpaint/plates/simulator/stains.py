"""What the cells of a simulated field are made of: five stains, and the object that refracts light.

Maps are (S, S) float32 on the canvas. Stains are relative concentrations times thickness; the refracting
object is an optical path difference in um (refractive index difference x thickness) and an absorbance.
"""

from __future__ import annotations

import numpy as np

from brightpaint.plates.simulator.population import SPREAD, Canvas, Population, edge_distance, partition
from brightpaint.plates.simulator.textures import look_up

STAINS = ("DNA", "RNA", "ER", "AGP", "Mito")

# Refractive index differences to the medium (or, for what lies inside, to the cytoplasm).
# Quantitative phase imaging of adherent cells: cytoplasm 1.36 to 1.37 in medium of 1.335 to 1.34, nucleoplasm
# a little below the cytoplasm, nucleoli above, lipid droplets far above (Schuermann et al. 2016; Kim et al. 2016).
DN_CYTOPLASM, DN_NUCLEUS, DN_NUCLEOLUS, DN_MITO, DN_GRANULE, DN_VACUOLE = 0.026, -0.005, 0.030, 0.022, 0.055, -0.024
N_NUCLEOLI, N_GOLGI, N_GRANULES, N_VACUOLES = 4, 26, 34, 18


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(x, -30, 30)))


def stamp(target, canvas, axis, at, radius, height, soft=None, owner=None, number=-1) -> None:
    """Add one spot to `target` in place: Gaussian of s.d. `radius`, or a disk whose rim is `soft` um wide.

    Where `owner` is given, the spot is cut at the border of cell `number`.
    """
    window = canvas.window(at[0], at[1], radius * 3 if soft is None else radius + 5 * soft)
    if window is None:
        return
    square = (axis[window[0]] - np.float32(at[0]))[:, None] ** 2 + (axis[window[1]] - np.float32(at[1])) ** 2
    if soft is None:
        spot = height * np.exp(square / np.float32(-2 * radius**2))
    else:
        spot = height / (1 + np.exp(np.clip((np.sqrt(square) - np.float32(radius)) / np.float32(soft), -30, 30)))
    if owner is not None:
        spot = spot * (owner[window] == number)
    target[window] += spot.astype(np.float32)


def _nucleoli(cells: Population, canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    """Draw nucleoli as a map of their thickness, 0 to about 2 um."""
    drawn, axis = np.zeros((canvas.size, canvas.size), np.float32), canvas.axis()
    count = 1 + rng.binomial(N_NUCLEOLI - 1, 0.5, len(cells))
    polar = rng.uniform(size=(len(cells), N_NUCLEOLI, 2))
    radii = np.exp(
        rng.normal(np.log(1.25), 0.25, (len(cells), N_NUCLEOLI)) + 0.22 * cells.scores["nucleolar_size"][:, None]
    )
    for number in np.flatnonzero(cells.kind == SPREAD):
        turn = cells.nucleus_angle[number]
        for which in range(count[number]):
            far, theta = 0.65 * np.sqrt(polar[number, which, 0]), 2 * np.pi * polar[number, which, 1]
            u, v = far * cells.axes[number] * (np.cos(theta), np.sin(theta))
            at = cells.nucleus[number] + (u * np.sin(turn) + v * np.cos(turn), u * np.cos(turn) - v * np.sin(turn))
            radius = radii[number, which]
            for bud in rng.normal(0, 0.45 * radius, (2, 2)):  # lobed, not round
                stamp(drawn, canvas, axis, at + bud, 0.8 * radius, 0.75 * radius, soft=0.22)
    return drawn


def _near_nucleus(cells: Population, number: int, rng: np.random.Generator, count: int, reach: float) -> np.ndarray:
    """Return (count, 2) points around a nucleus, thinning out over `reach` um."""
    theta = rng.uniform(0, 2 * np.pi, count)
    far = 1 + (0.6 + rng.exponential(reach, count)) / cells.axes[number].mean()
    u, v = far * cells.axes[number, 0] * np.cos(theta), far * cells.axes[number, 1] * np.sin(theta)
    cos, sin = np.cos(cells.nucleus_angle[number]), np.sin(cells.nucleus_angle[number])
    return cells.nucleus[number] + np.stack([u * sin + v * cos, u * cos - v * sin], axis=1)


def _granules(cells, canvas, owner, rng) -> tuple[np.ndarray, np.ndarray]:
    """Draw lipid granules (seen in brightfield; thickness in um) and vacuoles (seen everywhere; share of height)."""
    granules, vacuoles = (np.zeros((canvas.size, canvas.size), np.float32) for _ in range(2))
    axis = canvas.axis()
    for number in range(len(cells)):
        points = _near_nucleus(cells, number, rng, N_GRANULES, 5.0)
        sizes = np.exp(rng.normal(np.log(0.42), 0.25, N_GRANULES))
        for at, size in zip(points[: rng.integers(8, N_GRANULES)], sizes):
            stamp(granules, canvas, axis, at, size, size, owner=owner, number=number)
        points = _near_nucleus(cells, number, rng, N_VACUOLES, 4.0)
        sizes = rng.uniform(0.8, 1.9, N_VACUOLES)
        count = min(N_VACUOLES, rng.poisson(1.2 * np.exp(1.0 * min(cells.scores["vacuoles"][number], 3))))
        for at, size in zip(points[: count if cells.kind[number] == SPREAD else 0], sizes):
            stamp(vacuoles, canvas, axis, at, size, 1.0, soft=0.25, owner=owner, number=number)
    return granules, np.minimum(vacuoles, 1)


def _golgi(cells: Population, canvas: Canvas, owner: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw the Golgi as a patch of ribbons beside each nucleus, which disperses with its score."""
    drawn, axis = np.zeros((canvas.size, canvas.size), np.float32), canvas.axis()
    normal = rng.normal(size=(len(cells), N_GOLGI, 2))
    heights = np.exp(rng.normal(0, 0.5, (len(cells), N_GOLGI)))
    for number in np.flatnonzero(cells.kind == SPREAD):
        spread = np.exp(0.5 * min(cells.scores["golgi_spread"][number], 3.5))
        local = cells.golgi_angle[number] - cells.nucleus_angle[number]
        a, b = cells.axes[number]
        rim = a * b / np.hypot(b * np.cos(local), a * np.sin(local))
        far = rim + 2.2 + 1.1 * spread * normal[number, :, 0]
        along = cells.golgi_angle[number] + 2.6 * spread * normal[number, :, 1] / (rim + 2.2)
        points = cells.nucleus[number] + (far * np.array([np.sin(along), np.cos(along)])).T
        for at, height in zip(points, heights[number]):
            stamp(drawn, canvas, axis, at, 0.65, height / spread**0.5, owner=owner, number=number)
    return drawn


class _Inside:
    """Geometry of the P points inside cells, as flat (P,) float32 arrays."""

    def __init__(self, cells: Population, canvas: Canvas, owner, depth):
        rows, columns = np.nonzero(owner >= 0)
        axis = canvas.axis()
        self.at, self.of = (rows, columns), owner[rows, columns]
        self.depth = depth[rows, columns]
        to_border, to_free = edge_distance(owner, canvas.step_um)
        self.border, self.free = to_border[rows, columns], to_free[rows, columns]
        self.cells = cells
        y, x = axis[rows], axis[columns]
        self.u, self.v = self._frame(y, x, cells.centre, cells.angle)
        un, vn = self._frame(y, x, cells.nucleus, cells.nucleus_angle)
        a, b = self.get(cells.axes[:, 0]), self.get(cells.axes[:, 1])
        far = np.hypot(un / a, vn / b)
        theta = np.arctan2(vn, un)
        phase = self.get(cells.offset[:, 0])
        far = far / (1 + 0.035 * np.cos(2 * theta + phase) + 0.035 * np.cos(3 * theta + 2 * phase))
        mean = np.sqrt(a * b)
        self.rim = (far - 1) * mean  # um outside the nuclear envelope, negative inside
        self.outside = np.maximum(self.rim, 0)
        self.nucleus = _sigmoid(-self.rim / 0.3)
        self.dome = np.sqrt(np.clip(1 - (self.rim / mean + 1) ** 2, 0, 1))
        self.toward_golgi = np.cos(theta + self.get(cells.nucleus_angle - cells.golgi_angle))
        self.spread = self.get((cells.kind == SPREAD).astype(float))

    def _frame(self, y, x, origin, angle):
        dy, dx = y - self.get(origin[:, 0]), x - self.get(origin[:, 1])
        cos, sin = self.get(np.cos(angle)), self.get(np.sin(angle))
        return dx * cos + dy * sin, dy * cos - dx * sin

    def get(self, values: np.ndarray) -> np.ndarray:
        """Spread one value a cell over the points: (n,) -> (P,)."""
        return values.astype(np.float32)[self.of]

    def score(self, name: str) -> np.ndarray:
        return self.get(np.clip(self.cells.scores[name], -5, 5))

    def texture(self, name: str) -> np.ndarray:
        offset = self.cells.offset
        bend = 2.5 * np.sin(self.u / 11 + self.get(offset[:, 0]))  # fibres and networks are not straight
        return look_up(name, self.u + self.get(offset[:, 0]), self.v + bend + self.get(offset[:, 1]))


def _thickness(inside: _Inside) -> np.ndarray:
    """Return (P,) height of the cell in um: thin lamella, thick about the nucleus; a ball where it is round."""
    flat = (1 - np.exp(-inside.border / 4)) * (0.9 + 2.0 * np.exp(-inside.outside / 10)) + 1.0 * inside.dome
    ball = 0.65 * inside.get(inside.cells.radius) * np.sqrt(np.clip(1 - inside.depth**2, 0, 1))
    return np.where(inside.spread > 0, flat, ball)


def _mitochondria(inside: _Inside, thickness: np.ndarray) -> np.ndarray:
    """Return (P,) amount of mitochondria, before any stain: a network about the nucleus, or its fragments."""
    broken = _sigmoid(-1.6 + 1.7 * inside.score("mito_fragments"))
    form = (1 - broken) * inside.texture("filaments") + broken * inside.texture("puncta")
    about = np.exp(-inside.outside / 11) * (1 - np.exp(-inside.border / 2.5)) * (1 - 0.75 * inside.nucleus)
    polar = 1 + 0.45 * inside.toward_golgi
    return np.where(inside.spread > 0, about * polar * (0.35 + 0.75 * form), 0.16 * thickness)


def _stain_points(inside: _Inside, thickness, nucleoli, golgi, mito) -> dict[str, np.ndarray]:
    """Return the (P,) concentration of each stain."""
    score, texture, nucleus = inside.score, inside.texture, inside.nucleus
    chromatin = 1 + np.clip(np.exp(0.5 * score("chromatin")) * (texture("clumps") - 1), -0.8, 2.5)
    plain = 1 - inside.spread
    body = thickness + 0.7 * (1 - np.exp(-inside.border / 0.7)) * inside.spread  # stain reaches the edge
    dna = inside.get(inside.cells.dna) * nucleus * (0.55 + 0.45 * inside.dome) * np.where(plain > 0, 1, chromatin)
    dna = dna * (1 - 0.5 * np.minimum(nucleoli / 1.2, 1)) + 0.006 * thickness
    about = np.exp(-inside.outside / (12 * np.exp(-0.35 * score("rna"))))
    rna = 0.30 * body * (0.5 + 0.5 * about) * texture("grain") ** 0.5 * np.exp(0.3 * score("rna"))
    rna = rna * (1 - 0.38 * np.exp(0.25 * score("rna")) * nucleus * inside.spread)
    rna = rna + 0.75 * nucleoli * np.exp(0.5 * score("nucleolar_rna")) * nucleus
    reach = 8.0 * np.exp(-0.28 * score("er_intensity"))
    er = 0.30 * body * (0.22 + np.exp(-inside.outside / reach)) * texture("network") ** 0.4
    er = (
        er
        * np.exp(0.4 * score("er_intensity"))
        * (1 + 0.3 * inside.toward_golgi)
        * (1 - 0.55 * nucleus * inside.spread)
    )
    er = er + 0.35 * np.exp(-((inside.rim / 0.8) ** 2)) * inside.spread * np.exp(0.4 * score("er_intensity"))
    fibres = np.exp(0.6 * score("actin_fibres")) * texture("fibres") * (1 - 0.6 * nucleus) * inside.spread
    edge = np.exp(-inside.border / 0.6) + 0.8 * np.exp(-inside.free / 0.9) * texture("ruffles")
    agp = 0.15 * body + 0.11 * fibres * (1 - np.exp(-inside.border / 2)) + 0.42 * edge + 0.6 * golgi
    power = np.exp(0.45 * score("mito_potential"))
    mito = mito * power * (1 + 0.5 * (power - 1) * np.exp(-inside.outside / 4)) + 0.05 * thickness
    return dict(zip(STAINS, (dna, rna, er, agp, mito)))


def draw_field(cells: Population, canvas: Canvas, rngs: dict[str, np.random.Generator]) -> dict[str, np.ndarray]:
    """Draw a field's stains and its refracting object.

    Parameters
    ----------
    rngs : generators of their own for `shape`, `visible` and `golgi`

    Returns
    -------
    each (S, S) float32: the STAINS (relative), `path` (optical path difference, um), `absorbance`
    (of the intensity) and `owner` (int32, number of the cell, -1 outside)
    """
    owner, depth = partition(cells, canvas, rngs["shape"])
    inside = _Inside(cells, canvas, owner, depth)
    nucleoli = _nucleoli(cells, canvas, rngs["visible"])[inside.at] * inside.nucleus
    granules, vacuoles = (drawn[inside.at] for drawn in _granules(cells, canvas, owner, rngs["visible"]))
    golgi = _golgi(cells, canvas, owner, rngs["golgi"])[inside.at]
    vacuoles = vacuoles * (1 - inside.nucleus)
    thickness = _thickness(inside)
    mito = _mitochondria(inside, thickness)
    path = DN_CYTOPLASM * thickness + DN_NUCLEUS * inside.nucleus * thickness + DN_NUCLEOLUS * nucleoli
    path = path + DN_MITO * mito * 0.5 + DN_GRANULE * granules + DN_VACUOLE * vacuoles * np.minimum(thickness, 2.5)
    drawn = {"path": path, "absorbance": 0.004 * thickness + 0.08 * granules}
    stains = _stain_points(inside, thickness, nucleoli, golgi, mito)
    for index, name in enumerate(STAINS):
        hollow = 1 if name == "DNA" else 1 - 0.75 * vacuoles
        drawn[name] = stains[name] * hollow * inside.get(cells.brightness[:, index])
    maps = {}
    for name, values in drawn.items():
        maps[name] = np.zeros(owner.shape, np.float32)
        maps[name][inside.at] = values
    return {**maps, "owner": owner}
