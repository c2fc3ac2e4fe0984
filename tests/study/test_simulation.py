"""What the config asks of the simulator: doses, planes and lines that go together, and sentences where they don't."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from brightpaint.plates.simulator import cell_lines, stains
from brightpaint.study import simulation
from brightpaint.study.study import Study

SCHEMAS = Path(__file__).parents[2] / "workflow" / "schemas"
PLATES = "plate\trole\tcell_line\nP1\tstudy\tU2OS\nP2\tstudy\tHepG2\nP3\tstudy\t\n"


@pytest.fixture
def load(tmp_path):
    def load(table=PLATES, layout="simulated", **changes):
        (tmp_path / "plates.tsv").write_text(table)
        study = {
            "plates": "plates.tsv", "source": {"layout": layout}, "folds": [{"name": "A", "test": ["P3"]}],
            "models": [{"name": "mean", "kind": "mean"}], "arms": [{"name": "mean", "model": "mean", "folds": ["A"]}],
        }  # fmt: skip
        return Study.load({**study, **changes}, SCHEMAS, tmp_path)

    return load


def test_nothing_is_asked_by_default_and_settings_are_as_they_were_before_there_were_options(load):
    simulate = load().config["simulate"]
    assert all(not simulate[name] for name in simulation.OPTIONS)
    assert json.dumps(simulation.asked(simulate), sort_keys=True) == (
        '{"cells_per_field": 25, "columns": 6, "dmso_share": 0.25, "failed_share": 0, "inactive_share": 0.45, '
        '"invisible_share": 0.25, "rows": 4, "seed": 0, "sites": 1, "size_px": 256, "strength": 1}'
    )


def test_an_option_that_is_on_is_asked_with_its_defaults(load):
    asked = simulation.asked(load(simulate={"doses": {}, "confounder": {}}).config["simulate"])
    assert asked["doses"] == {"um": {"top": 10, "factor": 3, "count": 6}, "wells": 1, "layout": "balanced",
                              "toxic_share": 0.2, "censored_share": 0.2}  # fmt: skip
    assert asked["confounder"] == {"shown_in": "all", "strength": 1} and not {"molecules", "planes"} & set(asked)


def test_doses_come_from_a_list_or_a_top_and_a_factor():
    assert simulation.doses_um({"um": [3, 0.1]}) == [0.1, 3.0]
    assert simulation.doses_um({"um": {"top": 8, "factor": 2, "count": 4}}) == [1.0, 2.0, 4.0, 8.0]
    assert [f"{dose:.3g}" for dose in simulation.doses_um({"um": {"top": 10, "factor": 3, "count": 6}})] == [
        "0.0412", "0.123", "0.37", "1.11", "3.33", "10",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "rows, columns, share, wells, layout, fit",
    [
        (4, 6, 0.25, 1, "balanced", 6), (4, 6, 0.25, 2, "balanced", 3), (4, 6, 0.9, 1, "balanced", 0),
        (4, 6, 0.25, 1, "columns", 6), (4, 7, 0.14, 1, "columns", 8), (4, 7, 0.3, 1, "columns", 6),
        (4, 2, 0.1, 1, "columns", 0), (1, 3, 0.0, 1, "columns", 0),
    ],
)  # fmt: skip
def test_as_many_series_fit_as_wells_beside_dmso_allow(rows, columns, share, wells, layout, fit):
    doses = {"um": [1, 2, 3], "wells": wells, "layout": layout}
    simulate = {"rows": rows, "columns": columns, "dmso_share": share, "doses": doses}
    assert simulation.series_that_fit(simulate) == fit


def test_planes_are_named_by_their_stain():
    assert simulation.stain_planes(None) == {}
    assert simulation.stain_planes({"DNA": 2}) == {"DNA": ["DNA_01", "DNA_02"]}
    every = simulation.stain_planes(12)
    assert tuple(every) == stains.STAINS and every["Mito"][-1] == "Mito_12"


def test_the_lines_and_stains_that_are_checked_are_those_that_are_drawn():
    assert tuple(cell_lines.LINES) == simulation.CELL_LINES and simulation.STAINS == stains.STAINS


STACKS = {"input": ["Brightfield"], "target": ["DNA_01", "DNA_02", "AGP"]}


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"simulate": {"doses": {"um": [1, 1.001, 5]}}}, "simulate.doses.um: two doses are 1 uM to three digits"),
        ({"simulate": {"doses": {}, "columns": 3, "rows": 2}}, "6 doses in 1 wells each do not fit a plate of 2 x 3"),
        ({"simulate": {"doses": {}, "failed_share": 0.1}}, "simulate.failed_share with simulate.doses: a failed well"),
        ({"simulate": {"planes": {"DNA": 3}}}, "planes.DNA: 3 planes, but channels.target lacks DNA_01, DNA_02, DNA_03;"),
        ({"simulate": {"planes": {"DNA": 3}}}, "target: DNA, but simulate.planes makes DNA a stack of the channels DNA_01 to"),
        ({"simulate": {"planes": 3}, "channels": STACKS}, "simulate.planes: 3 planes of DNA, but channels.target lacks DNA_03"),
        ({"simulate": {"planes": 2}, "channels": STACKS}, "channels.target: AGP, but simulate.planes makes AGP a stack"),
        ({"simulate": {"planes": {"DNA": 2}}, "channels": {**STACKS, "target": ["DNA_01", "DNA_02", "DNA_03"]}},
         "channels.target: DNA_03, but simulate.planes makes DNA a stack of the channels DNA_01 to DNA_02"),
        ({"simulate": {"confounder": {"shown_in": "brightfield"}}, "channels": {"input": []}}, "simulate.confounder.shown_in"),
        ({"table": PLATES.replace("HepG2", "MCF7")}, "plate P2: cell_line MCF7, but the simulator knows U2OS, A549, HeLa,"),
        ({"simulate": {"doses": {"top": 3}}}, "unknown key top at simulate.doses"),
        ({"simulate": {"planes": {"Brightfield": 3}}}, "unknown key Brightfield at simulate.planes"),
        ({"simulate": {"planes": 1}}, "simulate.planes: 1 is less than the minimum of 2"),
    ],
)  # fmt: skip
def test_options_that_do_not_go_together_are_refused_by_name(load, changes, message):
    with pytest.raises(ValueError) as caught:
        load(**changes)
    assert message in str(caught.value)


def test_real_plates_may_be_of_any_line_and_stacks_that_fit_are_taken(load):
    assert load(table=PLATES.replace("HepG2", "MCF7"), layout="gallery").plates["P2"]["cell_line"] == "MCF7"
    assert load(simulate={"planes": {"DNA": 2}}, channels=STACKS).config["simulate"]["planes"] == {"DNA": 2}
