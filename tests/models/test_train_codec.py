"""A codec by its command: it learns, goes on after a kill to the same bytes, and what stands on it is told of its latents."""

from __future__ import annotations

import json
import os
import signal

import numpy as np
import pytest
import torch

from brightpaint import store
from brightpaint.models import fit, train_codec
from brightpaint.models.codecs.codec import Autoencoded
from brightpaint.models.networks.unet import parameter_count
from brightpaint.models.paint import sample
from brightpaint.models.standing import read_codec
from brightpaint.models.trained import load_module, read_model
from codec_fixture import CRITIC, SETTINGS, arguments, of_kind, plates, trained
from models_fixture import CHANNELS, TARGETS, make_plate, sample_arguments

CPU = torch.device("cpu")


def loaded(path=None):
    path = path or trained() / "codec.safetensors"
    tensors, meta = read_model(path, ("codec",))
    return load_module(path, train_codec.build_codec(meta["settings"], meta["channels"]), tensors, CPU), meta


def stains(plate):
    stack = store.open_stack(plate)
    return torch.from_numpy(np.array(stack.images[:, stack.channel_indices(TARGETS)], dtype=np.float32))


def history(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_weights_say_what_they_are_and_a_codec_learns_the_stains():
    network, meta = loaded()
    assert meta["channels"] == {"input": [], "target": TARGETS} and meta["label_map"] == {}
    assert {key: meta["settings"][key] for key in ("kind", "preset", "latents")} == {
        "kind": "codec", "preset": "small", "latents": 4,
    }  # fmt: skip
    lines = history(trained() / "codec.jsonl")
    looks = [line["validation_loss"] for line in lines if "validation_loss" in line]
    assert len(looks) == 2 and looks[-1] < 0.5
    y = stains(trained() / "P3.tif")
    with torch.no_grad():
        error = (network.decode(network.posterior(y)[0]) - y).abs().mean()
    assert error < 0.75 * y.abs().mean()  # a mean image would leave all of it


def test_latents_of_unseen_images_have_s_d_1_within_a_tenth_and_encoding_is_deterministic():
    network, _ = loaded()
    codec, y = Autoencoded(network), stains(trained() / "P3.tif")
    with torch.no_grad():
        torch.manual_seed(1)
        first = codec.encode(y)
        torch.manual_seed(2)
        assert torch.equal(first, codec.encode(y)) and torch.equal(codec.decode(first), codec.decode(first))
    assert float(first.std()) == pytest.approx(1, abs=0.1) and float(first.mean()) == pytest.approx(0, abs=0.1)
    assert float(network.largest) < 30 and codec.channels(3, 2) == (48, 4)


def test_brightfield_is_folded_and_nothing_of_it_is_lost():
    codec, x = Autoencoded(loaded()[0]), torch.randn(2, 3, 8, 12)
    seen = codec.see(x)
    assert seen.shape == (2, 48, 2, 3) and torch.equal(torch.nn.functional.pixel_shuffle(seen, 4), x)
    assert codec.see(torch.zeros(2, 0, 8, 12)).shape == (2, 0, 2, 3)
    with pytest.raises(ValueError, match="images of 8 x 10 px: the codec needs multiples of 4"):
        codec.see(torch.zeros(2, 3, 8, 10))


def stopped_at(monkeypatch, image, run):
    """Run a training that is told to stop once it has seen so many images."""
    step = train_codec.CodecTraining.step

    def stepped(self, *batch):
        step(self, *batch)
        if self.seen == image:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(train_codec.CodecTraining, "step", stepped)
    with pytest.raises(SystemExit) as stopped:
        run()
    monkeypatch.undo()
    assert stopped.value.code == fit.STOPPED


@pytest.mark.parametrize("critic", [{}, CRITIC])
def test_a_stopped_training_goes_on_to_the_same_bytes(tmp_path, monkeypatch, critic):
    made, changes = plates(tmp_path, 4)[:2], {"images": 48, "validate_every_images": 16, **critic}
    train_codec.main(arguments(tmp_path, made, "whole", **changes))
    run = lambda: train_codec.main(arguments(tmp_path, made[::-1], "again", **changes))  # noqa: E731
    stopped_at(monkeypatch, 24, run)
    assert store.read_weights(tmp_path / "again.safetensors.partial")[1]["seen"] == 24
    run()
    for end in ("safetensors", "jsonl"):
        assert (tmp_path / f"again.{end}").read_bytes() == (tmp_path / f"whole.{end}").read_bytes()
    assert not (tmp_path / "again.safetensors.partial").exists()


def test_with_a_critic_the_codec_alone_is_kept_and_the_history_has_the_critics_losses(tmp_path):
    made = plates(tmp_path, 4)[:2]
    for name, changes in (("plain", {}), ("critic", CRITIC)):
        train_codec.main(arguments(tmp_path, made, name, images=16, validation_share=0, **changes))
    plain, judged = (loaded(tmp_path / f"{name}.safetensors")[0].state_dict() for name in ("plain", "critic"))
    assert plain.keys() == judged.keys() and any(not torch.equal(plain[name], judged[name]) for name in plain)
    words = [line.keys() - {"images", "learning_rate"} for line in history(tmp_path / "critic.jsonl")]
    assert words == [{"loss", "critic_loss", "r1"}, {"loss", "critic_loss"}]


def test_validation_does_not_heed_the_critic(tmp_path):
    network = train_codec.build_codec(SETTINGS, SETTINGS["channels"])
    train, blind = train_codec.objectives({**SETTINGS, **CRITIC}, network)
    assert [update.network for update in train.updates] == ["model", "critic", "critic"]
    assert [update.network for update in blind.updates] == ["model"] and blind.adversarial == 0


@pytest.mark.parametrize(("changes", "said"), [
    ({"crop_px": 18}, "images of 18 x 18 px: the codec needs multiples of 4; set train.crop_px"),
    ({"crop_px": 24, **CRITIC}, "trained on 24 x 24 px, and a critic sees squares of a power of two"),
    ({"learning_rate": 1e30, "clip_norm": None}, "the loss is not finite by image .*lower learning_rate or set clip_norm"),
])  # fmt: skip
def test_what_cannot_be_trained_is_said(tmp_path, changes, said):
    made = plates(tmp_path, 2)[:1]
    with pytest.raises(ValueError, match=said):
        train_codec.main(arguments(tmp_path, made, images=24, **{"validation_share": 0, **changes}))


def test_a_codec_paints_the_ceiling_from_the_stains_themselves(tmp_path):
    """Its arm goes through `sample` as every arm: what is written is what encoding and decoding give, field by field."""
    plate = trained() / "P3.tif", trained() / "P3.parquet"
    weights = trained() / "codec.safetensors"
    sample.main(sample_arguments(weights, plate, tmp_path / "painted.tif", inputs=[], batch=3))
    painted = store.open_stack(tmp_path / "painted.tif")
    codec, y = Autoencoded(loaded()[0]), stains(plate[0])
    with torch.no_grad():
        expected = codec.decode(codec.encode(y[:3])).numpy()
    assert list(painted.channels) == TARGETS and len(painted) == len(y)
    np.testing.assert_array_equal(painted.images[:3], expected.astype(np.float16))
    assert store.read_table(tmp_path / "painted.tsv")["fields"].item() == 9  # the last batch is padded


def test_other_peoples_weights_are_refused_with_the_difference_named(tmp_path):
    path = trained() / "codec.safetensors"
    described, tensors = read_codec(path, {"channels": CHANNELS})
    assert described["digest"] == store.file_digest(path) and described["stains"] == 2 and "centre" in tensors
    with pytest.raises(ValueError, match="is a codec of the stains DNA, ER, but the study's are ER, DNA; train one"):
        read_codec(path, {"channels": {"input": [], "target": TARGETS[::-1]}})
    with pytest.raises(ValueError, match="cut off at 15 s.d., but the study's at 9; set prepare.cutoff to 15"):
        read_codec(path, {"channels": CHANNELS, "cutoff": 9})
    with pytest.raises(ValueError, match="holds a model of kind diffusion; expected codec"):
        read_codec(of_kind("diffusion", tmp_path / "denoiser.safetensors", path), {"channels": CHANNELS})
    other, meta = store.read_weights(path)
    store.write_weights(tmp_path / "other.safetensors", {name: other[name] for name in list(other)[1:]}, meta)
    plate = make_plate(tmp_path, "P", 2)
    with pytest.raises(ValueError, match="do not fit its own settings"):
        sample.main(sample_arguments(tmp_path / "other.safetensors", plate, tmp_path / "painted.tif", inputs=[]))


def test_the_published_presets_are_built_from_settings():
    with torch.device("meta"):
        network = train_codec.build_codec(
            {"preset": "latent_64", "width": None, "latents": None}, {"target": list("abcde")}
        )
    assert parameter_count(network) == 83_713_685
