import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.report.figures.effect_figure import effect_figure, main


def table():
    """Return two factors of three that are read, painted and real; a plate is nested in its batch."""
    rows = []
    for kind, own in (("painted", 0.25), ("real", 1.0)):
        for changed in ("dose", "batch"):
            for read in ("dose", "batch", "plate"):
                value = np.nan if (changed, read) == ("batch", "plate") else own if changed == read else 0.0
                rows.append((kind, changed, read, value, 1.0 if changed == read else np.nan))
    return pd.DataFrame(rows, columns=["kind", "changed", "read", "value", "share"])


def test_each_kind_has_a_panel_and_what_has_no_value_is_grey():
    figure = effect_figure(table(), name="both", space="DINO")
    painted, real, colours = figure.axes
    assert [panel.get_title() for panel in (painted, real)] == ["painted, from one noise", "real replicates"]
    drawn = painted.images[0].get_array()
    assert drawn.mask.tolist() == [[False, False, False], [False, False, True]] and drawn[0, 0] == 0.25
    assert [text.get_text() for text in painted.get_yticklabels()] == ["dose, 100% on it", "batch, 100% on it"]
    assert len(painted.texts) == 5 and colours.get_ylabel() == "share of what was asked"


def test_the_command_draws_what_effects_wrote(tmp_path):
    store.write_table(store.as_text(table()), tmp_path / "effects.tsv")
    words = ["--settings", '{"dpi": 50}', "--name", "both", "--space", "dino", "--table", str(tmp_path / "effects.tsv")]
    main([*words, "--figure", str(tmp_path / "figure.png")])
    assert (tmp_path / "figure.png").stat().st_size > 2000
    store.write_table(table().drop(columns="share"), tmp_path / "effects.tsv")
    with pytest.raises(ValueError, match="share"):
        main([*words, "--figure", str(tmp_path / "figure.png")])
