import numpy as np
import pandas as pd
import pytest
import torch
from test_train_classifier import trained as classifier_weights

from brightpaint import store
from brightpaint.models import train
from brightpaint.models.conditions.condition import Condition
from brightpaint.models.objectives.losses import build_denoiser
from brightpaint.models.paint import field_noise, sample
from brightpaint.models.schedule import Schedule
from brightpaint.models.trained import load_module
from models_fixture import (
    CHANNELS,
    INPUTS,
    SETTINGS,
    labelled_plates,
    labelled_weights,
    make_plate,
    sample_arguments,
    train_arguments,
)


def painted(path, weights=None, plate=None, **changes):
    """Run the command and return the stack."""
    sample.main(sample_arguments(weights or labelled_weights(), plate or labelled_plates()[2], path, **changes))
    return np.array(store.open_stack(path).images)


def renamed(folder, plate, **columns):
    """Return the plate with other values in its field table."""
    table = folder / f"renamed_{plate[1].name}"
    store.write_table(store.read_fields(plate[1]).assign(**columns), table)
    return plate[0], table


def test_stack_has_the_target_channels_and_every_field(tmp_path):
    images = painted(tmp_path / "out.tif")
    assert store.open_stack(tmp_path / "out.tif").channels == ("DNA", "ER")
    assert images.shape == (8, 2, 32, 32) and images.dtype == np.float16 and np.isfinite(images).all()


def test_painted_stains_follow_the_real_ones(tmp_path):
    images = painted(tmp_path / "out.tif", steps=10).astype(float)
    real = np.array(store.open_stack(labelled_plates()[2][0]).images).astype(float)[:, 2:]
    for channel in range(2):  # ER has the sign that only the label tells
        scores = [np.corrcoef(a[channel].ravel(), b[channel].ravel())[0, 1] for a, b in zip(images, real)]
        assert np.mean(scores) > 0.5


@pytest.mark.parametrize("sampler, eta", [("ddim", 0.0), ("ddim", 1.0), ("ddpm", 0.0)])
def test_parts_do_not_change_a_byte(tmp_path, sampler, eta):
    changes = {"sampler": sampler, "eta": eta, "batch": 3}
    whole = painted(tmp_path / "whole.tif", **changes)
    parts = [painted(tmp_path / f"{part}.tif", part=part, parts=3, **changes) for part in (1, 2, 3)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_a_mean_of_samples_is_their_mean_and_lies_nearer_the_real_stains(tmp_path, monkeypatch):
    found, noise, samples = painted(tmp_path / "mean.tif", mean_of=4).astype(float), field_noise.field_noise, []
    for number in range(4):
        monkeypatch.setattr(field_noise, "field_noise", lambda row, seed, _=0, number=number: noise(row, seed, number))
        samples.append(painted(tmp_path / f"sample{number}.tif").astype(float))
    np.testing.assert_allclose(found, np.mean(samples, axis=0), atol=4e-3)  # float16 on the way
    real = np.array(store.open_stack(labelled_plates()[2][0]).images).astype(float)[:, 2:]
    errors = [np.mean((images - real) ** 2) for images in (*samples, found)]
    assert errors[-1] < min(errors[:-1])


def test_parts_of_a_mean_of_samples_do_not_change_a_byte(tmp_path):
    whole = painted(tmp_path / "whole.tif", mean_of=2, batch=3)
    parts = [painted(tmp_path / f"{part}.tif", part=part, parts=3, mean_of=2, batch=3) for part in (1, 2, 3)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_neighbours_and_order_in_a_batch_do_not_change_a_byte(tmp_path):
    first = painted(tmp_path / "a.tif")
    stack, table = labelled_plates()[2]
    images, fields = np.array(store.open_stack(stack).images), store.read_fields(table)
    order = [5, 0, 7]
    with store.StackWriter(tmp_path / "few.tif", (3, 4, 32, 32), (*INPUTS, "DNA", "ER"), key="few") as writer:
        for number, row in enumerate(order):
            writer.write(number, images[row])
    store.write_table(fields.iloc[order], tmp_path / "few.parquet")
    few = painted(tmp_path / "b.tif", plate=(tmp_path / "few.tif", tmp_path / "few.parquet"))
    np.testing.assert_array_equal(few, first[order])


def test_a_field_without_a_label_is_painted_to_the_byte_alike_among_labelled_ones_and_among_its_own(tmp_path):
    """Classifier-free guidance gives the network twice the images, whether or not any of a batch has a label."""
    stack, table = renamed(tmp_path, labelled_plates()[2], Metadata_perturbation=["never stained", "DMSO"] * 4)
    mixed = painted(tmp_path / "a.tif", plate=(stack, table), label_scale=2.0)
    images, fields, own = np.array(store.open_stack(stack).images), store.read_fields(table), [0, 2, 6]
    with store.StackWriter(tmp_path / "few.tif", (3, 4, 32, 32), (*INPUTS, "DNA", "ER"), key="few") as writer:
        for number, row in enumerate(own):
            writer.write(number, images[row])
    store.write_table(fields.iloc[own], tmp_path / "few.parquet")
    few = painted(tmp_path / "b.tif", plate=(tmp_path / "few.tif", tmp_path / "few.parquet"), label_scale=2.0)
    np.testing.assert_array_equal(few, mixed[own])


def test_batch_size_changes_no_more_than_rounding(tmp_path):
    one, four = (painted(tmp_path / f"{batch}.tif", batch=batch).astype(float) for batch in (1, 4))
    np.testing.assert_allclose(one, four, atol=5e-3)


def test_seed_and_name_decide_the_noise(tmp_path):
    base = painted(tmp_path / "a.tif")
    np.testing.assert_array_equal(painted(tmp_path / "b.tif"), base)
    assert (painted(tmp_path / "c.tif", seed=1) != base).any()
    other = renamed(tmp_path, labelled_plates()[2], Metadata_Plate="another")
    assert (painted(tmp_path / "d.tif", plate=other) != base).mean() > 0.9


def test_label_changes_the_output_for_the_same_noise_and_null_stands_for_unseen(tmp_path):
    plate = labelled_plates()[2]
    base = painted(tmp_path / "a.tif").astype(float)
    swapped = renamed(tmp_path, plate, Metadata_perturbation=["cpd1", "DMSO"] * 4)
    assert np.abs(painted(tmp_path / "b.tif", plate=swapped).astype(float) - base)[:, 1].mean() > 0.2
    unseen = painted(tmp_path / "c.tif", plate=renamed(tmp_path, plate, Metadata_perturbation="never stained"))
    without = painted(tmp_path / "d.tif", sampling_label="none")
    np.testing.assert_array_equal(unseen, without)
    assert (without != base).any()


@pytest.mark.long
def test_classifier_guidance_pulls_towards_the_label(tmp_path):
    """Without a label of its own, the denoiser is pulled towards the sign of ER that the label stands for."""
    stack = np.array(store.open_stack(labelled_plates()[2][0]).images).astype(float)

    def agreement(path, **changes):
        images = painted(path, sampling_label="none", steps=20, **changes).astype(float)
        return np.mean([np.corrcoef(a[1].ravel(), b[3].ravel())[0, 1] for a, b in zip(images, stack)])

    classifier = [classifier_weights()]
    free = agreement(tmp_path / "a.tif")
    pulled = agreement(tmp_path / "b.tif", classifier=classifier, guidance_scale=30)
    pushed = agreement(
        tmp_path / "c.tif",
        classifier=classifier,
        guidance_scale=30,
        plate=renamed(tmp_path, labelled_plates()[2], Metadata_perturbation=["cpd1", "DMSO"] * 4),
    )
    assert pulled > free > pushed
    np.testing.assert_array_equal(
        painted(tmp_path / "d.tif", classifier=classifier, guidance_scale=0), painted(tmp_path / "e.tif")
    )


def test_classifier_free_guidance_exaggerates_the_label_within_its_interval(tmp_path):
    own, none = (
        painted(tmp_path / "a.tif").astype(float),
        painted(tmp_path / "b.tif", sampling_label="none").astype(float),
    )
    more = painted(tmp_path / "c.tif", label_scale=2.0).astype(float)
    label, further = (own - none)[:, 1].ravel(), (more - own)[:, 1].ravel()
    assert np.corrcoef(label, further)[0, 1] > 0.5
    np.testing.assert_array_equal(painted(tmp_path / "d.tif", label_scale=2.0, guidance_interval=[1e4, 2e4]), own)
    assert (painted(tmp_path / "e.tif", label_scale=2.0, guidance_interval=[0, 1e4]) == more).all()


def test_swapped_labels_need_a_second_target(tmp_path):
    with pytest.raises(ValueError, match="none can be given a label of another target"):
        painted(tmp_path / "a.tif", sampling_label="swapped")
    two = renamed(tmp_path, labelled_plates()[2], Metadata_perturbation=["a", "b"] * 4, Metadata_target=["A", "B"] * 4)
    np.testing.assert_array_equal(  # labels unknown to the weights stay null
        painted(tmp_path / "b.tif", plate=two), painted(tmp_path / "c.tif", plate=two, sampling_label="none")
    )


@pytest.fixture(scope="module")
def fine(tmp_path_factory):
    """The plate painted in many steps."""
    return painted(tmp_path_factory.mktemp("fine") / "a.tif", steps=200).astype(float)


@pytest.mark.parametrize("sampler", ["dpmpp", "heun"])
def test_every_sampler_paints_from_the_same_weights(tmp_path, fine, sampler):
    few = painted(tmp_path / "b.tif", sampler=sampler, spacing="karras", steps=20).astype(float)
    assert np.corrcoef(fine.ravel(), few.ravel())[0, 1] > 0.98


def test_predict_plate_with_brightfield_alone_and_channels_in_another_order(tmp_path):
    base = painted(tmp_path / "a.tif")
    stack, table = labelled_plates()[2]
    images = np.array(store.open_stack(stack).images)
    with store.StackWriter(tmp_path / "bf.tif", (8, 2, 32, 32), INPUTS[::-1], key="bf") as writer:
        for number in range(8):
            writer.write(number, images[number][[1, 0]])
    np.testing.assert_array_equal(painted(tmp_path / "b.tif", plate=(tmp_path / "bf.tif", table)), base)


def test_blank_field_is_painted_without_noise_or_overflow(tmp_path):
    stack, table = labelled_plates()[2]
    with store.StackWriter(tmp_path / "blank.tif", (8, 2, 32, 32), INPUTS, key="blank") as writer:
        for number in range(8):
            writer.write(number, np.zeros((2, 32, 32)))
    images = painted(tmp_path / "a.tif", plate=(tmp_path / "blank.tif", table), steps=20).astype(float)
    assert np.isfinite(images).all() and np.abs(images).max() <= 15
    assert images.std() < 0.5


def test_active_subset_paints_only_active_perturbations(tmp_path):
    actives = pd.DataFrame({"Metadata_perturbation": ["cpd1", "DMSO"], "active": [1, 0]})
    store.write_table(actives, tmp_path / "perturbations.tsv")
    words = sample_arguments(labelled_weights(), labelled_plates()[2], tmp_path / "a.tif", subset="active")
    place = words.index("--active") + 1
    sample.main(words[:place] + [str(tmp_path / "perturbations.tsv")] + words[place:])
    np.testing.assert_array_equal(store.open_stack(tmp_path / "a.tif").images, painted(tmp_path / "b.tif")[1::2])
    with pytest.raises(ValueError, match="subset active needs one table"):
        sample.main(words)


def test_more_parts_than_fields_leaves_empty_parts(tmp_path):
    sizes = [len(painted(tmp_path / f"{part}.tif", part=part, parts=10, steps=1)) for part in range(1, 11)]
    assert sizes == [1] * 8 + [0] * 2


def test_killed_sampling_goes_on_with_the_next_field(tmp_path, monkeypatch):
    calls, paint = [], sample.paint_rows

    def killed(painter, stack, inputs, rows, writer, batch):
        def failing(x, chosen):
            calls.append(chosen)
            if len(calls) == 3:
                raise RuntimeError("killed")
            return painter(x, chosen)

        return paint(failing, stack, inputs, rows, writer, batch)

    monkeypatch.setattr(sample, "paint_rows", killed)
    with pytest.raises(RuntimeError):
        painted(tmp_path / "a.tif")
    resumed = painted(tmp_path / "a.tif")
    assert [chosen[0] for chosen in calls] == [0, 2, 4, 4, 6]
    np.testing.assert_array_equal(resumed, painted(tmp_path / "b.tif"))


# --- how it is computed ---


def recorded(path):
    """Return how a part says that it was painted."""
    return store.read_table(path.with_suffix(".tsv"))["computed"].tolist()


def test_compute_s_defaults_on_a_cpu_are_float32_and_change_no_byte(tmp_path):
    plain, told = tmp_path / "plain.tif", tmp_path / "told.tif"
    painted(plain)
    painted(told, how={"precision": "auto", "compile": False, "prefetch": 2, "save_every_s": 300})
    assert plain.read_bytes() == told.read_bytes()
    assert recorded(plain) == recorded(told) == ["cpu, float32"]


@pytest.mark.parametrize("guided", [False, True])
def test_bfloat16_in_channels_last_paints_the_same_within_its_precision(tmp_path, guided):
    changes = {"classifier": [classifier_weights()] if guided else [], "sampler": "ddpm", "guidance_scale": 2.0}
    plain = painted(tmp_path / "plain.tif", **changes)
    half = painted(tmp_path / "half.tif", how={"precision": "bfloat16"}, **changes)
    assert recorded(tmp_path / "half.tif") == ["cpu, bfloat16"]
    assert (half != plain).any() and np.abs(half.astype(float) - plain).mean() < 0.03  # of stains of s.d. 1


@pytest.mark.exhaustive
def test_compiled_networks_paint_the_same(tmp_path):
    changes = {"classifier": [classifier_weights()], "sampler": "ddpm"}
    compiled = painted(tmp_path / "compiled.tif", how={"compile": True}, **changes)
    assert recorded(tmp_path / "compiled.tif") == ["cpu, float32, compiled"]
    np.testing.assert_allclose(compiled, painted(tmp_path / "plain.tif", **changes), atol=4e-3)  # stored as float16


def test_regression_paints_in_the_precision_asked_for(tmp_path):
    settings = {**SETTINGS, "kind": "regression", "images": 200}
    train.main(train_arguments(tmp_path, labelled_plates()[:2], settings))
    weights = tmp_path / "weights.safetensors"
    plain = painted(tmp_path / "plain.tif", weights)
    half = painted(tmp_path / "half.tif", weights, how={"precision": "bfloat16"})
    assert (half != plain).any() and np.abs(half.astype(float) - plain).mean() < 0.03
    assert recorded(tmp_path / "half.tif") == ["cpu, bfloat16"]


def test_a_part_is_painted_in_one_precision(tmp_path, monkeypatch):
    """What an earlier run painted in another precision is set aside, not gone on with."""
    paint, calls = sample.paint_rows, []

    def killed(painter, *rest):
        def failing(x, chosen):
            calls.append(chosen)
            if len(calls) == 3:
                raise RuntimeError("killed")
            return painter(x, chosen)

        return paint(failing, *rest)

    monkeypatch.setattr(sample, "paint_rows", killed)
    with pytest.raises(RuntimeError):
        painted(tmp_path / "a.tif", how={"precision": "bfloat16"})
    np.testing.assert_array_equal(painted(tmp_path / "a.tif"), painted(tmp_path / "b.tif"))


# --- the cut-off belongs to the weights ---


def of_cutoff(folder, cutoff, source=None):
    """Return a copy of the weights that says it was trained on images cut off there."""
    tensors, meta = store.read_weights(source or labelled_weights())
    path = folder / f"cut_{cutoff}.safetensors"
    store.write_weights(path, tensors, {**meta, "settings": {**meta["settings"], "cutoff": cutoff}})
    return path


def test_stains_are_cut_off_where_the_weights_say(tmp_path):
    plain = painted(tmp_path / "plain.tif")
    low = painted(tmp_path / "low.tif", weights=of_cutoff(tmp_path, 0.5), cutoff=0.5)
    assert np.abs(plain).max() > 1 and np.abs(low).max() == 0.5
    stains = plain.astype(float)
    assert np.corrcoef(low.ravel(), np.clip(stains, -0.5, 0.5).ravel())[0, 1] > 0.8


def test_a_cutoff_beyond_15_lets_brighter_stains_through(tmp_path):
    train.main(train_arguments(tmp_path, labelled_plates()[:2], {**SETTINGS, "kind": "regression", "images": 200}))
    tensors, meta = store.read_weights(tmp_path / "weights.safetensors")
    tensors["network.last.bias"] += 30.0
    store.write_weights(tmp_path / "bright.safetensors", tensors, meta)
    wide = of_cutoff(tmp_path, 40, tmp_path / "bright.safetensors")
    assert painted(tmp_path / "old.tif", tmp_path / "bright.safetensors").max() == 15
    assert 15 < painted(tmp_path / "new.tif", wide, cutoff=40).max() <= 40


def test_weights_of_another_cutoff_than_the_study_s_are_refused(tmp_path):
    with pytest.raises(ValueError, match="cut off at 15 s.d.* study's at 40.*set prepare.cutoff to 15, or train"):
        painted(tmp_path / "a.tif", cutoff=40)
    with pytest.raises(ValueError, match="cut off at 40 s.d.* study's at 15.*set prepare.cutoff to 40, or train"):
        painted(tmp_path / "a.tif", weights=of_cutoff(tmp_path, 40))
    for wrong in (0, -1, "15", True, float("inf")):
        with pytest.raises(ValueError, match="its cutoff is .*; expected a number of s.d. above 0"):
            painted(tmp_path / "a.tif", weights=of_cutoff(tmp_path, wrong), cutoff=wrong)


def test_weights_of_other_channels_are_refused_with_the_difference_named(tmp_path):
    for channels, named in ((("BF", "DNA", "ER"), "missing .'BF_L'."), (("BF_L", "BF", "DNA", "ER", "RNA"), "'RNA'")):
        plate = make_plate(tmp_path, f"P{len(channels)}", 2, channels=channels)
        with pytest.raises(ValueError, match=named):
            painted(tmp_path / "a.tif", plate=plate)
    plate = make_plate(tmp_path, "P7", 2, channels=("BF_L", "BF", "DNA"))
    with pytest.raises(ValueError, match="missing .'ER'."):
        painted(tmp_path / "a.tif", plate=plate)


def test_foreign_and_unfit_weights_are_refused(tmp_path):
    foreign = tmp_path / "w.safetensors"
    foreign.write_bytes(b"\x80\x04pickle")
    with pytest.raises(ValueError, match="not a brightpaint weights file"):
        painted(tmp_path / "a.tif", weights=foreign)
    tensors, meta = store.read_weights(labelled_weights())
    store.write_weights(foreign, tensors, {**meta, "settings": {**meta["settings"], "width": 16}})
    with pytest.raises(ValueError, match="do not fit its own settings"):
        painted(tmp_path / "a.tif", weights=foreign)
    with pytest.raises(
        ValueError,
        match="kind classifier; expected diffusion or controlnet or regression or mean or pixel or residual_noise or .* or codec",
    ):
        painted(tmp_path / "a.tif", weights=classifier_weights())
    with pytest.raises(ValueError, match="kind diffusion; expected classifier"):
        painted(tmp_path / "a.tif", classifier=[labelled_weights()])


def test_table_of_another_length_is_refused(tmp_path):
    stack, _ = labelled_plates()[2]
    _, table = make_plate(tmp_path, "P6", 3)
    with pytest.raises(ValueError, match="holds 8 fields but .* has 3 rows"):
        painted(tmp_path / "a.tif", plate=(stack, table))


def test_sampling_uses_the_running_mean_that_was_saved(tmp_path):
    """The weights file holds one set of tensors; painting with it equals painting with them by hand."""
    tensors, meta = store.read_weights(labelled_weights())
    denoiser = load_module(
        labelled_weights(), build_denoiser(meta["settings"], CHANNELS, 2), tensors, torch.device("cpu")
    )
    stack, table = labelled_plates()[2]
    x = torch.from_numpy(np.array(store.open_stack(stack).images[:1, :2]).astype(np.float32))
    source = field_noise.field_noise(store.read_fields(table).iloc[0], 0)
    y = torch.randn((2, 32, 32), generator=source)[None]
    gamma = Schedule().path(1)[0]
    with torch.no_grad():
        eps = denoiser(x, y, torch.tensor([gamma], dtype=torch.float64), Condition.of_labels(torch.tensor([1])))
    clean = (y - (1 - gamma) ** 0.5 * eps) / gamma**0.5
    np.testing.assert_allclose(painted(tmp_path / "a.tif", steps=1)[0], clean[0], atol=0.02)


def test_paper_preset_is_sampled_too(tmp_path):
    plates = labelled_plates()
    train.main(train_arguments(tmp_path, plates[:1], {**SETTINGS, "preset": "paper", "objective": "eps"}))
    images = painted(tmp_path / "a.tif", weights=tmp_path / "weights.safetensors", sampler="ddpm")
    assert images.shape == (8, 2, 32, 32) and np.abs(images).max() <= 15
