"""Small images of a translation whose answer is known: squares as nuclei, some of which a class loses or moves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.scores.translation import score_translation

MADE: dict[str, Path] = {}  # a fixture that several modules import is made for each of them

CHANNELS = {"input": [], "target": ["DNA", "ER"]}
SETTINGS = {"label": "treatment", "channels": CHANNELS, "cutoff": 15, "renormalise": False}
SIDE, WELLS = 32, {"DMSO": 4, "weak@1uM": 2, "toxic@10uM": 2}


def field(name, well):
    perturbation, _, dose = name.partition("@")
    return {"Metadata_Plate": "P", "Metadata_Well": f"A{well:02d}", "Metadata_Site": 1, "Metadata_Tile": 1,
            "Metadata_perturbation": perturbation, "Metadata_target": "",
            "Metadata_control_type": "negcon" if perturbation == "DMSO" else "", "Metadata_treatment": name,
            "Metadata_dose": float(dose.removesuffix("uM")) if dose else np.nan, "height_px": SIDE, "width_px": SIDE}  # fmt: skip


def nuclei(well, toxic=False, moved=0):
    """Return labels of two nuclei whose place depends on the well, of one where the class is toxic."""
    labels = np.zeros((SIDE, SIDE), np.uint16)
    labels[4 + moved : 10 + moved, 2 * well : 2 * well + 6] = 1
    if not toxic:
        labels[20:26, 24 - 2 * well : 30 - 2 * well] = 2
    return labels


def stains(labels, seed, gain=1.0):
    noise = 0.05 * np.random.default_rng(seed).normal(size=(2, SIDE, SIDE))
    return noise + np.stack([gain * (labels > 0), 0.5 * (labels > 0)])


def write(folder, arm, rows, labels, images):
    rows = pd.DataFrame(rows)
    with store.StackWriter(
        folder / f"images/{arm}/P.tif", (len(rows), 2, SIDE, SIDE), CHANNELS["target"], key="t"
    ) as writer:
        for n, image in enumerate(images):
            writer.write(n, image.astype(np.float16))
    store.write_table(rows, folder / ("fields/P.parquet" if arm == "real" else f"images/{arm}/P.parquet"))
    both = [np.stack([label, label]) for label in labels]
    store.write_masks(folder / f"masks/{arm}/P.tif", rows, both, ["Nuclei", "Cells"], (SIDE, SIDE))
    counts = [int(label.max() and len(np.unique(label)) - 1) for label in labels]
    store.write_table(rows.assign(Metadata_cells=counts, Nuclei_Area=1.0), folder / f"medians/{arm}/P.parquet")


@pytest.fixture(name="folder", scope="session")
def translated_folder(tmp_path_factory):
    """A plate as `write_plate` makes it, once."""
    if "folder" not in MADE:
        MADE["folder"] = tmp_path_factory.mktemp("translation")
        write_plate(MADE["folder"])
    return MADE["folder"]


def write_plate(folder):
    """Write real wells; an arm that keeps places, and loses a nucleus where the class is toxic; fresh noise, of other places."""
    names = [name for name, count in WELLS.items() for _ in range(count)]
    real = [field(name, well) for well, name in enumerate(names, start=1)]
    toxic = [name.startswith("toxic") for name in names]
    labels = [nuclei(well, bad) for well, bad in enumerate(toxic, start=1)]
    gains = [3.0 if bad else 1.0 for bad in toxic]
    write(folder, "real", real, labels, [stains(*each) for each in zip(labels, range(99), gains)])
    rows = [{**row, "Metadata_painted_as": name, "Metadata_draw": 0} for row in real[:4] for name in WELLS]
    for arm, shift in (("arm", 0), ("fresh_arm", 3)):
        labels = [
            nuclei(int(row["Metadata_Well"][1:]) + shift, row["Metadata_painted_as"].startswith("toxic"), shift)
            for row in rows
        ]
        gains = [3.0 if row["Metadata_painted_as"].startswith("toxic") else 1.0 for row in rows]
        write(folder, arm, rows, labels, [stains(*each) for each in zip(labels, range(100, 199), gains)])


def score(folder, out, settings=SETTINGS, cells=True):
    path = lambda kind, arm, end=".tif": str(folder / f"{kind}/{arm}/P{end}")  # noqa: E731
    words = ["--settings", json.dumps(settings), "--arm", "arm", "--plates", "P", "--real", path("images", "real"),
             "--fields", str(folder / "fields/P.parquet"), "--translated", path("images", "arm"),
             "--fresh", path("images", "fresh_arm"), "--table", str(out / "arm.parquet")]  # fmt: skip
    if cells:
        for prefix, arm in (("", "arm"), ("fresh-", "fresh_arm"), ("real-", "real")):
            words += [f"--{prefix}masks", path("masks", arm), f"--{prefix}medians", path("medians", arm, ".parquet")]
    score_translation.main(words)
    return {name: store.read_table(out / f"arm.{name}.parquet") for name in score_translation.TABLES} | {
        "metrics": store.read_table(out / "arm.parquet")
    }
