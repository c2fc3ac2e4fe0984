"""Generator and critic of StyleGAN2: shapes for any channels, what styles, noise and company change, and the filter."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from brightpaint.models import operations
from brightpaint.models.networks.equalised import Blur, Conv, Dense
from brightpaint.models.networks.image_critic import Critic, group_size, spread_of
from brightpaint.models.networks.style_generator import Generator, Modulated
from brightpaint.study.presets import GAN_PRESETS, LATENT, GanSpec, gan_sides, gan_spec

SPECS = {"residual": GanSpec(8, 128, 2, True), "skip": GanSpec(8, 128, 2, False)}


def generator(kind="residual", channels=2, size_px=16):
    torch.manual_seed(1)
    return Generator(SPECS[kind], channels, size_px)


def drawn(module, count=4, seed=0):
    source = torch.Generator().manual_seed(seed)
    z, noise = torch.randn(count, 2, LATENT, generator=source), torch.randn(count, module.noise, generator=source)
    return z, torch.full((count,), module.layers), noise


def critic(channels=2, size_px=16):
    torch.manual_seed(2)
    return Critic(SPECS["residual"], channels, size_px)


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("channels", [1, 2, 5, 6])
def test_images_have_any_number_of_channels_and_the_critic_takes_them(kind, channels):
    module = generator(kind, channels, 32)
    images, styles = module(*drawn(module))
    assert images.shape == (4, channels, 32, 32) and styles.shape == (4, module.layers, LATENT)
    judge = critic(channels, 32)
    assert judge(images).shape == (4,) and judge.embed(images).shape == (4, 512)


def test_sizes_are_powers_of_two_and_images_square():
    assert gan_sides(64) == [4, 8, 16, 32, 64] and gan_sides(1024)[-1] == 1024
    for size_px in (4, 48, 100):
        with pytest.raises(ValueError, match=f"images of {size_px} px: expected a power of two from 8"):
            gan_sides(size_px)
    with pytest.raises(
        ValueError, match=r"images of \(2, 16, 32\) \(C, H, W\), expected \(2, 16, 16\): .* squares of one size"
    ):
        critic()(torch.zeros(4, 2, 16, 32))
    with pytest.raises(ValueError, match=r"images of \(3, 16, 16\)"):
        critic().embed(torch.zeros(4, 3, 16, 16))


def test_presets_are_as_published_and_our_own():
    published = GAN_PRESETS["gandl"]
    assert [published.channels(side) for side in gan_sides(1024)] == [512] * 5 + [256, 128, 64, 32]
    assert published.mapping == 3 and published.residual and gan_spec("small", 32).finest == 1024
    module = Generator(published, 5, 8)
    assert len(module.mapping.layers) == 3 and module.layers == 4 and module.start.shape == (1, 512, 4, 4)
    with pytest.raises(ValueError, match="preset 'large': expected one of"):
        gan_spec("large")


@pytest.mark.parametrize("kind", SPECS)
def test_styles_change_at_the_cut(kind):
    module = generator(kind)
    z, cut, noise = drawn(module)
    whole, styles = module(z, cut, noise)
    other = z.clone()
    other[:, 1] += 1
    assert torch.equal(module(other, cut, noise)[0], whole)  # the second w is not shown
    mixed, styles = module(z, torch.full_like(cut, 2), noise)
    w = module.mapping(z)
    torch.testing.assert_close(styles[:, 1], w[:, 0])
    torch.testing.assert_close(styles[:, 2], w[:, 1])
    assert not torch.allclose(mixed, whole)
    assert not torch.allclose(
        module(other, torch.full_like(cut, module.layers - 1), noise)[0], whole
    )  # up to the last layer


def test_noise_changes_details_once_it_has_strength_and_truncation_draws_styles_to_their_mean():
    module = generator()
    z, cut, noise = drawn(module)
    assert torch.equal(module(z, cut, noise)[0], module(z, cut, -noise)[0])
    with torch.no_grad():
        for layer in (module.first, *module.ups, *module.convs):
            layer.strength.fill_(0.5)
    assert not torch.allclose(module(z, cut, noise)[0], module(z, cut, -noise)[0])
    centre = module.mean_style(torch.randn(256, LATENT))
    plain, half, none = (module(z, cut, noise, centre, share)[1] for share in (1.0, 0.5, 0.0))
    torch.testing.assert_close(plain, module(z, cut, noise)[1])
    torch.testing.assert_close(half, (plain + centre) / 2)
    torch.testing.assert_close(none, centre.expand_as(none))


def test_a_modulated_convolution_is_the_papers():
    """Scaled weights of each image, brought to unit length (eq. 1 and 3), by a naive loop; doubled through zeros and the filter."""
    torch.manual_seed(0)
    plain, up = Modulated(3, 4, 3), Modulated(3, 4, 3, up=True)
    up.load_state_dict(plain.state_dict())
    h, w = torch.randn(2, 3, 8, 8), torch.randn(2, LATENT)
    style = plain.style(w)
    for layer, padding in ((plain, 1), (up, None)):
        answer = layer(h, w)
        for image in range(2):
            weight = plain.weight * plain.scale * style[image][None, :, None, None]
            weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
            if padding:
                expected = torch.nn.functional.conv2d(h[image : image + 1], weight, padding=1)
            else:
                wide = torch.nn.functional.conv_transpose2d(h[image : image + 1], weight.transpose(0, 1), stride=2)
                taps = torch.tensor([1.0, 3, 3, 1]) / 8
                kernel = 4 * torch.outer(taps, taps).expand(4, 1, 4, 4)
                expected = torch.nn.functional.conv2d(wide, kernel, padding=1, groups=4)
            torch.testing.assert_close(answer[image : image + 1], expected, rtol=1e-4, atol=1e-5)
    assert up(h, w).shape == (2, 4, 16, 16)


def test_constant_images_stay_constant_in_their_middle_through_the_filter_and_halves_are_of_half_size():
    ones = torch.ones(1, 2, 8, 8)
    torch.testing.assert_close(Blur()(ones, 2, 1)[..., 2:-2, 2:-2], ones[..., 2:-2, 2:-2])
    module = generator("skip")
    torch.testing.assert_close(module.doubled(ones)[..., 2:-2, 2:-2], torch.ones(1, 2, 12, 12))
    for kernel in (1, 3):
        assert Conv(2, 3, kernel, down=True)(ones).shape == (1, 3, 4, 4)
    assert Dense(4, 3, bias=1.0, rate=0.01)(torch.zeros(2, 4)).allclose(torch.ones(2, 3))


def test_signals_keep_unit_variance_through_equalised_layers():
    torch.manual_seed(0)
    h = torch.randn(512, 512)
    assert float(Dense(512, 512)(h).std()) == pytest.approx(1, abs=0.05)
    assert float(Dense(512, 512, rate=0.01)(h).std()) == pytest.approx(1, abs=0.05)
    module = generator()
    assert 0.1 < float(module(*drawn(module, 16))[0].std()) < 10


# --- what a critic makes of an image's company ---


def test_groups_part_every_batch_and_the_spread_is_their_standard_deviation():
    assert [group_size(count) for count in (1, 2, 3, 4, 5, 6, 8, 12)] == [1, 2, 3, 4, 1, 3, 4, 4]
    h = torch.randn(8, 2, 4, 4)
    expected = [h[first::2].std(0, correction=0).mean() for first in (0, 1)]
    torch.testing.assert_close(spread_of(h), torch.stack([*expected] * 4), rtol=1e-4, atol=1e-5)
    assert float(spread_of(h[:1].expand(4, -1, -1, -1)).max()) < 1e-3  # samples all alike have none


def test_logits_depend_on_company_and_embeddings_do_not():
    judge = critic()
    judge.spread.fill_(0.7)
    images = torch.randn(8, 2, 16, 16)
    alike = torch.cat([images[:1]] * 8)
    assert abs(float(judge(images)[0] - judge(alike)[0])) > 1e-4
    whole = judge.embed(images)
    order = torch.tensor([3, 1, 7, 0, 5, 2, 6, 4])
    assert torch.equal(judge.embed(images[order]), whole[order])  # bit for bit in batches of one shape
    assert torch.equal(judge.embed(torch.cat([images[:1], torch.zeros(7, 2, 16, 16)]))[0], whole[0])
    for count in (1, 3):
        torch.testing.assert_close(judge.embed(images[:count]), whole[:count], rtol=1e-5, atol=1e-5)
    judge.spread.fill_(0.1)
    assert not torch.allclose(judge.embed(images), whole)  # the frozen map is seen


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("size_px", [8, 32])
def test_operations_are_torchs_own_count(kind, size_px):
    module, judge = generator(kind, 3, size_px), Critic(SPECS[kind], 3, size_px)
    inputs = drawn(module, 1)
    with FlopCounterMode(display=False) as counted:
        images, _ = module(*inputs)
    assert operations.generator_flop(SPECS[kind], 3, size_px) == pytest.approx(counted.get_total_flops(), rel=0.02)
    with FlopCounterMode(display=False) as counted:
        judge(images.detach())
    assert operations.critic_flop(SPECS[kind], 3, size_px) == pytest.approx(counted.get_total_flops(), rel=0.02)
