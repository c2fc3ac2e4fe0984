"""Regression with noise of its own error: what is fitted is what was drawn, and what is painted is what was fitted."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from brightpaint import store
from brightpaint.models import kinds, train
from brightpaint.models.kinds import residual_noise as floor
from brightpaint.models.paint import sample
from brightpaint.models.paint.samples import Samples
from brightpaint.models.standing import stand
from brightpaint.models.trained import read_model
from models_fixture import CHANNELS, SAMPLING, SETTINGS, make_plate, sample_arguments, train_arguments

SIDE = 48
SETTINGS = {**SETTINGS, "validation_share": 0.25}


def known_spectrum(side=SIDE):
    """Noise of two stains: coarse and alike in the first rings, fine and opposed in the last."""
    ring = np.arange(floor.rings_of(side))
    power = np.stack([(2.0 + ring) ** -2, (8.0 + ring) ** -1.0], axis=1)
    shared = np.linspace(0.8, -0.5, len(ring)) * np.sqrt(power.prod(axis=1))
    found = np.zeros((len(ring), 2, 2))
    found[:, 0, 0], found[:, 1, 1], found[:, 0, 1], found[:, 1, 0] = power[:, 0], power[:, 1], shared, shared
    return found


def drawn(spectrum, count, seed=0, shape=(SIDE, SIDE), side=SIDE):
    rng, filters = np.random.default_rng(seed), floor.roots(spectrum)
    return [floor.coloured(rng.normal(size=(2, *shape)), filters, side) for _ in range(count)]


def scaled(spectrum, shape=(SIDE, SIDE), side=SIDE):
    """Return the spectrum at the variance 1, by a sum over all coefficients of the whole transform."""
    down, along = np.meshgrid(*(np.fft.fftfreq(size) for size in shape), indexing="ij")
    places = np.rint(np.hypot(down, along) * side).astype(int)
    sd = np.sqrt(np.array([spectrum[places, c, c].mean() for c in range(2)]))
    return spectrum / np.outer(sd, sd)


# --- the spectrum --------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(SIDE, SIDE), (31, 40)])
def test_noise_has_the_spectrum_that_it_was_fitted_on(shape):
    """200 fields: a ring of n coefficients tells a power to sqrt(2 / 200 n), 7% of the ring of 4 next to the mean."""
    truth = known_spectrum()
    found = floor.cross_spectrum(drawn(truth, 200, shape=shape), SIDE)
    wanted = scaled(truth, shape)
    kept = np.unique(floor.ring_map(*shape, SIDE))[1:]
    for c in range(2):
        np.testing.assert_allclose(found[kept, c, c], wanted[kept, c, c], rtol=0.3)
        assert np.median(np.abs(found[kept, c, c] / wanted[kept, c, c] - 1)) < 0.03
    coherence = found[kept, 0, 1] / np.sqrt(found[kept, 0, 0] * found[kept, 1, 1])
    expected = wanted[kept, 0, 1] / np.sqrt(wanted[kept, 0, 0] * wanted[kept, 1, 1])
    np.testing.assert_allclose(coherence, expected, atol=0.12)


def test_the_spectrum_is_that_of_the_whole_transform():
    residual = np.random.default_rng(0).normal(size=(2, 9, 12))
    found = floor.cross_spectrum([residual], 12)
    waves = np.fft.fft2(residual, norm="ortho")
    down, along = np.meshgrid(np.fft.fftfreq(9), np.fft.fftfreq(12), indexing="ij")
    places = np.rint(np.hypot(down, along) * 12).astype(int)
    power = [(np.abs(waves[c]) ** 2).mean() for c in range(2)]
    for ring in np.unique(places):
        own = waves[:, places == ring]
        cross = (own[:, None] * own[None].conj()).mean(axis=2)
        np.testing.assert_allclose(cross.imag, 0, atol=1e-9)
        np.testing.assert_allclose(found[ring], cross.real / np.sqrt(np.outer(power, power)))


def test_noise_has_variance_one_everywhere_and_between_stains_what_the_rings_add_up_to():
    spectrum = scaled(known_spectrum())
    images = np.stack(drawn(spectrum, 1500, seed=1, shape=(24, 24)))
    variance = images.var(axis=0)
    wanted = [
        spectrum[floor.ring_map(24, 24, SIDE), c, c].ravel() @ floor.doubled(24, 24).ravel() / 576 for c in range(2)
    ]
    np.testing.assert_allclose(variance.mean(axis=(1, 2)), wanted, rtol=0.03)
    edge = [variance[c, [0, -1]].mean() for c in range(2)]
    np.testing.assert_allclose(edge, wanted, rtol=0.06)  # no border where it is louder


def test_a_spectrum_without_residual_is_silent():
    found = floor.cross_spectrum([np.zeros((2, 16, 16))], 16)
    assert (found == 0).all() and (floor.coloured(np.ones((2, 16, 16)), floor.roots(found), 16) == 0).all()


# --- the s.d. ------------------------------------------------------------------------------------


def test_the_error_s_s_d_is_found_by_what_was_painted():
    rng, line = np.random.default_rng(0), lambda m: 0.65 + 0.15 * m
    pairs = []
    for _ in range(30):
        m = rng.uniform(-3, 3, (2, 64, 64))
        pairs.append((m.astype(np.float32), m + line(m) * rng.normal(size=m.shape) * [[[1.0]], [[2.0]]]))
    levels, sd = floor.error_levels(pairs, 15)
    assert levels.shape == sd.shape == (2, floor.LEVELS) and (np.diff(levels) > 0).all()
    at = np.linspace(-2.7, 2.7, 55).reshape(1, 1, 55).repeat(2, axis=0)
    found = floor.sd_at(at, levels, sd)
    np.testing.assert_allclose(found[0], line(at[0]), rtol=0.08)
    np.testing.assert_allclose(found[1], 2 * line(at[1]), rtol=0.08)


def test_a_bias_counts_as_spread_and_few_levels_are_filled_up():
    pairs = [(np.zeros((1, 8, 8), np.float32), np.full((1, 8, 8), 0.5))]
    levels, sd = floor.error_levels(pairs, 15)
    assert (levels == 0).all() and (sd == 0.5).all()
    assert (floor.sd_at(np.full((1, 2, 2), 9.0), levels, sd) == 0.5).all()


def test_without_an_error_what_was_painted_is_kept_to_the_bit():
    painted = np.array([[[-0.0, 1.5], [np.nextafter(np.float32(1), 2), -15]]], np.float32)
    levels, sd = np.zeros((1, 2)), np.zeros((1, 2))
    assert floor.noised(painted, np.ones((1, 2, 2)), levels, sd, 15).tobytes() == painted.tobytes()
    assert floor.noised(painted, np.full((1, 2, 2), 99.0), levels, sd + 1, 15).max() == 15


# --- through the commands ------------------------------------------------------------------------


def noisy_plate(folder, number):
    """A plate whose stains have noise that brightfield does not show, of a known spectrum."""
    stack, table = make_plate(folder, f"P{number}", 24, seed=number, size_px=SIDE)
    opened = store.open_stack(stack)
    images, channels = np.array(opened.images, np.float32), opened.channels
    images[:, 2:] += 0.5 * np.stack(drawn(scaled(known_spectrum()), 24, seed=number))
    with store.StackWriter(stack, images.shape, channels, key="noisy") as writer:
        for place, image in enumerate(images):
            writer.write(place, image)
    return stack, table


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return (folder, plates): a base, ridge regression of pixels, and noise of its error on top."""
    folder = tmp_path_factory.mktemp("noise")
    plates = [noisy_plate(folder, number) for number in range(2)]
    train.main(train_arguments(folder, plates, {**SETTINGS, "kind": "pixel"}, "base"))
    train.main(train_arguments(folder, plates, on_base(folder), "weights"))
    return folder, plates


def on_base(folder, **changes):
    return {**SETTINGS, "kind": "residual_noise", "stands_on": {"base": str(folder / "base.safetensors")}, **changes}


def painted(trained, name, weights="weights", plate=None, **changes):
    folder, plates = trained
    path = folder / f"{name}.tif"
    if not path.exists():
        sample.main(
            sample_arguments(folder / f"{weights}.safetensors", plate or plates[0], path, **{**SAMPLING, **changes})
        )
    return np.array(store.open_stack(path).images)


def test_weights_hold_their_base_and_its_digest(trained):
    folder, _ = trained
    tensors, meta = read_model(folder / "weights.safetensors")
    own, base = floor.base_of(tensors, meta)
    expected, of_base = read_model(folder / "base.safetensors")
    assert torch.equal(own["coefficients"], expected["coefficients"]) and base["settings"] == of_base["settings"]
    assert meta["settings"]["base"]["digest"] == store.file_digest(folder / "base.safetensors")
    assert "stands_on" not in meta["settings"] and str(folder) not in str(meta["settings"])
    (line,) = store.read_json_lines(folder / "weights.jsonl")
    assert line["loss"] > 0


def test_it_is_fitted_on_wells_that_validate_alone(trained, tmp_path):
    """Other stains in every well but those change nothing of the noise."""
    folder, plates = trained
    args = train.parse("", train_arguments(folder, plates, on_base(folder)))
    held = train.open_data(args).split(0.25)[1]
    wells = set(zip(held.fields["Metadata_Plate"], held.fields["Metadata_Well"]))
    spoilt = []
    for stack, table in plates:
        fields, images = store.read_fields(table), np.array(store.open_stack(stack).images)
        others = [place not in wells for place in zip(fields["Metadata_Plate"], fields["Metadata_Well"])]
        images[others, 2:] *= 3
        with store.StackWriter(
            tmp_path / stack.name, images.shape, store.open_stack(stack).channels, key="x"
        ) as writer:
            for number, image in enumerate(images):
                writer.write(number, image)
        store.write_table(fields, tmp_path / table.name)
        spoilt.append((tmp_path / stack.name, tmp_path / table.name))
    train.main(train_arguments(tmp_path, spoilt, on_base(folder)))
    found, expected = (store.read_weights(where / "weights.safetensors")[0] for where in (tmp_path, folder))
    assert all(torch.equal(found[name], expected[name]) for name in floor.OWN) and len(wells) == 12


def test_painted_draws_have_the_fitted_spread_and_spectrum(trained):
    tensors, _ = read_model(trained[0] / "weights.safetensors")
    base, levels, sd = painted(trained, "base_painted", "base"), tensors["levels"].numpy(), tensors["sd"].numpy()
    noise = []
    for seed in range(8):
        drawn_images = painted(trained, f"draw{seed}", seed=seed)
        for m, y in zip(base.astype(np.float64), drawn_images):
            noise.append((y - m) / floor.sd_at(m, levels, sd))
    assert np.std(noise, axis=(0, 2, 3)) == pytest.approx([1, 1], abs=0.04)
    found, wanted = floor.cross_spectrum(noise, SIDE), tensors["spectrum"].numpy()
    for c in range(2):
        np.testing.assert_allclose(found[4:20, c, c], wanted[4:20, c, c], rtol=0.25)
    np.testing.assert_allclose(found[4:20, 0, 1], wanted[4:20, 0, 1], atol=0.2 * np.abs(wanted[4:20]).max())


def test_samples_are_independent_and_neither_parts_nor_batches_nor_order_change_a_byte(trained):
    folder, plates = trained
    one, other, base = (painted(trained, name, weights, seed=seed).astype(np.float64) for name, weights, seed in (
        ("draw0", "weights", 0), ("draw1", "weights", 1), ("base_painted", "base", 0)))  # fmt: skip
    away = [np.stack([image - m for image, m in zip(images, base)]).ravel() for images in (one, other)]
    assert abs(np.corrcoef(away)[0, 1]) < 0.05
    whole = painted(trained, "draw0", seed=0)
    np.testing.assert_array_equal(painted(trained, "batch5", seed=0, batch=5), whole)
    np.testing.assert_array_equal(painted(trained, "part2", seed=0, part=2, parts=3), whole[8:16])
    order = np.random.default_rng(0).permutation(24)
    fields = store.read_fields(plates[0][1]).assign(stack_row=np.arange(24)).iloc[order].reset_index(drop=True)
    store.write_table(fields, folder / "shuffled.parquet")
    shuffled = painted(trained, "shuffled", plate=(plates[0][0], folder / "shuffled.parquet"), seed=0)
    np.testing.assert_array_equal(shuffled, whole[order])


def test_samples_of_a_field_by_number_are_independent(trained):
    tensors, meta = read_model(trained[0] / "weights.safetensors")
    fields, stack = store.read_fields(trained[1][0][1]), store.open_stack(trained[1][0][0])
    args = sample.parser("").parse_args(
        sample_arguments(trained[0] / "weights.safetensors", trained[1][0], trained[0] / "x.tif")
    )
    drawn = Samples(range(12)).table(fields.iloc[:1])
    paint = kinds.of("residual_noise").painter(args, tensors, meta, drawn, sample.Compute())
    x = np.asarray(stack.images[:1, :2], np.float32)
    draws = np.stack([paint(x, [number])[0].ravel() for number in range(12)]).astype(np.float64)
    draws -= draws.mean(axis=0)  # of n independent draws each pair is then correlated by -1 / (n - 1)
    pairs = np.corrcoef(draws)[np.triu_indices(12, 1)]
    assert (
        pairs.mean() == pytest.approx(-1 / 11, abs=0.02) and np.abs(pairs + 1 / 11).max() < 0.7
    )  # coarse noise is few numbers


def test_without_an_error_the_base_s_bytes_are_painted(trained):
    folder, _ = trained
    tensors, meta = store.read_weights(folder / "weights.safetensors")
    store.write_weights(folder / "silent.safetensors", {**tensors, "sd": torch.zeros_like(tensors["sd"])}, meta)
    assert painted(trained, "silent", "silent").tobytes() == painted(trained, "base_painted", "base").tobytes()


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes, words", [
    ({"validation_share": 0}, "none of 48 wells validates at train.validation_share 0.*raise validation_share"),
    ({"label": "perturbation"}, "base.safetensors is told the label none, but the model that stands on it perturbation"),
    ({"channels": {**CHANNELS, "target": ["DNA"]}}, r"base.safetensors paints \['DNA', 'ER'\] from .*name a base of the same"),
    ({"conditions": {"batch": {}}}, r"is told the conditions \[\], but the model that stands on it \['batch'\]; give both models"),
    ({"cutoff": 9}, "was trained on images cut off at 15 s.d., but the study's at 9"),
    ({"stands_on": {}}, "its settings name no base to stand on; set base in its entry of models"),
])  # fmt: skip
def test_a_base_that_does_not_fit_is_refused(trained, tmp_path, changes, words):
    folder, plates = trained
    with pytest.raises(ValueError, match=words):
        train.main(train_arguments(tmp_path, plates, on_base(folder, **changes)))
    assert not (tmp_path / "weights.safetensors").exists()


def test_what_a_base_knows_of_its_conditions_is_read_and_given_back(trained, tmp_path):
    tensors, meta = store.read_weights(trained[0] / "base.safetensors")
    told, known = {"batch": {"dropout": 0.1}}, {"batch": {"values": ["B1"]}}
    meta = {**meta, "settings": {**meta["settings"], "conditions": told}, "conditions": known}
    store.write_weights(tmp_path / "told.safetensors", tensors, meta)
    settings = {**on_base(trained[0]), "conditions": told, "stands_on": {"base": str(tmp_path / "told.safetensors")}}
    described, kept = stand(settings)
    _, base = floor.base_of(kept, {"settings": described, "channels": described["channels"]})
    assert base["conditions"] == described["base"]["conditions"] == known and base["settings"]["conditions"] == told


def test_what_paints_from_noise_is_no_base(trained, tmp_path):
    folder, plates = trained
    settings = on_base(folder, stands_on={"base": str(folder / "weights.safetensors")})
    with pytest.raises(
        ValueError, match="it holds a model of kind residual_noise; expected regression or mean or pixel"
    ):
        train.main(train_arguments(tmp_path, plates, settings))


@pytest.mark.parametrize("spoil, words", [
    (lambda tensors: tensors | {"sd": tensors["sd"][:1]}, r"expected the tensor sd of shape \(2, 16\), found \(1, 16\)"),
    (lambda tensors: {name: tensors[name] for name in floor.OWN}, "expected the tensors of a base model, base"),
    (lambda tensors: tensors | {"side": torch.tensor([9])}, r"expected the tensor spectrum of shape \(7, 2, 2\)"),
])  # fmt: skip
def test_weights_that_are_not_whole_are_refused(trained, tmp_path, spoil, words):
    tensors, meta = store.read_weights(trained[0] / "weights.safetensors")
    store.write_weights(tmp_path / "bad.safetensors", spoil(tensors), meta)
    with pytest.raises(ValueError, match=words):
        read_model(tmp_path / "bad.safetensors")
