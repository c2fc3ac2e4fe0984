"""Real and painted wells in two dimensions: pairs by key, known separations, nulls."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.report.figures import tsne


def wells(count=24, plate="P", seed=0, features=6):
    rng = np.random.default_rng(seed)
    keys = pd.DataFrame({"Metadata_Plate": plate, "Metadata_Well": [f"A{n:02d}" for n in range(count)]})
    names = [f"Cells_{n}" for n in range(features)]
    return pd.concat([keys, pd.DataFrame(rng.normal(size=(count, features)), columns=names)], axis=1)


def test_wells_are_paired_by_key_and_gaps_are_left_out(caplog):
    real, painted = wells(), wells(seed=1).sample(frac=1, random_state=0).iloc[:20].reset_index(drop=True)
    real.loc[3, "Cells_2"] = np.nan
    painted.loc[painted.index[5], [f"Cells_{n}" for n in range(6)]] = np.nan
    with caplog.at_level("INFO"):
        keys, values = tsne.paired_wells(pd.concat([real, wells(plate="other")]), painted)
    n = len(keys) // 2
    assert n == 19 and "1 without cells left out" in caplog.text
    assert keys["Metadata_Well"].tolist()[:n] == keys["Metadata_Well"].tolist()[n:]
    assert (keys["kind"] == ["real"] * n + ["painted"] * n).all() and np.isfinite(values).all()
    first = real.set_index("Metadata_Well").loc[keys["Metadata_Well"].iloc[0], "Cells_0"]
    assert values[0, 0] == first


@pytest.mark.parametrize("shift, apart", [(0.0, False), (3.0, True)])
def test_one_distribution_cannot_be_told_apart_and_a_shifted_one_can(shift, apart, monkeypatch):
    monkeypatch.setattr(tsne, "SHUFFLES", 20)
    painted = wells(seed=1)
    painted[[f"Cells_{n}" for n in range(6)]] += shift
    said = tsne.separation(*tsne.paired_wells(wells(), painted), "seed")
    assert 0.35 < said["own_kind_null"] < 0.6 and 0.3 < said["auc_null"] < 0.7
    if apart:
        assert said["own_kind"] > 0.95 and said["auc"] > 0.99 and said["own_kind_bound"] < 0.7
    else:
        assert said["own_kind"] < said["own_kind_bound"] + 0.1 and 0.2 < said["auc"] < 0.8
    assert tsne.separation(*tsne.paired_wells(wells(2), wells(2)), "seed")["n"] == 2


def test_a_cloud_of_another_width_is_seen(monkeypatch):
    monkeypatch.setattr(tsne, "SHUFFLES", 2)
    painted = wells(seed=1)
    painted[[f"Cells_{n}" for n in range(6)]] *= 0.1  # the same mean: a linear classifier alone is blind to it
    said = tsne.separation(*tsne.paired_wells(wells(), painted), "seed")
    assert said["auc"] > 0.9


def test_the_figure_is_the_same_every_time_and_few_wells_are_said(tmp_path, monkeypatch):
    monkeypatch.setattr(tsne, "SHUFFLES", 2)
    for name, frame in {"real": wells(8), "one": wells(8, seed=1), "few": wells(2, seed=2)}.items():
        store.write_table(frame, tmp_path / f"{name}.parquet")
    command = ["--settings", json.dumps({"dpi": 50}), "--real", str(tmp_path / "real.parquet"), "--arms", "one", "few"]
    command += ["--profiles", str(tmp_path / "one.parquet"), str(tmp_path / "few.parquet"), "--figure"]
    for name in ("a.png", "b.png"):
        tsne.main([*command, str(tmp_path / name)])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
