"""Measure the grain that a model adds where there is nothing: background noise (Cross-Zamirski et al. 2023, B.3).

The paper shows predictions that are noisy across the whole image, "particularly visible in the background", for some
class labels, and takes it for overfitting: noise that makes images of one class alike, so that target matching rises
while the images get worse. It gives no formula. Here the score is

    background_noise = s.d. of the painted background / s.d. of the real background,

both images standardised, each with its mean over a window of 15 x 15 px taken off first, so that neither uneven light
nor the glow of a nearby cell counts. Background is the darkest quarter of the field in the smoothed mean of all real
stains: the same pixels for both images and every channel. 1 is as the real stain; above 1 the model adds grain; below
1 it paints smoother than the camera sees. Standardising stretches what has little contrast: a prediction that hardly
tells cells from background, such as the mean image, scores high too.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter

WINDOW_PX = 15
BACKGROUND_SHARE = 0.25


def smooth(images: np.ndarray) -> np.ndarray:
    """Average over a window around each pixel: (..., H, W) -> (..., H, W) float32."""
    size = (1,) * (images.ndim - 2) + (WINDOW_PX, WINDOW_PX)
    return uniform_filter(np.asarray(images, dtype=np.float32), size)


def background(stains: np.ndarray) -> np.ndarray:
    """Find the pixels that hold no cells: (C, H, W) z-scores -> (H, W) bool, a quarter of the field."""
    brightness = smooth(stains.mean(axis=0))
    return brightness <= np.quantile(brightness, BACKGROUND_SHARE)


def noise_ratio(real: np.ndarray, painted: np.ndarray) -> np.ndarray:
    """Compare the grain of painted and real background, channel by channel.

    Parameters
    ----------
    real, painted : (C, H, W) standardised

    Returns
    -------
    (C,) float64, at least 0; NaN where the real background has no grain to compare with
    """
    empty = background(real)
    grain = [np.std((image - smooth(image))[:, empty], axis=1, dtype=np.float64) for image in (real, painted)]
    return np.where(grain[0] > 1e-6, grain[1] / np.maximum(grain[0], 1e-6), np.nan)
