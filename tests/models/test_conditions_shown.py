"""Models that are told conditions: trained, painted as their own and as an arm says, and refused what they do not know."""

import functools
import json

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.models import describe, train, trained
from brightpaint.models.conditions import vocabulary
from brightpaint.models.conditions.shown import painted_as
from brightpaint.models.paint import gather, sample, translate
from models_fixture import SETTINGS, made, make_plate, sample_arguments, train_arguments

EACH = {"dropout": 0.2}
CONDITIONS = {
    "batch": EACH, "dose": EACH, "cell_line": EACH, "plate": EACH, "molecule": {**EACH, "encoder": "morgan", "vectors": None},
}  # fmt: skip
LINES = ["U2OS", "A549"]
TOLD = {**SETTINGS, "label": "none", "conditions": CONDITIONS, "images": 160, "batch": 8, "learning_rate": 2e-2}


def write_plate(folder, name, seed, **columns):
    """Write a plate whose fields have what the conditions are of, and return its paths."""
    stack, table = make_plate(folder, name, 8, seed=seed)
    fields = store.read_fields(table)
    treated = (fields["Metadata_perturbation"] != "DMSO").to_numpy()
    doses = np.where(treated, [np.nan, 0.1, np.nan, 10.0] * 2, np.nan)
    more = {
        "Metadata_Batch": f"b{seed}", "Metadata_dose": doses, "Metadata_cell_line": LINES * 4,
        "Metadata_smiles": np.where(treated, "CCO", ""),
        "Metadata_treatment": [f"cpd1@{dose:.3g}uM" if own else "DMSO" for own, dose in zip(treated, doses)],
    }  # fmt: skip
    store.write_table(fields.assign(**{**more, **columns}), table)
    return stack, table


@functools.cache
def folder():
    def make(path):
        plates = [write_plate(path, f"P{seed}", seed) for seed in (1, 2)]
        write_plate(path, "P3", 1)
        train.main(train_arguments(path, plates, TOLD))

    return made("conditions", make)


def plate(name="P3"):
    return folder() / f"{name}.tif", folder() / f"{name}.parquet"


def weights():
    return folder() / "weights.safetensors"


def painted(tmp_path, name="arm", of=None, **changes):
    """Paint a plate and return its images."""
    sample.main(sample_arguments(weights(), of or plate(), tmp_path / f"{name}.tif", **changes))
    return np.array(store.open_stack(tmp_path / f"{name}.tif").images, dtype=np.float64)


def test_weights_say_what_their_conditions_mean(capsys):
    tensors, meta = trained.read_model(weights())
    kept = meta["conditions"]
    assert kept["batch"] == {"values": ["b1", "b2"]} and kept["plate"] == {"values": ["P1", "P2"]}
    assert kept["dose"] == {"low": [-1.0], "high": [1.0]} and kept["cell_line"] == {"values": ["A549", "U2OS"]}
    assert (
        kept["molecule"]["encoder"] == "morgan"
        and len(kept["molecule"]["molecules"]) == 1
        and kept["molecule"]["probe"]
    )
    assert meta["settings"]["conditions"] == CONDITIONS
    named = {name.split("condition.")[1] for name in tensors if "encoder.condition." in name}
    assert {"tables.batch.weight", "numbers.dose.layers.0.weight", "vectors.molecule.2.bias", "table.weight"} <= named
    assert not any("frequencies" in name for name in named)
    assert (tensors["network.encoder.condition.tables.batch.weight"][0] == 0).all()
    print(describe.describe(weights()))
    assert "conditions  molecule, 1 molecules by morgan; dose, 0.1 to 10 uM; cell_line, A549, U2OS; batch, b1, b2" in (
        capsys.readouterr().out
    )


def test_each_condition_changes_what_is_painted_and_all_left_out_is_null(tmp_path):
    own = painted(tmp_path)
    for name, value in {"batch": "b2", "dose": 5.0, "cell_line": "A549", "plate": "P1"}.items():
        assert np.abs(painted(tmp_path, name, conditions={name: value}) - own).max() > 1e-3, name
    untold = dict.fromkeys(CONDITIONS)
    assert np.array_equal(
        painted(tmp_path, "null", conditions=untold),
        painted(tmp_path, "none", conditions=untold, sampling_label="none"),
    )
    bare = write_plate(tmp_path, "P9", 1, Metadata_Batch="", Metadata_dose=np.nan, Metadata_cell_line="", Metadata_smiles="",
                       Metadata_perturbation="x")  # fmt: skip
    fields = store.read_fields(bare[1]).assign(Metadata_Plate="P3")  # the same noise
    store.write_table(fields, bare[1])
    assert np.array_equal(painted(tmp_path, "missing", bare), painted(tmp_path, "null2", bare, conditions=untold))


def test_a_plate_that_was_not_trained_on_is_missing_and_a_cell_line_is_refused(tmp_path):
    assert np.array_equal(painted(tmp_path, "own"), painted(tmp_path, "unplated", conditions={"plate": None}))
    other = write_plate(tmp_path, "P8", 1, Metadata_cell_line="HeLa")
    with pytest.raises(
        ValueError, match="plate P8, well A01: cell_line HeLa was not trained on; the model knows A549, U2OS"
    ):
        painted(tmp_path, "hela", other)
    assert painted(tmp_path, "unlined", other, conditions={"cell_line": None}).shape == (8, 2, 32, 32)


def test_guidance_by_conditions_goes_further_the_same_way(tmp_path):
    batch, none = (painted(tmp_path, f"{value}", steps=1, conditions={"batch": value}) for value in ("b1", None))
    guided = painted(tmp_path, "guided", steps=1, conditions={"batch": "b1"}, condition_scales={"batch": 3.0})
    np.testing.assert_allclose(guided, none + 3 * (batch - none), atol=0.02)
    two = painted(tmp_path, "two", condition_scales={"batch": 2.0, "dose": 0.5}, batch=3)
    assert np.array_equal(two[:3], painted(tmp_path, "two3", condition_scales={"batch": 2.0, "dose": 0.5}, batch=3)[:3])
    with pytest.raises(ValueError, match="condition_scales: the model is not told time"):
        painted(tmp_path, "timed", condition_scales={"time": 2.0})


def test_given_weights_are_held_to_the_config(tmp_path):
    with pytest.raises(
        ValueError, match="condition molecule: morgan in the weights, descriptors in the config; correct"
    ):
        painted(tmp_path, model_conditions={**CONDITIONS, "molecule": {"encoder": "descriptors"}})
    with pytest.raises(ValueError, match="condition batch: told in the weights, none in the config"):
        painted(tmp_path, model_conditions={name: each for name, each in CONDITIONS.items() if name != "batch"})
    assert len(painted(tmp_path, model_conditions=CONDITIONS)) == 8
    tensors, meta = store.read_weights(weights())
    meta["conditions"]["dose"] = {"low": [0.0], "high": ["much"]}
    store.write_weights(tmp_path / "other.safetensors", tensors, meta)
    with pytest.raises(
        ValueError, match="its condition dose keeps .*which is not what brightpaint writes; train it again"
    ):
        trained.read_model(tmp_path / "other.safetensors")


def test_rows_say_as_which_treatment_they_are_painted(tmp_path):
    part, table = tmp_path / "001.tif", plate()[1]
    sample.main(sample_arguments(weights(), plate(), part, conditions={"dose": 10.0, "batch": "b1"}))
    words = ["--parts", part, "--part-seconds", part.with_suffix(".tsv"), "--fields", table, "--active"]
    words += [
        "--stack",
        tmp_path / "all.tif",
        "--rows",
        tmp_path / "rows.parquet",
        "--seconds",
        tmp_path / "seconds.tsv",
    ]
    gather.main([str(word) for word in words])
    rows, fields = store.read_fields(tmp_path / "rows.parquet"), store.read_fields(table)
    assert rows["Metadata_painted_as"].tolist() == ["", "cpd1@10uM", "", "", "", "cpd1@10uM", "", ""]
    assert rows["Metadata_treatment"].tolist() == fields["Metadata_treatment"].tolist()  # what the well was given stays
    assert store.place_of(fields.iloc[5], rows) == 5


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ({"batch": "b2", "dose": None}, ["", "", ""]),
        ({"dose": 1}, ["", "", "b@1uM"]),  # it was shown at 1 uM before
        ({"perturbation": "c"}, ["", "c@1uM", "c@5uM"]),
        ({"perturbation": "c", "dose": 2}, ["", "c@2uM", "c@2uM"]),
        ({"treatment": "c@3uM"}, ["", "c@3uM", "c@3uM"]),
        ({"molecule": "CCO"}, ["", "CCO", "CCO"]),
        ({"target": "T"}, ["", "T", "T"]),
    ],
)
def test_what_a_well_is_painted_as(shown, expected):
    fields = pd.DataFrame({"Metadata_perturbation": ["DMSO", "a", "b"], "Metadata_dose": [np.nan, 1.0, 5.0],
                           "Metadata_treatment": ["DMSO", "a@1uM", "b@5uM"]})  # fmt: skip
    assert painted_as(fields, shown).tolist() == expected


def test_a_translation_keeps_the_experiment_or_shows_another(tmp_path):
    """Inverted under its own batch, painted under its own (the reconstruction) or under another."""
    settings = {
        **TOLD,
        "images": 80,
        "label": "perturbation",
        "conditions": {"batch": EACH},
        "channels": {"input": [], "target": ["DNA", "ER"]},
    }
    train.main(train_arguments(tmp_path, [plate("P1"), plate("P2")], settings))
    fields = store.read_fields(plate()[1])
    rows = fields[fields["Metadata_perturbation"] == "DMSO"].head(2).assign(Metadata_painted_as="DMSO", Metadata_draw=0)
    rows["stack_row"] = np.flatnonzero(fields["Metadata_perturbation"] == "DMSO")[:2]
    store.write_table(rows, tmp_path / "rows.parquet")
    real = np.array(store.open_stack(plate()[0]).images, dtype=np.float64)[rows["stack_row"]][:, 2:]
    images = {}
    for name, shown in {"own": {}, "other": {"conditions": {"batch": "b2"}}}.items():
        chosen = {"sampler": "ddim", "steps": 10, "walked": 10, "spacing": "level", "sampling_label": "own", "label_scale": 1.0,
                  "guidance_interval": None, "seed": 0, "batch": 2, "inner": 20, "tolerance": 1e-5, "from_noise": False,
                  "brightfield": False, "inputs": [], **shown}  # fmt: skip
        words = ["--settings", json.dumps(chosen), "--device", "cpu", "--weights", tmp_path / "weights.safetensors"]
        words += ["--stack", plate()[0], "--rows", tmp_path / "rows.parquet", "--part", "1", "--parts", "1"]
        words += ["--predicted", tmp_path / f"{name}.tif", "--seconds", tmp_path / f"{name}.tsv"]
        translate.main([str(word) for word in [*words, "--inversion", tmp_path / f"{name}.inversion.tsv"]])
        images[name] = np.array(store.open_stack(tmp_path / f"{name}.tif").images, dtype=np.float64)
    assert np.abs(images["own"] - real).max() < 0.05
    assert np.abs(images["other"] - images["own"]).max() > 10 * np.abs(images["own"] - real).mean()


def test_rows_that_are_not_trained_on_are_told_nothing():
    fields = store.read_fields(plate("P1")[1])
    kept, told = vocabulary.learn_and_tell(fields.iloc[2:4], {"batch": EACH, "dose": EACH})
    whole = vocabulary.spread(told, np.array([2, 3]), len(fields))
    assert (
        whole["batch"].tolist() == [0, 0, 1, 1, 0, 0, 0, 0]
        and np.isfinite(whole["dose"][3])
        and np.isnan(whole["dose"][0])
    )
