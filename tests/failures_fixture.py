"""An arm that paints three of five fields, and its galleries of failures."""

from __future__ import annotations

import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.report.figures import failures

CHANNELS = {"input": ["BF_L", "BF", "BF_H"], "target": ["DNA", "Odd"]}
SETTINGS = {"channels": CHANNELS, "dpi": 60, "worst": 2, "pixel_size_um": {"P": 0.5}}
SIDE = 150


def field_scores(pcc, noise=None, plate="P", perturbations=None, targets=None):
    """Return scores of single fields: values (wells, channels)."""
    noise = np.ones_like(pcc) if noise is None else noise
    names = perturbations or [f"c{n}" for n in range(len(pcc))]
    targets = targets or [""] * len(pcc)
    rows = [{"Metadata_Plate": plate, "Metadata_Well": f"A{n + 1:02d}", "Metadata_Site": 1, "Metadata_Tile": 1,
             "Metadata_perturbation": names[n], "Metadata_target": targets[n],
             "Channel": channel, "pcc": pcc[n][c], "background_noise": noise[n][c]}
            for n in range(len(pcc)) for c, channel in enumerate(CHANNELS["target"])]  # fmt: skip
    return pd.DataFrame(rows)


def write(folder, arm, channels, wells, seed):
    """Write a stack of noise whose lower right is full of stain, and its rows."""
    rows = [{"Metadata_Plate": "P", "Metadata_Well": f"A{well + 1:02d}", "Metadata_Site": 1, "Metadata_Tile": 1,
             "Metadata_perturbation": f"c{well}", "Metadata_target": "T1" if well == 2 else "", "Metadata_control_type": "",
             "height_px": SIDE, "width_px": SIDE} for well in wells]  # fmt: skip
    rng = np.random.default_rng(seed)
    with store.StackWriter(folder / f"{arm}.tif", (len(rows), len(channels), SIDE, SIDE), channels, key="x") as writer:
        for row in range(len(rows)):
            images = rng.normal(size=(len(channels), SIDE, SIDE))
            images[:, 100:, 100:] += 20
            writer.write(row, images)
    store.write_table(pd.DataFrame(rows), folder / f"{arm}.parquet")


def write_arm(folder):
    """Write real fields of five wells, an arm that paints three of them, and its scores."""
    write(folder, "real", CHANNELS["input"] + CHANNELS["target"], range(5), seed=0)
    write(folder, "one", CHANNELS["target"], [4, 2, 0], seed=1)
    missing = [np.nan] * 2
    scores = field_scores([[0.9, 0.8], missing, [0.1, 0.3], missing, [0.5, 0.5]],
                          [[3.0, 1.0], missing, [1.0, 1.0], missing, [9.0, np.nan]])  # fmt: skip
    store.write_table(scores, folder / "s.parquet")


def draw(folder, command, scores="s.parquet", name="w.jpg"):
    """Draw a gallery by its module's command."""
    arguments = ["--settings", json.dumps(SETTINGS), "--arm", "one", "--plates", "P"]
    arguments += ["--scores", str(folder / scores), "--real", str(folder / "real.tif")]
    arguments += ["--fields", str(folder / "real.parquet"), "--predicted", str(folder / "one.tif")]
    command([*arguments, "--figure", str(folder / name)])
    return folder / name


def views(folder, metric):
    """Return the views of the two fields that are worst by a metric."""
    scores = store.read_table(folder / "s.parquet")
    sources = {name: (store.open_stack(folder / f"{name}.tif"), store.read_fields(folder / f"{name}.parquet"))
               for name in ("real", "one")}  # fmt: skip
    chosen = {"metric": metric, "channels": CHANNELS, "pixel_size_um": {"P": 0.5}}
    return failures.failure_views(failures.worst_fields(scores, 2, metric), {"P": sources}, **chosen)


def words(views, footer=""):
    """Draw views, and return what is written in the figure."""
    figure = failures.draw_failures(views, channels=CHANNELS, dpi=60, footer=footer)
    texts = [text.get_text() for text in figure.axes[0].texts]
    plt.close(figure)
    return texts


def drawn_twice(folder, command):
    """Assert that a gallery is the same every time, JPEG or PNG by its name, and a picture where nothing compares."""
    first = draw(folder, command)
    assert plt.imread(first).shape[0] > 300
    assert draw(folder, command, name="again.jpg").read_bytes() == first.read_bytes()
    assert first.read_bytes()[:2] == b"\xff\xd8" and draw(folder, command, name="w.png").read_bytes()[1:4] == b"PNG"
    store.write_table(field_scores([[np.nan] * 2], [[np.nan] * 2]), folder / "none.parquet")
    assert plt.imread(draw(folder, command, "none.parquet", "none.png")).ndim == 3
