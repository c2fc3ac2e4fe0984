"""Arms that translate: apart from those that predict, each with its companion, and refused where they can't be."""

from pathlib import Path

import pytest

from brightpaint.study.samplers import steps_inverted, walked_share
from brightpaint.study.study import Study

SCHEMAS = Path(__file__).parents[2] / "workflow" / "schemas"
PLATES = "plate\trole\tbatch\twells\nP1\tstudy\tB1\t\nP2\tstudy\tB2\t\nP3\tstudy\tB3\t\nQ1\tpredict\tB4\t\n"
ARM = {"name": "doses", "model": "phen", "folds": ["A"], "translate": {}}


@pytest.fixture
def load(tmp_path):
    def load(arm=None, translate=None, model=None, fold=None, table=PLATES, **changes):
        (tmp_path / "plates.tsv").write_text(table)
        config = {
            "plates": "plates.tsv",
            "folds": [{"name": "A", "test": ["P3"], **(fold or {})}],
            "models": [{"name": "phen", "label": "treatment", "inputs": [], **(model or {})}],
            "arms": [{**ARM, **(arm or {}), "translate": translate or {}}],
        }
        return Study.load({**config, **changes}, SCHEMAS, tmp_path)

    return load


def test_translations_stand_apart_with_a_companion_from_fresh_noise(load):
    painted = {"name": "plain", "model": "phen", "folds": ["A"]}
    study = load(arms=[painted, ARM, {**ARM, "name": "noise", "translate": {"from_noise": True}}])
    assert study.arms == ["plain"] and study.translations == ["doses", "fresh_doses", "noise"]
    chosen = study.entry("arms", "doses")["translate"]
    assert chosen == {"source": None, "targets": "all", "fields": 16, "inner": 5, "tolerance": 1e-4, "from_noise": False,
                      "strength": 1, "brightfield": False}  # fmt: skip
    assert study.entry("arms", "fresh_doses")["translate"] == {**chosen, "from_noise": True}
    assert study.entry("arms", "plain")["translate"] is None
    assert study.profile_plates("doses") == ["P3"] and study.translated_plates() == ["P1", "P2", "P3"]
    assert study.profile_plates("real") == ["P1", "P2", "P3"] and study.used_plates() == ["P1", "P2", "P3"]
    assert study.profiled("doses") and study.profiled("real")


def test_a_study_without_translations_has_none(load):
    study = load(arms=[{"name": "plain", "model": "phen", "folds": ["A"]}])
    assert study.translations == [] and study.translated_plates() == []


def test_steps_of_inversion_are_counted(load):
    study = load({"steps": 40}, {"inner": 5})
    assert (
        steps_inverted(study.entry("arms", "doses")) == 40 * 6
        and steps_inverted(study.entry("arms", "fresh_doses")) == 0
    )
    half = load({"steps": 40, "sampler": "heun"}, {"inner": 3, "strength": 0.5}).entry("arms", "doses")
    assert walked_share(half) == 20 and steps_inverted(half) == 20 + 3 * 39
    assert steps_inverted(load({"steps": 40}, {"inner": 0}).entry("arms", "doses")) == 40
    assert walked_share(load({"steps": 40}, {"strength": 0.001}).entry("arms", "doses")) == 1


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"model": {"kind": "regression", "inputs": None}}, "kind regression, whose way can't be walked back; .* kind diffusion"),
        ({"model": {"label": "none"}}, "model phen is told no class to translate between; give it a label"),
        ({"model": {"inputs": ["Brightfield"]}}, r"brightfield \(Brightfield\), and the translation gives it none; set"),
        ({"translate": {"brightfield": True}}, "translate.brightfield is true, and model phen sees no brightfield"),
        ({"arm": {"sampler": "ddpm"}}, "sampler ddpm with eta 0 puts noise back, which can't be inverted"),
        ({"arm": {"eta": 0.5}}, "sampler ddim with eta 0.5 puts noise back"),
        ({"arm": {"sampler": "dpmpp"}}, "dpmpp depends on the one before .* use ddim or heun, or translate.inner: 0"),
        ({"arm": {"sampling_label": "swapped"}}, "sampling_label swapped is not for a translation"),
        ({"arm": {"samples": 3}}, "samples 3 is not for a translation"),
        ({"model": {"label": "cell_line"}}, "among classes of cell_line none is DMSO; name one of them in translate.source"),
        ({"model": {"label": "perturbation"}, "translate": {"targets": {"compound": "taxol"}}}, "which pools them; set its label"),
        ({"translate": {"targets": ["DMSO"]}}, "translate.targets names DMSO alone, the source class"),
        ({"translate": {"targets": {"compound": "taxol", "um": [1, "high"]}}}, "um: 'high' is no dose; expected"),
        ({"translate": {"targets": {"compound": "taxol", "um": [-1]}}}, "translate.targets.um: -1 is no dose"),
        ({"translate": {"targets": ["taxol@1uM"]}, "fold": {"held_out": ["taxol"]}}, "fold A holds out taxol@1uM, so"),
        ({"model": {"subset": "active"}}, "trains on active perturbations alone, which DMSO is not"),
        ({"translate": {"fields": "A01:"}}, "translate.fields: wells: expected wells such as A01"),
        ({"fold": {"test": [], "predict": ["Q1"]}}, "fold A tests no plate, and a translation starts"),
    ],
)  # fmt: skip
def test_translations_that_cannot_be_made_are_refused(load, changes, message):
    with pytest.raises(ValueError, match=f"arm doses: .*{message}"):
        load(**changes)


def test_each_problem_is_said_once_and_not_of_the_companion_too(load):
    with pytest.raises(ValueError) as said:
        load(model={"label": "none"})
    assert str(said.value).count("told no class") == 1 and "fresh_doses" not in str(said.value)


def test_a_name_that_the_companion_has_is_refused(load):
    with pytest.raises(ValueError, match="fresh_doses"):
        load(arms=[ARM, {"name": "fresh_doses", "model": "phen", "folds": ["A"]}])


@pytest.mark.parametrize(
    "column, one, other", [("wells", "A01:B06", "B05:D06"), ("sites", "1", "2"), ("region", "1", "2")]
)
def test_source_wells_that_the_fold_trains_on_are_refused(load, column, one, other):
    """Rows of the plate table may share wells by other sites or tiles; a source field's well must not be trained on."""
    table = f"plate\trole\tbarcode\t{column}\nP1\tstudy\tX\t{one}\nP3\tstudy\tX\t{other}\n"
    changes = {"prepare": {"grid": [1, 2]}} if column == "region" else {}
    if column == "wells":  # overlapping wells are refused already; of apart ones nothing is shared
        study = load(table=table.replace("B05:D06", "C01:D06"))
        assert study.translations
        return
    with pytest.raises(
        ValueError, match="P3 shows all wells of which fold A trains on other fields .plate P1.*part the plates"
    ):
        load(table=table, **changes)
    assert load(table=table.replace("P3\tstudy\tX", "P3\tstudy\tY"), **changes).translations


def test_wells_named_as_sources_may_be_the_ones_that_are_not_trained_on(load):
    table = "plate\trole\tbarcode\twells\tsites\nP1\tstudy\tX\tA01:A06\t1\nP3\tstudy\tX\tA06:B06\t2\n"
    with pytest.raises(ValueError, match="plate P3 shows wells A06 of which fold A trains on"):
        load(table=table)
    assert load(translate={"fields": "B01:B06"}, table=table).translations


def test_a_schedule_that_cannot_be_inverted_is_refused_with_the_reason(load):
    with pytest.raises(
        ValueError, match="model phen: terminal_snr zero with objective eps: in pure noise eps is the image itself"
    ):
        load(model={"terminal_snr": "zero", "preset": "phendiff"})
    assert load(model={"terminal_snr": "zero"}).config["models"][0]["objective"] == "v"


@pytest.mark.parametrize(
    "changes, message",
    [
        ({}, "no crops of real cells are asked for; set crops.size_um"),
        ({"crops": {"size_um": 40, "size_px": 32}}, "crops.size_px resizes them"),
        (
            {"crops": {"size_um": 40, "channels": ["DNA"]}},
            "crops have no RNA, ER, AGP, Mito; name them in crops.channels",
        ),
    ],
)
def test_models_of_single_cells_need_crops_at_the_fields_own_pixels(load, changes, message):
    with pytest.raises(ValueError, match=f"model phen: examples crops, but {message}"):
        load(model={"examples": "crops"}, **changes)
    assert load(model={"examples": "crops"}, crops={"size_um": 40}).profiled("real")
