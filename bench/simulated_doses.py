"""Half-effect doses of simulated plates through the whole chain, against the truth that the simulator wrote down.

    python bench/simulated_doses.py out --seeds 1 2 --plates 2 --cores 2

Each seed is a study without models: plates of dose series (six three-fold doses, one well each a plate) are simulated, prepared,
measured by the fast engine, profiled, and rule doses fits their curves. Prints one JSON line a seed and one of all: of compounds
whose half-effect lies within the doses and whose effect is 3 s.d. of DMSO or more, the share within a factor of two (one that
is not fitted counts as missed), and what becomes of inert, toxic and censored ones.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from studies import make

from brightpaint import store
from brightpaint.plates.simulator.stains import STAINS

STUDY = {
    "plates": "plates.tsv",
    "pixel_size_um": 1.0,
    "channels": {"input": [], "target": list(STAINS)},
    "source": {"layout": "simulated"},
    "illumination": {"size_px": 48},
    "cellprofiler": {"pipeline": "slim", "parts": 2, "engine": "fast"},
    "folds": [],
    "models": [],
    "arms": [],
    "doses": {"spaces": ["cellprofiler"]},
    "compute": {"device": "cpu", "threads": 1, "torch_threads": 1},
}
SIMULATE = {"rows": 8, "columns": 12, "cells_per_field": 20, "inactive_share": 0.25, "invisible_share": 0, "doses": {}}
WANTED = "results/figures/doses/real/cellprofiler.png"


def study_of(seed: int, plates: int, size_px: int) -> tuple[dict, str]:
    """Return the study of a seed and its plate table; its plates are replicates."""
    cells = max(round(SIMULATE["cells_per_field"] * (size_px / 224) ** 2), 1)
    simulate = SIMULATE | {"seed": seed, "size_px": size_px, "cells_per_field": cells}
    rows = [f"D{number}\tstudy\tsimulated\tsource_0\tB{number}" for number in range(1, plates + 1)]
    return STUDY | {"simulate": simulate, "prepare": {"size_px": size_px}}, "\n".join(
        ["plate\trole\tproject\tsource\tbatch", *rows, ""]
    )


def judged(folder: Path) -> pd.DataFrame:
    """Return the fitted table of a finished study beside the truth: true kind, half effect, whether it is censored."""
    truth = pd.concat([store.read_table(path) for path in sorted((folder / "resources" / "truth").glob("*.tsv"))])
    truth = truth[truth["Metadata_perturbation"] != "DMSO"].drop_duplicates("Metadata_perturbation")
    table = store.read_table(folder / "results" / "doses" / "real" / "cellprofiler.tsv")
    told = truth[["Metadata_perturbation", "kind", "half_um", "censored"]]
    told = told.rename(columns={"half_um": "true_um", "kind": "true_kind", "censored": "true_censored"})
    return table.merge(told, on="Metadata_perturbation", validate="one_to_one")


def summary(table: pd.DataFrame) -> dict:
    """Return counts and the share of half effects within a factor of two."""
    inside = table[(table["true_kind"] == "active") & (table["true_censored"] == 0)]
    strong = inside[inside["effect"] >= 3]
    off = np.abs(np.log2(strong["half_um"].astype(float) / strong["true_um"].astype(float)))
    others = {
        "inert": table["true_kind"] == "inert",
        "toxic": table["true_kind"] == "toxic",
        "censored": table["true_censored"] == 1,
    }
    counts = {name: table.loc[mask, "status"].value_counts().to_dict() for name, mask in others.items()}
    hits = int((off <= 1).sum())
    return {"compounds": len(table), "inside": len(inside), "strong": len(strong), "within_two": hits,
            "share": round(hits / max(len(strong), 1), 3), "median_fold": round(float(2 ** off.median()), 2),
            "statuses": inside["status"].value_counts().to_dict(), **counts}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the studies, to write")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--plates", type=int, default=2)
    parser.add_argument("--size-px", type=int, default=224)
    parser.add_argument("--cores", type=int, default=1)
    args = parser.parse_args(argv)
    tables = []
    for seed in args.seeds:
        folder = args.folder / f"seed_{seed}"
        make(folder, *study_of(seed, args.plates, args.size_px), [WANTED], cores=args.cores)
        tables.append(judged(folder))
        print(json.dumps({"seed": seed, **summary(tables[-1])}), flush=True)
    print(json.dumps({"seed": "all", **summary(pd.concat(tables))}))


if __name__ == "__main__":
    main()
