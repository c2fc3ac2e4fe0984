"""BBBC013, the real dose series of two 8-bit pages a well, from its files to half-effect doses, in one study without models."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml

from brightpaint import store
from conftest import ROOT, planned, snakemake

FEW = "A01,A06,A11,E06,E11,E12"
# Two replicates: untreated wells, five doses from nothing to all.
SERIES = "A01:B02,E02:F02,E12:F12,A05:B08,E05:F08,A10:B10,E10:F10"


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    import dose_series

    yield dose_series
    for name in ("dose_series", "studies"):
        sys.modules.pop(name, None)


def written(bench, folder, real_data, wells, **changes):
    """Write the study of the benchmark, on some wells, and return the folder of the files."""
    images = real_data / "images" / "bbbc013_translocation"
    study, plates = bench.write_study(folder, images, wells)
    (folder / "plates.tsv").write_text(plates)
    (folder / "config.yaml").write_text(yaml.safe_dump(study | changes))
    return images


@pytest.mark.long
@pytest.mark.slow
def test_a_real_dose_series_is_prepared_without_brightfield(tmp_path, real_data, bench):
    folder = written(bench, tmp_path, real_data, FEW, prepare={"size_px": 320})
    listed = pd.read_csv(tmp_path / "images.csv", dtype=str, keep_default_na=False)
    assert len(listed) == 192 and set(listed["cell_line"]) == {"U2OS"}
    doses = listed.drop_duplicates("well").set_index("well")["dose_um"].astype(float)
    assert (doses["A03"], doses["A11"], doses["E11"], doses["E12"]) == pytest.approx((0.0009766, 0.25, 80, 0))
    for well in ("A01", "H12"):
        pages = tifffile.imread(folder / "wells" / f"{well}.tif")
        for page, channel in zip(pages, ("GFP", "DNA")):
            assert (store.read_raw(tmp_path / "single" / "BBBC013" / f"{well}_s1_{channel}.tif") == page).all()

    jobs = planned(snakemake(tmp_path, "-n", "--quiet", "rules").stdout)
    assert {
        "index",
        "prepare",
        "crops",
        "cells",
        "select",
        "profile",
        "active",
        "doses",
        "dose_figure",
        "montage",
    } <= set(jobs)
    assert not {"train", "sample", "score_images", "metrics", "metrics_table", "tsne", "lookup"} & set(jobs)
    snakemake(tmp_path, "--cores", "2", "--show-failed-logs", "plates")
    results = tmp_path / "results"
    fields = store.read_fields(results / "fields" / "BBBC013.parquet")
    stack = store.open_stack(results / "images" / "real" / "BBBC013.tif")
    assert stack.channels == ("GFP", "DNA") and stack.images.shape == (6, 2, 320, 320)
    assert set(fields["Metadata_perturbation"]) == {"DMSO", "wortmannin", "LY294002"}
    shown = stack.select(fields).images[0, 1].astype(np.float64)
    page = tifffile.imread(folder / "wells" / f"{fields.loc[0, 'Metadata_Well']}.tif")[1]
    halved = page.reshape(320, 2, 320, 2).mean((1, 3))
    assert np.corrcoef(shown.ravel(), halved.ravel())[0, 1] > 0.98


@pytest.mark.exhaustive
def test_a_real_dose_series_goes_from_its_files_to_half_effects(tmp_path, real_data, bench, cellprofiler):
    """The published half-effects are near 12 nM and 5 uM; 28 wells take four minutes of CPU, all 96 bench/dose_series.py."""
    written(bench, tmp_path, real_data, SERIES)
    snakemake(tmp_path, "--cores", "2", "--show-failed-logs")
    results = tmp_path / "results"
    found = {line["compound"]: line for line in bench.found(results)}
    for name, half in {"wortmannin": 0.012, "LY294002": 5.0}.items():
        line = found[name]
        assert line["spearman"] > 0.85 and line["top_ratio"] > 3 * line["dmso_ratio"], line
        assert half / 1.6 < line["ratio_half_um"] < half * 1.6, line
        assert line["status"] == "fitted" and half / 3 < line["half_um"] < half * 3, line
        assert "dose and column go together on plate BBBC013" in line["layout"]
    crops, cells = store.open_crops(results / "crops" / "real" / "BBBC013.tif"), bench.ratios(results)["count"].sum()
    assert crops.channels == ("GFP", "DNA") and crops.images.shape[1:] == (2, 1, 48, 48)
    assert 0.7 * cells < len(crops) <= cells and set(crops.table()["Metadata_cell_line"]) == {"U2OS"}
    inside = crops.masks[:, 0, 0, 24, 24]
    assert inside.mean() > 0.95  # a nucleus lies in the middle of its crop
    assert all((results / "figures" / name).stat().st_size for name in ("doses/real/cellprofiler.png", "active.png"))
