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
    first = {tuple(pixel) for pixel in image.reshape(2, -1).T}
    assert all(
        tuple(pixel) in first for pixel in erased[:, gone].T
    )  # channels stay together: each a pixel that was there


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
    far, rim = ~ellipse(14, 14), ellipse(5, 5, (16, 27)) & ~neighbour
    image = np.where(own, 50.0, np.where(neighbour, 70.0, np.where(rim, 30.0, np.where(far, 9.0, 1.0))))[None]
    gone, everything = erasing.hole(own, [ellipse(4, 4)]), np.ones(SIZE, bool)
    assert (erasing.cell_erased(image, own | neighbour, gone, rng())[0][gone] == 1).all()
    crowded = erasing.cell_erased(image, everything, gone, rng())
    assert crowded.max() <= 70 and (crowded != 50).all()
    assert (erasing.cell_erased(image, everything, everything, rng()) == 0).all()
    assert not erasing.hole(np.zeros(SIZE, bool), [own]).any()
    np.testing.assert_array_equal(erasing.cell_erased(image, own, np.zeros(SIZE, bool), rng()), image)


@pytest.mark.parametrize("size", [(1, 64, 64), (5, 64, 64)])
def test_the_background_goes_on_with_its_texture_where_a_cell_was(size):
    x = np.indices(size)[2]
    own = ellipse(12, 9, (32, 32), size)
    image = np.where(own, 20.0, np.cos(2 * np.pi * x / 9) + np.random.default_rng(2).normal(0, 0.1, size))[None]
    gone = erasing.hole(own, [ellipse(9, 12, (32, 32), size)])
    found = erasing.cell_erased(image, own, gone, rng())[0]

    def strength(filled: np.ndarray) -> float:
        """Of the stripes about the middle, by windows of a period: 0.5 without a seam that shifts them."""
        waves = filled * np.exp(2j * np.pi * x / 9)
        windows = [np.abs(waves[..., at : at + 9].mean(axis=2)) for at in range(24, 32)]
        return float(np.mean([window[:, 24:40].mean() for window in windows]))

    assert np.abs(found).max() < 2 and strength(found) > 0.4
    assert strength(np.where(gone, rng().choice(image[0][~gone], size), image[0])) < 0.25


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
