"""The critic learnt without labels (section `gan`): what it sees, of which plates, whose numbers make a space. Torch-free.

Beside it stand the encoders that it must beat, each a space of the same images: an untrained critic, an autoencoder of its width,
pooled pixels, and a network trained on photographs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from brightpaint.study.planes import cropped_channels
from brightpaint.study.presets import CRITIC_FEATURES, GAN_PRESETS, IMAGENET_FEATURES

if TYPE_CHECKING:
    from brightpaint.study.study import Study

FIELDS, CROPS = "fields", "crops"
TRAINED = "trained"
# Settings that change a training, beside channels and windows.
TRAINING = (
    "preset", "width", "size_px", "examples", "r1", "path_length", "mixing", "images", "batch", "learning_rate", "clip_norm",
    "ema_images", "validate_every_images", "seed",
)  # fmt: skip
AUTOENCODER = (
    "preset", "width", "size_px", "examples", "images", "batch", "learning_rate", "clip_norm", "ema_images",
    "validate_every_images", "seed",
)  # fmt: skip


def is_trained(study: Study) -> bool:
    """Return whether the study trains a critic."""
    return bool(study.config["gan"]["preset"])


def own_entries(study: Study) -> list[dict]:
    """Return the entries of `own_crops` that the critic learns from in place of plates."""
    return [entry for entry in study.config["own_crops"] if entry["name"] in study.config["gan"]["own_crops"]]


def seen_channels(study: Study) -> list[str]:
    """Return the channels that the critic sees: those named, else all stains, or all channels of the crops."""
    chosen = study.config["gan"]
    known = [name for name, _ in cropped_channels(study.config)] if chosen["examples"] == CROPS else None
    known = own_entries(study)[0]["channels"] if own_entries(study) else known
    return chosen["channels"] or known or study.config["channels"]["target"]


def sees_stains(config: dict) -> bool:
    """Return whether a stain is among the channels that the critic sees."""
    named = config["gan"]["channels"]
    return named is None or bool(set(named) - set(config["channels"]["input"]))


def augmentation(study: Study) -> dict:
    """Return how images are changed before the critic sees them, as `train_gan` takes it; {} where they are not."""
    chosen = study.config["gan"]["ada"]
    return {"ada": {key: chosen[key] for key in ("target", "images", "intensity")}} if chosen["target"] else {}


def windows(study: Study) -> list[list[float]]:
    """Return the z-scores that become black and white, of each channel that the critic sees."""
    chosen, inputs = study.config["gan"], study.config["channels"]["input"]
    return [chosen["brightfield_window" if name in inputs else "window"] for name in seen_channels(study)]


def trained_plates(study: Study) -> list[str]:
    """Return the plates whose images a critic is trained on; none where none is."""
    if not is_trained(study) or study.config["gan"]["own_crops"]:
        return []
    chosen = study.config["gan"]
    plates = study.by_role("study") if chosen["plates"] == "all" else study.never_tested()
    measured = study.profile_plates("real") if chosen["examples"] == CROPS else plates
    return [plate for plate in plates if plate in measured]


@dataclass(frozen=True)
class Encoder:
    """What turns the critic's images into numbers: the critic, or a baseline of it.

    Attributes
    ----------
    weights : name of its weights file, under gan/
    space, prefix : of its space of fields (that of cells ends in `_cells`), and how its numbers are called
    short, title, apart : for people, see `spaces.Space`
    wanted : whether a study that trains a critic makes it
    numbers : how many numbers of an image, with so many channels
    passes : evaluations of a network of the critic's size that an image takes, pictures shown to the one trained on photographs
    fitted : whether it was fitted on the critic's training images
    """

    weights: str
    space: str
    prefix: str
    short: str
    title: str
    apart: str
    wanted: Callable[[Study], bool]
    numbers: Callable[[int], int] = lambda channels: CRITIC_FEATURES
    passes: int = 0
    pictures: Callable[[int], int] = lambda channels: 0
    fitted: bool = False


ENCODERS = {
    TRAINED: Encoder(
        "weights", "critic", "Critic_", "Critic", "the numbers of a critic trained without labels",
        "By the critic, trained without labels", lambda study: True, passes=1, fitted=True,
    ),
    "untrained": Encoder(
        "untrained", "critic_untrained", "Critic_", "Untrained critic", "the numbers of a critic that was never trained",
        "By a critic that was never trained", lambda study: study.config["gan"]["untrained"], passes=1,
    ),
    "autoencoder": Encoder(
        "autoencoder", "autoencoder", "Autoencoder_", "Autoencoder", "the code of an autoencoder of the critic's width",
        "By an autoencoder of the critic's width", lambda study: study.config["gan"]["autoencoder"], passes=1, fitted=True,
    ),
    "pixels": Encoder(
        "pixels", "pixels", "Pixels_", "Pooled pixels", "the principal components of pooled pixels",
        "By pooled pixels", lambda study: study.config["gan"]["pixels"], fitted=True,
    ),
    "imagenet": Encoder(
        "imagenet", "imagenet", "ImageNet_", "ImageNet, concatenated",
        "the features of a network trained on photographs, channel by channel",
        "By a network trained on photographs, channel by channel", lambda study: bool(study.config["gan"]["imagenet"]),
        numbers=lambda channels: channels * IMAGENET_FEATURES, pictures=lambda channels: channels,
    ),
    "imagenet_collapsed": Encoder(
        "imagenet_collapsed", "imagenet_collapsed", "ImageNet_", "ImageNet, collapsed",
        "the features of a network trained on photographs, channels collapsed to colours",
        "By a network trained on photographs, channels collapsed", lambda study: bool(study.config["gan"]["imagenet"])
        and len(seen_channels(study)) > 1,
        numbers=lambda channels: IMAGENET_FEATURES, pictures=lambda channels: 1, fitted=True,
    ),
}  # fmt: skip


def encoders(study: Study) -> list[str]:
    """Return the encoders whose spaces the study makes, the trained critic first; none where it trains none."""
    return [name for name, encoder in ENCODERS.items() if is_trained(study) and encoder.wanted(study)]


def embedded_arms(study: Study, examples: str, encoder: str = TRAINED) -> list[str]:
    """Return the arms that have places in the space of a critic, or a baseline of it, of fields or of crops, `real` first.

    Painted arms have the stains alone: with brightfield among its channels a critic sees real images only, which are
    called `brightfield` where it sees no stain.
    """
    chosen, channels = study.config["gan"], study.config["channels"]
    if chosen["examples"] != examples or encoder not in encoders(study) or chosen["own_crops"]:
        return []
    if not sees_stains(study.config) and examples == FIELDS:
        return ["brightfield"]
    if set(seen_channels(study)) & set(channels["input"]):
        return ["real"]
    if examples == CROPS:
        return ["real", *(arm for arm in study.config["crops"]["arms"] if arm != "real")]
    return ["real", *(arm for arm in study.arms if study.test_plates(arm) and study.kind_of(arm).varied)]


def training_images(study: Study, encoder: str) -> dict[str, list[str]]:
    """Return {what was fitted on images: their plates} of the space of a critic or a baseline."""
    named = "the training of the critic" if encoder == TRAINED else f"the fit of {ENCODERS[encoder].short.lower()}"
    return {named: trained_plates(study)} if ENCODERS[encoder].fitted else {}


def gan_problems(study: Study) -> Iterable[str]:
    """Say what is wrong with the section `gan`, where a critic is asked for."""
    if not is_trained(study):
        return
    chosen, size_px = study.config["gan"], study.config["gan"]["size_px"]
    channels = study.config["channels"]
    for key in ("window", "brightfield_window"):
        if chosen[key][0] >= chosen[key][1]:
            yield f"gan: {key} {chosen[key]} is empty; give its lower end, the z-score that becomes black, first"
    finest = GAN_PRESETS[chosen["preset"]]
    if chosen["width"] and chosen["width"] * finest.finest // finest.width < size_px:
        yield f"gan.width: {chosen['width']} leaves layers of {size_px} px less than one channel; give a larger one"
    if chosen["own_crops"]:
        yield from _own_problems(study)
        return
    if chosen["plates"] == "training" and not study.never_tested():
        yield "gan.plates: training, but every study plate is tested by some fold; set it to all, which results then name"
    elif not study.by_role("study"):
        yield "gan: there is no plate of role study, and none to train a critic on"
    if chosen["examples"] == CROPS:
        yield from _crop_problems(study)
        return
    known = channels["input"] + channels["target"]
    for name in [name for name in chosen["channels"] or [] if name not in known]:
        yield f"gan.channels: {name} is not among the study's channels: {', '.join(known)}"
    side = study.config["prepare"]["size_px"]
    if side < size_px:
        yield f"gan.size_px: {size_px}, but fields have {side} px (prepare.size_px); give a power of two up to that"


def _own_problems(study: Study) -> Iterable[str]:
    chosen, entries = study.config["gan"], {entry["name"]: entry for entry in study.config["own_crops"]}
    for name in [name for name in chosen["own_crops"] if name not in entries]:
        yield f"gan.own_crops: there is no {name} in own_crops; there are: {', '.join(entries) or 'none'}"
    if chosen["examples"] != CROPS:
        yield f"gan.examples: {chosen['examples']}, but gan.own_crops are crops; set examples: crops"
    for entry in own_entries(study):
        where = f"gan.own_crops: {entry['name']}"
        if entry["size_px"] not in (None, chosen["size_px"]):
            yield f"{where} has crops of {entry['size_px']} px, and gan.size_px is {chosen['size_px']}; give both one power of two"
        if entry["planes"] != 1:
            yield f"{where} has crops of {entry['planes']} planes, and the critic sees one; leave it out"
        missing = [name for name in seen_channels(study) if name not in entry["channels"]]
        if missing:
            yield f"{where} has no channel {', '.join(missing)}; it has {', '.join(entry['channels'])}"


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
