"""The study's configuration: defaults, refusals, and who trains, tests and predicts what."""

from pathlib import Path

import pytest

from brightpaint.study.plate_table import read_plates
from brightpaint.study.schema import expand, validate
from brightpaint.study.spaces import dosed_profiles
from brightpaint.study.study import Study

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "workflow" / "schemas"

PLATES = "plate\trole\tbatch\nP1\tstudy\tB1\nP2\tstudy\tB2\nP3\tstudy\tB3\nQ1\tpredict\tB4\n"


def config(**changes):
    study = {
        "plates": "plates.tsv",
        "folds": [{"name": "A", "test": ["P3"], "predict": ["Q1"]}],
        "models": [{"name": "pert", "label": "perturbation"}, {"name": "mean", "kind": "mean"}],
        "arms": [{"name": "pert", "model": "pert", "folds": ["A"]}, {"name": "mean", "model": "mean", "folds": ["A"]}],
    }
    return {**study, **changes}


@pytest.fixture
def load(tmp_path):
    def load(table=PLATES, **changes):
        (tmp_path / "plates.tsv").write_text(table)
        return Study.load(config(**changes), SCHEMAS, tmp_path)

    return load


def test_defaults_are_filled_in_from_the_schema(load):
    study = load()
    assert study.config["train"]["batch"] == 2
    assert study.config["prepare"]["size_px"] == 512
    assert study.config["models"][1] == {
        "name": "mean", "kind": "mean", "label": "none", "preset": "fast", "width": None, "objective": "v",
        "loss": "l2", "subset": "all", "weights": None, "inputs": None,
        "terminal_snr": "small", "examples": "fields", "twin": False, "conditions": {}, "codec": "identity", "base": None,
        "given": None, "as_coded": False, "projection": None, "blur_px": None,
    }  # fmt: skip
    assert study.config["train"]["seed"] == 0  # a default behind a $ref


def test_the_objective_is_the_preset_s_own_unless_one_is_given(load):
    models = [{"name": "ours"}, {"name": "published", "preset": "paper"}, {"name": "mixed", "preset": "paper", "objective": "v"},
              {"name": "eps", "objective": "eps"}]  # fmt: skip
    study = load(models=models, arms=[{"name": "ours", "model": "ours", "folds": ["A"]}])
    assert {model["name"]: (model["preset"], model["objective"]) for model in study.config["models"]} == {
        "ours": ("fast", "v"), "published": ("paper", "eps"), "mixed": ("paper", "v"), "eps": ("fast", "eps"),
    }  # fmt: skip


def test_fast_is_trained_by_its_own_settings_where_none_of_them_is_named_and_the_others_by_the_paper_s(load):
    models = [{"name": "ours"}, {"name": "certain", "kind": "regression"}, {"name": "published", "preset": "paper"},
              {"name": "mean", "kind": "mean"}]  # fmt: skip
    arms = [{"name": model["name"], "model": model["name"], "folds": ["A"]} for model in models]
    own = {
        "batch": 8,
        "learning_rate": 1e-3,
        "warmup_images": 2000,
        "decay": "cosine",
        "clip_norm": 1.0,
        "ema_images": 2000,
    }
    papers = {
        "batch": 2,
        "learning_rate": 8e-5,
        "warmup_images": 0,
        "decay": "constant",
        "clip_norm": None,
        "ema_images": 10000,
    }

    def trained(**changes):
        study = load(models=models, arms=arms, **changes)
        return {model["name"]: study.training_of(model) for model in study.config["models"]}, study

    found, study = trained(train={"validation_share": 0.2})
    rest = {key: value for key, value in study.config["train"].items() if key not in own}
    assert rest["images"] == 250000 and rest["validation_share"] == 0.2 and rest["label_dropout"] == 0.1
    assert found == {"ours": rest | own, "certain": rest | own, "published": rest | papers, "mean": rest | papers}
    assert trained()[0]["ours"]["batch"] == 8
    for key, value in own.items():  # one that is named leaves the others as the schema has them
        (chosen, study) = trained(train={key: value})
        assert chosen["ours"] == chosen["published"] == study.config["train"]
        assert study.config["train"] == rest | papers | {key: value, "validation_share": 0.1}
    given = load(
        models=[{"name": "given", "weights": "w.safetensors"}],
        arms=[{"name": "given", "model": "given", "folds": ["A"]}],
    )
    assert "trained_by" not in given.config["models"][0]  # trained elsewhere
    short = trained(train={"images": 5000})[0]["ours"]
    assert short["warmup_images"] == 200 and short["images"] == 5000 and short["batch"] == 8


def test_as_coded_trains_without_a_null_label_and_is_of_the_published_network_alone(load):
    def one(**model):
        models = [{"name": "theirs", "preset": "paper", "as_coded": True, **model}, {"name": "mean", "kind": "mean"}]
        return load(models=models, arms=[{"name": "theirs", "model": "theirs", "folds": ["A"]}])

    study = one()
    assert study.training_of(study.entry("models", "theirs")) == study.config["train"] | {
        "label_dropout": 0,
        "turned_share": 0.25,
    }
    assert study.training_of(study.entry("models", "mean")) == study.config["train"]
    able = "as_coded is of fields, preset paper and kind diffusion or regression"
    message = f"model theirs: {able}, and this is of {{}}; leave as_coded out"
    for model, found in (({"preset": "fast"}, "fields, preset fast, kind diffusion"),
                         ({"examples": "crops"}, "crops, preset paper, kind diffusion"),
                         ({"kind": "mean"}, "fields, preset paper, kind mean")):  # fmt: skip
        with pytest.raises(ValueError, match=message.format(found)):
            one(**model)


def test_a_mean_of_samples_is_an_arm_of_a_diffusion_model_and_has_no_spread(load):
    arm = {"model": "pert", "folds": ["A"]}
    study = load(arms=[{"name": "pert", **arm, "samples": 4}, {"name": "pert_mean", **arm, "mean_of": 4}])
    assert [entry["mean_of"] for entry in study.config["arms"]] == [1, 4]
    with pytest.raises(ValueError, match="arm pert: mean_of 4 with samples 2: .* give the mean an arm of its own"):
        load(arms=[{"name": "pert", **arm, "samples": 2, "mean_of": 4}])
    with pytest.raises(ValueError, match="arm mean: mean_of 2, but model mean paints without noise; give mean_of: 1"):
        load(arms=[{"name": "mean", "model": "mean", "folds": ["A"], "mean_of": 2}])


def test_held_out_perturbations_are_a_share_names_or_a_file_of_names(load, tmp_path):
    (tmp_path / "held.txt").write_text("# never stained\ncpd2\n\ncpd1\n")
    given = [[], 0.2, ["cpd3"], "held.txt"]
    folds = [{"name": f"F{n}", "test": ["P3"], "held_out": held} for n, held in enumerate(given)]
    study = load(folds=folds, arms=[{"name": "pert", "model": "pert", "folds": ["F0"]}])
    assert [fold["held_out"] for fold in study.config["folds"]] == [[], 0.2, ["cpd3"], ["cpd2", "cpd1"]]
    with pytest.raises(ValueError, match="fold F1: held_out needs perturbations: true"):
        load(folds=folds[1:2], perturbations=False, models=[{"name": "m"}],
             arms=[{"name": "m", "model": "m", "folds": ["F1"]}])  # fmt: skip


def test_metadata_of_ones_own_stand_in_for_the_gallerys_alone(load, tmp_path):
    wells = tmp_path / "wells.csv"
    wells.touch()
    assert load(source={"layout": "gallery", "wells": str(wells)}).config["source"]["metadata"] is None
    for source, message in (
        (
            {"layout": "table", "wells": str(wells)},
            "source.wells: it stands in for the gallery's platemaps, and source.layout is table",
        ),
        ({"layout": "gallery", "wells": "none.csv"}, "source.wells: there is no file none.csv; correct its path"),
        ({"layout": "gallery", "metadata": str(wells)}, "source.metadata: there is no folder .*wells.csv"),
        (
            {"layout": "gallery", "metadata": str(tmp_path), "wells": str(wells)},
            "metadata and wells both say .* leave one out",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            load(source=source)


def test_old_configs_keep_the_formats_they_had_and_parquet_stays(load):
    assert load().config["profiles"] == ["parquet"] and load().config["deliver"] == ["ome-tiff"]
    both = load(profiles=["parquet", "h5ad"], deliver=["ome-zarr"])
    assert both.config["profiles"] == ["parquet", "h5ad"] and both.config["deliver"] == ["ome-zarr"]
    with pytest.raises(ValueError, match="profiles: parquet is what scores and figures read, and can't be left out"):
        load(profiles=["h5ad"])
    for wrong in ({"profiles": ["parquet", "csv"]}, {"deliver": []}, {"deliver": ["zarr"]}, {"profiles": "h5ad"}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            load(**wrong)


def test_published_illumination_needs_the_gallery(load):
    load(illumination={"method": "published"})
    for layout in ("simulated", "table"):
        message = f"illumination: method published takes functions from the gallery, and source.layout is {layout}; set"
        with pytest.raises(ValueError, match=message):
            load(illumination={"method": "published"}, source={"layout": layout})


def test_a_regression_may_take_a_label(load):
    models = [{"name": "pert", "kind": "regression", "label": "perturbation"}, {"name": "mean", "kind": "mean"}]
    assert load(models=models).config["models"][0]["kind"] == "regression"


@pytest.mark.parametrize(
    ("guidance", "label"),
    [
        ({"classifier": "guide"}, "none"),
        ({"classifier": "guide", "guidance_scale": 0}, "none"),
        ({"label_scale": 2.5}, "perturbation"),
        ({"label_scale": 0}, "none"),
        ({"guidance_interval": [0.1, 2]}, "perturbation"),
        ({"guidance_scale": 3}, "none"),
    ],
)
@pytest.mark.parametrize("kind", ["regression", "mean", "pixel"])
def test_guidance_of_what_paints_without_noise_is_refused(load, kind, guidance, label):
    """It would be swallowed: the classifier trained and left aside, and the arm marked as one that is told the target."""
    models = [{"name": "m", "kind": kind, "label": label if kind == "regression" else "none"}]
    arm = {"name": "x", "model": "m", "folds": ["A"]}
    changes = {"models": models, "classifiers": [{"name": "guide", "label": "target"}]}
    load(**changes, arms=[arm])
    key, value = next(iter(guidance.items()))
    with pytest.raises(ValueError) as error:
        load(**changes, arms=[arm | guidance])
    sentence = (
        f"arm x: {key} {value}, but model m of kind {kind} paints without noise, which is what guidance acts on; "
    )
    assert f"{sentence}leave {key} out, or name a model of kind diffusion" in str(error.value)
    assert "has no label" not in str(error.value)


def test_a_guidance_scale_without_a_classifier_is_refused(load):
    arm = {"name": "x", "model": "m", "folds": ["A"], "guidance_scale": 3}
    classifiers = [{"name": "guide", "label": "target"}]
    sentence = "arm x: guidance_scale 3 guides by a classifier, and none is named; name one, or leave it out"
    with pytest.raises(ValueError, match=sentence):
        load(models=[{"name": "m"}], classifiers=classifiers, arms=[arm])
    load(models=[{"name": "m"}], classifiers=classifiers, arms=[arm | {"classifier": "guide"}])


def test_a_label_that_a_model_has_not_is_neither_swapped_nor_guided_by(load):
    for kind, change in (
        ("diffusion", {"label_scale": 2}),
        *((k, {"sampling_label": "swapped"}) for k in ("mean", "diffusion")),
    ):
        with pytest.raises(ValueError, match="arm x: model m has no label to swap or to guide by"):
            load(models=[{"name": "m", "kind": kind}], arms=[{"name": "x", "model": "m", "folds": ["A"], **change}])


def test_plates_of_folds_and_arms(load):
    study = load()
    assert study.training_plates("A") == ["P1", "P2"]
    assert study.test_plates("pert") == ["P3"]
    assert study.predict_plates("pert") == ["Q1"]
    assert study.fold_of("pert", "Q1") == "A"
    assert study.arms_of("Q1") == ["pert", "mean"]
    assert study.never_tested() == ["P1", "P2"]
    assert study.profile_plates("real") == ["P1", "P2", "P3"]
    assert study.profiled("pert") and not study.profiled("mean")
    assert study.channels("Q1") == ["Brightfield_L", "Brightfield", "Brightfield_H"]
    assert len(study.channels("P1")) == 8


def test_without_perturbations_only_tested_plates_are_measured(load):
    models = [{"name": "pert"}, {"name": "mean", "kind": "mean"}]
    assert load(perturbations=False, models=models).profile_plates("real") == ["P3"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trian": {}}, "unknown key trian at the top level; did you mean train?"),
        ({"train": {"imges": 3}}, "unknown key imges at train; did you mean images?"),
        ({"train": {"batch": 0}}, "train.batch: 0 is less than the minimum of 1"),
        ({"prepare": {"size_px": 100}}, "prepare.size_px: 100 is not a multiple of 8"),
        ({"models": []}, "arm pert: there is no model pert"),
        ({"arms": []}, "arms: [] paints nothing, but models lists pert, mean; give arms, or models: [] for a study that"),
        ({"arms": [], "models": []}, "plate Q1: role predict, but there are no arms to paint it; leave it out"),
        ({"folds": [{"name": "A", "test": ["P9"]}]}, "fold A: plate P9 is not in plates.tsv"),
        ({"folds": [{"name": "A", "test": ["Q1"]}]}, "fold A: plate Q1 has role predict, expected study"),
        ({"folds": [{"name": "A", "test": ["P1", "P2", "P3"]}]}, "leaves no study plate to train on"),
        ({"folds": [{"name": "B", "test": ["P3"]}]}, "arm pert: there is no fold A"),
        ({"arms": [{"name": "x", "model": "y", "folds": ["A"]}]}, "arm x: there is no model y"),
        ({"arms": [{"name": "real", "model": "mean", "folds": ["A"]}]}, "arms.0.name"),
        ({"arms": [{"name": "../x", "model": "mean", "folds": ["A"]}]}, "does not match"),
        ({"arms": [{"name": "x; rm -rf y", "model": "mean", "folds": ["A"]}]}, "does not match"),
        ({"perturbations": False}, "model pert: label perturbation needs perturbations: true"),
        ({"channels": {"input": ["DNA"]}}, "DNA is both input and target"),
        (
            {"folds": [{"name": "A", "test": ["P3"]}, {"name": "B", "test": ["P3"]}],
             "arms": [{"name": "x", "model": "mean", "folds": ["A", "B"]}]},
            "arm x: plate P3 is in two of its folds",
        ),
        ({"models": [{"name": "m", "kind": "mean", "label": "target"}]}, "kind mean takes no label"),
        ({"folds": [{"name": "A", "test": ["P3"], "held_out": 1.0}]}, "folds.0.held_out: 1.0 is greater than or equal"),
        ({"folds": [{"name": "A", "test": ["P3"], "held_out": "no.txt"}]}, "folds.A.held_out: there is no file"),
        ({"doses": {"slope": [2, 1]}}, "doses: slope [2, 1] is empty"),
        ({"perturbations": False, "doses": {"spaces": ["cellprofiler"]}}, "doses: spaces need perturbations: true"),
    ],
)  # fmt: skip
def test_a_bad_config_is_refused_with_a_sentence(load, changes, message):
    with pytest.raises(ValueError) as error:
        load(**changes)
    assert message in str(error.value)
    assert "config/README.md" in str(error.value)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("plate\trole\nP1; rm -rf x\tstudy\n", "does not match"),
        ("plate\trole\n../../x\tstudy\n", "does not match"),
        ("plate\trole\tbatch\nP1\tstudy\t../b\n", "does not match"),
        ("plate\trole\nP1\tstudy\nP1\tstudy\n", "row 2: plate P1 occurs twice"),
        ("plate\trole\nP1\ttest\n", "'test' is not one of ['study', 'predict']"),
        ("plate\trole\tcolour\nP1\tstudy\tred\n", "unknown key colour"),
        ("plate\trole\n", "no plates"),
        ("plate\trole\nP1\tstudy\textra\n", "row 1: expected as many cells as the header has columns"),
        ("plate\trole\tregion\nP1\tstudy\t0\n", "does not match"),
    ],
)
def test_a_bad_plate_table_is_refused_with_its_row(tmp_path, table, message):
    (tmp_path / "plates.tsv").write_text(table)
    with pytest.raises(ValueError) as error:
        read_plates(tmp_path / "plates.tsv", SCHEMAS / "plates.schema.yaml")
    assert message in str(error.value)
    assert "plates.tsv" in str(error.value)


def test_regions_of_one_field_may_not_overlap(load):
    table = "plate\trole\tbarcode\tregion\nP1\tstudy\tX\t1,2\nP2\tstudy\tX\t3\nP3\tstudy\tX\t2,4\nQ1\tpredict\tY\t\n"
    with pytest.raises(ValueError, match="plates P1 and P3: tile 2 of X is in both regions"):
        load(table, prepare={"grid": [2, 2]})


def test_a_region_outside_the_grid_is_refused(load):
    table = (
        PLATES.replace("batch", "region").replace("B1", "5").replace("B2", "1").replace("B3", "1").replace("B4", "1")
    )
    with pytest.raises(ValueError, match="plate P1: region 5 is outside the 2 x 2 tiles"):
        load(table, prepare={"grid": [2, 2]})


def test_curves_are_asked_for_by_space_and_arm(load):
    assert dosed_profiles(load()) == []
    asked = load(doses={"spaces": ["cellprofiler"], "arms": ["real", "pert"]})
    assert dosed_profiles(asked) == [("real", "cellprofiler"), ("pert", "cellprofiler")]
    with pytest.raises(ValueError, match="doses.spaces: no space is called umap; there are: cellprofiler, dino"):
        dosed_profiles(load(doses={"spaces": ["umap"]}))
    with pytest.raises(ValueError, match="doses.spaces: the study does not plan dino, which makes the space dino"):
        dosed_profiles(load(doses={"spaces": ["dino"]}))
    with pytest.raises(ValueError, match="doses.arms: mean has no profiles in any space; those that have: pert, real"):
        dosed_profiles(load(doses={"spaces": ["cellprofiler"], "arms": ["mean"]}))


def test_an_unset_environment_variable_is_named(monkeypatch):
    monkeypatch.delenv("BRIGHTPAINT_NOWHERE", raising=False)
    monkeypatch.setenv("BRIGHTPAINT_HERE", "/data")
    assert expand("${BRIGHTPAINT_HERE}/x", "key") == "/data/x"
    with pytest.raises(ValueError, match="BRIGHTPAINT_NOWHERE is not set"):
        expand("${BRIGHTPAINT_NOWHERE}/x", "key")


def test_validate_leaves_its_argument_alone():
    given = config()
    validate(given, SCHEMAS / "config.schema.yaml", "config")
    assert given == config()


def test_a_twin_needs_classes_of_dmso(load):
    twin = {"name": "pd", "twin": True, "label": "cell_line", "inputs": []}
    with pytest.raises(
        ValueError, match="model pd: twin parts the DMSO wells in two classes, and label cell_line has no class"
    ):
        load(models=[twin], arms=[{"name": "a", "model": "pd", "folds": ["A"]}])
    with pytest.raises(
        ValueError, match="model pd: twin parts the wells of fields, and examples is crops; leave one out"
    ):
        load(
            models=[{**twin, "label": "treatment", "examples": "crops"}],
            arms=[{"name": "a", "model": "pd", "folds": ["A"]}],
        )
