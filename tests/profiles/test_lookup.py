"""Profiles looked up on training plates."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.profiles import lookup


def profiles() -> pd.DataFrame:
    rows = []
    for plate, shift in (("P1", 0.0), ("P2", 1.0), ("P3", 3.0)):
        for number, name in enumerate(["a", "b", "DMSO"]):
            rows.append({"Metadata_Plate": plate, "Metadata_perturbation": name, "Metadata_target": name.upper(),
                         "Metadata_control_type": "negcon" if name == "DMSO" else "", "Metadata_cells": 10,
                         "Cells_X": number + shift, "Nuclei_Y": np.nan if (plate, name) == ("P2", "b") else shift})  # fmt: skip
    rows.append({**rows[0], "Metadata_Plate": "P3", "Metadata_perturbation": "only here"})
    return pd.DataFrame(rows)


def test_each_perturbation_has_its_mean_over_the_training_plates_and_nothing_of_its_own():
    found = lookup.lookup(profiles(), "P3", ["P2", "P1"]).set_index("Metadata_perturbation")
    assert list(found.index) == ["a", "b", "DMSO"]  # never stained in training: left out
    assert found["Cells_X"].tolist() == [0.5, 1.5, 2.5]
    assert found["Nuclei_Y"].tolist() == [0.5, 0.0, 0.5]  # a gap is left out of the mean
    assert set(found["Metadata_Plate"]) == {"P3"} and set(found["Metadata_cells"]) == {20}
    changed = profiles()
    changed.loc[changed["Metadata_Plate"] == "P3", ["Cells_X", "Nuclei_Y"]] = 99.0
    pd.testing.assert_frame_equal(lookup.lookup(changed, "P3", ["P1", "P2"]).set_index("Metadata_perturbation"), found)


def test_a_plate_is_never_looked_up_on_itself_and_missing_profiles_are_an_error():
    with pytest.raises(ValueError, match="P1 would be looked up on"):
        lookup.lookup(profiles(), "P1", ["P1", "P2"])
    with pytest.raises(ValueError, match="would be looked up on"):
        lookup.lookup(profiles(), "P1", [])
    with pytest.raises(ValueError, match=r"no real profiles of plates \['P9'\]"):
        lookup.lookup(profiles(), "P1", ["P9"])


def test_the_command_writes_every_test_plate(tmp_path):
    store.write_table(profiles(), tmp_path / "real.parquet")
    settings = json.dumps({"plates": {"P3": ["P1", "P2"], "P1": ["P2"]}})
    lookup.main(["--settings", settings, "--profiles", str(tmp_path / "real.parquet"),
                 "--perturbations", str(tmp_path / "out.parquet")])  # fmt: skip
    found = store.read_table(tmp_path / "out.parquet")
    assert found.groupby("Metadata_Plate").size().to_dict() == {"P1": 3, "P3": 3}
    assert list(found.columns) == list(profiles().columns)
