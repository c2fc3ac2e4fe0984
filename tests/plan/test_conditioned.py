"""What the wells of a study's plates tell of its models' conditions, before anything runs."""

import re

import pytest

from brightpaint.plan import conditioned, limits, painting
from brightpaint.study.study import Study
from conftest import ROOT, TINY, planned, snakemake, write_study

SCHEMAS = ROOT / "workflow" / "schemas"
RATES = painting.read_rates(ROOT / "resources" / "rates.tsv")
PLATES = "plate\trole\tproject\tsource\tbatch\tcell_line\nT1\tstudy\ts\ts0\tB1\t{}\nT2\tstudy\ts\ts0\tB2\t{}\n"
CONDITIONS = {"dose": {}, "batch": {}, "cell_line": {}, "molecule": {}}


def study_of(folder, lines=("U2OS", "U2OS"), arm=None, conditions=CONDITIONS, simulate=None, **changes):
    config = {key: TINY[key] for key in ("plates", "pixel_size_um", "sample")} | {
        "source": {"layout": "simulated"},
        "simulate": {"rows": 4, "columns": 6, "doses": {"um": [0.1, 1, 10]}, "molecules": True, **(simulate or {})},
        "folds": [{"name": "A", "test": ["T2"]}],
        "models": [{"name": "told", "width": 8, "conditions": conditions}],
        "arms": [{"name": "own", "model": "told", "folds": ["A"], **(arm or {})}],
        **changes,
    }
    (folder / "plates.tsv").write_text(PLATES.format(*lines))
    return Study.load(config, SCHEMAS, folder)


def said(study, folder):
    return "\n".join(conditioned.problems(study, folder))


def test_what_fits_is_not_spoken_of_and_a_batch_that_is_held_out_is_missing(tmp_path):
    assert said(study_of(tmp_path), tmp_path) == ""
    assert said(study_of(tmp_path, arm={"conditions": {"batch": "B1", "dose": 3.0, "cell_line": None}}), tmp_path) == ""


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"lines": ("U2OS", "A549")}, "arm own: plate T2, well A01: cell_line A549 was not trained on; the model knows U2OS"),
        ({"arm": {"conditions": {"batch": "B2"}}}, "arm own: plate T2, well A01: batch B2 was not trained on; the model knows B1"),
        ({"arm": {"conditions": {"dose": 40}}}, "dose 40.0 uM lies outside what was trained on, 0.1 to 10 uM"),
        ({"simulate": {"molecules": False}}, "model told, fold A: condition molecule: the field table has no column"),
        ({"arm": {"conditions": {"molecule": "C1CC"}}}, "arm own: plate T2, well .*: the SMILES 'C1CC' is no SMILES"),
        ({"conditions": {"time": {}}}, r"condition time: no training field has one \(Metadata_time_h\)"),
    ],
)  # fmt: skip
def test_what_can_not_be_told_is_said_before_anything_runs(tmp_path, changes, expected):
    found = said(study_of(tmp_path, **changes), tmp_path)
    assert re.search(expected, found) and "\n" not in found


def test_guidance_by_a_condition_is_paid_for(tmp_path):
    studies = [study_of(tmp_path, arm={"condition_scales": scales}) for scales in ({}, {"dose": 2.0, "batch": 3.0})]
    flop = [painting.sampling_flop(study, "own") for study in studies]
    assert flop[1] == 3 * flop[0]
    assert limits.painting_mb(studies[1].config, studies[1].entry("arms", "own")) >= limits.painting_mb(
        studies[0].config, studies[0].entry("arms", "own")
    )


@pytest.mark.slow
def test_snakemake_refuses_before_anything_runs_and_plans_what_fits(tmp_path):
    changes = {
        "source": {"layout": "simulated"}, "folds": [{"name": "A", "test": ["T2"]}],
        "simulate": {**TINY["simulate"], "molecules": True, "doses": {}, "columns": 12},
        "models": [{"name": "told", "width": 8, "conditions": {"cell_line": {}}},
                   {"name": "mol", "width": 8, "conditions": {"molecule": {}}}],
        "arms": [{"name": name, "model": name, "folds": ["A"], "steps": 3, "profile": name == "mol"} for name in ("told", "mol")],
    }  # fmt: skip
    write_study(tmp_path, changes, PLATES.format("U2OS", "A549"))
    done = snakemake(tmp_path, "-n", check=False)
    expected = "config: arm told: plate T2, well A01: cell_line A549 was not trained on"
    assert done.returncode and expected in done.stdout
    (tmp_path / "plates.tsv").write_text(PLATES.format("U2OS", "U2OS"))
    jobs = planned(snakemake(tmp_path, "-n").stdout)
    assert jobs["train"] == 2 and jobs["from_molecules"] == jobs["molecules_table"] == 1
    arms = [
        {"name": f"as_{name}", "model": "told", "folds": ["A"], "steps": 3, "conditions": {"batch": name}}
        for name in ("B1", "B3")
    ]
    effects = [{"name": "e", "arms": ["as_B1", "as_B3"], "spaces": ["cellprofiler"], "factors": ["cell_line"]}]
    models = [{"name": "told", "width": 8, "conditions": {"batch": {}}}]
    more = PLATES.format("U2OS", "U2OS") + "T3\tstudy\ts\ts0\tB3\tU2OS\n"
    write_study(tmp_path, {**changes, "models": models, "arms": arms, "effects": effects}, more)
    jobs = planned(snakemake(tmp_path, "-n").stdout)
    assert jobs["effects"] == jobs["effect_figure"] == 1 and jobs["train"] == 1
    assert "from_molecules" not in jobs and "molecules_table" not in jobs  # no model is told molecules
