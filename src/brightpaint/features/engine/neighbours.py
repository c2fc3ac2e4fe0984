"""Which objects are neighbours of each other: CellProfiler's MeasureObjectNeighbors of objects with themselves."""

from __future__ import annotations

import numba
import numpy as np

from brightpaint.features.engine import relations
from brightpaint.features.engine.objects import Objects

EXPANDED, WITHIN, ADJACENT = "Expand until adjacent", "Within a specified distance", "Adjacent"
METHODS = (EXPANDED, WITHIN, ADJACENT)


def measure(
    objects: Objects,
    *,
    method: str,
    distance: int = 0,
    before_discarding: np.ndarray | None = None,
    considers_discarded: bool = True,
) -> dict[str, np.ndarray]:
    """Return {`Neighbors_NumberOfNeighbors_Expanded`: (count,) float64}, and so on.

    Parameters
    ----------
    objects : the objects, as they are written to tables
    method : "Expand until adjacent", "Within a specified distance" or "Adjacent", as the .cppipe names it; the columns end on
        `_Expanded`, the distance (`_1`) or `_Adjacent`
    distance : pixels, of "Within a specified distance"
    before_discarding : (H, W) int32, the labels in which neighbours are looked for, CellProfiler's `small_removed_segmented`;
        None: those of `objects`. Numbers are their own, gaps may be. The segmentation hands on, of
        IdentifyPrimaryObjects, the declumped labels as first numbered, without objects at the border (it discards
        them first) and without too small ones, but with too large ones, before the last filling of holes;
        of IdentifySecondaryObjects, all that was grown, with holes filled: from the nuclei that are kept and from any
        nucleus at the border, under the numbers of the declumped nuclei.
        Of IdentifyTertiaryObjects and of label images that are read it is None.
    considers_discarded : "Consider objects discarded for touching image border?"; if not, pixels outside `objects` count for
        nothing. CellProfiler then erases them for the modules that follow as well: the runner keeps to that by handing on
        `np.where(objects.labels > 0, before_discarding, 0)`.

    Distances to the two closest are between centres and over all objects before discarding, numbers of the two closest are
    those among `objects`, as in CellProfiler; the two may be of different objects. Where fewer than three objects are
    there, what lacks is 0; an object without a pixel gets the distances of the last one.
    """
    if method not in METHODS:
        raise ValueError(f"MeasureObjectNeighbors: expected a method of {', '.join(METHODS)}, found {method}")
    if method == WITHIN and distance < 1:
        raise ValueError(f"MeasureObjectNeighbors: expected a neighbour distance of 1 pixel or more, found {distance}")
    labels = objects.labels if before_discarding is None else np.ascontiguousarray(before_discarding, np.int32)
    if labels.shape != objects.labels.shape:
        raise ValueError(
            f"labels before discarding are {labels.shape}, the objects {objects.labels.shape}: expected one shape"
        )
    if not considers_discarded:
        labels = np.where(objects.labels > 0, labels, np.int32(0))
    everything = Objects(labels, int(labels.max(initial=0)))
    own = relations.parents_of(labels, objects.labels, objects.count)  # numbers before discarding
    scale = {EXPANDED: "Expanded", WITHIN: str(distance), ADJACENT: "Adjacent"}[method]
    columns = _columns(objects, everything, own, distance if method == WITHIN else 1, method == EXPANDED)
    return {f"Neighbors_{feature}_{scale}": values.astype(np.float64) for feature, values in columns.items()}


def _columns(
    objects: Objects, everything: Objects, own: np.ndarray, reach: int, expanded: bool
) -> dict[str, np.ndarray]:
    filled = objects.areas > 0
    nothing = np.zeros(objects.count)
    if everything.count <= 1:
        return dict.fromkeys(
            ("NumberOfNeighbors", "FirstClosestObjectNumber", "FirstClosestDistance", "SecondClosestObjectNumber",
             "SecondClosestDistance", "AngleBetweenNeighbors", "PercentTouching"), nothing,
        )  # fmt: skip
    centres = np.stack(relations.centres(everything), 1)
    closest = _closest(centres)[own - 1]  # (count, 3); number 0, without a pixel, takes the last one's
    first, second = (centres[closest[:, n]] - centres[own - 1] for n in (1, min(2, everything.count - 1)))
    if everything.count == 2:
        second, angle = np.zeros_like(first), nothing
    else:
        with np.errstate(invalid="ignore"):
            product = (first * second)[:, ::-1].sum(1)
            lengths = (first**2)[:, ::-1].sum(1) * (second**2)[:, ::-1].sum(1)
            angle = np.arccos(product / np.sqrt(lengths)) * 180.0 / np.pi
    labels = _expanded(everything.labels) if expanded else everything.labels
    known = np.zeros(everything.count + 1, np.bool_)
    known[own] = True
    known[0] = False
    over = Objects(labels, everything.count)
    neighbours, touching, outline = _touched(labels, over.pixels, over.starts, known, reach)
    with np.errstate(invalid="ignore", divide="ignore"):
        percent = (touching * 100 / outline)[own - 1]
    numbers = _closest_numbers(centres[own - 1], filled)
    return {
        "NumberOfNeighbors": np.where(filled, neighbours[own - 1], 0),
        "FirstClosestObjectNumber": numbers[:, 0],
        "FirstClosestDistance": np.sqrt(first[:, 1] ** 2 + first[:, 0] ** 2),
        "SecondClosestObjectNumber": numbers[:, 1],
        "SecondClosestDistance": np.sqrt(second[:, 1] ** 2 + second[:, 0] ** 2),
        "AngleBetweenNeighbors": angle,
        "PercentTouching": np.where(filled, percent, 0),
    }


def _closest_numbers(centres: np.ndarray, filled: np.ndarray) -> np.ndarray:
    """Return the numbers of the two closest objects of each; of equals, the lower: (count, 2) int64, 0 where there is none."""
    count = len(centres)
    numbers = np.zeros((count, 2), np.int64)
    if count < 2:
        return numbers
    apart = centres[:, np.newaxis] - centres[np.newaxis]
    far = np.sqrt(apart[..., 0] * apart[..., 0] + apart[..., 1] * apart[..., 1])
    far[~filled], far[:, ~filled] = np.inf, np.inf
    order = np.argsort(far, axis=1, kind="stable")[:, 1:3] + 1
    numbers[filled, : order.shape[1]] = order[filled]
    return numbers


@numba.njit(cache=True, nogil=True)
def _closest(centres: np.ndarray) -> np.ndarray:
    """Return the three objects closest to each, itself among them, as numpy's argpartition orders equals: (count, 3) int64.

    For the lowest places that is a selection sort, which swaps what it finds to the front; NaN comes last.
    """
    count = len(centres)
    closest = np.zeros((count, 3), np.int64)
    for k in range(count):
        far = np.sqrt((centres[k, 0] - centres[:, 0]) ** 2 + (centres[k, 1] - centres[:, 1]) ** 2)
        order = np.arange(count)
        for place in range(min(count, 3)):
            least = place
            for n in range(place + 1, count):
                here, best = far[order[n]], far[order[least]]
                if here < best or (np.isnan(best) and not np.isnan(here)):
                    least = n
            order[place], order[least] = order[least], order[place]
            closest[k, place] = order[place]
    return closest


@numba.njit(cache=True, nogil=True)
def _expanded(labels: np.ndarray) -> np.ndarray:
    """Return each pixel's nearest label, of equally near ones that which scipy's feature transform takes.

    Along columns the upper of two; then along rows by the lower envelope of parabolas (Maurer et al. 2003), whose
    sites leave it only when they are nowhere strictly nearest, and the left of two.
    """
    height, width = labels.shape
    nearest = np.full((height, width), -1, np.int64)  # row of the nearest labelled pixel in the column
    for j in range(width):
        above = -1
        for i in range(height):
            above = i if labels[i, j] > 0 else above
            nearest[i, j] = above
        below = -1
        for i in range(height - 1, -1, -1):
            below = i if labels[i, j] > 0 else below
            if nearest[i, j] < 0 or (below >= 0 and below - i < i - nearest[i, j]):
                nearest[i, j] = below
    out, sites, away = np.zeros_like(labels), np.empty(width, np.int64), np.empty(width, np.int64)
    for i in range(height):
        last = -1
        for j in range(width):
            if nearest[i, j] < 0:
                continue
            away[j] = (nearest[i, j] - i) ** 2
            while last >= 1:
                middle, before = sites[last], sites[last - 1]
                a, b = middle - before, j - middle
                if (a + b) * away[middle] - b * away[before] - a * away[j] - a * b * (a + b) <= 0:
                    break
                last -= 1
            last += 1
            sites[last] = j
        at = 0
        for j in range(width):
            if last < 0:
                break
            while at < last and (sites[at] - j) ** 2 + away[sites[at]] > (sites[at + 1] - j) ** 2 + away[sites[at + 1]]:
                at += 1
            out[i, j] = labels[nearest[i, sites[at]], sites[at]]
    return out


@numba.njit(cache=True, nogil=True)
def _touched(
    labels: np.ndarray, pixels: np.ndarray, starts: np.ndarray, known: np.ndarray, reach: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return of each object how many others lie within `reach`, its outline's pixels within `reach` + 0.5 of any, and all.

    The outline is what has another label among its eight neighbours, or lies at the image's border. Of objects that are
    not `known` only the outline is counted.
    """
    height, width = labels.shape
    count = starts.size - 1
    neighbours, touching, outline = np.zeros(count, np.int64), np.zeros(count, np.int64), np.zeros(count, np.int64)
    met = np.zeros(count + 1, np.int64)
    for k in range(count):
        for at in range(starts[k], starts[k + 1]):
            row = pixels[at] // width
            column = pixels[at] - row * width
            rim = row == 0 or column == 0 or row == height - 1 or column == width - 1
            if not rim:
                for i in range(row - 1, row + 2):
                    for j in range(column - 1, column + 2):
                        rim |= labels[i, j] != k + 1
            if not rim:
                continue
            outline[k] += 1
            if not known[k + 1]:
                continue
            touches = False
            for i in range(max(row - reach, 0), min(row + reach + 1, height)):
                for j in range(max(column - reach, 0), min(column + reach + 1, width)):
                    other = labels[i, j]
                    if other > 0 and other != k + 1:
                        squared = (i - row) ** 2 + (j - column) ** 2
                        touches |= squared <= (reach + 0.5) ** 2
                        if squared <= reach * reach and met[other] != k + 1:
                            met[other] = k + 1
                            neighbours[k] += 1
            touching[k] += touches
    return neighbours, touching, outline
