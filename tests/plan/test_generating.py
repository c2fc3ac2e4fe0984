"""What wells tell of treatments to generate and to hold out, before anything runs; and the jobs that a generation takes."""

from __future__ import annotations

import pytest

from brightpaint.plan import costs, generating, limits, painting, translating
from brightpaint.plan.extent import extents
from brightpaint.study.study import Study
from conftest import ROOT, TINY, planned, snakemake, write_study

SCHEMAS = ROOT / "workflow" / "schemas"
RATES = painting.read_rates(ROOT / "resources" / "rates.tsv")
PLATES = "plate\trole\tproject\tsource\tbatch\tcell_line\nT1\tstudy\ts\ts0\tB1\tU2OS\nT2\tstudy\ts\ts0\tB2\tU2OS\n"
CHOSEN = {
    "simulate": {**TINY["simulate"], "rows": 4, "columns": 6, "doses": {"um": [0.1, 1, 10]}, "molecules": True},
    "models": [{"name": "told", "width": 8, "inputs": [], "conditions": {"molecule": {}, "dose": {}}}],
    "arms": [{"name": "made", "model": "told", "folds": ["A"], "steps": 2, "generate": {"fields": 2}}],
}


def study_of(folder, generate=None, held_out=(), **changes):
    arm = {**CHOSEN["arms"][0], "generate": {"fields": 2, **(generate or {})}}
    fold = {
        "name": "A",
        "test": ["T2"],
        "held_out": held_out if isinstance(held_out, (dict, float)) else list(held_out),
    }
    config = {key: TINY[key] for key in ("plates", "pixel_size_um", "sample")} | {"source": {"layout": "simulated"}}
    (folder / "plates.tsv").write_text(PLATES)
    return Study.load({**config, **CHOSEN, "folds": [fold], "arms": [arm], **changes}, SCHEMAS, folder)


def said(study, folder):
    return "\n".join(generating.problems(study, folder))


def test_what_the_plates_have_is_not_spoken_of(tmp_path):
    assert said(study_of(tmp_path), tmp_path) == ""
    assert said(study_of(tmp_path, {"treatments": "held_out"}, {"by": "scaffold", "share": 0.4}), tmp_path) == ""
    names = study_of(tmp_path).config["generations"]
    assert [arm["name"] for arm in names] == ["made"]


@pytest.mark.parametrize(
    ("generate", "held_out", "words"),
    [
        ({"treatments": ["aspirin"]}, (), "arm made: generate.treatments: no test plate has aspirin; they have SIM-M"),
        ({}, {"by": "scaffold", "share": 0.01}, "fold A: held_out: a share of 0.01 of"),
        ({}, {"by": "dose", "names": [10]}, "fold A: held_out: 10 uM is the largest dose of the training plates"),
        ({}, {"by": "combination", "share": 0.5}, "fold A: held_out: a share of 0.5 of 0 perturbations in two cell lines"),
        ({}, ["nobody"], "fold A: held_out: nobody is not on the training plates"),
    ],
)  # fmt: skip
def test_what_the_plates_lack_is_said_before_anything_runs(tmp_path, generate, held_out, words):
    found = said(study_of(tmp_path, generate, held_out), tmp_path)
    assert words in found and "\n" not in found


def test_a_given_split_is_looked_at_before_anything_runs(tmp_path):
    table, held = tmp_path / "split.tsv", {"by": "file", "path": "split.tsv", "key": "perturbation"}
    study = study_of(tmp_path, {"treatments": "held_out"}, held)
    known = sorted(set(translating.Wells(study, tmp_path).of("T1")["Metadata_perturbation"]) - {"DMSO", ""})
    table.write_text(f"perturbation\tpart\n{known[0]}\ttest\nnobody\ttrain\n")
    found = said(study, tmp_path)
    assert f"fold A: held_out: {table}: row 2: no plate that the fold" in found and "nobody (1 such of 2)" in found
    table.write_text(f"perturbation\tpart\n{known[0]}\ttest\n")
    assert said(study, tmp_path) == ""
    table.unlink()
    assert "fold A: held_out.path: cannot read" in said(study, tmp_path)


def test_a_given_split_is_read_though_no_well_is_known_yet(tmp_path):
    held = {"by": "file", "path": "split.tsv", "key": "perturbation"}
    (tmp_path / "split.tsv").write_text("perturbation\tpart\na\ttrain\n")
    study = study_of(tmp_path, {}, held, source={"layout": "gallery"})
    assert "split.tsv: no row is in part test" in said(study, tmp_path)


def test_plates_without_dmso_have_nothing_to_measure_effects_from(tmp_path):
    simulate = {**CHOSEN["simulate"], "dmso_share": 0.0}
    assert "arm made, plate T2: the plate has no well of DMSO, from which every effect" in said(
        study_of(tmp_path, simulate=simulate), tmp_path
    )


def test_every_field_that_is_generated_is_paid_for(tmp_path):
    sources = ROOT / "resources" / "sources.tsv"
    found = []
    for fields in (2, 4):
        study = study_of(tmp_path, {"fields": fields})
        found.append(costs.costs(study, extents(study, sources, tmp_path), RATES))
        assert limits.painting_minutes(study, "made", RATES, plate="T2", parts=1) >= limits.LEAST_MIN
    assert found[1].flop["sample"] == 2 * found[0].flop["sample"] > 0
    assert painting.generated_count(study_of(tmp_path, {"treatments": ["a", "b"]}), "made", 24) == 2 * (2 + 4)
    assert painting.generated_count(study_of(tmp_path), "made", 24) == 2 * (18 + 4)


def test_a_generation_is_planned_with_its_rows_scores_and_page(tmp_path):
    fold = {"name": "A", "test": ["T2"], "held_out": {"by": "scaffold", "share": 0.4}}
    write_study(tmp_path, {**CHOSEN, "folds": [fold]}, PLATES)
    jobs = planned(snakemake(tmp_path, "-n", "--quiet", "rules").stdout)
    once = (
        "hold_out",
        "generated_rows",
        "train",
        "gather",
        "generation",
        "generated_images",
        "generation_table",
        "select",
    )
    assert {name: jobs.get(name) for name in once} == dict.fromkeys(once, 1)
    assert jobs["sample"] == 2 and jobs["median"] == 3 and jobs["profile"] >= 2 and "score_images" not in jobs
