"""The metrics page: every arm and number in it, the best marked, nothing fetched from anywhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.report.tables import metrics_table

NUMBERS = ["value", "low", "high", "null", "null_bound", "floor"]


def row(arm, metric, value, *, subset="full", plate="P1", channel="all", space="images", **more):
    known = dict.fromkeys(NUMBERS, np.nan) | {"value": value} | more
    return {
        "arm": arm,
        "metric": metric,
        "subset": subset,
        "space": space,
        "plate": plate,
        "channel": channel,
        "n": 9,
        **known,
    }


def frame():
    rows = [
        row("real", "pcc_brightfield", 0.3),
        row("real", "pcc_brightfield_sd", 0.4),
        row("real", "pcc_brightfield", 9, plate="P9"),
    ]
    rows += [row("real", "nn", 12.0, space="cellprofiler", null=1.0, null_bound=3.0)]
    for arm, pcc, nn in (("good", 0.8, 7.0), ("weak", 0.35, 2.0)):
        rows += [
            row(arm, "pcc", pcc, channel=c, low=pcc - 0.01, high=pcc + 0.01, null=0.1, floor=0.4)
            for c in ("all", "DNA")
        ]
        rows += [row(arm, "mse", 2 - 2 * pcc), row(arm, "nn", nn, space="cellprofiler", null=1.0, null_bound=3.0)]
    return pd.DataFrame(rows)


class Page(HTMLParser):
    """Collects tables as rows of (class, text), and every address that the page names."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.addresses, self.cell = [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.addresses += [attributes[key] for key in ("src", "href", "action") if key in attributes]
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.cell = [attributes.get("class", ""), ""]
            self.tables[-1][-1].append(self.cell)

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.cell = None

    def handle_data(self, data):
        if self.cell:
            self.cell[1] += data + " "


def test_arms_stand_in_rows_and_the_best_is_marked():
    images, profiles = Page(metrics_table.page(frame(), ["real", "good", "weak"])).tables[:2]
    assert [cell[1].strip() for cell in images[0]] == ["arm", "PCC ↑", "MSE ↓"]
    assert [cell[1].strip() for cell in profiles[0]] == ["arm", "NN matches ↑"]
    rows = {cells[0][1].strip(): cells for cells in images[1:]}
    assert list(rows) == ["good", "weak", "brightfield itself", "local s.d. of brightfield"]
    assert [cell[0] for cell in rows["good"]] == ["", "best", "best"]
    assert rows["good"][1][1].split() == "0.800 [0.790, 0.810] chance 0.100 floor 0.400".split()
    assert "below floor 0.400" in rows["weak"][1][1]
    rows = {cells[0][1].strip(): cells for cells in profiles[1:]}
    assert list(rows) == ["good", "weak", "real Cell Painting"] and rows["good"][1][0] == "best"
    assert rows["weak"][1] == ["chance", "2.0 chance 1.0 within chance "]
    assert rows["real Cell Painting"][1][0] == "" and "12.0" in rows["real Cell Painting"][1][1]


def test_references_are_of_the_test_plates_and_several_plates_are_all_shown():
    both = pd.concat([frame(), pd.DataFrame([row("good", "pcc", 0.6, plate="P2", low=0.1, high=0.9)])])
    rows = {
        cells[0][1].strip(): cells for cells in Page(metrics_table.page(both, ["real", "good", "weak"])).tables[0][1:]
    }
    assert "0.300" in rows["brightfield itself"][1][1] and "9" not in rows["brightfield itself"][1][1]
    assert rows["good"][1][1].split()[:5] == ["0.700", "P1", "0.800", "P2", "0.600"]
    assert "[" not in rows["good"][1][1]


def test_channels_have_their_own_table():
    table = Page(metrics_table.page(frame(), ["real", "good", "weak"])).tables[2]
    assert [cell[1].strip() for cell in table[0]] == ["arm", "all", "DNA"]


def test_a_single_arm_is_not_called_the_best():
    part = frame()
    page = metrics_table.page(part[part["arm"] != "weak"], ["real", "good"])
    assert 'class="best"' not in page


def test_the_page_needs_no_network_and_escapes_names():
    odd = frame().replace({"arm": {"weak": "<script>alert(1)</script>"}})
    text = metrics_table.page(odd, ["real", "good", "<script>alert(1)</script>"])
    assert "<script>alert" not in text and "&lt;script&gt;alert" in text
    page = Page(text)
    assert page.addresses and all(address.startswith("data:") for address in page.addresses)
    assert not re.search(r"https?://|@import|url\(", text)


def test_the_command_writes_both_files_and_refuses_mixed_up_arms(tmp_path):
    whole = frame()
    for arm, part in whole.groupby("arm"):
        store.write_table(part, tmp_path / f"{arm}.parquet")
    arguments = ["--html", str(tmp_path / "m.html"), "--tsv", str(tmp_path / "m.tsv"), "--metrics"]
    arguments += [str(tmp_path / f"{arm}.parquet") for arm in ("real", "good", "weak")]
    metrics_table.main(["--arms", "real", "good", "weak", *arguments])
    tidy = pd.read_csv(tmp_path / "m.tsv", sep="\t")
    assert len(tidy) == len(whole) and tidy.loc[tidy["arm"] == "good", "value"].iloc[0] == 0.8
    first = (tmp_path / "m.html").read_bytes()
    metrics_table.main(["--arms", "real", "good", "weak", *arguments])
    assert (tmp_path / "m.html").read_bytes() == first
    with pytest.raises(ValueError, match="expected metrics of"):
        metrics_table.main(["--arms", "real", "weak", "good", *arguments])


def test_what_is_looked_up_is_a_reference_and_never_the_best():
    looked_up = [row("lookup", "nn", 11.0, space="cellprofiler", null=1.0, null_bound=3.0)]
    text = metrics_table.page(pd.concat([frame(), pd.DataFrame(looked_up)]), ["real", "lookup", "good", "weak"])
    table = Page(text).tables[1]
    names = [cells[0][1].strip() for cells in table]
    assert names[1:] == [
        "good",
        "weak",
        metrics_table.WITHOUT_PREDICTION["lookup"],
        metrics_table.WITHOUT_PREDICTION["real"],
    ]
    (place,) = [number for number, (_, title) in enumerate(table[0]) if title.startswith("NN matches")]
    assert "best" in table[1][place][0] and "best" not in (table[3][place][0] or "")
    assert table[3][place][1].startswith("11.0")


def test_what_should_be_as_real_has_no_arrow_and_no_best_and_noise_its_channels():
    noise = [
        row(arm, "background_noise", value, channel=c)
        for arm, value in (("good", 1.1), ("weak", 0.2))
        for c in ("all", "DNA")
    ]
    counted = [row("good", "cell_count", -0.125, space="cellprofiler", low=-0.2, high=-0.05)]
    text = metrics_table.page(pd.concat([frame(), pd.DataFrame(noise + counted)]), ["real", "good", "weak"])
    images, cells, _, _, by_channel = Page(text).tables[:5]
    assert [cell[1].strip() for cell in images[0]][3:] == ["background noise"] and images[1][3][0] == ""
    assert [cell[1].strip() for cell in cells[0]][1:] == ["cells, difference"]
    assert cells[1][1][0] == "" and cells[1][1][1].split()[0] == "-0.12"
    assert "Background noise by channel" in text and [cell[1].strip() for cell in by_channel[0]] == [
        "arm",
        "all",
        "DNA",
    ]
    assert len(by_channel) == 3


def test_an_arm_that_is_told_the_target_is_marked_and_not_the_best_at_finding_it():
    told = [row("told", "pcc", 0.9), row("told", "nn", 30.0, space="cellprofiler", null=1.0, null_bound=3.0)]
    text = metrics_table.page(pd.concat([frame(), pd.DataFrame(told)]), ["real", "good", "weak", "told"], ["told"])
    images, profiles = ({cells[0][1].strip(): cells for cells in table[1:]} for table in Page(text).tables[:2])
    assert "told †" in images and "shown the target in sampling" in text
    assert images["told †"][1][0] == "best" and profiles["told †"][1][0] == ""
    assert profiles["good"][1][0] == "best"
    assert "†" not in metrics_table.page(frame(), ["real", "good", "weak"], ["told"])


def test_embeddings_have_a_table_of_their_own_and_brightfield_is_a_reference():
    rows = [
        row(arm, "nn", value, space="dino", null=1.0)
        for arm, value in (("good", 5.0), ("weak", 4.0), ("brightfield", 8.0))
    ]
    rows += [row("good", "embedding_mmd2", 0.456, space="dino"), row("good", "mmd2", 0.123, space="cellprofiler")]
    rows += [row("good", "embedding_r", 0.2, space="dino"), row("good", "fid", 12.3), row("good", "fid_sampling", 11.0)]
    html = metrics_table.page(pd.concat([frame(), pd.DataFrame(rows)]), ["good", "weak", "real", "brightfield"])
    main, embedded = html.split("By DINO, which segments no cell")
    assert ">7.0<" in main and ">5.0<" not in main and "12.3" in main and "FID, chance" in main
    table = embedded.split("</table>")[0]
    assert ">5.0<" in table and ">7.0<" not in table and "embedding r" in table and "brightfield itself" not in table
    assert '<tr class="reference"><td>brightfield</td>' in table and "best" in table.split("good")[1].split("</tr>")[0]
    assert ">DINO MMD² ↓<" in table and ">0.456<" in table and ">0.123<" not in table  # each in its own space's table
    assert ">0.123<" in main and ">0.456<" not in main and ">DINO MMD² ↓<" not in main


def translated(arm="doses", space="cellprofiler", **more):
    rows = [
        row(arm, "class_distance", 1.5, space=space, null=0.5, floor=3.0),
        row(arm, "source_kept", 0.4, space=space, floor=0.05),
    ]
    return [*rows, row(arm, "found_inert", 0.02, space=space, null_bound=0.05)]


def test_translations_have_tables_of_their_own_a_space_each_and_are_the_best_at_nothing_else():
    rows = [*translated(), row("doses", "reconstruction_f1", 0.7), *translated(space="dino")]
    whole = pd.concat([frame(), pd.DataFrame(rows)])
    text = metrics_table.page(whole, ["real", "good", "weak", "doses"], roles={"translations": ["doses"]})
    own, predicted = text.split("All perturbations")
    assert (
        "In what" not in own
        and "What the translations are worth" in own
        and "Translations, in the space of DINO" in own
    )
    tables = Page(text).tables
    heads = [[cell[1].strip() for cell in table[0]] for table in tables]
    (first,) = [table for table, head in zip(tables, heads) if "reconstruction, nuclei F1 ↑" in head]
    assert [cells[0][1].strip() for cells in first] == ["arm", "doses"] and "floor 3.00" in first[1][1][1]
    assert "doses" not in predicted.split("What the columns say")[0]
    assert "share of numbers found" in predicted or "compounds known to do nothing" in predicted
    alone = metrics_table.page(pd.DataFrame(rows), ["doses"], roles={"translations": ["doses"]})
    assert (
        "What the translations are worth" in alone and "Test plates: P1" in alone and "All perturbations" not in alone
    )
    assert "translations are worth" not in metrics_table.page(frame(), ["real", "good", "weak"])


def test_an_arm_that_was_shown_the_real_stains_is_a_reference_and_never_the_best():
    shown = [row("ceiling", "pcc", 0.99, channel=c) for c in ("all", "DNA")] + [row("ceiling", "l1", 0.2)]
    roles = {"kinds": {"ceiling": "codec", "good": "network", "weak": "network"}}
    text = metrics_table.page(
        pd.concat([frame(), pd.DataFrame(shown)]), ["real", "ceiling", "good", "weak"], roles=roles
    )
    tables = [table for table in Page(text).tables if any(cells[0][1].strip() == "ceiling" for cells in table)]
    assert len(tables) == 3  # images, codecs, and PCC by channel
    for table in (tables[0], tables[2]):
        marked = {cells[0][1].strip(): "best" in str(cells[1][0]) for cells in table[1:]}
        assert marked["good"] and not marked["ceiling"]
    assert "L1" in tables[1][0][1][1]
