"""BBBC013, the real dose series of two 8-bit pages a well, from its files to prepared stacks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import tifffile

from brightpaint import store
from brightpaint.plates import tabulate
from conftest import planned, snakemake, write_study

# One replicate of each compound a plate: controls, a middle and a top dose.
PLATES = "plate\trole\tbarcode\twells\nD1\tstudy\tBBBC013\tA01,A06,A11,E06,E11,E12\nD2\tstudy\tBBBC013\tB01,B06,B11,F06,F11,F12\n"
STUDY = {
    "channels": {"input": [], "target": ["GFP", "DNA"]},
    "source": {"layout": "table", "url": "single", "table": "images.csv"},
    "illumination": {"method": "none"},  # six fields are too few to tell light from cells
    "prepare": {"size_px": 320},
    "cellprofiler": {"pipeline": "slim", "parts": 1},
    "folds": [{"name": "A", "test": ["D2"]}],
    "models": [{"name": "pert", "label": "perturbation", "width": 8}, {"name": "mean", "kind": "mean"}],
    "arms": [
        {"name": "pert", "model": "pert", "folds": ["A"], "steps": 3},
        {"name": "mean", "model": "mean", "folds": ["A"]},
    ],
}


def own_wells(path, real_wells) -> None:
    """Write what the README says of the wells under the names of the contract, as a user would."""
    wells = pd.read_csv(real_wells, dtype=str)
    wells["perturbation"] = wells["compound"].where(wells["role"].isin(["dose", "positive_control"]), "DMSO")
    wells["control_type"] = wells["perturbation"].eq("DMSO").map({True: "negcon", False: ""})
    wells.assign(target="PIK3CA", cell_line="U2OS").to_csv(path, index=False)


@pytest.mark.slow
def test_a_real_dose_series_is_prepared_without_brightfield(tmp_path, real_data):
    folder = real_data / "images" / "bbbc013_translocation"
    own_wells(tmp_path / "wells.csv", folder / "wells.csv")
    tabulate.main([str(folder), "--unpack", str(tmp_path / "single"), "--table", str(tmp_path / "images.csv"), "--channels",
                   "GFP", "DNA", "--plate", "BBBC013", "--metadata", str(tmp_path / "wells.csv")])  # fmt: skip
    listed = pd.read_csv(tmp_path / "images.csv", dtype=str, keep_default_na=False)
    assert len(listed) == 192 and set(listed["cell_line"]) == {"U2OS"}
    doses = listed.drop_duplicates("well").set_index("well")["dose_um"].astype(float)
    assert (doses["A03"], doses["A11"], doses["E11"], doses["E12"]) == pytest.approx((0.0009766, 0.25, 80, 0))
    for well in ("A01", "H12"):
        pages = tifffile.imread(folder / "wells" / f"{well}.tif")
        for page, channel in zip(pages, ("GFP", "DNA")):
            assert (store.read_raw(tmp_path / "single" / "BBBC013" / f"{well}_s1_{channel}.tif") == page).all()

    write_study(tmp_path, STUDY, PLATES)
    jobs = planned(snakemake(tmp_path, "-n", "--quiet", "rules").stdout)
    assert jobs["index"] == jobs["fetch"] == jobs["prepare"] == 2 and jobs["train"] == 2
    snakemake(tmp_path, "--cores", "2", "--show-failed-logs", "plates")
    results = tmp_path / "results"
    for plate in ("D1", "D2"):
        fields = store.read_fields(results / "fields" / f"{plate}.parquet")
        stack = store.open_stack(results / "images" / "real" / f"{plate}.tif")
        assert stack.channels == ("GFP", "DNA") and stack.images.shape == (6, 2, 320, 320)
        assert set(fields["Metadata_perturbation"]) == {"DMSO", "wortmannin", "LY294002"}
        shown = stack.select(fields).images[0, 1].astype(np.float64)
        page = tifffile.imread(folder / "wells" / f"{fields.loc[0, 'Metadata_Well']}.tif")[1]
        halved = page.reshape(320, 2, 320, 2).mean((1, 3))
        assert np.corrcoef(shown.ravel(), halved.ravel())[0, 1] > 0.98
