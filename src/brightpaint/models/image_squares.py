"""Fields as squares of the one size that a critic sees and a generator paints, and back."""

from __future__ import annotations

import numpy as np


def squares(image: np.ndarray, size_px: int) -> np.ndarray:
    """Cut an image into as many squares as lie in it side by side, about its middle: (C, H, W) -> (n, C, size_px, size_px).

    Raises
    ------
    ValueError
        for an image smaller than one square
    """
    counts = [side // size_px for side in image.shape[1:]]
    if not all(counts):
        raise ValueError(
            f"a field of {image.shape[1]} x {image.shape[2]} px, and the critic sees {size_px} x {size_px}; train one of smaller "
            "images (gan.size_px)"
        )
    top, left = ((side - count * size_px) // 2 for side, count in zip(image.shape[1:], counts))
    rows, columns = ([first + number * size_px for number in range(count)] for first, count in zip((top, left), counts))
    return np.stack([image[:, y : y + size_px, x : x + size_px] for y in rows for x in columns])


def joined(parts: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Lay squares side by side, the inverse of `squares` where they fill the image: (n, C, S, S) -> (C, H, W), `size`."""
    count, channels, side, _ = parts.shape
    rows, columns = (length // side for length in size)
    if rows * columns != count or (rows * side, columns * side) != tuple(size):
        raise ValueError(f"{count} squares of {side} px do not fill {size[0]} x {size[1]} px")
    laid = parts.reshape(rows, columns, channels, side, side).transpose(2, 0, 3, 1, 4)
    return laid.reshape(channels, rows * side, columns * side)  # (rows, columns, C, S, S) -> (C, H, W)
