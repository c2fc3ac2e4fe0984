"""The table of codecs: each above what stands on it, with the real stains beside them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.report.tables import codec_table
from brightpaint.report.tables.codec_table import IDENTITY, identity_rows

STAINS = ("all", "DNA", "ER")
ARMS = [
    {"arm": "ceiling", "below": False, "preset": "small", "latents": "4 x 32 x 32", "share": "5.0%", "kl_weight": "0.001",
     "adversarial": "0"},
    {"arm": "painted", "below": True},
]  # fmt: skip


def rows(arm, values, space="images", channels=("all",), plates=("T2",)):
    return [
        {"arm": arm, "metric": metric, "subset": "full", "space": space, "plate": plate, "channel": channel, "value": value,
         "low": value - 0.1, "high": value + 0.1, "null": 0.9, "null_bound": np.nan, "floor": np.nan, "n": 8}
        for metric, value in values.items() for channel in channels for plate in plates
    ]  # fmt: skip


def metrics():
    images = rows("ceiling", {"l1": 0.25, "ssim": 0.8, "pcc": 0.9}, channels=STAINS) + rows(
        "ceiling", {"kl_element": 1.5}
    )
    images += rows("painted", {"ssim": 0.6, "pcc": 0.7}, channels=STAINS)
    cells = rows("ceiling", {"feature_distance": 0.4, "map_target": 0.3}, "cellprofiler")
    cells += rows("real", {"map_target": 0.5}, "cellprofiler", plates=("T2", "T9"))
    return pd.DataFrame(images + cells + rows("real", {"pcc_brightfield": 0.2}))


def write(folder):
    frame = metrics()
    for arm in ("real", "ceiling", "painted"):
        store.write_table(frame[frame["arm"] == arm], folder / f"{arm}.parquet")
    words = [
        "--arms",
        json.dumps(ARMS),
        "--metrics",
        *(folder / f"{arm}.parquet" for arm in ("real", "ceiling", "painted")),
        "--seconds",
    ]
    for arm, wall_s in (("ceiling", 2.0), ("painted", 30.0)):
        (folder / arm).mkdir()
        store.write_table(pd.DataFrame({"part": [1], "fields": [8], "wall_s": [wall_s], "cpu_s": [1.0], "computed": ["cpu"]}),
                          folder / arm / "T2.seconds.tsv")  # fmt: skip
        words.append(folder / arm / "T2.seconds.tsv")
    codec_table.main([str(word) for word in [*words, "--html", folder / "codecs.html", "--tsv", folder / "codecs.tsv"]])
    return (folder / "codecs.html").read_text(), store.read_table(folder / "codecs.tsv")


def test_the_identity_loses_nothing_and_matches_as_real_profiles_do():
    found = identity_rows(metrics()).set_index(["metric", "channel", "plate"])["value"]
    assert found["l1", "DNA", "T2"] == 0 and found["pcc", "all", "T2"] == found["ssim", "ER", "T2"] == 1
    assert found["feature_distance", "all", "T2"] == 0 and found["map_target", "all", "T2"] == 0.5
    assert "T9" not in found.index.get_level_values("plate") and "kl_element" not in found.index.get_level_values(
        "metric"
    )


def test_the_page_has_the_identity_the_codec_and_below_it_what_stands_on_it(tmp_path):
    page, table = write(tmp_path)
    order = [page.index(f">{name}<") for name in (IDENTITY, "ceiling", "↳ painted")]
    assert order == sorted(order)
    for word in ("4 x 32 x 32", "5.0%", "0.001", "KL per element", "ER, L1 ↓", "target mAP", ">0.25<", ">3.75<"):
        assert word in page
    assert set(table["arm"]) == {IDENTITY, "ceiling", "painted"}
    assert table.query("arm == 'ceiling' and metric == 'map_target'")["value"].item() == 0.3


def test_seconds_are_of_all_plates_together_and_unknown_where_nothing_was_painted(tmp_path):
    for name, fields in (("a", 4), ("b", 0)):
        store.write_table(pd.DataFrame({"fields": [fields], "wall_s": [2.0 * bool(fields)]}), tmp_path / f"{name}.tsv")
    assert codec_table.seconds_of([tmp_path / "a.tsv", tmp_path / "b.tsv"]) == 0.5
    assert np.isnan(codec_table.seconds_of([tmp_path / "b.tsv"]))
