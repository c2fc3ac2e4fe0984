"""What a model stands on: a codec or a base model of the same fold, or the study's generator, read before it is trained and kept
in its weights.

So weights can be used by themselves, and nothing that was trained again since can slip in under them. Their settings hold the
digest of the file that they were trained on.
"""

from __future__ import annotations

from pathlib import Path

import torch

from brightpaint import store
from brightpaint.models import certain_base
from brightpaint.models.certain_base import BASE
from brightpaint.models.codecs.codec import KEPT
from brightpaint.models.image_encoders import read_checked
from brightpaint.models.trained import check_cutoff, read_model
from brightpaint.study.critics import CROPS
from brightpaint.study.kinds import CODEC, GAN, KINDS

NETWORK = "network."  # how the names of a U-Net's tensors begin in its own weights; as `stand` hands them on: BASE
TAKEN = (
    "preset",
    "width",
    "objective",
    "terminal_snr",
    "codec",
)  # of a base's settings, by the model that stands on it


def stand(settings: dict) -> tuple[dict, dict[str, torch.Tensor]]:
    """Read what training settings stand on.

    Parameters
    ----------
    settings : `stands_on` is {what: path of its weights}; without it the model stands by itself

    Returns
    -------
    settings : with what was read described in place of the paths
    tensors : to be kept in the model's weights
    """
    paths = settings.get("stands_on", {})
    own = {key: value for key, value in settings.items() if key != "stands_on"}
    if (path := paths.get("base")) and KINDS[settings["kind"]].noises:
        described, tensors = certain_base.read_base(Path(path), settings)
        return {**own, "base": described}, tensors
    if path and KINDS[settings["kind"]].styled:
        described, tensors = read_generator(Path(path), settings)
        return {**own, "generator": described}, tensors
    if path:
        taken, tensors = read_base(Path(path), settings)
        return {**own, **taken, "stood_on": paths}, tensors
    if path := paths.get("codec"):
        described, tensors = read_codec(Path(path), settings)
        return {**own, "codec": described}, {f"{KEPT}network.{name}": value for name, value in tensors.items()}
    return own, {}


def read_base(path: Path, settings: dict) -> tuple[dict, dict[str, torch.Tensor]]:
    """Read `(settings, tensors)` that a model takes from its base: the shape of its network and its codec, U-Net under BASE.

    Raises
    ------
    ValueError
        where the base sees brightfield, or paints other stains, labels or brightness than these settings say
    """
    tensors, meta = read_model(path, tuple(kind.name for kind in KINDS.values() if kind.bears))
    theirs, channels = meta["settings"], meta["channels"]
    if channels["input"]:
        raise ValueError(
            f"{path} sees brightfield itself ({', '.join(channels['input'])}); train a base without (inputs: [])"
        )
    for word, found, wanted in (
        ("stains", channels["target"], settings["channels"]["target"]),
        ("label", theirs["label"], settings["label"]),
    ):
        if found != wanted:
            raise ValueError(f"{path} is a base of {word} {found}, but this model's are {wanted}; train it on the same")
    check_cutoff(theirs, settings, path)
    taken = {key: theirs[key] for key in TAKEN if key in theirs}
    taken["base"] = {"digest": store.file_digest(path), "label_map": meta["label_map"]}
    taken["base"] |= {key: meta[key] for key in ("conditions",) if meta.get(key)}
    whole = {name.replace(NETWORK, BASE, 1): value for name, value in tensors.items() if not name.startswith(KEPT)}
    return taken, whole | {name: value for name, value in tensors.items() if name.startswith(KEPT)}


def read_generator(path: Path, settings: dict) -> tuple[dict, dict[str, torch.Tensor]]:
    """Read `(description, tensors)` of a generator and its critic, which must be of these settings' stains and cut-off."""
    tensors, meta = read_checked(path, (GAN.name,))
    stains, own = settings["channels"]["target"], meta["channels"]["target"]
    if own != stains:
        raise ValueError(
            f"{path} paints {', '.join(own)}, but the study's stains are {', '.join(stains)}; leave gan.channels out, so that it "
            "learns all of them"
        )
    if meta["settings"].get("examples") == CROPS:
        raise ValueError(
            f"{path} learnt crops of single cells, and paints no fields; train it on fields (gan.examples)"
        )
    check_cutoff(meta["settings"], settings, path)
    chosen = {key: meta["settings"][key] for key in ("preset", "width", "size_px", "windows", "seed")}
    return {**chosen, "digest": store.file_digest(path)}, tensors


def read_codec(path: Path, settings: dict) -> tuple[dict, dict[str, torch.Tensor]]:
    """Read `(description, tensors)` of a codec's weights, which must be of the stains and the cut-off of these settings."""
    tensors, meta = read_model(path, (CODEC.name,))
    stains, own = settings["channels"]["target"], meta["channels"]["target"]
    if own != stains:
        raise ValueError(
            f"{path} is a codec of the stains {', '.join(own)}, but the study's are {', '.join(stains)}; train one on these "
            "(codecs), or name the codec's stains in channels.target in its order"
        )
    check_cutoff(meta["settings"], settings, path)
    chosen = {key: meta["settings"][key] for key in ("preset", "width", "latents")}
    return {"codec": "kl", **chosen, "stains": len(own), "digest": store.file_digest(path)}, tensors
