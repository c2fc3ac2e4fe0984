"""Risk-coverage curves, and the fields that are shown beside them."""

import json

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.report.figures import uncertainty_figure
from features_fixture import annotated, rows_of

CHANNELS = {"input": ["BF"], "target": ["DNA", "ER"]}


def field_scores(uncertainty, error):
    """One row a field and channel, as `score` writes them."""
    rows = annotated(rows_of([f"A{n + 1:02d}" for n in range(len(error))]))
    each = [rows.assign(Channel=name, uncertainty=uncertainty, pcc=1 - error) for name in CHANNELS["target"]]
    return pd.concat(each, ignore_index=True)


def test_channels_are_laid_out_with_their_mean_and_gaps_take_no_part():
    scores = field_scores(np.array([0.1, 0.3, 0.2]), np.array([0.2, 0.4, 0.6]))
    scores.loc[(scores["Channel"] == "ER") & (scores["Metadata_Well"] == "A02"), "pcc"] = np.nan
    pairs = uncertainty_figure.by_channel(scores)
    assert list(pairs) == ["all", "DNA", "ER"] and [len(error) for _, error in pairs.values()] == [2, 3, 2]
    np.testing.assert_allclose(pairs["all"], [[0.1, 0.2], [0.2, 0.6]])


def test_the_surest_and_the_least_sure_field_are_shown():
    chosen = uncertainty_figure.extremes(field_scores(np.array([0.2, 0.5, 0.1]), np.array([0.2, 0.4, 0.6])))
    assert chosen["Metadata_Well"].tolist() == ["A03", "A02"]


def test_the_command_draws_both_figures_the_same_each_time(tmp_path):
    rng = np.random.default_rng(0)
    error = rng.uniform(0.1, 0.6, 5)
    store.write_table(field_scores(error, error), tmp_path / "scores.parquet")
    rows = annotated(rows_of([f"A{n + 1:02d}" for n in range(5)]))
    for name, channels in (("real", ("BF", "DNA", "ER")), ("painted", ("DNA", "ER")), ("spread", ("DNA", "ER"))):
        shape = (5, len(channels), 32, 32)
        with store.StackWriter(tmp_path / f"{name}.tif", shape, channels, key="x") as writer:
            for number in range(5):
                writer.write(number, np.abs(rng.normal(size=shape[1:])))
        store.write_table(rows, tmp_path / f"{name}.parquet")
    settings = {"channels": CHANNELS, "pixel_size_um": {"P1": 1.0}, "dpi": 60}
    words = [
        "--settings",
        json.dumps(settings),
        "--arm",
        "pert",
        "--plates",
        "P1",
        "--scores",
        tmp_path / "scores.parquet",
    ]
    words += ["--real", tmp_path / "real.tif", "--fields", tmp_path / "real.parquet"]
    words += ["--predicted", tmp_path / "painted.tif", "--uncertainty", tmp_path / "spread.tif"]
    words += ["--curve", tmp_path / "curve.png", "--montage", tmp_path / "fields.jpg"]
    drawn = []
    for _ in range(2):
        uncertainty_figure.main([str(word) for word in words])
        drawn.append([(tmp_path / name).read_bytes() for name in ("curve.png", "fields.jpg")])
    assert drawn[0] == drawn[1] and min(map(len, drawn[0])) > 5000
