"""Intensity and location of objects, against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest

from brightpaint.features.engine import object_intensity
from brightpaint.features.engine.objects import Objects


def drawn(seed: int = 0, shape: tuple[int, int] = (41, 57)) -> Objects:
    """Return objects that touch one another and the border, one with a hole, one in two pieces, one pixel, and one of none."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.int32)
    labels[:12, :15], labels[:12, 15:30], labels[14:30, 20:40] = 1, 2, 3
    labels[18:24, 26:33] = 0
    labels[33:37, 2:9], labels[38:41, 12:20] = 4, 4
    labels[5, 50] = 5
    labels[25:41, 42:57] = np.where(rng.random((16, 15)) < 0.8, 7, 0)
    return Objects(labels, 8)


def naive(values: np.ndarray, mask: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return an object's features by their definitions, from whole images."""
    padded = np.pad(labels, 1, mode="edge")
    around = [padded[1 + i : 1 + i + labels.shape[0], 1 + j : 1 + j + labels.shape[1]] for i, j in
              ((-1, 0), (1, 0), (0, -1), (0, 1))]  # fmt: skip
    edge = mask & np.any([other != labels for other in around], axis=0)
    inside, rim = values[mask], values[edge]
    rows, columns = np.nonzero(mask)
    centre = (
        np.array([(columns * inside).sum(), (rows * inside).sum()]) / inside.sum()
        if inside.sum()
        else np.full(2, np.nan)
    )

    def at(numbers: np.ndarray, fraction: float) -> float:
        ordered = np.sort(numbers)
        return np.interp(min(fraction * len(ordered), len(ordered) - 1), np.arange(len(ordered)), ordered)

    median = at(inside, 0.5)
    return {
        "Intensity_IntegratedIntensity": inside.sum(),
        "Intensity_MeanIntensity": inside.mean(),
        "Intensity_StdIntensity": inside.std(),
        "Intensity_MinIntensity": inside.min(),
        "Intensity_MaxIntensity": inside.max(),
        "Intensity_IntegratedIntensityEdge": rim.sum(),
        "Intensity_MeanIntensityEdge": rim.mean(),
        "Intensity_StdIntensityEdge": rim.std(),
        "Intensity_MinIntensityEdge": rim.min(),
        "Intensity_MaxIntensityEdge": rim.max(),
        "Intensity_MassDisplacement": np.hypot(*(np.array([columns.mean(), rows.mean()]) - centre)),
        "Intensity_LowerQuartileIntensity": at(inside, 0.25),
        "Intensity_MedianIntensity": median,
        "Intensity_MADIntensity": at(np.abs(inside - median), 0.5),
        "Intensity_UpperQuartileIntensity": at(inside, 0.75),
        "Location_CenterMassIntensity_X": centre[0],
        "Location_CenterMassIntensity_Y": centre[1],
        "Location_CenterMassIntensity_Z": 0.0 if inside.sum() else np.nan,
        "Location_MaxIntensity_X": columns[inside.argmax()],
        "Location_MaxIntensity_Y": rows[inside.argmax()],
        "Location_MaxIntensity_Z": 0.0,
    }


def test_every_feature_is_that_of_its_definition():
    objects, rng = drawn(), np.random.default_rng(1)
    images = {"DNA": rng.random(objects.labels.shape).astype(np.float32), "Dark": rng.random(objects.labels.shape) ** 9}
    images["Dark"][objects.labels == 2] = 0  # constant and without a centre of mass
    found = object_intensity.measure(objects, images)
    assert list(found) == [f"{feature}_{name}" for name in images for feature in object_intensity.FEATURES]
    for name, image in images.items():
        for number in (1, 2, 3, 4, 5, 7):
            expected = naive(image.astype(float), objects.labels == number, objects.labels)
            if name == "Dark" and number == 2:  # whichever of equal pixels: the test below
                expected = {key: value for key, value in expected.items() if "Location_MaxIntensity" not in key}
            got = {key: found[f"{key}_{name}"][number - 1] for key in expected}
            assert got == pytest.approx(expected, rel=1e-12, abs=1e-15, nan_ok=True)
    for column in found.values():
        assert column.shape == (8,) and column.dtype == np.float64
        assert column[5] == column[7] == 0  # objects without a pixel


def test_an_object_that_fills_the_image_has_no_edge():
    found = object_intensity.measure(Objects(np.ones((3, 4), np.int32), 1), {"A": np.full((3, 4), 0.5, np.float32)})
    assert found["Intensity_MeanIntensity_A"] == [0.5] and found["Intensity_StdIntensity_A"] == [0]
    assert found["Intensity_MeanIntensityEdge_A"] == found["Intensity_MinIntensityEdge_A"] == [0]


def test_no_object_is_no_row_and_another_shape_is_refused():
    objects = Objects(np.zeros((4, 5), np.int32), 0)
    assert object_intensity.measure(objects, {"A": np.zeros((4, 5))})["Location_MaxIntensity_X_A"].shape == (0,)
    with pytest.raises(ValueError, match=r"image A is \(4, 6\), its objects \(4, 5\): expected one shape"):
        object_intensity.measure(objects, {"A": np.zeros((4, 6))})


def test_of_equal_maxima_the_last_in_numpys_order_counts():
    # numpy 1.24.4: np.argsort(np.ones(18)) ends on 17, and of the first sixteen pixels on 1.
    labels = np.repeat([1, 2], [16, 2]).astype(np.int32).reshape(2, 9)
    found = object_intensity.measure(Objects(labels, 2), {"A": np.ones((2, 9), np.float32)})
    assert list(found["Location_MaxIntensity_X_A"]) == [1, 8] and list(found["Location_MaxIntensity_Y_A"]) == [0, 1]
