import json

import pytest
import torch

from brightpaint import store
from brightpaint.models import steps, train, validation
from brightpaint.models.compute import Compute
from brightpaint.models.data import TrainingImages
from brightpaint.models.objectives.losses import Denoising
from models_fixture import CHANNELS, SETTINGS, make_plate, train_arguments

VALIDATED = {**SETTINGS, "validation_share": 0.2, "validate_every_images": 8}


@pytest.fixture
def plates(tmp_path):
    return [make_plate(tmp_path, name, 10, seed=number) for number, name in enumerate(("P1", "P2"))]


def held_out(plates, **changes):
    _, held = TrainingImages(*zip(*plates), channels=CHANNELS, label="none").split(0.2)
    return validation.Validation(held, Denoising(2, "eps", "l2", 0.0), {**VALIDATED, **changes}, Compute())


def test_validation_shows_the_same_images_noise_and_levels_every_time(plates):
    seen = []

    def call(x, y, gamma, condition):
        seen.append((x, y, gamma))
        return torch.zeros_like(y)

    first = held_out(plates).loss({"model": call})
    torch.manual_seed(5)
    assert held_out(plates, seed=99).loss({"model": call}) == first == pytest.approx(1, abs=0.1)  # eps has variance 1
    half = len(seen) // 2
    for one, other in zip(seen[:half], seen[half:]):
        assert all(torch.equal(a, b) for a, b in zip(one, other))
    gammas = torch.cat([gamma for _, _, gamma in seen[:half]])
    assert len(gammas) == validation.IMAGES and len(set(gammas.tolist())) == validation.IMAGES
    assert held_out(plates, batch=3).loss({"model": call}) == pytest.approx(first, rel=1e-5)


def test_many_fields_are_thinned_evenly_and_few_shown_again():
    assert validation.shown(10).tolist() == list(range(validation.IMAGES))
    spread = validation.shown(2000)
    assert len(spread) == validation.IMAGES and spread[0] == 0 and spread[-1] == 1999


def test_the_best_weights_are_kept_and_the_held_out_wells_never_shown(tmp_path, plates, monkeypatch):
    kept, shown, losses = [], set(), iter([0.5, 0.2, 0.4])
    keep, field = steps.Training.validate, TrainingImages.batch
    monkeypatch.setattr(validation.Validation, "loss", lambda self, call: next(losses))

    def validate(self, held):
        keep(self, held)
        kept.append({name: value.clone() for name, value in self.mean.items()})

    def batch(self, *rest):
        shown.update(self.fields["Metadata_Plate"] + self.fields["Metadata_Well"])
        return field(self, *rest)

    monkeypatch.setattr(steps.Training, "validate", validate)
    monkeypatch.setattr(TrainingImages, "batch", batch)
    train.main(train_arguments(tmp_path, plates, VALIDATED))
    lines = store.read_json_lines(tmp_path / "weights.jsonl")
    validated = [line for line in lines if "validation_loss" in line]
    assert validated == [{"images": n, "validation_loss": v} for n, v in ((8, 0.5), (16, 0.2), (24, 0.4))]
    saved, meta = store.read_weights(tmp_path / "weights.safetensors")
    assert all(torch.equal(saved[name], kept[1][name]) for name in saved)
    assert any(not torch.equal(saved[name], kept[2][name]) for name in saved)
    assert len(shown) == 16 and meta["settings"]["validation_share"] == 0.2


def test_validation_changes_no_step_of_training(tmp_path, plates):
    """Its loss is taken from the running mean, and neither weights nor random numbers of the training move."""
    lines = []
    for every in (4, 100):
        train.main(train_arguments(tmp_path, plates, {**VALIDATED, "validate_every_images": every}))
        lines.append([json.loads(line) for line in (tmp_path / "weights.jsonl").read_text().splitlines()])
    often, once = ([line for line in part if "loss" in line] for part in lines)
    assert often == once
    assert lines[0][-1] == lines[1][-1] and len(lines[0]) == len(lines[1]) + 5


def test_a_study_with_too_few_wells_trains_on_all_of_them(tmp_path, plates):
    train.main(train_arguments(tmp_path, plates, {**VALIDATED, "validation_share": 0.05}, "few"))
    train.main(train_arguments(tmp_path, plates, {**VALIDATED, "validation_share": 0}, "none"))
    few, none = (store.read_weights(tmp_path / f"{name}.safetensors")[0] for name in ("few", "none"))
    assert all(torch.equal(few[name], none[name]) for name in none)
    assert (tmp_path / "few.jsonl").read_bytes() == (tmp_path / "none.jsonl").read_bytes()
