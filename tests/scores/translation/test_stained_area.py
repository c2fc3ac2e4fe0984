"""The area above a fixed threshold: the same test by well on both sides, and whether both conclude the same."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from brightpaint.scores.translation import stained_area
from brightpaint.scores.translation.well_shift import CLASS


def test_thresholds_stand_on_the_real_source_fields():
    ramp = np.linspace(0, 100, 10201).reshape(1, 101, 101)
    thresholds = stained_area.area_thresholds([ramp, ramp + 2])
    assert thresholds == pytest.approx([96.0])
    np.testing.assert_allclose(stained_area.area_above(ramp, thresholds), [0.04], atol=2e-4)
    assert stained_area.area_above(ramp * 0, thresholds) == [0.0]


def wells(**shares):
    """One row a well: class=[shares of its wells]."""
    rows = [(name, share) for name, values in shares.items() for share in values]
    return pd.DataFrame({"Metadata_Plate": "P", "Metadata_Well": [f"A{n:02d}" for n in range(len(rows))],
                         CLASS: [name for name, _ in rows], "Golgi": [share for _, share in rows]})  # fmt: skip


def test_both_sides_are_asked_the_same_and_their_agreement_has_its_chance():
    source = [0.050, 0.052, 0.048, 0.051]
    real = stained_area.area_tests(
        wells(DMSO=source, high=[0.09, 0.092], low=[0.051, 0.05], one=[0.02]), ["Golgi"], "DMSO"
    )
    assert real.set_index(CLASS)["conclusion"].to_dict() == {"high": 1, "low": 0, "one": -1}  # one well is enough
    painted = stained_area.area_tests(
        wells(DMSO=source, high=[0.08, 0.081], low=[0.09, 0.091], one=[0.05]), ["Golgi"], "DMSO"
    )
    joined = stained_area.agreement(real, painted)
    assert joined.set_index(CLASS)["agree"].to_dict() == {"high": 1, "low": 0, "one": 0}
    assert stained_area.expected_agreement(joined) == pytest.approx(2 / 3 * 1 / 3 + 1 / 3 * 1 / 3)


def test_what_cannot_be_tested_agrees_with_nothing():
    alone = stained_area.area_tests(wells(DMSO=[0.05], high=[0.09]), ["Golgi"], "DMSO")
    assert np.isnan(alone["conclusion"]).all()
    joined = stained_area.agreement(alone, alone)
    assert np.isnan(joined["agree"]).all() and np.isnan(stained_area.expected_agreement(joined))
