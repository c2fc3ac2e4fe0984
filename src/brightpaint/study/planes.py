"""Planes: channels that are z-planes of one stain (or of brightfield), grouped by `channels.planes`; and what crops take.

Torch-free. A plane is a channel like any other until it is prepared (a group shares mean and s.d.) and cropped (a group
is a channel with as many planes).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from brightpaint.study.kinds import KINDS

if TYPE_CHECKING:
    from brightpaint.study.study import Study


def plane_groups(channels: dict, present: Iterable[str]) -> list[list[str]]:
    """Return the groups of planes of which a plate has the channels, each as its planes in order."""
    present = set(present)
    return [planes for _, planes in sorted(channels.get("planes", {}).items()) if present.issuperset(planes)]


def group_places(groups: Iterable[Sequence[str]], channels: Sequence[str]) -> list[list[int]]:
    """Return where the planes of each group stand among `channels`; groups of which one is not there are left out."""
    places = {name: place for place, name in enumerate(channels)}
    return [[places[plane] for plane in planes] for planes in groups if places.keys() >= set(planes)]


def cropped_channels(config: dict) -> list[tuple[str, list[str]]]:
    """Return (name, planes from the lowest) of every channel of a crop: those that `crops` names, else all stains."""
    channels, planes = config["channels"], config["channels"].get("planes", {})
    group_of = {plane: name for name, group in planes.items() for plane in group}
    wanted = config["crops"]["channels"] or [group_of.get(name, name) for name in channels["target"]]
    return [(name, planes.get(name, [name])) for name in dict.fromkeys(wanted)]


def plane_problems(study: Study) -> Iterable[str]:
    """Say what is wrong with `channels.planes`."""
    channels = study.config["channels"]
    every, group_of = channels["input"] + channels["target"], {}
    for name, planes in channels.get("planes", {}).items():
        where = f"channels.planes: {name}"
        for plane in planes:
            if plane not in every:
                yield f"{where}: there is no channel {plane}; channels.input and channels.target have {', '.join(every)}"
            if plane in group_of:
                yield f"{where}: the plane {plane} is in {group_of[plane]} too; expected each plane once"
            group_of[plane] = name
        if name in every and name not in planes:
            yield f"{where}: {name} is a channel and none of the planes; give the group another name"
        if set(planes) & set(channels["input"]) and set(planes) & set(channels["target"]):
            yield f"{where}: its planes are both in channels.input and in channels.target; expected them in one"


def crop_problems(study: Study) -> Iterable[str]:
    """Say what is wrong with the section `crops`, where crops are asked for."""
    crops = study.config["crops"]
    if not crops["size_um"]:
        if crops["size_px"]:
            yield "crops: size_px without size_um, which says how much of a field a crop shows; give size_um"
        return
    yield from _channel_problems(study)
    if any(_unfinished(study, arm) for arm in study.every_arm):
        return  # what is wrong with the arms is said by itself
    yield from _size_problems(study)
    known = ["real", *study.arm_names]
    for arm in crops["arms"]:
        if arm not in known:
            yield f"crops.arms: there is no arm {arm}; there are: {', '.join(known)}"
        elif not study.profiled(arm):
            yield f"crops.arms: the cells of {arm} are not measured, so it has no label images; leave it out"
        elif not study.profile_plates(arm):
            yield f"crops.arms: {arm} has no plate with stains whose cells are measured; leave it out"


def example_problems(study: Study) -> Iterable[str]:
    """Say which models are to be trained on crops that there are not, or that fields are not like."""
    crops, known = study.config["crops"], dict(cropped_channels(study.config))
    for model in study.config["models"]:
        if model["examples"] != "crops":
            continue
        where = f"model {model['name']}: examples crops"
        if not KINDS[model["kind"]].stepwise:
            yield f"{where}, but kind {model['kind']} is fitted on whole fields; leave examples out"
        if not crops["size_um"] or "real" not in crops["arms"]:
            yield f"{where}, but no crops of real cells are asked for; set crops.size_um, with real among crops.arms"
            continue
        if crops["size_px"]:
            yield f"{where}, but crops.size_px resizes them, and fields are painted at their own pixels; leave crops.size_px out"
        wanted = [*study.inputs(model), *study.config["channels"]["target"]]
        if missing := [name for name in wanted if name not in known]:
            yield f"{where}, but crops have no {', '.join(missing)}; name them in crops.channels (there planes of a stain are one)"


def _unfinished(study: Study, arm: dict) -> bool:
    """Return whether an arm names a model or a fold that is not there."""
    names = {section: [entry["name"] for entry in study.config[section]] for section in ("models", "folds")}
    return arm["model"] not in names["models"] or not set(arm["folds"]) <= set(names["folds"])


def _channel_problems(study: Study) -> Iterable[str]:
    channels = study.config["channels"]
    every = channels["input"] + channels["target"] + list(channels.get("planes", {}))
    chosen = cropped_channels(study.config)
    for name, planes in chosen:
        if name not in every:
            yield f"crops.channels: there is no channel {name}; there are: {', '.join(every)}"
        painted = [arm for arm in study.config["crops"]["arms"] if arm != "real"]
        if painted and set(planes) & set(channels["input"]):
            yield f"crops.channels: {name} is brightfield, which arm {painted[0]} does not paint; leave one of them out"
    depths = {name: len(planes) for name, planes in chosen}
    if len(set(depths.values())) > 1:
        listed = ", ".join(f"{name} {depth}" for name, depth in depths.items())
        yield f"crops.channels: one crop cannot have channels of unequal depth ({listed} planes); name some of equal depth"


def _size_problems(study: Study) -> Iterable[str]:
    crops, prepare = study.config["crops"], study.config["prepare"]
    plates = [plate for arm in crops["arms"] if arm == "real" for plate in study.profile_plates(arm)]
    sizes = {study.pixel_size_um(plate): plate for plate in plates}
    if len(sizes) > 1 and not crops["size_px"] and not prepare["pixel_size_um"]:
        listed = ", ".join(f"{size} um in {plate}" for size, plate in sorted(sizes.items()))
        yield f"crops: raw pixels are of unlike size ({listed}); set crops.size_px or prepare.pixel_size_um, for one size"
    if prepare["pixel_size_um"] and crops["border"] != "pad":
        most = prepare["pixel_size_um"] * prepare["size_px"]
        if crops["size_um"] > most:
            yield f"crops.size_um: {crops['size_um']} um are more than a prepared field's {most:g} um; give less, or border: pad"
