"""What the compounds of a simulated plate do: directions of phenotype, plate layout, states of wells.

A *state* is a vector of phenotype scores, one a parameter of the cells; an untreated cell's is 0 on average
and a compound of strength 1 moves it by EFFECT in its main direction. Scores of plate, well, compound and
cell add up; `cells.py` turns them into sizes and intensities. Everything a brightfield plane can see is
drawn from the visible parameters alone, so that an invisible direction leaves brightfield unchanged.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from brightpaint.base.seeds import seed_of
from brightpaint.plates.simulator import dosing, molecules

# Parameters that shape the refracting object, and so show in brightfield.
VISIBLE = ("cell_number", "nuclear_size", "nucleolar_size", "cell_area", "elongation", "mito_fragments", "vacuoles")
# Parameters of stain alone.
INVISIBLE = ("er_intensity", "golgi_spread", "actin_fibres", "mito_potential", "nucleolar_rna", "chromatin", "rna")
PARAMETERS = VISIBLE + INVISIBLE

# Spread of the scores that no compound causes. A cell's own variation is drawn in cells.py.
PLATE_SPREAD = 0.15
WELL_SPREAD = 0.12
# Main directions that go one way only: fields are near confluence, and untreated cells have little of the others.
ONE_SIDED = {"cell_number": -1, "mito_fragments": 1, "vacuoles": 1}
EFFECT = 4.0  # score of a compound of strength 1 in its main direction
SECOND_SHARE = 0.5  # size of a target's second direction, relative to its main one
SIDE_SHARE = 0.35  # s.d. of its effects on every other parameter, relative to its main one
COMPOUND_SPREAD = (0.75, 1.25)  # strengths of the two compounds of a pair

# What does nothing: an inactive target, a molecule that has no substructure, a well of DMSO.
IDLE = {"active": 0, "visible": 0, "direction": "", **dict.fromkeys(PARAMETERS, 0.0)}
BLANK = {"Metadata_perturbation": "DMSO", "Metadata_target": "", "Metadata_control_type": "negcon",
         "active": 0, "visible": 0, "direction": "", "strength": 0.0, **{f"effect_{name}": 0.0 for name in PARAMETERS}}  # fmt: skip

# The metadata file lists a fixed library, so that every plate of every study writes the same bytes.
LIBRARY_TARGETS = 192


def targets(count: int) -> list[str]:
    """Return the names of the first `count` targets."""
    return [f"SIMT{number:03d}" for number in range(1, count + 1)]


def compounds_of(target: str) -> tuple[str, str]:
    """Return the two compounds that share `target`."""
    return f"SIM-{target[4:]}-A", f"SIM-{target[4:]}-B"


def well_names(rows: int, columns: int) -> list[str]:
    """Return well names row by row: A01, A02, ..."""
    return [f"{chr(ord('A') + row)}{column:02d}" for row in range(rows) for column in range(1, columns + 1)]


def compound_library() -> pd.DataFrame:
    """Return the metadata of every simulated compound, in the columns of JUMP-Target's compound table."""
    rows = [
        {"broad_sample": compound, "pert_iname": compound, "target": target, "pert_type": "trt", "control_type": ""}
        for target in targets(LIBRARY_TARGETS)
        for compound in compounds_of(target)
    ]
    rows.append({"broad_sample": "", "pert_iname": "DMSO", "target": "", "pert_type": "control"})
    return pd.DataFrame(rows).fillna({"control_type": "negcon"})


def draw_targets(names: list[str], *, seed: int, inactive_share: float, invisible_share: float) -> pd.DataFrame:
    """Draw what these targets do.

    Returns
    -------
    one row a target: target, active, visible (0/1), direction ("" for an inactive one; else main and second
    direction with their signs, e.g. `er_intensity+ chromatin-`), and one score a parameter, EFFECT in the
    main direction. Main directions are dealt in turn, so that they are as distinct as can be; a second one
    and small side effects make each target its own. A target that is invisible has invisible effects only.
    """
    rng, count = np.random.default_rng([seed, seed_of("targets")]), len(names)
    n_active = count - round(inactive_share * count)
    n_invisible = round(invisible_share * n_active)
    order = rng.permutation(count)
    dealt = {True: rng.permutation(VISIBLE), False: rng.permutation(INVISIBLE)}
    rows = [{"target": name, **IDLE} for name in names]
    for place, index in enumerate(order[:n_active]):
        visible = place >= n_invisible
        family, turn = dealt[visible], place - n_invisible if visible else place
        main = family[turn % len(family)]
        second = rng.choice([name for name in family if name != main])
        signs = rng.choice([-1, 1], 2)
        signs[0] = ONE_SIDED.get(main, signs[0])
        touched = PARAMETERS if visible else INVISIBLE
        rows[index].update(zip(touched, map(float, rng.normal(0, SIDE_SHARE * EFFECT, len(touched)))))
        words = [f"{name}{'+' if sign > 0 else '-'}" for name, sign in zip((main, second), signs)]
        rows[index].update(active=1, visible=int(visible), direction=" ".join(words))
        rows[index][str(main)] = EFFECT * float(signs[0])
        rows[index][str(second)] = SECOND_SHARE * EFFECT * float(signs[1])
    return pd.DataFrame(rows)


def draw_compounds(count: int, rng: np.random.Generator, simulate: dict) -> pd.DataFrame:
    """Draw `count` compounds, in pairs that share a target, or real molecules that share substructures.

    Returns
    -------
    one row a compound (fewer than `count` where the library of molecules ends): Metadata_perturbation, Metadata_target,
    Metadata_control_type, active, visible, direction, strength, `effect_<parameter>` scores; of molecules Metadata_smiles
    and rule too
    """
    if simulate.get("molecules"):
        members = molecules.choose(count, seed=simulate["seed"])
    elif count > 2 * LIBRARY_TARGETS:
        raise ValueError(
            f"simulate: {-(-count // 2)} targets, but the library has {LIBRARY_TARGETS}; make the plate smaller"
        )
    else:
        pairs = [(name, target) for target in targets(-(-count // 2)) for name in compounds_of(target)][:count]
        members = pd.DataFrame(pairs, columns=["Metadata_perturbation", "Metadata_target"])
    names = sorted(set(members["Metadata_target"]) - {""})
    shares = {key: simulate[key] for key in ("inactive_share", "invisible_share")}
    known = {row["target"]: row for row in draw_targets(names, seed=simulate["seed"], **shares).to_dict("records")}
    rows = []
    for member in members.to_dict("records"):
        target = known.get(member["Metadata_target"], IDLE)
        size = rng.uniform(*COMPOUND_SPREAD) * simulate["strength"] * target["active"]
        what = {key: target[key] for key in ("active", "visible", "direction")}
        effects = {f"effect_{name}": round(float(size * target[name]), 6) for name in PARAMETERS}
        rows.append({**member, "Metadata_control_type": "", **what, "strength": round(float(size), 6), **effects})
    return pd.DataFrame(rows)


def draw_layout(simulate: dict, *, layout: str) -> pd.DataFrame:
    """Draw which well holds which compound, from the seed alone: the same on every plate of a study.

    Parameters
    ----------
    simulate : the config's section: seed, rows, columns, dmso_share (share of DMSO wells; one more where the treated wells
        would be odd in number), inactive_share, invisible_share, strength (factor of every compound's score), and, if given,
        `doses` and `molecules`
    layout : `standard`, or `dmso` for DMSO in every well

    Returns
    -------
    one row a well, row by row: Metadata_Well, Metadata_perturbation, Metadata_target, Metadata_control_type,
    active, visible, direction, strength, and `effect_<parameter>` scores; with the options what `molecules.DMSO` and
    `dosing.DMSO` name
    """
    doses, rng = simulate.get("doses"), np.random.default_rng([simulate["seed"], seed_of("layout")])
    wells = well_names(simulate["rows"], simulate["columns"])
    dealt = dosing.deal(simulate, rng) if doses else deal_once(simulate, rng)
    compounds = draw_compounds(dealt["compound"].max() + 1 if len(dealt) else 0, rng, simulate)
    if doses:
        compounds = compounds.join(dosing.draw_curves(compounds, doses, seed=simulate["seed"]))
    dealt = dealt[:0] if layout == "dmso" else dealt
    held = compounds.iloc[dealt["compound"].to_numpy() % max(1, len(compounds))].reset_index(drop=True)
    if doses:
        held = dosing.at_doses(held.assign(Metadata_dose=dealt["Metadata_dose"].to_numpy()), PARAMETERS)
    dmso = {**BLANK, **(molecules.DMSO if simulate.get("molecules") else {}), **(dosing.DMSO if doses else {})}
    table = [{"Metadata_Well": well, **dmso} for well in wells]
    for place, row in zip(dealt["place"], held.to_dict("records")):
        table[place].update(row)
    return pd.DataFrame(table)


def deal_once(simulate: dict, rng: np.random.Generator) -> pd.DataFrame:
    """Deal one compound to each treated well: `place` (number of the well) and `compound` (number from 0)."""
    wells = simulate["rows"] * simulate["columns"]
    treated = wells - round(simulate["dmso_share"] * wells)
    count = treated if simulate.get("molecules") else treated // 2 * 2
    return pd.DataFrame({"place": rng.permutation(wells)[:count], "compound": np.arange(count)})


def fail_wells(layout: pd.DataFrame, *, seed: int, barcode: str, failed_share: float) -> pd.DataFrame:
    """Return the layout with the column `failed` (0/1): treated wells of this plate whose effects are 0."""
    rng = np.random.default_rng([seed, seed_of("failed", barcode)])
    treated = np.flatnonzero(layout["Metadata_control_type"] != "negcon")
    failed = rng.permutation(treated)[: round(failed_share * len(treated))]
    table = layout.assign(failed=0)
    table.loc[failed, "failed"] = 1
    effects = [f"effect_{name}" for name in PARAMETERS]
    table.loc[failed, effects] = 0.0
    return table


def well_state(well: pd.Series, *, seed: int, barcode: str) -> dict[str, float]:
    """Return the mean scores of a well's cells: its compound's effect, this plate's and this well's own spread."""
    plate = np.random.default_rng([seed, seed_of("plate", barcode)]).normal(0, PLATE_SPREAD, len(PARAMETERS))
    own = np.random.default_rng([seed, seed_of("well", barcode, well["Metadata_Well"])])
    scores = plate + own.normal(0, WELL_SPREAD, len(PARAMETERS))
    return {name: float(scores[index] + well[f"effect_{name}"]) for index, name in enumerate(PARAMETERS)}
