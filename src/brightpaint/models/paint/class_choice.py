"""Which class a translation starts from and which it shows, among those that a model was trained on. Loads no torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import pandas as pd

from brightpaint.study.annotations import DMSO, GIVEN, treatment_name

SHOWN = 8  # classes that a message lists


def listed(names: Iterable[str]) -> str:
    """Return some names in words: `a, b, ... (12 in all)`."""
    names = list(names)
    return (
        ", ".join(names[:SHOWN]) + (f", ... ({len(names)} in all)" if len(names) > SHOWN else "") if names else "none"
    )


def dose_of(name: str) -> tuple[str, float]:
    """Return compound and dose (micromolar; NaN where there is none) of a treatment's name: `taxol@0.3uM`."""
    compound, at, dose = name.rpartition("@")
    try:
        found = float(dose.removesuffix("uM")) if at and dose.endswith("uM") else math.nan
    except ValueError:
        found = math.nan
    return (compound, found) if math.isfinite(found) else (name, math.nan)


def in_order(names: Iterable[str]) -> list[str]:
    """Return classes by compound, and each compound's by dose."""
    return sorted(
        names, key=lambda name: (dose_of(name)[0], -1.0 if math.isnan(dose_of(name)[1]) else dose_of(name)[1])
    )


def check_trained(names: Sequence[str], known: Iterable[str], where: str) -> None:
    """Raise ValueError for a class that was not trained on."""
    if missing := [name for name in names if name not in set(known)]:
        raise ValueError(
            f"{where}: the model was not trained on {listed(missing)}; it knows {listed(in_order(known))}; name some of these, or "
            "train on plates that have the others"
        )


def source_of(
    chosen: dict, label: str, present: pd.Series, control_types: pd.Series, known: Iterable[str], where: str
) -> str:
    """Return the class that a plate's source fields are of.

    Parameters
    ----------
    chosen : the arm's `translate`
    present, control_types : class and control type of each of the plate's fields
    known : the classes that the model was trained on
    where : names arm and plate, for the messages

    Raises
    ------
    ValueError
        where the plate has no well of the class, or no negative controls of one class; it says which classes it has
    """
    there = in_order(set(present) & set(known))
    wanted = chosen["source"]
    if wanted is None and label in GIVEN:
        controls = sorted(set(present[control_types == "negcon"]) & set(known) - {""})
        wanted = DMSO if DMSO in set(present) or not controls else controls[0]
        if wanted != DMSO and len(controls) > 1:
            raise ValueError(
                f"{where}: no {DMSO}, and negative controls of several classes: {listed(controls)}; name one in translate.source"
            )
    if wanted is None:
        raise ValueError(f"{where}: label {label} has no {DMSO}; name translate.source, one of {listed(there)}")
    if wanted not in set(present):
        raise ValueError(
            f"{where}: no well of the source class {wanted}; source classes that this plate has and the model was trained on: "
            f"{listed(there)}; name one in translate.source"
        )
    check_trained([wanted], known, f"{where}: source class")
    return wanted


def check_wells(wanted: Sequence[str], wells: pd.Series, classes: pd.Series, source: str, where: str) -> None:
    """Raise ValueError for a named source well of another class, and for one that the plate has not.

    Parameters
    ----------
    wells, classes : well and class of each of the plate's fields, or wells
    """
    own = sorted(set(wells[classes == source]))
    for well in wanted:
        here = classes[wells == well]
        if (here != source).any():
            raise ValueError(
                f"{where}: well {well} is of class {here[here != source].iloc[0] or 'none'}, expected {source}; wells of {source}: "
                f"{listed(own)}; name these in translate.fields"
            )
    if lacking := [well for well in wanted if well not in own]:
        raise ValueError(f"{where}: no field of well {listed(lacking)}; wells of {source}: {listed(own)}")


def targets_of(wanted: str | list[str] | dict, source: str, known: Iterable[str], where: str) -> list[str]:
    """Return the classes to show beside the source, in the order of the rows.

    Parameters
    ----------
    wanted : `all`, names, or {"compound": one or several, "um": doses} for the doses of compounds

    Raises
    ------
    ValueError
        for a class or a dose that was not trained on, for a compound without doses, and where no class is left
    """
    known = list(known)
    if isinstance(wanted, dict):
        compounds = [wanted["compound"]] if isinstance(wanted["compound"], str) else wanted["compound"]
        names = [name for compound in compounds for name in _doses(compound, wanted.get("um"), known, where)]
    else:
        names = in_order(known) if wanted == "all" else list(wanted)
    check_trained(names, known, f"{where}: target class")
    targets = [name for name in names if name != source]
    if not targets:
        raise ValueError(
            f"{where}: {source} is the source, and there is no other class to show; the model was trained on {listed(known)}; "
            "train on plates of two classes at least"
        )
    return targets


def _doses(compound: str, um: list[float] | None, known: list[str], where: str) -> list[str]:
    """Return the classes of a compound's doses, the lowest first: those of `um`, or all."""
    doses = [name for name in in_order(known) if dose_of(name)[0] == compound and not math.isnan(dose_of(name)[1])]
    if not doses:
        dosed = sorted({dose_of(name)[0] for name in known if not math.isnan(dose_of(name)[1])})
        why = "has no dose that is a number" if compound in known else "is no compound that the model was trained on"
        raise ValueError(f"{where}: {compound} {why}; compounds with doses: {listed(dosed)}; the classes are treatments such as "
                         "taxol@0.3uM")  # fmt: skip
    if um is None:
        return doses
    wanted = [treatment_name(compound, dose) for dose in sorted(um)]
    if missing := [name for name in wanted if name not in doses]:
        raise ValueError(
            f"{where}: the model was not trained on {listed(missing)}; doses of {compound}: {listed(doses)}"
        )
    return wanted
