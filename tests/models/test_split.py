import itertools

import numpy as np
import pandas as pd
import pytest

from brightpaint.models.data import TrainingImages
from brightpaint.models.split import held_out_perturbations, validation_wells
from models_fixture import CHANNELS, make_plate


def fields(plates=3, perturbations=8, dmso=4, sites=2):
    """Every perturbation once on every plate, in the same well, beside DMSO wells."""
    names = [f"cpd{number}" for number in range(perturbations)] + ["DMSO"] * dmso
    rows = itertools.product([f"P{number}" for number in range(plates)], enumerate(names), range(1, sites + 1))
    return pd.DataFrame(
        [{"Metadata_Plate": plate, "Metadata_Well": f"A{well:02d}", "Metadata_Site": site, "Metadata_perturbation": name}
         for plate, (well, name), site in rows]
    )  # fmt: skip


def chosen(table, share):
    rows = table[validation_wells(table, share)]
    return {plate: set(part["Metadata_Well"]) for plate, part in rows.groupby("Metadata_Plate")}


def test_validating_wells_are_others_on_each_plate_and_whole():
    table = fields()
    wells = chosen(table, 0.25)
    assert {plate: len(held) for plate, held in wells.items()} == {"P0": 3, "P1": 3, "P2": 3}
    assert all(not first & second for first, second in itertools.combinations(wells.values(), 2))
    assert validation_wells(table, 0.25).sum() == 9 * 2  # both sites of each


def test_no_perturbation_loses_its_last_well():
    table = fields(plates=2, perturbations=11, dmso=1)
    train = table[~validation_wells(table, 0.5)]
    assert set(train["Metadata_perturbation"]) == set(table["Metadata_perturbation"])
    single = fields(plates=1, perturbations=8, dmso=4)
    held = single[validation_wells(single, 0.5)]
    assert set(held["Metadata_perturbation"]) == {"DMSO"} and held["Metadata_Well"].nunique() == 3


def test_names_alone_decide_and_too_few_wells_validate_nothing():
    table = fields()
    shuffled = table.sample(frac=1, random_state=1).reset_index(drop=True)
    assert chosen(shuffled, 0.25) == chosen(table, 0.25)
    assert not validation_wells(table, 0.08).any() and not validation_wells(table, 0).any()
    unknown = pd.DataFrame({"Metadata_Plate": "P", "Metadata_Well": [f"A{n}" for n in range(10)]})
    assert validation_wells(unknown, 0.1).sum() == 1


def test_held_out_perturbations_are_named_or_drawn_and_never_dmso():
    table = fields()
    assert held_out_perturbations(table, []) == [] and held_out_perturbations(table, ["cpd2"]) == ["cpd2"]
    drawn = held_out_perturbations(table, 0.25)
    assert len(drawn) == 2 and "DMSO" not in drawn
    assert drawn == held_out_perturbations(table.iloc[::-1], 0.25) and set(drawn) < set(
        held_out_perturbations(table, 0.5)
    )
    with pytest.raises(
        ValueError, match="cpd99 is not on the training plates; name some of their 8 perturbations: cpd0"
    ):
        held_out_perturbations(table, ["cpd99"])
    with pytest.raises(ValueError, match="DMSO is the control"):
        held_out_perturbations(table, ["DMSO"])


def test_training_images_split_whole_and_know_no_held_out_label(tmp_path):
    plates = [make_plate(tmp_path, name, 10, seed=seed) for seed, name in enumerate(("P1", "P2"))]
    data = TrainingImages(*zip(*plates), channels=CHANNELS, label="perturbation")
    train, held = data.split(0.2)
    assert len(train) == 16 and len(held) == 4 and len(data) == 20 and train.labels == data.labels
    for part in (train, held):
        for row in range(len(part)):
            same = (data.fields == part.fields.loc[row]).all(axis=1)
            np.testing.assert_array_equal(part.field(row), data.field(int(np.flatnonzero(same)[0])))
    without = TrainingImages(*zip(*plates), channels=CHANNELS, label="perturbation", held_out=["cpd1"])
    assert without.labels == {"DMSO": 1} and set(without.fields["Metadata_perturbation"]) == {"DMSO"}
    assert without.held_out == ["cpd1"] and len(without) == 10
