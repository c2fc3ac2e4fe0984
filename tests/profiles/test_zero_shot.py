"""Classes that nothing was trained on: told apart with groups held out, or not; numbers of another study matched by channel."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.profiles import zero_shot
from brightpaint.profiles.feature_parts import parts_of_vectors

CHANNELS = ["DNA", "RNA"]
NUMBERS = [f"DINO_{channel}_{number:03d}" for channel in CHANNELS for number in range(20)]
ENTRY = {"name": "lines", "annotation": "cell_line", "classes": [], "groups": "Well", "normalise": "plate", "protocol": "seen",
         "permutations": 9, "seen": {}}  # fmt: skip
LINES = ("HEPG2", "HUVEC", "RPE", "U2OS")


def wells_of(*, shift=4.0, plates=3, each=4, own_plates=False, seed=0):
    """Return wells of four lines, as many of each on every plate, or each on plates of its own; plates have an offset."""
    rng, rows, values = np.random.default_rng(seed), [], []
    ways = {line: rng.normal(size=len(NUMBERS)) for line in LINES}
    for number in range(plates * (len(LINES) if own_plates else 1)):
        offset = 3 * rng.normal(size=len(NUMBERS))
        for place, line in enumerate([LINES[number % 4]] * each if own_plates else LINES * each):
            rows.append((f"P{number}", f"A{place + 1:02d}", line))
            values.append(rng.normal(size=len(NUMBERS)) + offset + shift * ways[line] / 2)
    frame = pd.DataFrame(rows, columns=["Metadata_Plate", "Metadata_Well", "Metadata_cell_line"])
    frame = frame.assign(Metadata_perturbation="DMSO", Metadata_control_type="negcon")
    return pd.concat([frame, pd.DataFrame(values, columns=NUMBERS)], axis=1)


def test_classes_that_differ_are_told_apart_by_both_and_the_matrix_counts_every_well_once():
    table, told = zero_shot.zero_shot(wells_of(), NUMBERS, ENTRY)
    told = told.set_index(["classifier", "metric"])
    assert list(told.index) == [
        (name, metric) for name in (zero_shot.SVM, zero_shot.NEIGHBOUR) for metric in ("accuracy", "balanced_accuracy")
    ]
    assert (told["value"] > 0.9).all() and (told["p"] == 0.1).all() and (told["null"] < 0.5).all()
    assert (told["low"] < told["value"]).all() and (told["wells"] == 48).all() and (told["classes"] == 4).all()
    for _, own in table.groupby("classifier"):
        assert own["wells"].sum() == 48 and own.groupby("true")["share"].sum().tolist() == [1.0] * 4
        assert own.loc[own["true"] == own["called"], "share"].mean() > 0.9


def test_classes_that_do_not_differ_are_at_chance_though_there_are_fewer_wells_than_would_be_separated():
    _, told = zero_shot.zero_shot(wells_of(shift=0.0), NUMBERS, ENTRY)
    assert (told["value"] < 0.5).all() and (told["p"] >= 0.1).all()


def test_plates_of_their_own_are_no_classes_unless_plates_are_held_out():
    alone = wells_of(shift=0.0, own_plates=True)
    with pytest.raises(
        ValueError, match="no plate has wells of both class HEPG2 and another.*groups: Plate and normalise: none"
    ):
        zero_shot.zero_shot(alone, NUMBERS, ENTRY)
    _, told = zero_shot.zero_shot(alone, NUMBERS, ENTRY | {"groups": "Plate", "normalise": "none", "permutations": 0})
    assert (told["value"] < 0.6).all() and (
        told["groups"] == 12
    ).all()  # wells of a plate held together: no plate tells the line


def test_named_classes_alone_are_told_apart_and_strict_leaves_seen_plates_out():
    entry = ENTRY | {"classes": ["RPE", "U2OS"], "protocol": "strict", "seen": {"training": ["P0"]}, "permutations": 0}
    table, told = zero_shot.zero_shot(wells_of(), NUMBERS, entry)
    assert set(table["true"]) == {"RPE", "U2OS"} and (told["wells"] == 16).all() and set(told["protocol"]) == {"strict"}
    with pytest.raises(ValueError, match="zero_shot.lines: class CHO|no well has cell_line CHO"):
        zero_shot.zero_shot(wells_of(), NUMBERS, entry | {"classes": ["RPE", "CHO"]})
    with pytest.raises(ValueError, match="leaves no plate that nothing saw"):
        zero_shot.zero_shot(wells_of(plates=1), NUMBERS, entry)


def test_another_study_s_numbers_are_matched_by_channel_extra_ones_dropped_and_missing_ones_refused(tmp_path):
    other = wells_of()
    extra = other.assign(DINO_Mito_000=1.0)[[*other.columns[:5], "DINO_Mito_000", *reversed(NUMBERS)]]
    store.write_table(other, tmp_path / "own.parquet")
    store.write_table(extra, tmp_path / "extra.parquet")
    said = ["--space", "dino", "--settings", json.dumps(ENTRY | {"channels": CHANNELS, "permutations": 0}),
            "--own", str(tmp_path / "own.parquet")]  # fmt: skip
    outputs = ["--confusion", str(tmp_path / "c.tsv"), "--accuracy", str(tmp_path / "a.tsv")]
    zero_shot.main([*said, "--wells", str(tmp_path / "extra.parquet"), *outputs])
    assert set(store.read_table(tmp_path / "a.tsv")["numbers"]) == {40}
    assert list(store.read_table(tmp_path / "c.tsv")) == zero_shot.CONFUSION
    lacking = [name for name in NUMBERS if "_RNA_" not in name]
    parts = parts_of_vectors(NUMBERS, ("DINO_",), CHANNELS)
    with pytest.raises(ValueError, match="x: it lacks the channels RNA; expected every channel"):
        zero_shot.matched_numbers(NUMBERS, lacking, parts, "x")
    with pytest.raises(ValueError, match="x: it lacks 1 numbers, DINO_RNA_019 the first"):
        zero_shot.matched_numbers(NUMBERS, NUMBERS[:-1], parts, "x")
