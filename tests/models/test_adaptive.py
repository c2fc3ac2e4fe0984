"""Adaptive augmentation: what it does to images exactly, how its chance follows the critic, and a training with and without it."""

from __future__ import annotations

import json
import os
import signal

import numpy as np
import pytest
import torch

from brightpaint import store
from brightpaint.models import train_gan
from brightpaint.models.objectives import adaptive
from brightpaint.models.objectives.adaptive import Adaptive
from gan_fixture import arguments, plates, trained

SIDE = 8


def chances(flip=0.0, turn=0.0, down=0.5, right=0.5, gates=(0, 0, 0, 1)):
    """Chances of one image: gates below p are done; values decide what is done."""
    return torch.tensor([[*map(float, gates), flip, turn, down, right]])


def changed(image, p=0.8, intensity=False, amounts=(0.0, 0.0), **values):
    augment = Adaptive(0.6, 1000, intensity, p)
    return augment.changed(torch.from_numpy(image)[None], chances(**values), torch.tensor([amounts]))[0].numpy()


IMAGE = np.random.default_rng(0).normal(size=(2, SIDE, SIDE))


def test_flips_turns_and_shifts_are_exact_and_in_this_order():
    np.testing.assert_array_equal(changed(IMAGE), IMAGE)  # all gates open, and each value is "none"
    np.testing.assert_array_equal(changed(IMAGE, flip=0.9), IMAGE[..., ::-1])
    for number in range(4):
        np.testing.assert_array_equal(changed(IMAGE, turn=number / 4 + 0.1), np.rot90(IMAGE, number, (1, 2)))
    down = changed(IMAGE, down=0.99)  # one pixel of eight, the mirror image beyond the edge
    np.testing.assert_array_equal(down[:, 1:], IMAGE[:, :-1])
    np.testing.assert_array_equal(down[:, 0], IMAGE[:, 1])
    left = changed(IMAGE, right=0.0)
    np.testing.assert_array_equal(left[..., :-1], IMAGE[..., 1:])
    np.testing.assert_array_equal(left[..., -1], IMAGE[..., -2])
    both = changed(IMAGE, flip=0.9, turn=0.3, down=0.99)
    expected = np.rot90(IMAGE[..., ::-1], 1, (1, 2))
    np.testing.assert_array_equal(both[:, 1:], expected[:, :-1])


def test_what_is_not_drawn_is_not_done_and_no_grey_value_is_new():
    closed = {"gates": (0.9, 0.9, 0.9, 0.9), "flip": 0.9, "turn": 0.6, "down": 0.99}
    np.testing.assert_array_equal(changed(IMAGE, **closed), IMAGE)
    seen = changed(IMAGE, flip=0.9, turn=0.8, down=0.0, right=0.99)
    assert set(seen.ravel()) <= set(IMAGE.ravel())


def test_intensity_is_changed_only_if_asked_alike_in_all_channels():
    lit = {"gates": (0.9, 0.9, 0.9, 0.0), "amounts": (5.0, 1.0)}
    np.testing.assert_array_equal(changed(IMAGE, **lit), IMAGE)
    np.testing.assert_allclose(changed(IMAGE, intensity=True, **lit), 2 * (IMAGE + 1) - 1 + 0.1)


def test_gradients_go_through_the_change_and_back_again():
    images = torch.randn(3, 1, SIDE, SIDE, dtype=torch.float64, requires_grad=True)
    drawn, amounts = adaptive.draw(3, 1, torch.Generator().manual_seed(0))
    augment = Adaptive(0.6, 1000, True, 0.8)
    assert torch.autograd.gradgradcheck(lambda x: augment.changed(x, drawn[:, 0], amounts[:, 0]).square().sum(), images)


@pytest.mark.parametrize(("signs", "way"), [([1, 1, 1, 1], 1), ([1, -1, 1, -1], -1), ([1, 1, 1, 1, -1], 0)])
def test_the_chance_rises_where_the_critic_is_too_sure_and_falls_where_it_is_not(signs, way):
    augment = Adaptive(0.6, 100, p=0.5)
    augment.saw(torch.tensor(signs) * 3.0)
    augment.adjust(3)
    assert augment.p == 0.5 and augment.seen == len(signs)  # not yet
    augment.adjust(4)
    assert augment.p == pytest.approx(0.5 + way * len(signs) / 100) and augment.seen == 0


def test_the_chance_keeps_within_its_bounds():
    sure, unsure = Adaptive(0.6, 2, p=0.7), Adaptive(0.6, 2, p=0.1)
    sure.saw(torch.ones(4)), unsure.saw(-torch.ones(4))
    sure.adjust(4), unsure.adjust(4)
    assert (sure.p, unsure.p) == (adaptive.MOST, 0.0)


def test_a_chance_of_none_trains_to_the_bits_of_a_training_without(tmp_path):
    train_gan.main(
        arguments(tmp_path, plates(tmp_path), ada={"target": 1.5, "images": 1, "intensity": True})
    )  # out of reach
    plain, without = store.read_weights(trained() / "weights" / "weights.safetensors")
    never, _ = store.read_weights(tmp_path / "weights" / "weights.safetensors")
    assert plain.keys() == never.keys() and all(torch.equal(value, never[name]) for name, value in plain.items())
    lines = [json.loads(line) for line in (tmp_path / "weights" / "history.jsonl").read_text().splitlines()]
    assert {line["augmented"] for line in lines if "augmented" in line} == {0.0} and "ada" not in without["settings"]


def test_a_stopped_training_goes_on_to_the_same_bytes_and_chance(tmp_path, monkeypatch):
    made, ada, step = plates(tmp_path), {"target": -2.0, "images": 100, "intensity": True}, train_gan.GanTraining.step
    train_gan.main(arguments(tmp_path, made, "whole", ada=ada))

    def stepped(self, *batch):
        step(self, *batch)
        if self.seen == 28:  # between two adjustments
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patched, pytest.raises(SystemExit):
        patched.setattr(train_gan.GanTraining, "step", stepped)
        train_gan.main(arguments(tmp_path, made, "again", ada=ada))
    _, meta = store.read_weights(tmp_path / "again" / "weights.safetensors.partial")
    assert meta["augment"]["p"] == pytest.approx(0.16) and meta["augment"]["seen"] == 12
    train_gan.main(arguments(tmp_path, made, "again", ada=ada))
    for name in ("weights.safetensors", "history.jsonl"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    lines = [json.loads(line) for line in (tmp_path / "whole" / "history.jsonl").read_text().splitlines()]
    assert lines[-2]["augmented"] == pytest.approx(0.48)
