"""Class directions among the styles of a generator: a linear one with known answers, and a small StyleGAN2 by the commands."""

from __future__ import annotations

import functools
import json
import os
import signal

import numpy as np
import pandas as pd
import pytest
import torch
from test_stylegan import critic, drawn, generator

from brightpaint import store
from brightpaint.models import fit, train
from brightpaint.models.kinds import style_direction
from brightpaint.models.objectives.gan_losses import Scale
from brightpaint.models.objectives.style_distance import StyleDistance, critic_maps
from brightpaint.models.paint import source_fields, translate
from brightpaint.models.paint.project import Projection, nearer, project
from brightpaint.models.paint.styles import Styles, StyleTranslator
from brightpaint.models.trained import read_model
from gan_fixture import SIZE
from gan_fixture import trained as trained_gan
from models_fixture import SETTINGS as TRAINING
from models_fixture import TARGETS, make_plate, train_arguments

CHANNELS = {"input": [], "target": TARGETS}
CPU = torch.device("cpu")
WIDE = [[-20.0, 20.0]] * 2
UNSCALED = [[-1.0, 1.0]] * 2
WIDTH, STEPS = 128, 300


class Linear(torch.nn.Module):
    """A generator that is a rotation: styles of 128 numbers are two channels of 8 x 8 px, and noise decides nothing."""

    layers, noise = 1, 1

    def __init__(self):
        super().__init__()
        turned = torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=torch.Generator().manual_seed(1)))[0]
        self.turned = turned / 20  # far within the window

    def mapping(self, z):
        return z[:, :WIDTH]

    def painted(self, styles, noise):
        return (styles[:, 0] @ self.turned.T).unflatten(1, (2, 8, 8))


def linear():
    """Return styles of the linear generator, by pixels alone."""
    return Styles(Linear(), None, Scale(WIDE), torch.zeros(WIDTH), 1.0, 1, STEPS, CPU, 8)


def contents(count, seed=0):
    return torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(seed))


def shown(styles, w):
    """Return the images of styles (n, 512), z-scores."""
    return styles.paint(w[:, None], torch.zeros(len(w), 1))


def test_projection_finds_the_style_that_painted_an_image_however_large_styles_are():
    for size in (1.0, 30.0):
        w, paint = size * contents(3), functools.partial(Linear().painted, noise=None)
        target = paint(w[:, None])
        found = project(paint, StyleDistance(None, target), torch.zeros(3, 1, WIDTH), size, STEPS)
        assert (found.styles[:, 0] - w).abs().max() < 2e-3 * size
        assert (found.ended < 1e-8 * found.begun).all() and (found.update < 1e-4).all()


def test_the_direction_is_the_difference_of_class_means_and_the_translation_is_exact():
    styles, w, classes = linear(), contents(6), contents(2, seed=9)
    found = [styles.project(shown(styles, w + place), torch.zeros(6, 1)).styles.mean(0) for place in classes]
    means = dict(zip("ab", found))
    np.testing.assert_allclose((means["b"] - means["a"])[0], classes[1] - classes[0], atol=5e-3)
    new = contents(2, seed=5)
    field = np.concatenate([shown(styles, new + place) for place in classes]).reshape(2, 2, 2, 8, 8)
    source, wanted = (np.concatenate(list(part), axis=-1)[None] for part in field)  # two squares side by side
    translator = StyleTranslator(styles, means, {"seed": 0, "from_noise": False}, 15.0, (8, 16))
    rows = rows_of(1)
    latents, report = translator.up(source[:, :0], source, "a", rows)
    np.testing.assert_allclose(translator.down(source[:, :0], latents, "a", rows), source, atol=5e-3)
    np.testing.assert_allclose(translator.down(source[:, :0], latents, "b", rows), wanted, atol=1e-2)
    assert report["steps"].tolist() == [STEPS] and report["unsettled_steps"].tolist() == [0]


def rows_of(count):
    keys = {"Metadata_Plate": "P", "Metadata_Well": [f"A{n + 1:02d}" for n in range(count)], "Metadata_Site": 1}
    return pd.DataFrame({**keys, "Metadata_Tile": 1})


def test_fresh_styles_lie_about_the_place_of_their_class_and_are_of_the_field():
    styles = linear()
    places = {"a": torch.zeros(1, WIDTH), "b": torch.full((1, WIDTH), 3.0)}
    fresh = StyleTranslator(styles, places, {"seed": 0, "from_noise": True}, 15.0, (8, 8))
    source = np.zeros((3, 2, 8, 8), np.float32)
    latents, report = fresh.up(source[:, :0], source, "a", rows_of(3))
    assert abs(float(latents.mean())) < 0.1 and report["steps"].tolist() == [0, 0, 0]
    assert np.isnan(report["largest_update"]).all() and np.abs(report["latent_sd"] - 1).max() < 0.1
    one, _ = fresh.up(source[2:, :0], source[2:] + 1, "b", rows_of(3).iloc[[2]])  # whatever the source and its class
    assert torch.equal(one[0], latents[2]) and not torch.equal(latents[0], latents[1])
    moved = fresh.down(source[:, :0], latents, "b", rows_of(3)) - fresh.down(source[:, :0], latents, "a", rows_of(3))
    step = shown(styles, places["b"]) - shown(styles, places["a"])
    np.testing.assert_allclose(moved, np.repeat(step, 3, 0), atol=1e-4)


def test_the_distance_is_nothing_of_itself_and_counts_pixels_at_several_sizes_and_maps():
    judge = critic().requires_grad_(False)
    images = torch.randn(2, 2, 16, 16, generator=torch.Generator().manual_seed(0))
    assert StyleDistance(judge, images)(images).tolist() == [0, 0]
    shift = StyleDistance(None, images)(images + 0.5)
    torch.testing.assert_close(shift, torch.full((2,), 0.25))  # at every size alike
    flicker = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(8, 8)
    torch.testing.assert_close(
        StyleDistance(None, images)(images + flicker), torch.full((2,), 0.25)
    )  # gone at 2, 4 and 8 px
    assert (StyleDistance(judge, images)(images + flicker) > 0.25).all()
    maps = critic_maps(judge, images)
    assert [tuple(each.shape[2:]) for each in maps] == [(8, 8), (4, 4)]
    assert all(float((each.square().sum(1) - 1).abs().max()) < 1e-3 for each in maps)


def test_w_plus_comes_nearer_than_w_to_images_of_mixed_styles():
    module, judge = generator("skip").requires_grad_(False), critic().requires_grad_(False)
    z, cut, noise = drawn(module, 2, seed=7)
    target = module(z, torch.full_like(cut, 3), noise)[
        0
    ].numpy()  # two styles, mixed at the third layer: W has none of them
    centre = module.mapping(torch.randn(256, 512, generator=torch.Generator().manual_seed(3))).mean(0)
    of = [Styles(module, judge, Scale(UNSCALED), centre, 1.0, rows, 40, CPU, 16) for rows in (1, module.layers)]
    one, each = (styles._projected(target, noise).ended for styles in of)
    assert (each < one).all() and float(each.sum()) < 0.6 * float(one.sum())


def test_of_two_projections_the_nearer_one_is_kept_image_by_image():
    parts = torch.tensor([1.0, 1.0]), torch.tensor([0.5, 0.2]), torch.tensor([0.01, 0.02])
    one, other = (
        Projection(torch.zeros(2, 1, 3), *parts),
        Projection(torch.ones(2, 2, 3), parts[1], parts[1].flip(0), parts[2] / 2),
    )
    kept = nearer(one, other)
    assert kept.styles[:, :, 0].tolist() == [[1, 1], [0, 0]] and kept.begun.tolist() == [1, 1]
    torch.testing.assert_close(kept.ended, torch.tensor([0.2, 0.2]))
    torch.testing.assert_close(kept.update, torch.tensor([0.005, 0.02]))


# --- a small StyleGAN2 of fields of 32 px, by the commands: four squares of 16 px a field ---


def settings_of(**changes):
    projection = {"space": "w", "steps": 12, "images": 5, **changes.pop("projection", {})}
    base = {"base": str(trained_gan() / "weights" / "weights.safetensors")}
    own = {
        "kind": "style_direction",
        "label": "perturbation",
        "channels": CHANNELS,
        "projection": projection,
        "stands_on": base,
    }
    return {**TRAINING, **own, **changes}


def directions(folder, name="weights", made=None, **changes):
    """Find class directions on two plates; return the weights' path."""
    train.main(train_arguments(folder, made or given(), settings_of(**changes), name))
    return folder / f"{name}.safetensors"


@functools.cache
def given():
    return [(trained_gan() / f"{name}.tif", trained_gan() / f"{name}.parquet") for name in ("P1", "P2")]


@pytest.fixture(scope="module", params=["w", "w+"])
def weights(request, tmp_path_factory):
    return directions(tmp_path_factory.mktemp("directions"), projection={"space": request.param})


@pytest.fixture(scope="module")
def plate(tmp_path_factory):
    """A plate of six fields that was not trained on, three of each class."""
    return make_plate(tmp_path_factory.mktemp("plate"), "T1", 6, seed=5)


def translated(folder, path, plate, part=1, parts=1, **changes):
    """Translate the plate's DMSO fields; return (images, rows, inversion) of the part."""
    folder.mkdir(parents=True, exist_ok=True)
    table, out = folder / "rows.parquet", folder / f"{part:03d}"
    chosen = json.dumps({"source": None, "targets": "all", "fields": None})
    words = ["--settings", chosen, "--arm", "a", "--weights", path, "--fields", plate[1], "--rows", table]
    source_fields.main([str(word) for word in words])
    settings = {"seed": 0, "from_noise": False, "brightfield": False, "inputs": [], "batch": 2, **changes}
    words = [
        "--settings",
        json.dumps(settings),
        "--device",
        "cpu",
        "--weights",
        path,
        "--stack",
        plate[0],
        "--rows",
        table,
    ]
    words += [
        "--part",
        part,
        "--parts",
        parts,
        "--predicted",
        out.with_suffix(".tif"),
        "--seconds",
        out.with_suffix(".tsv"),
    ]
    translate.main([str(word) for word in [*words, "--inversion", folder / f"{part:03d}.inversion.tsv"]])
    images = np.array(store.open_stack(out.with_suffix(".tif")).images, np.float32)
    return images, store.read_fields(table), store.read_table(folder / f"{part:03d}.inversion.tsv")


def test_weights_hold_generator_critic_and_the_mean_style_of_every_class(weights):
    tensors, meta = read_model(weights, ("style_direction",))
    base, said = store.read_weights(trained_gan() / "weights" / "weights.safetensors")
    assert set(tensors) == {*base, "means"} and all(torch.equal(tensors[name], value) for name, value in base.items())
    rows = 1 if meta["settings"]["projection"]["space"] == "w" else 6  # two layers of each of 4, 8 and 16 px
    assert tensors["means"].shape == (2, rows, 512) and meta["label_map"] == {"DMSO": 1, "cpd1": 2}
    described = meta["settings"]["generator"]
    assert described["digest"] == store.file_digest(trained_gan() / "weights" / "weights.safetensors")
    assert described["size_px"] == SIZE and described["windows"] == said["settings"]["windows"]
    lines = [json.loads(line) for line in weights.with_suffix(".jsonl").read_text().splitlines()]
    assert [(line["class"], line["images"]) for line in lines] == [("DMSO", 5), ("cpd1", 5)]
    assert all(line["loss"] < 0.9 * line["mean_style"] for line in lines)


def test_a_translation_shows_each_class_and_its_reconstruction_is_nearer_than_the_mean_style(weights, plate, tmp_path):
    images, rows, inversion = translated(tmp_path, weights, plate)
    own, other = ((rows["Metadata_painted_as"] == name).to_numpy() for name in ("DMSO", "cpd1"))
    stack = store.open_stack(plate[0])
    real = np.stack([stack.images[row][2:] for row in rows["stack_row"]]).astype(np.float32)
    assert images.shape == (6, 2, 32, 32) and own.sum() == other.sum() == 3
    assert np.abs(images[own] - images[other]).max() > 0.01
    fresh, _, noted = translated(tmp_path / "fresh", weights, plate, from_noise=True)
    error = lambda part: np.sqrt(((part - real[own]) ** 2).mean())  # noqa: E731
    assert error(images[own]) < 0.9 * error(fresh[own])
    in_w = read_model(weights, ("style_direction",))[1]["settings"]["projection"]["space"] == "w"
    assert inversion["iterations"].tolist() == [12 if in_w else 24] * 3
    assert inversion["steps"].tolist() == [12] * 3 and inversion["largest_update"].between(0, 0.05).all()
    np.testing.assert_allclose(
        inversion["round_trip_ER"], np.sqrt(((images - real)[own, 1] ** 2).mean((1, 2))), atol=2e-3
    )
    assert noted["steps"].tolist() == [0] * 3 and noted["largest_update"].isna().all()


@pytest.mark.parametrize("weights", ["w"], indirect=True)
def test_parts_batches_neighbours_and_a_resume_change_no_bit(weights, plate, tmp_path, monkeypatch):
    whole, _, noted = translated(tmp_path / "whole", weights, plate)
    parts = [translated(tmp_path / "parts", weights, plate, part, 2, batch=3) for part in (1, 2)]
    np.testing.assert_array_equal(np.concatenate([images for images, _, _ in parts]), whole)
    pd.testing.assert_frame_equal(pd.concat([each for _, _, each in parts], ignore_index=True), noted)
    down = StyleTranslator.down

    def dies(self, *args):
        if (tmp_path / "killed" / "once").exists() and args[2] == "cpd1":
            raise KeyboardInterrupt
        (tmp_path / "killed" / "once").touch()
        return down(self, *args)

    (tmp_path / "killed").mkdir()
    monkeypatch.setattr(StyleTranslator, "down", dies)
    with pytest.raises(KeyboardInterrupt):
        translated(tmp_path / "killed", weights, plate)
    monkeypatch.undo()
    again, _, resumed = translated(tmp_path / "killed", weights, plate)
    np.testing.assert_array_equal(again, whole)
    pd.testing.assert_frame_equal(resumed, noted)


def test_directions_that_were_stopped_go_on_to_the_same_bytes(tmp_path, monkeypatch):
    most = {"images": 9, "steps": 5}  # eighteen squares, in two batches
    directions(tmp_path, "whole", projection=most)
    step = style_direction.Projecting.step

    def stepped(self, *batch):
        step(self, *batch)
        if self.seen == 16:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(style_direction.Projecting, "step", stepped)
    with pytest.raises(SystemExit) as stopped:
        directions(tmp_path, "again", projection=most)
    monkeypatch.undo()
    assert stopped.value.code == fit.STOPPED
    assert store.read_weights(tmp_path / "again.safetensors.partial")[1]["seen"] == 16
    directions(tmp_path, "again", projection=most)
    for end in (".safetensors", ".jsonl"):
        assert (tmp_path / f"again{end}").read_bytes() == (tmp_path / f"whole{end}").read_bytes()
    assert not (tmp_path / "again.safetensors.partial").exists()


def test_squares_are_spread_over_a_class_and_looked_at_again_where_fields_are_few():
    class Data:
        labels = {"DMSO": 1, "cpd1": 2}
        condition = type("Condition", (), {"labels": torch.tensor([1, 2, 1, 0, 1, 1, 1, 2])})

        def __len__(self):
            return 8

    assert style_direction.chosen(Data(), 3, 4) == [(1, 0), (1, 4), (1, 6), (2, 1), (2, 7), (2, 9)]
    assert style_direction.chosen(Data(), 3, 1) == [(1, 0), (1, 4), (1, 6), (2, 1), (2, 7)]
