"""Pages of tables: numbers carry the value that sorts them, strings cannot become markup, files lie in the page."""

from __future__ import annotations

import ast
import re
from urllib.parse import unquote

import jinja2
import numpy as np
import pandas as pd
import pytest

from brightpaint.report import pages
from conftest import ROOT


def test_a_table_carries_values_to_sort_by_and_escapes_text():
    frame = pd.DataFrame(
        {"Metadata_Plate": ["0002", "<b>"], "n_cells": [12345, 7], "share": [0.25, np.nan], "kept": [True, False]}
    )
    assert pages.table(frame).__html__() == (
        "<table><thead><tr><th>plate</th><th>n cells</th><th>share</th><th>kept</th></tr></thead><tbody>"
        '<tr><td>0002</td><td data-value="12345">12,345</td><td data-value="0.25">0.25</td><td>True</td></tr>'
        '<tr><td>&lt;b&gt;</td><td data-value="7">7</td><td data-value="">&ndash;</td><td>False</td></tr>'
        "</tbody></table>"
    )


@pytest.mark.parametrize(
    ("values", "written"),
    [([0.25, 0.5], ["0.25", "0.50"]), ([0.4905682, 0.1], ["0.491", "0.100"]), ([1234.5678, 2.0], ["1,235", "2"]),
     ([3.0, 4.0], ["3", "4"]), ([0.00012345, 0.0], ["0.000123", "0.000000"]), ([12.345, -0.5], ["12.3", "-0.5"]),
     ([0.0, 0.0], ["0", "0"]), ([np.inf, 1.5], ["inf", "1.5"])],
)  # fmt: skip
def test_numbers_of_a_column_are_rounded_alike(values, written):
    rows = pages.table(pd.DataFrame({"x": values})).rows
    assert [row.cells[0].text for row in rows] == written
    assert [float(row.cells[0].value) for row in rows] == values


def test_whole_numbers_may_have_gaps():
    assert pages.table(pd.DataFrame({"n": pd.array([1000, None], "Int64")})).__html__().count("&ndash;") == 1


def test_a_page_holds_its_file_its_style_and_its_script_and_escapes_what_it_is_given():
    text = "plate\tn\nP<1>\t2\n"
    values = {
        "plate": "<b>&",
        "arms": [],
        "lost": {"A01": "<i>"},
        "outlier_sd": "3",
        "count_share": "25%",
        "stained": True,
    }
    page = pages.render("wells.html", tsv=text, **values)
    link = page.split('<a download="')[1]
    assert unquote(link.split("charset=utf-8,")[1].split('"')[0]) == text and "<1>" not in link
    assert "<title>brightpaint: wells of &lt;b&gt;&amp;</title>" in page
    assert "<h1>Plate &lt;b&gt;&amp;: wells not to trust</h1>\n<p>Reasons: flagged images;" in page
    assert "<li>A01: &lt;i&gt;</li>" in page and page.endswith("</html>\n")
    assert "td[data-value] { text-align: right }</style>" in page and page.count("<script>") == 1 and "http" not in page


def test_a_page_that_lacks_a_value_is_an_error_and_not_a_page_with_a_gap():
    with pytest.raises(jinja2.UndefinedError, match="tsv"):
        pages.render("missing.html", counts=pages.table(pd.DataFrame({"n": [1]})))


def test_no_module_writes_html_itself():
    """Text that no template escapes could become markup."""
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not re.search(
                    r"</?(td|tr|th|table|p|ul|li|h[1-6]|small|a|dl|dt|dd|html|body)\b[^>]*>", node.value
                ), path
