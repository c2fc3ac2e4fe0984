"""The autoencoder of a critic's width, by its command: it learns, goes on after a kill to the same bytes, and is an encoder."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from brightpaint.models import train_autoencoder
from brightpaint.models.image_encoders import read_encoder
from brightpaint.models.networks.image_autoencoder import ImageAutoencoder
from brightpaint.models.steps import Training
from brightpaint.study.presets import GAN_PRESETS, gan_spec
from gan_fixture import SETTINGS, SIZE, plates, words_of
from models_fixture import make_plate

OWN = {key: SETTINGS[key] for key in ("preset", "width", "images", "batch", "learning_rate", "clip_norm", "ema_images",
                                      "validate_every_images", "seed")}  # fmt: skip


def run(folder, made, name="one", **changes):
    (folder / name).mkdir(exist_ok=True)
    files = {
        word: folder / name / f"autoencoder.{end}" for word, end in (("weights", "safetensors"), ("history", "jsonl"))
    }
    words = [*words_of(made, **{**OWN, **changes})]
    train_autoencoder.main([*words, *(str(part) for word, file in files.items() for part in (f"--{word}", file))])
    return files


@pytest.mark.parametrize("channels", [1, 5])
def test_images_come_back_in_their_shape_from_as_many_numbers_as_a_critic_has(channels):
    network = ImageAutoencoder(gan_spec("small", 8), channels, 32)
    images = torch.randn(3, channels, 32, 32)
    assert network(images).shape == images.shape and network.embed(images).shape == (3, 512)
    with pytest.raises(ValueError, match=r"images of .*16, 16\) \(C, H, W\), expected"):
        network.embed(images[..., :16, :16])
    assert set(GAN_PRESETS) == {"gandl", "small"}


def test_it_learns_to_give_images_back(tmp_path):
    files = run(tmp_path, plates(tmp_path), images=640, learning_rate=5e-3, ema_images=40)
    losses = [json.loads(line)["loss"] for line in files["history"].read_text().splitlines()]
    assert np.mean(losses[-20:]) < 0.75 * np.mean(losses[:10])
    encoder = read_encoder(files["weights"], torch.device("cpu"))
    assert encoder.names[-1] == "Autoencoder_511"
    images = np.random.default_rng(0).normal(size=(3, 2, SIZE, SIZE)).astype(np.float32)
    assert np.array_equal(encoder.numbers(images)[1:2], encoder.numbers(images[1:2]))


def test_a_stopped_training_goes_on_to_the_same_bytes(tmp_path, monkeypatch):
    made, step = plates(tmp_path), Training.step
    whole = run(tmp_path, made)

    def stopped(self, *batch):
        if self.seen == 24:
            raise KeyboardInterrupt
        step(self, *batch)

    monkeypatch.setattr(Training, "step", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, made, "two")
    monkeypatch.setattr(Training, "step", step)
    again = run(tmp_path, made, "two")
    assert again["weights"].read_bytes() == whole["weights"].read_bytes()


def test_what_cannot_be_learnt_is_refused_before_the_first_step(tmp_path, monkeypatch):
    monkeypatch.setattr(Training, "step", lambda *rest: pytest.fail("a step was taken"))
    with pytest.raises(ValueError, match="P3.tif: 1 fields to train on, expected 8 at least"):
        run(tmp_path, [make_plate(tmp_path, "P3", 1)])
