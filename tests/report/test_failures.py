"""Galleries of failures: the right fields of each."""

from __future__ import annotations

import numpy as np
import pytest

from brightpaint.report.figures import failures
from failures_fixture import field_scores


def test_the_worst_fields_come_first_and_those_that_cannot_be_compared_not_at_all():
    table = field_scores([[0.9, 0.8], [0.1, 0.3], [np.nan, 0.5], [np.nan, np.nan]])
    worst = failures.worst_fields(table, 2)
    assert worst["Metadata_Well"].tolist() == ["A02", "A03"]
    assert worst["pcc"].tolist() == pytest.approx([0.2, 0.5]) and worst["fields"].tolist() == [3, 3]
    assert failures.worst_fields(table, 99)["rank"].tolist() == [1, 2, 3]


def test_the_noisiest_fields_are_those_of_most_noise():
    table = field_scores(np.ones((3, 2)), noise=[[1.0, 2.0], [5.0, 7.0], [0.5, np.nan]])
    worst = failures.worst_fields(table, 2, "background_noise")
    assert worst["Metadata_Well"].tolist() == ["A02", "A01"]
    assert worst["background_noise"].tolist() == pytest.approx([6.0, 1.5])
