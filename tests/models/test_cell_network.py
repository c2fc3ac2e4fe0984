"""The network of cells: its maps keep 8 x 8 positions, in 2D and 3D, and a cell's answer is its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from brightpaint.models.compute import Compute
from brightpaint.models.conditions.condition import Condition
from brightpaint.models.networks.cell_network import CellNetwork
from brightpaint.models.objectives.cell_classes import CellClassification, class_weights

SIZES = [(1, 8, 8), (1, 31, 31), (1, 96, 96), (5, 16, 16), (20, 33, 33)]


def network(size, classes=3, **more):
    torch.manual_seed(0)
    return CellNetwork(2, size, classes, **{"width": 4, "blocks": 2, "dropout": 0.2} | more).eval()


@pytest.mark.parametrize("size", SIZES)
def test_every_layers_map_has_eight_positions_a_side_and_the_parts_are_the_whole(size):
    model, crops = network(size), torch.randn(3, 2, *size)
    for layer in range(len(model.layers)):
        h = model.maps(crops, layer)
        assert h.ndim == (4 if size[0] == 1 else 5) and min(h.shape[-2:]) >= 8
        torch.testing.assert_close(model.after(h, layer), model(crops))
    assert h.shape[-1] < 16 and (size[0] == 1 or h.shape[2] < 8)  # and no more than is needed
    assert model.pooled(h).shape == (3, model.features) == (3, 32) and model(crops).shape == (3, 3)


@pytest.mark.parametrize("size", SIZES[1:4:2])
def test_what_is_said_of_a_cell_does_not_depend_on_the_others_of_its_batch(size):
    model, crops = network(size), torch.randn(4, 2, *size)
    alone = torch.cat([model(crop[None]) for crop in crops])
    torch.testing.assert_close(model(crops), alone, atol=1e-5, rtol=1e-5)
    crops.requires_grad_()
    (gradient,) = torch.autograd.grad(model.train()(crops)[1].sum(), crops)
    assert gradient[1].abs().sum() > 0 and gradient[[0, 2, 3]].abs().sum() == 0


@pytest.mark.parametrize("size", [(1, 31, 31), (1, 64, 64), (5, 32, 32)])
def test_each_place_of_a_local_network_sees_a_patch_and_its_logit_is_the_sum_of_theirs(size):
    model, crops = network(size, local=True), torch.randn(2, 2, *size, requires_grad=True)
    assert not [part for part in model.modules() if isinstance(part, torch.nn.GroupNorm)]
    h = model.maps(crops)
    place = (0, slice(None), *(side // 2 for side in h.shape[2:]))
    (gradient,) = torch.autograd.grad(h[place].sum(), crops, retain_graph=True)
    seen = gradient[0].abs().sum(dim=(0, 1)).nonzero()
    middle = (seen.max(dim=0).values + seen.min(dim=0).values) / 2
    at = torch.tensor(h.shape[-2:]) // 2 * torch.tensor(model.strides_of()[1:])
    torch.testing.assert_close(middle, at.float())  # where a map is laid when it is brought to the crop's size
    assert (seen.max(dim=0).values - seen.min(dim=0).values + 1).max() <= min(15, size[-1] // 2) and not gradient[
        1
    ].any()
    each = torch.einsum("bc...,kc->bk...", h, model.out.weight).flatten(2).mean(2) + model.out.bias
    torch.testing.assert_close(each, model(crops), atol=1e-5, rtol=1e-4)
    whole = network(size)
    (gradient,) = torch.autograd.grad(whole.maps(crops)[place].sum(), crops)
    assert (gradient[0] != 0).any(dim=1).all(dim=0).float().mean() > 0.9 or size[0] > 1  # of the usual one everything


def test_a_local_network_goes_through_every_change_of_scale_unharmed():
    model = network((1, 64, 64), local=True, blocks=1, width=8)
    crops = torch.randn(8, 2, 1, 64, 64)
    sds = [model.maps(crops, layer).std().item() for layer in range(6)]
    assert all(0.2 < sd < 3 for sd in sds)


def test_bfloat16_agrees_in_2d_and_3d():
    for size in ((1, 16, 16), (6, 16, 16)):
        model, crops = network(size), torch.randn(2, 2, *size)
        how = Compute(precision="bfloat16")
        with torch.no_grad(), how.autocast():
            placed = how.place(model)(how.send(crops))
        assert placed.dtype == torch.float32
        torch.testing.assert_close(placed, network(size)(crops), atol=0.05, rtol=0.05)


def test_classes_weigh_alike_or_cells_do():
    labels = np.array([1, 1, 1, 2])
    assert class_weights(labels, 2, "none") == [1, 1]
    balanced = np.array(class_weights(labels, 2, "balanced"))
    assert balanced.tolist() == [4 / 6, 2] and balanced[labels - 1].mean() == 1
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 3.0]])
    condition = Condition.of_labels(torch.tensor(labels))
    found = CellClassification(balanced).loss(lambda y: logits, None, None, condition)
    each = -torch.log_softmax(logits, 1)[range(4), labels - 1]
    torch.testing.assert_close(found, (each * torch.tensor([2 / 3, 2 / 3, 2 / 3, 2.0])).mean())
