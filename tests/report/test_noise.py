"""The gallery of an arm's noisiest backgrounds: what is shown, and whether noise goes with the label."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.base.intensity import standardise
from brightpaint.report.figures import composite, noise
from brightpaint.scores.images.background import noise_ratio
from failures_fixture import CHANNELS, SIDE, drawn_twice, field_scores, views, words, write_arm


def test_the_gallery_is_the_same_every_time_and_a_picture_even_where_nothing_can_be_compared(tmp_path):
    write_arm(tmp_path)
    drawn_twice(tmp_path, noise.main)


def test_the_gallery_shows_the_emptiest_part_with_the_noise_of_each_stain(tmp_path):
    write_arm(tmp_path)
    shown = [noise.emptiest(view) for view in views(tmp_path, noise.METRIC)]
    assert {view["brightfield"].shape for view in shown} == {(composite.CLOSE_UP_PX, composite.CLOSE_UP_PX)}
    assert shown[0]["width_um"] == pytest.approx(0.5 * composite.CLOSE_UP_PX)
    scores = store.read_table(tmp_path / "s.parquet")
    written = words(shown, noise.label_words(noise.noise_by_label(scores)))
    assert "1 of 3: mean background noise 9.00   P A05, site 1: c4" in written
    assert any(text.startswith("Fewer than two labels have two wells each") for text in written)
    real, painted = store.open_stack(tmp_path / "real.tif"), store.open_stack(tmp_path / "one.tif")
    stains = standardise(real.images[4][real.channel_indices(CHANNELS["target"])])
    ratios = noise_ratio(stains, standardise(painted.images[0][painted.channel_indices(CHANNELS["target"])]))
    assert [f"noise {value:.1f}" for value in ratios] == [text for text in written if text.startswith("noise")][:2]
    top, left = composite.empty_part(stains)
    assert top + composite.CLOSE_UP_PX <= 104 or left + composite.CLOSE_UP_PX <= 104  # a corner's edge at most
    assert composite.crowded_part(stains) == (SIDE - 100, SIDE - 100)


def noise_of(effect, seed, wells=60, labels=6):
    """Return scores of two plates whose noise depends on the label by `effect` s.d., and on the plate by far more."""
    rng, tables = np.random.default_rng(seed), []
    for number, plate in enumerate("PQ"):
        names = [f"c{n % labels}" for n in range(wells)]
        shift = effect * np.arange(labels)[np.arange(wells) % labels] / labels
        grain = np.exp(3 * number + shift + 0.3 * rng.normal(size=wells))
        tables.append(field_scores(np.ones((wells, 2)), np.stack([grain, grain], 1), plate, names))
    return pd.concat(tables, ignore_index=True)


def test_noise_that_goes_with_the_label_is_told_from_noise_that_does_not():
    with_label = [noise.noise_by_label(noise_of(1.0, seed)) for seed in range(5)]
    without = [noise.noise_by_label(noise_of(0.0, seed)) for seed in range(20)]
    assert all(found["share"] > found["bound"] + 0.2 for found in with_label)
    assert sum(found["share"] > found["bound"] for found in without) <= 4  # one in twenty is expected
    # what shuffled labels share: (groups - 1) / (wells - 1), here 5 / 119
    assert np.mean([found["chance"] for found in without]) == pytest.approx(5 / 119, abs=0.004)
    assert with_label[0]["wells"] == 120 and with_label[0]["groups"] == 6
    assert "more than chance" in noise.label_words(with_label[0])


def test_the_share_between_labels_is_the_analysis_of_variance_and_does_not_hang_on_the_order_of_rows():
    table = noise_of(0.5, 1)
    found = noise.noise_by_label(table)
    wells = np.log(table[table["Channel"] == "DNA"]["background_noise"].to_numpy()).reshape(2, 60)
    wells = (wells - wells.mean(axis=1, keepdims=True)).ravel()
    labels = np.tile(np.arange(60) % 6, 2)
    within = sum(((wells[labels == label] - wells[labels == label].mean()) ** 2).sum() for label in range(6))
    assert found["share"] == pytest.approx(1 - within / (wells**2).sum())
    assert noise.noise_by_label(table.sample(frac=1, random_state=2)) == pytest.approx(found)


def test_labels_of_one_well_each_and_noise_that_never_varies_say_nothing():
    single = noise.noise_by_label(field_scores(np.ones((3, 2)), np.ones((3, 2)) * 2))
    assert np.isnan(single["share"]) and single["wells"] == 0
    constant = noise.noise_by_label(field_scores(np.ones((4, 2)), np.ones((4, 2)), perturbations=["a", "a", "b", "b"]))
    assert np.isnan(constant["share"])
    assert "Fewer than two labels" in noise.label_words(single)
    assert "never varies" in noise.label_words(constant)


def test_wells_are_grouped_by_target_where_each_perturbation_has_one_well():
    grain = np.repeat([[1.0, 1.0], [4.0, 4.0], [2.0, 2.0]], 2, axis=0)
    found = noise.noise_by_label(field_scores(np.ones((6, 2)), grain, targets=["T1", "T1", "T2", "T2", "T3", "T3"]))
    assert (found["label"], found["groups"], found["wells"]) == ("target", 3, 6) and found["share"] == pytest.approx(1)
    assert "3 targets" in noise.label_words(found)
    dmso = field_scores(
        np.ones((4, 2)), grain[:4], perturbations=["DMSO", "DMSO", "a", "b"], targets=["", "", "T", "T"]
    )
    assert noise.noise_by_label(dmso)["groups"] == 1  # controls alone are no second label
