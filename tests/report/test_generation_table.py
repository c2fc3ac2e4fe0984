"""The page of treatments painted from conditions alone: whether the model lies above its floors, as intervals say."""

from __future__ import annotations

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.report.tables import generation_table
from brightpaint.report.tables.generation_table import sentence
from brightpaint.scores.generation.gains import COLUMNS


def rows(gains, split="scaffold", metrics=("correlation", "rank"), model=0.62):
    """Return a table of the rule `generation`: {baseline: (gain, its low end)} beside a model."""
    table = [{"split": split, "baseline": "model", "metric": metric, "value": model, "low": 0.5, "high": 0.7, "treatments": 24,
              "groups": 8} for metric in metrics]  # fmt: skip
    table += [{"split": split, "baseline": name, "metric": metric, "value": model - gain, "low": 0.1, "high": 0.3, "gain": gain,
               "gain_low": low, "gain_high": 2 * gain, "treatments": 24, "groups": 8}
              for metric in metrics for name, (gain, low) in gains.items()]  # fmt: skip
    return pd.DataFrame(table).reindex(columns=COLUMNS)


def test_the_command_writes_a_page_with_a_sentence_for_every_arm_space_and_split(tmp_path):
    better = rows({"ridge": (0.3, 0.1), "nearest neighbours": (0.4, 0.2), "mean": (0.62, 0.5)})
    (tmp_path / "made").mkdir()
    seen = rows({"ridge": (-0.1, -0.2), "nearest neighbours": (0.4, 0.2)}, "seen")
    store.write_table(store.as_text(pd.concat([seen, better])), tmp_path / "made" / "dino.tsv")
    generation_table.main(["--tables", str(tmp_path / "made" / "dino.tsv"), "--html", str(tmp_path / "page.html")])
    page = (tmp_path / "page.html").read_text()
    assert page.count("<h2>") == 2 and "made, DINO&#39;s embeddings: molecules of held-out scaffolds" in page
    assert "The model lies above ridge regression on fingerprints (0.32 [0.10, 0.30]; gain 0.30 [0.10, 0.60])" in page
    assert "The model does not lie above" in page and "gain 0.62" in page


def test_one_interval_that_reaches_nought_is_no_claim():
    said = sentence(rows({"ridge": (0.3, -0.01), "nearest neighbours": (0.4, 0.2)}))
    assert said.startswith(
        "Of 24 molecules of held-out scaffolds (8 scaffolds), effects correlate with the real ones by 0.62 [0.50, 0.70]."
    )
    assert "does not lie above ridge regression on fingerprints" in said and said.endswith(
        "no knowledge of what it was not trained on is claimed."
    )
    assert "The model lies above" in sentence(rows({"ridge": (0.3, 0.01), "nearest neighbours": (0.4, 0.2)}))
    unknown = rows(
        {"ridge": (0.3, np.nan), "nearest neighbours": (0.4, 0.2)}
    )  # one scaffold alone: no interval, no claim
    assert "does not lie above" in sentence(unknown) and "no interval: one group alone" in sentence(unknown)


def test_treatments_painted_without_a_cell_are_told():
    table = rows({"mean": (0.0, -0.1), "DMSO": (0.7, 0.6)}, "dose")
    bare = {"split": "dose", "baseline": "model", "metric": "with_cells", "value": 0.75, "treatments": 24, "groups": 24}
    assert "25% of them were painted without a cell and count as the mean." in sentence(
        pd.concat([table, pd.DataFrame([bare])])
    )
    assert "without a cell" not in sentence(pd.concat([table, pd.DataFrame([{**bare, "value": 1.0}])]))


def test_without_molecules_the_mean_and_dmso_are_the_floors():
    said = sentence(rows({"mean": (0.62, 0.5), "DMSO": (0.7, 0.6)}, "seen"))
    assert (
        "The model lies above mean of the training treatments" in said
        and "DMSO" in said
        and "24 treatments seen in training" in said
    )
    assert sentence(rows({"mean": (0.0, -0.1), "DMSO": (0.7, 0.6)}, "dose")).endswith(
        "no knowledge of treatments is claimed."
    )


def images(gain, low, high, replicate=0.05):
    """Return a table of the rule `generated_images`: the model at 0.2, and real replicates nearer by -gain."""
    own = {"split": "seen", "metric": "patch_distance_64px", "treatments": 12, "groups": 12}
    rows = [{**own, "baseline": "model", "value": 0.2, "low": 0.15, "high": 0.25},
            {**own, "baseline": "real replicate", "value": replicate, "low": 0.03, "high": 0.07, "gain": gain, "gain_low": low,
             "gain_high": high}]  # fmt: skip
    return pd.DataFrame(rows).reindex(columns=COLUMNS)


def test_images_have_a_sentence_of_their_own_and_a_column_a_level(tmp_path):
    (tmp_path / "made").mkdir()
    table = pd.concat([images(-0.15, -0.2, -0.1), images(-0.15, -0.2, -0.1).assign(metric="patch_distance_32px")])
    store.write_table(store.as_text(table), tmp_path / "made" / "images.tsv")
    generation_table.main(["--tables", str(tmp_path / "made" / "images.tsv"), "--html", str(tmp_path / "page.html")])
    page = (tmp_path / "page.html").read_text()
    assert "made, images: treatments seen in training" in page and "patch distance 32px" in page
    assert "patches at 64px lie 0.20 [0.15, 0.25] s.d. from those of real images" in page
    said = generation_table.sentence_of_images(images(-0.15, -0.2, -0.1))
    assert said.endswith(
        "real training plates 0.05 [0.03, 0.07]. The model&#39;s lie farther away, by paired intervals.".replace(
            "&#39;", "'"
        )
    )
    assert "not farther away" in generation_table.sentence_of_images(images(-0.15, -0.3, 0.01))
    assert "no real image" in generation_table.sentence_of_images(images(np.nan, np.nan, np.nan, np.nan))
