"""Measure what each condition does to what is painted: the effect matrix of arms, beside real replicates and shuffled conditions.

Wells are halved by their names. Probes are fitted to real fields of one half, of held-out plates where the factor varies there and
is not the plate, batch or source itself; painted fields and real replicates are read in the other half. Two arms paint a field from
one noise, so that nothing but the condition differs.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.base.seeds import seed_of
from brightpaint.models.conditions import vocabulary
from brightpaint.scores.effects.effect_matrix import (
    Change,
    diagonal_shares,
    effect_matrix,
    fit_probe,
    real_changes,
    shuffled,
)
from brightpaint.study.annotations import DMSO
from brightpaint.study.conditions import CONDITIONS, NUMBER
from brightpaint.study.effect_arms import OF_PLATES
from brightpaint.study.spaces import SPACES, Space

log = logging.getLogger(__name__)
COLUMNS = [
    "kind",
    "changed",
    "read",
    "value",
    "null",
    "null_bound",
    "share",
    "verdict",
    "skill",
    "probed",
    "changes",
    "images",
    "reason",
]


def read_tables(paths: Sequence[Path], space: Space) -> pd.DataFrame:
    """Read a space's tables of several plates."""
    module = importlib.import_module(space.profiler)
    return pd.concat([module.read(path, space) for path in paths], ignore_index=True)


def numbers_of(frames: Sequence[pd.DataFrame], space: Space, where: str) -> list[str]:
    """Return the numbers that all tables have and that are finite in every field with any.

    Raises
    ------
    ValueError
        where there is none
    """
    module = importlib.import_module(space.profiler)
    shared = [name for name in module.numbers_of(frames[0].columns, space) if all(name in frame for frame in frames)]
    kept = [name for name in shared if all(np.isfinite(whole(frame, shared)[name]).all() for frame in frames)]
    if not kept:
        raise ValueError(
            f"{where}: no number of the space {space.name} is finite in every field; read it in another space"
        )
    return kept


def whole(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return the rows that have any number: a field without cells has none."""
    return frame[np.isfinite(frame[list(names)]).any(axis=1)]


def values_of(frame: pd.DataFrame, factor: str) -> pd.Series:
    """Return each row's value of a factor, a number (of a dose its log10) or text; missing where there is none."""
    told = CONDITIONS[factor]
    if told.form == NUMBER:
        return pd.Series(vocabulary.numbers(frame, told)[:, 0], index=frame.index, name=factor)
    values = pd.Series(vocabulary.categories(frame, told), index=frame.index, name=factor, dtype=object)
    return values.where(values != "", None)


def annotated(frame: pd.DataFrame, fields: pd.DataFrame) -> pd.DataFrame:
    """Return a space's table with the annotations that the field tables have and it has not."""
    more = [
        name for name in fields if name.startswith("Metadata_") and name not in frame and name not in store.FIELD_KEYS
    ]
    return frame.merge(fields[[*store.FIELD_KEYS, *more]], on=store.FIELD_KEYS, how="left", validate="many_to_one")


def probe_half(frame: pd.DataFrame) -> np.ndarray:
    """Tell which rows are of the half of wells that probes are fitted to: (N,) bool, by the wells' names."""
    places = zip(frame["Metadata_Plate"], frame["Metadata_Well"])
    known = {
        place: seed_of("effects", *place) % 2 == 0
        for place in set(zip(frame["Metadata_Plate"], frame["Metadata_Well"]))
    }
    return np.array([known[place] for place in places], dtype=bool)


def probes_of(real: pd.DataFrame, numbers: Sequence[str], factors: Sequence[str], held_out: Sequence[str]):
    """Return {factor: probe}, {factor: which plates it was fitted to} and {factor: why there is none}."""
    probes, probed, none, half = {}, {}, {}, probe_half(real)
    every = real[list(numbers)].to_numpy(np.float64)
    for factor in factors:
        values = values_of(real, factor)
        there = half & values.notna().to_numpy()
        held = there & real["Metadata_Plate"].isin(held_out).to_numpy()
        apart = factor not in OF_PLATES and values[held].nunique() > 1
        chosen = held if apart else there
        probed[factor] = "held-out plates" if apart else "all plates"
        if values[chosen].nunique() < 2:
            none[factor] = f"real fields have fewer than two values of {factor}"
            continue
        wells = (real["Metadata_Plate"] + "/" + real["Metadata_Well"])[chosen]
        values = values[chosen] if CONDITIONS[factor].form == NUMBER else values[chosen].astype(str)
        probes[factor] = fit_probe(every[chosen], values, wells.to_numpy(), scaled_by=every)
    return probes, probed, none


def painted_changes(
    painted: Mapping[str, pd.DataFrame], changes: Sequence[Sequence], numbers: Sequence[str]
) -> list[Change]:
    """Return the changes between arms, of fields that both have and that no probe was fitted to.

    Parameters
    ----------
    changes : (factor, arm before, arm after, value before, value after)
    """
    found = []
    for factor, before, after, *values in changes:
        both = painted[before].merge(
            painted[after], on=store.FIELD_KEYS, suffixes=("", " after"), validate="one_to_one"
        )
        both = both[~probe_half(both)]
        if CONDITIONS[factor].given:  # a well of DMSO keeps what it was given
            both = both[~both["Metadata_perturbation"].isin([DMSO, ""])]
        sides = [both[[f"{name}{end}" for name in numbers]].to_numpy(np.float64) for end in ("", " after")]
        if CONDITIONS[factor].logarithmic:
            values = np.log10(values).tolist()
        if len(both):
            found.append(Change(factor, *values, *sides))
    return found


def effects(
    real: pd.DataFrame, painted: Mapping[str, pd.DataFrame], numbers: Sequence[str], settings: Mapping
) -> pd.DataFrame:
    """Return the effect matrices of painted fields, of real replicates and of shuffled conditions, one row a pair (COLUMNS).

    Parameters
    ----------
    real : fields of all real plates, with numbers and annotations
    painted : {arm: its fields}
    settings : `changes` (see `painted_changes`), `factors`, `held_out` (plates)

    Raises
    ------
    ValueError
        where no factor that is changed can be read
    """
    factors = settings["factors"]
    probes, probed, none = probes_of(real, numbers, factors, settings["held_out"])
    for factor, reason in none.items():
        log.info("%s is not read: %s", factor, reason)
    changes = [each for each in painted_changes(painted, settings["changes"], numbers) if each.factor in probes]
    if not changes:
        why = "; ".join(none.values()) or "no painted field lies in a well that no probe was fitted to"
        raise ValueError(
            f"effects: nothing that the arms change can be read ({why}); give plates of more wells, or other arms"
        )
    design = pd.DataFrame({name: values_of(real, name) for name in probes})
    left, changed = real[~probe_half(real)], list(dict.fromkeys(each.factor for each in changes))
    kinds = {"painted": changes, "real": [], "shuffled": []}
    for factor in changed:
        own = design.loc[left.index][design.loc[left.index, factor].notna()]
        features = left.loc[own.index, numbers].to_numpy(np.float64)
        kinds["real"] += real_changes(features, own, factor)
        kinds["shuffled"] += real_changes(features, shuffled(own, factor), factor)
    tables = []
    for kind, found in kinds.items():
        if found:
            matrix = effect_matrix(found, probes, design)
            shares = diagonal_shares(matrix)
            own = matrix["changed"] == matrix["read"]
            heard = np.where(matrix["value"] > matrix["null_bound"], "heard", "ignored")
            tables.append(matrix.assign(kind=kind, share=matrix["changed"].map(shares).where(own),
                                        verdict=np.where(own & matrix["value"].notna(), heard, "")))  # fmt: skip
    return pd.concat(tables, ignore_index=True).assign(probed=lambda table: table["read"].map(probed))[COLUMNS]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure what conditions do to what is painted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: arms, changes, factors, held_out")
    parser.add_argument("--space", choices=list(SPACES), required=True)
    parser.add_argument("--real", type=Path, nargs="+", required=True, help="the real plates' tables")
    parser.add_argument("--fields", type=Path, nargs="+", required=True, help="their field tables")
    parser.add_argument(
        "--painted", type=Path, nargs="+", required=True, help="the arms' tables, plate by plate for each arm"
    )
    parser.add_argument("--table", type=Path, required=True, help="the matrices to write")
    args = parser.parse_args(argv)
    store.one_engine([*args.real, *args.painted])
    space, arms = SPACES[args.space], args.settings["arms"]
    each = len(args.painted) // len(arms)
    if each * len(arms) != len(args.painted):
        raise ValueError(f"--painted: {len(args.painted)} tables of {len(arms)} arms; expected as many of each")
    fields = pd.concat([store.read_fields(path) for path in args.fields], ignore_index=True)
    real = read_tables(args.real, space)
    painted = {
        arm: read_tables(args.painted[place * each : (place + 1) * each], space) for place, arm in enumerate(arms)
    }
    numbers = numbers_of([real, *painted.values()], space, f"effects of {', '.join(arms)}")
    real = annotated(whole(real, numbers), fields).reset_index(drop=True)
    painted = {arm: whole(frame, numbers) for arm, frame in painted.items()}
    found = effects(real, painted, numbers, args.settings)
    for row in found[(found["kind"] == "painted") & (found["verdict"] == "ignored")].itertuples():
        log.info(
            "%s is ignored: %.2g of what was asked is read, chance gives %.2g", row.changed, row.value, row.null_bound
        )
    store.write_table(store.as_text(found), args.table)


if __name__ == "__main__":
    run(main)
