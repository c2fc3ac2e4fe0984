"""Encoders of a network trained on photographs: channels one by one and collapsed, by the command; the network's own shape."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from brightpaint.models import fit_imagenet
from brightpaint.models.image_encoders import read_encoder
from brightpaint.models.networks.efficientnet_lite import EfficientNetLite0, SameConv, published
from gan_fixture import SIZE, plates, words_of

CPU = torch.device("cpu")


@functools.cache
def public_tensors():
    """Weights under the names that they are published by; random, since the real ones can't be had here."""
    torch.manual_seed(0)
    own = EfficientNetLite0().state_dict()
    named = {
        ".".join(p if p.isdigit() or p in ENDS else f"_{p}" for p in name.split(".")): value
        for name, value in own.items()
    }
    return named | {"_fc.weight": torch.zeros(1000, 1280), "_fc.bias": torch.zeros(1000)}


ENDS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def made(folder):
    save_file(public_tensors(), str(folder / "lite0.safetensors"))
    files = [folder / "imagenet.safetensors", folder / "collapsed.safetensors"]
    words = [*words_of(plates(folder)), "--network", str(folder / "lite0.safetensors")]
    fit_imagenet.main([*words, "--weights", str(files[0]), "--collapsed", str(files[1])])
    return [read_encoder(file, CPU) for file in files]


def test_the_network_is_lite0s_and_public_names_are_taken():
    """4.65 million numbers less those of the head that names ImageNet's classes (Tan & Le 2019: 4.7 million in all)."""
    network = EfficientNetLite0()
    assert sum(value.numel() for value in network.parameters()) + 1281 * 1000 == 4_652_008
    assert set(published(public_tensors())) == set(network.state_dict())
    assert "_blocks.0._depthwise_conv.weight" in public_tensors()
    with torch.no_grad():
        assert network.eval()(torch.zeros(2, 3, 65, 40)).shape == (2, 1280)


def test_convolutions_pad_as_tensorflow_does():
    conv = SameConv(1, 1, 3, 2, bias=False)
    with torch.no_grad():
        conv.weight.copy_(torch.arange(9.0).view(1, 1, 3, 3))
        even, odd = conv(torch.ones(1, 1, 4, 4)), conv(torch.ones(1, 1, 5, 5))
    assert (
        even.shape == (1, 1, 2, 2) and even[0, 0, 0, 0] == 36 and even[0, 0, 1, 1] == 0 + 1 + 3 + 4
    )  # the zeros lie behind
    assert odd.shape == (1, 1, 3, 3) and odd[0, 0, 0, 0] == 4 + 5 + 7 + 8  # on both sides


def test_channels_stand_side_by_side_or_collapse(tmp_path):
    each, collapsed = made(tmp_path)
    assert len(each.names) == 2 * 1280 and each.names[1280] == "ImageNet_ER_0000" and len(collapsed.names) == 1280
    rng = np.random.default_rng(0)
    images = rng.normal(size=(2, 2, SIZE, SIZE)).astype(np.float32)
    numbers = each.numbers(images)
    swapped = each.numbers(images[:, ::-1])
    np.testing.assert_array_equal(numbers[:, :1280], swapped[:, 1280:])  # each channel is seen by itself
    assert collapsed.numbers(images).shape == (2, 1280)


def test_axes_of_channels_are_by_variance_and_bring_two_sd_to_the_ends():
    rng = np.random.default_rng(0)
    images = rng.normal(size=(6, 4, 8, 8)) * np.array([1, 3, 0.5, 2])[:, None, None] + 1
    axes, grey = fit_imagenet.channel_axes(images)
    shown = np.einsum("kc,nchw->nkhw", axes, images) + grey[:, None, None]
    np.testing.assert_allclose(shown.mean((0, 2, 3)), 0, atol=1e-9)
    np.testing.assert_allclose(shown.std((0, 2, 3)), 0.5, rtol=0.01)
    assert np.abs(axes).argmax(1).tolist() == [1, 3, 0]
    one, _ = fit_imagenet.channel_axes(images[:, :1])
    assert one.shape == (3, 1) and np.ptp(one) == 0


def test_other_weights_are_refused(tmp_path):
    tensors = public_tensors()
    tensors = {name: value for name, value in tensors.items() if name != "_conv_head.weight"}
    save_file(tensors, str(tmp_path / "other.safetensors"))
    with pytest.raises(
        ValueError, match="gan.imagenet: .*other.safetensors lacks conv_head.weight, or has another shape of it"
    ):
        fit_imagenet.read_network(tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="gan.imagenet: there is no file .*none.safetensors"):
        fit_imagenet.read_network(tmp_path / "none.safetensors")
