"""Scores of profiles by the command: copies, look-ups, shuffled names, embeddings, brightfield."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.profiles import lookup, treatments
from brightpaint.scores.profiles import matching
from scores_fixture import CHANNELS, FEATURES, field_table, profile_table, scored_folder, value  # noqa: F401


def test_an_active_perturbation_that_the_plate_lacks_brings_no_full_rows_back(folder):
    """The actives are found on other plates: one may lie on no well of this one."""
    actives = store.read_actives(folder.root / "active.tsv")
    elsewhere = pd.DataFrame({"Metadata_perturbation": ["elsewhere"], "active": [1]})
    store.write_table(pd.concat([actives, elsewhere]), folder.root / "active.tsv")
    folder.predict("active", lambda images: images, rows=range(2, 8))
    profiles = store.read_table(folder.root / "profiles/real.parquet")
    chosen = profiles["Metadata_Plate"].eq("P1") & profiles["Metadata_perturbation"].isin(
        [f"c{n:02d}" for n in range(2, 8)]
    )
    store.write_table(profiles[chosen], folder.root / "painted.parquet")
    frame = folder.score("active", profiles=["profiles/real.parquet", "painted.parquet"])
    assert set(frame["subset"]) == {"active"} and value(frame, "cpcor", subset="active") == pytest.approx(1)
    everything = pd.DataFrame({"Metadata_perturbation": [f"c{n:02d}" for n in range(2, 12)], "active": 1})
    store.write_table(pd.concat([everything, elsewhere]), folder.root / "active.tsv")
    folder.predict("whole", lambda images: images)
    store.write_table(profiles[profiles["Metadata_Plate"].eq("P1")], folder.root / "painted.parquet")
    frame = folder.score("whole", profiles=["profiles/real.parquet", "painted.parquet"])
    assert {"full", "active"} == set(frame["subset"]), "where all of the plate is active, the subset is the whole"


def test_a_copy_of_the_real_profiles_has_cpcor_1_and_their_matches(folder):
    folder.predict("copy", lambda images: images)
    profiles = store.read_table(folder.root / "profiles/real.parquet")
    store.write_table(
        profiles[profiles["Metadata_Plate"] == "P1"].sample(frac=1, random_state=1), folder.root / "copy.parquet"
    )
    frame = folder.score("copy", profiles=["profiles/real.parquet", "copy.parquet"])
    real = folder.score("real", plates=("P0", "P1"), profiles=["profiles/real.parquet"])
    real = real[real["plate"] == "P1"]
    assert value(frame, "cpcor") == pytest.approx(1)
    for metric in ("nn", "top5", "map_target", "mtdist"):
        assert value(frame, metric) == pytest.approx(value(real, metric))
    assert value(frame, "nn", column="null") == pytest.approx(10 / 9)
    assert value(frame, "top5", column="null") == pytest.approx(50 / 9)
    assert value(frame, "nn") > value(frame, "nn", column="null_bound")
    assert 0.4 < value(real, "cpcor") < 0.98 and value(real, "cpcor") == pytest.approx(
        value(frame, "cpcor", column="floor")
    )
    assert abs(value(frame, "cpcor", column="null")) < 0.1


def test_what_is_looked_up_has_profiles_alone_and_the_cpcor_that_is_the_others_floor(folder):
    profiles = store.read_table(folder.root / "profiles/real.parquet")
    store.write_table(lookup.lookup(profiles, "P1", ["P0"]), folder.root / "lookup.parquet")
    frame = folder.score("lookup", images=False, profiles=["profiles/real.parquet", "lookup.parquet"])
    assert len(store.read_table(folder.root / "metrics/lookup.fields.parquet")) == 0
    assert set(frame["space"]) == {"cellprofiler"} and set(frame["subset"]) == {"full", "active"}
    assert value(frame, "cpcor") == pytest.approx(value(frame, "cpcor", column="floor"))
    assert {"nn", "top5", "map_target", "mtdist"} <= set(frame["metric"])


def test_shuffled_perturbations_are_at_chance(folder):
    real = matching.treated_profiles(profile_table("P1", 1, 0.3), "real")
    drawn = [
        matching.cpcor(real, real.set_axis(np.random.default_rng(n).permutation(real.index)))[0] for n in range(50)
    ]
    assert abs(np.mean(drawn)) < 0.06


def test_perturbations_without_cells_and_features_with_gaps_are_counted(caplog):
    table = profile_table("P1", 1, 0.3)
    table.loc[5, FEATURES], table.loc[7, FEATURES[3]] = np.nan, np.nan
    with caplog.at_level("INFO"):
        kept = matching.treated_profiles(table, "arm x, plate P1")
    assert "9 perturbations, 1 without cells left out; 40 features, 1 with gaps left out" in caplog.text
    assert "c06" not in kept.index and FEATURES[3] not in kept and "DMSO" not in kept.index
    twice = pd.concat([table, table.iloc[-1:]])
    with pytest.raises(ValueError, match="perturbation c11 occurs twice"):
        matching.treated_profiles(twice, "x")


def test_published_ways_stand_beside_only_where_they_differ():
    profiles = matching.treated_profiles(profile_table("P", 1, 0.3), "x")
    pairs = [row["metric"] for row in [*matching.match_rows(profiles, field_table("P"), "s"),
                                       *matching.distance_rows(profiles, "s")]]  # fmt: skip
    assert pairs == ["nn", "top5", "mtdist"]
    triples = profiles.assign(Metadata_target=[f"T{n // 5}" for n in range(10)])
    rows = [*matching.match_rows(triples, field_table("P"), "s"), *matching.distance_rows(triples, "s")]
    assert {"top5_paper", "mtdist_paper"} <= {row["metric"] for row in rows}


def test_the_position_floor_finds_neighbours_on_the_plate():
    wells = treatments.well_places(["A01", "B03", "AA10", "odd"])
    np.testing.assert_array_equal(wells[:3], [[1, 1], [2, 3], [27, 10]])
    assert np.isnan(wells[3]).all()
    fields = field_table("P")
    profiles = matching.treated_profiles(profile_table("P", 1, 0.3), "x")
    nearest = next(iter(matching.match_rows(profiles, fields, "s")))
    assert nearest["floor"] > 3  # pairs lie side by side here


def test_an_arm_measured_without_its_plate_is_an_error(folder):
    folder.predict("copy", lambda images: images)
    profiles = store.read_table(folder.root / "profiles/real.parquet")
    store.write_table(profiles[profiles["Metadata_Plate"] == "P0"], folder.root / "half.parquet")
    with pytest.raises(ValueError, match="plate P1 has no profiles in arm copy"):
        folder.score("copy", profiles=["profiles/real.parquet", "half.parquet"])


def embedding_profiles(root, name, channels, noise=0.3, seed=0):
    """Write perturbation profiles of two plates in the space of an embedder; channels are what is embedded."""
    shared, rng = np.random.default_rng(5).normal(size=(6, 8 * len(channels))), np.random.default_rng(seed)
    tables = []
    for plate in ("P0", "P1"):
        table = field_table(plate).drop_duplicates("Metadata_perturbation").reset_index(drop=True)
        group = [0 if name == "" else int(name[1:]) for name in table["Metadata_target"]]
        names = [f"DINO_{channel}_{n:03d}" for channel in channels for n in range(8)]
        values = pd.DataFrame(shared[group] + noise * rng.normal(size=(len(table), len(names))), columns=names)
        columns = ["Metadata_Plate", "Metadata_perturbation", "Metadata_target", "Metadata_control_type"]
        tables.append(pd.concat([table[columns].assign(Metadata_fields=1), values], axis=1))
    store.write_table(pd.concat(tables), root / name)
    return str(root / name)


def test_embeddings_are_scored_beside_cellprofilers_features_under_their_own_space(folder):
    real = embedding_profiles(folder.root, "profiles/real_dino.parquet", CHANNELS["target"])
    painted = embedding_profiles(folder.root, "profiles/painted_dino.parquet", CHANNELS["target"], seed=1)
    folder.predict("copy", lambda images: images)
    frame = folder.score("copy", profiles=["profiles/real.parquet"] * 2, spaces={"dino": (real, painted)})
    dino, cells = (frame[frame["space"] == space] for space in ("dino", "cellprofiler"))
    assert {"nn", "top5", "map_target", "mtdist", "embedding_r"} <= set(dino["metric"]) and "cpcor" not in set(
        dino["metric"]
    )
    assert value(cells, "cpcor") == pytest.approx(1)
    assert value(dino, "nn") == 10 and 0.5 < value(dino, "embedding_r") < 1
    assert value(dino, "embedding_r", column="floor") > 0.5
    assert (dino["channel"] == "all").all() and value(dino, "nn", column="null") == pytest.approx(10 / 9)


def test_brightfield_is_scored_by_its_own_embeddings_alone(folder):
    own = embedding_profiles(folder.root, "profiles/brightfield_dino.parquet", CHANNELS["input"])
    frame = folder.score("brightfield", images=False, spaces={"dino": (own,)})
    assert set(frame["space"]) == {"dino"} and value(frame, "nn") == 10
    assert 0.5 < value(frame, "embedding_r") < 1  # with its other plate
