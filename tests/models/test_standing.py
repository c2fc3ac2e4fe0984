"""Models that stand on a codec: they are trained on its latents, keep it in their weights, and need no other file to paint."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

from brightpaint import store
from brightpaint.models import train, train_codec
from brightpaint.models.codecs.codec import codec_of
from brightpaint.models.paint import sample
from brightpaint.models.trained import read_model
from codec_fixture import arguments, latent_weights, plate, standing_on, trained
from models_fixture import CHANNELS, sample_arguments, train_arguments


def painted(path, **how):
    return np.array(store.open_stack(path).images, np.float32)


def test_weights_hold_the_codec_and_the_digest_of_the_file_that_they_were_trained_on():
    tensors, meta = read_model(latent_weights())
    own, _ = store.read_weights(trained() / "codec.safetensors")
    assert meta["settings"]["codec"] == {
        "codec": "kl", "preset": "small", "width": 8, "latents": 4, "stains": 2,
        "digest": store.file_digest(trained() / "codec.safetensors"),
    }  # fmt: skip
    assert "stands_on" not in meta["settings"] and meta["channels"] == CHANNELS
    assert {name for name in tensors if name.startswith("codec.")} == {f"codec.network.{name}" for name in own}
    assert all(torch.equal(tensors[f"codec.network.{name}"], value) for name, value in own.items())
    assert (
        tensors["network.encoder.first.weight"].shape[1] == (2 * 16 + 4) * 4
    )  # folded brightfield and latents, in 2 x 2


@pytest.mark.parametrize(("kind", "inputs"), [("diffusion", 2), ("diffusion", 0), ("regression", 2)])
def test_what_is_painted_is_decoded_latents_whatever_the_parts(tmp_path, kind, inputs):
    shown = {"inputs": CHANNELS["input"][:inputs]} if inputs < 2 else {}
    whole = tmp_path / "whole.tif"
    sample.main(sample_arguments(latent_weights(kind, inputs), plate(), whole, **shown))
    parts = [tmp_path / f"part{part}.tif" for part in (1, 2)]
    for part, path in enumerate(parts, start=1):
        sample.main(sample_arguments(latent_weights(kind, inputs), plate(), path, part, 2, **shown))
    images = painted(whole)
    assert images.shape == (8, 2, 32, 32) and np.isfinite(images).all()
    np.testing.assert_array_equal(images, np.concatenate([painted(path) for path in parts]))
    tensors, meta = read_model(latent_weights(kind, inputs))
    codec = codec_of(meta["settings"], tensors)
    with torch.no_grad():  # what a decoder has painted lies near what it paints of that again; noise in pixels does not
        again = codec.decode(codec.encode(torch.from_numpy(images))).numpy()
    noise = np.random.default_rng(0).normal(size=images.shape).astype(np.float32) * images.std()
    with torch.no_grad():
        of_noise = codec.decode(codec.encode(torch.from_numpy(noise))).numpy()
    assert np.abs(again - images).mean() / images.std() < 0.7 * np.abs(of_noise - noise).mean() / noise.std()


def test_one_codec_in_place_of_another_sets_an_unfinished_training_aside(tmp_path, caplog):
    folder = trained()
    other = arguments(tmp_path, [plate("P1")], "other", images=16, validation_share=0)
    train_codec.main(other)
    name = tmp_path / "weights.safetensors.partial"
    tensors, meta = store.read_weights(latent_weights())
    made_from = {"codec": meta["settings"]["codec"]}
    store.write_weights(name, {"x": torch.zeros(1)}, {"made_from": made_from})
    with caplog.at_level("INFO"):
        train.main(train_arguments(tmp_path, [plate("P1")], standing_on(tmp_path / "other.safetensors", images=4)))
    assert "set aside" in caplog.text and store.file_digest(folder / "codec.safetensors") in caplog.text
    assert (
        read_model(tmp_path / "weights.safetensors")[1]["settings"]["codec"]["digest"] != made_from["codec"]["digest"]
    )


def test_a_codec_of_other_stains_and_weights_that_lie_about_theirs_are_refused(tmp_path):
    channels = {**CHANNELS, "target": CHANNELS["target"][::-1]}
    settings = standing_on(trained() / "codec.safetensors", channels=channels)
    with pytest.raises(ValueError, match="is a codec of the stains DNA, ER, but the study's are ER, DNA"):
        train.main(train_arguments(tmp_path, [plate("P1")], settings))
    shutil.copy(latent_weights(), tmp_path / "w.safetensors")
    tensors, meta = store.read_weights(latent_weights())
    for changes, said in (
        ({"preset": "vast"}, "its codec is of preset 'vast'; expected one of latent_64"),
        ({"codec": "vq"}, "expected one of identity, kl"),
        ({"stains": 5}, "its codec is one of 5 stains; expected as many as it paints"),
        ({"latents": 10**6}, "its codec's latents is 1000000; expected a number from 1 to 64"),
    ):
        codec = {**meta["settings"]["codec"], **changes}
        store.write_weights(
            tmp_path / "w.safetensors", tensors, {**meta, "settings": {**meta["settings"], "codec": codec}}
        )
        with pytest.raises(ValueError, match=said):
            read_model(tmp_path / "w.safetensors")


def test_a_fields_size_that_the_codec_cannot_code_is_refused_before_it_is_trained(tmp_path):
    settings = standing_on(trained() / "codec.safetensors", crop_px=18)
    with pytest.raises(ValueError, match="images of 18 x 18 px: the codec needs multiples of 4; set train.crop_px"):
        train.main(train_arguments(tmp_path, [plate("P1")], settings))


def test_the_identity_gives_the_bytes_of_a_model_of_pixels(tmp_path):
    """Named or not, trained and painted: the settings alone differ, and the workflow names it in none (test_codecs)."""
    settings = {key: value for key, value in standing_on("", images=8).items() if key != "stands_on"}
    for name, codec in (("plain", {}), ("named", {"codec": "identity"})):
        (tmp_path / name).mkdir()
        train.main(train_arguments(tmp_path / name, [plate("P1")], {**settings, **codec}))
        sample.main(sample_arguments(tmp_path / name / "weights.safetensors", plate(), tmp_path / name / "painted.tif"))
    one, other = (store.read_weights(tmp_path / name / "weights.safetensors")[0] for name in ("plain", "named"))
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    history = [(tmp_path / name / "weights.jsonl").read_bytes() for name in ("plain", "named")]
    assert history[0] == history[1]
    np.testing.assert_array_equal(*(painted(tmp_path / name / "painted.tif") for name in ("plain", "named")))


def test_a_classifier_of_pixels_cannot_guide_among_latents(tmp_path):
    classifier = [trained() / "codec.safetensors"]  # whatever it holds
    words = sample_arguments(latent_weights(), plate(), tmp_path / "x.tif", classifier=classifier)
    with pytest.raises(ValueError, match="walks among latents, and .* leave the arm's classifier out"):
        sample.main(words)
