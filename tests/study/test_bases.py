"""Models that stand on a base: what they take of it, what is trained for them, and what is refused."""

from __future__ import annotations

import json

import pytest

from brightpaint.models import operations
from brightpaint.plan import painting
from brightpaint.study.presets import spec_of
from brightpaint.study.study import Study
from conftest import ROOT, TINY, TINY_PLATES

BASE = {"name": "base", "preset": "phendiff", "width": 16, "label": "perturbation", "inputs": [], "codec": "kl"}
CONTROL = {"name": "led", "kind": "controlnet", "base": "base"}


@pytest.fixture
def loaded(tmp_path):
    def load(base=None, control=None, arms=None):
        (tmp_path / "plates.tsv").write_text(TINY_PLATES)
        models = [{**BASE, **(base or {})}, {**CONTROL, **(control or {})}]
        usual = [{"name": "led", "model": "led", "folds": ["A"]}, {"name": "ceiling", "model": "kl", "folds": ["A"]}]
        config = {
            **TINY,
            "source": {"layout": "simulated"},
            "codecs": [{"name": "kl"}],
            "models": models,
            "arms": arms or usual,
        }
        return Study.load(json.loads(json.dumps(config)), ROOT / "workflow" / "schemas", tmp_path)

    return load


def test_it_takes_its_bases_label_network_and_codec_and_is_trained_behind_both(loaded):
    study = loaded()
    model, base = study.entry("models", "led"), study.entry("models", "base")
    assert {key: model[key] for key in ("label", "preset", "width", "objective", "codec")} == {
        "label": "perturbation", "preset": "phendiff", "width": 16, "objective": "eps", "codec": "kl",
    }  # fmt: skip
    assert [each["name"] for each in study.trained_for("led")] == ["kl", "base", "led"]
    assert study.inputs(model) == study.config["channels"]["input"] and study.inputs(base) == []
    assert painting.network_flop(study, model, 128) > 1.3 * painting.network_flop(study, base, 128)
    assert [each["name"] for each in loaded({"weights": "b.safetensors", "codec": "identity"}).trained_for("led")] == [
        "led"
    ]


STAINS = {"kind": "stain_controlnet", "inputs": []}
SHOWN = {"name": "led", "model": "led", "folds": ["A"], "translate": {}}


def test_one_told_of_stains_translates_alone_and_its_base_is_what_no_source_looks_like(loaded):
    """From noise too: its own fresh noise would be told of the source."""
    shown = {**SHOWN, "name": "noise", "translate": {"from_noise": True}}
    study = loaded({}, STAINS, arms=[SHOWN, shown])
    assert study.entry("models", "led")["blur_px"] == 4.0 and study.inputs(study.entry("models", "led")) == []
    assert study.translations == ["led", "fresh_led", "noise", "fresh_noise"] and study.arms == []
    assert [study.entry("arms", name)["model"] for name in study.translations] == ["led", "base", "led", "base"]
    own, fresh = (study.entry("arms", name)["translate"]["from_noise"] for name in ("led", "fresh_led"))
    assert fresh and not own
    flop, latents = (
        painting.network_flop(study, study.entry("models", "led"), 64),
        4,
    )  # channels, at a quarter of the side
    assert flop == operations.control_flop(spec_of("phendiff", 16), latents, latents, 16)
    given = loaded({}, {**STAINS, "base": None, "weights": "w.safetensors"}, arms=[SHOWN])
    assert given.translations == ["led"] and given.entry("models", "led")["blur_px"] is None


@pytest.mark.parametrize(("control", "arm", "said"), [
    ({"inputs": None}, {}, "kind stain_controlnet is told of a field by its stains, and sees no brightfield; give it inputs: []"),
    ({}, {"translate": None}, "arm led: model led of kind stain_controlnet is told of a field's own stains: it shows real"),
    ({}, {"translate": None, "generate": {}}, "and predicts none; give the arm translate: {}"),
    ({}, {"translate": {"brightfield": True}}, "arm led: translate.brightfield is true, and model led sees no brightfield"),
    ({"kind": "controlnet", "inputs": None, "blur_px": 2.0}, {"translate": None}, "blur_px, but kind controlnet blurs nothing"),
    ({"base": None, "weights": "w", "blur_px": 2.0}, {}, "model led: its weights are given, and say by how much they blur"),
    ({"blur_px": 0}, {}, "blur_px"),
    ({"base": None}, {}, "model led: kind stain_controlnet stands on a model without brightfield; name it in base"),
])  # fmt: skip
def test_what_would_see_what_it_is_to_predict_is_refused(loaded, control, arm, said):
    with pytest.raises(ValueError) as refused:
        loaded({}, {**STAINS, **control}, arms=[{**SHOWN, **arm}])
    assert said in str(refused.value)


@pytest.mark.parametrize(("base", "control", "said"), [
    ({}, {"base": None}, "model led: kind controlnet stands on a model without brightfield; name it in base"),
    ({}, {"base": "bass"}, "model led: there is no model bass to stand on; there are: base, led, kl"),
    ({}, {"base": "led"}, "model led: its base led is of kind controlnet; expected diffusion"),
    ({}, {"base": "kl"}, "model led: its base kl is of kind codec; expected diffusion"),
    ({"inputs": None}, {}, "model led: its base base sees brightfield itself; give the base inputs: []"),
    ({}, {"label": "target"}, "model led: label target, but its base base has perturbation, which it takes; leave it out"),
    ({}, {"kind": "diffusion"}, "model led: base base, but kind diffusion stands on none; leave it out, or take kind controlnet"),
    ({}, {"weights": "w.safetensors"}, "model led: its weights are given, and hold the base that they were trained on"),
    ({}, {"inputs": []}, "model led: kind controlnet paints from brightfield and is given none"),
])  # fmt: skip
def test_what_does_not_fit_is_said_before_anything_runs(loaded, base, control, said):
    with pytest.raises(ValueError) as refused:
        loaded(base, control)
    assert said in str(refused.value)
