"""Neighbours of objects, against whole images, scipy and plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from brightpaint.features.engine import neighbours
from brightpaint.features.engine.objects import Objects


def drawn() -> tuple[Objects, np.ndarray]:
    """Return objects and the labels before discarding: those at the border, one too large, and numbers with gaps."""
    before = np.zeros((64, 80), np.int32)
    before[0:6, 5:15], before[8:16, 4:14], before[16:22, 6:12], before[10:20, 17:25] = 2, 3, 5, 6
    before[30:60, 40:75], before[33:40, 20:30], before[45:50, 76:80], before[41:44, 30:33] = 7, 9, 10, 11
    before[36, 24] = 0  # a hole that is filled after discarding
    kept = np.zeros_like(before)
    for number, name in enumerate((3, 5, 6, 9, 11), 1):
        kept[before == name] = number
    kept[36, 24] = 4
    return Objects(kept, 6), before  # the sixth has no pixel


def disk(radius: float) -> np.ndarray:
    y, x = np.mgrid[-int(radius) : int(radius) + 1, -int(radius) : int(radius) + 1]
    return y * y + x * x <= radius * radius


def naive(labels: np.ndarray, number: int, reach: int) -> tuple[int, float]:
    """Return how many other objects lie within reach of one, and the percentage of its outline that touches them."""
    mask = labels == number
    within = np.setdiff1d(labels[ndimage.binary_dilation(mask, disk(reach))], [0, number])
    padded = np.pad(labels, 1, constant_values=-1)
    around = [padded[i : i + mask.shape[0], j : j + mask.shape[1]] != number for i in range(3) for j in range(3)]
    outline = mask & np.any(around, axis=0)
    others = ndimage.binary_dilation((labels != 0) & ~mask, disk(reach + 0.5))
    return len(within), 100 * (outline & others).sum() / outline.sum()


@pytest.mark.parametrize(
    ("method", "distance", "suffix"),
    [(neighbours.WITHIN, 1, "1"), (neighbours.WITHIN, 7, "7"), (neighbours.ADJACENT, 0, "Adjacent"),
     (neighbours.EXPANDED, 0, "Expanded")],
)  # fmt: skip
@pytest.mark.parametrize("considers", [True, False])
def test_neighbours_are_those_of_the_definition(method, distance, suffix, considers):
    objects, before = drawn()
    found = neighbours.measure(
        objects, method=method, distance=distance, before_discarding=before, considers_discarded=considers
    )
    if not considers:
        before = np.where(objects.labels > 0, before, 0)
    labels = before
    if method == neighbours.EXPANDED:
        i, j = ndimage.distance_transform_edt(before == 0, return_distances=False, return_indices=True)
        labels = before[i, j]
    numbers = [n for n in range(1, 12) if (before == n).any()]
    centres = {n: np.array(ndimage.center_of_mass(before == n)) for n in numbers}
    for kept, number in enumerate((3, 5, 6, 9, 11)):
        row = {name.removeprefix("Neighbors_").removesuffix(f"_{suffix}"): v[kept] for name, v in found.items()}
        many, percent = naive(labels, number, distance or 1)
        assert row["NumberOfNeighbors"] == many and row["PercentTouching"] == pytest.approx(percent, rel=1e-12)
        near = sorted((n for n in numbers if n != number), key=lambda n: np.linalg.norm(centres[n] - centres[number]))
        first, second = (centres[n] - centres[number] for n in near[:2])
        assert row["FirstClosestDistance"] == pytest.approx(np.linalg.norm(first))
        assert row["SecondClosestDistance"] == pytest.approx(np.linalg.norm(second))
        cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
        assert row["AngleBetweenNeighbors"] == pytest.approx(np.degrees(np.arccos(cosine)))
        among = [(3, 5, 6, 9, 11).index(n) + 1 for n in near if n in (3, 5, 6, 9, 11)]
        assert [row["FirstClosestObjectNumber"], row["SecondClosestObjectNumber"]] == among[:2]
    empty = {name.split("_")[1]: column[5] for name, column in found.items()}
    assert empty["NumberOfNeighbors"] == empty["PercentTouching"] == empty["FirstClosestObjectNumber"] == 0
    assert all(column.dtype == np.float64 and column.shape == (6,) for column in found.values()) and len(found) == 7


@pytest.mark.parametrize("share", [0.003, 0.02, 0.3])
def test_labels_expand_as_scipys_feature_transform(share):
    """Ties too: many of these pixels are as near to two labels."""
    rng = np.random.default_rng(7)
    labels = np.where(rng.random((90, 70)) < share, rng.integers(1, 30, (90, 70)), 0).astype(np.int32)
    i, j = ndimage.distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
    assert labels.any() and np.array_equal(neighbours._expanded(labels), labels[i, j])


def test_few_objects():
    one = np.zeros((9, 9), np.int32)
    one[2:4, 2:4] = 1
    alone = neighbours.measure(Objects(one, 1), method=neighbours.EXPANDED)
    assert len(alone) == 7 and not any(column.any() for column in alone.values())
    two = one.copy()
    two[6:8, 2:4] = 2
    pair = neighbours.measure(Objects(two, 2), method=neighbours.EXPANDED)
    assert list(pair["Neighbors_FirstClosestObjectNumber_Expanded"]) == [2, 1]
    assert list(pair["Neighbors_FirstClosestDistance_Expanded"]) == [4, 4]
    assert list(pair["Neighbors_NumberOfNeighbors_Expanded"]) == [1, 1]
    assert not pair["Neighbors_SecondClosestDistance_Expanded"].any()
    assert not pair["Neighbors_AngleBetweenNeighbors_Expanded"].any()
    none = neighbours.measure(
        Objects(np.zeros_like(two), 0), method=neighbours.WITHIN, distance=1, before_discarding=two
    )
    assert all(column.shape == (0,) for column in none.values())
    empty = neighbours.measure(Objects(np.zeros_like(two), 0), method=neighbours.EXPANDED)
    assert all(column.shape == (0,) for column in empty.values())


def test_of_equally_close_ones_the_first_counts():
    labels = np.zeros((11, 11), np.int32)
    labels[5, 5], labels[1, 5], labels[5, 1], labels[5, 9], labels[9, 5] = 1, 2, 3, 4, 5
    found = neighbours.measure(Objects(labels, 5), method=neighbours.WITHIN, distance=1)
    assert found["Neighbors_FirstClosestObjectNumber_1"][0] == 2
    assert found["Neighbors_SecondClosestObjectNumber_1"][0] == 3
    assert found["Neighbors_AngleBetweenNeighbors_1"][0] == pytest.approx(90)


def test_what_cannot_be_measured_is_refused():
    objects, before = drawn()
    with pytest.raises(ValueError, match="expected a method of Expand until adjacent, .*, found Nearby"):
        neighbours.measure(objects, method="Nearby")
    with pytest.raises(ValueError, match="expected a neighbour distance of 1 pixel or more, found 0"):
        neighbours.measure(objects, method=neighbours.WITHIN, distance=0)
    with pytest.raises(ValueError, match=r"labels before discarding are \(63, 80\), the objects \(64, 80\)"):
        neighbours.measure(objects, method=neighbours.ADJACENT, before_discarding=before[1:])
