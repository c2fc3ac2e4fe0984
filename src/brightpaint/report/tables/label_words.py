"""Say in plain sentences, with the study's own numbers, what a label adds over no label and over looking it up.

A label can replay what its perturbation looked like on the training plates. So a label arm is set beside the arm that
was shown none, beside the look-up, which sees no image at all, and beside wrong labels; on simulated plates also beside
wells whose compound failed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

METRICS = {"map_target": "target mAP", "cpcor": "CPcor"}
ROLES = {"labelled": "shown its perturbation's label", "guided": "guided by a classifier of perturbations"}


def mean_values(frame: pd.DataFrame, arm: str) -> dict[str, float]:
    """Return {metric: mean over plates} of one arm, all perturbations."""
    part = frame[(frame["arm"] == arm) & (frame["subset"] == "full") & (frame["channel"] == "all")]
    return part.groupby("metric")["value"].mean().dropna().to_dict()


def numbers(values: dict[str, float], metrics: Sequence[str]) -> str:
    """Write an arm's metrics: `0.612 (target mAP) and 0.431 (CPcor)`."""
    return " and ".join(f"{values[metric]:.3f} ({METRICS[metric]})" for metric in metrics)


def difference(arm: dict[str, float], other: dict[str, float], metrics: Sequence[str]) -> str:
    """Write the differences of two arms: `+0.361 target mAP and -0.020 CPcor`."""
    return " and ".join(f"{arm[metric] - other[metric]:+.3f} {METRICS[metric]}" for metric in metrics)


def share(frame: pd.DataFrame, arm: str, metric: str) -> tuple[float, int] | None:
    """Return an arm's pooled share over plates and of how many wells it is, or None where there are none."""
    part = frame[(frame["arm"] == arm) & (frame["metric"] == metric) & (frame["n"] > 0)]
    wells = int(part["n"].sum())
    return (float((part["value"] * part["n"]).sum() / wells), wells) if wells else None


def failed_sentence(frame: pd.DataFrame, arm: str, references: dict[str, str]) -> str:
    """Say how often an arm paints the phenotype of a compound that failed; empty where no truth is known.

    Parameters
    ----------
    references : {arm: its name in the sentence} to stand beside
    """
    own, worked = share(frame, arm, "failed_painted"), share(frame, arm, "working_painted")
    if own is None:
        return ""
    beside = [(name, share(frame, other, "failed_painted")) for other, name in references.items()]
    beside = ", ".join(f"{name} {found[0]:.0%}" for name, found in beside if found)
    here = f", and in {worked[0]:.0%} of the {worked[1]} wells whose compound worked" if worked else ""
    return (
        f" In {own[0]:.0%} of the {own[1]} wells whose compound had failed it paints the phenotype that is not there"
        f"{f' ({beside})' if beside else ''}{here}."
    )


def verdict(arm: dict, plain: dict, looked_up: dict, metrics: Sequence[str]) -> str:
    """Say whether what the label adds goes beyond what looking it up gives."""
    added, beyond = difference(arm, plain, metrics), difference(arm, looked_up, metrics)
    signs = np.sign([round(arm[metric] - looked_up[metric], 3) for metric in metrics])
    if (signs > 0).all():
        judged = "more than the look-up knows"
    elif (signs <= 0).all():
        judged = "no more than looking the perturbation up gives without any image"
    else:
        judged = "more than the look-up by one measure and not by the other"
    return f" The label adds {added}; against the look-up it stands at {beyond}: {judged}."


def sentences(frame: pd.DataFrame, roles: dict[str, str]) -> list[str]:
    """Return one paragraph for each arm that is shown a perturbation's label or guided by it; none where none can be judged.

    Parameters
    ----------
    frame : the metrics of all arms
    roles : {arm: unlabelled, labelled, guided or swapped}
    """
    of_role = lambda role: next((arm for arm, its in roles.items() if its == role and mean_values(frame, arm)), None)  # noqa: E731
    plain, wrong, looked_up = of_role("unlabelled"), of_role("swapped"), mean_values(frame, "lookup")
    found = []
    for arm in [name for name, role in roles.items() if role in ROLES]:
        own, without = mean_values(frame, arm), mean_values(frame, plain) if plain else {}
        metrics = [name for name in METRICS if name in own and name in without and name in looked_up]
        if not metrics:
            continue
        text = (
            f"{arm}, {ROLES[roles[arm]]}, reaches {numbers(own, metrics)}; {plain}, shown none, {numbers(without, metrics)}; "
            f"looking the perturbation up on the training plates, without any image, {numbers(looked_up, metrics)}"
        )
        swapped = mean_values(frame, wrong) if wrong else {}
        if set(metrics) <= set(swapped):
            text += f"; {wrong}, shown wrong labels, {numbers(swapped, metrics)}"
        references = {"real": "real cells", **({plain: plain} if plain else {}), "lookup": "the look-up"}
        found.append(f"{text}.{verdict(own, without, looked_up, metrics)}{failed_sentence(frame, arm, references)}")
    return found
