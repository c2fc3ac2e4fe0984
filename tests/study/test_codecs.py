"""The section `codecs`: codecs are models, and what does not fit them is said before anything runs."""

from __future__ import annotations

import json

import pytest

from brightpaint.plan import costs, limits, painting
from brightpaint.plan.extent import extents
from brightpaint.study import codecs
from brightpaint.study.presets import CODEC_PRESETS
from brightpaint.study.study import Study
from conftest import ROOT, TINY, TINY_PLATES, planned, snakemake, write_study

RATES = painting.read_rates(ROOT / "resources" / "rates.tsv")
CODEC = {"name": "kl", "preset": "small", "width": 8}
MODELS = [*TINY["models"][:1], {"name": "latent", "preset": "fast", "width": 8, "codec": "kl", "label": "perturbation"}]
ARMS = [
    {"name": "pert", "model": "pert", "folds": ["A"], "steps": 3},
    {"name": "latent", "model": "latent", "folds": ["A"], "steps": 3},
    {"name": "ceiling", "model": "kl", "folds": ["A"]},
]


@pytest.fixture
def loaded(tmp_path):
    def load(codec=None, model=None, arms=ARMS, **changes):
        (tmp_path / "plates.tsv").write_text(TINY_PLATES)
        models = [MODELS[0], {**MODELS[1], **(model or {})}]
        config = {**TINY, "codecs": [{**CODEC, **(codec or {})}], "models": models, "arms": arms, **changes}
        return Study.load(
            {**json.loads(json.dumps(config)), "source": {"layout": "simulated"}}, ROOT / "workflow/schemas", tmp_path
        )

    return load


def test_a_codec_is_a_model_and_is_trained_before_what_stands_on_it(loaded):
    study = loaded()
    assert [model["name"] for model in study.trained_for("latent")] == ["kl", "latent"]
    assert [model["name"] for model in study.trained_for("pert")] == ["pert"]
    assert [model["name"] for model in study.trained_for("ceiling")] == ["kl"]
    assert (
        study.kind_of("ceiling").stains
        and study.predict_plates("ceiling") == []
        and study.predict_plates("latent") == ["T3"]
    )
    assert codecs.stride_px(study, study.entry("models", "latent")) == 4
    given = study.entry("models", "kl") | {"weights": "kl.safetensors"}
    assert codecs.stood_on(study, given) == {} and codecs.trained_for(study, given) == []


def test_every_preset_codes_the_sizes_that_the_schema_allows():
    assert all(8 % preset.stride_px == 0 for preset in CODEC_PRESETS.values())


def test_what_trains_a_codec_is_the_studys_unless_it_says_otherwise(loaded):
    study = loaded()
    plain = codecs.training(study, study.entry("models", "kl"))
    assert plain["images"] == TINY["train"]["images"] and "label_dropout" not in plain and "critic" not in plain
    assert plain["channels"]["input"] == [] and plain["channels"]["target"] == ["DNA", "RNA", "ER", "AGP", "Mito"]
    study = loaded({"images": 7, "learning_rate": 0.5, "adversarial": 0.2})
    judged = codecs.training(study, study.entry("models", "kl"))
    assert (judged["images"], judged["learning_rate"], judged["batch"]) == (7, 0.5, 4)
    assert judged["windows"] == [[-1.5, 6]] * 5 and judged["r1"] == 10 and judged["critic"] == "small"


@pytest.mark.parametrize(("codec", "model", "changes", "said"), [
    ({}, {"codec": "lk"}, {}, "model latent: codec lk: there is no such codec; there are: identity"),
    ({}, {"kind": "mean", "label": "none"}, {}, "codec kl: kind mean sees pixels alone; give it to one of kind"),
    ({}, {"weights": "w.safetensors"}, {}, "its weights are given, and hold the codec that they were trained on; leave codec out"),
    ({}, {}, {"prepare": {"size_px": 130}}, "prepare.size_px: 130 is not a multiple of 8"),
    ({}, {}, {"train": {"crop_px": 60}}, "train.crop_px: 60 is not a multiple of 8"),
    ({}, {"examples": "crops"}, {}, "model latent: codec kl: a codec is one of fields, and examples is crops"),
    ({"adversarial": 1}, {}, {"train": {"crop_px": 72}}, "codec kl: its critic sees the 72 px that it is trained on"),
    ({"name": "pert"}, {"codec": "pert"}, {}, "models: the name pert occurs twice"),
    ({}, {"codec": "identity"}, {"arms": ARMS[:2]}, "codec kl: no model and no arm names it; leave it out"),
    ({"name": "identity"}, {}, {}, "codecs.0.name"),
    ({}, {}, {"folds": [{"name": "A", "predict": ["T3"]}]}, "arm ceiling: codec kl shows real stains again"),
    ({}, {}, {"classifiers": [{"name": "c", "label": "target"}], "arms": [{**ARMS[1], "classifier": "c"}]},
     "arm latent: classifier c tells labels of noised pixels, and model latent walks"),
])  # fmt: skip
def test_what_does_not_fit_is_said_before_anything_runs(loaded, codec, model, changes, said):
    with pytest.raises(ValueError) as refused:
        loaded(codec, model, **changes)
    assert said in str(refused.value)


def test_a_latent_costs_what_the_network_does_at_its_size_and_the_codec_at_the_pixels(loaded):
    study = loaded()
    model, pixels = study.entry("models", "latent"), study.entry("models", "pert")
    of_latents, of_pixels = (painting.network_flop(study, each, 128) for each in (model, pixels))
    assert of_latents < 0.15 * of_pixels  # a sixteenth of the positions, and a wider first layer
    encode, decode = painting.coding_flop(study, model, 128)
    assert painting.coding_flop(study, pixels, 128) == (0, 0)
    assert painting.sampling_flop(study, "latent") == 3 * of_latents + decode
    assert painting.sampling_flop(study, "ceiling") == encode + decode
    found = costs.costs(study, extents(study, ROOT / "resources" / "sources.tsv"), RATES)
    assert found.flop["train_codec"] > 3 * 48 * sum(painting.coding_flop(study, model, 64))
    assert found.flop["train"] > 0 and 0 < painting.latent_share(study, model) < 1 == painting.latent_share(
        study, pixels
    )


def test_limits_follow_the_latent_and_the_codec(loaded):
    study = loaded({"preset": "latent_64"}, prepare={"size_px": 512}, train={"images": 250_000, "crop_px": None})
    config, model = study.config, study.entry("models", "kl")
    assert limits.training_mb(config, 8) < limits.training_mb(config)
    assert limits.painting_mb(config, ARMS[1] | {"label_scale": 1}, 8) == 6039
    assert limits.codec_mb(study, {**model, "batch": 2}) > limits.codec_mb(study, {**model, "batch": 1}) > 2000
    quick, slow = ({**RATES, "cpu_gflops": rate} for rate in (1e9, 300))
    assert limits.codec_minutes(study, model, quick) == 120 < limits.codec_minutes(study, model, slow) <= 2880
    config["compute"]["device"] = "cuda"
    assert limits.training_minutes(config, 0.1) == round(0.1 * limits.training_minutes(config))


def test_the_plan_trains_a_codec_once_a_fold_and_an_old_study_asks_for_none(tmp_path):
    write_study(tmp_path, {"codecs": [CODEC], "models": MODELS, "arms": ARMS, "source": {"layout": "simulated"}})
    said = snakemake(tmp_path, "-n", "-p").stdout
    jobs = planned(said)
    assert jobs["train_codec"] == 1 and jobs["train"] == 2
    # two parts of T2 for each arm, and of T3 for those that need no stains
    assert jobs["sample"] == 2 * (3 + 2)
    trained = [line for line in said.splitlines() if "models.train --settings" in line]
    assert sum('"stands_on": {"codec": "results/models/kl/A/weights.safetensors"}' in line for line in trained) == 1
    assert all("codec" not in line for line in trained if "models/pert/" in line)
