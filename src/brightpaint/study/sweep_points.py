"""What a study's `sweep` section asks for: its points as arms, its reference, and what is wrong with it.

A point is an arm that differs from the sweep's arm in how it samples, and that paints some fields of one plate; so it goes
through the same rules as every arm. Pure functions of the config, without Snakemake.
"""

from __future__ import annotations

from collections.abc import Iterator

from brightpaint.study.kinds import KINDS
from brightpaint.study.samplers import evaluations
from brightpaint.study.walking import walk_problems

PREFIX = "sweep_"  # the schema refuses it in names of arms
POINT = ("sampler", "steps", "spacing", "eta", "label_scale")


def point_name(point: dict) -> str:
    """Name a point by what it is, e.g. sweep_ddim_10_karras: its files are good for any sweep that has it."""
    words = [point["sampler"], str(point["steps"]), point["spacing"]]
    words += [f"eta{point['eta']:g}"] if point["eta"] else []
    words += [f"label{point['label_scale']:g}"] if point["label_scale"] is not None else []
    return PREFIX + "_".join(words).replace(".", "p")


def base_arm(config: dict) -> dict | None:
    """Return the arm whose weights the sweep samples from; None if there is none of the name."""
    named = config["sweep"]["arm"] or next((arm["name"] for arm in config["arms"]), None)
    return next((arm for arm in config["arms"] if arm["name"] == named), None)


def point_arms(config: dict) -> list[dict]:
    """Return the points as entries of `arms`: the sweep's arm on one fold with the point's sampling settings."""
    chosen, base = config["sweep"], base_arm(config)
    if not chosen["points"] or base is None:
        return []
    shared = {"folds": [chosen["fold"] or base["folds"][0]], "samples": 1, "mean_of": 1}
    if chosen["seed"] is not None:
        shared["seed"] = chosen["seed"]
    given = [{key: point[key] for key in POINT if point[key] is not None} for point in chosen["points"]]
    names = [point_name(point) for point in chosen["points"]]
    return [{**base, **shared, **point, "name": name} for name, point in zip(names, given)]


def reference(config: dict) -> str:
    """Name the point that the others are compared with."""
    points = config["sweep"]["points"]
    marked = [point for point in points if point["reference"]]
    ancestral = [point for point in points if point["sampler"] == "ddpm"]
    return point_name(max(marked or ancestral or points, key=evaluations))


def problems(config: dict) -> Iterator[str]:
    """Say what is wrong with the section, beyond the schema."""
    chosen, base = config["sweep"], base_arm(config)
    if not chosen["points"]:
        return
    if base is None:
        yield f"sweep: there is no arm {chosen['arm'] or 'whose weights it could sample from'}"
        return
    model = next((model for model in config["models"] if model["name"] == base["model"]), None)
    if model and not KINDS[model["kind"]].walks:
        yield f"sweep: arm {base['name']} has a model of kind {model['kind']}, which no sampler walks; name a diffusion arm"
    elif model:
        for point in point_arms(config):
            for said in walk_problems(point, KINDS[model["kind"]]):
                yield f"sweep: the point {point['name'].removeprefix(PREFIX)}: {said}"
    fold = chosen["fold"] or base["folds"][0]
    if fold not in base["folds"]:
        yield f"sweep: arm {base['name']} has no fold {fold}; it has {', '.join(base['folds'])}"
    if not any(entry["test"] for entry in config["folds"] if entry["name"] == fold):
        yield f"sweep: fold {fold} tests no plate, so there is nothing to compare with"
    if model and model["label"] == "none" and any(point["label_scale"] not in (1, None) for point in chosen["points"]):
        yield f"sweep: model {model['name']} has no label to guide by; leave label_scale out"
    names = [point_name(point) for point in chosen["points"]]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"sweep: the point {name.removeprefix(PREFIX)} occurs twice"
    if sum(point["reference"] for point in chosen["points"]) > 1:
        yield "sweep: more than one point is marked as the reference"
