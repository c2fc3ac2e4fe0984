import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from brightpaint import store
from brightpaint.models import fit, steps, train, train_classifier
from brightpaint.models.conditions.condition import Condition
from brightpaint.models.data import TrainingImages, augment, random_window
from brightpaint.models.objectives import denoiser as diffusion
from brightpaint.models.objectives.losses import Denoising, build_denoiser
from brightpaint.models.trained import load_module
from conftest import swept
from models_fixture import CHANNELS, SETTINGS, labelled_plates, labelled_weights, make_plate, train_arguments

SOURCE = Path(train.__file__).parents[2]


@pytest.fixture
def plates(tmp_path):
    return [make_plate(tmp_path, name, 6, seed=number) for number, name in enumerate(("P1", "P2"))]


def run(folder, plates, name="weights", **changes):
    train.main(train_arguments(folder, plates, {**SETTINGS, **changes}, name))
    return (folder / f"{name}.safetensors").read_bytes()


# --- data ---


def test_training_images_do_not_depend_on_the_order_of_the_files(tmp_path, plates):
    ahead = run(tmp_path, plates, "a", label="perturbation")
    assert run(tmp_path, plates[::-1], "b", label="perturbation") == ahead


def test_every_field_is_shown_once_before_any_twice_and_in_a_new_order(plates):
    data = TrainingImages(*zip(*plates), channels=CHANNELS, label="none")
    shown = data.order(3, 0, 36)
    epochs = [shown[start : start + 12] for start in (0, 12, 24)]
    assert all(sorted(epoch) == list(range(12)) for epoch in epochs) and epochs[0] != epochs[1]
    assert data.order(3, 5, 20) == shown[5:25]


def test_a_batch_is_a_window_of_its_field_turned_alike_in_all_channels(plates):
    data = TrainingImages(*zip(*plates), channels=CHANNELS, label="perturbation")
    images, condition = data.batch(0, 0, 4, 16)
    assert images.shape == (4, 4, 16, 16) and images.dtype == np.float16
    for image, label, number in zip(images, condition.labels, data.order(0, 0, 4)):
        np.testing.assert_array_equal(image[0], image[2])  # DNA is the first brightfield plane in these plates
        assert np.isin(image, data.field(number)).all()
        assert label == {"DMSO": 1, "cpd1": 2}[data.fields["Metadata_perturbation"][number]]


def test_a_training_of_any_length_begins_at_once(plates):
    """A list of the sizes of all batches took 70 s and gigabytes for 10^9 images."""
    data = TrainingImages(*zip(*plates), channels=CHANNELS, label="none")
    settings = {**SETTINGS, "images": 10**12, "batch": 4, "crop_px": 16}
    run = steps.Training({"model": torch.nn.Linear(1, 1)}, Denoising(1, "v", "l2", 0.0), settings)
    batches = run.batches(data)
    images, condition, count = next(batches)
    batches.close()
    assert (len(images), len(condition), count) == (4, 4, 4)


def test_augment_makes_each_of_the_eight_orientations_that_the_paper_does():
    image = np.arange(4.0).reshape(1, 2, 2)
    seen = {augment(image, np.random.default_rng(seed)).tobytes() for seed in range(100)}
    assert len(seen) == 8
    wide = np.zeros((1, 2, 4))
    assert {augment(wide, np.random.default_rng(seed)).shape for seed in range(20)} == {(1, 2, 4)}


def test_windows_cover_the_field_and_a_small_field_is_taken_whole():
    starts = {random_window((8, 8), 6, np.random.default_rng(seed))[0].start for seed in range(50)}
    assert starts == {0, 1, 2}
    rows, _ = random_window((8, 8), 16, np.random.default_rng(0))
    assert np.zeros(8)[rows].shape == (8,)


def test_active_subset_trains_on_active_perturbations_alone(plates):
    actives = pd.DataFrame({"Metadata_perturbation": ["DMSO", "cpd1"], "active": [0, 1]})
    data = TrainingImages(*zip(*plates), channels=CHANNELS, label="perturbation", actives=actives)
    assert set(data.fields["Metadata_perturbation"]) == {"cpd1"} and len(data) == 6 and data.labels == {"cpd1": 1}
    actives["active"] = 0
    with pytest.raises(ValueError, match="none of their perturbations is active"):
        TrainingImages(*zip(*plates), channels=CHANNELS, label="none", actives=actives)


def test_inputs_that_do_not_belong_together_are_refused(tmp_path, plates):
    with pytest.raises(ValueError, match=r"channels \['RNA'\] are missing"):
        run(tmp_path, plates, channels={"input": ["BF"], "target": ["RNA"]})
    shorter = make_plate(tmp_path, "P9", 4)
    with pytest.raises(ValueError, match="holds 6 fields but .* has 4 rows"):
        TrainingImages([plates[0][0]], [shorter[1]], channels=CHANNELS, label="none")
    larger = make_plate(tmp_path, "P8", 4, size_px=40)
    with pytest.raises(ValueError, match="plates of different sizes"):
        TrainingImages(*zip(plates[0], larger), channels=CHANNELS, label="none")
    with pytest.raises(ValueError, match="subset active needs one table"):
        run(tmp_path, plates, subset="active")


# --- learning rate, running mean, history ---


def test_learning_rate_warms_up_and_decays():
    settings = {"learning_rate": 2.0, "warmup_images": 10, "images": 110, "decay": "cosine"}
    rates = [steps.learning_rate(settings, images) for images in (5, 10, 60, 110)]
    np.testing.assert_allclose(rates, [1.0, 2.0, 1.0, 0.0], atol=1e-12)
    assert steps.learning_rate({**settings, "decay": "constant"}, 110) == 2.0
    assert steps.learning_rate({**settings, "warmup_images": 0}, 0) == 2.0


def test_ema_has_the_stated_half_life_and_is_short_at_first():
    settings = {"ema_images": 100}
    assert steps.ema_decay(settings, 10000, 4) ** 25 == pytest.approx(0.5)
    assert steps.ema_decay(settings, 100, 10) == pytest.approx(0.5)


def small_training(plates, how=None, **changes):
    settings = {**SETTINGS, **changes}
    data = TrainingImages(*zip(*plates), channels=CHANNELS, label="none")
    torch.manual_seed(0)
    denoiser = build_denoiser(settings, CHANNELS, 0)
    return steps.Training({"model": denoiser}, Denoising(2, "v", "l2", 0.1), settings, how), data


def test_ema_is_the_running_mean_of_the_weights(plates):
    run, data = small_training(plates)
    name = "network.last.bias"
    expected = run.networks["model"].state_dict()[name].clone()
    for batch in run.batches(data):
        run.step(*batch)
        decay = steps.ema_decay(SETTINGS, run.seen, 4)
        expected = decay * expected + (1 - decay) * run.networks["model"].state_dict()[name]
    torch.testing.assert_close(run.mean[name], expected, rtol=1e-5, atol=1e-8)


def test_ema_is_what_is_saved(tmp_path, plates, monkeypatch):
    kept = []
    keep = steps.Training.__init__
    monkeypatch.setattr(
        steps.Training, "__init__", lambda self, *rest, **more: kept.append(self) or keep(self, *rest, **more)
    )
    run(tmp_path, plates)
    saved, _ = store.read_weights(tmp_path / "weights.safetensors")
    raw = kept[0].networks["model"].state_dict()
    assert set(saved) == set(raw)
    assert all(torch.equal(saved[name], kept[0].mean[name]) for name in saved)
    assert any(not torch.equal(saved[name], raw[name]) for name in saved)


def test_history_counts_images_and_averages_the_loss(tmp_path, plates):
    run(tmp_path, plates, images=26)
    lines = [json.loads(line) for line in (tmp_path / "weights.jsonl").read_text().splitlines()]
    assert [line["images"] for line in lines] == [4, 8, 12, 16, 20, 24, 26]
    assert all(np.isfinite(line["loss"]) and line["loss"] > 0 for line in lines)
    assert lines[-1]["learning_rate"] == pytest.approx(0, abs=1e-9)


def test_weights_say_what_they_are(tmp_path, plates):
    run(tmp_path, plates, label="target")
    _, meta = store.read_weights(tmp_path / "weights.safetensors")
    assert meta["label_map"] == {"DMSO": 1, "T1": 2} and meta["channels"] == CHANNELS
    assert meta["settings"] == {
        key: value for key, value in {**SETTINGS, "label": "target"}.items() if key != "channels"
    }
    assert set(meta["versions"]) == {"brightpaint", "torch", "computed"}
    assert meta["versions"]["computed"] == "cpu, float32, 1 process(es)"


def test_loss_that_is_not_finite_ends_training_with_a_sentence(plates):
    run, _ = small_training(plates)
    run.seen = 4
    with pytest.raises(ValueError, match="not finite by image 4; lower learning_rate or set clip_norm in the section"):
        run._record({"loss": torch.tensor(float("nan"))}, 4, 1.0, 0.1)


# --- what is learnt ---


def test_label_dropout_shows_the_null_label_at_the_stated_rate():
    seen = []

    class Spy(torch.nn.Module):
        def forward(self, x, y, gamma, condition):
            seen.append(condition.labels)
            return torch.zeros_like(y)

    objective = Denoising(1, "eps", "l2", 0.3)
    drawn = objective.draw((4000, 1, 1, 1), torch.Generator().manual_seed(0))
    y, condition = torch.zeros(4000, 1, 1, 1), Condition.of_labels(torch.ones(4000, dtype=torch.int64))
    objective.loss(diffusion.Denoiser(Spy(), "eps"), y, y, condition, *drawn)
    assert float((seen[0] == 0).double().mean()) == pytest.approx(0.3, abs=0.03)


def test_right_label_gives_less_loss_than_null_and_null_less_than_the_wrong_one():
    tensors, meta = store.read_weights(labelled_weights())
    denoiser = load_module(
        labelled_weights(), build_denoiser(meta["settings"], CHANNELS, 2), tensors, torch.device("cpu")
    )
    data = TrainingImages(*zip(labelled_plates()[2]), channels=CHANNELS, label="perturbation")
    images = torch.from_numpy(np.stack([data.field(number) for number in range(len(data))]))
    right = data.condition
    losses = []
    for condition in (right, right.null(), Condition.of_labels(3 - right.labels)):
        generator = torch.Generator().manual_seed(0)
        gamma = torch.full((len(images),), 0.02, dtype=torch.float64)
        eps = torch.randn(images[:, 2:].shape, generator=generator)
        with torch.no_grad():
            losses.append(float(diffusion.loss(denoiser, images[:, :2], images[:, 2:], condition, gamma, eps, "v")))
    assert losses[0] < 0.7 * losses[1] and losses[1] < losses[2]


def test_blank_and_constant_fields_train_without_trouble(tmp_path):
    stack, table = make_plate(tmp_path, "P1", 2)
    with store.StackWriter(stack, (2, 4, 32, 32), (*CHANNELS["input"], *CHANNELS["target"]), key="blank") as writer:
        for number in range(2):
            writer.write(number, np.zeros((4, 32, 32)))
    run(tmp_path, [(stack, table)])
    tensors, _ = store.read_weights(tmp_path / "weights.safetensors")
    assert all(torch.isfinite(value).all() for value in tensors.values())


# --- resuming ---


@pytest.mark.parametrize("preset", swept(["fast", "paper"], ["fast"]))
def test_same_command_same_bytes_and_nothing_left_behind(tmp_path, plates, preset):
    first = run(tmp_path, plates, "a", preset=preset)
    assert run(tmp_path, plates, "b", preset=preset) == first
    assert run(tmp_path, plates, "c", preset=preset, seed=4) != first
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    endings = {path.name.split(".", 1)[1] for path in tmp_path.glob("a.*")}
    assert endings == {"safetensors", "jsonl"}


def started(arguments, module="train"):
    """Start a training that saves after every step, in a process of its own."""
    words = [*arguments, "--compute", json.dumps({"save_every_s": 0, "prefetch": 1})]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    command = [sys.executable, "-m", f"brightpaint.models.{module}", *words]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def interrupted(process, partial, number, images):
    """Send a signal once a training has seen so many images; return its exit code and what it said."""
    deadline = time.monotonic() + 120
    seen = lambda: partial.exists() and store.read_weights(partial, tensors=False)[1]["seen"]  # noqa: E731
    while time.monotonic() < deadline and not seen() >= images:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.03)
    process.send_signal(number)
    said = process.communicate()[1]
    return process.returncode, said


@pytest.mark.long
@pytest.mark.parametrize("module", swept(["train", "train_classifier"], ["train"]))
def test_training_stopped_twice_goes_on_and_ends_with_the_same_bytes(tmp_path, module):
    """By SIGKILL and then by SIGTERM, at moments that no seed decides; the best weights so far come through too."""
    plates = [make_plate(tmp_path, name, 12, seed=number) for number, name in enumerate(("P1", "P2"))]
    changes = {"images": 64, "preset": "paper", "label": "perturbation"}  # `paper` has dropout: it must resume too
    settings = {**SETTINGS, **changes, "validation_share": 0.2, "validate_every_images": 20}
    partial = tmp_path / "weights.safetensors.partial"
    arguments = train_arguments(tmp_path, plates, settings)
    code, _ = interrupted(started(arguments, module), partial, signal.SIGKILL, 24)
    assert code == -signal.SIGKILL and not (tmp_path / "weights.safetensors").exists()
    seen = store.read_weights(partial)[1]["seen"]
    code, said = interrupted(started(arguments, module), partial, signal.SIGTERM, seen + 4)
    assert code == 143 and f"going on from image {seen}" in said, said
    tensors, meta = store.read_weights(partial)
    assert f"stopped by SIGTERM at image {meta['seen']}; run the same command to go on" in said
    assert any(name.startswith("best.") for name in tensors) and seen < meta["seen"] < 64
    main = {"train": train, "train_classifier": train_classifier}[module].main
    main(arguments)
    assert not partial.exists()
    main(train_arguments(tmp_path, plates, settings, "whole"))
    assert (tmp_path / "weights.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    assert (tmp_path / "weights.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_state_of_other_settings_is_set_aside_and_the_difference_is_named(tmp_path, plates, monkeypatch, caplog):
    other, data = small_training(plates, learning_rate=0.5)
    other.step(*next(other.batches(data)))
    tensors, meta = other.state()
    made_from = fit.made_of({**SETTINGS, "learning_rate": 0.5}, data)
    partial = tmp_path / "weights.safetensors.partial"
    store.write_weights(partial, tensors, {**meta, "made_from": made_from})
    monkeypatch.setattr(fit, "finish", lambda weights: None)
    with caplog.at_level("INFO"):
        mixed = run(tmp_path, plates)
    assert "learning_rate: found 0.5, expected 0.002" in caplog.text and "label" not in caplog.text.split("(")[1]
    assert (tmp_path / "weights.safetensors.stale").exists()
    assert mixed == run(tmp_path, plates, "clean")


def test_a_pickle_in_place_of_a_state_is_refused_and_not_loaded(tmp_path, plates):
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "loaded",))

    (tmp_path / "weights.safetensors.partial").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match="weights.safetensors.partial: not a brightpaint weights file"):
        run(tmp_path, plates)
    assert not (tmp_path / "loaded").exists()


def test_second_training_of_the_same_weights_is_refused(tmp_path, plates):
    with store.locked(tmp_path / "weights.safetensors"):
        with pytest.raises(ValueError, match="being made by another process"):
            run(tmp_path, plates)
