import math

import pytest
import torch

from brightpaint.models.objectives.denoiser import RESIDUAL_SD, Denoiser, add_noise, loss, preconditioned_eps, scales

GAMMAS = torch.tensor([4.4e-5, 0.01, 0.5, 0.99, 1 - 1e-6], dtype=torch.float64)


class Fixed(torch.nn.Module):
    """A network that emits what it was given."""

    def __init__(self, raw):
        super().__init__()
        self.raw = raw

    def forward(self, x, y, gamma, labels):
        return self.raw


def draw(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(5, 2, 8, 8, generator=generator) for _ in range(2)]


def test_noised_image_keeps_unit_variance_and_known_ends():
    y, eps = draw()
    torch.testing.assert_close(add_noise(y, torch.ones(5, dtype=torch.float64), eps), y)
    noisy = add_noise(y, torch.full((5,), 0.36, dtype=torch.float64), eps)
    torch.testing.assert_close(noisy, 0.6 * y + 0.8 * eps)


def test_noise_scale_is_right_where_float32_would_lose_it():
    noise = scales(GAMMAS)[1].flatten()
    assert float(noise[-1]) == pytest.approx(1e-3, rel=1e-4)


def test_preconditioned_eps_is_that_of_the_clean_stains_it_stands_for():
    """Karras et al. 2022: clean = c_skip y + c_out raw in float64, then eps from eq. 1."""
    y, raw = (tensor.double() for tensor in draw())
    gamma = GAMMAS[:, None, None, None]
    variance = gamma * RESIDUAL_SD**2 + 1 - gamma
    clean = gamma.sqrt() * RESIDUAL_SD**2 / variance * y + RESIDUAL_SD * ((1 - gamma) / variance).sqrt() * raw
    expected = (y - gamma.sqrt() * clean) / (1 - gamma).sqrt()
    torch.testing.assert_close(preconditioned_eps(raw, y, GAMMAS), expected, rtol=1e-5, atol=1e-6)


def test_preconditioned_zero_is_the_best_guess_for_stains_of_the_residual_sd():
    """With clean stains of variance sd^2, E[clean | y] is c_skip y: an output of 0, and its eps has the least error."""
    generator = torch.Generator().manual_seed(2)
    clean = RESIDUAL_SD * torch.randn(5, 1, 200, 200, generator=generator)
    eps = torch.randn(clean.shape, generator=generator)
    noisy = add_noise(clean, GAMMAS, eps)
    error = (preconditioned_eps(torch.zeros_like(noisy), noisy, GAMMAS) - eps).square().mean((1, 2, 3))
    expected = GAMMAS * RESIDUAL_SD**2 / (GAMMAS * RESIDUAL_SD**2 + 1 - GAMMAS)  # posterior variance of eps
    torch.testing.assert_close(error.double(), expected, rtol=0.03, atol=1e-6)


def test_loss_is_zero_for_the_true_noise_and_weights_levels_as_stated():
    y, eps = draw()
    labels = torch.zeros(5, dtype=torch.int64)
    for objective in ("eps", "v"):
        assert loss(Denoiser(Fixed(eps), "eps"), y, y, labels, GAMMAS, eps, objective) == 0
    wrong = Denoiser(Fixed(eps + 0.5), "eps")
    assert float(loss(wrong, y, y, labels, GAMMAS, eps, "eps")) == pytest.approx(0.25, rel=1e-5)
    v_loss = float(loss(wrong, y, y, labels, GAMMAS, eps, "v"))
    assert v_loss == pytest.approx(0.25 * float((1 / GAMMAS).mean()), rel=1e-4)


def test_loss_on_v_is_the_error_of_v_written_out():
    y, eps = draw()
    guess = draw(5)[0]
    signal, noise = scales(GAMMAS)
    v = signal * eps - noise * y  # Salimans & Ho 2022
    noisy = add_noise(y, GAMMAS, eps)
    v_guess = (guess - noise * noisy) / signal
    measured = loss(Denoiser(Fixed(guess), "eps"), y, y, torch.zeros(5, dtype=torch.int64), GAMMAS, eps, "v")
    torch.testing.assert_close(measured, (v - v_guess).square().mean(), rtol=1e-3, atol=0)


def test_unknown_output_and_objective_are_errors():
    y, eps = draw()
    with pytest.raises(ValueError, match="expected eps or preconditioned"):
        Denoiser(Fixed(y), "x")
    with pytest.raises(ValueError, match="expected eps or v"):
        loss(Denoiser(Fixed(y), "eps"), y, y, torch.zeros(5, dtype=torch.int64), GAMMAS, eps, "l1")


def test_the_eps_of_a_network_trained_on_v_is_finite_at_every_level_and_the_image_itself_in_pure_noise():
    raw, y = (torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    levels = torch.tensor([0.0, 1e-6, 1.0], dtype=torch.float64)
    eps = preconditioned_eps(raw, y, levels)
    assert torch.isfinite(eps).all() and torch.equal(eps[0], y[0])
    torch.testing.assert_close(eps[2], -raw[2])  # at gamma 1: the correction that is emitted there
    clean = (y[1] - math.sqrt(1 - 1e-6) * eps[1]) / 1e-3
    torch.testing.assert_close(
        clean, RESIDUAL_SD * raw[1], atol=2e-3, rtol=0
    )  # float32 keeps the stains apart from noise
