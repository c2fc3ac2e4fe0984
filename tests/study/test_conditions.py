"""Conditions of models and arms: what they default to, what they cost, and what does not go together."""

from pathlib import Path

import pytest
import yaml

from brightpaint.study.conditions import CONDITIONS, needs_rdkit, ordered, shares
from brightpaint.study.samplers import asked_at_once, evaluations
from brightpaint.study.study import Study
from brightpaint.study.told_molecules import encoders, spaces

SCHEMAS = Path(__file__).parents[2] / "workflow" / "schemas"
PLATES = "plate\trole\tbatch\twells\nP1\tstudy\tB1\t\nP2\tstudy\tB2\t\n"
ARM = {"name": "a", "model": "m", "folds": ["A"]}
BATCH = {"conditions": {"batch": {}}}


@pytest.fixture
def load(tmp_path):
    def load(model=None, arm=None, **changes):
        (tmp_path / "plates.tsv").write_text(PLATES)
        config = {"plates": "plates.tsv", "folds": [{"name": "A", "test": ["P2"]}], "models": [{"name": "m", **(model or {})}],
                  "arms": [{**ARM, **(arm or {})}]}  # fmt: skip
        return Study.load({**config, **changes}, SCHEMAS, tmp_path)

    return load


def test_a_study_that_names_no_condition_has_none(load):
    study = load()
    assert study.config["models"][0]["conditions"] == {} and study.entry("arms", "a")["conditions"] == {}
    assert study.entry("arms", "a")["condition_scales"] == {} and not needs_rdkit(study.config["models"][0])


def test_defaults_are_filled_in_and_nothing_that_was_not_asked_for(load):
    study = load({"conditions": {"molecule": {}, "batch": {"dropout": 0.3}, "dose": {}}})
    model = study.config["models"][0]
    assert model["conditions"] == {
        "molecule": {"dropout": 0.1, "encoder": "morgan", "vectors": None}, "batch": {"dropout": 0.3}, "dose": {"dropout": 0.1},
    }  # fmt: skip
    assert ordered(model["conditions"]) == ["molecule", "dose", "batch"] and shares(model["conditions"]) == (
        0.1,
        0.1,
        0.3,
    )
    assert needs_rdkit(model)


def test_encoders_of_molecules_are_set_side_by_side_where_a_model_is_told_molecules(load, tmp_path):
    assert encoders(load(BATCH)) == [] and spaces(load(BATCH)) == []
    own = [{"encoder": "morgan", "vectors": None}, {"encoder": "descriptors", "vectors": None}]
    study = load({"conditions": {"molecule": {}}})
    assert encoders(study) == own and spaces(study) == ["cellprofiler"]
    (tmp_path / "v.csv").write_text("smiles,a\nCCO,1\n")
    path = str(tmp_path / "v.csv")
    told = {"conditions": {"molecule": {"encoder": "vectors", "vectors": path}}}
    assert encoders(load(told)) == [*own, {"encoder": "vectors", "vectors": path}]
    assert spaces(load({"conditions": {"molecule": {}}}, {"profile": False}, perturbations=True)) in (
        [],
        ["cellprofiler"],
    )


def test_the_schema_knows_the_conditions_of_the_registry():
    read = {
        name: yaml.safe_load((SCHEMAS / f"{name}.yaml").read_text())
        for name in ("parts/conditions", "parts/shown", "parts/scales")
    }
    of_model = read["parts/conditions"]["properties"]
    assert (
        set(of_model)
        == set(read["parts/shown"]["properties"])
        == set(read["parts/scales"]["properties"])
        == set(CONDITIONS)
    )


def test_each_factor_that_guides_costs_an_evaluation_more(load):
    model = {"conditions": {"batch": {}, "dose": {}}, "label": "perturbation"}
    arm = load(model, {"condition_scales": {"batch": 2, "dose": 1}, "label_scale": 1.5, "steps": 10}).entry("arms", "a")
    assert asked_at_once(arm) == 3 and evaluations(arm) == 30
    assert asked_at_once(load(model).entry("arms", "a")) == 1
    assert asked_at_once(load(model, {"condition_scales": {"batch": 2}}).entry("arms", "a")) == 2


@pytest.mark.parametrize(
    ("model", "arm", "said"),
    [
        ({**BATCH, "kind": "mean"}, {}, "model m: kind mean takes no conditions"),
        ({"label": "target", "conditions": {"target": {}}}, {}, "model m: target is both its label and among its conditions"),
        ({"conditions": {"molecule": {"encoder": "vectors"}}}, {}, "encoder vectors with vectors None; the encoder vectors reads"),
        ({"conditions": {"molecule": {"vectors": "x.tsv"}}}, {}, "encoder morgan with vectors x.tsv; the encoder vectors reads"),
        ({"conditions": {"molecule": {"encoder": "vectors", "vectors": "x.tsv"}}}, {}, "vectors: there is no file x.tsv"),
        (BATCH, {"conditions": {"dose": 1}}, "arm a: conditions names dose, and model m is told batch; train it with that"),
        ({}, {"condition_scales": {"dose": 2}}, "arm a: condition_scales names dose, and model m is told no conditions"),
        ({**BATCH, "kind": "regression"}, {"condition_scales": {"batch": 2}}, "condition_scales guide a model that walks"),
        (BATCH, {"conditions": {"batch": None}, "condition_scales": {"batch": 2}}, "amplifies batch, which conditions leaves out"),
        ({"conditions": {"mood": {}}}, {}, "unknown key mood at models.0.conditions"),
        ({"conditions": {"batch": {"dropout": 2}}}, {}, "models.0.conditions.batch.dropout: 2 is greater than the maximum of 1"),
        (BATCH, {"conditions": {"dose": 0}}, "arms.0.conditions.dose: 0 is less than or equal to the minimum of 0"),
        (
            {"label": "treatment", "inputs": [], "conditions": {"dose": {}, "batch": {}}}, {"translate": {}},
            r"arm a: a translation shows classes of the label treatment, .* own dose would contradict .*conditions: \{dose: null\}",
        ),
        (
            {"label": "treatment", "inputs": [], "conditions": {"dose": {}}}, {"translate": {}, "conditions": {"dose": 3}},
            "arm a: a translation shows a class of its label in place of conditions.dose; set that to null",
        ),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_said(load, model, arm, said):
    with pytest.raises(ValueError, match=said):
        load(model, arm)


def test_what_a_well_was_given_needs_perturbations(load):
    with pytest.raises(ValueError, match="model m: condition dose needs perturbations: true"):
        load({"conditions": {"dose": {}, "batch": {}}}, {"profile": False}, perturbations=False)


def test_a_translation_may_leave_out_the_dose_and_set_the_batch(load):
    model = {"label": "treatment", "inputs": [], "conditions": {"dose": {}, "batch": {}}}
    study = load(model, {"translate": {}, "conditions": {"dose": None, "batch": "B1"}})
    assert study.entry("arms", "fresh_a")["conditions"] == {"dose": None, "batch": "B1"}
