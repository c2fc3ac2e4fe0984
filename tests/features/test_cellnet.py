"""The space of the classifier's activations: each cell has its own, held-out wells alone make medians, a kill loses nothing."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.base.device import pick_device
from brightpaint.features.embedders import cellnet
from brightpaint.models.see_cells import CellReader, read_network
from brightpaint.profiles import median_activations
from brightpaint.scores.profiles import activation_distance
from brightpaint.study.spaces import SPACES
from cells_fixture import learnt

SPACE = SPACES["cellnet"]


def rows_of(crops) -> pd.DataFrame:
    """Return the fields of a plate of crops, and one more of a test well, without cells."""
    table = crops.table([*store.FIELD_KEYS, "Metadata_perturbation", "Metadata_target", "Metadata_control_type"])
    rows = table.drop_duplicates(ignore_index=True)
    return pd.concat([rows, rows.assign(Metadata_Site=2)], ignore_index=True)


def run(folder, plate="P1", wells="held_out"):
    trained = learnt()
    crops = trained / f"{plate}.tif"
    store.write_table(rows_of(store.open_crops(crops)), folder / "rows.parquet")
    words = [
        "--settings",
        json.dumps({"wells": wells}),
        "--device",
        "cpu",
        "--weights",
        trained / "weights.safetensors",
    ]
    words += ["--split", trained / "weights.tsv", "--crops", crops, "--rows", folder / "rows.parquet"]
    words += ["--cells", folder / "cells.parquet", "--medians", folder / f"{plate}.parquet"]
    cellnet.main([str(word) for word in words])
    return store.read_table(folder / "cells.parquet"), folder / f"{plate}.parquet"


def test_cells_have_their_activations_and_held_out_wells_their_medians(tmp_path):
    cells, path = run(tmp_path)
    medians = median_activations.read(path, SPACE)
    names = median_activations.numbers_of(list(medians.columns), SPACE)
    trained = learnt()
    reader = CellReader([trained / "P1.tif"], read_network(trained / "weights.safetensors", pick_device("cpu")))
    assert len(names) == 32 and len(cells) == 96
    np.testing.assert_array_equal(cells[names].to_numpy(), reader.activations(range(96)))
    one = reader.activations([7])  # whatever stands beside a cell in its batch
    np.testing.assert_allclose(one[0], cells.loc[7, names].to_numpy(np.float32), atol=1e-6)
    split = store.read_table(trained / "weights.tsv")
    tested = split.query("role == 'test' and plate == 'P1'")["group"]
    assert sorted(medians["Metadata_Well"].unique()) == sorted(tested.str[3:]) and len(medians) == 2 * len(tested)
    assert (
        cells.groupby("group")[cellnet.ROLE].first() == split.set_index("group").loc[cells["group"].unique(), "role"]
    ).all()
    well = medians.query("Metadata_Site == 1").iloc[0]
    own = cells[cells["Metadata_Well"] == well["Metadata_Well"]]
    np.testing.assert_allclose(well[names].astype(float), own[names].median(), rtol=1e-6)
    empty = medians.query("Metadata_Site == 2")
    assert (empty["Metadata_cells"] == 0).all() and empty[names].isna().all(axis=None) and well["Metadata_cells"] == 12
    every = store.read_table(run(tmp_path, wells="all")[1])
    assert len(every) == 16


def test_a_killed_job_goes_on_to_the_same_bytes(tmp_path, monkeypatch):
    (tmp_path / "whole").mkdir()
    whole = run(tmp_path / "whole")[1].read_bytes()
    seen, activations = [], CellReader.activations

    def stopping(reader, rows):
        seen.append(len(rows))
        if len(seen) == 2:
            raise KeyboardInterrupt
        return activations(reader, rows)

    monkeypatch.setattr(CellReader, "activations", stopping)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    assert run(tmp_path)[1].read_bytes() == whole
    assert seen == [64, 32, 32] and not list(tmp_path.glob("cells.tif*"))
    assert (tmp_path / "cells.parquet").read_bytes() == (tmp_path / "whole" / "cells.parquet").read_bytes()


def test_profiles_and_distances_take_fields_that_have_cells(tmp_path):
    first, second = (median_activations.read(run(tmp_path, plate, "all")[1], SPACE) for plate in ("P1", "P2"))
    wells, perturbations = median_activations.profiles([first, second], normalise="plate")
    names = median_activations.numbers_of(list(wells.columns), SPACE)
    assert wells["Metadata_cells"].eq(12).all() and wells["Metadata_fields"].eq(2).all() and len(wells) == 16
    assert np.isfinite(wells[names].to_numpy()).all() and len(perturbations) == 4
    painted = first.copy()
    painted.loc[painted["Metadata_Well"] == "A01", ["Metadata_cells", *names]] = [0, *[np.nan] * len(names)]
    rows = list(activation_distance.plate_rows("P1", "pert", first, painted, [second], None, None, SPACE))
    values = {row["metric"]: row for row in rows}
    assert values["embedding_distance"]["value"] == 0 and values["embedding_distance"]["n"] == 7
    assert values["embedding_distance"]["space"] == SPACE.name and values["embedding_distance"]["null"] > 0
    nothing = painted.assign(Metadata_cells=0)
    assert list(activation_distance.plate_rows("P1", "pert", first, nothing, [second], None, None, SPACE)) == []


def test_a_field_with_cells_and_no_number_is_refused(tmp_path):
    path = run(tmp_path)[1]
    table = store.read_table(path)
    store.write_table(table.assign(CellNet_003=np.nan), path)
    with pytest.raises(ValueError, match=r"P1.parquet: CellNet_003 is not finite .*; delete it and rerun cellnet"):
        median_activations.read(path, SPACE)
    store.write_table(table.drop(columns="Metadata_cells"), path)
    with pytest.raises(ValueError, match="expected the columns CellNet_\\* and counts of cells in Metadata_cells"):
        median_activations.read(path, SPACE)
