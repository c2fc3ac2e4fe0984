"""What folds may hold out: names and shares of perturbations, and scaffolds, doses or combinations that a rule works out."""

from pathlib import Path

import pytest

from brightpaint.study.fold_splits import by_molecule, of_new_names, tabled, word_of
from brightpaint.study.study import Study

SCHEMAS = Path(__file__).parents[2] / "workflow" / "schemas"


def load(folder, held_out, **changes):
    (folder / "plates.tsv").write_text("plate\trole\nP1\tstudy\nP2\tstudy\n")
    config = {"plates": "plates.tsv", "folds": [{"name": "A", "test": ["P2"], "held_out": held_out}]}
    models, arms = [{"name": "m"}], [{"name": "a", "model": "m", "folds": ["A"]}]
    return Study.load({**config, "models": models, "arms": arms, **changes}, SCHEMAS, folder)


def test_old_forms_stay_and_are_no_table(tmp_path):
    for held, word in (([], ""), (0, ""), (0.5, "perturbation"), (["cpd1"], "perturbation")):
        own = load(tmp_path, held).entry("folds", "A")["held_out"]
        assert own == held and not tabled(own) and word_of(own) == word


@pytest.mark.parametrize(
    "held",
    [
        {"by": "scaffold", "share": 0.25},
        {"by": "scaffold", "names": ["cpd1"]},
        {"by": "dose", "names": [0.3, 1]},
        {"by": "combination", "names": [["cpd1", "A549"]]},
    ],
)
def test_what_a_rule_works_out_is_kept_as_it_is_written(tmp_path, held):
    own = load(tmp_path, held).entry("folds", "A")["held_out"]
    assert own == held and tabled(own) and word_of(own) == held["by"]


def test_a_table_of_parts_has_a_path_and_a_key(tmp_path):
    own = load(tmp_path, {"by": "file", "path": "split.tsv", "key": "smiles"}).entry("folds", "A")["held_out"]
    assert (
        own == {"by": "file", "path": str(tmp_path / "split.tsv"), "key": "smiles"}
        and tabled(own)
        and word_of(own) == "file"
    )


def test_who_reads_molecules_and_who_meets_new_names():
    told = {key: {"by": "file", "path": "x", "key": key} for key in ("smiles", "perturbation", "treatment")}
    assert [by_molecule(held) for held in told.values()] == [True, False, False]
    assert [of_new_names(held) for held in told.values()] == [True, True, False]
    assert (
        by_molecule({"by": "scaffold", "share": 0.5})
        and not by_molecule(["a"])
        and of_new_names(0.5)
        and not of_new_names([])
    )


@pytest.mark.parametrize(
    ("held", "words"),
    [
        (
            {"by": "file", "path": "split.tsv"},
            "fold A: held_out by file takes the path of a table and its key (smiles, perturbation or treatment), and no share",
        ),
        (
            {"by": "file", "path": "split.tsv", "key": "smiles", "share": 0.5},
            "fold A: held_out by file takes the path of a table",
        ),
        (
            {"by": "scaffold", "share": 0.5, "key": "smiles"},
            "fold A: held_out by scaffold takes a share or names, and no key, which is for by: file",
        ),
        ({"by": "file", "path": "split.tsv", "key": "BROAD_ID"}, "folds.0.held_out.key: 'BROAD_ID' is not one of"),
        (
            {"by": "file", "path": "$NOWHERE_AT_ALL/x", "key": "smiles"},
            "held_out.path: the environment variable NOWHERE_AT_ALL",
        ),
        (
            {"by": "scaffold"},
            "fold A: held_out by scaffold takes a share or names, one of the two; names are names of perturbations",
        ),
        (
            {"by": "dose", "share": 0.5, "names": [1.0]},
            "fold A: held_out by dose takes a share or names, one of the two",
        ),
        (
            {"by": "dose", "names": ["1uM"]},
            "fold A: held_out by dose: '1uM' among its names; expected numbers, micromolar",
        ),
        ({"by": "dose", "names": [0]}, "fold A: held_out by dose: 0 among its names"),
        ({"by": "combination", "names": ["cpd1"]}, "'cpd1' among its names; expected pairs [perturbation, cell line]"),
        ({"by": "scaffold", "names": ["DMSO"]}, "fold A: held_out names DMSO, the control, always trained on"),
        ({"by": "combination", "names": [["DMSO", "A549"]]}, "fold A: held_out names DMSO"),
        ({"by": "plate", "share": 0.5}, "folds.0.held_out.by: 'plate' is not one of"),
        ({"by": "scaffold", "share": 1.0}, "folds.0.held_out.share: 1.0 is greater than or equal to the maximum"),
        ({"share": 0.5}, "'by' is a required property"),
    ],
)
def test_what_can_not_be_held_out_is_said(tmp_path, held, words):
    with pytest.raises(ValueError) as found:
        load(tmp_path, held)
    assert words in str(found.value)


def test_what_is_held_out_needs_perturbations(tmp_path):
    with pytest.raises(ValueError, match="fold A: held_out needs perturbations: true"):
        load(tmp_path, {"by": "dose", "share": 0.5}, perturbations=False)
