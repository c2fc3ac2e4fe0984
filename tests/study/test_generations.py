"""Arms that paint treatments from conditions alone: apart from those that predict, and refused where they can't be."""

from pathlib import Path

import pytest

from brightpaint.study import generations, subjects
from brightpaint.study.study import Study

SCHEMAS = Path(__file__).parents[2] / "workflow" / "schemas"
PLATES = "plate\trole\tbatch\nP1\tstudy\tB1\nP2\tstudy\tB2\nP3\tstudy\tB3\n"
ARM = {"name": "made", "model": "told", "folds": ["A"], "generate": {}}


@pytest.fixture
def load(tmp_path):
    def load(arm=None, generate=None, model=None, fold=None, **changes):
        (tmp_path / "plates.tsv").write_text(PLATES)
        told = {"name": "told", "inputs": [], "conditions": {"molecule": {}, "dose": {}}}
        config = {
            "plates": "plates.tsv",
            "folds": [{"name": "A", "test": ["P3"], **(fold or {})}],
            "models": [{**told, **(model or {})}],
            "arms": [{**ARM, "generate": generate or {}, **(arm or {})}],
        }
        return Study.load({**config, **changes}, SCHEMAS, tmp_path)

    return load


def test_generations_stand_apart_and_real_cells_are_measured_for_them(load):
    study = load()
    assert study.generations == ["made"] and study.arms == [] and study.translations == []
    assert study.entry("arms", "made")["generate"] == {"fields": 8, "treatments": "all"}
    assert study.test_plates("made") == ["P3"] and study.profiled("made") and study.profiled("real")
    assert study.translated_plates() == study.profile_plates("real") == study.used_plates() == ["P1", "P2", "P3"]
    assert [space.name for space in subjects.generation_spaces(study, "made")] == ["cellprofiler"]
    assert subjects.generation_spaces(load({"profile": False}), "made") == []


def test_a_study_without_generations_has_none_and_splits_no_fold(load):
    plain = [{"name": "plain", "model": "told", "folds": ["A"]}]
    study = load(arms=plain)
    assert study.generations == [] and study.translated_plates() == [] and generations.split_folds(study) == []
    assert generations.split_folds(load(arms=plain, fold={"held_out": {"by": "dose", "share": 0.5}})) == ["A"]
    assert generations.split_folds(load()) == ["A"]


def test_molecules_stand_beside_where_they_are_told_or_scaffolds_held_out(load):
    assert generations.reads_molecules(load(), "made")
    named = {"label": "treatment", "conditions": {}}
    assert not generations.reads_molecules(load(model=named), "made")
    assert generations.reads_molecules(load(model=named, fold={"held_out": {"by": "scaffold", "share": 0.5}}), "made")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"model": {"inputs": None}}, "arm made: generate paints without an image, and model told sees brightfield"),
        ({"model": {"conditions": {"batch": {}}}}, "model told is told nothing of what a well was given, so that all treatments"),
        ({"model": {"kind": "mean", "conditions": {}}}, "model told is of kind mean; use one of kind diffusion"),
        ({"model": {"subset": "active"}}, "trains on active perturbations alone, and DMSO is generated beside them"),
        ({"arm": {"samples": 3}}, "arm made: samples 3 is not for generate"),
        ({"arm": {"conditions": {"dose": 3.0}}}, "arm made: generate shows each treatment in place of conditions.dose"),
        ({"fold": {"test": []}}, "arm made: fold A tests no plate, and generate is held to real treatments of one"),
        ({"generate": {"treatments": "held_out"}}, "generate.treatments is held_out, and fold A holds none out"),
        ({"generate": {"treatments": "some"}}, "arms.0.generate.treatments"),
        ({"generate": {"fields": 0}}, "arms.0.generate.fields: 0 is less than the minimum of 1"),
        ({"generate": {"field": 3}}, "unknown key field at arms.0.generate; did you mean fields?"),
        ({"arm": {"translate": {}}, "model": {"label": "treatment", "conditions": {}}},
         "arm made: translate starts from a real field, generate from none; leave one of them out"),
        ({"perturbations": False}, "arm made: generate needs perturbations: true"),
        ({"calibration": {"arms": ["made"]}}, "calibration.arms: made paints no real field again"),
    ],
)  # fmt: skip
def test_what_can_not_be_generated_is_said(load, given, words):
    with pytest.raises(ValueError) as found:
        load(**given)
    assert words in str(found.value)


def test_a_name_that_was_not_trained_on_tells_nothing_of_what_is_held_out(load):
    held = {"generate": {"treatments": "held_out"}, "fold": {"held_out": {"by": "scaffold", "share": 0.5}}}
    with pytest.raises(ValueError, match="is told perturbation alone, a name that it was not trained on"):
        load(model={"label": "perturbation", "conditions": {}}, **held)
    with pytest.raises(ValueError, match="is told nothing alone"):
        load({"conditions": {"molecule": None, "dose": None}}, **held)
    load(**held)
    load(model={"label": "treatment", "conditions": {}}, generate={"treatments": "held_out"},
         fold={"held_out": {"by": "dose", "share": 0.5}})  # fmt: skip
