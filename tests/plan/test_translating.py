"""What the wells of a study's plates tell of its translations, before anything runs."""

import pandas as pd
import pytest
import torch

from brightpaint import store
from brightpaint.plan import costs, limits, painting, translating
from brightpaint.plan.extent import extents
from brightpaint.study.study import Study
from conftest import ROOT, TINY, snakemake, write_study

SCHEMAS = ROOT / "workflow" / "schemas"
RATES = painting.read_rates(ROOT / "resources" / "rates.tsv")
PLATES = "plate\trole\twells\nown1\tstudy\tA01:B03\nown2\tstudy\tC01:D03\n"
DOSED = {"rows": 4, "columns": 6, "doses": {"um": [0.1, 1, 10]}}
MODEL = {"name": "phen", "label": "treatment", "inputs": [], "width": 8}


def study_of(folder, translate=None, model=None, plates=None, **changes):
    """Return a study with one translation, of simulated plates or as changed."""
    config = {key: TINY[key] for key in ("plates", "pixel_size_um", "sample")} | {
        "source": {"layout": "simulated"},
        "simulate": DOSED,
        "folds": [{"name": "A", "test": ["T2"]}],
        "models": [{**MODEL, **(model or {})}],
        "arms": [{"name": "doses", "model": "phen", "folds": ["A"], "translate": translate or {}}],
        **changes,
    }
    text = "plate\trole\tproject\tsource\tbatch\nT1\tstudy\ts\ts0\tB1\nT2\tstudy\ts\ts0\tB2\n"
    (folder / "plates.tsv").write_text(plates or text)
    return Study.load(config, SCHEMAS, folder)


def said(study, folder):
    return "\n".join(translating.problems(study, folder))


def test_what_simulated_wells_hold_is_known_and_what_fits_is_not_spoken_of(tmp_path):
    assert said(study_of(tmp_path), tmp_path) == ""
    table = translating.Wells(study_of(tmp_path), tmp_path).of("T2")
    compound = table.loc[table["Metadata_dose"].notna(), "Metadata_perturbation"].iloc[0]
    assert said(study_of(tmp_path, {"targets": {"compound": compound, "um": [0.1, 10]}}), tmp_path) == ""
    found = said(study_of(tmp_path, {"targets": {"compound": compound, "um": [0.1, 7]}}), tmp_path)
    assert found.startswith(f"arm doses, plate T2: the model was not trained on {compound}@7uM; doses of {compound}: ")
    found = said(study_of(tmp_path, {"targets": ["aspirin@1uM"]}), tmp_path)
    assert "not trained on aspirin@1uM; it knows DMSO, " in found and "(" in found


def test_the_twin_of_a_model_is_a_class_that_it_will_know(tmp_path):
    asked = {"targets": ["DMSO_twin"]}
    assert said(study_of(tmp_path, asked, {"twin": True}), tmp_path) == ""
    assert "not trained on DMSO_twin; it knows DMSO, " in said(study_of(tmp_path, asked), tmp_path)


def test_wells_and_classes_of_the_source_are_held_to_the_plate(tmp_path):
    table = translating.Wells(study_of(tmp_path), tmp_path).of("T2")
    other = table.loc[table["Metadata_perturbation"] != "DMSO", "Metadata_Well"].iloc[0]
    assert f"well {other} is of class " in said(study_of(tmp_path, {"fields": other}), tmp_path)
    assert "no field of well H12" in said(study_of(tmp_path, {"fields": "H12"}), tmp_path)
    assert "no well of the source class water" in said(study_of(tmp_path, {"source": "water"}), tmp_path)


def test_one_class_alone_and_a_plate_without_dmso(tmp_path):
    one = {"label": "perturbation"}
    assert "there is no other class to show" in said(
        study_of(tmp_path, model=one, simulate={**DOSED, "doses": None, "dmso_share": 1}), tmp_path
    )
    wells = translating.Wells(study_of(tmp_path), tmp_path).of("T2")
    dosed = wells[wells["Metadata_perturbation"] != "DMSO"]
    few = ",".join(dosed["Metadata_Well"].iloc[:2])
    plates = f"plate\trole\tproject\tsource\tbatch\twells\nT1\tstudy\ts\ts0\tB1\t\nT2\tstudy\ts\ts0\tB2\t{few}\n"
    found = said(study_of(tmp_path, plates=plates), tmp_path)
    names = sorted(dosed["Metadata_treatment"].iloc[:2])
    assert "plate T2: no well of the source class DMSO; source classes" in found and all(
        name in found for name in names
    )


def own(folder, text, **changes):
    """Return a study of the user's own CSV: rows A and B train, C and D are translated."""
    (folder / "images.csv").write_text(text)
    source = {"layout": "table", "url": str(folder), "table": "images.csv"}
    plates = PLATES.replace("\twells", "\tbarcode\twells").replace("study\t", "study\town\t")
    folds = [{"name": "A", "test": ["own2"]}]
    return study_of(
        folder,
        plates=plates,
        source=source,
        simulate={},
        folds=folds,
        channels={"input": [], "target": ["DNA", "AGP"]},
        **changes,
    )


def csv(dose="1"):
    lines = ["plate,well,site,channel,file,perturbation,control_type,dose_um"]
    for row in "ABCD":
        lines += [f"own,{row}01,1,DNA,{row}1.tif,DMSO,negcon,", f"own,{row}02,1,DNA,{row}2.tif,taxol,,{dose}"]
    return "\n".join(lines) + "\n"


def test_ones_own_csv_is_read(tmp_path):
    assert said(own(tmp_path, csv()), tmp_path) == ""
    assert "not trained on taxol@3uM; doses of taxol: taxol@1uM" in said(
        own(tmp_path, csv(), translate={"targets": {"compound": "taxol", "um": [3]}}), tmp_path
    )
    assert "taxol has no dose that is a number" in said(
        own(tmp_path, csv(""), translate={"targets": {"compound": "taxol"}}), tmp_path
    )
    assert "arm doses: " in said(
        own(tmp_path, csv("high")), tmp_path
    )  # a dose that is no number: as the CSV's reader says it


def test_given_weights_are_asked_what_they_know(tmp_path):
    def weights(inputs=(), label="treatment"):
        own = {"kind": "diffusion", "label": label, "preset": "fast", "width": 8, "objective": "v"}
        channels, names = {"input": list(inputs), "target": ["DNA"]}, {"DMSO": 1, "taxol@1uM": 2}
        meta = {"settings": own, "channels": channels, "label_map": names, "versions": {}}
        store.write_weights(tmp_path / "w.safetensors", {"a": torch.zeros(1)}, meta)
        return {"weights": "w.safetensors"}

    known = said(study_of(tmp_path, {"targets": ["noc@1uM"]}, weights()), tmp_path)
    assert "not trained on noc@1uM; it knows DMSO, taxol@1uM" in known
    blind = said(study_of(tmp_path, model=weights(["BF"])), tmp_path)
    assert "w.safetensors was trained with brightfield (BF), and the translation gives it none" in blind
    assert "w.safetensors sees no brightfield; leave it out" in said(
        study_of(tmp_path, {"brightfield": True}, weights()), tmp_path
    )
    assert "was told no class to translate between" in said(study_of(tmp_path, model=weights(label="none")), tmp_path)


def test_of_a_gallery_that_has_no_index_yet_nothing_is_said_and_of_its_index_then(tmp_path):
    study = study_of(tmp_path, source={"layout": "gallery"}, folds=[{"name": "A", "test": ["T2"]}])
    assert said(study, tmp_path) == ""
    index = pd.DataFrame({"Metadata_Plate": "T1", "Metadata_Well": ["A01", "A02"], "Metadata_perturbation": ["a", "b"],
                          "Metadata_target": "", "Metadata_control_type": ""})  # fmt: skip
    for plate in ("T1", "T2"):
        path = tmp_path / study.config["pathvars"]["resources"] / "index" / f"{plate}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        store.write_table(index.assign(Metadata_Plate=plate), path)
    assert (
        "no well of the source class DMSO; source classes that this plate has and the model was trained on: a, b"
        in said(study, tmp_path)
    )


def test_held_out_perturbations_are_no_classes(tmp_path):
    table = translating.Wells(study_of(tmp_path), tmp_path).of("T2")
    name = table.loc[table["Metadata_perturbation"] != "DMSO", "Metadata_treatment"].iloc[0]
    held = [{"name": "A", "test": ["T2"], "held_out": 0.99}]
    assert f"not trained on {name}" in said(study_of(tmp_path, {"targets": [name]}, folds=held), tmp_path)


def test_costs_and_limits_grow_with_classes_iterations_and_fields(tmp_path):
    def flop(**translate):
        study = study_of(tmp_path, {"fields": 4, "targets": ["a", "b"], **translate})
        return costs.costs(study, extents(study, ROOT / "resources" / "sources.tsv", tmp_path), RATES).flop["translate"]

    study = study_of(tmp_path)
    one = painting.network_flop(study, study.entry("models", "phen"), 512)
    assert flop(inner=5) == pytest.approx(
        4 * one * (25 * 6 + 3 * 25 + 3 * 25)
    )  # inverted, painted, and from fresh noise
    assert flop(inner=0) == pytest.approx(4 * one * (25 + 3 * 25 + 3 * 25))
    assert flop(fields=8) == pytest.approx(2 * flop()) and flop(targets=["a"]) < flop()
    asked = []
    for fields in (200, 400):
        study = study_of(tmp_path, {"fields": fields, "inner": 100}, {"width": 256, "preset": "paper"})
        asked.append(limits.translating_minutes(study, "doses", RATES, plate="T2", parts=1))
    assert asked[1] > 1.5 * asked[0] > 120


@pytest.mark.slow
def test_snakemake_refuses_before_anything_runs(tmp_path):
    source = {
        "source": {"layout": "simulated"},
        "models": [MODEL],
        "unit": "treatment",
        "folds": [{"name": "A", "test": ["T2"]}],
    }
    arms = [{"name": "doses", "model": "phen", "folds": ["A"], "steps": 3, "translate": {"targets": ["aspirin@1uM"]}}]
    write_study(
        tmp_path,
        {**source, "arms": arms},
        "plate\trole\tproject\tsource\tbatch\nT1\tstudy\ts\ts0\tB1\nT2\tstudy\ts\ts0\tB2\n",
    )
    done = snakemake(tmp_path, "-n", check=False)
    assert (
        done.returncode
        and "arm doses, plate T2: target class: the model was not trained on aspirin@1uM; it knows" in done.stdout
    )
