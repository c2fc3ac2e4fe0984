import numpy as np
import pytest
import torch

from brightpaint import store
from brightpaint.models import train
from brightpaint.models.conditions.condition import Condition
from brightpaint.models.objectives import denoiser as diffusion
from brightpaint.models.objectives.losses import (
    Classification,
    Denoising,
    Regression,
    build_denoiser,
    build_regressor,
)
from brightpaint.models.paint import sample
from models_fixture import CHANNELS, SETTINGS, labelled_plates, made, sample_arguments, train_arguments

REGRESSION = {**SETTINGS, "kind": "regression", "label": "perturbation", "images": 1600, "batch": 8, "ema_images": 100}
REGRESSION["learning_rate"] = 4e-3


def regression_weights():
    arguments = lambda folder: train_arguments(folder, labelled_plates()[:2], REGRESSION, "regression")  # noqa: E731
    return made("regression", lambda folder: train.main(arguments(folder))) / "regression.safetensors"


def paint(path, weights, **changes):
    sample.main(sample_arguments(weights, labelled_plates()[2], path, **changes))
    return np.array(store.open_stack(path).images).astype(float)


def test_a_part_of_a_batch_gets_the_rows_that_the_whole_would():
    for objective in (Denoising(2, "v", "l2", 0.5), Regression(2, 0.5), Classification(2)):
        drawn = [objective.draw((6, 2, 4, 4), torch.Generator().manual_seed(1)) for _ in range(2)]
        assert all(torch.equal(one, other) and len(one) == 6 for one, other in zip(*drawn))


@pytest.mark.parametrize("objective, norm", [("eps", "l2"), ("eps", "l1"), ("v", "l2"), ("v", "l1")])
def test_every_objective_learns(tmp_path, objective, norm):
    settings = {**SETTINGS, "objective": objective, "loss": norm, "images": 240, "batch": 8}
    train.main(train_arguments(tmp_path, labelled_plates()[:1], settings))
    losses = [line["loss"] for line in store.read_json_lines(tmp_path / "weights.jsonl")]
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:3])
    _, meta = store.read_weights(tmp_path / "weights.safetensors")
    assert (meta["settings"]["objective"], meta["settings"]["loss"]) == (objective, norm)


def test_l1_is_the_mean_absolute_error_and_other_losses_are_refused():
    y, eps = torch.randn(2, 1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    gamma, told = torch.tensor([0.5]), None

    def call(x, noisy, gamma, told):
        return eps + 0.25

    assert float(diffusion.loss(call, y, y, told, gamma, eps, "eps", "l1")) == pytest.approx(0.25, rel=1e-5)
    assert float(diffusion.loss(call, y, y, told, gamma, eps, "v", "l1")) == pytest.approx(0.25 / 0.5**0.5, rel=1e-5)
    with pytest.raises(ValueError, match="loss 'huber': expected l1 or l2"):
        diffusion.loss(call, y, y, told, gamma, eps, "eps", "huber")


def test_regression_is_the_denoisers_unet_and_begins_at_zero():
    settings = {**SETTINGS, "preset": "paper"}
    regressor, denoiser = build_regressor(settings, CHANNELS, 3), build_denoiser(settings, CHANNELS, 3)
    assert {k: v.shape for k, v in regressor.state_dict().items()} == {
        k: v.shape for k, v in denoiser.state_dict().items()
    }
    regressor.eval()
    x, stains = torch.randn(2, 2, 24, 40), torch.randn(2, 2, 24, 40)
    told = Condition.of_labels(torch.tensor([0, 3]))
    assert torch.equal(regressor(x, told), torch.zeros_like(stains))
    loss = Regression(2, 0.0).loss(regressor, x, stains, told, torch.tensor([False, False]))
    torch.testing.assert_close(loss, stains.abs().mean())


def test_regression_paints_stains_and_heeds_its_label(tmp_path):
    painted = paint(tmp_path / "a.tif", regression_weights())
    real = np.array(store.open_stack(labelled_plates()[2][0]).images).astype(float)[:, 2:]
    for channel in range(2):  # ER has the sign that only the label tells
        scores = [np.corrcoef(a[channel].ravel(), b[channel].ravel())[0, 1] for a, b in zip(painted, real)]
        assert np.mean(scores) > 0.6
    blind = paint(tmp_path / "b.tif", regression_weights(), sampling_label="none")
    assert np.abs(blind - real)[:, 1].mean() > 1.5 * np.abs(painted - real)[:, 1].mean()
    np.testing.assert_array_equal(paint(tmp_path / "c.tif", regression_weights(), seed=5, steps=1), painted)


def test_a_held_out_perturbation_is_painted_with_the_null_label(tmp_path):
    settings = {**SETTINGS, "label": "perturbation", "held_out": ["cpd1"], "images": 80}
    train.main(train_arguments(tmp_path, labelled_plates()[:2], settings))
    weights = tmp_path / "weights.safetensors"
    _, meta = store.read_weights(weights)
    assert meta["label_map"] == {"DMSO": 1} and meta["settings"]["held_out"] == ["cpd1"]
    shown, null = paint(tmp_path / "a.tif", weights), paint(tmp_path / "b.tif", weights, sampling_label="none")
    held = store.read_fields(labelled_plates()[2][1])["Metadata_perturbation"].eq("cpd1").to_numpy()
    np.testing.assert_array_equal(shown[held], null[held])
    assert (shown[~held] != null[~held]).any()


@pytest.mark.parametrize("asked", [{"label_scale": 2.0}, {"guidance_interval": [0.1, 2.0]}])
def test_given_weights_of_a_regression_are_guided_by_nothing(tmp_path, asked):
    """The config knows the kind of given weights from their file alone, so this is refused where they are read."""
    with pytest.raises(ValueError, match="regression.safetensors is of kind regression, which paints without noise"):
        paint(tmp_path / "a.tif", regression_weights(), **asked)
