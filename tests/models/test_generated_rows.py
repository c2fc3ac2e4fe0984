"""Which fields are painted of each treatment: keys and conditions of real ones, each once before any twice, and DMSO beside."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.models import fit
from brightpaint.models.hold_out import hold_out
from brightpaint.models.objectives.losses import build_denoiser
from brightpaint.models.paint import generated_rows, sample
from brightpaint.models.paint.generated_rows import borrowed
from models_fixture import CHANNELS, SETTINGS, make_plate, sample_arguments

NAMES = ["DMSO", "DMSO", "a@1uM", "a@1uM", "a@3uM", "b@1uM", "b@1uM", ""]


def fields(lines=("U2OS",) * 8):
    own = pd.DataFrame(
        {"Metadata_treatment": NAMES, "Metadata_cell_line": lines, "Metadata_Plate": "P1", "Metadata_Site": 1}
    )
    doses = [float(name.split("@")[1][:-2]) if "@" in name else np.nan for name in NAMES]
    return own.assign(Metadata_perturbation=own["Metadata_treatment"].str.split("@").str[0], Metadata_dose=doses,
                      Metadata_Well=[f"A{number + 1:02d}" for number in range(8)], Metadata_Tile=1)  # fmt: skip


def rows_of(chosen, table=None, held=()):
    own = fields() if table is None else table
    return generated_rows.generated_rows(
        own, {"fields": 3, "treatments": "all", **chosen}, hold_out(own, own, list(held)), "arm x, plate P1"
    )


def test_the_command_lists_rows_that_a_model_without_brightfield_paints_with_a_noise_each(tmp_path):
    """In one part and in three: the same bytes, and one image a row though rows borrow the same fields."""
    stack, table = make_plate(tmp_path, "P1", 4, size_px=16)
    settings = {**SETTINGS, "label": "perturbation", "channels": {**CHANNELS, "input": []}}
    tensors = build_denoiser(settings, settings["channels"], 2).state_dict()
    store.write_weights(tmp_path / "weights.safetensors", tensors, fit.describe(settings, {"DMSO": 1, "cpd1": 2}))
    store.write_table(store.as_text(hold_out(*(store.read_fields(table),) * 2, [])), tmp_path / "A.tsv")
    words = ["--settings", json.dumps({"fields": 3, "treatments": "all"}), "--arm", "made", "--fields", table]
    words += ["--held-out", tmp_path / "A.tsv", "--rows", tmp_path / "rows.parquet"]
    generated_rows.main([str(word) for word in words])
    rows = store.read_fields(tmp_path / "rows.parquet")
    assert rows["Metadata_perturbation"].value_counts().to_dict() == {"DMSO": 12, "cpd1": 3}
    assert not rows.duplicated(store.ROW_KEYS).any()

    def painted(name, **part):
        place = (stack, tmp_path / "rows.parquet")
        words = sample_arguments(tmp_path / "weights.safetensors", place, tmp_path / name, inputs=[], **part)
        sample.main(words)
        return np.array(store.open_stack(tmp_path / name).images)

    whole = painted("whole.tif")
    assert len(np.unique(whole.reshape(15, -1), axis=0)) == 15
    np.testing.assert_array_equal(np.concatenate([painted(f"{n}.tif", part=n, parts=3) for n in (1, 2, 3)]), whole)


def test_every_treatment_has_its_fields_in_the_order_of_their_keys_and_dmso_four_times_as_many():
    rows = rows_of({})
    assert rows["Metadata_treatment"].value_counts().to_dict() == {"DMSO": 12, "a@1uM": 3, "a@3uM": 3, "b@1uM": 3}
    one = rows[rows["Metadata_treatment"] == "a@1uM"]
    assert one["Metadata_Well"].tolist() == ["A03", "A03", "A04"] and one["Metadata_draw"].tolist() == [0, 1, 0]
    assert set(rows["Metadata_painted_as"]) == {""} and rows["stack_row"].tolist() == sorted(rows["stack_row"])
    assert not rows.duplicated(store.ROW_KEYS).any()


def test_fewer_fields_than_there_are_are_spread_over_them():
    table = fields()
    assert borrowed(table, 2)["Metadata_Well"].tolist() == ["A01", "A08"] and set(
        borrowed(table, 8)["Metadata_draw"]
    ) == {0}
    assert borrowed(table.iloc[:1], 3)["Metadata_draw"].tolist() == [0, 1, 2]


def test_a_treatment_stands_apart_in_each_cell_line():
    rows = rows_of({}, fields(["U2OS", "A549"] * 4))
    assert (
        len(rows[rows["Metadata_treatment"] == "a@1uM"]) == 6 and len(rows[rows["Metadata_treatment"] == "DMSO"]) == 24
    )


def test_treatments_are_named_by_themselves_or_by_perturbation_or_are_those_held_out():
    named = lambda chosen, **more: set(rows_of({"treatments": chosen}, **more)["Metadata_treatment"])  # noqa: E731
    assert named(["a"]) == {"DMSO", "a@1uM", "a@3uM"} and named(["a@3uM", "elsewhere"]) == {"DMSO", "a@3uM"}
    assert named("held_out", held=["b"]) == {"DMSO", "b@1uM"}


@pytest.mark.parametrize(
    ("chosen", "table", "words"),
    [
        (
            ["c"],
            None,
            "arm x, plate P1: the plate has none of c; treatments that it has: a@1uM, a@3uM, b@1uM; name some of these",
        ),
        ("held_out", None, "the plate has no treatment that its fold holds out"),
        ("all", fields().iloc[:2], "the plate has no treated well"),
        (
            "all",
            fields().iloc[2:],
            "the plate has no well of DMSO, from which the effect of every treatment is measured",
        ),
    ],
)
def test_what_a_plate_can_not_show_is_said(chosen, table, words):
    own = fields() if table is None else table
    with pytest.raises(ValueError, match=words):
        generated_rows.generated_rows(
            own, {"fields": 1, "treatments": chosen}, hold_out(fields(), own, []), "arm x, plate P1"
        )
