"""Nuclei of drawn fields: found, parted, dropped and numbered as CellProfiler's IdentifyPrimaryObjects does."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.segmentation import watershed

from brightpaint.features.engine import primary, thresholds

SIZES = {"least_diameter": 8, "most_diameter": 32}


def _drawn(disks: list[tuple[int, int, int]], shape=(96, 120), value: float = 0.4) -> np.ndarray:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    image = np.random.default_rng(0).random(shape) * 0.01 + 0.02
    for row, column, radius in disks:
        image[np.hypot(rows - row, columns - column) <= radius] = value
    return image.astype(np.float32)


def test_disks_are_found_and_numbered_from_the_top():
    image = _drawn([(50, 30, 8), (20, 90, 7), (20, 40, 9)])
    found = primary.find(image, **SIZES)
    assert found.labels.dtype == np.int32 and found.labels.max() == 3
    assert [found.labels[20, 40], found.labels[20, 90], found.labels[50, 30]] == [1, 2, 3] or [
        found.labels[20, 90], found.labels[20, 40], found.labels[50, 30]
    ] == [1, 2, 3]  # fmt: skip
    assert found.threshold.final == thresholds.minimum_cross_entropy(image).final
    assert np.array_equal(found.labels > 0, found.uncut > 0)


def test_other_sizes_and_the_border_are_dropped_and_the_rest_renumbered():
    image = _drawn([(2, 20, 8), (20, 40, 2), (50, 30, 8), (50, 80, 26), (88, 60, 5)])
    found = primary.find(image, **SIZES, declump_by="None")
    assert found.labels.max() == 2 and found.labels[50, 30] == 1 and found.labels[88, 60] == 2
    assert found.uncut[2, 20] > 0 and found.uncut[50, 80] > 0 and found.labels[50, 80] == 0
    all_kept = primary.find(image, **SIZES, declump_by="None", discard_at_border=False, discard_other_sizes=False)
    assert all_kept.labels.max() == 5 == all_kept.uncut.max()


def test_holes_are_filled_as_the_setting_says():
    image = _drawn([(40, 40, 14)])
    image[35:46, 35:46] = 0.02
    for setting, whole in (
        ("Never", False),
        ("After declumping only", True),
        ("After both thresholding and declumping", True),
    ):
        labels = primary.find(image, **SIZES, declump_by="None", fill_holes=setting).labels
        assert (labels[39:42, 39:42] == 1).all() == whole, setting


@pytest.mark.parametrize("by", ["Shape", "Intensity"])
def test_touching_disks_are_parted(by):
    image = _drawn([(40, 40, 10), (40, 57, 10)])
    if by == "Intensity":
        image = ndimage.gaussian_filter(image, 3)
    found = primary.find(image, **SIZES, declump_by=by, divide_by=by)
    assert found.labels.max() == 2 and found.labels[40, 38] != found.labels[40, 59]
    share = np.bincount(found.labels.ravel())[1:]
    assert abs(share[0] - share[1]) < 0.1 * share.sum()
    assert primary.find(image, **SIZES, declump_by="None", discard_other_sizes=False).labels.max() == 1


def test_parts_by_shape_are_those_of_the_definition():
    """Distances from the edge, jittered by CellProfiler's generator; their maxima; the watershed between these."""
    rng = np.random.default_rng(3)
    image = _drawn([(int(r), int(c), int(s)) for r, c, s in rng.integers((5, 5, 4), (90, 115, 12), (25, 3))])
    settings = {"discard_other_sizes": False, "discard_at_border": False, "fill_holes": "Never"}
    found = primary.find(image, **SIZES, **settings)
    threshold = thresholds.minimum_cross_entropy(image)
    mask = thresholds.foreground(image, threshold.final, smoothing_scale=1.3488)
    regions, _ = ndimage.label(mask, np.ones((3, 3)))
    assert np.array_equal(ndimage.binary_fill_holes(mask), mask)  # so that what is filled for the distances is nothing
    far = ndimage.distance_transform_edt(mask) + np.random.RandomState(0).uniform(0, 0.001, mask.shape)
    rows, columns = np.mgrid[-4:5, -4:5]
    near = rows**2 + columns**2 <= (8 / 1.5 - 0.5) ** 2
    seeds = np.zeros(mask.shape, int)
    for row, column in np.argwhere(mask):
        window = (slice(max(row - 4, 0), row + 5), slice(max(column - 4, 0), column + 5))
        part = near[max(4 - row, 0) :, max(4 - column, 0) :][: far[window].shape[0], : far[window].shape[1]]
        if far[row, column] >= far[window][part & (regions[window] == regions[row, column])].max():
            seeds[row, column] = seeds.max() + 1
    expected = watershed(-far, seeds, connectivity=np.ones((3, 3), bool), mask=mask)
    assert expected.max() > regions.max() and np.array_equal(found.labels, expected)


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_a_flat_field_has_no_object(value):
    found = primary.find(np.full((40, 50), value, np.float32), **SIZES)
    assert found.labels.shape == (40, 50) and found.labels.max() == 0 and found.labels.dtype == np.int32


def test_settings_that_are_not_offered_are_refused():
    image = _drawn([])
    with pytest.raises(ValueError, match="divide_by is 'Propagate', expected one of Intensity, Shape, None"):
        primary.find(image, **SIZES, divide_by="Propagate")
    with pytest.raises(ValueError, match="fill_holes is 'Yes', expected one of After both"):
        primary.find(image, **SIZES, fill_holes="Yes")
