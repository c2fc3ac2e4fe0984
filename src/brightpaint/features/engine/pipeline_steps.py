"""Read a .cppipe into steps with plain settings, and refuse what the engine does not do just as CellProfiler does it.

The pipeline is the one source of what is measured: no setting stands in Python. Every setting is taken, or wanted at the
value that the engine knows, or known to change nothing (`known_settings`); a module or a setting that is not listed there
is an error, and so are images and objects that no step before has made. Nothing is imported that a dry run would feel.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from brightpaint.features import loaded_objects, own_pipeline, pipeline
from brightpaint.features.engine.known_settings import MODULES
from brightpaint.features.engine.setting_rules import Counted, Idle, Only, Repeated, Same

WAY_OUT = "mend the pipeline, or set cellprofiler.engine to cellprofiler"
HEAD_ONLY = {"Version": "5", "HasImagePlaneDetails": "False"}  # of a pipeline's head; the rest of it changes nothing


@dataclass(frozen=True)
class Step:
    """One module of a pipeline that is switched on.

    Attributes
    ----------
    module : CellProfiler's name
    number : its place among the modules, from 1
    settings : by the engine's names; what is repeated is a list of dicts
    """

    module: str
    number: int
    settings: dict

    @property
    def place(self) -> str:
        """Return how errors and columns name it: 03ImageMath."""
        return f"{self.number:02d}{self.module}"


def read_steps(path: Path, channels: list[str], pixel_um: float | None, named: dict, *, loaded: bool) -> list[Step]:
    """Return the steps of a pipeline as it is fitted to the images.

    Parameters
    ----------
    channels, pixel_um, named : as `pipeline.adapt` takes them
    loaded : whether nuclei and cells are given as label images, in place of what the pipeline would find

    Raises
    ------
    ValueError
        naming the module, its number, the setting and its value
    """
    text = pipeline.adapt(path, channels, pixel_um, named)
    own_pipeline.check(text, channels, path)
    if loaded:
        text = loaded_objects.adapt(text, path)
    steps = steps_of(text, path)
    check_flow(steps, [f"Orig{name}" for name in channels], list(pipeline.LABELLED) if loaded else [], path)
    return steps


def steps_of(text: str, path: Path) -> list[Step]:
    """Return the steps of a pipeline's text."""
    head, *modules = pipeline.blocks(text)
    for line in head.splitlines()[1:]:
        key, _, value = line.partition(":")
        if value.strip() != HEAD_ONLY.get(key, value.strip()):
            raise ValueError(f"{path}: {key} is {value}, and the fast engine knows {HEAD_ONLY[key]} alone; {WAY_OUT}")
    found = []
    for number, block in enumerate(modules, 1):
        if "enabled:False" not in block.splitlines()[0]:
            found.append(_step(block, number, path))
    return found


def _step(block: str, number: int, path: Path) -> Step:
    module = block.partition(":")[0]
    where = f"{path}: module {number}, {module}"
    if module not in MODULES:
        raise ValueError(f"{where}: the fast engine does not know it; it knows {', '.join(MODULES)}; {WAY_OUT}")
    known = MODULES[module]
    revision = re.search(r"variable_revision_number:(\d+)", block.splitlines()[0])
    if not revision or revision[1] != known.revision:
        raise ValueError(
            f"{where}: its settings are of version {revision[1] if revision else 'unknown'}, and the fast engine knows "
            f"version {known.revision} alone, CellProfiler 4.2.8's; open the pipeline there and export it again, or set "
            "cellprofiler.engine to cellprofiler"
        )
    settings = pipeline.settings(block)
    taken, left = _read(settings, known.settings, where)
    if left:
        raise ValueError(f"{where}: the fast engine does not know the setting {left[0][0]!r} there; {WAY_OUT}")
    return Step(module, number, taken)


def _read(settings: list[tuple[str, str]], known: tuple, where: str) -> tuple[dict, list[tuple[str, str]]]:
    """Return what is taken of settings that must follow `known`, and the settings that are left after it."""
    own = dict(settings)  # of the conditions, whose names occur once
    taken, counts, left = {}, {}, list(settings)
    for entry in known:
        if isinstance(entry, Repeated):
            taken[entry.key], left = _repeated(left, entry, counts, where)
            continue
        setting, rule = entry
        if not left or left[0][0] != setting:
            found = f"found {left[0][0]!r}" if left else "the module ends before it"
            raise ValueError(f"{where}: expected the setting {setting!r}, {found}; {WAY_OUT}")
        (_, text), left = left[0], left[1:]
        if isinstance(rule, Idle) and rule.other and not any(own.get(name) == value for name, value in rule.when):
            rule = rule.other
        if isinstance(rule, Counted):
            counts[rule.key] = text
        elif isinstance(rule, Only):
            _check_only(text, rule.values, setting, where)
        elif isinstance(rule, Same):
            _check_only(text, (own[rule.setting],), setting, where)
        elif not isinstance(rule, Idle):
            taken[rule.key] = _value(text, rule.read, setting, where)
    for key, count in counts.items():
        if str(len(taken.get(key, []))) != count.strip():
            raise ValueError(
                f"{where}: its hidden number of {key} is {count}, and {len(taken.get(key, []))} follow that the fast engine "
                f"knows; {WAY_OUT}"
            )
    return taken, left


def _repeated(left: list, entry: Repeated, counts: dict, where: str) -> tuple[list[dict], list]:
    found, names = [], [name for name, _ in entry.settings]
    while [name for name, _ in left[: len(names)]] == names:
        if entry.key in counts and str(len(found)) == counts[entry.key].strip():
            break
        one, rest = _read(left[: len(names)], entry.settings, f"{where}, {entry.key} {len(found) + 1}")
        assert not rest
        found.append(one)
        left = left[len(names) :]
    if len(found) < entry.least:
        raise ValueError(f"{where}: it names {len(found)} {entry.key}, expected {entry.least} or more; {WAY_OUT}")
    return found, left


def _check_only(text: str, values: tuple[str, ...], setting: str, where: str) -> None:
    if text not in values:  # the first stands for other ways to write it
        raise ValueError(f"{where}: {setting!r} is {text!r}, and the fast engine knows {values[0]!r} alone; {WAY_OUT}")


def _value(text: str, read, setting: str, where: str) -> object:
    try:
        return read(text)
    except ValueError as error:
        raise ValueError(f"{where}: {setting!r} is {text!r}, and the fast engine expects {error}; {WAY_OUT}") from None


# --- what flows from step to step ---


def check_flow(steps: list[Step], images: list[str], objects: list[str], path: Path) -> None:
    """Refuse steps that read an image, objects or a measurement which no step before them has made.

    Parameters
    ----------
    images, objects : what is there from the start
    """
    there = {"image": set(images), "object set": set(objects), "measurement": set()}
    for step in steps:
        for kind, names in reads(step).items():
            if missing := [name for name in names if name not in there[kind]]:
                raise ValueError(
                    f"{path}: module {step.number}, {step.module}: it reads the {kind} {missing[0]}, which no module before it "
                    f"makes; there are {', '.join(sorted(there[kind])) or 'none'}; {WAY_OUT}"
                )
        if step.settings.get("operands") and not any("image" in one for one in step.settings["operands"]):
            raise ValueError(
                f"{path}: module {step.number}, {step.module}: none of its operands is an image; {WAY_OUT}"
            )
        for kind, names in makes(step).items():
            if twice := [name for name in names if name in there[kind] and kind != "measurement"]:
                raise ValueError(
                    f"{path}: module {step.number}, {step.module}: it makes the {kind} {twice[0]} a second time; {WAY_OUT}"
                )
            there[kind] |= set(names)


def reads(step: Step) -> dict[str, list[str]]:
    """Return the images, object sets and measurements of whole images that a step reads."""
    settings = step.settings
    operands = settings.get("operands", [])
    listed = [one["name"] if isinstance(one, dict) else one for one in _listed(settings.get("objects"))]
    single = [settings[key] for key in ("seeds", "larger", "smaller", "parent", "child") if key in settings]
    return {
        "image": [*_listed(settings.get("images")), *_listed(settings.get("image")),
                  *(one["image"] for one in operands if "image" in one)],
        "object set": [*listed, *single],
        "measurement": [one["measurement"] for one in operands if "measurement" in one],
    }  # fmt: skip


def makes(step: Step) -> dict[str, list[str]]:
    """Return the image, the object set and the measurements of whole images, percentiles, that a step makes."""
    settings = step.settings
    measured = settings.get("percentiles", []) if step.module == "MeasureImageIntensity" else []
    return {
        "image": _listed(settings.get("image_made")),
        "object set": _listed(settings.get("objects_made")),
        "measurement": [percentile_name(rank, image) for rank in measured for image in settings["images"]],
    }


def percentile_name(rank: int, image: str) -> str:
    """Return what CellProfiler calls a percentile of an image: Intensity_Percentile_1_OrigDNA."""
    return f"Intensity_Percentile_{rank}_{image}"


def _listed(value: str | list | None) -> list:
    return [] if value is None else value if isinstance(value, list) else [value]
