"""Wells are drawn where they lie on the plate."""

import numpy as np
import pandas as pd

from brightpaint.report.figures import plate_layout


def test_wells_lie_where_they_are_and_missing_ones_are_gaps():
    grid = plate_layout.plate_grid(pd.Series({"A01": 1.0, "B03": 2.0, "odd": 9.0}), 2, 3)
    np.testing.assert_array_equal(grid, [[1, np.nan, np.nan], [np.nan, np.nan, 2]])
    assert [plate_layout.row_letters(row) for row in (1, 16, 26, 27, 32)] == ["A", "P", "Z", "AA", "AF"]
