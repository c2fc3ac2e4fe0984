"""Answer, in a table at the head of the metrics page, which arm serves which purpose and what it betters.

For each purpose one measure decides, and the arm whose mean over the test plates is best is named; floors do not compete,
nor do arms that are shown the target where targets are asked for. It is then set beside chance, beside the look-up,
beside regression without diffusion (the same network, and pixel by pixel), where the study has it with noise of the
regression's own error, and beside real replicate plates. "Better" and "worse" are said only where the other's number lies
outside the arm's 95% interval on every test plate; where fields were paired, where the interval of the gain leaves 0 out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from brightpaint.report import pages
from brightpaint.scores.columns import BY_KEY, TARGET_METRICS
from brightpaint.study.spaces import APART


@dataclass(frozen=True)
class Purpose:
    """What a painted plate may be wanted for, in words, and the metric that decides."""

    words: str
    metric: str


PURPOSES = [
    Purpose("to look at: stains where they are", "pcc"),
    Purpose("to find nuclei", "nuclei_f1"),
    Purpose("to count cells", "cell_count_r"),
    Purpose("to measure cells: features distributed as real ones", "feature_distance"),
    Purpose("to profile compounds as real stains do", "cpcor"),
    Purpose("to find compounds that share a target", "map_target"),
    Purpose("to stand for the variety of real cells", "energy"),
]
ROLES = {"regression": "regression, same network", "pixel": "regression, pixel by pixel"}
NOISE = "noise"  # the role of regression with noise of its own error, what a generative arm must beat
NOISE_WORDS = "regression and its error's noise"
PAIRED = {
    "regression": "regression",
    NOISE: "floor",
}  # roles under which fields are paired, and their word in the metric's name
NOT_MEASURED, NONE_SUCH = "not measured", "\N{EN DASH}"


def side_by_side(own: pd.DataFrame, other: dict[str, float], better: int) -> str:
    """Say where an arm stands beside another number: above, below, or not told apart, plate by plate.

    Parameters
    ----------
    own : the arm's rows of one metric, one a plate, with `value`, `low`, `high`
    other : {plate: value}
    """
    said = []
    for _, row in own.iterrows():
        value = other.get(row["plate"], np.nan)
        if not np.isfinite(value):
            continue
        apart = value < row["low"] or value > row["high"]
        said.append(
            ("better than" if better * (row["value"] - value) > 0 else "worse than") if apart else "not told from"
        )
    return in_words(said, other)


def by_pairs(gains: pd.DataFrame, other: dict[str, float]) -> str:
    """Say the same of fields that were paired: `gains` are rows of how much the arm is better, one a plate."""
    words = {1: "better than", -1: "worse than", 0: "not told from"}
    said = [words[int(row["low"] > 0) - int(row["high"] < 0)] for _, row in gains.iterrows()]
    return in_words(said, {plate: other[plate] for plate in gains["plate"] if plate in other})


def in_words(said: Sequence[str], other: dict[str, float]) -> str:
    """Join what was said plate by plate, with the mean of the other's numbers."""
    if not said:
        return NOT_MEASURED
    number = f"{np.nanmean(list(other.values())):.3f}"
    if len(set(said)) == 1:
        return f"{said[0]} {number}"
    return (
        f"{', '.join(f'{word} on {said.count(word)}' for word in sorted(set(said)))} of {len(said)} plates ({number})"
    )


def beyond_chance(own: pd.DataFrame, better: int) -> str:
    """Say whether an arm betters what chance reaches one time in twenty, on each plate."""
    bounded = own[np.isfinite(own["null_bound"])]
    if bounded.empty:
        return "no chance level"
    passed = (better * (bounded["value"] - bounded["null_bound"]) > 0).sum()
    bound = f"{bounded['null_bound'].mean():.3f}"
    if passed == len(bounded):
        return f"better than {bound}"
    return f"within chance ({bound})" if passed == 0 else f"better on {passed} of {len(bounded)} plates ({bound})"


def known(verdict: str) -> str:
    """Return a dash where there is no such number at all: a look-up has no images, a replicate plate other wells."""
    return NONE_SUCH if verdict == NOT_MEASURED else verdict


def values_of(rows: pd.DataFrame, arm: str | None) -> dict[str, float]:
    """Return {plate: value} of an arm; empty without it."""
    part = rows[rows["arm"] == arm]
    return dict(zip(part["plate"], part["value"]))


def answer(rows: pd.DataFrame, purpose: Purpose, roles: dict[str, str], leaking: Sequence[str]) -> dict | None:
    """Answer one purpose; None where no arm was scored by its measure.

    Parameters
    ----------
    rows : the metrics of all perturbations, means over channels
    roles : {arm: network, regression or pixel}; others do not compete
    leaking : arms that are shown the target in sampling
    """
    column, every = BY_KEY[purpose.metric], rows
    rows = rows[(rows["metric"] == column.key) & np.isfinite(rows["value"])]
    told = leaking if column.key in TARGET_METRICS else ()
    competing = [arm for arm, role in roles.items() if role in ("network", "regression") and arm not in told]
    means = rows[rows["arm"].isin(competing)].groupby("arm")["value"].mean()
    if means.empty:
        return None
    best = means.idxmax() if column.better > 0 else means.idxmin()
    own = rows[rows["arm"] == best]
    interval = f" [{own['low'].iloc[0]:.3f}, {own['high'].iloc[0]:.3f}]" if len(own) == 1 else f", {len(own)} plates"
    found = {
        "purpose": purpose.words, "measure": column.title + (" (less is better)" if column.better < 0 else ""),
        "best arm": best, "reaches": f"{means[best]:.3f}{interval}",
        "chance": beyond_chance(own, column.better),
        "look-up, no image": known(side_by_side(own, values_of(rows, "lookup"), column.better)),
    }  # fmt: skip
    beside = {**ROLES, **({NOISE: NOISE_WORDS} if NOISE in roles.values() else {})}
    for role, words in beside.items():
        arm = next((name for name, its in roles.items() if its == role), None)
        gains = every[(every["arm"] == best) & (every["metric"] == f"{column.key}_gain_{PAIRED.get(role)}")]
        paired = by_pairs(gains, values_of(rows, arm)) if len(gains) else None
        found[words] = (
            "is the best arm" if arm == best else paired or side_by_side(own, values_of(rows, arm), column.better)
        )
    replicates = values_of(rows, "real")
    if column.key == "feature_distance":  # its chance column holds what other real plates are apart
        replicates = dict(zip(own["plate"], own["null"]))
    found["real replicate plates"] = known(side_by_side(own, replicates, column.better))
    return found


def answers(frame: pd.DataFrame, roles: dict[str, str], leaking: Sequence[str]) -> pd.DataFrame:
    """Return one row a purpose that can be answered: the best arm and where it stands.

    `frame` holds the metrics of all arms.
    """
    rows = frame[(frame["subset"] == "full") & (frame["channel"] == "all") & ~frame["space"].isin(APART)]
    found = [answer(rows, purpose, roles, leaking) for purpose in PURPOSES]
    return pd.DataFrame([each for each in found if each])


def table(frame: pd.DataFrame, roles: dict[str, str], leaking: Sequence[str]) -> pages.Table:
    """Return the page's first table; without rows where nothing can be answered."""
    found = answers(frame, roles, leaking)
    rows = [pages.Row([pages.Cell(text, kind=kind_of(text)) for text in row]) for row in found.itertuples(index=False)]
    return pages.Table([pages.Cell(name) for name in found.columns], rows, kind="words")


def kind_of(text: str) -> str:
    """Mark a verdict that speaks against the arm."""
    return "against" if text.startswith(("worse", "within chance", "not told")) else ""
