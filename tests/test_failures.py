"""Galleries of failures: the right fields of each, what is said of them, and whether noise goes with the label."""

from __future__ import annotations

import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.base.intensity import standardise
from brightpaint.report.figures import composite, failures, figures
from brightpaint.scores.images.background import noise_ratio

CHANNELS = {"input": ["BF_L", "BF", "BF_H"], "target": ["DNA", "Odd"]}
SETTINGS = {"channels": CHANNELS, "dpi": 60, "worst": 2, "pixel_size_um": {"P": 0.5}}
SIDE = 150


def field_scores(pcc, noise=None, plate="P", perturbations=None, targets=None):
    """Return scores of single fields: values (wells, channels)."""
    noise = np.ones_like(pcc) if noise is None else noise
    names = perturbations or [f"c{n}" for n in range(len(pcc))]
    targets = targets or [""] * len(pcc)
    rows = [{"Metadata_Plate": plate, "Metadata_Well": f"A{n + 1:02d}", "Metadata_Site": 1, "Metadata_Tile": 1,
             "Metadata_perturbation": names[n], "Metadata_target": targets[n],
             "Channel": channel, "pcc": pcc[n][c], "background_noise": noise[n][c]}
            for n in range(len(pcc)) for c, channel in enumerate(CHANNELS["target"])]  # fmt: skip
    return pd.DataFrame(rows)


def write(folder, arm, channels, wells, seed):
    """Write a stack of noise whose lower right is full of stain, and its rows."""
    rows = [{"Metadata_Plate": "P", "Metadata_Well": f"A{well + 1:02d}", "Metadata_Site": 1, "Metadata_Tile": 1,
             "Metadata_perturbation": f"c{well}", "Metadata_target": "T1" if well == 2 else "", "Metadata_control_type": "",
             "height_px": SIDE, "width_px": SIDE} for well in wells]  # fmt: skip
    rng = np.random.default_rng(seed)
    with store.StackWriter(folder / f"{arm}.tif", (len(rows), len(channels), SIDE, SIDE), channels, key="x") as writer:
        for row in range(len(rows)):
            images = rng.normal(size=(len(channels), SIDE, SIDE))
            images[:, 100:, 100:] += 20
            writer.write(row, images)
    store.write_table(pd.DataFrame(rows), folder / f"{arm}.parquet")


@pytest.fixture
def arm(tmp_path):
    """Write real fields of five wells, an arm that paints three of them, and its scores."""
    write(tmp_path, "real", CHANNELS["input"] + CHANNELS["target"], range(5), seed=0)
    write(tmp_path, "one", CHANNELS["target"], [4, 2, 0], seed=1)
    missing = [np.nan] * 2
    scores = field_scores([[0.9, 0.8], missing, [0.1, 0.3], missing, [0.5, 0.5]],
                          [[3.0, 1.0], missing, [1.0, 1.0], missing, [9.0, np.nan]])  # fmt: skip
    store.write_table(scores, tmp_path / "s.parquet")
    return tmp_path


def draw(folder, command, scores="s.parquet", name="w.jpg"):
    arguments = [command, "--settings", json.dumps(SETTINGS), "--arm", "one", "--plates", "P"]
    arguments += ["--scores", str(folder / scores), "--real", str(folder / "real.tif")]
    arguments += ["--fields", str(folder / "real.parquet"), "--predicted", str(folder / "one.tif")]
    figures.main([*arguments, "--figure", str(folder / name)])
    return folder / name


def words(folder, metric):
    """Draw a gallery, and return what is written in it."""
    scores = store.read_table(folder / "s.parquet")
    sources = {name: (store.open_stack(folder / f"{name}.tif"), store.read_fields(folder / f"{name}.parquet"))
               for name in ("real", "one")}  # fmt: skip
    chosen = {"metric": metric, "channels": CHANNELS, "pixel_size_um": {"P": 0.5}, "dpi": 60}
    figure = failures.failures_montage(failures.worst_fields(scores, 2, metric), {"P": sources}, scores, **chosen)
    texts = [text.get_text() for text in figure.axes[0].texts]
    plt.close(figure)
    return texts


def test_the_worst_fields_come_first_and_those_that_cannot_be_compared_not_at_all():
    table = field_scores([[0.9, 0.8], [0.1, 0.3], [np.nan, 0.5], [np.nan, np.nan]])
    worst = failures.worst_fields(table, 2)
    assert worst["Metadata_Well"].tolist() == ["A02", "A03"]
    assert worst["pcc"].tolist() == pytest.approx([0.2, 0.5]) and worst["fields"].tolist() == [3, 3]
    assert failures.worst_fields(table, 99)["rank"].tolist() == [1, 2, 3]


def test_the_noisiest_fields_are_those_of_most_noise():
    table = field_scores(np.ones((3, 2)), noise=[[1.0, 2.0], [5.0, 7.0], [0.5, np.nan]])
    worst = failures.worst_fields(table, 2, "background_noise")
    assert worst["Metadata_Well"].tolist() == ["A02", "A01"]
    assert worst["background_noise"].tolist() == pytest.approx([6.0, 1.5])


@pytest.mark.parametrize("command", ["worst", "noise"])
def test_a_gallery_is_the_same_every_time_and_a_picture_even_where_nothing_can_be_compared(arm, command):
    first = draw(arm, command)
    assert plt.imread(first).shape[0] > 300
    assert draw(arm, command, name="again.jpg").read_bytes() == first.read_bytes()
    assert first.read_bytes()[:2] == b"\xff\xd8" and draw(arm, command, name="w.png").read_bytes()[1:4] == b"PNG"
    store.write_table(field_scores([[np.nan] * 2], [[np.nan] * 2]), arm / "none.parquet")
    assert plt.imread(draw(arm, command, "none.parquet", "none.png")).ndim == 3


def test_the_gallery_of_failures_finds_fields_by_key(arm):
    said = words(arm, "pcc")
    assert "1 of 3: mean PCC 0.20   P A03, site 1: c2 (T1)" in said
    assert "2 of 3: mean PCC 0.50   P A05, site 1: c4" in said


def test_the_gallery_of_noise_shows_the_emptiest_part_with_the_noise_of_each_stain(arm):
    said = words(arm, "background_noise")
    assert "1 of 3: mean background noise 9.00   P A05, site 1: c4" in said
    assert any(text.startswith("Fewer than two labels have two wells each") for text in said)
    real, painted = store.open_stack(arm / "real.tif"), store.open_stack(arm / "one.tif")
    stains = standardise(real.images[4][real.channel_indices(CHANNELS["target"])])
    ratios = noise_ratio(stains, standardise(painted.images[0][painted.channel_indices(CHANNELS["target"])]))
    assert [f"noise {value:.1f}" for value in ratios] == [text for text in said if text.startswith("noise")][:2]
    top, left = composite.empty_part(stains)
    assert top + composite.CLOSE_UP_PX <= 104 or left + composite.CLOSE_UP_PX <= 104  # a corner's edge at most
    assert composite.crowded_part(stains) == (SIDE - 100, SIDE - 100)


def noise_of(effect, seed, wells=60, labels=6):
    """Return scores of two plates whose noise depends on the label by `effect` s.d., and on the plate by far more."""
    rng, tables = np.random.default_rng(seed), []
    for number, plate in enumerate("PQ"):
        names = [f"c{n % labels}" for n in range(wells)]
        shift = effect * np.arange(labels)[np.arange(wells) % labels] / labels
        noise = np.exp(3 * number + shift + 0.3 * rng.normal(size=wells))
        tables.append(field_scores(np.ones((wells, 2)), np.stack([noise, noise], 1), plate, names))
    return pd.concat(tables, ignore_index=True)


def test_noise_that_goes_with_the_label_is_told_from_noise_that_does_not():
    with_label = [failures.noise_by_label(noise_of(1.0, seed)) for seed in range(5)]
    without = [failures.noise_by_label(noise_of(0.0, seed)) for seed in range(20)]
    assert all(found["share"] > found["bound"] + 0.2 for found in with_label)
    assert sum(found["share"] > found["bound"] for found in without) <= 4  # one in twenty is expected
    # what shuffled labels share: (groups - 1) / (wells - 1), here 5 / 119
    assert np.mean([found["chance"] for found in without]) == pytest.approx(5 / 119, abs=0.004)
    assert with_label[0]["wells"] == 120 and with_label[0]["groups"] == 6
    assert "more than chance" in failures.label_words(with_label[0])


def test_the_share_between_labels_is_the_analysis_of_variance_and_does_not_hang_on_the_order_of_rows():
    table = noise_of(0.5, 1)
    found = failures.noise_by_label(table)
    wells = np.log(table[table["Channel"] == "DNA"]["background_noise"].to_numpy()).reshape(2, 60)
    wells = (wells - wells.mean(axis=1, keepdims=True)).ravel()
    labels = np.tile(np.arange(60) % 6, 2)
    within = sum(((wells[labels == label] - wells[labels == label].mean()) ** 2).sum() for label in range(6))
    assert found["share"] == pytest.approx(1 - within / (wells**2).sum())
    assert failures.noise_by_label(table.sample(frac=1, random_state=2)) == pytest.approx(found)


def test_labels_of_one_well_each_and_noise_that_never_varies_say_nothing():
    single = failures.noise_by_label(field_scores(np.ones((3, 2)), np.ones((3, 2)) * 2))
    assert np.isnan(single["share"]) and single["wells"] == 0
    constant = failures.noise_by_label(
        field_scores(np.ones((4, 2)), np.ones((4, 2)), perturbations=["a", "a", "b", "b"])
    )
    assert np.isnan(constant["share"])
    assert "Fewer than two labels" in failures.label_words(single)
    assert "never varies" in failures.label_words(constant)


def test_wells_are_grouped_by_target_where_each_perturbation_has_one_well():
    noise = np.repeat([[1.0, 1.0], [4.0, 4.0], [2.0, 2.0]], 2, axis=0)
    found = failures.noise_by_label(field_scores(np.ones((6, 2)), noise, targets=["T1", "T1", "T2", "T2", "T3", "T3"]))
    assert (found["label"], found["groups"], found["wells"]) == ("target", 3, 6) and found["share"] == pytest.approx(1)
    assert "3 targets" in failures.label_words(found)
    dmso = field_scores(
        np.ones((4, 2)), noise[:4], perturbations=["DMSO", "DMSO", "a", "b"], targets=["", "", "T", "T"]
    )
    assert failures.noise_by_label(dmso)["groups"] == 1  # controls alone are no second label
