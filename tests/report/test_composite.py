"""Composites and close-ups: few colours, added up, and the part of a field with most stain."""

from __future__ import annotations

import numpy as np

from brightpaint.report.figures import composite, panels


def test_at_most_three_stains_are_merged_the_usual_ones_first():
    assert list(composite.merged_stains(["Mito", "RNA", "ER", "AGP", "DNA"])) == ["DNA", "AGP", "ER"]
    assert list(composite.merged_stains(["Odd", "DNA"])) == ["DNA", "Odd"]
    assert len(set(composite.merged_stains(["a", "b", "c", "d"]).values())) == 3


def test_a_composite_is_the_sum_of_its_coloured_stains_cut_off_at_full_brightness():
    image = np.array([[0.0, 1.0], [0.5, 1.0]])
    layers = [(image, (0, 1), "#ff0000"), (image.T, (0, 1), "#0000ff"), (image, (0, 1), "#ff0000")]
    merged = panels.picture({"layers": layers}, (2, 2))
    assert merged[0, 1].tolist() == [255, 0, 128] and merged[1, 0].tolist() == [255, 0, 255]
    assert merged[0, 0].tolist() == [0, 0, 0]


def test_the_close_up_is_where_most_stain_is_and_debris_does_not_decide():
    images = np.full((2, 300, 260), -0.5)
    images[:, 150:250, 140:240] = 2.0
    images[0, 20, 20] = 1e4  # debris
    assert composite.crowded_part(images) == (150, 140)
    assert composite.cut(images, (150, 140)).min() == 2.0
    naive = max(
        (images[:, y : y + 100, x : x + 100].clip(max=6).mean(), -y, -x)
        for y in range(0, 201, 25)
        for x in range(0, 161, 20)
    )
    assert (-naive[1], -naive[2]) == (150, 140)
    assert composite.crowded_part(np.ones((1, 60, 80))) == (0, 0)
    corner = np.zeros((1, 130, 130))
    corner[:, 30:, 30:] = 1
    assert composite.crowded_part(corner) == (30, 30)
