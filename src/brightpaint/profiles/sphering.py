"""Sphering on controls, in any space: one linear map of wells, fitted on control wells of real plates, the same for every arm.

A network's numbers vary with plate and position, and vary together. Whitening by the controls (Kessy et al. 2016, as pycytominer
has it) takes away what varies among wells to which nothing was done, so that what is left is more of the treatments.
Where controls are fewer than numbers, they span no more directions than there are controls: all others are scaled as
the least of these is.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd
from pycytominer.operations.transform import Spherize

from brightpaint.profiles import recipes

log = logging.getLogger(__name__)


def sphere_on_controls(
    wells: pd.DataFrame,
    numbers: Sequence[str],
    reference: pd.DataFrame,
    *,
    method: str,
    epsilon: float,
    least_wells: int,
) -> pd.DataFrame:
    """Sphere wells by a map that is fitted on the control wells of others.

    Parameters
    ----------
    wells : one row a well: Metadata_* and `numbers`, normalised as the space is
    numbers : columns to sphere
    reference : wells of the real plates on which the map is fitted, likewise
    method, epsilon : of pycytominer's Spherize
    least_wells : fewest control wells (control_type negcon, with cells where cells are counted)

    Returns
    -------
    The same rows; a number that does not vary among the controls becomes 0, wells without cells keep NaN

    Raises
    ------
    ValueError
        where there are fewer control wells, none of the numbers varies, or some follow from others
    """
    numbers, controls = list(numbers), reference[recipes.control_wells(reference)]
    plates = sorted(set(reference["Metadata_Plate"]))
    if len(controls) < least_wells:
        raise ValueError(
            f"sphering: {len(controls)} control wells (control_type negcon) on the real plates {', '.join(plates)}, expected "
            f"{least_wells} or more; give more plates (select.plates: all), lower sphering.least_wells, or leave the space out of "
            "sphering.spaces"
        )
    values = controls[numbers].astype(np.float64)
    middle = values.median().fillna(0.0)  # stands for what is missing
    values = values.fillna(middle)
    spread, size = values.std(ddof=0), values.abs().max()
    varied = [name for name in numbers if spread[name] > 1e-9 * size[name]]
    if not varied:
        raise ValueError(
            f"sphering: none of {len(numbers)} numbers varies among {len(controls)} control wells; leave the space out"
        )
    log.info("sphering (%s): fitted on %d control wells of %d real plates, %d numbers%s", method, len(controls), len(plates),
             len(varied), few(len(controls), len(varied)))  # fmt: skip
    if len(varied) < len(numbers):
        log.info("sphering: %d numbers do not vary among control wells and become 0", len(numbers) - len(varied))
    # pycytominer's own check of this lets everything through where controls are centred.
    scaled = (values[varied] - values[varied].mean()) / spread[varied]
    rank = np.linalg.matrix_rank(scaled.to_numpy())
    if rank < min(len(controls) - 1, len(varied)):
        raise ValueError(
            f"sphering: {len(varied)} numbers of {len(controls)} control wells span {rank} directions, so that some follow from "
            "others, and what differs between them in treated wells would be blown up; leave the space out of sphering.spaces, "
            "or lower select.correlation where its numbers are selected"
        )
    fitted = Spherize(method=method, epsilon=epsilon).fit(values[varied])
    sphered = recipes.sphere(wells, varied, fitted, middle)
    measured, flat = recipes.measured_wells(wells), [name for name in numbers if name not in set(varied)]
    sphered[flat] = sphered[flat].astype(np.float64)
    sphered.loc[measured, flat] = 0.0
    return sphered


def few(wells: int, numbers: int) -> str:
    """Say what fewer controls than numbers mean."""
    if wells > numbers:
        return ""
    return f"; they span {wells - 1} directions, and the others are scaled as the least of these"
