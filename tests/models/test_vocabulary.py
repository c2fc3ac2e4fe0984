import numpy as np
import pandas as pd
import pytest

from brightpaint.models.conditions.vocabulary import learn, parts, problems, spread, tell
from brightpaint.study.conditions import CONDITIONS

NAN = float("nan")
EACH = {"dropout": 0.1}
CHOSEN = {name: EACH for name in ("plate", "dose", "batch", "cell_line", "time", "well_position", "target")}


def fields(**columns):
    table = pd.DataFrame(
        {
            "Metadata_Plate": ["P1", "P1", "P2", "P2"],
            "Metadata_Well": ["A01", "C05", "A01", "B03"],
            "Metadata_Batch": ["b1", "b1", "b2", "b2"],
            "Metadata_perturbation": ["DMSO", "x", "y", ""],
            "Metadata_target": ["", "T1", "T2", ""],
            "Metadata_dose": [NAN, 0.1, 10.0, NAN],
            "Metadata_cell_line": ["U2OS", "U2OS", "A549", ""],
            "Metadata_time_h": [24.0, 24.0, 48.0, NAN],
        }
    )
    return table.assign(**columns)


def test_what_is_learnt_is_in_one_order_and_told_by_it():
    kept = learn(fields(), CHOSEN)
    assert list(kept) == [name for name in CONDITIONS if name in CHOSEN]
    assert kept["target"] == {"values": ["DMSO", "T1", "T2"]} and kept["cell_line"] == {"values": ["A549", "U2OS"]}
    assert kept["dose"] == {"low": [-1.0], "high": [1.0]} and kept["well_position"] == {"low": [1, 1], "high": [3, 5]}
    told = tell(fields(), kept)
    assert told["target"].tolist() == [1, 2, 3, 0] and told["cell_line"].tolist() == [2, 2, 1, 0]
    np.testing.assert_allclose(told["dose"], [[NAN], [0.0], [1000.0], [NAN]], atol=1e-3)
    np.testing.assert_allclose(told["time"], [[0.0], [0.0], [1000.0], [NAN]])
    assert told["well_position"][1].tolist() == [1000, 1000] and told["well_position"].dtype == np.float32
    assert {name: (part.form, part.count) for name, part in parts(kept).items()} == {
        "target": ("category", 3), "dose": ("number", 1), "cell_line": ("category", 2), "time": ("number", 1),
        "batch": ("category", 2), "plate": ("category", 2), "well_position": ("number", 2),
    }  # fmt: skip


def test_a_dose_between_is_told_by_its_logarithm_and_last_digits_do_not_matter():
    kept = learn(fields(), {"dose": EACH})
    told = tell(fields(Metadata_dose=[NAN, 1.0, 10.0001, NAN]), kept)["dose"]
    np.testing.assert_allclose(told[1:3, 0], [500.0, 1000.0], atol=1e-3)


def test_dmso_has_no_dose_whatever_the_table_says():
    told = tell(fields(Metadata_dose=[5.0, 0.1, 10.0, 5.0]), learn(fields(), {"dose": EACH}))["dose"]
    assert np.isnan(told[:, 0]).tolist() == [True, False, False, True]


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("Metadata_dose", 30.0, r"plate P2, well A01: dose 30.0 uM lies outside what was trained on, 0.1 to 10 uM; paint with "
         r"conditions: \{dose: null\}"),
        ("Metadata_dose", 0.0, "plate P2, well A01: dose 0 uM has no logarithm; expected one above 0, or none"),
        ("Metadata_time_h", 72.0, "well A01: time 72.0 h lies outside what was trained on, 24 to 48 h"),
        ("Metadata_cell_line", "HeLa", "plate P2, well A01: cell_line HeLa was not trained on; the model knows A549, U2OS"),
        ("Metadata_Well", "P24", "well P24: well_position P24 lies outside what was trained on, 1 to 3 and 1 to 5"),
        ("Metadata_Well", "chip-4", "plate P2: well chip-4 has no row and column"),
    ],
)  # fmt: skip
def test_a_value_that_was_not_trained_on_is_refused_where_nothing_else_would_say_so(column, value, said):
    kept, changed = learn(fields(), CHOSEN), fields()
    changed.loc[2, column] = value
    with pytest.raises(ValueError, match=said):
        tell(changed, kept)


def test_an_unseen_plate_batch_or_target_is_missing_and_one_left_out_needs_no_value():
    kept = learn(fields(), CHOSEN)
    there = fields(Metadata_Plate="P9", Metadata_Batch="b9", Metadata_target="T9", Metadata_cell_line="HeLa")
    told = tell(there, kept, shown={"cell_line": None})
    assert all(told[name].tolist() == [0] * 4 for name in ("plate", "batch", "cell_line"))
    assert told["target"].tolist() == [1, 0, 0, 0]  # DMSO is known


def test_all_left_out_is_null():
    kept = learn(fields(), CHOSEN)
    told = tell(fields(), kept, shown=dict.fromkeys(kept))
    assert all((part == 0).all() if part.dtype == np.int64 else np.isnan(part).all() for part in told.values())
    assert {name: part.shape for name, part in told.items()} == {
        name: part.shape for name, part in tell(fields(), kept).items()
    }


def test_an_arm_may_set_a_condition_and_dmso_keeps_what_it_was_given():
    kept = learn(fields(), CHOSEN)
    told = tell(fields(), kept, shown={"batch": "b2", "dose": 1.0, "target": "T1", "well_position": "A01", "time": 36})
    assert told["batch"].tolist() == [2] * 4 and told["target"].tolist() == [1, 2, 2, 0]
    np.testing.assert_allclose(told["dose"][:, 0], [NAN, 500, 500, NAN])
    assert told["well_position"].tolist() == [[0, 0]] * 4 and told["time"].tolist() == [[500]] * 4


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        ({"batch": "b9"}, "batch b9 was not trained on; the model knows b1, b2"),
        ({"dose": 300}, "dose 300.* lies outside what was trained on"),
        ({"source": "s"}, "conditions: the model is not told source; it is told target, dose, cell_line"),
    ],
)
def test_a_value_that_an_arm_sets_must_be_known(shown, said):
    with pytest.raises(ValueError, match=said):
        tell(fields(), learn(fields(), CHOSEN), shown=shown)


def test_a_condition_that_no_training_field_has_is_refused():
    with pytest.raises(ValueError, match=r"condition source: no training field has one \(Metadata_Source\)"):
        learn(fields(), {"source": EACH})
    with pytest.raises(ValueError, match="condition dose: no training field has one"):
        learn(fields(Metadata_dose=NAN), {"dose": EACH})


def test_parts_are_spread_over_rows_and_the_others_have_none():
    whole = spread({"a": np.array([1, 2]), "b": np.array([[1.0], [2.0]])}, np.array([3, 1]), 4)
    assert whole["a"].tolist() == [0, 2, 0, 1] and np.nan_to_num(whole["b"][:, 0], nan=-1).tolist() == [-1, 2, -1, 1]


def test_a_vocabulary_of_somebody_elses_weights_is_not_believed():
    kept = learn(fields(), CHOSEN)
    assert list(problems(kept, CHOSEN)) == [] and list(problems({}, {})) == []
    assert "expected the same names" in next(problems(kept, {}))
    for name, wrong in [
        ("target", {"values": [1, 2]}), ("target", {"values": []}), ("target", {"values": ["a", "a"]}), ("dose", {"low": [0.0]}),
        ("dose", {"low": [NAN], "high": [1.0]}), ("well_position", {"low": [0], "high": [1]}), ("batch", None),
    ]:  # fmt: skip
        assert f"its condition {name} keeps" in next(problems({**kept, name: wrong}, CHOSEN))
    assert "its condition mood keeps" in next(problems({"mood": {}}, {"mood": {}}))
    molecule = {"encoder": "morgan", "entries": 8, "probe": "", "molecules": {}}
    assert list(problems({"molecule": molecule}, {"molecule": {}})) == []
    assert list(problems({"molecule": {**molecule, "entries": 10**9}}, {"molecule": {}}))
    assert list(problems({"molecule": {**molecule, "encoder": "descriptors"}}, {"molecule": {}}))
