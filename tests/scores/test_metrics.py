"""An arm's metrics table: rows in the order of plates and subjects, types, single fields; which tables a study has."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import yaml

from brightpaint import store
from brightpaint.scores import metrics
from brightpaint.scores.rows import KEYS, NUMBERS, write_rows
from brightpaint.study.study import Study
from brightpaint.study.subjects import SUBJECTS, field_tables, score_tables, scored_arms
from conftest import ROOT, TINY, write_study

# Within a plate rows follow one another so; two subjects of spaces stand apart by what the spaces hold.
ORDER = ["images", "codec", "counts", "distances", "objects", "frechet", "distances", "profiles", "cellnet", "calibration",
         "erased", "translation", "shifts", "class_frechet", "failed"]  # fmt: skip


def study_of(folder, **changes):
    write_study(folder, {"source": {"layout": "simulated"}, **changes})
    given = {**json.loads(json.dumps(TINY)), "source": {"layout": "simulated"}, **changes}
    return Study.load(given, ROOT / "workflow" / "schemas", root=folder)


def test_subjects_follow_one_another_as_documented(tmp_path):
    assert [subject.name for subject in SUBJECTS] == ORDER
    given = {"embed": {"weights": "facebook/dino-vits8"}, "fid": {"weights": "x.pth"}}
    study = study_of(tmp_path, **given, simulate={**TINY["simulate"], "failed_share": 0.2})
    tables = [name.removeprefix("<results>/scores/") for name in score_tables(study, "pert")]
    assert tables == [
        "images/pert.parquet", "counts/pert.parquet", "distances/cellprofiler/pert.parquet", "objects/pert.parquet",
        "frechet/pert.parquet", "distances/dino/pert.parquet", "profiles/cellprofiler/pert.parquet",
        "profiles/dino/pert.parquet", "failed/pert.parquet",
    ]  # fmt: skip
    fields = [f"<results>/scores/{name}/pert.fields.parquet" for name in ("images", "objects")]
    assert field_tables(study, "pert") == fields and field_tables(study, "lookup") == []
    assert scored_arms(study) == ["real", "brightfield", "lookup", "pert", "mean", "pixel"]
    assert score_tables(study, "brightfield") == ["<results>/scores/profiles/dino/brightfield.parquet"]
    assert score_tables(study, "mean") == [f"<results>/scores/{name}/mean.parquet" for name in ("images", "frechet")]


def row(metric, plate, space="images", **numbers):
    return {"metric": metric, "subset": "full", "space": space, "plate": plate, "channel": "all", "n": 3, **numbers}


def test_rows_are_sorted_by_plate_then_by_subject_and_keep_their_types(tmp_path):
    given = {"images": [row("pcc", "B", value=1), row("pcc", "A", value=0.5, null=0.1)],
             "counts": [], "profiles": [row("nn", "A", "x", value=3), row("nn", "B", "x", value=4)]}  # fmt: skip
    for name, rows in given.items():
        write_rows(rows, "arm", tmp_path / f"{name}.parquet")
    words = ["--plates", "B", "A", "--metrics", str(tmp_path / "m.parquet"), "--by-field", str(tmp_path / "f.parquet")]
    metrics.main([*words, "--scores", *(str(tmp_path / f"{name}.parquet") for name in given)])
    frame = store.read_table(tmp_path / "m.parquet")
    assert list(frame.columns) == [*KEYS, *NUMBERS, "n"]
    assert list(zip(frame["plate"], frame["metric"])) == [("B", "pcc"), ("B", "nn"), ("A", "pcc"), ("A", "nn")]
    assert (frame[NUMBERS].dtypes == "float64").all() and frame["n"].dtype == "int64" and set(frame["arm"]) == {"arm"}
    naive = pd.DataFrame(given["images"][:1] + given["profiles"][1:] + given["images"][1:] + given["profiles"][:1])
    naive = naive.assign(arm="arm").reindex(columns=[*KEYS, *NUMBERS, "n"])
    pd.testing.assert_frame_equal(frame, naive.astype(dict.fromkeys(NUMBERS, "float64") | {"n": "int64"}))
    assert list(store.read_table(tmp_path / "f.parquet").columns) == [*store.FIELD_KEYS, "Channel"]
    with pytest.raises(ValueError, match="scores of plates ..A.., expected ..B..; delete the scores and rerun"):
        metrics.main([*words[:2], *words[3:], "--scores", str(tmp_path / "images.parquet")])


def test_single_fields_are_joined_by_key_and_lack_what_was_not_measured():
    keys = pd.DataFrame(
        {"Metadata_Plate": "P", "Metadata_Well": ["A01", "A02"], "Metadata_Site": 1, "Metadata_Tile": 1}
    )
    images = pd.concat([keys, keys], ignore_index=True).assign(Channel=["DNA", "DNA", "ER", "ER"], pcc=[1.0, 2, 3, 4])
    joined = metrics.joined_fields([images, keys.iloc[1:].assign(nuclei_f1=0.5)])
    assert joined["pcc"].tolist() == [1, 2, 3, 4]
    assert joined["nuclei_f1"].fillna(-1).tolist() == [-1, 0.5, -1, 0.5]


def test_a_study_of_translations_asks_for_no_space_that_it_did_not_name(tmp_path):
    settings = yaml.safe_load((ROOT / "config" / "doses.yaml").read_text())
    study = Study.load(settings, ROOT / "workflow" / "schemas", ROOT)
    asked = {name for arm in ("doses", "real") for name in score_tables(study, arm)}
    assert any("/shifts/cellprofiler/" in name for name in asked) and not [name for name in asked if "cellnet" in name]
    assert not [name for name in asked if "frechet" in name]
    given = Study.load({**settings, "fid": {"weights": "x.safetensors"}}, ROOT / "workflow" / "schemas", ROOT)
    assert "<results>/scores/class_frechet/doses.parquet" in score_tables(given, "doses")
