"""Features are selected on real medians, and each that goes has its reason."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.profiles import select
from features_fixture import annotated, rows_of

BLOCKED = "Nuclei_Correlation_Manders_AGP_DNA"


def medians(plate="P1", n=40, seed=0, **changes):
    """Return field medians with one feature for every reason to go."""
    generator = np.random.default_rng(seed)
    rows = annotated(rows_of([f"A{number:02d}" for number in range(1, n + 1)], plate=plate)).drop(
        columns=["height_px", "width_px"]
    )
    a, b, c = generator.normal(0, 1, (3, n))
    features = {
        "Nuclei_Intensity_A": a * 5 + 100,
        "Cells_Intensity_B": b,
        BLOCKED: c,
        "Cells_Intensity_AlmostA": a + generator.normal(0, 0.01, n),
        "Cells_Intensity_MinusB": -b,
        "Nuclei_AreaShape_Constant": np.full(n, 3.0),
        "Cytoplasm_Texture_Gaps": np.where(np.arange(n) < n // 2, np.nan, c),
        "Cytoplasm_AreaShape_TwoValues": np.where(np.arange(n) == 0, 1.0, 0.0),
        **changes,
    }
    return rows.assign(Metadata_cells=10, **features)


def reasons(table):
    return dict(zip(table["feature"], table["reason"]))


def test_every_reason_is_told():
    table = select.select([medians()], 0.9)
    found = reasons(table)
    assert found[BLOCKED] == "blocklist"
    assert found["Nuclei_AreaShape_Constant"] == "variance_threshold"
    assert found["Cytoplasm_Texture_Gaps"] == "drop_na_columns"
    assert found["Cytoplasm_AreaShape_TwoValues"] == "frequency_threshold"
    pair = [found["Nuclei_Intensity_A"], found["Cells_Intensity_AlmostA"]]
    assert sorted(pair) == ["", "correlation_threshold"]
    assert found["Cells_Intensity_B"] == ""
    assert table["feature"].tolist() == [c for c in medians().columns if not c.startswith("Metadata_")]
    assert (table["kept"] == (table["reason"] == "")).all()


def test_a_blocked_feature_takes_no_good_one_with_it():
    base = medians()
    base["Cells_Intensity_LikeBlocked"] = base[BLOCKED] * 2 + 1
    found = reasons(select.select([base], 0.9))
    assert found[BLOCKED] == "blocklist" and found["Cells_Intensity_LikeBlocked"] == ""


def test_plates_are_normalised_each_by_itself():
    """Two features that differ only by a shift between plates are one feature."""
    plates = [medians("P1", seed=1), medians("P2", seed=2)]
    for number, plate in enumerate(plates):
        plate["Cells_Intensity_Shifted"] = plate["Cells_Intensity_B"] * (1 + number) + 1000 * number
    found = reasons(select.select(plates, 0.9))
    assert sorted([found["Cells_Intensity_B"], found["Cells_Intensity_Shifted"]]) == ["", "correlation_threshold"]


def test_fields_without_cells_take_no_part():
    plate = medians()
    features = [c for c in plate.columns if not c.startswith("Metadata_")]
    empty = plate.assign(Metadata_cells=0, **dict.fromkeys(features, np.nan))
    both = pd.concat([plate, empty], ignore_index=True)
    pd.testing.assert_frame_equal(select.select([both], 0.9), select.select([plate], 0.9))


def test_a_plate_without_cells_or_with_other_features_is_refused():
    with pytest.raises(ValueError, match="plate P2: CellProfiler found no cell"):
        select.select([medians(), medians("P2").assign(Metadata_cells=0)], 0.9)
    with pytest.raises(ValueError, match=r"plate P2: features differ from the first plate's: \['Cells_Intensity_X'\]"):
        select.select([medians(), medians("P2").assign(Cells_Intensity_X=1.0)], 0.9)


def test_nothing_left_is_an_error():
    plate = medians()
    features = [c for c in plate.columns if not c.startswith("Metadata_")]
    with pytest.raises(ValueError, match="no feature is left of 8 on 40 fields"):
        select.select([plate.assign(**dict.fromkeys(features, 1.0))], 0.9)


def test_the_command_writes_the_table_and_refuses_no_plates(tmp_path):
    store.write_table(medians(), tmp_path / "a.parquet")
    words = [
        "--space",
        "cellprofiler",
        "--settings",
        json.dumps({"plates": "all", "correlation": 0.9}),
        "--selection",
        str(tmp_path / "s.tsv"),
    ]
    select.main([*words, "--tables", str(tmp_path / "a.parquet")])
    first = (tmp_path / "s.tsv").read_bytes()
    select.main([*words, "--tables", str(tmp_path / "a.parquet")])
    assert (tmp_path / "s.tsv").read_bytes() == first
    with pytest.raises(ValueError, match="select.plates: all"):
        select.main([*words, "--tables"])
