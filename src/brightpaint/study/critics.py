"""The critic learnt without labels (section `gan`): what it sees, of which plates, whose numbers make a space. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from brightpaint.study.planes import cropped_channels
from brightpaint.study.presets import GAN_PRESETS

if TYPE_CHECKING:
    from brightpaint.study.study import Study

FIELDS, CROPS = "fields", "crops"
TRAINED, UNTRAINED = "trained", "untrained"
# Settings that change a training, beside channels and windows.
TRAINING = (
    "preset", "width", "size_px", "examples", "r1", "path_length", "mixing", "images", "batch", "learning_rate", "clip_norm",
    "ema_images", "validate_every_images", "seed",
)  # fmt: skip


def is_trained(study: Study) -> bool:
    """Return whether the study trains a critic."""
    return bool(study.config["gan"]["preset"])


def seen_channels(study: Study) -> list[str]:
    """Return the channels that the critic sees: those named, else all stains, or all channels of the crops."""
    chosen = study.config["gan"]
    known = [name for name, _ in cropped_channels(study.config)] if chosen["examples"] == CROPS else None
    return chosen["channels"] or known or study.config["channels"]["target"]


def sees_stains(config: dict) -> bool:
    """Return whether a stain is among the channels that the critic sees."""
    named = config["gan"]["channels"]
    return named is None or bool(set(named) - set(config["channels"]["input"]))


def windows(study: Study) -> list[list[float]]:
    """Return the z-scores that become black and white, of each channel that the critic sees."""
    chosen, inputs = study.config["gan"], study.config["channels"]["input"]
    return [chosen["brightfield_window" if name in inputs else "window"] for name in seen_channels(study)]


def trained_plates(study: Study) -> list[str]:
    """Return the plates whose images a critic is trained on; none where none is."""
    if not is_trained(study):
        return []
    chosen = study.config["gan"]
    plates = study.by_role("study") if chosen["plates"] == "all" else study.never_tested()
    measured = study.profile_plates("real") if chosen["examples"] == CROPS else plates
    return [plate for plate in plates if plate in measured]


def embedded_arms(study: Study, examples: str, critic: str = TRAINED) -> list[str]:
    """Return the arms that have places in the space of a critic of fields or of crops, `real` first.

    Painted arms have the stains alone: with brightfield among its channels a critic sees real images only, which are
    called `brightfield` where it sees no stain.
    """
    chosen, channels = study.config["gan"], study.config["channels"]
    if not is_trained(study) or chosen["examples"] != examples or (critic == UNTRAINED and not chosen["untrained"]):
        return []
    if not sees_stains(study.config) and examples == FIELDS:
        return ["brightfield"]
    if set(seen_channels(study)) & set(channels["input"]):
        return ["real"]
    if examples == CROPS:
        return ["real", *(arm for arm in study.config["crops"]["arms"] if arm != "real")]
    return ["real", *(arm for arm in study.arms if study.test_plates(arm) and study.kind_of(arm).varied)]


def training_images(study: Study) -> dict[str, list[str]]:
    """Return {what was fitted on images: their plates} of the critic's space."""
    return {"the training of the critic": trained_plates(study)}


def gan_problems(study: Study) -> Iterable[str]:
    """Say what is wrong with the section `gan`, where a critic is asked for."""
    if not is_trained(study):
        return
    chosen, size_px = study.config["gan"], study.config["gan"]["size_px"]
    channels = study.config["channels"]
    for key in ("window", "brightfield_window"):
        if chosen[key][0] >= chosen[key][1]:
            yield f"gan: {key} {chosen[key]} is empty; give its lower end, the z-score that becomes black, first"
    if chosen["plates"] == "training" and not study.never_tested():
        yield "gan.plates: training, but every study plate is tested by some fold; set it to all, which results then name"
    elif not study.by_role("study"):
        yield "gan: there is no plate of role study, and none to train a critic on"
    finest = GAN_PRESETS[chosen["preset"]]
    if chosen["width"] and chosen["width"] * finest.finest // finest.width < size_px:
        yield f"gan.width: {chosen['width']} leaves layers of {size_px} px less than one channel; give a larger one"
    if chosen["examples"] == CROPS:
        yield from _crop_problems(study)
        return
    known = channels["input"] + channels["target"]
    for name in [name for name in chosen["channels"] or [] if name not in known]:
        yield f"gan.channels: {name} is not among the study's channels: {', '.join(known)}"
    side = study.config["prepare"]["size_px"]
    if side < size_px:
        yield f"gan.size_px: {size_px}, but fields have {side} px (prepare.size_px); give a power of two up to that"


def _crop_problems(study: Study) -> Iterable[str]:
    chosen, crops = study.config["gan"], study.config["crops"]
    if not crops["size_um"]:
        yield "gan.examples: crops are what it learns from, and crops.size_um is not given; give it, or set examples: fields"
        return
    if "real" not in crops["arms"]:
        yield "gan: a critic is trained on real cells, and crops.arms lacks real; add it"
    if crops["size_px"] != chosen["size_px"]:
        yield f"gan.size_px: {chosen['size_px']}, but crops.size_px is {crops['size_px']}; give both the same power of two"
    cropped = cropped_channels(study.config)
    for name in [name for name in chosen["channels"] or [] if name not in dict(cropped)]:
        yield f"gan.channels: {name} is not among the crops' channels: {', '.join(dict(cropped))}"
    if any(len(planes) != 1 for _, planes in cropped):
        yield f"gan: crops of {len(cropped[0][1])} planes, and the critic sees one; name single planes in crops.channels"
