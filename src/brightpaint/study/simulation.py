"""What the config asks of the simulator beyond plain plates: dose series, planes, cell lines; and what does not go together."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from brightpaint.study.study import Study

CELL_LINES = ("U2OS", "A549", "HeLa", "HepG2", "BJ")  # what the plate table's cell_line may be of a simulated plate
STAINS = ("DNA", "RNA", "ER", "AGP", "Mito")
OPTIONS = ("doses", "molecules", "planes", "confounder")


def asked(simulate: dict) -> dict:
    """Return the section without the options that are off, so that plates made before there were any stay as they are."""
    return {key: value for key, value in simulate.items() if key not in OPTIONS or value}


def doses_um(doses: dict) -> list[float]:
    """Return the tested doses in micromolar, lowest first: as listed, or `count` from `top` down by `factor`."""
    um = doses["um"]
    if isinstance(um, list):
        return sorted(map(float, um))
    return [um["top"] / um["factor"] ** step for step in reversed(range(um["count"]))]


def dmso_rows(simulate: dict) -> int:
    """Return how many whole rows hold DMSO where doses run along columns; columns left over hold DMSO anyway."""
    rows, columns, width = simulate["rows"], simulate["columns"], _width(simulate)
    wanted = max(1, round(simulate["dmso_share"] * rows * columns))
    return min(rows, math.ceil(max(0, wanted - rows * (columns % width)) / columns))


def _width(simulate: dict) -> int:
    """Return the wells of one compound."""
    return len(doses_um(simulate["doses"])) * simulate["doses"]["wells"]


def series_that_fit(simulate: dict) -> int:
    """Return how many compounds a plate holds in a dose series each."""
    rows, columns, width = simulate["rows"], simulate["columns"], _width(simulate)
    if simulate["doses"]["layout"] == "columns":
        return (rows - dmso_rows(simulate)) * (columns // width)
    return (rows * columns - round(simulate["dmso_share"] * rows * columns)) // width


def stain_planes(planes: int | dict | None) -> dict[str, list[str]]:
    """Return {stain: its planes' channels, lowest first} of every stain that is a z-stack, e.g. DNA: [DNA_01, DNA_02]."""
    counts = dict.fromkeys(STAINS, planes) if isinstance(planes, int) else planes or {}
    return {stain: [f"{stain}_{plane:02d}" for plane in range(1, count + 1)] for stain, count in counts.items()}


def problems(study: Study) -> Iterable[str]:
    """Say which of the simulator's options do not go together, with one another or with the rest of the study."""
    if study.config["source"]["layout"] != "simulated":
        return
    simulate = study.config["simulate"]
    if simulate["doses"]:
        yield from _dose_problems(simulate)
    if simulate["planes"]:
        yield from _plane_problems(simulate["planes"], study.config["channels"]["target"])
    if (
        simulate["confounder"]
        and simulate["confounder"]["shown_in"] == "brightfield"
        and not study.config["channels"]["input"]
    ):
        yield "simulate.confounder.shown_in: brightfield, but channels.input is empty; say stains"
    for name, plate in study.plates.items():
        if (line := plate.get("cell_line")) and line not in CELL_LINES:
            yield f"plate {name}: cell_line {line}, but the simulator knows {', '.join(CELL_LINES)}; correct the plate table"


def _dose_problems(simulate: dict) -> Iterable[str]:
    doses = doses_um(simulate["doses"])
    named = [f"{dose:.3g}" for dose in doses]
    if same := sorted({name for name in named if named.count(name) > 1}):
        yield f"simulate.doses.um: two doses are {same[0]} uM to three digits, which is one treatment; take one out"
    elif series_that_fit(simulate) < 1:
        yield (
            f"simulate.doses: {len(doses)} doses in {simulate['doses']['wells']} wells each do not fit a plate of "
            f"{simulate['rows']} x {simulate['columns']} wells beside its DMSO; change simulate.rows, simulate.columns, "
            "simulate.dmso_share, simulate.doses.um or simulate.doses.wells"
        )
    if simulate["failed_share"]:
        yield (
            "simulate.failed_share with simulate.doses: a failed well could not be told from one whose dose is too low; set "
            "failed_share to 0, or take doses out"
        )


def _plane_problems(planes: int | dict, target: list[str]) -> Iterable[str]:
    stacks = stain_planes(planes)
    for stain, names in stacks.items() if isinstance(planes, dict) else []:
        if missing := [name for name in names if name not in target]:
            yield f"simulate.planes.{stain}: {len(names)} planes, but channels.target lacks {', '.join(missing)}; name them there"
    for name in target:
        stain = name.rpartition("_")[0] or name
        if name in stacks or (stain in stacks and name not in stacks[stain]):
            wanted = f"{stacks[stain][0]} to {stacks[stain][-1]}"
            yield f"channels.target: {name}, but simulate.planes makes {stain} a stack of the channels {wanted}; name those"
    if isinstance(planes, int):
        for stain, names in stacks.items():
            here = [name for name in names if name in target]
            if here and len(here) < len(names):
                lacking = ", ".join(name for name in names if name not in here)
                yield f"simulate.planes: {planes} planes of {stain}, but channels.target lacks {lacking}; name them there"
