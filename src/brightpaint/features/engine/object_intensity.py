"""Intensity and location of each object in each image: CellProfiler's MeasureObjectIntensity.

An object's pixels are added up in float64 in the image's row-major order, as CellProfiler's bincounts do, so that sums and
all that follows from them have CellProfiler's bits.
"""

from __future__ import annotations

import numba
import numpy as np

from brightpaint.features.engine import numpy_order
from brightpaint.features.engine.objects import Objects

FEATURES = (
    "Intensity_IntegratedIntensity",
    "Intensity_MeanIntensity",
    "Intensity_StdIntensity",
    "Intensity_MinIntensity",
    "Intensity_MaxIntensity",
    "Intensity_IntegratedIntensityEdge",
    "Intensity_MeanIntensityEdge",
    "Intensity_StdIntensityEdge",
    "Intensity_MinIntensityEdge",
    "Intensity_MaxIntensityEdge",
    "Intensity_MassDisplacement",
    "Intensity_LowerQuartileIntensity",
    "Intensity_MedianIntensity",
    "Intensity_MADIntensity",
    "Intensity_UpperQuartileIntensity",
    "Location_CenterMassIntensity_X",
    "Location_CenterMassIntensity_Y",
    "Location_CenterMassIntensity_Z",
    "Location_MaxIntensity_X",
    "Location_MaxIntensity_Y",
    "Location_MaxIntensity_Z",
)


def measure(objects: Objects, images: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return {`Intensity_MeanIntensity_DNA`: (count,) float64}, and so on, of every image.

    Parameters
    ----------
    objects : the objects; one without a pixel has 0 in every column
    images : {name: (H, W) float32 or float64}, finite

    The edge of an object are its pixels with another label among their four neighbours; the image's border makes none.
    Where several pixels share an object's maximum, its place is that of the pixel which CellProfiler's unstable sort puts
    last (`numpy_order`). An object that is 0 everywhere has no centre of mass and no mass displacement: NaN.
    """
    columns = {}
    width = objects.labels.shape[1]
    edge = _edge(objects.labels)[objects.pixels]
    for name, image in images.items():
        if image.shape != objects.labels.shape:
            raise ValueError(f"image {name} is {image.shape}, its objects {objects.labels.shape}: expected one shape")
        values = image.ravel()[objects.pixels].astype(np.float64)
        measured, brightest = _measured(values, objects.pixels, objects.starts, edge, width)
        if (brightest < 0).any():
            inside = np.flatnonzero(objects.labels)
            sorted_out = image.ravel()[inside].astype(np.float64)
            brightest = inside[numpy_order.maximum_places(objects.labels.ravel()[inside], sorted_out, objects.count)]
        filled = objects.areas > 0
        measured[18, filled], measured[19, filled] = brightest[filled] % width, brightest[filled] // width
        columns |= {f"{feature}_{name}": column for feature, column in zip(FEATURES, measured, strict=True)}
    return columns


@numba.njit(cache=True, nogil=True)
def _edge(labels: np.ndarray) -> np.ndarray:
    height, width = labels.shape
    edge = np.zeros(labels.size, np.bool_)
    for i in range(height):
        for j in range(width):
            here = labels[i, j]
            if here > 0:
                edge[i * width + j] = (
                    (i > 0 and labels[i - 1, j] != here)
                    or (j > 0 and labels[i, j - 1] != here)
                    or (i + 1 < height and labels[i + 1, j] != here)
                    or (j + 1 < width and labels[i, j + 1] != here)
                )
    return edge


@numba.njit(cache=True, nogil=True)
def _quantile(ordered: np.ndarray, fraction: float) -> float:
    """Return the value at `fraction * n` of n sorted ones (not n - 1, as usual), between its two neighbours."""
    at = ordered.size * fraction
    low = int(at)
    if low >= ordered.size - 1:
        return ordered[low]
    part = at - low
    return ordered[low] * (1 - part) + ordered[low + 1] * part


@numba.njit(cache=True, nogil=True)
def _median_deviation(ordered: np.ndarray, median: float) -> float:
    """Return the `n / 2`-th distance from the median, of sorted values: distances grow on both sides of it."""
    count = ordered.size
    wanted = int(count / 2)
    right = np.searchsorted(ordered, median)
    left = right - 1
    last, before = 0.0, 0.0
    for _ in range(min(wanted + 2, count)):
        before = last
        if right >= count or (left >= 0 and abs(ordered[left] - median) <= abs(ordered[right] - median)):
            last = abs(ordered[left] - median)
            left -= 1
        else:
            last = abs(ordered[right] - median)
            right += 1
    if wanted >= count - 1:
        return last
    part = count / 2 - wanted
    return before * (1 - part) + last * part


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _measured(
    values: np.ndarray, pixels: np.ndarray, starts: np.ndarray, edge: np.ndarray, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns of `FEATURES`, places of maxima left out: (21, count); and those: (count,), -1 where shared."""
    count = starts.size - 1
    out = np.zeros((21, count))
    brightest = np.zeros(count, np.int64)
    for k in range(count):
        first, last = starts[k], starts[k + 1]
        area = last - first
        if area == 0:
            continue
        total, low, high, place = 0.0, np.inf, -np.inf, 0
        sum_x, sum_y, mass_x, mass_y = 0.0, 0.0, 0.0, 0.0
        edges, edge_total, edge_low, edge_high = 0, 0.0, np.inf, -np.inf
        shared = False
        for at in range(first, last):
            value, y = values[at], pixels[at] // width
            x = pixels[at] - y * width
            total += value
            sum_x += x
            sum_y += y
            mass_x += x * value
            mass_y += y * value
            low = min(low, value)
            if value > high:
                high, place, shared = value, pixels[at], False
            elif value == high:
                shared = True
            if edge[at]:
                edges += 1
                edge_total += value
                edge_low, edge_high = min(edge_low, value), max(edge_high, value)
        mean, edge_mean = total / area, edge_total / edges
        squares, edge_squares = 0.0, 0.0
        for at in range(first, last):
            squares += (values[at] - mean) ** 2
            if edge[at]:
                edge_squares += (values[at] - edge_mean) ** 2
        brightest[k] = -1 if shared else place
        out[0, k], out[1, k], out[2, k], out[3, k], out[4, k] = total, mean, np.sqrt(squares / area), low, high
        if edges > 0:  # else the object fills the image, and has no edge: 0
            out[5, k], out[6, k], out[7, k] = edge_total, edge_mean, np.sqrt(edge_squares / edges)
            out[8, k], out[9, k] = edge_low, edge_high
        centre_x, centre_y, centre_z = mass_x / total, mass_y / total, 0.0 / total
        apart_x, apart_y = sum_x / area - centre_x, sum_y / area - centre_y
        out[10, k] = np.sqrt(apart_x * apart_x + apart_y * apart_y + centre_z * centre_z)
        ordered = np.sort(values[first:last])
        median = _quantile(ordered, 0.5)
        out[11, k], out[12, k], out[14, k] = _quantile(ordered, 0.25), median, _quantile(ordered, 0.75)
        out[13, k] = _median_deviation(ordered, median)
        out[15, k], out[16, k], out[17, k] = centre_x, centre_y, centre_z
    return out, brightest
