"""Samplers and guidance against Gaussians, whose denoiser has a closed form."""

import math

import numpy as np
import pytest
import torch

from brightpaint.models.sampler import classifier_free, clipped, guided, sample, step, within
from brightpaint.models.schedule import Schedule

MEAN, SD = 1.5, 0.4


def gaussian(mean=MEAN, sd=SD):
    """Return the exact denoiser of stains drawn from N(mean, sd^2)."""

    def denoise(x, y, gamma, labels):
        level = gamma.double()[:, None, None, None]
        variance = level * sd**2 + 1 - level
        return ((1 - level).sqrt() * (y - level.sqrt() * mean) / variance).to(y.dtype)

    return denoise


def run(sampler, steps, denoise, eta=0.0, shape=(4, 1, 50, 50), dtype=torch.float64, spacing="level"):
    generator = torch.Generator().manual_seed(0)
    x, labels = torch.zeros(shape, dtype=dtype), torch.zeros(shape[0], dtype=torch.int64)
    draw = lambda: torch.randn(shape, generator=generator, dtype=dtype)  # noqa: E731
    return sample(denoise, x, labels, Schedule().path(steps, spacing), draw, sampler=sampler, eta=eta)


@pytest.mark.parametrize(
    "sampler, steps, eta, spacing",
    [("ddpm", 2000, 0, "level"), ("ddpm", 500, 0, "level"), ("ddim", 200, 0, "level"), ("ddim", 500, 1, "level"),
     ("ddim", 200, 0.5, "level"), ("ddim", 200, 0, "karras"), ("dpmpp", 40, 0, "karras"), ("heun", 40, 0, "karras"),
     ("dpmpp", 60, 0, "level"), ("heun", 40, 0, "level")],
)  # fmt: skip
def test_mean_and_variance_of_a_gaussian(sampler, steps, eta, spacing):
    painted = run(sampler, steps, gaussian(), eta, spacing=spacing)
    count = painted.numel()
    assert float(painted.mean()) == pytest.approx(MEAN, abs=4 * SD / math.sqrt(count) + 0.01)
    assert float(painted.std()) == pytest.approx(SD, rel=4 / math.sqrt(2 * count) + 0.02)


def exact_ddim(y, steps):
    """The exact probability-flow map of a Gaussian from gamma_T to 1."""
    first = Schedule().path(steps)[0]
    return MEAN + SD * (y - math.sqrt(first) * MEAN) / math.sqrt(first * SD**2 + 1 - first)


def test_ddim_error_falls_with_steps_at_first_order():
    start = torch.randn(1, 1, 20, 20, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    errors = []
    for steps in (10, 20, 40, 80, 160):
        painted = sample(gaussian(), start, torch.zeros(1, dtype=torch.int64), Schedule().path(steps), lambda: start,
                         sampler="ddim")  # fmt: skip
        errors.append(float((painted - exact_ddim(start, steps)).square().mean().sqrt()))
    ratios = np.array(errors[:-1]) / errors[1:]
    assert (ratios > 1.6).all() and errors[-1] < 0.02


@pytest.mark.parametrize("sampler", ["dpmpp", "heun"])
def test_the_faster_samplers_are_of_second_order(sampler):
    """To one level before the last, since the step to no noise at all is of first order in both."""
    start = torch.randn(1, 1, 20, 20, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    labels, errors = torch.zeros(1, dtype=torch.int64), []
    for steps in (20, 40, 80, 160):
        path = Schedule().path(steps, "karras")[:-1]
        spread = [math.sqrt(gamma * SD**2 + 1 - gamma) for gamma in (path[0], path[-1])]
        exact = math.sqrt(path[-1]) * MEAN + (start - math.sqrt(path[0]) * MEAN) * spread[1] / spread[0]
        painted = sample(gaussian(), start, labels, path, lambda: start, sampler=sampler)
        errors.append(float((painted - exact).square().mean().sqrt()))
    ratios = np.array(errors[:-1]) / errors[1:]
    assert (ratios > 3.2).all(), ratios  # 4 in the limit; first order halves it
    coarse = Schedule().path(20, "karras")[:-1]
    euler = sample(gaussian(), start, labels, coarse, lambda: start, sampler="ddim")
    spread = [math.sqrt(gamma * SD**2 + 1 - gamma) for gamma in (coarse[0], coarse[-1])]
    exact = math.sqrt(coarse[-1]) * MEAN + (start - math.sqrt(coarse[0]) * MEAN) * spread[1] / spread[0]
    assert errors[0] < 0.5 * float((euler - exact).square().mean().sqrt())


def test_heun_evaluates_the_network_twice_a_step_but_for_the_last():
    calls = []

    def counted(x, y, gamma, labels):
        calls.append(float(gamma[0]))
        return gaussian()(x, y, gamma, labels)

    run("heun", 5, counted, shape=(1, 1, 2, 2), spacing="karras")
    assert len(calls) == 9
    calls.clear()
    run("dpmpp", 5, counted, shape=(1, 1, 2, 2), spacing="karras")
    assert calls == Schedule().path(5, "karras")[:-1]


@pytest.mark.parametrize("steps", [2000])
def test_ddpm_is_equation_8_written_out(steps):
    """Paper 000, eq. 8 at guidance 0, level by level, with the same noise."""
    schedule, denoise, shape = Schedule(), gaussian(), (1, 1, 6, 6)
    generator = torch.Generator().manual_seed(0)
    y = torch.randn(shape, generator=generator, dtype=torch.float64)
    for t in range(steps, 0, -1):
        gamma = schedule.gammas[t]
        alpha = gamma / schedule.gammas[t - 1]
        eps = denoise(None, y, torch.full((1,), gamma, dtype=torch.float64), None)
        z = torch.randn(shape, generator=generator, dtype=torch.float64) if t > 1 else 0.0
        y = (y - (1 - alpha) / math.sqrt(1 - gamma) * eps) / math.sqrt(alpha) + math.sqrt(1 - alpha) * z
    torch.testing.assert_close(run("ddpm", steps, denoise, shape=shape), y, rtol=1e-8, atol=1e-8)


def test_one_step_to_the_end_is_the_clean_image():
    y, eps = torch.randn(1, 1, 4, 4), torch.randn(1, 1, 4, 4)
    gamma = 0.3
    torch.testing.assert_close(step(y, gamma, 1.0, eps, 0.0), (y - math.sqrt(1 - gamma) * eps) / math.sqrt(gamma))


def test_the_rule_run_upwards_undoes_itself():
    y, eps = torch.randn(1, 1, 4, 4, dtype=torch.float64), torch.randn(1, 1, 4, 4, dtype=torch.float64)
    torch.testing.assert_close(step(step(y, 0.3, 0.6, eps, 0.0), 0.6, 0.3, eps, 0.0), y)


def test_few_clipped_steps_of_a_blank_field_are_finite():
    blank = lambda x, y, gamma, labels: torch.zeros_like(y)  # noqa: E731
    painted = run("ddim", 4, clipped(blank))
    assert torch.isfinite(painted).all() and painted.abs().max() <= 15 + 1e-6


def test_clipping_bounds_the_clean_image_and_leaves_a_bounded_one_alone():
    y = torch.full((1, 1, 2, 2), 3.0)
    gamma, labels = torch.tensor([0.01], dtype=torch.float64), torch.zeros(1, dtype=torch.int64)
    wild = lambda x, y, gamma, labels: torch.tensor([[[[0.0, 3.0], [2.9, -50.0]]]])  # noqa: E731
    eps = clipped(wild)(y, y, gamma, labels)
    clean = (y - math.sqrt(0.99) * eps) / 0.1
    torch.testing.assert_close(clean.flatten()[[0, 3]], torch.tensor([15.0, 15.0]), rtol=1e-4, atol=1e-4)
    assert eps.flatten()[1] == 3.0 and eps.flatten()[2] == torch.tensor(2.9)


def test_unknown_sampler_is_an_error():
    with pytest.raises(ValueError, match="ddpm, ddim, dpmpp, heun"):
        run("euler", 2, gaussian())


# Two classes: stains of class k are N(CENTRES[k], sd^2), each with probability 1/2, one pixel an image.
CENTRES, CLASS_SD = (-1.0, 1.0), 0.5


def log_joint(y, gamma):
    level = gamma.double()[:, None]
    variance = level * CLASS_SD**2 + 1 - level
    centres = torch.tensor(CENTRES, dtype=torch.float64)[None]
    return -((y.reshape(len(y), 1) - level.sqrt() * centres) ** 2) / (2 * variance)


def mixture(x, y, gamma, labels):
    """Return the exact denoiser of both classes together: eps = -sqrt(1 - gamma) grad log p(y_t)."""
    with torch.enable_grad():
        variable = y.detach().requires_grad_()
        gradient = torch.autograd.grad(torch.logsumexp(log_joint(variable, gamma), 1).sum(), variable)[0]
    return -(1 - gamma).sqrt()[:, None, None, None] * gradient


def classify(x, y, gamma):
    return torch.log_softmax(log_joint(y, gamma), dim=1)


def guided_sample(wanted, scale, sampler="ddim", steps=200, count=2000):
    classes = torch.full((count,), wanted)
    return run(sampler, steps, guided(mixture, classify, classes, scale), shape=(count, 1, 1, 1)).flatten()


@pytest.mark.parametrize("sampler, steps", [("ddim", 200), ("ddpm", 400)])
@pytest.mark.parametrize("wanted", [0, 1])
def test_exact_guidance_turns_both_classes_into_the_wanted_one(sampler, steps, wanted):
    """At scale 1 the guided score is exactly that of the class, so its mean and s.d. must come out."""
    painted = guided_sample(wanted, 1.0, sampler, steps)
    assert float(painted.mean()) == pytest.approx(CENTRES[wanted], abs=0.06)
    assert float(painted.std()) == pytest.approx(CLASS_SD, rel=0.08)


def test_guidance_off_paints_both_classes_and_more_guidance_goes_further():
    unguided = guided_sample(1, 0.0)
    assert abs(float(unguided.mean())) < 0.08 and float(unguided.std()) == pytest.approx(math.sqrt(1.25), rel=0.05)
    assert float(guided_sample(1, 3.0).mean()) > float(guided_sample(1, 1.0).mean())


def test_guidance_is_the_gradient_for_each_field_with_the_stated_factor():
    y = torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64).reshape(3, 1, 1, 1)
    gamma = torch.full((3,), 0.4, dtype=torch.float64)
    wanted = torch.tensor([1, 0, -1])
    moved = guided(mixture, classify, wanted, 2.0)(None, y, gamma, None) - mixture(None, y, gamma, None)
    shift = 1e-5
    up, down = classify(None, y + shift, gamma), classify(None, y - shift, gamma)
    slope = ((up - down) / (2 * shift))[torch.arange(3), wanted.clamp(min=0)]
    expected = -2.0 * math.sqrt(0.6) * slope * (wanted >= 0)
    torch.testing.assert_close(moved.flatten(), expected, rtol=1e-6, atol=1e-9)


def test_ancestral_guidance_moves_the_mean_by_s_sigma_g():
    """Dhariwal & Nichol 2021, Algorithm 1: the mean moves by s Sigma g, here within the factor 1 / sqrt(alpha)."""
    y, g = torch.zeros(1, 1, 1, 1, dtype=torch.float64), 0.7
    linear = lambda x, y, gamma: torch.stack([g * y.flatten(), 0 * y.flatten()], 1)  # noqa: E731
    still = lambda x, y, gamma, labels: torch.zeros_like(y)  # noqa: E731
    gammas, t, scale = Schedule().gammas, 1500, 3.0
    gamma = torch.full((1,), gammas[t], dtype=torch.float64)
    eps = guided(still, linear, torch.zeros(1, dtype=torch.int64), scale)(None, y, gamma, None)
    moved = step(y, gammas[t], gammas[t - 1], eps, 1.0) - step(y, gammas[t], gammas[t - 1], torch.zeros_like(y), 1.0)
    sigma = 1 - gammas[t] / gammas[t - 1]
    assert float(moved) == pytest.approx(scale * sigma * g, rel=0.005)


def test_samplers_agree_in_the_limit_on_two_classes():
    """All deterministic samplers walk the same curve: from the same noise to the same picture."""
    limit = run("ddim", 2000, mixture, shape=(500, 1, 1, 1))
    for sampler, steps, spacing, tolerance in [
        ("ddim", 1000, "karras", 0.01), ("dpmpp", 100, "karras", 0.01), ("heun", 60, "karras", 0.01),
        ("dpmpp", 200, "level", 0.02), ("heun", 200, "level", 0.02),
    ]:  # fmt: skip
        painted = run(sampler, steps, mixture, shape=(500, 1, 1, 1), spacing=spacing)
        assert float((painted - limit).abs().median()) < tolerance, (sampler, spacing)


def of_class(x, y, gamma, labels):
    """Return the exact denoiser of each field's own class; of both together for the null label."""
    with torch.enable_grad():
        variable = y.detach().requires_grad_()
        table = log_joint(variable, gamma)
        own = table.gather(1, (labels - 1).clamp(min=0)[:, None])[:, 0]
        chosen = torch.where(labels > 0, own, torch.logsumexp(table, 1))
        gradient = torch.autograd.grad(chosen.sum(), variable)[0]
    return -(1 - gamma).sqrt()[:, None, None, None] * gradient


def test_classifier_free_guidance_equals_guidance_by_the_exact_classifier():
    """log p(k | y) = log p(y | k) - log p(y) + const: both guidances are the same vector (Ho & Salimans 2022)."""
    y = torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64).reshape(3, 1, 1, 1)
    gamma, labels = torch.full((3,), 0.4, dtype=torch.float64), torch.tensor([2, 1, 0])
    for scale in (0.0, 1.0, 2.5):
        found = classifier_free(of_class, scale)(None, y, gamma, labels)
        torch.testing.assert_close(found, guided(mixture, classify, labels - 1, scale)(None, y, gamma, None))
    assert torch.equal(classifier_free(of_class, 1.0)(None, y, gamma, labels), of_class(None, y, gamma, labels))


def test_more_classifier_free_guidance_goes_further_into_the_class():
    means = []
    for scale in (0.0, 1.0, 3.0):
        denoise, generator = classifier_free(of_class, scale), torch.Generator().manual_seed(0)
        draw = lambda: torch.randn(1000, 1, 1, 1, generator=generator, dtype=torch.float64)  # noqa: E731, B023
        labels, path = torch.full((1000,), 2), Schedule().path(100)
        means.append(float(sample(denoise, torch.zeros(1000, 1, 1, 1), labels, path, draw, sampler="ddim").mean()))
    assert means[0] == pytest.approx(0, abs=0.12) and means[1] == pytest.approx(CENTRES[1], abs=0.06)
    assert means[2] > means[1] + 0.1


def test_guidance_is_limited_to_its_interval_of_noise():
    plain, strong = (lambda x, y, gamma, labels: y), (lambda x, y, gamma, labels: 2 * y)
    limited, y = within(strong, plain, 0.5, 5.0), torch.ones(1, 1, 1, 1)
    seen = [float(limited(None, y, 1 / (1 + torch.tensor([sigma**2], dtype=torch.float64)), None))
            for sigma in (0.4, 0.6, 4.9, 5.1)]  # fmt: skip
    assert seen == [1.0, 2.0, 2.0, 1.0]
