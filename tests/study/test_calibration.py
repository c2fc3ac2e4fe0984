"""Arms that are judged as distributions: what is painted and measured for them, whom they stand beside, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from brightpaint.study import calibration, subjects
from brightpaint.study.study import Study
from conftest import TINY, planned, snakemake, write_study

SCHEMAS = Path(__file__).parents[2] / "workflow" / "schemas"
PLATES = "plate\trole\tbatch\nP1\tstudy\tB1\nP2\tstudy\tB2\nQ1\tpredict\tB4\n"
ARMS = [
    {"name": "pert", "model": "diff", "folds": ["A"]},
    {"name": "unet", "model": "unet", "folds": ["A"]},
    {"name": "blank", "model": "blank", "folds": ["A"]},
]


@pytest.fixture
def load(tmp_path):
    def load(chosen=("pert", "unet"), arms=ARMS, fold=None, **changes):
        (tmp_path / "plates.tsv").write_text(PLATES)
        models = [{"name": "diff"}, {"name": "unet", "kind": "regression"}, {"name": "blank", "kind": "mean"}]
        fold = {"name": "A", "test": ["P2"], "predict": ["Q1"], **(fold or {})}
        config = {"plates": "plates.tsv", "folds": [fold], "models": models, "arms": arms}
        return Study.load({**config, "calibration": {"arms": list(chosen)}, **changes}, SCHEMAS, tmp_path)

    return load


def test_what_paints_from_noise_has_a_companion_and_what_does_not_stands_for_itself(load):
    study = load()
    assert study.drawn == ["draws_pert"] and study.arms == ["pert", "unet", "blank"]
    assert calibration.calibrated_arms(study) == ["pert", "unet"]
    assert [calibration.drawn_as(study, arm) for arm in ("pert", "unet")] == ["draws_pert", "unet"]
    assert [calibration.samples_of(study, arm) for arm in ("pert", "unet")] == [8, 1]
    assert study.entry("arms", "draws_pert")["model"] == "diff" and study.test_plates("draws_pert") == ["P2"]


def test_an_arm_stands_beside_regression_and_that_beside_nothing(load):
    study = load()
    assert (
        calibration.references(study, "pert") == {"regression": "unet"} and calibration.references(study, "unet") == {}
    )
    assert calibration.references(load(["pert"]), "pert") == {}
    (subject,) = [one for one in subjects.SUBJECTS if one.name == "calibration"]
    assert list(subject.tables(study, "pert")) == ["<results>/scores/calibration/pert.parquet"]
    assert list(subject.tables(study, "blank")) == []


def test_without_the_section_nothing_is_painted_more(load):
    study = load([])
    assert study.drawn == [] and calibration.calibrated_arms(study) == []


@pytest.mark.parametrize("given, words", [
    ({"chosen": ["nobody"]}, "calibration.arms: nobody is no arm; those that can be judged so: pert, unet, blank"),
    ({"arms": [{**ARMS[0], "mean_of": 4}, ARMS[1]]}, "pert paints means of 4 samples, which are no samples; name an arm with"),
    ({"arms": [*ARMS, {**ARMS[0], "name": "draws_pert"}]}, "arm draws_pert: the name of what is painted to judge arm pert"),
    ({"arms": [{**ARMS[0], "conditions": {"dose": 3.0}}, *ARMS[1:]]}, "pert sets conditions dose, so that fields show"),
    ({"fold": {"test": []}}, "calibration.arms: pert has no test plate, and samples are judged beside real stains"),
    ({"calibration": {"arms": ["pert"], "samples": 1}}, "calibration.samples: 1 is less than the minimum of 2"),
    ({"chosen": ["pert"], "arms": [*ARMS[1:], {**ARMS[0], "translate": {}}]}, "pert shows fields as other classes"),
    ({"fold": {"test": ["P1", "P2"]}, "select": {"plates": "all"}, "chosen": ["blank"]}, "leaves no study plate to train on"),
])  # fmt: skip
def test_what_cannot_be_judged_so_is_refused(load, given, words):
    with pytest.raises(ValueError, match=words):
        load(**given)


def test_features_need_a_training_plate_that_is_measured(load):
    crossed = [{"name": "A", "test": ["P2"], "predict": ["Q1"]}, {"name": "B", "test": ["P1"]}]
    assert calibration.calibrated_arms(load(folds=crossed, select={"plates": "all"}, active={"plates": "all"}))
    with pytest.raises(
        ValueError, match="no training plate of plate P2 is measured; set select.plates: all, or profile: false"
    ):
        load(folds=crossed)
    plain = [{**arm, "profile": False} for arm in ARMS]
    assert calibration.calibrated_arms(load(arms=plain, folds=crossed))


def test_the_plan_trains_a_base_first_and_paints_measures_and_scores_the_samples(tmp_path):
    models = [*TINY["models"], {"name": "noised", "kind": "residual_noise", "base": "pixel"}]
    arms = [*TINY["arms"], {"name": "noised", "model": "noised", "folds": ["A"]}]
    chosen = {"models": models, "arms": arms, "calibration": {"arms": ["pert", "pixel", "noised"]}}
    folder = write_study(tmp_path, {"source": {"layout": "simulated"}, **chosen})
    words = snakemake(folder, "-n", "--printshellcmds").stdout
    plan = planned(words)
    parts, painted, measured = TINY["sample"]["parts"], 4 * 2, ["real", "real", "pert", "noised"]  # arms on two plates
    assert plan["draw_rows"] == 2 and plan["sample"] == (painted + 2) * parts and plan["gather"] == painted + 2
    assert plan["engine"] == plan["median"] == len(measured) + 2
    assert plan["train"] == 4 and plan["score_calibration"] == 3 and plan["score_images"] == 5
    assert '"stands_on": {"base": "results/models/pixel/A/weights.safetensors"}' in words
    assert '"references": {"floor": "noised"}' in words  # of pert; the base is no network, and no reference
