"""The workflow as a whole: plans, a tiny study through a real S3 server and the real CellProfiler, and its reruns."""

from __future__ import annotations

import hashlib
import json
import os
import re
import runpy
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from brightpaint import store
from brightpaint.plan.extent import extents
from brightpaint.study.study import Study
from conftest import ROOT, TINY_PLATES, child_seconds, copy_of, planned, snakemake, swept, write_study
from plates_fixture import write_split

pytestmark = pytest.mark.slow


@pytest.fixture
def planning(tmp_path):
    """A folder with the tiny study's config and nothing made."""
    return write_study(tmp_path, {"source": {"layout": "simulated"}})


# --- plans -----------------------------------------------------------------------------------------


@pytest.mark.long
def test_the_paper_study_is_planned_quickly_and_without_the_network(tmp_path, plain_planning_s):
    shutil.copytree(ROOT / "config", tmp_path / "config")
    done, spent = child_seconds(lambda: snakemake(tmp_path, "--configfile", "config/config.yaml", "-n", fresh=True))
    assert spent < 4 * plain_planning_s  # 2.1 times when written
    jobs = planned(done.stdout)
    assert jobs["fetch"] == jobs["prepare"] == 10
    assert jobs["train"] == 19  # seven networks, mean and pixel on two folds; unlabelled on the third
    assert jobs["train_classifier"] == 4


def test_a_training_takes_the_place_of_its_shell(planning):
    """Else SLURM's SIGTERM ends the shell, the job with it, and kills a training that was saving itself (tests/slurm)."""
    classifier = {"classifiers": [{"name": "guide", "label": "target", "width": 8}]}
    arms = [{"name": "guided", "model": "pert", "folds": ["A"], "steps": 3, "classifier": "guide"}]
    write_study(planning, {"source": {"layout": "simulated"}, **classifier, "arms": arms})
    said = snakemake(planning, "-n", "-p").stdout
    started = re.findall(r"^Shell command: (.*) brightpaint\.models\.(train\w*) ", said, re.MULTILINE)
    assert sorted(started) == [("exec $(launch 1)", "train"), ("exec $(launch 1)", "train_classifier")]


def test_a_cutoff_of_one_s_own_belongs_to_training_and_painting_and_the_default_changes_no_setting(planning):
    def cutoffs() -> dict:
        said = snakemake(planning, "-n", "-p").stdout
        found = re.findall(r"brightpaint\.models\.(?:paint\.)?(train|sample) --settings '(.*?)'", said)
        return {(name, json.loads(text).get("cutoff")) for name, text in found}

    assert cutoffs() == {("train", None), ("sample", None)}
    write_study(planning, {"source": {"layout": "simulated"}, "prepare": {"size_px": 128, "cutoff": 40}})
    assert cutoffs() == {("train", 40), ("sample", 40)}


def test_dose_response_curves_are_planned_where_a_space_is_named_and_nowhere_else(planning):
    without = planned(snakemake(planning, "-n").stdout)
    write_study(
        planning, {"source": {"layout": "simulated"}, "doses": {"spaces": ["cellprofiler"], "arms": ["real", "pert"]}}
    )
    assert planned(snakemake(planning, "-n").stdout) == without | {"doses": 2, "dose_figure": 2}
    wells = pd.DataFrame({
        "Metadata_Plate": "T1", "Metadata_Well": ["A01", "A02"], "Metadata_perturbation": ["DMSO", "a"],
        "Metadata_control_type": ["negcon", ""], "Metadata_cells": 5, "Metadata_fields": 1, "Cells_x": [0.0, 1.0],
    })  # fmt: skip
    store.write_table(wells, planning / "results" / "profiles" / "real" / "cellprofiler" / "wells.parquet")
    page = "results/figures/doses/real/cellprofiler.png"
    snakemake(
        planning, "--cores", "1", "--allowed-rules", "doses", "dose_figure", "--", page
    )  # a study without doses says so
    assert store.read_table(planning / "results/doses/real/cellprofiler.tsv")["status"].tolist() == ["no_dose"]
    assert (planning / page).stat().st_size > 1000
    write_study(planning, {"source": {"layout": "simulated"}, "doses": {"spaces": ["umap"]}})
    refused = snakemake(planning, "-n", check=False)
    assert refused.returncode and "doses.spaces: no space is called umap" in refused.stdout


def many_plates() -> pd.DataFrame:
    """The JUMP plate list, or one as long where it is not here: 141 TARGET2 plates of 11 sources."""
    folder = os.environ.get("BRIGHTPAINT_REAL_DATA")
    if folder:
        listed = pd.read_csv(Path(folder) / "metadata" / "datasets_plate.csv.gz", dtype=str)
        return listed[listed["Metadata_PlateType"] == "TARGET2"]
    rows = [[f"source_{n % 11}", f"Batch_{n % 30}", f"BR{n:05d}"] for n in range(141)]
    return pd.DataFrame(rows, columns=["Metadata_Source", "Metadata_Batch", "Metadata_Plate"])


@pytest.mark.exhaustive
def test_all_target2_plates_are_planned_in_time(tmp_path, plain_planning_s):
    """Every plate, an unlabelled model and the mean, one plate of each source painted and scored: bench/plates.py dry-run."""
    bench = runpy.run_path(str(ROOT / "bench" / "plates_network.py"))
    assert len(bench["write_many_plates"](tmp_path, many_plates())) == 141
    done, spent = child_seconds(lambda: snakemake(tmp_path, "-n", "--quiet", "rules", fresh=True))
    assert spent < 10 * plain_planning_s  # 6.3 times when written
    jobs = planned(done.stdout)
    assert jobs["fetch"] == jobs["prepare"] == 141 and jobs["sample"] == 2 * 11 * 16


def test_the_pilot_is_planned_without_the_network(tmp_path):
    shutil.copytree(ROOT / "config", tmp_path / "config")
    done = snakemake(tmp_path, "--configfile", "config/pilot.yaml", "-n", "-p")
    jobs = planned(done.stdout)
    assert jobs["index"] == jobs["fetch"] == jobs["prepare"] == 2 and jobs["train"] == 3
    assert '"sites": "1"' in done.stdout and '"wells": "A01:D06"' in done.stdout


def test_the_bray_set_is_planned_without_the_network(tmp_path):
    shutil.copytree(ROOT / "config", tmp_path / "config")
    done = snakemake(tmp_path, "--configfile", "config/cpg0012.yaml", "-n", "-p")
    jobs = planned(done.stdout)
    assert jobs["index"] == jobs["fetch"] == jobs["prepare"] == 3 and jobs["train_codec"] == jobs["train"] == 1
    assert jobs["from_molecules"] == jobs["molecules_table"] == 1 and "train_gan" not in jobs
    assert '"project": "cpg0012-wawer-bioactivecompoundprofiling"' in done.stdout
    assert '"sites": "1,2,3,4,5,6"' in done.stdout and "Brightfield" not in done.stdout


def test_the_public_benchmark_is_planned_without_the_network(tmp_path, monkeypatch):
    """Three plates train, four are tested in the fields that their lists name; every arm has what its profiles are worth."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    if "BRIGHTPAINT_REAL_DATA" not in os.environ:
        monkeypatch.setenv("BRIGHTPAINT_REAL_DATA", str(tmp_path / "data"))
        write_split(tmp_path / "data")
    jobs = planned(snakemake(tmp_path, "--configfile", "config/cpjump1.yaml", "-n").stdout)
    assert jobs["index"] == jobs["fetch_illumination"] == 7 and jobs["train"] == 6
    assert jobs["score_profiles"] == 6  # real, lookup and the four arms that are profiled: CPcor, mAP
    config = yaml.safe_load((ROOT / "config" / "cpjump1.yaml").read_text())
    study = Study.load(config, ROOT / "workflow" / "schemas", tmp_path)
    size = extents(study, ROOT / "resources" / "sources.tsv", tmp_path)
    fields = {plate: one.fields for plate, one in size.items()}
    assert [fields.pop(plate) for plate in study.training_plates("U2OS_48h")] == 3 * [384 * 9]
    assert fields == {plate: 384 for plate in study.entry("folds", "U2OS_48h")["test"]} and len(fields) == 4
    cells = {(row["cell_line"], row["time_h"]) for row in study.plates.values()}
    assert cells == {(line, hours) for line in ("U2OS", "A549") for hours in ("24", "48")}


@pytest.mark.long
def test_several_gpus_train_through_torchrun_and_floors_ask_for_none(tmp_path):
    models = [{"name": "pert", "kind": "regression", "width": 8}, {"name": "mean", "kind": "mean"}]
    arms = [{"name": model["name"], "model": model["name"], "folds": ["A"]} for model in models]
    source, compute = {"layout": "simulated"}, {"device": "cpu", "torch_threads": 1, "gpus": 2}
    folder = write_study(tmp_path, {"source": source, "models": models, "arms": arms, "compute": compute})
    weights = [f"results/models/{model['name']}/A/weights.safetensors" for model in models]
    snakemake(folder, "--cores", "2", "--resources", "gpu=2", "--", *weights)
    computed = store.read_weights(folder / weights[0])[1]["versions"]["computed"]
    assert computed == "cpu, float32, 2 process(es)"
    assert "computed" not in store.read_weights(folder / weights[1])[1]["versions"]


def test_the_slurm_profile_plans_the_same_study():
    command = ["--profile", str(ROOT / "slurm"), "-n", "--configfile", str(ROOT / "config" / "pilot.yaml")]
    done = snakemake(ROOT, *command)
    assert planned(done.stdout)["fetch"] == 2


def written_rules() -> dict[str, str]:
    """Return {rule: its text}."""
    text = "\n".join(path.read_text() for path in sorted((ROOT / "workflow" / "rules").rglob("*.smk")))
    parts = re.split(r"^rule (\w+):$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


def test_every_rule_that_asks_for_a_card_goes_to_the_partition_of_the_cards():
    asks = {name for name, text in written_rules().items() if "gpu=" in text}
    profile = yaml.safe_load((ROOT / "slurm" / "config.yaml").read_text())["set-resources"]
    assert {name for name, chosen in profile.items() if chosen["slurm_partition"] == "gpu"} == asks


def test_a_retry_asks_for_more_memory_and_for_more_time_where_it_begins_anew():
    fixed = {"memory": set(), "time": set()}
    for name, text in written_rules().items():
        fixed["memory"] |= {name} if re.search(r"mem_mb=(?!by_attempt)", text) else set()
        fixed["time"] |= {name} if re.search(r"runtime=(?!by_attempt)", text) else set()
    go_on = {"train", "train_classifier", "train_codec", "sample", "translate", "uncertainty"}  # where they were
    assert fixed == {"memory": set(), "time": go_on}


def test_predict_plates_alone_need_only_weights_and_brightfield(tmp_path):
    plates = "plate\trole\tproject\tsource\tbatch\nT3\tpredict\tsimulated\tsource_0\tB3\n"
    folder = write_study(
        tmp_path,
        {
            "source": {"layout": "simulated"},
            "folds": [{"name": "given", "predict": ["T3"]}],
            "models": [{"name": "pert", "label": "perturbation", "weights": "given.safetensors"}],
            "arms": [{"name": "pert", "model": "pert", "folds": ["given"]}],
        },
        plates,
    )
    (folder / "given.safetensors").touch()
    jobs = planned(snakemake(folder, "-n").stdout)
    assert set(jobs) == {
        "simulate",
        "index",
        "fetch",
        "illumination",
        "prepare",
        "quality",
        "flag",
        "quality_figure",
        "quality_table",
        "sample",
        "gather",
        "deliver",
        "montage",
        "closeup",
        "missing_table",
        "wells",
        "front",
    }


def test_stages_that_need_perturbations_are_left_out_of_the_plan(tmp_path):
    models = [{"name": "pert"}, {"name": "mean", "kind": "mean"}, {"name": "pixel", "kind": "pixel"}]
    folder = write_study(tmp_path, {"perturbations": False, "source": {"layout": "simulated"}, "models": models})
    jobs = planned(snakemake(folder, "-n").stdout)
    assert not {"select", "profile", "active", "active_figure", "feature_figure"} & set(jobs)
    assert jobs["cells"] == 2 and jobs["metrics"] == 4
    assert jobs["worst"] == 2 and jobs["noise"] == 2 and jobs["plate_page"] == 1


def test_arms_that_are_shown_the_target_are_named_to_the_tables(tmp_path):
    models = [{"name": "pert", "label": "perturbation"}, {"name": "target", "label": "target"}]
    shared = {"folds": ["A"], "steps": 3}
    arms = [
        {"name": "pert", "model": "pert", **shared},
        {"name": "shown", "model": "target", **shared},
        {"name": "hidden", "model": "target", "sampling_label": "none", **shared},
        {"name": "guided", "model": "pert", "classifier": "target", **shared},
    ]
    classifiers = [{"name": "target", "label": "target"}]
    changes = {"source": {"layout": "simulated"}, "models": models, "arms": arms, "classifiers": classifiers}
    plan = snakemake(write_study(tmp_path, changes), "-n", "-p", "results/tables/metrics.html").stdout
    assert "--leaking shown guided --metrics" in plan


def test_samples_and_sweeps_add_their_jobs_and_nothing_where_they_are_off(tmp_path):
    source = {"layout": "simulated"}
    arms = [{"name": "pert", "model": "pert", "folds": ["A"], "steps": 3, "samples": 3}]
    points = [{"sampler": "ddim", "steps": 2}, {"sampler": "heun", "steps": 2, "spacing": "karras"}]
    plain = planned(snakemake(write_study(tmp_path / "a", {"source": source}), "-n").stdout)
    assert not {"uncertainty", "uncertainty_figure", "sweep", "sweep_fields", "sweep_figure"} & set(plain)
    models = [{"name": "pert", "label": "perturbation"}]
    folder = write_study(tmp_path / "b", {"source": source, "models": models, "arms": arms})
    several = planned(snakemake(folder, "-n").stdout)
    assert several["uncertainty"] == several["sample"] == 4 and several["uncertainty_figure"] == 1
    swept = {"source": source, "models": models, "arms": arms, "sweep": {"fields": 3, "points": points}}
    jobs = planned(snakemake(write_study(tmp_path / "c", swept), "-n").stdout)
    assert jobs["sweep"] == jobs["sweep_fields"] == jobs["sweep_figure"] == 1
    added = {rule: jobs[rule] - several[rule] for rule in several if jobs[rule] != several[rule]}
    points = dict.fromkeys(["gather", "export", "engine", "cells_part", "cells", "median"], 2)
    assert added == {**points, "sample": 4}


def test_failed_compounds_and_what_arms_are_shown_reach_the_scores(tmp_path):
    models = [{"name": "plain", "width": 8}, {"name": "pert", "label": "perturbation", "width": 8}]
    arms = [{"name": model["name"], "model": model["name"], "folds": ["A"]} for model in models]
    arms += [
        {**arms[1], "name": "wrong", "sampling_label": "swapped"},
        {**arms[0], "name": "led", "classifier": "guide"},
    ]
    guides = [{"name": "guide", "label": "perturbation", "width": 8}]
    simulated = {"source": {"layout": "simulated"}, "simulate": {"failed_share": 0.25}}
    folder = write_study(tmp_path, {**simulated, "models": models, "arms": arms, "classifiers": guides})
    text = snakemake(folder, "-n", "-p").stdout
    assert '"training": {' in text and "--truth resources/truth/" in text
    wells = (
        "--real results/profiles/real/cellprofiler/wells.parquet --profiles results/profiles/{}/cellprofiler/{}.parquet"
    )
    assert wells.format("pert", "wells") in text and wells.format("lookup", "perturbations") in text
    shown = '{"plain": "unlabelled", "pert": "labelled", "wrong": "swapped", "led": "guided"}'
    kinds = '{"plain": "network", "pert": "network", "wrong": "network", "led": "network"}'
    assert f"""--roles '{{"shown": {shown}, "kinds": {kinds}}}'""" in text


def test_networks_of_photographs_are_planned_with_weights_alone(tmp_path):
    seen = {"dino", "inception", "attention"}
    folder = write_study(tmp_path, {"source": {"layout": "simulated"}})
    assert not seen & set(planned(snakemake(folder, "-n").stdout))
    (folder / "dino").mkdir()
    for name in ("dino/config.json", "dino/model.safetensors", "inception.safetensors"):
        (folder / name).touch()
    given = {"embed": {"weights": "dino"}, "fid": {"weights": "inception.safetensors"}}
    write_study(folder, {"source": {"layout": "simulated"}, **given})
    done = snakemake(folder, "-n", "-p")
    jobs = planned(done.stdout)
    # embedded: T1 and T2 of real and brightfield, T2 of pert and pixel; FID sees the mean image too
    assert jobs["dino"] == 6 and jobs["inception"] == 2 + 1 + 3 and jobs["attention"] == 1
    # profiles: of real and pert by CellProfiler, of real, brightfield, pert and pixel by DINO
    assert jobs["profile"] == 2 + 4 and jobs["lookup"] == 2 and jobs["tsne"] == 2 and jobs["metrics"] == 6
    assert jobs["score_profiles"] == 3 + 5 and jobs["score_distances"] == 1 + 2 and jobs["score_frechet"] == 4
    assert "dino/model.safetensors" in done.stdout
    distances = "--real results/embeddings/real/T1.parquet results/embeddings/real/T2.parquet --painted results/embeddings/{}/T2"
    assert all(distances.format(arm) in done.stdout for arm in ("pert", "pixel"))
    assert (
        done.stdout.count("results/embeddings/real/T2.parquet --painted") == 2
    )  # not brightfield's, nor the real ones' own
    spaces = "--arms real pert lookup real brightfield pert pixel lookup --spaces cellprofiler cellprofiler cellprofiler dino"
    assert done.stdout.count(spaces) == 2  # all perturbations, and the active ones
    write_study(folder, {"source": {"layout": "simulated"}, "embed": {"weights": "facebook/dino-vits8"}})
    assert planned(snakemake(folder, "-n").stdout)["dino"] == 6  # from the hub: planned without the network


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embed": {"weights": "/not/here"}}, "embed.weights: there is no folder /not/here"),
        ({"fid": {"window": [3, 3]}}, "fid: window [3, 3] is empty"),
        ({"trian": {}}, "unknown key trian at the top level; did you mean train?"),
        ({"cellprofiler": {"pipeline": "slimm"}}, "slimm is neither a file nor one of full, slim"),
        (
            {"cellprofiler": {"pipeline": str(ROOT / "tests" / "illumination.cppipe")}},
            "illumination.cppipe: CorrectIlluminationCalculate must go",
        ),
        ({"source": {"layout": "table", "url": "${BRIGHTPAINT_UNSET}/x"}}, "BRIGHTPAINT_UNSET is not set"),
    ],
)
def test_a_bad_config_ends_with_a_sentence_before_anything_runs(tmp_path, changes, message):
    folder = write_study(tmp_path, {"source": {"layout": "simulated"}, **changes})
    done = snakemake(folder, "-n", check=False)
    assert done.returncode == 1
    assert message in done.stdout
    assert "Traceback" not in done.stdout


def test_an_own_pipeline_is_an_input_of_what_it_measures(tmp_path):
    text = (ROOT / "resources" / "cellprofiler" / "slim.cppipe").read_text().replace("brightpaint: diameters", "mine:")
    folder = write_study(tmp_path, {"source": {"layout": "simulated"}, "cellprofiler": {"pipeline": "my.cppipe"}})
    (folder / "my.cppipe").write_text(text)
    plan = snakemake(folder, "-n").stdout.split("rule cellprofiler:")[1:]
    assert plan and all("my.cppipe" in job.split("output:")[0] for job in plan)  # so that a changed file reruns it
    (folder / "my.cppipe").write_text(text.replace("identified:Cytoplasm", "identified:Rims"))
    done = snakemake(folder, "-n", check=False)
    assert done.returncode == 1 and "so Cytoplasm are missing" in done.stdout and "Traceback" not in done.stdout


def test_a_plate_name_cannot_reach_a_shell(tmp_path):
    folder = write_study(tmp_path, {"source": {"layout": "simulated"}}, TINY_PLATES.replace("T1", "T1; touch hacked"))
    done = snakemake(folder, "--cores", "1", check=False)
    assert done.returncode == 1
    assert "'T1; touch hacked' does not match" in done.stdout
    assert not (folder / "hacked").exists()


# --- a finished study ------------------------------------------------------------------------------


def test_the_chain_ends_with_whole_tables(finished_study):
    results = finished_study / "results"
    fields = store.read_fields(results / "fields" / "T2.parquet")
    stack = store.open_stack(results / "images" / "pert" / "T2.tif")
    assert len(stack) == len(fields) == 8
    assert stack.channels == ("DNA", "RNA", "ER", "AGP", "Mito")
    metrics = pd.concat(pd.read_parquet(path) for path in (results / "metrics").glob("*.parquet"))
    assert {"real", "pert", "mean", "pixel"} <= set(metrics["arm"])
    pcc = metrics[metrics["metric"].eq("pcc") & metrics["arm"].isin(["pert", "mean", "pixel"])]
    assert pcc["value"].between(-1, 1).all() and len(pcc) >= 15
    seen = metrics[metrics["metric"].isin(["embedding_distance", "embedding_mmd2"]) & metrics["subset"].eq("full")]
    assert set(seen["arm"]) == {"pert", "pixel"} and seen[["value", "null"]].notna().all(axis=None)
    shared = store.read_table(results / "tables" / "overlap_full.tsv")
    assert {("real", "dino"), ("brightfield", "dino"), ("pert", "cellprofiler")} <= set(
        zip(shared["row"], shared["row_space"])
    )
    medians = pd.read_parquet(results / "medians" / "pert" / "T2.parquet")
    assert list(medians["Metadata_Well"]) == list(fields["Metadata_Well"])


def test_samples_and_the_sweep_end_in_tables(finished_study):
    results = finished_study / "results"
    spread, fields = store.open_stack(results / "uncertainty" / "pert" / "T2.tif"), 8
    assert len(spread) == fields and spread.images.min() >= 0 and spread.images.max() > 0
    assert len(store.open_stack(results / "uncertainty" / "pert" / "T3.tif")) > 0  # what is painted for use
    metrics = pd.read_parquet(results / "metrics" / "pert.parquet")
    assert {"aurc", "aurc_oracle", "uncertainty_r", "feature_distance", "mmd2"} <= set(metrics["metric"])
    table = pd.read_parquet(results / "sweep" / "T2.parquet")
    names = ["sweep_ddpm_4_level", "sweep_dpmpp_2_karras"]
    assert list(dict.fromkeys(table["name"])) == names and (table["n"] == 3).all()
    assert table.loc[table["reference"], "name"].unique().tolist() == names[:1]
    assert table.loc[table["metric"].isin(["pcc", "wall_s", "feature_distance"]), "value"].notna().all()


def test_more_samples_paint_no_stack_again(finished_study, tmp_path):
    jobs = changed(finished_study, tmp_path, lambda config: config["arms"][0].update(samples=3))
    assert {"uncertainty", "gather", "score_images", "metrics", "uncertainty_figure"} <= set(jobs)
    assert not {"sample", "export", "engine", "train", "sweep"} & set(jobs)


def test_another_point_paints_that_point_alone(finished_study, tmp_path):
    def change(config):
        config["sweep"]["points"].append({"sampler": "ddim", "steps": 2})

    jobs = changed(finished_study, tmp_path, change)
    assert jobs["sweep"] == jobs["sweep_figure"] == jobs["engine"] == jobs["gather"] == 1
    assert set(jobs) == {
        "sample", "gather", "export", "engine", "cells_part", "cells", "median", "sweep", "sweep_figure"
    }  # fmt: skip


def test_the_truth_reaches_the_tables(finished_study, simulated_gallery):
    truth = pd.read_csv(simulated_gallery / "truth" / "T2.tsv", sep="\t", keep_default_na=False)
    fields = store.read_fields(finished_study / "results" / "fields" / "T2.parquet")
    joined = fields.merge(truth, on=["Metadata_Plate", "Metadata_Well"], suffixes=("", "_truth"))
    assert len(joined) == len(fields)
    assert (joined["Metadata_perturbation"] == joined["Metadata_perturbation_truth"]).all()
    assert (fields["Metadata_perturbation"] == "DMSO").any()


def test_a_predict_plate_ends_as_images_that_others_can_read(finished_study):
    folder = finished_study / "results" / "predicted" / "pert" / "T3"
    assert list(folder.glob("*.ome.tif*"))
    assert (folder / "load_data.csv").exists()
    assert store.open_stack(finished_study / "results" / "images" / "real" / "T3.tif").channels == (
        "Brightfield_L", "Brightfield", "Brightfield_H",
    )  # fmt: skip


def test_a_finished_study_has_nothing_to_do(finished_study):
    assert "Nothing to be done" in snakemake(finished_study, "-n").stdout


def changed(finished: Path, tmp_path: Path, change) -> dict[str, int]:
    """Plan the finished study with its config changed by `change(config)`; return {rule: jobs}."""
    config = yaml.safe_load((finished / "config.yaml").read_text())
    change(config)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return planned(snakemake(finished, "--configfile", str(tmp_path / "config.yaml"), "-n").stdout)


def test_more_sampling_steps_do_not_retrain(finished_study, tmp_path):
    jobs = changed(finished_study, tmp_path, lambda config: config["arms"][0].update(steps=4))
    assert {"sample", "gather", "deliver", "export", "engine", "metrics", "montage"} <= set(jobs)
    assert not {"train", "prepare", "fetch", "index", "active", "select"} & set(jobs)


def test_a_figure_setting_draws_figures_only(finished_study, tmp_path):
    jobs = changed(finished_study, tmp_path, lambda config: config["figures"].update(dpi=70))
    drawn = {"montage", "loss", "active_figure", "quality_figure", "worst", "noise", "plate_page", "feature_figure"}
    drawn |= {"closeup", "attention", "tsne", "uncertainty_figure", "sweep_figure", "outlines", "overlap"}
    assert set(jobs) == drawn


def test_training_longer_retrains_what_is_trained_and_no_plate(finished_study, tmp_path):
    jobs = changed(finished_study, tmp_path, lambda config: config["train"].update(images=52))
    assert jobs["train"] >= 1 and "sample" in jobs
    assert not {"prepare", "fetch", "index", "illumination", "active"} & set(jobs)


def test_a_quality_limit_reads_no_raw_image_again(finished_study, tmp_path):
    jobs = changed(finished_study, tmp_path, lambda config: config.update(quality={"blur": 9}))
    assert jobs["flag"] == 3 and {"quality_figure", "quality_table"} <= set(jobs)
    assert not {"fetch", "index", "illumination", "prepare", "quality"} & set(jobs)


def test_quality_is_part_of_the_chain_and_its_defaults_flag_nothing(finished_study):
    results = finished_study / "results"
    counts = pd.read_csv(results / "tables" / "quality.tsv", sep="\t")
    assert list(counts["plate"]) == ["T1", "T2", "T3"] and (counts["kept"] == counts["fields"]).all()
    assert (results / "figures" / "quality" / "T3.png").exists()


def test_workers_and_device_rerun_nothing(finished_study, tmp_path):
    def change(config):
        config["source"]["workers"] = 3
        config["compute"]["device"] = "auto"

    assert changed(finished_study, tmp_path, change) == {}


def other_plates(finished: Path, tmp_path: Path, text: str, **fold) -> dict[str, int]:
    """Plan the finished study with another plate table, and its fold changed; return {rule: jobs}."""
    (tmp_path / "plates.tsv").write_text(text)

    def change(config):
        config["plates"] = str(tmp_path / "plates.tsv")
        config["folds"][0].update(fold)

    return changed(finished, tmp_path, change)


def test_an_added_plate_refetches_none(finished_study, tmp_path):
    before = (finished_study / "plates.tsv").read_text()
    jobs = other_plates(finished_study, tmp_path, before + "T4\tstudy\tsimulated\tsource_0\tB4\n")
    assert jobs["index"] == jobs["fetch"] == jobs["illumination"] == jobs["prepare"] == jobs["quality"] == 1
    assert jobs["train"] == 3


def test_a_removed_predict_plate_refetches_and_retrains_none(finished_study, tmp_path):
    """T3 leaves the plate table and the fold that painted it: what was trained and scored without it stands."""
    before = (finished_study / "plates.tsv").read_text()
    left = "".join(line for line in before.splitlines(True) if not line.startswith("T3"))
    jobs = other_plates(finished_study, tmp_path, left, predict=[])
    assert not {"index", "fetch", "illumination", "prepare", "train", "sample", "engine"} & set(jobs)
    assert {"missing_table", "quality_table"} <= set(jobs)


def test_a_changed_pipeline_of_ones_own_measures_again_and_trains_nothing(finished_study, tmp_path):
    own = tmp_path / "own.cppipe"
    own.write_text((ROOT / "resources" / "cellprofiler" / "slim.cppipe").read_text())
    jobs = changed(finished_study, tmp_path, lambda config: config["cellprofiler"].update(pipeline=str(own)))
    assert {"export", "engine", "cells_part", "cells", "median", "select", "profile", "active"} <= set(jobs)
    assert not {"index", "fetch", "prepare", "train", "sample", "gather"} & set(jobs)


def test_code_of_a_module_reruns_nothing_and_a_forced_stage_and_what_follows_runs(finished_study):
    module = ROOT / "src" / "brightpaint" / "models" / "paint" / "sample.py"
    status = module.stat()
    try:
        os.utime(module)
        assert "Nothing to be done" in snakemake(finished_study, "-n").stdout
    finally:
        os.utime(module, ns=(status.st_atime_ns, status.st_mtime_ns))
    jobs = planned(snakemake(finished_study, "-n", "--forcerun", "sample").stdout)
    assert {"sample", "gather", "score_images", "metrics"} <= set(jobs) and not {"train", "prepare", "fetch"} & set(
        jobs
    )


def checksum(path: Path) -> str:
    """Return the sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


# Artefacts that are deleted together and asked for in one run: nothing of a group is made from another of it, and a
# group comes before what it is made from, so that no remade file makes another one due.
DELETED = [
    [
        "results/figures/quality/T3.png",
        "results/tables/quality.html",
        "results/figures/montage/T2.jpg",
        "results/figures/active.png",
        "results/figures/worst/pert.jpg",
        "results/figures/noise/pert.jpg",
        "results/figures/uncertainty/pert.png",
        "results/tables/sweep/T2.html",
        "results/figures/closeup/T2.jpg",
        "results/figures/attention/T2.jpg",
        "results/figures/tsne/cellprofiler.png",
        "results/figures/plates/T2.png",
        "results/figures/outlines/T2.jpg",
        "results/figures/features/full.png",
        "results/tables/metrics.html",
    ],
    ["results/metrics/pert.parquet", "results/sweep/T2.parquet"],
    ["results/active/perturbations.tsv", "results/embeddings/pert/T2.parquet", "results/uncertainty/pert/T2.tif"],
    ["results/profiles/real/cellprofiler/perturbations.parquet", "results/cells/pert/T2.parquet"],
    ["results/selection/cellprofiler.tsv", "results/images/pert/T2.tif"],
    ["results/models/pert/A/weights.safetensors", "results/models/pixel/A/weights.safetensors"],
    ["results/fields/T2.parquet", "results/flags/T2.tsv", "results/quality/T1.parquet"],
    ["results/images/real/T2.tif"],
    ["results/illumination/T2.tif", "resources/index/T1.parquet"],
]
TO_1E_6 = "results/cells/pert/T2.parquet"
ONE_A_STAGE = [
    "results/figures/closeup/T2.jpg",
    "results/tables/metrics.html",
    "results/metrics/pert.parquet",
    "results/profiles/real/cellprofiler/perturbations.parquet",
    "results/images/pert/T2.tif",
    "results/models/pert/A/weights.safetensors",
    "results/flags/T2.tsv",
    "resources/index/T1.parquet",
]


@pytest.fixture(scope="module")
def remade(finished_study, tmp_path_factory, request) -> Path:
    """A copy of the finished study in which every file of DELETED that is asked about was deleted and asked for by name.

    By another server, so that sets have another order than when the study was made.
    """
    asked = {item.callspec.params["name"] for item in request.session.items if "any_artefact" in item.name}
    asked |= {TO_1E_6 for item in request.session.items if "to_1e_6" in item.name}
    folder = copy_of(finished_study, tmp_path_factory.mktemp("remade") / "study")
    for names in ([name for name in group if name in asked] for group in DELETED):
        for name in names:
            (folder / name).unlink()
        if names:
            snakemake(folder, "--cores", "2", "--show-failed-logs", "--", *names, seed="another")
    return folder


@pytest.mark.long
@pytest.mark.parametrize("name", swept([name for names in DELETED for name in names if name != TO_1E_6], ONE_A_STAGE))
def test_any_artefact_deleted_comes_back_byte_for_byte(finished_study, remade, name):
    assert checksum(remade / name) == checksum(finished_study / name)


@pytest.mark.exhaustive
def test_cells_come_back_to_1e_6(finished_study, remade):
    before, after = (pd.read_parquet(folder / TO_1E_6) for folder in (finished_study, remade))
    pd.testing.assert_frame_equal(after, before, rtol=1e-6, atol=1e-9)


@pytest.mark.long
def test_other_parts_give_the_same_plate_and_touch_says_that_what_follows_is_whole(finished_study, tmp_path):
    folder = copy_of(finished_study, tmp_path / "study")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["sample"] = {"parts": 3, "batch": 2}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    painted = "results/images/pert/T2.tif"
    (folder / painted).unlink()
    snakemake(folder, "--cores", "2", painted)
    assert checksum(folder / painted) == checksum(finished_study / painted)
    assert {"export", "score_images"} <= set(planned(snakemake(folder, "-n").stdout))
    snakemake(folder, "--cores", "1", "--touch")
    assert "Nothing to be done" in snakemake(folder, "-n").stdout
