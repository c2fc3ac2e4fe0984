"""A label that one's own CSV lacks is refused before anything runs."""

from __future__ import annotations

import pytest
import yaml

from brightpaint.plan import checks
from brightpaint.plates.own_labels import label_problems
from brightpaint.study.study import Study
from conftest import ROOT, snakemake, write_study

PLATES = "plate\trole\tcell_line\nP1\tstudy\t\nP2\tstudy\t\n"
KEYS = "plate,well,site,channel,file"


def study_in(folder, header="", cells=("", ""), label="perturbation", plates=PLATES, **changes):
    """A study that trains on P1 and tests P2; `cells` are what the CSV says of the one well of each."""
    folder.mkdir(exist_ok=True)
    lines = [f"{KEYS},{header}" if header else KEYS]
    for plate, said in zip(("P1", "P2"), cells):
        lines += [
            f"{plate},A01,1,{channel},{plate}_{channel}.tif" + (f",{said}" if header else "")
            for channel in ("BF", "DNA")
        ]
    (folder / "images.csv").write_text("\n".join(lines) + "\n")
    config = {
        "source": {"layout": "table", "url": ".", "table": str(folder / "images.csv"), **changes.pop("source", {})},
        "channels": {"input": ["Brightfield"], "target": ["DNA"]},
        "folds": [{"name": "A", "test": ["P2"]}],
        "models": [{"name": "m", "label": label, **changes.pop("model", {})}],
        "arms": [{"name": "m", "model": "m", "folds": ["A"], "profile": False, **changes.pop("arm", {})}],
    }
    write_study(folder, {**config, **changes}, plates)
    return Study.load(yaml.safe_load((folder / "config.yaml").read_text()), ROOT / "workflow" / "schemas", folder)


@pytest.mark.parametrize(
    ("header", "cells", "label"),
    [
        ("perturbation", ("x", ""), "perturbation"),
        ("Compound", ("x", ""), "perturbation"),
        ("treatment", ("DMSO", ""), "treatment"),
        ("compound,MoA", ("x,m", ""), "target"),
        ("compound,cell line", ("x,U2OS", ""), "cell_line"),
        ("", ("", ""), "Batch"),
        ("", ("", ""), "none"),
    ],
)
def test_a_label_that_the_table_has_is_no_problem(tmp_path, header, cells, label):
    cells = [said or "," * header.count(",") for said in cells]
    assert list(label_problems(study_in(tmp_path, header, cells, label))) == []


@pytest.mark.parametrize(
    ("header", "cells", "label", "sentence"),
    [
        ("", ("", ""), "perturbation", "models.m.label: perturbation, but {path} has no column perturbation (or compound, "
         "compound_name); add it, or set label: none"),
        ("cpd,remark", ("x,y", "x,y"), "treatment", "{path} has no column perturbation (or compound, compound_name) (not taken: "
         "cpd, remark); add it"),
        ("compound", ("x", "x"), "target", "{path} has no column target (or targets, target_list) (compound taken for"),
        ("compound", ("", "x"), "perturbation", "{path} says nothing in its column compound on the training plates P1 (compound "
         "taken for perturbation); fill it in, or set label: none"),
        ("compound", ("NA", "x"), "perturbation", "says nothing in its column compound"),
        ("compound", ("x", "x"), "cell_line", "{path} has no column cell_line (or cellline)"),
        ("compound", ("x", "x"), "dose", "dose, which is no annotation of fields that is text; expected one of perturbation"),
        ("compound", ("x", "x"), "batch_name", "batch_name, which is no annotation of fields"),
    ],
)  # fmt: skip
def test_a_label_that_the_table_lacks_is_named_with_what_to_do(tmp_path, header, cells, label, sentence):
    (problem,) = label_problems(study_in(tmp_path, header, cells, label))
    assert sentence.format(path=tmp_path / "images.csv") in problem


def test_what_something_else_says_need_not_stand_in_the_table(tmp_path):
    given = {"weights": "w.safetensors"}
    assert list(label_problems(study_in(tmp_path, model=given))) == []  # not trained here
    told = study_in(tmp_path, "compound", ("x", "x"), "target", source={"compounds": "c.tsv"})
    assert list(label_problems(told)) == []
    lines = study_in(tmp_path, label="cell_line", plates=PLATES.replace("P1\tstudy\t", "P1\tstudy\tU2OS"))
    assert list(label_problems(lines)) == []
    other = study_in(tmp_path, label="cell_line", plates=PLATES.replace("P2\tstudy\t", "P2\tstudy\tU2OS"))
    assert len(list(label_problems(other))) == 1  # of the test plate, which trains nothing
    (tmp_path / "images.csv").unlink()
    assert list(label_problems(other)) == []  # the plan says that it is missing


def test_a_classifiers_label_is_looked_for_too(tmp_path):
    guided = study_in(
        tmp_path, "compound", ("x", "x"), arm={"classifier": "g"}, classifiers=[{"name": "g", "label": "target"}]
    )
    (problem,) = label_problems(guided)
    assert problem.startswith("classifiers.g.label: target, but")


def test_a_dry_run_and_a_plan_say_it(tmp_path):
    study = study_in(tmp_path, "remark", ("x", "x"))
    done = snakemake(tmp_path, "-n", check=False)
    assert (
        done.returncode
        and "config: models.m.label: perturbation, but" in done.stdout
        and "not taken: remark" in done.stdout
    )
    (check,) = [check for check in checks.images(study, tmp_path) if check.what == "source.table"]
    assert check.there and check.said.endswith("images.csv; not taken: remark")
