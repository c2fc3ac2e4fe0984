"""The pipeline is the one source of settings: each is taken, refused, or known to change nothing, and none is overlooked."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from perturbed_settings import cases, with_line

from brightpaint.features import pipeline
from brightpaint.features.engine import known_settings
from brightpaint.features.engine import pipeline_steps as steps
from brightpaint.features.engine.setting_rules import Counted, Idle, Only, Repeated, Same
from features_fixture import FIVE

ROOT = Path(__file__).parents[3]
FULL, SLIM = (ROOT / "resources" / "cellprofiler" / f"{name}.cppipe" for name in ("full", "slim"))
PATH = Path("own.cppipe")


def read(text: str) -> list[steps.Step]:
    found = steps.steps_of(text, PATH)
    steps.check_flow(found, [f"Orig{name}" for name in FIVE], [], PATH)
    return found


def step_of(text: str, module: str) -> steps.Step:
    return next(step for step in read(text) if step.module == module)


def rules_of(module: str) -> list[tuple[str, object]]:
    """Return every (setting, rule) of a module, those that are repeated too."""
    settings = known_settings.MODULES[module].settings
    return [pair for entry in settings for pair in (entry.settings if isinstance(entry, Repeated) else [entry])]


def outcome(number: int, line: int, value: str) -> str:
    try:
        found = read(with_line(FULL.read_text(), number, line, value))
    except ValueError as error:
        assert "cellprofiler.engine" in str(error) and re.search(r"module \d+, \w+", str(error)), error
        return "refused"
    return "taken" if found != read(FULL.read_text()) else "idle"


def test_no_setting_of_the_full_pipeline_is_ignored_in_silence():
    """Each is changed by itself: what was read changes, or it is refused, or it is listed with the reason why it is idle."""
    idle, counts = set(), {"refused": 0, "taken": 0, "idle": 0}
    for number, line, value in cases(FULL.read_text()):
        found = outcome(number, line, value)
        counts[found] += 1
        if found == "idle":
            block = pipeline.blocks(FULL.read_text())[number]
            idle.add((block.partition(":")[0], pipeline.settings(block)[line - 1][0]))
    assert min(counts.values()) > 40  # the three ways occur
    for module, setting in idle:
        reasons = [rule.why for name, rule in rules_of(module) if name == setting and isinstance(rule, Idle)]
        assert reasons and all(len(reason) > 10 for reason in reasons), (module, setting)


def test_what_only_one_value_serves_is_refused_with_module_number_setting_and_value():
    for module, known in known_settings.MODULES.items():
        assert known.revision.isdecimal() and rules_of(module), module
    text = FULL.read_text().replace("Threshold strategy:Global", "Threshold strategy:Adaptive", 1)
    with pytest.raises(ValueError) as caught:
        read(text)
    assert str(caught.value) == (
        "own.cppipe: module 9, IdentifyPrimaryObjects: 'Threshold strategy' is 'Adaptive', and the fast engine knows "
        "'Global' alone; mend the pipeline, or set cellprofiler.engine to cellprofiler"
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("MeasureTexture:[", "MeasureImageQuality:[", "module 15, MeasureImageQuality: the fast engine does not know it"),
        ("variable_revision_number:15", "variable_revision_number:14", "module 9, .*version 14.*knows version 15 alone"),
        ("These objects", "Centers of other objects", "'Object to use as center.' is 'Centers of other objects'"),
        ("clumped objects:Shape", "clumped objects:Laplacian", "'Method to distinguish clumped .* expects Shape or Inten"),
        ("neighboring objects to measure:Cells", "neighboring objects to measure:Nuclei",
         "'Select neighboring objects to measure' is 'Nuclei', and the fast engine knows 'Cells' alone"),
        ("Hidden:3\n    Hidden:1", "Hidden:2\n    Hidden:1", "it names 0 bins, expected 1 or more"),
        ("Hidden:3\n    Measure", "Hidden:2\n    Measure", "does not know the setting 'Texture scale to measure' there"),
        ("Hidden:3\n    Measure", "Hidden:4\n    Measure", "hidden number of scales is 4, and 3 follow"),
        ("gray levels to measure the texture at:256", "gray levels to measure the texture at:1000",
         "is '1000', and the fast engine expects a whole number from 2 to 256"),
        ("    Regularization factor:0.05\n", "", "expected the setting 'Regularization factor', found 'Discard secondary"),
        ("    Regularization factor:0.05\n", "    Regularization factor:low\n", "'low', and the fast .* a number from 0"),
        ("Version:5", "Version:4", "Version is 4, and the fast engine knows 5 alone"),
        ("measure:Nuclei, Cells, Cytoplasm", "measure:Nuclei, Specks", "reads the object set Specks, which no module"),
        ("Select the image:OrigAGP", "Select the image:OrigLyso", "reads the image OrigLyso, which no module before"),
        ("Specify percentiles to measure:1\n", "Specify percentiles to measure:2\n",
         "module 3, ImageMath: it reads the measurement Intensity_Percentile_1_OrigDNA, which no .*Percentile_2_OrigDNA"),
        ("Calculate custom percentiles:Yes", "Calculate custom percentiles:No", "there are none"),
        ("Image or measurement?:Image", "Image or measurement?:Measurement", "expects one name"),
        ("measure:DNA, RNA, ER, AGP, Mito\n    Set threshold", "measure:DNA\n    Set threshold", "expects two names or more"),
        ("output image:RNA", "output image:DNA", "module 4, ImageMath: it makes the image DNA a second time"),
    ],
)  # fmt: skip
def test_what_the_engine_does_not_do_as_cellprofiler_does_is_refused(old, new, message):
    text = FULL.read_text()
    assert old in text
    with pytest.raises(ValueError, match=message) as caught:
        read(text.replace(old, new))
    assert "cellprofiler.engine to cellprofiler" in str(caught.value)


def test_a_module_that_is_switched_off_is_no_step():
    head, *modules = pipeline.blocks(FULL.read_text())
    off = [one.replace("enabled:True", "enabled:False") if one.startswith("MeasureTexture") else one for one in modules]
    found = read("\n\n".join([head, *off]))
    assert "MeasureTexture" not in [step.module for step in found] and found[-1].number == 20


def test_the_settings_of_the_shipped_pipelines_as_they_were_written():
    full, slim = FULL.read_text(), SLIM.read_text()
    primary = step_of(full, "IdentifyPrimaryObjects")
    assert primary.place == "09IdentifyPrimaryObjects"
    assert primary.settings["diameter"] == (10, 40) and primary.settings["threshold_smoothing_scale"] == 1.3488
    assert "least_distance" not in primary.settings and primary.settings["distance_calculated"]
    texture = step_of(full, "MeasureTexture").settings
    assert texture["gray_levels"] == 256 and [one["scale"] for one in texture["scales"]] == [3, 5, 10]
    assert step_of(slim, "MeasureTexture").settings["objects"] == ["Nuclei", "Cytoplasm"]
    assert "costes_method" not in step_of(slim, "MeasureColocalization").settings
    assert step_of(full, "MeasureColocalization").settings["costes_method"] == "Faster"
    assert "degree" not in step_of(slim, "MeasureObjectIntensityDistribution").settings


def test_a_setting_that_another_one_wakes_is_taken():
    text = FULL.read_text().replace("between local maxima?:Yes", "between local maxima?:No")
    assert step_of(text, "IdentifyPrimaryObjects").settings["least_distance"] == 7.0


@pytest.mark.parametrize("loaded", [False, True])
@pytest.mark.parametrize("channels", [["DNA", "AGP", "Lipid"], ["DNA", "RNA", "AGP", "ER", "Mito", "Lyso"]])
@pytest.mark.parametrize("path", [FULL, SLIM])
def test_a_shipped_pipeline_is_read_as_it_is_fitted_to_the_images(path, channels, loaded):
    found = steps.read_steps(path, channels, 0.5, {}, loaded=loaded)
    modules = [step.module for step in found]
    assert ("IdentifyPrimaryObjects" in modules) != loaded and modules.count("RelateObjects") == loaded
    assert found[1].settings["images"] == [f"Orig{name}" for name in channels]
    if not loaded:
        assert next(step for step in found if "diameter" in step.settings).settings["diameter"] == (20, 80)


def test_one_stain_alone_is_a_pipeline_too():
    named = {"nuclear_stain": "Hoechst", "cell_stains": ["Hoechst"]}
    found = steps.read_steps(FULL, ["Hoechst"], 1.0, named, loaded=False)
    assert "MeasureColocalization" not in [step.module for step in found]


def test_a_dry_run_reads_steps_without_numpy_or_numba():
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r})\nimport brightpaint.features.engine.pipeline_steps\n"
        "print(sorted({'numpy', 'numba', 'pandas', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_rule_of_a_setting_is_one_of_the_known_ways():
    for module in known_settings.MODULES:
        for setting, rule in rules_of(module):
            assert isinstance(rule, (Idle, Only, Same, Counted)) or callable(rule.read), (module, setting)
            if isinstance(rule, Idle) and rule.when:
                assert rule.other is not None and {name for name, _ in rule.when} <= dict(rules_of(module)).keys()
