"""Rings from an object's centre to its edge, against plain numpy, scipy and Dijkstra's way."""

from __future__ import annotations

import heapq

import numpy as np
import pytest
from scipy import ndimage

from brightpaint.features.engine import numpy_order, radial
from brightpaint.features.engine.objects import Objects


def drawn() -> Objects:
    """Return touching objects, a ring, a bent one, one in two pieces, one pixel, one at the border, and one of none."""
    labels = np.zeros((48, 60), np.int32)
    labels[:15, :18], labels[:15, 18:31], labels[20:41, 3:24] = 1, 2, 3
    labels[25:33, 8:18] = 0
    labels[20:44, 30:35], labels[38:44, 30:50] = 4, 4
    labels[3:9, 40:47], labels[12:14, 40:47] = 5, 5
    labels[18, 55], labels[25:48, 52:60] = 6, 8
    return Objects(labels, 8)


def shortest_ways(mask: np.ndarray, centre: tuple[int, int]) -> np.ndarray:
    """Return the length of the shortest way inside a mask, over eight neighbours: (H, W), inf where there is none."""
    far = np.full(mask.shape, np.inf)
    far[centre] = 0
    queue = [(0.0, centre)]
    while queue:
        here, (i, j) = heapq.heappop(queue)
        for y, x in np.ndindex(3, 3):
            there = (i + y - 1, j + x - 1)
            if 0 <= there[0] < mask.shape[0] and 0 <= there[1] < mask.shape[1] and mask[there]:
                length = here + (np.sqrt(2) if y != 1 and x != 1 else 1)
                if length < far[there] - 1e-9:
                    far[there] = length
                    heapq.heappush(queue, (length, there))
    return far


def naive(mask: np.ndarray, image: np.ndarray, centre: tuple, bins: int, reach: float | None) -> dict[str, list[float]]:
    """Return an object's FracAtD, MeanFrac and RadialCV by ring; `reach` is the maximum radius where rings aren't scaled."""
    far = shortest_ways(mask, centre)
    good = mask & np.isfinite(far)
    share = (
        far[good] / (far[good] + ndimage.distance_transform_edt(mask)[good] + 0.001)
        if reach is None
        else far[good] / reach
    )
    ring = np.minimum((share * bins).astype(int), bins)
    rows, columns = np.nonzero(good)
    down, right = rows - centre[0], columns - centre[1]
    wedge = (down > 0) + 2 * (right > 0) + 4 * (abs(down) > abs(right))
    found: dict[str, list[float]] = {"FracAtD": [], "MeanFrac": [], "RadialCV": []}
    for n in range(bins if reach is None else bins + 1):
        fraction = image[good][ring == n].sum() / image[good].sum()
        found["FracAtD"].append(fraction)
        found["MeanFrac"].append(fraction / ((ring == n).mean() + np.finfo(float).eps))
        means = [image[good][(ring == n) & (wedge == w)].mean() for w in range(8) if ((ring == n) & (wedge == w)).any()]
        found["RadialCV"].append(np.std(means) / np.mean(means) if means else 0)
    return found


@pytest.mark.parametrize(("bins", "reach"), [(4, None), (3, 8.0)])
def test_rings_are_those_of_their_definition(bins, reach):
    objects = drawn()
    image = np.random.default_rng(0).random(objects.labels.shape)
    how = {"bins": bins} if reach is None else {"bins": bins, "scaled": False, "maximum_radius": reach}
    found = radial.measure(objects, {"DNA": image}, **how)
    depths = sum(ndimage.distance_transform_edt(objects.labels == n) for n in range(1, 9))
    places = numpy_order.maximum_places(objects.labels.ravel(), np.rint(depths**2).ravel(), 8)
    for number in (1, 2, 3, 4, 5, 6, 8):
        mask = objects.labels == number
        centre = np.unravel_index(places[number - 1], mask.shape)
        assert mask[centre] and depths[centre] == depths[mask].max()
        expected = naive(mask, image, centre, bins, reach)
        for feature, values in expected.items():
            names = [f"{n + 1}of{bins}" if n < bins else "Overflow" for n in range(len(values))]
            got = [found[f"RadialDistribution_{feature}_DNA_{name}"][number - 1] for name in names]
            assert got == pytest.approx(values, rel=1e-9, abs=1e-12), (number, feature)
    assert len(found) == 3 * (bins if reach is None else bins + 1)
    empty = [float(column[6]) for column in found.values()]
    assert np.isnan(empty[0::3]).all() and np.isnan(empty[1::3]).all() and empty[2::3] == [0] * len(empty[2::3])


def test_float32_images_are_added_up_in_float32():
    """As scipy's sparse matrices do in CellProfiler: fractions have its last bits, not better ones."""
    labels = np.ones((40, 40), np.int32)
    labels[0] = 0
    image = np.random.default_rng(1).random((40, 40)).astype(np.float32)
    found = radial.measure(Objects(labels, 1), {"A": image}, bins=1)
    assert found["RadialDistribution_FracAtD_A_1of1"] == [1]
    fractions = [radial.measure(Objects(labels, 1), {"A": one}, bins=2) for one in (image, image.astype(float))]
    name = "RadialDistribution_FracAtD_A_1of2"
    assert fractions[0][name] == pytest.approx(fractions[1][name], rel=1e-4)
    assert np.float32(fractions[0][name][0]) == fractions[0][name][0] != fractions[1][name][0]


def test_dark_constant_and_no_objects():
    objects = drawn()
    dark = radial.measure(objects, {"A": np.zeros(objects.labels.shape, np.float32)})
    assert (
        np.isnan(dark["RadialDistribution_FracAtD_A_1of4"]).all()
        and not dark["RadialDistribution_RadialCV_A_1of4"].any()
    )
    even = radial.measure(objects, {"A": np.ones(objects.labels.shape, np.float32)})
    assert even["RadialDistribution_RadialCV_A_2of4"][0] == 0
    assert even["RadialDistribution_MeanFrac_A_2of4"][0] == pytest.approx(1, rel=1e-6)
    none = radial.measure(Objects(np.zeros((4, 5), np.int32), 0), {"A": np.ones((4, 5), np.float32)})
    assert len(none) == 12 and all(column.shape == (0,) for column in none.values())


def test_an_object_that_fills_the_image_has_scipys_distances():
    full = Objects(np.ones((3, 4), np.int32), 1)
    image = np.arange(12, dtype=np.float32).reshape(3, 4)
    depth = ndimage.distance_transform_edt(np.ones((3, 4)))
    far = shortest_ways(np.ones((3, 4), bool), (2, 3))  # scipy measures from a pixel beyond the upper left
    ring = (far / (far + depth + 0.001) * 4).astype(int)
    found = radial.measure(full, {"A": image})
    shares = [found[f"RadialDistribution_FracAtD_A_{n}of4"][0] for n in (1, 2, 3, 4)]
    assert shares == pytest.approx([image[ring == n].sum() / 66 for n in range(4)], rel=1e-6)


def test_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"image A is \(4, 6\), its objects \(48, 60\): expected one shape"):
        radial.measure(drawn(), {"A": np.zeros((4, 6), np.float32)})
