"""Attention maps: those of the very crops that are embedded, and their figure."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_dino import plate, settings_of, weights  # noqa: F401 (plate and weights are fixtures)

from brightpaint import store
from brightpaint.base.intensity import standardise
from brightpaint.features.embedders import dino
from brightpaint.report.figures import attention


def test_attention_maps_are_those_of_the_crops_and_their_figure_is_drawn(plate, weights):  # noqa: F811
    network = dino.load_network(str(weights), torch.device("cpu"), attention=True)
    images = standardise(np.random.default_rng(2).normal(size=(2, 96, 96)))
    shown, maps = attention.attention_maps(network, images, [-1.5, 6])
    assert shown.shape == (2, 448, 448) and maps.shape == (2, 56, 56)
    np.testing.assert_allclose([maps[0, :28, :28].sum(), maps[1, 28:, :28].sum()], 1, atol=1e-5)
    crop = dino.four_crops(dino.middle(torch.from_numpy(images)))[1:2, 1:2]  # upper right, second channel
    with torch.no_grad():
        said = network(pixel_values=dino.pictures(crop, [-1.5, 6]), output_attentions=True).attentions[-1]
    expected = said[0, :, 0, 1:].mean(dim=0)
    np.testing.assert_allclose(maps[1, :28, 28:].ravel(), expected / expected.sum(), atol=1e-6)
    rows = store.read_fields(plate / "P.parquet")
    stack = store.open_stack(plate / "P.tif")
    settings = settings_of(weights)
    seen = [
        attention.field_maps(network, rows.iloc[n], {"real": (stack, rows), "copy": (stack, rows)}, settings)
        for n in (0, 2)
    ]
    assert list(seen[0]) == ["brightfield", "real", "copy"]
    own, other = attention.alike(seen, "copy")
    assert own == pytest.approx(1) and other < 0.9
    assert attention.attention_figure(seen, ["one", "two"], 60).get_size_inches()[1] > 6
