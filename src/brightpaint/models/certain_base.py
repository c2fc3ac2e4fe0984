"""The base of a model that adds noise to what another paints: read before the noise is fitted, and kept in its weights."""

from __future__ import annotations

from pathlib import Path

import torch

from brightpaint import store
from brightpaint.models.trained import check_cutoff, read_model
from brightpaint.study.kinds import KINDS

BASE = "base."  # how the names of a base model's tensors begin
BASES = tuple(name for name, kind in KINDS.items() if kind.sure)


def read_base(path: Path, settings: dict) -> tuple[dict, dict[str, torch.Tensor]]:
    """Read `(description, tensors)` of a base model, which must see and paint the channels of these settings, told the same.

    The names of the tensors begin with BASE.
    """
    tensors, meta = read_model(path, BASES)
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


def base_of(tensors: dict, meta: dict) -> tuple[dict, dict]:
    """Return `(tensors, meta)` of the base model that weights hold, as `read_model` returns them."""
    kept = {name.removeprefix(BASE): value for name, value in tensors.items() if name.startswith(BASE)}
    described = meta["settings"]["base"]
    return kept, {"channels": meta["channels"], **{key: value for key, value in described.items() if key != "digest"}}
