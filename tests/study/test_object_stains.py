"""Any stain may show nuclei or cells, cells are measured where something asks for them, and what does not fit is said first."""

from __future__ import annotations

import json

import pytest

from brightpaint.study import object_stains, spaces, subjects
from brightpaint.study.study import Study
from conftest import ROOT, TINY, planned, snakemake, write_study

SCHEMAS = ROOT / "workflow" / "schemas"
NEURONS = {"input": ["BF"], "target": ["DNA", "MAP2", "NFH"]}
SILENT = [{**arm, "profile": False} for arm in TINY["arms"]]


def study(folder, **changes):
    write_study(folder)
    settings = {**json.loads(json.dumps(TINY)), "source": {"layout": "table", "table": "x.csv"}, **changes}
    return Study.load(settings, SCHEMAS, root=folder)


def test_stains_are_those_named_and_else_the_usual_ones_that_there_are():
    five, named = ["DNA", "RNA", "ER", "AGP", "Mito"], {"nuclear_stain": "Hoechst", "cell_stains": ["NFH", "MAP2"]}
    assert object_stains.nuclear_stain(five, {}) == "DNA" and object_stains.cell_stains(five, {}) == ["AGP", "RNA"]
    assert (
        object_stains.nuclear_stain(["Hoechst", "DNA"], named) == "Hoechst"
        and object_stains.nuclear_stain(["DNA"], named) is None
    )
    assert object_stains.cell_stains(["MAP2", "NFH", "AGP"], named) == ["NFH", "MAP2"]
    assert object_stains.cell_stains(["DNA", "RNA"], {"cell_stains": None}) == ["RNA"]
    assert object_stains.named_stains({"nuclear_stain": None, "cell_stains": ["RNA"], "parts": 1}) == {
        "cell_stains": ["RNA"]
    }


def test_stains_that_nothing_can_be_found_in_are_said_at_planning_where_cells_are_measured(tmp_path):
    shipped = {**TINY["cellprofiler"], "pipeline": "slim"}
    with pytest.raises(
        ValueError, match="cellprofiler.cell_stains: slim grows cells over AGP and RNA .* DNA, MAP2, NFH; name"
    ):
        study(tmp_path, channels=NEURONS, cellprofiler=shipped)
    with pytest.raises(
        ValueError, match="cellprofiler.nuclear_stain: slim finds nuclei in DNA unless .* a .cppipe of your own"
    ):
        study(tmp_path, channels={"input": ["BF"], "target": ["DAPI", "RNA"]}, cellprofiler=shipped)
    with pytest.raises(ValueError, match="nuclear_stain: there is no stain DAPI; channels.target has DNA, MAP2, NFH"):
        study(tmp_path, channels=NEURONS, cellprofiler={**TINY["cellprofiler"], "nuclear_stain": "DAPI"}, arms=SILENT)
    study(tmp_path, channels=NEURONS, cellprofiler={**shipped, "cell_stains": ["MAP2", "NFH"]})
    study(tmp_path, channels=NEURONS, cellprofiler=shipped, arms=SILENT)
    study(tmp_path, channels=NEURONS)  # a pipeline of one's own finds what it will


def test_cells_are_measured_for_an_arm_for_actives_for_crops_and_for_curves_alone(tmp_path):
    silent = study(tmp_path, arms=SILENT)
    assert not silent.profiled("real") and spaces.measured_arms(silent) == []
    assert silent.profile_plates("real") == ["T2"] and subjects.counted_arms(silent) == []
    assert spaces.profiled_arms(silent, spaces.MAIN) == [] and silent.lookup_plates() == {}
    active = [{**TINY["models"][0], "subset": "active"}, *TINY["models"][1:]]
    unused = [*TINY["models"], {"name": "other", "subset": "active"}]
    doses = {"spaces": ["cellprofiler"], "arms": ["real"]}
    for asking in ({"models": active}, {"crops": {"size_um": 20}}, {"doses": doses}):
        asked = study(tmp_path, arms=SILENT, **asking)
        assert asked.profiled("real") and spaces.measured_arms(asked) == ["real"], asking
        assert asked.profile_plates("real") == ["T1", "T2"]
    assert not study(tmp_path, arms=SILENT, models=unused).profiled("real")
    assert study(tmp_path).profiled("real") and spaces.measured_arms(study(tmp_path)) == ["real", "pert"]


def test_where_no_arm_is_measured_no_job_of_cellprofiler_is_planned(tmp_path):
    write_study(tmp_path, {"arms": SILENT, "source": {"layout": "simulated"}})
    jobs = planned(snakemake(tmp_path, "-n").stdout)
    assert not {"export", "cellprofiler", "cells_part", "cells", "median", "select", "active", "active_figure"} & set(
        jobs
    )
    assert jobs["paper_table"] == 1  # the second is about the actives
    assert jobs["score_images"] == 4 and {"metrics_table", "montage", "wells", "plate_page"} <= set(jobs)


def test_a_stain_called_as_an_image_of_the_pipelines_own_is_refused_at_planning(tmp_path):
    target = ["DNA", "RNA", "OrigDNA"]
    source, table = (
        {"layout": "table", "table": "x.csv"},
        "plate,well,site,channel,file,perturbation\nT1,A01,1,DNA,a.tif,p\n",
    )
    (tmp_path / "x.csv").write_text(table)
    changes = {"channels": {"input": ["BF"], "target": target}, "source": source, "cellprofiler": {"pipeline": "slim"}}
    write_study(tmp_path, changes)
    output = snakemake(tmp_path, "-n", check=False).stdout
    assert "channels.target: OrigDNA is what the shipped pipelines call an image of their own" in output
