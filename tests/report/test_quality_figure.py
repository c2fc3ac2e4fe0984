"""The layout of a plate's quality: every channel and measure, flags marked, the same bytes every time."""

from __future__ import annotations

import json

import matplotlib.pyplot as plt
import pandas as pd

from brightpaint.report.figures import quality_figure
from quality_fixture import CHANNELS, measured_plate, prepared_table, run_flag, spoiled  # noqa: F401


def test_the_figure_is_the_same_bytes_twice(plate, tmp_path):
    measures = spoiled(plate[2])
    run_flag(tmp_path, measures, prepared_table(measures, B03_RNA=0))
    words = ["--settings", json.dumps({"channels": CHANNELS, "dpi": 50}), "--measures", str(tmp_path / "q.parquet")]
    for name in ("one.png", "two.png"):
        quality_figure.main([*words, "--flags", str(tmp_path / "flags.tsv"), "--figure", str(tmp_path / name)])
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_a_panel_a_measure_and_channel_is_drawn_or_said_to_have_no_layout(plate):
    flags = pd.DataFrame(
        {"Metadata_Well": ["A01"], "Metadata_Site": 1, "Channel": "DNA", "flag": "blurred", "excluded": 1}
    )
    figure = quality_figure.quality_figure(plate[2], flags, CHANNELS)
    panels = len(quality_figure.MEASURES) * len(CHANNELS)
    assert len(figure.axes) == 2 * panels  # and their colour bars
    assert "Plate P1: 1 flags, 1 of 12 fields left out" in figure._suptitle.get_text()
    odd = quality_figure.quality_figure(plate[2].assign(Metadata_Well="odd"), flags, CHANNELS)
    assert "no layout to draw" in odd.axes[0].texts[0].get_text()
    plt.close(figure)
    plt.close(odd)
