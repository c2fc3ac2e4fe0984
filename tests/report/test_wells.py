"""The list of wells not to trust: each reason alone, none where nothing is wrong, and what a plate without stains allows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.report.tables import wells

NAMES = [f"{row}{column:02d}" for row in "AB" for column in range(1, 7)]
NO_FLAGS = pd.DataFrame(
    columns=["Metadata_Plate", "Metadata_Well", "Metadata_Site", "Channel", "flag", "detail", "excluded"]
)


def plate(names=NAMES) -> pd.DataFrame:
    keys = {"Metadata_Plate": "P", "Metadata_Well": names, "Metadata_Site": 1, "Metadata_Tile": 1}
    return pd.DataFrame(keys).assign(Metadata_perturbation=[f"c{n}" for n in range(len(names))])


def scored(**changes) -> pd.DataFrame:
    """Two channels a field, all alike but for a little noise; `changes` are {measure: {well: value}}."""
    rng = np.random.default_rng(0)
    fields = plate()
    rows = fields.loc[fields.index.repeat(2)].reset_index(drop=True).assign(Channel=["DNA", "ER"] * len(fields))
    usual = {"pcc": 0.8, "pcc_brightfield": 0.3, "pcc_brightfield_sd": 0.5, "nuclei_f1": 0.9, "uncertainty": 0.1}
    for name, value in usual.items():
        rows[name] = value + 0.005 * rng.normal(size=len(rows))
        for well, other in changes.get(name, {}).items():
            rows.loc[rows["Metadata_Well"] == well, name] = other
    return rows


def listed(scores, counts=None, flags=NO_FLAGS) -> dict[str, str]:
    table = wells.arm_table("pert", plate(), scores, counts, flags)
    return {row["well"]: row["reasons"] for _, row in table.iterrows() if row["reasons"]}


def flag(well, name, channel, excluded=0, site=1):
    return {"Metadata_Plate": "P", "Metadata_Well": well, "Metadata_Site": site, "Channel": channel, "flag": name,
            "detail": "", "excluded": excluded}  # fmt: skip


def counts(**painted) -> pd.DataFrame:
    real = pd.Series(20.0, index=pd.Index(NAMES, name="Metadata_Well"))
    return pd.DataFrame({"cells_real": real, "cells_painted": real.add(pd.Series(painted), fill_value=0)})


def test_a_plate_with_nothing_wrong_lists_no_well():
    assert listed(scored(), counts()) == {}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"pcc": {"B02": 0.6}}, "PCC 0.60, median well 0.80"),
        ({"nuclei_f1": {"B02": 0.5}}, "nuclei F1 0.50, median well 0.90"),
        ({"uncertainty": {"B02": 0.3}}, "uncertainty 0.30, median well 0.10"),
        ({"pcc_brightfield_sd": {"B02": 0.85}}, "PCC 0.80, brightfield itself 0.85"),
    ],
)
def test_each_measure_lists_its_well_and_no_other(changes, reason):
    assert listed(scored(**changes)) == {"B02": reason}


def test_a_measure_that_is_better_than_usual_is_no_reason():
    assert listed(scored(pcc={"A01": 0.99}, nuclei_f1={"A01": 1.0}, uncertainty={"A01": 0.01})) == {}


def test_counts_that_part_and_wells_of_few_cells():
    found = counts(A02=9, A03=5)
    assert listed(scored(), found) == {"A02": "29 cells painted, 20 real"}
    found.loc["A04"] = 5.0
    assert listed(scored(), found)["A04"] == "few cells: 5, median well 20"


def test_flags_are_said_with_their_channels_and_what_was_left_out():
    rows = [flag("A01", "blurred", "ER"), flag("A01", "blurred", "DNA"), flag("A01", "blank", "AGP", 1, site=2)]
    rows += [flag("C01", "noise", "DNA", 1, site) for site in (1, 2)]
    flags = pd.DataFrame(rows)
    assert listed(scored(), None, flags) == {"A01": "flag: blurred (DNA, ER); 1 field left out: blank (AGP)"}
    assert wells.lost_wells(flags, plate()) == {"C01": "2 fields left out: noise (DNA)"}


def test_wells_with_most_reasons_stand_first():
    scores = scored(pcc={"A05": 0.6, "B06": 0.55}, nuclei_f1={"A05": 0.2})
    table = wells.arm_table("pert", plate(), scores, None, NO_FLAGS)
    assert (
        list(table["well"][:2]) == ["A05", "B06"] and len(table) == 12 and table["pcc"].iloc[2:].is_monotonic_increasing
    )


def test_a_well_that_the_plate_does_not_have_is_an_error():
    with pytest.raises(ValueError, match="arm pert: well Z99 was scored but is not in the field table; rerun score"):
        wells.arm_table("pert", plate(), scored().replace("A01", "Z99"), None, NO_FLAGS)


def run(folder, *words):
    out = [folder / "wells.html", folder / "wells.tsv"]
    wells.main([str(word) for word in
                ["--plate", "P", "--fields", folder / "fields.parquet", "--flags", folder / "flags.tsv", *words,
                 "--html", out[0], "--tsv", out[1]]])  # fmt: skip
    return out[0].read_text(), store.read_table(out[1])


def test_the_command_writes_a_page_and_every_well(tmp_path):
    store.write_table(plate(), tmp_path / "fields.parquet")
    store.write_table(pd.DataFrame([flag("A01", "blurred", "ER")]), tmp_path / "flags.tsv")
    other = scored().assign(Metadata_Plate="Q", pcc=0.1)
    store.write_table(pd.concat([scored(pcc={"B02": 0.5}), other]), tmp_path / "pert.fields.parquet")
    for arm, cells in (("real", 20), ("pert", 21)):
        (tmp_path / arm).mkdir()
        store.write_table(plate().assign(Metadata_cells=cells), tmp_path / arm / "P.parquet")
    page, table = run(tmp_path, "--arms", "pert", "--scores", tmp_path / "pert.fields.parquet",
                      "--medians", tmp_path / "real" / "P.parquet", tmp_path / "pert" / "P.parquet")  # fmt: skip
    assert "2 of 12 wells have a reason not to be trusted" in page and "PCC 0.50, median well 0.80" in page
    assert len(table) == 12 and set(table["cells_painted"].astype(float)) == {21.0}
    assert (table["reasons"] != "").sum() == 2


def test_a_plate_without_stains_is_judged_by_flags_and_uncertainty(tmp_path):
    store.write_table(plate(), tmp_path / "fields.parquet")
    store.write_table(NO_FLAGS, tmp_path / "flags.tsv")
    (tmp_path / "pert").mkdir()
    with store.StackWriter(tmp_path / "pert" / "P.tif", (12, 2, 8, 8), ["DNA", "ER"], key="x") as writer:
        for n in range(12):
            writer.write(n, np.full((2, 8, 8), 0.8 if n == 7 else 0.3 + 0.001 * n))
    store.write_table(plate(), tmp_path / "pert" / "P.parquet")
    page, table = run(tmp_path, "--arms", "pert", "plain", "--uncertainty", tmp_path / "pert" / "P.tif")
    assert "uncertainty 0.64, median well 0.09" in page and "no real stains" in page
    assert "1 of 12 wells" in page and "0 of 12 wells" in page and page.count("flags are all that is known") == 1
    assert table.loc[table["reasons"] != "", "well"].tolist() == ["B02"]
