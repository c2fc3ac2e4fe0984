"""What is wrong with a study beyond what its schema says: one sentence a problem."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from brightpaint.study import (
    bases,
    calibration,
    certain_bases,
    choice,
    codecs,
    conditions,
    fold_splits,
    generations,
    simulation,
    style_directions,
    sweep_points,
    translations,
    walking,
)
from brightpaint.study.annotations import GIVEN
from brightpaint.study.critics import gan_problems
from brightpaint.study.kinds import CLASSIFIER, KINDS
from brightpaint.study.object_stains import stain_problems
from brightpaint.study.planes import crop_problems, example_problems, plane_problems
from brightpaint.study.single_cells import cellnet_problems, own_crops_problems, unplated_problems

if TYPE_CHECKING:
    from brightpaint.study.study import Study


def problems_of(study: Study) -> Iterable[str]:
    """Say what no schema can: names that occur twice or nowhere, and settings that do not go together."""
    if unplated := list(unplated_problems(study)):
        yield from unplated
        return
    yield from _duplicates(study)
    yield from _source_problems(study)
    yield from _channel_problems(study)
    yield from simulation.problems(study)
    yield from fold_splits.problems(study)
    yield from _model_problems(study)
    yield from bases.problems(study)
    yield from certain_bases.problems(study)
    yield from codecs.problems(study)
    yield from style_directions.problems(study)
    yield from _unpainted(study)
    yield from _arm_problems(study)
    yield from translations.problems(study)
    yield from generations.problems(study)
    yield from conditions.problems(study)
    yield from choice.problems(study)
    yield from _cellpose_problems(study)
    yield from stain_problems(study)
    yield from plane_problems(study)
    yield from crop_problems(study)
    yield from example_problems(study)
    yield from cellnet_problems(study)
    yield from gan_problems(study)
    yield from sweep_points.problems(study.config)
    yield from calibration.problems(study)
    if study.config["unit"] == "treatment" and study.config["active"]["targets"]:
        yield (
            "active.targets: a list of targets would make every dose active, and unit is treatment; leave the list out, "
            "or set unit to perturbation"
        )
    yield from _dose_problems(study)
    if "parquet" not in study.config["profiles"]:
        yield "profiles: parquet is what scores and figures read, and can't be left out; write [parquet, h5ad]"
    yield from own_crops_problems(study)
    if (weights := study.config["embed"]["weights"]) and weights[0] in "./~" and not Path(weights).is_dir():
        yield f"embed.weights: there is no folder {weights}"
    for section in ("cellprofiler", "embed", "fid"):
        for key in ("window", "brightfield_window"):
            window = study.config[section].get(key, [0, 1])
            if window[0] >= window[1]:
                yield f"{section}: {key} {window} is empty; give its lower end, the z-score that becomes black, first"


def _duplicates(study: Study) -> Iterable[str]:
    named = {"plates": list(study.plates)}
    for section in ("models", "classifiers", "folds", "arms", "own_crops"):
        entries = study.every_arm if section == "arms" else study.config[section]
        named[section] = [entry["name"] for entry in entries]
        for name in sorted({name for name in named[section] if named[section].count(name) > 1}):
            yield f"{section}: the name {name} occurs twice"
    for section, names in named.items():
        folded: dict[str, str] = {}
        for name in dict.fromkeys(names):
            other = folded.setdefault(name.lower(), name)
            if other != name:
                yield f"{section}: {other} and {name} differ in case alone, and some disks take them for one file"


def _source_problems(study: Study) -> Iterable[str]:
    source, method = study.config["source"], study.config["illumination"]["method"]
    layout = source["layout"]
    given = [key for key in ("metadata", "wells") if source[key]]
    if given and layout != "gallery":
        yield (
            f"source.{given[0]}: it stands in for the gallery's platemaps, and source.layout is {layout}; leave it out (of your "
            "own images the CSV source.table says what wells hold: tabulate --metadata joins a table of wells to it)"
        )
    for key, there in (("wells", Path.is_file), ("metadata", Path.is_dir)):
        if source[key] and not there(Path(source[key].removeprefix("file://"))):
            yield f"source.{key}: there is no {'file' if key == 'wells' else 'folder'} {source[key]}; correct its path"
    if len(given) > 1:
        yield "source: metadata and wells both say what the wells hold; leave one out"
    if method == "published" and layout != "gallery":
        yield (
            f"illumination: method published takes functions from the gallery, and source.layout is {layout}; "
            "set illumination.method to median or jump"
        )


def _channel_problems(study: Study) -> Iterable[str]:
    channels = study.config["channels"]
    for name in sorted(set(channels["input"]) & set(channels["target"])):
        yield f"channels: {name} is both input and target"
    for name in study.by_role("predict") if not channels["input"] else []:
        yield f"plate {name}: role predict, but channels.input is empty, so it has no image to paint from; leave it out"


def _dose_problems(study: Study) -> Iterable[str]:
    doses = study.config["doses"]
    if doses["slope"][0] >= doses["slope"][1]:
        yield f"doses: slope {doses['slope']} is empty; give the least slope first"
    if doses["spaces"] and not study.config["perturbations"]:
        yield "doses: spaces need perturbations: true"


def _cellpose_problems(study: Study) -> Iterable[str]:
    if study.config["cellprofiler"]["segmentation"] != "cellpose":
        return
    for key in ("nuclei", "cells"):
        model = study.config["cellpose"][key]
        if "/" in model and not Path(model).is_file():
            yield f"cellpose.{key}: there is no file {model}"


def _model_problems(study: Study) -> Iterable[str]:
    for entry in study.config["models"] + study.config["classifiers"]:
        name, labelled = entry["name"], entry["label"] != "none"
        if entry["label"] in GIVEN and not study.config["perturbations"]:
            yield f"model {name}: label {entry['label']} needs perturbations: true"
        if entry["subset"] == "active" and not study.config["perturbations"]:
            yield f"model {name}: subset active needs perturbations: true"
        if labelled and not (KINDS[entry["kind"]] if "kind" in entry else CLASSIFIER).labels:
            yield f"model {name}: kind {entry['kind']} takes no label"
    for model in study.config["models"]:
        for channel in study.inputs(model):
            if channel not in study.config["channels"]["input"]:
                yield f"model {model['name']}: inputs names {channel}, which is not in channels.input"
        if model["twin"] and model["examples"] != "fields":
            yield f"model {model['name']}: twin parts the wells of fields, and examples is {model['examples']}; leave one out"
        if model["twin"] and model["label"] not in GIVEN:
            yield (
                f"model {model['name']}: twin parts the DMSO wells in two classes, and label {model['label']} has no class of "
                f"DMSO; set its label to one of {', '.join(GIVEN)}, or leave twin out"
            )
        if model["terminal_snr"] == "zero" and model["objective"] == "eps" and KINDS[model["kind"]].walks:
            yield (
                f"model {model['name']}: terminal_snr zero with objective eps: in pure noise eps is the image itself and says "
                "nothing of the stains, so that neither painting nor inversion can pass that level; set objective: v"
            )
        published = model["preset"] == "paper" and model["examples"] == "fields" and KINDS[model["kind"]].latent
        if model["as_coded"] and not published:
            able = " or ".join(kind.name for kind in KINDS.values() if kind.latent)
            yield (
                f"model {model['name']}: as_coded is of fields, preset paper and kind {able}, and this is of {model['examples']}, "
                f"preset {model['preset']}, kind {model['kind']}; leave as_coded out"
            )
        yield from _given_problems(study, model)
        if KINDS[model["kind"]].brightfield and not study.inputs(model):
            yield (
                f"model {model['name']}: kind {model['kind']} paints from brightfield and is given none; name a channel in "
                "channels.input and inputs, or another kind"
            )


def _given_problems(study: Study, model: dict) -> Iterable[str]:
    """Say where images that another program painted are not named, or named for a model that paints itself."""
    where, given, kind = f"model {model['name']}", model["given"], KINDS[model["kind"]]
    if kind.given and not given:
        yield f"{where}: kind {model['kind']} reads images that another program painted; say where they lie, given: {{folder: ...}}"
    elif given and not kind.given:
        able = " or ".join(one.name for one in KINDS.values() if one.given)
        yield f"{where}: given names images, but kind {model['kind']} paints its own; use kind {able}, or leave given out"
    elif kind.given and model["weights"]:
        yield f"{where}: kind {model['kind']} has no weights; leave weights out"
    elif given and given["pixels"] == "raw" and study.config["prepare"]["normalise"] == "plate":
        yield (
            f"{where}: given.pixels raw brings each image to mean 0 and s.d. 1, and prepare.normalise is plate, by which fields "
            "differ in brightness; give z-scores, or counts of a window"
        )
    elif given and (window := given["window"]) and window[0] >= window[1]:
        yield f"{where}: given.window {window} is empty; give the z-score of a count of 0 first"


def _unpainted(study: Study) -> Iterable[str]:
    """Say what a study without arms, which measures its plates alone, cannot use."""
    if study.every_arm:
        return
    if names := [model["name"] for model in study.config["models"]]:
        given = "give arms, or models: [] for a study that only measures its plates"
        yield f"arms: [] paints nothing, but models lists {', '.join(names)}; {given}"
    for name in study.by_role("predict"):
        yield f"plate {name}: role predict, but there are no arms to paint it; leave it out"


def _arm_problems(study: Study) -> Iterable[str]:
    folds = {fold["name"]: fold for fold in study.config["folds"]}
    models = {model["name"]: model for model in study.config["models"]}
    classifiers = {entry["name"]: entry for entry in study.config["classifiers"]}
    kinds = {name: KINDS[model["kind"]] for name, model in models.items()}
    companions = [f"{translations.PREFIX}{name}" for name in study.translations]
    for arm in [arm for arm in study.every_arm if arm["name"] not in companions]:
        where = f"arm {arm['name']}"
        if arm["model"] not in models:
            yield f"{where}: there is no model {arm['model']}"
        if arm["guidance_interval"] and arm["guidance_interval"][0] >= arm["guidance_interval"][1]:
            yield f"{where}: guidance_interval {arm['guidance_interval']} is empty; give its lower end first"
        missing = [name for name in arm["folds"] if name not in folds]
        for name in missing:
            yield f"{where}: there is no fold {name}"
        if arm["classifier"] and arm["classifier"] not in classifiers:
            yield f"{where}: there is no classifier {arm['classifier']}"
        if missing or arm["model"] not in models:
            continue
        for key in ("samples", "mean_of"):
            if arm[key] > 1 and not kinds[arm["model"]].noise:
                yield f"{where}: {key} {arm[key]}, but model {arm['model']} paints without noise; give {key}: 1"
        if arm["samples"] > 1 and arm["mean_of"] > 1:
            yield (
                f"{where}: mean_of {arm['mean_of']} with samples {arm['samples']}: the spread is that of single samples; "
                "give the mean an arm of its own"
            )
        yield from walking.problems(arm, models[arm["model"]])
        if arm["classifier"] and study.inputs(models[arm["model"]]) != study.config["channels"]["input"]:
            yield f"{where}: classifier {arm['classifier']} sees all of channels.input, model {arm['model']} its own inputs alone"
        unlabelled, noisy = models[arm["model"]]["label"] == "none", kinds[arm["model"]].walks
        if unlabelled and (arm["sampling_label"] == "swapped" or (noisy and arm["label_scale"] != 1)):
            yield f"{where}: model {arm['model']} has no label to swap or to guide by"
        elif arm["sampling_label"] == "swapped" and models[arm["model"]]["label"] not in GIVEN:
            label = models[arm["model"]]["label"]
            yield f"{where}: sampling_label swapped needs a label among {', '.join(GIVEN)}, model {arm['model']} has {label}"
        served = [plate for name in arm["folds"] for plate in folds[name]["test"] + folds[name]["predict"]]
        for plate in sorted({plate for plate in served if served.count(plate) > 1}):
            yield f"{where}: plate {plate} is in two of its folds"
        if not served and not (arm["translate"] or arm["generate"]):
            yield f"{where}: its folds test and predict no plate"
        if not (models[arm["model"]]["weights"] or kinds[arm["model"]].given):
            for name in arm["folds"]:
                if not study.training_plates(name):
                    given = f"models.{arm['model']}.weights"
                    yield f"{where}: fold {name} leaves no study plate to train on; give {given}"
