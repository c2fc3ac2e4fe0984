"""Heat maps: features fall into their groups and stains, wells lie where they are, and gaps stay gaps."""

from __future__ import annotations

import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.report.figures import figures, heatmaps

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
    assert [heatmaps.feature_group(name) for name in FEATURES] == ["AreaShape", "Intensity", "Correlation", "Texture"]
    found = [heatmaps.feature_channels(name, STAINS) for name in FEATURES]
    assert found == [[heatmaps.NO_CHANNEL], ["DNA"], ["DNA", "ER"], ["ER"]]
    assert heatmaps.feature_channels("Cells_Intensity_MeanIntensity_DNAx", STAINS) == [heatmaps.NO_CHANNEL]


def test_means_and_counts_by_group_and_stain():
    scores = pd.Series([0.5, 0.2, 0.4, np.nan], index=FEATURES)
    means, counts = heatmaps.group_means(scores, STAINS)
    assert list(means.index) == ["AreaShape", "Correlation", "Intensity"]
    assert list(means.columns) == ["DNA", "ER", heatmaps.NO_CHANNEL]
    assert means.loc["Correlation", "DNA"] == means.loc["Correlation", "ER"] == 0.4
    assert counts.loc["Intensity"].tolist() == [1, 0, 0] and np.isnan(means.loc["Intensity", "ER"])


def test_a_copy_scores_1_joined_by_name_and_averaged_over_plates():
    real = profiles("P"), profiles("Q", 1)
    scores = heatmaps.feature_scores(
        indexed(*real), indexed(*(table.sample(frac=1, random_state=0) for table in real)), None
    )
    np.testing.assert_allclose(scores, 1)
    flipped = real[1].assign(**{FEATURES[0]: -real[1][FEATURES[0]]})
    scores = heatmaps.feature_scores(indexed(*real), indexed(real[0], flipped), {"c0", "c1", "c2", "c3"})
    assert scores[FEATURES[0]] == pytest.approx(0) and scores[FEATURES[1]] == pytest.approx(1)


def test_few_perturbations_have_no_map_and_constant_features_no_part():
    assert heatmaps.feature_scores(indexed(profiles("P")), indexed(profiles("P")), {"c0", "c1"}).empty
    assert heatmaps.feature_scores(indexed(profiles("P")), indexed(profiles("Q")), None).empty
    flat = profiles("P").assign(**{FEATURES[1]: 3.0})
    assert np.isnan(heatmaps.feature_scores(indexed(flat), indexed(profiles("P")), None)[FEATURES[1]])
    figure = heatmaps.feature_figure(
        {"one": pd.Series(dtype=float), "two": pd.Series([0.3], index=FEATURES[:1])}, STAINS
    )
    assert "fewer than three" in figure.axes[0].texts[0].get_text()
    assert figure.axes[1].get_title().startswith("two: mean 0.30 of 1 features")
    plt.close(figure)
    plt.close(heatmaps.feature_figure({"one": pd.Series(dtype=float)}, STAINS))


def test_wells_lie_where_they_are_and_missing_ones_are_gaps():
    grid = heatmaps.plate_grid(pd.Series({"A01": 1.0, "B03": 2.0, "odd": 9.0}), 2, 3)
    np.testing.assert_array_equal(grid, [[1, np.nan, np.nan], [np.nan, np.nan, 2]])
    assert [heatmaps.row_letters(row) for row in (1, 16, 26, 27, 32)] == ["A", "P", "Z", "AA", "AF"]


def field_rows(wells, plate="P"):
    return pd.DataFrame(
        [{"Metadata_Plate": plate, "Metadata_Well": well, "Metadata_Site": site, "Metadata_Tile": 1,
          "Metadata_perturbation": "", "Metadata_control_type": "negcon" if well == "A01" else "", "Metadata_cells": 5}
         for well in wells for site in (1, 2)]
    )  # fmt: skip


def scores(wells, plate="P"):
    table = pd.concat([field_rows(wells, plate).assign(Channel=channel) for channel in STAINS], ignore_index=True)
    return table.assign(pcc=np.linspace(0.1, 0.9, len(table)))


@pytest.mark.parametrize("measured", [True, False])
@pytest.mark.parametrize("wells", [["A01", "A02", "C05"], ["P24", "A01"], ["C03"], ["odd"]])
def test_a_plate_page_draws_every_arm_on_any_set_of_wells(wells, measured):
    counts = {"real": field_rows(wells), "one": field_rows(wells[:1])} if measured else {}
    arms = {"one": scores(wells[:1]), "unmeasured": scores(wells)}
    figure = heatmaps.plate_page(arms, counts, field_rows(wells))
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert sum(title.startswith("unmeasured: PCC") for title in titles) == 1
    assert (f"real: {10 * len(wells)} cells" in titles) == measured and ("one: 10 cells" in titles) == measured
    plt.close(figure)


def test_the_commands_draw_the_same_bytes_every_time(tmp_path):
    store.write_table(profiles("P"), tmp_path / "real.parquet")
    store.write_table(profiles("P", 1), tmp_path / "one.parquet")
    store.write_table(
        pd.DataFrame({"Metadata_perturbation": ["c0", "c1", "c2"], "active": [1, 1, 0]}), tmp_path / "a.tsv"
    )
    both = pd.concat([scores(["A01", "B02"]), scores(["A01"], "Q")])
    store.write_table(both, tmp_path / "one.fields.parquet")
    for arm in ("real", "one"):
        store.write_table(field_rows(["A01", "B02"]), tmp_path / arm / "P.parquet")
    settings = ["--settings", json.dumps({"dpi": 40, "channels": {"input": ["BF"], "target": STAINS}})]
    path = lambda name: str(tmp_path / name)  # noqa: E731
    commands = {
        "features": ["--subset", "full", "--real", path("real.parquet"), "--arms", "one", "--profiles", path("one.parquet"),
                     "--active", path("a.tsv")],
        "plate": ["--plate", "P", "--fields", path("real/P.parquet"), "--arms", "one", "--scores", path("one.fields.parquet"),
                  "--medians", path("real/P.parquet"), path("one/P.parquet")],
    }  # fmt: skip
    for command, arguments in commands.items():
        drawn = []
        for name in ("first.png", "second.png"):
            figures.main([command, *arguments, *settings, "--figure", path(name)])
            drawn.append((tmp_path / name).read_bytes())
        assert drawn[0] == drawn[1]
