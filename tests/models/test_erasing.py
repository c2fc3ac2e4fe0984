"""Cells taken out of crops: nothing of the cell stays, no silhouette of it, what surrounds it stays; and the other way round."""

from __future__ import annotations

import numpy as np
import pytest

from brightpaint import store
from brightpaint.models import erasing
from brightpaint.models.erasing import BACKGROUND, BOTH, CELL, Erasing
from cells_fixture import write_cells

SIZE = (1, 32, 32)


def ellipse(long: float, wide: float, middle=(16, 16), size=SIZE) -> np.ndarray:
    z, y, x = np.indices(size)
    return ((y - middle[0]) / long) ** 2 + ((x - middle[1]) / wide) ** 2 <= 1


def rng():
    return np.random.default_rng(0)


MASKS = {
    "another": (ellipse(6, 4), ellipse(3, 8)),
    "off the middle": (ellipse(5, 5), ellipse(4, 4, (8, 25))),
    "at a border": (ellipse(8, 5, (1, 16)), ellipse(3, 3)),
    "one pixel": (ellipse(0.5, 0.5), ellipse(6, 6)),
    "a donor of one pixel": (ellipse(6, 6), ellipse(0.5, 0.5)),
    "a donor without pixels": (ellipse(6, 6), np.zeros(SIZE, bool)),
    "3d": (ellipse(6, 4, size=(5, 32, 32)), ellipse(3, 8, size=(5, 32, 32))),
}


@pytest.mark.parametrize("name", MASKS)
def test_nothing_of_the_cell_stays_and_what_lies_far_from_it_does(name):
    own, other = MASKS[name]
    image = np.random.default_rng(1).normal(0, 1, (2, *own.shape)) + 100 * own
    gone = erasing.hole(own, [other])
    erased = erasing.cell_erased(image, own, gone, rng())
    assert gone[own].all() and not gone.all() and np.abs(erased).max() < 10
    np.testing.assert_array_equal(erased[:, ~gone], image[:, ~gone])
    alike = erasing.cell_erased(np.stack([image[0], 2 * image[0]]), own, gone, rng())
    np.testing.assert_allclose(alike[1], 2 * alike[0], rtol=1e-4, atol=1e-4)  # channels stay together


def test_a_hole_does_not_tell_which_of_the_shapes_is_the_cells():
    """Two shapes are told apart by their own masks, and little better than by chance by the holes that are left of them."""
    shapes = [ellipse(*pair) for pair in [(8, 4), (4, 8)] for _ in range(200)]
    classes, draw = np.repeat([0, 1], 200), np.random.default_rng(3)
    donors = erasing.donors_of(range(400))
    holes = np.array([erasing.hole(own, [shapes[one] for one in own_s]) for own, own_s in zip(shapes, donors)])

    def accuracy(masks):
        train = draw.permutation(400) < 200
        middles = np.array([masks[train & (classes == one)].mean(axis=0) for one in (0, 1)])
        far = ((masks[:, None] - middles) ** 2).sum(axis=(2, 3, 4))
        return (far.argmin(axis=1) == classes)[~train].mean()

    alone = np.array([erasing.hole(own, []) for own in shapes], float)
    assert accuracy(np.array(shapes, float)) == 1 == accuracy(alone)
    assert accuracy(holes.astype(float)) < 0.7
    assert all(hole[own].all() for hole, own in zip(holes, shapes)) and holes.mean() < 0.5


def test_a_hole_is_filled_from_the_background_that_lies_nearest_and_not_from_neighbours_nor_their_rims():
    own, neighbour = ellipse(4, 4), ellipse(3, 3, (16, 27))
    far, rim = ~ellipse(14, 14), ellipse(4.5, 4.5, (16, 27)) & ~neighbour
    image = np.where(own, 50.0, np.where(neighbour, 70.0, np.where(rim, 30.0, np.where(far, 9.0, 1.0))))[None]
    gone, everything = erasing.hole(own, [ellipse(4, 4)]), np.ones(SIZE, bool)
    np.testing.assert_allclose(erasing.cell_erased(image, own | neighbour, gone, rng())[0][gone], 1, atol=1e-5)
    crowded = erasing.cell_erased(image, everything, gone, rng())
    assert crowded.max() <= 70 and (crowded != 50).all()
    assert (erasing.cell_erased(image, everything, everything, rng()) == 0).all()
    assert not erasing.hole(np.zeros(SIZE, bool), [own]).any()
    np.testing.assert_array_equal(erasing.cell_erased(image, own, np.zeros(SIZE, bool), rng()), image)


@pytest.mark.parametrize("period", [5.0, 9.3, 19.0])
@pytest.mark.parametrize("size", [(1, 64, 64), (1, 48, 80), (5, 64, 64)])
def test_stripes_behind_a_cell_go_on_in_its_place_with_their_grain(size, period):
    """What is carried on differs from the stripes by little more than their noise, whose s.d. is kept, in every channel."""
    z, y, x = np.indices(size)
    middle = (size[1] / 2, size[2] / 2)
    own, noise = ellipse(12, 9, middle, size), np.random.default_rng(2).normal(0, 0.1, (2, *size))
    turns = (0.8 * x + 0.6 * y) / period
    stripes = np.stack([np.cos(2 * np.pi * turns), 3 + 0.5 * np.sin(2 * np.pi * turns)])
    image, gone = np.where(own, 20.0, stripes + noise), erasing.hole(own, [ellipse(9, 12, middle, size)])
    left = erasing.cell_erased(image, own, gone, rng())[:, gone] - stripes[:, gone]
    assert gone.sum() > 500 * size[0] and (np.abs(left.mean(axis=1)) < 0.05).all()
    assert (left.std(axis=1) > 0.09).all() and (left.std(axis=1) < [0.25, 0.15]).all(), left.std(axis=1)


def test_noise_is_carried_on_as_noise_and_what_is_even_as_even():
    own = ellipse(9, 7)
    gone, noise = erasing.hole(own, [ellipse(7, 9)]), np.random.default_rng(4).normal(5, 1, (1, *SIZE))
    for seed in range(5):
        image = np.where(own, 50.0, noise if seed == 0 else np.random.default_rng(seed).normal(5, 1, (1, *SIZE)))
        found = erasing.cell_erased(image, own, gone, rng())[0][gone]
        assert 0.8 < found.std() < 1.25 and abs(found.mean() - 5) < 0.2
        assert found.min() >= image.min() - 1 and found[found < 20].size == found.size
    even = erasing.cell_erased(np.where(own, 50.0, 3.0)[None], own, gone, rng())
    np.testing.assert_allclose(even, 3, atol=1e-5)


def test_what_surrounds_a_cell_is_another_crops_background():
    own = ellipse(5, 5)
    image, donor = np.where(own, 5.0, 1.0)[None], np.where(ellipse(8, 8), 70.0, 2.0)[None]
    background = erasing.background_of(donor, ellipse(8, 8), ellipse(8, 8))
    changed = erasing.surroundings_erased(image, own, background, rng())
    assert (changed[0][own] == 5).all() and (changed[0][~own] == 2).all()
    assert (erasing.background_of(donor, ellipse(8, 8), np.ones(SIZE, bool)) == 2).all()
    assert (erasing.background_of(donor, np.ones(SIZE, bool), np.ones(SIZE, bool)) == 0).all()


def test_every_crop_has_another_for_donor_and_the_same_whenever_it_is_asked_for(tmp_path):
    donors = erasing.donors_of([4, 7, 9, 30])
    assert all(sorted([one, *others]) == [4, 7, 9, 30] for one, others in zip([4, 7, 9, 30], donors.tolist()))
    assert erasing.donors_of([5]).tolist() == [[5] * erasing.DONORS] and not len(erasing.donors_of([]))
    path = write_cells(tmp_path / "P1.tif", wells={"A01": "a", "A02": "b"}, cells=4)
    source = store.CropBatches([store.open_crops(path)])
    images, masks = source.take(range(8))
    for what in (CELL, BACKGROUND, BOTH):
        shown = Erasing(what, [path], ["DNA", "RNA"], range(8))
        whole = shown(images, masks, np.arange(8))
        np.testing.assert_array_equal(shown(images[3:5], masks[3:5], np.array([3, 4])), whole[3:5])
        changed = (whole != images).any(axis=1)
        inside = masks[:, 0] > 0
        assert changed[inside].all() == (what != BACKGROUND) and changed[~inside].any()
        assert shown(images[:0], masks[:0], np.arange(0)).shape == (0, *images.shape[1:])
        if what != BACKGROUND:
            assert np.abs(whole[:, 0].mean() - images[:, 0][masks[:, 1] == 0].mean()) < 0.1  # the cells' 1 is gone
