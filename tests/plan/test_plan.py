"""The plan before anything runs: its counts are the dry run's, its hours scale, and what is missing is said."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
import yaml

from brightpaint import store
from brightpaint.plan import __main__, checks, costs, painting, trainings
from brightpaint.plan.extent import extents
from brightpaint.study.study import Study
from conftest import BY_CELLPROFILER, ROOT, TINY, child_seconds, planned, snakemake, write_study

SCHEMAS = ROOT / "workflow" / "schemas"
RATES = painting.read_rates(ROOT / "resources" / "rates.tsv")


def study_in(folder: Path, changes: dict | None = None) -> Study:
    """Return the tiny study on simulated plates, with sections replaced."""
    write_study(folder, {"source": {"layout": "simulated"}, **BY_CELLPROFILER, **(changes or {})})
    return Study.load(yaml.safe_load((folder / "config.yaml").read_text()), SCHEMAS, folder)


def sizes_of(study: Study, folder: Path) -> dict:
    return extents(study, ROOT / "resources" / "sources.tsv", folder)


def costs_in(folder: Path, changes: dict | None = None) -> costs.Costs:
    study = study_in(folder, changes)
    return costs.costs(study, sizes_of(study, folder), RATES)


def test_the_samples_of_calibration_are_counted_and_those_of_a_base_paint_by_its_network(tmp_path):
    models = [
        {"name": "unet", "kind": "regression", "width": 8},
        {"name": "noised", "kind": "residual_noise", "base": "unet"},
    ]
    arm = {"name": "noised", "model": "noised", "folds": ["A"]}
    changes = {"models": models, "arms": [arm], "calibration": {"arms": ["noised"], "samples": 5, "fields": 4}}
    some = costs_in(tmp_path / "some", changes)
    plain = costs_in(tmp_path / "plain", {"models": models, "arms": [arm]})
    study = study_in(tmp_path / "some", changes)
    once = painting.sampling_flop(study, "noised")
    assert once == painting.network_flop(study, study.entry("models", "unet"), 128) > 0
    assert some.flop["sample"] - plain.flop["sample"] == pytest.approx(4 * 5 * once)
    assert some.kept > plain.kept and plain.flop["train"] > 0  # the base is trained, though no arm paints by it


def test_what_learns_beside_a_base_costs_both_networks_in_training_and_in_painting(tmp_path):
    models = [{"name": "unet", "kind": "regression", "width": 8}]
    models += [
        {"name": kind, "kind": kind, "base": "unet", "width": 8}
        for kind in ("whitened_residual", "posterior_flow", "bridge")
    ]
    arms = [{"name": model["name"], "model": model["name"], "folds": ["A"], "steps": 4} for model in models[1:]]
    for arm, sampler in zip(arms, ("dpmpp", "ddim", "ddpm")):
        arm["sampler"] = sampler
    study = study_in(tmp_path, {"models": models, "arms": arms})
    base = painting.network_flop(study, study.entry("models", "unet"), 128)
    own = {name: painting.network_flop(study, study.entry("models", name), 128) for name in study.arms}
    assert own["posterior_flow"] < base < own["whitened_residual"] == own["bridge"]  # it is shown m, or nothing
    for name in study.arms:
        assert painting.sampling_flop(study, name) == base + 4 * own[name]
    alone = trainings.trainings_flop(study_in(tmp_path / "one", {"models": models[:1], "arms": [
        {"name": "unet", "model": "unet", "folds": ["A"]}]}))["train"]  # fmt: skip
    both = trainings.trainings_flop(study_in(tmp_path / "two", {"models": models[:2], "arms": arms[:1]}))["train"]
    assert both > 2 * alone  # its own network, and the base's beside it
    crop = {name: painting.network_flop(study, study.entry("models", name), 64) for name in ("unet", "bridge")}
    share = painting.latent_share(study, study.entry("models", "bridge"))
    assert share == pytest.approx(1 + crop["unet"] / (3 * crop["bridge"]))


def test_job_stats_are_read_to_their_total():
    output = "Building DAG\nJob stats:\njob      count\n-----  -------\nall          1\nfetch       10\ntotal       11\nx 5\n"
    assert __main__.planned_jobs(output) == {"fetch": 10}


def test_an_output_without_job_stats_is_an_error():
    with pytest.raises(ValueError, match="printed no job stats; type it yourself"):
        __main__.planned_jobs("Nothing to be done")


def test_a_jobs_planned_seconds_are_its_rules_share_and_what_the_plan_knows_nothing_of_is_a_start(tmp_path):
    study, jobs = study_in(tmp_path), {"prepare": 3, "train": 1, "montage": 2}
    seconds = costs.job_seconds(study, jobs, ROOT)
    found = costs_in(tmp_path)
    assert seconds["montage"] == pytest.approx(RATES["job"])
    assert seconds["prepare"] == pytest.approx(found.cpu_s["prepare"] / 3 + RATES["job"])
    assert seconds["train"] == pytest.approx(found.flop["train"] / (RATES["cpu_gflops"] * 1e9) + RATES["job"])


def test_a_simulated_plate_is_as_large_as_its_settings_say(tmp_path):
    sizes = sizes_of(study_in(tmp_path), tmp_path)
    assert list(sizes) == ["T1", "T2", "T3"]
    assert sizes["T1"].fields == 8 and sizes["T1"].raw_bytes == 8 * 8 * 128 * 128 * 2
    assert sizes["T3"].channels == 3  # a predict plate has no stains


def test_the_paper_has_23_040_fields_and_367_gb_to_fetch(tmp_path):
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    study = Study.load(config, SCHEMAS, ROOT)
    sizes = sizes_of(study, tmp_path)
    assert sum(extent.fields for extent in sizes.values()) == 23040
    found = costs.costs(study, sizes, RATES)
    assert found.download == 23040 * 8 * 998 * 998 * 2
    one = painting.network_flop(study, study.entry("models", "pert"), 512)
    assert one / 1e12 == pytest.approx(1.68, abs=0.01)  # as computed from the published code
    assert found.flop["train"] == pytest.approx(15 * 250000 * 3 * one)  # seven networks on two folds, one on the third


def test_wells_sites_and_tiles_of_a_row_count(tmp_path):
    plates = "plate\trole\tproject\tsource\tbatch\twells\tsites\n"
    plates += "T1\tstudy\tp\tsource_2\tB1\tA01:B03\t1,2\nT2\tstudy\tp\tsource_99\tB2\t\t\n"
    changes = {"source": {"layout": "gallery"}, "folds": [{"name": "A", "test": ["T2"]}], "prepare": {"grid": [2, 2]}}
    write_study(tmp_path, changes, plates)
    study = Study.load(yaml.safe_load((tmp_path / "config.yaml").read_text()), SCHEMAS, tmp_path)
    sizes = sizes_of(study, tmp_path)
    assert (sizes["T1"].fields, sizes["T1"].raw_px, sizes["T1"].tiles) == (12, 998, 48)
    assert (sizes["T2"].fields, sizes["T2"].known) == (384 * 9, "a guess")


OWN_PLATES = """plate\trole\tbarcode\twells\tsites
001\tstudy\t\t\t
1e5\tpredict\t\ta1,B1:b2\t
T\tpredict\t1\tA01,b1\t2
"""
ODD = [("a1", "1"), ("A1", "01"), ("A01", "1.0"), ("A01", "2"), (" b01", "2"), ("B02", "3"), ("C3", "1")]


def own_study(folder, plates=OWN_PLATES, **source):
    """A study of the user's own CSV, in which a well is written as people write it; each file is there."""
    channels = {"input": ["Brightfield"], "target": ["DNA"]}
    lines = ["plate,well,site,channel,file,perturbation"]
    for plate in ("001", "1e5", "1"):
        fields = [ODD[0], *ODD[3:]] if plate == "001" else [ODD[1 + (plate == "1")], *ODD[3:]]
        for well, site in fields:
            for channel in ("BF", "DNA", "Mito"):
                name = f"{plate}_{well.strip()}_{site}_{channel}.tif"
                (folder / name).write_bytes(b"II*\0")
                lines.append(f"{plate},{well},{site},{channel},{name},{'0012' if well == 'C3' else ''}")
    (folder / "images.csv").write_text("\n".join(lines) + "\n")
    (folder / "out.txt").write_text("001/a1/2\n1/b01/02\n0012\n")
    changes = {
        "source": {"layout": "table", "url": str(folder), "table": "images.csv", "missing": "skip", **source},
        "channels": channels,
    }
    changes["folds"] = [{"name": "A", "predict": ["1e5", "T"]}]
    write_study(folder, changes, plates)
    return Study.load(yaml.safe_load((folder / "config.yaml").read_text()), SCHEMAS, folder)


@pytest.mark.parametrize("exclude", [None, "out.txt"])
def test_ones_own_fields_are_counted_as_the_index_lists_them(tmp_path, monkeypatch, exclude):
    from brightpaint.plates.index import index_plate

    study = own_study(tmp_path, exclude=exclude)
    sizes = sizes_of(study, tmp_path)
    monkeypatch.chdir(tmp_path)
    for plate in study.plates:
        settings = {"source": study.config["source"], "plate": study.plates[plate], "channels": study.channels(plate)}
        listed, _ = index_plate(settings)
        fields = listed[["Metadata_Well", "Metadata_Site"]].drop_duplicates()
        assert sizes[plate].fields == len(fields) and sizes[plate].known == "its table"
    found = {plate: extent.fields for plate, extent in sizes.items()}
    assert found == ({"001": 3, "1e5": 4, "T": 1} if exclude else {"001": 5, "1e5": 4, "T": 2})


def test_a_plan_says_that_ones_own_images_are_not_square(tmp_path):
    study = own_study(tmp_path)
    for plate, shape in (("001", (520, 696)), ("1e5", (64, 64)), ("1", (64, 64))):
        for path in tmp_path.glob(f"{plate}_*.tif"):
            store.write_raw(path, np.zeros(shape, np.uint16))
    found = {check.what: check for check in checks.images(study, tmp_path)}
    assert (
        not found["images of plate 001"].there
        and "set prepare.grid (rows, columns) [3, 4]" in found["images of plate 001"].said
    )
    assert found["size of images"].said.startswith("64 x 64 px (1") and "images of plate T" not in found


def test_a_plan_names_what_ones_own_table_lacks(tmp_path):
    study = own_study(tmp_path, OWN_PLATES + "2\tpredict\t\t\t\n")
    study.config["folds"][0]["predict"].append("2")
    with pytest.raises(ValueError, match="images.csv: no row of plate 2; found 001, 1, 1e5"):
        sizes_of(study, tmp_path)
    (tmp_path / "images.csv").unlink()
    with pytest.raises(ValueError, match="source.table: cannot read .*images.csv"):
        sizes_of(study, tmp_path)


def test_an_index_that_has_been_made_is_believed(tmp_path):
    import pandas as pd

    study = study_in(tmp_path)
    index = tmp_path / study.config["pathvars"]["resources"] / "index" / "T1.parquet"
    index.parent.mkdir(parents=True)
    pd.DataFrame({"Metadata_Well": ["A01"] * 8, "Metadata_Site": [1] * 8, "size": [100] * 8}).to_parquet(index)
    extent = sizes_of(study, tmp_path)["T1"]
    assert (extent.fields, extent.raw_bytes, extent.known) == (1, 800, "its index")


def test_sampling_grows_with_steps_and_images_with_fields(tmp_path):
    def with_arm(**chosen):
        arm = {"name": "pert", "model": "pert", "folds": ["A"], "steps": 3, **chosen}
        return costs_in(tmp_path, {"arms": [arm, *TINY["arms"][1:]]}).flop["sample"]

    once = with_arm()
    assert with_arm(steps=30) == 10 * once
    assert with_arm(label_scale=2) == 2 * once
    assert with_arm(sampler="heun") == pytest.approx(once * 5 / 3)
    twice = {**TINY["simulate"], "rows": 4}
    assert costs_in(tmp_path, {"simulate": twice}).flop["sample"] == 2 * once


def test_cellpose_costs_where_it_is_asked_for(tmp_path):
    slim = {"pipeline": "slim", "parts": 1}
    plain = costs_in(tmp_path, {"cellprofiler": slim})
    chosen = costs_in(tmp_path, {"cellprofiler": {**slim, "segmentation": "cellpose"}})
    assert "cellpose" not in plain.cpu_s and chosen.cpu_s["cellprofiler"] == plain.cpu_s["cellprofiler"]
    megapixels = chosen.cpu_s["cellprofiler"] / RATES["cellprofiler_slim"]
    assert chosen.cpu_s["cellpose"] == pytest.approx(RATES["cellpose"] * megapixels)


def test_crops_cost_where_they_are_asked_for(tmp_path):
    plain, chosen = costs_in(tmp_path), costs_in(tmp_path, {"crops": {"size_um": 48, "arms": ["real", "pert"]}})
    cells = 2 * 8 * 0.128**2 * RATES["cells_per_megapixel"] + 8 * 0.128**2 * RATES["cells_per_megapixel"]
    assert "crops" not in plain.cpu_s and chosen.cpu_s["crops"] == pytest.approx(RATES["crops"] * cells / 1e3)
    assert chosen.kept - plain.kept == pytest.approx(cells * 48**2 * (5 * 2 + 2))
    assert chosen.cpu_s["cellprofiler"] == plain.cpu_s["cellprofiler"]
    few = costs_in(tmp_path, {"crops": {"size_um": 48, "max_per_field": 2}})
    assert few.kept - plain.kept == pytest.approx(2 * 2 * 8 * 48**2 * (5 * 2 + 2))


def test_telling_cells_apart_costs_its_trainings_and_the_cells_that_are_shown(tmp_path):
    crops, chosen = {"size_um": 32, "arms": ["real", "pert"]}, {"label": "treatment", "images": 1000, "shuffled": False}
    assert not costs_in(tmp_path / "none", {"crops": crops}).flop["train_cellnet"]
    once = costs_in(tmp_path / "once", {"crops": crops, "cellnet": chosen}).flop
    more = {"shuffled": True, "gradcamo": True, "floor": True, "arms": ["real", "pert"]}
    thrice = costs_in(tmp_path / "thrice", {"crops": crops, "cellnet": chosen | more}).flop
    assert once["train_cellnet"] > 0 and thrice["train_cellnet"] == pytest.approx(3 * once["train_cellnet"])
    assert once["cellnet"] > once["cellnet_accuracy"] > 0 == once["gradcamo"]
    assert thrice["gradcamo"] > thrice["cellnet_accuracy"] > 2 * once["cellnet_accuracy"]
    whole = costs_in(tmp_path / "whole", {"crops": crops, "cellnet": chosen | {"gradcamo": True, "wells": "all"}}).flop
    part = costs_in(tmp_path / "part", {"crops": crops, "cellnet": chosen | {"gradcamo": True}}).flop
    assert whole["gradcamo"] > part["gradcamo"]


def test_further_planes_cost_in_every_stage_that_reads_them(tmp_path):
    stains = [f"DNA_{number:02d}" for number in range(1, 7)] + ["RNA", "ER", "AGP", "Mito"]
    channels = {"target": stains, "planes": {"DNA": stains[:6]}}
    crops = {"size_um": 48, "channels": ["RNA"]}
    plain, deep = costs_in(tmp_path, {"crops": crops}), costs_in(tmp_path, {"channels": channels, "crops": crops})
    for rule in ("cellprofiler", "score"):
        assert deep.cpu_s[rule] == pytest.approx(2 * plain.cpu_s[rule]), rule
    for rule in ("prepare", "quality"):
        assert deep.cpu_s[rule] > 1.4 * plain.cpu_s[rule], rule
    assert (
        deep.cpu_s["crops"] == plain.cpu_s["crops"]
        and deep.kept > 1.5 * plain.kept
        and deep.between > 1.9 * plain.between
    )
    group = costs_in(tmp_path, {"channels": channels, "crops": {"size_um": 48, "channels": ["DNA"]}})
    cells = 2 * 8 * 0.128**2 * RATES["cells_per_megapixel"]
    assert group.kept - deep.kept == pytest.approx(cells * 48**2 * 5 * (2 + 2))  # five planes more, and their masks
    assert group.cpu_s["crops"] == pytest.approx(6 * deep.cpu_s["crops"])


def test_a_study_without_models_is_priced_and_needs_cellprofiler(tmp_path, monkeypatch):
    changes = {"source": {"layout": "simulated"}, "models": [], "arms": [], "folds": [], **BY_CELLPROFILER}
    write_study(tmp_path, changes, "plate\trole\nT1\tstudy\n")
    study = Study.load(yaml.safe_load((tmp_path / "config.yaml").read_text()), SCHEMAS, tmp_path)
    found = costs.costs(study, sizes_of(study, tmp_path), RATES)
    assert found.cpu_s["cellprofiler"] > 0 and not found.flop and study.profile_plates("real") == ["T1"]
    monkeypatch.setenv("BRIGHTPAINT_CELLPROFILER", str(tmp_path / "none"))
    assert "CellProfiler" in [check.what for check in checks.checks(study, 1.0, tmp_path)]


def test_crops_of_ones_own_cost_by_their_table(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((6, 8, 8), np.uint8), photometric="minisblack")
    (tmp_path / "cells.csv").write_text("index,label,group\n" + "0,x,g\n" * 3000)
    files = {"folder": str(tmp_path), "table": str(tmp_path / "cells.csv"), "file": "a.tif"}
    own = {"name": "mine", **files, "channels": ["DNA", "ER"]}
    plain = costs_in(tmp_path)
    found = costs_in(tmp_path, {"own_crops": [own | {"planes": 3}]})
    assert found.cpu_s["own_crops"] == pytest.approx(3 * 3 * RATES["crops"])
    assert found.kept - plain.kept == 3000 * 3 * 8**2 * (2 * 2 + 2)
    gone = study_in(tmp_path, {"own_crops": [own | {"table": "gone.csv"}]})
    assert "own_crops" not in costs.costs(gone, sizes_of(gone, tmp_path), RATES).cpu_s
    (check,) = checks.own_crops(gone, tmp_path)
    assert not check.there and "gone.csv is not there; correct own_crops.mine.table" in check.said


def test_cellpose_is_looked_for_where_it_is_asked_for(tmp_path, monkeypatch):
    asked = {"cellprofiler": {**TINY["cellprofiler"], "segmentation": "cellpose"}}
    for python, said in (("/not/here", "cellpose-environment"), (sys.executable, "has no cellpose")):
        monkeypatch.setenv("BRIGHTPAINT_CELLPOSE", python)
        check = checks.cellpose()
        assert not check.there and said in check.said
    monkeypatch.setattr(checks, "cellprofiler", lambda command: None)
    names = [check.what for check in checks.checks(study_in(tmp_path, asked), 1.0, tmp_path)]
    assert "cellpose" in names
    assert "cellpose" not in [check.what for check in checks.checks(study_in(tmp_path, {}), 1.0, tmp_path)]


def test_other_formats_need_their_packages_and_the_disk(tmp_path, monkeypatch):
    asked = {"profiles": ["parquet", "h5ad"], "deliver": ["ome-tiff", "ome-zarr"]}
    found = list(checks.formats(study_in(tmp_path, asked)))
    assert [(check.what, check.there, check.said) for check in found] == [
        ("profiles: h5ad", True, "anndata"), ("deliver: ome-zarr", True, "ngio"),
    ]  # fmt: skip
    monkeypatch.setattr(checks.importlib.util, "find_spec", lambda name: None)
    told = next(checks.formats(study_in(tmp_path, asked)))
    assert not told.there and told.said == "no package anndata: run `make environments`, or leave h5ad out of profiles"
    assert list(checks.formats(study_in(tmp_path, {}))) == []
    kept = [costs_in(tmp_path, {"deliver": ways}).kept for ways in (["ome-tiff"], ["ome-zarr"], asked["deliver"])]
    assert kept[0] < kept[1] < kept[2]


def test_training_grows_with_images_and_the_crops_area(tmp_path):
    base = {**TINY["train"], "validation_share": 0}
    once = costs_in(tmp_path, {"train": base}).flop["train"]
    assert costs_in(tmp_path, {"train": {**base, "images": 480}}).flop["train"] == 10 * once
    wider = costs_in(tmp_path, {"train": {**base, "crop_px": 128}}).flop["train"]
    assert wider == pytest.approx(4 * once, rel=0.1)


def test_floors_cost_no_network_and_the_regression_paints_in_one_pass(tmp_path):
    study = study_in(tmp_path, {"models": [{**TINY["models"][0], "kind": "regression"}, *TINY["models"][1:]]})
    assert painting.sampling_flop(study, "mean") == 0
    assert painting.sampling_flop(study, "pert") == painting.network_flop(study, study.entry("models", "pert"), 128)


def test_a_job_has_hours_of_a_card_only_where_there_is_one():
    found = costs.Costs()
    found.flop["train"] = 3600 * 14e12
    with_card = __main__.hours(found, {"train": 1}, {**RATES, "job": 0, "gpu_tflops": 14}, True)
    assert with_card["train"] == (1.0, 1.0)
    without = __main__.hours(found, {"train": 1}, {**RATES, "job": 0}, False)
    assert without["train"][0] == pytest.approx(14e12 / (RATES["cpu_gflops"] * 1e9)) and without["train"][1] == 0


def test_short_parts_are_told_how_few_would_do(tmp_path):
    study = study_in(tmp_path, {"sample": {"parts": 8, "batch": 2}})
    said = __main__.parts_said(
        study, {"sample": 48, "cellprofiler": 3}, {"sample": (16.0, 0.0), "cellprofiler": (9.0, 0.0)}
    )
    # three arms, one of them a network: a third of the 48 jobs
    assert "sample.parts: 8 makes 16 jobs of 60.0 minutes" in said[0] and "would do" not in said[0]
    short = __main__.parts_said(study, {"sample": 48}, {"sample": (4.0, 0.0)})[0]
    assert "15.0 minutes in the mean; on a cluster 4 would do" in short


def test_given_weights_cost_what_their_own_network_does(tmp_path):
    """The config cannot say what was trained elsewhere: its preset, `fast` by default, is not that of the weights."""
    own = {"kind": "diffusion", "preset": "paper", "width": 16, "objective": "eps", "label": "none"}
    path = tmp_path / "given.safetensors"
    store.write_weights(path, {}, {"settings": own, "channels": {}, "label_map": {}, "versions": {}})
    given, *floors = TINY["models"]
    elsewhere = costs_in(tmp_path / "given", {"models": [{"name": "pert", "weights": str(path)}, *floors]})
    here = costs_in(tmp_path / "paper", {"models": [{**given, "preset": "paper", "width": 16}, *floors]})
    assert elsewhere.flop["sample"] == here.flop["sample"] > 0 and not elsewhere.flop["train"]
    path.write_text("no")
    with pytest.raises(ValueError, match="given.safetensors: not a brightpaint weights file"):
        costs_in(tmp_path / "wrong", {"models": [{"name": "pert", "weights": str(path)}, *floors]})


@pytest.mark.parametrize("own, study_s, fits", [({}, 15, True), ({}, 40, False), ({"cutoff": 40}, 40, True)])
def test_given_weights_must_be_of_the_study_s_cutoff(tmp_path, own, study_s, fits):
    store.write_weights(
        tmp_path / "given.safetensors", {"w": torch.zeros(1)}, {"settings": {"kind": "diffusion", **own}}
    )
    models = [{**TINY["models"][0], "weights": "given.safetensors"}, *TINY["models"][1:]]
    prepare = {**TINY["prepare"], "cutoff": study_s}
    (check,) = checks.weights(study_in(tmp_path, {"models": models, "prepare": prepare}), tmp_path)
    assert check.there == fits
    assert fits or "cut off at 15 s.d.; set prepare.cutoff (40) to it, or correct models.pert.weights" in check.said


def test_what_is_missing_is_said_with_what_to_type(tmp_path, monkeypatch):
    monkeypatch.setenv("BRIGHTPAINT_CELLPROFILER", str(tmp_path / "none"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    models = [{**TINY["models"][0], "weights": "given.safetensors"}, *TINY["models"][1:]]
    study = study_in(tmp_path, {"models": models})
    found = {check.what: check for check in checks.checks(study, 1e18, tmp_path)}
    assert not any(check.there for name, check in found.items() if name != "GPU")
    assert "make environments" in found["CellProfiler"].said
    assert "default-jdk-headless" in found["Java"].said
    assert "models.pert.weights" in found["weights of pert"].said
    assert "1,000,000,000.0 GB at most needed; set pathvars" in found["disk"].said
    assert checks.disk(study, 1.0, tmp_path).there


@pytest.mark.parametrize(("age", "there"), [(300, True), (60, False)])
def test_a_cluster_that_forgets_jobs_too_soon_is_told(tmp_path, monkeypatch, age, there):
    program = tmp_path / "scontrol"
    program.write_text(f"#!/bin/sh\necho 'MinJobAge               = {age} sec'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    check = checks.slurm()
    assert check.there == there and f"{age} s" in check.said
    assert there or "slurm-status-command: sacct" in check.said


def test_without_slurm_nothing_is_said_of_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert checks.slurm() is None


def test_a_local_source_that_is_not_there_is_missing(tmp_path):
    study = study_in(tmp_path, {"source": {"layout": "gallery", "url": "file:///no/such/mirror"}})
    assert [check.there for check in checks.images(study, tmp_path)] == [False]


@pytest.mark.slow
def test_the_table_counts_what_the_dry_run_counts(tmp_path):
    folder = write_study(tmp_path, {"source": {"layout": "simulated"}})
    counted = planned(snakemake(folder, "-n").stdout)
    command = [sys.executable, "-m", "brightpaint.plan", "--config", "config.yaml"]
    done = subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    table = {line.split()[0]: int(line.split()[1]) for line in done.stdout.split("total")[0].splitlines()[1:]}
    assert table == counted
    assert not (folder / "results").exists() and not (folder / "resources").exists()
    assert "GPU: not asked for" in done.stdout


def test_a_config_that_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(ValueError, match="there is no such config; type make plan CONFIG="):
        __main__.main(["--config", str(tmp_path / "none.yaml")])


@pytest.mark.exhaustive
@pytest.mark.slow
def test_ten_plates_three_folds_and_seven_arms_are_planned_in_time(tmp_path, plain_planning_s):
    """2.9 times the plain plan when written; seconds alone would judge the machine and what else runs on it."""
    names = [f"P{number}" for number in range(10)]
    plates = "plate\trole\tproject\tsource\tbatch\n"
    plates += "".join(f"{name}\tstudy\tcpg0016-jump\tsource_2\tB{name}\n" for name in names)
    folds = [{"name": fold, "test": [plate]} for fold, plate in zip("ABC", names)]
    models = [{"name": f"m{number}", "label": "perturbation"} for number in range(7)]
    arms = [{"name": f"a{number}", "model": f"m{number}", "folds": ["A", "B", "C"]} for number in range(7)]
    changes = {"source": {"layout": "gallery"}, "folds": folds, "models": models, "arms": arms}
    changes |= {"sample": {"parts": 32}, "cellprofiler": {"parts": 24}}
    folder = write_study(tmp_path, changes, plates)
    done, spent = child_seconds(lambda: snakemake(folder, "-n", "--quiet", "rules", fresh=True))
    jobs = planned(done.stdout)
    assert jobs["train"] == 21 and jobs["sample"] == 7 * 3 * 32 and jobs["fetch"] == 10
    assert spent < 5 * plain_planning_s


def test_further_samples_and_the_points_of_a_sweep_are_counted(tmp_path):
    plain = costs_in(tmp_path / "plain").flop["sample"]
    arms = [{**TINY["arms"][0], "samples": 4}, *TINY["arms"][1:]]
    several = costs_in(tmp_path / "several", {"arms": arms})
    assert several.flop["sample"] == plain and several.flop["uncertainty"] == pytest.approx(3 * plain)
    mean = costs_in(tmp_path / "mean", {"arms": [{**TINY["arms"][0], "mean_of": 4}, *TINY["arms"][1:]]})
    assert mean.flop["sample"] == pytest.approx(4 * plain) and not mean.flop["uncertainty"]
    points = [{"sampler": "ddim", "steps": 6}, {"sampler": "heun", "steps": 3}]
    swept = costs_in(tmp_path / "swept", {"sweep": {"fields": 4, "points": points}})
    one = plain / (3 * 16)  # three steps, 8 fields of each of two plates
    assert swept.flop["sample"] - plain == pytest.approx(4 * (6 + 5) * one)


def test_the_fast_engine_costs_its_own_rate_and_needs_neither_cellprofiler_nor_java(tmp_path, monkeypatch):
    slow, fast = (
        costs_in(tmp_path / name, {"cellprofiler": {"pipeline": "full", "parts": 1, "engine": name}})
        for name in ("cellprofiler", "fast")
    )
    assert fast.cpu_s["engine"] > 0 and "cellprofiler" not in fast.cpu_s and "engine" not in slow.cpu_s
    assert fast.cpu_s["engine"] < slow.cpu_s["cellprofiler"] / 5
    assert fast.kept == slow.kept and fast.between == slow.between
    study = study_in(tmp_path / "study", {"cellprofiler": {"parts": 1, "engine": "fast"}})
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    found = {check.what: check for check in checks.checks(study, 1e6, tmp_path / "study")}
    assert found["the fast engine"].there and not {"CellProfiler", "Java"} & set(found)
    monkeypatch.setattr(checks.importlib.util, "find_spec", lambda name: None)
    (missing,) = checks.measuring({"engine": "fast"})
    assert not missing.there and "make environments" in missing.said
