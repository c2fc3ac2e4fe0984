"""Images that another program painted: delivered plates come back as they were, and what does not fit is refused by name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml

from brightpaint import store
from brightpaint.models.paint import given
from brightpaint.plates import given_images
from brightpaint.scores.images.field_scores import plate_scores
from brightpaint.study.study import Study
from conftest import ROOT, planned, snakemake, write_study
from hostile import copied
from hostile_given import HOW, arguments, delivered_plate, rewrite
from scores_fixture import SETTINGS

SCHEMAS = ROOT / "workflow" / "schemas"


@pytest.fixture
def plate(tmp_path):
    """A real plate P1, an arm that was painted, and its delivered folder; what is refused of it stands in hostile_given."""
    return copied(delivered_plate, tmp_path)


def test_a_delivered_plate_scores_as_the_arm_it_came_from(plate):
    given.main(arguments(plate))
    rows, own = (store.read_fields(plate / f"images/{arm}/P1.parquet") for arm in ("theirs", "own"))
    assert rows[store.FIELD_KEYS].equals(own[store.FIELD_KEYS]) and "Metadata_perturbation" in rows
    found, expected = (
        plate_scores(
            plate / "images/real/P1.tif", plate / f"images/{arm}/P1.tif", plate / "fields/P1.parquet", SETTINGS
        )[1]
        for arm in ("theirs", "own")
    )
    for name in set(expected) - {"mse_raw", "mse_raw_other_well"}:  # delivered stains are brought to s.d. 1 first
        np.testing.assert_allclose(found[name], expected[name], atol=2e-3, err_msg=name)
    assert store.read_table(plate / "images/theirs/P1.seconds.tsv")["computed"].tolist() == ["elsewhere"]


def test_delivered_twice_it_is_the_same_to_half_a_count_and_float16(plate):
    given.main(arguments(plate))
    back = np.asarray(store.open_stack(plate / "images/theirs/P1.tif").images, np.float64)
    own = np.asarray(store.open_stack(plate / "images/own/P1.tif").images, np.float64)
    scaled = (own - own.mean(axis=(2, 3), keepdims=True)) / own.std(axis=(2, 3), keepdims=True)
    assert np.abs(back - scaled).max() < 20 / 65535 + 4e-3


def test_rows_may_stand_in_any_order_wells_be_spelt_otherwise_and_folders_be_moved(plate):
    given.main(arguments(plate))
    expected = np.array(store.open_stack(plate / "images/theirs/P1.tif").images)

    def change(table):
        table = table.sample(frac=1, random_state=0).drop(columns=["Metadata_Tile", "PathName_OrigER"])
        table["Metadata_Well"] = table["Metadata_Well"].str.lower().str.replace("0", "")
        table["PathName_OrigDNA"] = "/nowhere"
        table["Metadata_Plate"] = "P1"
        return pd.concat([table, table.assign(Metadata_Plate="P9")]).rename(columns={"FileName_OrigER": "ER"})

    given.main(arguments(plate, rewrite(plate, change), arm="moved"))
    np.testing.assert_array_equal(np.array(store.open_stack(plate / "images/moved/P1.tif").images), expected)


def as_type(plate, dtype, change):
    for path in (plate / "predicted/P1").glob("*.tif"):
        image = given_images.read_scores(path, "", "window", [-5, 15], 15)
        tifffile.imwrite(path, change(image).astype(dtype))


def test_z_scores_and_any_other_unit_are_read_as_what_they_are_said_to_be(plate):
    given.main(arguments(plate))
    expected = np.asarray(store.open_stack(plate / "images/theirs/P1.tif").images, np.float32)
    as_type(plate, np.float32, lambda z: z)
    given.main(arguments(plate, settings={**HOW, "pixels": "z-scores"}, arm="scores"))
    np.testing.assert_array_equal(store.open_stack(plate / "images/scores/P1.tif").images, expected.astype(np.float16))
    for path in (plate / "predicted/P1").glob("*.tif"):
        tifffile.imwrite(path, (3000 + 700 * tifffile.imread(path)).astype(np.int32))
    given.main(arguments(plate, settings={**HOW, "pixels": "raw"}, arm="raw"))
    np.testing.assert_allclose(store.open_stack(plate / "images/raw/P1.tif").images, expected, atol=1e-2)


def test_eight_bits_span_the_window_too(plate):
    as_type(plate, np.uint8, lambda z: np.rint((np.clip(z, -5, 15) + 5) / 20 * 255))
    given.main(arguments(plate))
    own = np.asarray(store.open_stack(plate / "images/own/P1.tif").images, np.float64)
    scaled = (own - own.mean(axis=(2, 3), keepdims=True)) / own.std(axis=(2, 3), keepdims=True)
    assert np.abs(store.open_stack(plate / "images/theirs/P1.tif").images - scaled).max() < 20 / 255


def test_an_arm_of_the_active_subset_needs_no_other_fields(plate):
    (plate / "some.tsv").write_text("Metadata_perturbation\tactive\nc03\t1\n")
    given.main(arguments(plate, rewrite(plate, lambda table: table[3:4]), active=[plate / "some.tsv"]))
    assert store.read_fields(plate / "images/theirs/P1.parquet")["Metadata_perturbation"].tolist() == ["c03"]


# --- in a study ----------------------------------------------------------------------------------

THEIRS = {"name": "theirs", "kind": "given", "given": {"folder": "theirs"}}
ARM = {"name": "theirs", "model": "theirs", "folds": ["A"]}


def write_theirs(folder, plates=("T2", "T3"), dtype=np.uint16):
    (folder / "theirs").mkdir(parents=True)
    names = ["DNA", "RNA", "ER", "AGP", "Mito"]
    files = {plate: {f"FileName_Orig{c}": f"{plate}_{c}.tif" for c in names} for plate in plates}
    rows = [
        {"Metadata_Plate": plate, "Metadata_Well": "A01", "Metadata_Site": 1, **own} for plate, own in files.items()
    ]
    for row in rows:
        for channel in names:
            tifffile.imwrite(folder / "theirs" / row[f"FileName_Orig{channel}"], np.zeros((8, 8), dtype))
    pd.DataFrame(rows).to_csv(folder / "theirs" / "load_data.csv", index=False)


def test_the_study_plans_it_as_an_arm_and_trains_nothing_for_it(tmp_path):
    write_theirs(tmp_path)
    changes = {"source": {"layout": "simulated"}, "models": [THEIRS], "arms": [ARM]}
    found = planned(snakemake(write_study(tmp_path, changes), "-n").stdout)
    assert found["given"] == 2 and "train" not in found and "sample" not in found and "gather" not in found
    assert found["score_images"] == 2 and found["score_profiles"] >= 2


@pytest.mark.parametrize("spoil, words", [
    (lambda root: (root / "theirs/load_data.csv").unlink(), "arm theirs: theirs/load_data.csv: there is no such table"),
    (lambda root: (root / "theirs/T3_ER.tif").unlink(), "T3_ER.tif (plate T3, well A01, site 1, tile 1, channel ER): expected"),
    (lambda root: tifffile.imwrite(root / "theirs/T2_ER.tif", np.zeros((8, 8), np.float32)), "found float32; set given.pixels"),
])  # fmt: skip
def test_what_can_be_known_before_is_said_before_anything_runs(tmp_path, monkeypatch, spoil, words):
    write_theirs(tmp_path)
    spoil(tmp_path)
    monkeypatch.chdir(tmp_path)
    folder = write_study(tmp_path, {"source": {"layout": "simulated"}, "models": [THEIRS], "arms": [ARM]})
    study = Study.load(yaml.safe_load((folder / "config.yaml").read_text()), SCHEMAS, folder)
    found = list(given_images.problems(study))
    assert any(words in problem for problem in found), found


@pytest.mark.parametrize("model, changes, words", [
    ({"given": None}, {}, "model theirs: kind given reads images that another program painted; say where they lie"),
    ({"kind": "mean"}, {}, "model theirs: given names images, but kind mean paints its own; use kind given"),
    ({"label": "target"}, {}, "model theirs: kind given takes no label"),
    ({"weights": "w.safetensors"}, {}, "model theirs: kind given has no weights; leave weights out"),
    ({"given": {"folder": "x", "window": [3, 1]}}, {}, r"model theirs: given.window \[3, 1\] is empty"),
    ({"given": {"folder": "x", "pixels": "raw"}}, {"prepare": {"normalise": "plate"}}, "given.pixels raw brings each"),
    ({}, {"arms": [{**ARM, "samples": 3}]}, "samples 3, but model theirs paints without noise"),
])  # fmt: skip
def test_entries_that_say_nothing_sensible_are_refused(tmp_path, model, changes, words):
    changes = {"source": {"layout": "simulated"}, "models": [{**THEIRS, **model}], "arms": [ARM], **changes}
    folder = write_study(tmp_path, changes)
    with pytest.raises(ValueError, match=words):
        Study.load(yaml.safe_load((folder / "config.yaml").read_text()), SCHEMAS, folder)
