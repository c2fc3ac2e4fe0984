"""What the benchmarks of latents compute beside the workflow: known answers, and what is refused or kept."""

from __future__ import annotations

import importlib
import json
from argparse import Namespace

import numpy as np
import pandas as pd
import pytest

from brightpaint.study.study import Study
from conftest import ROOT


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    return importlib.import_module


def cells(values):
    """Return cells numbered from 1 with as many features, of two groups, as there are columns."""
    names = [f"Cells_{('Texture', 'Intensity')[place % 2]}_{place}" for place in range(values.shape[1])]
    return pd.DataFrame(values, columns=names).assign(ObjectNumber=range(1, len(values) + 1), Cells_Location_X=1.0)


def test_profiles_that_are_handed_on_are_kept_and_those_of_other_cells_are_not(bench):
    ceiling, rng = bench("codec_ceiling"), np.random.default_rng(0)
    values = rng.normal(size=(60, 8))
    real, pairs = cells(values), {number: number for number in range(1, 61)}
    found, groups = ceiling.kept(real, real, pairs)
    assert found == {"features_r": 1, "features_shift": 0, "features_kept": 1, "cells_found": 1, "cells_matched": 60}
    assert groups == {"Intensity": 1, "Texture": 1}
    found, _ = ceiling.kept(real, cells(values[::-1] + 2.0), pairs)
    assert abs(found["features_r"]) < 0.3 and found["features_kept"] == 0 and found["cells_found"] < 0.1
    assert found["features_shift"] == pytest.approx(2.0, abs=0.3)
    blurred = values.copy()
    blurred[:, 0] = 5.0  # varies no longer: nothing is left of it
    found, groups = ceiling.kept(real, cells(blurred), pairs)
    assert found["features_kept"] == 7 / 8 and found["features_r"] == 1
    half = {number: number for number in range(1, 31)}
    assert ceiling.kept(real, real, half)[0]["cells_found"] == 0.5  # a cell that is not there counts as missed
    few, groups = ceiling.kept(real, real, {1: 1, 2: 2})
    assert np.isnan(few["features_r"]) and few["cells_matched"] == 2 and groups == {}


def test_cells_are_matched_by_where_they_lie(bench):
    real, painted = np.zeros((2, 8, 8), int)
    real[:4, :4], real[5:, 5:] = 3, 7
    painted[:4, :4], painted[5:, 6:], painted[0, 6:] = 2, 9, 4
    assert bench("codec_ceiling").matched(real, painted) == {3: 2, 7: 9}
    painted[5:, 6:] = 0
    assert bench("codec_ceiling").matched(real, painted) == {3: 2}


def test_means_of_blocks_keep_a_constant_and_lose_a_grain(bench):
    pooled = bench("codec_ceiling").pooled
    plain = np.full((2, 16, 16), 3.0, np.float32)
    np.testing.assert_allclose(pooled(plain, 4), plain)
    grain = np.indices((16, 16)).sum(axis=0) % 2 - 0.5
    assert np.abs(pooled(grain[None].astype(np.float32), 4)).max() < 1e-6


def test_a_case_paints_what_it_was_not_trained_on(bench):
    ceiling = bench("codec_ceiling")
    for trained, painted in ceiling.CASES.values():
        assert painted and not set(trained) & set(painted)
    assert ceiling.area_of("other half", "PCCMA") == slice(256, 512)
    assert ceiling.area_of("other field", "JUMP source 1") == slice(0, 512)
    assert ceiling.area_of("other field", "PCCMA") is None


def test_a_piece_is_made_once_and_a_folder_of_other_settings_is_refused(bench, tmp_path):
    ceiling, made = bench("codec_ceiling"), []
    args = Namespace(folder=tmp_path, minutes=1.0, presets=["small"], cases=["other half"], width=16)

    def make(value):
        made.append(value)
        return {"value": value}

    assert [ceiling.piece(args, "one", make, value)["value"] for value in (1, 2)] == [1, 1] and made == [1]
    ceiling.check_kept(tmp_path, {"minutes": 1.0})
    ceiling.check_kept(tmp_path, {"minutes": 1.0})
    with pytest.raises(SystemExit, match="settings.json: made with .*delete the folder to begin anew"):
        ceiling.check_kept(tmp_path, {"minutes": 2.0})


def test_latents_and_pixels_are_given_the_same_time_and_a_folder_without_plates_is_refused(bench, tmp_path):
    latent_pixel = bench("latent_pixel")
    with pytest.raises(SystemExit, match="SIM001.tif is not there; give --study the results folder of a finished demo"):
        latent_pixel.main([str(tmp_path / "b"), "--study", str(tmp_path / "none")])
    with pytest.raises(SystemExit, match="--codec-share 1: expected a share above 0 and below 1"):
        latent_pixel.main([str(tmp_path / "b"), "--codec-share", "1"])
    own = latent_pixel.Bench.__new__(latent_pixel.Bench)
    own.folder, own.minutes, own.codec_share, asked = tmp_path, 3.0, 0.25, {}
    own.settings = lambda kind: {"kind": kind}
    own.denoiser_rate = own.codec_rate = lambda *_: 10.0

    def trained(name, settings, rate, seconds):
        asked[name] = seconds
        return tmp_path / name, {}

    own.trained, own.line = trained, lambda name, weights, spent: {"model": name}
    assert [line["model"] for line in own.lines()] == list(latent_pixel.MODELS)
    assert asked["pixels"] == 180 == asked["codec"] + asked["latents"] and asked["codec"] == 45


@pytest.fixture
def study(bench):
    return bench("latent_study")


def test_the_study_of_a_seed_is_whole_and_its_plates_are_its_own(study, tmp_path):
    args = study.parsed([str(tmp_path)])
    configs = [study.study_of(seed, args) for seed in (1, 2)]
    (tmp_path / "plates.tsv").write_text(configs[0][1])
    whole = Study.load(configs[0][0], ROOT / "workflow" / "schemas", tmp_path)
    assert whole.generations == [f"unseen_{fold}" for fold in study.FOLDS]
    assert len(whole.arms) == 2 * len(study.CHANGED)
    assert {row["cell_line"] for row in whole.plates.values()} == set(study.LINES)
    assert {row["batch"] for row in whole.plates.values()} == set(study.BATCHES)
    trained = [row for name, row in whole.plates.items() if name != study.TEST]
    assert len({(row["cell_line"], row["batch"]) for row in trained}) == 4  # neither is nested in the other
    assert configs[0][0]["simulate"]["seed"] != configs[1][0]["simulate"]["seed"]
    assert configs[0][0]["train"]["seed"] != configs[1][0]["train"]["seed"]


def line(low_ridge, low_nearest=0.1, fold="scaffolds"):
    one = {"fold": fold, "metric": "correlation", "value": 0.5, "low": 0.4, "high": 0.6, "treatments": 9, "groups": 5}
    gains = {
        "model": (0.0, 0.0),
        "ridge": (low_ridge, 0.3),
        "nearest neighbours": (low_nearest, 0.3),
        "DMSO": (0.2, 0.4),
    }
    rows = [{**one, "baseline": name, "gain": sum(ends) / 2, "gain_low": ends[0], "gain_high": ends[1]}
            for name, ends in gains.items()]  # fmt: skip
    return {"seed": 1, "cpu_s": 60.0, "generated": rows, "effects": []}


def test_unseen_molecules_are_claimed_only_above_both_floors_in_every_seed(study):
    known, sentence = study.claim([line(0.01), line(0.02)])
    assert known and sentence.startswith("The model knows unseen molecules: ") and "ridge 0.50; 0.50" in sentence
    for lines in ([line(0.01), line(-0.01)], [line(0.01, -0.2)], [line(float("nan"))], [], [line(0.1, fold="doses")]):
        known, sentence = study.claim(lines)
        assert not known and sentence.startswith("Nothing is claimed of unseen molecules")
    text = study.report([line(0.01)], sentence)
    assert text.startswith(sentence) and "| 1 | scaffolds | ridge | correlation | 0.5 |" in text


def test_an_effect_matrix_and_generated_treatments_are_read_as_the_workflow_writes_them(study, tmp_path):
    folder = tmp_path / "generation" / "unseen_scaffolds"
    folder.mkdir(parents=True)
    rows = [{"split": split, "baseline": "model", "metric": metric, "value": 0.5}
            for split in ("seen", "scaffold") for metric in ("correlation", "mmd2")]  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / "cellprofiler.tsv", sep="\t", index=False)
    assert study.generated_rows(tmp_path, "scaffolds")[["split", "metric", "fold"]].to_numpy().tolist() == [
        ["scaffold", "correlation", "scaffolds"]
    ]
    pd.DataFrame(rows[:2]).to_csv(folder / "cellprofiler.tsv", sep="\t", index=False)
    with pytest.raises(SystemExit, match="no held-out treatment of fold scaffolds was scored; give more --rows"):
        study.generated_rows(tmp_path, "scaffolds")
    (tmp_path / "effects" / "told").mkdir(parents=True)
    matrix = {"kind": "painted", "changed": "dose", "read": "dose", "value": 1.0, "null_bound": 0.1, "share": 0.9,
              "verdict": "heard", "skill": 0.5, "reason": ""}  # fmt: skip
    pd.DataFrame([matrix]).to_csv(tmp_path / "effects" / "told" / "cellprofiler.tsv", sep="\t", index=False)
    assert json.loads(json.dumps(study.matrix_rows(tmp_path)))[0]["verdict"] == "heard"
