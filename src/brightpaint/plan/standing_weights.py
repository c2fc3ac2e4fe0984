"""Given weights that models of the study stand on, codecs and bases: what does not fit is said before anything runs.

Only the heads of files are read, and only of a study that gives such weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from brightpaint import store
from brightpaint.base.intensity import CUTOFF
from brightpaint.study import codecs
from brightpaint.study.kinds import KINDS
from brightpaint.study.study import Study


def problems(study: Study, root: Path = Path(".")) -> Iterator[str]:
    """Say in which given weights a codec or a base is of another kind, of other stains or of another cut-off than the study's."""
    standing = {name for model in study.config["models"] for name in stands_on(study, model)}
    painted = {arm["model"] for arm in study.config["arms"]}
    for model in study.config["models"]:
        codec = KINDS[model["kind"]].stains
        path = root / model["weights"] if model["weights"] else None
        if not path or not path.is_file() or not (model["name"] in standing or (codec and model["name"] in painted)):
            continue  # what is not there is among the plan's checks
        section = KINDS[model["kind"]].section
        for said in differences(store.read_weights(path, tensors=False)[1], study, model):
            yield f"{section}.{model['name']}.weights: {path} {said}"


def stands_on(study: Study, model: dict) -> list[str]:
    """Return the names of what a model is trained on beside images."""
    return [entry["name"] for entry in codecs.stood_on(study, model).values()]


def differences(meta: dict, study: Study, model: dict) -> Iterator[str]:
    """Say how what a weights file says of itself differs from what the study would stand on."""
    settings, channels = meta.get("settings") or {}, meta.get("channels") or {}
    if settings.get("kind") != model["kind"]:
        yield f"holds a model of kind {settings.get('kind')}, expected {model['kind']}; name others, or train one"
        return
    stains, cutoff = study.config["channels"]["target"], study.config["prepare"]["cutoff"]
    if channels.get("target") != stains:
        yield f"is of the stains {channels.get('target')}, but the study's are {stains}; train on these"
    own = settings.get("cutoff", CUTOFF)
    if own != cutoff:
        yield f"was trained on images cut off at {own:g} s.d., but the study's at {cutoff:g}; set prepare.cutoff to {own:g}"
    if KINDS[model["kind"]].sure:
        if channels.get("input") != study.inputs(model):
            yield f"sees {channels.get('input')}, but the config says {study.inputs(model)}; set its inputs to what it sees"
    elif not KINDS[model["kind"]].stains and channels.get("input"):
        yield f"sees brightfield itself ({', '.join(channels['input'])}), and a base must not; train one with inputs: []"
