"""Rescaling, numbers of whole images, and ImageMath: known answers, types and rounding."""

from __future__ import annotations

import numpy as np
import pytest

from brightpaint.features.engine import image_operations


def test_pixels_are_rescaled_to_float32():
    found = image_operations.rescaled(np.array([[0, 1, 65535]], np.uint16))
    assert found.dtype == np.float32 and list(found[0]) == [0, np.float32(1) / np.float32(65535), 1]
    assert list(image_operations.rescaled(np.array([[0, 255]], np.uint8))[0]) == [0, 1]
    with pytest.raises(ValueError, match="expected pixels of uint8 or uint16, found float32"):
        image_operations.rescaled(found)


@pytest.mark.parametrize("shape", [(37, 53), (37, 54), (120, 110), (1, 1)])
def test_numbers_of_an_image_are_those_of_their_definitions(shape):
    image = (np.random.default_rng(0).integers(0, 900, shape) / 65535).astype(np.float32)
    found = image_operations.measure(image, "OrigDNA", percentiles=(0, 1, 99, 100))
    exact = image.astype(float).ravel()
    expected = {
        "TotalIntensity": exact.sum(),
        "MeanIntensity": exact.mean(),
        "MedianIntensity": np.median(exact),
        "StdIntensity": exact.std(),
        "MADIntensity": np.median(np.abs(exact - np.median(exact))),
        "MaxIntensity": exact.max(),
        "MinIntensity": exact.min(),
        "TotalArea": exact.size,
        "PercentMaximal": 100 * (exact == exact.max()).mean(),
        "LowerQuartileIntensity": np.percentile(exact, 25),
        "UpperQuartileIntensity": np.percentile(exact, 75),
    } | {f"Percentile_{n}": np.percentile(exact, n) for n in (0, 1, 99, 100)}
    assert list(found) == [f"Intensity_{feature}_OrigDNA" for feature in expected]
    assert list(found.values()) == pytest.approx(list(expected.values()), rel=1e-6, abs=1e-12)
    for feature in ("TotalIntensity", "MedianIntensity", "StdIntensity", "MADIntensity"):
        value = found[f"Intensity_{feature}_OrigDNA"]
        assert type(value) is float and value == np.float32(value), feature


def test_sums_are_rounded_as_numpy_1_24_rounds_them():
    """It adds up 8192 numbers pairwise, then those sums one after the other."""
    image = np.full(3 * 8192, np.float32(0.1))
    chunk = image[:8192].sum()
    assert image_operations.measure(image.reshape(3, -1), "A")["Intensity_TotalIntensity_A"] == (chunk + chunk) + chunk
    first = np.float32(2**24)
    image[:], image[0], image[14000], image[2 * 8192] = 0, first, 1, 1
    assert (
        image_operations.measure(image.reshape(3, -1), "A")["Intensity_TotalIntensity_A"] == first
    )  # one pairwise sum has 2 more


def test_percentiles_are_whole_and_from_0_to_100():
    image = np.ones((2, 2), np.float32)
    for wrong in (101, -1, 0.5):
        with pytest.raises(ValueError, match=f"expected whole percentiles from 0 to 100, found {wrong}"):
            image_operations.measure(image, "A", percentiles=(1, wrong))


def test_a_measurement_is_subtracted_in_float32_and_clipped():
    image = np.array([[0.1, 0.25, 1.0]], np.float32)
    found = image_operations.combined("Subtract", [image, 0.2])
    assert found.dtype == np.float32
    assert list(found[0]) == [0, np.float32(0.25) - np.float32(0.2), np.float32(1) - np.float32(0.2)]
    assert list(image[0]) == [np.float32(0.1), 0.25, 1]  # what goes in stays
    assert image_operations.combined("Subtract", [image, 0.2], not_below_0=False)[0, 0] < 0


def test_the_average_is_weighted_and_of_two_images_or_more():
    images = [np.full((2, 3), value, np.float32) for value in (0.2, 0.6, 1.0)]
    assert image_operations.combined("Average", images) == pytest.approx(np.full((2, 3), 0.6), rel=1e-6)
    weighted = image_operations.combined("Average", images[:2], factors=[3, 1])
    assert weighted.dtype == np.float32 and weighted == pytest.approx(np.full((2, 3), 0.3), rel=1e-6)


def test_what_follows_an_operation():
    images = [np.array([[0.5, 0.75, np.nan]], np.float32), np.array([[0.25, 0.25, 0.25]], np.float32)]
    found = image_operations.combined("Subtract", images, exponent=2, factor=4, addend=0.5)
    assert found.dtype == np.float32 and list(found[0]) == [0.75, 1.0, 0.0]
    more = {"not_above_1": False, "invalid_to_0": False}
    loose = image_operations.combined("Subtract", images, exponent=2, factor=4, addend=0.5, **more)
    assert loose[0, 1] == 1.5 and np.isnan(loose[0, 2])


@pytest.mark.parametrize(
    ("operation", "operands", "factors", "said"),
    [
        ("Multiply", [np.ones((2, 2)), 1.0], None, "expected an operation of Subtract, Average, found Multiply"),
        ("Average", [np.ones((2, 2))], None, "expected two operands or more.*found 1 operands"),
        ("Average", [np.ones((2, 2)), np.ones((2, 3))], None, r"shapes \[\(2, 2\), \(2, 3\)\]"),
        ("Subtract", [0.5, 0.25], None, r"shapes \[\]"),
        ("Subtract", [np.ones((2, 2)), 0.25], [1.0], "2 operands, 1 factors"),
    ],
)
def test_what_image_math_does_not_do_here_is_refused(operation, operands, factors, said):
    with pytest.raises(ValueError, match=said):
        image_operations.combined(operation, operands, factors=factors)
