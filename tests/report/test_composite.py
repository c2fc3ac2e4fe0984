"""Composites and close-ups: few colours, added up, and the part of a field with most stain."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import to_rgb

from brightpaint.base.colours import stain_colours
from brightpaint.report.figures import composite, panels


def test_at_most_three_stains_are_merged_the_usual_ones_first():
    assert list(composite.merged_stains(["Mito", "RNA", "ER", "AGP", "DNA"])) == ["DNA", "AGP", "ER"]
    assert list(composite.merged_stains(["Odd", "DNA"])) == ["DNA", "Odd"]
    assert len(set(composite.merged_stains(["a", "b", "c", "d"]).values())) == 3


def test_a_stain_has_one_colour_everywhere_and_no_two_share_one():
    neurons = stain_colours(["DNA", "MAP2", "NFH"])
    assert neurons["DNA"] == stain_colours(["Mito", "DNA"])["DNA"] and len(set(neurons.values())) == 3
    assert composite.merged_stains(["DNA", "MAP2", "NFH"]) == neurons
    many = stain_colours(["RNA", *(f"S{n}" for n in range(30)), "DNA"])
    shades = {name: np.ptp(to_rgb(colour)) for name, colour in many.items()}
    assert len(set(many.values())) == 32 and min(shades.values()) > 0.3  # no greys
    assert many["DNA"] == neurons["DNA"] and list(many)[0] == "RNA"
    view = {"stains": {"real": np.zeros((3, 4, 4))}}
    row = panels.stain_panels(view, "real", ["DNA", "MAP2", "NFH"], [(0, 1)] * 3, legend=True)
    assert [panel["tint"] for panel in row[:3]] == [colour for *_, colour in row[3]["layers"]] == list(neurons.values())
    assert row[3]["legend"] == neurons


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
