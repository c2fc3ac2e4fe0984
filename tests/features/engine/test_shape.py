"""Size and shape, against scikit-image where its definitions stayed, and known answers where they did not."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import regionprops

from brightpaint.features.engine import shape
from brightpaint.features.engine.objects import Objects


def _labels() -> np.ndarray:
    rng = np.random.default_rng(0)
    labels, count = ndimage.label(ndimage.gaussian_filter(rng.random((60, 70)), 1.5) > 0.51)
    labels[rng.random(labels.shape) < 0.02] = 0  # holes, and parts that hang by a corner
    labels[labels == 4] = 5  # in two parts; 4 is without a pixel
    labels[labels == 7] = 0
    labels[30, 69] = 7  # one pixel, at the border
    return labels.astype(np.int32)


def _measured(labels: np.ndarray, count: int | None = None, **settings) -> dict[str, np.ndarray]:
    columns = shape.measure(Objects(labels, int(labels.max()) if count is None else count), **settings)
    return {name.removeprefix("AreaShape_"): values for name, values in columns.items()}


def test_columns_are_those_of_scikit_image():
    labels = _labels()
    found = _measured(labels, zernike=False)
    names = {
        "Area": "area",
        "BoundingBoxArea": "area_bbox",
        "Eccentricity": "eccentricity",
        "EquivalentDiameter": "equivalent_diameter_area",
        "EulerNumber": "euler_number",
        "Extent": "extent",
        "MajorAxisLength": "axis_major_length",
        "MinorAxisLength": "axis_minor_length",
        "Perimeter": "perimeter",
    }
    for region in regionprops(labels):
        k = region.label - 1
        for name, property in names.items():
            assert found[name][k] == pytest.approx(getattr(region, property), rel=1e-9, abs=1e-7), (name, region.label)
        assert (found["Center_Y"][k], found["Center_X"][k]) == pytest.approx(region.centroid)
        assert region.bbox == tuple(
            found[f"BoundingBox{end}_{axis}"][k] for end in ("Minimum", "Maximum") for axis in "YX"
        )
        if region.eccentricity > 0 and abs(found["Orientation"][k]) != 45:  # whose sign scikit-image turned since
            assert found["Orientation"][k] == pytest.approx(np.degrees(region.orientation), abs=1e-6)
        far = ndimage.distance_transform_edt(np.pad(region.image, 1))[np.pad(region.image, 1)]
        radii = [found[f"{which}Radius"][k] for which in ("Maximum", "Mean", "Median")]
        assert radii == pytest.approx([far.max(), far.mean(), np.median(far)])
        assert found["Solidity"][k] == found["Area"][k] / found["ConvexArea"][k] <= 1
        assert found["Compactness"][k] == pytest.approx(region.perimeter**2 / (4 * np.pi * region.area))
    assert len(regionprops(labels)) > 10


def test_an_object_without_a_pixel_is_not_a_number():
    found = _measured(_labels())
    assert all(np.isnan(values[3]) for values in found.values()) and not np.isnan(found["Area"][4])


def test_one_pixel():
    labels = np.zeros((5, 5), np.int32)
    labels[2, 3] = 1
    found = {name: values[0] for name, values in _measured(labels).items()}
    assert found["Area"] == found["ConvexArea"] == found["Solidity"] == found["MaximumRadius"] == 1
    assert found["Perimeter"] == found["Compactness"] == found["MaxFeretDiameter"] == found["MajorAxisLength"] == 0
    assert found["FormFactor"] == np.inf and found["Orientation"] == 45 and np.isnan(found["Zernike_0_0"])
    assert (found["Center_X"], found["Center_Y"], found["EulerNumber"]) == (3, 2, 1)


def test_a_ring_and_a_square():
    labels = np.zeros((20, 20), np.int32)
    labels[2:9, 2:9] = 1
    labels[4:7, 4:7] = 0
    labels[12:16, 12:16] = 2
    found = _measured(labels)
    assert list(found["EulerNumber"]) == [0, 1] and list(found["ConvexArea"]) == [49, 16]
    assert found["Perimeter"][1] == 12
    assert list(found["MinFeretDiameter"]) == [6, 3] and found["MaxFeretDiameter"] == pytest.approx(np.sqrt([72, 18]))
    assert list(found["Orientation"]) == [45, 45] and found["Zernike_1_1"] == pytest.approx([0, 0], abs=1e-12)


def test_zernike_is_by_the_enclosing_circle_and_does_not_move_with_the_object():
    rows, columns = np.mgrid[:40, :80]
    labels = ((rows - 15) ** 2 / 100 + (columns - 20) ** 2 / 36 <= 1).astype(np.int32)
    labels[(rows - 19) ** 2 / 100 + (columns - 60) ** 2 / 36 <= 1] = 2
    found = _measured(labels)
    names = [name for name in found if name.startswith("Zernike")]
    assert len(names) == 30 and names[0] == "Zernike_0_0" and names[-1] == "Zernike_9_9"
    for name in names:
        assert found[name][0] == pytest.approx(found[name][1], abs=1e-9)
    assert found["Zernike_0_0"][0] == pytest.approx(found["Area"][0] / (np.pi * 100), rel=0.02)


def test_columns_come_in_order_and_empty_without_objects():
    found = _measured(np.zeros((5, 6), np.int32), 0)
    assert list(found)[:3] == ["Area", "BoundingBoxArea", "BoundingBoxMaximum_X"] and len(found) == 55
    assert list(found)[:25] == sorted(list(found)[:25]) and all(values.shape == (0,) for values in found.values())
    assert len(_measured(np.zeros((5, 6), np.int32), 0, zernike=False)) == 25


def test_moments_are_those_of_scikit_image():
    labels = _labels()
    plain, found = _measured(labels, zernike=False), _measured(labels, zernike=False, advanced=True)
    assert list(found) == sorted(found) and len(found) == len(plain) + 12 + 12 + 16 + 7 + 6
    for region in regionprops(labels):
        k = region.label - 1
        tensor = {(i, j): region.inertia_tensor[i, j] for i in range(2) for j in range(2)}
        for i in range(4):
            for j in range(4):
                scale = region.moments[0, 0] * max(region.image.shape) ** (i + j)
                if i < 3:
                    assert found[f"SpatialMoment_{i}_{j}"][k] == pytest.approx(region.moments[i, j])
                    central = found[f"CentralMoment_{i}_{j}"][k]
                    assert central == pytest.approx(region.moments_central[i, j], rel=1e-9, abs=1e-12 * scale)
                normal = found[f"NormalizedMoment_{i}_{j}"][k]
                assert normal == pytest.approx(region.moments_normalized[i, j], rel=1e-9, abs=1e-9, nan_ok=True)
        for n in range(7):
            assert found[f"HuMoment_{n}"][k] == pytest.approx(region.moments_hu[n], rel=1e-9, abs=1e-12)
        assert all(found[f"InertiaTensor_{i}_{j}"][k] == pytest.approx(tensor[i, j], abs=1e-9) for i, j in tensor)
        eigenvalues = [found[f"InertiaTensorEigenvalues_{n}"][k] for n in range(2)]
        assert eigenvalues == pytest.approx(region.inertia_tensor_eigvals, rel=1e-9, abs=1e-9)
    assert np.isnan(found["SpatialMoment_0_0"][3]) and np.isnan(found["HuMoment_0"][3])


def symmetric_shapes(count: int) -> np.ndarray:
    """Return (rows, columns) int32 of drawn shapes, each as wide as it is high or symmetric about a line, in tiles of 40."""
    rng, tiles = np.random.default_rng(0), []
    for number in range(1, count + 1):
        size = int(rng.integers(4, 18))
        half = ndimage.binary_opening(ndimage.gaussian_filter(rng.normal(size=(size, size)), 2) > 0)
        half[size // 2] = True  # one piece
        whole = (half | half.T, half.T[::-1, ::-1] | half, half | half[:, ::-1], half | half[::-1])[number % 4]
        tile = np.zeros((40, 40), np.int32)
        top, left = rng.integers(0, 40 - size, 2)
        tile[top : top + size, left : left + size][whole] = number
        tiles.append(tile)
    return np.concatenate([np.concatenate(tiles[at : at + 20], axis=1) for at in range(0, count, 20)])


@pytest.mark.cellprofiler
def test_what_rounding_decides_falls_as_in_cellprofilers_own_library(tmp_path, cellprofiler):
    """scikit-image 0.18.3, which CellProfiler calls, on shapes whose orientation is 45 or -45, 90 or -90 by the last bit."""
    labels = symmetric_shapes(400)
    np.save(tmp_path / "labels.npy", labels)
    script = (
        "import numpy, sys; from skimage.measure import regionprops_table as table; "
        "found = table(numpy.load(sys.argv[1]), properties=['label', 'orientation', 'eccentricity']); "
        "numpy.savetxt(sys.argv[2], numpy.transpose([found[name] for name in found]))"
    )
    python = Path(cellprofiler).parent / "python"
    subprocess.run([python, "-c", script, tmp_path / "labels.npy", tmp_path / "theirs.txt"], check=True)
    number, theirs, round_ = np.loadtxt(tmp_path / "theirs.txt").T
    found = _measured(labels)["Orientation"][number.astype(int) - 1]
    degrees = np.degrees(theirs)
    assert (np.abs(np.abs(degrees) - 45) < 1e-6).sum() > 50 and (np.abs(np.abs(degrees) - 90) < 1e-6).sum() > 50
    assert {-45, 45, -90, 90} <= set(np.round(degrees[round_ > 0], 6))
    assert (np.abs(found - degrees) < 1e-6).mean() > 0.9  # 0.97; what numpy's powers leave depends on the CPU
    turned = np.abs(found - degrees) >= 1e-6
    assert found[turned] == pytest.approx(-degrees[turned], abs=1e-6)
