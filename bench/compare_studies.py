"""Say what differs between two finished studies, artefact by artefact: content, not bytes of a container.

    python bench/compare_studies.py results/before results/after

Made for changes that must change nothing: the same plates, weights, painted stains, cells, profiles, scores and figures.
Stacks are compared pixel by pixel, tables value by value, weights tensor by tensor; of what only tells time or versions
(`*.seconds.tsv`, `versions` of weights) nothing is compared. One JSON line a difference, then the counts; the exit
status is 1 where anything differs.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
from PIL import Image
from safetensors import safe_open

TIMES = (".seconds.tsv",)
TEXT = (".tsv", ".csv", ".html", ".jsonl", ".json", ".xml", ".txt")


def files_of(folder: Path) -> set[str]:
    """Return the files below `folder`, without Snakemake's own."""
    named = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {name for name in named if not name.endswith(".snakemake_timestamp") and not name.startswith("report.html")}


def arrays_differ(before: np.ndarray, after: np.ndarray) -> str:
    """Say how two arrays differ; "" where they hold the same, NaN at the same places."""
    if before.shape != after.shape or before.dtype != after.dtype:
        return f"{before.dtype} {before.shape} and {after.dtype} {after.shape}"
    if np.array_equal(before, after, equal_nan=before.dtype.kind == "f"):
        return ""
    if before.dtype.kind not in "fiu":
        return f"{int((before != after).sum())} of {before.size} values"
    gap = np.abs(before.astype(np.float64) - after.astype(np.float64))
    return f"{int((gap > 0).sum())} of {gap.size} values, by {np.nanmax(gap):.3g} at most"


def stacks_differ(before: Path, after: Path) -> str:
    """Compare two TIFFs page by page, and what they say of themselves."""
    with tifffile.TiffFile(before) as left, tifffile.TiffFile(after) as right:
        if len(left.pages) != len(right.pages):
            return f"{len(left.pages)} and {len(right.pages)} pages"
        for number, pages in enumerate(zip(left.pages, right.pages)):
            if found := arrays_differ(*(page.asarray() for page in pages)):
                return f"page {number}: {found}"
        described = [file.pages[0].tags["ImageDescription"].value for file in (left, right)
                     if "ImageDescription" in file.pages[0].tags]  # fmt: skip
    return "" if len(set(described)) < 2 else "the description"


def tables_differ(before: Path, after: Path) -> str:
    """Compare two parquet tables column by column."""
    left, right = pd.read_parquet(before), pd.read_parquet(after)
    if list(left.columns) != list(right.columns):
        return f"columns {sorted(set(left.columns) ^ set(right.columns)) or 'in another order'}"
    if len(left) != len(right):
        return f"{len(left)} and {len(right)} rows"
    for name in left.columns:
        values = [frame[name].to_numpy() for frame in (left, right)]
        values = [array if array.dtype.kind in "fiub" else array.astype(str) for array in values]
        if found := arrays_differ(*values):
            return f"column {name}: {found}"
    return ""


def weights_differ(before: Path, after: Path) -> str:
    """Compare two files of weights tensor by tensor, and their settings."""
    with safe_open(before, "numpy") as left, safe_open(after, "numpy") as right:
        if set(left.keys()) != set(right.keys()):
            return f"tensors {sorted(set(left.keys()) ^ set(right.keys()))[:5]}"
        for name in left.keys():
            if found := arrays_differ(left.get_tensor(name), right.get_tensor(name)):
                return f"tensor {name}: {found}"
        said = [json.loads((file.metadata() or {}).get("brightpaint", "{}")) for file in (left, right)]
    for meta in said:
        meta.pop("versions", None)
    return "" if said[0] == said[1] else "what they say of themselves"


def differs(before: Path, after: Path) -> str:
    """Say how one artefact differs; "" where its content is the same."""
    if before.read_bytes() == after.read_bytes():
        return ""
    by_kind = {".tif": stacks_differ, ".tiff": stacks_differ, ".parquet": tables_differ, ".safetensors": weights_differ}
    if before.suffix in by_kind:
        return by_kind[before.suffix](before, after)
    if before.suffix in (".png", ".jpg"):
        return arrays_differ(*(np.asarray(Image.open(path)) for path in (before, after)))
    if before.suffix in TEXT:
        lines = [path.read_text().splitlines() for path in (before, after)]
        other = sum(left != right for left, right in zip(*lines)) + abs(len(lines[0]) - len(lines[1]))
        return f"{other} of {len(lines[0])} lines" if other else ""
    return "bytes"


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    args = parser.parse_args(argv)
    before, after = files_of(args.before), files_of(args.after)
    counts = Counter({"compared": 0, "differ": 0})
    for name in sorted(before ^ after):
        counts["only_before" if name in before else "only_after"] += 1
        print(json.dumps({"only": "before" if name in before else "after", "file": name}))
    for name in sorted(before & after):
        if name.endswith(TIMES):
            continue
        counts["compared"] += 1
        if found := differs(args.before / name, args.after / name):
            counts["differ"] += 1
            print(json.dumps({"file": name, "differs": found}))
    print(json.dumps(dict(counts)))
    return int(counts["differ"] > 0 or len(before ^ after) > 0)


if __name__ == "__main__":
    raise SystemExit(main())
