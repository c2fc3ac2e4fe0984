"""Scores of known predictions: copies, noise, faults, shuffled rows, missing fields and cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

from brightpaint import store
from brightpaint.base.intensity import standardise
from brightpaint.features.embedders import dino as embed
from brightpaint.profiles import lookup
from brightpaint.scores.images.field_scores import score_field
from brightpaint.scores.pairing import covered, join_rows, other_well
from brightpaint.scores.profiles import matching, score_failed
from scores_fixture import score_arm

CHANNELS = {"input": ["BF_low", "BF"], "target": ["DNA", "ER"]}
SETTINGS = {"channels": CHANNELS, "cutoff": 15}
FEATURES = [f"Cells_{n}" for n in range(40)]
SIZE = 32


def field_table(plate, wells=12, sites=1):
    rows = []
    for well in range(wells):
        name = "DMSO" if well < 2 else f"c{well:02d}"
        for site in range(1, sites + 1):
            rows.append(
                {
                    "Metadata_Plate": plate, "Metadata_Well": f"{'AB'[well // 6]}{well % 6 + 1:02d}", "Metadata_Site": site,
                    "Metadata_Tile": 1, "Metadata_Source": "s", "Metadata_Batch": "b", "Metadata_perturbation": name,
                    "Metadata_target": "" if well < 2 else f"T{well // 2}",
                    "Metadata_control_type": "negcon" if well < 2 else "", "height_px": SIZE, "width_px": SIZE,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def profile_table(plate, seed, noise):
    shared = np.random.default_rng(9).normal(size=(6, len(FEATURES)))
    rng = np.random.default_rng(seed)
    table = field_table(plate).drop_duplicates("Metadata_perturbation").reset_index(drop=True)
    columns = ["Metadata_Plate", "Metadata_perturbation", "Metadata_target", "Metadata_control_type"]
    group = [0 if name == "" else int(name[1:]) for name in table["Metadata_target"]]
    values = shared[group] + noise * rng.normal(size=(len(table), len(FEATURES)))
    return pd.concat([table[columns].assign(Metadata_cells=20), pd.DataFrame(values, columns=FEATURES)], axis=1)


class Folder:
    """A small study on disk: two real plates, P0 and P1."""

    def __init__(self, root: Path):
        self.root = root
        rng = np.random.default_rng(0)
        for plate in ("P0", "P1"):
            fields = field_table(plate)
            stains = standardise(gaussian_filter(rng.normal(size=(len(fields), 2, SIZE, SIZE)), (0, 0, 2, 2)))
            bright = standardise(0.5 * stains + rng.normal(size=stains.shape))
            self.stack(f"images/real/{plate}.tif", np.concatenate([bright, stains], axis=1), sum(CHANNELS.values(), []))
            store.write_table(fields, root / f"fields/{plate}.parquet")
        real = pd.concat([profile_table(plate, seed, 0.5) for seed, plate in enumerate(("P0", "P1"))])
        store.write_table(real, root / "profiles/real.parquet")
        actives = pd.DataFrame(
            {"Metadata_perturbation": [f"c{n:02d}" for n in range(2, 12)], "active": [1] * 6 + [0] * 4}
        )
        store.write_table(actives, root / "active.tsv")

    def stack(self, name, images, channels):
        with store.StackWriter(self.root / name, images.shape, channels, key="test") as writer:
            for row, image in enumerate(images):
                writer.write(row, image)

    def predict(self, arm, change, rows=None, plate="P1"):
        """Write an arm's stack: `change` of the real stains, in the given order of rows."""
        real = store.open_stack(self.root / f"images/real/{plate}.tif")
        fields = store.read_fields(self.root / f"fields/{plate}.parquet")
        rows = np.arange(len(fields)) if rows is None else np.asarray(rows)
        images = np.asarray(real.images[rows][:, [2, 3]], dtype=np.float32)
        self.stack(f"images/{arm}/{plate}.tif", change(images), CHANNELS["target"])
        store.write_table(fields.iloc[rows].reset_index(drop=True), self.root / f"images/{arm}/{plate}.parquet")

    def score(self, arm, plates=("P1",), profiles=(), active=True, images=True, **more):
        """Score an arm's images, its profiles (paths of the real ones, then its own), and whatever else is given."""
        paths = lambda text: [self.root / text.format(plate) for plate in plates]  # noqa: E731
        given = {"images": {}} if images else {}
        if images:
            given["images"] = {"real": paths("images/real/{}.tif"), "predicted": paths(f"images/{arm}/{{}}.tif")}
            given["images"] |= {"fields": paths("fields/{}.parquet"), "uncertainty": more.pop("uncertainty", [])}
        spaces = {"cellprofiler": profiles} if profiles else {}
        for space, tables in {**spaces, **more.pop("spaces", {})}.items():
            pair = {"real": self.root / tables[0], "profiles": self.root / tables[-1]}
            given.setdefault("profiles", {})[space] = {**pair, "fields": paths("fields/{}.parquet")}
        actives = [self.root / "active.tsv"] if active else []
        out = score_arm(self.root / "metrics", arm, plates, SETTINGS, active=actives, **given, **more)
        return store.read_table(out)


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def value(frame, metric, channel="all", subset="full", column="value"):
    (found,) = frame[(frame["metric"] == metric) & (frame["channel"] == channel) & (frame["subset"] == subset)][column]
    return found


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


def test_an_arm_without_dmso_is_not_asked_for_failed_phenotypes():
    real = field_table("P1")
    painted, actives = real.iloc[2:8], {f"c{n:02d}" for n in range(2, 8)} | {"elsewhere"}
    assert list(score_failed.failed_rows("P1", ["P0"], real, painted, pd.DataFrame(), actives)) == []


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


def test_counts_are_scored_where_cells_were_measured(folder):
    folder.predict("copy", lambda images: images)
    medians = field_table("P1").assign(Metadata_cells=range(12))
    paths = {name: folder.root / f"medians/{name}/P1.parquet" for name in ("real", "copy")}
    store.write_table(medians, paths["real"])
    store.write_table(medians.assign(Metadata_cells=range(0, 24, 2)), paths["copy"])
    frame = folder.score("copy", counts={"real": paths["real"], "medians": paths["copy"]})
    assert value(frame, "cell_count") == pytest.approx(1) and value(frame, "cell_count_r") == pytest.approx(1)
    assert value(frame, "cell_count", subset="active", column="n") == 6
    with pytest.raises(
        ValueError, match="expected one table of field medians of plate P9, arm real, found .*P1.parquet"
    ):
        folder.score("copy", plates=["P9"], images=False, counts={"real": paths["real"], "medians": paths["copy"]})


def test_overlap_is_scored_where_there_are_masks_and_stands_with_the_single_fields(folder):
    folder.predict("copy", lambda images: images)
    fields = field_table("P1")
    labels = np.zeros((len(fields), 2, 16, 16), np.uint16)
    for n, image in enumerate(labels):
        image[:, n : n + 4, 2:9] = 1
    for name in ("real", "painted"):
        store.write_masks(folder.root / f"{name}_masks.tif", fields, labels, ("Nuclei", "Cells"), (16, 16))
    given = {"real": folder.root / "real_masks.tif", "masks": folder.root / "painted_masks.tif"}
    given["fields"] = folder.root / "fields/P1.parquet"
    frame = folder.score("copy", objects=given)
    assert value(frame, "nuclei_f1") == value(frame, "cells_f1") == 1
    assert value(frame, "nuclei_f1", column="null") < value(frame, "nuclei_f1", column="null_bound") < 1
    single = store.read_table(folder.root / "metrics/copy.fields.parquet")
    assert (single["nuclei_dice"] == 1).all() and len(single) == 2 * len(fields)
    with pytest.raises(ValueError, match="--plates, --real, --masks and --fields must name as many plates each"):
        folder.score("copy", objects={**given, "real": [given["real"]] * 2})


# --- profiles ------------------------------------------------------------------------------------


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
    wells = matching.well_places(["A01", "B03", "AA10", "odd"])
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


def test_the_same_input_gives_the_same_bytes(folder):
    folder.predict("copy", lambda images: images + 0.1)
    folder.score("copy")
    first = (folder.root / "metrics/copy.parquet").read_bytes()
    folder.score("copy")
    assert (folder.root / "metrics/copy.parquet").read_bytes() == first


# --- uncertainty and distances -------------------------------------------------------------------


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


def test_distances_stand_beside_those_of_another_real_plate(folder):
    folder.predict("copy", lambda images: images)
    features = [f"Nuclei_{n}" for n in range(5)]
    path = lambda name: folder.root / ("m/copy/P1.parquet" if name == "copy" else f"m/real/{name}.parquet")  # noqa: E731
    for seed, name in enumerate(("P1", "P0", "copy")):
        values = np.random.default_rng(seed).normal({"P1": 0, "P0": 0.3, "copy": 4}[name], 1, (12, 5))
        plate = field_table("P0" if name == "P0" else "P1").assign(Metadata_cells=9)
        store.write_table(pd.concat([plate, pd.DataFrame(values, columns=features)], axis=1), path(name))
    selection = pd.DataFrame({"feature": features, "kept": [1, 1, 1, 1, 0], "reason": ""})
    store.write_table(selection, folder.root / "selection.tsv")
    given = {"real": [path("P0"), path("P1")], "painted": path("copy"), "selection": folder.root / "selection.tsv"}
    frame = folder.score("copy", distances={"cellprofiler": given})
    assert value(frame, "feature_distance") > 3 > value(frame, "feature_distance", column="null") > 0.1
    assert 0.5 < value(frame, "mmd2", column="low") < value(frame, "mmd2") < value(frame, "mmd2", column="high") < 2
    assert abs(value(frame, "mmd2", column="null")) < 0.2 and value(frame, "mmd2", subset="active", column="n") == 6
    alone = folder.score("copy", distances={"cellprofiler": {**given, "real": path("P1")}})
    assert np.isnan(value(alone, "mmd2", column="null")) and value(alone, "mmd2") == value(frame, "mmd2")


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


def test_distances_of_embeddings_reach_the_table_and_a_missing_table_is_named(folder):
    folder.predict("copy", lambda images: images)
    for name, plate, shift, rows in (("real", "P1", 0, range(12)), ("real", "P0", 0.1, range(12)),
                                     ("copy", "P1", 1, range(11, -1, -1))):  # fmt: skip
        fields, rng = field_table("P1").assign(Metadata_Plate=plate), np.random.default_rng(len(plate + name))
        found = 1 + 0.3 * rng.normal(size=(12, 2, 8)) + shift * np.linspace(-1, 1, 8)
        table = embed.embedding_table(fields, found, CHANNELS["target"]).iloc[list(rows)].reset_index(drop=True)
        store.write_table(table, folder.root / f"embeddings/{name}/{plate}.parquet")
    path = lambda name, plate="P1": str(folder.root / f"embeddings/{name}/{plate}.parquet")  # noqa: E731
    given = lambda painted, *real: {"dino": {"painted": painted, "real": real}}  # noqa: E731
    frame = folder.score("copy", distances=given(path("copy"), path("real", "P0"), path("real")))
    assert set(frame.loc[frame["metric"].str.startswith("embedding_"), "space"]) == {"dino"}
    for metric in ("embedding_distance", "embedding_mmd2"):
        columns = [value(frame, metric, column=name) for name in ("null", "low", "value", "high")]
        assert columns == sorted(columns) and len(set(columns)) == 4
        assert value(frame, metric, column="n") == 12 and value(frame, metric, subset="active", column="n") == 6
    own = folder.score("copy", distances=given(path("real"), path("real")))
    assert value(own, "embedding_distance") == 0 and np.isnan(value(own, "embedding_mmd2", column="null"))
    with pytest.raises(ValueError, match="one table of embeddings of plate P1, arm real, found .*real/P0.parquet"):
        folder.score("copy", distances=given(path("copy"), path("real", "P0")))
    with pytest.raises(ValueError, match="one table of embeddings of plate P1, arm copy, found .*real/P0.parquet"):
        folder.score("copy", distances=given(path("real", "P0"), path("real")))


def test_brightfield_is_scored_by_its_own_embeddings_alone(folder):
    own = embedding_profiles(folder.root, "profiles/brightfield_dino.parquet", CHANNELS["input"])
    frame = folder.score("brightfield", images=False, spaces={"dino": (own,)})
    assert set(frame["space"]) == {"dino"} and value(frame, "nn") == 10
    assert 0.5 < value(frame, "embedding_r") < 1  # with its other plate


def test_image_distances_reach_the_table_and_a_missing_plate_is_named(folder):
    from brightpaint.features.embedders import inception

    for arm, channels, shift in (
        ("real", CHANNELS["target"], 0),
        ("copy", CHANNELS["target"], 0),
        ("brightfield", CHANNELS["input"], 2),
    ):
        for plate in ("P0", "P1"):
            rows, rng = field_table(plate), np.random.default_rng(3)
            found = np.zeros((len(rows), len(channels), inception.FEATURES), np.float32)
            found[..., :4] = shift + rng.normal(size=(*found.shape[:2], 4))
            store.write_table(
                inception.feature_table(rows, found, channels), folder.root / f"inception/{arm}/{plate}.parquet"
            )
    folder.predict("copy", lambda images: images)
    paths = lambda arm, plate="P1": str(folder.root / f"inception/{arm}/{plate}.parquet")  # noqa: E731
    given = {"painted": paths("copy"), "real": paths("real"), "brightfield": paths("brightfield")}
    frame = folder.score("copy", frechet=given)
    assert value(frame, "fid") == pytest.approx(0, abs=1e-5) and value(frame, "fid", column="floor") > 5
    assert value(frame, "kid", channel="DNA") < 0.01 and value(frame, "fid", column="n") == 12
    real = folder.score("real", plates=("P0", "P1"), frechet={"real": [paths("real", "P0"), paths("real")]})
    assert (real["metric"] == "fid").sum() == 2 * 2 * 3  # plates, subsets, channels and their mean
    with pytest.raises(ValueError, match="expected one table of Inception features of plate P1, arm copy"):
        folder.score("copy", frechet={**given, "painted": paths("copy", "P0")})
