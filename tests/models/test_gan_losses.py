"""StyleGAN2's losses: R1 and path length are the derivatives that they say, and what is drawn is what the paper draws."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from brightpaint.models.networks.image_critic import Critic
from brightpaint.models.networks.style_generator import Generator
from brightpaint.models.objectives.gan_losses import ADAM, Adversarial, Scale, lazy_adam
from brightpaint.study.presets import LATENT, GanSpec

SPEC = GanSpec(4, 64, 1, False)
WINDOWS = [[-1.5, 6.0], [-5.0, 5.0]]


def game(mixing=0.9, **weights):
    torch.manual_seed(0)
    networks = {"generator": Generator(SPEC, 2, 8).double(), "critic": Critic(SPEC, 2, 8).double()}
    chosen = {"r1": 10.0, "path_length": 2.0, **weights}
    return networks, Adversarial(networks["generator"], Scale(WINDOWS), mixing=mixing, **chosen)


def drawn(objective, count=4):
    values = objective.draw((count, 2, 8, 8), torch.Generator().manual_seed(0))
    return [value.double() if value.is_floating_point() else value for value in values]


def test_windows_become_minus_one_and_one_and_the_rest_is_cut_off():
    z = torch.tensor([[-1.5, -5.0], [6.0, 5.0], [2.25, 0.0], [99.0, -99.0]])[..., None, None]
    expected = torch.tensor([[-1.0, -1], [1, 1], [0, 0], [1, -1]])[..., None, None]
    torch.testing.assert_close(Scale(WINDOWS).shown(z), expected)


def test_r1_by_double_backward_equals_a_finite_difference():
    """Of the penalty by a weight: the gradient of a squared gradient. (The logits' spread is of the same group's images.)"""
    networks, objective = game()
    y = torch.randn(4, 2, 8, 8, dtype=torch.float64)
    batch = (None, y, None, *drawn(objective))
    weight = networks["critic"].blocks[0].first.weight
    (gradient,) = torch.autograd.grad(objective.r1(networks, *batch), weight)
    real = Scale(WINDOWS).shown(y)
    for place in ((0, 0, 1, 1), (3, 2, 0, 2)):
        values = []
        for step in (1e-5, -1e-5):
            with torch.no_grad():
                weight[place] += step
            values.append(naive_r1(networks["critic"], real))
            with torch.no_grad():
                weight[place] -= step
        assert float(gradient[place]) == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-3, abs=1e-6)


def naive_r1(critic, real):
    real = real.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(real).double().sum(), real)
    return float(gradient.square().sum() / len(real))


def test_the_gradient_in_r1_is_that_of_the_logits_themselves():
    networks, objective = game()
    y = torch.randn(4, 2, 8, 8, dtype=torch.float64)
    real, step = Scale(WINDOWS).shown(y), 1e-6
    one = real[:1].repeat(4, 1, 1, 1)  # alike images: by a pixel of one of them
    found = naive_r1_of_one(networks["critic"], one)
    moved = [one.clone(), one.clone()]
    moved[0][0, 1, 3, 4] += step
    moved[1][0, 1, 3, 4] -= step
    with torch.no_grad():
        slope = (networks["critic"].double()(moved[0]).sum() - networks["critic"](moved[1]).sum()) / (2 * step)
    assert float(found[0, 1, 3, 4]) == pytest.approx(float(slope), rel=0.05, abs=1e-4)
    assert float(objective.r1(networks, None, y, None).detach()) == pytest.approx(
        naive_r1(networks["critic"], real), rel=1e-5
    )


def naive_r1_of_one(critic, images):
    images = images.clone().requires_grad_()
    return torch.autograd.grad(critic(images).sum(), images)[0]


def test_path_lengths_are_those_of_the_jacobian_and_their_mean_is_kept():
    """|J^T y| by the whole Jacobian of a linear generator, whose running mean starts at 0 and moves by a hundredth."""

    class Linear(nn.Module):
        layers, noise = 2, 1

        def __init__(self):
            super().__init__()
            self.matrix = nn.Parameter(torch.randn(2 * LATENT, 2 * 64, dtype=torch.float64))
            self.register_buffer("path_mean", torch.zeros((), dtype=torch.float64))

        def forward(self, z, cut, noise):
            styles = z.clone().requires_grad_()
            return (styles.flatten(1) @ self.matrix).view(-1, 2, 8, 8), styles

    module = Linear()
    objective = Adversarial(module, Scale(WINDOWS), r1=10, path_length=2, mixing=0.9)
    z, cuts, noise, direction = drawn(objective)
    loss = objective.path_length({"generator": module}, None, None, None, z, cuts, noise, direction)
    jacobian = (direction[:2].flatten(1) @ module.matrix.T).view(2, 2, LATENT)
    lengths = jacobian.square().sum(2).mean(1).sqrt()
    assert float(module.path_mean) == pytest.approx(float(lengths.mean()) / 100, rel=1e-4)
    torch.testing.assert_close(loss.double(), (lengths - module.path_mean).square().mean(), rtol=1e-4, atol=1e-6)
    (gradient,) = torch.autograd.grad(loss, module.matrix)
    assert float(gradient.abs().max()) > 0


def test_a_generator_that_heeds_no_style_has_a_path_length_with_a_gradient():
    networks, objective = game()
    with torch.no_grad():
        for name, value in networks["generator"].named_parameters():
            if name.endswith("style.weight"):
                value.zero_()
    loss = objective.path_length(networks, None, None, None, *drawn(objective))
    free = [value for value in networks["generator"].parameters()]
    found = torch.autograd.grad(loss, free, allow_unused=True)
    assert float(loss.detach()) == pytest.approx(0, abs=1e-6)
    assert all(torch.isfinite(value).all() for value in found if value is not None)


def test_losses_are_logistic_and_move_the_right_way():
    networks, objective = game()

    class Told(nn.Module):
        def forward(self, images):
            return images.mean((1, 2, 3))

    class Painted(nn.Module):
        def forward(self, z, cut, noise):
            return torch.full((len(z), 2, 8, 8), 0.5, dtype=torch.float64, requires_grad=True), None

    batch = (None, torch.full((4, 2, 8, 8), 99.0, dtype=torch.float64), None, *drawn(objective))
    told = {"critic": Told(), "generator": Painted()}
    soft = lambda value: math.log1p(math.exp(value))  # noqa: E731
    assert float(objective.critic(told, *batch)) == pytest.approx(soft(0.5) + soft(-1.0))
    assert float(objective.generator(told, *batch)) == pytest.approx(soft(-0.5))


def test_styles_are_mixed_at_the_stated_rate_and_draws_come_from_the_generator_alone():
    _, objective = game(mixing=0.9)
    z, cuts, noise, direction = objective.draw((2000, 2, 8, 8), torch.Generator().manual_seed(1))
    layers = objective.module.layers
    assert z.shape == (2000, 2, 2, LATENT) and noise.shape == (2000, objective.module.noise)
    assert float((cuts < layers).double().mean()) == pytest.approx(0.9, abs=0.02) and int(cuts.min()) == 1
    assert float(direction.square().sum((2, 3)).mean()) == pytest.approx(1, abs=0.02)
    again = objective.draw((2000, 2, 8, 8), torch.Generator().manual_seed(1))
    assert all(torch.equal(*pair) for pair in zip((z, cuts, noise, direction), again))
    never = game(mixing=0.0)[1].draw((50, 2, 8, 8), torch.Generator().manual_seed(1))[1]
    assert int(never.min()) == layers


def test_regularisations_are_lazy_and_weigh_what_they_left_out():
    _, objective = game()
    updates = {update.word: update for update in objective.updates}
    assert list(updates) == ["critic_loss", "r1", "generator_loss", "path_length"]
    assert (updates["r1"].every, updates["path_length"].every) == (16, 4)
    assert (updates["r1"].scale, updates["path_length"].scale) == (16 * 10 / 2, 4 * 2)
    assert ADAM["critic"] == lazy_adam(16) == {"lr": 16 / 17, "betas": (0.0, 0.99 ** (16 / 17))}
