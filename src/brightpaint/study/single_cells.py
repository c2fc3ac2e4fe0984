"""The classifier of single cells (section `cellnet`): its networks, whose cells it sees, what is refused. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from brightpaint.study.study import Study

CELLS, SHUFFLED, FLOOR = "cells", "shuffled", "floor"
VARIANTS = {
    CELLS: "trained on the cells' labels",
    SHUFFLED: "trained on labels dealt out among the wells",
    FLOOR: "trained on crops whose cell is erased",
}
# Settings that change a training, and those that change which wells are held out.
TRAINING = (
    "label", "test_share", "test_plates", "validation_share", "masked", "brightness", "class_weights", "width", "blocks",
    "dropout", "images", "batch", "learning_rate", "warmup_images", "decay", "clip_norm", "ema_images",
    "validate_every_images", "seed",
)  # fmt: skip


def training_settings(study: Study) -> dict:
    """Return the settings that change a training; later keys only where they are not the default: nothing is trained again."""
    chosen = study.config["cellnet"]
    pulled = {key: chosen[key] for key in ("attention_weight", "layer")} if chosen["attention_weight"] else {}
    later = {key: chosen[key] for key in ("local", "umap_at") if chosen[key]}
    return {key: chosen[key] for key in TRAINING} | later | pulled


def trained_variants(study: Study) -> list[str]:
    """Return the networks of cells that the study trains; none where no label is given."""
    chosen = study.config["cellnet"]
    return [CELLS, *([SHUFFLED] if chosen["shuffled"] else [])] if chosen["label"] else []


def explained_variants(study: Study) -> list[str]:
    """Return the networks that Grad-CAMO takes: those that are trained, and the one on erased cells where it is asked for."""
    chosen = study.config["cellnet"]
    return [*trained_variants(study), *([FLOOR] if chosen["floor"] else [])] if chosen["gradcamo"] else []


def explained_arms(study: Study) -> list[str]:
    """Return the arms of whose cells Grad-CAMO says where the classifier looks."""
    return tested_arms_of_cells(study) if explained_variants(study) else []


def lifted_arms(study: Study) -> list[str]:
    """Return the arms that have profiles of the cells that the classifier looks at, `real` first; none without a limit."""
    if study.config["cellnet"]["least_lift"] is None or not explained_arms(study):
        return []
    return [arm for arm in embedded_arms(study) if arm in explained_arms(study)]


def mapped_arms(study: Study) -> list[str]:
    """Return the arms whose test cells are laid out at points of training; none where no point is named."""
    return tested_arms_of_cells(study) if study.config["cellnet"]["umap_at"] else []


def seen_crops(study: Study, arm: str = "real") -> list[str]:
    """Return the files of crops of an arm that the classifier is trained or tested on; a study's own, or its plates'."""
    own = study.config["cellnet"]["own_crops"]
    if own:
        return [f"<results>/own_crops/{name}.tif" for name in own]
    return [f"<results>/crops/{arm}/{plate}.tif" for plate in study.profile_plates(arm)]


def tested_arms_of_cells(study: Study) -> list[str]:
    """Return the arms whose cells test the classifier; crops of one's own stand for the real ones."""
    chosen = study.config["cellnet"]
    return (["real"] if chosen["own_crops"] else chosen["arms"]) if chosen["label"] else []


def embedded_arms(study: Study) -> list[str]:
    """Return the arms whose cells have a place in the space of the last activations, `real` first."""
    chosen = study.config["cellnet"]
    if not chosen["label"] or chosen["own_crops"]:
        return []
    return ["real", *(arm for arm in chosen["arms"] if arm != "real")]


def embedded_plates(study: Study, arm: str) -> list[str]:
    """Return the plates of an arm whose cells are in that space: all, or those that test where whole plates do."""
    chosen, plates = study.config["cellnet"], study.profile_plates(arm)
    whole = chosen["test_plates"] and chosen["wells"] == "held_out"
    return [plate for plate in plates if plate in chosen["test_plates"]] if whole else plates


def cellnet_problems(study: Study) -> Iterable[str]:
    """Say what is wrong with the section `cellnet`, where a classifier is asked for."""
    chosen, crops = study.config["cellnet"], study.config["crops"]
    if not chosen["label"]:
        return
    yield from _explaining_problems(study)
    for images in [images for images in chosen["umap_at"] if images > chosen["images"]]:
        yield f"cellnet.umap_at: {images} crops, and the training sees {chosen['images']} (cellnet.images); name fewer"
    if chosen["label"] == "none":
        yield "cellnet.label: none tells no classes apart; name an annotation, or write null to train nothing"
    if chosen["own_crops"]:
        yield from _own_problems(study)
        return
    if not crops["size_um"]:
        yield "cellnet.label: cells are told apart by their crops, and crops.size_um is not given; give it, or leave label out"
        return
    if "real" not in crops["arms"]:
        yield "cellnet: the classifier is trained on real cells, and crops.arms lacks real; add it"
    for arm in [arm for arm in chosen["arms"] if arm not in crops["arms"]]:
        yield f"cellnet.arms: {arm} is not in crops.arms, so it has no crops; add it there, or leave it out"
    if set(chosen["arms"]) - {"real", *study.arms}:
        return  # said above
    for arm in [arm for arm in chosen["arms"] if arm != "real" and chosen["test_plates"]]:
        for plate in [plate for plate in study.test_plates(arm) if plate not in chosen["test_plates"]]:
            yield f"cellnet.test_plates: arm {arm} paints {plate}, whose cells are trained on; add it, or leave the arm out"
    plates = study.profile_plates("real") if "real" in crops["arms"] else []
    for plate in [plate for plate in chosen["test_plates"] if plate not in plates]:
        yield f"cellnet.test_plates: {plate} is no plate with crops of real cells; there are: {', '.join(plates)}"
    if plates and set(plates) <= set(chosen["test_plates"]):
        yield f"cellnet.test_plates: all of {', '.join(plates)} test, and none is left to train on; name fewer"


def _explaining_problems(study: Study) -> Iterable[str]:
    chosen = study.config["cellnet"]
    for key, asked in (("floor", chosen["floor"]), ("least_lift", chosen["least_lift"] is not None)):
        if asked and not chosen["gradcamo"]:
            yield f"cellnet.{key}: it is a part of Grad-CAMO, which cellnet.gradcamo asks for; set that to true, or leave {key} out"
    for key in [key for key in ("gradcamo", "attention_weight") if chosen[key]]:
        if chosen["masked"]:
            yield f"cellnet.{key}: a network that sees nothing but the cell (cellnet.masked) can look nowhere else; leave one out"
        for name in unmasked_crops(study):
            yield (
                f"cellnet.{key}: {name} of own_crops has no masks, so that attention lies on no cell; give own_crops.mask or "
                "own_crops.threshold"
            )
    if not chosen["gradcamo"]:
        return
    if chosen["least_lift"] is not None and "real" not in chosen["arms"]:
        yield "cellnet.least_lift: profiles are compared with real cells', and cellnet.arms lacks real; add it"
    if chosen["least_lift"] is not None and chosen["own_crops"]:
        yield "cellnet.least_lift: crops of one's own have no profiles; leave it out"


def unmasked_crops(study: Study) -> list[str]:
    """Return the names of own_crops that the classifier sees and whose cells have no mask, neither given nor found."""
    entries = {entry["name"]: entry for entry in study.config["own_crops"]}
    named = [entries[name] for name in study.config["cellnet"]["own_crops"] if name in entries]
    return [entry["name"] for entry in named if not (entry["mask"] or entry["threshold"])]


def _own_problems(study: Study) -> Iterable[str]:
    chosen = study.config["cellnet"]
    entries = {entry["name"]: entry for entry in study.config["own_crops"]}
    for name in [name for name in chosen["own_crops"] if name not in entries]:
        yield f"cellnet.own_crops: there is no {name} in own_crops; there are: {', '.join(entries) or 'none'}"
    if chosen["label"] != "label":
        yield f"cellnet.label: crops of one's own have one annotation, label, and {chosen['label']} is none; write label: label"
    if chosen["arms"] != ["real"]:
        yield "cellnet.arms: with own_crops no plate is looked at, so arms are not used; leave them out"
    used = [entries[name] for name in chosen["own_crops"] if name in entries]
    if not used or any(entry["plate"] for entry in used):
        return  # what plates there are, the CSVs say: train_cellnet refuses others
    plates = list(dict.fromkeys(Path(entry["table"]).stem for entry in used))
    for plate in [plate for plate in chosen["test_plates"] if plate not in plates]:
        yield (
            f"cellnet.test_plates: no crop of one's own lies on {plate}; there are: {', '.join(plates)}, the CSVs' names; say "
            "under plate in own_crops which column holds it, or leave test_plates out"
        )
    if set(plates) <= set(chosen["test_plates"]):
        yield f"cellnet.test_plates: all of {', '.join(plates)} test, and none is left to train on; name fewer"


def own_crops_problems(study: Study) -> Iterable[str]:
    """Say what is wrong with crops of one's own."""
    for entry in study.config["own_crops"]:
        where, channel = f"own_crops.{entry['name']}", entry["threshold_channel"]
        if not Path(entry["folder"]).is_dir():
            yield f"{where}.folder: there is no folder {entry['folder']}; expected one with the crops' TIFFs"
        if entry["mask"] and entry["threshold"]:
            yield f"{where}: mask and threshold both say what the cell is; leave one out"
        if channel and not entry["threshold"]:
            yield f"{where}: threshold_channel {channel}, but no threshold; give one, or leave it out"
        if channel and channel not in entry["channels"]:
            yield f"{where}: threshold_channel {channel} is none of {', '.join(entry['channels'])}; name one of these"


def unplated_problems(study: Study) -> Iterable[str]:
    """Say what a study without plates asks for that needs some: it has crops of one's own alone."""
    if study.config["plates"] is not None:
        return
    if not study.config["own_crops"]:
        yield "plates: null, and there are no own_crops: nothing to work on; name a plate table, or crops of your own"
    sections = {key: study.config[key] for key in ("models", "classifiers", "folds")} | {"arms": study.every_arm}
    for section, entries in sections.items():
        if entries:
            yield f"{section}: plates is null, and these need plates; write {section}: [], or name a plate table"
    if study.config["crops"]["size_um"]:
        yield "crops.size_um: plates is null, and there are no fields to cut crops from; leave it out, or name a plate table"
    if study.config["cellnet"]["label"] and not study.config["cellnet"]["own_crops"]:
        yield "cellnet.own_crops: plates is null, so that the only cells are crops of your own; name those to be told apart"
