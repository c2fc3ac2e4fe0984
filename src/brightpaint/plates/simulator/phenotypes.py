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


def draw_targets(count: int, *, seed: int, inactive_share: float, invisible_share: float) -> pd.DataFrame:
    """Draw what `count` targets do.

    Returns
    -------
    one row a target: target, active, visible (0/1), direction ("" for an inactive one; else main and second
    direction with their signs, e.g. `er_intensity+ chromatin-`), and one score a parameter, EFFECT in the
    main direction. Main directions are dealt in turn, so that they are as distinct as can be; a second one
    and small side effects make each target its own. A target that is invisible has invisible effects only.
    """
    rng = np.random.default_rng([seed, seed_of("targets")])
    n_active = count - round(inactive_share * count)
    n_invisible = round(invisible_share * n_active)
    order = rng.permutation(count)
    dealt = {True: rng.permutation(VISIBLE), False: rng.permutation(INVISIBLE)}
    rows = [
        {"target": name, "active": 0, "visible": 0, "direction": "", **dict.fromkeys(PARAMETERS, 0.0)}
        for name in targets(count)
    ]
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


def draw_layout(
    rows: int, columns: int, *, seed: int, layout: str, dmso_share: float, inactive_share: float,
    invisible_share: float, strength: float,
) -> pd.DataFrame:  # fmt: skip
    """Draw which well holds which compound, from the seed alone: the same on every plate of a study.

    Parameters
    ----------
    layout : `standard`, or `dmso` for DMSO in every well
    dmso_share : share of DMSO wells; one more where the treated wells would be odd in number
    strength : factor of every compound's score

    Returns
    -------
    one row a well, row by row: Metadata_Well, Metadata_perturbation, Metadata_target, Metadata_control_type,
    active, visible, direction, strength, and `effect_<parameter>` scores
    """
    wells = well_names(rows, columns)
    n_targets = 0 if layout == "dmso" else (len(wells) - round(dmso_share * len(wells))) // 2
    if n_targets > LIBRARY_TARGETS:
        raise ValueError(
            f"simulate: {n_targets} targets, but the library has {LIBRARY_TARGETS}; make the plate smaller"
        )
    rng = np.random.default_rng([seed, seed_of("layout")])
    places = rng.permutation(len(wells))
    drawn = draw_targets(n_targets, seed=seed, inactive_share=inactive_share, invisible_share=invisible_share)
    blank = {"Metadata_perturbation": "DMSO", "Metadata_target": "", "Metadata_control_type": "negcon",
             "active": 0, "visible": 0, "direction": "", "strength": 0.0,
             **{f"effect_{name}": 0.0 for name in PARAMETERS}}  # fmt: skip
    table = [{"Metadata_Well": well, **blank} for well in wells]
    for number, (_, target) in enumerate(drawn.iterrows()):
        for which, compound in enumerate(compounds_of(target["target"])):
            size = rng.uniform(*COMPOUND_SPREAD) * strength * target["active"]
            table[places[2 * number + which]].update(
                {"Metadata_perturbation": compound, "Metadata_target": target["target"], "Metadata_control_type": "",
                 "active": target["active"], "visible": target["visible"], "direction": target["direction"],
                 "strength": round(float(size), 6),
                 **{f"effect_{name}": round(float(size * target[name]), 6) for name in PARAMETERS}}
            )  # fmt: skip
    return pd.DataFrame(table)


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
