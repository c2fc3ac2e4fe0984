"""Failed phenotypes by the command: an arm that repeats its label, real cells, and who is not asked."""

from __future__ import annotations

import json

import pandas as pd
from test_failed import FAILING, plates, seen

from brightpaint import store
from brightpaint.scores.profiles import score_failed
from scores_fixture import field_table, words


def test_the_command_finds_every_failed_well_painted_by_an_arm_that_repeats_its_label(tmp_path):
    real, truth = plates(FAILING, seen)
    repeats, _ = plates(FAILING, lambda name, shift, bad: shift, seed=1)
    for name, frame in (("real", real), ("repeats", repeats), ("truth", truth)):
        store.write_table(frame, tmp_path / f"{name}.parquet")
    given = {"real": tmp_path / "real.parquet", "truth": tmp_path / "truth.parquet", "plates": ["P2", "P3"]}
    settings = json.dumps({"training": {"P3": ["P1", "P2"]}})  # P2 trains: nothing is asked of it
    for arm, painted in (("real", 0.0), ("repeats", 1.0)):
        table, profiles = tmp_path / f"{arm}.scores.parquet", tmp_path / f"{arm}.parquet"
        score_failed.main(words(arm=arm, settings=settings, profiles=profiles, table=table, **given))
        rows = store.read_table(table).set_index("metric")
        assert set(rows["plate"]) == {"P3"} and set(rows["space"]) == {"cellprofiler"} and set(rows["arm"]) == {arm}
        assert (rows.loc["failed_painted", "value"], rows.loc["failed_painted", "n"]) == (painted, 3)
        assert (rows.loc["working_painted", "value"], rows.loc["working_painted", "n"]) == (1.0, 6)


def test_an_arm_without_dmso_is_not_asked_for_failed_phenotypes():
    real = field_table("P1")
    painted, actives = real.iloc[2:8], {f"c{n:02d}" for n in range(2, 8)} | {"elsewhere"}
    assert list(score_failed.failed_rows("P1", ["P0"], real, painted, pd.DataFrame(), actives)) == []
