"""The report's texts: filled in from a validated config, sound reStructuredText, and true to the settings."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
import yaml
from docutils.core import publish_parts
from jinja2 import Environment, StrictUndefined

from brightpaint.study.spaces import SPACES
from brightpaint.study.study import Study
from conftest import ROOT

TEXTS = sorted(path.name for path in (ROOT / "workflow" / "report").glob("*.rst"))
CONFIGS = ["config", "demo", "pilot", "predict", "real_field"]


@pytest.fixture(autouse=True)
def data_folder(monkeypatch):
    monkeypatch.setenv("BRIGHTPAINT_REAL_DATA", "/data")


def config(name, **changes):
    text = yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text())
    return Study.load({**text, **changes}, ROOT / "workflow" / "schemas", ROOT).config


def rendered(text, settings, plate="SIM003", arm="pert", subset="active", number="2", space="dino"):
    """Render as Snakemake does, but with unknown names as errors."""
    environment = Environment(trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    source = (ROOT / "workflow" / "report" / text).read_text()
    return environment.from_string(source).render(
        snakemake=SimpleNamespace(
            config=settings,
            wildcards=SimpleNamespace(
                plate=plate, arm=arm, subset=subset, number=number, space=space, axis="effect", effect="both"
            ),  # fmt: skip
            input=SimpleNamespace(masks=[]),
            params=SimpleNamespace(title=SPACES[space].title, note=SPACES[space].note),
        )
    )


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("text", TEXTS)
def test_every_text_is_sound(name, text):
    stream = io.StringIO()
    body = rendered(text, config(name))
    parts = publish_parts(
        body, writer_name="html", settings_overrides={"warning_stream": stream, "report_level": 1, "halt_level": 5}
    )
    assert stream.getvalue() == ""
    assert len(parts["html_body"]) > 200 and "None" not in body and "{" not in body


def test_methods_say_what_an_axis_rests_on_and_whose_images_a_critic_saw():
    words = " ".join(rendered("workflow.rst", config("gan")).split())
    assert "The axis health runs from treatment SIM-003-B@6uM, SIM-003-B@30uM (C-, at -1) to DMSO (C+, at 1)." in words
    assert (
        "told apart by cell line (lines), by a linear SVM and by the nearest neighbour, with each plate held out"
        in words
    )
    assert "Along health a Hill curve of four parameters" in words and "with probability 0.05 at most" in words
    assert "of all study plates, test plates among them" in words
    settings = config("gan")
    settings["gan"] |= {"examples": "crops", "own_crops": ["mine"]}
    own = " ".join(rendered("workflow.rst", settings).split())
    assert (
        "crops of single real cells" in own
        and "of one's own crops mine: what is told" in own
        and "study plates, test plates" not in own
    )
    assert "Axes and classes" not in rendered("workflow.rst", config("demo"))


def test_methods_say_which_models_are_trained_by_settings_of_their_own():
    models = [
        {"name": "ours"},
        {"name": "published", "preset": "paper"},
        {"name": "theirs", "preset": "paper", "as_coded": True},
    ]
    arms = [{"name": one["name"], "model": one["name"], "folds": ["A"]} for one in models]
    words = " ".join(rendered("workflow.rst", config("demo", models=models, arms=arms, train={"images": 9000})).split())
    assert "Training saw 9,000 images in batches of 2," in words and "learning rate 8e-05 (constant)" in words
    own = "``ours`` was trained by its preset's own settings instead: batches of 8, learning rate 0.001 (cosine, warm-up over 360"
    assert own + " images), gradients clipped at norm 1, half-life 2000 images." in words
    assert words.count("own settings instead") == words.count("as the public code of the paper has it") == 1
    assert "``theirs`` is as the public code" in words
    assert "own settings instead" not in rendered("workflow.rst", config("demo"))


def test_the_report_opens_on_the_front_page_where_there_is_one(tmp_path):
    """As Snakemake renders it: `files` are the report's results, of which the first page takes one in."""
    (tmp_path / "front.html").write_text('<div id="front"><p>the \N{EN DASH} answer</p>\n\n</div>\n', encoding="utf-8")
    source = (ROOT / "workflow" / "report" / "workflow.rst").read_text()
    files = [SimpleNamespace(path=tmp_path / name) for name in ("other.html", "front.html")]
    environment = Environment(trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    body = environment.from_string(source).render(snakemake=SimpleNamespace(config=config("demo")), files=files)
    html = publish_parts(body, writer_name="html", settings_overrides={"halt_level": 2})["html_body"]
    assert html.index("Virtual Cell Painting") < html.index("the \N{EN DASH} answer") < html.index("Methods")


def test_methods_say_how_cells_were_measured_where_nothing_is_painted_and_nothing_else_asks_for_them():
    words = rendered("workflow.rst", config("demo", models=[], arms=[], folds=[], plates="config/pilot_plates.tsv"))
    assert "**Cells.** Real stains went through the same CellProfiler" in words
    assert "were not measured" not in words


def test_methods_say_of_given_weights_no_more_than_is_known():
    """Preset, label and objective of the config are not theirs: what was trained elsewhere stands in the file."""
    words = rendered("workflow.rst", config("predict"))
    line = next(line for line in words.splitlines() if line.startswith("- ``given``: weights"))
    assert "``weights.safetensors``" in line and "brightpaint.models.describe" in line
    assert "preset" not in line and "label" not in line and "objective" not in line


def test_methods_name_codecs_what_stands_on_them_and_a_controlnets_base():
    words = rendered("workflow.rst", config("latent"))
    lines = {
        line.split("``")[1]: line for line in words.splitlines() if line.startswith("- ``") and "model ``" not in line
    }
    assert (
        "a codec, a variational autoencoder of the stains (preset small" in lines["kl"]
        and "no prediction" in lines["kl"]
    )
    assert "0.001 times the KL divergence per latent element" in lines["kl"]
    assert "on the latents of ``kl``" in lines["latent"] and "latents" not in lines["pixels"]
    assert "a ControlNet (Zhang et al. 2023) on ``blind``, whose weights were frozen" in lines["led"]
    assert "codec" not in rendered("workflow.rst", config("demo"))


def test_methods_say_what_was_generated_from_conditions_and_what_was_held_out():
    words = " ".join(rendered("workflow.rst", config("latent")).split())
    assert (
        "25% of scaffolds (Bemis and Murcko 1996) (listed in ``held_out/B.tsv``): their wells were left out of training."
        in words
    )
    assert (
        "``made``: 4 fields of every treatment of each test plate, and four times as many of DMSO, painted by ``told``"
        in words
    )
    assert "nearest neighbours on Morgan fingerprint" in words and "scaffolds where they were held out" in words
    given = {"name": "A", "test": ["SIM003"], "held_out": {"by": "file", "path": "split.csv", "key": "smiles"}}
    words = " ".join(rendered("workflow.rst", config("demo", folds=[given])).split())
    assert (
        "the stains of what ``split.csv`` has in its test part, by SMILES (listed in ``held_out/A.tsv``): their"
        in words
    )
    study = config("latent")
    alone = {**study, "arms": [], "effects": []}
    assert "what a model paints of treatments from conditions alone (made)" in rendered("workflow.rst", alone)
    assert "Generation" not in rendered("workflow.rst", config("demo"))


def test_methods_hold_the_settings_values():
    settings = config("demo")
    settings["train"]["images"], settings["prepare"]["size_px"], settings["active"]["alpha"] = 123456, 320, 0.07
    settings["arms"][0]["steps"], settings["cellprofiler"]["window"] = 77, [-3, 9]
    words = rendered("workflow.rst", settings)
    for word in (
        "123,456",
        "320 x 320",
        "0.07",
        "DDIM in 77 steps",
        "z-scores -3 to 9",
        "SIM003",
        "CellProfiler 4.2.8",
    ):
        assert word in words, word


def test_methods_speak_of_planes_and_crops_where_there_are_some():
    assert "planes of" not in (plain := rendered("workflow.rst", config("demo"))) and "Crops" not in plain
    channels = {"planes": {"BF": ["Brightfield_L", "Brightfield"]}}
    words = rendered("workflow.rst", config("demo", channels=channels, crops={"size_um": 40, "border": "pad"}))
    assert "Brightfield_L, Brightfield are planes of BF, normalised by one mean and standard deviation." in words
    assert (
        "Crops of 40 µm about each of the cells of real were cut; those that reached beyond a field were filled"
        in words
    )


def test_methods_say_who_measured_the_cells():
    plain = rendered("workflow.rst", config("demo", cellprofiler={"pipeline": "slim"}))
    assert "CellProfiler 4.2.8 pipeline (``slim``), headless:" in plain and "own engine" not in plain
    fast = {"cellprofiler": {"engine": "fast", "segmentation": "cellpose"}}
    words = rendered("workflow.rst", config("demo", **fast))
    assert "read and measured by brightpaint's own engine" in words and "headless" not in words
    assert "and measured as label images" in words and "handed to CellProfiler" not in words


def test_methods_speak_of_axes_where_there_are_some():
    assert "**Axis" not in rendered("workflow.rst", config("demo")) and "Zero-shot" not in rendered(
        "workflow.rst", config("demo")
    )
    axis = {"name": "effect", "positive": ["mock"], "negative": ["infected"], "spaces": ["cellprofiler"]}
    lines = {"name": "lines", "annotation": "cell_line", "spaces": ["cellprofiler"]}
    methods = rendered("workflow.rst", config("demo", axes=[axis], zero_shot=[lines], doses={"axes": ["effect"]}))
    assert "**Axis effect** (perturbation: C+ mock, C- infected; spaces cellprofiler)" in methods
    assert "against 200 shufflings" in methods and "Along it a Hill curve of four parameters" in methods
    assert "**Zero-shot classes lines** (cell_line)" in methods


def test_studies_without_perturbations_do_not_speak_of_profiles():
    words = rendered("workflow.rst", config("real_field"))
    assert "**Active" not in words and "CPcor" not in words and "no known perturbation" in words
    assert "2 x 2 tiles" in words and "No correction was made" in words


def test_methods_name_what_was_held_out_and_which_weights_were_kept():
    words = rendered("workflow.rst", config("demo", folds=[{"name": "A", "test": ["SIM003"], "held_out": ["cpd7"]}]))
    assert "1 perturbation (cpd7): their wells were left out" in words and "10% (rounded down" in words
    drawn = config("demo", folds=[{"name": "A", "test": ["SIM003"], "held_out": 0.2}])
    assert "stains of 20% of the treated perturbations" in rendered("workflow.rst", drawn)
    paper = rendered("workflow.rst", config("config"))
    assert "the last weights were kept" in paper and "painting in one pass" in paper
    assert "held out" not in rendered("loss.rst", config("config")) and "ring" in rendered("loss.rst", config("demo"))


def test_a_study_without_models_speaks_of_no_painting():
    alone = config(
        "demo", models=[], arms=[], folds=[], plates="config/pilot_plates.tsv", doses={"spaces": ["cellprofiler"]}
    )
    words = rendered("workflow.rst", alone)
    assert "Nothing is trained or painted in this study." in words and "Real stains went through" in words
    assert "**Profiles.**" in words and "**Active" in words and "**Dose-response curves**" in words
    for painted in (
        "**Models.**",
        "**Arms.**",
        "**Metrics",
        "lookup",
        "test plate",
        "predictions",
        "How a model does",
        "PCC",
    ):
        assert painted not in words, painted


def test_methods_say_by_which_unit_actives_are_found():
    by_target, by_treatment = (
        rendered("workflow.rst", config("demo", unit=unit)) for unit in ("perturbation", "treatment")
    )
    assert "Targets are kept or dropped whole" in by_target and "A target is active if it passes" in by_target
    assert "A treatment is active if it passes" in by_treatment and "Each treatment is tested by itself" in by_treatment
    assert "then the median of each treatment" in by_treatment and "Targets are kept" not in by_treatment


def test_predictions_alone_claim_no_measurement():
    words = rendered("workflow.rst", config("predict"))
    assert "nothing here measures the predictions" in words
    assert "**Metrics" not in words and "Training saw" not in words


def test_the_papers_study_warns_of_leaking_targets_and_says_when_no_null_was_drawn():
    words = rendered("workflow.rst", config("config"))
    assert "told the answer" in words and "guided by classifier" in words
    assert "no null" not in words.lower()
    without = rendered("workflow.rst", config("demo", active={"permutations": 0}))
    assert "No null was" in without and "told the answer" not in without


def test_a_montage_says_whether_there_are_real_stains():
    settings = config("demo")
    assert "the real stains" in rendered("montage.rst", settings, "SIM003")
    assert "no real stains" in rendered("montage.rst", settings, "SIM004")


def test_failed_compounds_are_explained_where_the_simulator_has_them():
    words = rendered("workflow.rst", config("demo", simulate={"failed_share": 0.25}))
    assert "In 25% of each plate's treated wells" in words and "more than half as far" in words
    assert "Failed compounds" not in rendered("workflow.rst", config("demo"))


def test_what_needs_downloaded_weights_is_said_to_be_off_or_how_it_was_done():
    off = rendered("workflow.rst", config("demo"))
    assert "no Inception weights are given" in off and "no weights of a vision transformer are given" in off
    given = config(
        "demo", fid={"weights": "inception.safetensors", "window": [-2, 9]}, embed={"weights": "facebook/dino-vits8"}
    )
    on = rendered("workflow.rst", given)
    assert (
        "z-scores -2 to 9 became 0 to 255" in on and "``facebook/dino-vits8``" in on and "no weights" not in on.lower()
    )
    assert "fields of 256 px were resized to 512" in on and "CPcor, FID and KID" in rendered("metrics_table.rst", given)
    assert "DINO" in rendered("tsne.rst", given) and "selected features" in rendered(
        "tsne.rst", given, space="cellprofiler"
    )


def test_methods_say_how_fields_were_translated():
    body, stream = rendered("workflow.rst", config("doses")), io.StringIO()
    publish_parts(
        body, writer_name="html", settings_overrides={"warning_stream": stream, "report_level": 1, "halt_level": 5}
    )
    assert stream.getvalue() == "" and "None" not in body and "{" not in body
    assert "Nothing is trained or painted" not in body and "**Models.**" in body and "**Arms.**" not in body
    assert "a diffusion model of the stains, without brightfield" in body and "with the treatment as its label" in body
    assert "negative controls of the test plates (8 fields a plate) shown as doses of SIM-003-B, SIM-001-A." in body
    assert (
        "inverted by DDIM in 50 steps, each step solved by 5 fixed-point iterations or fewer (to 0.0001 s.d.), unclipped"
        in body
    )
    assert "``fresh_doses`` are the same fields from fresh noise" in body and "``fresh_doses``: " not in body
    assert "Translated and real stains went through the same CellProfiler" in body
    text = yaml.safe_load((ROOT / "config" / "doses.yaml").read_text())["arms"][0]
    plain = {**text, "translate": {"inner": 0, "source": "SIM-001-A@6uM", "fields": None}}
    body = rendered("workflow.rst", config("doses", arms=[plain]))
    assert (
        "SIM-001-A@6uM of the test plates (all fields) shown as every class that model ``phen`` was trained on" in body
    )
    assert "inverted plainly in 50 steps, as PhenDiff does" in body


def test_methods_say_how_a_generators_styles_translate():
    model = {
        "name": "explain",
        "kind": "style_direction",
        "label": "treatment",
        "inputs": [],
        "projection": {"space": "w+"},
    }
    arms = [{"name": "moved", "model": "explain", "folds": ["A"], "translate": {"targets": ["SIM-003-B@6uM"]}}]
    gan = {"preset": "small", "size_px": 64}
    body = " ".join(rendered("workflow.rst", config("doses", models=[model], arms=arms, gan=gan)).split())
    assert (
        "At most 32 squares of real training fields of each treatment were projected to W+ (Adam, 100 steps from the mean"
        in body
    )
    assert "as many again with a style a layer, on the mean square" in body
    assert (
        "moved from the mean style of its own class to that of each class, and painted; squares were laid side by side"
        in body
    )
    assert "are the same fields from fresh styles, drawn about the place of each class" in body and "DDIM" not in body
    assert "seen in training, but for that of the generator and critic below, to which no label is shown." in body
    own = config("doses", models=[model], arms=arms, gan={**gan, "plates": "training"})
    assert "seen in training." in " ".join(rendered("workflow.rst", own).split())


def test_methods_say_what_the_critic_saw_and_that_the_untrained_one_stands_beside_it():
    assert "learnt without labels" not in rendered("workflow.rst", config("demo"))
    words = " ".join(
        rendered("workflow.rst", config("demo", gan={"preset": "small", "size_px": 64, "images": 9})).split()
    )
    assert (
        "saw 9 random squares of 64 px of real fields, flipped and turned, of all study plates, test plates among them"
        in words
    )
    assert "the mean over a field's squares" in words and "the same critic before training" in words
    own = {"preset": "gandl", "examples": "crops", "size_px": 64, "plates": "training", "untrained": False}
    words = " ".join(rendered("workflow.rst", config("demo", crops={"size_um": 40, "size_px": 64}, gan=own)).split())
    assert "crops of single real cells, flipped and turned, of the plates that no fold tests; no label" in words
    assert "the same critic before training" not in words and "the median of a field's cells" in words


def test_a_study_of_ones_own_crops_speaks_of_no_plate(monkeypatch, real_data):
    monkeypatch.setenv("BRIGHTPAINT_REAL_DATA", str(real_data))
    body, stream = rendered("workflow.rst", config("mitocheck")), io.StringIO()
    publish_parts(
        body, writer_name="html", settings_overrides={"warning_stream": stream, "report_level": 1, "halt_level": 5}
    )
    assert stream.getvalue() == "" and "None" not in body and "{" not in body
    assert "This report is of crops of single cells alone (mitocheck)" in body and "**Crops mitocheck**" in body
    assert "what is brighter than Otsu's threshold of the crop" in body and "with intervals by group" in body
    for plate in ("**Plates.**", "**Cells.**", "**Profiles.**", "raw pixel", "perturbations", "simulated"):
        assert plate not in body, plate


def test_methods_speak_of_sphering_where_a_space_is_sphered():
    assert "**Sphering.**" not in rendered("workflow.rst", config("demo"))
    body, stream = rendered("workflow.rst", config("single_cells")), io.StringIO()
    publish_parts(
        body, writer_name="html", settings_overrides={"warning_stream": stream, "report_level": 1, "halt_level": 5}
    )
    assert stream.getvalue() == "" and "Wells of cellnet were sphered" in body and "None" not in body
    assert "Nothing is painted in this study." in body and "trained or painted" not in body
    words = rendered("workflow.rst", config("demo", sphering={"spaces": ["cellprofiler"], "method": "PCA"}))
    assert "**Sphering.** Wells of cellprofiler were sphered by pycytominer (PCA, epsilon 1e-06)" in words
    assert "(those that no fold tests)" in words


def test_methods_say_what_models_are_told_and_arms_painted_as():
    plain = config("demo")
    assert "was told of each image" not in rendered("workflow.rst", plain) and not plain["effects"]
    models = [{"name": "told", "label": "none", "conditions": {"dose": {"dropout": 0.2}, "cell_line": {}}}]
    arms = [{"name": name, "model": "told", "folds": ["unseen_plate"], "conditions": {"cell_line": "U2OS", "dose": dose},
             "condition_scales": {"cell_line": 2}} for name, dose in (("low", 1), ("high", None))]  # fmt: skip
    told = {**plain["models"][0], **models[0], "conditions": {"dose": {"dropout": 0.2}, "cell_line": {"dropout": 0.1}}}
    words = {
        **plain,
        "models": [told],
        "arms": [{**plain["arms"][0], **arm} for arm in arms],
        "effects": [{"name": "e"}],
    }
    body, stream = rendered("workflow.rst", words), io.StringIO()
    publish_parts(
        body, writer_name="html", settings_overrides={"warning_stream": stream, "report_level": 1, "halt_level": 5}
    )
    assert stream.getvalue() == ""
    body = " ".join(body.split())
    assert "``told`` was told of each image dose (left out of 20%), cell line (left out of 10%): categories" in body
    assert "``low`` was painted as of cell line U2OS, as of dose 1, guided by cell line 2 times." in body
    assert "``high`` was painted as of cell line U2OS, without its dose, guided by" in body and "**Effects.**" in body


def test_methods_say_how_cells_are_told_apart_where_they_are():
    assert "Cells told apart" not in rendered("workflow.rst", config("demo"))
    chosen = {"label": "treatment", "test_plates": ["SIM003"]}
    words = " ".join(rendered("workflow.rst", config("demo", crops={"size_um": 40}, cellnet=chosen)).split())
    assert "trained to tell the treatment of single real cells by their crops (1000000 crops seen" in words
    assert (
        "of all plates but SIM003; it was tested on the cells of others" in words
        and "of wells that it was not trained on" in words
    )
    assert "Where the classifier looks" not in words
    chosen |= {"gradcamo": True, "layer": 2, "floor": True, "least_lift": 1.5}
    words = " ".join(rendered("workflow.rst", config("demo", crops={"size_um": 40}, cellnet=chosen)).split())
    assert (
        "and of the class answered, at layer 2 of the network" in words
        and "the one trained on shuffled labels" in words
    )
    assert "a network trained on crops without their cell says what the background tells." in words
    assert "cells whose lift, for the class answered, is 1.5 or more" in words


def test_methods_say_what_a_controlnet_is_told_of_and_who_paints_its_fresh_noise():
    models = [{"name": "phen", "label": "perturbation", "inputs": []},
              {"name": "led", "kind": "stain_controlnet", "base": "phen", "inputs": [], "blur_px": 3}]  # fmt: skip
    arms = [{"name": "moved", "model": "led", "folds": ["A"], "steps": 20, "translate": {"from_noise": True}}]
    folds = [{"name": "A", "test": ["SIM003"]}]
    words = " ".join(rendered("workflow.rst", config("demo", models=models, arms=arms, folds=folds)).split())
    assert "on ``phen``, whose weights were frozen" in words and "the field's own stains, blurred by 3 px" in words
    assert "Each field was left for fresh noise in 20 steps, its own blurred stains being shown, and painted" in words
    assert (
        "``fresh_moved`` are the same fields from fresh noise, by ``phen``, which is told nothing of the source."
        in words
    )
    assert "inverted by DDIM" not in words
