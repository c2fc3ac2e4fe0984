"""The figure of the actives: the paper's panels, targets, and what is drawn where little is there."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.report.figures import active_figure


def actives(permutations=True):
    rng = np.random.default_rng(0)
    rows = []
    for n in range(9):
        cluster = ["active", "partially active", "inactive", "control", "no cells"][min(n // 2, 4)]
        similar = np.sort(rng.normal(size=5))
        gone = cluster == "no cells"
        rows.append(
            {
                "Metadata_perturbation": f"c{n}", "Metadata_target": f"T{n}", "Metadata_control_type": "negcon" if n == 6 else "",
                "cluster": cluster, "active": int(n < 3), "found": int(n < 3),
                "grit": 3.0 - n, "grit_null": 1.0, "score": similar[2], "score_paper": np.nan if gone else similar[2],
                **{f"similarity_{q:02d}": v for q, v in zip((5, 25, 50, 75, 95), similar)},
                "target_score": np.nan if n > 5 else similar[2], "shift": 5.0 - n if permutations and n < 6 else np.nan,
                "null_shift": 2.0 if permutations and n < 6 else np.nan, "null_p": 0.01 if permutations and n < 6 else np.nan,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def active_wells(table, each=2):
    rows = table.loc[table.index.repeat(each)].reset_index(drop=True)
    points = np.random.default_rng(1).normal(size=(len(rows), 3))
    return pd.concat([rows, pd.DataFrame(points, columns=["PC001", "PC002", "PC003"])], axis=1)


AGREEMENT = pd.DataFrame([["active", "grit", 8, 3, 0, 1, 4, 0.75]], columns=["first", "second", "n", "both", "first_only",
                         "second_only", "neither", "kappa"])  # fmt: skip


@pytest.mark.parametrize("permutations", [True, False])
def test_the_figure_of_actives_has_the_papers_five_panels_and_says_so_without_a_null(permutations):
    table = actives(permutations)
    figure = active_figure.active_figure(table, active_wells(table), AGREEMENT)
    panels = {place.get_title(loc="left")[:1]: place for place in figure.axes}
    assert list(panels) == list("ABCDEFGH")
    for name in "BC":
        assert sum(len(part.get_offsets()) for part in panels[name].collections) == 6  # targets
    assert sum(len(part.get_offsets()) for part in panels["E"].collections) == 18  # wells
    words = [text.get_text() for text in panels["G"].texts]
    assert words == ([] if permutations else ["no null was drawn"])
    assert [text.get_text() for text in panels["H"].texts] == ["0.75\n1 of 8 differ"]
    assert "3 of 8 perturbations are active" == figure._suptitle.get_text()
    plt.close(figure)


def test_grit_of_a_target_is_the_mean_of_its_perturbations_and_a_listed_subset_is_named():
    table = actives()
    table.loc[:1, "Metadata_target"] = ["A|B", "B"]
    units = active_figure.target_table(table).set_index("unit")
    assert units.at["A", "grit"] == 3.0 and units.at["B", "grit"] == 2.5
    listed = active_figure.active_figure(table.assign(found=0), active_wells(table), AGREEMENT)
    assert "by the list of targets in the config; 0 were found" in listed._suptitle.get_text()
    plt.close(listed)


def test_a_plate_of_dmso_alone_still_has_a_figure(tmp_path):
    table = actives().iloc[6:7]
    store.write_table(table.assign(grit=np.nan).astype({"shift": str, "null_p": str}), tmp_path / "active.tsv")
    store.write_table(active_wells(table, each=6), tmp_path / "wells.parquet")
    store.write_table(AGREEMENT[:0], tmp_path / "agreement.tsv")
    active_figure.main(["--settings", '{"dpi": 40}', "--active", str(tmp_path / "active.tsv"),
                  "--wells", str(tmp_path / "wells.parquet"), "--agreement", str(tmp_path / "agreement.tsv"),
                  "--figure", str(tmp_path / "a.png")])  # fmt: skip
    assert plt.imread(tmp_path / "a.png").ndim == 3
