import numpy as np
import pytest
import torch
import torch.nn.functional as F

from brightpaint import store
from brightpaint.models import train, trained
from brightpaint.models.codecs import codec
from brightpaint.models.codecs.codec import Codec, Identity, codec_of
from brightpaint.models.paint import sample
from conftest import swept
from models_fixture import CHANNELS, SETTINGS, make_plate, sample_arguments, train_arguments

FACTOR = 2.0


class Folded(Codec):
    """A toy that can be undone: 2 x 2 pixels are folded into channels, and stains doubled."""

    stride_px = 2

    def channels(self, inputs, targets):
        return 4 * inputs, 4 * targets

    def see(self, x):
        return F.pixel_unshuffle(x, 2)

    def encode(self, y):
        return FACTOR * F.pixel_unshuffle(y, 2)

    def decode(self, latents):
        return F.pixel_shuffle(latents / FACTOR, 2)

    def bound(self, cutoff):
        return FACTOR * cutoff


@pytest.fixture(autouse=True)
def folded(monkeypatch):
    monkeypatch.setitem(codec.CODECS, "folded", Folded)


@pytest.fixture
def unturned(monkeypatch):
    """Show images as they are: a flipped image, folded, is not the folded image, flipped."""
    monkeypatch.setattr("brightpaint.models.data.augment", lambda image, rng, turned: image)


@pytest.fixture
def plate(tmp_path):
    return make_plate(tmp_path, "P1", 6)


def folded_plate(folder, plate):
    """Write the plate as the codec sees it, by hand: a stack of a quarter of the pixels and four times the channels."""
    images = torch.from_numpy(np.array(store.open_stack(plate[0]).images).astype(np.float32))
    x, y = Folded().split(images, 2)
    names = {kind: [f"{name}{n}" for name in CHANNELS[kind] for n in range(4)] for kind in CHANNELS}
    seen = torch.cat([x, y], dim=1).numpy()
    with store.StackWriter(folder / "P.tif", seen.shape, names["input"] + names["target"], key="by hand") as writer:
        for number, image in enumerate(seen):
            writer.write(number, image)
    return (folder / "P.tif", plate[1]), names


def test_the_identity_hands_on_the_pixels_themselves():
    images = torch.randn(2, 5, 4, 4)
    x, y = Identity().split(images, 2)
    assert x.data_ptr() == images.data_ptr() and torch.equal(torch.cat([x, y], 1), images)
    assert y.untyped_storage().data_ptr() == images.untyped_storage().data_ptr()
    assert Identity().channels(3, 5) == (3, 5) and Identity().bound(15) == 15
    assert isinstance(codec_of({}), Identity) and list(codec_of({}).parameters()) == []


def test_an_unknown_codec_and_images_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="codec 'vae': expected one of identity, kl, folded"):
        codec_of({"codec": "vae"})
    with pytest.raises(ValueError, match="images of 16 x 15 px: the codec needs multiples of 2; set train.crop_px"):
        Folded().split(torch.zeros(1, 3, 16, 15), 1)


@pytest.mark.parametrize("kind", swept(["diffusion", "regression"], ["diffusion"]))
def test_training_and_painting_through_a_codec_are_those_on_its_latents_by_hand(tmp_path, plate, kind, unturned):
    """Whole fields, so that the crops are the same; factors of two, so that nothing is rounded."""
    (tmp_path / "by_hand").mkdir()
    latents, names = folded_plate(tmp_path / "by_hand", plate)
    settings = {**SETTINGS, "kind": kind, "crop_px": None, "validation_share": 0.34, "validate_every_images": 12}
    settings["label"] = "perturbation"
    train.main(train_arguments(tmp_path, [plate], {**settings, "codec": "folded"}))
    train.main(train_arguments(tmp_path / "by_hand", [latents], {**settings, "channels": names}))
    one, other = (trained.read_model(folder / "weights.safetensors") for folder in (tmp_path, tmp_path / "by_hand"))
    assert one[1]["settings"]["codec"] == "folded" and one[1]["channels"] == CHANNELS
    assert all(torch.equal(one[0][name], other[0][name]) for name in other[0]) and one[0].keys() == other[0].keys()
    history = [(folder / "weights.jsonl").read_bytes() for folder in (tmp_path, tmp_path / "by_hand")]
    assert history[0] == history[1] and b"validation_loss" in history[0]

    sample.main(sample_arguments(tmp_path / "weights.safetensors", plate, tmp_path / "painted.tif"))
    by_hand = tmp_path / "by_hand" / "weights.safetensors"
    cutoff = {"cutoff": 15 * FACTOR} if kind == "diffusion" else {}
    store.write_weights(by_hand, other[0], {**other[1], "settings": {**other[1]["settings"], **cutoff}})
    sample.main(sample_arguments(by_hand, latents, tmp_path / "by_hand" / "painted.tif", **cutoff))
    painted, expected = (
        torch.from_numpy(np.array(store.open_stack(folder / "painted.tif").images, dtype=np.float32))
        for folder in (tmp_path, tmp_path / "by_hand")
    )
    assert painted.shape[1:] == (2, 32, 32)
    torch.testing.assert_close(painted, Folded().decode(expected), rtol=0, atol=6e-8)  # float16 below 6e-5 is coarser
