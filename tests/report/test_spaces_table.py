"""Spaces side by side by their tables: what the critic gains over another on the same wells, with an interval that can say no."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.report.tables import spaces_table
from brightpaint.scores.profiles.replicates_found import found_again
from brightpaint.study.spaces import SPACES

WELLS = [f"{row}{column:02d}" for row in "ABCDEFGH" for column in range(1, 7)]
RIGHT = {"critic": 1.0, "critic_untrained": 0.5, "pixels": 1.0}


def placed(share: float, seed: int = 0) -> pd.DataFrame:
    """Return the wells of an axis, of which this share is called right."""
    rng, labels = np.random.default_rng(seed), np.array(["-", "+"] * (len(WELLS) // 2))
    right = rng.random(len(WELLS)) < share
    called = np.where(right, labels, np.where(labels == "+", "-", "+"))
    on = np.where(called == "+", 1.0, -1.0) + 0.1 * rng.normal(size=len(WELLS))
    return pd.DataFrame(
        {"Metadata_Plate": "P", "Metadata_Well": WELLS, "class": labels, "called": called, "tested": 1, "on": on}
    )


def written(folder):
    """Write an axis of three spaces, zero-shot classes of one, and real profiles of two; return the command line."""
    axis, zero = folder / "axis" / "health" / "real", folder / "zero_shot" / "lines" / "real"
    axis.mkdir(parents=True), zero.mkdir(parents=True)
    words = {"accuracies": [], "wells": [], "zero-shot": [zero / "critic.accuracy.tsv"], "profiles": []}
    for space, share in RIGHT.items():
        wells = placed(share)
        told = [{"cell_line": "", "fitted": "all wells", "metric": metric, "value": measure(wells), "low": 0.1, "high": 1,
                 "null": 0.5, "p": 0.01, "wells": 48, "protocol": "strict"}
                for metric, measure in (("accuracy", spaces_table.accuracy_of), ("auc", spaces_table.auc_of))]  # fmt: skip
        told.append({**told[0], "cell_line": "U2OS", "value": 0.0})
        for word, name, frame in (("accuracies", "accuracy", pd.DataFrame(told)), ("wells", "wells", wells)):
            path = axis / f"{space}.{name}.tsv"
            store.write_table(store.as_text(frame), path)
            words[word].append(path)
    one = {
        "metric": "accuracy",
        "value": 0.75,
        "low": 0.5,
        "high": 0.9,
        "null": 0.5,
        "p": 0.2,
        "wells": 8,
        "protocol": "strict",
    }
    told = pd.DataFrame(
        [{"classifier": "linear SVM", **one}, {"classifier": "linear SVM", **one, "metric": "balanced_accuracy"}]
    )
    store.write_table(store.as_text(told), words["zero-shot"][0])
    for space, noise in (("critic", 0.1), ("pixels", 5.0)):
        path = folder / "profiles" / "real" / space / "perturbations.parquet"
        path.parent.mkdir(parents=True)
        store.write_table(profiles(noise, SPACES[space].prefixes[0]), path)
        words["profiles"].append(path)
    listed = [str(part) for word, paths in words.items() for part in (f"--{word}", *paths)]
    return [
        "--groups",
        json.dumps({"health": "Well"}),
        *listed,
        "--tsv",
        str(folder / "t.tsv"),
        "--html",
        str(folder / "t.html"),
    ]


def profiles(noise: float, prefix: str = "x", names: int = 12) -> pd.DataFrame:
    """Return profiles of treatments on three plates: each its own direction, and noise."""
    rng, rows = np.random.default_rng(1), []
    own = np.random.default_rng(0).normal(size=(names, 20))
    for plate in ("P1", "P2", "P3"):
        values = own + noise * rng.normal(size=own.shape)
        table = pd.DataFrame(values, columns=[f"{prefix}{n:03d}" for n in range(20)])
        keys = {"Metadata_Plate": plate, "Metadata_perturbation": [f"c{n:02d}" for n in range(names)]}
        rows.append(
            pd.concat([pd.DataFrame({**keys, "Metadata_target": "", "Metadata_control_type": ""}), table], axis=1)
        )
    return pd.concat(rows, ignore_index=True)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spaces")
    spaces_table.main(written(folder))
    return store.read_table(folder / "t.tsv"), (folder / "t.html").read_text()


def test_one_table_has_every_question_the_critic_first(table):
    frame, page = table
    assert list(frame.columns) == spaces_table.COLUMNS
    assert frame["question"].unique().tolist() == [
        "axis health",
        "zero-shot lines, linear SVM",
        spaces_table.REPLICATES,
    ]
    axis = frame[(frame["question"] == "axis health") & (frame["metric"] == "accuracy")]
    assert (
        axis["space"].tolist() == ["critic", "critic_untrained", "pixels"] and axis["value"].astype(float).min() > 0
    )  # all lines
    assert len(frame[frame["question"].str.startswith("zero-shot")]) == 1  # accuracy alone
    assert "Pooled pixels" in page and "spaces.tsv" in page


def test_a_gain_is_that_on_the_same_wells_and_its_interval_can_say_no(table):
    frame, page = table
    axis = frame[frame["metric"] == "accuracy"].set_index("space")
    right = spaces_table.accuracy_of(placed(RIGHT["critic_untrained"]))
    row = axis.loc["critic_untrained"]
    assert float(row["gain"]) == pytest.approx(1 - right) and float(row["gain_low"]) > 0.2
    same = axis.loc["pixels"]
    assert float(same["gain"]) == float(same["gain_low"]) == float(same["gain_high"]) == 0
    assert axis["gain"].isna()["critic"].any()
    assert "axis health (accuracy): better than Untrained critic;" in page


def test_replicates_are_found_where_they_lie_together(table):
    found = table[0][table[0]["metric"] == "map_replicate"].set_index("space")
    assert float(found.loc["critic", "value"]) == 1 and float(found.loc["critic", "p"]) < 0.05
    assert 0 < float(found.loc["pixels", "value"]) < 0.9 and float(found.loc["pixels", "gain_low"]) > 0
    assert float(found.loc["critic", "shuffled"]) == pytest.approx(
        np.mean([1 / rank for rank in range(1, 25)]) * 1.5, abs=0.15
    )


def test_what_a_plate_adds_to_all_of_its_treatments_changes_nothing():
    own = {plate: frame.set_index("Metadata_perturbation") for plate, frame in profiles(2.0).groupby("Metadata_Plate")}
    plain, _ = found_again(own, "x")
    features = [name for name in own["P1"] if name.startswith("x")]
    moved = own["P1"].assign(**{name: 9 + 3 * own["P1"][name] for name in features})
    shifted, _ = found_again({**own, "P1": moved}, "x")
    np.testing.assert_allclose(shifted, plain)
    assert 0.3 < plain.mean() < 1


def test_treatments_of_one_plate_are_not_asked():
    values, null = found_again({"P1": profiles(0.1).set_index("Metadata_perturbation").iloc[:12]}, "x")
    assert not len(values) and not len(null)


def test_wells_of_one_class_give_no_gain():
    wells = placed(1.0).assign(group=WELLS).set_index(store.WELL_KEYS)
    one = wells[wells["class"] == "+"]
    assert np.isnan(spaces_table.gained(one, one, spaces_table.accuracy_of, "x")).all()


def test_a_small_p_is_not_shown_as_nothing():
    row = {"question": "axis a", "arm": "real", "metric": "accuracy", "value": 0.9, "low": 0.8, "high": 1.0, "shuffled": 0.5,
           "wells": 9, "protocol": "strict"}  # fmt: skip
    rows = [
        {**row, "space": "critic", "p": 0.00497512},
        {**row, "space": "pixels", "p": 1.0},
        {**row, "space": "autoencoder"},
    ]
    shown = spaces_table.page(spaces_table.spaces_table(rows))
    assert "0.005" in shown and "1.000" in shown and ">0.00<" not in shown
