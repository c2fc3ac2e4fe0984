"""Samples of some fields as rows of their own: the same noise as the sample of that number, and draw 0 is the arm's own image."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.models.paint import draw_rows, gather, sample
from brightpaint.models.paint.field_noise import field_noise
from models_fixture import labelled_plates, labelled_weights, sample_arguments


def listed(folder, count=3, samples=4, active=()):
    words = ["--fields", labelled_plates()[2][1], "--active", *active, "--count", count, "--samples", samples]
    draw_rows.main([str(word) for word in [*words, "--rows", folder / "rows.parquet"]])
    return folder / "rows.parquet"


def painted(folder, name, rows, **changes):
    plate = (labelled_plates()[2][0], rows)
    sample.main(sample_arguments(labelled_weights(), plate, folder / f"{name}.tif", **changes))
    return np.array(store.open_stack(folder / f"{name}.tif").images)


def test_fields_are_spread_evenly_and_each_stands_as_often_as_it_is_painted(tmp_path):
    rows = store.read_fields(listed(tmp_path))
    assert rows["Metadata_Well"].tolist() == ["A01"] * 4 + ["A05"] * 4 + ["A08"] * 4
    assert rows["Metadata_draw"].tolist() == [0, 1, 2, 3] * 3 and set(rows["Metadata_painted_as"]) == {""}
    assert rows["stack_row"].tolist() == [0] * 4 + [4] * 4 + [7] * 4
    assert len(store.read_fields(listed(tmp_path, count=100, samples=2))) == 16


def test_an_arm_of_the_active_subset_draws_among_active_fields(tmp_path):
    active = tmp_path / "active.tsv"
    active.write_text("Metadata_perturbation\tactive\ncpd1\t1\n")
    assert set(store.read_fields(listed(tmp_path, 100, 2, [active]))["Metadata_perturbation"]) == {"cpd1"}


def test_a_draw_has_the_noise_of_the_sample_of_its_number():
    row = store.read_fields(labelled_plates()[2][1]).iloc[0]
    seeds = [field_noise(row, 0, number).initial_seed() for number in range(3)]
    for number in range(3):
        drawn = row.copy()
        drawn["Metadata_draw"] = number
        assert field_noise(drawn, 0).initial_seed() == seeds[number]
    assert len(set(seeds)) == 3


def test_draw_0_is_the_arm_s_own_image_and_parts_and_neighbours_change_no_byte(tmp_path):
    own = painted(tmp_path, "own", labelled_plates()[2][1])
    rows = listed(tmp_path)
    whole = painted(tmp_path, "draws", rows)
    np.testing.assert_array_equal(whole[::4], own[[0, 4, 7]])
    parts = [painted(tmp_path, f"part{part}", rows, part=part, parts=5) for part in range(1, 6)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    words = ["--parts", *(tmp_path / f"part{part}.tif" for part in range(1, 6)), "--part-seconds"]
    words += [*(tmp_path / f"part{part}.tsv" for part in range(1, 6)), "--fields", rows, "--active", "--stack"]
    words += [
        tmp_path / "gathered.tif",
        "--rows",
        tmp_path / "gathered.parquet",
        "--seconds",
        tmp_path / "gathered.tsv",
    ]
    gather.main([str(word) for word in words])  # 12 rows of 3 fields in 5 parts: no part holds half a field's samples
    np.testing.assert_array_equal(np.array(store.open_stack(tmp_path / "gathered.tif").images), whole)
    shuffled = store.read_fields(rows).sample(frac=1, random_state=0)
    store.write_table(shuffled.reset_index(drop=True), tmp_path / "shuffled.parquet")
    np.testing.assert_array_equal(painted(tmp_path, "shuffled", tmp_path / "shuffled.parquet"), whole[shuffled.index])


def test_draws_of_a_field_differ_and_are_independent(tmp_path):
    whole = painted(tmp_path, "draws", listed(tmp_path)).astype(float)
    assert (np.ptp(whole.reshape(3, 4, -1), axis=1) > 0).mean() > 0.99
    row = store.read_fields(labelled_plates()[2][1]).iloc[0]
    import torch

    noise = [torch.randn(20_000, generator=field_noise(row, 0, number)).numpy() for number in range(4)]
    correlations = np.corrcoef(noise)[np.triu_indices(4, 1)]
    assert np.abs(correlations).max() < 4 / np.sqrt(20_000)


def test_without_a_table_of_actives_all_fields_are_drawn_from(tmp_path):
    fields = store.read_fields(labelled_plates()[2][1])
    assert len(draw_rows.calibrated_fields(fields, [], 5)) == 5
    with pytest.raises(ValueError, match="field keys"):
        store.write_table(fields.drop(columns="Metadata_Site"), tmp_path / "bad.parquet")
        draw_rows.main(["--fields", str(tmp_path / "bad.parquet"), "--count", "2", "--samples", "2", "--rows", "x"])


def test_samples_that_show_another_treatment_keep_their_numbers():
    rows = pd.DataFrame({"Metadata_perturbation": ["A", "A"], "Metadata_treatment": ["A@1uM", "A@1uM"]})
    shown = gather.with_shown(rows.assign(Metadata_dose=1.0, Metadata_draw=[0, 1]), {"dose": 3.0})
    assert shown["Metadata_draw"].tolist() == [0, 1] and set(shown["Metadata_painted_as"]) == {"A@3uM"}
    assert gather.with_shown(rows.assign(Metadata_dose=1.0), {"dose": 3.0})["Metadata_draw"].tolist() == [0, 0]
