"""Close-ups: the part of a field with most stain, at full size, the same bytes every time."""

from __future__ import annotations

import json

import numpy as np
import pytest

from brightpaint import store
from brightpaint.report.figures import closeup, composite, galleries, montage, panels
from failures_fixture import CHANNELS, SIDE, write_arm

SETTINGS = {"channels": CHANNELS, "fields": 2, "dpi": 60, "pixel_size_um": 0.5}


def arguments(folder, name, arms=("one",)):
    return ["--settings", json.dumps(SETTINGS), "--real", str(folder / "real.tif"), "--fields", str(folder / "real.parquet"),
            "--predicted", str(folder / "one.tif"), "--arms", *arms, "--figure", str(folder / name)]  # fmt: skip


def test_the_part_with_most_stain_is_cut_out_of_every_image_and_framed_in_the_montage(tmp_path):
    write_arm(tmp_path)
    views = galleries.read_views(galleries.read_arguments("", arguments(tmp_path, "c.png")))
    side, corner = composite.CLOSE_UP_PX, (SIDE - composite.CLOSE_UP_PX,) * 2
    assert [view["corner"] for view in views] == [corner] * 2  # the stain lies in the lower right
    small = panels.close_up(views[0], corner)
    np.testing.assert_array_equal(small["stains"]["one"], views[0]["stains"]["one"][:, -side:, -side:])
    assert small["width_um"] == pytest.approx(views[0]["width_um"] * side / SIDE) and "corner" not in small
    frame = panels.scale_marks(views[0])["box"]
    assert frame == pytest.approx([1 - side / SIDE, 1 - side / SIDE, side / SIDE])
    assert "box" not in panels.scale_marks(small)


def test_the_same_bytes_come_every_time_and_are_not_the_montage(tmp_path):
    write_arm(tmp_path)
    for command, name in ((closeup.main, "a.png"), (closeup.main, "b.png"), (montage.main, "m.png")):
        command(arguments(tmp_path, name))
    first, again, whole = ((tmp_path / f"{name}.png").read_bytes() for name in "abm")
    assert first == again != whole


def test_arms_and_stacks_must_be_as_many(tmp_path):
    write_arm(tmp_path)
    with pytest.raises(ValueError, match="--arms and --predicted must be as many; 2 and 1 were given"):
        closeup.main(arguments(tmp_path, "c.png", arms=("one", "two")))
    assert store.read_fields(tmp_path / "one.parquet").shape[0] == 3 and not (tmp_path / "c.png").exists()
