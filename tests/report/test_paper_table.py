"""The paper's tables: rows by labels in the paper's order, both folds shown, leaking arms marked, TSV equal to the page."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
from test_metrics_table import Page, row

from brightpaint import store
from brightpaint.report.tables import paper_table


def arm(name, label="none", sampling="own", *, subset="all", classifier=None, kind="diffusion", leaking=False):
    return {"name": name, "kind": kind, "label": label, "subset": subset, "sampling_label": sampling, "classifier": classifier,
            "folds": {"P1": "A", "P2": "B"}, "leaking": leaking}  # fmt: skip


ARMS = [
    arm("floor", kind="mean"), arm("t", "target", leaking=True), arm("t0", "target", "none"), arm("p", "perturbation"),
    arm("p0", "perturbation", "none"), arm("u"), arm("wrong", "perturbation", "swapped"), arm("r", kind="regression"),
    arm("at", "target", subset="active", classifier="target", leaking=True), arm("au", subset="active"),
    arm("apc", "perturbation", subset="active", classifier="perturbation"), arm("ap", "perturbation", subset="active"),
]  # fmt: skip


def metrics(names, subset="full"):
    rows = []
    for number, name in enumerate(names):
        for plate in ("P1", "P2"):
            rows.append(row(name, "pcc", 0.5 + 0.01 * number, plate=plate, subset=subset, low=0.4, high=0.6))
            rows.append(
                row(name, "nn", 3.0, plate=plate, subset=subset, space="cellprofiler", null=1.0, null_bound=3.0)
            )
    rows += [row("real", "nn", 12.0, plate=plate, subset=subset, space="cellprofiler") for plate in ("P1", "P2", "P9")]
    rows += [row("real", "pcc_brightfield", 0.3, subset=subset), row("real", "nn", 5, subset=subset, space="dino")]
    return pd.DataFrame(rows)


def test_table_1_has_the_papers_rows_in_its_order_and_what_it_has_not_after_them():
    rows, remark = paper_table.rows_of_table(ARMS, 1)
    pairs = [(each["first"], each["second"]) for each in rows]
    assert pairs[:5] == [
        ("none", "none"),
        ("pert", "none"),
        ("pert", "pert"),
        ("pert", "wrong label"),
        ("target", "none"),
    ]
    assert pairs[5] == ("target", "target") and remark == ""
    assert {each["name"] for each in rows[6:]} == {"floor", "r"}


def test_table_2_is_of_models_trained_on_actives_by_adagn_and_guidance():
    rows, remark = paper_table.rows_of_table(ARMS, 2)
    assert [(each["first"], each["second"]) for each in rows] == [
        ("none", "none"), ("pert", "none"), ("pert", "pert"), ("target", "target")
    ] and remark == ""  # fmt: skip
    rows, remark = paper_table.rows_of_table(ARMS[:3], 2)
    assert len(rows) == 3 and "No model of this study was trained on the active subset" in remark


def test_the_page_marks_who_is_told_the_target_and_shows_both_folds():
    rows, _ = paper_table.rows_of_table(ARMS, 1)
    text = paper_table.page(metrics([each["name"] for each in rows]), rows, 1, "")
    page = Page(text)
    head, *body = page.tables[0]
    titles = [cell[1].strip() for cell in head]
    assert (
        titles[:5] == ["label in training", "label in sampling", "arm", "PCC ↑", "NN matches ↑"]
        and "NN matches, dino ↑" in titles
    )
    by_arm = {cells[2][1].strip(): cells for cells in body}
    assert list(by_arm)[-2:] == ["real", "brightfield"] and "†" in by_arm["t"][1][1] and "†" not in by_arm["p"][1][1]
    assert by_arm["p"][3][1].split()[1:] == ["P1", by_arm["p"][3][1].split()[2], "P2", by_arm["p"][3][1].split()[4]]
    assert "best" not in by_arm["t"][4][0] and "0.300" in by_arm["brightfield"][3][1]
    assert "fold A: P1, fold B: P2" in text
    assert page.addresses and all(address.startswith("data:") for address in page.addresses)


def test_the_command_writes_page_and_tsv_of_the_rows_that_exist(tmp_path):
    frame = metrics(["u", "p"])
    for name, part in frame.groupby("arm"):
        store.write_table(part, tmp_path / f"{name}.parquet")
    settings = {"arms": [arm("p", "perturbation"), arm("u"), arm("t", "target", leaking=True)], "number": 1}
    paper_table.main(["--settings", json.dumps(settings), "--metrics",
                       *(str(tmp_path / f"{n}.parquet") for n in ("real", "u", "p")),
                       "--html", str(tmp_path / "t.html"), "--tsv", str(tmp_path / "t.tsv")])  # fmt: skip
    tidy = pd.read_csv(tmp_path / "t.tsv", sep="\t")
    assert set(tidy["arm"]) == {"real", "u", "p"} and "P9" not in set(tidy["plate"])
    assert tidy.loc[tidy["arm"] == "p", ["first", "second"]].drop_duplicates().to_numpy().tolist() == [["pert", "pert"]]
    assert dict(zip(tidy.query("arm == 'p'")["plate"], tidy.query("arm == 'p'")["fold"])) == {"P1": "A", "P2": "B"}
    shown = Page((tmp_path / "t.html").read_text()).tables[0][1:]
    assert [cells[2][1].strip() for cells in shown] == ["u", "p", "real", "brightfield"]
    assert np.isfinite(tidy["value"]).all()
