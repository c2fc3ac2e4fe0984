"""The sliced Wasserstein distance of patches: known answers, the pyramid's identities, and the naive distance by sorting."""

from __future__ import annotations

import numpy as np
import pytest

from brightpaint.scores.generation import patches

RNG = np.random.default_rng(0)


def test_fields_become_the_means_of_their_middle():
    images = RNG.normal(size=(2, 3, 200, 210)).astype(np.float32)
    found = patches.reduced(images)
    assert found.shape == (2, 3, 64, 64)  # the middle 192 of 200 x 210
    np.testing.assert_allclose(found[0, 1, 0, 0], images[0, 1, 4:7, 9:12].mean(), rtol=1e-5)
    assert patches.reduced(images[..., :40, :40]).shape == (2, 3, 32, 32)
    np.testing.assert_array_equal(patches.reduced(images[..., :64, :64]), images[..., :64, :64])


def test_a_pyramid_s_levels_give_the_image_again_and_a_constant_lies_in_the_last_alone():
    image = RNG.normal(size=(2, 64, 64))
    levels = patches.pyramid(image)
    assert [level.shape[-1] for level in levels] == [64, 32, 16]
    again = levels[-1]
    for level in levels[-2::-1]:
        again = level + patches.enlarged(again)
    np.testing.assert_allclose(again, image, atol=1e-12)
    flat = patches.pyramid(np.full((1, 64, 64), 3.0))
    np.testing.assert_allclose(flat[0][..., 4:-4, 4:-4], 0, atol=1e-12)
    np.testing.assert_allclose(flat[-1][..., 1:-1, 1:-1], 3.0)
    assert len(patches.pyramid(np.zeros((1, 16, 16)))) == 1


def test_patches_lie_within_the_image_and_are_drawn_by_the_generator_alone():
    image = np.arange(2 * 9 * 9, dtype=float).reshape(2, 9, 9)
    drawn = [patches.patches_of(image, 50, np.random.default_rng(4)) for _ in range(2)]
    np.testing.assert_array_equal(*drawn)
    corners = {(y, x) for y in range(3) for x in range(3)}
    found = {tuple(divmod(int(patch[0, 0, 0]), 9)) for patch in drawn[0]}
    assert found <= corners and len(found) > 5
    for patch in drawn[0]:
        y, x = divmod(int(patch[0, 0, 0]), 9)
        np.testing.assert_array_equal(patch, image[:, y : y + 7, x : x + 7])
    assert patches.patches_of(image[:, :4, :4], 2, np.random.default_rng(0)).shape == (2, 2, 4, 4)


def test_each_channel_is_scaled_by_itself_and_a_flat_one_is_nothing():
    drawn = RNG.normal(size=(30, 2, 7, 7)) * np.array([5.0, 0.0])[None, :, None, None] + 2
    found = patches.scaled(drawn).reshape(30, 2, 49)
    assert found[:, 0].mean() == pytest.approx(0, abs=1e-9) and found[:, 0].std() == pytest.approx(1)
    assert (found[:, 1] == 0).all()


def test_a_shift_s_distance_is_its_length_along_each_direction():
    side = RNG.normal(size=(400, 3))
    shift = np.array([0.5, -1.0, 0.0])
    owners = np.zeros(400, int)
    found = patches.sliced((side, side + shift), (owners, owners), np.ones((1, 1)))
    assert found[0] == pytest.approx(np.abs(shift).mean(), abs=5e-3)
    assert patches.sliced((side, side[::-1]), (owners, owners), np.ones((1, 1)))[0] == pytest.approx(0, abs=1e-12)


def test_the_binned_distance_is_that_of_sorted_values():
    one, other = RNG.normal(size=(300, 4)), RNG.gamma(2.0, size=(300, 4))
    naive = np.abs(np.sort(one, axis=0) - np.sort(other, axis=0)).mean()
    owners = np.zeros(300, int)
    assert patches.sliced((one, other), (owners, owners), np.ones((1, 1)))[0] == pytest.approx(naive, abs=5e-3)


def test_owners_count_by_their_weight_on_both_sides_however_many_vectors_they_have():
    """One treatment in many real fields and few painted ones is no distance; one that is weighted 0 has no part."""
    one = np.concatenate([np.zeros((90, 1)), np.ones((10, 1)), np.full((5, 1), 7.0)])
    other = np.concatenate([np.zeros((10, 1)), np.ones((90, 1)), np.full((5, 1), -7.0)])
    owners = np.repeat([0, 1, 2], [90, 10, 5]), np.repeat([0, 1, 2], [10, 90, 5])
    found = patches.sliced((one, other), owners, np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [2.0, 1.0, 0.0]]))
    assert found[[0, 2]] == pytest.approx(0, abs=1e-12) and found[1] == pytest.approx(7.0, abs=0.05)


def test_textures_are_told_apart_at_their_level_and_draws_of_one_are_not():
    """Noise smoothed by 1 px and by 4: the fine level differs most from the same; a second draw is near at all levels."""
    from scipy import ndimage

    def heap(sd, seed):
        noise = np.random.default_rng(seed).normal(size=(12, 1, 64, 64))
        return ndimage.gaussian_filter(noise, (0, 0, sd, sd))

    def distances(first, second):
        found = []
        for level in range(3):
            drawn = [patches.scaled(np.concatenate([patches.patches_of(patches.pyramid(image)[level], 16, np.random.default_rng(n))
                                                    for n, image in enumerate(side)])) for side in (first, second)]  # fmt: skip
            along = patches.directions_of(drawn[0].shape[1], np.random.default_rng(9))
            owners = np.zeros(len(drawn[0]), int)
            found.append(patches.sliced(tuple(side @ along for side in drawn), (owners, owners), np.ones((1, 1)))[0])
        return np.array(found)

    same, apart = distances(heap(1.0, 1), heap(1.0, 2)), distances(heap(1.0, 1), heap(4.0, 3))
    assert (same < 0.2).all() and apart[0] > 2 * same[0], (same, apart)
