"""Given codecs and bases that do not fit the study are named before anything runs."""

from __future__ import annotations

import json

import pytest
import torch

from brightpaint import store
from brightpaint.plan.standing_weights import problems
from brightpaint.study.study import Study
from conftest import ROOT, TINY, TINY_PLATES

STAINS = ["DNA", "RNA", "ER", "AGP", "Mito"]
MODELS = [{"name": "latent", "codec": "kl"}, {"name": "base", "inputs": [], "weights": "base.safetensors"},
          {"name": "led", "kind": "controlnet", "base": "base"}]  # fmt: skip


@pytest.fixture
def said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def of(codec=None, base=None, written=True):
        (tmp_path / "plates.tsv").write_text(TINY_PLATES)
        for name, kind, changes in (("kl", "codec", codec), ("base", "diffusion", base)):
            settings = {
                "kind": kind,
                "preset": "small" if kind == "codec" else "fast",
                "objective": "v",
                "label": "none",
            }
            meta = {"settings": settings, "channels": {"input": [], "target": STAINS}, "label_map": {}}
            for key, value in (changes or {}).items():
                meta[key] = {**meta[key], **value}
            if written:
                store.write_weights(tmp_path / f"{name}.safetensors", {"x": torch.zeros(1)}, meta)
        arms = [{"name": name, "model": name, "folds": ["A"]} for name in ("latent", "led")]
        codecs = [{"name": "kl", "weights": "kl.safetensors"}]
        config = {**TINY, "source": {"layout": "simulated"}, "codecs": codecs, "models": MODELS, "arms": arms}
        return list(problems(Study.load(json.loads(json.dumps(config)), ROOT / "workflow" / "schemas", tmp_path)))

    return of


def test_weights_that_fit_and_weights_that_are_not_there_are_no_problem(said):
    assert said(written=False) == [] and said() == []


@pytest.mark.parametrize(("codec", "base", "words"), [
    ({"settings": {"kind": "gan"}}, {}, "codecs.kl.weights: kl.safetensors holds a model of kind gan, expected codec"),
    ({"channels": {"target": STAINS[::-1]}}, {}, "kl.safetensors is of the stains ['Mito', 'AGP', 'ER', 'RNA', 'DNA']"),
    ({"settings": {"cutoff": 9}}, {}, "was trained on images cut off at 9 s.d., but the study's at 15; set prepare.cutoff to 9"),
    ({}, {"channels": {"input": ["BF"]}}, "models.base.weights: base.safetensors sees brightfield itself (BF)"),
])  # fmt: skip
def test_the_difference_is_named(said, codec, base, words):
    (problem,) = said(codec, base)
    assert words in problem
