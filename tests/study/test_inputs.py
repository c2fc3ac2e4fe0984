"""Inputs belong to a model: a study may hold no brightfield at all, and a model may see some planes of it, or none."""

import json

import pytest

from brightpaint import store
from brightpaint.study.study import Study
from conftest import ROOT, TINY, TINY_PLATES, planned, snakemake, write_study, write_transformer

STUDY_PLATES = "".join(
    TINY_PLATES.splitlines(keepends=True)[:3]
)  # no plate to predict: there is nothing to paint it from
WITHOUT = {
    "source": {"layout": "simulated"},
    "channels": {"input": []},
    "folds": [{"name": "A", "test": ["T2"]}],
    "models": [{"name": "pert", "label": "perturbation", "width": 8}, {"name": "mean", "kind": "mean"}],
    "arms": [
        {"name": "pert", "model": "pert", "folds": ["A"], "steps": 3, "samples": 2},
        {"name": "mean", "model": "mean", "folds": ["A"]},
    ],
    "embed": {"weights": "weights/tiny"},
}


def load(folder, plates=TINY_PLATES, **changes):
    return Study.load({**TINY, **changes}, ROOT / "workflow" / "schemas", write_study(folder, plates=plates))


def test_a_kind_that_needs_brightfield_is_refused_without_it(tmp_path):
    for kind in ("regression", "pixel"):
        models = [{"name": "m", "kind": kind}]
        arms = [{"name": "m", "model": "m", "folds": ["A"]}]
        with pytest.raises(
            ValueError, match=f"model m: kind {kind} paints from brightfield and is given none; name a channel"
        ):
            load(tmp_path, STUDY_PLATES, **{**WITHOUT, "embed": {}, "models": models, "arms": arms})
        with pytest.raises(ValueError, match=f"model m: kind {kind} paints from brightfield"):
            load(tmp_path, models=[{**models[0], "inputs": []}], arms=arms)


def test_inputs_are_channels_of_the_study_and_a_classifier_sees_them_all(tmp_path):
    with pytest.raises(ValueError, match="model m: inputs names Phase, which is not in channels.input"):
        load(tmp_path, models=[{"name": "m", "inputs": ["Phase"]}], arms=[{"name": "m", "model": "m", "folds": ["A"]}])
    arms = [{"name": "m", "model": "m", "folds": ["A"], "classifier": "c"}]
    models, guides = [{"name": "m", "inputs": ["Brightfield"]}], [{"name": "c", "label": "target"}]
    with pytest.raises(
        ValueError, match="arm m: classifier c sees all of channels.input, model m its own inputs alone"
    ):
        load(tmp_path, models=models, classifiers=guides, arms=arms)


def test_a_plate_to_predict_needs_brightfield(tmp_path):
    with pytest.raises(ValueError, match="plate T3: role predict, but channels.input is empty"):
        load(tmp_path, **{**WITHOUT, "embed": {}})


def test_settings_name_the_inputs_where_a_model_has_its_own_alone(tmp_path):
    models = [{"name": "all"}, {"name": "one", "inputs": ["Brightfield"]}, {"name": "none", "inputs": []}]
    arms = [{"name": name, "model": name, "folds": ["A"], "profile": False} for name in ("all", "one", "none")]
    write_study(tmp_path, {"source": {"layout": "simulated"}, "models": models, "arms": arms})
    plan = snakemake(tmp_path, "-n", "-p").stdout
    told = {}
    for line in plan.splitlines():
        words = line.split("'")
        for rule in ("models.train ", "paint.sample "):
            if rule in words[0]:
                told.setdefault(rule, []).append(json.loads(words[1]))
    planes = [["Brightfield_L", "Brightfield", "Brightfield_H"], ["Brightfield"], []]
    assert sorted(settings["channels"]["input"] for settings in told["models.train "]) == sorted(planes)
    assert all("inputs" not in settings for settings in told["models.train "])
    assert {json.dumps(s.get("inputs")) for s in told["paint.sample "]} == {"null", '["Brightfield"]', "[]"}


@pytest.mark.long
@pytest.mark.slow
def test_a_study_without_brightfield_runs_to_its_report(tmp_path):
    write_transformer(tmp_path / "weights" / "tiny")
    write_study(tmp_path, WITHOUT, STUDY_PLATES)
    rules = planned(snakemake(tmp_path, "-n", "--quiet", "rules").stdout)
    assert rules["dino"] == 3  # the real plates and the arm's: no brightfield
    snakemake(tmp_path, "--cores", "2", "--show-failed-logs")
    results = tmp_path / "results"
    assert store.open_stack(results / "images" / "real" / "T2.tif").channels == ("DNA", "RNA", "ER", "AGP", "Mito")
    meta = store.read_weights(results / "models" / "pert" / "A" / "weights.safetensors", tensors=False)[1]
    assert meta["channels"]["input"] == []
    metrics = store.read_table(results / "tables" / "metrics.tsv")
    assert {"pcc", "fid", "map"} & set(metrics["metric"]) >= {"pcc"} and "brightfield" not in set(metrics["arm"])
    assert not {"pcc_brightfield", "pcc_brightfield_sd"} & set(metrics["metric"])
    assert metrics.loc[metrics["metric"] == "pcc", "floor"].isna().all()
    by_field = store.read_table(results / "metrics" / "pert.fields.parquet")
    assert "pcc" in by_field and "pcc_brightfield" not in by_field
    shown = [
        "montage/T2.jpg",
        "closeup/T2.jpg",
        "worst/pert.jpg",
        "noise/pert.jpg",
        "uncertainty/pert.jpg",
        "attention/T2.jpg",
    ]
    assert all((results / "figures" / name).stat().st_size for name in shown)
    for page in ("metrics", "table_1", "wells/T2"):
        assert "brightfield itself" not in (results / "tables" / f"{page}.html").read_text()
    snakemake(tmp_path, "--report", "report.html")
    assert "painted without brightfield" in (tmp_path / "report.html").read_text()
