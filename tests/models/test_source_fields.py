"""The rows of a translation: which class is the source, which fields are drawn, which classes are shown, and what is refused."""

import json

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.models.paint import source_fields
from brightpaint.models.paint.class_choice import dose_of, in_order, targets_of
from models_fixture import labelled_plates, labelled_weights

DOSES = ["DMSO", "taxol@0.01uM", "taxol@0.1uM", "taxol@10uM", "noc@1uM", "water"]
CHOSEN = {"source": None, "targets": "all", "fields": None}


def plate(classes, control="negcon", **columns):
    """Return a field table whose wells are of these classes of treatment, two fields a well."""
    wells = [f"A{number + 1:02d}" for number in range(len(classes))]
    names = [dose_of(name)[0] for name in classes]
    table = pd.DataFrame({"Metadata_Plate": "P", "Metadata_Well": wells, "Metadata_perturbation": names})
    controls = [control if name in ("DMSO", "empty vector") else "" for name in names]
    table = table.assign(Metadata_treatment=classes, Metadata_target="", Metadata_control_type=controls)
    twice = pd.concat([table.assign(Metadata_Site=site, Metadata_Tile=1) for site in (1, 2)], ignore_index=True)
    return twice.assign(**columns)[::-1].reset_index(drop=True)  # not in the order of their names


def rows(table, known=DOSES, label="treatment", **chosen):
    meta = {"settings": {"label": label}, "label_map": {name: n for n, name in enumerate(sorted(known), start=1)}}
    return source_fields.source_rows(table, meta, {**CHOSEN, **chosen}, "arm a, plate P")


def test_each_source_field_is_shown_as_its_own_class_first_and_then_as_every_other_by_dose():
    fields = plate(["DMSO", "taxol@0.1uM", "DMSO", "water"])
    found = rows(fields)
    shown = ["DMSO", "noc@1uM", "taxol@0.01uM", "taxol@0.1uM", "taxol@10uM", "water"]
    assert found["Metadata_painted_as"].tolist() == shown * 4 and (found["Metadata_draw"] == 0).all()
    keys = found[store.FIELD_KEYS].iloc[::6].to_numpy().tolist()
    assert keys == [["P", well, site, 1] for well in ("A01", "A03") for site in (1, 2)]
    assert (found["Metadata_treatment"] == "DMSO").all()  # annotations stay the source's
    own = fields.iloc[found["stack_row"].to_numpy()]
    pd.testing.assert_frame_equal(own[store.FIELD_KEYS].reset_index(drop=True), found[store.FIELD_KEYS])


@pytest.mark.parametrize(
    "targets, shown",
    [
        ("all", ["noc@1uM", "taxol@0.01uM", "taxol@0.1uM", "taxol@10uM", "water"]),
        (["water", "DMSO", "noc@1uM"], ["water", "noc@1uM"]),
        ({"compound": "taxol"}, ["taxol@0.01uM", "taxol@0.1uM", "taxol@10uM"]),
        ({"compound": "taxol", "um": [10, 0.01]}, ["taxol@0.01uM", "taxol@10uM"]),
        ({"compound": ["noc", "taxol"], "um": None}, ["noc@1uM", "taxol@0.01uM", "taxol@0.1uM", "taxol@10uM"]),
    ],
)
def test_targets_are_all_classes_names_or_the_doses_of_compounds(targets, shown):
    assert targets_of(targets, "DMSO", DOSES, "arm a") == shown


@pytest.mark.parametrize(
    "targets, message",
    [
        (
            ["water", "aspirin@1uM"],
            "target class: the model was not trained on aspirin@1uM; it knows DMSO, noc@1uM, taxol@0.01uM",
        ),
        (["DMSO"], "DMSO is the source, and there is no other class to show"),
        ({"compound": "water"}, "water has no dose that is a number; compounds with doses: noc, taxol"),
        (
            {"compound": "aspirin"},
            "aspirin is no compound that the model was trained on; compounds with doses: noc, taxol",
        ),
        (
            {"compound": "taxol", "um": [0.1, 7]},
            "not trained on taxol@7uM; doses of taxol: taxol@0.01uM, taxol@0.1uM, taxol@10uM",
        ),
    ],
)
def test_targets_that_were_not_trained_on_are_refused_with_what_is_known(targets, message):
    with pytest.raises(ValueError, match=message):
        targets_of(targets, "DMSO", DOSES, "arm a")


def test_doses_are_read_from_names_and_what_is_none_is_not():
    assert dose_of("a@b@0.3uM") == ("a@b", 0.3) and dose_of("taxol@1e+03uM") == ("taxol", 1000.0)
    for name in ("taxol", "taxol@high", "taxol@highuM", "taxol@nanuM", "@"):
        assert dose_of(name)[0] == name and np.isnan(dose_of(name)[1])
    assert in_order(["b@10uM", "b@9uM", "a", "b"]) == ["a", "b", "b@9uM", "b@10uM"]


def test_fields_are_a_number_spread_over_the_wells_or_wells_or_all():
    fields = plate(["DMSO"] * 6 + ["water"])
    assert len(rows(fields)) == 12 * 6
    some = rows(fields, fields=3)
    assert some["Metadata_Well"].iloc[::6].tolist() == ["A01", "A04", "A06"]
    assert len(rows(fields, fields=99)) == 12 * 6
    named = rows(fields, fields="a2,A04:A05")
    assert sorted(set(named["Metadata_Well"])) == ["A02", "A04", "A05"] and len(named) == 6 * 6


def test_source_wells_of_another_class_and_wells_that_are_not_there_are_refused():
    fields = plate(["DMSO", "water", "DMSO"])
    with pytest.raises(
        ValueError, match="arm a, plate P: well A02 is of class water, expected DMSO; wells of DMSO: A01, A03;"
    ):
        rows(fields, fields="A01:A03")
    with pytest.raises(ValueError, match="no field of well H12; wells of DMSO: A01, A03"):
        rows(fields, fields="A01,H12")


def test_a_plate_without_dmso_says_which_source_classes_there_are():
    fields = plate(["water", "taxol@10uM", "unheard of"])
    with pytest.raises(
        ValueError, match="plate P: no well of the source class DMSO; .* trained on: taxol@10uM, water; name one in"
    ):
        rows(fields)
    assert rows(fields, source="water")["Metadata_painted_as"].iloc[0] == "water"
    with pytest.raises(ValueError, match="source class: the model was not trained on unheard of"):
        rows(fields, source="unheard of")


def test_where_there_is_no_dmso_the_one_class_of_negative_controls_is_the_source():
    known = ["empty vector", "GFP", "gene1"]
    genes = plate(["empty vector", "gene1"])
    assert rows(genes, known=known)["Metadata_painted_as"].tolist()[:3] == ["empty vector", "GFP", "gene1"]
    both = plate(["empty vector", "GFP", "gene1"])
    both["Metadata_control_type"] = ["" if name == "gene1" else "negcon" for name in both["Metadata_treatment"]]
    with pytest.raises(
        ValueError, match="no DMSO, and negative controls of several classes: GFP, empty vector; name one"
    ):
        rows(both, known=known)


def test_other_labels_have_no_default_source_and_a_model_without_one_nothing_to_translate():
    fields = plate(["DMSO", "water"], Metadata_cell_line=["HeLa", "U2OS"] * 2)
    with pytest.raises(ValueError, match="label cell_line has no DMSO; name translate.source, one of HeLa, U2OS"):
        rows(fields, known=["HeLa", "U2OS"], label="cell_line")
    assert (
        rows(fields, known=["HeLa", "U2OS"], label="cell_line", source="HeLa")["Metadata_painted_as"].iloc[1] == "U2OS"
    )
    with pytest.raises(ValueError, match="told no class to translate between"):
        rows(fields, label="none")


def test_one_class_alone_is_refused():
    with pytest.raises(
        ValueError, match="DMSO is the source, and there is no other class .* train on plates of two classes"
    ):
        rows(plate(["DMSO"]), known=["DMSO"])


def test_the_command_writes_rows_that_open_the_plates_stack(tmp_path):
    stack, table = labelled_plates()[2]
    words = [
        "--settings",
        json.dumps({**CHOSEN, "fields": 2}),
        "--arm",
        "a",
        "--weights",
        labelled_weights(),
        "--fields",
        table,
    ]
    source_fields.main([str(word) for word in [*words, "--rows", tmp_path / "rows.parquet"]])
    found = store.read_fields(tmp_path / "rows.parquet")
    assert found["Metadata_painted_as"].tolist() == ["DMSO", "cpd1"] * 2
    assert len(store.open_stack(stack).select(found)) == 4
