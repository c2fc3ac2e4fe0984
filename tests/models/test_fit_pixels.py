"""Pooled pixels along their principal components, by the command: components are those of the rows, and read back as an encoder."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from brightpaint import store
from brightpaint.models import fit_pixels
from brightpaint.models.image_encoders import read_encoder
from gan_fixture import SIZE, plates, words_of
from models_fixture import TARGETS, make_plate


def fitted(folder, made, **changes):
    fit_pixels.main([*words_of(made, **changes), "--weights", str(folder / "pixels.safetensors")])
    return read_encoder(folder / "pixels.safetensors", torch.device("cpu"))


def test_components_are_orthonormal_by_variance_and_have_one_sign():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(40, 3)) * [1, 5, 2] @ np.linalg.qr(rng.normal(size=(3, 3)))[0]
    mean, axes = fit_pixels.components(np.hstack([values, np.ones((40, 1))]))
    assert axes.shape == (3, 4)  # what never varies has no component
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-9)
    spread = ((np.hstack([values, np.ones((40, 1))]) - mean) @ axes.T).std(0)
    assert (np.diff(spread) < 0).all() and (axes[np.arange(3), np.abs(axes).argmax(1)] > 0).all()
    assert len(fit_pixels.components(values, most=2)[1]) == 2


def test_pooled_images_are_the_means_of_the_cells_of_a_grid():
    image = torch.arange(32.0 * 32).view(1, 1, 32, 32)
    assert fit_pixels.pooled(image)[0, 0] == image[0, 0, :2, :2].mean() and fit_pixels.pooled(image).shape == (1, 256)
    assert fit_pixels.pooled(image[..., :8, :8]).shape == (1, 64)


def test_the_command_fits_an_encoder_whose_numbers_keep_the_images_distances(tmp_path):
    encoder = fitted(tmp_path, plates(tmp_path))
    assert (
        encoder.channels == TARGETS and encoder.names[0] == "Pixels_000" and len(encoder.names) == 11
    )  # 12 images less 1
    images = np.stack([store.open_stack(plates(tmp_path)[0][0]).images[n, 2:, :SIZE, :SIZE] for n in range(4)])
    numbers = encoder.numbers(images.astype(np.float32))
    assert numbers.shape == (4, 11)
    other = encoder.numbers(images[2:3].astype(np.float32))
    assert np.array_equal(other[0], numbers[2])  # whatever stands beside an image


def test_a_constant_channel_too_few_images_and_other_tensors_are_refused(tmp_path):
    with pytest.raises(ValueError, match="P9.tif: 3 fields to train on, expected 8 at least"):
        fitted(tmp_path, [make_plate(tmp_path, "P9", 3)])
    fitted(tmp_path, plates(tmp_path))
    tensors, meta = store.read_weights(tmp_path / "pixels.safetensors")
    store.write_weights(tmp_path / "bad.safetensors", {"axes": tensors["mean"]}, meta)
    with pytest.raises(
        ValueError, match=r"bad.safetensors: its axes have the shape \(512,\), expected \(components, pixels\)"
    ):
        read_encoder(tmp_path / "bad.safetensors", torch.device("cpu"))
