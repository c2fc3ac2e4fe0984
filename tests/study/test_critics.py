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
CROPS = {"size_um": 64, "size_px": 64, "arms": ["real", "pert"]}
RATES = read_rates(ROOT / "resources" / "rates.tsv")


def load(folder, changes: dict) -> Study:
    write_study(folder, {"source": {"layout": "simulated"}, **changes})
    return Study.load(yaml.safe_load((folder / "config.yaml").read_text()), ROOT / "workflow" / "schemas", folder)


def spaces_of(study: Study) -> dict[str, list[str]]:
    return {space.name: space.arms(study) for space in SPACES.values() if space.critic and space.arms(study)}


def test_nothing_is_asked_for_without_a_preset(tmp_path):
    study = load(tmp_path, {"crops": CROPS})
    assert study.config["gan"]["preset"] is None and spaces_of(study) == {} and critics.trained_plates(study) == []
    assert not {"train_gan", "critic"} & set(planned(snakemake(tmp_path, "-n").stdout))


def test_a_critic_of_fields_plans_its_spaces_for_real_and_painted_arms(tmp_path):
    study = load(tmp_path, {"gan": GAN})
    assert spaces_of(study) == {"critic": ["real", "pert", "pixel"], "critic_untrained": ["real", "pert", "pixel"]}
    jobs = planned(snakemake(tmp_path, "-n").stdout)
    assert jobs["train_gan"] == 1 and jobs["critic"] == 2 * (2 + 1 + 1) and jobs["tsne"] == 3
    assert jobs["lookup"] == 3 and jobs["profile"] == 2 + 2 * 3  # of measured cells, and of both critics
    alone = load(tmp_path, {"gan": {**GAN, "untrained": False}})
    assert list(spaces_of(alone)) == ["critic"]


def test_a_critic_of_crops_sees_the_cells_of_their_arms(tmp_path):
    study = load(tmp_path, {"gan": {**GAN, "examples": "crops"}, "crops": CROPS})
    assert spaces_of(study) == {"critic_cells": ["real", "pert"], "critic_cells_untrained": ["real", "pert"]}
    jobs = planned(snakemake(tmp_path, "-n").stdout)
    assert jobs["train_gan"] == 1 and jobs["critic_cells"] == 6 and "critic" not in jobs


def test_brightfield_is_seen_of_real_plates_alone(tmp_path):
    study = load(tmp_path, {"gan": {**GAN, "channels": ["Brightfield"]}})
    assert spaces_of(study)["critic"] == ["brightfield"] and critics.windows(study) == [[-5, 5]]
    jobs = planned(snakemake(tmp_path, "-n").stdout)
    assert jobs["train_gan"] == 1 and jobs["critic"] == 4
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
    fields = 2 * (2 * 8 + 8 + 8)  # both critics: two real plates, the test plate of two arms; four squares a field
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
