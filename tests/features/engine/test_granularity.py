"""Granularity of images and objects against scipy's filters and a reconstruction by repeated dilation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from brightpaint.features.engine import granularity
from brightpaint.features.engine.objects import Objects

SETTINGS = {"subsampling": 0.5, "background_subsampling": 0.5, "radius": 4, "spectrum": 5}


def disk(radius: int) -> np.ndarray:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return x**2 + y**2 <= radius**2


def sampled(image, shape, factors, order=1):
    places = np.mgrid[0 : shape[0], 0 : shape[1]].astype(float)
    return ndimage.map_coordinates(image, places * np.reshape(factors, (2, 1, 1)), order=order)


def grown(seed: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """Reconstruction by its definition: dilate under the limit until nothing changes."""
    while True:
        wider = np.minimum(ndimage.grey_dilation(seed, footprint=disk(1)), limit)
        if (wider == seed).all():
            return seed
        seed = wider


def mean_of(image: np.ndarray, labels: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    return np.array([image[labels == number].mean() if (labels == number).any() else np.nan for number in numbers])


def plain(image, labels, count, *, subsampling, background_subsampling, radius, spectrum):
    """(spectrum,) of the image and (spectrum, count) of its objects, step by step as CellProfiler describes them."""
    shape = np.array(image.shape) * subsampling
    pixels = sampled(image, shape, [1 / subsampling] * 2)
    mask = sampled(np.ones(image.shape), shape, [1 / subsampling] * 2, 3) > 0.9
    small = shape * background_subsampling
    back = sampled(pixels, small, [1 / background_subsampling] * 2)
    known = sampled(mask.astype(float), small, [1 / background_subsampling] * 2, 3) > 0.9
    back = ndimage.grey_erosion(np.where(known, back, 0), footprint=disk(radius))
    back = ndimage.grey_dilation(np.where(known, back, 0), footprint=disk(radius))
    back = sampled(back, shape, (small - 1) / (shape - 1)) if background_subsampling < 1 else back
    pixels = np.maximum(pixels - back, 0)
    start = mean = pixels[mask].mean()
    eroded, numbers = pixels, np.arange(1, count + 1)
    starts = means = mean_of(image, labels, numbers)
    of_image, of_objects = [], []
    for _ in range(spectrum):
        eroded = ndimage.grey_erosion(np.where(mask, eroded, 0), footprint=disk(1))
        opened = grown(eroded, pixels)
        of_image.append((mean - opened[mask].mean()) * 100 / start)
        mean = opened[mask].mean()
        back = sampled(opened, image.shape, (shape - 1) / (np.array(image.shape) - 1))
        now = mean_of(back, labels, numbers)
        of_objects.append((means - now) * 100 / starts)
        means = now
    return of_image, of_objects


@pytest.fixture(scope="module")
def field():
    """Spots of several sizes on a slope, and objects: large, at the border, of one pixel, absent, in two parts."""
    rng = np.random.default_rng(0)
    image = ndimage.gaussian_filter(rng.random((47, 52)), 1.5) ** 4 + np.linspace(0, 0.2, 52)
    labels = np.zeros(image.shape, np.int32)
    labels[3:20, 5:25] = 1
    labels[30:47, 40:52] = 2
    labels[25, 25] = 3
    labels[30:40, 2:10] = labels[33:44, 18:30] = 5
    return Objects(labels, 5), image


@pytest.mark.parametrize(
    "factors",
    [(0.5, 0.5), (1.0, 1.0), (0.25, 1.0), (1.0, 0.3), (0.9, 0.7)],  # of 0.9, the last row lies beyond the image
)
def test_granularity_is_that_of_plain_filters(field, factors):
    objects, image = field
    settings = SETTINGS | {"subsampling": factors[0], "background_subsampling": factors[1]}
    found = granularity.measure({"Cells": objects}, {"DNA": image, "ER": image[::-1].copy()}, **settings)
    assert set(found) == {"Image", "Cells"} and len(found["Image"]) == len(found["Cells"]) == 10
    for channel, of in (("DNA", image), ("ER", image[::-1])):
        of_image, of_objects = plain(of, objects.labels, 5, **settings)
        names = [f"Granularity_{step}_{channel}" for step in range(1, 6)]
        assert [found["Image"][name] for name in names] == pytest.approx(of_image, rel=1e-9, abs=1e-12)
        table = np.array([found["Cells"][name] for name in names])
        assert table == pytest.approx(np.array(of_objects), rel=1e-9, abs=1e-11, nan_ok=True)
        assert np.isnan(table[:, 3]).all()  # the object without a pixel


def test_images_of_32_bits_keep_their_precision(field):
    objects, image = field
    single = granularity.measure({"Cells": objects}, {"DNA": image.astype(np.float32)}, **SETTINGS)
    double = granularity.measure({"Cells": objects}, {"DNA": image}, **SETTINGS)
    assert single["Cells"]["Granularity_1_DNA"] == pytest.approx(
        double["Cells"]["Granularity_1_DNA"], rel=1e-4, abs=1e-4, nan_ok=True
    )
    assert not np.array_equal(single["Cells"]["Granularity_1_DNA"], double["Cells"]["Granularity_1_DNA"])


def test_each_step_removes_what_is_narrower():
    image = np.zeros((64, 64))
    labels = np.zeros(image.shape, np.int32)
    for number, (at, half) in enumerate(((12, 1), (40, 3)), 1):  # squares of 3 and 7 pixels
        image[at - half : at + half + 1, at - half : at + half + 1] = 0.5
        labels[at - half : at + half + 1, at - half : at + half + 1] = number
    settings = {"subsampling": 1.0, "background_subsampling": 1.0, "radius": 20, "spectrum": 5}
    found = granularity.measure({"Spots": Objects(labels, 2)}, {"DNA": image}, **settings)["Spots"]
    steps = np.array([found[f"Granularity_{step}_DNA"] for step in range(1, 6)])
    assert steps[:, 0] == pytest.approx([0, 100, 0, 0, 0]) and steps[:, 1] == pytest.approx([0, 0, 0, 100, 0])


def test_sets_share_an_image_and_an_empty_one_has_columns(field):
    objects, image = field
    empty = Objects(np.zeros(image.shape, np.int32), 0)
    found = granularity.measure({"Cells": objects, "Nuclei": empty}, {"DNA": image}, **SETTINGS)
    alone = granularity.measure({"Cells": objects}, {"DNA": image}, **SETTINGS)
    assert all(np.array_equal(found["Cells"][name], alone["Cells"][name], equal_nan=True) for name in alone["Cells"])
    assert list(found["Nuclei"]) == list(found["Cells"]) == sorted(found["Cells"])
    assert all(column.shape == (0,) for column in found["Nuclei"].values())


@pytest.mark.parametrize("level", [0.0, 0.3])
def test_a_flat_image_has_no_granules(field, level):
    image = np.full(field[1].shape, level)
    found = granularity.measure({}, {"DNA": image}, **(SETTINGS | {"background_subsampling": 1.0}))["Image"]
    assert all(value == 0 for value in found.values())


@pytest.mark.parametrize("radius", [1, 3, 10])
def test_erosion_is_scipys(radius):
    image = np.random.default_rng(radius).random((17, 13))
    assert np.array_equal(granularity._eroded(image, radius), ndimage.grey_erosion(image, footprint=disk(radius)))


def test_regrowth_step_after_step_is_repeated_dilation_with_ties():
    rng = np.random.default_rng(3)
    image = rng.integers(0, 5, (31, 23)) / 4  # few levels: parts of equal height
    order = np.argsort(image.ravel()).astype(np.int32)
    nodes, above = granularity._tree(order, *image.shape)
    levels, size = image.ravel()[order], image.size
    for _ in range(3):
        seed = np.minimum(image, rng.integers(-1, 5, image.shape) / 4)
        image = grown(seed, image)
        flat, size = granularity._grown(seed.ravel(), nodes, above, levels, size)
        assert np.array_equal(flat.reshape(image.shape), image)


@pytest.mark.parametrize(
    ("changed", "shape", "said"),
    [
        ({"subsampling": 1.5}, (47, 52), "found 1.5, 0.5, 4 and 5"),
        ({"background_subsampling": 0}, (47, 52), "found 0.5, 0, 4 and 5"),
        ({"radius": 0}, (47, 52), "radius and spectrum of 1 and more, found 0.5, 0.5, 0 and 5"),
        ({"spectrum": 0}, (47, 52), "found 0.5, 0.5, 4 and 0"),
        ({}, (8, 8), r"granularity of DNA: expected an image of \(47, 52\) as Cells, found \(8, 8\)"),
        ({"subsampling": 0.02}, (47, 52), r"an image of \(47, 52\) is too small to be subsampled by 0.02"),
    ],
)
def test_what_is_no_setting_or_no_image_is_refused(field, changed, shape, said):
    with pytest.raises(ValueError, match=said):
        granularity.measure({"Cells": field[0]}, {"DNA": np.zeros(shape)}, **(SETTINGS | changed))


def test_an_image_with_nan_is_refused(field):
    with pytest.raises(ValueError, match="granularity of DNA: expected finite intensities, found NaN"):
        granularity.measure({}, {"DNA": np.full((47, 52), np.nan)}, **SETTINGS)
