"""The command: a right sampler, a sure one and a painter without noise, told apart in the rows of the metrics table."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from brightpaint import store
from brightpaint.models.paint.sweep_fields import drawn_rows
from brightpaint.scores.calibration import score_calibration
from brightpaint.scores.calibration.calibration_rows import COMPARED
from brightpaint.scores.columns import BY_KEY
from scores_fixture import CHANNELS, field_table, words

FEATURES = [f"Cells_f{n}" for n in range(6)]
WIDTHS = {"right": 1.0, "sure": 0.3, "regression": 0.0}
SAMPLES, SIDE, CELLS = 4, 32, 12


def write(path, images, channels):
    with store.StackWriter(path, images.shape, channels, key="test") as writer:
        for number, image in enumerate(images):
            writer.write(number, image)


class Plate:
    """A test plate P1 and a training plate P0: images and cells are a mean that is known and noise that is not."""

    def __init__(self, root):
        self.root, self.fields = root, field_table("P1")
        rng = self.rng = np.random.default_rng(0)
        self.images = rng.normal(size=(12, 2, SIDE, SIDE))
        self.means = 2 * rng.normal(size=(12, len(FEATURES)))
        bright = rng.normal(size=(12, 2, SIDE, SIDE))
        write(
            root / "images/real/P1.tif",
            np.concatenate([bright, self.noisy(range(12), 1.0)], axis=1),
            sum(CHANNELS.values(), []),
        )
        store.write_table(self.fields, root / "fields/P1.parquet")
        self.cells("real", self.fields, 1.0)
        training = field_table("P0", sites=4)
        values = np.sqrt(5) * rng.normal(size=(len(training), len(FEATURES)))
        self.medians("real", training.assign(Metadata_cells=CELLS), values, "P0")
        store.write_table(pd.DataFrame({"feature": FEATURES, "kept": 1, "reason": ""}), root / "selection.tsv")
        actives = pd.DataFrame({"Metadata_perturbation": ["c02", "c03", "c04"], "active": [1, 1, 0]})
        store.write_table(actives, root / "active.tsv")

    def noisy(self, numbers, width):
        numbers = list(numbers)
        return self.images[numbers] + width * self.rng.normal(size=(len(numbers), 2, SIDE, SIDE))

    def medians(self, arm, rows, values, plate="P1"):
        frame = pd.concat([rows.reset_index(drop=True), pd.DataFrame(values, columns=FEATURES)], axis=1)
        store.write_table(frame, self.root / f"medians/{arm}/{plate}.parquet")

    def cells(self, arm, rows, width):
        """Write the cells of every row and their medians: a field's mean, its noise, and what differs between cells."""
        number = {well: place for place, well in enumerate(self.fields["Metadata_Well"])}
        places = [number[well] for well in rows["Metadata_Well"]]
        centre = self.means[places] + width * self.rng.normal(size=(len(rows), len(FEATURES)))
        between = self.rng.normal(size=(len(rows), CELLS, len(FEATURES)))
        between -= np.median(between, axis=1, keepdims=True)
        values = (centre[:, None] + max(width, 0.1) * between).reshape(-1, len(FEATURES))
        frame = (
            rows.loc[rows.index.repeat(CELLS)]
            .reset_index(drop=True)
            .assign(ObjectNumber=np.tile(np.arange(CELLS), len(rows)))
        )
        frame = pd.concat([frame, pd.DataFrame(values, columns=FEATURES)], axis=1)
        tables = [pa.Table.from_pandas(part, preserve_index=False) for _, part in frame.groupby("Metadata_Well")]
        store.write_groups(tables, self.root / f"cells/{arm}/P1.parquet", tables[0].schema)
        self.medians(arm, rows.assign(Metadata_cells=CELLS), centre)

    def paint(self, arm):
        width = WIDTHS[arm]
        rows = drawn_rows(self.fields, SAMPLES) if width else self.fields
        numbers = np.repeat(np.arange(12), SAMPLES if width else 1)
        write(self.root / f"images/{arm}/P1.tif", self.noisy(numbers, width), CHANNELS["target"])
        store.write_table(rows, self.root / f"images/{arm}/P1.parquet")
        self.cells(arm, rows, width)

    def arguments(self, arm, compared=(), cells=True, active=False, **changes):
        path = lambda text: self.root / text  # noqa: E731
        settings = {"channels": CHANNELS, "cutoff": 15, "fields": 64, "components": 4, "subset": "all",
                    "samples": SAMPLES if WIDTHS[arm] else 1, "training": {"P1": ["P0"]},
                    "references": dict(zip(("regression", "floor"), compared))} | changes  # fmt: skip
        out = path(f"scores/{arm}.parquet")
        given = {
            "medians": path(f"medians/{arm}/P1.parquet"), "cells": path(f"cells/{arm}/P1.parquet"),
            "real_medians": [path(f"medians/real/{plate}.parquet") for plate in ("P0", "P1")],
            "real_cells": path("cells/real/P1.parquet"), "selection": path("selection.tsv"),
        } if cells else {}  # fmt: skip
        given |= {"active": path("active.tsv")} if active else {}
        return words(
            settings=json.dumps(settings), arm=arm, plates="P1", real=path("images/real/P1.tif"), table=out,
            fields=path("fields/P1.parquet"), drawn=path(f"images/{arm}/P1.tif"), by_field=out.with_suffix(".fields.parquet"),
            by_feature=out.with_suffix(".features.parquet"),
            references=[path(f"scores/{name}.fields.parquet") for name in compared], **given,
        )  # fmt: skip

    def score(self, arm, *compared, **changes):
        score_calibration.main(self.arguments(arm, compared, **changes))
        return store.read_table(self.root / f"scores/{arm}.parquet")


@pytest.fixture(scope="module")
def plate(tmp_path_factory):
    made = Plate(tmp_path_factory.mktemp("calibration"))
    for arm in WIDTHS:
        made.paint(arm)
    return made


@pytest.fixture(scope="module")
def scores(plate):
    found = {"regression": plate.score("regression")}
    return found | {arm: plate.score(arm, "regression", active=True) for arm in ("right", "sure")}


def of(frame, metric, column="value", channel="all", subset="full"):
    (found,) = frame.loc[
        (frame["metric"] == metric) & (frame["channel"] == channel) & (frame["subset"] == subset), column
    ]
    return found


def test_a_right_sampler_is_right_in_every_number(scores):
    """12 fields of 1,024 pixels: spread over error within 0.1 in bands of 60 waves and more, features within 0.3."""
    right = scores["right"]
    assert of(right, "spread_error") == pytest.approx(1, abs=0.03)
    assert of(right, "spread_error_4_to_8px") == pytest.approx(1, abs=0.1)
    assert abs(of(right, "pcc_excess")) < 0.01
    for metric in ("component_spread", "cell_sd"):
        assert of(right, metric) == pytest.approx(1, abs=0.3)
    assert of(right, "cell_distribution") < 0.2


def test_a_sure_sampler_is_told_and_scores_worse(scores):
    right, sure = scores["right"], scores["sure"]
    for metric in ("spread_error", "spread_error_under_4px", "component_spread", "cell_sd"):
        assert of(sure, metric, "high") < 1
    assert of(sure, "pcc_excess", "low") > 0.1
    for metric in ("crps", "crps_under_4px", "energy"):
        assert of(sure, metric) > of(right, metric)


def test_a_painter_without_noise_has_no_spread_and_is_as_alike_as_can_be(scores):
    found = scores["regression"]
    assert of(found, "spread_error") == 0 and of(found, "component_spread") == 0 and of(found, "pcc_between") == 1
    assert not found["metric"].str.contains("_gain_").any()


def test_gains_are_paired_with_regression(plate, scores):
    own, other = (store.read_table(plate.root / f"scores/{arm}.fields.parquet") for arm in ("right", "regression"))
    gain = (other["energy"] - own["energy"]).dropna()
    assert of(scores["right"], "energy_gain_regression") == pytest.approx(gain.mean()) and gain.mean() > 0
    assert of(scores["right"], "crps_gain_regression", "low") > 0
    told = {name.removesuffix("_gain_regression") for name in scores["right"]["metric"] if "_gain_" in name}
    assert told == COMPARED


def test_chance_is_another_well_and_is_worse(scores):
    for metric in ("crps", "energy", "feature_error"):
        assert (
            of(scores["right"], metric)
            < of(scores["right"], metric, "null_bound")
            <= of(scores["right"], metric, "null")
        )


def test_every_row_has_its_place_and_its_column(scores):
    for frame in scores.values():
        assert set(frame["metric"]) <= set(BY_KEY)
        assert not frame.duplicated(["metric", "subset", "plate", "channel"]).any()
    right = scores["right"]
    assert set(right.loc[right["metric"] == "spread_error", "channel"]) == {"all", "DNA", "ER"}
    assert of(right, "energy", "n", subset="active") == 2 and of(right, "energy", "n") == 12
    assert (right.loc[right["metric"] == "energy", "space"] == "cellprofiler").all()


def test_fields_are_drawn_and_found_whatever_the_draws_hold(plate):
    found = plate.score("regression", fields=4)
    assert of(found, "crps", "n") == 4


def test_images_alone_are_scored_where_no_cells_are_measured(plate):
    found = plate.score("sure", cells=False)
    assert set(found["space"]) == {"images"} and of(found, "spread_error") < 0.7
    assert len(store.read_table(plate.root / "scores/sure.features.parquet")) == 0


def test_features_are_told_one_by_one(plate):
    plate.score("sure")
    table = store.read_table(plate.root / "scores/sure.features.parquet")
    assert table["feature"].tolist() == FEATURES and (table["ratio"] < 1).all() and set(table["plate"]) == {"P1"}


def test_samples_that_are_not_there_and_references_that_fit_nothing_are_refused(plate):
    with pytest.raises(ValueError, match="draw 4 of plate P1, well A01.*is missing, expected 5 of each field"):
        plate.score("right", samples=5)
    with pytest.raises(ValueError, match="no real medians of its training plates"):
        plate.score("right", training={"P1": ["P7"]})
    with pytest.raises(ValueError, match="--references must name a table for each"):
        plate.score("right", references={"floor": "x", "regression": "y"})
