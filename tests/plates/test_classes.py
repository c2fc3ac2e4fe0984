"""Classes of a study's axes: what the plan refuses from the config, from the user's own CSV and from indices, and the rule."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import yaml

from brightpaint import store
from brightpaint.plates import classes
from brightpaint.study import axes
from brightpaint.study.study import Study
from conftest import ROOT, planned, snakemake, write_study

ENTRY = {"section": "axes", "name": "effect", "annotation": "perturbation", "positive": ["mock"], "negative": ["infected"],
         "groups": "Well", "normalise": "plate", "plates": ["P1"]}  # fmt: skip
AXIS = {"name": "effect", "positive": ["mock"], "negative": ["infected"], "spaces": ["cellprofiler"]}


def index_rows(names, plate="P1"):
    """An index has one row a field and channel."""
    frame = pd.DataFrame({"Metadata_Plate": plate, "Metadata_Well": [f"A{n + 1:02d}" for n in range(len(names))],
                          "Metadata_perturbation": names, "Metadata_cell_line": ""})  # fmt: skip
    return pd.concat([frame, frame], ignore_index=True)


def study_of(folder, **changes):
    write_study(folder, {"source": {"layout": "simulated"}, **changes})
    return Study.load(yaml.safe_load((folder / "config.yaml").read_text()), ROOT / "workflow" / "schemas", folder)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["mock", "infected", "infected"], "axes.effect: class + (mock) has one well, expected two or more"),
        (["mock", "mock", "infect"], "axes.effect: no well has perturbation infected; found: infect, mock"),
    ],
)
def test_the_rule_refuses_classes_that_are_not_there_or_too_small(tmp_path, names, said):
    store.write_table(index_rows(names), tmp_path / "P1.parquet")
    arguments = [
        "--settings",
        json.dumps({"entries": [ENTRY], "plates": {}}),
        "--indices",
        str(tmp_path / "P1.parquet"),
    ]
    with pytest.raises(ValueError) as error:
        classes.main([*arguments, "--table", str(tmp_path / "x.tsv")])
    assert said in str(error.value) and not (tmp_path / "x.tsv").exists()


LINES = {**ENTRY, "name": "lines", "annotation": "cell_line", "positive": ["A"], "negative": ["B"],
         "plates": ["P1", "P2", "P3", "P4"]}  # fmt: skip


def listed(folder, entries):
    """Run the rule on four plates, P1 with both classes of ENTRY, of cell lines A and B in turn."""
    rows = {f"P{number}": {"cell_line": "AB"[(number - 1) % 2]} for number in range(1, 5)}
    for plate in rows:
        names = ["mock"] * 3 + ["infected"] * 2 * (plate == "P1")
        store.write_table(index_rows(names, plate), folder / f"{plate}.parquet")
    indices = [str(folder / f"{plate}.parquet") for plate in rows]
    classes.main(["--settings", json.dumps({"entries": entries, "plates": rows}), "--indices", *indices,
                  "--table", str(folder / "x.tsv")])  # fmt: skip
    return store.read_table(folder / "x.tsv").set_index(["name", "class"])["wells"].to_dict()


def test_the_rule_counts_wells_of_each_class_and_takes_cell_lines_from_the_plate_table(tmp_path):
    found = listed(tmp_path, [ENTRY, {**LINES, "groups": "Plate", "normalise": "none"}])
    assert found == {("effect", "-"): 2, ("effect", "+"): 3, ("lines", "-"): 6, ("lines", "+"): 8}


@pytest.mark.parametrize(
    ("groups", "normalise", "mend"),
    [
        ("Well", "plate", "set groups: Plate and normalise: none, with"),
        ("Well", "none", "set groups: Plate, with"),
        ("Plate", "plate", "set normalise: none, with"),
    ],
)
def test_classes_on_plates_of_their_own_are_refused_before_an_image_is_fetched(tmp_path, groups, normalise, mend):
    entry = {**LINES, "groups": groups, "normalise": normalise}
    with pytest.raises(ValueError, match=f"axes.lines: no plate has wells of both class - and another, .*; {mend}"):
        listed(tmp_path, [entry])
    assert not (tmp_path / "x.tsv").exists()


def test_what_the_config_alone_shows_to_be_wrong_is_said(tmp_path):
    wrong = {
        **AXIS,
        "annotation": "infection",
        "groups": "row",
        "negative": ["mock"],
        "spaces": ["dino", "umap"],
        "arms": ["nobody"],
    }
    study = study_of(tmp_path, axes=[wrong], doses={"axes": ["other"]})
    said = "\n".join(axes.axis_problems(study))
    for words in ("axes.effect: annotation infection is no annotation of wells; expected one of perturbation,", "groups row is no",
                  "mock is in both classes", "does not plan dino", "no space is called umap", "arm nobody has no profiles",
                  "doses.axes: no axis is called other; there are: effect"):  # fmt: skip
        assert words in said
    for lone in ({"positive": []}, {"negative": []}):
        with pytest.raises(ValueError, match="axes.0.(positive|negative): .*should be non-empty"):
            study_of(tmp_path, axes=[{**AXIS, **lone}])
    with pytest.raises(ValueError, match="'negative' is a required property"):
        study_of(tmp_path, axes=[{key: value for key, value in AXIS.items() if key != "negative"}])


def test_strict_is_refused_where_something_saw_every_plate_and_says_what(tmp_path):
    study = study_of(tmp_path, axes=[{**AXIS, "protocol": "strict"}])
    assert list(axes.axis_problems(study)) == []  # features are selected on T1, which is tested nowhere
    study = study_of(tmp_path, axes=[{**AXIS, "protocol": "strict"}], select={"plates": "all"})
    assert "protocol strict, but the selection of features saw every plate of arm real" in "\n".join(
        axes.axis_problems(study)
    )
    study = study_of(tmp_path, axes=[{**AXIS, "protocol": "strict"}], profile={"recipe": "standard"})
    assert "the sphering on DMSO wells saw every plate" in "\n".join(axes.axis_problems(study))
    assert axes.protocol_name(["T2"], {"x": ["T1"]}) == ("strict", "")
    assert axes.protocol_name(["T1", "T2"], {"x": ["T1"]}) == ("test images seen", "x")


def test_the_plan_refuses_a_class_that_the_wells_known_already_lack(tmp_path):
    study = study_of(tmp_path, axes=[AXIS])
    assert list(classes.class_problems(study, tmp_path)) == []  # nothing is known of the wells yet
    for plate, names in (("T1", ["mock", "infected"]), ("T2", ["infected"])):
        store.write_table(index_rows(names, plate), tmp_path / "resources" / "index" / f"{plate}.parquet")
    (said,) = classes.class_problems(study, tmp_path)
    assert said.startswith("axes.effect: class + (mock) has one well")


def test_the_plan_reads_the_user_s_own_csv(tmp_path):
    rows = [f"{plate},{well},1,DNA,{plate}_{well}.tif,{name}" for plate in ("T1", "T2")
            for well, name in (("A01", "mock"), ("A02", "infected"), ("A03", "infected"))]  # fmt: skip
    source = {"layout": "table", "url": str(tmp_path), "table": "images.csv"}
    chosen = {"source": source, "channels": {"input": [], "target": ["DNA"]}, "models": [], "arms": [], "folds": []}
    for kept, said in ((rows[:4], "axes.effect: no well has perturbation mok"), (rows, "has one well"), (rows, "")):
        positive = "mok" if "mok" in said else "mock"
        kept = kept if said else [*kept, "T2,A04,1,DNA,x.tif,mock"]
        own = [row for row in kept if said != "has one well" or not row.startswith("T2,A01")]
        (tmp_path / "images.csv").write_text("\n".join(["plate,well,site,channel,file,perturbation", *own]) + "\n")
        write_study(tmp_path, {**chosen, "axes": [{**AXIS, "positive": [positive]}]},
                    plates="plate\trole\nT1\tstudy\nT2\tstudy\n")  # fmt: skip
        study = Study.load(
            yaml.safe_load((tmp_path / "config.yaml").read_text()), ROOT / "workflow" / "schemas", tmp_path
        )
        found = "\n".join(classes.class_problems(study, tmp_path))
        assert said in found and bool(found) == bool(said)


@pytest.mark.slow
def test_axes_are_planned_where_they_are_asked_for_and_nowhere_else_and_change_no_other_command(tmp_path):
    write_study(tmp_path, {"source": {"layout": "simulated"}})
    before = snakemake(tmp_path, "-n", "-p").stdout
    asked = {"axes": [AXIS], "zero_shot": [{"name": "lines", "annotation": "cell_line", "spaces": ["cellprofiler"]}]}
    write_study(tmp_path, {"source": {"layout": "simulated"}, **asked, "doses": {"axes": ["effect"]}})
    after = snakemake(tmp_path, "-n", "-p").stdout
    more = {
        "classes": 1,
        "axis": 1,
        "axis_doses": 1,
        "axis_figure": 1,
        "axis_dose_figure": 1,
        "zero_shot": 1,
        "zero_shot_figure": 1,
        "spaces_table": 1,
    }
    assert planned(after) == planned(before) | more
    commands = [{line for line in text.splitlines() if line.startswith("Shell command: ")} for text in (before, after)]
    assert commands[0] < commands[1] and len(commands[1] - commands[0]) == len(more)
