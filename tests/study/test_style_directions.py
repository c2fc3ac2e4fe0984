"""Models that move the styles of the study's generator: what is refused before anything runs, and what a study of them plans."""

import re

import pytest
import torch
import yaml

from brightpaint import store
from brightpaint.plan import limits, painting, trainings, translating
from brightpaint.study.study import Study
from conftest import ROOT, planned, snakemake

SCHEMAS = ROOT / "workflow" / "schemas"
PLATES = "plate\trole\tbatch\nP1\tstudy\tB1\nP2\tstudy\tB2\nP3\tstudy\tB3\n"
GAN = {"preset": "small", "size_px": 64}
MODEL = {"name": "explain", "kind": "style_direction", "label": "treatment", "inputs": [], "projection": {}}
RATES = painting.read_rates(ROOT / "resources" / "rates.tsv")


def load(folder, model=None, arm=None, gan=None, **changes):
    (folder / "plates.tsv").write_text(PLATES)
    config = {
        "plates": "plates.tsv",
        "gan": GAN if gan is None else gan,
        "prepare": {"size_px": 192},
        "folds": [{"name": "A", "test": ["P3"]}],
        "models": [{**MODEL, **(model or {})}],
        "arms": [{"name": "moved", "model": "explain", "folds": ["A"], "translate": {}, **(arm or {})}],
    }
    return Study.load({**config, **changes}, SCHEMAS, folder)


def test_what_is_usual_is_filled_in_and_the_companion_draws_styles(tmp_path):
    study = load(tmp_path)
    assert study.entry("models", "explain")["projection"] == {"space": "w", "steps": 100, "images": 32}
    assert study.translations == ["moved", "fresh_moved"] and study.arms == []
    assert [each["name"] for each in study.trained_for("moved")] == ["explain"]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"gan": {}}, "moves the styles of the study's own generator, and none is trained; set gan.preset"),
        ({"gan": {**GAN, "channels": ["DNA", "ER"]}}, "paints DNA, ER, and the study's stains are DNA, RNA, .*; leave gan."),
        ({"gan": {**GAN, "examples": "crops"}}, r"it shows fields, and the generator learns crops \(gan.examples\); set"),
        ({"gan": {**GAN, "size_px": 128}}, r"fields of 192 px \(prepare.size_px\) are no whole number .* squares of 128 px"),
        ({"model": {"projection": None}}, "kind style_direction projects real images to styles; say how, projection: {} for"),
        ({"model": {"kind": "diffusion"}}, "projection, but kind diffusion projects nothing; .* take kind style_direction"),
        ({"model": {"inputs": None}}, "kind style_direction is shown no brightfield; give it inputs: \\[\\]"),
        ({"model": {"conditions": {"batch": {}}}}, "kind style_direction is told a class alone; leave conditions out"),
        ({"model": {"label": "none"}}, "told no class to translate between; give it a label"),
        ({"model": {"base": "explain"}}, "base explain, but kind style_direction stands on none"),
        ({"model": {"examples": "crops"}}, "examples crops"),
        ({"arm": {"translate": None}}, "shows real fields as other classes, and predicts none; give the arm translate"),
        ({"arm": {"translate": {"strength": 0.5}}}, "translate.strength is of a walk to noise, and model explain"),
        ({"arm": {"label_scale": 2}}, "label_scale 2, but model explain of kind style_direction"),
        ({"arm": {"translate": {"brightfield": True}}}, "brightfield is true, and model explain sees no brightfield"),
        ({"model": {"projection": {"space": "z"}}}, "'z' is not one of"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_what_to_do(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        load(tmp_path, **changes)


def test_projecting_is_planned_by_its_steps_classes_and_squares(tmp_path):
    study, plus = load(tmp_path), load(tmp_path, {"projection": {"space": "w+"}})
    model = study.entry("models", "explain")
    once, painted, side = painting.projecting_flop(study, model)
    assert side == 64 and once > 100 * 3 * painted
    assert painting.projecting_flop(plus, plus.entry("models", "explain"))[0] == 2 * once
    assert painting.translating_flop(study, "moved") == 9 * (once + painting.UNKNOWN_CLASSES * painted)
    assert painting.translating_flop(study, "fresh_moved") == 9 * painting.UNKNOWN_CLASSES * painted
    assert trainings.trainings_flop(study) == {"train": painting.UNKNOWN_CLASSES * 32 * once}
    assert limits.projecting_minutes(study, model, RATES) >= limits.LEAST_MIN
    assert limits.projecting_mb(study) == limits.gan_mb(study)


def test_the_readmes_study_sets_it_beside_a_diffusion_model(tmp_path):
    text = (ROOT / "config" / "README.md").read_text()
    snippet = yaml.safe_load(re.search(r"```yaml\n(gan: .*?)```", text, re.DOTALL)[1])
    study = {**yaml.safe_load((ROOT / "config" / "doses.yaml").read_text()), **snippet}
    study["plates"] = str(ROOT / "config" / "doses_plates.tsv")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    said = snakemake(tmp_path, "-n", "-p").stdout
    jobs = planned(said)
    assert jobs["train"] == 2 and jobs["train_gan"] == 1 and jobs["translate"] == 2 * 2 * 2 * 2
    assert jobs["score_translation"] == 2 and jobs["translation_page"] >= 2
    (line,) = [
        line
        for line in said.splitlines()
        if '"kind": "style_direction"' in line and "brightpaint.models.train " in line
    ]
    assert '"stands_on": {"base": "results/doses/gan/weights.safetensors"}' in line
    assert '"projection": {"images": 12, "space": "w", "steps": 100}' in line
    moved = [line for line in said.splitlines() if "paint.translate " in line and "models/explain" in line]
    assert len(moved) == 8 and all(
        '--settings \'{"batch": 4, "brightfield": false, "from_noise": ' in line for line in moved
    )


def test_given_weights_are_held_to_their_kind_and_to_the_fields(tmp_path):
    settings = {"kind": "style_direction", "label": "treatment", "generator": {"size_px": 128}}
    meta = {"settings": settings, "channels": {"input": [], "target": ["DNA"]}, "label_map": {"DMSO": 1, "taxol": 2}}
    store.write_weights(tmp_path / "own.safetensors", {"means": torch.zeros(2, 1, 512)}, meta)
    given = {"weights": "own.safetensors"}
    assert "own.safetensors paints squares of 128 px, which don't fill fields of 192 px" in said_of(
        load(tmp_path, given), tmp_path
    )
    other = load(tmp_path, {**given, "kind": "diffusion", "projection": None})
    assert "holds a model of kind style_direction, and explain is of kind diffusion; name its kind" in said_of(
        other, tmp_path
    )
    settings["kind"] = "diffusion"
    store.write_weights(tmp_path / "own.safetensors", {}, meta)
    assert "holds a model of kind diffusion, and explain is of kind style_direction" in said_of(
        load(tmp_path, given), tmp_path
    )


def said_of(study, folder):
    return "\n".join(translating.problems(study, folder))
