"""A ControlNet told of a field's own blurred stains: the source says where cells lie, and no detail of what they look like."""

from __future__ import annotations

import functools
import json

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from test_control import awake, base_tensors, pixel_base, shown

from brightpaint import store
from brightpaint.models import train
from brightpaint.models.networks.control_net import ControlNet, blurred, gaussian
from brightpaint.models.networks.unet import UNet
from brightpaint.models.objectives.losses import build_denoiser
from brightpaint.models.paint import sample, source_fields, translate
from brightpaint.models.trained import read_model
from brightpaint.study.presets import spec_of
from codec_fixture import latent_weights, plate
from models_fixture import CHANNELS, SAMPLING, SETTINGS, made, sample_arguments, train_arguments

BLIND = {**CHANNELS, "input": []}
SETTING = {**SETTINGS, "kind": "stain_controlnet", "label": "perturbation", "images": 16, "crop_px": None, "channels": BLIND,
           "blur_px": 2.0}  # fmt: skip
HOW = {"inner": 3, "tolerance": 1e-4, "from_noise": True, "brightfield": False, "inputs": [], "walked": 3}


@functools.cache
def weights(latent=False):
    base = latent_weights(inputs=0) if latent else pixel_base()
    settings = {**SETTING, "stands_on": {"base": str(base)}}
    folder = made(
        f"stained_{latent}", lambda folder: train.main(train_arguments(folder, [plate("P1"), plate("P2")], settings))
    )
    return folder / "weights.safetensors"


def translated(folder, path, stack, table, **changes):
    """Translate the fields of a plate by the commands; return (N, C, H, W), rows of each field one after the other."""
    rows, out = folder / "rows.parquet", folder / "out.tif"
    chosen = {"source": None, "targets": "all", "fields": None}
    words = ["--settings", json.dumps(chosen), "--arm", "a", "--weights", path, "--fields", table, "--rows", rows]
    source_fields.main([str(word) for word in words])
    settings = {
        key: value
        for key, value in {**SAMPLING, **HOW, **changes}.items()
        if key not in ("eta", "guidance_scale", "subset")
    }
    words = ["--settings", json.dumps(settings), "--device", "cpu", "--weights", path, "--stack", stack, "--rows", rows]
    words += [
        "--part",
        1,
        "--parts",
        1,
        "--predicted",
        out,
        "--seconds",
        folder / "s.tsv",
        "--inversion",
        folder / "i.tsv",
    ]
    translate.main([str(word) for word in words])
    return np.array(store.open_stack(out).images, np.float32)


def test_the_blur_is_a_gaussian_s_and_its_border_goes_on():
    images = torch.randn(2, 3, 20, 15, generator=torch.Generator().manual_seed(0))
    found = blurred(images, gaussian(1.7))
    naive = gaussian_filter(images.double().numpy(), (0, 0, 1.7, 1.7), mode="nearest", radius=(0, 0, 6, 6))
    np.testing.assert_allclose(found.numpy(), naive, atol=1e-5)
    flat = torch.full((1, 1, 4, 4), 3.0)
    torch.testing.assert_close(blurred(flat, gaussian(4.0)), flat)  # a kernel wider than the image
    assert gaussian(0.1).tolist() == pytest.approx([0, 1, 0], abs=1e-6)


@pytest.mark.parametrize("preset", ["fast", "paper"])
def test_at_the_start_it_is_its_base_to_the_bit_and_later_it_heeds_what_a_blur_leaves(preset):
    base = awake(UNet(spec_of(preset, 8), 0, 2, 3))
    x, y, gamma, told = shown(planes=2)
    with torch.no_grad():
        alone = base(x[:, :0], y, gamma, told)
        network = ControlNet(base, 2, 2.0).eval()
        assert torch.equal(network(x, y, gamma, told), alone) and not any(
            "kernel" in name for name in network.state_dict()
        )
        for layer in (network.deepest, network.hint[-1], *network.kept):
            torch.nn.init.normal_(layer.weight)
        painted = network(x, y, gamma, told)
        board = torch.ones(16, 16)
        board[1::2, ::2] = board[::2, 1::2] = -1  # detail that the blur takes away, but for the border
        fine, coarse = network(x + 0.3 * board, y, gamma, told), network(x + 0.3, y, gamma, told)
        assert (fine - painted).abs().mean() < 0.2 * (coarse - painted).abs().mean()


@pytest.mark.parametrize("latent", [False, True])
def test_a_trained_one_holds_its_base_untouched_and_shows_fields_as_every_class(tmp_path, latent):
    base = latent_weights(inputs=0) if latent else pixel_base()
    path = weights(latent)
    tensors, meta = read_model(path, ("stain_controlnet",))
    for name, value in base_tensors(base).items():
        assert torch.equal(tensors[name.replace("network.", "network.base.", 1)], value), name
    assert meta["settings"]["blur_px"] == 2.0 and meta["channels"] == BLIND
    network = build_denoiser(meta["settings"], meta["channels"], len(meta["label_map"])).network
    assert (
        network.blur == (0.5 if latent else 2.0)
        and network.hint[0].in_channels == network.targets * network.spec.patch_px**2
    )
    assert float((tensors["network.copy.first.weight"] - tensors["network.base.encoder.first.weight"]).abs().max()) > 0
    painted = translated(tmp_path, path, *plate("P1"), from_noise=latent)
    count = len(store.read_fields(plate("P1")[1]))
    assert np.isfinite(painted).all() and len(painted) % len(meta["label_map"]) == 0 and 0 < len(painted) <= 2 * count


def test_from_one_noise_the_source_s_stains_say_what_is_painted_and_its_detail_does_not(tmp_path):
    """Awake: a source moved as a whole paints otherwise; one with a checkerboard more, that a blur takes away, hardly."""
    tensors, meta = read_model(weights(), ("stain_controlnet",))
    denoiser = build_denoiser(meta["settings"], meta["channels"], len(meta["label_map"]))
    denoiser.load_state_dict(tensors)
    with torch.no_grad():
        for layer in (denoiser.network.deepest, denoiser.network.hint[-1], *denoiser.network.kept):
            layer.weight.add_(0.3 * torch.randn(layer.weight.shape, generator=torch.Generator().manual_seed(2)))
    store.write_weights(tmp_path / "awake.safetensors", denoiser.state_dict(), meta)
    stack, table = plate("P1")
    opened = store.open_stack(stack)
    board = np.indices(opened.images.shape[-2:]).sum(axis=0) % 2 * 2.0 - 1
    painted = {}
    for name, change in {"source": 0.0, "fine": 0.5 * board, "moved": 0.5}.items():
        (folder := tmp_path / name).mkdir()
        with store.StackWriter(folder / "P1.tif", opened.images.shape, opened.channels, key=name) as writer:
            for row, image in enumerate(np.array(opened.images, np.float32)):
                writer.write(row, image + change)
        painted[name] = translated(folder, tmp_path / "awake.safetensors", folder / "P1.tif", table)
    gaps = {name: np.abs(painted[name] - painted["source"]).mean() for name in ("fine", "moved")}
    assert gaps["moved"] > 1e-3 and gaps["fine"] < 0.25 * gaps["moved"], gaps


def test_its_weights_paint_no_field(tmp_path):
    with pytest.raises(ValueError, match="stain_controlnet"):
        sample.main(sample_arguments(weights(), plate(), tmp_path / "painted.tif", inputs=[]))
    assert not (tmp_path / "painted.tif").exists()
