"""Find the active perturbations: those whose real cells differ from DMSO's.

The paper (Cross-Zamirski et al. 2023, section 4.4 and Fig. 4) scores each target by the cosine similarity of its wells
to DMSO wells in the leading principal components and cuts the scores into three by one-dimensional k-means: active,
partially active, inactive. Two things are added.

- k-means finds three clusters in noise too, so a null stands beside it. The wells of a target and the DMSO wells of
  the same plate change places at random; the shift of its perturbations' mean profiles from DMSO's must be larger
  than that of such shams (Benjamini-Hochberg over targets). Testing targets, not single perturbations, gives power
  with few DMSO wells: two wells among six DMSO wells on each of two plates can fall in 784 ways, one well in 49.
- A perturbation's replicates are averaged before they are compared, so that their noise does not bury the direction;
  the paper's own score, the mean over pairs of wells, stands beside as `score_paper`.

A target is active if it lies outside the cluster nearest to DMSO and passes the null. Whole targets are kept or
dropped; a perturbation with several targets is active if any of them is; one without a target is a target of its own.
A list of targets (`active.targets`, for instance the paper's own 70) can stand in place of what was found.

With `unit: treatment` each treatment (a perturbation at one dose) is found or not by itself, for the highest dose says
nothing of the lowest. One with a single well has no replicates: its distance from DMSO stands against those of the DMSO
wells, each left out in turn (brightpaint.profiles.treatments).

Beside it stand Grit and mAP activity (brightpaint.profiles.agreement), and how far the ways agree.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Mapping, Sequence
from math import comb
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.features.median import read_medians
from brightpaint.profiles.agreement import activity_table, agreement, calls_of, grit_table
from brightpaint.profiles.cell_profiles import profiles
from brightpaint.profiles.clusters import principal_components, score_units, units_of
from brightpaint.profiles.likeness import perturbation_table
from brightpaint.profiles.select import read_selection
from brightpaint.profiles.similarity import target_sets
from brightpaint.profiles.treatments import by_name, described, own_names

FIRST = ["Metadata_perturbation", "Metadata_target", "Metadata_control_type", "score", "null_p", "cluster", "active"]
log = logging.getLogger(__name__)


def usable(wells: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Leave out wells without cells, then features that some remaining well lacks; say how many.

    Returns
    -------
    wells : the rows that hold cells
    features : the columns that are finite in all of them

    Raises
    ------
    ValueError
        where a plate has no DMSO well with cells, or no feature is left
    """
    features = [name for name in wells.columns if not name.startswith("Metadata_")]
    values = wells[features].to_numpy(dtype=np.float64)
    has_cells = np.isfinite(values).any(axis=1)
    finite = np.isfinite(values[has_cells]).all(axis=0)
    kept = [name for name, whole in zip(features, finite) if whole]
    lost = [name for name, whole in zip(features, finite) if not whole]
    log.info("wells: %d, without cells and left out: %d", len(wells), int((~has_cells).sum()))
    log.info("features: %d, missing in some well and left out: %d%s", len(features), len(lost),
             f" ({', '.join(lost[:5])}{', ...' if len(lost) > 5 else ''})" if lost else "")  # fmt: skip
    if not kept:
        raise ValueError(
            f"active: none of {len(features)} selected features is measured in all of {int(has_cells.sum())} wells; "
            "look at the cell counts in <results>/medians/real, then at cellprofiler.pipeline"
        )
    wells = wells[has_cells].reset_index(drop=True)
    for plate, rows in wells.groupby("Metadata_Plate"):
        if not (rows["Metadata_control_type"] == "negcon").any():
            raise ValueError(
                f"active: plate {plate} has no DMSO well with cells (control_type negcon); expected at least one. "
                "Actives are judged against DMSO: check the platemap, or set active.plates to plates that have DMSO"
            )
    return wells, kept


def find_active(
    plates: Sequence[pd.DataFrame], kept: Sequence[str], *, components: int, permutations: int, alpha: float,
    recipe: str = "paper", unit: str = "perturbation",
) -> pd.DataFrame:  # fmt: skip
    """Find the active perturbations of real plates.

    Parameters
    ----------
    plates : field medians of one plate each (docs/contracts.md)
    kept : the selected features
    components : principal components at most
    permutations : shams that a target is compared with; 0 leaves the null out
    alpha : false discovery rate over targets
    recipe : of the profiles
    unit : perturbation or treatment

    Returns
    -------
    see `judge` and `described`
    """
    plates = by_name(plates, unit)
    wells, features = known_wells(plates, kept, recipe)
    points = principal_components(wells[features].to_numpy(dtype=np.float64), components)
    medians, chosen = pd.concat(plates, ignore_index=True), {"permutations": permutations, "alpha": alpha}
    return described(judge(medians, wells, points, **chosen, unit=unit), medians, unit)


def known_wells(plates: Sequence[pd.DataFrame], kept: Sequence[str], recipe: str) -> tuple[pd.DataFrame, list[str]]:
    """Return the profiles of wells with cells whose perturbation is known, by plate and well, and their whole features."""
    wells, features = usable(profiles(list(plates), list(kept), recipe=recipe, reference=list(plates))[0])
    known = wells[wells["Metadata_perturbation"] != ""]
    log.info("wells of no known perturbation, left out: %d", len(wells) - len(known))
    log.info("%d wells, %d features", len(known), len(features))
    return known.sort_values(["Metadata_Plate", "Metadata_Well"], ignore_index=True), features


def judge(
    medians: pd.DataFrame, known: pd.DataFrame, points: np.ndarray, *, permutations: int, alpha: float,
    unit: str = "perturbation",
) -> pd.DataFrame:  # fmt: skip
    """Score, cluster and test the perturbations of wells in principal components.

    Parameters
    ----------
    medians : field medians of all plates
    known : (n rows) wells of known perturbations
    points : (n, D)
    unit : what the names are of: perturbations, found by target, or treatments, found one by one

    Returns
    -------
    frame with one row a perturbation: `perturbation_table` and, of its target, `score_units`; `found` and `active` are the
    same here. DMSO is of cluster "control"; a perturbation whose wells hold no cells is of cluster "no cells" and not active.
    """
    log.info("%d principal components", points.shape[1])
    table = perturbation_table(medians, known, points)
    control = table["Metadata_control_type"] == "negcon"
    table = table.assign(target_score=np.nan, shift=np.nan, null_shift=np.nan, null_p=np.nan, null_q=np.nan,
                         cluster=np.where(control, "control", "no cells"), active=0)  # fmt: skip
    tested = table[~control & (table["wells"] > 0)]
    units = units_of(tested, unit)
    if units:
        single = unit == "treatment"
        report_resolution(known, units, permutations=permutations, alpha=alpha, single=single)
        scored = score_units(points, known, units, permutations=permutations, alpha=alpha, single=single)
        for place, name in tested["Metadata_perturbation"].items():
            own = scored[[name in units[group] for group in scored.index]]
            best = own.sort_values(["active", "null_p", "target_score"], ascending=[False, True, True]).iloc[0]
            for column, value in best.items():
                table.at[place, column] = value
    log.info("tested: %d, active %ss: %d of %d", len(units), unit, table["active"].sum(), len(tested))
    return table.assign(found=table["active"])


def choose(table: pd.DataFrame, targets: Sequence[str]) -> pd.DataFrame:
    """Take the perturbations of listed targets for the active ones, whatever was found.

    Raises
    ------
    ValueError
        naming listed targets where no perturbation has any of them
    """
    named = [bool(group & set(targets)) for group in target_sets(table["Metadata_target"])]
    absent = sorted(set(targets) - set().union(*target_sets(table["Metadata_target"])))
    if not any(named):
        raise ValueError(f"active.targets: none of {len(targets)} listed targets ({', '.join(absent[:5])}, ...) is on these "
                         "plates; correct the file, or leave the key out")  # fmt: skip
    treated = (table["Metadata_control_type"] != "negcon") & (table["wells"] > 0)
    table = table.assign(active=(np.array(named) & treated).astype(int))
    log.info("active by the list of %d targets: %d perturbations; targets that are not on these plates: %d (%s)",
             len(targets), table["active"].sum(), len(absent), ", ".join(absent) or "none")  # fmt: skip
    return table


def well_table(known: pd.DataFrame, points: np.ndarray, table: pd.DataFrame) -> pd.DataFrame:
    """Return the wells as the figure shows them: keys, annotations, cluster, active, and float32 components PC001, ..."""
    metadata = known[[name for name in known.columns if name.startswith("Metadata_")]]
    named = table[["Metadata_perturbation", "cluster", "active"]]
    described = metadata.merge(named, on="Metadata_perturbation", how="left", validate="many_to_one")
    names = [f"PC{number:03d}" for number in range(1, points.shape[1] + 1)]
    return pd.concat([described, pd.DataFrame(points.astype(np.float32), columns=names)], axis=1)


def report_resolution(wells: pd.DataFrame, units: Mapping, *, permutations: int, alpha: float, single: bool) -> None:
    """Say so where there are too few DMSO wells for any target to pass the null; of treatments of one well, how many."""
    if not permutations:
        log.info("no null (active.permutations is 0): clusters alone decide, and three are found in noise too")
        return
    dmso = wells[wells["Metadata_control_type"] == "negcon"].groupby("Metadata_Plate").size()
    ways, alone = [], 0
    for members in units.values():
        counts = wells[wells["Metadata_perturbation"].isin(members)].groupby("Metadata_Plate").size()
        alone += int(single and counts.sum() == 1)
        ways.append(np.prod([float(comb(int(n + dmso[plate]), int(n))) for plate, n in counts.items()]))
    if alone:
        log.info("%d of one well, against DMSO wells left out: smallest p-value %.2g", alone, 1 / (1 + dmso.max()))
    least = max(1 / max(ways), 1 / (1 + permutations))
    log.info("smallest p-value that the null can give: %.2g", least)
    if least > alpha:
        advice = "add DMSO wells, replicate plates or permutations"
        log.info("too few DMSO wells: no target can pass at alpha %.3g; %s", alpha, advice)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--settings",
        type=json.loads,
        required=True,
        help="JSON: components, permutations, alpha, targets, recipe, unit",
    )
    parser.add_argument("--medians", type=Path, nargs="*", required=True, help="field medians of the real plates")
    parser.add_argument("--selection", type=Path, required=True)
    parser.add_argument("--active", type=Path, required=True, help="the table to write")
    parser.add_argument("--wells", type=Path, help="wells in principal components, to write")
    parser.add_argument("--agreement", type=Path, help="how far the ways agree, to write")
    args = parser.parse_args(argv)
    if not args.medians:
        raise ValueError(
            "active: no real plate to find actives on: every study plate is tested; set active.plates: all"
        )
    store.one_engine(args.medians)
    settings = args.settings
    unit = settings.get("unit", "perturbation")
    kept = read_selection(args.selection)
    plates = by_name([read_medians(path) for path in args.medians], unit)
    wells, features = known_wells(plates, kept, settings.get("recipe", "paper"))
    values, chosen = (
        wells[features].to_numpy(dtype=np.float64),
        {key: settings[key] for key in ("permutations", "alpha")},
    )
    points = principal_components(values, settings["components"])
    medians = pd.concat(plates, ignore_index=True)
    found = judge(medians, wells, points, **chosen, unit=unit)
    if settings.get("targets"):
        found = choose(found, settings["targets"])
    for more in (grit_table(values, wells, alpha=chosen["alpha"]), activity_table(points, wells, **chosen)):
        found = found.merge(more.reset_index(), on="Metadata_perturbation", how="left", validate="one_to_one")
    shown = described(found, medians, unit)
    names = [*FIRST, *(name for name in shown.columns if name not in FIRST)]
    store.write_table(store.as_text(shown[names]), args.active)
    if args.wells:
        store.write_table(own_names(well_table(wells, points, found)), args.wells)
    if args.agreement:
        store.write_table(store.as_text(agreement(calls_of(found, chosen["alpha"]))), args.agreement)


if __name__ == "__main__":
    run(main)
