"""The command on small images whose answer is known: squares as nuclei, some of which a class loses or moves."""

from __future__ import annotations

import numpy as np
import pytest

from brightpaint import store
from translated_images_fixture import SETTINGS, score, translated_folder  # noqa: F401


@pytest.fixture(scope="module")
def scored(folder):
    return score(folder, folder / "scores")


def one(frame, column, **where):
    (found,) = frame[np.logical_and.reduce([frame[key] == value for key, value in where.items()])][column]
    return found


def test_nuclei_are_kept_but_where_the_class_is_toxic(scored):
    table = scored["objects"]
    at = lambda column, shown, reference: one(table, column, **{"class": shown, "reference": reference})  # noqa: E731
    assert at("kept", "DMSO", "reconstruction") == 1 and at("f1", "DMSO", "reconstruction") == 1
    assert at("kept", "weak@1uM", "translation") == 1 and at("new", "weak@1uM", "translation") == 0
    assert at("kept", "toxic@10uM", "translation") == at("lost", "toxic@10uM", "translation") == 0.5
    assert at("kept", "weak@1uM", "fresh noise") == 0 and at("new", "weak@1uM", "fresh noise") == 1
    assert at("f1", "weak@1uM", "unrelated cells") < 1
    counts = scored["counts"]
    assert one(counts, "ratio", **{"class": "toxic@10uM", "kind": "real"}) == 0.5
    assert one(counts, "ratio", **{"class": "toxic@10uM", "kind": "translation"}) == 0.5
    assert set(counts["kind"]) == {"real", "translation", "fresh noise"}


def test_pixels_of_the_reconstruction_are_the_sources(scored):
    metrics = scored["metrics"]
    value = lambda column: one(metrics, column, metric="reconstruction_mse", channel="DNA")  # noqa: E731
    assert 0 < value("low") < value("value") < value("high") < 0.01 < value("null") and value("floor") > 0.01
    table = scored["images"]
    assert one(table, "pcc", **{"class": "weak@1uM", "reference": "translation", "channel": "DNA"}) > 0.9
    assert one(table, "pcc", **{"class": "weak@1uM", "reference": "unrelated cells", "channel": "DNA"}) < 0.7


def test_both_sides_conclude_of_the_area_what_the_same_test_says(scored):
    table = scored["areas"]
    toxic = table[table["class"] == "toxic@10uM"].set_index("channel")
    assert toxic.at["DNA", "real_conclusion"] == toxic.at["DNA", "conclusion"] and toxic.at["DNA", "agree"] == 1
    assert (table["threshold"] > 0).all()
    assert one(scored["metrics"], "n", metric="area_agreement") == len(table) == 4


def test_metrics_have_their_nulls_and_floors(scored):
    metrics = scored["metrics"]
    kept = lambda column: one(metrics, column, metric="nuclei_kept")  # noqa: E731
    assert kept("value") == 0.75 and kept("floor") == 0 and kept("null") < 0.75 and kept("n") == 2
    assert one(metrics, "value", metric="reconstruction_f1") == 1
    assert set(metrics["subset"]) == {"full"} and set(metrics["space"]) == {"images", "cellprofiler"}


def test_without_cells_pixels_alone_are_scored(folder, tmp_path):
    found = score(folder, tmp_path, cells=False)
    assert not len(found["objects"]) and not len(found["counts"])
    assert set(found["metrics"]["metric"]) == {"reconstruction_mse", "area_agreement"}


def test_a_field_that_is_not_real_is_named(folder, tmp_path):
    rows = store.read_table(folder / "images/arm/P.parquet")
    for end in (".tif",):
        (tmp_path / "images/arm").mkdir(parents=True)
        (tmp_path / f"images/arm/P{end}").symlink_to(folder / f"images/arm/P{end}")
    for name in ("images/real", "images/fresh_arm", "fields"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(folder / name)
    store.write_table(rows.replace({"Metadata_Well": {"A02": "H12"}}), tmp_path / "images/arm/P.parquet")
    with pytest.raises(ValueError, match="real fields of plate P: plate P, well H12, site 1, tile 1 is not in it"):
        score(tmp_path, tmp_path, cells=False)
