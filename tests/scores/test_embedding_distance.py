"""Distances of embeddings: known answers, naive versions, faults, errors that name the file."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.scores.profiles import discrepancy, embedding_distance
from brightpaint.study.spaces import SPACES

NAMES = [f"DINO_{channel}_{n:03d}" for channel in ("DNA", "ER") for n in range(8)]


def table(seed, shift=0.0, plate="P1", wells=12, sites=2):
    """Return embeddings of length 1: two DMSO wells and perturbations in pairs of wells; `shift` moves every field alike."""
    rng, rows = np.random.default_rng(seed), []
    for well in range(wells):
        for site in range(1, sites + 1):
            rows.append({"Metadata_Plate": plate, "Metadata_Well": f"A{well + 1:02d}", "Metadata_Site": site,
                         "Metadata_Tile": 1, "Metadata_perturbation": "DMSO" if well < 2 else f"c{well:02d}"})  # fmt: skip
    values = 1 + 0.1 * rng.normal(size=(len(rows), len(NAMES))) + shift * np.linspace(-1, 1, len(NAMES))
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return pd.concat([pd.DataFrame(rows), pd.DataFrame(values.astype(np.float32), columns=NAMES)], axis=1)


def scored(real, painted, others=(), active=None):
    rows = embedding_distance.plate_rows("P1", "arm", real, painted, list(others), None, active, SPACES["dino"])
    return pd.DataFrame(rows).set_index(["metric", "subset"])


def test_a_copy_is_at_0_below_another_plate_and_a_shift_is_beyond_both():
    real, other = table(0), table(1, plate="P0")
    found = {shift: scored(real, table(2, shift), [other]) for shift in (0.03, 0.1, 0.3)}
    copy = scored(real, real.sample(frac=1, random_state=0), [other])
    for metric in ("embedding_distance", "embedding_mmd2"):
        row = copy.loc[(metric, "full")]
        assert row["value"] == pytest.approx(0, abs=1e-9) and row["low"] == pytest.approx(row["high"], abs=1e-9)
        assert row[["space", "channel", "plate", "n"]].tolist() == ["dino", "all", "P1", 24]
        shifted = [found[shift].loc[(metric, "full"), "value"] for shift in found]
        assert shifted == sorted(shifted) and shifted[-1] > 2 * abs(row["null"])
        last = found[0.3].loc[(metric, "full")]
        assert last["low"] < last["value"] < last["high"] and last["low"] > last["null"]
    assert copy.loc[("embedding_distance", "full"), "null"] > 0.1


def test_two_draws_of_one_plate_have_no_mmd_in_the_mean():
    """40 pairs of plates of 24 fields: the mean lies within four standard errors of 0."""
    found = [
        embedding_distance.paired(values(table(2 * n)), values(table(2 * n + 1)), np.ones((1, 24)))["embedding_mmd2"][0]
        for n in range(40)
    ]
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(40) < 0.02 and min(found) < 0


def values(frame):
    return frame[NAMES].to_numpy(np.float64)


def test_both_distances_equal_naive_ones():
    real, painted = table(0), table(1, 0.2)
    x, y = values(real), values(painted)
    apart = []
    for column in range(len(NAMES)):
        middle = np.median(x[:, column])
        apart.append(abs(np.median(y[:, column]) - middle) / np.median(np.abs(x[:, column] - middle)))
    pairs = [(i, j) for i in range(24) for j in range(24) if i != j]
    sigma = np.median([np.linalg.norm(x[i] - x[j]) for i, j in pairs])
    k = lambda a, b: np.exp(-np.sum((a - b) ** 2) / (2 * sigma**2))  # noqa: E731
    naive = np.mean([k(x[i], x[j]) + k(y[i], y[j]) - 2 * k(x[i], y[j]) for i, j in pairs])
    frame = scored(real, painted)
    assert frame.loc[("embedding_distance", "full"), "value"] == pytest.approx(np.mean(apart))
    assert frame.loc[("embedding_mmd2", "full"), "value"] == pytest.approx(naive)
    other = embedding_distance.replicate(x, y[:20])
    unpaired = discrepancy.mmd2(discrepancy.kernels(x, y[:20], discrepancy.bandwidth(x), paired=False))[0]
    assert other["embedding_mmd2"] == pytest.approx(unpaired)
    assert scored(real, painted, [table(1, 0.2, "P0")]).loc[("embedding_distance", "full"), "null"] == pytest.approx(
        np.mean(apart)
    )


def test_resampled_medians_are_those_of_repeated_fields():
    x, y = values(table(0, wells=5, sites=1)), values(table(1, wells=5, sites=1))
    weights = discrepancy.field_weights([f"A{n}" for n in range(5)], np.random.default_rng(0), 40)
    naive = discrepancy.resampled_distance(x, y, weights)
    np.testing.assert_allclose(embedding_distance.resampled_distance(x, y, weights), naive, rtol=1e-12)
    even = discrepancy.field_weights(list("abcd"), np.random.default_rng(1), 40)
    np.testing.assert_allclose(
        embedding_distance.resampled_distance(x[:4], y[:4], even), discrepancy.resampled_distance(x[:4], y[:4], even)
    )


def test_a_number_without_spread_counts_in_no_distance_and_rounding_is_no_spread():
    real, painted = table(0), table(1)
    wanted = embedding_distance.paired(values(real)[:, 1:], values(painted)[:, 1:], np.ones((1, 24)))
    flat = values(real).copy()
    flat[:, 0] = 0.25 * (1 + 1e-7 * np.random.default_rng(0).normal(size=24))  # float32's last digit
    found = embedding_distance.paired(flat, values(painted), np.ones((1, 24)))
    assert found["embedding_distance"][0] == pytest.approx(wanted["embedding_distance"][0])
    alike = np.tile(values(real)[:1], (24, 1))
    with pytest.raises(ValueError, match="24 real fields have the same embedding"):
        embedding_distance.paired(alike, values(painted), np.ones((1, 24)))
    few = embedding_distance.paired(values(real)[:2], values(painted)[:2], np.ones((1, 2)))
    assert np.isnan(few["embedding_mmd2"][0]) and np.isfinite(few["embedding_distance"][0])


def test_actives_stand_apart_and_an_arm_of_the_actives_has_no_other_row():
    real, painted, active = table(0), table(1), {"c02", "c03", "c04"}
    both = scored(real, painted, [table(2, plate="P0")], active)
    assert both["n"].groupby("subset").first().to_dict() == {"active": 6, "full": 24}
    assert both["null"].notna().all()
    some = painted[painted["Metadata_perturbation"].isin(active)].iloc[::-1].reset_index(drop=True)
    alone = scored(real, some.drop(columns="Metadata_perturbation"), [], active)
    assert set(alone.index.get_level_values("subset")) == {"active"} and alone["null"].isna().all()
    key = ("embedding_mmd2", "active")
    assert alone.loc[key, "value"] == pytest.approx(both.loc[key, "value"])
    with pytest.raises(ValueError, match="arm, embeddings: 5 of 24 fields are not predicted, plate P1, well A01"):
        scored(real, painted.iloc[5:].reset_index(drop=True), [], active)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.drop(columns=NAMES), "P1.parquet: no column DINO_"),
        (lambda frame: frame.assign(DINO_DNA_001="x"), "P1.parquet: DINO_DNA_001 holds words"),
        (lambda frame: frame.assign(DINO_ER_002=np.nan), "P1.parquet: DINO_ER_002 is not finite .plate P1, well A01"),
        (lambda frame: pd.concat([frame, frame]), "P1.parquet: plate P1, well A01, site 1, tile 1 occurs twice"),
    ],
)
def test_a_table_that_cannot_be_compared_is_named(tmp_path, change, message):
    store.write_table(change(table(0)), tmp_path / "P1.parquet")
    with pytest.raises(ValueError, match=message):
        embedding_distance.read(tmp_path / "P1.parquet", SPACES["dino"])


def test_embeddings_of_another_network_are_refused(tmp_path):
    real, painted = table(0), table(1).drop(columns=NAMES[-1])
    with pytest.raises(ValueError, match="plate P1, arm arm: 15 numbers a field, the real ones have 16; .*rerun dino"):
        scored(real, painted)
    with pytest.raises(ValueError, match="plate P1, another real plate: 15 numbers"):
        scored(real, table(1), [painted])
