"""A space's network with its eyes open: shown any image, it answers with the numbers of the space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Seer:
    """A network that makes a space.

    Attributes
    ----------
    channels : of an image, in order
    see : (n, C, D, H, W) float32 z-scores -> (n, F) float32
    each : whether the F numbers are those of each channel by itself, as many of each, side by side
    answer : (n, F) -> (n,) classes from 0, of a classifier
    labels : {class: number from 1} of a classifier
    label : the annotation that it tells
    masked : whether it sees what lies outside the own cell as 0
    """

    channels: list[str]
    see: Callable[[np.ndarray], np.ndarray]
    each: bool = False
    answer: Callable[[np.ndarray], np.ndarray] | None = None
    labels: dict[str, int] | None = None
    label: str = ""
    masked: bool = False

    def alone(self, images: np.ndarray, numbers: np.ndarray, channel: str) -> np.ndarray:
        """Return the numbers of one channel: those of it alone, or what is made of images whose other channels are 0.

        Parameters
        ----------
        images : (n, C, D, H, W)
        numbers : (n, F), what is made of these
        """
        place = self.channels.index(channel)
        if self.each:
            return np.split(numbers, len(self.channels), axis=1)[place]
        shown = np.zeros_like(images)
        shown[:, place] = images[:, place]
        return self.see(shown)

    def without(self, images: np.ndarray, channel: str) -> np.ndarray:
        """Return images with one channel 0, the mean of its plate: (n, C, D, H, W)."""
        shown = images.copy()
        shown[:, self.channels.index(channel)] = 0
        return shown
