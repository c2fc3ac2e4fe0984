"""Arms that translate real fields to other classes, their companions from fresh noise, and what is wrong with them.

Torch-free. A translation is an entry of `arms` with `translate`, but it predicts no field: it stands apart from the arms that
do, under `Study.translations`. Beside each that starts from its source stands `fresh_{arm}`: the same rows from fresh noise,
which is what the target class looks like without any source. Where a model is told of the source's stains, its base paints them,
which is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from brightpaint.study.annotations import DMSO, GIVEN
from brightpaint.study.choice import parse_wells, used_wells
from brightpaint.study.kinds import KINDS
from brightpaint.study.samplers import PUTS_NOISE_BACK, UNDOABLE, walked_share

if TYPE_CHECKING:
    from brightpaint.study.study import Study

PREFIX = "fresh_"
NEEDS_DOSE = "treatment"  # the label whose classes are a compound at a dose


def split(arms: list[dict], models: list[dict] = ()) -> tuple[list[dict], list[dict]]:
    """Return the arms that predict, and those that translate, each with its companion behind it."""
    painting = [arm for arm in arms if not arm["translate"]]
    outlined = {model["name"]: model["base"] for model in models if KINDS[model["kind"]].outlined}
    translating = [each for arm in arms if arm["translate"] for each in (arm, *_companion(arm, outlined))]
    return painting, translating


def _companion(arm: dict, outlined: dict[str, str | None]) -> list[dict]:
    """Return an arm's companion, if it has one; `outlined` are models that are told of the source's stains, and their bases."""
    chosen = arm["translate"]
    if arm["model"] in outlined:
        if not outlined[arm["model"]]:
            return []  # given weights hold their base, which can't be had by itself
        arm = {**arm, "model": outlined[arm["model"]]}
    elif chosen["from_noise"] and chosen["strength"] == 1:
        return []  # it is fresh noise itself
    fresh = {**chosen, "from_noise": True, "strength": 1}
    return [{**arm, "name": PREFIX + arm["name"], "translate": fresh}]


def path_start(arm: dict) -> int:
    """Return the place, in an arm's whole path of noise levels, at which painting begins: 0, or later with less strength."""
    return arm["steps"] - walked_share(arm)


def source_wells(chosen: dict) -> list[str] | None:
    """Return the wells that the source fields are named by; None where they are drawn."""
    return parse_wells(chosen["fields"]) if isinstance(chosen["fields"], str) else None


def problems(study: Study) -> Iterator[str]:
    """Say what is wrong with the translations that a look at the config can tell; `plan.translating` looks at the wells."""
    models = {model["name"]: model for model in study.config["models"]}
    folds = {fold["name"]: fold for fold in study.config["folds"]}
    names = [arm["name"] for arm in study.config["arms"]]
    for arm in study.config["translations"]:
        where = f"arm {arm['name']}"
        if arm["name"].startswith(PREFIX) and arm["name"] in names:
            yield f"{where}: the name of what is painted beside arm {arm['name'].removeprefix(PREFIX)}; give it another"
        if arm["name"] in _companions(study) or arm["model"] not in models or not set(arm["folds"]) <= set(folds):
            continue  # what is wrong with a companion is so with its arm; missing models and folds are said by themselves
        model = models[arm["model"]]
        yield from _model_problems(study, where, arm, model)
        yield from _walk_problems(where, arm)
        yield from _class_problems(study, where, arm, model)
        for name in arm["folds"]:
            if not folds[name]["test"]:
                yield f"{where}: fold {name} tests no plate, and a translation starts from the real stains of one; name one in test"
            elif not model["weights"]:
                yield from _trained_wells(study, where, arm, folds[name])


def _companions(study: Study) -> list[str]:
    return [PREFIX + arm["name"] for arm in study.config["translations"]]


def _model_problems(study: Study, where: str, arm: dict, model: dict) -> Iterator[str]:
    kind, named = KINDS[model["kind"]], f"model {model['name']}"
    if not kind.translates:
        able = " or ".join(kind.name for kind in KINDS.values() if kind.translates)
        yield f"{where}: {named} is of kind {model['kind']}, whose way can't be walked back; translate with one of kind {able}"
        return
    if model["label"] == "none" and not model["weights"]:
        yield f"{where}: {named} is told no class to translate between; give it a label (treatment, perturbation, ...)"
    inputs, given = study.inputs(model), arm["translate"]["brightfield"]
    if inputs and not given and not model["weights"]:
        yield (
            f"{where}: {named} was trained with brightfield ({', '.join(inputs)}), and the translation gives it none; set "
            f"translate.brightfield: true, or train without (inputs: [])"
        )
    if given and not inputs and not model["weights"]:
        yield f"{where}: translate.brightfield is true, and {named} sees no brightfield; leave it out, or give the model inputs"


def _walk_problems(where: str, arm: dict) -> Iterator[str]:
    chosen = arm["translate"]
    if arm["sampler"] in PUTS_NOISE_BACK or arm["eta"] > 0:
        yield (
            f"{where}: sampler {arm['sampler']} with eta {arm['eta']:g} puts noise back, which can't be inverted; use "
            f"{' or '.join(UNDOABLE)} with eta 0"
        )
    elif arm["sampler"] not in UNDOABLE and chosen["inner"] and not chosen["from_noise"]:
        yield (
            f"{where}: a step of sampler {arm['sampler']} depends on the one before and can't be undone by itself; use "
            f"{' or '.join(UNDOABLE)}, or translate.inner: 0"
        )
    if arm["classifier"]:
        yield f"{where}: classifier {arm['classifier']} guides to a field's own class, not to the one shown; use label_scale"
    for key, only in (("samples", 1), ("mean_of", 1), ("sampling_label", "own")):
        if arm[key] != only:
            yield f"{where}: {key} {arm[key]} is not for a translation, which shows each class once; leave it out"


def _class_problems(study: Study, where: str, arm: dict, model: dict) -> Iterator[str]:
    chosen, label = arm["translate"], model["label"]
    if model["weights"]:
        return  # which classes they know stands in their file
    if chosen["source"] is None and label not in (*GIVEN, "none"):
        yield f"{where}: among classes of {label} none is DMSO; name one of them in translate.source"
    source, targets = chosen["source"] or DMSO, chosen["targets"]
    if isinstance(targets, dict) and label not in (NEEDS_DOSE, "none"):
        yield (
            f"{where}: translate.targets names a compound's doses, and model {model['name']} is told {label}, which pools them; "
            f"set its label to {NEEDS_DOSE}, or name classes"
        )
    for dose in (targets.get("um") or []) if isinstance(targets, dict) else []:
        if not (isinstance(dose, (int, float)) and dose > 0):
            yield f"{where}: translate.targets.um: {dose!r} is no dose; expected numbers above 0, micromolar, such as 0.3"
    if isinstance(targets, list) and not set(targets) - {source}:
        yield f"{where}: translate.targets names {source} alone, the source class: there is nothing to translate to; name others"
    if model["subset"] == "active" and source == DMSO and label in GIVEN:
        yield f"{where}: model {model['name']} trains on active perturbations alone, which {DMSO} is not; set subset: all"
    for name in arm["folds"]:
        held = study.entry("folds", name)["held_out"]
        named = [source, *(targets if isinstance(targets, list) else [])]
        left = [each for each in named if isinstance(held, list) and each.split("@")[0] in held]
        if left:
            yield f"{where}: fold {name} holds out {', '.join(left)}, so its model was not trained on it; name other classes"
    try:
        source_wells(chosen)
    except ValueError as error:
        yield f"{where}: translate.fields: {error}"


def _trained_wells(study: Study, where: str, arm: dict, fold: dict) -> Iterator[str]:
    """Say which of the source wells a fold also trains on: rows of the plate table may share a well by sites or tiles."""
    for plate in fold["test"]:
        if plate not in study.plates:
            continue  # said by itself
        for other in study.training_plates(fold["name"]):
            shared = _shared_wells(study.plates[plate], study.plates[other], arm["translate"])
            if shared:
                yield (
                    f"{where}: plate {plate} shows {shared} of which fold {fold['name']} trains on other fields (plate {other}); "
                    "source fields must come from wells that were not trained on: part the plates by wells in the plate table"
                )


def _shared_wells(one: dict, other: dict, chosen: dict) -> str:
    """Return which wells two rows of the plate table share, in words; "" where they are of different plates or wells."""
    keys = ("source", "batch")
    if [one.get(key) for key in keys] != [other.get(key) for key in keys]:
        return ""
    if one.get("barcode", one["plate"]) != other.get("barcode", other["plate"]):
        return ""
    try:
        wells = [used_wells(one), used_wells(other), source_wells(chosen)]
    except ValueError:
        return ""  # said by itself
    named = [set(each) for each in wells if each is not None]
    if not named:
        return "all wells"
    shared = sorted(set.intersection(*named))
    return f"wells {', '.join(shared[:5])}{', ...' if len(shared) > 5 else ''}" if shared else ""
