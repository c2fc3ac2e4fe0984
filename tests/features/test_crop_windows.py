"""Windows about cells: known places, each policy at the border, masks of cells that touch, and naive references."""

from __future__ import annotations

import numpy as np
import pytest

from brightpaint.features import crop_windows


def test_the_middle_of_each_object_is_that_of_its_pixels():
    labels = np.zeros((3, 8, 9), np.uint16)
    labels[0, 2:5, 3:8], labels[1:, 6, 1], labels[2, 7, 8] = 4, 2, 9
    numbers, middles = crop_windows.centres(labels)
    assert numbers.tolist() == [2, 4, 9]
    assert middles.tolist() == [[1.5, 6, 1], [0, 3, 5], [2, 7, 8]]
    naive = [np.argwhere(labels == number).mean(axis=0).tolist() for number in numbers]
    assert middles.tolist() == naive


def test_a_label_image_without_objects_has_no_middles():
    numbers, middles = crop_windows.centres(np.zeros((1, 8, 8), np.uint16))
    assert len(numbers) == 0 and middles.shape == (0, 3)


@pytest.mark.parametrize(
    "middle, size, start", [(4, 5, 2), (4, 4, 2), (4.49, 5, 2), (4.5, 5, 3), (0, 6, -3), (7, 1, 7)]
)
def test_a_window_lies_about_the_pixel_nearest_to_its_middle(middle, size, start):
    assert crop_windows.starts([middle], [size]).tolist() == [start]


def test_each_policy_at_the_border():
    start, size, shape = np.array([0, -2, 6]), (1, 4, 4), (1, 8, 8)
    assert crop_windows.reaches_out(start, size, shape)
    assert crop_windows.placed(start, size, shape, "drop") is None
    assert crop_windows.placed(start, size, shape, "pad").tolist() == [0, -2, 6]
    assert crop_windows.placed(start, size, shape, "shift").tolist() == [0, 0, 4]
    inside = np.array([0, 4, 4])
    assert not crop_windows.reaches_out(inside, size, shape)
    for border in crop_windows.BORDERS:
        assert crop_windows.placed(inside, size, shape, border).tolist() == [0, 4, 4]
    with pytest.raises(
        ValueError, match=r"crops of \(1, 9, 4\) pixels are larger than images of \(1, 8, 8\) .* to pad"
    ):
        crop_windows.placed(start, (1, 9, 4), shape, "shift")


def test_a_window_is_cut_as_from_an_image_with_a_wide_rim_of_zeros():
    image = np.random.default_rng(0).normal(size=(2, 3, 7, 9)).astype(np.float32)
    rim = np.pad(image, ((0, 0), (9, 9), (9, 9), (9, 9)))
    for start in np.random.default_rng(1).integers(-8, 10, (200, 3)):
        z, y, x = start + 9
        assert (crop_windows.cut(image, start, (2, 5, 4)) == rim[:, z : z + 2, y : y + 5, x : x + 4]).all()


def test_of_two_cells_that_touch_the_own_mask_holds_one_and_the_other_both():
    labels = np.zeros((1, 8, 8), np.uint16)
    labels[0, 2:6, 1:4], labels[0, 2:6, 4:7] = 1, 2
    own, every = crop_windows.cut_masks(labels, 2, np.array([0, 2, 2]), (1, 4, 6))
    assert own.dtype == np.uint8 and own[0].tolist() == [[0, 0, 1, 1, 1, 0]] * 4
    assert every[0].tolist() == [[1, 1, 1, 1, 1, 0]] * 4


def test_a_flat_label_image_serves_every_plane_and_one_of_planes_its_own():
    labels = np.zeros((1, 4, 4), np.uint16)
    labels[0, 1, 1] = 3
    masks = crop_windows.cut_masks(labels, 3, np.array([2, 0, 0]), (5, 4, 4))
    assert masks.shape == (2, 5, 4, 4) and (masks == masks[:, :1]).all() and masks.sum() == 10
    deep = np.concatenate([labels, np.zeros_like(labels)])
    assert crop_windows.cut_masks(deep, 3, np.array([-1, 0, 0]), (3, 4, 4)).sum(axis=(0, 2, 3)).tolist() == [0, 2, 0]


def test_a_crop_is_brought_to_a_size_and_its_masks_stay_masks():
    y, x = np.mgrid[:32, :32]
    image = np.stack([y, x])[:, None].astype(np.float32)  # (2, 1, 32, 32)
    masks = np.stack([y < 16, y >= 0])[:, None].astype(np.uint8)
    small, half = crop_windows.brought_to(image, masks, 16)
    assert np.allclose(small[0, 0, 4:12, 0], 2 * np.arange(4, 12) + 0.5, atol=1e-3)
    assert half.shape == (2, 1, 16, 16) and half[0].sum() == 8 * 16 and set(np.unique(half)) == {0, 1}
    large, twice = crop_windows.brought_to(image, masks, 64)
    assert large.shape == (2, 1, 64, 64) and twice[0].sum() == 32 * 64
    assert crop_windows.brought_to(image, masks, 32)[0] is image
