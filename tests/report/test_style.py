"""Names from the user's data are text in every figure: no mathematics, and none so long that it crushes a panel."""

from __future__ import annotations

import ast
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib import cbook
from matplotlib.text import Text
from test_active_figure import AGREEMENT, active_wells, actives
from test_axis_dose_figure import tables as axis_tables
from test_axis_figure import ENTRY, placed_wells, told_rows
from test_dose_figure import points_of, row
from test_overlap import profiles
from test_plate_page import field_rows, scores
from test_tsne import wells

from brightpaint.profiles import zero_shot
from brightpaint.report import style
from brightpaint.report.figures import (
    active_figure,
    attention,
    axis_dose_figure,
    axis_figure,
    cellnet_umap,
    dose_figure,
    effect_figure,
    feature_figure,
    gradcamo_figure,
    loss,
    outlines,
    overlap,
    panels,
    plate_page,
    quality_figure,
    shown_fields,
    translation_distance,
    translation_doses,
    tsne,
    uncertainty_figure,
    zero_shot_figure,
)
from conftest import ROOT, swept

HOSTILE = {"mathematics": "$\\frac{a$ {b}_{c^ $x", "long": "y" * 60 + "_z" * 30, "both": "$a$" + "w" * 117}
FIGURES = ROOT / "src" / "brightpaint" / "report" / "figures"


def test_a_name_is_one_line_of_so_many_letters_and_no_mathematics():
    assert style.as_text("DMSO") == "DMSO" and style.as_text(7) == "7"
    assert style.as_text("a $5$ b") == r"a \$5\$ b" and style.as_text("two\nlines\tand \0") == "two lines and"
    assert style.as_text("a" * 40) == "a" * 40 and style.as_text("", 5) == ""
    long = style.as_text("begin" + "x" * 200 + "end", 20)
    assert len(long) == 20 and long.startswith("begin") and long.endswith("end") and long.count("…") == 1
    for name in HOSTILE.values():
        for most in range(1, 45):
            words = style.as_text(name, most)
            assert style.as_text(words, most) == words and not cbook.is_math_text(words)
            assert len(words.replace(r"\$", "$")) <= max(most, 2)
    assert style.in_lines("short", 10) == "short" and style.in_lines("abcdefgh", 5) == "abcde\nfgh"
    assert [len(part) for part in style.in_lines("n" * 99, 8).splitlines()] == [8, 8]
    assert style.in_lines("wortmannin@0.00977uM", 12) == "wortmannin\n@0.00977uM"
    assert style.in_lines("a b c d e f", 6) == "a b c\nd e f" and style.in_lines("@abcdef", 6) == "@abcde\nf"
    assert style.letters_in(1, 10) == 12 and style.letters_in(0.01, 10) == 1


def test_what_is_drawn_of_a_treated_name_is_the_name():
    figure = plt.figure()
    text = figure.text(0, 0, style.as_text("c $5$ and $x"))
    assert text._preprocess_math(text.get_text()) == ("c $5$ and $x", False)
    plt.close(figure)


def heading(name):
    keys = {"Metadata_Well": "A01", "Metadata_Site": 1, "Metadata_Tile": 1}
    return shown_fields.heading_of(pd.Series({**keys, "Metadata_perturbation": name, "Metadata_target": name}))


def fields(name):
    images = np.random.default_rng(0).normal(size=(2, 24, 24))
    view = {
        "heading": heading(name),
        "width_um": 100.0,
        "brightfield": images[0],
        "stains": {"real": images, name: images},
    }
    return panels.draw_fields([view], channels={"input": [name + "b"], "target": [name, "DNA"]}, dpi=60)


def outlined(name):
    labels = {"Nuclei": np.eye(16, dtype=int), "Cells": np.eye(16, dtype=int)}
    source = {"images": np.random.default_rng(0).normal(size=(2, 16, 16)), "labels": labels}
    return outlines.outline_figure(
        [{"heading": heading(name), "sources": {"real": source, name: source}}], [name, "RNA"], 60
    )


def attended(name):
    maps = {"channels": [name, "RNA"], "shown": np.zeros((2, 8, 8)), "maps": np.random.default_rng(0).random((2, 8, 8))}
    seen = [{"real": maps, name: {**maps, "maps": maps["maps"] ** 2}}] * 2
    return attention.attention_figure(seen, [heading(name)] * 2, 60)


def quality(name):
    channels = [name, "RNA"]
    rows = [{"Metadata_Plate": name, "Metadata_Well": well, "Metadata_Site": 1, "Channel": channel, "background": 3.0,
             "slope": -1.0, "maximal": 0.1} for well in ("A01", "B02") for channel in channels]  # fmt: skip
    flags = pd.DataFrame(columns=["Metadata_Well", "Metadata_Site", "Channel", "flag", "excluded"])
    return quality_figure.quality_figure(pd.DataFrame(rows), flags, channels)


def without_layout(name):
    measures = pd.DataFrame({"Metadata_Plate": [name], "Metadata_Well": ["odd"]})
    return quality_figure.quality_figure(measures, measures, [])


def active(name):
    table = actives()
    table["Metadata_perturbation"] = [f"{name}{n}" for n in range(len(table))]
    return active_figure.active_figure(table, active_wells(table), AGREEMENT)


def dosed(name):
    table = pd.DataFrame([row(name, layout=f"dose and column go together on plate {name}"), row("b", "toxic")])
    table = table.assign(Metadata_cell_line=name)
    table = pd.concat([table, table.assign(Metadata_cell_line="HeLa")])
    return dose_figure.dose_figure(table, points_of(table), arm=name, space="some numbers")


def features(name):
    groups = [f"Cells_Texture_Contrast_{name}_3", "Nuclei_Intensity_Mean_RNA", f"Cells_{name}_x_RNA"]
    kept = {name: pd.Series(0.5, index=groups), name + "2": pd.Series(dtype=float)}
    return feature_figure.feature_figure(kept, [name, "RNA"])


def overlapping(name):
    arms = {(arm, "cellprofiler"): {"P": profiles([1])} for arm in ("real", name)}
    return overlap.overlap_figure(overlap.overlap_table(arms, None), {})


def layouts(name):
    pair = tsne.paired_wells(wells(8, plate=name), wells(8, plate=name, seed=1))
    few = tsne.paired_wells(wells(2), wells(2))
    return tsne.tsne_figure({name: pair, name + "2": few}, 60)


def risks(name):
    sure, error = np.random.default_rng(0).random((2, 12))
    return uncertainty_figure.risk_figure({name: (sure, error), "RNA": (sure[:0], error[:0])}, "seed")


def history(name):
    frame = pd.DataFrame({"images": [1, 2, 3], "loss": [0.5, 0.4, 0.3]})
    return loss.loss_figure({f"{name}, A": frame, "b, A": frame})


def classes_of(name):
    """Rows of a translation's classes: a compound of this name at two doses, and one of no dose."""
    places = [(f"{name}@1uM", name, 1.0), (f"{name}@3uM", name, 3.0), (name, "", np.nan)]
    return pd.DataFrame([
        {"plate": name, "class": shown, "perturbation": compound, "dose": dose, "control": "", "reference": reference,
         "distance": 1.0, "low": 0.5, "high": 2.0, "kept": 0.5}
        for shown, compound, dose in places for reference in ("translation", "identity")
    ])  # fmt: skip


def near(name):
    return translation_distance.distance_figure(classes_of(name), arm=name, space="s")


def by_dose(name):
    rows = [{"class": f"{name}@{dose}uM", "number": name, "control": "", "real_p": 0.01} for dose in (1, 3)]
    shown = [("DMSO", 0), (f"{name}@1uM", 1), (f"{name}@3uM", 2)]
    wells = pd.DataFrame([{"kind": kind, "Metadata_Plate": name, "class": place, name: value}
                          for kind in ("real", "translation") for place, value in shown])  # fmt: skip
    correlations = pd.DataFrame({"kind": ["translation"], "r": [0.5], "real": [1]})
    metrics = pd.DataFrame({"metric": ["dose_r"], "null_bound": [0.6]})
    return translation_doses.doses_figure(
        correlations, metrics, wells, pd.DataFrame(rows), classes_of(name), arm=name, space="s"
    )


DRAWN = {
    "panels": fields, "outlines": outlined, "attention": attended, "quality_figure": quality, "plate without layout":
    without_layout, "active_figure": active, "dose_figure": dosed, "feature_figure": features, "overlap": overlapping,
    "translation_distance": near, "translation_doses": by_dose,
    "tsne": layouts, "uncertainty_figure": risks, "loss": history, "plate_page": lambda name: plate_page.plate_page(
        {name: scores(["A01", "B02"])}, {"real": field_rows(["A01"]), name: field_rows(["A01"])}, field_rows(["A01"])),
}  # fmt: skip
# What writes no text of its own, or none with a name: it draws by one of those above, or only fixed words.
THROUGH_OTHERS = {
    "closeup", "composite", "failures", "galleries", "montage", "noise", "plate_layout", "shown_fields", "sweep_figure",
    "translation_strip", "worst",
}  # fmt: skip


def on_axis(name: str) -> plt.Figure:
    wells = placed_wells().replace({"Metadata_perturbation": {"riser": name, "mock": name + "m"}})
    return axis_figure.axis_figure(
        wells, told_rows(), arm=name, space="s", entry={**ENTRY, "name": name, "positive": [name + "m"]}
    )


def on_axis_by_dose(name: str) -> plt.Figure:
    table, means = (frame.replace({"Metadata_perturbation": {"a": name}}) for frame in axis_tables())
    return axis_dose_figure.axis_dose_figure(table, means, None, arm=name, space="s", name=name)


def confused(name: str) -> plt.Figure:
    matrix = zero_shot.confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), [name, "b"], zero_shot.SVM)
    told = {"metric": "balanced_accuracy", "value": 0.8, "low": 0.5, "high": 0.9, "null": 0.5, "p": 0.1, "wells": 3,
            "protocol": "strict", "seen_by": "", "classifier": zero_shot.SVM}  # fmt: skip
    return zero_shot_figure.zero_shot_figure(matrix, pd.DataFrame([told]), arm=name, space="s", name=name)


def looked_at(name: str) -> plt.Figure:
    cells = pd.DataFrame({"class": [name, name, "b"], "lift": [2.0, 1.0, 3.0], "camo": [0.6, 0.3, 0.9], "area": 0.3})
    picked = gradcamo_figure.pick_cells(cells)
    mask = np.eye(8) > 0
    return gradcamo_figure.cells_figure(picked, [(np.ones((8, 8)), np.ones((8, 8)), mask)] * len(picked), name)


def looked_at_scores(name: str) -> plt.Figure:
    cells = pd.DataFrame({"class": [name, name, "b"], "lift": [2.0, 1.0, 3.0], "camo": [0.6, 0.3, 0.9], "area": 0.3})
    return gradcamo_figure.scores_figure(cells, name)


def mapped(name: str) -> plt.Figure:
    rng = np.random.default_rng(0)
    panels = {"at 0 crops": (rng.random((6, 2)), "mAP 0.50"), "as used": (rng.random((6, 2)), "mAP 0.70")}
    return cellnet_umap.umap_figure(panels, np.array([name, "b", "c"] * 2), "real", 0)


def with_effects(name: str) -> plt.Figure:
    rows = [(kind, changed, read, 0.5, 1.0) for kind in ("painted", "real") for changed in ("dose", "batch")
            for read in ("dose", "batch")]  # fmt: skip
    table = pd.DataFrame(rows, columns=["kind", "changed", "read", "value", "share"])
    return effect_figure.effect_figure(table, name=name, space="s")


DRAWN |= {"cellnet_umap": mapped, "effect_figure": with_effects}
DRAWN |= {"gradcamo_figure": looked_at, "gradcamo_figure, scores": looked_at_scores}
DRAWN |= {"axis_figure": on_axis, "axis_dose_figure": on_axis_by_dose, "zero_shot_figure": confused}


def laid_out(figure: plt.Figure) -> tuple[list[Text], list[float]]:
    """Draw a figure; return its texts and the widths and heights of its panels in inches."""
    figure.canvas.draw()
    sizes = [side / figure.dpi for axes in figure.axes for side in axes.get_window_extent().size]
    return [text for text in figure.findobj(Text) if text.get_text()], sizes


@pytest.mark.filterwarnings("error::UserWarning")  # a layout that does not fit is a warning of matplotlib's
@pytest.mark.parametrize("name", swept(HOSTILE.values(), [HOSTILE["both"]]), ids=HOSTILE)
@pytest.mark.parametrize("kind", DRAWN)
def test_every_kind_of_figure_draws_names_as_text_and_keeps_its_panels(kind, name, monkeypatch):
    monkeypatch.setattr(tsne, "SHUFFLES", 2)
    with plt.rc_context(style.STYLE):
        _, plain = laid_out(DRAWN[kind]("cpd"))
        texts, sizes = laid_out(DRAWN[kind](name))
    plt.close("all")
    mathematics = [text.get_text() for text in texts if cbook.is_math_text(text.get_text())]
    assert [words for words in mathematics if "mathdefault" not in words] == []  # but for powers of ten on an axis
    assert max(len(line) for text in texts for line in text.get_text().splitlines()) < 230
    shown = " ".join(text.get_text() for text in texts)
    assert any(part in shown for part in ("frac", "yyy", "www"))
    assert len(name) < 40 or name not in shown.replace(r"\$", "$")  # a long one is never whole
    assert len(sizes) == len(plain) and all(now > 0.55 * before for now, before in zip(sizes, plain))


def test_every_module_that_draws_is_among_those_that_are_drawn_here():
    modules = {path.stem for path in FIGURES.glob("*.py")} - {"__init__"}
    assert modules == (set(DRAWN) & modules) | THROUGH_OTHERS
    for name in set(DRAWN) & modules:
        assert "as_text" in imported(FIGURES / f"{name}.py"), f"{name} writes names and takes no as_text"


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}


def test_the_check_of_mathematics_can_fail():
    figure = plt.figure()
    figure.text(0, 0, HOSTILE["mathematics"] + "$")
    with pytest.raises(ValueError, match="ParseException|ParseFatalException|Expected"):
        figure.canvas.draw()
    plt.close(figure)
