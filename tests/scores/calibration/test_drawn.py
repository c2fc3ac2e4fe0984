"""A plate's samples laid beside its fields: found by key, whatever their order, and the same numbers as a naive account."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.models.paint.sweep_fields import drawn_rows
from brightpaint.scores.calibration import bands, drawn, proper_scores
from scores_fixture import field_table

FEATURES = [f"Cells_{n}" for n in range(9)]


def medians(fields, seed, mean=None, sd=1.0):
    rng = np.random.default_rng(seed)
    values = sd * rng.normal(size=(len(fields), len(FEATURES))) + (0 if mean is None else mean)
    return pd.concat(
        [fields.reset_index(drop=True).assign(Metadata_cells=20), pd.DataFrame(values, columns=FEATURES)], axis=1
    )


def cells_table(painted, fields, samples, real, training, features=FEATURES):
    return drawn.cell_table(real, painted, fields, samples, features, training, 4, "arm")


def test_draws_are_found_by_key_in_any_order():
    fields = field_table("P1", wells=5)
    rows = drawn_rows(fields, 3).sample(frac=1, random_state=0)
    places = drawn.draws_of(rows, fields.iloc[[4, 0]], 3, "arm")
    found = rows.iloc[places.ravel()]
    assert found["Metadata_Well"].tolist() == ["A05"] * 3 + ["A01"] * 3
    assert found["Metadata_draw"].tolist() == [0, 1, 2] * 2
    assert drawn.draws_of(fields, fields, 1, "arm")[:, 0].tolist() == list(range(5))  # of a painter without noise


def test_a_draw_that_is_missing_is_named():
    fields = field_table("P1", wells=5)
    rows = drawn_rows(fields, 3).drop(index=7)
    with pytest.raises(
        ValueError, match="x.tif: draw 1 of plate P1, well A03, site 1, tile 1 is missing, expected 3 of each"
    ):
        drawn.draws_of(rows, fields, 3, "x.tif")


def test_every_field_has_the_numbers_of_its_own_samples(tmp_path):
    rng, fields = np.random.default_rng(0), field_table("P1", wells=3)
    rows = drawn_rows(fields, 2).sample(frac=1, random_state=1).reset_index(drop=True)
    stacks = {}
    for name, count, channels in (("real", 3, ["BF", "DNA", "ER"]), ("drawn", 6, ["ER", "DNA"])):
        images = rng.normal(size=(count, len(channels), 32, 32)).astype(np.float16)
        with store.StackWriter(tmp_path / f"{name}.tif", images.shape, channels, key="test") as writer:
            for number, image in enumerate(images):
                writer.write(number, image)
        stacks[name] = store.open_stack(tmp_path / f"{name}.tif")
    places = drawn.draws_of(rows, fields, 2, "arm")
    table = drawn.image_table(stacks["real"], stacks["drawn"], places, fields, ["DNA", "ER"], 15)
    assert table["Channel"].tolist() == ["DNA", "ER"] * 3 and "Metadata_perturbation" in table
    for number in range(3):
        own = rows.index[rows["Metadata_Well"] == fields["Metadata_Well"][number]]
        samples = stacks["drawn"].images[list(own)].astype(float)[:, 1]  # DNA
        expected = bands.alike(samples, stacks["real"].images[number, 1].astype(float))
        assert table["pcc_drawn"][2 * number] == pytest.approx(expected[0], abs=1e-4)
        assert table["pcc_between"][2 * number] == pytest.approx(expected[1], abs=1e-4)


def test_images_of_another_size_are_refused(tmp_path):
    fields = field_table("P1", wells=2)
    for name, side in (("real", 32), ("drawn", 16)):
        with store.StackWriter(tmp_path / f"{name}.tif", (2, 1, side, side), ["DNA"], key="test") as writer:
            for number in range(2):
                writer.write(number, np.zeros((1, side, side)))
    stacks = [store.open_stack(tmp_path / f"{name}.tif") for name in ("real", "drawn")]
    with pytest.raises(
        ValueError, match=r"drawn.tif: images of \(16, 16\) pixels, expected \(32, 32\) as in .*real.tif"
    ):
        drawn.image_table(*stacks, np.array([[0], [1]]), fields, ["DNA"], 15)


def test_features_are_whitened_by_training_fields_and_averaged_over_samples_where_a_mean_is_compared():
    fields, training = field_table("P1"), medians(field_table("P0", sites=4), 0)
    real, rows = medians(fields, 1), drawn_rows(fields, 3)
    painted = medians(rows, 2)
    table = cells_table(painted, fields, 3, real, training)
    whitening = proper_scores.whitening_of(training, FEATURES, 4)
    truth, samples = (
        proper_scores.whitened(real, whitening),
        proper_scores.whitened(painted, whitening).reshape(12, 3, 4),
    )
    np.testing.assert_allclose(table["energy"], proper_scores.energy_score(samples, truth))
    values = painted[FEATURES].to_numpy().reshape(12, 3, 9).mean(axis=1)
    own = real[FEATURES].to_numpy()
    mad = np.median(np.abs(own - np.median(own, axis=0)), axis=0)
    np.testing.assert_allclose(table["feature_error"], (np.abs(values - own) / mad).mean(axis=1))
    assert set(table["Channel"]) == {"all"} and (table["count_error2"] == 0).all()


def test_fields_without_cells_have_no_energy_and_are_counted():
    fields, training = field_table("P1"), medians(field_table("P0", sites=4), 0)
    real, rows = medians(fields, 1), drawn_rows(fields, 2)
    painted = medians(rows, 2)
    painted.loc[[0, 3], "Metadata_cells"] = 0  # a draw of the first and one of the second field
    real.loc[1, "Metadata_cells"] = 0
    table = cells_table(painted, fields, 2, real, training)
    assert np.isnan(table["energy"][:2]).all() and np.isfinite(table["energy"][2:]).all()
    assert table["without_cells"][0] == 0.5 and np.isnan(table["without_cells"][1]) and table["without_cells"][2] == 0
    assert table["count_error2"][1] == 100  # a mean of 10 cells where the real field has none


def test_a_feature_that_a_real_field_lacks_is_in_no_arm_s_components():
    fields, training = field_table("P1"), medians(field_table("P0", sites=4), 0)
    real, painted = medians(fields, 1), medians(drawn_rows(fields, 2), 2)
    whole = cells_table(painted, fields, 2, real, training, FEATURES[1:])
    real.loc[3, "Cells_0"] = np.nan
    np.testing.assert_allclose(cells_table(painted, fields, 2, real, training)["energy"], whole["energy"])
