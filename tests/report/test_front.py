"""What the report opens on: the answers in few words, counts, what to beware of, one field, and links that are there."""

from __future__ import annotations

import base64
import json
import re

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.report.tables import front

ANSWER = {
    "purpose": "to look at: stains where they are", "measure": "PCC", "best arm": "a", "reaches": "0.700 [0.650, 0.750]",
    "chance": "better than 0.300", "look-up, no image": "\N{EN DASH}", "regression, same network": "not measured",
    "regression, pixel by pixel": "worse than 0.900", "real replicate plates": "\N{EN DASH}",
}  # fmt: skip


@pytest.mark.parametrize(
    ("verdict", "words"),
    [("better than 0.300", "better"), ("worse than -0.100", "worse"), ("not told from 0.720", "not told apart"),
     ("within chance (0.200)", "within chance"), ("is the best arm", "is the best"), ("not measured", "\N{EN DASH}"),
     ("no chance level", "\N{EN DASH}"), ("\N{EN DASH}", "\N{EN DASH}"),
     ("better on 1 of 3 plates (0.300)", "better on 1 of 3 plates"),
     ("better than on 1, not told from on 2 of 3 plates (0.400)", "better on 1, not told apart on 2 of 3 plates")],
)  # fmt: skip
def test_verdicts_are_said_without_their_numbers(verdict, words):
    assert front.in_short(verdict) == words


def test_the_answers_are_a_table_whose_verdicts_keep_their_numbers_to_hover_over():
    text = front.answer_table(pd.DataFrame([ANSWER])).__html__()
    assert re.findall(r"<th>(.*?)</th>", text) == ["purpose", "best arm", "reaches", "beside chance", "pixel by pixel"]
    assert '<td class="against" title="worse than 0.900">worse</td>' in text
    assert "<small>by PCC</small>" in text and '<td class="best">a</td>' in text


def test_what_to_beware_of_is_said_of_each_arm_once():
    profile = {
        **ANSWER,
        "purpose": "to profile",
        "chance": "within chance (0.2)",
        "look-up, no image": "worse than 0.3",
    }
    count = {**ANSWER, "purpose": "to count", "chance": "within chance (0.1)"}
    said = front.warnings(pd.DataFrame([ANSWER, profile, count]), ["b"], 1, simulated=True)
    assert said[0].startswith("The plates are simulated") and len(said) == 5
    assert said[1] == "a, the best arm, is within chance: to profile; to count."
    assert said[2].endswith("without any image: to profile.") and said[3].startswith("b: told the target")
    assert said[4].startswith("One plate was tested")
    assert front.warnings(pd.DataFrame([ANSWER]), [], 2, simulated=False) == []
    assert "nothing here measures" in front.warnings(pd.DataFrame(), [], 0, simulated=False)[0]


def test_wells_not_to_trust_are_counted_by_plate_and_arm():
    wells = pd.DataFrame({"arm": ["a", "a", "b"], "reasons": ["blurred", np.nan, ""]})
    assert front.doubted({"P1": wells}) == ["a on plate P1: 1 of 2 wells have a reason not to be trusted."]


def test_counts_add_up_what_was_kept_and_left_out_over_plates():
    missing = pd.DataFrame({"wells": [8, 6], "fields": [16, 12], "fields left out": [0, 2]})
    quality = pd.DataFrame({"left_out": [1, 3], "kept": [15, 9]})
    assert list(front.counts(missing, quality).values()) == [2, 14, 24, 2, 4]


def test_the_best_arm_to_look_at_is_pictured_where_it_paints_the_plate():
    answers = pd.DataFrame([{**ANSWER, "best arm": "b"}])
    assert front.shown_arm(answers, ["a", "b"]) == "b" and front.shown_arm(answers, ["a"]) == "a"
    assert front.shown_arm(pd.DataFrame(), ["c", "a"]) == "c"


def test_a_study_that_measures_nothing_has_counts_a_warning_and_no_table(tmp_path):
    store.write_table(pd.DataFrame({"plate": ["P1"], "wells": [4], "fields left out": [0]}), tmp_path / "missing.tsv")
    store.write_table(pd.DataFrame({"plate": ["P1"], "left_out": [1], "kept": [3]}), tmp_path / "quality.tsv")
    settings = {"channels": {}, "plate": "", "kinds": {}, "leaking": [], "simulated": False}
    given = [
        "--missing",
        tmp_path / "missing.tsv",
        "--quality",
        tmp_path / "quality.tsv",
        "--html",
        tmp_path / "front.html",
    ]
    links = [["<b>", [["quality", "results/tables/quality.html"]]]]
    front.main(["--settings", json.dumps(settings), "--pages", json.dumps(links), *map(str, given)])
    text = (tmp_path / "front.html").read_text()
    assert "<table" not in text and "<img" not in text and "nothing here measures the predictions" in text
    assert "<b>1</b> plates" in text and "&lt;b&gt;:" in text and 'data-page="results/tables/quality.html"' in text


def test_translations_stand_on_the_first_page_and_a_control_that_is_found_is_warned_of(tmp_path):
    store.write_table(
        pd.DataFrame({"plate": ["P1"], "wells": [4], "fields": [4], "fields left out": [0]}), tmp_path / "missing.tsv"
    )
    store.write_table(pd.DataFrame({"plate": ["P1"], "left_out": [1], "kept": [3]}), tmp_path / "quality.tsv")
    numbers = dict.fromkeys(["low", "high", "null", "null_bound", "floor"], np.nan)
    place = {"arm": "doses", "subset": "full", "space": "cellprofiler", "plate": "P1", "n": 3, "channel": "all"}
    values = {"class_distance": 1.25, "found_twin": 0.04, "found_inert": 0.3}
    rows = [{**place, **numbers, "metric": metric, "value": value} for metric, value in values.items()]
    store.write_table(pd.DataFrame(rows), tmp_path / "doses.parquet")
    settings = {"channels": {}, "plate": "", "kinds": {}, "leaking": [], "simulated": False, "translations": ["doses"]}
    given = [
        f"--{name}={tmp_path / name}{end}" for name, end in (("missing", ".tsv"), ("quality", ".tsv"), ("html", ""))
    ]
    front.main(["--settings", json.dumps(settings), "--metrics", str(tmp_path / "doses.parquet"), *given])
    text = (tmp_path / "html").read_text()
    assert "<h2>Translations</h2>" in text and ">1.25<" in text and "translations alone are measured" in text
    assert (
        "Translation doses: found, inert, 30.0% of the numbers, where at most 5% are promised" in text
        and "found, A/A, 4" not in text
    )


@pytest.mark.slow
def test_the_page_of_a_study_pictures_one_field_and_names_pages_that_are_there(finished_study):
    text = (finished_study / "results/tables/front.html").read_text()
    picture = re.search(r"base64,([^\"]*)\"", text)[1]
    assert base64.b64decode(picture)[:3] == b"\xff\xd8\xff" and max(map(len, text.splitlines())) < 10_000
    assert "Which arm for which purpose" in text and "<script" not in text and "http" not in text
    pages = re.findall(r'data-page="([^"]+)"', text)
    assert len(pages) > 4 and all((finished_study / page).is_file() for page in pages)
