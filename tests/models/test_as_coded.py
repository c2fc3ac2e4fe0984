"""What the authors' public code does and the paper does not say: each by what it must come to."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from brightpaint import store
from brightpaint.models import fit, train
from brightpaint.models.data import augment
from brightpaint.models.kinds import diffusion
from brightpaint.models.objectives.losses import build_denoiser, build_unet
from brightpaint.models.paint import sample, walk
from brightpaint.study.presets import AS_CODED
from models_fixture import CHANNELS, SETTINGS, make_plate, sample_arguments, train_arguments

THEIRS = {**SETTINGS, "preset": "paper", "width": 32, "objective": "eps", "as_coded": True}


def test_layers_that_are_zeros_here_are_drawn_there():
    torch.manual_seed(0)
    ours, theirs = (build_unet({**THEIRS, "as_coded": coded}, CHANNELS, 3) for coded in (False, True))
    assert (ours.last.weight == 0).all() and (ours.stages[0].conv_out.weight == 0).all()
    for name, layer in theirs.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            inputs, count = layer.weight[0].numel(), layer.weight.numel()
            assert (layer.bias == 0).all(), name
            assert float(layer.weight.detach().std()) == pytest.approx(
                math.sqrt(2 / inputs), rel=5 / math.sqrt(2 * count)
            ), name
    labels = theirs.encoder.condition.table.weight if hasattr(theirs.encoder.condition, "table") else None
    assert labels is None or 0.5 < float(labels[1:].detach().std()) < 1.5  # embeddings are left as they are built
    assert {name: value.shape for name, value in ours.state_dict().items()} == {
        name: value.shape for name, value in theirs.state_dict().items()
    }


def test_every_norm_has_32_groups_and_at_the_published_width_ours_has_too():
    def groups(width, coded):
        with torch.device("meta"):
            unet = build_unet({**THEIRS, "width": width, "as_coded": coded}, CHANNELS, 0)
        return {layer.num_groups for layer in unet.modules() if isinstance(layer, nn.GroupNorm)}

    assert groups(64, True) == groups(64, False) == {32}
    assert groups(32, True) == {32} and min(groups(32, False)) == 16


def test_a_quarter_of_the_images_is_turned_by_an_odd_quarter():
    """Of image [[0, 1], [2, 3]] the opposite corners 0 and 3 stay opposite; what lies beside 0 says whether it was turned."""
    image = np.arange(4.0).reshape(1, 2, 2)
    for share in (0.25, 0.5):
        drawn = [augment(image, np.random.default_rng(seed), share)[0] for seed in range(4000)]
        flat = [view.ravel().tolist() for view in drawn]
        turned = np.mean([abs(view[0] - view[1]) == 2 for view in flat])  # 0 and 2 lie beside one another in a row
        assert turned == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 4000))
        assert len({tuple(view) for view in flat}) == 8


def test_a_training_is_told_of_it_and_its_weights_paint_by_the_posterior_s_variance(tmp_path, monkeypatch):
    plate = make_plate(tmp_path, "P1", 4, seed=1)
    settings = {**THEIRS, **AS_CODED, "width": 8, "images": 4}
    words = train_arguments(tmp_path, [plate], settings)
    assert fit.open_data(train.parse("", words)).turned == 0.25
    assert fit.open_data(train.parse("", train_arguments(tmp_path, [plate], SETTINGS))).turned == 0.5
    train.main(words)
    assert store.read_weights(tmp_path / "weights.safetensors")[1]["settings"]["as_coded"] is True
    seen, walked = [], walk.walk

    def watched(*args, sampler, eta, draw):
        seen.append((sampler, eta))
        return walked(*args, sampler=sampler, eta=eta, draw=draw)

    monkeypatch.setattr(walk, "walk", watched)
    for sampler in ("ddpm", "dpmpp"):
        out = tmp_path / f"{sampler}.tif"
        sample.main(sample_arguments(tmp_path / "weights.safetensors", plate, out, sampler=sampler, steps=2))
    assert set(seen) == {("ddim", 1.0), ("dpmpp", 0.0)}


def test_the_posterior_s_variance_is_the_smaller_one():
    """Of an ancestral step between neighbouring levels: beta (1 - gamma_before) / (1 - gamma), against beta (eq. 8)."""
    arm = {"sampler": "ddpm", "eta": 0.0, "steps": 4}
    assert diffusion.sampled_as_coded(arm, {"as_coded": True}) == {"sampler": "ddim", "eta": 1.0, "steps": 4}
    assert diffusion.sampled_as_coded(arm, {}) is arm
    assert diffusion.sampled_as_coded({**arm, "sampler": "heun"}, {"as_coded": True})["sampler"] == "heun"
    high, low, zeros = 0.9, 0.6, torch.zeros(1, 1, 1, 1)  # gamma after the step, and before it
    noises = [
        float(walk.step(zeros, low, high, zeros, 1.0, noise=torch.ones_like(zeros), large_variance=large))
        for large in (False, True)
    ]
    beta = 1 - low / high
    assert noises == pytest.approx([math.sqrt(beta * (1 - high) / (1 - low)), math.sqrt(beta)])


def test_weights_of_the_authors_kind_are_read_into_the_same_network(tmp_path):
    """At a width of 8 the groups differ from ours: a model painted by the other's norms would be another model."""
    ours, theirs = (build_denoiser({**THEIRS, "width": 16, "as_coded": coded}, CHANNELS, 0) for coded in (False, True))
    ours.load_state_dict(theirs.state_dict())
    x, y = torch.randn(2, 1, 2, 16, 16, generator=torch.Generator().manual_seed(0))
    from brightpaint.models.conditions.condition import Condition

    told = torch.full((1,), 0.5, dtype=torch.float64), Condition.of_labels(torch.zeros(1, dtype=torch.int64))
    with torch.no_grad():
        assert not torch.allclose(ours.eval()(x, y, *told), theirs.eval()(x, y, *told), atol=1e-3)
