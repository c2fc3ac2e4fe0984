"""The trainer of several networks, by a toy: a generator and a critic of 8 px images, and a frozen network besides."""

import os
import signal
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from brightpaint import store
from brightpaint.models import fit
from brightpaint.models.compute import Compute
from brightpaint.models.data import TrainingImages
from brightpaint.models.objectives.updates import Update
from brightpaint.models.steps import Training
from models_fixture import CHANNELS, SETTINGS, make_plate, train_arguments

STEPS = 30
GAN = {**SETTINGS, "images": 4 * STEPS, "batch": 4, "crop_px": 8, "label": "perturbation", "ema_images": 20}
ADAM = {"critic": {"betas": (0.0, 0.99)}, "generator": {"betas": (0.0, 0.99), "lr": 0.5}}


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 32), nn.SiLU(), nn.Dropout(0.1), nn.Linear(32, 2 * 8 * 8))

    def forward(self, z):
        return self.layers(z).reshape(-1, 2, 8, 8)


class Critic(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(2, 8, 3, 2, 1), nn.SiLU(), nn.Flatten(), nn.Linear(8 * 16, 1))

    def forward(self, y):
        return self.layers(y)[:, 0]


def networks():
    torch.manual_seed(3)
    blur = nn.Conv2d(2, 2, 3, padding=1, groups=2).requires_grad_(False)
    return {"generator": Generator(), "critic": Critic(), "blur": blur}


@dataclass(frozen=True)
class Adversarial:
    """Logistic losses, and R1 in every 16th step (Karras et al. 2020), seen through a frozen network."""

    inputs: int = 2
    lazy: int = 16

    def draw(self, shape, generator):
        return (torch.randn(shape[0], 4, generator=generator, device=generator.device),)

    @property
    def updates(self):
        return (
            Update("generator", self.generator),
            Update("critic", self.critic, word="loss_critic"),
            Update("critic", self.r1, every=self.lazy, word="loss_r1"),
        )

    def generator(self, networks, x, y, condition, z):
        return F.softplus(-networks["critic"](networks["blur"](networks["generator"](z)))).mean()

    def critic(self, networks, x, y, condition, z):
        fake, real = networks["blur"](networks["generator"](z)), networks["blur"](y)
        return (F.softplus(networks["critic"](fake)) + F.softplus(-networks["critic"](real))).mean()

    def r1(self, networks, x, y, condition, z):
        y = y.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(networks["critic"](y).sum(), y, create_graph=True)
        return 5 * self.lazy * gradient.square().sum((1, 2, 3)).mean()


@pytest.fixture
def plates(tmp_path):
    return [make_plate(tmp_path, name, 10, seed=number) for number, name in enumerate(("P1", "P2"))]


def training(settings=GAN, how=None, objective=None):
    return Training(networks(), objective or Adversarial(), settings, how, adam=ADAM)


def data_of(plates):
    return TrainingImages(*zip(*plates), channels=CHANNELS, label="perturbation")


def copied(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def changed(before, network):
    return any(not torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_each_optimiser_moves_its_own_network_alone_and_the_frozen_one_stays(plates):
    run = training()
    assert set(run.optimisers) == {"generator", "critic"}
    batch = next(run.batches(data_of(plates)))
    x, y = batch[0].float().split(2, dim=1)
    batch = (x, y, batch[1], torch.randn(4, 4))
    for update in run.objective.updates:
        before = {name: copied(network) for name, network in run.networks.items()}
        moments = {name: str(optimiser.state_dict()["state"]) for name, optimiser in run.optimisers.items()}
        run._update(update, batch, 1.0, 1e-2)
        for name, network in run.networks.items():
            assert changed(before[name], network) == (name == update.network)
            if name != update.network:  # neither are gradients gathered in vain
                assert all(not value.requires_grad for value in network.parameters())
        for name, optimiser in run.optimisers.items():
            assert (moments[name] != str(optimiser.state_dict()["state"])) == (name == update.network)


def test_a_scaled_update_has_so_many_times_the_gradient_and_is_told_without(plates):
    """A lazy regularisation, as R1 in every 16th step, weighs what it left out."""
    batch, found = next(training().batches(data_of(plates))), {}
    x, y = batch[0].float().split(2, dim=1)
    for scale in (1.0, 80.0):
        run = training({**GAN, "clip_norm": None})
        update = Update("critic", run.objective.r1, every=16, word="loss_r1", scale=scale)
        told = run._update(update, (x, y, batch[1], torch.randn(4, 4)), 1.0, 1e-2)["loss_r1"]
        found[scale] = told, run.networks["critic"].layers[0].weight.grad
    assert torch.equal(found[1.0][0], found[80.0][0])
    torch.testing.assert_close(found[80.0][1], 80 * found[1.0][1])


def test_rates_and_intervals_are_those_that_were_asked_for(plates):
    run, calls = training({**GAN, "warmup_images": 0, "decay": "constant"}), []
    update = run._update
    run._update = lambda chosen, *rest: calls.append((run.seen // 4, chosen.word)) or update(chosen, *rest)
    for batch in run.batches(data_of(plates)):
        run.step(*batch)
    assert [step for step, word in calls if word == "loss_r1"] == [0, 16]
    assert [step for step, word in calls if word == "loss"] == list(range(STEPS))
    rates = {name: optimiser.param_groups[0]["lr"] for name, optimiser in run.optimisers.items()}
    assert rates == {"generator": pytest.approx(1e-3), "critic": pytest.approx(2e-3)}
    assert run.optimisers["critic"].param_groups[0]["betas"] == (0.0, 0.99)
    steps = run.state()[1]["steps"]
    assert steps["generator.layers.0.weight"] == STEPS and steps["critic.layers.0.weight"] == STEPS + 2
    assert all(line.keys() - {"loss_r1"} == {"images", "loss", "loss_critic", "learning_rate"} for line in run.history)
    assert [line["images"] for line in run.history if "loss_r1" in line] == [4, 68]


def test_weights_and_state_name_each_network_and_leave_out_the_frozen_one():
    run = training()
    names = {name.split(".")[0] for name in run.weights()}
    assert names == {"generator", "critic"}
    assert {name.split(".")[1] for name in run.state()[0]} == names


def trained(folder, plates, stop_at=None, **how):
    """Train by the command's own loop, to the end or to a SIGTERM after `stop_at` images; return the weights' file."""
    args = trainer_arguments(folder, plates)
    step = Training.step

    def stepped(self, *batch):
        step(self, *batch)
        if self.seen == stop_at:
            os.kill(os.getpid(), signal.SIGTERM)

    data = fit.open_data(args)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Training, "step", stepped)
        fit.train_networks(args, data, networks(), Adversarial(), Adversarial(), ADAM)
    return args.weights


def trainer_arguments(folder, plates):
    from brightpaint.models import train

    settings = {**GAN, "validation_share": 0.2, "validate_every_images": 40}
    return train.parse("", train_arguments(folder, plates, settings))


def test_a_stopped_training_of_two_networks_ends_with_the_same_bytes(tmp_path, plates):
    (tmp_path / "whole").mkdir(), (tmp_path / "stopped").mkdir()
    whole = trained(tmp_path / "whole", plates)
    with pytest.raises(SystemExit) as stopped:
        trained(tmp_path / "stopped", plates, stop_at=52)  # within a line of history, between two lazy steps
    assert stopped.value.code == fit.STOPPED
    partial = tmp_path / "stopped" / "weights.safetensors.partial"
    tensors, meta = store.read_weights(partial)
    assert meta["seen"] == 52 and {"model.generator.layers.0.weight", "first.critic.layers.0.weight"} <= tensors.keys()
    ended = trained(tmp_path / "stopped", plates)
    assert not partial.exists() and ended.read_bytes() == whole.read_bytes()
    assert (ended.parent / "weights.jsonl").read_bytes() == (whole.parent / "weights.jsonl").read_bytes()


def test_a_state_of_version_0_1_goes_on(plates):
    """It knew one network and wrote one number of steps and one list of losses for all."""
    settings = {**GAN, "clip_norm": None}
    run = Training({"model": Critic()}, Alone(), settings)
    batches = run.batches(data_of(plates))
    for _ in range(5):
        run.step(*next(batches))
    tensors, meta = run.state()
    assert set(tensors) == {f"{kind}.{name}" for kind in ("model", "mean", "first", "second") for name in run.mean}
    old = {**meta, "steps": 5, "losses": meta["losses"].get("loss", [])}
    other = Training({"model": Critic()}, Alone(), settings)
    other.restore(tensors, old)
    batch = next(batches)
    run.step(*batch), other.step(*batch)
    assert all(torch.equal(value, other.mean[name]) for name, value in run.mean.items())
    assert run.history == other.history


class Alone:
    inputs = 2

    def draw(self, shape, generator):
        return ()

    updates = (Update("model", lambda networks, x, y, condition: networks["model"](y).square().mean()),)


def test_compiled_networks_learn_the_same(plates):
    runs = [training(how=Compute(compile=compiled)) for compiled in (False, True)]
    for run in runs:
        for batch, _ in zip(run.batches(data_of(plates)), range(3)):
            run.step(*batch)
    for name, value in runs[0].mean.items():
        torch.testing.assert_close(value, runs[1].mean[name], rtol=1e-4, atol=1e-5)
