"""The command on small images whose answer is known: squares as nuclei, some of which a class loses or moves."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.scores.translation import score_translation

CHANNELS = {"input": [], "target": ["DNA", "ER"]}
SETTINGS = {"label": "treatment", "channels": CHANNELS, "cutoff": 15, "renormalise": False}
SIDE, WELLS = 32, {"DMSO": 4, "weak@1uM": 2, "toxic@10uM": 2}


def field(name, well):
    perturbation, _, dose = name.partition("@")
    return {"Metadata_Plate": "P", "Metadata_Well": f"A{well:02d}", "Metadata_Site": 1, "Metadata_Tile": 1,
            "Metadata_perturbation": perturbation, "Metadata_target": "",
            "Metadata_control_type": "negcon" if perturbation == "DMSO" else "", "Metadata_treatment": name,
            "Metadata_dose": float(dose.removesuffix("uM")) if dose else np.nan}  # fmt: skip


def nuclei(well, toxic=False, moved=0):
    """Return labels of two nuclei whose place depends on the well, of one where the class is toxic."""
    labels = np.zeros((SIDE, SIDE), np.uint16)
    labels[4 + moved : 10 + moved, 2 * well : 2 * well + 6] = 1
    if not toxic:
        labels[20:26, 24 - 2 * well : 30 - 2 * well] = 2
    return labels


def stains(labels, seed, gain=1.0):
    noise = 0.05 * np.random.default_rng(seed).normal(size=(2, SIDE, SIDE))
    return noise + np.stack([gain * (labels > 0), 0.5 * (labels > 0)])


def write(folder, arm, rows, labels, images):
    rows = pd.DataFrame(rows)
    with store.StackWriter(
        folder / f"images/{arm}/P.tif", (len(rows), 2, SIDE, SIDE), CHANNELS["target"], key="t"
    ) as writer:
        for n, image in enumerate(images):
            writer.write(n, image.astype(np.float16))
    store.write_table(rows, folder / ("fields/P.parquet" if arm == "real" else f"images/{arm}/P.parquet"))
    both = [np.stack([label, label]) for label in labels]
    store.write_masks(folder / f"masks/{arm}/P.tif", rows, both, ["Nuclei", "Cells"], (SIDE, SIDE))
    counts = [int(label.max() and len(np.unique(label)) - 1) for label in labels]
    store.write_table(rows.assign(Metadata_cells=counts, Nuclei_Area=1.0), folder / f"medians/{arm}/P.parquet")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Real wells; an arm that keeps places, and loses a nucleus where the class is toxic; fresh noise, of other places."""
    folder = tmp_path_factory.mktemp("translation")
    names = [name for name, count in WELLS.items() for _ in range(count)]
    real = [field(name, well) for well, name in enumerate(names, start=1)]
    toxic = [name.startswith("toxic") for name in names]
    labels = [nuclei(well, bad) for well, bad in enumerate(toxic, start=1)]
    gains = [3.0 if bad else 1.0 for bad in toxic]
    write(folder, "real", real, labels, [stains(*each) for each in zip(labels, range(99), gains)])
    rows = [{**row, "Metadata_painted_as": name, "Metadata_draw": 0} for row in real[:4] for name in WELLS]
    for arm, shift in (("arm", 0), ("fresh_arm", 3)):
        labels = [
            nuclei(int(row["Metadata_Well"][1:]) + shift, row["Metadata_painted_as"].startswith("toxic"), shift)
            for row in rows
        ]
        gains = [3.0 if row["Metadata_painted_as"].startswith("toxic") else 1.0 for row in rows]
        write(folder, arm, rows, labels, [stains(*each) for each in zip(labels, range(100, 199), gains)])
    return folder


def score(folder, out, settings=SETTINGS, cells=True):
    path = lambda kind, arm, end=".tif": str(folder / f"{kind}/{arm}/P{end}")  # noqa: E731
    words = ["--settings", json.dumps(settings), "--arm", "arm", "--plates", "P", "--real", path("images", "real"),
             "--fields", str(folder / "fields/P.parquet"), "--translated", path("images", "arm"),
             "--fresh", path("images", "fresh_arm"), "--table", str(out / "arm.parquet")]  # fmt: skip
    if cells:
        for prefix, arm in (("", "arm"), ("fresh-", "fresh_arm"), ("real-", "real")):
            words += [f"--{prefix}masks", path("masks", arm), f"--{prefix}medians", path("medians", arm, ".parquet")]
    score_translation.main(words)
    return {name: store.read_table(out / f"arm.{name}.parquet") for name in score_translation.TABLES} | {
        "metrics": store.read_table(out / "arm.parquet")
    }


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
