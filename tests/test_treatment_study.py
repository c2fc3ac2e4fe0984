"""A simulated dose series by treatment, from its plates to the metrics page: every table has one row a treatment."""

from __future__ import annotations

import pytest

from brightpaint import store
from conftest import TINY, snakemake, write_study

PLATES = "plate\trole\tproject\tsource\tbatch\nS1\tstudy\tsimulated\tsource_0\tB1\nS2\tstudy\tsimulated\tsource_0\tB2\n"
STUDY = {
    "unit": "treatment",
    "source": {"layout": "simulated"},
    "simulate": {"seed": 3, "rows": 3, "columns": 4, "size_px": 128, "cells_per_field": 8, "dmso_share": 0.34,
                 "doses": {"um": [0.1, 10], "toxic_share": 0, "censored_share": 0}},
    "train": {**TINY["train"], "images": 8},
    "models": [{"name": "told", "label": "treatment", "width": 8}, {"name": "pixel", "kind": "pixel"}],
    "arms": [
        {"name": "pixel", "model": "pixel", "folds": ["A"]},
        {"name": "told", "model": "told", "folds": ["A"], "steps": 2, "profile": False},
    ],
    "folds": [{"name": "A", "test": ["S2"]}],
    "sample": {"parts": 1, "batch": 4},
    "active": {"permutations": 50},
}  # fmt: skip


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_study_by_treatment_keeps_doses_apart_to_its_metrics(tmp_path):
    write_study(tmp_path, STUDY, PLATES)
    reached = ["tables/metrics.html", "figures/active.png", "models/told/A/weights.safetensors", "images/told/S2.tif"]
    targets = [f"results/{name}" for name in reached]
    snakemake(tmp_path, "--cores", "2", "--show-failed-logs", *targets)
    results = tmp_path / "results"
    truth = store.read_table(tmp_path / "resources" / "truth" / "S2.tsv")
    treatments = set(truth["Metadata_treatment"])
    assert len(treatments) == 9 and {name.partition("@")[2] for name in treatments} == {"", "0.1uM", "10uM"}
    for arm in ("real", "pixel", "lookup"):
        profiles = store.read_table(results / "profiles" / arm / "cellprofiler" / "perturbations.parquet")
        for plate, own in profiles.groupby("Metadata_Plate"):
            assert set(own["Metadata_treatment"]) == treatments and len(own) == 9, (arm, plate)
        assert set(profiles["Metadata_unit"]) == {"treatment"}
    active = store.read_table(results / "active" / "perturbations.tsv")
    assert set(active["Metadata_treatment"]) == treatments and set(active["Metadata_unit"]) == {"treatment"}
    assert active["Metadata_dose"].notna().sum() == 8
    labels = store.read_weights(results / "models" / "told" / "A" / "weights.safetensors", tensors=False)[1][
        "label_map"
    ]
    assert set(labels) == treatments
    metrics = store.read_table(results / "tables" / "metrics.tsv")
    for arm in ("pixel", "lookup"):
        assert {"nn", "map_target", "map_replicate", "cpcor"} <= set(metrics.loc[metrics["arm"] == arm, "metric"]), arm
    assert set(metrics.loc[metrics["arm"] == "told", "space"]) == {"images"}
    page = (results / "tables" / "metrics.html").read_text()
    assert "treatment" in page
