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


# --- what learns what its base leaves open --------------------------------------------------------

WAYS = {"whitened_residual": "dpmpp", "posterior_flow": "ddim", "bridge": "ddpm"}


@pytest.mark.parametrize("kind", WAYS)
def test_a_model_that_learns_beside_a_base_walks_is_guided_and_is_held_to_floor_and_regression(load, kind):
    learnt = {"name": "learnt", "kind": kind, "base": "unet", "label": "perturbation"}
    arms = [{**ARM, "name": "learnt", "model": "learnt", "sampler": WAYS[kind], "label_scale": 2, "samples": 3}]
    arms += [ARM, {**ARM, "name": "unet", "model": "unet"}]
    models = [UNET, NOISED, learnt]
    sweep = {
        "arm": "learnt",
        "points": [{"sampler": WAYS[kind], "steps": steps} for steps in (1, 2, 4, 25)],
        "samples": 4,
    }
    study = load(models=models, arms=arms, calibration={"arms": ["unet", "noised", "learnt"]}, sweep=sweep)
    assert study.inputs(study.model_of("learnt")) == ["Brightfield"] and study.drawn == ["draws_learnt", "draws_noised"]
    assert [entry["name"] for entry in study.trained_for("learnt")] == ["unet", "learnt"]
    assert calibration.references(study, "learnt") == {"regression": "unet", "floor": "noised"}
    assert [point["steps"] for point in study.sweep_points] == [1, 2, 4, 25]


@pytest.mark.parametrize("kind, arm, words", [
    ("bridge", {}, "arm noised: sampler ddim, but kind bridge walks by ddpm; set sampler: ddpm"),
    ("posterior_flow", {"sampler": "dpmpp"}, "sampler dpmpp, but kind posterior_flow walks by ddim or heun; set sampler: ddim"),
    ("posterior_flow", {"eta": 0.5}, "eta 0.5, but kind posterior_flow walks in even steps, along no noise schedule"),
    ("bridge", {"sampler": "ddpm", "spacing": "karras"}, "spacing karras, but kind bridge walks in even steps"),
    ("bridge", {"sampler": "ddpm", "guidance_interval": [0.1, 2]}, r"guidance_interval \[0.1, 2\], but kind bridge walks in even"),
    ("whitened_residual", {"classifier": "judge"}, "classifier judge tells labels of noised stains, and kind whitened"),
    ("whitened_residual", {"guidance_scale": 2}, "guidance_scale 2 guides by a classifier, and none is named"),
])  # fmt: skip
def test_a_way_that_a_kind_does_not_walk_is_refused(load, kind, arm, words):
    judge = {"classifiers": [{"name": "judge", "label": "perturbation"}]} if "classifier" in arm else {}
    with pytest.raises(ValueError, match=words):
        load(model={"kind": kind}, base={"inputs": None}, arm=arm, **judge)


@pytest.mark.parametrize("model, base, words", [
    ({"kind": "bridge"}, {"kind": "mean", "label": "none"}, "base unet is of kind mean, which paints a whole field alone"),
    ({"kind": "bridge", "examples": "crops"}, {}, "examples crops, but its base's error is measured on fields; leave examples out"),
    ({"kind": "bridge", "twin": True}, {}, "twin True, but its base unet has False; give it twin: False"),
    ({"kind": "bridge", "codec": "kl"}, {}, "codec kl: kind bridge sees pixels alone"),
])  # fmt: skip
def test_a_base_that_can_t_be_learnt_beside_is_refused(load, model, base, words):
    with pytest.raises(ValueError, match=words):
        load(model=model, base=base, arm={"sampler": "ddpm"}, codecs=[{"name": "kl"}])


def test_a_point_of_a_sweep_that_its_arm_s_kind_does_not_walk_is_refused(load):
    with pytest.raises(
        ValueError, match="sweep: the point dpmpp_4_level: sampler dpmpp, but kind bridge walks by ddpm"
    ):
        load(
            model={"kind": "bridge"},
            arm={"sampler": "ddpm"},
            sweep={"arm": "noised", "points": [{"sampler": "dpmpp", "steps": 4}]},
        )
