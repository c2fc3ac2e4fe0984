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


def test_without_brightfield_the_first_stain_bears_the_scale_bar(monkeypatch):
    laid = []
    monkeypatch.setattr(panels, "lay_out", lambda rows, titles, labels, **_: laid.append((rows, titles)))
    view = {"heading": "A01", "width_um": 100.0, "stains": {name: np.ones((1, 8, 8)) for name in ("real", "arm")}}
    panels.draw_fields([view], channels={"input": [], "target": ["DNA"]}, dpi=60)
    shown = {**view, "brightfield": np.ones((8, 8))}
    panels.draw_fields([shown], channels={"input": ["BF"], "target": ["DNA"]}, dpi=60)
    (without, titles), (beside, named) = laid
    assert titles == ["DNA", "composite"] and named == ["BF", "DNA", "composite"]
    assert "bar" in without[0][0] and "bar" not in without[1][0]
    assert "bar" in beside[0][0] and "bar" not in beside[0][1] and beside[1][0] is None
