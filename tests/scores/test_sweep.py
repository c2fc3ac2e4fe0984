"""The sweep: its points as arms, its fields, its table on predictions of known worth."""

import json

import numpy as np
import pandas as pd
import pytest
from test_study import config as study_config

from brightpaint import store
from brightpaint.models.paint import sweep_fields
from brightpaint.scores.images import sweep
from brightpaint.scores.profiles import discrepancy, feature_distance
from brightpaint.study.samplers import evaluations
from brightpaint.study.sweep_points import point_arms, problems, reference

POINT = {"sampler": "ddim", "steps": 10, "spacing": "level", "eta": 0, "label_scale": None, "reference": False}
CHANNELS = {"input": ["BF"], "target": ["DNA", "ER"]}
WELLS, SIZE = 10, 24


def study(*points, **changes):
    """A config as the schema fills it, with these points."""
    chosen = {
        "arm": None,
        "fold": None,
        "fields": 4,
        "samples": 1,
        "seed": None,
        "points": [{**POINT, **point} for point in points],
    }
    arm = {"name": "pert", "model": "pert", "folds": ["A"], "sampler": "ddim", "steps": 25, "seed": 3, "samples": 4}
    arm |= {"spacing": "level", "eta": 0, "label_scale": 2}
    model = {"name": "pert", "kind": "diffusion", "label": "perturbation"}
    folds = [{"name": "A", "test": ["P3"]}, {"name": "B", "test": []}]
    return {"sweep": {**chosen, **changes}, "arms": [arm], "models": [model], "folds": folds}


# --- the section ---------------------------------------------------------------------------------


def test_points_are_the_arm_with_other_sampling():
    arms = point_arms(
        study({"steps": 5}, {"sampler": "heun", "spacing": "karras", "label_scale": 1.5, "eta": 0.5}, seed=9)
    )
    assert [arm["name"] for arm in arms] == ["sweep_ddim_5_level", "sweep_heun_10_karras_eta0p5_label1p5"]
    assert arms[0]["label_scale"] == 2 and arms[1]["label_scale"] == 1.5  # the arm's, where a point names none
    assert arms[0]["model"] == "pert" and arms[0]["seed"] == 9
    assert arms[0]["samples"] == arms[0]["mean_of"] == 1
    assert point_arms(study()) == []


def test_heun_evaluates_twice_but_for_its_last_step_and_guidance_doubles():
    assert [evaluations({**POINT, "sampler": name}) for name in ("ddpm", "ddim", "dpmpp", "heun")] == [10, 10, 10, 19]
    assert evaluations({**POINT, "label_scale": 2}) == 20 and evaluations({**POINT, "label_scale": 1}) == 10


def test_the_reference_is_marked_or_the_longest_ancestral_or_the_longest():
    ancestral = {"sampler": "ddpm", "steps": 8}, {"sampler": "ddpm", "steps": 9}
    assert reference(study({"steps": 50}, *ancestral)) == "sweep_ddpm_9_level"
    assert reference(study({"steps": 50}, {"steps": 20, "sampler": "heun"})) == "sweep_ddim_50_level"
    assert reference(study({"steps": 5, "reference": True}, *ancestral)) == "sweep_ddim_5_level"


@pytest.mark.parametrize(
    ("points", "changes", "message"),
    [
        ([{}], {"arm": "nobody"}, "there is no arm nobody"),
        ([{}], {"fold": "B"}, "arm pert has no fold B; it has A"),
        ([{}, {}], {}, "the point ddim_10_level occurs twice"),
        ([{"reference": True}, {"steps": 5, "reference": True}], {}, "more than one point is marked"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_sweep_is_said(points, changes, message):
    assert any(message in problem for problem in problems(study(*points, **changes)))
    assert not list(problems(study({}, {"steps": 5})))


def test_a_model_without_noise_or_label_is_refused():
    given = study({"label_scale": 2})
    given["models"][0] |= {"kind": "mean", "label": "none"}
    found = "\n".join(problems(given))
    assert "which no sampler walks" in found and "no label to guide by" in found
    given = study({})
    given["folds"][0]["test"] = []
    assert "tests no plate" in "\n".join(problems(given))


def test_the_study_knows_its_points(tmp_path):
    from test_study import PLATES, SCHEMAS

    from brightpaint.study.study import Study

    (tmp_path / "plates.tsv").write_text(PLATES)
    points = {"points": [{"sampler": "heun", "steps": 4}]}
    study = Study.load(study_config(sweep=points), SCHEMAS, tmp_path)
    assert study.entry("arms", "sweep_heun_4_level")["steps"] == 4 and study.arms == ["pert", "mean"]
    assert study.sweep_plate == "P3" and study.model_of("sweep_heun_4_level")["name"] == "pert"
    assert Study.load(study_config(), SCHEMAS, tmp_path).sweep_points == []
    named = [{"name": "sweep_x", "model": "pert", "folds": ["A"]}]
    with pytest.raises(ValueError, match="sweep_x"):
        Study.load(study_config(arms=named), SCHEMAS, tmp_path)
    several = [{"name": "mean", "model": "mean", "folds": ["A"], "samples": 2}]
    with pytest.raises(ValueError, match="arm mean: samples 2, but model mean paints without noise"):
        Study.load(study_config(arms=several), SCHEMAS, tmp_path)


# --- fields --------------------------------------------------------------------------------------


def field_table(wells=WELLS):
    return pd.DataFrame(
        {
            "Metadata_Plate": "P3", "Metadata_Well": [f"A{n + 1:02d}" for n in range(wells)], "Metadata_Site": 1,
            "Metadata_Tile": 1, "Metadata_perturbation": ["x", "y"] * (wells // 2), "stack_row": range(wells),
        }
    )  # fmt: skip


# --- the table -----------------------------------------------------------------------------------


@pytest.fixture
def swept(tmp_path):
    """A plate of ten fields, and three points: the real stains themselves, with some grain, with more."""
    rng = np.random.default_rng(0)
    fields = field_table()
    images = rng.normal(size=(WELLS, 3, SIZE, SIZE)).astype(np.float16)
    write(tmp_path / "real.tif", images, ["BF", "DNA", "ER"])
    chosen = sweep_fields.draw_fields(fields, 8)
    store.write_table(chosen, tmp_path / "fields.parquet")
    names, grain = ["sweep_ddpm_9_level", "sweep_ddim_10_level", "sweep_ddim_3_level"], [0, 0.3, 1.0]
    real = cells(fields, rng.normal(size=(WELLS, 6)))
    store.write_table(real, tmp_path / "real_medians.parquet")
    kept = [1, 1, 1, 1, 1, 0]
    features = [f"Nuclei_F{n}" for n in range(6)]
    store.write_table(pd.DataFrame({"feature": features, "kept": kept, "reason": ""}), tmp_path / "selection.tsv")
    for name, amount in zip(names, grain):
        order = rng.permutation(len(chosen))  # rows are found by key
        rows = chosen.iloc[order].drop(columns="stack_row")
        stains = images[rows.index.map(chosen["stack_row"]), 1:]
        stains = stains + amount * rng.normal(size=stains.shape)
        write(tmp_path / f"{name}.tif", 3 * stains + 1, ["DNA", "ER"])
        store.write_table(rows, tmp_path / f"{name}.parquet")
        shifted = real.iloc[chosen["stack_row"].iloc[order]].copy()
        shifted[features] += (1.0 + amount) * (1 + 0.2 * rng.normal(size=(len(order), 6)))
        store.write_table(shifted, tmp_path / f"{name}.medians.parquet")
        steps = int(name.split("_")[2])
        seconds = [
            {"part": 1, "fields": 4, "wall_s": 2.0 * steps, "cpu_s": steps},
            {"part": 2, "fields": 0, "wall_s": 0, "cpu_s": 0},
        ]
        store.write_table(pd.DataFrame(seconds), tmp_path / f"{name}.tsv")
    return tmp_path, names


def write(path, images, channels):
    with store.StackWriter(path, images.shape, channels, key="test") as writer:
        for number, image in enumerate(images):
            writer.write(number, image)


def cells(fields, values):
    named = pd.DataFrame(values, columns=[f"Nuclei_F{n}" for n in range(values.shape[1])])
    return pd.concat([fields.assign(Metadata_cells=5), named], axis=1)


def run(swept, measured=True, names=None, samples=1):
    folder, every = swept
    names = names or every
    points = [
        {**POINT, "name": name, "sampler": name.split("_")[1], "steps": int(name.split("_")[2])} for name in every
    ]
    settings = {"channels": CHANNELS, "cutoff": 15, "points": points, "reference": every[0]}
    settings |= {"samples": samples, "components": 4} if samples > 1 else {}
    each = lambda suffix: [folder / f"{name}{suffix}" for name in names]  # noqa: E731
    words = ["--settings", json.dumps(settings), "--real", folder / "real.tif", "--fields", folder / "fields.parquet"]
    words += ["--predicted", *each(".tif"), "--seconds", *each(".tsv"), "--metrics", folder / "out.parquet"]
    if measured:
        words += ["--medians", *each(".medians.parquet"), "--real-medians", folder / "real_medians.parquet"]
        words += ["--selection", folder / "selection.tsv"]
        words += ["--training", folder / "training.parquet"] if samples > 1 else []
    sweep.main([str(word) for word in words])
    return store.read_table(folder / "out.parquet").set_index(["name", "metric"])


def test_numbers_intervals_and_differences_of_known_predictions(swept):
    table, (exact, some, more) = run(swept), swept[1]
    assert table.loc[(exact, "pcc"), "value"] == pytest.approx(1, abs=1e-3)
    assert table.loc[(exact, "detail"), "value"] == pytest.approx(1, abs=1e-3)
    assert table.loc[(some, "pcc"), "value"] == pytest.approx(1 / np.sqrt(1.09), abs=0.01)
    values = [table.loc[(name, "pcc"), "value"] for name in (exact, some, more)]
    assert values == sorted(values, reverse=True)
    row = table.loc[(some, "pcc")]
    assert row["difference"] == pytest.approx(values[1] - values[0])
    assert row["difference_low"] < row["difference"] < row["difference_high"] < 0
    assert table.loc[(exact, "pcc"), ["difference", "difference_low", "difference_high"]].tolist() == [0, 0, 0]
    assert table.loc[(some, "wall_s"), "value"] == 5 and table.loc[(more, "times_faster"), "value"] == 3
    assert (
        table.loc[(exact, "pcc"), "evaluations"] == 9
        and table.loc[exact, "reference"].all()
        and (table["n"] == 8).all()
    )


def test_feature_distances_are_those_of_the_module_with_one_kernel_for_all(swept):
    table, folder, names = run(swept), *swept
    fields = store.read_fields(folder / "fields.parquet")
    frames = sweep.read_medians(folder / "real_medians.parquet", [folder / f"{names[2]}.medians.parquet"], fields)
    scale = discrepancy.scale_of(frames[0], [f"Nuclei_F{n}" for n in range(5)])
    x, y = (discrepancy.scaled(frame, scale) for frame in frames)
    wanted = discrepancy.mmd2(discrepancy.kernels(x, y, discrepancy.bandwidth(x), paired=True))[0]
    assert table.loc[(names[2], "mmd2"), "value"] == pytest.approx(wanted)
    assert table.loc[(names[2], "feature_distance"), "value"] == pytest.approx(discrepancy.feature_distance(x, y))
    row, base = table.loc[(names[2], "mmd_increase")], table.loc[(names[0], "mmd2"), "value"]
    assert row["value"] == pytest.approx(np.sqrt(wanted / base) - 1) and 0 < row["low"] < row["value"] < row["high"]
    assert table.loc[(names[0], "mmd_increase"), "value"] == 0


def test_features_with_gaps_are_left_out_for_all():
    whole = cells(field_table(4), np.ones((4, 2)))
    gap = whole.copy()
    gap.loc[1, "Nuclei_F0"] = np.nan
    empty = whole.assign(Metadata_cells=[0, 5, 5, 5])
    empty.loc[0, "Nuclei_F1"] = np.nan  # no cells: no gap
    assert feature_distance.features_of_all([whole, gap, empty], ["Nuclei_F0", "Nuclei_F1"]) == ["Nuclei_F1"]


def test_without_cells_there_are_images_and_seconds(swept):
    table = run(swept, measured=False)
    assert set(table.index.get_level_values(1)) == {"pcc", "ssim", "detail", "wall_s", "cpu_s", "times_faster"}


def test_a_point_that_painted_other_fields_is_refused(swept):
    folder, names = swept
    rows = store.read_fields(folder / f"{names[1]}.parquet")
    stack = store.open_stack(folder / f"{names[1]}.tif")
    images = np.array(stack.images[:7])
    store.write_table(rows.iloc[:7], folder / f"{names[1]}.parquet")
    with pytest.raises(ValueError, match="8 fields where its table has 7; delete both and rerun"):
        run(swept)
    with store.StackWriter(folder / f"{names[1]}.tif", images.shape, stack.channels, key="seven") as writer:
        for row, image in enumerate(images):
            writer.write(row, image)
    with pytest.raises(ValueError, match="7 fields, but 8 were drawn for the sweep"):
        run(swept)
    with pytest.raises(ValueError, match="must name every point"):
        run(swept, names=names[:2])


# --- several samples -----------------------------------------------------------------------------


@pytest.fixture
def sampled(tmp_path):
    """Six fields of which brightfield leaves noise of s.d. 1 open, and three points: right, too sure, and the mean itself."""
    rng, size, samples = np.random.default_rng(1), 32, 4
    fields = sweep_fields.draw_fields(field_table(), 6)
    sure, names = [1.0, 0.5, 0.1], ["sweep_ddpm_9_level", "sweep_ddim_10_level", "sweep_ddim_3_level"]
    mean = rng.normal(size=(WELLS, 2, size, size))
    real = mean + rng.normal(size=mean.shape)
    write(tmp_path / "real.tif", np.concatenate([mean[:, :1], real], axis=1).astype(np.float16), ["BF", "DNA", "ER"])
    rows = sweep_fields.drawn_rows(fields, samples)
    store.write_table(rows, tmp_path / "fields.parquet")
    features = rng.normal(size=(WELLS, 6))
    known = cells(field_table(40), rng.normal(scale=np.sqrt(2), size=(40, 6)))
    store.write_table(known, tmp_path / "training.parquet")
    store.write_table(cells(field_table(), features + rng.normal(size=(WELLS, 6))), tmp_path / "real_medians.parquet")
    store.write_table(
        pd.DataFrame({"feature": [f"Nuclei_F{n}" for n in range(6)], "kept": 1, "reason": ""}),
        tmp_path / "selection.tsv",
    )
    for name, spread in zip(names, sure):
        order = rng.permutation(len(rows))
        mixed, at = rows.iloc[order].drop(columns="stack_row"), rows["stack_row"].iloc[order]
        images = mean[at] + spread * rng.normal(size=(len(rows), 2, size, size))
        write(tmp_path / f"{name}.tif", images, ["DNA", "ER"])
        store.write_table(mixed, tmp_path / f"{name}.parquet")
        painted = features[at] + spread * rng.normal(size=(len(rows), 6))
        store.write_table(cells(mixed.reset_index(drop=True), painted), tmp_path / f"{name}.medians.parquet")
        store.write_table(
            pd.DataFrame([{"part": 1, "fields": 24, "wall_s": 24.0, "cpu_s": 24}]), tmp_path / f"{name}.tsv"
        )
    return tmp_path, names


def test_points_are_ranked_by_their_distribution_where_each_field_is_painted_several_times(sampled):
    """The mean correlates best; right samples have the right spread, the least energy, and are as alike as with the real."""
    table, (right, unsure, mean) = run(sampled, samples=4), sampled[1]
    value = lambda name, metric: table.loc[(name, metric), "value"]  # noqa: E731
    assert [value(name, "rank_pcc") for name in (right, unsure, mean)] == [3, 2, 1]
    assert [value(name, "rank_spread_error") for name in (right, unsure, mean)] == [1, 2, 3]
    assert value(right, "rank_energy") == 1 and value(mean, "rank_energy") == 3
    assert value(right, "spread_error") == pytest.approx(1, abs=0.06) and value(mean, "spread_error") < 0.25
    assert value(right, "spread_error_under_4px") == pytest.approx(1, abs=0.06)
    assert value(right, "pcc_between") == pytest.approx(value(right, "pcc"), abs=0.03)
    row = table.loc[(mean, "spread_error")]
    assert row["low"] <= row["value"] <= row["high"] and row["difference_high"] < 0
    assert (table["n"] == 6).all() and table.loc[(right, "rank_energy"), "evaluations"] == 9


def test_a_sample_that_is_missing_is_named(sampled):
    folder, names = sampled
    rows = store.read_fields(folder / f"{names[1]}.parquet")
    store.write_table(rows.assign(Metadata_draw=rows["Metadata_draw"].replace(3, 7)), folder / f"{names[1]}.parquet")
    with pytest.raises(
        ValueError, match=f"{names[1]}.tif: draw 3 of plate P3, well .* is missing, expected 4 of each field"
    ):
        run(sampled, samples=4)
