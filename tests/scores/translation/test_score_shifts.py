"""The command on simulated tables: five references, distance against preservation, doses, changes and their controls."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.scores.translation import score_shifts
from translation_fixture import TWIN, Plates, scored_translation  # noqa: F401


@pytest.fixture(scope="module")
def scored(shifts):
    tables = {name: store.read_table(shifts / f"arm.{name}.parquet") for name in score_shifts.TABLES}
    return {"metrics": store.read_table(shifts / "arm.parquet"), **tables}


def row(frame, **where):
    (found,) = frame[np.logical_and.reduce([frame[key] == value for key, value in where.items()])].to_dict("records")
    return found


def test_each_class_stands_beside_five_references(scored):
    classes = scored["classes"]
    top = classes[classes["class"] == "drug@30uM"].set_index("reference")
    assert list(top.index) == ["translation", "identity", "reconstruction", "fresh noise", "real training", "real half"]
    assert top.at["translation", "distance"] < top.at["reconstruction", "distance"] / 1.5
    assert top.at["identity", "kept"] == pytest.approx(1) and top.at["identity", "moved"] == 0
    assert top.at["translation", "kept"] > 0.9 and abs(top.at["fresh noise", "kept"]) < 0.5
    assert top.at["translation", "low"] < top.at["translation", "distance"] < top.at["translation", "high"]
    assert np.isnan(top.at["real half", "kept"]) and top.at["real half", "wells"] == 1
    assert set(top["perturbation"]) == {"drug"} and set(top["dose"]) == {30.0}


def test_controls_say_what_is_found_where_nothing_is(scored):
    metrics, classes = scored["metrics"], scored["classes"]
    controls = classes.drop_duplicates("class").set_index("class")["control"]
    assert controls[TWIN] == "A/A" and controls["inert@1uM"] == "inert" and controls["drug@1uM"] == ""
    twin, inert = row(metrics, metric="found_twin"), row(metrics, metric="found_inert")
    assert twin["value"] <= 0.05 and inert["value"] <= 0.05 and twin["null_bound"] == 0.05
    assert twin["n"] == 1 and inert["n"] == 8 and twin["null"] <= 0.05


def test_changes_are_ranked_and_say_where_they_are_found(scored):
    table = scored["changes"]
    top = table[table["class"] == "drug@30uM"]
    assert top["rank"].tolist() == list(range(1, 46))
    best = top.head(10)
    assert (best["verdict"] == "found in real cells").all() and (best["low"] * best["high"] > 0).all()
    assert set(best["number"]) <= {f"Nuclei_Texture_{n:03d}" for n in range(15)}  # the third that the drug changes
    assert set(top["training_wells"]) == {4} and set(top["real_wells"]) == {3} and set(top["source_wells"]) == {14 - 1}


def test_doses_correlate_beyond_the_joint_null(scored):
    real = row(scored["metrics"], metric="dose_r_real")
    assert real["value"] > real["null_bound"] > 0.3 and real["low"] < real["value"] <= real["high"]
    assert abs(real["null"]) < 0.1 and real["floor"] > real["null_bound"]  # fresh noise follows the doses as well
    table = scored["correlations"]
    assert set(table["kind"]) == {"translation", "fresh noise"} and set(table["perturbation"]) == {"drug"}
    chosen = table[(table["kind"] == "translation") & (table["perturbation"] == "drug") & (table["real"] == 1)]
    assert chosen["r"].median() > 0.8


def test_directions_and_rows_have_their_place(scored):
    metrics = scored["metrics"]
    direction = row(metrics, metric="direction")
    assert direction["value"] > 0.9 and direction["null"] == pytest.approx(0.5, abs=0.1)
    assert direction["null_bound"] > 0.6
    assert (
        set(metrics["space"]) == {"cellprofiler"} and set(metrics["plate"]) == {"P"} and set(metrics["arm"]) == {"arm"}
    )
    kept = row(metrics, metric="source_kept")
    assert kept["value"] > 0.9 and abs(kept["null"]) < 0.3


def test_identity_reconstructed_changes_nothing(tmp_path):
    """An arm that shows its reconstruction for every class: nothing is found, nothing follows a dose, all is kept."""
    plates = Plates(4, target_wells=4, by_name=True, features=20, doses=[0.1, 1.0, 3.0, 10.0])
    score_shifts.main(plates.write(tmp_path, share=0.0))
    metrics = store.read_table(tmp_path / "scores/arm.parquet")
    changes = store.read_table(tmp_path / "scores/arm.changes.parquet")
    assert not (changes["q"] <= 0.05).any()
    assert "dose_r" not in set(metrics["metric"]) or row(metrics, metric="dose_r")["n"] == 0
    distance = row(metrics, metric="class_distance")
    assert distance["value"] == pytest.approx(distance["floor"], abs=0.1)


def test_what_is_wrong_with_the_tables_is_named(tmp_path):
    plates = Plates(5, by_name=True, features=6, doses=[1.0])
    words = plates.write(tmp_path)
    good = store.read_table(tmp_path / "arm/P.parquet")

    def refused(frame, match):
        store.write_table(frame, tmp_path / "arm/P.parquet")
        with pytest.raises(ValueError, match=match):
            score_shifts.main(words)

    single = good[good["Metadata_painted_as"] == "DMSO"].drop(columns="Metadata_painted_as")
    refused(single, "arm arm, plate P: rows do not say which class they show")
    refused(pd.concat([good, good.head(1)]), "plate P, well .*, painted as DMSO occurs twice")
    refused(good[good["Metadata_painted_as"] != "DMSO"], "expected one source class, shown too")
    names = ["DMSO"] * (len(good) - 1) + ["drug"]
    mixed = good.assign(Metadata_perturbation=names, Metadata_treatment=names)
    refused(mixed, "source fields of classes .*'DMSO', 'drug")
    refused(
        good.drop(columns=plates.numbers), "no number of the space is measured both in real and in translated fields"
    )
    refused(good.drop(index=1), "plate P, well A01, site 2, tile 1 is shown as 3 of 4 classes")
    real = store.read_table(tmp_path / "real/P.parquet")
    store.write_table(real[real["Metadata_Well"] != good["Metadata_Well"].iloc[0]], tmp_path / "real/P.parquet")
    refused(good, "real fields of plate P: plate P, well A01, site 1, tile 1 is not in it")


def test_a_space_of_fields_is_scored_by_the_same_command(tmp_path):
    """Embeddings count no cells, and are not selected."""
    plates = Plates(6, by_name=True, features=6, doses=[1.0])
    words = plates.write(tmp_path)
    for path in [*(tmp_path / "real").iterdir(), tmp_path / "arm/P.parquet", tmp_path / "fresh/P.parquet"]:
        named = {name: f"DINO_DNA_{n:03d}" for n, name in enumerate(plates.numbers)}
        store.write_table(store.read_table(path).rename(columns=named).drop(columns="Metadata_cells"), path)
    words[words.index("cellprofiler")] = "dino"
    score_shifts.main(words)
    metrics = store.read_table(tmp_path / "scores/arm.parquet")
    assert set(metrics["space"]) == {"dino"} and "class_distance" in set(metrics["metric"])
