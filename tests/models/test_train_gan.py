"""Generator and critic by their command: they learn, go on after a kill to the same bytes, and are stopped where they should be."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from argparse import Namespace

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from brightpaint import store
from brightpaint.models import fit, gan_watch, train_gan, unlabelled
from brightpaint.models.compute import Compute
from brightpaint.models.image_encoders import read_encoder
from brightpaint.models.see_critic import part_of, read_generator
from brightpaint.models.trained import read_model
from cells_fixture import plate_wells, write_cells
from gan_fixture import SETTINGS, SIZE, arguments, plates, trained
from models_fixture import INPUTS, TARGETS, make_plate

FILES = ("weights.safetensors", "untrained.safetensors", "history.jsonl", "samples.png")
CPU = torch.device("cpu")


def lines(folder):
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


def test_weights_say_what_they_are_and_history_has_losses_regularisations_and_looks():
    folder = trained() / "weights"
    tensors, meta = read_model(folder / "weights.safetensors", ("gan",))
    assert {name.split(".")[0] for name in tensors} == {"generator", "critic"}
    assert meta["channels"] == {"input": [], "target": TARGETS} and meta["label_map"] == {}
    history = lines(folder)
    steps, looks = (
        [line for line in history if "critic_loss" in line],
        [line for line in history if "diversity" in line],
    )
    assert [line["images"] for line in steps] == list(range(4, 52, 4)) and [line["images"] for line in looks] == [
        24,
        48,
    ]
    assert [line["images"] for line in steps if "r1" in line] == [4]  # the first step and every sixteenth
    assert [line["images"] for line in steps if "path_length" in line] == [4, 20, 36]
    expected = {"frechet_critic", "frechet_critic_floor", "frechet_statistics", "frechet_statistics_floor", "real_logit",
                "painted_logit", "doubt", "diversity", "images"}  # fmt: skip
    assert all(set(line) == expected and np.isfinite(list(line.values())).all() for line in looks)
    assert [path.name for path in sorted((folder / "samples").iterdir())] == ["000000000024.png", "000000000048.png"]
    assert (folder / "samples.png").read_bytes()[:4] == b"\x89PNG"


def test_the_running_mean_is_what_samples_and_the_critic_is_as_it_stands(tmp_path, monkeypatch):
    kept = []
    keep = train_gan.GanTraining.__init__
    monkeypatch.setattr(
        train_gan.GanTraining, "__init__", lambda self, *rest, **more: kept.append(self) or keep(self, *rest, **more)
    )
    train_gan.main(arguments(tmp_path, plates(tmp_path), images=16))
    tensors, _ = store.read_weights(tmp_path / "weights" / "weights.safetensors")
    (run,) = kept
    raw = run.networks["generator"].state_dict()
    own = part_of(tensors, "generator")
    assert all(torch.equal(value, run.mean[f"generator.{name}"]) for name, value in own.items())
    assert any(not torch.equal(value, raw[name]) for name, value in own.items())
    assert all(
        torch.equal(value, run.networks["critic"].state_dict()[name])
        for name, value in part_of(tensors, "critic").items()
    )
    module = read_generator(tmp_path / "weights" / "weights.safetensors", CPU)
    saved = gan_watch.samples(module, module, 2, SETTINGS["seed"], run.how)
    by_mean = gan_watch.samples(run._of_mean("generator"), module, 2, SETTINGS["seed"], run.how)
    np.testing.assert_array_equal(saved, by_mean)
    painted = gan_watch.samples(module, module, gan_watch.PICTURED, SETTINGS["seed"], run.how)
    gan_watch.write_picture(tmp_path / "expected.png", gan_watch.picture(painted, painted))
    right = np.s_[:, -gan_watch.PICTURED * SIZE :]
    for name in ("samples.png", "samples/000000000016.png"):  # what is kept, and what was looked at
        shown = imread(tmp_path / "weights" / name)[right]
        np.testing.assert_array_equal(shown, imread(tmp_path / "expected.png")[right], err_msg=name)
    run.networks["generator"].load_state_dict(raw)
    assert not np.array_equal(gan_watch.samples(run.networks["generator"], module, 2, SETTINGS["seed"], run.how), saved)


def test_the_critic_kept_has_the_mean_spread_of_training_images_and_the_untrained_one_that_of_its_own_game():
    folder = trained()
    critics = [read_encoder(folder / "weights" / f"{name}.safetensors", CPU) for name in ("weights", "untrained")]
    data = unlabelled.open_images(
        Namespace(settings=SETTINGS, **{key: [folder / f"{name}.{end}" for name in ("P1", "P2")]
                                        for key, end in (("stacks", "tif"), ("fields", "parquet"))})
    )  # fmt: skip
    watch = gan_watch.Watch(data, SIZE, critics[0].scale, SETTINGS["seed"], Compute(), folder)
    real = gan_watch.mean_spread(critics[0].network, watch.real(0, watch.count), Compute())
    assert float(critics[0].network.spread) == pytest.approx(real, rel=1e-5)
    own = train_gan.initial(SETTINGS, Compute())[1]
    assert float(critics[1].network.spread) == pytest.approx(float(own.spread), rel=1e-5) != pytest.approx(real, 0.01)
    assert any(not torch.equal(a, b) for a, b in zip(*(critic.network.parameters() for critic in critics)))
    images = np.random.default_rng(0).normal(size=(20, 2, SIZE, SIZE)).astype(np.float32)
    whole = critics[0].numbers(images)
    assert whole.shape == (20, 512) and np.array_equal(
        critics[0].numbers(images[3:5]), whole[3:5]
    )  # padded to one shape
    assert np.array_equal(critics[0].numbers(images[::-1]), whole[::-1])


def test_a_stopped_training_goes_on_to_the_same_bytes_however_it_is_computed(tmp_path, monkeypatch):
    made = plates(tmp_path)
    step = train_gan.GanTraining.step

    def stepped(self, *batch):
        step(self, *batch)
        if self.seen == 28:  # after a look, between two lazy steps
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(train_gan.GanTraining, "step", stepped)
    with pytest.raises(SystemExit) as stopped:
        train_gan.main(arguments(tmp_path, made, "again"))
    monkeypatch.undo()
    assert stopped.value.code == fit.STOPPED
    tensors, meta = store.read_weights(tmp_path / "again" / "weights.safetensors.partial")
    assert meta["seen"] == 28 and float(tensors["model.generator.path_mean"]) > 0
    train_gan.main(arguments(tmp_path, made[::-1], "again", how={"prefetch": 2}))
    whole = trained() / "weights"
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (whole / name).read_bytes(), name
    assert not (tmp_path / "again" / "weights.safetensors.partial").exists()


@pytest.mark.exhaustive
def test_two_processes_train_nearly_the_same(tmp_path):
    """Groups of the spread are of each process's own images: alike in the first step but for R1's and logits' company."""
    made = plates(tmp_path)
    words = arguments(tmp_path, made, "two", images=8, validate_every_images=8)
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "brightpaint.models.train_gan",
    ]
    environment = {**os.environ, "PYTHONPATH": str(store.__path__[0]).rsplit("/brightpaint", 1)[0]}
    subprocess.run([*command, *words], check=True, env=environment, capture_output=True)
    train_gan.main(arguments(tmp_path, made, "one", images=8, validate_every_images=8))
    for one, two in zip(
        *([line for line in lines(tmp_path / name) if "critic_loss" in line] for name in ("one", "two"))
    ):
        assert two["critic_loss"] == pytest.approx(one["critic_loss"], rel=0.1)
        assert two["path_length"] == pytest.approx(one["path_length"], rel=0.5) if "path_length" in one else True


def test_bfloat16_is_as_good_for_a_start(tmp_path):
    """Both regularisations are gradients of gradients; asked to compile, which can't do these, it goes on without."""
    changes = {"images": 8, "validate_every_images": 8}
    train_gan.main(arguments(tmp_path, plates(tmp_path), how={"precision": "bfloat16", "compile": True}, **changes))
    found, expected = (lines(folder / "weights")[0] for folder in (tmp_path, trained()))
    for word in ("critic_loss", "r1", "generator_loss", "path_length"):
        assert found[word] == pytest.approx(expected[word], rel=0.1), word


def test_crops_of_single_cells_are_learnt_too(tmp_path):
    path = write_cells(tmp_path / "P1.tif", wells=plate_wells(1), cells=2)
    channels = {"input": [], "target": ["DNA", "RNA"]}
    train_gan.main(
        arguments(tmp_path, [(path, path.with_suffix(".parquet"))], examples="crops", channels=channels, images=16)
    )
    assert read_encoder(tmp_path / "weights" / "weights.safetensors", CPU).channels == ["DNA", "RNA"]


def test_a_game_is_learnt_samples_come_near_the_real_images(tmp_path):
    made = plates(tmp_path, 24)
    changes = {
        "images": 600,
        "batch": 8,
        "width": 8,
        "validate_every_images": 300,
        "ema_images": 100,
        "learning_rate": 4e-3,
    }
    train_gan.main(arguments(tmp_path, made, **changes))
    looks = [line for line in lines(tmp_path / "weights") if "diversity" in line]
    untrained = lines(trained() / "weights")
    first = next(line for line in untrained if "diversity" in line)
    assert looks[-1]["frechet_statistics"] < 0.7 * first["frechet_statistics"]
    assert looks[-1]["frechet_statistics"] > looks[-1]["frechet_statistics_floor"]
    assert 0.3 < looks[-1]["diversity"] < 2


# --- what is refused ---


def spoilt(folder, change):
    """Write two plates, the second changed by `change(images)`."""
    made = plates(folder)
    stack = store.open_stack(made[1][0])
    images = np.array(stack.images, np.float32)
    made[1][0].unlink()
    import tifffile

    described = {"axes": "QCYX", "channels": [*INPUTS, *TARGETS], "fields": len(images)}
    tifffile.imwrite(made[1][0], change(images).astype(np.float16), photometric="minisblack", metadata=described)
    return made


def with_nan(images):
    images[3, 2, 5, 5] = np.nan
    return images


def test_what_cannot_be_learnt_is_refused_before_the_first_step(tmp_path, monkeypatch):
    monkeypatch.setattr(train_gan.GanTraining, "step", lambda *rest: pytest.fail("a step was taken"))
    with pytest.raises(
        ValueError, match=r"plate P2, well A04, site 1.*, channel DNA: not finite; delete its stack and rerun"
    ):
        train_gan.main(arguments(tmp_path, spoilt(tmp_path, with_nan)))
    one = [make_plate(tmp_path, "P3", 1)]
    with pytest.raises(ValueError, match="P3.tif: 1 fields to train on, expected 8 at least, as many as a batch has"):
        train_gan.main(arguments(tmp_path, one))
    flat = make_plate(tmp_path, "P4", 9)
    with store.StackWriter(flat[0], (9, 4, 32, 32), (*INPUTS, *TARGETS), key="flat") as writer:
        for number in range(9):
            image = np.random.default_rng(number).normal(size=(4, 32, 32))
            image[3] = 0.25
            writer.write(number, image)
    with pytest.raises(
        ValueError, match=r"channel ER is constant \(0.25\) in all 9 fields: .* leave it out of gan.channels"
    ):
        train_gan.main(arguments(tmp_path, [flat]))
    with pytest.raises(
        ValueError, match=r"plate P3, .*: fields of 32 x 32 px, expected 64 x 64 at least; set gan.size_px"
    ):
        train_gan.main(arguments(tmp_path, [make_plate(tmp_path, "P3", 9)], size_px=64))
    crops = write_cells(tmp_path / "P5.tif", wells=plate_wells(1), cells=2, size=(1, 16, 24))
    channels = {"input": [], "target": ["DNA", "RNA"]}
    with pytest.raises(ValueError, match=r"crops of 16 x 24 px, expected 16 x 16 exactly"):
        train_gan.main(
            arguments(tmp_path, [(crops, crops.with_suffix(".parquet"))], examples="crops", channels=channels)
        )


def look(images, **changes):
    return {"images": images, "diversity": 0.8, "doubt": 0.6, "frechet_critic": 1.0, **changes}


def test_a_game_that_is_over_is_stopped_with_advice():
    assert gan_watch.problem([look(1), look(2)]) is None
    assert gan_watch.problem([look(1, diversity=0.001)]) is None  # one look may be too early
    assert gan_watch.problem([look(1, diversity=0.001), look(2)]) is None
    said = gan_watch.problem([look(1), look(2, diversity=0.01), {"images": 3, "r1": 1.0}, look(4, diversity=0.001)])
    assert said.startswith(
        "the generator has collapsed by image 4: its samples differ by 0.1% of what real images do; look at"
    )
    said = gan_watch.problem([look(1, doubt=0.001), look(2, doubt=0.002)])
    assert said.startswith("the critic wins outright by image 2: its loss is 0.002") and "raise gan.r1" in said


def test_a_collapsed_generator_stops_the_training(tmp_path, monkeypatch):
    """Styles that a generator does not heed: it paints one image, whatever it is given."""
    initial = train_gan.initial

    def deaf(settings, how):
        generator, critic = initial(settings, how)
        with torch.no_grad():
            for name, value in generator.named_parameters():
                if name.endswith("style.weight"):
                    value.zero_().requires_grad_(False)
        return generator, critic

    monkeypatch.setattr(train_gan, "initial", deaf)
    with pytest.raises(ValueError, match="the generator has collapsed by image 16"):
        train_gan.main(arguments(tmp_path, plates(tmp_path), validate_every_images=8, learning_rate=1e-9))
    assert not (tmp_path / "weights" / "weights.safetensors").exists()


def test_samples_that_are_not_finite_stop_the_training(tmp_path):
    how, folder = Compute(), trained() / "weights"
    judge, game = read_encoder(folder / "weights.safetensors", CPU), read_generator(folder / "weights.safetensors", CPU)
    data = unlabelled.open_images(
        Namespace(settings=SETTINGS, stacks=[trained() / "P1.tif"], fields=[trained() / "P1.parquet"])
    )
    watch = gan_watch.Watch(data, SIZE, judge.scale, 0, how, tmp_path)
    assert watch.look(game, game, judge.network, 7)["diversity"] > 0 and [path.name for path in tmp_path.iterdir()]
    with torch.no_grad():
        game.images[0].bias.fill_(float("nan"))
    with pytest.raises(
        ValueError, match="samples, or what the critic says, are not finite by image 8; lower gan.learning_rate"
    ):
        watch.look(game, game, judge.network, 8)


def test_a_loss_that_is_not_finite_names_the_section(tmp_path):
    with pytest.raises(
        ValueError,
        match=r"not finite by image \d+; lower learning_rate or set clip_norm .*\(train, codecs, cellnet or gan\)",
    ):
        train_gan.main(arguments(tmp_path, plates(tmp_path), learning_rate=1e20))
