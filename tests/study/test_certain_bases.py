"""Noise on top of what another model paints: what is trained and read for them, and which bases are refused."""

from pathlib import Path

import pytest

from brightpaint.study import calibration, certain_bases
from brightpaint.study.study import Study

SCHEMAS = Path(__file__).parents[2] / "workflow" / "schemas"
UNET = {"name": "unet", "kind": "regression", "label": "perturbation", "inputs": ["Brightfield"]}
NOISED = {"name": "noised", "kind": "residual_noise", "base": "unet", "label": "perturbation"}
ARM = {"name": "noised", "model": "noised", "folds": ["A"]}


@pytest.fixture
def load(tmp_path):
    def load(model=None, base=None, arm=None, **changes):
        (tmp_path / "plates.tsv").write_text("plate\trole\tbatch\nP1\tstudy\tB1\nP2\tstudy\tB2\n")
        models = [{**UNET, **(base or {})}, {**NOISED, **(model or {})}, {"name": "diff"}]
        config = {"plates": "plates.tsv", "folds": [{"name": "A", "test": ["P2"]}], "models": models}
        return Study.load({**config, "arms": [{**ARM, **(arm or {})}], **changes}, SCHEMAS, tmp_path)

    return load


def test_a_model_sees_what_its_base_sees_and_both_are_behind_its_arm(load):
    study = load()
    model = study.model_of("noised")
    assert study.inputs(model) == ["Brightfield"] and certain_bases.base_of(study.config, model)["name"] == "unet"
    assert [entry["name"] for entry in study.trained_for("noised")] == ["unet", "noised"]
    assert study.kind_of("noised").noise and not study.kind_of("noised").walks


def test_what_its_base_stands_on_is_trained_first_and_one_with_given_weights_stands_on_nothing(load):
    study = load(base={"codec": "kl"}, codecs=[{"name": "kl"}])
    assert [entry["name"] for entry in study.trained_for("noised")] == ["kl", "unet", "noised"]
    assert study.model_of("noised")["codec"] == "identity"  # it takes nothing of its base's entry
    given = load(model={"weights": "w.safetensors", "base": None})
    assert given.trained_for("noised") == [] and certain_bases.base_of(given.config, given.model_of("noised")) is None


def test_it_paints_samples_and_is_the_floor_of_other_arms(load):
    arms = [
        {**ARM, "samples": 4},
        {"name": "diff", "model": "diff", "folds": ["A"]},
        {**ARM, "name": "unet", "model": "unet"},
    ]
    study = load(arms=arms, calibration={"arms": ["noised", "diff", "unet"]})
    assert study.drawn == ["draws_noised", "draws_diff"]
    found = {arm: calibration.references(study, arm) for arm in ("unet", "noised", "diff")}
    assert found == {"unet": {}, "noised": {"regression": "unet"}, "diff": {"regression": "unet", "floor": "noised"}}


@pytest.mark.parametrize("given, words", [
    ({"model": {"base": None}}, "model noised: names no base; it stands on a model that paints without noise: unet"),
    ({"model": {"base": "nobody"}}, "model noised: base nobody is no model"),
    ({"model": {"base": "diff"}}, "model noised: base diff is of kind diffusion, which does not paint one certain image"),
    ({"model": {"base": "noised"}}, "model noised: base noised is of kind residual_noise, which does not paint one certain"),
    ({"model": {"label": "none"}}, "model noised: label none, but its base unet has perturbation; give it label: perturbation"),
    ({"model": {"subset": "active"}}, "model noised: subset active, but its base unet has all"),
    ({"base": {"conditions": {"batch": {}}}}, "model noised: conditions {}, but its base unet has {'batch': {'dropout': 0.1}}"),
    ({"model": {"codec": "kl"}, "codecs": [{"name": "kl"}]}, "model noised: codec kl: kind residual_noise sees pixels alone"),
    ({"model": {"inputs": []}}, r"model noised: inputs \[\], but its base unet sees \['Brightfield'\]; leave inputs out"),
    ({"base": {"base": "diff"}}, "model unet: base diff, but kind regression stands on none; leave it out, or take kind"),
    ({"train": {"validation_share": 0}}, "train.validation_share is 0, and the error of its base is measured on wells"),
    ({"model": {"weights": "w.safetensors"}}, "model noised: weights hold the base that they stand on; leave base unet out"),
    ({"arm": {"label_scale": 2}}, "of kind residual_noise draws its noise at once, and guidance acts on the way"),
    ({"sweep": {"points": [{"sampler": "ddim", "steps": 4}]}}, "sweep: arm noised has a model of kind residual_noise"),
])  # fmt: skip
def test_a_base_that_can_t_be_stood_on_is_refused(load, given, words):
    with pytest.raises(ValueError, match=words):
        load(**given)
