"""Mol2Image's kinds of numbers: which columns they are, zeros without cells, and correlations over treatments by the naive sum."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.models.hold_out import hold_out
from brightpaint.scores.generation import generation, panel
from brightpaint.scores.generation.gains import COLUMNS
from brightpaint.scores.generation.plate_answers import Said

NUMBERS = ["Cells_AreaShape_Area", "Nuclei_AreaShape_Zernike_1_1", "Cells_Intensity_MeanIntensity_DNA"]


def said(truth, model, names=("a", "b", "c", "d"), split="seen"):
    tested = pd.DataFrame({"split": split, "group": list(names)})
    return Said(tested, np.array(truth, float), {"model": np.array(model, float)}, np.arange(4), None, None)


def test_the_kinds_are_those_of_the_published_project():
    columns = [*NUMBERS, "Nuclei_AreaShape_Area", "Cells_AreaShape_Zernike_9_9", "Cytoplasm_AreaShape_Zernike_0_0",
               "Nuclei_Intensity_MeanIntensity_DNA", "Cells_Intensity_MeanIntensityEdge_DNA"]  # fmt: skip
    frame = panel.with_field_numbers(pd.DataFrame(1.0, index=[0], columns=["Metadata_cells", *columns]))
    assert panel.numbers_of(frame) == {
        "count": ["count"], "coverage": ["coverage"], "cell_size": ["Cells_AreaShape_Area"],
        "zernike": ["Nuclei_AreaShape_Zernike_1_1", "Cells_AreaShape_Zernike_9_9"],
        "expression": ["Cells_Intensity_MeanIntensity_DNA"],
    }  # fmt: skip
    assert [list(part) for part in panel.kinds_apart(frame)] == [
        ["count", "coverage"],
        ["cell_size", "zernike", "expression"],
    ]


def test_a_field_without_cells_counts_and_covers_nothing_and_has_no_cell():
    frame = pd.DataFrame({"Metadata_cells": [4, 0], "Cells_AreaShape_Area": [10.0, np.nan]})
    found = panel.with_field_numbers(frame)
    assert found["count"].tolist() == [4, 0] and found["coverage"].tolist() == [40.0, 0.0]
    other = pd.DataFrame({"DINO_1": [0.0]})
    assert panel.with_field_numbers(other) is other and panel.kinds_apart(other) == []


def test_a_kind_s_correlation_is_the_mean_over_its_numbers_of_pearson_s_over_treatments():
    rng = np.random.default_rng(0)
    truth, model = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    kinds = {"zernike": ["z1", "z2"], "cell_size": ["area"], "expression": ["gone"]}
    found = panel.correlations(
        [said(truth[:2], model[:2], "ab"), said(truth[2:], model[2:], "cd")], kinds, ["z1", "area", "z2"]
    )
    assert list(found.columns) == COLUMNS and found["metric"].tolist() == [
        "zernike_correlation",
        "cell_size_correlation",
    ]
    naive = [np.corrcoef(truth[:, place], model[:, place])[0, 1] for place in range(3)]
    np.testing.assert_allclose(found["value"], [np.mean([naive[0], naive[2]]), naive[1]])
    assert panel.correlations([said(truth, model)], {"count": ["gone"]}, ["z1"]).empty


@pytest.fixture
def measured(tmp_path):
    """Field medians of three plates and of what was painted of the third: counts as they are, sizes the wrong way about."""
    rng, drugs = np.random.default_rng(3), [f"cpd{number}" for number in range(6)]
    count = dict(zip(drugs, [5, 9, 14, 20, 30, 0])) | {"DMSO": 12}
    size = {name: 50.0 + 7 * number for number, name in enumerate([*drugs, "DMSO"])}

    def table(plate, sign=1.0, draw=False):
        rows = []
        for number, drug in enumerate([*drugs, "DMSO", "DMSO"]):
            for site in range(1, 4):
                cells = count[drug]
                values = (
                    [size["DMSO"] + sign * (size[drug] - size["DMSO"]), number, rng.normal()] if cells else [np.nan] * 3
                )
                rows.append({"Metadata_Plate": plate, "Metadata_Well": f"A{number + 1:02d}", "Metadata_Site": site,
                             "Metadata_Tile": 1,
                             "Metadata_perturbation": drug, "Metadata_dose": np.nan, "Metadata_treatment": drug,
                             "Metadata_cell_line": "", "Metadata_target": "", "Metadata_control_type": "",
                             "Metadata_time_h": np.nan, "Metadata_cells": cells, **dict(zip(NUMBERS, values))})  # fmt: skip
        frame = pd.DataFrame(rows)
        return frame.assign(Metadata_painted_as="", Metadata_draw=0) if draw else frame

    real = {plate: table(plate) for plate in ("P1", "P2", "P3")}
    for folder, tables in (("real", real), ("made", {"P3": table("P3", -1.0, draw=True)})):
        (tmp_path / folder).mkdir()
        for plate, frame in tables.items():
            store.write_table(frame, tmp_path / folder / f"{plate}.parquet")
    training = pd.concat([real["P1"], real["P2"]], ignore_index=True)
    store.write_table(store.as_text(hold_out(training, real["P3"], 0)), tmp_path / "A.tsv")
    return tmp_path


def test_the_command_writes_a_row_a_kind_where_cells_are_measured(measured):
    settings = {"training": {"P3": ["P1", "P2"]}, "by": {"P3": ""}, "molecules": False}
    words = ["--settings", json.dumps(settings), "--space", "cellprofiler", "--arm", "made", "--plates", "P3"]
    words += ["--painted", measured / "made" / "P3.parquet", "--held-out", measured / "A.tsv", "--real"]
    words += [measured / "real" / f"{plate}.parquet" for plate in ("P1", "P2", "P3")]
    words += ["--table", measured / "found.tsv", "--treatments", measured / "each.tsv"]
    generation.main([str(word) for word in words])
    found = store.read_table(measured / "found.tsv")
    own = found[found["baseline"] == "model"].set_index("metric")
    assert own.loc["count_correlation", "value"] == pytest.approx(1) and own.loc["count_correlation", "treatments"] == 6
    assert (
        own.loc["cell_size_correlation", "value"] == pytest.approx(-1)
        and own.loc["cell_size_correlation", "treatments"] == 5
    )
    assert own.loc["zernike_correlation", "value"] == pytest.approx(1)
    assert {"coverage_correlation", "expression_correlation"} <= set(own.index)
    assert found.set_index(["metric", "baseline"]).loc[
        ("count_correlation", "real replicate"), "value"
    ] == pytest.approx(1)
