"""What a cluster is asked for: the paper's study at the upper end, a small one within what small sites grant."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from brightpaint import store
from brightpaint.plan import costs, limits, painting
from brightpaint.plan.extent import extents
from brightpaint.study.schema import validate
from brightpaint.study.study import Study
from conftest import ROOT, TINY, TINY_PLATES
from plates_fixture import write_split

SCHEMAS = ROOT / "workflow" / "schemas"
RATES = painting.read_rates(ROOT / "resources" / "rates.tsv")
SHIPPED = sorted(path.name for path in (ROOT / "config").glob("*.yaml"))


def study(name=None, **changes):
    config = yaml.safe_load((ROOT / "config" / name).read_text()) if name else TINY
    return validate({**config, **changes}, SCHEMAS / "config.schema.yaml", "config")


@pytest.fixture
def shipped(monkeypatch, tmp_path):
    """Load a study that brightpaint ships; the user's own CSV, which predict.yaml asks for, has one field."""
    (tmp_path / "config").symlink_to(ROOT / "config")
    channels = ("Brightfield_L", "Brightfield", "Brightfield_H")
    rows = ["plate,well,site,channel,file", *(f"MyPlate,a1,1,{channel},{channel}.tif" for channel in channels)]
    (tmp_path / "images.csv").write_text("\n".join(rows) + "\n")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "images" / "mitocheck_cells").mkdir(parents=True)  # crops of one's own are looked for at once
    (tmp_path / "data" / "images" / "mitocheck_cells" / "cells.csv").write_text("phenotype,plate,position\n")
    write_split(tmp_path / "data")
    monkeypatch.setenv("BRIGHTPAINT_REAL_DATA", str(tmp_path / "data"))
    return lambda name: Study.load(yaml.safe_load((ROOT / "config" / name).read_text()), SCHEMAS)


@pytest.fixture
def made_up(tmp_path):
    """Load a study of the paper's networks and size with one arm as described, and sections replaced."""

    def made(arm, model=None, **changes):
        (tmp_path / "plates.tsv").write_text(TINY_PLATES)
        config = {key: TINY[key] for key in ("plates", "pixel_size_um", "folds")} | {
            "source": {"layout": "simulated"},
            "models": [{"name": "m", "preset": "paper", "label": "perturbation", **(model or {})}],
            "classifiers": [{"name": "c", "label": "target"}],
            "arms": [{"name": "a", "model": "m", "folds": ["A"], **arm}],
            "prepare": {"size_px": 512},
            "sample": {"parts": 24},
            "channels": {"input": ["Brightfield_L", "Brightfield", "Brightfield_H"]},
        }
        return Study.load({**config, **changes}, SCHEMAS, tmp_path)

    return made


def minutes(one, name="a", plate="T2", samples=1):
    return limits.painting_minutes(one, name, RATES, plate=plate, parts=one.config["sample"]["parts"], samples=samples)


def planned_minutes(one, rule="sample"):
    """Minutes that the plan counts for one part of a rule's painting; on a GPU unless the study says otherwise."""
    plates = {plate for name in one.arms for plate in one.test_plates(name) + one.predict_plates(name)}
    flop = costs.costs(one, extents(one, ROOT / "resources" / "sources.tsv"), RATES).flop[rule]
    on_cpu = one.config["compute"]["device"] == "cpu"
    rate = RATES["cpu_gflops"] * 1e9 if on_cpu else RATES["gpu_tflops"] * 1e12
    return flop / rate / 60 / len(plates) / one.config["sample"]["parts"]


def test_the_papers_study_asks_for_two_days_and_16_gb(shipped):
    paper = shipped("config.yaml")
    assert limits.training_minutes(paper.config) == 2880 and limits.training_mb(paper.config) == 16000
    found = {name: minutes(paper, name, "1086293492") for name in paper.arms}
    guided = {name for name in found if name.endswith("_CG")}
    assert {found[name] for name in found if paper.entry("arms", name)["steps"] == 2000 and name not in guided} == {720}
    assert {found[name] for name in guided} == {2896} and found["mean"] == found["regression"] == 120


@pytest.mark.parametrize("name", SHIPPED)
def test_no_shipped_arm_is_planned_to_take_longer_than_its_limit(shipped, name):
    one = shipped(name)
    for arm in one.config["arms"]:
        alone = replace(one, config={**one.config, "arms": [arm], "sweep": {**one.config["sweep"], "points": []}})
        for plate in alone.test_plates(arm["name"]) + alone.predict_plates(arm["name"]):
            assert minutes(alone, arm["name"], plate) >= planned_minutes(alone)
            spread = minutes(alone, arm["name"], plate, arm["samples"] - 1)
            assert arm["samples"] == 1 or spread >= planned_minutes(alone, "uncertainty")


@pytest.mark.parametrize(
    "arm",
    [
        {"classifier": "c"},
        {"classifier": "c", "sampler": "heun"},
        {"classifier": "c", "guidance_scale": 0},
        {"classifier": "c", "label_scale": 3},
        {"label_scale": 2, "sampler": "heun"},
        {"mean_of": 16, "label_scale": 2, "classifier": "c"},
        {"samples": 9, "classifier": "c"},
    ],
)
@pytest.mark.parametrize("changes", [{}, {"prepare": {"size_px": 256, "grid": [2, 2]}}, {"compute": {"device": "cpu"}}])
def test_no_guided_arm_is_planned_to_take_longer_than_its_limit(made_up, arm, changes):
    """On a plate of 2,304 fields; the simulator is told so."""
    plate = {"rows": 16, "columns": 24, "sites": 6, "size_px": 512}
    one = made_up({"steps": 1000, **arm}, simulate=plate, **changes)
    assert minutes(one) >= planned_minutes(one) > 0
    assert minutes(one, samples=max(arm.get("samples", 1) - 1, 1)) >= planned_minutes(one, "uncertainty")


def test_the_demo_fits_a_partition_of_four_hours_and_a_node_of_16_gb_beside_another_job(shipped):
    demo = shipped("demo.yaml")
    assert limits.training_minutes(demo.config) <= 240 >= max(minutes(demo, name, "SIM003") for name in demo.arms)
    assert max(limits.training_mb(demo.config), limits.painting_mb(demo.config, demo.config["arms"][0])) <= 8500


def test_limits_grow_with_images_and_pixels_between_their_ends():
    half = {"images": 125_000, "batch": 1, "crop_px": None}
    prepared = study(train=half, prepare={"size_px": 512})
    assert limits.training_minutes(prepared | {"compute": {"device": "auto"}}) == 1440
    assert limits.training_mb(prepared) == 11000
    tiny = study(compute={"device": "auto"})
    assert limits.training_minutes(tiny) == 120
    assert limits.training_mb(tiny) == pytest.approx(
        6312, abs=1
    )  # 4 crops of 64 px: a thirty-second of the paper's batch
    huge = study(train={"images": 10**7}, prepare={"size_px": 1024})
    assert limits.training_minutes(huge) == 2880 and limits.training_mb(huge) == 16000


def test_a_study_told_to_use_the_cpu_is_given_the_time_of_one():
    small = {"images": 1000, "crop_px": 128}
    assert limits.training_minutes(study(train=small, compute={"device": "auto"})) == 120
    assert limits.training_minutes(study(train=small, compute={"device": "cpu"})) == 144  # 2,880 x 200 / 4,000


def test_a_painting_is_given_time_by_its_steps_and_by_the_fields_of_a_part(made_up):
    assert [minutes(made_up({"steps": steps})) for steps in (10, 1000, 2000)] == [120, 360, 720]
    assert minutes(made_up({"sampler": "heun", "steps": 500})) == 360  # two evaluations a step, but the last
    assert minutes(made_up({"steps": 125, "mean_of": 8})) == 360
    assert minutes(made_up({"steps": 500, "label_scale": 2})) == 360  # the network twice
    assert minutes(made_up({"steps": 500}), samples=3) == 540  # further ones, for their spread
    assert minutes(made_up({"steps": 40}, sample={"parts": 1})) == 346  # 720 x 24 x 40 / 2,000
    padded = made_up(
        {"steps": 2000}, sample={"parts": 576, "batch": 64}
    )  # four fields a part, and 60 that repeat the last
    assert minutes(padded) == 480
    tiles = made_up({"steps": 2000}, prepare={"size_px": 512, "grid": [2, 2]})
    assert minutes(tiles) == 2880
    regression = made_up({"steps": 2000}, {"kind": "regression"}, sample={"parts": 1})
    assert minutes(regression) == 120  # floors keep the steps of the schema's default


def test_a_preset_that_costs_less_is_given_less(made_up):
    whole = {"sample": {"parts": 1}}
    fast, paper = (made_up({"steps": 2000}, {"preset": preset}, **whole) for preset in ("fast", "paper"))
    ratio = painting.sampling_flop(fast, "a") / painting.sampling_flop(paper, "a")
    assert minutes(fast) == pytest.approx(ratio * minutes(paper), abs=1)


def test_given_weights_are_given_the_time_of_their_own_network(made_up, tmp_path):
    own = {"kind": "diffusion", "preset": "paper", "width": None, "objective": "eps", "label": "none"}
    path = tmp_path / "given.safetensors"
    store.write_weights(path, {}, {"settings": own, "channels": {}, "label_map": {}, "versions": {}})
    assert minutes(made_up({"steps": 2000}, {"preset": "fast", "weights": str(path)})) == 720
    path.write_text("no weights")  # what the job says of them is not for the plan to stop at
    assert minutes(made_up({"steps": 2000}, {"preset": "fast", "weights": str(path)})) == 120


def test_a_point_of_a_sweep_is_given_time_for_the_fields_of_the_sweep(made_up):
    sweep = {"fields": 48, "points": [{"sampler": "ddpm", "steps": 2000}]}
    one = made_up({}, sweep=sweep)
    (point,) = one.sweep_points
    assert limits.painting_minutes(one, point["name"], RATES, plate="T2", parts=1) == 360  # 720 x 48 / 96


def test_guidance_without_a_classifier_asks_for_the_memory_of_twice_the_images():
    config = study(prepare={"size_px": 256}, sample={"batch": 2})
    plain, guided = (limits.painting_mb(config, {"label_scale": scale}) - limits.SMALL_MB for scale in (1, 3))
    assert guided == 2 * plain > 0
