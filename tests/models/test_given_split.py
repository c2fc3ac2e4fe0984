"""A split given as a table: what it says is held out, and whatever is wrong with it names file, row and key."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.models.given_split import Listed, read_split
from brightpaint.models.hold_out import hold_out, main

SMILES = {"phenol": "Oc1ccccc1", "toluene": "Cc1ccccc1", "pyridine": "c1ccncc1", "untold": ""}


def wells(plate="P1", names=tuple(SMILES), doses=(1.0, 10.0), smiles=SMILES):
    rows = [(name, dose, smiles.get(name, "")) for name in names for dose in doses] + [("DMSO", np.nan, "CS(C)=O")]
    table = pd.DataFrame(rows, columns=["Metadata_perturbation", "Metadata_dose", "Metadata_smiles"])
    treatment = [name if np.isnan(dose) else f"{name}@{dose:.3g}uM" for name, dose, _ in rows]
    return table.assign(Metadata_treatment=treatment, Metadata_Plate=plate, Metadata_cell_line="U2OS", Metadata_Site=1,
                        Metadata_Tile=1, Metadata_Well=[f"A{number + 1:02d}" for number in range(len(rows))])  # fmt: skip


def split(folder, text, key="perturbation", name="split.tsv"):
    (folder / name).write_text(text)
    return {"by": "file", "path": str(folder / name), "key": key}


def held_of(table, column="Metadata_treatment"):
    return set(table.loc[table["held_out"] == 1, column])


def test_the_test_part_is_held_out_and_what_is_not_listed_is_trained_on(tmp_path):
    chosen = split(tmp_path, "perturbation\tpart\nphenol\ttest\npyridine\ttrain\n")
    table = hold_out(wells(), wells("P2"), chosen).set_index("Metadata_treatment")
    assert held_of(table.reset_index()) == {"phenol@1uM", "phenol@10uM"}
    assert table.loc["phenol@1uM", ["Metadata_group", "training_wells", "trained_wells"]].tolist() == ["phenol", 1, 0]
    assert (
        table.loc["pyridine@1uM", "Metadata_group"] == "pyridine" and table.loc["toluene@1uM", "Metadata_group"] == ""
    )
    assert table.loc["DMSO", ["held_out", "trained_wells"]].tolist() == [0, 1]


def test_a_molecule_is_known_in_every_spelling_and_under_every_name_and_a_published_table_keeps_its_columns(tmp_path):
    """Mol2Image's tables have a column SMILES among many, a row an image, and no name that a study need know."""
    text = "SAMPLE_KEY,SMILES,part\n24277-A03-1,C1=CC=CC=C1O,test\n24277-A03-2,Oc1ccccc1,test\n24278-B01-1,n1ccccc1,train\n"
    chosen = split(tmp_path, text, "smiles", "split.csv")
    both = wells(names=[*SMILES, "carbolic"], smiles={**SMILES, "carbolic": "[Na+].[O-]c1ccccc1"})
    table = hold_out(both, pd.DataFrame(), chosen)
    assert held_of(table, "Metadata_perturbation") == {"phenol", "carbolic"}
    assert set(table.loc[table["held_out"] == 1, "Metadata_group"]) == {"Oc1ccccc1"}


def test_a_treatment_may_be_held_out_at_one_dose(tmp_path):
    chosen = split(tmp_path, "Metadata_treatment\tPart\nphenol@1uM\ttest\nphenol@10uM\ttrain\n", "treatment")
    assert held_of(hold_out(wells(), wells("P2"), chosen)) == {"phenol@1uM"}


def test_rows_are_told_as_they_are_written(tmp_path):
    chosen = split(tmp_path, "smiles\tpart\nDMSO\ttrain\nC1=CC=CC=C1O\ttest\n", "smiles")
    assert read_split(chosen["path"], "smiles") == {"Oc1ccccc1": Listed("test", 2, "C1=CC=CC=C1O")}


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("perturbation\tset\na\ttest\n", "perturbation", "split.tsv has no column part; found perturbation, set; it takes"),
        ("name\tpart\na\ttest\n", "smiles", "split.tsv has no column smiles; found name, part; it takes the columns smiles"),
        ("perturbation\tpart\nphenol\tvalid\n", "perturbation", "row 1: the part of phenol is 'valid'; expected train or test"),
        ("perturbation\tpart\nphenol\ttest\n\ttrain\n", "perturbation", "row 2: no perturbation; write one, or take the row out"),
        ("perturbation\tpart\nphenol\ttest\nphenol\ttrain\n", "perturbation",
         "row 2: phenol is in part train, and in row 1 in part test; keep one of the rows"),
        ("smiles\tpart\nOc1ccccc1\ttest\nC1=CC=CC=C1O\ttrain\n", "smiles",
         "row 2: C1=CC=CC=C1O is in part train, and in row 1, written Oc1ccccc1, in part test"),
        ("smiles\tpart\nOc1ccccc1\ttest\nC1CC\ttrain\n", "smiles", "row 2: 'C1CC' is no SMILES that RDKit can read"),
        ("perturbation\tpart\nphenol\ttrain\n", "perturbation", "no row is in part test, so that nothing would be held out"),
        ("perturbation\tpart\nDMSO\ttest\n", "perturbation", "row 1: DMSO is DMSO, the control, always trained on"),
        ("smiles\tpart\nCS(=O)C\ttest\n", "smiles", "row 1: CS(=O)C is DMSO, the control"),
        ("perturbation\tpart\nphenol\ttest\naspirin\ttrain\nsalt\ttest\n", "perturbation",
         "row 2: no plate that the fold trains on or tests has the perturbation aspirin (2 such of 3)"),
        ("smiles\tpart\nCCO\ttest\n", "smiles", "no plate that the fold trains on or tests has the smiles CCO (1 such of 1)"),
        ("treatment\tpart\nphenol@3uM\ttest\n", "treatment", "has the treatment phenol@3uM"),
        ("perturbation\tpart\nphenol\n", "perturbation", "row 1 has 1 cells, expected 2 as in the header"),
        ("perturbation\tpart\n" + "".join(f"{name}\ttest\n" for name in SMILES), "perturbation",
         "no treated well is left to train on"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_table_is_said(tmp_path, text, key, words):
    with pytest.raises(ValueError) as found:
        hold_out(wells(), wells("P2"), split(tmp_path, text, key))
    assert words in str(found.value) and "\n" not in str(found.value)


def test_a_treatment_with_molecules_of_both_parts_is_refused(tmp_path):
    """One name on two molecules: its wells would lie on both sides."""
    two = pd.concat([wells(names=["phenol", "mixed"], smiles={**SMILES, "mixed": "c1ccncc1"}),
                     wells("P3", ["mixed"], smiles={"mixed": "Oc1ccccc1"})])  # fmt: skip
    chosen = split(tmp_path, "smiles\tpart\nOc1ccccc1\ttest\nc1ccncc1\ttrain\n", "smiles")
    with pytest.raises(
        ValueError, match=r"mixed@\d+uM has molecules of both parts.*c1ccncc1 \(row 2, train\).*row 1, test"
    ):
        hold_out(two, wells("P2", ["phenol"]), chosen)


def test_the_command_reads_the_table_that_its_settings_name(tmp_path):
    chosen = split(tmp_path, "perturbation\tpart\nphenol\ttest\n")
    store.write_table(wells(), tmp_path / "P1.parquet")
    words = [
        "--settings",
        json.dumps({"held_out": chosen}),
        "--training",
        tmp_path / "P1.parquet",
        "--table",
        tmp_path / "A.tsv",
    ]
    main([str(word) for word in words])
    assert held_of(store.read_table(tmp_path / "A.tsv"), "Metadata_perturbation") == {"phenol"}
