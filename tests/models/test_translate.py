"""Translation of real fields by a small trained model: the class decides, structure stays, and a kill costs nothing."""

import functools
import json
import logging
import threading
from argparse import Namespace

import numpy as np
import pandas as pd
import pytest
import torch

from brightpaint import store
from brightpaint.models import train
from brightpaint.models.compute import Compute
from brightpaint.models.conditions.condition import Condition
from brightpaint.models.kinds import diffusion
from brightpaint.models.objectives.denoiser import loss
from brightpaint.models.objectives.losses import build_denoiser, noise
from brightpaint.models.paint import gather, source_fields, translate
from brightpaint.models.trained import load_module, read_model
from codec_fixture import latent_weights
from codec_fixture import trained as trained_codec
from conftest import swept
from models_fixture import (
    CHANNELS,
    SAMPLING,
    SETTINGS,
    labelled_plates,
    labelled_weights,
    made,
    make_plate,
    train_arguments,
)

HOW = {"inner": 8, "tolerance": 1e-4, "from_noise": False, "brightfield": False}
NO_BRIGHTFIELD = {**CHANNELS, "input": []}
LEVEL = {"DMSO": 0.7, "cpd1": -0.7}  # mean of ER: the class; what lies where in a field is the same in both


def level_plates(folder):
    """Write two plates whose ER is higher in DMSO than under cpd1, by 1.4 s.d. of its blobs."""
    for name, seed in {"P1": 1, "P2": 2}.items():
        (folder / "signed").mkdir(exist_ok=True)
        stack, table = make_plate(folder / "signed", name, 8, seed=seed, size_px=16)
        images, fields = np.array(store.open_stack(stack).images, np.float32), store.read_fields(table)
        with store.StackWriter(
            folder / stack.name, images.shape, store.open_stack(stack).channels, key="levels"
        ) as writer:
            for number, image in enumerate(images):
                image[3] = 0.6 * image[2] + LEVEL[fields["Metadata_perturbation"].iloc[number]]
                writer.write(number, image)
        store.write_table(fields, folder / table.name)


@functools.cache
def plates():
    folder = made("levels", level_plates)
    return [(folder / f"{name}.tif", folder / f"{name}.parquet") for name in ("P1", "P2")]


@functools.cache
def weights(images=1200):
    """Return the weights of a model that sees no brightfield; of 1,200 images, one that heeds its label."""
    settings = {**SETTINGS, "label": "perturbation", "images": images, "batch": 8, "learning_rate": 4e-3, "ema_images": 100,
                "channels": NO_BRIGHTFIELD}  # fmt: skip
    folder = made(f"levels_{images}", lambda folder: train.main(train_arguments(folder, plates()[:1], settings)))
    return folder / "weights.safetensors"


def rows_table(folder, plate, path, **chosen):
    table = folder / "rows.parquet"
    settings = {"source": None, "targets": "all", "fields": None, **chosen}
    words = ["--settings", json.dumps(settings), "--arm", "a", "--weights", path, "--fields", plate[1], "--rows", table]
    source_fields.main([str(word) for word in words])
    return table


def words_of(folder, path, table, plate, part=1, parts=1, steps=8, **changes):
    settings = {**SAMPLING, **HOW, "steps": steps, "walked": steps, "inputs": [], **changes}
    words = [
        "--settings",
        json.dumps(settings),
        "--device",
        "cpu",
        "--threads",
        "1",
        "--weights",
        path,
        "--stack",
        plate[0],
    ]
    words += ["--rows", table, "--part", f"{part:03d}", "--parts", parts, "--predicted", folder / f"{part:03d}.tif"]
    words += ["--seconds", folder / f"{part:03d}.tsv", "--inversion", folder / f"{part:03d}.inversion.tsv"]
    return [str(word) for word in words]


def translated(folder, path=None, plate=None, chosen=None, **changes):
    """Translate a test plate in one part; return (images, rows, inversion)."""
    folder.mkdir(parents=True, exist_ok=True)
    path, plate = path or weights(48), plate or plates()[1]
    table = rows_table(folder, plate, path, **(chosen or {}))
    translate.main(words_of(folder, path, table, plate, **changes))
    images = np.array(store.open_stack(folder / "001.tif").images, np.float32)
    return images, store.read_fields(table), store.read_table(folder / "001.inversion.tsv")


def real(plate, rows):
    stack = store.open_stack(plate[0])
    return np.stack([stack.images[row][stack.channel_indices(CHANNELS["target"])] for row in rows["stack_row"]]).astype(
        np.float32
    )


def test_the_source_class_comes_back_and_the_target_class_has_its_level_and_the_sources_blobs(tmp_path):
    images, rows, inversion = translated(tmp_path, weights(), steps=25)
    own, other = ((rows["Metadata_painted_as"] == name).to_numpy() for name in ("DMSO", "cpd1"))
    source = real(plates()[1], rows)
    assert len(images) == 8 and own.sum() == other.sum() == 4
    assert np.abs(images[own] - source[own]).max() < 0.02
    levels = images[:, 1].mean(axis=(1, 2))
    assert (
        np.abs(levels[other] - LEVEL["cpd1"]) < np.abs(levels[own] - LEVEL["cpd1"])
    ).all()  # nearer than reconstructions
    assert levels[own].mean() - levels[other].mean() > 0.5  # of the 1.4 between the classes
    blobs = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(images[other][:, 0], source[other][:, 0])]
    unrelated = np.roll(source[other][:, 0], 1, axis=0)
    assert np.mean(blobs) > 0.5 + np.mean(
        [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(images[other][:, 0], unrelated)]
    )
    assert (inversion["unsettled_steps"] == 0).all() and (inversion["largest_update"] <= 1e-4).all()
    assert inversion["round_trip_DNA"].max() < 0.01 and (inversion["latent_sd"] - 1).abs().max() < 0.6


@pytest.mark.long
def test_plain_inversion_and_iterations_that_are_too_few_say_what_they_leave(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    _, _, plain = translated(tmp_path / "plain", inner=0, steps=10)
    _, _, few = translated(tmp_path / "few", inner=1, steps=10)
    _, _, many = translated(tmp_path / "many", inner=40, steps=10)
    assert (
        "4 of 4 fields have steps of inversion, 9 at most, that did not settle to 0.0001 in 1 iterations" in caplog.text
    )
    assert (
        (plain["unsettled_steps"] == 10).all()
        and plain["largest_update"].isna().all()
        and (plain["iterations"] == 0).all()
    )
    assert few["unsettled_steps"].min() > 0 and (few["iterations"] == 10).all()
    assert many["round_trip_DNA"].max() < 0.1 * plain["round_trip_DNA"].min()
    assert (many["iterations"] > 10).all() and many["Metadata_Well"].tolist() == ["A01", "A03", "A05", "A07"]


@pytest.mark.parametrize("parts", swept([2, 6], [6]))
def test_parts_are_whole_fields_and_change_no_byte(tmp_path, parts):
    whole, _, inversion = translated(tmp_path, batch=3)
    plate, path = plates()[1], weights(48)
    for part in range(1, parts + 1):
        (tmp_path / "parts").mkdir(exist_ok=True)
        translate.main(words_of(tmp_path / "parts", path, tmp_path / "rows.parquet", plate, part, parts, batch=3))
    made_parts = [tmp_path / "parts" / f"{part:03d}.tif" for part in range(1, parts + 1)]
    words = ["--parts", *made_parts, "--part-seconds", *[part.with_suffix(".tsv") for part in made_parts]]
    words += ["--fields", tmp_path / "rows.parquet", "--active", "--stack", tmp_path / "all.tif"]
    gather.main([str(word) for word in [*words, "--rows", tmp_path / "all.parquet", "--seconds", tmp_path / "all.tsv"]])
    np.testing.assert_array_equal(np.array(store.open_stack(tmp_path / "all.tif").images, np.float32), whole)
    gathered = store.read_fields(tmp_path / "all.parquet")
    assert (
        gathered[store.ROW_KEYS].values.tolist()
        == store.read_fields(tmp_path / "rows.parquet")[store.ROW_KEYS].values.tolist()
    )
    read = [store.read_table(part.with_suffix(".inversion.tsv")) for part in made_parts]
    pd.testing.assert_frame_equal(pd.concat([each for each in read if len(each)], ignore_index=True), inversion)


class Killed(Exception):
    pass


def test_a_killed_translation_goes_on_to_the_same_bytes(tmp_path, monkeypatch):
    translated(tmp_path / "whole", steps=6)
    plate, path, table = plates()[1], weights(48), tmp_path / "whole" / "rows.parquet"
    (tmp_path / "killed").mkdir()
    write = store.StackWriter.write
    for allowed in (3, 2):  # in the midst of a field's classes, and after a batch

        def limited(self, row, image, left=[allowed]):  # noqa: B006
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            write(self, row, image)

        monkeypatch.setattr(store.StackWriter, "write", limited)
        with pytest.raises(Killed):
            translate.main(words_of(tmp_path / "killed", path, table, plate, steps=6))
    asked = []
    monkeypatch.setattr(
        store.StackWriter, "write", lambda self, row, image: (asked.append(row), write(self, row, image))[1]
    )
    translate.main(words_of(tmp_path / "killed", path, table, plate, steps=6))
    assert 0 < len(asked) <= 8
    for name in ("001.tif", "001.inversion.tsv"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not list((tmp_path / "killed").glob("*.partial*"))


def test_reading_and_writing_beside_the_painting_change_no_byte(tmp_path, monkeypatch):
    """Beside one after the other: rows in the same order, from another thread than paints, and notes after a field's last class."""
    came, write, add = [], store.StackWriter.write, store.Journal.add

    def written(self, row, image):
        came.append((row, threading.current_thread() is threading.main_thread()))
        write(self, row, image)

    def noted(self, line):
        came.append((f"note of {line['place']}", threading.current_thread() is threading.main_thread()))
        return add(self, line)

    def one_after_another(items, read, work, write):
        for item in items:
            write(item, work(*read(item)))
            yield item

    monkeypatch.setattr(store.StackWriter, "write", written)
    monkeypatch.setattr(store.Journal, "add", noted)
    translated(tmp_path / "beside", batch=3, steps=6)
    beside = came[:]
    came.clear()
    monkeypatch.setattr(translate, "overlapped", one_after_another)
    translated(tmp_path / "after", batch=3, steps=6)
    assert [what for what, _ in beside] == [what for what, _ in came] and len(beside) > 9
    assert not any(main for _, main in beside) and all(main for _, main in came)
    for name in ("001.tif", "001.inversion.tsv"):
        assert (tmp_path / "beside" / name).read_bytes() == (tmp_path / "after" / name).read_bytes()


def test_batch_size_changes_no_more_than_rounding_and_settings_set_unfinished_work_aside(tmp_path):
    one, four = (translated(tmp_path / str(batch), batch=batch, steps=6)[0] for batch in (1, 4))
    np.testing.assert_allclose(one, four, atol=5e-3)
    other = translated(tmp_path / "1", batch=1, steps=6, inner=0)[0]  # over the finished part of other settings
    assert (other != one).any()


def test_from_noise_the_source_stays_the_less_the_more_noise_there_is(tmp_path):
    plate = plates()[1]
    errors = []
    for walked in (1, 4, 8):
        images, rows, inversion = translated(tmp_path / str(walked), weights(), from_noise=True, walked=walked)
        own = (rows["Metadata_painted_as"] == "DMSO").to_numpy()
        errors.append(np.abs(images - real(plate, rows))[own].mean())
        assert (inversion["steps"] == walked).all() and (inversion["iterations"] == 0).all()
    assert errors[0] < 0.8 * errors[1] and errors[1] < errors[2]


def test_fresh_noise_has_nothing_of_the_source_and_is_the_same_for_every_class(tmp_path):
    plate = make_plate(tmp_path, "P3", 8, seed=3, size_px=16)
    flat, rows = tmp_path / "flat.tif", store.read_fields(plate[1])
    with store.StackWriter(flat, (8, 4, 16, 16), store.open_stack(plate[0]).channels, key="flat") as writer:
        for number in range(8):
            writer.write(number, np.zeros((4, 16, 16)))
    first = translated(tmp_path / "a", plate=plate, from_noise=True, steps=6)[0]
    second = translated(tmp_path / "b", plate=(flat, plate[1]), from_noise=True, steps=6)[0]
    np.testing.assert_array_equal(first, second)
    assert len(rows) == 8 and (first[0] != first[2]).any()  # each field has noise of its own
    other = translated(tmp_path / "c", plate=plate, from_noise=True, steps=6, seed=1)[0]
    assert (other != first).any()


def test_less_strength_keeps_more_of_the_source(tmp_path):
    plate = plates()[1]
    moved = []
    for walked in (2, 8):
        images, rows, _ = translated(tmp_path / str(walked), weights(), walked=walked)
        other = (rows["Metadata_painted_as"] == "cpd1").to_numpy()
        moved.append(np.abs(images - real(plate, rows))[other].mean())
    assert moved[0] < moved[1]


@pytest.mark.long
def test_guidance_goes_further_to_the_target_class_and_leaves_the_inversion_alone(tmp_path):
    plain, rows, first = translated(tmp_path / "a", weights(), steps=10)
    guided, _, second = translated(tmp_path / "b", weights(), steps=10, label_scale=2.0)
    other = (rows["Metadata_painted_as"] == "cpd1").to_numpy()
    assert guided[other, 1].mean() < plain[other, 1].mean() - 0.05
    assert first["latent_sd"].tolist() == second["latent_sd"].tolist()


@pytest.mark.long
def test_brightfield_is_a_condition_on_both_ways_where_the_arm_says_so(tmp_path):
    """The stains of this very field under the other compound, which turns ER over: with its brightfield, that is known."""
    chosen, plate = {"inputs": CHANNELS["input"], "brightfield": True, "steps": 25, "inner": 20}, labelled_plates()[2]
    images, rows, _ = translated(tmp_path / "with", labelled_weights(), plate, **chosen)
    source = real(plate, rows)
    own, other = ((rows["Metadata_painted_as"] == name).to_numpy() for name in ("DMSO", "cpd1"))
    assert np.abs(images[own] - source[own]).max() < 0.05
    r = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(images[other][:, 1], -source[other][:, 1])]
    assert np.mean(r) > 0.3
    with pytest.raises(
        ValueError, match=r"trained with brightfield \(BF_L, BF\), and the translation gives it none; set"
    ):
        translated(tmp_path / "without", labelled_weights(), plate, inputs=CHANNELS["input"])


def test_weights_that_cannot_translate_are_refused(tmp_path):
    path = tmp_path / "mean"
    path.mkdir()
    train.main(train_arguments(path, plates()[:1], {**SETTINGS, "kind": "mean"}))
    with pytest.raises(ValueError, match="it holds a model of kind mean; expected diffusion"):
        translated(tmp_path, path / "weights.safetensors")


def test_a_wrong_label_gives_a_larger_loss():
    tensors, meta = read_model(weights())
    model = load_module(weights(), build_denoiser(meta["settings"], meta["channels"], 2), tensors, torch.device("cpu"))
    stack, table = plates()[1]
    stains = torch.from_numpy(np.array(store.open_stack(stack).images[:, 2:], np.float32))
    names = store.read_fields(table)["Metadata_perturbation"]
    own = torch.tensor([meta["label_map"][name] for name in names])
    gamma, eps = noise((len(stains), *stains.shape[1:]), torch.Generator().manual_seed(0))
    with torch.no_grad():
        right, wrong = (
            float(loss(model, stains[:, :0], stains, Condition.of_labels(shown), gamma, eps, "v"))
            for shown in (own, 3 - own)
        )
    assert wrong > 1.1 * right


def test_a_source_is_translated_by_way_of_its_latents(tmp_path):
    """The translator walks among latents and decodes at the end: the reconstruction is what the codec makes of its source."""

    weights = latent_weights(inputs=0)
    tensors, meta = read_model(weights)
    settings = {**SAMPLING, **HOW, "steps": 10, "walked": 10}
    translator = diffusion.translator(Namespace(weights=weights, settings=settings), tensors, meta, Compute())
    stack = store.open_stack(trained_codec() / "P3.tif")
    y = np.array(stack.images[:2], np.float32)[:, 2:]
    fields = store.read_fields(trained_codec() / "P3.parquet").iloc[:2]
    latents, report = translator.up(y[:, :0], y, "DMSO", fields)
    assert latents.shape == (2, 4, 8, 8) and (report["iterations"] > 0).all()
    back, other = (translator.down(y[:, :0], latents, name, fields) for name in ("DMSO", "cpd1"))
    coded = translator.codec.decode(translator.codec.encode(torch.from_numpy(y))).numpy()
    assert np.abs(back - coded).mean() < 0.3 * np.abs(back - y).mean() and not np.array_equal(back, other)
