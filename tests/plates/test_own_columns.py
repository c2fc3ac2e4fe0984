"""Columns of one's own tables under other names: the obvious ones are taken, unclear ones refused, the rest named."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.plates import index, molarity, own_columns, own_table
from plates_fixture import index_settings, raw_image

ROWS = {"A1": ("taxol", "250"), "A2": ("DMSO", "0"), "A3": ("colchicine", "1000")}


@pytest.fixture
def own(tmp_path):
    """A folder of three wells and the CSV that names them, without a word on what they hold."""
    rows = []
    for well in ROWS:
        store.write_raw(tmp_path / f"{well}.tiff", raw_image(well))
        rows.append(["mine", well, 1, "DNA", f"{well}.tiff"])
    return tmp_path, pd.DataFrame(rows, columns=own_table.TABLE_COLUMNS)


def settings_of(folder, **source):
    table = {"layout": "table", "table": str(folder / "images.csv"), **source}
    return index_settings(folder, ["DNA"], {"plate": "mine", "role": "study"}, **table)


def wells(folder, frame, **source):
    store.write_table(frame, folder / "images.csv")
    return index.index_plate(settings_of(folder, **source))[0].set_index("Metadata_Well")


def compounds(frame, column, **more):
    return frame.assign(**{column: [name for name, _ in ROWS.values()]}, **more)


@pytest.mark.parametrize(
    "column", ["compound", "Compound", "COMPOUND", "Compound Name", "treatment", "Treatment", "Drug", "Metadata_compound",
               "Metadata_perturbation", "Perturbation", "Metadata_pert_iname", "broad_sample"],
)  # fmt: skip
def test_what_names_a_compound_is_the_perturbation(own, column):
    folder, frame = own
    table = wells(folder, compounds(frame, column))
    assert table["Metadata_perturbation"].tolist() == ["taxol", "DMSO", "colchicine"]
    assert table["Metadata_control_type"].tolist() == ["", "negcon", ""]


@pytest.mark.parametrize(
    ("column", "scale"),
    [("concentration_uM", 1), ("Concentration (nM)", 1e-3), ("dose (nM)", 1e-3), ("dose_nM", 1e-3), ("Dose [µM]", 1),
     ("conc_mM", 1e3), ("Metadata_dose_um", 1), ("concentration in nM", 1e-3), ("final concentration (pM)", 1e-6), ("DOSE_UM", 1)],
)  # fmt: skip
def test_a_dose_is_read_by_the_unit_in_its_name(own, column, scale):
    folder, frame = own
    table = wells(folder, compounds(frame, "compound", **{column: [dose for _, dose in ROWS.values()]}))
    np.testing.assert_allclose(table["Metadata_dose"], [250 * scale, np.nan, 1000 * scale])


@pytest.mark.parametrize(
    ("column", "annotation"),
    [("MoA", "target"), ("moa", "target"), ("Mechanism of Action", "target"), ("Targets", "target"), ("SMILES", "smiles"),
     ("canonical_smiles", "smiles"), ("Cell Line", "cell_line"), ("Metadata_cell_line", "cell_line")],
)  # fmt: skip
def test_what_else_is_said_of_a_well_is_taken_under_its_usual_names(own, column, annotation):
    folder, frame = own
    table = wells(folder, compounds(frame, "compound", **{column: ["C", "", "O"]}))
    assert table[f"Metadata_{annotation}"].tolist() == ["C", "", "O"]
    assert wells(folder, compounds(frame, "compound", Hours=["48", "48", "24"]))["Metadata_time_h"].tolist() == [
        48,
        48,
        24,
    ]


def test_the_exact_name_goes_before_all_others_which_are_named(own):
    folder, frame = own
    table = compounds(
        frame, "perturbation", compound=["x", "y", "z"], target=["T", "", "U"], MoA=["m", "", "n"], note="?"
    )
    assert wells(folder, table)["Metadata_perturbation"].tolist() == ["taxol", "DMSO", "colchicine"]
    assert wells(folder, table)["Metadata_target"].tolist() == ["T", "", "U"]
    assert own_table.columns_told(settings_of(folder)["source"]) == "not taken: compound, MoA, note"


def test_two_names_for_one_thing_are_taken_where_they_agree_and_refused_where_not(own):
    folder, frame = own
    table = compounds(compounds(frame, "compound"), "treatment")
    assert wells(folder, table)["Metadata_perturbation"].tolist() == ["taxol", "DMSO", "colchicine"]
    assert own_table.columns_told(settings_of(folder)["source"]) == "compound and treatment taken for perturbation"
    table.loc[2, "treatment"] = "colchicine 1 uM"
    message = (
        "images.csv: row 3: compound 'colchicine' and treatment 'colchicine 1 uM' differ, .* rename .* to perturbation"
    )
    with pytest.raises(ValueError, match=message):
        wells(folder, table)


@pytest.mark.parametrize(
    ("columns", "source", "message"),
    [
        (["concentration"], {}, "the column concentration holds doses of no known unit; set source.dose_unit"),
        (["Dose"], {}, "the column Dose holds doses of no known unit; set source.dose_unit"),
        (["dose", "concentration"], {"dose_unit": "nM"}, "the column dose and concentration .* and keep one of them"),
        (["dose_uM", "concentration_nM"], {}, "expected one column of doses, found dose_uM, concentration_nM"),
        (["dose_um", "Dose (nM)"], {}, "expected one column of doses, found dose_um, Dose .nM."),
        (["time"], {}, "unknown column time; did you mean time_h?"),
        (["cell_type"], {}, "unknown column cell_type; did you mean cell_line?"),
        (["simles"], {}, "unknown column simles; did you mean smiles?"),
    ],
)
def test_what_is_not_clear_is_refused(own, columns, source, message):
    folder, frame = own
    with pytest.raises(ValueError, match=f"images.csv: {message}"):
        wells(folder, compounds(frame, "compound", **dict.fromkeys(columns, "3")), **source)
    with pytest.raises(ValueError, match="unknown column compuond; did you mean perturbation?"):
        wells(folder, compounds(frame, "compuond"))


def test_a_unit_in_the_config_serves_a_column_without_one(own):
    folder, frame = own
    table = compounds(frame, "compound", Concentration=[dose for _, dose in ROWS.values()])
    np.testing.assert_allclose(wells(folder, table, dose_unit="nM")["Metadata_dose"], [0.25, np.nan, 1.0])
    table["Concentration"] = ["250", "0", "much"]
    with pytest.raises(ValueError, match="images.csv, well A03, Concentration: expected a dose above 0, found 'much'"):
        wells(folder, table, dose_unit="nM")


def test_the_index_says_what_it_took_and_what_not(own, caplog):
    folder, frame = own
    with caplog.at_level("INFO"):
        wells(folder, compounds(frame, "Compound", MoA=["m", "", "n"], batch_note="x", mmoles_per_liter="3"))
    assert (
        "images.csv: Compound taken for perturbation; MoA taken for target; not taken: batch_note, mmoles_per_liter"
        in caplog.text
    )


def test_keys_may_be_spelt_so_too(own):
    folder, frame = own
    told = frame.rename(columns={"plate": "Plate", "well": "Metadata_Well", "file": "FILE"})
    assert list(wells(folder, compounds(told, "compound")).index) == ["A01", "A02", "A03"]


def test_masses_and_words_that_hold_a_dose_are_no_doses():
    assert not any(
        molarity.is_dose(name) for name in ("mg_per_ml", "dose_mg", "concentration (ng/ml)", "dose_number", "dosed")
    )
    assert own_columns.taken(["dose_mg"], [], "x").left == ["dose_mg"]
