"""Panels: images are painted linearly between their limits, and the scale bar is round."""

import numpy as np
import pytest

from brightpaint.report.figures import panels


def test_what_is_painted_is_linear_between_the_limits():
    image = np.array([[-1.0, 0.0], [1.0, 9.0]])
    painted = panels.paint(image, (-1.0, 3.0), "white", (2, 2))
    assert painted[..., 0].tolist() == [[0, 64], [128, 255]]
    assert panels.paint(image, (-1.0, 3.0), "#ff0000", (2, 2))[1, 1].tolist() == [255, 0, 0]
    assert panels.paint(np.ones((8, 8)), (0.0, 1.0), "white", (4, 4)).shape == (4, 4, 3)


@pytest.mark.parametrize("width_um, bar", [(100, 20), (256, 50), (648, 100), (45, 10), (3, 0.5)])
def test_the_scale_bar_is_a_round_length_near_a_quarter(width_um, bar):
    assert panels.scale_bar_um(width_um) == pytest.approx(bar)
