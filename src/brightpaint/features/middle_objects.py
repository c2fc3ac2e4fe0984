"""Objects of a crop that has no label image: what is brighter than a threshold of the crop, and which of it is its cell.

The cell is the component in the middle, or the one nearest to it where the middle lies on none: crops are often cut about a
centroid, which of a bent or parted nucleus (anaphase) is background.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu

THRESHOLDS = {"otsu": threshold_otsu}


def middle_of(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the place of the pixel in the middle of a crop."""
    return tuple(side // 2 for side in shape)


def bright_objects(image: np.ndarray, how: str) -> np.ndarray:
    """Number the components of what is brighter than the threshold of the whole crop.

    Parameters
    ----------
    image : (D, H, W), grey values
    how : of THRESHOLDS: `otsu` (Otsu 1979)

    Returns
    -------
    (D, H, W) int32, 0 outside; pixels that touch at a corner are of one component. A crop of one value has none
    """
    bright = image > THRESHOLDS[how](image)
    labels, _ = ndimage.label(bright, np.ones((3, 3, 3), bool))
    return labels.astype(np.int32)


def nearest_object(labels: np.ndarray) -> int:
    """Return the number of the object nearest to the middle pixel of (D, H, W) labels; of none 0."""
    places = np.argwhere(labels > 0)
    if not len(places):
        return 0
    far = np.square(places - np.array(middle_of(labels.shape))).sum(axis=1)
    return int(labels[tuple(places[far.argmin()])])
