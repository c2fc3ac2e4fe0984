"""The drawn rule graph is the rules' own."""

from __future__ import annotations

import pytest

from brightpaint.plan import rulegraph
from conftest import ROOT

MERMAID = """---
title: DAG
---
flowchart TB
	id0[all]
	id1[montage]
	id2[prepare]
	style id0 fill:#D97557
	id1 --> id0
	id2 --> id1
"""


def test_edges_bear_the_names_of_rules_and_all_is_left_out():
    assert rulegraph.edges_of(MERMAID) == {("prepare", "montage")}


def test_a_text_without_edges_is_an_error():
    with pytest.raises(ValueError, match="printed no edges"):
        rulegraph.edges_of("Building DAG of jobs...")


@pytest.mark.long
@pytest.mark.slow
def test_the_page_is_what_make_rulegraph_writes(tmp_path):
    rulegraph.main(["--page", str(tmp_path / "page.md")])
    drawn = (tmp_path / "page.md").read_text()
    assert "sample --> gather" in drawn and "simulate --> index" in drawn and "train_classifier --> sample" in drawn
    assert (ROOT / "docs" / "rulegraph.md").read_text() == drawn, "a rule has changed: type make rulegraph"
