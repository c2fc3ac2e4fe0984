"""Grad-CAM against a naive one, crop by crop; each crop by its own class, in 2D and 3D; coarse layers are refused."""

from __future__ import annotations

import pytest
import torch

from brightpaint.models.grad_cam import class_maps, layer_number, upsampled
from brightpaint.models.networks.cell_network import CellNetwork

SIZES = [(1, 17, 17), (5, 16, 16)]


def network(size, classes=3):
    torch.manual_seed(1)
    return CellNetwork(2, size, classes, width=4, blocks=1, dropout=0.2).eval().requires_grad_(False)


def naive(model, crop, number, layer):
    """One crop's map by the definition: hooks, loops over channels and positions."""
    kept = {}
    crop = crop[None].clone().requires_grad_()
    hook = model.layers[layer].register_forward_hook(lambda module, given, answer: kept.setdefault("maps", answer))
    logit = model(crop)[0, number]
    hook.remove()
    gradient = torch.autograd.grad(logit, kept["maps"])[0][0]
    found = torch.zeros(kept["maps"].shape[2:])
    for channel in range(len(gradient)):
        found += gradient[channel].mean() * kept["maps"][0, channel].detach()
    return found.clamp(min=0)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("layer", [1, -1])
def test_each_crop_of_a_batch_is_explained_by_its_own_class_as_by_the_definition(size, layer):
    model, crops, classes = network(size), torch.randn(4, 2, *size), torch.tensor([2, 0, 1, 2])
    found = class_maps(model, crops, classes, layer)
    for crop, number, one in zip(crops, classes, found):
        torch.testing.assert_close(one.squeeze(0), naive(model, crop, number, layer).squeeze(0), atol=1e-6, rtol=1e-4)
    others = class_maps(model, crops, classes.roll(1), layer)
    assert not torch.allclose(found, others)
    up = upsampled(found, size, model.strides_of(layer))
    assert up.shape == (4, *size) and up.min() >= 0
    torch.testing.assert_close(up.amax((1, 2, 3)) <= found.amax((1, 2, 3)) + 1e-6, torch.ones(4, dtype=torch.bool))


def test_at_the_last_layer_it_is_the_class_weights_map():
    """Behind mean pooling and one linear layer Grad-CAM is CAM (Zhou et al. 2016) over the number of positions."""
    model, crops, classes = network((1, 16, 16)), torch.randn(3, 2, 1, 16, 16), torch.tensor([0, 1, 2])
    maps = model.maps(crops)
    cam = torch.einsum("bc,bchw->bhw", model.out.weight[classes], maps) / maps[0, 0].numel()
    torch.testing.assert_close(class_maps(model, crops, classes)[:, 0], cam.clamp(min=0), atol=1e-7, rtol=1e-4)


def test_a_class_without_evidence_has_a_map_of_zeros():
    model = network((1, 16, 16))
    model.out.weight[1] = 0
    assert class_maps(model, torch.randn(2, 2, 1, 16, 16), torch.tensor([1, 1])).abs().max() == 0


def test_upsampling_keeps_a_constant_and_puts_each_place_where_it_looks():
    even = upsampled(torch.full((2, 1, 8, 8), 0.3), (1, 33, 33), (1, 4, 4))
    torch.testing.assert_close(even, torch.full((2, 1, 33, 33), 0.3))
    rising = torch.stack([torch.full((8, 8), float(plane)) for plane in range(3)])[None]  # (1, 3, 8, 8)
    lifted = upsampled(rising, (6, 9, 9), (2, 1, 1))
    assert lifted.shape == (1, 6, 9, 9)
    torch.testing.assert_close(lifted[0, :, 4, 4], torch.tensor([0, 0.5, 1, 1.5, 2, 2]))
    spot = torch.zeros(1, 1, 8, 8)
    spot[0, 0, 3, 5] = 1
    found = upsampled(spot, (1, 32, 32), (1, 4, 4))[0, 0]
    assert found[12, 20] == 1 and found[12, 18] == 0.5 and found[10, 20] == 0.5 and found.sum() == 16
    model = network((1, 64, 64))
    assert [model.strides_of(layer) for layer in (0, 1, 2, 5, -1)] == [(1, 2, 2), (1, 4, 4), *[(1, 8, 8)] * 3]
    assert network((5, 16, 16)).strides_of(-1) == (1, 2, 2)


def test_layers_that_are_not_there_or_too_coarse_and_classes_that_are_missing_are_refused():
    model = network((1, 16, 16))
    assert layer_number(model, -1) == 5 and layer_number(model, 2) == 2
    with pytest.raises(ValueError, match="layer 9: the network has 6, 0 to 5, or -1 for the last"):
        layer_number(model, 9)
    with pytest.raises(
        ValueError, match="layer 0: its map has 5 x 5 positions, expected 8 x 8 at least; choose an earlier"
    ):
        layer_number(network((1, 5, 5)), 0)
    with pytest.raises(ValueError, match="2 crops and 1 classes"):
        class_maps(model, torch.randn(2, 2, 1, 16, 16), torch.tensor([0]))
