"""Figures: the right fields, one range for real and predicted, the same bytes."""

from __future__ import annotations

import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.report.figures import active_figure, figures, montage

CHANNELS = {"input": ["BF_L", "BF", "BF_H"], "target": ["DNA", "Odd"]}
SETTINGS = {"channels": CHANNELS, "fields": 2, "dpi": 60, "pixel_size_um": 0.5}


def field_table(plate="P", wells=6):
    rows = [
        {
            "Metadata_Plate": plate, "Metadata_Well": f"A{n + 1:02d}", "Metadata_Site": 1, "Metadata_Tile": 1,
            "Metadata_perturbation": ["c0", "DMSO", "c1", "c1", "c2", ""][n], "Metadata_target": ["T0", "", "T1", "T1", "", ""][n],
            "Metadata_control_type": "negcon" if n == 1 else "", "height_px": 100, "width_px": 100,
        }
        for n in range(wells)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def write(folder, arm, channels, rows=None, seed=0):
    table = field_table() if rows is None else field_table().iloc[rows].reset_index(drop=True)
    rng = np.random.default_rng(seed)
    with store.StackWriter(folder / f"{arm}.tif", (len(table), len(channels), 32, 32), channels, key="x") as writer:
        for row in range(len(table)):
            writer.write(row, rng.normal(size=(len(channels), 32, 32)))
    store.write_table(table, folder / f"{arm}.parquet")


def draw(folder, arms, name="montage.png"):
    figures.main(
        ["montage", "--settings", json.dumps(SETTINGS), "--real", str(folder / "real.tif")]
        + ["--fields", str(folder / "real.parquet"), "--predicted", *(str(folder / f"{arm}.tif") for arm in arms)]
        + ["--arms", *arms, "--figure", str(folder / name)]
    )
    return folder / name


def test_fields_are_far_apart_and_of_different_perturbations_dmso_first():
    fields = field_table()
    chosen = montage.choose_fields(fields, 3)
    assert fields.loc[chosen, "Metadata_Well"].tolist() == ["A02", "A06", "A04"]
    assert fields.loc[montage.choose_fields(fields, 5), "Metadata_perturbation"].is_unique
    assert sorted(montage.choose_fields(fields, 99)) == list(range(6))
    shuffled = fields.sample(frac=1, random_state=3).reset_index(drop=True)
    again = shuffled.loc[montage.choose_fields(shuffled, 3), "Metadata_Well"].tolist()
    assert again == ["A02", "A06", "A04"]


def test_a_montage_is_the_same_every_time_and_survives_shuffled_rows(tmp_path):
    write(tmp_path, "real", CHANNELS["input"] + CHANNELS["target"])
    write(tmp_path, "one", CHANNELS["target"], seed=1)
    first = draw(tmp_path, ["one"]).read_bytes()
    assert draw(tmp_path, ["one"], "again.png").read_bytes() == first
    stack, order = store.open_stack(tmp_path / "one.tif"), [5, 3, 1, 0, 2, 4]
    with store.StackWriter(tmp_path / "two.tif", stack.images.shape, stack.channels, key="x") as writer:
        for row, source in enumerate(order):
            writer.write(row, stack.images[source])
    store.write_table(field_table().iloc[order].reset_index(drop=True), tmp_path / "two.parquet")
    arms = {name: (store.open_stack(tmp_path / f"{name}.tif"), store.read_fields(tmp_path / f"{name}.parquet"))
            for name in ("one", "two")}  # fmt: skip
    field = field_table().iloc[4]
    left, right = (montage.standardised_stains(*source, field, CHANNELS["target"]) for source in arms.values())
    np.testing.assert_array_equal(left, right)


def test_a_predict_plate_has_no_real_row_and_an_arm_of_few_fields_limits_the_choice(tmp_path, caplog):
    write(tmp_path, "real", CHANNELS["input"])
    write(tmp_path, "one", CHANNELS["target"], rows=[2, 4])
    with caplog.at_level("INFO"):
        assert plt.imread(draw(tmp_path, ["one"])).shape[0] > 200
    assert "well A03" in caplog.text and "well A05" in caplog.text and "well A02" not in caplog.text
    with pytest.raises(ValueError, match="neither stains nor predictions"):
        draw(tmp_path, [])


def test_arms_without_a_common_field_are_an_error(tmp_path):
    write(tmp_path, "real", CHANNELS["input"] + CHANNELS["target"])
    write(tmp_path, "one", CHANNELS["target"], rows=[0])
    write(tmp_path, "two", CHANNELS["target"], rows=[1])
    with pytest.raises(ValueError, match="no field is predicted by every arm of one, two"):
        draw(tmp_path, ["one", "two"])


def test_what_is_painted_is_linear_between_the_limits():
    image = np.array([[-1.0, 0.0], [1.0, 9.0]])
    painted = montage.paint(image, (-1.0, 3.0), "white", (2, 2))
    assert painted[..., 0].tolist() == [[0, 64], [128, 255]]
    assert montage.paint(image, (-1.0, 3.0), "#ff0000", (2, 2))[1, 1].tolist() == [255, 0, 0]
    assert montage.paint(np.ones((8, 8)), (0.0, 1.0), "white", (4, 4)).shape == (4, 4, 3)


@pytest.mark.parametrize("width_um, bar", [(100, 20), (256, 50), (648, 100), (45, 10), (3, 0.5)])
def test_the_scale_bar_is_a_round_length_near_a_quarter(width_um, bar):
    assert montage.scale_bar_um(width_um) == pytest.approx(bar)


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
    figures.main(["active", "--settings", '{"dpi": 40}', "--active", str(tmp_path / "active.tsv"),
                  "--wells", str(tmp_path / "wells.parquet"), "--agreement", str(tmp_path / "agreement.tsv"),
                  "--figure", str(tmp_path / "a.png")])  # fmt: skip
    assert plt.imread(tmp_path / "a.png").ndim == 3


def test_losses_are_drawn_by_model_and_fold(tmp_path):
    paths = [tmp_path / f"models/{name}/A/history.jsonl" for name in ("one", "two")]
    for path in paths:
        store.write_json_lines([{"images": n, "loss": 1 / n, "learning_rate": 0.1} for n in (8, 16)], path)
    histories = figures.read_histories(paths)
    assert list(histories) == ["one, A", "two, A"]
    figure = figures.loss_figure(histories)
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == [
        "one, A (0.0625)",
        "two, A (0.0625)",
    ]
    plt.close(figure)
    arguments = [
        "loss",
        "--settings",
        '{"dpi": 40}',
        "--histories",
        *map(str, paths),
        "--figure",
        str(tmp_path / "l.png"),
    ]
    figures.main(arguments)
    first = (tmp_path / "l.png").read_bytes()
    figures.main(arguments)
    assert (tmp_path / "l.png").read_bytes() == first
    with paths[1].open("a") as handle:  # two validations: the first was better
        handle.write('{"images": 8, "validation_loss": 0.3}\n{"images": 16, "validation_loss": 0.4}\n')
    figure = figures.loss_figure(figures.read_histories(paths))
    words = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert words == ["one, A (0.0625)", "two, A (0.0625; 0.3 at 8)"]
    assert [line.get_ydata().tolist() for line in figure.axes[0].lines][1:2] == [[0.3, 0.4]]
    assert figure.axes[0].collections[0].get_offsets().tolist() == [[8.0, 0.3]]
    plt.close(figure)
    paths[0].write_text("")
    with pytest.raises(ValueError, match="history.jsonl: expected JSON lines"):
        figures.read_histories(paths)
