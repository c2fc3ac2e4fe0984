"""Samplers and guidance against Gaussians, whose denoiser has a closed form."""

import math

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from brightpaint.models.conditions.condition import Condition
from brightpaint.models.networks.noise_classifier import Classifier
from brightpaint.models.networks.unet import UNet
from brightpaint.models.objectives.denoiser import Denoiser
from brightpaint.models.paint.walk import SAMPLERS, at_levels, classifier_free, clipped, guided, step, walk, within
from brightpaint.models.schedule import Schedule
from brightpaint.study.presets import spec_of

MEAN, SD = 1.5, 0.4
NULL = torch.zeros(1, dtype=torch.int64)


def gaussian(mean=MEAN, sd=SD):
    """Return the exact denoiser of stains drawn from N(mean, sd^2)."""

    def denoise(x, y, gamma, condition):
        return math.sqrt(1 - gamma) * (y - math.sqrt(gamma) * mean) / (gamma * sd**2 + 1 - gamma)

    return denoise


def run(sampler, steps, denoise, eta=0.0, shape=(4, 1, 50, 50), dtype=torch.float64, spacing="level"):
    generator = torch.Generator().manual_seed(0)
    x = torch.zeros(shape, dtype=dtype)
    draw = lambda: torch.randn(shape, generator=generator, dtype=dtype)  # noqa: E731
    return walk(denoise, draw(), x, None, Schedule().path(steps, spacing), sampler=sampler, eta=eta, draw=draw)


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
        painted = walk(gaussian(), start, start, NULL, Schedule().path(steps), sampler="ddim")
        errors.append(float((painted - exact_ddim(start, steps)).square().mean().sqrt()))
    ratios = np.array(errors[:-1]) / errors[1:]
    assert (ratios > 1.6).all() and errors[-1] < 0.02


@pytest.mark.parametrize("sampler", ["dpmpp", "heun"])
def test_the_faster_samplers_are_of_second_order(sampler):
    """To one level before the last, since the step to no noise at all is of first order in both."""
    start = torch.randn(1, 1, 20, 20, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    errors = []
    for steps in (20, 40, 80, 160):
        path = Schedule().path(steps, "karras")[:-1]
        spread = [math.sqrt(gamma * SD**2 + 1 - gamma) for gamma in (path[0], path[-1])]
        exact = math.sqrt(path[-1]) * MEAN + (start - math.sqrt(path[0]) * MEAN) * spread[1] / spread[0]
        painted = walk(gaussian(), start, start, NULL, path, sampler=sampler)
        errors.append(float((painted - exact).square().mean().sqrt()))
    ratios = np.array(errors[:-1]) / errors[1:]
    assert (ratios > 3.2).all(), ratios  # 4 in the limit; first order halves it
    coarse = Schedule().path(20, "karras")[:-1]
    euler = walk(gaussian(), start, start, NULL, coarse, sampler="ddim")
    spread = [math.sqrt(gamma * SD**2 + 1 - gamma) for gamma in (coarse[0], coarse[-1])]
    exact = math.sqrt(coarse[-1]) * MEAN + (start - math.sqrt(coarse[0]) * MEAN) * spread[1] / spread[0]
    assert errors[0] < 0.5 * float((euler - exact).square().mean().sqrt())


def test_heun_evaluates_the_network_twice_a_step_but_for_the_last():
    calls = []

    def counted(x, y, gamma, condition):
        calls.append(gamma)
        return gaussian()(x, y, gamma, condition)

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
        eps = denoise(None, y, gamma, None)
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
    blank = lambda x, y, gamma, condition: torch.zeros_like(y)  # noqa: E731
    painted = run("ddim", 4, clipped(blank))
    assert torch.isfinite(painted).all() and painted.abs().max() <= 15 + 1e-6


def test_clipping_bounds_the_clean_image_and_leaves_a_bounded_one_alone():
    y = torch.full((1, 1, 2, 2), 3.0)
    wild = lambda x, y, gamma, condition: torch.tensor([[[[0.0, 3.0], [2.9, -50.0]]]])  # noqa: E731
    eps = clipped(wild)(y, y, 0.01, NULL)
    clean = (y - math.sqrt(0.99) * eps) / 0.1
    torch.testing.assert_close(clean.flatten()[[0, 3]], torch.tensor([15.0, 15.0]), rtol=1e-4, atol=1e-4)
    assert eps.flatten()[1] == 3.0 and eps.flatten()[2] == torch.tensor(2.9)


def test_unknown_sampler_is_an_error():
    with pytest.raises(ValueError, match="ddpm, ddim, dpmpp, heun"):
        run("euler", 2, gaussian())


# Two classes: stains of class k are N(CENTRES[k], sd^2), each with probability 1/2, one pixel an image.
CENTRES, CLASS_SD = (-1.0, 1.0), 0.5


def log_joint(y, gamma):
    variance = gamma * CLASS_SD**2 + 1 - gamma
    centres = torch.tensor(CENTRES, dtype=torch.float64)[None]
    return -((y.reshape(len(y), 1) - math.sqrt(gamma) * centres) ** 2) / (2 * variance)


def mixture(x, y, gamma, condition):
    """Return the exact denoiser of both classes together: eps = -sqrt(1 - gamma) grad log p(y_t)."""
    with torch.enable_grad():
        variable = y.detach().requires_grad_()
        gradient = torch.autograd.grad(torch.logsumexp(log_joint(variable, gamma), 1).sum(), variable)[0]
    return -math.sqrt(1 - gamma) * gradient


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
    gamma = 0.4
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
    still = lambda x, y, gamma, condition: torch.zeros_like(y)  # noqa: E731
    gammas, t, scale = Schedule().gammas, 1500, 3.0
    eps = guided(still, linear, NULL, scale)(None, y, gammas[t], None)
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


def of_class(x, y, gamma, condition):
    """Return the exact denoiser of each field's own class; of both together for the null label."""
    labels = condition.labels
    with torch.enable_grad():
        variable = y.detach().requires_grad_()
        table = log_joint(variable, gamma)
        own = table.gather(1, (labels - 1).clamp(min=0)[:, None])[:, 0]
        chosen = torch.where(labels > 0, own, torch.logsumexp(table, 1))
        gradient = torch.autograd.grad(chosen.sum(), variable)[0]
    return -math.sqrt(1 - gamma) * gradient


def test_classifier_free_guidance_equals_guidance_by_the_exact_classifier():
    """log p(k | y) = log p(y | k) - log p(y) + const: both guidances are the same vector (Ho & Salimans 2022)."""
    y = torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64).reshape(3, 1, 1, 1)
    gamma, labels = 0.4, torch.tensor([2, 1, 0])
    told = Condition.of_labels(labels)
    for scale in (0.0, 1.0, 2.5):
        eps = classifier_free(of_class, {"label": scale})(y, y, gamma, told)
        torch.testing.assert_close(eps, guided(mixture, classify, labels - 1, scale)(y, y, gamma, None))
    assert torch.equal(classifier_free(of_class, {"label": 1.0})(y, y, gamma, told), of_class(y, y, gamma, told))


def test_more_classifier_free_guidance_goes_further_into_the_class():
    means = []
    for scale in (0.0, 1.0, 3.0):
        start = torch.randn(1000, 1, 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        denoise, path = classifier_free(of_class, {"label": scale}), Schedule().path(100)
        condition = Condition.of_labels(torch.full((1000,), 2))
        means.append(float(walk(denoise, start, start, condition, path, sampler="ddim").mean()))
    assert means[0] == pytest.approx(0, abs=0.12) and means[1] == pytest.approx(CENTRES[1], abs=0.06)
    assert means[2] > means[1] + 0.1


def test_guidance_is_limited_to_its_interval_of_noise():
    plain, strong = (lambda x, y, gamma, condition: y), (lambda x, y, gamma, condition: 2 * y)
    limited, y = within(strong, plain, 0.5, 5.0), torch.ones(1, 1, 1, 1)
    strength = [float(limited(None, y, 1 / (1 + sigma**2), None)) for sigma in (0, 0.4, 0.6, 4.9, 5.1)]
    assert strength == [1.0, 1.0, 2.0, 2.0, 1.0]


def test_one_field_to_guide_is_guided_and_its_neighbours_are_left_as_they_are():
    y = torch.tensor([0.3, -0.2], dtype=torch.float64).reshape(2, 1, 1, 1)
    plain = mixture(y, y, 0.4, None)
    assert guided(mixture, classify, torch.tensor([-1, -1]), 2.0) is mixture
    eps = guided(mixture, classify, torch.tensor([-1, 1]), 2.0)(y, y, 0.4, None)
    assert torch.equal(eps[0], plain[0]) and eps[1] != plain[1]


def modules(preset):
    """Return a denoiser and a classifier of two stains and three labels, small, with every weight drawn."""
    torch.manual_seed(0)
    spec = spec_of(preset, 8)
    denoiser, classifier = Denoiser(UNet(spec, 2, 2, 3), OUTPUTS[preset]), Classifier(spec, 2, 2, 3)
    for module in (denoiser, classifier):
        for parameter in module.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
        module.eval().requires_grad_(False)
    return denoiser, classifier


OUTPUTS = {"fast": "preconditioned", "paper": "eps"}


def batch(count=3, size_px=16):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(count, 2, size_px, size_px, generator=generator) for _ in range(2)]


def test_classifier_free_guidance_is_one_pass_of_both_halves_and_equals_two_passes():
    denoiser, _ = modules("fast")
    (x, y), told, calls = batch(), Condition.of_labels(torch.tensor([1, 0, 3])), []

    def counted(x, y, gamma, condition):
        calls.append((len(x), gamma.shape, condition.labels.tolist()))
        return denoiser(x, y, gamma, condition)

    with torch.no_grad():
        eps = classifier_free(at_levels(counted, [0.4], x.device), {"label": 2.5})(x, y, 0.4, told)
        gamma = torch.full((3,), 0.4, dtype=torch.float64)
        shown, null = denoiser(x, y, gamma, told), denoiser(x, y, gamma, told.null())
    assert calls == [(6, (6,), [1, 0, 3, 0, 0, 0])]
    assert (shown - null).abs().max() > 1e-3
    torch.testing.assert_close(eps, null + 2.5 * (shown - null), rtol=0, atol=2e-5)


class Watch(TorchDispatchMode):
    """Fail where the host asks a tensor for its value, or makes a tensor of a number that it holds."""

    WAITS = ("_local_scalar_dense", "is_nonzero", "nonzero", "equal", "lift_fresh", "full", "scalar_tensor", "_to_copy")

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function._schema.name.removeprefix("aten::")
        cast = name == "_to_copy" and (kwargs or {}).get("device") in (None, args[0].device)
        assert name not in self.WAITS or cast, f"a sampling step calls {name}"
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("preset", ["fast", "paper"])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_no_step_waits_for_the_device_whatever_the_guidance(preset, sampler):
    denoiser, classifier = modules(preset)
    (x, y), path, labels = batch(), Schedule().path(4, "karras"), torch.tensor([1, 0, 3])
    told, judged = (at_levels(module, path, x.device) for module in (denoiser, classifier))
    strong = guided(classifier_free(told, {"label": 2.0}), judged, labels - 1, 1.5)
    denoise = clipped(within(strong, told, 0.1, 10.0))
    with Watch():
        painted = walk(
            denoise, y, x, Condition.of_labels(labels), path, sampler=sampler, draw=lambda: torch.ones_like(y)
        )
    assert torch.isfinite(painted).all()


def test_the_watch_sees_what_waits():
    for work in (lambda: bool((NULL > 0).any()), lambda: float(NULL[0]), lambda: torch.full((2,), 0.5),
                 lambda: torch.tensor([0.5]), lambda: NULL.to("meta")):  # fmt: skip
        with pytest.raises(AssertionError, match="a sampling step calls"), Watch():
            work()


def downward(denoise, y, path, draw, sampler, eta):
    """The four samplers from noise to image as they were before they could be walked upwards, clipping written out."""
    eta, clean = {"ddpm": 1.0, "ddim": eta}.get(sampler, 0.0), None

    def eps_of(y, gamma):
        level = torch.full((len(y),), gamma, dtype=torch.float64)[:, None, None, None]
        signal, noise, eps = level.sqrt().float(), (1 - level).sqrt().float(), denoise(y, y, gamma, None)
        implied = (y - noise * eps) / signal
        return torch.where(implied.abs() > 15, (y - signal * implied.clamp(-15, 15)) / noise, eps)

    def moved(y, a, b, eps, eta):
        variance = eta**2 * (1 - b) / (1 - a) * (1 - a / b)
        implied = (y - math.sqrt(1 - a) * eps) / math.sqrt(a)
        return math.sqrt(b) * implied + math.sqrt(max(1 - b - variance, 0.0)) * eps, variance

    for place, (a, b) in enumerate(zip(path[:-1], path[1:])):
        eps = eps_of(y, a)
        if sampler == "heun" and b < 1:
            eps = (eps + eps_of(moved(y, a, b, eps, 0.0)[0], b)) / 2
        if sampler == "dpmpp":
            before, clean = clean, (y - math.sqrt(1 - a) * eps) / math.sqrt(a)
            if before is not None and b < 1:
                last, here, after = (0.5 * (math.log(g) - math.log1p(-g)) for g in path[place - 1 : place + 2])
                weight = 0.5 * (after - here) / (here - last)
                eps = (y - math.sqrt(a) * ((1 + weight) * clean - weight * before)) / math.sqrt(1 - a)
        y, variance = moved(y, a, b, eps, eta)
        y = y + math.sqrt(1 - a / b if sampler == "ddpm" else variance) * draw() if eta > 0 and b < 1 else y
    return y


@pytest.mark.parametrize("sampler, eta", [("ddpm", 0.0), ("ddim", 0.0), ("ddim", 0.7), ("dpmpp", 0.0), ("heun", 0.0)])
@pytest.mark.parametrize("spacing", ["level", "karras"])
def test_painting_is_to_the_bit_what_it_was_before_walks_had_two_directions(sampler, eta, spacing):
    path, shape = Schedule().path(9, spacing), (3, 2, 8, 8)
    wide = gaussian(3.0, 8.0)  # some implied stains lie beyond the cut-off
    for seed in range(3):
        draws = [torch.Generator().manual_seed(seed) for _ in range(2)]
        now, then = (lambda source=source: torch.randn(shape, generator=source) for source in draws)
        start = now()
        painted = walk(clipped(wide), start, start, None, path, sampler=sampler, eta=eta, draw=now)
        assert torch.equal(painted, downward(wide, then(), path, then, sampler, eta))
        assert painted.dtype == torch.float32 and painted.abs().max() > 14.9


# Inversion: stains of class k are N(mu_k, s_k^2); what is known of one image must be known of it again.
MU, S = torch.tensor([0.0, -1.0, 1.5], dtype=torch.float64), torch.tensor([1.0, 0.5, 0.8], dtype=torch.float64)


def classes(x, y, gamma, condition):
    """Return the exact denoiser of each field's class."""
    mu, s = (values[condition.labels][:, None, None, None] for values in (MU, S))
    return math.sqrt(1 - gamma) * (y - math.sqrt(gamma) * mu) / (gamma * s**2 + 1 - gamma)


def translated(source, target, z, steps, sampler="ddim", spacing="level"):
    """Invert the images mu + s z of one class and paint the latents as another; return images, latents and result."""
    images, path = MU[source] + S[source] * z, Schedule().path(steps, spacing)
    source, target = (Condition.of_labels(torch.full((len(z),), number)) for number in (source, target))
    latents = walk(classes, images, images, source, path[::-1], sampler=sampler)
    return images, latents, walk(classes, latents, images, target, path, sampler=sampler)


Z = torch.linspace(-2, 2, 41, dtype=torch.float64).reshape(-1, 1, 1, 1)


def test_the_round_trip_of_plain_inversion_errs_as_its_steps_let_it():
    """First order: half the error for twice the steps."""
    errors = []
    for steps in (10, 25, 50, 100, 400):
        images, _, back = translated(1, 1, Z, steps)
        errors.append(float((back - images).abs().max()))
    assert (np.array(errors) < [0.6, 0.3, 0.16, 0.08, 0.022]).all(), errors
    assert (np.array(errors[:-1]) / errors[1:] > [2, 1.7, 1.7, 3.4]).all() and errors[0] > 0.3, errors


@pytest.mark.parametrize("sampler", ["heun", "dpmpp"])
def test_upwards_too_the_faster_samplers_are_of_second_order(sampler):
    """The latent against the exact one; what the first step from no noise adds is of first order, and small."""
    errors = []
    for steps in (10, 20, 40):
        images, latents, back = translated(1, 1, Z, steps, sampler, "karras")
        first = Schedule().path(steps, "karras")[0]
        exact = math.sqrt(first) * MU[1] + math.sqrt(first * S[1] ** 2 + 1 - first) * Z
        errors.append(float((latents - exact).abs().max()))
    assert (np.array(errors[:-1]) / errors[1:] > 3.2).all(), errors
    assert float((back - images).abs().max()) < 0.005


@pytest.mark.parametrize("sampler, steps, close", [("ddim", 400, 0.05), ("heun", 40, 0.03), ("dpmpp", 100, 0.03)])
def test_latents_are_standard_normal_and_translation_is_the_exact_map(sampler, steps, close):
    z = torch.randn(20_000, 1, 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for source, target in ((1, 2), (2, 1)):
        _, latents, _ = translated(source, target, z, steps, sampler)
        assert float(latents.mean()) == pytest.approx(0, abs=4 / math.sqrt(len(z)) + 0.01)  # sqrt(gamma_T) mu is 0.01
        assert float(latents.std()) == pytest.approx(1, abs=4 / math.sqrt(2 * len(z)) + close)
        images, _, moved = translated(source, target, Z, steps, sampler)
        exact = MU[target] + S[target] / S[source] * (images - MU[source])
        assert float((moved - exact).abs().max()) < close
        assert float((moved - images).abs().max()) > 1  # the label decides


def test_the_rule_holds_at_gamma_1_in_both_directions():
    y, eps = torch.randn(1, 1, 4, 4, dtype=torch.float64), torch.randn(1, 1, 4, 4, dtype=torch.float64)
    up = step(y, 1.0, 0.3, eps, 0.0)
    torch.testing.assert_close(up, math.sqrt(0.3) * y + math.sqrt(0.7) * eps)
    torch.testing.assert_close(step(up, 0.3, 1.0, eps, 0.0), y)
    for eta in (0.0, 1.0):
        assert torch.equal(step(y, 1.0, 1.0, eps, eta), y)
    with pytest.raises(ValueError, match="upwards no noise is put back"):
        step(y, 1.0, 0.3, eps, 0.5)


def test_clipping_leaves_eps_alone_where_there_is_no_noise():
    y, eps = torch.full((1, 1, 1, 1), 40.0), torch.full((1, 1, 1, 1), 0.3)
    assert torch.equal(clipped(lambda x, y, gamma, condition: eps)(y, y, 1.0, NULL), eps)


@pytest.mark.parametrize("preset", ["fast", "paper"])
@pytest.mark.parametrize("sampler", ["ddim", "dpmpp", "heun"])
def test_a_network_is_asked_at_gamma_1_and_its_inversion_is_finite(preset, sampler):
    denoiser, _ = modules(preset)
    (x, y), path = batch(), Schedule().path(5)
    told, condition = at_levels(denoiser, path, x.device), Condition.of_labels(torch.tensor([1, 0, 3]))
    latents = walk(told, y, x, condition, path[::-1], sampler=sampler)
    assert torch.isfinite(latents).all() and not torch.equal(latents, y)


def test_a_walk_goes_on_from_where_another_stopped():
    start, path = torch.randn(2, 1, 3, 3, dtype=torch.float64), Schedule().path(8)
    half = walk(gaussian(), start, start, NULL, path[:5], sampler="ddim")
    whole = walk(gaussian(), start, start, NULL, path, sampler="ddim")
    assert torch.equal(walk(gaussian(), half, start, NULL, path[4:], sampler="ddim"), whole)
    assert torch.equal(walk(gaussian(), start, start, NULL, path[:1], sampler="heun"), start)


@pytest.mark.parametrize("sampler, eta", [("ddpm", 0.0), ("ddim", 0.3)])
def test_what_puts_noise_back_cannot_walk_upwards_nor_without_its_source(sampler, eta):
    y, path = torch.zeros(1, 1, 2, 2), Schedule().path(4)
    with pytest.raises(ValueError, match=f"sampler {sampler} with eta .* walk by ddim of eta 0, dpmpp or heun"):
        walk(gaussian(), y, y, NULL, path[::-1], sampler=sampler, eta=eta, draw=lambda: y)
    with pytest.raises(ValueError, match=f"sampler {sampler} with eta .* give `draw`"):
        walk(gaussian(), y, y, NULL, path, sampler=sampler, eta=eta)


@pytest.mark.parametrize("path", [[], [0.1, 0.5, 0.4], [0.5, 0.5, 1.0], [0.0, 1.0], [0.5, 1.1]])
def test_a_path_that_turns_rests_or_leaves_the_levels_is_an_error(path):
    y = torch.zeros(1, 1, 2, 2)
    with pytest.raises(ValueError, match="rise all the way or fall all the way"):
        walk(gaussian(), y, y, NULL, path, sampler="ddim")
