"""Distances of fields in a space by the command: of features and of embeddings, beside another real plate."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.features.embedders import dino
from scores_fixture import CHANNELS, field_table, scored_folder, value  # noqa: F401


def test_distances_stand_beside_those_of_another_real_plate(folder):
    folder.predict("copy", lambda images: images)
    features = [f"Nuclei_{n}" for n in range(5)]
    path = lambda name: folder.root / ("m/copy/P1.parquet" if name == "copy" else f"m/real/{name}.parquet")  # noqa: E731
    for seed, name in enumerate(("P1", "P0", "copy")):
        values = np.random.default_rng(seed).normal({"P1": 0, "P0": 0.3, "copy": 4}[name], 1, (12, 5))
        plate = field_table("P0" if name == "P0" else "P1").assign(Metadata_cells=9)
        store.write_table(pd.concat([plate, pd.DataFrame(values, columns=features)], axis=1), path(name))
    selection = pd.DataFrame({"feature": features, "kept": [1, 1, 1, 1, 0], "reason": ""})
    store.write_table(selection, folder.root / "selection.tsv")
    given = {"real": [path("P0"), path("P1")], "painted": path("copy"), "selection": folder.root / "selection.tsv"}
    frame = folder.score("copy", distances={"cellprofiler": given})
    assert value(frame, "feature_distance") > 3 > value(frame, "feature_distance", column="null") > 0.1
    assert 0.5 < value(frame, "mmd2", column="low") < value(frame, "mmd2") < value(frame, "mmd2", column="high") < 2
    assert abs(value(frame, "mmd2", column="null")) < 0.2 and value(frame, "mmd2", subset="active", column="n") == 6
    alone = folder.score("copy", distances={"cellprofiler": {**given, "real": path("P1")}})
    assert np.isnan(value(alone, "mmd2", column="null")) and value(alone, "mmd2") == value(frame, "mmd2")


def test_distances_of_embeddings_reach_the_table_and_a_missing_table_is_named(folder):
    folder.predict("copy", lambda images: images)
    for name, plate, shift, rows in (("real", "P1", 0, range(12)), ("real", "P0", 0.1, range(12)),
                                     ("copy", "P1", 1, range(11, -1, -1))):  # fmt: skip
        fields, rng = field_table("P1").assign(Metadata_Plate=plate), np.random.default_rng(len(plate + name))
        found = 1 + 0.3 * rng.normal(size=(12, 2, 8)) + shift * np.linspace(-1, 1, 8)
        table = dino.embedding_table(fields, found, CHANNELS["target"]).iloc[list(rows)].reset_index(drop=True)
        store.write_table(table, folder.root / f"embeddings/{name}/{plate}.parquet")
    path = lambda name, plate="P1": str(folder.root / f"embeddings/{name}/{plate}.parquet")  # noqa: E731
    given = lambda painted, *real: {"dino": {"painted": painted, "real": real}}  # noqa: E731
    frame = folder.score("copy", distances=given(path("copy"), path("real", "P0"), path("real")))
    assert set(frame.loc[frame["metric"].str.startswith("embedding_"), "space"]) == {"dino"}
    for metric in ("embedding_distance", "embedding_mmd2"):
        columns = [value(frame, metric, column=name) for name in ("null", "low", "value", "high")]
        assert columns == sorted(columns) and len(set(columns)) == 4
        assert value(frame, metric, column="n") == 12 and value(frame, metric, subset="active", column="n") == 6
    own = folder.score("copy", distances=given(path("real"), path("real")))
    assert value(own, "embedding_distance") == 0 and np.isnan(value(own, "embedding_mmd2", column="null"))
    with pytest.raises(ValueError, match="one table of embeddings of plate P1, arm real, found .*real/P0.parquet"):
        folder.score("copy", distances=given(path("copy"), path("real", "P0")))
    with pytest.raises(ValueError, match="one table of embeddings of plate P1, arm copy, found .*real/P0.parquet"):
        folder.score("copy", distances=given(path("real", "P0"), path("real")))
