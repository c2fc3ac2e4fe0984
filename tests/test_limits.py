"""What a cluster is asked for: the paper's study at the upper end, a small one within what small sites grant."""

from __future__ import annotations

import pytest
import yaml

from brightpaint import limits
from brightpaint.config import validate
from conftest import ROOT, TINY


def study(name=None, **changes):
    config = yaml.safe_load((ROOT / "config" / name).read_text()) if name else TINY
    return validate({**config, **changes}, ROOT / "workflow" / "schemas" / "config.schema.yaml", "config")


def arm(sampler, steps):
    return {"sampler": sampler, "steps": steps, "label_scale": None}


def test_the_papers_study_asks_for_two_days_and_16_gb():
    paper = study("config.yaml")
    assert limits.training_minutes(paper) == 2880
    assert {limits.painting_minutes(paper, one, "diffusion") for one in paper["arms"] if one["steps"] == 2000} == {720}
    assert limits.training_mb(paper) == 16000


def test_the_demo_fits_a_partition_of_four_hours_and_a_node_of_16_gb_beside_another_job():
    demo = study("demo.yaml")
    assert (
        limits.training_minutes(demo)
        <= 240
        >= max(limits.painting_minutes(demo, one, "diffusion") for one in demo["arms"])
    )
    assert max(limits.training_mb(demo), limits.painting_mb(demo)) <= 8500


def test_limits_grow_with_images_and_pixels_between_their_ends():
    half = {"images": 125_000, "batch": 1, "crop_px": None}
    prepared = study(train=half, prepare={"size_px": 512})
    assert limits.training_minutes(prepared | {"compute": {"device": "auto"}}) == 1440
    assert limits.training_mb(prepared) == 11000
    tiny = study(compute={"device": "auto"})
    assert limits.training_minutes(tiny) == 120 == limits.painting_minutes(tiny, arm("ddim", 20), "diffusion")
    assert limits.training_mb(tiny) == pytest.approx(
        6312, abs=1
    )  # 4 crops of 64 px: a thirty-second of the paper's batch
    huge = study(train={"images": 10**7}, prepare={"size_px": 1024})
    assert limits.training_minutes(huge) == 2880 and limits.training_mb(huge) == 16000


def test_a_study_told_to_use_the_cpu_is_given_the_time_of_one():
    small = {"images": 1000, "crop_px": 128}
    assert limits.training_minutes(study(train=small, compute={"device": "auto"})) == 120
    assert limits.training_minutes(study(train=small, compute={"device": "cpu"})) == 144  # 2,880 x 200 / 4,000


def test_a_painting_is_given_time_by_its_steps_and_by_the_fields_of_a_part():
    config = study(prepare={"size_px": 512}, sample={"parts": 24}, compute={"device": "auto"})
    minutes = [limits.painting_minutes(config, arm("ddim", steps), "diffusion") for steps in (10, 1000, 2000)]
    assert minutes == [120, 360, 720]
    assert limits.painting_minutes(config, arm("heun", 500), "diffusion") == 360  # two evaluations a step, but the last
    assert limits.painting_minutes(config, arm("ddim", 125) | {"mean_of": 8}, "diffusion") == 360
    assert (
        limits.painting_minutes(config, arm("ddim", 500), "diffusion", samples=3) == 540
    )  # further ones, for their spread
    whole = config | {"sample": {"parts": 1}}
    assert limits.painting_minutes(whole, arm("ddim", 40), "diffusion") == 346  # 720 x 24 x 40 / 2,000
    kinds = {
        kind: limits.painting_minutes(whole, arm("ddim", 2000), kind) for kind in ("diffusion", "regression", "mean")
    }
    assert kinds == {"diffusion": 720, "regression": 120, "mean": 120}  # floors keep the steps of the schema's default
