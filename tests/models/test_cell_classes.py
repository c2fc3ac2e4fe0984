"""What a network of cells is trained on, and the term that pulls attention onto the cell: exact, and on a planted confounder."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from brightpaint import store
from brightpaint.models import train_cellnet
from brightpaint.models.conditions.condition import LABEL, Condition
from brightpaint.models.crop_images import open_all, rows_of
from brightpaint.models.grad_cam import class_maps, upsampled
from brightpaint.models.networks.cell_network import CellNetwork
from brightpaint.models.objectives.cell_classes import FAINT, MASK, Attention, CellClassification, outside
from brightpaint.models.objectives.updates import MODEL
from brightpaint.models.see_cells import CellReader, read_network
from brightpaint.scores.cells.camo import camo_scores
from brightpaint.scores.cells.explained import explain
from cells_fixture import LARGE, LEARNT, LOCAL, arguments, plate_wells, plates, write_cells


def test_the_share_outside_is_one_less_camo_of_a_map_that_is_not_faint():
    masks = torch.zeros(5, 1, 4, 4, dtype=torch.uint8)
    masks[:4, :, 1:3, 1:3] = 1
    maps = torch.rand(5, 1, 4, 4)
    maps[0], maps[1] = masks[0].float(), 1
    maps[2] = 0  # an empty map
    maps.requires_grad_()
    found, faint = outside(maps, masks), FAINT * maps.detach().flatten(1).sum(1).mean().item()
    inside, total = maps[3, 0, 1:3, 1:3].sum().item(), maps[3].sum().item()
    expected = [1 - 4 / (4 + faint), 1 - 4 / (16 + faint), 1, 1 - inside / (total + faint)]
    assert found[:4].tolist() == pytest.approx(expected, rel=1e-5) and found[4] == 0  # the last cell has no pixels
    camo = camo_scores(maps.detach().numpy(), masks.numpy())["camo"].to_numpy()
    assert 1 - camo[3] < found[3] < 1 - camo[3] + 0.1 * 2  # by so much as the mean map is stronger than its own
    (gradient,) = torch.autograd.grad(found.sum(), maps)
    assert torch.isfinite(gradient).all() and (gradient[:4][masks[:4] == 1] < 0).all()
    assert (gradient[1][masks[1] == 0] > 0).all()
    assert outside(torch.zeros(2, 1, 4, 4), masks[:2]).tolist() == [1, 1]  # nothing of the batch is attended


def test_a_map_that_fades_is_no_way_out():
    masks = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    masks[:, :, 1:3, 1:3] = 1
    maps = torch.full((2, 1, 4, 4), 1.0)
    shares = []
    for strength in (1.0, 0.1, 0.0):
        maps[0] = strength
        shares.append(outside(maps, masks)[0].item())
    assert shares[0] < shares[1] < shares[2] == 1


def objective_of(network, weight=0.7, layer=-1):
    return CellClassification([1.0, 1.0, 1.0], Attention(weight, layer, network.size, network.strides_of(layer)))


def batch_of(size, count=4):
    torch.manual_seed(3)
    masks = torch.zeros(count, *size, dtype=torch.uint8)
    masks[..., size[1] // 4 : size[1] // 2, size[2] // 4 : size[2] // 2] = 1
    labels = torch.arange(count) % 3 + 1
    return None, torch.randn(count, 2, *size), Condition({LABEL: labels, MASK: masks})


@pytest.mark.parametrize("size", [(1, 16, 16), (4, 16, 16)])
@pytest.mark.parametrize(("layer", "local"), [(-1, False), (2, False), (-1, True)])
def test_the_gradient_goes_through_the_map_itself(size, layer, local):
    """By finite differences along the gradient and along a random direction: maps are weighted by gradients, which move too."""
    torch.manual_seed(1)
    network = CellNetwork(2, size, 3, width=4, blocks=1, dropout=0.0, local=local)
    update, batch = objective_of(network, layer=layer).updates[0], batch_of(size)
    values = list(network.parameters())

    def away() -> torch.Tensor:
        return update.terms({MODEL: network}, *batch)["attention_outside"]

    gradients = torch.autograd.grad(away(), values, allow_unused=True)
    gradients = [torch.zeros_like(value) if one is None else one for value, one in zip(values, gradients)]
    norm = float(torch.cat([one.flatten() for one in gradients]).norm())
    directions = [
        [one / norm for one in gradients],
        [torch.randn_like(value) / value.numel() ** 0.5 for value in values],
    ]
    for direction in directions:
        expected = sum(float((one * along).sum()) for one, along in zip(gradients, direction))
        sides = []
        for step in (3e-4, -3e-4):
            with torch.no_grad():
                for value, along in zip(values, direction):
                    value += step * along
                sides.append(away().item())
                for value, along in zip(values, direction):
                    value -= step * along
        assert (sides[0] - sides[1]) / 6e-4 == pytest.approx(expected, rel=0.03, abs=0.02 * norm)
    early = [one for (name, _), one in zip(network.named_parameters(), gradients) if name.startswith("layers.0.")]
    assert all(one.any() for one in early)  # what lies before the layer is moved too


def test_the_map_in_training_is_grad_cams_and_the_answer_the_networks():
    torch.manual_seed(1)
    network = CellNetwork(2, (1, 16, 16), 3, width=4, blocks=1, dropout=0.3).eval()
    _, crops, condition = batch_of((1, 16, 16))
    for layer in (1, -1):
        logits, maps = network(crops, condition.labels - 1, layer)
        torch.testing.assert_close(maps, class_maps(network, crops, condition.labels - 1, layer))
        torch.testing.assert_close(logits, network(crops), rtol=0, atol=0)
        with torch.no_grad():  # as in validation
            again = network(crops, condition.labels - 1, layer)[1]
        torch.testing.assert_close(again, maps.detach(), rtol=1e-3, atol=1e-7)
        assert maps.requires_grad and not again.requires_grad
        up = upsampled(maps.detach(), network.size, network.strides_of(layer))
        terms = objective_of(network, layer=layer).updates[0].terms({MODEL: network}, None, crops, condition)
        total, camo = up.flatten(1).sum(1).numpy(), camo_scores(up.numpy(), condition.parts[MASK].numpy())["camo"]
        kept = np.nan_to_num(camo) * total / (total + FAINT * total.mean())
        assert terms["attention_outside"].item() == pytest.approx(1 - kept.mean(), abs=1e-5)


def test_the_loss_is_the_cross_entropy_and_so_much_of_the_share_outside():
    torch.manual_seed(1)
    network = CellNetwork(2, (1, 16, 16), 3, width=4, blocks=1, dropout=0.0)
    batch, (update,) = batch_of((1, 16, 16)), objective_of(network, 0.7).updates
    terms = update.terms({MODEL: network}, *batch)
    (plain,) = CellClassification([1.0, 1.0, 1.0]).updates
    assert plain.terms({MODEL: network}, *batch) == {"loss": terms["loss"]} and set(terms) == {
        "loss",
        "attention_outside",
    }
    assert update.whole(terms).item() == pytest.approx(
        (terms["loss"] + 0.7 * terms["attention_outside"]).item(), rel=1e-6
    )


def test_without_a_weight_the_training_is_what_it_was(tmp_path):
    paths = plates(tmp_path, cells=4)
    train_cellnet.main(arguments(tmp_path, paths))
    train_cellnet.main(arguments(tmp_path, paths, name="none", attention_weight=0, layer=2))
    first, second = (store.read_weights(tmp_path / f"{name}.safetensors")[0] for name in ("weights", "none"))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert (tmp_path / "weights.jsonl").read_bytes() == (tmp_path / "none.jsonl").read_bytes()
    how = {"attention_weight": 1.0, "layer": -1}
    train_cellnet.main(arguments(tmp_path, paths, name="pulled", **how))
    line = json.loads((tmp_path / "pulled.jsonl").read_text().splitlines()[0])
    assert 0 < line["attention_outside"] < 1 and line["loss"] > 0
    train_cellnet.main(
        arguments(tmp_path, paths, "floor", name="floor", **how)
    )  # where the cell is erased it is not pulled
    assert "attention_outside" not in (tmp_path / "floor.jsonl").read_text()
    with pytest.raises(ValueError, match="layer 7: the network has 6, 0 to 5, or -1 for the last; choose one of them"):
        train_cellnet.main(arguments(tmp_path, paths, name="far", attention_weight=1.0, layer=7))
    small = write_cells(tmp_path / "S1.tif", wells=plate_wells(1), cells=3, size=(1, 6, 6))
    with pytest.raises(ValueError, match="layer -1: its map has 6 x 6 positions, expected 8 x 8 at least"):
        train_cellnet.main(arguments(tmp_path, [small], name="small", **how))


def test_attention_is_pulled_off_a_confounder_onto_the_cell(tmp_path):
    """Stripes in the cell and around it tell class b. Of three seeds the lift rose from 0.25, 1.8 and 0.16 to 4.2, 4.4 and 4.4, and
    the accuracy on cells without stripes around them from 0.58, 0.94 and 0.63 to 1.
    """
    paths = plates(tmp_path, where="both", size=LARGE)
    (tmp_path / "unconfounded").mkdir()
    clean = write_cells(tmp_path / "unconfounded" / "P1.tif", wells=plate_wells(1), seed=9, size=LARGE)
    lift, accuracy = {}, {}
    for weight in (0.0, 1.0):
        train_cellnet.main(
            arguments(tmp_path, paths, name=f"w{weight}", attention_weight=weight, layer=-1, **LEARNT | LOCAL)
        )
        trained = read_network(tmp_path / f"w{weight}.safetensors", torch.device("cpu"))
        truth = (rows_of(open_all([clean]), ["Metadata_label"])["Metadata_label"] == "b").to_numpy()
        accuracy[weight] = (CellReader([clean], trained).logits(range(len(truth))).argmax(axis=1) == truth).mean()
        rows = rows_of(open_all(paths), ["Metadata_label"])
        shown = np.flatnonzero(rows["Metadata_label"] == "b")[:40]
        lift[weight] = explain(CellReader(paths, trained), shown, np.ones(40, int), 5)["own"]["lift"].mean()
    assert lift[0.0] < 1 and lift[1.0] > 2.5
    assert accuracy[0.0] < 0.8 and accuracy[1.0] > 0.95
