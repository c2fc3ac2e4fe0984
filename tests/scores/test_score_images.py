"""Scores of images by the command: copies, noise, faults, shuffled rows, missing fields, chance, floor, uncertainty."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

from brightpaint import store
from brightpaint.base.intensity import standardise
from brightpaint.scores.images.field_scores import score_field
from brightpaint.scores.pairing import covered, join_rows, other_well
from scores_fixture import CHANNELS, SIZE, field_table, scored_folder, value  # noqa: F401


def test_a_copy_is_perfect_whatever_its_gain_and_the_raw_error_sees_it(folder):
    folder.predict("copy", lambda images: 3 * images + 1)
    frame = folder.score("copy")
    assert value(frame, "pcc") == pytest.approx(1, abs=1e-4)
    assert value(frame, "ssim") == pytest.approx(1, abs=1e-4)
    assert value(frame, "mse") == pytest.approx(0, abs=1e-4)
    assert value(frame, "mse_raw") == pytest.approx(5, rel=0.02)  # (2 z + 1)^2 in the mean
    assert value(frame, "pcc", column="n") == 12 and value(frame, "pcc", subset="active", column="n") == 6


@pytest.mark.parametrize("fault", ["blur", "noise"])
def test_every_pixel_metric_worsens_with_the_fault(folder, fault):
    rng = np.random.default_rng(1)
    kinds = {
        "blur": lambda sd: lambda images: gaussian_filter(images, (0, 0, sd, sd)),
        "noise": lambda sd: lambda images: images + sd * rng.normal(size=images.shape),
    }
    rows = []
    for severity in (1, 3, 9):
        folder.predict(f"{fault}{severity}", kinds[fault](severity))
        frame = folder.score(f"{fault}{severity}", active=False)
        rows.append([value(frame, metric) for metric in ("pcc", "ssim", "ssim_paper", "mse", "mae")])
    steps = np.diff(rows, axis=0)
    assert (steps[:, :3] < 0).all() and (steps[:, 3:] > 0).all(), rows


def test_swapped_wells_and_swapped_channels_fall_to_chance(folder):
    folder.predict("wells", lambda images: np.roll(images, 1, axis=0))
    folder.predict("channels", lambda images: images[:, ::-1])
    for arm in ("wells", "channels"):
        assert abs(value(folder.score(arm), "pcc")) < 0.1
    folder.predict("copy", lambda images: images)
    assert abs(value(folder.score("copy"), "pcc", column="null")) < 0.1


def test_every_metric_of_images_has_its_chance_level(folder):
    """Chance is the mean over fields of the same prediction against the next field of another well, taken naively."""
    folder.predict("noisy", lambda images: images + 0.5 * np.random.default_rng(3).normal(size=images.shape))
    frame = folder.score("noisy")
    real, painted = (
        [standardise(np.asarray(field[-2:], np.float32), 15) for field in store.open_stack(folder.root / name).images]
        for name in ("images/real/P1.tif", "images/noisy/P1.tif")
    )
    wells = store.read_fields(folder.root / "fields/P1.parquet")["Metadata_Well"]
    pairs = [(real[j], painted[i]) for i, j in enumerate(other_well(wells))]
    naive = {
        "pcc": lambda a, b: np.corrcoef(a.ravel(), b.ravel())[0, 1],
        "ssim": lambda a, b: structural_similarity(a, b, data_range=15),
        "ssim_paper": lambda a, b: structural_similarity(a, b, data_range=2),
        "mse": lambda a, b: ((a - b) ** 2).mean(),
        "mae": lambda a, b: np.abs(a - b).mean(),
    }
    for metric, measure in naive.items():
        expected = np.mean([measure(a, b) for pair in pairs for a, b in zip(*pair)])
        assert value(frame, metric, column="null") == pytest.approx(expected, abs=2e-3), metric
        better = -1 if metric in ("mse", "mae") else 1
        bound = value(frame, metric, column="null_bound")
        assert better * (value(frame, metric) - bound) > 0 < better * (bound - expected), metric
    assert value(frame, "mse_raw") < value(frame, "mse_raw", column="null_bound")
    assert np.isnan(value(frame, "background_noise", column="null"))  # one is as real: it has no chance level
    fields = store.read_table(folder.root / "metrics/noisy.fields.parquet")
    assert fields["ssim_other_well"].mean() == pytest.approx(value(frame, "ssim", column="null"))


def test_rows_are_joined_by_key(folder):
    noisy = lambda images: images + gaussian_filter(images, (0, 0, 3, 3))  # noqa: E731
    folder.predict("sorted", noisy)
    folder.predict("shuffled", noisy, rows=np.random.default_rng(2).permutation(12))
    left, right = folder.score("sorted"), folder.score("shuffled")
    pd.testing.assert_frame_equal(left.drop(columns="arm"), right.drop(columns="arm"))


def test_the_floor_is_what_brightfield_reaches_by_itself(folder):
    folder.predict("mean", lambda images: np.repeat(images.mean(axis=0, keepdims=True), len(images), axis=0))
    frame, real = folder.score("mean"), folder.score("real")
    references = [value(real, name) for name in ("pcc_brightfield", "pcc_brightfield_sd")]
    assert references[0] == pytest.approx(0.447, abs=0.03)  # 0.5 z + noise: 0.5 / sqrt(1.25)
    assert value(frame, "pcc", column="floor") == pytest.approx(max(references))
    assert "pcc" not in set(real["metric"])


def test_an_arm_of_the_active_subset_has_no_full_rows(folder):
    actives = [row for row in range(12) if 2 <= row < 8]
    folder.predict("active", lambda images: images, rows=actives)
    frame = folder.score("active")
    assert set(frame["subset"]) == {"active"} and value(frame, "pcc", subset="active", column="n") == 6


def test_missing_and_foreign_fields_are_errors(folder):
    folder.predict("short", lambda images: images, rows=range(7))
    with pytest.raises(ValueError, match="5 of 12 fields are not predicted, plate P1, well B02"):
        folder.score("short")
    fields = field_table("P1")
    foreign = fields.assign(Metadata_Site=[1] * 11 + [9])
    with pytest.raises(ValueError, match="plate P1, well B06, site 9, tile 1 is predicted but not among"):
        join_rows(fields, foreign, "x.tif")
    folder.predict("torn", lambda images: images)
    table = folder.root / "images/torn/P1.parquet"
    store.write_table(store.read_fields(table).iloc[:5], table)
    with pytest.raises(ValueError, match="torn.*12 fields where its table has 5"):
        folder.score("torn")


def test_subsets_without_any_active_perturbation_are_empty_not_wrong():
    fields = field_table("P")
    chosen = covered(fields, join_rows(fields, fields, ""), set(), "")
    assert chosen["full"].all() and not chosen["active"].any()


def test_other_well_never_pairs_a_field_with_its_own_well():
    wells = np.array(["A01", "A01", "A02", "A03", "A03"])
    assert (wells[other_well(wells)] != wells).all()
    assert other_well(["A01", "A01"]).tolist() == [0, 1]


def test_one_constant_prediction_scores_0_and_is_not_left_out():
    rng = np.random.default_rng(3)
    real = rng.normal(size=(2, SIZE, SIZE))
    scores = score_field(real, np.zeros_like(real), real, cutoff=15)
    assert (scores["pcc"] == 0).all() and np.isfinite(scores["ssim"]).all()


def test_single_fields_stand_beside_and_their_mean_is_the_number(folder):
    folder.predict("noisy", lambda images: images + gaussian_filter(images, (0, 0, 3, 3)), rows=range(11, -1, -1))
    frame = folder.score("noisy")
    fields = store.read_table(folder.root / "metrics/noisy.fields.parquet")
    assert len(fields) == 24 and list(fields["Channel"][:2]) == CHANNELS["target"]
    assert not fields.duplicated([*store.FIELD_KEYS, "Channel"]).any()
    for metric in ("pcc", "ssim", "background_noise"):
        assert fields[metric].mean() == pytest.approx(value(frame, metric))
        dna = fields[fields["Channel"] == "DNA"]
        assert dna[metric].mean() == pytest.approx(value(frame, metric, channel="DNA"))
    assert {"Metadata_perturbation", "pcc_other_well", "pcc_brightfield"} <= set(fields.columns)


def test_a_copy_has_the_noise_of_the_real_background_and_a_mean_less(folder):
    folder.predict("copy", lambda images: 3 * images + 1)
    folder.predict("mean", lambda images: np.repeat(images.mean(axis=0, keepdims=True), len(images), axis=0))
    assert value(folder.score("copy"), "background_noise") == pytest.approx(1, abs=1e-3)
    assert value(folder.score("copy"), "background_noise", column="n") == 12


def test_the_same_input_gives_the_same_bytes(folder):
    folder.predict("copy", lambda images: images + 0.1)
    folder.score("copy")
    first = (folder.root / "metrics/copy.parquet").read_bytes()
    folder.score("copy")
    assert (folder.root / "metrics/copy.parquet").read_bytes() == first


def spread_of(folder, arm, rows=None):
    """Write an uncertainty stack that knows the arm's error, in another order of rows; return its path."""
    painted = store.open_stack(folder.root / f"images/{arm}/P1.tif").images.astype(np.float32)
    real = store.open_stack(folder.root / "images/real/P1.tif").images[:, 2:].astype(np.float32)
    fields, order = store.read_fields(folder.root / "fields/P1.parquet"), np.arange(len(painted))[::-1]
    error = 1 - (standardise(painted) * standardise(real)).mean(axis=(2, 3), keepdims=True)
    chosen = order if rows is None else order[:rows]
    folder.stack(
        f"uncertainty/{arm}/P1.tif", np.broadcast_to(np.sqrt(error), painted.shape)[chosen], CHANNELS["target"]
    )
    store.write_table(fields.iloc[chosen], folder.root / f"uncertainty/{arm}/P1.parquet")
    return str(folder.root / f"uncertainty/{arm}/P1.tif")


def test_uncertainty_is_joined_by_key_and_scored_beside_the_error(folder):
    rng = np.random.default_rng(3)
    grain = np.linspace(0.1, 2, 12)[rng.permutation(12)][:, None, None, None]
    folder.predict("grainy", lambda images: images + grain * rng.normal(size=images.shape))
    assert "aurc" not in set(folder.score("grainy")["metric"])
    frame = folder.score("grainy", uncertainty=[spread_of(folder, "grainy")])
    assert value(frame, "aurc") == pytest.approx(value(frame, "aurc_oracle"), rel=1e-3)
    assert value(frame, "uncertainty_r") > 0.99 and value(frame, "aurc") < value(frame, "aurc", column="null_bound")
    assert value(frame, "uncertainty") == pytest.approx(1 - value(frame, "pcc"), rel=0.02)
    assert value(frame, "aurc", "ER", "active", "n") == 6
    fields = store.read_table(folder.root / "metrics/grainy.fields.parquet")
    np.testing.assert_allclose(fields["uncertainty"], 1 - fields["pcc"], rtol=0.02)
    with pytest.raises(ValueError, match="10 fields, but the arm painted 12"):
        folder.score("grainy", uncertainty=[spread_of(folder, "grainy", 10)])
