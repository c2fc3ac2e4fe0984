"""ControlNet: at its start its base to the bit, and the base's weights as they were at its end."""

from __future__ import annotations

import functools
import json

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from brightpaint import store
from brightpaint.models import operations, train
from brightpaint.models.conditions.condition import Condition
from brightpaint.models.networks.control_net import ControlNet
from brightpaint.models.networks.unet import UNet
from brightpaint.models.objectives.losses import build_denoiser
from brightpaint.models.paint import sample
from brightpaint.models.trained import load_module, read_model
from brightpaint.study.presets import spec_of
from codec_fixture import latent_weights, plate
from models_fixture import CHANNELS, SETTINGS, made, sample_arguments, train_arguments

PLANES = len(CHANNELS["input"])
CONTROL = {**SETTINGS, "kind": "controlnet", "label": "perturbation", "images": 16, "crop_px": None}


def awake(network, seed=5):
    """Give a network's weights values, zeros too, so that nothing is equal for being nothing."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for value in network.parameters():
            value.add_(0.1 * torch.randn_like(value))
    return network.eval()


def shown(count=2, side=16, planes=PLANES):
    torch.manual_seed(1)
    told = Condition.of_labels(torch.tensor([1, 0][:count]))
    return (
        torch.randn(count, planes, side, side),
        torch.randn(count, 2, side, side),
        torch.tensor([0.3, 0.9]).double()[:count],
        told,
    )


@pytest.mark.parametrize("preset", ["fast", "paper", "phendiff"])
def test_at_the_start_it_is_its_base_to_the_bit_and_later_it_heeds_brightfield(preset):
    base = awake(UNet(spec_of(preset, 8), 0, 2, 3))
    x, y, gamma, told = shown()
    with torch.no_grad():
        alone = base(x[:, :0], y, gamma, told)
        network = ControlNet(base, PLANES).eval()
        assert torch.equal(network(x, y, gamma, told), alone) and torch.equal(network(2 * x, y, gamma, told), alone)
        for layer in (network.deepest, network.hint[-1], *network.kept):
            torch.nn.init.normal_(layer.weight)
        assert not torch.allclose(network(x, y, gamma, told), network(2 * x, y, gamma, told))


def test_gradients_reach_the_copy_and_no_weight_of_the_base_and_the_base_has_no_dropout():
    base = awake(UNet(spec_of("paper", 8), 0, 2, 3))
    network = ControlNet(base, PLANES).train()
    assert network.copy.training and not network.base.training
    for layer in (network.deepest, *network.kept):
        torch.nn.init.normal_(layer.weight)
    network(*shown()).sum().backward()
    assert all(value.grad is None and not value.requires_grad for value in network.base.parameters())
    assert network.copy.first.weight.grad.abs().sum() > 0 and network.hint[-1].weight.grad.abs().sum() > 0


@pytest.mark.parametrize(("preset", "width", "size_px"), [("paper", None, 64), ("fast", 16, 96), ("phendiff", 16, 32)])
def test_its_operations_are_torchs_own_count(preset, width, size_px):
    spec = spec_of(preset, width)
    with torch.device("meta"):
        network, told = (
            ControlNet(UNet(spec, 0, 5, 3), 3).eval(),
            Condition.of_labels(torch.zeros(1, dtype=torch.int64)),
        )
        x, y = torch.empty(1, 3, size_px, size_px), torch.empty(1, 5, size_px, size_px)
        gamma = torch.empty(1, dtype=torch.float64)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(x, y, gamma, told)
    assert operations.control_flop(spec, 3, 5, size_px) == counter.get_total_flops()


@functools.cache
def pixel_base():
    settings = {
        **SETTINGS,
        "label": "perturbation",
        "images": 16,
        "crop_px": None,
        "channels": {**CHANNELS, "input": []},
    }
    folder = made("base", lambda folder: train.main(train_arguments(folder, [plate("P1"), plate("P2")], settings)))
    return folder / "weights.safetensors"


def controlled(folder, base, **changes):
    settings = {**CONTROL, "stands_on": {"base": str(base)}, **changes}
    train.main(train_arguments(folder, [plate("P1"), plate("P2")], settings))
    return folder / "weights.safetensors"


def base_tensors(path):
    return {name: value for name, value in store.read_weights(path)[0].items() if not name.startswith("codec.")}


@pytest.mark.parametrize("latent", [False, True])
def test_a_trained_one_holds_its_base_untouched_and_paints_by_itself(tmp_path, latent):
    base = latent_weights(inputs=0) if latent else pixel_base()
    before = base.read_bytes()
    weights = controlled(tmp_path, base)
    tensors, meta = read_model(weights)
    assert base.read_bytes() == before
    for name, value in base_tensors(base).items():
        assert torch.equal(tensors[name.replace("network.", "network.base.", 1)], value), name
    assert meta["settings"]["base"]["digest"] == store.file_digest(base) and meta["channels"] == CHANNELS
    assert meta["settings"].get("codec") == read_model(base)[1]["settings"].get("codec")
    assert any(name.startswith("codec.") for name in tensors) is latent
    moved = tensors["network.copy.first.weight"] - tensors["network.base.encoder.first.weight"]
    assert float(moved.abs().max()) > 0 and not {"stood_on", "stands_on"} & meta["settings"].keys()
    sample.main(sample_arguments(weights, plate(), tmp_path / "painted.tif"))
    assert np.isfinite(np.array(store.open_stack(tmp_path / "painted.tif").images, np.float32)).all()


def test_before_it_is_trained_it_paints_what_its_base_paints_to_the_byte(tmp_path):
    base = pixel_base()
    tensors, meta = read_model(controlled(tmp_path, base, images=4))
    network = build_denoiser(meta["settings"], meta["channels"], len(meta["label_map"]))
    network.network.base.load_state_dict(
        {name.removeprefix("network."): value for name, value in base_tensors(base).items()}
    )
    network.network.copy_base()
    store.write_weights(tmp_path / "fresh.safetensors", network.state_dict(), meta)
    sample.main(sample_arguments(tmp_path / "fresh.safetensors", plate(), tmp_path / "fresh.tif"))
    sample.main(sample_arguments(base, plate(), tmp_path / "base.tif", inputs=[]))
    one, other = (np.array(store.open_stack(tmp_path / name).images) for name in ("fresh.tif", "base.tif"))
    np.testing.assert_array_equal(one, other)
    assert load_module(tmp_path / "fresh.safetensors", network, tensors, torch.device("cpu"))


def test_bases_that_do_not_fit_are_refused_with_the_difference_named(tmp_path):
    with pytest.raises(
        ValueError, match=r"sees brightfield itself \(BF_L, BF\); train a base without \(inputs: \[\]\)"
    ):
        controlled(tmp_path, latent_weights())
    with pytest.raises(
        ValueError, match="is a base of label perturbation, but this model's are target; train it on the same"
    ):
        controlled(tmp_path, pixel_base(), label="target")
    with pytest.raises(ValueError, match=r"is a base of stains \['DNA', 'ER'\], but this model's are \['ER', 'DNA'\]"):
        controlled(tmp_path, pixel_base(), channels={**CHANNELS, "target": ["ER", "DNA"]})
    with pytest.raises(ValueError, match=r"told of 2 classes .* told of 1: the base lacks none, this model \['cpd1'\]"):
        controlled(tmp_path, pixel_base(), held_out=["cpd1"])
    assert json.loads(json.dumps(CONTROL))["kind"] == "controlnet"
