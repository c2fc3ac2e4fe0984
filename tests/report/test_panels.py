"""Panels: images are painted linearly between their limits, and the scale bar is round."""

from itertools import pairwise

import matplotlib.pyplot as plt
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


def test_titles_of_doses_stand_beside_one_another():
    names = [f"wortmannin@{dose:g}uM" for dose in (0.0009765, 0.0078125, 0.25, 1000)]
    panel = {"image": np.zeros((64, 64)), "limits": (0.0, 1.0), "tint": "white"}
    figure = panels.lay_out([[panel] * len(names)], names, [("", "real cells")], dpi=100)
    boxes = [text.get_window_extent() for text in figure.axes[0].texts if "@" in text.get_text()]
    assert len(boxes) == len(names) and all(left.x1 < right.x0 for left, right in pairwise(boxes))
    assert (
        min(box.y0 for box in boxes) >= figure.bbox.height - 48 and max(box.y1 for box in boxes) <= figure.bbox.height
    )
    plt.close(figure)
