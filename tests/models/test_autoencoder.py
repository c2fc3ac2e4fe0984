import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from brightpaint.models import operations
from brightpaint.models.networks import autoencoder
from brightpaint.models.networks.autoencoder import LOG_VARIANCE, Autoencoder
from brightpaint.models.objectives.codec_losses import kl_per_element
from brightpaint.study.presets import CODEC_PRESETS, codec_spec


@pytest.mark.parametrize(("preset", "channels", "size_px", "latents"), [
    ("latent_64", 5, 512, (8, 64, 64)), ("latent_128", 5, 512, (1, 128, 128)), ("small", 3, 32, (4, 8, 8)),
])  # fmt: skip
def test_the_presets_make_the_published_latents_and_their_operations_are_torchs_own_count(
    preset, channels, size_px, latents
):
    spec = codec_spec(preset)
    with torch.device("meta"):
        network, y = Autoencoder(spec, channels), torch.empty(1, channels, size_px, size_px)
        with FlopCounterMode(display=False) as encoding, torch.no_grad():
            mean, log_variance = network.posterior(y)
        with FlopCounterMode(display=False) as decoding, torch.no_grad():
            painted = network.decode(mean)
    assert mean.shape == log_variance.shape == (1, *latents) and painted.shape == y.shape
    counts = encoding.get_total_flops(), decoding.get_total_flops()
    assert operations.codec_flop(spec, channels, size_px) == counts
    assert size_px // spec.stride_px == latents[1]


def test_other_widths_and_latents_and_an_unknown_preset():
    assert codec_spec("small", 24, 2) == CODEC_PRESETS["small"].__class__(24, (1, 2, 2), 1, 2, False)
    with pytest.raises(ValueError, match="preset 'big': expected one of"):
        codec_spec("big")


@pytest.mark.parametrize("size", [(16, 16), (8, 24)])
def test_any_size_of_the_stride_comes_back_as_large_and_decoding_does_not_depend_on_neighbours(size):
    torch.manual_seed(0)
    network = Autoencoder(codec_spec("small", 8), 2).eval()
    y = torch.randn(3, 2, *size)
    with torch.no_grad():
        mean, log_variance = network.posterior(y)
        painted = network.decode(mean)
        turned = network.decode(mean.flip(0)).flip(0)
    assert mean.shape == (3, 4, size[0] // 4, size[1] // 4) and painted.shape == y.shape
    torch.testing.assert_close(painted, turned)
    assert torch.equal(network(y, torch.zeros_like(mean))[0], network.decode(mean))


def test_noise_of_the_latents_has_the_s_d_that_the_encoder_says():
    network = Autoencoder(codec_spec("small", 8), 2).eval()
    network.posterior = lambda y: (torch.full((1, 4, 2, 2), 3.0), torch.full((1, 4, 2, 2), 2 * 0.5))
    network.decode = lambda latents: latents
    drawn, _, _ = network(torch.zeros(1, 2, 8, 8), torch.full((1, 4, 2, 2), 2.0))
    torch.testing.assert_close(drawn, torch.full((1, 4, 2, 2), 3 + 2 * torch.e**0.5))


def test_the_log_variance_is_bounded():
    network = Autoencoder(codec_spec("small", 8), 2)
    with torch.no_grad():
        network.encoder[-1].bias[4:] = 1e6
    _, log_variance = network.posterior(torch.randn(1, 2, 8, 8))
    assert (log_variance == LOG_VARIANCE[1]).all()


def test_kl_per_element_is_the_textbooks_and_does_not_grow_with_the_latent():
    """Against torch's own, and at 8 x 64 x 64 what a sum would make of 0.05 an element: 1,638."""
    torch.manual_seed(0)
    mean, log_variance = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(mean, (0.5 * log_variance).exp()), normal(0.0, 1.0)).mean()
    torch.testing.assert_close(kl_per_element(mean, log_variance), expected)
    assert float(kl_per_element(torch.zeros(1), torch.zeros(1))) == 0
    for shape in ((1, 1, 2, 2), (1, 8, 64, 64)):
        assert float(kl_per_element(torch.full(shape, 0.1**0.5), torch.zeros(shape))) == pytest.approx(0.05)


def test_latents_are_measured_by_channel_and_by_one_s_d_so_that_an_empty_channel_stays_small():
    network = Autoencoder(codec_spec("small", 8, 2), 1)
    torch.manual_seed(1)
    means = torch.stack([5 + 3 * torch.randn(50, 4, 4), 2 + 0.01 * torch.randn(50, 4, 4)], dim=1)
    network.measure(means)
    torch.testing.assert_close(network.centre, torch.tensor([5.0, 2.0]), atol=0.3, rtol=0)
    scaled = (means - network.centre[:, None, None]) / network.spread
    assert float(scaled.square().mean()) == pytest.approx(1, abs=1e-5)
    assert float(scaled[:, 1].std()) < 0.01 and float(scaled.abs().max()) == pytest.approx(float(network.largest))


def test_the_size_of_a_preset_is_printed(capsys):
    autoencoder.main(["--preset", "latent_64"])
    said = capsys.readouterr().out
    assert "latent_64: 83.7 M parameters" in said and "latents of 5 x 512 x 512: 8 x 64 x 64" in said
