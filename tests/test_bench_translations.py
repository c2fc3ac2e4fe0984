"""What benchmarks of translations say of finished studies: known answers, and the sentences that README may claim."""

from __future__ import annotations

import importlib
import json
import math
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from translation_fixture import scored_translation  # noqa: F401

ROOT = Path(__file__).parent.parent


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    return importlib.import_module


def wells(kind: str, half: float, *, wells=("D01", "D02", "H02", "H12"), rise=4.0, seed=0) -> pd.DataFrame:
    """Ratios of wells along a Hill curve from 0.8, each with an offset of its own."""
    rng, rows = np.random.default_rng(seed), []
    offsets = dict(zip(wells, rng.normal(0, 0.03, len(wells))))
    for dose in (0.0, *np.geomspace(half / 16, half * 16, 9)):
        for well in wells:
            ratio = 0.8 + offsets[well] + (rise / (1 + half / dose) if dose else 0.0) + rng.normal(0, 0.02)
            rows.append(
                {
                    "kind": kind,
                    "well": well,
                    "compound": "a" if dose else "DMSO",
                    "dose": dose,
                    "ratio": ratio,
                    "nuclei": 9,
                }
            )
    return pd.DataFrame(rows)


def test_a_nucleus_twice_as_bright_as_its_ring_has_a_ratio_of_two(bench):
    bbbc013 = bench("bbbc013")
    labels, light = np.zeros((64, 64), np.uint16), np.full((64, 64), 7.0)
    labels[20:30, 20:30] = 3
    light[15:35, 15:35] += 10
    light[20:30, 20:30] += 10
    assert bbbc013.ring_ratios(light, labels) == pytest.approx([2.0])
    assert bbbc013.ring_ratios(3 * light + 100, labels) == pytest.approx([2.0])  # in any unit
    assert math.isnan(bbbc013.ring_ratios(np.full((64, 64), 7.0), labels)[0]) and not len(
        bbbc013.ring_ratios(light, 0 * labels)
    )


@pytest.mark.parametrize("kind", ["real", "translation"])
def test_half_effects_and_correlations_of_a_curve_are_found_with_intervals_that_hold_them(bench, kind):
    (row,) = bench("bbbc013").compound_rows(wells(kind, 0.1), 1, resamples=40)
    assert row["half_um"] == pytest.approx(0.1, rel=0.15) and row["spearman"] > 0.95 and row["rising"] == 1
    assert 0.88 * row["half_um_low"] <= 0.1 <= 1.12 * row["half_um_high"]  # a grid's step
    assert row["spearman_low"] <= row["spearman"] + 0.01 and row["spearman_high"] <= 1
    assert row["zero"] == pytest.approx(0.8, abs=0.05) and row["top"] == pytest.approx(4.6, abs=0.2)
    (flat,) = bench("bbbc013").compound_rows(wells(kind, 0.1, rise=0.0), 1, resamples=40)
    assert abs(flat["spearman"]) < 0.5


def write_arm(results: Path, arm: str, plate: str, rows: pd.DataFrame, ratios: list[float]) -> None:
    """Write images and label images of one arm's plate: a nucleus a field, brighter than its ring by a known factor."""
    folder = results / "images" / arm
    with store.StackWriter(folder / f"{plate}.tif", (len(rows), 2, 64, 64), ["GFP", "DNA"], key="t") as writer:
        labels = []
        for n, ratio in enumerate(ratios):
            gfp, label = np.zeros((64, 64)), np.zeros((64, 64), np.uint16)
            place = 20 + 8 * (arm == "fresh_doses")  # fresh noise paints its nuclei elsewhere
            gfp[10:50, 10:50], label[place : place + 10, 20:30] = 1.0, 1
            gfp[label > 0] = ratio
            writer.write(n, np.stack([gfp, label > 0]))
            labels.append(label[None])
    table = results / ("fields" if arm == "real" else f"images/{arm}") / f"{plate}.parquet"
    store.write_table(rows, table)
    store.write_masks(results / "masks" / arm / f"{plate}.tif", rows, labels, ["Nuclei"], (64, 64))


def finished_seed(results: Path) -> set[str]:
    """Write what `read_seed` reads of a finished study of one compound; return its dose wells."""
    doses = np.array([0.001, 0.01, 0.1, 1.0])
    placed = {"BBBC013_ABCEFG": "ABC", "BBBC013_DH": "DH"}
    curve = lambda dose: 1 + (4 / (1 + 0.03 / dose) if dose else 0.0)  # noqa: E731

    def field(plate, row, column, dose):
        name = f"drug@{dose:.3g}uM" if dose else "DMSO"
        return {"Metadata_Plate": plate, "Metadata_Well": f"{row}{column:02d}", "Metadata_Site": 1, "Metadata_Tile": 1,
                "Metadata_perturbation": "drug" if dose else "DMSO", "Metadata_dose": dose or np.nan, "Metadata_treatment": name,
                "Metadata_target": "", "Metadata_control_type": "" if dose else "negcon"}  # fmt: skip

    wells_of = set()
    for plate, rows in placed.items():
        table = [field(plate, row, n + 1, dose) for row in rows for n, dose in enumerate([0.0, *doses])]
        wells_of |= {entry["Metadata_Well"] for entry in table if entry["Metadata_perturbation"] == "drug"}
        ratios = [curve(entry["Metadata_dose"] if entry["Metadata_perturbation"] == "drug" else 0.0) for entry in table]
        write_arm(results, "real", plate, pd.DataFrame(table), ratios)
    shown = [
        (row, dose) for row in "DH" for dose in [0.0, *doses, 0.5]
    ]  # 0.5: of a control well, no part of the series
    base = [field("BBBC013_DH", row, 1, 0.0) for row, _ in shown]
    painted = [f"drug@{dose:.3g}uM" if dose else "DMSO" for _, dose in shown]
    table = pd.DataFrame(base).assign(Metadata_painted_as=painted, Metadata_draw=0)
    write_arm(results, "doses", "BBBC013_DH", table, [curve(dose) for _, dose in shown])
    write_arm(results, "fresh_doses", "BBBC013_DH", table, [2.0] * len(shown))
    return wells_of


def test_a_finished_seed_is_read_summed_up_and_drawn(bench, tmp_path):
    bbbc013 = bench("bbbc013")
    found = bbbc013.read_seed(tmp_path, 1, finished_seed(tmp_path))
    ratios = found["wells"].set_index(["kind", "well", "class"])["ratio"]
    assert (
        ratios[("real", "A05", "drug@1uM")]
        == pytest.approx(ratios[("translation", "D01", "drug@1uM")])
        == pytest.approx(4.88, abs=0.01)
    )
    assert ratios[("translation", "H01", "DMSO")] == pytest.approx(1, abs=0.01) and set(found["wells"]["compound"]) == {
        "drug",
        "DMSO",
    }
    assert "drug@0.5uM" not in set(found["wells"]["class"]) | set(found["overlap"]["class"])
    parts = {kind: own for kind, own in found["wells"].groupby("kind")}
    real, moved, fresh = (
        bbbc013.compound_rows(parts[kind], 1, resamples=20)[0] for kind in ("real", "translation", "fresh noise")
    )
    assert real["half_um"] == pytest.approx(0.03, rel=0.2) and moved["half_um"] == pytest.approx(
        real["half_um"], rel=0.05
    )
    assert real["wells"] == 20 and moved["wells"] == 2 and not fresh["spearman"] > 0.5
    overlap = bbbc013.overlap_row(found["overlap"], 1)
    assert overlap["f1 translation"] == overlap["f1 reconstruction"] == 1 and overlap["f1 fresh noise"] == 0
    line = {"seed": 1, "compounds": [moved, fresh], "overlap": overlap}
    holds, words = bbbc013.claim([real], [line])
    assert holds, words
    bbbc013.save(bbbc013.figure(found["wells"], found["overlap"]), tmp_path / "figure.png", 40)
    assert (tmp_path / "figure.png").read_bytes()[:4] == b"\x89PNG"


def test_readme_may_claim_what_holds_in_every_seed_and_nothing_else(bench):
    bbbc013 = bench("bbbc013")
    real = [{"compound": "a", "half_um": 0.012}, {"compound": "b", "half_um": 5.0}]

    def seed(a, b, gain):
        rows = [{"kind": "translation", "compound": name, "half_um": half} for name, half in (("a", a), ("b", b))]
        rows.append({"kind": "fresh noise", "compound": "a", "half_um": 99.0})
        f1 = {"f1 translation": 0.6, "f1 fresh noise": 0.2}
        return {"compounds": rows, "overlap": {**f1, "f1_gain_low": gain}}

    holds, words = bbbc013.claim(real, [seed(0.01, 6.0, 0.1), seed(0.02, 3.0, 0.2)])
    assert holds and words.startswith("On real cells (BBBC013)") and "a 0.83, 1.67; b 1.20, 0.60" in words
    holds, words = bbbc013.claim(real, [seed(0.01, 6.0, 0.1), seed(0.03, 3.0, 0.2)])
    assert (
        not holds
        and "a half-effect dose is not within a factor of 2" in words
        and "fresh noise's." not in words.split(":")[0]
    )
    holds, words = bbbc013.claim(real, [seed(0.01, 6.0, -0.1), seed(0.02, 3.0, 0.2)])
    assert not holds and words.startswith("Nothing is claimed") and "no more than fresh noise's" in words
    assert not bbbc013.claim(real, [seed(math.nan, 6.0, 0.1)])[0]


def test_the_gain_of_overlap_is_of_the_same_wells(bench):
    rows = [{"well": well, "class": name, "reference": kind, "f1": f1 + 0.05 * n}
            for n, well in enumerate(("D01", "D02", "H02", "H12")) for name in ("a@1uM", "a@2uM")
            for kind, f1 in (("translation", 0.6), ("fresh noise", 0.2), ("unrelated cells", 0.1))]  # fmt: skip
    rows += [{"well": well, "class": "DMSO", "reference": "reconstruction", "f1": 0.9} for well in ("D01", "D02")]
    row = bench("bbbc013").overlap_row(pd.DataFrame(rows), 1)
    assert row["f1 reconstruction"] == pytest.approx(0.9) and row["f1 translation"] == pytest.approx(0.675)
    assert (row["f1_gain"], row["f1_gain_low"], row["f1_gain_high"]) == pytest.approx((0.4, 0.4, 0.4))


def test_a_finished_dose_study_is_summed_up(bench, shifts, tmp_path):
    doses, folder = bench("dose_translations"), tmp_path / "scores" / "shifts" / "cellprofiler"
    store.write_table(store.read_table(shifts / "arm.classes.parquet"), folder / "doses.classes.parquet")
    store.write_table(store.read_table(shifts / "arm.parquet"), tmp_path / "metrics" / "doses.parquet")
    line, found = doses.seed_line(tmp_path, 3, 61.0)
    real = {row["metric"]: row for row in line["doses"]}["dose_r_real"]
    assert real["value"] > real["joint_null_95"] > 0.3 and real["plate"] == "P"
    assert (
        line["controls"]["holds"] and line["controls"]["classes"] == 9 and set(found["cluster"]) == {"3/A/A", "3/inert"}
    )
    assert line["references"]["identity"]["kept"] == pytest.approx(1) and line["direction"]["value"] > 0.9
    assert set(line["references"]) == {
        "translation",
        "identity",
        "reconstruction",
        "fresh noise",
        "real training",
        "real half",
    }
    text = doses.report([line], {"controls": doses.judged(found)})
    assert "| joint_null_95 |" in text and "| all |" in text and "real training" in text


def test_what_is_found_where_nothing_is_holds_up_to_its_sampling_error(bench):
    doses = bench("dose_translations")

    def found(*shares):
        rows = [{"found": share, "real_found": 0.0, "control": "inert", "cluster": n} for n, share in enumerate(shares)]
        return doses.judged(pd.DataFrame(rows))

    assert found(0.0, 0.04, 0.0)["holds"] and found(0.0, 0.0, 0.3)["holds"]
    assert not found(0.2, 0.3, 0.25)["holds"] and found(0.2, 0.3, 0.25)["found"] == pytest.approx(0.25)


def test_a_classes_controls_are_counted_once_whatever_the_references(bench):
    names = ["control", "tested", "plate", "class", "perturbation", "found", "real_found", "reference"]
    rows = [(control, 5, "P", name, compound, share, 0.0, reference)
            for reference in ("translation", "identity")
            for control, name, compound, share in (("A/A", "DMSO_twin", "", 0.2), ("inert", "i@1uM", "i", 0.0),
                                                   ("inert", "i@2uM", "i", 0.1),
                                                   ("", "a@1uM", "a", 0.9))]  # fmt: skip
    found = bench("dose_translations").control_found(pd.DataFrame(rows, columns=names), 2)
    assert list(found["found"]) == [0.2, 0.0, 0.1] and list(found["cluster"]) == ["2/A/A", "2/i", "2/i"]


def test_the_studies_of_seeds_are_the_shipped_ones_with_other_plates_and_trainings(bench):
    doses = bench("dose_translations")
    args = doses.argparse.Namespace(images=100, fields=2, steps=3)
    first, plates = doses.study_of(1, args)
    second, _ = doses.study_of(2, args)
    assert plates.startswith("plate\trole") and first["simulate"]["seed"] == 4 and second["simulate"]["seed"] == 5
    targets = first["arms"][0]["translate"]["targets"]
    assert (
        len(targets) == 13
        and targets[-1] == "DMSO_twin"
        and {name.split("@")[0] for name in targets[:-1]} == {"SIM-003-B", "SIM-001-A"}
    )
    assert (first["train"]["seed"], second["train"]["seed"], first["models"][0]["twin"]) == (1, 2, True)


def test_an_inversion_of_ours_comes_back_and_a_clipped_one_does_not(bench):
    translate = bench("translate")
    case = translate.exact()
    lines = {way: translate.line_of(case, *translate.ours(case, *way)) for way in ((50, 0), (50, 5), (25, 0))}
    plain, five = lines[(50, 0)], lines[(50, 5)]
    assert five["round_trip_most"] < 1e-3 < plain["round_trip_most"] < lines[(25, 0)]["round_trip_most"]
    assert plain["evaluations"] == 100 < five["evaluations"] <= 350
    try:
        diffusers = translate.diffusers_schedulers()
    except ImportError:
        pytest.skip("diffusers is not installed: the peer is not measured")
    narrow = {**case, "range": (-1.5, -0.5)}  # one s.d. of the class either way: images lie beyond
    clipped, free = (translate.published(narrow, 50, diffusers, clip=clip, reference=None) for clip in (True, False))
    errors = [translate.line_of(case, *found)["round_trip_most"] for found in (clipped, free)]
    assert errors[0] > errors[1] > five["round_trip_most"] and clipped[3] == 100


def test_a_finished_stage_is_not_begun_again_and_another_study_is(bench, tmp_path, monkeypatch):
    studies, made = bench("translated_studies"), []
    monkeypatch.setattr(
        studies, "make", lambda folder, study, plates, wanted, cores: made.append(wanted) or folder.mkdir(exist_ok=True)
    )
    study = {"models": [{"name": "m"}], "folds": [{"name": "A"}]}
    folder = tmp_path / "seed"
    first = list(studies.run_stages(folder, study, "", cores=1, last="training"))
    assert made == [["plates"], ["results/models/m/A/weights.safetensors"]] and [line["kept"] for line in first] == [
        False,
        False,
    ]
    again = list(studies.run_stages(folder, study, "", cores=1))
    assert [line["kept"] for line in again] == [True, True, False, False, False, False] and made[-1] == []
    assert again[0]["wall_s"] == first[0]["wall_s"] and json.loads((folder / "stages.json").read_text())["stages"]
    list(studies.run_stages(folder, {**study, "train": {"seed": 2}}, "", cores=1, last="plates"))
    assert made[-1] == ["plates"]


def test_what_a_killed_run_left_is_in_the_way_of_nothing(bench, tmp_path, monkeypatch):
    studies, asked = bench("studies"), []
    done = types.SimpleNamespace(returncode=0)
    monkeypatch.setattr(studies.subprocess, "run", lambda command, **_: asked.append(command) or done)
    studies.make(tmp_path, {}, "", ["plates"])
    assert {"--rerun-incomplete", "--nolock"} < set(asked[0]) and asked[0][-1] == "plates"
