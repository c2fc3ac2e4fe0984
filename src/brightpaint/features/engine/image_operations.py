"""Images before objects: CellProfiler's rescaling, MeasureImageIntensity and ImageMath, with the types and rounding of each.

CellProfiler holds an image as float32. Its numbers of whole images are float32 (sum, standard deviation, median, MAD) or float64
(mean, percentiles), as numpy 1.24 makes them; its CSV prints a float32 by the fewest digits that tell it apart, which read
as float64 differ from it by up to 6e-8 of it.
"""

from __future__ import annotations

import numpy as np

from brightpaint.features.engine import rounding

SUBTRACT, AVERAGE = "Subtract", "Average"
SCALES = {"uint8": 255.0, "uint16": 65535.0}


def rescaled(pixels: np.ndarray) -> np.ndarray:
    """Return pixels as LoadData with "Rescale intensities?" hands them on: (H, W) uint8 or uint16 -> float32, 0 to 1."""
    if pixels.dtype.name not in SCALES:
        raise ValueError(f"expected pixels of {' or '.join(SCALES)}, found {pixels.dtype}")
    return pixels.astype(np.float32) / np.float32(SCALES[pixels.dtype.name])


def measure(image: np.ndarray, name: str, *, percentiles: tuple[int, ...] = ()) -> dict[str, float]:
    """Return the columns of Image.csv that MeasureImageIntensity writes of a whole image: {`Intensity_MeanIntensity_OrigDNA`: 0.1}.

    Parameters
    ----------
    image : (H, W) float32, finite
    name : of the image
    percentiles : whole numbers, 0 to 100, interpolated linearly between the two nearest of the n pixels in float64
    """
    if wrong := [number for number in percentiles if number != int(number) or not 0 <= number <= 100]:
        raise ValueError(f"MeasureImageIntensity: expected whole percentiles from 0 to 100, found {wrong[0]}")
    pixels = image.ravel()
    ordered = np.sort(pixels)
    median, total = _middle(ordered), rounding.total(pixels)
    apart = pixels - rounding.mean(pixels)
    found = {
        "TotalIntensity": total,
        "MeanIntensity": float(total) / pixels.size,
        "MedianIntensity": median,
        "StdIntensity": np.sqrt(rounding.mean(apart * apart)),
        "MADIntensity": _middle(np.sort(np.abs(pixels - median))),
        "MaxIntensity": ordered[-1],
        "MinIntensity": ordered[0],
        "TotalArea": pixels.size,
        "PercentMaximal": 100.0 * (pixels.size - np.searchsorted(ordered, ordered[-1])) / pixels.size,
        "LowerQuartileIntensity": _percentile(ordered, 25),
        "UpperQuartileIntensity": _percentile(ordered, 75),
    } | {f"Percentile_{number}": _percentile(ordered, number) for number in percentiles}
    return {f"Intensity_{feature}_{name}": float(value) for feature, value in found.items()}


def combined(
    operation: str,
    operands: list[np.ndarray | float],
    *,
    factors: list[float] | None = None,
    exponent: float = 1,
    factor: float = 1,
    addend: float = 0,
    not_below_0: bool = True,
    not_above_1: bool = True,
    invalid_to_0: bool = True,
) -> np.ndarray:
    """Return what ImageMath makes of images and measurements: (H, W) float32, of float32 images.

    Parameters
    ----------
    operation : "Subtract" (all others from the first) or "Average" (weighted by `factors`)
    operands : images, (H, W) float32 of one shape, or measurements, which are rounded to float32 before they are used
    factors : what each operand is multiplied by first; 1 where None
    exponent, factor, addend : the result is raised to the power, then multiplied, then added to
    not_below_0, not_above_1, invalid_to_0 : "Set values less than 0 equal to 0?", "... greater than 1 equal to 1?" and "Replace
        invalid values with 0?"
    """
    if operation not in (SUBTRACT, AVERAGE):
        raise ValueError(f"ImageMath: expected an operation of {SUBTRACT}, {AVERAGE}, found {operation}")
    factors = [1.0] * len(operands) if factors is None else [float(number) for number in factors]
    shapes = {operand.shape for operand in operands if isinstance(operand, np.ndarray)}
    if len(operands) < 2 or len(factors) != len(operands) or len(shapes) != 1:
        raise ValueError(
            f"ImageMath: expected two operands or more, each with its factor, and images of one shape; found {len(operands)} "
            f"operands, {len(factors)} factors, shapes {sorted(shapes)}"
        )
    # Numbers are Python's, so that numpy keeps the images' type.
    weighted = [
        (operand if isinstance(operand, np.ndarray) else float(operand)) * number if number != 1 else operand
        for operand, number in zip(operands, factors, strict=True)
    ]
    result, *others = (term if isinstance(term, np.ndarray) else float(term) for term in weighted)
    for other in others:
        result = result - other if operation == SUBTRACT else result + other
    if operation == AVERAGE:
        result = result / sum(factors)
    if exponent != 1:
        result = result ** float(exponent)
    if factor != 1:
        result = result * float(factor)
    if addend != 0:
        result = result + float(addend)
    if not_below_0:
        result[result < 0] = 0
    if not_above_1:
        result[result > 1] = 1
    if invalid_to_0:
        result[np.isnan(result)] = 0
    return result


def _middle(ordered: np.ndarray) -> np.floating:
    """Return the median of sorted numbers in their own type."""
    half = ordered.size // 2
    return ordered[half] if ordered.size % 2 else ordered[half - 1 : half + 1].mean()


def _percentile(ordered: np.ndarray, percent: float) -> float:
    """Return a percentile of sorted float32 as numpy 1.24 does: their difference in float32, the rest in float64."""
    at = (ordered.size - 1) * (percent / 100)
    low = int(at)
    lower, upper = ordered[low], ordered[min(low + 1, ordered.size - 1)]
    part, apart = at - low, float(upper - lower)
    return float(upper) - apart * (1 - part) if part >= 0.5 else float(lower) + apart * part
