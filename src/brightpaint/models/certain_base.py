"""The base of a model that adds to what another paints without noise: read before it is trained, and kept in its weights."""

from __future__ import annotations

from pathlib import Path

import torch

from brightpaint import store
from brightpaint.models.trained import check_cutoff, read_model
from brightpaint.study.kinds import KINDS

BASE = "base."  # how the names of a base model's tensors begin
BASES = tuple(name for name, kind in KINDS.items() if kind.sure)
LOCAL_BASES = tuple(name for name in BASES if KINDS[name].local)  # of which crops can be asked


def read_base(path: Path, settings: dict) -> tuple[dict, dict[str, torch.Tensor]]:
    """Read `(description, tensors)` of a base model, which must see and paint the channels of these settings, told the same.

    The names of the tensors begin with BASE.
    """
    able = LOCAL_BASES if KINDS[settings["kind"]].stepwise else BASES
    tensors, meta = read_model(path, able)
    if meta["channels"] != settings["channels"]:
        raise ValueError(
            f"{path} paints {meta['channels']['target']} from {meta['channels']['input']}, but the model that stands on it "
            f"{settings['channels']['target']} from {settings['channels']['input']}; name a base of the same channels"
        )
    label = meta["settings"].get("label", "none")
    if label != settings["label"]:
        raise ValueError(
            f"{path} is told the label {label}, but the model that stands on it {settings['label']}; set its label to {label}"
        )
    own, wanted = (sorted(each.get("conditions", {})) for each in (meta["settings"], settings))
    if own != wanted:
        raise ValueError(
            f"{path} is told the conditions {own}, but the model that stands on it {wanted}; give both models the same conditions"
        )
    check_cutoff(meta["settings"], settings, path)
    described = {"settings": meta["settings"], "label_map": meta["label_map"], "digest": store.file_digest(path)}
    described |= {key: meta[key] for key in ("conditions",) if meta.get(key)}
    return described, {f"{BASE}{name}": value for name, value in tensors.items()}


def check_told(base: dict, labels: dict[str, int], told: dict, path: str | Path = "its base") -> None:
    """Raise ValueError unless a base knows the classes and the conditions of the model that is trained on it, by the same numbers.

    Parameters
    ----------
    base : what a model's settings say of it: `label_map`, and `conditions` where it is told any
    labels, told : the same of the training data
    path : the base's, for the message
    """
    known = base["label_map"]
    if (theirs := base.get("conditions", {})) != told:
        names = sorted(name for name in {*theirs, *told} if theirs.get(name) != told.get(name))
        raise ValueError(
            f"{path} and this model learnt other values of the conditions {', '.join(names)}; train the base on the same fold"
        )
    if known != labels:
        lost, more = (sorted(a.keys() - b.keys()) for a, b in ((labels, known), (known, labels)))
        raise ValueError(
            f"{path} was told of {len(known)} classes and this model is told of {len(labels)}: the base lacks "
            f"{lost[:5] or 'none'}, this model {more[:5] or 'none'}, or they are numbered otherwise; train the base "
            "on the same fold"
        )


def base_of(tensors: dict, meta: dict) -> tuple[dict, dict]:
    """Return `(tensors, meta)` of the base model that weights hold, as `read_model` returns them."""
    kept = {name.removeprefix(BASE): value for name, value in tensors.items() if name.startswith(BASE)}
    described = meta["settings"]["base"]
    return kept, {"channels": meta["channels"], **{key: value for key, value in described.items() if key != "digest"}}
