"""FID and KID by the command: a copy is at none, brightfield is far, a plate without its table is named."""

from __future__ import annotations

import numpy as np
import pytest

from brightpaint import store
from scores_fixture import CHANNELS, field_table, scored_folder, value  # noqa: F401


def test_image_distances_reach_the_table_and_a_missing_plate_is_named(folder):
    from brightpaint.features.embedders import inception

    for arm, channels, shift in (
        ("real", CHANNELS["target"], 0),
        ("copy", CHANNELS["target"], 0),
        ("brightfield", CHANNELS["input"], 2),
    ):
        for plate in ("P0", "P1"):
            rows, rng = field_table(plate), np.random.default_rng(3)
            found = np.zeros((len(rows), len(channels), inception.FEATURES), np.float32)
            found[..., :4] = shift + rng.normal(size=(*found.shape[:2], 4))
            store.write_table(
                inception.feature_table(rows, found, channels), folder.root / f"inception/{arm}/{plate}.parquet"
            )
    folder.predict("copy", lambda images: images)
    paths = lambda arm, plate="P1": str(folder.root / f"inception/{arm}/{plate}.parquet")  # noqa: E731
    given = {"painted": paths("copy"), "real": paths("real"), "brightfield": paths("brightfield")}
    frame = folder.score("copy", frechet=given)
    assert value(frame, "fid") == pytest.approx(0, abs=1e-5) and value(frame, "fid", column="floor") > 5
    assert value(frame, "kid", channel="DNA") < 0.01 and value(frame, "fid", column="n") == 12
    real = folder.score("real", plates=("P0", "P1"), frechet={"real": [paths("real", "P0"), paths("real")]})
    assert (real["metric"] == "fid").sum() == 2 * 2 * 3  # plates, subsets, channels and their mean
    with pytest.raises(ValueError, match="expected one table of Inception features of plate P1, arm copy"):
        folder.score("copy", frechet={**given, "painted": paths("copy", "P0")})
