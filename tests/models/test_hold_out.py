"""What a fold holds out of training: whole scaffolds, doses or combinations, written down, read by trainings, and never leaking."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.models.data import TrainingImages
from brightpaint.models.hold_out import hold_out, main, scaffold_groups
from brightpaint.models.split import held_out_rows
from brightpaint.plates.simulator.molecules import library
from models_fixture import CHANNELS, make_plate

SMILES = {
    "phenol": "Oc1ccccc1", "toluene": "Cc1ccccc1", "cyclohexanol": "OC1CCCCC1", "pyridine": "c1ccncc1", "acid": "CC(O)=O",
    "untold": "",
}  # fmt: skip
DOSES = (0.1, 1.0, 10.0)


def wells(plate="P1", names=tuple(SMILES), doses=DOSES, line="U2OS", smiles=SMILES):
    rows = [(name, dose, smiles.get(name, "")) for name in names for dose in doses] + [("DMSO", np.nan, "CS(C)=O")]
    table = pd.DataFrame(rows, columns=["Metadata_perturbation", "Metadata_dose", "Metadata_smiles"])
    treatment = [name if np.isnan(dose) else f"{name}@{dose:.3g}uM" for name, dose, _ in rows]
    return table.assign(Metadata_treatment=treatment, Metadata_Plate=plate, Metadata_cell_line=line, Metadata_Site=1,
                        Metadata_Tile=1, Metadata_Well=[f"A{number + 1:02d}" for number in range(len(rows))])  # fmt: skip


def held_of(table, column="Metadata_perturbation"):
    return set(table.loc[table["held_out"] == 1, column])


def test_the_command_writes_a_row_a_treatment_and_cell_line(tmp_path):
    for plate, names in (("P1", ["phenol", "pyridine"]), ("P2", ["phenol", "acid"])):
        store.write_table(wells(plate, names), tmp_path / f"{plate}.parquet")
    words = ["--settings", json.dumps({"held_out": {"by": "scaffold", "names": ["phenol"]}}), "--training"]
    words += [tmp_path / "P1.parquet", "--tested", tmp_path / "P2.parquet", "--table", tmp_path / "A.tsv"]
    main([str(word) for word in words])
    table = store.read_table(tmp_path / "A.tsv").set_index("Metadata_treatment")
    assert len(table) == 10 and held_of(table) == {"phenol"} and table.loc["phenol@1uM", "Metadata_group"] == "c1ccccc1"
    assert table.loc["phenol@1uM", ["training_wells", "trained_wells", "test_wells"]].tolist() == [1, 0, 1]
    assert table.loc["acid@1uM", ["training_wells", "trained_wells", "test_wells"]].tolist() == [0, 0, 1]
    assert table.loc["DMSO", ["training_wells", "trained_wells", "held_out"]].tolist() == [1, 1, 0]


def test_a_named_perturbation_takes_its_whole_scaffold_with_it_and_what_has_no_molecule_stays():
    table = hold_out(wells(), wells("P2"), {"by": "scaffold", "names": ["phenol"]})
    assert held_of(table) == {"phenol", "toluene"}
    assert set(table.loc[table["Metadata_perturbation"] == "untold", "Metadata_group"]) == {""}


def test_no_scaffold_and_no_molecule_lies_on_both_sides_whatever_the_share():
    drugs = library()
    table = pd.concat([wells(names=drugs["sample"], doses=(1.0,), smiles=dict(zip(drugs["sample"], drugs["smiles"])))])
    for share in (0.1, 0.25, 0.5):
        found = hold_out(table, pd.DataFrame(), {"by": "scaffold", "share": share})
        sides = [set(found.loc[found["held_out"] == side, "Metadata_group"]) - {""} for side in (0, 1)]
        assert not sides[0] & sides[1] and len(sides[1]) == round(share * len(sides[0] | sides[1]))
    again = hold_out(table.sample(frac=1, random_state=0), pd.DataFrame(), {"by": "scaffold", "share": 0.5})
    pd.testing.assert_frame_equal(found, again)


def test_a_perturbation_of_two_scaffolds_joins_them():
    """One name on two molecules, a batch's salt gone wrong: were its scaffolds parted, its wells would lie on both sides."""
    two = pd.concat(
        [wells(names=["phenol", "pyridine", "mixed"]), wells("P3", ["mixed"], smiles={"mixed": "c1ccncc1"})]
    )
    two.loc[(two["Metadata_perturbation"] == "mixed") & (two["Metadata_Plate"] == "P1"), "Metadata_smiles"] = (
        "Oc1ccccc1"
    )
    groups = scaffold_groups(two)
    assert groups["mixed"] == groups["phenol"] == groups["pyridine"]


def test_doses_are_held_out_of_every_compound_and_never_at_the_ends():
    table = hold_out(wells(), wells("P2"), {"by": "dose", "names": [1]})
    assert held_of(table, "Metadata_dose") == {1.0} and held_of(table) == set(SMILES)
    drawn = hold_out(wells(doses=(0.1, 0.3, 1, 3, 10)), wells("P2"), {"by": "dose", "share": 0.5})
    assert held_of(drawn, "Metadata_dose") < {0.3, 1.0, 3.0} and len(held_of(drawn, "Metadata_dose")) == 2
    with pytest.raises(ValueError, match="held_out: 10 uM is the largest dose of the training plates.*name some of 1"):
        hold_out(wells(), wells("P2"), {"by": "dose", "names": [10.0]})
    with pytest.raises(ValueError, match=r"held_out: 2 is none of the doses \(uM\) of the training plates: 0.1, 1, 10"):
        hold_out(wells(), wells("P2"), {"by": "dose", "names": [2.0]})


def test_combinations_leave_both_halves_in_training():
    training = pd.concat([wells(), wells("P2", line="A549")])
    table = hold_out(training, wells("P3", line="A549"), {"by": "combination", "share": 0.5})
    held = table[table["held_out"] == 1]
    assert (
        held["Metadata_perturbation"].nunique() == 3
        and held.groupby("Metadata_perturbation")["Metadata_cell_line"].nunique().max() == 1
    )
    kept = table[(table["held_out"] == 0) & (table["training_wells"] > 0)]
    assert set(held["Metadata_perturbation"]) <= set(kept["Metadata_perturbation"]) and set(
        held["Metadata_cell_line"]
    ) <= set(kept["Metadata_cell_line"])
    with pytest.raises(ValueError, match="phenol in A549: nothing else of phenol is left to train on"):
        hold_out(training, wells("P3"), {"by": "combination", "names": [["phenol", "A549"], ["phenol", "U2OS"]]})
    with pytest.raises(ValueError, match=r"\('phenol', 'HeLa'\) is none of the combinations of the training plates"):
        hold_out(training, wells("P3"), {"by": "combination", "names": [["phenol", "HeLa"]]})
    with pytest.raises(ValueError, match="a share of 0.5 of 0 perturbations in two cell lines or more is 0"):
        hold_out(wells(), wells("P3"), {"by": "combination", "share": 0.5})


@pytest.mark.parametrize(
    ("held", "words"),
    [
        (
            {"by": "scaffold", "names": ["untold"]},
            "held_out: untold is none of the perturbations with a SMILES of the training plates",
        ),
        (
            {"by": "scaffold", "share": 0.05},
            "a share of 0.05 of 4 scaffolds of the training plates is 0, and some must be held out",
        ),
        ({"by": "dose", "share": 0.9}, "a share of 0.9 of 1 doses between the least and the largest is 1"),
        (["nobody"], "held_out: nobody is not on the training plates"),
        (list(SMILES), "held_out: no treated well is left to train on; hold out less"),
    ],
)
def test_what_the_plates_can_not_hold_out_is_said(held, words):
    with pytest.raises(ValueError, match=words):
        hold_out(wells(), wells("P2"), held)


def test_a_smiles_that_is_none_names_plate_and_well():
    with pytest.raises(ValueError, match="plate P1, well A01, phenol: the SMILES 'C1CC' is no SMILES"):
        hold_out(wells(smiles={**SMILES, "phenol": "C1CC"}), wells("P2"), {"by": "scaffold", "names": ["acid"]})


def test_names_and_shares_are_written_down_too():
    assert held_of(hold_out(wells(), wells("P2"), ["acid"])) == {"acid"}
    assert (
        len(held_of(hold_out(wells(), wells("P2"), 0.5))) == 3
        and held_of(hold_out(wells(), pd.DataFrame(), 0)) == set()
    )


def test_trainings_leave_out_what_the_table_says_and_refuse_one_of_other_plates(tmp_path):
    stack, fields = make_plate(tmp_path, "P1", 8)
    own = store.read_fields(fields).assign(Metadata_dose=[np.nan, 1.0] * 4, Metadata_cell_line="U2OS")
    own["Metadata_treatment"] = ["DMSO", "cpd1@1uM"] * 4
    own.loc[own.index[-1], ["Metadata_dose", "Metadata_treatment"]] = [3.0, "cpd1@3uM"]
    store.write_table(own, fields)
    table = hold_out(own, pd.DataFrame(), [])
    table["held_out"] = (table["Metadata_treatment"] == "cpd1@3uM").astype(int)
    store.write_table(store.as_text(table), tmp_path / "A.tsv")
    held = {"by": "dose", "names": [3], "table": str(tmp_path / "A.tsv")}
    data = TrainingImages([stack], [fields], channels=CHANNELS, label="treatment", held_out=held)
    assert len(data) == 7 and data.labels == {"DMSO": 1, "cpd1@1uM": 2} and data.held_out == ["cpd1"]
    store.write_table(store.as_text(table[table["Metadata_treatment"] != "cpd1@3uM"]), tmp_path / "A.tsv")
    with pytest.raises(ValueError, match="plate P1, well A08: cpd1@3uM in cell line U2OS is not in it.*rerun hold_out"):
        TrainingImages([stack], [fields], channels=CHANNELS, label="treatment", held_out=held)
    assert not held_out_rows(own.assign(Metadata_perturbation=""), held).any()  # wells of nothing are in no table
