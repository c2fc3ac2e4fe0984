"""Pages of tables: numbers carry the value that sorts them, strings cannot become markup, files lie in the page."""

from __future__ import annotations

from urllib.parse import unquote

import numpy as np
import pandas as pd

from brightpaint import pages


def test_a_table_carries_values_to_sort_by_and_escapes_text():
    frame = pd.DataFrame(
        {"Metadata_Plate": ["0002", "<b>"], "n_cells": [12345, 7], "share": [0.25, np.nan], "kept": [True, False]}
    )
    assert pages.table(frame) == (
        "<table><thead><tr><th>plate</th><th>n cells</th><th>share</th><th>kept</th></tr></thead><tbody>"
        '<tr><td>0002</td><td data-value="12345">12,345</td><td data-value="0.25">0.25</td><td>True</td></tr>'
        '<tr><td>&lt;b&gt;</td><td data-value="7">7</td><td data-value="">&ndash;</td><td>False</td></tr>'
        "</tbody></table>"
    )


def test_whole_numbers_may_have_gaps():
    assert pages.table(pd.DataFrame({"n": pd.array([1000, None], "Int64")})).count("&ndash;") == 1


def test_a_download_holds_the_file_and_a_page_its_heading():
    text = "plate\tn\nP<1>\t2\n"
    link = pages.download("x.tsv", text)
    assert unquote(link.split("charset=utf-8,")[1].split('"')[0]) == text and "<1>" not in link
    page = pages.page("a & b", "A <heading>", "<p>body</p>", "td { color: red }")
    assert "<title>brightpaint: a &amp; b</title>" in page and "<h1>A &lt;heading&gt;</h1>\n<p>body</p>" in page
    assert "td { color: red }</style>" in page and page.count("<script>") == 1 and "http" not in page
