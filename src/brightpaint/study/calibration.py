"""Arms that are judged as distributions, the companions that paint their samples, and what is wrong with them. Torch-free.

Beside an arm that paints from noise stands `draws_{arm}`: some fields of each test plate, each painted several times
(`Metadata_draw`). It predicts no field once, so it stands apart from the arms that do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from brightpaint.study.conditions import given_conditions
from brightpaint.study.kinds import KINDS

if TYPE_CHECKING:
    from brightpaint.study.study import Study

PREFIX = "draws_"
# What a calibrated arm is compared with, by the word of `Kind.reference`; each stands before those that are compared with it.
REFERENCES = ("regression", "floor")


def draw_arms(config: dict) -> list[dict]:
    """Return the companions that paint the samples of calibrated arms, as entries of `arms`."""
    noisy = {model["name"] for model in config["models"] if KINDS[model["kind"]].noise}
    chosen = [arm for arm in config["arms"] if arm["name"] in config["calibration"]["arms"] and arm["model"] in noisy]
    return [{**arm, "name": PREFIX + arm["name"], "samples": 1, "mean_of": 1} for arm in chosen]


def calibrated_arms(study: Study) -> list[str]:
    """Return the arms that are judged so, in the order of the config's arms."""
    return [arm for arm in study.arms if arm in study.config["calibration"]["arms"] and study.test_plates(arm)]


def drawn_as(study: Study, arm: str) -> str:
    """Return under which name the samples of a calibrated arm lie: its companion's, or its own where it paints without noise."""
    return PREFIX + arm if PREFIX + arm in study.drawn else arm


def samples_of(study: Study, arm: str) -> int:
    """Return how many samples of a field a calibrated arm has."""
    return 1 if drawn_as(study, arm) == arm else study.config["calibration"]["samples"]


def references(study: Study, arm: str) -> dict[str, str]:
    """Return {word of REFERENCES: the first calibrated arm of such a kind}, of those with which `arm` is compared."""
    own = study.kind_of(arm).reference
    earlier = REFERENCES[: REFERENCES.index(own)] if own else REFERENCES
    found = {}
    for word in earlier:
        for other in calibrated_arms(study):
            if study.kind_of(other).reference == word and set(study.test_plates(arm)) & set(study.test_plates(other)):
                found.setdefault(word, other)
    return found


def problems(study: Study) -> Iterator[str]:
    """Say what is wrong with the section, beyond the schema."""
    models = {model["name"]: model for model in study.config["models"]}
    folds = {fold["name"] for fold in study.config["folds"]}
    arms = study.every_arm
    names = [arm["name"] for arm in arms]
    sound = all(arm["model"] in models and set(arm["folds"]) <= folds for arm in arms)  # else that is said by itself
    for name in study.config["calibration"]["arms"]:
        where = f"calibration.arms: {name}"
        arm = next((arm for arm in study.config["arms"] if arm["name"] == name), None)
        if arm is None:
            shown = (
                "shows fields as other classes, which have no real fields beside them" if name in names else "is no arm"
            )
            shown = (
                "paints no real field again, which its samples would be beside" if name in study.generations else shown
            )
            yield f"{where} {shown}; those that can be judged so: {', '.join(study.arms) or 'none'}"
            continue
        if PREFIX + name in names:
            yield f"arm {PREFIX}{name}: the name of what is painted to judge arm {name} (calibration); give it another"
        if arm["model"] not in models or not set(arm["folds"]) <= folds:
            continue  # said by itself
        if arm["mean_of"] > 1:
            yield f"{where} paints means of {arm['mean_of']} samples, which are no samples; name an arm with mean_of: 1"
        if told := [key for key in given_conditions(arm["conditions"]) if arm["conditions"][key] is not None]:
            yield (
                f"{where} sets conditions {', '.join(told)}, so that fields show what they were not given, with no real fields "
                "beside that; name an arm without"
            )
        if not study.test_plates(name):
            yield f"{where} has no test plate, and samples are judged beside real stains; give it a fold that tests one"
        elif sound and study.config["perturbations"] and study.profiled(name):
            known = study.lookup_plates()
            for plate in [plate for plate in study.test_plates(name) if plate not in known]:
                yield (
                    f"{where}: features are brought to components of real training fields, and no training plate of plate "
                    f"{plate} is measured; set select.plates: all, or profile: false for the arm"
                )
    yield from _sweep_problems(study) if sound else ()


def _sweep_problems(study: Study) -> Iterator[str]:
    """Say where a sweep's samples can't be scored: their cells' features are whitened as those of calibrated arms."""
    points, folds = study.sweep_points, {fold["name"]: fold["test"] for fold in study.config["folds"]}
    if study.config["sweep"]["samples"] == 1 or not points or not folds.get(points[0]["folds"][0]):
        return
    measured = study.config["perturbations"] and study.profiled(points[0]["name"])
    if measured and study.sweep_plate not in study.lookup_plates():
        yield (
            f"sweep.samples {study.config['sweep']['samples']}: features are brought to components of real training fields, and no "
            f"training plate of plate {study.sweep_plate} is measured; set select.plates: all, or samples: 1"
        )
