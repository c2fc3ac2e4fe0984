"""Models that learn what their base leaves open: the untrained is the floor, known transports, and what is refused."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import torch
from test_residual_noise import SIDE, drawn, known_spectrum, noisy_plate, scaled

from brightpaint import store
from brightpaint.models import kinds, steps, train
from brightpaint.models.certain_base import check_told
from brightpaint.models.conditions.condition import Condition
from brightpaint.models.kinds import residual_noise as floor
from brightpaint.models.kinds import whitened_residual
from brightpaint.models.objectives import on_base
from brightpaint.models.objectives.whitened_error import LEAST_ROOT, WhitenedError, fitting, ring_map, roots
from brightpaint.models.paint import sample, walk, walk_from_base
from brightpaint.models.schedule import Schedule
from brightpaint.models.trained import read_model
from models_fixture import SETTINGS, make_plate, sample_arguments, train_arguments

LEARNT = ("whitened_residual", "posterior_flow", "bridge")
WALKS = {
    "whitened_residual": {"sampler": "dpmpp", "steps": 25},
    "posterior_flow": {"sampler": "ddim", "steps": 4},
    "bridge": {"sampler": "ddpm", "steps": 4},
}
SETTINGS = {**SETTINGS, "validation_share": 0.25, "crop_px": 16, "images": 8, "validate_every_images": 1000}
UNTOLD = Condition.of_labels(torch.zeros(1, dtype=torch.int64))


# --- the whitened error --------------------------------------------------------------------------


def fitted(spectrum, sd=0.5):
    levels, deviations = np.array([[-1.0, 0, 1, 1]] * 2), np.array([[sd, sd, 2 * sd, 2 * sd]] * 2)
    values = {"levels": levels, "sd": deviations, "spectrum": spectrum, "side": np.array([SIDE])}
    return {name: torch.from_numpy(value) for name, value in values.items()}


def test_the_spread_is_that_of_the_floor_beyond_and_between_the_levels():
    known = fitted(known_spectrum())
    m = torch.from_numpy(np.random.default_rng(0).normal(0, 2, (3, 2, 16, 16)).astype(np.float32))
    m[0, 0, 0, :3] = torch.tensor([1.0, -1.0, 0.0])
    found = WhitenedError(known, SIDE).spread(m)
    wanted = np.stack([floor.sd_at(image, known["levels"].numpy(), known["sd"].numpy()) for image in m.numpy()])
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_coloured_noise_is_whitened_at_the_size_of_fields_and_of_crops():
    """Of s.d. 1, in every ring but the corners and between stains; crops know nothing beyond their border, and lose little."""
    spectrum = scaled(known_spectrum())
    spectrum[0] = 0  # as of fields that are brought to mean 0: a crop of one has a mean
    error = WhitenedError(fitted(spectrum), SIDE)
    noise = torch.from_numpy(np.stack(drawn(spectrum, 60, seed=2))).float()
    for images, tolerance in ((noise, 0.08), (noise[:, :, 7:31, 11:35], 0.12)):
        u = error.whitened(images).numpy()
        assert u.std(axis=(0, 2, 3)) == pytest.approx([1, 1], abs=tolerance / 2)
        found = floor.cross_spectrum(u, SIDE)
        kept = [ring for ring in np.unique(ring_map(*u.shape[2:], SIDE)) if 2 <= ring <= SIDE // 2]
        np.testing.assert_allclose(found[kept][:, [0, 1], [0, 1]], 1, atol=3 * tolerance)
        assert np.abs(found[kept][:, 0, 1]).max() < 3 * tolerance


def test_colour_and_its_inverse_undo_one_another_where_the_root_is_not_small():
    spectrum = scaled(known_spectrum())
    products = np.einsum("rij,rjk->rik", roots(spectrum), roots(spectrum, inverse=True))
    np.testing.assert_allclose(products, np.broadcast_to(np.eye(2), products.shape), atol=1e-9)
    silent = roots(np.zeros((3, 2, 2)), inverse=True)
    np.testing.assert_allclose(silent, np.broadcast_to(np.eye(2) / LEAST_ROOT, silent.shape))


def test_where_the_base_errs_never_there_is_no_error_to_whiten():
    error = WhitenedError(fitted(known_spectrum(), sd=0.0), SIDE)
    assert (error(torch.randn(1, 2, 8, 8), torch.zeros(1, 2, 8, 8)) == 0).all()


@pytest.mark.parametrize("shape", [(SIDE, SIDE), (24, 24), (17, 30)])
def test_what_is_wrong_is_judged_as_it_is_painted_in_waves_that_fit_the_crop(shape):
    """Beside the whole transform, coefficient by coefficient: |e|^2 and |L e|^2."""
    spectrum = scaled(known_spectrum())
    wrong = torch.randn(3, 2, *shape, generator=torch.Generator().manual_seed(0))
    error = WhitenedError(fitted(spectrum), 24)
    down, along = np.meshgrid(*(np.fft.fftfreq(side) for side in shape), indexing="ij")
    cycles = np.hypot(down, along)
    own = spectrum[np.minimum(np.rint(cycles * SIDE).astype(int), len(spectrum) - 1)]
    waves = np.fft.fft2(wrong.numpy().astype(np.float64), norm="ortho")
    white = (np.abs(waves) ** 2).sum(axis=1)
    seen = np.einsum("bihw,hwij,bjhw->bhw", waves.conj(), own, waves).real
    for painted, power in ((False, white), (True, seen)):
        wanted = (power * (cycles * 24 > 1 - 1e-6)).sum(axis=(1, 2)) / (2 * np.prod(shape))
        found = error.judged(wrong, painted=painted)
        np.testing.assert_allclose((found**2).mean(dim=(1, 2, 3)), wanted, rtol=1e-4)


def test_of_white_noise_all_is_judged_but_the_mean_and_long_waves():
    spectrum, place = scaled(known_spectrum()), torch.arange(SIDE) / SIDE
    error = WhitenedError(fitted(spectrum), 24)
    noise = torch.randn(200, 2, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    for painted in (False, True):
        counts = float((error.judged(noise, painted=painted) ** 2).mean())
        assert counts == pytest.approx(1, abs=0.1)  # what is left out had a share
        for count in (0, 1, 2, 20):
            wave = torch.cos(2 * np.pi * count * place).expand(1, 2, SIDE, SIDE)  # the same in both stains
            wanted = (spectrum[count].sum() / 2 if painted else 1) if count > 1 else 0
            found = float((error.judged(wave, painted=painted) ** 2).mean() / (wave**2).mean())
            assert found == pytest.approx(wanted, rel=1e-3, abs=1e-9)


def test_an_answer_that_drifts_is_no_better_for_its_fine_structure():
    """A twentieth nearer in the fine waves, and off by a long wave of 0.15: nearer in white units, and worse as it is painted."""
    error, generator = WhitenedError(fitted(scaled(known_spectrum())), SIDE), torch.Generator().manual_seed(2)
    wrong = torch.randn(50, 2, SIDE, SIDE, generator=generator)
    drift = 0.15 * torch.cos(2 * np.pi * torch.arange(SIDE) / SIDE)
    fine = torch.from_numpy(ring_map(SIDE, SIDE, SIDE) > 8)
    better = torch.fft.irfft2(torch.fft.rfft2(wrong) * torch.where(fine, 0.95, 1.0)) + drift
    mean = lambda values, painted: float((error.judged(values, painted=painted) ** 2).mean())  # noqa: E731
    assert mean(better, False) < mean(wrong, False) and mean(better, True) > mean(wrong, True)


def test_what_trains_is_judged_in_white_units_and_what_validates_as_it_is_painted(made, tmp_path, monkeypatch):
    came = []
    monkeypatch.setattr(whitened_residual.from_base, "train", lambda args, data, model, *rest: came.extend(rest))
    train.main(train_arguments(tmp_path, made[1], on_pixel(made[0], "whitened_residual")))
    shown, blind, held = came
    assert not shown.painted and blind.painted and shown.error.longest_px == blind.error.longest_px == 16
    assert torch.equal(blind.error.levels, held["levels"].float()) and not torch.equal(
        shown.error.levels, blind.error.levels
    )


def test_the_waves_that_fit_a_crop():
    """Of a field twice as wide as a crop, all but the mean and its first waves; never the mean, of no size."""
    assert np.flatnonzero(~fitting(64, 64, 32)[0]).tolist() == [0, 1] and fitting(64, 64, 32)[-2, 0]
    assert not fitting(64, 64, 32)[1, 1] and fitting(64, 64, 32)[2, 1]
    for longest in (64, 1e9):
        assert np.argwhere(~fitting(64, 48, longest)).tolist() == [[0, 0]]
    assert fitting(64, 48, 49)[0, 1] and not fitting(64, 48, 47)[0, 1] and not fitting(1, 1, 64).any()


# --- samplers on an exact Gaussian ---------------------------------------------------------------


@pytest.mark.parametrize("sampler, steps, spacing, wanted", [
    ("dpmpp", 25, "level", 1.0), ("dpmpp", 40, "level", 1.0), ("ddpm", 40, "level", 1.0), ("ddim", 10, "level", 0.83),
])  # fmt: skip
def test_the_s_d_that_a_sampler_keeps_of_noise(sampler, steps, spacing, wanted):
    path = Schedule().path(steps, spacing)
    assert walk.unit_sd(path, sampler=sampler) == pytest.approx(wanted, abs=0.01)
    torch.manual_seed(0)
    exact = lambda x, y, gamma, condition: np.sqrt(1 - gamma) * y  # noqa: E731
    shape = (40_000,)
    painted = walk.walk(exact, torch.randn(shape), None, None, path, sampler=sampler, draw=lambda: torch.randn(shape))
    assert float(painted.std()) == pytest.approx(walk.unit_sd(path, sampler=sampler), abs=0.012)


def gaussian_flow(cov, start):
    """The slope of a flow whose ends are Gaussian with these covariances: E[y - z0 | z_t]."""

    def slope(x, z, t, condition):
        variance = (1 - t) ** 2 * start + t**2 * 1 + 2 * t * (1 - t) * cov
        return z * ((1 - t) * (cov - start) + t * (1 - cov)) / variance

    return slope


@pytest.mark.parametrize("second", [False, True])
def test_a_flow_paints_the_mean_in_one_step_and_the_distribution_in_many(second):
    """Ends of variance 0.36 and 1, covariance 0.3: one step is the regression on the start, 0.3 / 0.36 of it."""
    z = torch.tensor([1.0, -2.0])
    once = walk_from_base.flow(gaussian_flow(0.3, 0.36), z, None, None, 1, second=second)
    np.testing.assert_allclose(once, z * 0.3 / 0.36, rtol=1e-5)
    moved = [
        float(walk_from_base.flow(gaussian_flow(0.3, 0.36), torch.ones(1), None, None, n, second=second))
        for n in (4, 25, 400)
    ]
    errors = [abs(each - 1 / 0.6) for each in moved]
    assert errors[0] > errors[1] > errors[2] and errors[2] < 0.004
    assert not second or errors[1] < 0.004


def test_a_bridge_with_the_exact_error_of_white_noise_paints_its_known_variance():
    """E[error | z] is z; N steps paint 1 - H_N / N."""
    exact = lambda x, z, share, condition: z  # noqa: E731
    for count in (1, 2, 4, 25):
        generator = torch.Generator().manual_seed(count)
        draw = lambda: torch.randn(100_000, generator=generator)  # noqa: B023, E731
        painted = walk_from_base.bridge(exact, torch.zeros(100_000), None, None, count, draw)
        assert float(painted.var()) == pytest.approx(1 - sum(1 / n for n in range(1, count + 1)) / count, abs=0.015)


def test_a_bridge_that_knows_the_error_ends_there_and_has_the_marginals_that_it_is_trained_on():
    error, count = torch.full((50_000,), 2.0), 5
    seen = {}

    def known(x, z, share, condition):
        seen[share] = z.clone()
        return error

    generator = torch.Generator().manual_seed(0)
    ends = walk_from_base.bridge(
        known, torch.zeros(50_000), None, None, count, lambda: torch.randn(50_000, generator=generator)
    )
    assert torch.equal(ends, error)
    for share, z in seen.items():
        eps = torch.randn(1, 1, 1, 50_000, generator=generator)
        wanted = on_base.bridged(error[None, None, None], torch.tensor([share], dtype=torch.float64), eps)
        assert float(z.mean()) == pytest.approx(float(wanted.mean()), abs=0.01)
        assert float(z.std()) == pytest.approx(np.sqrt(share * (1 - share)), abs=0.01)


def test_steps_below_one_are_refused():
    with pytest.raises(ValueError, match="steps 0: expected 1 or more"):
        walk_from_base.even_times(0)


# --- objectives ----------------------------------------------------------------------------------


class Fixed(torch.nn.Module):
    """A network that answers by a function of what it is asked."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, x, z, level, condition):
        return self.answer(x, z, level)


def test_losses_are_nothing_for_an_answer_that_is_right_and_one_for_none():
    """y = m + 0.5 error, m half of brightfield: each objective is asked at a point that hides the error."""
    torch.manual_seed(0)
    x, error = torch.randn(4, 2, 16, 16), torch.randn(4, 2, 16, 16)
    y, unit, condition = (
        0.5 * x + 0.5 * error,
        torch.full((2,), 0.5),
        Condition.of_labels(torch.zeros(4, dtype=torch.int64)),
    )
    base = lambda x, condition: 0.5 * x  # noqa: E731
    generator = torch.Generator().manual_seed(1)
    made = on_base.Bridge(inputs=2, unit=unit)
    drawn_of = made.draw(y.shape, generator)
    asked = lambda x, z, near: error  # noqa: E731
    networks = {"model": Fixed(asked), "base": base}
    assert float(made.loss(networks, x, y, condition, *drawn_of)) < 1e-9
    silent = on_base.Bridged(Fixed(lambda x, z, near: torch.zeros_like(z)))
    assert float(made.loss({"model": silent, "base": base}, x, y, condition, *drawn_of)) == pytest.approx(1, abs=0.1)
    made = on_base.Flow(inputs=2, unit=unit)
    time, eps, untold = made.draw(y.shape, generator)
    slope = y - 0.5 * x - on_base.noise_of(unit, eps)
    networks["model"] = Fixed(lambda x, z, time: slope)
    assert float(made.loss(networks, x, y, condition, time, eps, untold)) < 1e-9
    networks["model"] = on_base.Slope(Fixed(lambda x, z, time: torch.zeros_like(z)), unit)
    wanted = 1 + on_base.START_SHARE**2
    assert float(made.loss(networks, x, y, condition, time, eps, untold)) == pytest.approx(wanted, abs=0.1)


def test_the_zero_network_is_the_exact_denoiser_of_a_whitened_error():
    """No scale of its answer loses less on white noise of s.d. 1: half of it and half more do worse."""
    torch.manual_seed(0)
    white = {**fitted(np.stack([np.eye(2)] * floor.rings_of(SIDE))), "sd": torch.ones(2, 4)}
    made = on_base.Whitened(inputs=2, error=WhitenedError(white, 32), objective="v", norm="l2")
    x, y = torch.randn(8, 2, 32, 32), torch.randn(8, 2, 32, 32)
    drawn_of = made.draw(y.shape, torch.Generator().manual_seed(0))
    told, base = (
        Condition.of_labels(torch.zeros(8, dtype=torch.int64)),
        lambda x, condition: torch.zeros(len(x), 2, 32, 32),
    )
    losses = [
        float(made.loss({"model": whitened_residual.denoiser_of(Fixed(lambda x, z, gamma, share=share: share * z)), "base": base},
                        x, y, told, *drawn_of))  # fmt: skip
        for share in (-0.5, 0.0, 0.5)
    ]  # fmt: skip
    assert losses[1] == min(losses) and losses[1] == pytest.approx(1, abs=0.05)


# --- through the commands ------------------------------------------------------------------------


def on_pixel(folder, kind, **changes):
    return {**SETTINGS, "kind": kind, "stands_on": {"base": str(folder / "base.safetensors")}, **changes}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return (folder, plates): a base, the floor on it, and of each kind weights that no step made better (a rate of 0)."""
    folder = tmp_path_factory.mktemp("from_base")
    plates = [noisy_plate(folder, number) for number in range(2)]
    train.main(train_arguments(folder, plates, {**SETTINGS, "kind": "pixel"}, "base"))
    train.main(train_arguments(folder, plates, on_pixel(folder, "residual_noise"), "floor"))
    for kind in LEARNT:
        train.main(train_arguments(folder, plates, on_pixel(folder, kind, learning_rate=0.0), kind))
    return folder, plates


def painted(made, name, weights, **changes):
    folder, plates = made
    path = folder / f"{name}.tif"
    if not path.exists():
        walked = {"batch": 8, **WALKS.get(weights, {}), **changes}
        sample.main(sample_arguments(folder / f"{weights}.safetensors", plates[0], path, **walked))
    return np.array(store.open_stack(path).images).astype(np.float64)


def test_the_untrained_residual_is_the_floor(made):
    """Spread by what was painted, spectrum and cross-spectrum of what is added to the base's image: as of the floor."""
    tensors, _ = read_model(made[0] / "whitened_residual.safetensors")
    for name, value in read_model(made[0] / "floor.safetensors")[0].items():
        assert torch.equal(tensors[name], value)
    base, levels, sd = painted(made, "base_painted", "base"), tensors["levels"].numpy(), tensors["sd"].numpy()
    found = {}
    for weights in ("floor", "whitened_residual"):
        noise = [
            (y - m) / floor.sd_at(m, levels, sd)
            for seed in range(2)
            for m, y in zip(base, painted(made, f"{weights}{seed}", weights, seed=seed))
        ]
        found[weights] = np.std(noise, axis=(0, 2, 3)), floor.cross_spectrum(noise, SIDE)
    assert found["whitened_residual"][0] == pytest.approx(found["floor"][0], abs=0.03)
    one, other = (found[weights][1] for weights in ("whitened_residual", "floor"))
    for c in range(2):
        np.testing.assert_allclose(one[4:20, c, c], other[4:20, c, c], rtol=0.3)
    np.testing.assert_allclose(one[4:20, 0, 1], other[4:20, 0, 1], atol=0.2 * np.abs(other[4:20]).max())


def spoilt(made, name, **lost):
    """Write the untrained residual's weights with answers at random that differ from 0 in the mean; `lost` goes from settings."""
    tensors, meta = store.read_weights(made[0] / "whitened_residual.safetensors")
    settings = {key: value for key, value in meta["settings"].items() if key not in lost}
    generator = torch.Generator().manual_seed(0)
    last = "network.last.weight"
    changed = {
        last: 0.02 * torch.randn(tensors[last].shape, generator=generator),
        "network.last.bias": torch.full_like(tensors["network.last.bias"], 0.2),
    }
    store.write_weights(made[0] / f"{name}.safetensors", {**tensors, **changed}, {**meta, "settings": settings})
    return settings


def residual_of(made, name, weights, **changes):
    tensors, _ = read_model(made[0] / "whitened_residual.safetensors")
    levels, sd = tensors["levels"].numpy(), tensors["sd"].numpy()
    pairs = zip(
        painted(made, "base_painted", "base"), painted(made, name, weights, **WALKS["whitened_residual"], **changes)
    )
    return np.stack([(y - m) / floor.sd_at(m, levels, sd) for m, y in pairs])


def test_what_crops_cannot_tell_is_painted_as_the_floor_s_whatever_was_learnt(made):
    """Mean and waves longer than a crop, of samples of one noise, by a network that answers something and by one that answers 0."""
    assert spoilt(made, "spoilt")["longest_px"] == SETTINGS["crop_px"] == 16
    learnt, plain = (residual_of(made, f"{weights}_long", weights) for weights in ("spoilt", "whitened_residual"))
    fits = fitting(SIDE, SIDE, 16)
    one, other = (np.fft.rfft2(noise, norm="ortho") for noise in (learnt, plain))
    scale = np.abs(other[..., ~fits]).std()
    assert np.abs(one - other)[..., ~fits].max() < 0.02 * scale < 0.5 * np.abs(one - other)[..., fits].max()
    np.testing.assert_allclose(learnt.mean(axis=(2, 3)), plain.mean(axis=(2, 3)), atol=2e-3)


def test_weights_of_before_longest_waves_were_counted_paint_what_they_painted(made):
    """Their network is asked of every wave: a mean that it learnt is painted."""
    assert "longest_px" not in spoilt(made, "early", longest_px=None)
    early, plain = (residual_of(made, f"{weights}_long", weights) for weights in ("early", "whitened_residual"))
    shift = (early - plain).mean(axis=(0, 2, 3))
    assert np.abs(shift).min() > 0.02


@pytest.mark.parametrize("crop, size, wanted", [(16, (48, 48), 16), (None, (48, 40), 40), (64, (48, 40), 40)])
def test_the_longest_wave_fits_crop_and_field(crop, size, wanted):
    assert whitened_residual.longest_in(crop, size) == wanted


@pytest.mark.parametrize("longest", [0, -1, float("nan"), "16", True, None])
def test_a_longest_wave_of_no_length_is_refused(longest):
    with pytest.raises(ValueError, match="w.safetensors: its longest_px is .*expected a number over 0; train it again"):
        whitened_residual.longest_of({"longest_px": longest}, "w.safetensors")


@pytest.mark.parametrize("kind", LEARNT)
def test_training_that_never_betters_the_untrained_network_keeps_it(made, kind):
    tensors, meta = read_model(made[0] / f"{kind}.safetensors")
    assert not tensors["network.last.weight"].any() and not tensors["network.last.bias"].any()
    lines = [line for line in store.read_json_lines(made[0] / f"{kind}.jsonl") if "validation_loss" in line]
    assert lines[0]["images"] == 0 and lines[0]["validation_loss"] == min(line["validation_loss"] for line in lines)
    assert meta["settings"]["base"]["digest"] == store.file_digest(made[0] / "base.safetensors")


@pytest.mark.parametrize("kind", LEARNT)
def test_weights_worse_than_the_first_are_never_kept(made, tmp_path, kind):
    folder, plates = made
    train.main(
        train_arguments(tmp_path, plates, on_pixel(folder, kind, learning_rate=0.5, warmup_images=0, clip_norm=None))
    )
    first, last = (
        line["validation_loss"]
        for line in store.read_json_lines(tmp_path / "weights.jsonl")
        if "validation_loss" in line
    )
    assert last > first and not read_model(tmp_path / "weights.safetensors")[0]["network.last.weight"].any()


def test_training_betters_the_first_where_there_is_something_to_learn(made, tmp_path):
    """ER follows brightfield by a sign that the label alone tells: the base, told none, errs by all of it."""
    folder, plates = made
    changes = {"images": 240, "batch": 8, "learning_rate": 4e-3, "validate_every_images": 240}
    train.main(train_arguments(tmp_path, plates, on_pixel(folder, "bridge", **changes)))
    first, last = (
        line["validation_loss"]
        for line in store.read_json_lines(tmp_path / "weights.jsonl")
        if "validation_loss" in line
    )
    assert last < first and read_model(tmp_path / "weights.safetensors")[0]["network.last.weight"].any()


@pytest.mark.parametrize("kind", LEARNT)
def test_samples_are_a_fields_own_and_batches_and_parts_change_nothing(made, kind):
    whole = painted(made, f"{kind}_whole", kind, **({"steps": 3}))
    np.testing.assert_array_equal(painted(made, f"{kind}_part", kind, part=2, parts=3, steps=3), whole[8:16])
    other = painted(made, f"{kind}_other", kind, seed=1, steps=3)
    assert 0 < np.abs(other - whole).mean() < 2


def test_the_same_command_goes_on_and_ends_with_the_same_bytes(made, tmp_path, monkeypatch):
    """Stopped after the first of two batches, and begun with a state of another base: that is set aside."""
    folder, plates = made
    words = train_arguments(tmp_path, plates, on_pixel(folder, "bridge"))
    train.main(words)
    whole = (tmp_path / "weights.safetensors").read_bytes()
    (tmp_path / "weights.safetensors").unlink()
    step = steps.Training.step
    stopped = lambda self, *batch: (step(self, *batch), os.kill(os.getpid(), signal.SIGTERM))  # noqa: E731
    monkeypatch.setattr(steps.Training, "step", stopped)
    with pytest.raises(SystemExit):
        train.main(words)
    monkeypatch.setattr(steps.Training, "step", step)
    partial = (tmp_path / "weights.safetensors.partial").read_bytes()
    train.main(words)
    assert (tmp_path / "weights.safetensors").read_bytes() == whole
    (tmp_path / "weights.safetensors.partial").write_bytes(partial)
    tensors, meta = store.read_weights(folder / "base.safetensors")
    store.write_weights(tmp_path / "base.safetensors", {"coefficients": tensors["coefficients"] * 0.9}, meta)
    train.main(train_arguments(tmp_path, plates, on_pixel(tmp_path, "bridge")))
    assert (tmp_path / "weights.safetensors").read_bytes() != whole


# --- refusals ------------------------------------------------------------------------------------


def test_a_base_that_paints_whole_fields_alone_or_knows_other_classes_is_refused(made, tmp_path):
    folder, plates = made
    train.main(train_arguments(tmp_path, plates, {**SETTINGS, "kind": "mean"}, "mean"))
    settings = on_pixel(folder, "whitened_residual", stands_on={"base": str(tmp_path / "mean.safetensors")})
    with pytest.raises(ValueError, match="it holds a model of kind mean; expected regression or pixel"):
        train.main(train_arguments(tmp_path, plates, settings))
    with pytest.raises(
        ValueError, match="its base was told of 1 classes and this model is told of 0: .* this model .'x'."
    ):
        check_told({"label_map": {"x": 1}}, {}, {})
    with pytest.raises(ValueError, match="name no base to stand on; set base in its entry of models"):
        train.main(train_arguments(tmp_path, plates, on_pixel(folder, "bridge", stands_on={})))
    with pytest.raises(ValueError, match="none of 48 wells validates"):
        train.main(train_arguments(tmp_path, plates, on_pixel(folder, "bridge", validation_share=0)))


@pytest.mark.parametrize("kind, lost, words", [
    ("whitened_residual", "spectrum", r"expected the tensor spectrum of shape \(35, 2, 2\), found None"),
    ("bridge", "unit", r"expected the tensor unit of shape \(2,\), found None"),
    ("posterior_flow", "base.coefficients", "expected the tensors of a base model, base"),
])  # fmt: skip
def test_weights_that_are_not_whole_are_refused(made, tmp_path, kind, lost, words):
    tensors, meta = store.read_weights(made[0] / f"{kind}.safetensors")
    store.write_weights(
        tmp_path / "bad.safetensors", {name: value for name, value in tensors.items() if name != lost}, meta
    )
    with pytest.raises(ValueError, match=words):
        read_model(tmp_path / "bad.safetensors")


def test_a_sampler_that_shrinks_the_error_is_named(made, caplog):
    with caplog.at_level("WARNING"):
        painted(made, "few", "whitened_residual", sampler="ddim", steps=4)
    assert (
        "ddim in 4 steps (level) paints 0.61 of the error's s.d., even with an exact denoiser; take dpmpp in 25"
        in caplog.text
    )


@pytest.mark.parametrize("kind", LEARNT)
def test_a_label_is_told_to_base_and_network_and_guides(tmp_path, kind):
    """Weights are spoilt to heed what they are told: untrained, a network heeds nothing."""
    plate = make_plate(tmp_path, "P1", 8)
    told = {**SETTINGS, "label": "perturbation", "label_dropout": 0.2}
    train.main(train_arguments(tmp_path, [plate], {**told, "kind": "regression"}, "base"))
    train.main(train_arguments(tmp_path, [plate], {**on_pixel(tmp_path, kind), **told, "kind": kind}))
    tensors, meta = store.read_weights(tmp_path / "weights.safetensors")
    assert meta["label_map"] == meta["settings"]["base"]["label_map"] == {"DMSO": 1, "cpd1": 2}
    generator = torch.Generator().manual_seed(0)
    for name in [name for name in tensors if name.startswith("network.") and not tensors[name].any()]:
        tensors[name] = 0.2 * torch.randn(tensors[name].shape, generator=generator)
    store.write_weights(tmp_path / "spoilt.safetensors", tensors, meta)
    images = {}
    for word, how in {"own": {}, "none": {"sampling_label": "none"}, "guided": {"label_scale": 2.0}}.items():
        words = sample_arguments(
            tmp_path / "spoilt.safetensors", plate, tmp_path / f"{word}.tif", **WALKS[kind] | {"steps": 2} | how
        )
        sample.main(words)
        images[word] = np.asarray(store.open_stack(tmp_path / f"{word}.tif").images, np.float64)
    assert all(np.isfinite(image).all() for image in images.values())
    assert np.abs(images["own"] - images["none"]).max() > 1e-3 and np.abs(images["own"] - images["guided"]).max() > 1e-3


def test_a_way_that_a_kind_does_not_walk_is_refused_by_the_command_too(made):
    with pytest.raises(ValueError, match="bridge.safetensors: sampler ddim, but kind bridge walks by ddpm"):
        painted(made, "none", "bridge", sampler="ddim")
    with pytest.raises(
        ValueError, match="posterior_flow.safetensors: spacing karras, but kind posterior_flow walks in even steps"
    ):
        painted(made, "none", "posterior_flow", spacing="karras")


def test_a_crop_of_a_regressor_s_field_is_painted_as_the_regressor_paints_it(tmp_path):
    """What is asked for in training is what paints: of a whole field the same numbers."""
    plate = make_plate(tmp_path, "P1", 4)
    train.main(
        train_arguments(
            tmp_path, [plate], {**SETTINGS, "kind": "regression", "label": "perturbation", "validation_share": 0}
        )
    )
    tensors, meta = read_model(tmp_path / "weights.safetensors")
    certain = kinds.of("regression").certain(tmp_path, tensors, meta)
    sample.main(sample_arguments(tmp_path / "weights.safetensors", plate, tmp_path / "out.tif"))
    x = torch.from_numpy(np.asarray(store.open_stack(plate[0]).images[:2, :2], np.float32))
    with torch.no_grad():
        found = certain(x, Condition.of_labels(torch.tensor([meta["label_map"][name] for name in ("DMSO", "cpd1")])))
    np.testing.assert_allclose(found, store.open_stack(tmp_path / "out.tif").images[:2], atol=2e-3)
