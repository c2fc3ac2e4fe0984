"""Score one arm as the workflow does: a command a subject, of those whose files are given, then `metrics`; and a small study."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter

from brightpaint import store
from brightpaint.base.intensity import standardise
from brightpaint.scores import metrics
from brightpaint.scores.cells import score_counts, score_objects
from brightpaint.scores.images import score_frechet, score_images
from brightpaint.scores.profiles import score_distances, score_failed, score_profiles
from brightpaint.study.spaces import SPACES


def words(**files) -> list[str]:
    """Return the words of a command line: `real=[a, b]` becomes --real a b; what is empty is left out."""
    named = {f"--{name.replace('_', '-')}": value for name, value in files.items()}
    listed = {name: value if isinstance(value, (list, tuple)) else [value] for name, value in named.items()}
    return [word for name, value in listed.items() if value for word in (name, *map(str, value))]


def score_arm(out: Path, arm: str, plates, settings: dict, *, active=(), **given) -> Path:
    """Score an arm by everything that is given; returns the path of its metrics table, fields beside.

    Parameters
    ----------
    out : folder to write into
    given : images (real, predicted, fields, uncertainty), counts (medians, real), objects (masks, real, fields), frechet (real,
        painted, brightfield), failed (settings, truth, real, profiles): what the command is given; distances and
        profiles: {space: what it is given}
    """
    commands = {"images": score_images, "counts": score_counts, "objects": score_objects, "frechet": score_frechet,
                "failed": score_failed}  # fmt: skip
    scores, fields = [], []

    def run(command, subject: str, files: dict, by_field: bool = False) -> None:
        table = out / "scores" / subject / f"{arm}.parquet"
        beside = {"by_field": table.with_suffix(".fields.parquet")} if by_field else {}
        own = {} if command is score_failed else {"active": active}
        command.main(words(arm=arm, plates=plates, table=table, **own, **beside, **files))
        scores.append(table)
        fields.extend(beside.values())

    spaces = {"distances": score_distances, "profiles": score_profiles}
    order = [
        "images",
        "counts",
        ("distances", "cells"),
        "objects",
        "frechet",
        ("distances", "fields"),
        "profiles",
        "failed",
    ]
    for subject in order:
        subject, holds = subject if isinstance(subject, tuple) else (subject, "")
        if subject not in given:
            continue
        if subject not in spaces:
            more = {"settings": json.dumps(settings)} if subject == "images" else {}
            run(commands[subject], subject, {**more, **given[subject]}, subject in ("images", "objects"))
            continue
        for name, files in given[subject].items():
            if not holds or SPACES[name].holds == holds:
                run(spaces[subject], f"{subject}/{name}", {"space": name, **files})
    table = out / f"{arm}.parquet"
    metrics.main(
        words(plates=plates, scores=scores, fields=fields, metrics=table, by_field=table.with_suffix(".fields.parquet"))
    )
    return table


CHANNELS = {"input": ["BF_low", "BF"], "target": ["DNA", "ER"]}


SETTINGS = {"channels": CHANNELS, "cutoff": 15}


FEATURES = [f"Cells_{n}" for n in range(40)]


SIZE = 32


def field_table(plate, wells=12, sites=1):
    rows = []
    for well in range(wells):
        name = "DMSO" if well < 2 else f"c{well:02d}"
        for site in range(1, sites + 1):
            rows.append(
                {
                    "Metadata_Plate": plate, "Metadata_Well": f"{'AB'[well // 6]}{well % 6 + 1:02d}", "Metadata_Site": site,
                    "Metadata_Tile": 1, "Metadata_Source": "s", "Metadata_Batch": "b", "Metadata_perturbation": name,
                    "Metadata_target": "" if well < 2 else f"T{well // 2}",
                    "Metadata_control_type": "negcon" if well < 2 else "", "height_px": SIZE, "width_px": SIZE,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def profile_table(plate, seed, noise):
    shared = np.random.default_rng(9).normal(size=(6, len(FEATURES)))
    rng = np.random.default_rng(seed)
    table = field_table(plate).drop_duplicates("Metadata_perturbation").reset_index(drop=True)
    columns = ["Metadata_Plate", "Metadata_perturbation", "Metadata_target", "Metadata_control_type"]
    group = [0 if name == "" else int(name[1:]) for name in table["Metadata_target"]]
    values = shared[group] + noise * rng.normal(size=(len(table), len(FEATURES)))
    return pd.concat([table[columns].assign(Metadata_cells=20), pd.DataFrame(values, columns=FEATURES)], axis=1)


class Folder:
    """A small study on disk: two real plates, P0 and P1."""

    def __init__(self, root: Path):
        self.root = root
        rng = np.random.default_rng(0)
        for plate in ("P0", "P1"):
            fields = field_table(plate)
            stains = standardise(gaussian_filter(rng.normal(size=(len(fields), 2, SIZE, SIZE)), (0, 0, 2, 2)))
            bright = standardise(0.5 * stains + rng.normal(size=stains.shape))
            self.stack(f"images/real/{plate}.tif", np.concatenate([bright, stains], axis=1), sum(CHANNELS.values(), []))
            store.write_table(fields, root / f"fields/{plate}.parquet")
        real = pd.concat([profile_table(plate, seed, 0.5) for seed, plate in enumerate(("P0", "P1"))])
        store.write_table(real, root / "profiles/real.parquet")
        actives = pd.DataFrame(
            {"Metadata_perturbation": [f"c{n:02d}" for n in range(2, 12)], "active": [1] * 6 + [0] * 4}
        )
        store.write_table(actives, root / "active.tsv")

    def stack(self, name, images, channels):
        with store.StackWriter(self.root / name, images.shape, channels, key="test") as writer:
            for row, image in enumerate(images):
                writer.write(row, image)

    def predict(self, arm, change, rows=None, plate="P1"):
        """Write an arm's stack: `change` of the real stains, in the given order of rows."""
        real = store.open_stack(self.root / f"images/real/{plate}.tif")
        fields = store.read_fields(self.root / f"fields/{plate}.parquet")
        rows = np.arange(len(fields)) if rows is None else np.asarray(rows)
        images = np.asarray(real.images[rows][:, [2, 3]], dtype=np.float32)
        self.stack(f"images/{arm}/{plate}.tif", change(images), CHANNELS["target"])
        store.write_table(fields.iloc[rows].reset_index(drop=True), self.root / f"images/{arm}/{plate}.parquet")

    def score(self, arm, plates=("P1",), profiles=(), active=True, images=True, **more):
        """Score an arm's images, its profiles (paths of the real ones, then its own), and whatever else is given."""
        paths = lambda text: [self.root / text.format(plate) for plate in plates]  # noqa: E731
        given = {"images": {}} if images else {}
        if images:
            given["images"] = {"real": paths("images/real/{}.tif"), "predicted": paths(f"images/{arm}/{{}}.tif")}
            given["images"] |= {"fields": paths("fields/{}.parquet"), "uncertainty": more.pop("uncertainty", [])}
        spaces = {"cellprofiler": profiles} if profiles else {}
        for space, tables in {**spaces, **more.pop("spaces", {})}.items():
            pair = {"real": self.root / tables[0], "profiles": self.root / tables[-1]}
            given.setdefault("profiles", {})[space] = {**pair, "fields": paths("fields/{}.parquet")}
        actives = [self.root / "active.tsv"] if active else []
        out = score_arm(self.root / "metrics", arm, plates, SETTINGS, active=actives, **given, **more)
        return store.read_table(out)


@pytest.fixture(name="folder")
def scored_folder(tmp_path):
    return Folder(tmp_path)


def value(frame, metric, channel="all", subset="full", column="value"):
    (found,) = frame[(frame["metric"] == metric) & (frame["channel"] == channel) & (frame["subset"] == subset)][column]
    return found
