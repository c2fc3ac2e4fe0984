import numpy as np
import pytest
import torch

from brightpaint import store
from brightpaint.models import kinds, train
from brightpaint.models.data import TrainingImages
from brightpaint.models.describe import describe
from brightpaint.models.kinds import mean, pixel
from brightpaint.models.paint import sample
from brightpaint.study.kinds import KINDS
from brightpaint.study.schema import read_schema
from conftest import ROOT
from models_fixture import CHANNELS, SAMPLING, SETTINGS, make_plate, sample_arguments, train_arguments


def training_images(folder, plates=2):
    made = [make_plate(folder, f"P{number}", 4, seed=number) for number in range(plates)]
    return made, TrainingImages(*zip(*made), channels=CHANNELS, label="none")


def test_polynomial_terms():
    terms = pixel.polynomial(np.array([[[2.0]], [[3.0]]]))
    assert terms[:, 0].tolist() == [1, 2, 3, 4, 6, 9]


def test_ridge_is_least_squares_of_all_pixels_at_once(tmp_path):
    _, data = training_images(tmp_path)
    tensors, history = pixel.fit(data)
    images = np.stack([data.field(number) for number in range(len(data))]).astype(np.float64)
    terms = np.concatenate([pixel.polynomial(image[:2]) for image in images], axis=1)
    stains = np.concatenate([image[2:].reshape(2, -1) for image in images], axis=1)
    expected, *_ = np.linalg.lstsq(terms.T, stains.T, rcond=None)
    np.testing.assert_allclose(tensors["coefficients"], expected, atol=1e-3)  # the ridge, on near-collinear products
    assert history[0]["loss"] == pytest.approx(float(((expected.T @ terms - stains) ** 2).mean()), rel=1e-4)


def test_pixel_recovers_a_polynomial_and_survives_a_constant_plane():
    rng = np.random.default_rng(0)
    x = np.stack([rng.normal(size=(20, 20)), np.zeros((20, 20))])
    terms = pixel.polynomial(x)
    true = np.array([[1.0, 2.0, 0.0, -0.5, 0.0, 0.0]]).T
    flat = true.T @ terms
    coefficients = pixel.ridge(terms @ terms.T, terms @ flat.T, terms.shape[1])
    np.testing.assert_allclose(coefficients, true, atol=1e-4)
    painted = pixel.predict({"coefficients": torch.from_numpy(coefficients)}, x)
    np.testing.assert_allclose(painted[0], 1 + 2 * x[0] - 0.5 * x[0] ** 2, atol=1e-3)


def test_mean_is_the_mean_of_every_training_field(tmp_path):
    _, data = training_images(tmp_path)
    tensors, history = mean.fit(data)
    stains = np.stack([data.field(number)[2:] for number in range(len(data))])
    np.testing.assert_allclose(tensors["mean"], stains.mean(0), atol=1e-6)
    assert history[0]["loss"] == pytest.approx(float(stains.var(0).mean()), rel=1e-4)


def test_mean_of_another_size_is_refused():
    with pytest.raises(ValueError, match="same size"):
        mean.predict({"mean": torch.zeros(2, 8, 8)}, np.zeros((2, 16, 16), np.float32))


@pytest.mark.parametrize("kind", ["mean", "pixel"])
def test_trained_and_sampled_through_the_commands(kind, tmp_path):
    made, data = training_images(tmp_path)
    train.main(train_arguments(tmp_path, made, {**SETTINGS, "kind": kind}))
    tensors, meta = store.read_weights(tmp_path / "weights.safetensors")
    assert meta["settings"]["kind"] == kind and meta["channels"] == CHANNELS and meta["label_map"] == {}
    words = sample_arguments(tmp_path / "weights.safetensors", made[0], tmp_path / "out.tif", **SAMPLING)
    words[words.index("cpu")] = "cuda"  # a floor asks for no GPU
    sample.main(words)
    assert store.read_table(tmp_path / "out.tsv")["computed"].tolist() == ["cpu, float32"]
    painted = store.open_stack(tmp_path / "out.tif")
    expected = kinds.of(kind).predict(tensors, data.field(0)[:2])
    np.testing.assert_allclose(painted.images[0], expected, atol=2e-3)
    assert painted.channels == ("DNA", "ER")


def test_every_kind_has_its_module_and_what_the_module_needs():
    for kind in KINDS.values():
        module = kinds.of(kind.name)
        if kind.given:  # it is read, and neither trained nor painted
            assert callable(module.main)
            continue
        assert callable(module.train) and callable(module.translator if kind.styled else module.painter)
        assert kind.stepwise or callable(module.tensor_problems)
        assert set(kind.needed) <= {"preset", "objective", "label"}


def test_the_config_knows_the_kinds_that_paint():
    known = read_schema(ROOT / "workflow" / "schemas" / "config.schema.yaml")["$defs"]["kind"]["enum"]
    assert known == [name for name in KINDS if name != "codec"]  # those stand in a section of their own


def test_passes_of_the_network():
    arm = {"sampler": "heun", "steps": 10, "label_scale": 2, "mean_of": 3}
    found = {name: KINDS[name].passes(arm) for name in KINDS}
    assert found == {
        "diffusion": 2 * 19 * 3,
        "controlnet": 2 * 19 * 3,
        "stain_controlnet": 2 * 19 * 3,
        "regression": 1,
        "mean": 0,
        "pixel": 0,
        "residual_noise": 3,
        "whitened_residual": 2 * 19 * 3,
        "posterior_flow": 2 * 19 * 3,
        "bridge": 2 * 19 * 3,
        "style_direction": 0,
        "given": 0,
        "codec": 1,
    }


@pytest.mark.parametrize("inputs", [[], ["BF"]])
def test_a_model_sees_its_own_inputs_alone(inputs, tmp_path):
    made, _ = training_images(tmp_path)
    settings = {**SETTINGS, "label": "perturbation", "channels": {**CHANNELS, "input": inputs}}
    train.main(train_arguments(tmp_path, made, settings))
    weights, named = tmp_path / "weights.safetensors", ", ".join(inputs) or "no brightfield"
    assert f"sees        {named}\n" in describe(weights)
    sample.main(sample_arguments(weights, made[0], tmp_path / "out.tif", **SAMPLING, inputs=inputs))
    painted = store.open_stack(tmp_path / "out.tif")
    assert painted.channels == ("DNA", "ER") and np.isfinite(painted.images).all()
    with pytest.raises(ValueError, match="unknown to the weights"):  # a study all of whose inputs the model should see
        sample.main(sample_arguments(weights, made[0], tmp_path / "other.tif", **SAMPLING))
    with pytest.raises(ValueError, match=r"missing|unknown to the weights \['BF_L'\]"):
        sample.main(sample_arguments(weights, made[0], tmp_path / "other.tif", **SAMPLING, inputs=["BF_L"]))
