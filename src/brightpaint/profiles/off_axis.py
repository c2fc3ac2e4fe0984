"""What is left of wells off an axis between two classes: its norm, and its first component."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from brightpaint.profiles.held_out import Split
from brightpaint.profiles.separation import OutOfFold


def off_scores(splits: Sequence[Split], told: OutOfFold, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what is left of each well off the axis: its norm, and its first component.

    Of a control by the split that holds it out, of others the mean over splits. The component is that of the wells which a split
    does not hold out; its sign, which is nobody's, follows the first split's.
    """
    n = len(labels)
    norm, first, counts = np.zeros(n), np.zeros(n), np.zeros(n)
    known: np.ndarray | None = None
    for split, normal in zip(splits, told.normals):
        way = split.basis @ normal  # (p,)
        centred = split.points - split.points[split.trained].mean(axis=0)
        left = centred - np.outer(centred @ way, way)
        component = leading(left[~split.held])
        if known is not None and component @ known < 0:
            component = -component
        known = component if known is None else known
        own = split.held | (labels < 0)
        norm[own] += np.linalg.norm(left[own], axis=1)
        first[own] += left[own] @ component
        counts[own] += 1
    norm, first = (each / np.maximum(counts, 1) for each in (norm, first))
    controls = labels >= 0
    return norm - norm[controls].mean(), first - first[controls].mean()


def leading(rows: np.ndarray) -> np.ndarray:
    """Return the first principal component of (n, p) rows: (p,) of length 1, its largest number above 0."""
    centred = rows - rows.mean(axis=0)
    if len(rows) < rows.shape[1]:  # wells are fewer than numbers as a rule
        vector = centred.T @ np.linalg.eigh(centred @ centred.T)[1][:, -1]
    else:
        vector = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    vector = vector / max(float(np.linalg.norm(vector)), 1e-300)
    return vector * np.sign(vector[np.argmax(np.abs(vector))] or 1.0)
