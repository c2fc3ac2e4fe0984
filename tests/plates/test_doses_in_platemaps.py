"""Doses, structures, cell lines and times: read from platemaps, compound tables, one's own CSV and the plate table."""

from __future__ import annotations

import gzip
import re

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.plates import compounds, flag, index, molarity, own_table, platemaps
from brightpaint.study.annotations import ANNOTATIONS
from conftest import TINY_PLATES, snakemake, write_study
from plates_fixture import PLATEMAPS, index_settings, raw_image, write_gallery

NOTHING = compounds.merge_compounds({}, set())


def annotated(cells: dict, known=NOTHING, **options) -> pd.DataFrame:
    """Annotate a platemap of A01, A02, ... given by its columns."""
    first = next(iter(cells.values()))
    frame = pd.DataFrame({"well_position": [f"A{n:02d}" for n in range(1, len(first) + 1)], **cells}, dtype=str)
    return platemaps.annotate_wells(frame, known, "map.txt", **options)


# --- doses ---


@pytest.mark.parametrize(
    ("column", "text", "dose"),
    [
        ("mmoles_per_liter", "9.99999999999999999", 10.0),
        ("Metadata_mmoles_per_liter2", "5", 5.0),
        ("dose_uM", "1e-3", 0.001),
        ("Metadata_dose_um", "0.37", 0.37),
        ("concentration_nM", "250", 0.25),
        ("Conc (mM)", "0.08", 80.0),
        ("dose_micromolar", "3", 3.0),
    ],
)
def test_a_column_that_says_its_unit_is_read_as_micromolar(column, text, dose):
    wells = annotated({"broad_sample": ["S1", ""], column: [text, "7"]})
    np.testing.assert_allclose(wells["Metadata_dose"], [dose, np.nan])
    assert wells["Metadata_treatment"].tolist() == [
        f"S1@{dose:.3g}uM",
        "DMSO",
    ]  # DMSO has no dose, whatever its cell says


def test_a_platemap_without_doses_is_as_it_was():
    wells = annotated({"broad_sample": ["S1", "", "S2"], "mg_per_ml": ["7.7", "", "9"], "dose": ["", "4", ""]})
    assert wells["Metadata_dose"].isna().all() and wells["Metadata_treatment"].tolist() == ["S1", "DMSO", "S2"]
    assert list(wells) == ["Metadata_Well", *ANNOTATIONS]


def test_the_gallerys_own_column_comes_before_its_rounded_copy_and_one_of_no_unit():
    cells = {"broad_sample": ["S1"], "mmoles_per_liter2": ["5"], "mmoles_per_liter": ["4.77"], "dose": ["6"]}
    assert annotated(cells)["Metadata_dose"].tolist() == [4.77]


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        (
            {"dose": ["3"]},
            {},
            "map.txt: the column dose holds doses of no known unit; set source.dose_unit to uM, nM or mM",
        ),
        ({"dose": ["3"], "conc": ["3"]}, {"dose_unit": "uM"}, "the column dose and conc .* and keep one of them"),
        ({"dose_uM": ["3"], "conc_nM": ["9"]}, {}, "map.txt: expected one column of doses, found dose_uM, conc_nM"),
        (
            {"mmoles_per_liter": ["3 uM"]},
            {},
            "map.txt, well A01, mmoles_per_liter: expected a dose above 0, found '3 uM'",
        ),
        ({"dose_uM": ["0,37"]}, {}, "map.txt, well A01, dose_uM: expected a dose above 0, found '0,37'"),
        ({"dose_uM": ["0"]}, {}, "found '0'; correct the number, leave its cell empty .* or name the well DMSO"),
        ({"dose_uM": ["-1"]}, {}, "found '-1'"),
        ({"dose_uM": ["inf"]}, {}, "found 'inf'"),
        ({"time_h": ["two"]}, {}, "map.txt, well A01, time_h: expected hours, such as 48, found 'two'"),
    ],
)
def test_a_dose_that_is_none_is_refused_with_its_well_and_text(columns, options, message):
    with pytest.raises(ValueError, match=message):
        annotated({"broad_sample": ["S1"], **columns}, **options)


def test_the_unit_of_a_column_that_does_not_say_it_is_set_in_the_config():
    wells = annotated({"broad_sample": ["S1", "S2"], "dose": ["250", ""]}, dose_unit="nM")
    np.testing.assert_array_equal(wells["Metadata_dose"], [0.25, np.nan])
    assert [molarity.is_dose(name) for name in ("dose", "Conc", "pert_dose", "dosed_by", "mg_per_ml", "cells")] == [
        True, True, True, False, False, False,
    ]  # fmt: skip


def test_the_real_dose_platemap_has_338_treatments_of_58_compounds(real_data):
    path = real_data / "metadata" / "lincs_platemaps" / "C-7161-01-LM6-017.txt"
    wells = platemaps.annotate_wells(platemaps.read_text_table(path.read_bytes(), path.name), NOTHING, path.name)
    treated = wells[wells["Metadata_perturbation"] != "DMSO"]
    assert len(wells) == 384 and len(treated) == 360 and treated["Metadata_dose"].notna().all()
    assert treated["Metadata_perturbation"].nunique() == 58 and treated["Metadata_treatment"].nunique() == 338
    assert wells.loc[wells["Metadata_perturbation"] == "DMSO", "Metadata_dose"].isna().all()
    assert 0.01 < treated["Metadata_dose"].min() and treated["Metadata_dose"].max() < 20.1


# --- structures ---


def test_a_compound_tables_structures_lose_what_follows_the_first_blank():
    frame = pd.DataFrame(
        {"broad_sample": ["S1", "S1", "S2"], "target": ["A", "B", ""], "SMILES": ["CCO |t:16|", "CCO", ""],
         "InChIKey": ["LFQSCWFLJHTTHZ-UHFFFAOYSA-N", "", ""]}
    )  # fmt: skip
    table = compounds.compound_table(frame, "c.tsv").set_index("broad_sample")
    assert table["smiles"].tolist() == ["CCO", ""] and table.loc["S1", "inchikey"].startswith("LFQSCWFLJHTTHZ")
    wells = annotated({"broad_sample": ["S1", "S2", ""]}, compounds.compound_table(frame, "c.tsv"))
    assert wells["Metadata_smiles"].tolist() == ["CCO", "", ""]
    with pytest.raises(ValueError, match="c.tsv: S1 has the structures CCN, CCO; keep one"):
        compounds.compound_table(frame.assign(SMILES=["CCO", "CCN", ""]), "c.tsv")


def test_where_the_gallerys_files_draw_a_molecule_differently_the_first_stands():
    tables = {
        name: compounds.compound_table(
            pd.DataFrame({"broad_sample": ["S1"], "target": ["A"], "smiles": [smiles]}), name
        )
        for name, smiles in {"a": "", "b": "OCC", "c": "CCO"}.items()
    }
    assert compounds.merge_compounds(tables, {"S1"})["smiles"].tolist() == ["OCC"]


def test_molecules_are_found_by_sample_then_compound_then_inchikey():
    molecules = compounds.molecule_table(
        pd.DataFrame({
            "broad_id": ["BRD-K00000001-001-01-1", "BRD-K00000001-001-02-2", "BRD-K00000001-001-03-3", "BRD-A00000009-1-1-1", "x"],
            "smiles": ["C", "CC |t:1|", "CC", "CCC", ""],
            "InChIKey": ["A" * 14 + "-1", "", "", "B" * 14 + "-UHFF-N", ""],
        }), "m.tsv",
    )  # fmt: skip
    known = compounds.compound_table(
        pd.DataFrame({"broad_sample": ["other"], "target": [""], "InChIKey14": ["B" * 14]}), "c.tsv"
    )
    samples = {"BRD-K00000001-001-01-1", "BRD-K00000001-300-09-9", "other", "x", "BRD-K00000002-001-01-1"}
    assert compounds.structures(samples, known, molecules) == {
        "BRD-K00000001-001-01-1": "C", "BRD-K00000001-300-09-9": "CC", "other": "CCC",
    }  # fmt: skip
    with pytest.raises(ValueError, match="m.tsv: expected the columns broad_sample .or broad_id. and smiles, found a"):
        compounds.molecule_table(pd.DataFrame({"a": ["x"]}), "m.tsv")
    with pytest.raises(ValueError, match="m.tsv: no sample has a SMILES"):
        compounds.molecule_table(pd.DataFrame({"broad_id": ["x"], "smiles": [""]}), "m.tsv")


def test_the_real_molecules_are_joined_as_their_readme_says(real_data):
    """Of the 58 samples of the profiles 45 are found by the compound's part of their names, 55 with InChIKeys."""
    folder = real_data / "profiles" / "lincs_dose"
    moa, drawn = "repurposing_info_external_moa_map_resolved.tsv", "repurposing_info_smiles.tsv.gz"
    wells = pd.read_csv(folder / "SQ00015054_normalized_feature_select.csv.gz", usecols=["Metadata_broad_sample"])
    samples = set(wells["Metadata_broad_sample"]) - {"DMSO"}
    known = own_table.own_compounds(str(folder / moa))
    found = own_table.own_structures({"molecules": str(folder / drawn)}, samples, known)
    assert len(samples) == 58 and len(found) == 55
    assert len(own_table.own_structures({"molecules": str(folder / drawn)}, samples, known.assign(inchikey=""))) == 45
    assert not any(" " in smiles or smiles == "" for smiles in found.values())


# --- the index, in both layouts ---


def test_a_plate_of_the_gallery_carries_them_and_says_which_file_is_wrong(tmp_path):
    mirror = write_gallery(tmp_path / "mirror", sites=1)
    path = mirror / PLATEMAPS / "platemap" / "map1.txt"
    platemap = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    platemap.assign(mmoles_per_liter=["1.11", "3.33", "0", ""]).to_csv(path, sep="\t", index=False)
    with gzip.open(tmp_path / "m.tsv.gz", "wt") as handle:
        handle.write("broad_sample\tsmiles\nBRD-1\tCCO |t:1|\n")
    table, _ = index.index_plate(index_settings(mirror, molecules=str(tmp_path / "m.tsv.gz")))
    wells = table.drop_duplicates("Metadata_Well").set_index("Metadata_Well")
    assert wells["Metadata_treatment"].to_dict() == {
        "A01": "BRD-1@1.11uM", "A02": "BRD-2@3.33uM", "B01": "DMSO", "B02": "BRD-3",
    }  # fmt: skip
    assert wells["Metadata_smiles"].tolist() == ["CCO", "", "", ""]
    assert table["Metadata_dose"].dtype == table["Metadata_time_h"].dtype == np.float64
    platemap.assign(mmoles_per_liter=["1.11", "ten", "0", ""]).to_csv(path, sep="\t", index=False)
    with pytest.raises(ValueError, match=r"map1.txt .plate P1., well A02, mmoles_per_liter: .* found 'ten'"):
        index.index_plate(index_settings(mirror))
    (tmp_path / "m.tsv.gz").write_bytes(b"broken")
    platemap.to_csv(path, sep="\t", index=False)
    with pytest.raises(ValueError, match="source.molecules: .*m.tsv.gz is not a gzip file"):
        index.index_plate(index_settings(mirror, molecules=str(tmp_path / "m.tsv.gz")))


@pytest.fixture
def own(tmp_path):
    """One's own CSV of three wells of one drug in two doses, and DMSO."""
    rows = []
    told = {"A1": ("drug", "1", "CCO", "48"), "A2": ("drug", "10", "", "48"), "A3": ("DMSO", "", "", "48")}
    for well, said in told.items():
        store.write_raw(tmp_path / f"{well}.tiff", raw_image(well))
        rows.append(["mine", well, 1, "DNA", f"{well}.tiff", *said])
    names = [*own_table.TABLE_COLUMNS, "perturbation", "dose_um", "smiles", "time_h"]
    return tmp_path, pd.DataFrame(rows, columns=names)


def listed(folder, frame):
    store.write_table(frame, folder / "images.csv")
    plate, table = {"plate": "mine", "role": "study"}, {"layout": "table", "table": str(folder / "images.csv")}
    return index.index_plate(index_settings(folder, ["DNA"], plate, **table))[0].set_index("Metadata_Well")


def test_ones_own_csv_says_dose_structure_cell_line_and_time(own):
    folder, frame = own
    wells = listed(folder, frame.assign(cell_line="U2OS"))
    assert wells["Metadata_treatment"].tolist() == ["drug@1uM", "drug@10uM", "DMSO"]
    assert wells["Metadata_smiles"].tolist() == ["CCO", "CCO", ""]  # a compound has one structure
    assert (wells["Metadata_cell_line"] == "U2OS").all() and (wells["Metadata_time_h"] == 48).all()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("dose_um", "dose", "the column dose holds doses of no known unit; set source.dose_unit to uM, nM or mM"),
        ("dose_um", "does_um", "unknown column does_um; did you mean dose_um?"),
        ("smiles", "SMILE", "unknown column SMILE; did you mean smiles?"),
        ("time_h", "time", "unknown column time; did you mean time_h?"),
        ("time_h", "cell_lin", "unknown column cell_lin; did you mean cell_line?"),
    ],
)
def test_a_column_that_is_nearly_right_is_told(own, old, new, message):
    folder, frame = own
    with pytest.raises(ValueError, match=re.escape(message)):
        listed(folder, frame.rename(columns={old: new}))


def test_one_well_in_two_doses_and_one_drug_of_two_structures_are_refused(own):
    folder, frame = own
    with pytest.raises(ValueError, match="images.csv: drug has the structures CCN, CCO; keep one"):
        listed(folder, frame.assign(smiles=["CCO", "CCN", ""]))
    twice = pd.concat([frame, frame.iloc[:1].assign(site=2, file="A2.tiff", dose_um="3")])
    with pytest.raises(ValueError, match="the rows of well A01 disagree on .*dose_um"):
        listed(folder, twice)


# --- the plate table ---


def test_the_plate_tables_cell_line_and_time_go_into_the_fields():
    fields = pd.DataFrame({"Metadata_Plate": "P", "Metadata_Well": ["A01"], "Metadata_Site": 1, "Metadata_Tile": 1,
                           "Metadata_cell_line": "", "Metadata_time_h": np.nan})  # fmt: skip
    cells = {"cell_line": "A549", "time_h": "48"}
    for frame in (fields, fields[fields.columns[:4]]):  # prepared now, or by an older version
        row = flag.with_cells(frame, cells).iloc[0]
        assert row["Metadata_cell_line"] == "A549" and row["Metadata_time_h"] == 48.0
    assert flag.with_cells(fields, {}) is fields
    assert len(flag.with_cells(fields.assign(Metadata_cell_line="A549", Metadata_time_h=48.0), cells)) == 1
    with pytest.raises(
        ValueError, match="plate P, well A01.*the plate table says cell_line A549, the table of images U2OS"
    ):
        flag.with_cells(fields.assign(Metadata_cell_line="U2OS"), cells)


@pytest.mark.slow
def test_a_plate_tables_cell_line_changes_the_command_of_flag_alone(tmp_path):
    """Nothing that reads or makes an image changes, and a study by treatment differs in profiles and actives alone."""
    header, *rows = TINY_PLATES.strip().splitlines()
    lines = "\n".join([f"{header}\tcell_line\ttime_h", *(f"{row}\tA549\t48" for row in rows)]) + "\n"
    images = {"layout": "gallery", "url": str(tmp_path)}  # a simulated plate of another cell line is another plate

    def commands(name: str, changes: dict, plates: str = TINY_PLATES) -> set[str]:
        folder = write_study(tmp_path / name, {"source": images, **changes}, plates)
        said = snakemake(folder, "-n", "-p").stdout
        return set(re.findall(r"Shell command: (python -m brightpaint.*)", said))

    plain, cells, doses = commands("a", {}), commands("b", {}, lines), commands("c", {"unit": "treatment"})
    assert len(plain) > 20
    assert {line.split()[2] for line in plain ^ cells} == {"brightpaint.plates.flag"}
    assert all('"cells": {"cell_line": "A549", "time_h": "48"}' in line for line in cells - plain)
    assert {line.split()[2].split(".")[-1] for line in plain ^ doses} == {"profile", "active", "metrics_table"}
    assert not any('"unit"' in line or "molecules" in line or "dose" in line for line in plain)
