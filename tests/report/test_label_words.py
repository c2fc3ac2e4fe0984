"""The sentences about labels hold the study's numbers, and judge by the look-up."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from brightpaint.report.tables import label_words, metrics_table

ROLES = {"unlabelled": "unlabelled", "pert": "labelled", "pert_swapped": "swapped", "guided": "guided"}


def frame(values, failed=None):
    """Metrics of arms: {arm: (target mAP, CPcor)}, and {arm: (share painted, wells)} of failed wells."""
    rows = []
    for arm, pair in values.items():
        rows += [
            {"arm": arm, "metric": metric, "value": value, "n": 9} for metric, value in zip(label_words.METRICS, pair)
        ]
    for arm, (value, n) in (failed or {}).items():
        rows.append({"arm": arm, "metric": "failed_painted", "value": value, "n": n})
    known = {"subset": "full", "space": "cellprofiler", "plate": "P1", "channel": "all"}
    numbers = dict.fromkeys(["low", "high", "null", "null_bound", "floor"], np.nan)
    return pd.DataFrame(rows).assign(**known, **numbers)


VALUES = {"unlabelled": (0.25, 0.20), "pert": (0.61, 0.43), "pert_swapped": (0.22, 0.05), "lookup": (0.70, 0.55)}


def test_a_label_that_adds_less_than_the_look_up_is_told_so():
    (text,) = label_words.sentences(frame(VALUES), ROLES)
    assert "pert, shown its perturbation's label, reaches 0.610 (target mAP) and 0.430 (CPcor)" in text
    assert "unlabelled, shown none, 0.250 (target mAP) and 0.200 (CPcor)" in text
    assert "without any image, 0.700 (target mAP) and 0.550 (CPcor)" in text
    assert "pert_swapped, shown wrong labels, 0.220 (target mAP) and 0.050 (CPcor)" in text
    assert (
        "The label adds +0.360 target mAP and +0.230 CPcor; against the look-up it stands at -0.090 target mAP" in text
    )
    assert "no more than looking the perturbation up gives without any image" in text


@pytest.mark.parametrize(
    ("pair", "words"),
    [((0.8, 0.6), "more than the look-up knows"), ((0.8, 0.1), "by one measure and not by the other"),
     ((0.7, 0.55), "no more than looking the perturbation up")],
)  # fmt: skip
def test_the_verdict_follows_both_measures(pair, words):
    assert words in label_words.sentences(frame({**VALUES, "pert": pair}), ROLES)[0]


def test_every_arm_that_knows_the_perturbation_has_its_paragraph():
    texts = label_words.sentences(frame({**VALUES, "guided": (0.3, 0.21)}), ROLES)
    assert [text.split(",")[0] for text in texts] == ["pert", "guided"]
    assert "guided by a classifier of perturbations, reaches 0.300" in texts[1]


def test_without_a_look_up_or_an_unlabelled_arm_nothing_is_claimed():
    for absent in ("unlabelled", "lookup"):
        assert label_words.sentences(frame({k: v for k, v in VALUES.items() if k != absent}), ROLES) == []
    assert label_words.sentences(frame(VALUES), {}) == []


def test_failed_compounds_are_told_with_their_references():
    failed = {"pert": (0.75, 8), "real": (0.125, 8), "unlabelled": (0.25, 8), "lookup": (1.0, 8)}
    (text,) = label_words.sentences(frame(VALUES, failed), ROLES)
    words = "In 75% of the 8 wells whose compound had failed it paints the phenotype that is not there"
    assert f"{words} (real cells 12%, unlabelled 25%, the look-up 100%)." in text
    none = label_words.sentences(frame(VALUES, {"pert": (np.nan, 0)}), ROLES)[0]
    assert "failed" not in none


def test_shares_of_several_plates_are_pooled_by_wells():
    both = pd.concat([frame({}, {"pert": (1.0, 2)}), frame({}, {"pert": (0.0, 6)}).assign(plate="P2")])
    assert label_words.share(both, "pert", "failed_painted") == (0.25, 8)


def test_the_metrics_page_says_it_before_its_tables():
    whole = frame(VALUES)
    page = metrics_table.page(whole, list(VALUES), roles={"shown": ROLES})
    assert page.index("What the label adds over looking it up") < page.index("All perturbations")
    assert "+0.360 target mAP" in page and "What the label adds" not in metrics_table.page(whole, list(VALUES))
