"""What the user says of the wells: joined by key, doses in micromolar where the unit is said, and nothing guessed."""

from __future__ import annotations

import pandas as pd
import pytest

from brightpaint.plates import well_table

IMAGES = pd.DataFrame(
    {"plate": "P", "well": ["A01", "A01", "B12"], "site": [1, 2, 1], "channel": "DNA", "file": list("abc")}
)


def read(folder, text: str):
    path = folder / "wells.csv"
    path.write_text(text)
    return well_table.read_wells(str(path))


def joined(folder, text: str, images=IMAGES):
    return well_table.join(images, read(folder, text), "wells.csv")


def test_every_column_of_the_contract_is_joined_by_well_and_others_are_not(tmp_path):
    found = joined(
        tmp_path,
        "well,perturbation,target,control_type,dose_um,smiles,cell_line,time_h,note\n"
        "a1,drug,T1,,0.10,CCO,U2OS,48,x\nB12,DMSO,,negcon,,,HeLa,,y\nC03,not imaged,,,,,,,\n",
    )
    assert list(found.columns) == [*IMAGES.columns, *well_table.ABOUT]
    assert found.iloc[1, 5:].tolist() == ["drug", "T1", "", "0.10", "CCO", "U2OS", "48"]
    assert found.iloc[2, 5:].tolist() == ["DMSO", "", "negcon", "", "", "HeLa", ""]


@pytest.mark.parametrize(
    ("dose", "unit", "expected"),
    [("0.9766", "nM", "0.0009766"), ("250", "nm", "0.25"), ("10", "uM", "10"), ("3", "µM", "3"), ("3", "μM", "3"),
     ("1.5", "mM", "1500"), ("2e-6", "M", "2"), ("0.0", "nM", "0"), ("", "", ""), ("1e3", "pM", "0.001")],
)  # fmt: skip
def test_a_dose_is_brought_to_micromolar_where_its_unit_is_said(tmp_path, dose, unit, expected):
    assert read(tmp_path, f"well,dose,unit\nA01,{dose},{unit}\n")["dose_um"].tolist() == [expected]


@pytest.mark.parametrize(
    ("header", "cells", "expected"),
    [
        ("Well,Compound,Concentration (nM),MoA", "a1,taxol,250,tubulin", ["A01", "taxol", "tubulin", "0.25"]),
        ("well,treatment,Concentration,units", "A01,taxol,3,mM", ["A01", "taxol", "3000"]),
        ("Metadata_Well,perturbation,SMILES,note", "A01,taxol,CCO,x", ["A01", "taxol", "CCO"]),
    ],
)
def test_columns_under_their_usual_names_are_taken(tmp_path, header, cells, expected):
    assert read(tmp_path, f"{header}\n{cells}\n").iloc[0].tolist() == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("well,dose\nA01,1\n", "found dose, of which no column says the unit"),
        ("well,dose,dose_um,unit\nA01,1,1,uM\n", "found dose and dose_um"),
        ("well,dose,unit\nA01,1,ng/ml\n", "well A01: expected a unit such as nM, uM or mM, found 'ng/ml'"),
        ("well,dose,unit\nA01,1,\n", "well A01: expected a unit .* found ''"),
        ("well,dose,unit\nA01,high,nM\n", "well A01, dose: expected a number of 0 or more, or nothing, found 'high'"),
        ("well,dose_um\nA01,-1\n", "well A01, dose_um: expected a number of 0 or more"),
        ("well,time_h\nA01,inf\n", "well A01, time_h: expected a number"),
        ("well,conpund_no\nA01,x\n", "expected a column of perturbation, target, .* found well, conpund_no; rename"),
        ("well,compound,treatment\nA01,x,y\n", "row 1: compound 'x' and treatment 'y' differ"),
        ("well,dose_nM,dose_um\nA01,1,1\n", "expected one column of doses, found dose_nM, dose_um"),
        (
            "well,concentration_nM\nA01,much\n",
            "concentration_nM: expected a number of 0 or more, or nothing, found 'much'",
        ),
        ("perturbation\nx\n", "expected the columns well"),
        ("well,perturbation\nQQ,x\n", "expected a well such as A01, found 'QQ'"),
        ("file,well\na.tif,A01\na.tif,A02\n", "a.tif is named for the wells A01, A02; keep one"),
    ],
)
def test_what_is_not_clear_is_refused(tmp_path, text, message):
    with pytest.raises(ValueError, match=f"wells.csv.*{message}"):
        well_table.of_files(read(tmp_path, text), "wells.csv")


def test_an_image_of_a_well_that_is_not_in_the_table_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"wells.csv: expected a row of well B12, found none \(1 images of such wells\); add it"
    ):
        joined(tmp_path, "well,perturbation\nA01,x\n")
    with pytest.raises(ValueError, match="rows of well A01 disagree; keep one"):
        joined(tmp_path, "well,perturbation\nA01,x\nA01,y\nB12,z\n")


def test_rows_may_be_of_sites_or_plates(tmp_path):
    found = joined(tmp_path, "plate,well,site,perturbation\nP,A01,1,x\nP,A01,2,y\nP,B12,1,z\nQ,A01,1,other\n")
    assert found["perturbation"].tolist() == ["x", "y", "z"]


def test_files_tell_their_wells(tmp_path):
    wells = read(tmp_path, "file,well,site\na.tif,A01,1\na.tif,A01,2\nb.tif,B1,3\n")
    assert well_table.of_files(wells, "w") == {"a.tif": {"well": "A01"}, "b.tif": {"well": "B01", "site": 3}}
    assert well_table.of_files(wells.drop(columns="file"), "w") == {}
