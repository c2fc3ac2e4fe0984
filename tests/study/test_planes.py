"""Planes and crops in the config: what they make of the channels, and what is refused before anything runs."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from brightpaint.study.planes import cropped_channels, plane_groups
from brightpaint.study.study import Study
from conftest import ROOT, TINY, planned, snakemake, write_study

PLANES = {
    "input": ["BF_1", "BF_2"], "target": ["DNA_1", "DNA_2", "RNA_1", "RNA_2"],
    "planes": {"DNA": ["DNA_1", "DNA_2"], "RNA": ["RNA_2", "RNA_1"], "BF": ["BF_1", "BF_2"]},
}  # fmt: skip


def load(folder, changes: dict, plates: str | None = None) -> Study:
    write_study(folder, {"source": {"layout": "simulated"}, **changes}, **({"plates": plates} if plates else {}))
    config = yaml.safe_load((folder / "config.yaml").read_text())
    return Study.load(config, ROOT / "workflow" / "schemas", folder)


def test_stains_of_planes_are_cropped_by_their_groups_in_the_groups_order(tmp_path):
    config = load(tmp_path, {"channels": PLANES, "crops": {"size_um": 20}}).config
    assert cropped_channels(config) == [("DNA", ["DNA_1", "DNA_2"]), ("RNA", ["RNA_2", "RNA_1"])]
    config = load(tmp_path, {"channels": PLANES, "crops": {"size_um": 20, "channels": ["BF"]}}).config
    assert cropped_channels(config) == [("BF", ["BF_1", "BF_2"])]


def test_without_planes_every_stain_is_a_channel_of_one(tmp_path):
    config = load(tmp_path, {"crops": {"size_um": 20}}).config
    assert cropped_channels(config) == [(name, [name]) for name in ("DNA", "RNA", "ER", "AGP", "Mito")]
    assert "planes" not in config["channels"]  # nothing that a rule's params could hold


def test_a_plate_has_the_groups_of_which_it_has_all_planes():
    assert plane_groups(PLANES, ["BF_2", "BF_1"]) == [["BF_1", "BF_2"]]
    assert plane_groups(PLANES, PLANES["target"]) == [["DNA_1", "DNA_2"], ["RNA_2", "RNA_1"]]
    assert plane_groups({"target": ["DNA"]}, ["DNA"]) == []


def changed(**planes) -> dict:
    return {"channels": {**PLANES, "planes": {**PLANES["planes"], **planes}}}


REFUSED = {
    "unknown plane": (changed(DNA=["DNA_1", "DNA_9"]), "channels.planes: DNA: there is no channel DNA_9; channels.input"),
    "plane twice": (changed(DNA=["DNA_1", "DNA_1"]), "channels.planes.DNA: ['DNA_1', 'DNA_1'] has non-unique elements"),
    "plane of two": (changed(X=["DNA_2"]), "channels.planes: X: the plane DNA_2 is in DNA too; expected each plane once"),
    "group of none": (changed(DNA=[]), "channels.planes.DNA: [] should be non-empty"),
    "group named as a channel": (changed(BF_1=["RNA_1"], RNA=["RNA_2"]), "channels.planes: BF_1: BF_1 is a channel and none"),
    "brightfield and stain": (changed(BF=["BF_1"], X=["BF_2", "DNA_1"], DNA=["DNA_2"]), "X: its planes are both in channels.in"),
    "unequal depth": (changed(DNA=["DNA_1"]) | {"crops": {"size_um": 9, "channels": ["DNA", "RNA"]}},
                      "crops.channels: one crop cannot have channels of unequal depth (DNA 1, RNA 2 planes)"),
    "group and channel": ({"channels": PLANES, "crops": {"size_um": 9, "channels": ["DNA", "RNA_1"]}}, "(DNA 2, RNA_1 1 planes)"),
    "unknown channel": ({"crops": {"size_um": 9, "channels": ["ERR"]}}, "crops.channels: there is no channel ERR; there are: Bri"),
    "size in pixels alone": ({"crops": {"size_px": 96}}, "crops: size_px without size_um"),
    "unknown arm": ({"crops": {"size_um": 9, "arms": ["pret"]}}, "crops.arms: there is no arm pret; there are: real, pert"),
    "arm without cells": ({"crops": {"size_um": 9, "arms": ["pixel"]}}, "crops.arms: the cells of pixel are not measured"),
    "painted brightfield": ({"crops": {"size_um": 9, "arms": ["real", "pert"], "channels": ["Brightfield"]}},
                            "crops.channels: Brightfield is brightfield, which arm pert does not paint"),
    "wider than a field": ({"crops": {"size_um": 99}, "prepare": {"size_px": 128, "pixel_size_um": 0.5}},
                           "crops.size_um: 99 um are more than a prepared field's 64 um"),
    "unknown key": ({"crops": {"size": 9}}, "unknown key size at crops; did you mean size_um"),
    "unknown policy": ({"crops": {"border": "keep"}}, "crops.border: 'keep' is not one of ['drop', 'pad', 'shift']"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_refused_before_anything_runs(tmp_path, name):
    changes, said = REFUSED[name]
    with pytest.raises(ValueError, match=re.escape(said)):
        load(tmp_path, changes)


def test_crops_of_pixels_of_unlike_size_are_refused_unless_brought_to_one(tmp_path):
    plates = "plate\trole\tproject\tsource\tbatch\tpixel_size_um\n"
    plates += "T1\tstudy\tp\ts\tB1\t0.5\nT2\tstudy\tp\ts\tB2\t0.65\nT3\tpredict\tp\ts\tB3\t1\n"
    with pytest.raises(
        ValueError, match="crops: raw pixels are of unlike size .0.5 um in T1, 0.65 um in T2.; set crops.si"
    ):
        load(tmp_path, {"crops": {"size_um": 20}}, plates)
    load(tmp_path, {"crops": {"size_um": 20, "size_px": 96}}, plates)
    load(tmp_path, {"crops": {"size_um": 20}, "prepare": {"size_px": 64, "pixel_size_um": 0.7}}, plates)


def test_an_arm_of_an_unknown_model_is_said_as_ever(tmp_path):
    arms = json.loads(json.dumps(TINY["arms"]))
    arms[0]["model"] = "nobody"
    with pytest.raises(ValueError, match="arm pert: there is no model nobody"):
        load(tmp_path, {"arms": arms, "crops": {"size_um": 20, "arms": ["pert"]}})


def test_planes_change_no_plan_but_what_prepare_is_told(tmp_path):
    study = {"source": {"layout": "simulated"}}
    write_study(tmp_path / "plain", study)
    channels = {"planes": {"Brightfield": ["Brightfield_L", "Brightfield", "Brightfield_H"]}}
    write_study(tmp_path / "planes", {**study, "channels": channels})
    plain, planes = (snakemake(tmp_path / name, "-n", "-p").stdout for name in ("plain", "planes"))
    assert planned(plain) == planned(planes)
    commands = [[line for line in text.splitlines() if "plates.prepare" in line] for text in (plain, planes)]
    grouped = '"planes": [["Brightfield_L", "Brightfield", "Brightfield_H"]], '
    assert len(commands[0]) == 3 and all(grouped in line for line in commands[1])
    assert sorted(commands[0]) == sorted(line.replace(grouped, "") for line in commands[1])
