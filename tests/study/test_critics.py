"""The section `gan`: off by default, what it plans where a preset is given, its protocol, what is refused before anything runs."""

from __future__ import annotations

import re

import pytest
import yaml

from brightpaint import store
from brightpaint.plan import costs, limits
from brightpaint.plan.extent import extents
from brightpaint.plan.painting import gan_flop, read_rates
from brightpaint.study import axes, critics
from brightpaint.study.spaces import SPACES
from brightpaint.study.study import Study
from conftest import ROOT, planned, snakemake, write_study
from models_fixture import make_plate

GAN = {"preset": "small", "size_px": 64, "images": 1000}
ALONE = {"untrained": False, "autoencoder": False, "pixels": False}
SPACES_BESIDE = ["critic", "critic_untrained", "autoencoder", "pixels"]
CROPS = {"size_um": 64, "size_px": 64, "arms": ["real", "pert"]}
RATES = read_rates(ROOT / "resources" / "rates.tsv")


def load(folder, changes: dict) -> Study:
    write_study(folder, {"source": {"layout": "simulated"}, **changes})
    return Study.load(yaml.safe_load((folder / "config.yaml").read_text()), ROOT / "workflow" / "schemas", folder)


def spaces_of(study: Study) -> dict[str, list[str]]:
    return {space.name: space.arms(study) for space in SPACES.values() if space.encoder and space.arms(study)}


def test_nothing_is_asked_for_without_a_preset(tmp_path):
    study = load(tmp_path, {"crops": CROPS})
    assert study.config["gan"]["preset"] is None and spaces_of(study) == {} and critics.trained_plates(study) == []
    assert not {"train_gan", "critic"} & set(planned(snakemake(tmp_path, "-n").stdout))


def test_a_critic_of_fields_plans_its_spaces_for_real_and_painted_arms(tmp_path):
    study = load(tmp_path, {"gan": GAN})
    assert spaces_of(study) == dict.fromkeys(SPACES_BESIDE, ["real", "pert", "pixel"])
    jobs = planned(snakemake(tmp_path, "-n").stdout)
    assert jobs["train_gan"] == jobs["train_autoencoder"] == jobs["fit_pixels"] == jobs["spaces_table"] == 1
    assert "fit_imagenet" not in jobs
    assert jobs["critic"] == 4 * (2 + 1 + 1) and jobs["tsne"] == 5
    assert jobs["lookup"] == 5 and jobs["profile"] == 2 + 4 * 3  # of measured cells, of the critic and its baselines
    alone = load(tmp_path, {"gan": {**GAN, **ALONE}})
    assert list(spaces_of(alone)) == ["critic"]


def test_a_network_trained_on_photographs_makes_two_spaces_one_of_a_single_channel(tmp_path):
    study = load(tmp_path, {"gan": {**GAN, "imagenet": "lite0.safetensors"}})
    assert list(spaces_of(study)) == [*SPACES_BESIDE, "imagenet", "imagenet_collapsed"]
    (tmp_path / "lite0.safetensors").touch()
    assert planned(snakemake(tmp_path, "-n").stdout)["fit_imagenet"] == 1
    one = load(tmp_path, {"gan": {**GAN, "imagenet": "lite0.safetensors", "channels": ["DNA"]}})
    assert list(spaces_of(one)) == [*SPACES_BESIDE, "imagenet"]


def test_wherever_the_critic_is_asked_for_its_baselines_and_the_studys_other_spaces_stand_beside_it(tmp_path):
    entry = {
        "name": "x",
        "positive": ["DMSO"],
        "negative": ["a"],
        "spaces": ["critic"],
        "arms": ["real"],
        "study": None,
    }
    study = load(tmp_path, {"gan": GAN})
    assert axes.spaces_beside(study, entry) == ["critic", "cellprofiler", *SPACES_BESIDE[1:]]
    assert axes.spaces_beside(study, {**entry, "spaces": ["cellprofiler"]}) == ["cellprofiler", *SPACES_BESIDE]
    assert axes.spaces_beside(load(tmp_path, {}), {**entry, "spaces": ["cellprofiler"]}) == ["cellprofiler"]
    assert axes.spaces_beside(study, {**entry, "study": "other"}) == ["critic"]
    assert [space for _, space in axes.arms_of(study, entry)] == ["critic", "cellprofiler", *SPACES_BESIDE[1:]]


OWN = {"name": "mine", "folder": ".", "table": "mine.csv", "channels": ["DNA"], "threshold": "otsu", "size_px": 64}


def test_crops_of_ones_own_are_learnt_from_without_plates_and_have_numbers_but_no_profiles(tmp_path):
    (tmp_path / "mine.csv").write_text("file,label\nx.tif,a\n")
    gan = {**GAN, "examples": "crops", "own_crops": ["mine"]}
    bare = {"plates": None, "perturbations": False, "folds": [], "models": [], "arms": []}
    study = load(tmp_path, {**bare, "gan": gan, "own_crops": [{**OWN, "folder": str(tmp_path)}]})
    assert spaces_of(study) == {} and critics.trained_plates(study) == [] and critics.seen_channels(study) == ["DNA"]
    jobs = planned(snakemake(tmp_path, "-n").stdout)
    assert jobs["train_gan"] == jobs["train_autoencoder"] == jobs["fit_pixels"] == 1 and jobs["own_critic"] == 4
    for changes, entry, said in (
        ({"own_crops": ["other"]}, {}, "gan.own_crops: there is no other in own_crops; there are: mine"),
        ({"examples": "fields"}, {}, "gan.examples: fields, but gan.own_crops are crops; set examples: crops"),
        ({"size_px": 128}, {}, "gan.own_crops: mine has crops of 64 px, and gan.size_px is 128; give both one"),
        (
            {},
            {"planes": 3, "threshold": None},
            "gan.own_crops: mine has crops of 3 planes, and the critic sees one; leave it out",
        ),
        ({"channels": ["GFP"]}, {}, "gan.own_crops: mine has no channel GFP; it has DNA"),
    ):
        with pytest.raises(ValueError, match=re.escape(said)):
            load(
                tmp_path, {**bare, "gan": {**gan, **changes}, "own_crops": [{**OWN, "folder": str(tmp_path), **entry}]}
            )


def test_augmentation_enters_the_settings_of_the_training_only_where_it_is_asked_for(tmp_path):
    assert critics.augmentation(load(tmp_path, {"gan": GAN})) == {}
    asked = load(tmp_path, {"gan": {**GAN, "ada": {"target": 0.6}}})
    assert critics.augmentation(asked) == {"ada": {"target": 0.6, "images": 500000, "intensity": False}}


def test_a_critic_of_crops_sees_the_cells_of_their_arms(tmp_path):
    study = load(tmp_path, {"gan": {**GAN, "examples": "crops"}, "crops": CROPS})
    names = ["critic_cells", "critic_cells_untrained", "autoencoder_cells", "pixels_cells"]
    assert spaces_of(study) == dict.fromkeys(names, ["real", "pert"])
    jobs = planned(snakemake(tmp_path, "-n").stdout)
    assert jobs["train_gan"] == 1 and jobs["critic_cells"] == 12 and "critic" not in jobs


def test_brightfield_is_seen_of_real_plates_alone(tmp_path):
    study = load(tmp_path, {"gan": {**GAN, "channels": ["Brightfield"]}})
    assert spaces_of(study)["critic"] == ["brightfield"] and critics.windows(study) == [[-5, 5]]
    jobs = planned(snakemake(tmp_path, "-n").stdout)
    assert jobs["train_gan"] == 1 and jobs["critic"] == 8
    both = load(tmp_path, {"gan": {**GAN, "channels": ["Brightfield", "DNA"]}})
    assert spaces_of(both)["critic"] == ["real"] and critics.windows(both) == [[-5, 5], [-1.5, 6]]


def test_a_critic_trained_on_tested_plates_is_named_by_the_protocol(tmp_path):
    plates = load(tmp_path, {"gan": GAN})
    assert critics.trained_plates(plates) == ["T1", "T2"]
    strict = load(tmp_path, {"gan": {**GAN, "plates": "training"}})
    assert critics.trained_plates(strict) == ["T1"]
    for study, name, seen in ((plates, axes.SEEN, "the training of the critic"), (strict, axes.STRICT, "")):
        entry = {"normalise": "plate"}
        assert axes.protocol_name(["T2"], axes.seen_by(study, entry, SPACES["critic"])) == (name, seen)
        assert axes.protocol_name(["T2"], axes.seen_by(study, entry, SPACES["critic_untrained"])) == (axes.STRICT, "")
        fitted = axes.protocol_name(["T2"], axes.seen_by(study, entry, SPACES["pixels"]))
        assert fitted == (name, seen and "the fit of pooled pixels")


@pytest.mark.slow
def test_the_rules_train_a_critic_and_embed_a_plate(tmp_path):
    """On stacks that are there: no other rule runs."""
    gan = {**GAN, "width": 4, "images": 16, "batch": 8, "validate_every_images": 16}
    study = load(tmp_path, {"gan": gan})
    stacks, fields = (tmp_path / "results" / name for name in ("images/real", "fields"))
    stacks.mkdir(parents=True), fields.mkdir()
    for seed, plate in enumerate(("T1", "T2")):
        channels = study.config["channels"]["input"] + study.config["channels"]["target"]
        _, table = make_plate(stacks, plate, 6, seed, channels, 128)
        table.rename(fields / table.name)
    wanted = [f"results/critic/{critic}/real/T2.parquet" for critic in ("trained", "untrained")]
    snakemake(tmp_path, "--cores", "1", *wanted, "--allowed-rules", "train_gan", "critic")
    tables = [store.read_fields(tmp_path / path) for path in wanted]
    assert all(len(table) == 6 and "Critic_511" in table for table in tables)
    assert not tables[0]["Critic_000"].equals(tables[1]["Critic_000"])
    files = {path.name for path in (tmp_path / "results" / "gan").iterdir()}
    assert files >= {"weights.safetensors", "untrained.safetensors", "history.jsonl", "samples.png", "samples"}


REFUSED = {
    "fields too small": ({"size_px": 256}, "gan.size_px: 256, but fields have 128 px (prepare.size_px); give a power"),
    "odd size": ({"size_px": 96}, "gan.size_px: 96 is not one of [64, 128, 256, 512, 1024]"),
    "unknown channel": ({"channels": ["GFP"]}, "gan.channels: GFP is not among the study's channels: Brightfield_L, "),
    "preset": ({"preset": "large"}, "gan.preset: 'large' is not one of"),
    "window": ({"window": [3, 1]}, "gan: window [3, 1] is empty; give its lower end"),
    "no crops": ({"examples": "crops"}, "gan.examples: crops are what it learns from, and crops.size_um is not given; give it"),
    "width": ({"width": 4, "size_px": 256}, "gan.width: 4 leaves layers of 256 px less than one channel; give a larger one"),
}  # fmt: skip
CROPPED = {
    "size of crops": (
        {"size_px": 128},
        {},
        "gan.size_px: 128, but crops.size_px is 64; give both the same power of two",
    ),
    "no size of crops": ({}, {"size_px": None}, "gan.size_px: 64, but crops.size_px is None; give both"),
    "no real cells": (
        {},
        {"arms": ["pert"]},
        "gan: a critic is trained on real cells, and crops.arms lacks real; add it",
    ),
    "channel": (
        {"channels": ["Brightfield"]},
        {},
        "gan.channels: Brightfield is not among the crops' channels: DNA, RNA",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_go_together_is_refused(tmp_path, name):
    chosen, said = REFUSED[name]
    with pytest.raises(ValueError, match=re.escape(said)):
        load(tmp_path, {"gan": {**GAN, **chosen}})


@pytest.mark.parametrize("name", CROPPED)
def test_crops_that_do_not_suit_are_refused(tmp_path, name):
    chosen, crops, said = CROPPED[name]
    with pytest.raises(ValueError, match=re.escape(said)):
        load(tmp_path, {"gan": {**GAN, "examples": "crops", **chosen}, "crops": {**CROPS, **crops}})


def test_plates_that_no_fold_tests_may_be_none(tmp_path):
    folds = [{"name": "A", "test": ["T2"], "predict": ["T3"]}, {"name": "B", "test": ["T1"]}]
    with pytest.raises(
        ValueError, match="gan.plates: training, but every study plate is tested by some fold; set it to all"
    ):
        load(tmp_path, {"gan": {**GAN, "plates": "training"}, "folds": folds})


def test_costs_and_limits_follow_images_size_and_fields(tmp_path):
    study = load(tmp_path, {"gan": GAN})
    found = costs.costs(study, extents(study, ROOT / "resources" / "sources.tsv", tmp_path), RATES)
    one = gan_flop(study)
    assert found.flop["train_gan"] == 1000 * one["training"] and one["training"] > 8 * one["critic"]
    fields = 3 * (
        2 * 8 + 8 + 8
    )  # both critics and the autoencoder: two real plates, the test plate of two arms; four squares a field
    assert found.flop["critic"] == fields * 4 * one["critic"]
    assert limits.gan_minutes(study, RATES) == limits.LEAST_MIN
    long = load(tmp_path, {"gan": {**GAN, "images": 10**6}})
    assert limits.LEAST_MIN < limits.gan_minutes(long, RATES) <= limits.TRAINING_MIN
    wide = load(tmp_path, {"gan": {**GAN, "batch": 64}})
    assert limits.gan_mb(wide) > limits.gan_mb(study) > limits.GAN_LEAST_MB
    plain = load(tmp_path, {})
    assert limits.gan_minutes(plain, RATES) == limits.LEAST_MIN
    assert (
        "train_gan" not in costs.costs(plain, extents(plain, ROOT / "resources" / "sources.tsv", tmp_path), RATES).flop
    )
