"""A critic's numbers of fields: the mean over a field's squares, whatever stands beside it, and of real and painted arms."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from brightpaint import store
from brightpaint.features.embedders import critic
from brightpaint.features.embedders.vectors import vector_names
from brightpaint.models.image_encoders import read_encoder
from brightpaint.models.see_critic import NAMES
from brightpaint.profiles import embedding_profiles
from brightpaint.study.spaces import SPACES
from gan_fixture import SIZE, trained
from models_fixture import CHANNELS, TARGETS, make_plate

SPACE = SPACES["critic"]


def arguments(folder, plate, arm="real", weights="weights", **changes):
    settings = {"channels": CHANNELS, "cutoff": 15, "renormalise": False, **changes}
    words = [
        "--settings",
        json.dumps(settings),
        "--device",
        "cpu",
        "--arm",
        arm,
        "--stack",
        plate[0],
        "--rows",
        plate[1],
    ]
    words += ["--weights", trained() / "weights" / f"{weights}.safetensors", "--table", folder / f"{arm}.parquet"]
    return [str(word) for word in words]


def run(folder, plate, arm="real", **changes):
    critic.main(arguments(folder, plate, arm, **changes))
    return embedding_profiles.read(folder / f"{arm}.parquet", SPACE)


def test_squares_lie_side_by_side_about_the_middle():
    image = np.arange(2 * 5 * 7).reshape(2, 5, 7)
    found = critic.squares(image, 2)
    assert found.shape == (6, 2, 2, 2)
    np.testing.assert_array_equal(found[0], image[:, 0:2, 0:2])
    np.testing.assert_array_equal(found[5], image[:, 2:4, 4:6])
    np.testing.assert_array_equal(critic.squares(image[:, :, :5], 4)[0], image[:, :4, :4])
    with pytest.raises(ValueError, match="a field of 5 x 7 px, and the critic sees 8 x 8; train one of smaller images"):
        critic.squares(image, 8)


def test_a_fields_numbers_are_the_mean_of_its_squares_and_know_no_company(tmp_path):
    plate = make_plate(tmp_path, "P1", 5)
    table = run(tmp_path, plate)
    assert vector_names(table.columns, SPACE.prefixes) == NAMES and len(table) == 5
    seen = read_encoder(trained() / "weights" / "weights.safetensors", torch.device("cpu"))
    stack = store.open_stack(plate[0])
    image = np.asarray(stack.images[2][stack.channel_indices(TARGETS)], np.float32)
    each = [seen.numbers(critic.squares(image, SIZE)[[number]])[0] for number in range(4)]
    np.testing.assert_allclose(table.loc[2, NAMES].to_numpy(float), np.mean(each, 0), rtol=1e-4, atol=1e-5)
    fields = store.read_fields(plate[1])  # the same fields in another order and number: the same bits
    store.write_table(fields.iloc[[4, 2]].assign(stack_row=[4, 2]), tmp_path / "some.parquet")
    (tmp_path / "some").mkdir()
    some = run(tmp_path / "some", (plate[0], tmp_path / "some.parquet"))
    assert np.array_equal(some[NAMES].to_numpy(), table.loc[[4, 2], NAMES].to_numpy())


def test_a_killed_job_goes_on_to_the_same_bytes(tmp_path, monkeypatch):
    plate = make_plate(tmp_path, "P1", 4)
    run(tmp_path, plate)
    whole, seen, cut = (tmp_path / "real.parquet").read_bytes(), [], critic.squares

    def stopping(*rest):
        seen.append(1)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return cut(*rest)

    monkeypatch.setattr(critic, "squares", stopping)
    (tmp_path / "real.parquet").unlink()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, plate)
    run(tmp_path, plate)
    assert (tmp_path / "real.parquet").read_bytes() == whole and len(seen) == 5


def test_painted_arms_are_seen_as_real_ones_and_the_untrained_critic_says_something_else(tmp_path):
    plate = make_plate(tmp_path, "P1", 3)
    real = run(tmp_path, plate)
    painted = make_plate(tmp_path / ".", "P2", 3, channels=("ER", "DNA"))  # other order, no brightfield
    again = run(tmp_path, painted, arm="pert")
    np.testing.assert_array_equal(again[NAMES].to_numpy(), real[NAMES].to_numpy())
    untrained = run(tmp_path, plate, weights="untrained")
    assert np.abs(untrained[NAMES].to_numpy() - real[NAMES].to_numpy()).max() > 1e-3
    wells, perturbations = embedding_profiles.profiles([real], normalise="plate")
    assert len(wells) == 3 and np.isfinite(wells[NAMES].to_numpy()).all() and len(perturbations) == 2


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("size_px", 2**20, "its size_px is 1048576, expected a power of two up to 1024; train it again"),
        ("size_px", 48, "x.safetensors: its size_px is 48, expected a power of two"),
        ("windows", [[0, 1]], "its windows are .*, expected two z-scores of each of 2 channels; train it again"),
        ("windows", [[0, 1], [1, 0]], "its windows are "),
    ],
)
def test_weights_that_say_nonsense_of_themselves_are_refused(tmp_path, key, value, said):
    tensors, meta = store.read_weights(trained() / "weights" / "untrained.safetensors")
    meta["settings"][key] = value
    store.write_weights(tmp_path / "x.safetensors", tensors, meta)
    with pytest.raises(ValueError, match=said):
        read_encoder(tmp_path / "x.safetensors", torch.device("cpu"))


def test_what_does_not_fit_the_critic_is_refused(tmp_path):
    plate = make_plate(tmp_path, "P1", 2, channels=("BF_L", "BF", "DNA"))
    with pytest.raises(ValueError, match=r"P1.tif: channels \['ER'\] are missing"):
        run(tmp_path, plate)
    with pytest.raises(
        ValueError, match=r"weights.safetensors was trained on images cut off at 15 s.d., but the study's at 9"
    ):
        run(tmp_path, make_plate(tmp_path, "P2", 2), cutoff=9)
