"""Where a crop lies and what is in it: windows about the centres of cells in 2D or 3D, cut from images and label images.

Everything here has three axes, (D, H, W); a flat image has D = 1, and a flat label image serves every plane.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from brightpaint.plates.resize import resize

BORDERS = ("drop", "pad", "shift")


def centres(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of the objects of a label image and the middle of each one's pixels.

    Parameters
    ----------
    labels : (D, H, W) whole numbers, 0 outside

    Returns
    -------
    numbers : (n,) int64, ascending
    middles : (n, 3) float64, z, y, x in pixels; the middle of the first pixel is 0
    """
    boxes = ndimage.find_objects(labels)
    numbers = np.array([number for number, box in enumerate(boxes, 1) if box], np.int64)
    middles = np.empty((len(numbers), 3))
    for middle, number in zip(middles, numbers):
        box = boxes[number - 1]
        inside = np.nonzero(labels[box] == number)
        middle[:] = [place.mean() + part.start for place, part in zip(inside, box)]
    return numbers, middles


def starts(middle: Sequence[float], size: Sequence[int]) -> np.ndarray:
    """Return the first pixel of a window whose middle is nearest to `middle`, (axes,); it may lie outside the image.

    Of an even number of pixels the middle is taken to be the one after it.
    """
    return np.floor(np.asarray(middle) + 0.5).astype(np.int64) - np.asarray(size) // 2


def reaches_out(start: np.ndarray, size: Sequence[int], shape: Sequence[int]) -> bool:
    """Return whether a window goes beyond the image."""
    return bool((start < 0).any() or (start + np.asarray(size) > np.asarray(shape)).any())


def placed(start: np.ndarray, size: Sequence[int], shape: Sequence[int], border: str) -> np.ndarray | None:
    """Return where a window begins under a policy for those that reach beyond the image; None where it is dropped.

    Parameters
    ----------
    border : `drop` leaves it out; `pad` keeps it, and what lies outside is 0; `shift` moves it into the image, so that
        its cell is not in the middle
    """
    if not reaches_out(start, size, shape) or border == "pad":
        return start
    if border == "drop":
        return None
    if (np.asarray(size) > np.asarray(shape)).any():
        raise ValueError(
            f"crops of {tuple(map(int, size))} pixels are larger than images of {tuple(map(int, shape))} (D, H, W) and "
            "cannot be moved inside; make them smaller, or set border to pad"
        )
    return np.clip(start, 0, np.asarray(shape) - np.asarray(size))


def cut(image: np.ndarray, start: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Return the window of an image, (..., d, h, w); what lies outside the image is 0."""
    window = np.zeros((*image.shape[:-3], *size), image.dtype)
    ends = np.minimum(start + np.asarray(size), image.shape[-3:])
    begins = np.maximum(start, 0)
    if (begins < ends).all():
        inside = tuple(slice(a, b) for a, b in zip(begins, ends))
        target = tuple(slice(a - s, b - s) for a, b, s in zip(begins, ends, start))
        window[(..., *target)] = image[(..., *inside)]
    return window


def cut_masks(labels: np.ndarray, number: int, start: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Return (2, d, h, w) uint8 of a window: 1 within the object `number`, and 1 within any.

    A flat label image, (1, H, W), is repeated over the planes of the window.
    """
    if len(labels) == 1:
        window = cut(labels, np.array([0, *start[1:]]), (1, *size[1:]))
        window = np.repeat(window, size[0], axis=0)
    else:
        window = cut(labels, start, size)
    return np.stack([window == number, window > 0]).astype(np.uint8)


def brought_to(images: np.ndarray, masks: np.ndarray, size_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a crop and its masks at `size_px` by `size_px`: images as `prepare` resizes fields, masks by nearest pixel."""
    if images.shape[-2:] == (size_px, size_px):
        return images, masks
    planes = [resize(plane, size_px) for plane in images.reshape(-1, *images.shape[-2:]).astype(np.float32)]
    nearest = [((np.arange(size_px) + 0.5) * side / size_px).astype(int) for side in masks.shape[-2:]]
    return np.reshape(planes, (*images.shape[:-2], size_px, size_px)), masks[..., nearest[0][:, None], nearest[1]]
