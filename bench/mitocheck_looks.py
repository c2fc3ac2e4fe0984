"""Where the networks of bench/mitocheck.py look: Grad-CAMO and erasure of each held-out cell, by phenotype, over the folds.

    BRIGHTPAINT_REAL_DATA=... python bench/mitocheck_looks.py --folder /tmp/mitocheck --seeds 1

The folder is that of bench/mitocheck.py, whose seeds it must have finished. A cell is explained by the network that saw no cell of
its movie, the folds' cells are put together, and intervals are 95% by movie. A verdict is given only where the lower bounds of
accuracy and macro F1 lie above FLOORS, what brightness and shape alone told when the data were chosen; `above_trivial` says whether
they also lie above what those tell on these folds. The layer is the head unless --layer names another.

Prints JSON lines; writes looks.<seed>.tsv (verdicts), looks.<seed>.numbers.tsv (attention and its nulls), looks.<seed>.erased.tsv
and looks.<seed>.png (of each phenotype the cells whose lift is highest, middling and lowest) into the folder.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import mitocheck
import numpy as np
import pandas as pd
import torch

from brightpaint import store
from brightpaint.models.grad_cam import layer_number
from brightpaint.models.see_cells import CellReader, TrainedCells, read_network
from brightpaint.report.figures.gradcamo_figure import PLACES, SHOWN
from brightpaint.report.style import LINES, STYLE
from brightpaint.scores.cells import erasure, gradcamo
from brightpaint.scores.cells.explained import OWN, maps_of, untrained
from brightpaint.study.single_cells import CELLS

FLOORS = {"accuracy": 0.61, "macro_f1": 0.54}
ARM = "MitoCheck"


def of_fold(
    paths: list[Path], weights: Path, some: pd.DataFrame, names: np.ndarray, layer: int
) -> tuple[dict, dict, TrainedCells]:
    """Explain a fold's cells: ({(variant, explained): scores}, {shown: answers}, the network), classes by `names`."""
    trained = read_network(weights, torch.device("cpu"))
    own = np.array(sorted(trained.labels, key=trained.labels.get), object)
    if list(own) != list(names):
        raise SystemExit(
            f"{weights}: knows {len(own)} phenotypes, the crops have {len(names)}; give fewer --folds to bench/mitocheck.py"
        )
    networks = {CELLS: trained, gradcamo.UNTRAINED: untrained(trained)}
    found = gradcamo.explained_by_all(networks, paths, some, layer_number(trained.network, layer))
    return found, gradcamo.erased_answers(paths, trained, None, some), trained


def drawn(paths: list[Path], rows: pd.DataFrame, networks: dict, names: np.ndarray, layer: int) -> plt.Figure:
    """Draw of each phenotype the cells at PLACES of its lift, with the outline of the mask and the map in colour."""
    figure, axes = plt.subplots(2 * len(PLACES), len(names), figsize=(1.05 * len(names), 6.6), layout="constrained")
    for column, name in enumerate(names):
        own = rows[(rows["class"] == name) & rows["lift"].notna()].sort_values("lift", kind="stable")
        for place, quantile in enumerate(PLACES.values()):
            plain, over = axes[2 * place, column], axes[2 * place + 1, column]
            plain.set_axis_off()
            over.set_axis_off()
            if own.empty:
                continue
            row = own.iloc[round(quantile * (len(own) - 1))]
            trained = networks[row["fold"]]
            reader = CellReader(paths, trained)
            crops, count = next(reader.batches([row["number"]]))
            shape = torch.full((len(crops),), column)
            map_ = maps_of(reader, crops, shape, layer_number(trained.network, layer), count)[0, 0]
            mask = reader.crops.masks([row["number"]])[0, 0, 0]
            for axis in (plain, over):
                axis.imshow(crops[0, 0, 0], cmap="gray", vmin=SHOWN[0], vmax=SHOWN[1])
            over.imshow(map_, cmap="inferno", alpha=0.55)
            plain.contour(mask, [0.5], colors=LINES[1], linewidths=0.6)
            plain.set_title(f"{name}\n{row['lift']:.1f}" if place == 0 else f"{row['lift']:.1f}", fontsize=6)
    return figure


def main(argv=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--layer", type=int, default=-1)
    args = parser.parse_args(argv)
    paths = [args.folder / "crops.tif"]
    if not paths[0].exists():
        raise SystemExit(f"{paths[0]} is not there; run bench/mitocheck.py --folder {args.folder} first")
    table = store.open_crops(paths[0]).table(["Metadata_Plate", "Metadata_label", "group", "ObjectNumber"])
    cells = table.set_axis(["fold", "class", "movie", "number"], axis=1)
    names = np.array(sorted(set(cells["class"])), object)
    called = store.read_table(mitocheck.baseline_path(args.folder, mitocheck.TRIVIAL))["called"].to_numpy(object)
    trivial = mitocheck.summary(mitocheck.TRIVIAL, cells, called)
    chosen = pd.DataFrame({"number": np.arange(len(cells)), "truth": np.searchsorted(names, cells["class"]), "tested": True,
                           "group": cells["movie"], "fold": cells["fold"]})  # fmt: skip
    for seed in args.seeds:
        parts, networks = [], {}
        for fold in sorted(set(cells["fold"])):
            weights = args.folder / f"seed{seed}" / f"{fold}.safetensors"
            if not weights.exists():
                raise SystemExit(
                    f"{weights} is not there; run bench/mitocheck.py --folder {args.folder} --seeds {seed} first"
                )
            some = chosen[chosen["fold"] == fold].reset_index(drop=True)
            found, answers, networks[fold] = of_fold(paths, weights, some, names, args.layer)
            parts.append((some, found, answers))
        every = pd.concat([some for some, _, _ in parts], ignore_index=True)
        found = {key: pd.concat([part[1][key] for part in parts], ignore_index=True) for key in parts[0][1]}
        answers = {key: np.concatenate([part[2][key] for part in parts]) for key in parts[0][2]}
        numbers, erased, said = gradcamo.said_of(found, answers, every, names, ARM)
        whole = numbers[(numbers["explained"] == OWN) & (numbers["metric"] == "lift") & (numbers["class"] == "")]
        line = mitocheck.summary(
            "network", cells.iloc[every["number"]].reset_index(drop=True), names[answers[erasure.WHOLE]]
        )
        given = all(line[name][1] > floor for name, floor in FLOORS.items())
        above = all(line[name][1] > trivial[name][0] for name in FLOORS)
        stem = args.folder / f"looks.{seed}"
        for frame, suffix in ((said, ""), (numbers, ".numbers"), (erased, ".erased")):
            store.write_table(store.as_text(frame), stem.with_name(f"{stem.name}{suffix}.tsv"))
        rows = every.assign(**{"class": names[every["truth"]], "lift": found[CELLS, OWN]["lift"].to_numpy()})
        with plt.rc_context(STYLE):
            drawn(paths, rows, networks, names, args.layer).savefig(stem.with_name(f"{stem.name}.png"), dpi=130)
        accuracy = (
            erased[erased["metric"] == "accuracy"].set_index("shown")[["value", "low", "high"]].astype(float).round(3)
        )
        mitocheck.say(seed=seed, what="looks", given=given, above_trivial=above,
                      accuracy=line["accuracy"], macro_f1=line["macro_f1"],
                      shown={shown: row.tolist() for shown, row in zip(accuracy.index, accuracy.to_numpy())},
                      lift=whole.set_index("variant")[["value", "low", "high"]].astype(float).round(3).T.to_dict("list"),
                      verdicts=dict(zip(said["class"], said["verdict"])) if given else None)  # fmt: skip


if __name__ == "__main__":
    main()
