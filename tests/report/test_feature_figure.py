"""The heat maps of features: they fall into their groups and stains, and what cannot be compared has no part."""

from __future__ import annotations

import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.profiles import feature_parts
from brightpaint.report.figures import feature_figure

STAINS = ["DNA", "ER"]
FEATURES = [
    "Nuclei_AreaShape_Area",
    "Cells_Intensity_MeanIntensity_DNA",
    "Cells_Correlation_Overlap_DNA_ER",
    "Cytoplasm_Texture_Correlation_ER_3_00_64",
]


def profiles(plate, seed=0, count=6, features=FEATURES):
    values = np.random.default_rng(seed).normal(size=(count, len(features)))
    names = [f"c{n}" for n in range(count)]
    keys = {"Metadata_Plate": plate, "Metadata_perturbation": names, "Metadata_target": [f"T{n // 2}" for n in range(count)],
            "Metadata_control_type": "", "Metadata_cells": 9}  # fmt: skip
    return pd.concat([pd.DataFrame(keys), pd.DataFrame(values, columns=features)], axis=1)


def indexed(*tables):
    return {table["Metadata_Plate"].iloc[0]: table.set_index("Metadata_perturbation").sort_index() for table in tables}


def test_features_fall_into_groups_and_stains():
    assert [feature_parts.cell_group(name) for name in FEATURES] == [
        "AreaShape",
        "Intensity",
        "Correlation",
        "Texture",
    ]
    found = [feature_figure.feature_channels(name, STAINS) for name in FEATURES]
    assert found == [[feature_figure.NO_CHANNEL], ["DNA"], ["DNA", "ER"], ["ER"]]
    assert feature_figure.feature_channels("Cells_Intensity_MeanIntensity_DNAx", STAINS) == [feature_figure.NO_CHANNEL]


def test_means_and_counts_by_group_and_stain():
    scores = pd.Series([0.5, 0.2, 0.4, np.nan], index=FEATURES)
    means, counts = feature_figure.group_means(scores, STAINS)
    assert list(means.index) == ["AreaShape", "Correlation", "Intensity"]
    assert list(means.columns) == ["DNA", "ER", feature_figure.NO_CHANNEL]
    assert means.loc["Correlation", "DNA"] == means.loc["Correlation", "ER"] == 0.4
    assert counts.loc["Intensity"].tolist() == [1, 0, 0] and np.isnan(means.loc["Intensity", "ER"])


def test_a_copy_scores_1_joined_by_name_and_averaged_over_plates():
    real = profiles("P"), profiles("Q", 1)
    scores = feature_figure.feature_scores(
        indexed(*real), indexed(*(table.sample(frac=1, random_state=0) for table in real)), None
    )
    np.testing.assert_allclose(scores, 1)
    flipped = real[1].assign(**{FEATURES[0]: -real[1][FEATURES[0]]})
    scores = feature_figure.feature_scores(indexed(*real), indexed(real[0], flipped), {"c0", "c1", "c2", "c3"})
    assert scores[FEATURES[0]] == pytest.approx(0) and scores[FEATURES[1]] == pytest.approx(1)


def test_few_perturbations_have_no_map_and_constant_features_no_part():
    assert feature_figure.feature_scores(indexed(profiles("P")), indexed(profiles("P")), {"c0", "c1"}).empty
    assert feature_figure.feature_scores(indexed(profiles("P")), indexed(profiles("Q")), None).empty
    flat = profiles("P").assign(**{FEATURES[1]: 3.0})
    assert np.isnan(feature_figure.feature_scores(indexed(flat), indexed(profiles("P")), None)[FEATURES[1]])
    figure = feature_figure.feature_figure(
        {"one": pd.Series(dtype=float), "two": pd.Series([0.3], index=FEATURES[:1])}, STAINS
    )
    assert "fewer than three" in figure.axes[0].texts[0].get_text()
    assert figure.axes[1].get_title().startswith("two: mean 0.30 of 1 features")
    plt.close(figure)
    plt.close(feature_figure.feature_figure({"one": pd.Series(dtype=float)}, STAINS))


def test_the_command_draws_the_same_bytes_every_time(tmp_path):
    store.write_table(profiles("P"), tmp_path / "real.parquet")
    store.write_table(profiles("P", 1), tmp_path / "one.parquet")
    store.write_table(
        pd.DataFrame({"Metadata_perturbation": ["c0", "c1", "c2"], "active": [1, 1, 0]}), tmp_path / "a.tsv"
    )
    path = lambda name: str(tmp_path / name)  # noqa: E731
    words = ["--settings", json.dumps({"dpi": 40, "channels": {"input": ["BF"], "target": STAINS}}), "--subset", "full"]
    words += [
        "--real",
        path("real.parquet"),
        "--arms",
        "one",
        "--profiles",
        path("one.parquet"),
        "--active",
        path("a.tsv"),
    ]
    for name in ("first.png", "second.png"):
        feature_figure.main([*words, "--figure", path(name)])
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
