"""The section `cellnet`: off by default, what it plans where a label is given, and what is refused before anything runs."""

from __future__ import annotations

import re
import shutil

import pytest
import yaml

from brightpaint.study import single_cells
from brightpaint.study.study import Study
from conftest import ROOT, planned, snakemake, write_study

CROPS = {"size_um": 32, "arms": ["real", "pert"]}
OWN = {"name": "movies", "folder": ".", "table": "cells.csv", "channels": ["DNA"]}


def load(folder, changes: dict) -> Study:
    write_study(folder, {"source": {"layout": "simulated"}, **changes})
    return Study.load(yaml.safe_load((folder / "config.yaml").read_text()), ROOT / "workflow" / "schemas", folder)


def test_nothing_is_asked_for_without_a_label(tmp_path):
    study = load(tmp_path, {"crops": CROPS})
    assert study.config["cellnet"]["label"] is None
    assert single_cells.trained_variants(study) == single_cells.tested_arms_of_cells(study) == []


def test_a_label_plans_the_networks_and_the_scores_of_every_arm_that_is_named(tmp_path):
    cellnet = {"label": "treatment", "arms": ["real", "pert"]}
    load(tmp_path, {"crops": CROPS, "cellnet": cellnet})
    done = snakemake(tmp_path, "-n")
    jobs = planned(done.stdout)
    assert jobs["train_cellnet"] == 2 and jobs["cellnet_accuracy"] == 2 and jobs["crops"] == 3
    assert jobs["cellnet"] == 3 and jobs["tsne"] == 2  # and the space of measured cells
    alone = load(tmp_path, {"crops": CROPS, "cellnet": cellnet | {"shuffled": False}})
    assert single_cells.trained_variants(alone) == ["cells"]


def test_grad_camo_is_planned_where_it_is_asked_for(tmp_path):
    chosen = {"label": "treatment", "arms": ["real", "pert"], "gradcamo": True}
    study = load(tmp_path, {"crops": CROPS, "cellnet": chosen})
    assert single_cells.explained_variants(study) == ["cells", "shuffled"] and single_cells.lifted_arms(study) == []
    whole = load(tmp_path, {"crops": CROPS, "cellnet": chosen | {"floor": True, "least_lift": 1.2, "shuffled": False}})
    assert single_cells.explained_variants(whole) == ["cells", "floor"]
    assert single_cells.lifted_arms(whole) == single_cells.explained_arms(whole) == ["real", "pert"]
    jobs = planned(snakemake(tmp_path, "-n").stdout)
    assert jobs["train_cellnet"] == 2 and jobs["gradcamo"] == jobs["gradcamo_figure"] == jobs["gradcamo_table"] == 2
    assert jobs["lifted"] == 3 and jobs["score_cellnet"] == 2 and jobs["tsne"] == 3
    alone = load(tmp_path, {"crops": CROPS, "cellnet": {"label": "treatment"}})
    assert single_cells.explained_variants(alone) == single_cells.explained_arms(alone) == []


def test_pictures_along_the_training_are_planned_at_the_points_that_are_named(tmp_path):
    (tmp_path / "cells.csv").write_text("file,index,label,group\n")
    study = load(tmp_path, {**ALONE, "own_crops": [OWN], "cellnet": TOLD | {"umap_at": [0, 640], "shuffled": False}})
    assert single_cells.training_settings(study)["umap_at"] == [0, 640] and single_cells.mapped_arms(study) == ["real"]
    done = snakemake(tmp_path, "-n", "-p")
    assert planned(done.stdout)["cellnet_umap"] == 1
    line = next(line for line in done.stdout.splitlines() if "figures.cellnet_umap --settings" in line)
    points = "results/cellnet/cells/weights.at_0.safetensors results/cellnet/cells/weights.at_640.safetensors"
    assert f"--points {points} --weights results/cellnet/cells/weights.safetensors" in line
    assert "at_0" not in next(line for line in done.stdout.splitlines() if "models.train_cellnet --settings" in line)


def test_attention_changes_the_training_only_where_it_is_pulled(tmp_path):
    told, pulled = {"label": "treatment", "layer": 4}, {"attention_weight": 0.5}
    plain, weighed = (load(tmp_path, {"crops": CROPS, "cellnet": told | more}) for more in ({}, pulled))
    assert set(single_cells.training_settings(plain)) == set(single_cells.TRAINING)
    added = {"attention_weight": 0.5, "layer": 4}
    assert single_cells.training_settings(weighed) == single_cells.training_settings(plain) | added


def test_crops_of_ones_own_stand_for_plates(tmp_path):
    chosen = {"label": "label", "own_crops": ["movies"]}
    study = load(tmp_path, {"own_crops": [OWN], "cellnet": chosen})
    assert single_cells.seen_crops(study) == ["<results>/own_crops/movies.tif"]
    assert single_cells.tested_arms_of_cells(study) == ["real"]


REFUSED = {
    "none": ({"label": "none"}, "cellnet.label: none tells no classes apart; name an annotation"),
    "unknown key": ({"lable": "treatment"}, "unknown key lable at cellnet; did you mean label?"),
    "odd label": ({"label": "a b"}, "cellnet.label"),
    "arm without crops": ({"arms": ["mean"]}, "cellnet.arms: mean is not in crops.arms, so it has no crops"),
    "unknown plate": ({"test_plates": ["T9"]}, "cellnet.test_plates: T9 is no plate with crops of real cells; there are: T1, T2"),
    "all plates": ({"test_plates": ["T1", "T2"]}, "cellnet.test_plates: all of T1, T2 test, and none is left to train on"),
    "painted and trained on": ({"arms": ["pert"], "test_plates": ["T1"]}, "cellnet.test_plates: arm pert paints T2, whose cells"),
    "unknown crops": ({"own_crops": ["x"], "label": "label"}, "cellnet.own_crops: there is no x in own_crops; there are: movies"),
    "own label": ({"own_crops": ["movies"]}, "cellnet.label: crops of one's own have one annotation, label, and treatment is"),
    "own arms": ({"own_crops": ["movies"], "label": "label", "arms": ["pert"]}, "cellnet.arms: with own_crops no plate is"),
    "own plates": ({"own_crops": ["movies"], "label": "label", "test_plates": ["T1"]}, "no crop of one's own lies on T1; there"),
    "all own plates": ({"own_crops": ["movies"], "label": "label", "test_plates": ["cells"]}, "all of cells test, and none"),
    "floor alone": ({"floor": True}, "cellnet.floor: it is a part of Grad-CAMO, which cellnet.gradcamo asks for; set that to true"),
    "limit alone": ({"least_lift": 1.0}, "cellnet.least_lift: it is a part of Grad-CAMO, which cellnet.gradcamo asks for"),
    "masked": ({"gradcamo": True, "masked": True}, "cellnet.gradcamo: a network that sees nothing but the cell (cellnet.masked)"),
    "limit without real": (
        {"gradcamo": True, "least_lift": 1.0, "arms": ["pert"]}, "cellnet.least_lift: profiles are compared with real cells'",
    ),
    "own without masks": (
        {"gradcamo": True, "own_crops": ["movies"], "label": "label"}, "cellnet.gradcamo: movies of own_crops has no masks",
    ),
    "own with a limit": (
        {"gradcamo": True, "least_lift": 1.0, "own_crops": ["movies"], "label": "label"}, "crops of one's own have no profiles",
    ),
    "pulled, masked": ({"attention_weight": 1, "masked": True}, "cellnet.attention_weight: a network that sees nothing but"),
    "pulled without masks": (
        {"attention_weight": 1, "own_crops": ["movies"], "label": "label"}, "cellnet.attention_weight: movies of own_crops has no",
    ),
    "pushed": ({"attention_weight": -1}, "cellnet.attention_weight: -1 is less than the minimum of 0"),
    "points": ({"umap_at": [0, 2000000]}, "cellnet.umap_at: 2000000 crops, and the training sees 1000000 (cellnet.images)"),
    "layer": ({"gradcamo": True, "layer": 6}, "cellnet.layer: 6 is greater than the maximum of 5"),
    "share": ({"test_share": 0.7}, "cellnet.test_share: 0.7 is greater than the maximum of 0.5"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_go_together_is_refused(tmp_path, name):
    chosen, said = REFUSED[name]
    with pytest.raises(ValueError, match=re.escape(said)):
        load(tmp_path, {"crops": CROPS, "own_crops": [OWN], "cellnet": {"label": "treatment", **chosen}})


def test_crops_of_ones_own_may_lie_on_plates_that_their_table_names(tmp_path):
    chosen = {"label": "label", "own_crops": ["movies"], "test_plates": ["LT0001_02"]}
    study = load(tmp_path, {"own_crops": [OWN | {"plate": "{plate}"}], "cellnet": chosen})
    assert study.config["cellnet"]["test_plates"] == ["LT0001_02"]


ALONE = {"plates": None, "folds": [], "models": [], "arms": [], "source": {"layout": "gallery"}}
TOLD = {"label": "label", "own_crops": ["movies"]}


OWN_JOBS = {"own_crops": 1, "own_crops_table": 1, "train_cellnet": 2, "cellnet_accuracy": 1}


def test_a_study_of_ones_own_crops_needs_no_plates(tmp_path):
    (tmp_path / "cells.csv").write_text("file,index,label,group\n")
    load(tmp_path, {**ALONE, "own_crops": [OWN], "cellnet": TOLD})
    done = snakemake(tmp_path, "-n")
    assert planned(done.stdout) == OWN_JOBS


@pytest.mark.parametrize("masks", [{"mask": "{mask}"}, {"threshold": "otsu"}])
def test_grad_camo_takes_crops_of_ones_own_whose_masks_are_given_or_found(tmp_path, masks):
    """Also beside others that are not asked about, and have none."""
    entries, told = [OWN | masks, OWN | {"name": "others"}], TOLD | {"gradcamo": True, "floor": True}
    study = load(tmp_path, {**ALONE, "own_crops": entries, "cellnet": told})
    assert single_cells.explained_variants(study) == ["cells", "shuffled", "floor"]
    with pytest.raises(ValueError, match="cellnet.gradcamo: others of own_crops has no masks.*give own_crops.mask or"):
        load(tmp_path, {**ALONE, "own_crops": entries, "cellnet": told | {"own_crops": ["movies", "others"]}})


def test_the_shipped_study_of_ones_own_crops_plans_where_its_classifier_looks(tmp_path, monkeypatch):
    (tmp_path / "images" / "mitocheck_cells").mkdir(parents=True)
    (tmp_path / "images" / "mitocheck_cells" / "cells.csv").write_text("phenotype,plate,position\n")
    monkeypatch.setenv("BRIGHTPAINT_REAL_DATA", str(tmp_path))
    config = yaml.safe_load((ROOT / "config" / "mitocheck.yaml").read_text())
    config["cellnet"] |= {"gradcamo": True, "local": True}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    looked = {"gradcamo": 1, "gradcamo_figure": 1, "gradcamo_table": 1}
    assert planned(snakemake(tmp_path, "-n").stdout) == OWN_JOBS | looked


def test_the_shipped_study_of_single_cells_plans_the_space_of_its_classifier(tmp_path):
    (tmp_path / "config").mkdir()
    shutil.copy(ROOT / "config" / "single_cells_plates.tsv", tmp_path / "config")
    shutil.copy(ROOT / "config" / "single_cells.yaml", tmp_path / "config.yaml")
    done = snakemake(tmp_path, "-n", "-p")
    jobs = planned(done.stdout)
    assert (jobs["crops"], jobs["train_cellnet"], jobs["cellnet"], jobs["cellnet_accuracy"]) == (3, 3, 3, 1)
    looked = [jobs[rule] for rule in ("gradcamo", "gradcamo_figure", "gradcamo_table", "cellnet_umap", "score_erased")]
    assert looked == [1] * 5  # the last also where nothing is painted, and nothing joins its table
    profile = next(line for line in done.stdout.splitlines() if "profiles.profile --space cellnet" in line)
    assert (
        "--reference results/single_cells/medians/real/cellnet/CELL001.parquet" in profile
        and '"least_wells": 4' in profile
    )


NOTHING = {
    "nothing": ({"own_crops": [], "cellnet": {}}, "plates: null, and there are no own_crops: nothing to work on"),
    "crops": ({"crops": {"size_um": 9}}, "crops.size_um: plates is null, and there are no fields to cut crops from"),
    "folds": ({"folds": [{"name": "A", "test": []}]}, "folds: plates is null, and these need plates; write folds: []"),
    "cells": ({"cellnet": {"label": "label"}}, "cellnet.own_crops: plates is null, so that the only cells are crops of your own"),
    "mask": ({"own_crops": [OWN | {"mask": "m", "threshold": "otsu"}]}, "own_crops.movies: mask and threshold both say"),
    "channel": ({"own_crops": [OWN | {"threshold": "otsu", "threshold_channel": "ER"}]}, "threshold_channel ER is none of DNA"),
    "no threshold": ({"own_crops": [OWN | {"threshold_channel": "DNA"}]}, "threshold_channel DNA, but no threshold; give one"),
}  # fmt: skip


@pytest.mark.parametrize("name", NOTHING)
def test_a_study_without_plates_says_what_it_lacks(tmp_path, name):
    changes, said = NOTHING[name]
    with pytest.raises(ValueError, match=re.escape(said)):
        load(tmp_path, {**ALONE, "own_crops": [OWN], "cellnet": TOLD, **changes})


def test_cells_are_told_apart_by_crops_of_real_ones(tmp_path):
    with pytest.raises(
        ValueError, match=r"cells are told apart by their crops, and crops.size_um is not given; give it"
    ):
        load(tmp_path, {"cellnet": {"label": "treatment"}})
    with pytest.raises(ValueError, match="cellnet: the classifier is trained on real cells, and crops.arms lacks real"):
        load(tmp_path, {"crops": CROPS | {"arms": ["pert"]}, "cellnet": {"label": "treatment", "arms": ["pert"]}})


def test_only_plates_that_test_are_in_the_space_where_whole_plates_do(tmp_path):
    chosen = {"label": "treatment", "test_plates": ["T2"]}
    study = load(tmp_path, {"crops": CROPS, "cellnet": chosen})
    assert single_cells.embedded_plates(study, "real") == ["T2"] and single_cells.embedded_arms(study) == ["real"]
    every = load(tmp_path, {"crops": CROPS, "cellnet": chosen | {"wells": "all"}})
    assert single_cells.embedded_plates(every, "real") == ["T1", "T2"]
