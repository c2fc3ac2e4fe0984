"""A real dose series from its files to half-effect doses: BBBC013, FKHR-EGFP moving into the nucleus under two PI3K inhibitors.

    python bench/dose_series.py out --images /data/bbbc013_translocation --cores 2

One study without models: `tabulate --unpack` writes single planes and the CSV with doses, Snakemake goes from there to
prepared stacks, cells by CellProfiler, crops, profiles, dose curves and their figure. --images holds wells/{well}.tif, two
8-bit pages (GFP, DNA), and wells.csv: well, compound, dose, unit, role. --wells takes some of them (A01:B12,E05).

Prints a line for each compound: Spearman's correlation of dose and nuclear to ring GFP over its wells, the half-effect dose of
that ratio, and what rule doses says of the same wells. Rows are compounds and columns are doses: the two can't be told apart.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from studies import ROOT, make

from brightpaint import store
from brightpaint.features import pipeline
from brightpaint.plates import tabulate
from brightpaint.profiles.hill import fit

RING_PX = 5  # a nucleus is 16 px wide
NUCLEUS_PX = "8,30"
SLOPES = (0.3, 5)  # of a ratio's Hill curve
STUDY = {
    "plates": "plates.tsv",
    "pixel_size_um": 1.0,  # about: nuclei of U2OS are 16 px wide here
    "channels": {"input": [], "target": ["GFP", "DNA"]},
    "source": {"layout": "table", "url": "single", "table": "images.csv"},
    "illumination": {"method": "none"},  # a plate of one field a well is little to tell light from cells
    "prepare": {"size_px": 640},
    "cellprofiler": {"pipeline": "translocation.cppipe", "parts": 2},
    "crops": {"size_um": 48, "objects": "nuclei"},
    "folds": [],
    "models": [],
    "arms": [],
    "doses": {"spaces": ["cellprofiler"]},
    "compute": {"device": "cpu", "threads": 1, "torch_threads": 1},
}
KEPT = ("LoadData", "MeasureImageIntensity", "IdentifyPrimaryObjects", "IdentifySecondaryObjects", "IdentifyTertiaryObjects",
        "MeasureObjectSizeShape", "MeasureObjectIntensity", "MeasureObjectIntensityDistribution",
        "ExportToSpreadsheet")  # fmt: skip


def own_wells(path: Path, real_wells: Path) -> None:
    """Write what is known of the wells under the names of the contract, as a user would."""
    wells = pd.read_csv(real_wells, dtype=str)
    wells["perturbation"] = wells["compound"].where(wells["role"].isin(["dose", "positive_control"]), "DMSO")
    wells["control_type"] = wells["perturbation"].eq("DMSO").map({True: "negcon", False: ""})
    wells.assign(target="PIK3CA", cell_line="U2OS").to_csv(path, index=False)


def write_pipeline(path: Path, channels: Sequence[str] = ("GFP", "DNA")) -> None:
    """Write a pipeline of one's own: nuclei in DNA, and as cytoplasm a ring of RING_PX about each.

    As in the shipped ones, measured is each image less its 1st percentile, so that a ratio of intensities is that of raw counts
    whatever mean and s.d. the image was normalised by.
    """
    head, *modules = pipeline.blocks((ROOT / "resources" / "cellprofiler" / "slim.cppipe").read_text())
    less = next(block for block in modules if pipeline.EACH_CHANNEL in block)
    kept = [block for block in modules if block.startswith(KEPT)]
    kept[2:2] = [less.replace("DNA", channel) for channel in channels]
    text = pipeline.renumbered(head, kept)
    changes = {
        "OrigDNA, OrigRNA, OrigER, OrigAGP, OrigMito": ", ".join(f"Orig{name}" for name in channels),
        "DNA, RNA, ER, AGP, Mito": ", ".join(channels),
        "(Min,Max):10,40": f"(Min,Max):{NUCLEUS_PX}",
        "the secondary objects:Propagation": "the secondary objects:Distance - N",
        "Select the input image:CellBody": "Select the input image:OrigDNA",
        "expand the primary objects:10": f"expand the primary objects:{RING_PX}",
        f"notes:['{pipeline.TEMPLATE}; the channels are those of load_data.csv']": "notes:[]",
    }
    for old, new in changes.items():
        if old not in text:
            raise ValueError(
                f"slim.cppipe: expected {old!r}, which this benchmark changes; it is written otherwise now"
            )
        text = text.replace(old, new)
    path.write_text(text)


def write_study(folder: Path, images: Path, wells: str = "") -> tuple[dict, str]:
    """Write single planes, CSV and pipeline into `folder`; return the study and its plate table."""
    folder.mkdir(parents=True, exist_ok=True)
    own_wells(folder / "wells.csv", images / "wells.csv")
    tabulate.main([str(images), "--unpack", str(folder / "single"), "--table", str(folder / "images.csv"), "--channels",
                   "GFP", "DNA", "--plate", "BBBC013", "--metadata", str(folder / "wells.csv")])  # fmt: skip
    write_pipeline(folder / "translocation.cppipe")
    return STUDY, f"plate\trole\twells\nBBBC013\tstudy\t{wells}\n"


def ratios(results: Path) -> pd.DataFrame:
    """Return each well's median ratio of nuclear to ring GFP over its cells: well, perturbation, dose, ratio, cells."""
    cells = store.read_table(results / "cells" / "real" / "BBBC013.parquet")
    inside, ring = (cells[f"{part}_Intensity_MeanIntensity_GFP"] for part in ("Nuclei", "Cytoplasm"))
    keys = ["Metadata_Well", "Metadata_perturbation", "Metadata_dose"]
    cells = cells[keys].assign(ratio=(inside / ring).where(ring > 0))
    return cells.groupby(keys, dropna=False)["ratio"].agg(["median", "count"]).reset_index()


def ratio_noise(ratio: np.ndarray, dmso: np.ndarray) -> np.ndarray:
    """Return the s.d. by which wells of a ratio are weighed, never 0."""
    return np.full(len(ratio), max(ratio.std() / 10, dmso.std(ddof=1), 1e-6))


def half_effect(dose: np.ndarray, ratio: np.ndarray, dmso: np.ndarray) -> float:
    """Return the half-effect dose of a ratio's Hill curve from DMSO's mean, micromolar."""
    return fit(dose, ratio - dmso.mean(), ratio_noise(ratio, dmso), slopes=SLOPES).half


def found(results: Path) -> list[dict]:
    """Return what the finished study says of each compound; its ratio is judged on dose wells, without the positive controls."""
    wells = ratios(results)
    roles = pd.read_csv(results.parent / "wells.csv").set_index("well")["role"]
    table = store.read_table(results / "doses" / "real" / "cellprofiler.tsv").set_index("Metadata_perturbation")
    dmso, lines = wells.loc[wells["Metadata_perturbation"] == "DMSO", "median"].to_numpy(), []
    for name, own in wells[wells["Metadata_Well"].map(roles) == "dose"].groupby("Metadata_perturbation"):
        dose, ratio = own["Metadata_dose"].to_numpy(), own["median"].to_numpy()
        curve = table.loc[name]
        lines.append({
            "compound": name, "wells": len(own), "cells": int(own["count"].sum()), "dmso_ratio": round(float(dmso.mean()), 3),
            "top_ratio": round(float(ratio[dose == dose.max()].mean()), 3), "spearman": round(float(spearmanr(dose, ratio)[0]), 3),
            "ratio_half_um": float(f"{half_effect(dose, ratio, dmso):.3g}"), "status": curve["status"],
            "half_um": float(f"{curve['half_um']:.3g}"), "low_um": float(f"{curve['half_low_um']:.3g}"),
            "high_um": float(f"{curve['half_high_um']:.3g}"), "effect_sd": round(float(curve["effect"]), 1),
            "layout": curve["layout"],
        })  # fmt: skip
    return lines


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the study, to write")
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--wells", default="")
    parser.add_argument("--cores", type=int, default=1)
    args = parser.parse_args(argv)
    study, plates = write_study(args.folder, args.images, args.wells)
    make(args.folder, study, plates, [], cores=args.cores)
    for line in found(args.folder / "results"):
        print(json.dumps(line))


if __name__ == "__main__":
    main()
