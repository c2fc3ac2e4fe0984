"""Colocalization of channels against CellProfiler's formulas in plain numpy, object after object."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from brightpaint.features.engine import colocalization
from brightpaint.features.engine.colocalization import Shared
from brightpaint.features.engine.costes import Sorted
from brightpaint.features.engine.objects import Objects
from brightpaint.features.engine.rounding import mean, variance


def part(above: np.ndarray, whole: np.ndarray) -> float:
    return above.sum(dtype=float) / whole.sum(dtype=float) if whole.sum() else np.nan


def plain(objects: Objects, images: dict[str, np.ndarray], costes: dict, share: float) -> dict[str, list[float]]:
    """One object and one pair at a time; ranks among the pixels of all objects."""
    inside = objects.labels > 0
    ranks = {channel: np.zeros(image.shape) for channel, image in images.items()}
    for channel, image in images.items():
        ranks[channel][inside] = stats.rankdata(image[inside], method="dense")
    columns = {}
    for a, b in combinations(images, 2):
        highest = max(ranks[a].max(), ranks[b].max())
        for number in range(1, objects.count + 1):
            here = objects.labels == number
            x, y = images[a][here], images[b][here]
            if not x.size:
                row = dict.fromkeys([f"Correlation_{a}_{b}", f"Overlap_{a}_{b}"], np.nan)
                row |= {
                    f"{name}_{p}_{q}": np.nan for name in ("Manders", "RWC", "K", "Costes") for p, q in ((a, b), (b, a))
                }
            else:
                over_x, over_y = (v >= v.dtype.type(share) * v.max() for v in (x, y))
                both = over_x & over_y
                near = (highest - abs(ranks[a][here] - ranks[b][here])) / highest
                xc, yc = x > x.dtype.type(costes[a, b][0]), y > y.dtype.type(costes[a, b][1])
                flat = np.ptp(x) == 0 or np.ptp(y) == 0
                row = {
                    f"Correlation_{a}_{b}": np.nan if flat else np.corrcoef(x.astype(float), y.astype(float))[0, 1],
                    f"Manders_{a}_{b}": part(x[both], x[over_x]),
                    f"Manders_{b}_{a}": part(y[both], y[over_y]),
                    f"RWC_{a}_{b}": part((x * near)[both], x[over_x]),
                    f"RWC_{b}_{a}": part((y * near)[both], y[over_y]),
                    f"Overlap_{a}_{b}": part((x * y)[both], np.sqrt([(x * x)[both].sum() * (y * y)[both].sum()])),
                    f"K_{a}_{b}": part((x * y)[both], (x * x)[both]),
                    f"K_{b}_{a}": part((x * y)[both], (y * y)[both]),
                    f"Costes_{a}_{b}": part(x[xc & yc], x[x >= x.dtype.type(costes[a, b][0])]),
                    f"Costes_{b}_{a}": part(y[xc & yc], y[y >= y.dtype.type(costes[a, b][1])]),
                }
            for name, value in row.items():
                columns.setdefault(f"Correlation_{name}", []).append(value)
    return columns


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    return np.nan if np.ptp(x) == 0 or np.ptp(y) == 0 else stats.pearsonr(x.astype(float), y.astype(float))[0]


def plain_costes(x: np.ndarray, y: np.ndarray, method: str, scale: int) -> tuple[float, float]:
    """The three searches, with the correlation of all pixels below taken anew at each threshold."""
    x, y = x.ravel(), y.ravel()
    some = (x > 0) | (y > 0)
    vx, vy, vz = (variance(v[some]) for v in (x, y, x + y))
    covariance = 0.5 * np.float64(vz - (vx + vy))
    with np.errstate(all="ignore"):
        slope = (float(vy - vx) + np.sqrt(float((vy - vx) * (vy - vx)) + 4 * (covariance * covariance))) / (
            2 * covariance
        )
    intercept = float(mean(y[some])) - slope * float(mean(x[some]))

    def below(t):
        mask = (x < x.dtype.type(t)) | (y < y.dtype.type(slope * t + intercept))
        return mask.sum(), correlation(x[mask], y[mask]) if mask.sum() > 1 else np.nan

    if method == "Faster":
        left, right, valid, last = 1, scale, 1, 0
        level = (right - left) // (6 / 5) + left
        while level != last:
            count, r = below(level / scale)
            if count <= 2 or r < 0:
                left = level - 1
            elif r >= 0:
                right, valid = level + 1, level
            last, level = level, (right - left) // (6 / 5 if right - left > 6 else 2) + left
        t = (valid - 1) / scale
        return t, slope * t + intercept
    step = 1 / scale
    t = found = step * (float(max(x.max(), y.max())) // step + 1)
    while t > x.max() and slope * t + intercept > y.max():
        t -= step
    while t > step:
        found = t
        count, r = below(t)
        if count < 2 or r <= 0:
            break
        steps = 1
        if method == "Fast" and t >= step * 10:
            steps = 10 if r > 0.45 else 5 if r > 0.35 else 2 if r > 0.25 else 1
        t -= step * steps
    return found, slope * found + intercept


def channels(seed: int, shape=(33, 41), scale: int = 255) -> dict[str, np.ndarray]:
    """Whole counts of two channels that share their bright spots, and of one that avoids them; many ties."""
    rng = np.random.default_rng(seed)
    spots = rng.gamma(0.4, 1, shape)
    parts = (
        spots + rng.gamma(1, 0.3, shape),
        0.7 * spots + rng.gamma(1, 0.4, shape),
        3 - np.minimum(spots, 2) + rng.random(shape),
    )
    return {
        name: (np.rint(image / image.max() * scale * 0.8).clip(0, scale) / scale).astype(np.float32)
        for name, image in zip(("DNA", "RNA", "ER"), parts, strict=True)
    }


@pytest.fixture(scope="module")
def field():
    """Objects: large, at the border, constant in one channel, black in one, of one pixel, absent."""
    images = channels(0)
    labels = np.zeros((33, 41), np.int32)
    labels[2:14, 3:20] = 1
    labels[20:33, 25:41] = 2
    labels[18:24, 2:8] = 3
    labels[26:31, 2:9] = 4
    labels[16, 30] = 5
    images["DNA"][labels == 3] = 0.3
    images["RNA"][labels == 4] = 0
    return Objects(labels, 6), images


@pytest.mark.parametrize("share", [15.0, 60.0])
def test_coefficients_are_those_of_plain_numpy(field, share):
    objects, images = field
    shared = Shared(images, scale=255)
    found = colocalization.measure(objects, images, threshold_percent=share, scale=255, shared=shared)
    expected = plain(objects, images, shared.thresholds, share / 100)
    assert list(found) == sorted(expected)
    for name, column in expected.items():
        assert found[name] == pytest.approx(np.array(column), rel=1e-6, abs=1e-9, nan_ok=True), name
    alone = colocalization.measure(objects, images, threshold_percent=share, scale=255)
    assert all(np.array_equal(alone[name], found[name], equal_nan=True) for name in found)


@pytest.mark.parametrize("method", ["Faster", "Fast", "Accurate"])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("scale", [255, 1023])
def test_costes_thresholds_are_those_of_a_plain_search(method, seed, scale):
    images = channels(seed, scale=scale)
    found = Shared(images, costes_method=method, scale=scale).thresholds
    for (a, b), limits in found.items():
        assert limits == pytest.approx(plain_costes(images[a], images[b], method, scale), rel=1e-5), (a, b)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("Faster", (0.18823529411764706, 0.20934346444693153)),
        ("Fast", (0.18823529411764794, 0.20934346444693222)),
        ("Accurate", (0.1882352941176496, 0.20934346444693352)),
    ],
)
def test_known_answer_of_cellprofiler(method, expected):
    """What the searches of CellProfiler 4.2.8.1 itself find, to the last bit, in two images of 8 bits."""
    y, x = np.mgrid[:60, :70]
    base = ((y * 37 + x * 61 + x * y * 3) % 97 / 96.0) ** 4
    first = 0.7 * base + 0.2 * ((y * 5 + x * 17) % 31 / 30.0)
    second = 0.5 * base + 0.3 * ((y * 11 + x * 7) % 29 / 28.0)
    images = {name: (np.rint(v * 255) / 255).astype(np.float32) for name, v in (("A", first), ("B", second))}
    assert Shared(images, costes_method=method, scale=255).thresholds["A", "B"] == expected


@pytest.mark.parametrize("method", ["Faster", "Fast", "Accurate"])
@pytest.mark.parametrize("other", ["black", "flat", "same"])
def test_images_without_a_line_of_their_own_have_thresholds_too(method, other):
    first = channels(1)["DNA"]
    second = {"black": np.zeros_like(first), "flat": np.full_like(first, 0.25), "same": first.copy()}[other]
    for a, b in ((first, second), (second, first)):
        found = Shared({"A": a, "B": b}, costes_method=method, scale=255).thresholds["A", "B"]
        with np.errstate(all="ignore"):
            assert found == pytest.approx(plain_costes(a, b, method, 255), rel=1e-5, nan_ok=True)


def test_two_black_images_colocalize_nowhere():
    images = {"A": np.zeros((9, 9), np.float32), "B": np.zeros((9, 9), np.float32)}
    found = colocalization.measure(Objects(np.ones((9, 9), np.int32), 1), images)
    assert found["Correlation_Costes_A_B"] == 0
    assert all(np.isnan(found[f"Correlation_{name}_A_B"]).all() for name in ("Correlation", "Manders", "RWC", "K"))


def test_a_set_without_a_pixel_above_both_has_zeros():
    images = {"A": np.zeros((4, 8), np.float32), "B": np.zeros((4, 8), np.float32)}
    images["A"][:, :4] = images["B"][:, 4:] = 0.5
    found = colocalization.measure(Objects(np.ones((4, 8), np.int32), 1), images)
    assert found["Correlation_Correlation_A_B"] == pytest.approx(-1)
    assert all(column == 0 for name, column in found.items() if name != "Correlation_Correlation_A_B")


def test_only_what_is_asked_for_is_measured(field):
    objects, images = field
    found = colocalization.measure(objects, images, rank_weighted=False, costes=False)
    assert {name.split("_")[1] for name in found} == {"Correlation", "Manders", "Overlap", "K"}
    assert len(found) == 3 * 6
    none = dict.fromkeys(("correlation", "manders", "rank_weighted", "overlap"), False)
    assert len(colocalization.measure(objects, images, **none)) == 6


def test_an_empty_field_has_columns_without_rows(field):
    found = colocalization.measure(Objects(np.zeros((33, 41), np.int32), 0), field[1])
    assert len(found) == 30 and all(column.shape == (0,) for column in found.values())


def test_ranks_are_places_among_different_values():
    image = np.array([[0.5, 0.1], [0.5, 0.9]], np.float32)
    assert list(Sorted.of(image).ranks()) == [1, 0, 1, 2]


@pytest.mark.parametrize(
    ("change", "settings", "said"),
    [
        (lambda images: {"DNA": images["DNA"]}, {}, "expected two channels and more, found DNA"),
        (
            lambda images: images | {"ER": np.zeros((3, 3))},
            {},
            r"of ER: expected an image of \(33, 41\), found \(3, 3\)",
        ),
        (lambda images: images | {"ER": images["ER"] * np.nan}, {}, "of ER: expected finite intensities, found NaN"),
        (dict, {"costes_method": "Slow"}, "expected the method Faster, Fast, Accurate, found 'Slow'"),
        (dict, {"shared": Shared(channels(2))}, "what is shared was made of other images or settings"),
    ],
)
def test_what_cannot_be_measured_is_refused(field, change, settings, said):
    with pytest.raises(ValueError, match=said):
        colocalization.measure(field[0], change(field[1]), **settings)


def test_what_is_shared_serves_its_own_settings_only(field):
    objects, images = field
    with pytest.raises(ValueError, match="other images or settings"):
        colocalization.measure(objects, images, scale=255, shared=Shared(images))
