"""Translations on plates of known truth: do they follow the dose, and how often is a change found where nothing is?

    python bench/dose_translations.py out --seeds 1 2 3 --cores 2

A study a seed from config/doses.yaml with plates and training of that seed, all of it by the workflow's own rules: real DMSO
fields of two held-out plates are shown as every dose of an active compound, of one that does nothing (by the simulator's truth),
and as the A/A control (half of the training plates' DMSO wells, trained as a class of their own). A rerun goes on where it was.

Prints a JSON line a stage, one a seed and one of all, and writes dose_translations.json and .md:

dose correlation   its median over the numbers that are found to change in real cells, beside the 95th percentile of what it is when
                   doses are shuffled in one order for all numbers, and beside fresh noise's
found              share of numbers found to change in the A/A control and in inert classes: at most 5%, plus sampling error. A test
                   of the statistics: the bench ends with exit code 1 where the whole interval over seeds and compounds lies above
references         distance to the real class and what is kept of the source: the translation and all five references
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from studies import ROOT
from translated_studies import beside, clustered, markdown, read_study, reference_means, run_stages

from brightpaint.models.conditions.labels import TWIN
from brightpaint.plates.simulator import phenotypes
from brightpaint.scores.translation.class_distance import TRANSLATION
from brightpaint.scores.translation.well_shift import ALPHA
from brightpaint.study.annotations import treatment_name
from brightpaint.study.schema import validate

ARM = "doses"


def shown_compounds(layout: pd.DataFrame) -> tuple[str, str]:
    """Return the compound that moves cells most (by the truth; not toxic, half-way within the doses), and the first that is inert.

    Raises
    ------
    SystemExit
        where the layout has none of either
    """
    treated = layout[layout["Metadata_control_type"] != "negcon"]
    kinds = treated.drop_duplicates("Metadata_perturbation").set_index("Metadata_perturbation")
    effects = treated[[f"effect_{name}" for name in phenotypes.PARAMETERS]].abs().max(axis=1)
    most = effects.groupby(treated["Metadata_perturbation"]).max()
    active = most[(kinds["kind"] == "active") & (kinds["censored"] == 0)]
    inert = sorted(kinds.index[kinds["kind"] == "inert"])
    if not len(active) or not inert:
        raise SystemExit("no inert compound beside an active one among the plates of this seed; take another")
    return str(active.idxmax()), inert[0]


def study_of(seed: int, args: argparse.Namespace) -> tuple[dict, str]:
    """Return the study of one seed and its plate table."""
    study, plates = read_study("doses")
    study["simulate"] |= {"seed": study["simulate"]["seed"] + seed - 1}  # seed 1 has the plates of the shipped config
    whole = validate(copy.deepcopy(study), ROOT / "workflow" / "schemas" / "config.schema.yaml", "config")
    layout = phenotypes.draw_layout(whole["simulate"], layout="standard")
    shown = [(name, dose) for name in shown_compounds(layout)
             for dose in sorted(layout.loc[layout["Metadata_perturbation"] == name, "Metadata_dose"].unique())]  # fmt: skip
    targets = [treatment_name(name, dose) for name, dose in shown] + [TWIN]
    translate = {**study["arms"][0]["translate"], "targets": targets, "fields": args.fields}
    study["arms"] = [{**study["arms"][0], "steps": args.steps, "seed": seed, "translate": translate}]
    study["models"] = [{**study["models"][0], "twin": True}]
    study["train"] |= {"images": args.images, "seed": seed}
    return study, plates


def control_found(classes: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return the share found in each class that differs from the source by nothing: `seed, plate, class, cluster, found, tested`.

    Classes of one compound are one cluster: their wells are others, and the reconstructions and the model are shared.
    """
    once = classes[(classes["control"] != "") & (classes["tested"] > 0)].drop_duplicates(["plate", "class"])
    cluster = [f"{seed}/{row.perturbation if row.control == 'inert' else 'A/A'}" for row in once.itertuples()]
    return once[["plate", "class", "control", "found", "real_found", "tested"]].assign(seed=seed, cluster=cluster)


def judged(found: pd.DataFrame) -> dict:
    """Say whether nothing is found where nothing is: `found, low, high, holds`, of all controls and of each kind.

    It holds where the share is at most ALPHA, or its interval over seeds and compounds reaches down to it.
    """
    share, low, high = clustered(found["found"], found["cluster"], "controls")
    kinds = {f"found_{kind}": float(own["found"].mean()) for kind, own in found.groupby("control")}
    real = float(found["real_found"].mean())
    holds = bool(share <= ALPHA or low <= ALPHA)
    return {
        "found": share,
        "low": low,
        "high": high,
        "classes": len(found),
        **kinds,
        "found_in_real_wells": real,
        "holds": holds,
    }


def dose_rows(metrics: pd.DataFrame) -> list[dict]:
    """Return the dose correlations of each plate beside their null: `metric, plate, value, low, high, null_bound, fresh, n`."""
    own = metrics[metrics["metric"].isin(["dose_r", "dose_r_real"])]
    named = {"null_bound": "joint_null_95", "floor": "fresh_noise"}
    return (
        own[["metric", "plate", "value", "low", "high", "null_bound", "floor", "n"]]
        .rename(columns=named)
        .to_dict("records")
    )


def seed_line(results: Path, seed: int, spent: float) -> tuple[dict, pd.DataFrame]:
    """Sum a finished study up, and return what is found in its controls."""
    metrics, classes = beside(results, ARM)
    found = control_found(classes, seed)
    means = reference_means(classes, ("distance", "mmd2", "kept", "moved"))
    direction = metrics.loc[metrics["metric"] == "direction", ["value", "null", "null_bound"]].mean()
    line = {"seed": seed, "cpu_s": round(spent, 1), "doses": dose_rows(metrics), "controls": judged(found),
            "direction": direction.to_dict(), "references": means.T.to_dict()}  # fmt: skip
    return line, found


def report(lines: Sequence[dict], whole: dict) -> str:
    """Return what was measured as Markdown."""
    doses = [{"seed": line["seed"], **row} for line in lines for row in line["doses"]]
    references = [{"seed": line["seed"], "": name, **row} for line in lines for name, row in line["references"].items()]
    controls = [{"seed": line["seed"], **line["controls"]} for line in lines] + [{"seed": "all", **whole["controls"]}]
    times = [{"seed": line["seed"], "CPU minutes": line["cpu_s"] / 60, **line["direction"]} for line in lines]
    return "\n".join(markdown(rows) for rows in (doses, controls, references, times))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the studies, to write")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--images", type=int, default=24000, help="of a training")
    parser.add_argument("--fields", type=int, default=4, help="source fields a plate, each of a well of its own")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--cores", type=int, default=2)
    args = parser.parse_args(argv)
    lines, controls = [], []
    for seed in args.seeds:
        folder, spent = args.folder / f"seed_{seed}", 0.0
        for line in run_stages(folder, *study_of(seed, args), cores=args.cores):
            spent += line["cpu_s"]
            print(json.dumps({"seed": seed, **line}), flush=True)
        line, found = seed_line(folder / "results", seed, spent)
        lines, controls = [*lines, line], [*controls, found]
        print(json.dumps(line), flush=True)
    bounds = [
        [row["value"] - row["joint_null_95"] for row in line["doses"] if row["metric"] == "dose_r_real"]
        for line in lines
    ]
    gain = {row["seed"]: float(np.mean(each)) for row, each in zip(lines, bounds) if each}
    means = pd.concat([pd.DataFrame(line["references"]).T for line in lines]).groupby(level=0, sort=False).mean()
    whole = {"seed": "all", "controls": judged(pd.concat(controls)), "dose_r_real_above_null": gain,
             "nearer_than_source": bool(means.at[TRANSLATION, "distance"] < means.at["identity", "distance"]),
             "references": means.T.to_dict()}  # fmt: skip
    print(json.dumps(whole))
    (args.folder / "dose_translations.json").write_text(json.dumps([*lines, whole], indent=1))
    (args.folder / "dose_translations.md").write_text(report(lines, whole))
    if not whole["controls"]["holds"]:
        raise SystemExit(f"found where nothing is: {whole['controls']}, at most {ALPHA:.0%} are promised")


if __name__ == "__main__":
    main()
