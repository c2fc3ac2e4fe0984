"""FID and KID class by class: what is alike is near, references stand beside, few fields have none."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.features.embedders.inception import FEATURES, feature_table
from brightpaint.scores.translation import score_class_frechet

STAINS = ["DNA", "ER"]
SHIFT = {"DMSO": 0.0, "drug@1uM": 3.0, "inert@1uM": 0.0}


def fields(plate, wells):
    """Real fields: {class: wells}."""
    names = [name for name, count in wells.items() for _ in range(count)]
    perturbation = [name.split("@")[0] for name in names]
    wells_of = [f"A{n + 1:02d}" for n in range(len(names))]
    controls = ["negcon" if name == "DMSO" else "" for name in names]
    place = {"Metadata_Plate": plate, "Metadata_Well": wells_of, "Metadata_Site": 1, "Metadata_Tile": 1}
    given = {"Metadata_perturbation": perturbation, "Metadata_treatment": names, "Metadata_target": ""}
    return pd.DataFrame({**place, **given, "Metadata_control_type": controls})


def features(rows, shifts, seed):
    found = np.zeros((len(rows), len(STAINS), FEATURES), np.float32)
    found[..., :3] = (
        np.random.default_rng(seed).normal(size=(len(rows), len(STAINS), 3)) + np.array(shifts)[:, None, None]
    )
    return feature_table(rows, found, STAINS)


def write(folder, sources=8, held=10):
    """Write real plates T and P, an arm that moves half of the way to the drug, and its fresh noise; return the words."""
    wells = {"DMSO": sources, "drug@1uM": held, "inert@1uM": held}
    for number, plate in enumerate(("T", "P")):
        rows = fields(plate, wells)
        store.write_table(
            features(rows, [SHIFT[name] for name in rows["Metadata_treatment"]], number),
            folder / f"real/{plate}.parquet",
        )
    base = fields("P", {"DMSO": sources})
    shown = pd.concat([base.assign(Metadata_painted_as=name, Metadata_draw=0) for name in SHIFT], ignore_index=True)
    for number, (arm, share) in enumerate((("arm", 0.5), ("fresh", 1.0)), start=2):
        moved = [share * SHIFT[name] for name in shown["Metadata_painted_as"]]
        store.write_table(features(shown, moved, number), folder / f"{arm}/P.parquet")
    truth = fields("P", wells)
    store.write_table(
        truth.assign(active=(truth["Metadata_perturbation"] == "drug").astype(int)), folder / "truth/P.tsv"
    )
    settings = json.dumps({"label": "treatment", "training": {"P": ["T"]}, "validation_share": 0.0})
    paths = [str(folder / f"{name}.parquet") for name in ("arm/P", "fresh/P", "real/T", "real/P", "scores/arm")]
    words = ["--settings", settings, "--arm", "arm", "--plates", "P", "--translated", paths[0], "--fresh", paths[1]]
    return [*words, "--real", *paths[2:4], "--truth", str(folder / "truth/P.tsv"), "--table", paths[4]]


def test_references_stand_beside_a_translation_that_goes_half_of_the_way(tmp_path):
    score_class_frechet.main(write(tmp_path))
    table = store.read_table(tmp_path / "scores/arm.classes.parquet")
    drug = table[(table["class"] == "drug@1uM") & (table["channel"] == "all")].set_index("reference")
    assert set(drug.index) == {"translation", "identity", "reconstruction", "fresh noise", "real training", "real half"}
    for metric in ("fid", "kid"):
        near = drug[metric]
        assert (
            near["identity"] > near["translation"] > near["fresh noise"] and near["real training"] < near["translation"]
        )
    assert drug.at["translation", "kid_low"] < drug.at["translation", "kid"] < drug.at["translation", "kid_high"]
    assert drug.at["translation", "fid"] == pytest.approx(3 * 1.5**2, rel=0.6)  # three numbers, moved by 1.5 too little
    assert drug.at["real half", "fields"] == 5 and drug.at["translation", "fields"] == 8
    channels = table[(table["class"] == "drug@1uM") & (table["reference"] == "identity") & (table["channel"] != "all")]
    assert drug.at["identity", "fid"] == pytest.approx(channels["fid"].mean())
    metrics = store.read_table(tmp_path / "scores/arm.parquet")
    fid = metrics[(metrics["metric"] == "class_fid") & (metrics["channel"] == "all")].iloc[0]
    assert fid["value"] == pytest.approx(drug.at["translation", "fid"]) and fid["floor"] == pytest.approx(
        drug.at["identity", "fid"]
    )
    assert fid["n"] == 1 and set(metrics["channel"]) == {"all", *STAINS}  # the inert class is a control


def test_classes_of_few_fields_have_none(tmp_path):
    score_class_frechet.main(write(tmp_path, held=3))
    table = store.read_table(tmp_path / "scores/arm.classes.parquet")
    assert table["fid"].isna().all() and not len(store.read_table(tmp_path / "scores/arm.parquet"))


def test_a_plate_without_features_is_named(tmp_path):
    words = write(tmp_path)
    words[words.index("P")] = "Q"
    with pytest.raises(ValueError, match="expected one table of Inception features of plate Q"):
        score_class_frechet.main(words)
