"""Haralick features of objects against plain loops over whole matrices, as mahotas makes them."""

from __future__ import annotations

import numpy as np
import pytest

from brightpaint.features.engine import texture
from brightpaint.features.engine.objects import Objects

# fmt: off
DOWN_RIGHT = (
    0.010804188015148139, 13461.253731343284, -0.24804489193474832, 5392.93651147249, 0.031203787931130537,
    271.01492537313436, 8110.492314546631, 4.7298834078409, 6.655495533676772, 0.00011265806324313598,
    5.0618472126197975, -0.7141581565994681, 0.999692161178219,
)
DOWN_LEFT = (
    0.010358654488750278, 11838.208955223881, -0.09646241997723672, 5398.365114724889,
    0.0017737077148481945, 269.820895522388, 9755.251503675667, 4.880627668588808, 6.696613257589661,
    0.00016486902336788534, 4.597763870383964, -0.7080104383401581, 0.999675256386817,
)
# fmt: on


def entropy(p: np.ndarray) -> float:
    p = p[p > 0]
    return -np.sum(p * np.log2(p))


def plain_features(matrix: np.ndarray) -> list[float]:
    """Haralick's definitions, on a whole symmetric matrix with level 0 left out."""
    levels = np.arange(len(matrix))
    i, j = np.mgrid[: len(matrix), : len(matrix)]
    p = matrix / matrix.sum()
    px = p.sum(0)
    plus = np.array([p[i + j == k].sum() for k in range(2 * len(matrix))])
    minus = np.array([p[abs(i - j) == k].sum() for k in levels])
    mean = px @ levels
    variance = px @ levels**2 - mean**2
    average = plus @ np.arange(len(plus))
    cross = np.outer(px, px)
    both = p[cross > 0] @ -np.log2(cross[cross > 0])
    gain = entropy(p) - both
    return [
        (p**2).sum(),
        minus @ levels**2,
        ((p * i * j).sum() - mean**2) / variance if variance > 1e-9 else 1.0,
        variance,
        (p / (1 + (i - j) ** 2)).sum(),
        average,
        plus @ (np.arange(len(plus)) - average) ** 2,
        entropy(plus),
        entropy(p),
        minus.var(),
        entropy(minus),
        gain / entropy(px) if entropy(px) > 0 else gain,
        np.sqrt(max(0, 1 - np.exp(-2 * (entropy(cross) - entropy(p))))),
    ]


def plain(labels: np.ndarray, count: int, levels: np.ndarray, scale: int) -> np.ndarray:
    """(4, 13, count), object after object, pair after pair."""
    values = np.full((4, 13, count), np.nan)
    for number in range(1, count + 1):
        inside = np.where(labels == number, levels, 0)
        if not (labels == number).any():
            continue
        features = []
        for down, right in ((0, 1), (1, 1), (1, 0), (1, -1)):
            matrix = np.zeros((inside.max() + 1,) * 2)
            for row in range(labels.shape[0]):
                for column in range(labels.shape[1]):
                    to = (row + scale * down, column + scale * right)
                    if 0 <= to[0] < labels.shape[0] and 0 <= to[1] < labels.shape[1]:
                        matrix[inside[row, column], inside[to]] += 1
                        matrix[inside[to], inside[row, column]] += 1
            matrix[0] = matrix[:, 0] = 0
            features.append(plain_features(matrix) if matrix.any() else None)
        values[:, :, number - 1] = 0 if None in features else features
    return values


def table(values: dict[str, np.ndarray], channel: str, scale: int, gray_levels: int) -> np.ndarray:
    names = [[f"Texture_{f}_{channel}_{scale}_0{d}_{gray_levels}" for f in texture.FEATURES] for d in range(4)]
    return np.array([[values[name] for name in row] for row in names])


@pytest.fixture(scope="module")
def field():
    """Nine objects: compact, at the border, with a hole, in two parts, of one pixel, flat, dark, absent, and large."""
    labels = np.zeros((30, 34), np.int32)
    labels[0:8, 0:9] = 1
    labels[20:30, 2:9] = 2
    labels[10:19, 12:22] = 3
    labels[13:15, 15:18] = 0
    labels[1:6, 12:16] = labels[1:6, 18:22] = 4
    labels[14, 2] = 5
    labels[22:28, 12:19] = 6
    labels[0:7, 25:32] = 7
    labels[9:30, 24:34] = 9
    image = np.random.default_rng(0).gamma(2, 0.1, labels.shape).clip(0, 1).astype(np.float32)
    image[labels == 6] = 0.5
    image[labels == 7] = 0.001
    image[labels == 9] *= np.random.default_rng(1).random((labels == 9).sum()) > 0.2  # with pixels of level 0
    return Objects(labels, 9), image


@pytest.mark.parametrize("gray_levels", [256, 64, 2])
def test_features_are_those_of_plain_loops(field, gray_levels):
    objects, image = field
    values = texture.measure(objects, {"DNA": image, "ER": image[::-1].copy()}, scales=[1, 3], gray_levels=gray_levels)
    assert len(values) == 13 * 2 * 2 * 4
    levels = np.rint(image * 255).astype(int) * (gray_levels - 1) // 255
    for scale in (1, 3):
        expected = plain(objects.labels, 9, levels, scale)
        assert table(values, "DNA", scale, gray_levels) == pytest.approx(expected, rel=1e-9, abs=1e-7, nan_ok=True)
    assert np.isnan(values[f"Texture_Entropy_DNA_1_00_{gray_levels}"][7])  # the object without a pixel
    assert values[f"Texture_Correlation_DNA_3_02_{gray_levels}"][4] == 0  # of one pixel: no pair


def test_known_answer_of_mahotas():
    """What mahotas 1.4.18 says of a disk, as CellProfiler 4.2.8.1 asks it: distance 2, both diagonals."""
    y, x = np.mgrid[:12, :14]
    image = ((y * y * 7 + x * 13 + x * y * 5) % 64 / 63).astype(np.float32)
    labels = ((y - 5) ** 2 + (x - 6) ** 2 <= 30).astype(np.int32)
    values = table(texture.measure(Objects(labels, 1), {"DNA": image}, scales=[2]), "DNA", 2, 256)[:, :, 0]
    assert values[1] == pytest.approx(DOWN_RIGHT, rel=1e-12)
    assert values[3] == pytest.approx(DOWN_LEFT, rel=1e-12)


def test_columns_are_in_the_order_of_cellprofilers_table(field):
    names = list(texture.measure(field[0], {"DNA": field[1]}, scales=[3, 10]))
    assert names == sorted(names)
    assert names[:5] == [
        f"Texture_AngularSecondMoment_DNA_{s}_256" for s in ("10_00", "10_01", "10_02", "10_03", "3_00")
    ]


def test_a_flat_object_has_no_texture(field):
    values = texture.measure(field[0], {"DNA": field[1]}, scales=[3])
    flat = {name.split("_")[1]: float(column[5]) for name, column in values.items() if "_00_" in name}
    assert flat["AngularSecondMoment"] == flat["Correlation"] == flat["InverseDifferenceMoment"] == 1
    assert flat["SumAverage"] == 256 and flat["Entropy"] == flat["Variance"] == flat["InfoMeas1"] == 0


def test_one_empty_direction_empties_its_scale():
    labels = np.zeros((9, 9), np.int32)
    labels[4, :] = 1  # a line: no pair but in its own direction
    values = texture.measure(Objects(labels, 1), {"DNA": np.full((9, 9), 0.5, np.float32)}, scales=[1])
    assert all(column == 0 for column in values.values())


def test_an_empty_field_has_columns_without_rows():
    objects = Objects(np.zeros((8, 8), np.int32), 0)
    values = texture.measure(objects, {"DNA": np.zeros((8, 8), np.float32)}, scales=[3])
    assert len(values) == 52 and all(column.shape == (0,) for column in values.values())


@pytest.mark.parametrize("gray_levels", [2, 8, 64, 255, 256])
def test_levels_are_rounded_to_256_then_cut(gray_levels):
    image = np.arange(256, dtype=np.float32).reshape(16, 16) / 255
    found = texture.quantised(image, gray_levels, "DNA").ravel()
    assert list(found) == [int(level / 255 * (gray_levels - 1)) for level in range(256)]
    halves = np.array([[0.5, 1.5, 2.5, -9.0]], np.float32) / 255
    assert list(texture.quantised(halves, 256, "DNA")[0]) == [0, 2, 2, 0]  # to the even neighbour; no negative level


@pytest.mark.parametrize(
    ("scales", "gray_levels", "image", "said"),
    [
        ([], 256, np.zeros((30, 34)), r"expected scales of 1 pixel and more, found \[\]"),
        ([3, 0], 256, np.zeros((30, 34)), r"expected scales of 1 pixel and more, found \[3, 0\]"),
        ([3], 257, np.zeros((30, 34)), "texture of DNA: expected 2 to 256 gray levels, found 257"),
        ([3], 256, np.full((30, 34), 1.5), "texture of DNA: expected intensities between -1 and 1, found 1.5 to 1.5"),
        ([3], 256, np.full((30, 34), np.nan), "texture of DNA: expected intensities between -1 and 1, found nan"),
        ([3], 256, np.zeros((3, 3)), r"texture of DNA: expected an image of \(30, 34\), found \(3, 3\)"),
    ],
)
def test_what_cannot_be_measured_is_refused(field, scales, gray_levels, image, said):
    with pytest.raises(ValueError, match=said):
        texture.measure(field[0], {"DNA": image.astype(np.float32)}, scales=scales, gray_levels=gray_levels)
