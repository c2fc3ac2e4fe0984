"""Inversion against closed forms: the way back, the latent and the translation, each by itself."""

import math

import numpy as np
import pytest
import torch

from brightpaint.models.conditions.condition import Condition
from brightpaint.models.paint.invert import invert, latent_moments, settle
from brightpaint.models.paint.walk import walk
from brightpaint.models.schedule import Schedule

# Images of class k are N(mu_k, s_k^2).
MU, S = (
    torch.tensor([0.0, -1.0, 1.5, 1.0], dtype=torch.float64),
    torch.tensor([1.0, 0.5, 0.8, 0.5], dtype=torch.float64),
)
Z = torch.linspace(-2, 2, 41, dtype=torch.float64).reshape(-1, 1, 1, 1)


def gaussian(x, y, gamma, condition):
    """Return the exact eps of each image's class."""
    mu, s = (values[condition.labels][:, None, None, None] for values in (MU, S))
    return math.sqrt(1 - gamma) * (y - math.sqrt(gamma) * mu) / (gamma * s**2 + 1 - gamma)


def mixture(x, y, gamma, condition):
    """Return the exact eps where half of all images are N(-1, 0.2^2) and half N(1, 0.2^2), whatever the class."""
    variance, root = gamma * 0.04 + 1 - gamma, math.sqrt(gamma)
    weights = torch.softmax(torch.stack([-((y - root * m) ** 2) / (2 * variance) for m in (-1, 1)]), dim=0)
    mean = root * (weights[1] - weights[0])
    return math.sqrt(1 - gamma) * (y - mean) / variance


def told(label, z=Z):
    return Condition.of_labels(torch.full((len(z),), label))


def there_and_back(
    source, target, steps, inner, *, sampler="ddim", spacing="level", denoise=gaussian, images=None, **more
):
    """Invert images of one class and paint them as another; return images, inversion and result."""
    images = MU[source] + S[source] * Z if images is None else images
    path = Schedule().path(steps, spacing)
    found = invert(
        denoise, images, images[:, :0], told(source, images), path[::-1], sampler=sampler, inner=inner, **more
    )
    return images, found, walk(denoise, found.latents, images[:, :0], told(target, images), path, sampler=sampler)


def off(one, other):
    return float((one - other).abs().max())


def flow(source, first):
    """Return the exact latent of the images of a class at the noisiest level."""
    return math.sqrt(first) * MU[source] + torch.sqrt(first * S[source] ** 2 + 1 - first) * Z


@pytest.mark.parametrize("source", [1, 2])
def test_five_iterations_come_back_within_a_thousandth_at_50_steps_and_a_hundred_thousandth_at_100(source):
    for steps, limit in ((50, 1e-3), (100, 1e-5)):
        images, found, back = there_and_back(source, source, steps, 5, tolerance=0.0)
        assert off(back, images) < limit and found.iterations.max() == 5 * steps
    errors = [off(*there_and_back(source, source, 50, inner)[::2]) for inner in (0, 2, 5)]
    assert errors[0] > 3 * errors[1] > 9 * errors[2], errors


def test_twice_the_steps_leave_less_than_0_6_of_the_error_of_a_plain_inversion():
    errors = [off(*there_and_back(1, 1, steps, 0)[::2]) for steps in (50, 100, 200, 400)]
    assert (np.array(errors[1:]) / errors[:-1] < 0.6).all(), errors


@pytest.mark.parametrize("source, target, close", [(1, 3, 0.03), (3, 1, 0.03), (1, 2, 0.06), (2, 1, 0.06)])
def test_a_translation_at_400_steps_is_the_exact_map(source, target, close):
    images, found, moved = there_and_back(source, target, 400, 5)
    exact = MU[target] + S[target] / S[source] * (images - MU[source])
    assert off(moved, exact) < close and off(moved, images) > 0.7  # the label decides
    assert off(found.latents, flow(source, Schedule().path(400)[0])) < 0.1


def test_an_exact_way_back_is_no_proof_of_a_good_latent():
    """At 25 steps the round trip closes to 1e-6 when iterated to rest, and the latent lies a quarter of a s.d. off the flow."""
    images, found, back = there_and_back(1, 1, 25, 60, tolerance=1e-9)
    assert off(back, images) < 1e-6 and not found.unsettled.any()
    errors = {
        steps: off(there_and_back(1, 1, steps, 60)[1].latents, flow(1, Schedule().path(steps)[0]))
        for steps in (25, 400)
    }
    assert errors[25] > 0.15 and errors[400] < 0.1, errors


def test_a_mixture_is_iterated_until_it_rests_and_says_so_where_it_does_not():
    images = torch.linspace(-1.6, 1.6, 41, dtype=torch.float64).reshape(-1, 1, 1, 1)
    fully = {"denoise": mixture, "images": images}
    for steps in (25, 50, 100):
        _, found, back = there_and_back(0, 0, steps, 200, tolerance=1e-8, **fully)
        rested = found.unsettled == 0
        assert rested.float().mean() > 0.9, steps
        assert off(back[rested], images[rested]) < 1e-5
        assert (found.largest_update[rested] <= 1e-8).all() and (found.largest_update[~rested] > 1e-8).all()
    _, found, back = there_and_back(0, 0, 25, 2, tolerance=1e-8, **fully)
    assert found.unsettled.max() > 10 and found.largest_update.max() > 1e-3 and off(back, images) > 1e-3


def test_iterations_that_swing_are_moved_by_less_and_rest():
    """y <- 1 - 1.6 y swings ever wider about 1 / 2.6; by less and less of each update it rests there."""
    y, update, count = settle(torch.zeros(2, 1, 1, 1), lambda y: 1 - 1.6 * y, 200, 1e-6)
    assert off(y, torch.full_like(y, 1 / 2.6)) < 1e-5 and (update <= 1e-6).all() and (count < 200).all()


@pytest.mark.parametrize("spacing", ["level", "karras"])
def test_heun_is_undone_too_and_the_sampler_that_inverts_must_paint(spacing):
    images, found, back = there_and_back(1, 1, 50, 30, sampler="heun", spacing=spacing)
    assert off(back, images) < 1e-4
    path = Schedule().path(50)
    latents = there_and_back(1, 1, 50, 30)[1].latents
    for other in ("heun", "dpmpp"):
        assert off(walk(gaussian, latents, images, told(1), path, sampler=other), images) > 0.02


def test_neighbours_in_a_batch_change_no_bit():
    images = MU[1] + S[1] * Z
    whole = there_and_back(1, 1, 10, 20, tolerance=1e-4, images=images)[1]
    one = there_and_back(1, 1, 10, 20, tolerance=1e-4, images=images[[3, 3, 3]])[1]
    assert torch.equal(one.latents, whole.latents[[3, 3, 3]]) and torch.equal(
        one.iterations, whole.iterations[[3, 3, 3]]
    )
    assert len(set(whole.iterations.tolist())) > 1  # each rests in its own time


def test_latents_at_the_end_of_any_schedule_are_finite_and_pure_noise():
    """From gamma 1 down to levels at which next to nothing of the image is left."""
    z = torch.randn(64, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for last in (4.4e-5, 1e-6, 1e-9):
        levels = Schedule().path(400)
        path = [1.0, *(gamma for gamma in levels[::-1] if last < gamma < 1), last]
        found = invert(gaussian, MU[2] + S[2] * z, z[:, :0], told(2, z), path, inner=10)
        mean, sd, neighbours = latent_moments(found.latents)
        assert torch.isfinite(found.latents).all()
        assert float(mean.mean()) == pytest.approx(0, abs=0.08) and float(sd.mean()) == pytest.approx(1, abs=0.08)
        assert float(neighbours.mean()) == pytest.approx(0, abs=0.05)


def test_moments_of_what_is_no_noise():
    smooth = torch.arange(64, dtype=torch.float64).expand(1, 2, 64, 64)
    mean, sd, neighbours = latent_moments(smooth)
    assert (float(mean), round(float(sd), 2)) == (31.5, 18.47) and float(neighbours) > 0.95
    assert latent_moments(torch.ones(1, 1, 4, 4))[2].isfinite().all()


def test_what_cannot_be_undone_is_refused():
    y, path = torch.zeros(1, 1, 2, 2, dtype=torch.float64), Schedule().path(4)
    with pytest.raises(ValueError, match="an inversion walks from the image to noise; turn it round"):
        invert(gaussian, y, y, told(1, y), path)
    with pytest.raises(ValueError, match="dpmpp can't be undone step by step; use ddim or heun, or inner: 0"):
        invert(gaussian, y, y, told(1, y), path[::-1], sampler="dpmpp")
    with pytest.raises(ValueError, match="upwards no noise is put back"):
        invert(gaussian, y, y, told(1, y), path[::-1], sampler="ddpm")


@pytest.mark.parametrize("spacing", ["level", "karras"])
def test_a_schedule_that_leaves_nothing_is_walked_both_ways(spacing):
    """Zero terminal SNR: the noisiest level is a millionth, and the closed form holds to it."""
    path = Schedule(zero=True).path(400, spacing)
    assert path[0] == pytest.approx(1e-6) and path[-1] == 1.0 and min(np.diff(path)) > 0
    images = MU[1] + S[1] * Z
    found = invert(gaussian, images, images[:, :0], told(1), path[::-1], inner=10)
    moved = walk(gaussian, found.latents, images[:, :0], told(3), path, sampler="ddim")
    assert off(moved, MU[3] + images - MU[1]) < 0.03 and torch.isfinite(found.latents).all()
