"""Images of generated treatments beside real ones: a model that paints real textures lies near, blurred ones far, and rows hold."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter

from brightpaint import store
from brightpaint.models.hold_out import hold_out
from brightpaint.scores.generation import generated_images
from brightpaint.scores.generation.gains import COLUMNS

SIDE, DRUGS = 32, ["cpd1", "cpd2", "cpd3", "cpd4"]
TARGETS = ["DNA", "ER"]
SD = {"DMSO": 1.0, "cpd1": 0.5, "cpd2": 1.5, "cpd3": 2.0, "cpd4": 3.0}  # px by which a treatment's texture is smoothed


def image(sd, rng):
    return np.stack([gaussian_filter(rng.normal(size=(SIDE, SIDE)), sd) * 5 for _ in range(3)])


def plate(folder, name, *, seed, sd=SD.get, draw=False, wells=3):
    """Write a stack of a plate and its table: brightfield and two stains, three wells a drug and six of DMSO."""
    rng, rows, images = np.random.default_rng(seed), [], []
    for number, drug in enumerate([*DRUGS * wells, *["DMSO"] * (2 * wells)]):
        rows.append({"Metadata_Plate": name, "Metadata_Well": f"A{number + 1:02d}", "Metadata_Site": 1, "Metadata_Tile": 1,
                     "Metadata_perturbation": drug, "Metadata_dose": np.nan, "Metadata_treatment": drug, "Metadata_cell_line": "",
                     "Metadata_time_h": np.nan})  # fmt: skip
        images.append(image(sd(drug), rng))
    channels = TARGETS if draw else ["BF", *TARGETS]
    path = folder / f"{name}.tif"
    path.parent.mkdir(exist_ok=True, parents=True)
    with store.StackWriter(path, (len(rows), len(channels), SIDE, SIDE), channels, key="x") as writer:
        for row, each in enumerate(images):
            writer.write(row, each[-len(channels) :].astype(np.float16))
    table = pd.DataFrame(rows).assign(stack_row=np.arange(len(rows)))
    return table.assign(Metadata_painted_as="", Metadata_draw=0) if draw else table


@pytest.fixture
def study(tmp_path):
    tables = {name: plate(tmp_path / "real", name, seed=seed) for seed, name in enumerate(("P1", "P2"))}
    for name, table in tables.items():
        store.write_table(table, tmp_path / "fields" / f"{name}.parquet")
    held = hold_out(tables["P1"], tables["P2"], ["cpd4"])
    store.write_table(store.as_text(held), tmp_path / "A.tsv")
    return tmp_path


def scored(study, rows, **changes):
    store.write_table(rows, study / "rows" / "P2.parquet")
    settings = {
        "training": {"P2": ["P1"]},
        "by": {"P2": "perturbation"},
        "molecules": False,
        "channels": TARGETS,
        **changes,
    }
    words = ["--settings", json.dumps(settings), "--arm", "made", "--plates", "P2", "--held-out", study / "A.tsv"]
    words += ["--painted", study / "made" / "P2.tif", "--rows", study / "rows" / "P2.parquet"]
    for name in ("real", "fields"):
        ending = "tif" if name == "real" else "parquet"
        words += [f"--{name}", *(study / name / f"{plate}.{ending}" for plate in ("P1", "P2"))]
    generated_images.main([str(word) for word in [*words, "--table", study / "images.tsv"]])
    return store.read_table(study / "images.tsv")


def value(found, baseline, column="value", metric="patch_distance_32px", split="seen"):
    return found.set_index(["split", "baseline", "metric"]).loc[(split, baseline, metric), column]


def test_the_model_s_textures_lie_near_where_they_are_right_and_the_baselines_where_theirs_are(study):
    found = scored(study, plate(study / "made", "P2", seed=7, draw=True))
    assert list(found.columns) == COLUMNS and set(found["metric"]) == {"patch_distance_32px", "patch_distance_16px"}
    assert set(found["split"]) == {"seen", "perturbation"} and value(found, "model", "treatments") == 3
    assert set(found["baseline"]) == {"model", "mean", "swapped", "DMSO", "real replicate"}
    assert abs(value(found, "real replicate", "gain")) < 0.1 and value(found, "model") < 0.2
    assert value(found, "DMSO") > 1.5 * value(found, "model") and value(found, "DMSO", "gain") > 0
    assert value(found, "DMSO", split="perturbation") > 2 * value(found, "model", split="perturbation")
    assert np.isnan(value(found, "model", "gain")) and np.isnan(value(found, "model", "low", split="perturbation"))
    assert value(found, "model", "low") <= value(found, "model", "high")


def test_a_model_that_blurs_lies_farther_than_real_replicates(study):
    found = scored(study, plate(study / "made", "P2", seed=7, draw=True, sd=lambda drug: SD[drug] + 2))
    assert value(found, "real replicate", "gain") < -0.1 and value(found, "model") > 2 * value(found, "real replicate")
    again = scored(study, pd.read_parquet(study / "rows" / "P2.parquet"))
    pd.testing.assert_frame_equal(found, again)


def test_what_shows_no_treatment_and_stacks_of_other_rows_are_refused(study):
    rows = plate(study / "made", "P2", seed=7, draw=True)
    with pytest.raises(ValueError, match="made/P2.tif: 18 fields where its table has 17; delete both and rerun"):
        scored(study, rows.iloc[:-1])
    elsewhere = rows.assign(Metadata_treatment="cpd9", Metadata_perturbation="cpd9")
    with pytest.raises(ValueError, match="arm made, plate P2: no treatment that was painted has real fields"):
        scored(study, elsewhere)
    with pytest.raises(ValueError, match="channels .'Mito'. are missing; it holds"):
        scored(study, rows, channels=["DNA", "Mito"])
