"""Compounds in dose series: which dose each well holds, and the Hill curve of each compound.

Effect at dose c: top * c^h / (c^h + half^h) (Hill 1910), with the half-effect dose `half` and the slope h. A toxic compound
kills on a second, steeper curve, which takes the phenotype away as it rises: what is measured is not monotone.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from brightpaint.base.seeds import seed_of
from brightpaint.study import simulation
from brightpaint.study.annotations import treatment_name

HILL_RANGE = (0.8, 2.5)
TOXIC_HILL = 4.0
# Where half-effects lie on the log range of the tested doses: 0 the lowest, 1 the top.
HALF_AT, HALF_AT_TOXIC, DEATH_AT = (0.15, 0.85), (0.1, 0.5), (0.75, 0.95)
BEYOND = (2.0, 8.0)  # times the top dose: half-effects of censored compounds
# Scores of full toxicity: an eighth of the cells is left, many of them dead and the rest shrunken.
TOXIC = {"cell_number": -8.0, "cell_area": -4.0, "nuclear_size": -4.0, "mito_potential": -3.0}
# What a well of DMSO has in the columns of a dose series.
DMSO = {"Metadata_dose": np.nan, "Metadata_treatment": "DMSO", "kind": "", "half_um": np.nan, "hill": np.nan,
        "toxic_half_um": np.nan, "censored": 0, "top_effect": 0.0, "effect": 0.0, "toxicity": 0.0}  # fmt: skip
# Platemaps hold the same dose with different last digits: 9.99999999999999999, 3.33333333333076923, 19.9991253536430714.
RELATIVE_NOISE = (0.0, 1e-12, 4e-5)


def hill(dose: np.ndarray | float, half: np.ndarray | float, slope: np.ndarray | float) -> np.ndarray:
    """Return the share of the top effect, 0 to 1; NaN where there is no half-effect dose."""
    return 1 / (1 + (np.asarray(half, float) / dose) ** slope)


def deal(simulate: dict, rng: np.random.Generator) -> pd.DataFrame:
    """Deal compounds and doses to wells.

    Parameters
    ----------
    simulate : rows, columns, dmso_share, doses (um, wells, layout)

    Returns
    -------
    one row a treated well: place (number of the well, row by row), compound (number from 0), Metadata_dose (micromolar)
    """
    doses, count = simulation.doses_um(simulate["doses"]), simulation.series_that_fit(simulate)
    along = simulate["doses"]["layout"] == "columns"
    places, compounds, levels = (_along_columns if along else _balanced)(simulate, count, len(doses), rng)
    return pd.DataFrame({"place": places, "compound": compounds, "Metadata_dose": np.array(doses)[levels]})


def _balanced(simulate: dict, count: int, n_doses: int, rng) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spread doses and DMSO evenly over the plate: down the columns, every few wells hold each dose once."""
    rows, columns, wells = simulate["rows"], simulate["columns"], simulate["doses"]["wells"]
    down = np.arange(rows * columns).reshape(rows, columns).T.ravel()
    n_dmso = len(down) - count * n_doses * wells
    dmso = [rng.choice(stretch) for stretch in np.array_split(down, n_dmso)] if n_dmso else []
    places = down[~np.isin(down, dmso)]
    levels = np.concatenate([rng.permutation(n_doses) for _ in range(count * wells)])
    compounds = np.empty(len(levels), int)
    for level in range(n_doses):
        compounds[levels == level] = rng.permutation(np.repeat(np.arange(count), wells))
    return places, compounds, levels


def _along_columns(simulate: dict, count: int, n_doses: int, rng) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lay each compound's series along a row, top dose first; DMSO in the first rows and the columns left over."""
    rows, columns, wells = simulate["rows"], simulate["columns"], simulate["doses"]["wells"]
    width, first = n_doses * wells, simulation.dmso_rows(simulate)
    used = columns - columns % width
    places = np.arange(rows * columns).reshape(rows, columns)[first:, :used].ravel()
    compounds = np.repeat(rng.permutation(count), width)
    levels = np.tile(np.repeat(np.arange(n_doses)[::-1], wells), count)
    return places, compounds, levels


def draw_curves(compounds: pd.DataFrame, doses: dict, *, seed: int) -> pd.DataFrame:
    """Draw each compound's curve, from the seed and the order of the compounds.

    Parameters
    ----------
    compounds : one row a compound, with `active` (0/1)
    doses : the option, with toxic_share and censored_share of the active ones

    Returns
    -------
    kind (active, inert, toxic), half_um, hill, toxic_half_um (NaN where there is none), censored (0/1), a row a compound
    """
    rng = np.random.default_rng([seed, seed_of("curves")])
    um = np.log(simulation.doses_um(doses))
    rows = [
        {"kind": "inert", "half_um": np.nan, "hill": np.nan, "toxic_half_um": np.nan, "censored": 0}
        for _ in compounds.index
    ]
    active = rng.permutation(np.flatnonzero(compounds["active"]))
    toxic = round(doses["toxic_share"] * len(active))
    censored = min(round(doses["censored_share"] * len(active)), len(active) - toxic)
    for turn, number in enumerate(active):
        slope, at, death, times = (
            rng.uniform(*HILL_RANGE),
            rng.uniform(),
            rng.uniform(*DEATH_AT),
            rng.uniform(*np.log(BEYOND)),
        )
        kills, beyond = turn < toxic, toxic <= turn < toxic + censored
        low, high = HALF_AT_TOXIC if kills else HALF_AT
        half = um[-1] + times if beyond else um[0] + (low + (high - low) * at) * (um[-1] - um[0])
        rows[number].update(kind="toxic" if kills else "active", hill=slope, half_um=np.exp(half), censored=int(beyond))
        if kills:
            rows[number]["toxic_half_um"] = np.exp(um[0] + death * (um[-1] - um[0]))
    return pd.DataFrame(rows, index=compounds.index).round({"half_um": 6, "hill": 4, "toxic_half_um": 6})


def at_doses(wells: pd.DataFrame, parameters: tuple[str, ...]) -> pd.DataFrame:
    """Return treated wells with what their dose leaves of the compound's effect.

    Parameters
    ----------
    wells : Metadata_perturbation, Metadata_dose, the curve (`draw_curves`), and `effect_<parameter>` of the top effect

    Returns
    -------
    the same rows; `effect_<parameter>` is the well's own; Metadata_treatment, top_effect (length of the top effect, in
    scores), effect (the well's share of it) and toxicity (0 to 1) are added
    """
    columns, dose = [f"effect_{name}" for name in parameters], wells["Metadata_dose"].to_numpy()
    share = np.nan_to_num(hill(dose, wells["half_um"], wells["hill"]))
    toxicity = np.nan_to_num(hill(dose, wells["toxic_half_um"], TOXIC_HILL))
    top = wells[columns].to_numpy()
    left = share * (1 - toxicity)
    death = np.array([TOXIC.get(name, 0.0) for name in parameters])
    own = np.round(left[:, None] * top + toxicity[:, None] * death, 6)
    treatment = list(map(treatment_name, wells["Metadata_perturbation"], dose))
    length = np.linalg.norm(top, axis=1)
    return wells.assign(
        **dict(zip(columns, own.T)), Metadata_treatment=treatment, top_effect=length.round(6),
        effect=(left * length).round(6), toxicity=toxicity.round(6),
    )  # fmt: skip


def written_doses(wells: pd.DataFrame) -> list[str]:
    """Return the text of each well's dose as a platemap has it: true to three digits, the last ones a compound's own."""
    texts = []
    for name, dose in zip(wells["Metadata_perturbation"], wells["Metadata_dose"]):
        rng = np.random.default_rng([seed_of("dose", name)])
        noisy = dose * (1 + rng.choice(RELATIVE_NOISE) * rng.uniform(-1, 1))
        same = f"{noisy:.3g}" == f"{dose:.3g}"
        texts.append("" if np.isnan(dose) else f"{noisy if same else dose:.18g}")
    return texts
