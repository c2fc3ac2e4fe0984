import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from brightpaint.models.conditions.condition import Condition
from brightpaint.models.networks import unet as network
from brightpaint.models.networks.noise_classifier import Classifier
from brightpaint.models.networks.unet import Block, UNet, group_norm, sinusoid
from brightpaint.models.objectives.denoiser import Denoiser
from brightpaint.models.operations import unet_flop
from brightpaint.models.schedule import Schedule
from brightpaint.study.presets import PRESETS, classifier_spec, spec_of


def inputs(batch=2, planes=2, targets=3, size=(24, 40)):
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(batch, count, *size, generator=generator) for count in (planes, targets))
    return (
        x,
        y,
        torch.tensor([0.9, 0.01], dtype=torch.float64)[:batch],
        Condition.of_labels(torch.tensor([0, 1])[:batch]),
    )


def shaken(module):
    """Give zero-initialised layers values, so that every part of the network shows in its output."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return module


def test_paper_has_the_published_size():
    with torch.device("meta"):
        parameters = network.parameter_count(UNet(spec_of("paper"), 3, 5, 290))
    assert f"{parameters / 1e6:.1f}" == "62.7"
    flop = unet_flop(spec_of("paper"), 3, 5, 512)
    assert f"{flop / 1e12:.2f}" == "1.68" and f"{flop / 2e9:.0f}" == "840"


def test_phendiff_has_the_published_size_at_three_channels_and_at_five():
    """About 70 M: widths 128, 256 and 512, two blocks a level down and three up, attention at the lowest level."""
    for targets, millions in ((3, "70.5"), (5, "70.5")):
        with torch.device("meta"):
            unet = UNet(spec_of("phendiff"), 0, targets, 25)
        assert f"{network.parameter_count(unet) / 1e6:.1f}" == millions
    attentions = [name for name, module in unet.named_modules() if isinstance(module, network.Attention)]
    assert (
        len(attentions) == 2 + 1 + 3 and len([s for s in unet.stages if isinstance(s, Block) and not s.resample]) == 9
    )


def test_size_is_printed(capsys):
    network.main(["--preset", "paper"])
    printed = capsys.readouterr().out
    assert "62.7 M parameters" in printed and "1.68 TFLOP (840 GMAC)" in printed


def test_paper_s_structure():
    spec = PRESETS["paper"]
    with torch.device("meta"):
        unet = UNet(spec, 3, 5, 290)
    dropouts = {module.p for module in unet.modules() if isinstance(module, nn.Dropout)}
    groups = {module.num_groups for module in unet.modules() if isinstance(module, nn.GroupNorm)}
    assert (spec.multipliers, spec.blocks, dropouts, groups) == ((1, 2, 4, 8), 2, {0.2}, {32})
    attentions = [name for name, module in unet.named_modules() if isinstance(module, network.Attention)]
    assert attentions == ["encoder.middle.1"]
    assert unet.encoder.middle[1].heads == 512 // 32
    assert unet.encoder.condition.table.embedding_dim == 256


@pytest.mark.parametrize("preset", ["paper", "phendiff", "fast"])
@pytest.mark.parametrize("width", [8, 16, 24])
@pytest.mark.parametrize("planes, targets", [(1, 3), (13, 6)])
def test_any_width_channels_and_size(preset, width, planes, targets):
    unet = UNet(spec_of(preset, width), planes, targets, 1).eval()
    x, y, gamma, condition = inputs(2, planes, targets)
    with torch.no_grad():
        assert unet(x, y, gamma, condition).shape == y.shape


@pytest.mark.parametrize("channels", [8, 16, 24, 40, 64, 96, 256])
@pytest.mark.parametrize("preset", ["paper", "fast"])
def test_group_norm_adapts_to_any_width(channels, preset):
    norm = group_norm(channels, PRESETS[preset])
    assert channels % norm.num_groups == 0 and norm.num_groups <= 32
    assert channels // norm.num_groups >= PRESETS[preset].group_channels


@pytest.mark.parametrize("preset", ["paper", "fast"])
def test_untrained_network_emits_nothing_and_every_input_reaches_a_trained_one(preset):
    unet = UNet(spec_of(preset, 16), 2, 3, 1).eval()
    x, y, gamma, condition = inputs()
    with torch.no_grad():
        assert unet(x, y, gamma, condition).abs().max() == 0
        shaken(unet)
        base = unet(x, y, gamma, condition)
        changed = [
            unet(x + 1e-1 * x.roll(1), y, gamma, condition),
            unet(x, y + 1e-1 * y.roll(1), gamma, condition),
            unet(x, y, gamma / 2, condition),
            unet(x, y, gamma, condition.rows([1, 0])),
        ]
    for output in changed:
        assert (output - base).abs().max() > 1e-5


def test_padding_leaves_a_whole_image_alone_and_crops_back():
    unet = shaken(UNet(spec_of("fast", 8), 2, 3, 1)).eval()
    x, y, gamma, condition = inputs(size=(32, 32))
    with torch.no_grad():
        whole = unet(x, y, gamma, condition)
        cut = unet(x[..., :30], y[..., :30], gamma, condition)
    assert cut.shape[-1] == 30 and whole.shape[-1] == 32
    assert unet.spec.stride_px == 16


def test_block_is_adagn_of_the_naive_formula():
    """Paper 000, eq. 4 in the code's form GN(h) (1 + scale) + shift, written out for one block."""
    spec = spec_of("fast", 8)
    block = shaken(Block(spec, 8, 16)).eval()
    h, embedding = torch.randn(2, 8, 6, 6), torch.randn(2, spec.embedding)
    inner = block.conv_in(nn.functional.silu(block.norm_in(h))).detach()
    groups = inner.reshape(2, block.norm_out.num_groups, -1)
    normed = (groups - groups.mean(2, keepdim=True)) / (groups.var(2, unbiased=False, keepdim=True) + 1e-5).sqrt()
    weight, bias = block.norm_out.weight[:, None, None], block.norm_out.bias[:, None, None]
    normed = normed.reshape(inner.shape) * weight + bias
    linear = nn.functional.silu(embedding) @ block.condition.weight.T + block.condition.bias
    scale, shift = linear[:, :16, None, None], linear[:, 16:, None, None]
    expected = block.skip(h) + block.conv_out(nn.functional.silu(normed * (1 + scale) + shift))
    torch.testing.assert_close(block(h, embedding), expected, rtol=1e-5, atol=1e-5)


def test_sinusoid_values():
    values = sinusoid(torch.tensor([0.0, 2.0]), network.frequencies(4, 100.0))
    np.testing.assert_allclose(values[0], [1, 1, 0, 0], atol=1e-7)
    np.testing.assert_allclose(values[1], [np.cos(2), np.cos(0.2), np.sin(2), np.sin(0.2)], rtol=1e-6)


def test_log_snr_tells_levels_apart_where_gamma_does_not():
    gammas = torch.tensor([1e-4, 1e-3], dtype=torch.float64)
    told = {name: sinusoid(g, network.frequencies(32, period)) for name, g, period in
            [("gamma", gammas, 10000.0), ("log_snr", network.bounded_log_snr(gammas), 30.0)]}  # fmt: skip
    apart = {name: float((value[0] - value[1]).norm()) for name, value in told.items()}
    assert apart["log_snr"] > 100 * apart["gamma"]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_attention_takes_the_fused_kernel_and_equals_the_formula_written_out(layout):
    """The fused kernel alone is allowed: it refuses tokens whose last dimension is not dense, and torch then raises."""
    attention = shaken(network.Attention(spec_of("paper", 8), 64)).to(memory_format=layout)
    h = torch.randn(2, 64, 6, 5).contiguous(memory_format=layout).requires_grad_()
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        mixed = attention(h, None)
        mixed.sum().backward()
    tokens = nn.functional.linear(attention.norm(h).flatten(2).transpose(1, 2), *parts_of(attention.qkv))
    q, k, v = (part.unflatten(2, (2, 32)).transpose(1, 2) for part in tokens.chunk(3, dim=2))  # (B, heads, H * W, 32)
    weights = (q @ k.transpose(2, 3) / 32**0.5).softmax(dim=3)
    answers = (weights @ v).transpose(1, 2).flatten(2)
    expected = h + nn.functional.linear(answers, *parts_of(attention.out)).transpose(1, 2).reshape(h.shape)
    torch.testing.assert_close(mixed, expected, rtol=0, atol=1e-6)
    assert torch.isfinite(h.grad).all()


def parts_of(convolution):
    """Return weight and bias of a 1 x 1 convolution as those of a linear layer."""
    return convolution.weight[:, :, 0, 0], convolution.bias


def test_the_classifier_s_pooling_takes_the_fused_kernel():
    classifier = Classifier(classifier_spec(8), 2, 2, 3)
    x, y, gamma, _ = inputs(2, 2, 2)
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        assert torch.isfinite(classifier(x, y, gamma)).all()


@pytest.mark.parametrize("preset", ["paper", "fast"])
def test_networks_are_finite_at_both_ends_of_the_noise_levels(preset):
    denoiser = Denoiser(
        shaken(UNet(spec_of(preset, 8), 2, 3, 1)).eval(), "eps" if preset == "paper" else "preconditioned"
    )
    classifier = shaken(Classifier(classifier_spec(8), 2, 3, 3)).eval()
    x, y, _, condition = inputs()
    ends = torch.tensor([0.0, 1.0], dtype=torch.float64)
    with torch.no_grad():
        assert torch.isfinite(denoiser(x, y, ends, condition)).all()
        assert torch.isfinite(classifier(x, y, ends)).all()


@pytest.mark.parametrize("preset", ["paper", "fast"])
def test_in_bfloat16_neighbouring_noise_levels_stay_apart(preset):
    """bfloat16 holds 8 bits: gammas near 0 would all be embedded alike."""
    encoder = network.NoiseEncoder(spec_of(preset, 16))
    levels = torch.from_numpy(Schedule().gammas[[1500, 2000]])
    with torch.no_grad():
        plain = encoder(levels)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = encoder(levels)
    assert half.dtype == torch.float32 and torch.equal(half, plain) and (plain[0] != plain[1]).any()


@pytest.mark.parametrize("preset", ["paper", "fast"])
def test_in_bfloat16_noise_adagn_and_the_last_convolution_are_float32_and_the_rest_is_not(preset):
    unet, classifier = UNet(spec_of(preset, 8), 2, 3, 1), Classifier(classifier_spec(8), 2, 3, 3)
    shaken(unet), shaken(classifier)
    x, y, gamma, condition = inputs()
    found = {}
    for module in (unet, classifier):
        for name, layer in module.named_modules():
            if isinstance(layer, (nn.Linear, nn.Conv2d)):
                layer.register_forward_hook(lambda _, __, out, name=name: found.setdefault(name, set()).add(out.dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = unet(x, y, gamma, condition), classifier(x, y, gamma)
    assert {output.dtype for output in outputs} == {torch.float32}
    full = {name for name, dtypes in found.items() if dtypes == {torch.float32}}
    exempt = {name for name in found if "noise." in name or name.endswith("condition") or name in ("last", "pool.out")}
    assert full == exempt and all(found[name] == {torch.bfloat16} for name in found.keys() - exempt)
    assert {parameter.dtype for parameter in unet.parameters()} == {torch.float32}


def test_frequencies_are_on_the_device_and_not_in_the_weights():
    unet = UNet(spec_of("fast", 8), 2, 3, 1)
    assert [name for name, _ in unet.named_buffers()] == ["encoder.noise.frequencies"]
    assert set(unet.state_dict()) == {name for name, _ in unet.named_parameters()}


@pytest.mark.parametrize("preset", ["paper", "fast"])
def test_a_forward_pass_waits_for_nothing(preset):
    """On the meta device no value can be read: `.item()`, `float(tensor)`, `bool(tensor)` raise."""
    with torch.device("meta"):
        unet, classifier = UNet(spec_of(preset, 8), 2, 3, 1), Classifier(classifier_spec(8), 2, 3, 3)
        unet(*(tensor.to("meta") for tensor in inputs()))
        classifier(*(tensor.to("meta") for tensor in inputs()[:3]))


def test_unknown_preset_is_an_error():
    with pytest.raises(ValueError, match="expected one of"):
        spec_of("huge")
