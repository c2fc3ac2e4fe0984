"""What latent diffusion told molecules, doses, batches and cell lines knows of what it never saw: simulated studies, by seed.

Each seed has plates of its own: real molecules whose made-up phenotype follows from a substructure (`simulate.molecules`), at
three doses, in two cell lines and three batches. Two folds test the same plate. `scaffolds` holds whole scaffolds out of training,
`doses` the middle dose; each trains a codec and a model without brightfield on its latents, which paints the held-out treatments
from conditions alone (`generate`). Six more arms differ in one condition each: the effect matrix (`effects`).

Asked of held-out scaffolds, and of held-out doses: the correlation of treatments' effects with the real ones, and the rank of the
right treatment, of the model, DMSO, the mean of the training treatments, the nearest molecule looked up, ridge regression and
nearest neighbours from the fingerprint, and the model shown another molecule. Intervals are over scaffolds (or treatments); a
gain is paired. README may say that the model knows unseen molecules only if `claim` is true: in every seed the whole interval of
its gain lies above 0, over ridge regression and over nearest neighbours.

    python bench/latent_study.py /tmp/latent_study --seeds 1 2 3 --cores 2

The defaults are sized for 20 minutes a seed on two cores. A seed's stages are kept, Snakemake goes on within one, and a training
that was stopped goes on. Prints JSON lines; writes latent_study.json and latent_study.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from translated_studies import markdown, read_study, run_stages

from brightpaint import store
from brightpaint.scores.generation.gains import COLUMNS

TEST = "MOL005"
LINES, BATCHES = ("U2OS", "A549"), ("B1", "B2", "B3")
PLATES = (("MOL001", LINES[0], BATCHES[0]), ("MOL002", LINES[1], BATCHES[1]), ("MOL003", LINES[0], BATCHES[1]),
          ("MOL004", LINES[1], BATCHES[2]), (TEST, LINES[0], BATCHES[0]))  # fmt: skip
DOSES = (0.5, 5.0, 50.0)
SCAFFOLDS, DOSE = "scaffolds", "doses"  # folds
FOLDS = {SCAFFOLDS: {"by": "scaffold", "share": 0.3}, DOSE: {"by": "dose", "names": [DOSES[1]]}}
CHANGED = {"dose": (DOSES[0], DOSES[2]), "cell_line": LINES, "batch": BATCHES[:2]}
SPACE, EFFECT = "cellprofiler", "told"
# The last stage is what is read, no more: other scores of the paired arms would cost as much again.
STAGES = {
    "plates": ["plates"],
    "models": ["models"],
    "scores": [
        *(f"results/generation/unseen_{fold}/{SPACE}.tsv" for fold in FOLDS),
        f"results/effects/{EFFECT}/{SPACE}.tsv",
    ],
}
METRICS = ("correlation", "rank")
BEATEN = ("ridge", "nearest neighbours")  # what a claim must lie above


def plate_table() -> str:
    """Return the plates: their cell line and batch are said by the table."""
    rows = [f"{name}\tstudy\tsimulated\tsource_0\t{batch}\tstandard\t{line}" for name, line, batch in PLATES]
    return "\n".join(["plate\trole\tproject\tsource\tbatch\tlayout\tcell_line", *rows, ""])


def arms_of(args: argparse.Namespace) -> list[dict]:
    """Return what is painted: held-out treatments of each fold, and the same fields under two values of each condition."""
    painted = {"model": "told", "steps": args.steps, "spacing": "karras"}
    arms = [{**painted, "name": f"unseen_{fold}", "folds": [fold], "generate": {"treatments": "held_out", "fields": args.fields}}
            for fold in FOLDS]  # fmt: skip
    for name, values in CHANGED.items():
        arms += [{**painted, "name": f"{name}_{place}", "folds": [SCAFFOLDS], "conditions": {name: value}}
                 for place, value in enumerate(values)]  # fmt: skip
    return arms


def study_of(seed: int, args: argparse.Namespace) -> tuple[dict, str]:
    """Return the study of one seed and its plate table: config/latent.yaml with other plates, models and arms."""
    study, _ = read_study("latent")
    for key in ("models", "arms", "codecs", "folds"):
        del study[key]
    arms, told = arms_of(args), {"molecule": {}, "dose": {}, "cell_line": {}, "batch": {}}
    paired = [arm["name"] for arm in arms if "generate" not in arm]
    study["simulate"] = {"seed": 100 + seed, "rows": args.rows, "columns": args.columns, "size_px": args.size_px,
                         "cells_per_field": args.cells, "dmso_share": 0.2, "inactive_share": 0.0, "molecules": True,
                         "doses": {"um": list(DOSES), "toxic_share": 0, "censored_share": 0}}  # fmt: skip
    return {
        **study,
        "unit": "treatment",
        "channels": {"input": []},
        "illumination": {"size_px": 32},
        "prepare": {"size_px": args.size_px},
        "folds": [{"name": name, "test": [TEST], "held_out": held} for name, held in FOLDS.items()],
        "train": {**study["train"], "images": args.images, "seed": seed},
        "codecs": [{"name": "kl", "preset": "small", "kl_weight": 1.0e-3, "images": args.codec_images}],
        "models": [{"name": "told", "label": "none", "codec": "kl", "inputs": [], "conditions": told}],
        "arms": arms,
        "sample": {"parts": 1, "batch": 8},
        "cellprofiler": {"engine": "fast", "pipeline": "slim", "parts": 1},
        "effects": [{"name": EFFECT, "arms": paired, "spaces": [SPACE]}],
    }, plate_table()


def generated_rows(results: Path, fold: str) -> pd.DataFrame:
    """Return what was scored of a fold's held-out treatments, the metrics that are asked for: one row a baseline and metric."""
    found = store.read_table(results / "generation" / f"unseen_{fold}" / f"{SPACE}.tsv")
    own = found[(found["split"] == FOLDS[fold]["by"]) & found["metric"].isin(METRICS)]
    if not (own["baseline"] == "model").any():
        raise SystemExit(f"{results}: no held-out treatment of fold {fold} was scored; give more --rows and --columns")
    return own.assign(fold=fold)


def matrix_rows(results: Path) -> list[dict]:
    """Return the effect matrix: one row a kind, changed condition and read factor."""
    found = store.read_table(results / "effects" / EFFECT / f"{SPACE}.tsv")
    return found[["kind", "changed", "read", "value", "null_bound", "share", "verdict", "skill"]].to_dict("records")


def seed_line(results: Path, seed: int, spent: float) -> dict:
    """Sum a finished study up."""
    rows = pd.concat([generated_rows(results, fold) for fold in FOLDS])
    return {
        "seed": seed,
        "cpu_s": round(spent, 1),
        "generated": rows.to_dict("records"),
        "effects": matrix_rows(results),
    }


def gains_of(line: dict, fold: str, metric: str = METRICS[0]) -> dict[str, tuple[float, float]]:
    """Return {what must be beaten: the interval of the model's paired gain over it} of one seed's held-out treatments."""
    return {row["baseline"]: (float(row["gain_low"]), float(row["gain_high"])) for row in line["generated"]
            if row["fold"] == fold and row["metric"] == metric and row["baseline"] in BEATEN}  # fmt: skip


def claim(lines: Sequence[dict], fold: str = SCAFFOLDS) -> tuple[bool, str]:
    """Return whether the model may be said to know unseen molecules, and the sentence that says so or that it does not."""
    gains = [gains_of(line, fold) for line in lines]
    known = bool(gains) and all(set(own) == set(BEATEN) and all(low > 0 for low, _ in own.values()) for own in gains)
    means = {name: [row["value"] for line in lines for row in line["generated"]
                    if row["fold"] == fold and row["metric"] == METRICS[0] and row["baseline"] == name]
             for name in ("model", *BEATEN)}  # fmt: skip
    told = ", ".join(f"{name} {'; '.join(f'{value:.2f}' for value in values)}" for name, values in means.items())
    start = "The model knows unseen molecules" if known else "Nothing is claimed of unseen molecules"
    why = "above" if known else "not in every seed above"
    return known, (
        f"{start}: the paired interval of its gain lies {why} ridge regression and nearest neighbours from the fingerprint. "
        f"Correlation of effects of held-out {fold}, seed by seed: {told}."
    )


def report(lines: Sequence[dict], sentence: str) -> str:
    """Return what was measured as Markdown."""
    keys = ("fold", *COLUMNS[1:])  # a fold's one split
    generated = [
        {"seed": line["seed"], **{key: row[key] for key in keys}} for line in lines for row in line["generated"]
    ]
    effects = [{"seed": line["seed"], **row} for line in lines for row in line["effects"]]
    times = [{"seed": line["seed"], "CPU minutes": line["cpu_s"] / 60} for line in lines]
    return "\n".join([sentence, "", *(markdown(rows) for rows in (generated, effects, times))])


def parsed(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the studies, to write")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--rows", type=int, default=10, help="of wells on a plate")
    parser.add_argument("--columns", type=int, default=15)
    parser.add_argument("--size-px", type=int, default=128, help="of a field")
    parser.add_argument("--cells", type=float, default=8, help="of an untreated field, in the mean")
    parser.add_argument("--images", type=int, default=40000, help="of a model's training")
    parser.add_argument("--codec-images", type=int, default=12000, help="of a codec's training")
    parser.add_argument("--fields", type=int, default=8, help="painted of each held-out treatment")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--cores", type=int, default=2)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args, lines = parsed(argv), []
    for seed in args.seeds:
        folder, spent = args.folder / f"seed_{seed}", 0.0
        for line in run_stages(folder, *study_of(seed, args), cores=args.cores, last="scores", stages=STAGES):
            spent += line["cpu_s"]
            print(json.dumps({"seed": seed, **line}), flush=True)
        lines.append(seed_line(folder / "results", seed, spent))
        print(json.dumps(lines[-1]), flush=True)
    known, sentence = claim(lines)
    (args.folder / "latent_study.json").write_text(
        json.dumps({"claim": known, "sentence": sentence, "seeds": lines}, indent=1)
    )
    (args.folder / "latent_study.md").write_text(report(lines, sentence))
    print(sentence)


if __name__ == "__main__":
    main()
