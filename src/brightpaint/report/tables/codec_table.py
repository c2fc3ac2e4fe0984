"""Lay codecs side by side: what they lose of the stains, what their latents hold, and what of cells and profiles survives.

A codec's arm shows real stains encoded and decoded, so what is measured of it is the ceiling of every arm that paints its
latents; those stand below it. The codec `identity` has no arm: it hands the real stains on, so that its images and features are
the real ones and its matches those of `real`. Codecs that differ by their KL weight are a sweep of it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.report import pages
from brightpaint.report.tables.metrics_table import cell, head_of
from brightpaint.scores.columns import BY_KEY
from brightpaint.study.spaces import MAIN

IMAGES = ("l1", "ssim", "pcc")  # told of each stain too
KEYS = (*IMAGES, "kl_element", "latents_active", "channels_active", "feature_distance", "cell_count", "cell_count_r", "nuclei_f1",
        "map_target", "map_replicate", "cpcor")  # fmt: skip
# What decoded images that are the real ones are worth, where a number is about them and the real ones.
UNCHANGED = {"l1": 0.0, "ssim": 1.0, "pcc": 1.0, "feature_distance": 0.0, "cell_count": 0.0, "cell_count_r": 1.0, "nuclei_f1": 1.0,
             "cpcor": 1.0}  # fmt: skip
OF_REAL = ("map_target", "map_replicate")  # of real profiles alone
IDENTITY = "identity (the real stains)"
DESCRIBED = ("preset", "latents", "share", "kl_weight", "adversarial")
HEADS = {"preset": "preset", "latents": "latents", "share": "of the stains' numbers", "kl_weight": "KL weight",
         "adversarial": "critic's weight", "seconds": "seconds a field"}  # fmt: skip


def identity_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the metrics of real stains handed on, on the plates and in the subsets that the codecs are scored on.

    Parameters
    ----------
    frame : metrics of the codecs' arms and of `real`
    """
    own = frame[frame["arm"] != "real"]
    known = own[own["metric"].isin(UNCHANGED)].drop_duplicates(["metric", "subset", "space", "plate", "channel"])
    known = known.assign(
        value=known["metric"].map(UNCHANGED), low=np.nan, high=np.nan, null=np.nan, null_bound=np.nan, floor=np.nan
    )
    real = frame[(frame["arm"] == "real") & frame["metric"].isin(OF_REAL) & frame["plate"].isin(set(own["plate"]))]
    return pd.concat([known, real]).assign(arm=IDENTITY)


def seconds_of(paths: Sequence[Path]) -> float:
    """Return what painting one field took, from the tables that `gather` writes; NaN if nothing was painted."""
    table = pd.concat([store.read_table(path, ["fields", "wall_s"]) for path in paths])
    painted = table["fields"].sum()
    return float(table["wall_s"].sum() / painted) if painted else float("nan")


def described_cells(arm: dict, seconds: float) -> list[pages.Cell]:
    """Return the cells that say what an arm's codec is, and what painting took; dashes for the identity."""
    words = [pages.Cell(str(arm[key])) if arm.get(key) is not None else pages.EMPTY for key in DESCRIBED]
    return [*words, pages.Cell(f"{seconds:.3g}", f"{seconds:.6g}") if np.isfinite(seconds) else pages.EMPTY]


def main_table(frame: pd.DataFrame, arms: Sequence[dict], seconds: dict[str, float]) -> pages.Table:
    """Return one row a codec, the identity first, and below each codec the arms that stand on it.

    Parameters
    ----------
    frame : metrics of one subset, means over channels
    arms : `arm`, what its codec is (DESCRIBED), and `below`: whether it stands on the codec above
    """
    columns = [BY_KEY[key] for key in KEYS if (frame["metric"] == key).any()]
    heads = [
        pages.Cell("arm"),
        *(pages.Cell(HEADS[key]) for key in (*DESCRIBED, "seconds")),
        *map(head_of, columns, [""] * len(columns)),
    ]
    rows = []
    for arm in [{"arm": IDENTITY, "below": False}, *arms]:
        part = frame[frame["arm"] == arm["arm"]]
        numbers = [cell(part[part["metric"] == column.key], column, np.nan) for column in columns]
        name = f"↳ {arm['arm']}" if arm["below"] else arm["arm"]
        rows.append(
            pages.Row(
                [pages.Cell(name), *described_cells(arm, seconds.get(arm["arm"], np.nan)), *numbers],
                arm["arm"] == IDENTITY,
            )
        )
    return pages.Table(heads, rows)


def stain_table(frame: pd.DataFrame, arms: Sequence[dict]) -> pages.Table:
    """Return what is left of each stain: arms by stains, each of the metrics of images."""
    stains = [name for name in dict.fromkeys(frame["channel"]) if name != "all"]
    columns = [BY_KEY[key] for key in IMAGES if (frame["metric"] == key).any()]
    heads = [
        pages.Cell("arm"),
        *(pages.Cell(f"{stain}, {head_of(column).text}") for column in columns for stain in stains),
    ]
    rows = []
    for arm in arms:
        part = frame[frame["arm"] == arm["arm"]]
        own = [
            part[(part["metric"] == column.key) & (part["channel"] == stain)] for column in columns for stain in stains
        ]
        each = [column for column in columns for _ in stains]
        rows.append(
            pages.Row([pages.Cell(arm["arm"]), *(cell(found, column, np.nan) for found, column in zip(own, each))])
        )
    return pages.Table(heads, rows)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--arms", type=json.loads, required=True, help="JSON list: arm, below, preset, latents, share, kl_weight, ..."
    )
    parser.add_argument(
        "--metrics", type=Path, nargs="+", required=True, help="metrics tables: of real, then one an arm"
    )
    parser.add_argument(
        "--seconds", type=Path, nargs="+", required=True, help="what painting took, in folders named by arm"
    )
    parser.add_argument("--html", type=Path, required=True)
    parser.add_argument("--tsv", type=Path, required=True)
    args = parser.parse_args(argv)
    frame = pd.concat([store.read_table(path) for path in args.metrics], ignore_index=True)
    frame = frame[(frame["subset"] == "full") & frame["space"].isin(["images", MAIN.name])]
    frame = pd.concat([identity_rows(frame), frame[frame["arm"] != "real"]], ignore_index=True)
    frame = frame[frame["metric"].isin(KEYS)]
    names = [arm["arm"] for arm in args.arms]
    seconds = {name: seconds_of([path for path in args.seconds if path.parent.name == name]) for name in names}
    store.write_table(frame, args.tsv)
    whole = frame[frame["channel"] == "all"]
    text = pages.render(
        "codecs.html", codecs=main_table(whole, args.arms, seconds), stains=stain_table(frame, args.arms),
        plates=", ".join(sorted(set(frame["plate"]))), tsv=frame.to_csv(sep="\t", index=False, lineterminator="\n"),
    )  # fmt: skip
    with store.atomic(args.html) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run(main)
