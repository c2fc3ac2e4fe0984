"""Score treatments painted from conditions alone against real treatments on held-out plates, as populations, in a space.

A treatment's effect is the mean of its fields less that of its plate's own DMSO, in s.d. of real training fields; all effects are
centred by the mean of those that the fold trains on, or the effect common to all would win. The model stands beside what needs no
painting (`scores.generation.foretold`): the mean of the training treatments, ridge and nearest neighbours from fingerprint to real
effect, the nearest molecule's own effect and fields, its own answer for another molecule (swapped), DMSO, and the treatment
itself on real training plates (real replicate). Whether fields go with their molecule is `scores.generation.correspondence`, and
where cells are measured `scores.generation.panel` correlates Mol2Image's kinds of numbers.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.profiles.select import read_selection
from brightpaint.scores.generation import gains, panel, populations
from brightpaint.scores.generation.foretold import MODEL
from brightpaint.scores.generation.plate_answers import said_of
from brightpaint.scores.generation.tested_plate import Plate, plate_of, treatments_tested
from brightpaint.scores.generation.treatment_effects import (
    KEYS,
    Fields,
    fields_of,
    joined,
    scaled,
    spread_of,
)
from brightpaint.scores.profiles import discrepancy
from brightpaint.scores.profiles.from_molecules import cosine
from brightpaint.scores.rows import one_of
from brightpaint.study.annotations import PERTURBATION
from brightpaint.study.spaces import SPACES, Space

log = logging.getLogger(__name__)
MOST_FIELDS = 400  # of which the kernel's width is the median distance


def ranks(alike: np.ndarray) -> np.ndarray:
    """Return where the right treatment lies among the real ones, (T,): 1 the most alike, 0 the least; ties count a half.

    Parameters
    ----------
    alike : (T, T) of each answer (row) and each real treatment of the plate
    """
    if len(alike) < 2:
        return np.full(len(alike), np.nan)
    own = np.diag(alike)[:, None]
    return ((alike < own).sum(axis=1) + ((alike == own).sum(axis=1) - 1) / 2) / (len(alike) - 1)


def scores_of(plate: Plate, sigma: float) -> dict[str, dict[str, np.ndarray]]:
    """Return {metric: {baseline: (T,)}} of one plate, NaN where there is none."""
    found: dict[str, dict[str, np.ndarray]] = {
        gains.CORRELATION: {},
        gains.RANK: {},
        **{name: {} for name in populations.EACH},
    }
    for baseline, answers in plate.answers.items():
        known = np.isfinite(answers).all(axis=1)
        alike = cosine(np.where(known[:, None], answers, 0.0), plate.truth)
        found[gains.CORRELATION][baseline] = np.where(known, np.diag(alike), np.nan)
        found[gains.RANK][baseline] = np.where(known, ranks(alike), np.nan)
    for baseline, sets in plate.fields.items():
        each = [populations.distances(real, other, sigma) for real, other in zip(plate.real, sets)]
        for name in populations.EACH:
            found[name][baseline] = np.array([one[name] for one in each])
    if plate.matched:
        found[gains.MATCHED] = plate.matched
    found[gains.WITH_CELLS] = {MODEL: np.array([float(len(one) > 0) for one in plate.fields[MODEL]])}
    return found


def gathered(plates: Sequence[Plate], training: np.ndarray, where: str) -> gains.Scored:
    """Return what was found on all plates together.

    Parameters
    ----------
    training : (n, F) real training fields of all folds, by which kernels and components are scaled
    """
    sigma = discrepancy.bandwidth(populations.drawn(training, MOST_FIELDS, where, "sigma"))
    each = [scores_of(plate, sigma) for plate in plates]
    centre, components = populations.components_of(training)
    seen = lambda sets: [(one - centre) @ components for one in sets]  # noqa: E731
    values = {
        metric: {name: np.concatenate([one[metric][name] for one in each]) for name in each[0][metric]}
        for metric in each[0]
    }
    return gains.Scored(
        tested=pd.concat([plate.tested for plate in plates], ignore_index=True), values=values,
        truth=np.concatenate([plate.truth for plate in plates]),
        answers={name: np.concatenate([plate.answers[name] for plate in plates]) for name in plates[0].answers},
        real=[one for plate in plates for one in seen(plate.real)],
        fields={name: [one for plate in plates for one in seen(plate.fields[name])] for name in plates[0].fields},
        directions=populations.directions_of(components.shape[1], where),
    )  # fmt: skip


def by_treatment(scored: gains.Scored) -> pd.DataFrame:
    """Return one row a tested treatment and baseline, with its metrics."""
    own = scored.tested[["plate", *KEYS, PERTURBATION, "split", "group"]]
    tables = [own.assign(baseline=name, **{metric: by.get(name, np.full(len(own), np.nan)) for metric, by in scored.values.items()})
              for name in scored.values[gains.CORRELATION]]  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def finite_in(frames: Sequence[pd.DataFrame], names: Sequence[str]) -> list[str]:
    """Return those of some numbers that every field has, of the fields that have any of them, in every table."""
    names = [name for name in names if all(name in frame for frame in frames)]
    whole = [frame.loc[np.isfinite(frame[names].to_numpy(np.float64)).any(axis=1), names] for frame in frames]
    return [name for name in names if all(np.isfinite(frame[name].to_numpy(np.float64)).all() for frame in whole)]


def numbers_of(frames: Sequence[pd.DataFrame], space: Space, kept: Sequence[str] | None, where: str) -> list[str]:
    """Return the selected numbers that every field with cells has in every table; raise ValueError where there is none."""
    module = import_module(space.profiler)
    found = finite_in(frames, kept or module.numbers_of(list(frames[0].columns), space))
    if not found:
        raise ValueError(
            f"{where}: no number of the space {space.name} is finite in every field with cells; score it in another space"
        )
    return found


@dataclass(frozen=True)
class Asked:
    """What is asked of one plate: arguments of `plate_of` and `said_of`, but for molecules."""

    plate: str
    painted: Fields
    real: Fields
    training: dict[str, Fields]
    tested: pd.DataFrame
    held_out: pd.DataFrame
    by: str
    where: str

    def by_way_of(self, function: Callable, molecules: bool):
        """Call `plate_of` or `said_of`."""
        sides = self.plate, self.painted, self.real, self.training, self.tested, self.held_out
        return function(*sides, by=self.by, molecules=molecules, where=self.where)


def asked_of(
    args: argparse.Namespace, tables: dict[Path, pd.DataFrame], names: Sequence[str]
) -> tuple[list[Asked], Fields, list[str]]:
    """Return what is asked of each plate in some numbers, the real training fields, and the numbers that vary there."""
    fields, where = {path: fields_of(frame, names) for path, frame in tables.items()}, f"arm {args.arm}"
    shown = dict.fromkeys(name for plates in args.settings["training"].values() for name in plates)
    real = {name: fields[one_of(name, "real", args.real, args.space)] for name in dict.fromkeys([*args.plates, *shown])}
    trained = [real[name] for name in shown]
    spread = spread_of(trained)
    found = []
    for place, plate in enumerate(args.plates):
        path, held_out = one_of(plate, args.arm, args.painted, args.space), store.read_table(args.held_out[place])
        by, here = args.settings["by"][plate], f"{where}, plate {plate}"
        tested = treatments_tested(tables[path], held_out, plate, by)
        training = {name: scaled(real[name], spread) for name in args.settings["training"][plate]}
        sides = scaled(fields[path], spread), scaled(real[plate], spread)
        found.append(Asked(plate, *sides, training, tested, held_out, by, here))
    return found, scaled(joined(trained), spread), [name for name, own in zip(names, spread) if own > 0]


def score(args: argparse.Namespace) -> tuple[gains.Scored, pd.DataFrame]:
    """Read what a command line names, and score it; beside it the rows of the panel's correlations, where cells are measured."""
    space, where, molecules = SPACES[args.space], f"arm {args.arm}", args.settings["molecules"]
    module = import_module(space.profiler)
    tables = {path: module.read(path, space) for path in dict.fromkeys([*args.real, *args.painted])}
    kept = read_selection(args.selection[0]) if args.selection else None
    asked, training, varied = asked_of(args, tables, numbers_of(list(tables.values()), space, kept, where))
    if not varied:
        raise ValueError(
            f"{where}: no number of the space {space.name} varies over the real training fields; score it in another space"
        )
    scored = gathered([each.by_way_of(plate_of, molecules) for each in asked], training.values, where)
    return scored, correlations_of(args, {path: panel.with_field_numbers(frame) for path, frame in tables.items()})


def correlations_of(args: argparse.Namespace, tables: dict[Path, pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of Mol2Image's five kinds of numbers, those that the tables have."""
    frames = list(tables.values())
    found = []
    for kinds in panel.kinds_apart(frames[0]):
        names = finite_in(frames, [name for own in kinds.values() for name in own])
        asked, _, varied = asked_of(args, tables, names)
        if varied:
            said = [each.by_way_of(said_of, args.settings["molecules"]) for each in asked]
            found.append(panel.correlations(said, kinds, varied))
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=gains.COLUMNS)


def main(argv: Sequence[str] | None = None) -> None:
    """Score treatments painted from conditions alone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    keys = "training {plate: its training plates}, by {plate: how its fold holds out}, molecules (whether they stand beside)"
    parser.add_argument("--settings", type=json.loads, required=True, help=f"JSON: {keys}")
    parser.add_argument("--space", choices=list(SPACES), required=True)
    parser.add_argument("--arm", required=True)
    parser.add_argument("--plates", nargs="+", required=True, help="test plates")
    parser.add_argument("--painted", type=Path, nargs="+", required=True, help="the arm's tables, one a plate")
    parser.add_argument(
        "--real", type=Path, nargs="+", required=True, help="real tables of these and their training plates"
    )
    parser.add_argument("--held-out", type=Path, nargs="+", required=True, help="what each plate's fold holds out")
    parser.add_argument(
        "--selection", type=Path, nargs="*", default=[], help="the selected numbers, where there are some"
    )
    parser.add_argument("--table", type=Path, required=True, help="to write: a row a split, baseline and metric")
    parser.add_argument("--treatments", type=Path, required=True, help="to write: a row a treatment and baseline")
    args = parser.parse_args(argv)
    engine = store.one_engine([*args.painted, *args.real])
    scored, further = score(args)
    summary = gains.summary(scored)
    store.write_table(
        store.as_text(pd.concat([summary, further], ignore_index=True) if len(further) else summary), args.table
    )
    store.write_table(store.as_text(by_treatment(scored)), args.treatments)
    log.info(
        "%d treatments on %d plates, measured by %s",
        len(scored.tested),
        len(args.plates),
        engine or "what the space is made by",
    )


if __name__ == "__main__":
    run(main)
