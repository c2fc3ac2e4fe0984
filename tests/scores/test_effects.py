import json
import re

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.scores.effects.effects import main, painted_changes, probe_half
from brightpaint.study import effect_arms as asked
from brightpaint.study.study import Study
from conftest import ROOT, TINY

D = 8
NUMBERS = [f"DINO_DNA_{n:03d}" for n in range(D)]
WAYS = {"batch": np.eye(D)[0] * 3, "dose": np.eye(D)[1] * 2 + np.eye(D)[2], "cell_line": np.eye(D)[3] * 2}
BATCHES, LINES = {"P1": "b1", "P2": "b2", "P3": "b1"}, ["U2OS", "A549"]
SETTINGS = {
    "arms": ["as_b1", "as_b2", "low", "high"], "factors": ["dose", "cell_line", "batch", "plate"], "held_out": ["P3"],
    "changes": [["batch", "as_b1", "as_b2", "b1", "b2"], ["dose", "low", "high", 0.1, 10.0]],
}  # fmt: skip


def fields(plate):
    """Return the fields of a plate: four doses in two lines, over and over, and DMSO."""
    count = 60
    compounds = np.where(np.arange(count) % 5 == 4, "DMSO", "x")
    doses = np.where(compounds == "DMSO", np.nan, np.array([0.1, 1, 3, 10, 0])[np.arange(count) % 5])
    return pd.DataFrame(
        {"Metadata_Plate": plate, "Metadata_Well": [f"{'ABCDEF'[n // 10]}{n % 10 + 1:02d}" for n in range(count)],
         "Metadata_Site": 1, "Metadata_Tile": 1, "Metadata_Source": "s", "Metadata_Batch": BATCHES[plate],
         "Metadata_perturbation": compounds, "Metadata_target": "", "Metadata_control_type": "", "Metadata_dose": doses,
         "Metadata_cell_line": [LINES[n // 5 % 2] for n in range(count)]}
    )  # fmt: skip


def table(rows, seed, batch=None, dose=None, heard=1.0):
    """Return embeddings whose mean follows batch, dose and line; a painter hears a set condition so far."""
    rng = np.random.default_rng(seed)
    own_dose = np.nan_to_num(np.log10(rows["Metadata_dose"]), nan=-1.5)
    treated = (rows["Metadata_perturbation"] != "DMSO").to_numpy()
    shown_dose = (
        own_dose if dose is None else np.where(treated, own_dose + heard * (np.log10(dose) - own_dose), own_dose)
    )
    of_batch = (rows["Metadata_Batch"] == "b2").to_numpy(float) if batch is None else heard * (batch == "b2")
    line = (rows["Metadata_cell_line"] == "A549").to_numpy(float)
    mean = np.outer(np.broadcast_to(of_batch, len(rows)), WAYS["batch"])
    mean = mean + np.outer(shown_dose, WAYS["dose"]) + np.outer(line, WAYS["cell_line"])
    return rows.join(pd.DataFrame(mean + 0.05 * rng.normal(size=mean.shape), columns=NUMBERS))


def run(folder, heard=1.0, settings=SETTINGS, arms=None):
    shown = arms or {"as_b1": {"batch": "b1"}, "as_b2": {"batch": "b2"}, "low": {"dose": 0.1}, "high": {"dose": 10.0}}
    words = {"--real": [], "--fields": [], "--painted": []}
    for plate in BATCHES:
        bare = fields(plate)
        store.write_table(bare, folder / f"{plate}.fields.parquet")
        kept = [name for name in bare if name not in ("Metadata_Batch", "Metadata_cell_line")]
        store.write_table(table(bare, int(plate[1]))[[*kept, *NUMBERS]], folder / f"{plate}.parquet")
        words["--real"].append(folder / f"{plate}.parquet")
        words["--fields"].append(folder / f"{plate}.fields.parquet")
    for arm in settings["arms"]:
        store.write_table(table(fields("P3"), 5, heard=heard, **shown[arm]), folder / f"{arm}.parquet")
        words["--painted"].append(folder / f"{arm}.parquet")
    line = [str(word) for key, paths in words.items() for word in (key, *paths)]
    main(["--settings", json.dumps(settings), "--space", "dino", *line, "--table", str(folder / "effects.tsv")])
    return store.read_table(folder / "effects.tsv")


def value(found, kind, changed, read, column="value"):
    return found[(found["kind"] == kind) & (found["changed"] == changed) & (found["read"] == read)].iloc[0][column]


def test_a_painter_that_hears_its_conditions_gives_the_diagonal_of_real_replicates(tmp_path):
    found = run(tmp_path)
    for name in ("batch", "dose"):
        assert value(found, "painted", name, name) == pytest.approx(1, abs=0.05)
        assert value(found, "real", name, name) == pytest.approx(1, abs=0.1)
        assert (
            value(found, "painted", name, name, "share") > 0.98
            and value(found, "painted", name, name, "verdict") == "heard"
        )
        assert abs(value(found, "shuffled", name, name)) < 0.5
    assert value(found, "painted", "batch", "dose") < 0.1 and value(found, "painted", "dose", "cell_line") < 0.1
    assert set(found[found["read"] == "dose"]["probed"]) == {"held-out plates"}
    assert set(found[found["read"] == "batch"]["probed"]) == {"all plates"}
    nested = found[(found["changed"] == "batch") & (found["read"] == "plate")]
    assert nested["value"].isna().all() and nested["reason"].str.contains("nested").all()  # a plate is of one batch


def test_a_painter_that_ignores_its_conditions_is_said_to(tmp_path):
    found = run(tmp_path, heard=0.0)
    for name in ("batch", "dose"):
        assert (
            abs(value(found, "painted", name, name)) < 0.05
            and value(found, "painted", name, name, "verdict") == "ignored"
        )
        assert value(found, "real", name, name, "verdict") == "heard"


def test_probes_see_no_well_that_is_read_and_dmso_has_no_dose():
    rows = fields("P3")
    half = probe_half(rows)
    mixed = rows.sample(frac=1, random_state=0)
    assert 15 < half.sum() < 45 and (probe_half(mixed) == half[mixed.index]).all()
    painted = {"low": table(rows, 5, dose=0.1), "high": table(rows, 5, dose=10.0)}
    (found,) = painted_changes(painted, [["dose", "low", "high", 0.1, 10.0]], NUMBERS)
    assert (found.before, found.after) == (-1.0, 1.0)
    assert len(found.changed) == ((rows["Metadata_perturbation"] != "DMSO").to_numpy() & ~half).sum()


def test_what_can_not_be_read_is_said(tmp_path):
    only = {**SETTINGS, "arms": ["t1", "t2"], "factors": ["time"], "changes": [["time", "t1", "t2", 24, 48]]}
    with pytest.raises(ValueError, match="the arms change can be read .real fields have fewer than two values of time"):
        run(tmp_path, settings=only, arms={"t1": {}, "t2": {}})


# --- which arms are compared ---

ARMS = {
    "as_b1": {"batch": "B1"},
    "as_b2": {"batch": "B2"},
    "none": {"batch": None},
    "other": {"batch": "B2", "dose": 1.0},
}


def study_of(folder, effects, **arm):
    arms = [{"name": name, "model": "m", "folds": ["A"], "conditions": shown, **(arm if name == "as_b2" else {})}
            for name, shown in ARMS.items()]  # fmt: skip
    (folder / "plates.tsv").write_text("plate\trole\tbatch\nT1\tstudy\tB1\nT2\tstudy\tB2\n")
    config = {"plates": "plates.tsv", "folds": [{"name": "A", "test": ["T2"]}], "arms": arms, "effects": effects,
              "models": [{"name": "m", "conditions": {"batch": {}, "dose": {}}}], "cellprofiler": TINY["cellprofiler"]}  # fmt: skip
    return Study.load(config, ROOT / "workflow" / "schemas", folder)


ENTRY = {"name": "e", "arms": list(ARMS), "spaces": ["cellprofiler"], "factors": ["cell_line"]}


def test_arms_that_differ_in_one_value_are_a_change(tmp_path):
    study = study_of(tmp_path, [ENTRY])
    assert asked.changes_of(study, study.config["effects"][0]) == [("batch", "as_b1", "as_b2")]
    assert asked.factors_of(study, study.config["effects"][0]) == ["cell_line", "batch"]
    assert list(asked.problems(study)) == [] and asked.asked(study) == [("e", "cellprofiler")]
    assert asked.changes_of(study_of(tmp_path, [ENTRY], seed=5), ENTRY) == []  # from another noise


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (
            {"arms": ["as_b1", "nobody"]},
            "effects e: there is no arm nobody that paints; arms: as_b1, as_b2, none, other",
        ),
        ({"spaces": ["moods"]}, "effects e: there is no space moods; spaces: cellprofiler, dino"),
        ({"spaces": ["dino"]}, "effects e: real, as_b1, as_b2, none, other is not in the space dino in this study"),
        (
            {"arms": ["as_b1", "none"]},
            "effects e: no two of its arms differ in the value of one condition and in nothing else",
        ),
    ],
)
def test_what_shows_no_effect_is_refused(tmp_path, entry, said):
    (found,) = asked.problems(study_of(tmp_path, [{**ENTRY, **entry}]))
    assert re.search(said, found)


def test_an_entry_named_twice_is_refused(tmp_path):
    assert list(asked.problems(study_of(tmp_path, [ENTRY, ENTRY]))) == ["effects: the name e occurs twice"]
