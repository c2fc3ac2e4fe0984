"""A benchmark that does not run measures nothing: those of seconds are run, at the least size, of others what keeps their work."""

import argparse
import importlib
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from brightpaint import store
from brightpaint.models.compute import Compute
from brightpaint.models.conditions.condition import Condition
from brightpaint.models.objectives.losses import Denoising, build_denoiser
from brightpaint.models.validation import Validation
from cells_fixture import write_cells

ROOT = Path(__file__).parent.parent


def lines(*command: str) -> list[dict]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.exhaustive
def test_models_prints_a_line_for_the_network_and_two_for_its_training():
    found = lines(
        "bench/models.py", "--width", "8", "--size", "32", "--steps", "2", "--repeats", "1", "--device", "cpu", "--batch", "2",
        "--parts", "--fields", "3",
    )  # fmt: skip
    network, *trainings = found[:3]
    *parts, saving = found[3:]
    assert [(line["part"], line["samples"]) for line in parts] == [
        ("regression", 1),
        ("diffusion", 1),
        ("diffusion", 4),
    ]
    assert all(line["largest_difference"] == 0 and 0 < line["after_s"] < 60 for line in parts)
    assert 0 < saving["save_state_s"] < 60
    assert {line["preset"] for line in found} == {"fast"} and {line["device"] for line in found} == {"cpu"}
    figures = [
        "forward_s",
        "train_step_s",
        "paint_2_steps_s",
        *(f"{name}_share_of_matmul" for name in ("forward", "train", "paint")),
    ]
    assert all(0 < network[name] < 60 for name in figures)
    assert [line["prefetch"] for line in trainings] == [0, 2]
    assert all(line["training_images_per_s"] > 0 for line in trainings)


@pytest.fixture
def models(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    return importlib.import_module("models")


def test_the_prepared_run_of_a_card_ends_in_time_and_names_what_it_left_out(models, monkeypatch, capsys):
    """A clock of its own: each entry takes two minutes, the third is too large for the card."""
    now, measured = [0.0], []

    def measure_all(args, device):
        now[0] += 120
        measured.append((args.preset, args.size, args.batch, args.precision, args.compile, args.parts))
        if len(measured) == 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 GiB")

    monkeypatch.setattr(models, "measure_all", measure_all)
    monkeypatch.setattr(models.time, "monotonic", lambda: now[0])
    models.main(["--card", "--device", "cpu", "--minutes", "7"])
    assert measured[0] == ("paper", 512, 16, "auto", False, True) and len(measured) == 3
    skipped = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert skipped[0]["skipped"] == "CUDA out of memory"
    assert [line["skipped"] for line in skipped[1:]] == ["7 minutes are over"] * (len(models.PREPARED) - 3)
    assert now[0] <= 8 * 60


def test_shares_of_a_card_s_limit_are_its_data_sheet_s(models, monkeypatch):
    spent = {"forward_s": 1.0, "train_step_s": 4.0, "paint_5_steps_s": 10.0}
    on_cpu = models.roofline(spent, 2e12, 5, 1e13, torch.device("cpu"))
    assert on_cpu["forward_share_of_matmul"] == 0.2 and not any(name.endswith("peak") for name in on_cpu)
    card = torch.device("cuda")
    for name, peak in (
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA A100-SXM4-40GB", 312e12),
    ):
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device, name=name: name)
        found = models.roofline(spent, 2e12, 5, 1e13, card)
        shares = [found[f"{what}_share_of_peak"] for what in ("forward", "train", "paint")]
        assert shares == pytest.approx([2e12 / peak, 3 * 2e12 / 4 / peak, 5 * 2e12 / 10 / peak])
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla V100")
    assert models.peak_flop_per_s(card) is None


@pytest.mark.long
def test_crops_are_drawn_beside_what_numpy_takes_for_the_same_bytes(tmp_path):
    """The rate on one core is ten thousand a second of 5 x 96 px; here that it is near NumPy's plain gathering is enough."""
    (found,) = lines("bench/crops.py", "--cells", "300", "--batches", "12", "--folder", str(tmp_path))
    assert found["ratio"] > 0.6 and found["crops_per_s"] > 1000 and found["anonymous_mb_most"] > 0
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def presets(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    return importlib.import_module("presets")


@pytest.mark.exhaustive
def test_a_study_is_made_by_the_python_that_runs_the_bench(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # no environment is activated
    import studies

    study = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
    del study["pathvars"]
    study |= {"plates": "plates.tsv", "simulate": {"rows": 2, "columns": 2, "size_px": 64, "cells_per_field": 2}}
    plates = (ROOT / "config" / "demo_plates.tsv").read_text()
    studies.make(tmp_path, study, plates, ["resources/truth/SIM001.tsv"])
    assert len(pd.read_csv(tmp_path / "resources" / "truth" / "SIM001.tsv", sep="\t")) == 4
    with pytest.raises(SystemExit, match="MissingRuleException"):
        studies.make(tmp_path, study, plates, ["resources/truth/SIM009.tsv"])


def test_presets_goes_on_with_a_kept_training_and_refuses_other_marks(presets, tmp_path):
    args = argparse.Namespace(width=8, fields=None, steps=2, train={}, device="cpu", marks=[1.0, 2.0], folder=tmp_path)
    args.cool = []

    def begin():
        torch.manual_seed(1)
        model = build_denoiser({"preset": "fast", "width": 8, "objective": "v"}, presets.CHANNELS, 0)
        return presets.Recorded({"model": model}, Denoising(3, "v", "l2", 0.0), {**presets.TRAIN, "seed": 1}, Compute())

    def step(training):
        training.step(
            torch.linspace(-1, 1, 2 * 8 * 16 * 16).reshape(2, 8, 16, 16),
            Condition.of_labels(torch.zeros(2, dtype=torch.int64)),
            2,
        )
        training.losses = {}

    first = begin()
    kept = presets.Kept(first, "fast", 1, args)
    assert kept.lines == [] and kept.spent == 0
    step(first)
    line = {"seconds": 1.0, "cooled": False, "validation": 0.5, "fall": None}
    kept.save(1.25, line)
    again = begin()
    kept = presets.Kept(again, "fast", 1, args)
    assert kept.lines == [line] and kept.spent == 1.25 and again.seen == 2
    assert kept.fall(0.4, cooled=False) == pytest.approx(0.2) and kept.fall(0.4, cooled=True) is None
    step(first)
    step(again)
    assert all(torch.equal(value, again.mean[name]) for name, value in first.mean.items())
    args.marks = [1.5, 2.0]
    with pytest.raises(SystemExit, match=r"expected marks \[1.5, 2.0\], found \[1.0\]; delete it to begin anew"):
        presets.Kept(begin(), "fast", 1, args)


@pytest.mark.exhaustive
def test_presets_cools_a_kept_training_later_only_at_its_last_mark(presets, tmp_path, monkeypatch):
    monkeypatch.setattr(presets, "images_of", lambda *_: Fields())
    monkeypatch.setattr(presets, "VALIDATIONS", 2)
    plate, train = argparse.Namespace(score=lambda *_: {}), {"batch": 2, "warmup_images": 4}
    args = argparse.Namespace(width=8, fields=None, steps=2, train=train, device="cpu", folder=tmp_path)
    args.prefetch, args.flat = 0, None

    def lines(marks, cool):
        clock = itertools.count(0, 0.5)
        monkeypatch.setattr(presets.time, "process_time", lambda: next(clock))
        args.marks, args.cool = marks, cool
        return list(presets.train("fast", 1, tmp_path, plate, args))

    at_once = lines([1.0, 2.0], [2.0])
    (tmp_path / "states").rename(tmp_path / "of_at_once")
    lines([1.0, 2.0], [])
    assert lines([1.0, 2.0], [2.0]) == at_once == lines([1.0, 2.0], [2.0])
    assert [(line["seconds"], line["cooled"]) for line in at_once] == [(1.0, False), (2.0, False), (2.0, True)]
    with pytest.raises(SystemExit, match=r"expected cooled \[1.0, 2.0\], found \[2.0\]; delete it to begin anew"):
        lines([1.0, 2.0, 3.0], [1.0, 2.0])


class Fields:
    """Made-up fields in place of a plate's, to train on and to validate."""

    inputs = 3

    def __len__(self):
        return 4

    def batch(self, seed, first, count, crop_px, mine):
        return np.zeros((count, 8, 16, 16), np.float32), Condition.of_labels(torch.zeros(count, dtype=torch.int64))

    def fixed(self, number, crop_px):
        return str(number), np.zeros((8, 16, 16), np.float32), Condition.of_labels(torch.zeros(1, dtype=torch.int64))


@pytest.mark.exhaustive
def test_presets_extends_a_training_that_is_faster_than_before(presets, tmp_path, monkeypatch):
    monkeypatch.setattr(presets, "images_of", lambda *_: Fields())
    monkeypatch.setattr(presets, "CALIBRATED_S", 0)
    monkeypatch.setattr(presets, "VALIDATIONS", 2)
    plate = argparse.Namespace(score=lambda *_: {})

    def images_by_mark(step_s, marks, cool=(), folder=tmp_path):
        clock = itertools.count(0, step_s)
        monkeypatch.setattr(presets.time, "process_time", lambda: next(clock))
        args = argparse.Namespace(width=8, fields=None, steps=2, train={"batch": 2}, device="cpu", marks=marks)
        args.folder, args.prefetch, args.flat, args.cool = folder, 0, None, list(cool)
        return [(line["seconds"], line["images"]) for line in presets.train("fast", 1, tmp_path, plate, args)]

    assert images_by_mark(1.0, [2.0]) == [(2.0, 4)]
    assert images_by_mark(0.5, [2.0, 4.0]) == [(2.0, 4), (4.0, 12)]
    other = tmp_path / "cooled"
    other.mkdir()
    cooled = [(4.0, 8), (4.0, 10), (8.0, 16), (8.0, 20)]
    assert images_by_mark(1.0, [4.0, 8.0], [4.0, 8.0], other) == cooled
    assert images_by_mark(1.0, [4.0, 8.0, 12.0], [4.0, 8.0, 12.0], other) == [*cooled, (12.0, 24), (12.0, 30)]
    assert images_by_mark(1.0, [4.0, 8.0, 12.0, 16.0], [4.0, 8.0, 12.0], other)[-1] == (16.0, 32)
    with pytest.raises(SystemExit, match=r"expected cooled \[4.0\], found \[4.0, 8.0, 12.0\]; delete it to begin anew"):
        images_by_mark(1.0, [4.0, 8.0, 12.0], [4.0], other)


@pytest.mark.parametrize(
    ("values", "end"),
    [
        ([0.3, 0.4, 0.45], 0.5),  # gains of 0.1, 0.05, 0.025, ...
        ([1, 8, 4, 2], 0),  # only the last three count
        ([0.3, 0.4, 0.4], 0.4),
        ([0.3, 0.4, 0.35], 0.35),  # turned back: no trend to go on with
        ([0.3, 0.3, 0.35], None),  # gains that grow, or stay, end nowhere
        ([0.3, 0.35, 0.4], None),
        ([0.3, 0.4], None),
    ],
)
def test_presets_continues_gains_that_shrink(presets, values, end):
    assert presets.continued(values) == (end if end is None else pytest.approx(end))


@pytest.mark.long
def test_presets_cools_a_copy_of_a_training(presets):
    torch.manual_seed(1)
    model = build_denoiser({"preset": "fast", "width": 8, "objective": "v"}, presets.CHANNELS, 0)
    rule, settings = Denoising(3, "v", "l2", 0.0), {**presets.TRAIN, "seed": 1, "batch": 2, "warmup_images": 4}
    training = presets.Recorded({"model": model}, rule, settings, Compute())
    validation = Validation(Fields(), rule, settings, Compute())
    batches = training.batches(Fields())
    for _ in range(20):
        training.step(*next(batches))
    training.validate(validation)
    training.losses = {}
    before = {name: value.clone() for name, value in training.networks["model"].state_dict().items()}
    cooled = presets.cooled(training, Fields(), validation)
    assert cooled.seen == 50 and len(cooled.losses["loss"]) == 5
    assert cooled.optimisers["model"].param_groups[0]["lr"] == 0
    assert training.seen == 40 and len(training.history) == 1 and len(cooled.history) == 6
    assert all(torch.equal(value, before[name]) for name, value in training.networks["model"].state_dict().items())
    assert any(not torch.equal(value, before[name]) for name, value in cooled.networks["model"].state_dict().items())
    training.step(*next(batches))
    assert training.optimisers["model"].param_groups[0]["lr"] == 1e-3


def test_half_effects_are_judged_by_the_truth_and_what_is_not_fitted_counts_as_missed(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    simulated_doses = importlib.import_module("simulated_doses")
    rows = [
        ("a", "active", 0, 1.0, 1.9, 5.0, "fitted"),
        ("b", "active", 0, 1.0, 2.1, 5.0, "fitted"),
        ("c", "active", 0, 1.0, np.nan, 4.0, "non_monotone"),
        ("d", "active", 0, 1.0, np.nan, 2.0, "weak"),
        ("e", "active", 1, 99.0, np.nan, 6.0, "censored_above"),
        ("f", "inert", 0, np.nan, np.nan, 0.2, "inactive"),
        ("g", "toxic", 0, 1.0, 1.0, 9.0, "toxic"),
    ]
    names = ["Metadata_perturbation", "true_kind", "true_censored", "true_um", "half_um", "effect", "status"]
    found = simulated_doses.summary(pd.DataFrame(rows, columns=names))
    assert (found["inside"], found["strong"], found["within_two"], found["share"]) == (4, 3, 1, 0.333)
    assert found["statuses"] == {"fitted": 2, "non_monotone": 1, "weak": 1}
    assert (
        found["inert"] == {"inactive": 1}
        and found["toxic"] == {"toxic": 1}
        and found["censored"] == {"censored_above": 1}
    )


def test_gradcamo_plants_evidence_in_cells_or_behind_them_and_never_both(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    bench = importlib.import_module("gradcamo")
    monkeypatch.setattr(bench, "FIELD_PX", 96)
    monkeypatch.setattr(bench, "CELLS", 1)
    names = bench.treatments(0)
    assert len(names) == 3 and list(names.values()) == bench.EFFECTS
    plain, treated, striped = (bench.field(name, study, "P1", "A01", 1, 0) for name, study in
                               ((list(names)[0], "clean"), (list(names)[1], "clean"), (list(names)[2], "confounded")))  # fmt: skip
    inside = plain[1][0] > 0
    np.testing.assert_array_equal(plain[1], striped[1])
    np.testing.assert_array_equal(plain[0][:, 0, inside], striped[0][:, 0, inside])
    assert (plain[0][:, 0, ~inside] != striped[0][:, 0, ~inside]).any() and (plain[0] != treated[0]).any()
    both = bench.field(list(names)[1], "both", "P1", "A01", 1, 0)
    cell = treated[1][0] > 0
    np.testing.assert_array_equal(both[0][:, 0, cell], treated[0][:, 0, cell])
    assert (both[0][:, 0, ~cell] != treated[0][:, 0, ~cell]).any()


def gradcamo_line(arm, shown, accuracy, lifts, verdict, exempt=""):
    one = {"told_cell_erased": 0.1, "told_background_erased": 0.9}
    classes = {
        name: {**one, "lift": lift, "verdict": verdict, "exempt": name == exempt} for name, lift in lifts.items()
    }
    told = {"whole": accuracy, "cell erased": 0.4, "background erased": 0.8}
    return {"seed": 0, "arm": arm, "shown": shown, "layer": -1, "accuracy": told, "classes": classes,
            "lift": float(np.mean(list(lifts.values())))}  # fmt: skip


def test_gradcamo_says_what_holds_and_names_the_classes_that_are_exempt(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    bench = importlib.import_module("gradcamo")
    lines = [
        gradcamo_line("clean", "clean", 0.98, {"a": 0.4, "b": 2.0}, "looks at the cell", "a"),
        gradcamo_line("confounded", "confounded", 0.97, {"a": 0.45, "b": 0.55}, "looks elsewhere"),
        gradcamo_line("both", "both", 0.99, {"a": 0.6, "b": 0.7}, "can't be said"),
        gradcamo_line("both", "clean", 0.5, {"a": 0.8, "b": 0.9}, "can't be said"),
        gradcamo_line(bench.PULLED, bench.PULLED, 0.99, {"a": 2.0, "b": 2.0}, "looks at the cell"),
        gradcamo_line(bench.PULLED, "clean", 0.9, {"a": 2.0, "b": 2.0}, "looks at the cell"),
    ]
    held = bench.judged(lines)
    failed = ["confounded: lift below 0.5", "confounded: erasure agrees, over all classes"]
    assert [name for name, holds in held.items() if not holds] == failed
    text = bench.report(lines, {0: held})
    assert "| confounded: lift below 0.5 | **does not hold** |" in text and "| clean: lift above 1.5 | holds |" in text
    assert "(0.40), 2.00" in text and "Exempt, answered for crops with nothing left: a (seed 0, clean)." in text
    assert "both, attention pulled, stripes gone" in text
    assert [label.get_text() for label in bench.figure(lines).axes[0].get_yticklabels()][3] == "both, stripes gone"
    lines[0]["classes"]["b"]["exempt"] = True
    assert bench.judged(lines)["clean: lift above 1.5"] is None
    worse = [*lines[:5], gradcamo_line(bench.PULLED, "clean", 0.5, {"a": 2.0, "b": 2.0}, "looks at the cell")]
    assert bench.judged(worse)["pulled: accuracy without stripes higher"] is False


@pytest.mark.long
def test_gradcamo_goes_on_from_what_a_killed_run_has_made_and_mixes_no_settings(monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    bench = importlib.import_module("gradcamo")
    monkeypatch.setattr(bench, "FIELD_PX", 128)
    words = [
        "--seeds",
        "0",
        "--wells",
        "3",
        "--width",
        "4",
        "--images",
        "64",
        "--size-px",
        "32",
        "--folder",
        str(tmp_path),
    ]
    bench.main(words)
    first = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["arm"], line["shown"]) for line in first] == [
        ("clean", "clean"), ("confounded", "confounded"), ("both", "both"), ("both", "clean"),
        (bench.PULLED, bench.PULLED), (bench.PULLED, "clean"),
    ]  # fmt: skip
    assert "attention_outside" in (tmp_path / "seed0" / "both_attention_pulled" / "cells.jsonl").read_text()
    kept = json.loads((tmp_path / "gradcamo.json").read_text())
    assert set(kept["held"]) == {"0"} and (tmp_path / "gradcamo.md").exists() and (tmp_path / "gradcamo.png").exists()
    (tmp_path / "seed0" / "both" / "cells.safetensors").unlink()
    monkeypatch.setattr(bench, "write_plate", lambda *more: pytest.fail("drawn again"))
    bench.main(words)
    again = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    spent = ("wall_s", "cpu_s")
    assert [{key: value for key, value in line.items() if key not in spent} for line in again] == [
        {key: value for key, value in line.items() if key not in spent} for line in first
    ]
    with pytest.raises(SystemExit, match="made with other settings"):
        bench.main([*words, "--images", "65"])


@pytest.fixture
def mitocheck(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    return importlib.import_module("mitocheck")


def test_mitocheck_asks_machines_that_saw_no_movie_of_the_fold(mitocheck):
    cells = pd.DataFrame({"fold": ["fold0"] * 4 + ["fold1"] * 4, "class": list("aaabbbba"), "movie": list("11223344")})
    answers = mitocheck.answers_of(np.zeros((8, 1)), cells, mitocheck.majority)
    assert answers.tolist() == list("bbbbaaaa")  # each the largest class of the other fold
    line = mitocheck.summary("majority", cells, answers)
    assert line["accuracy"][0] == 0.25 and line["balanced_accuracy"][0] == 0.25 and line["movies"] == 4
    assert line["accuracy"][1] <= 0.25 <= line["accuracy"][2] and line["recall"]["a"][0] == 0.25
    told = cells["class"].to_numpy(object)
    assert mitocheck.gained(cells, told, told)["accuracy"] == [0, 0, 0]
    value, low, high = mitocheck.gained(cells, told, answers)["accuracy"]
    assert value == 0.75 and low <= value <= high and low > 0
    apart = mitocheck.regression(np.array([[0.0], [0], [0], [9], [9], [9], [9], [0]]), told, np.arange(8) < 4)
    assert apart.tolist() == told.tolist()


def test_mitocheck_looks_only_at_what_the_bench_has_finished(mitocheck, tmp_path):
    looks = importlib.import_module("mitocheck_looks")
    words = ["--folder", str(tmp_path), "--seeds", "3"]
    with pytest.raises(SystemExit, match=r"crops.tif is not there; run bench/mitocheck.py --folder"):
        looks.main(words)
    write_cells(tmp_path / "crops.tif", wells={"A01": "a", "A02": "b"}, cells=2)
    told = pd.DataFrame({"class": list("aabb"), "called": list("abab")})
    store.write_table(told, tmp_path / "baselines" / "quantiles_and_shape.tsv")
    with pytest.raises(SystemExit, match=r"seed3/.*safetensors is not there; run bench/mitocheck.py.* --seeds 3 first"):
        looks.main(words)


def test_mitocheck_says_why_the_probe_is_skipped_and_mixes_no_settings(mitocheck, tmp_path):
    args = argparse.Namespace(lite0=None, packages=None, folder=tmp_path, cores=1)
    assert mitocheck.unavailable(args) == "--lite0 names no weights"
    args.lite0 = tmp_path / "lite0.pth"
    assert mitocheck.unavailable(args) == f"{args.lite0} is not there"
    args.lite0.touch()
    assert "no package efficientnet_lite_pytorch; give --packages" in mitocheck.unavailable(args)
    (tmp_path / "efficientnet_lite_pytorch.py").touch()
    args.packages = tmp_path
    assert mitocheck.unavailable(args) == ""
    (tmp_path / "cells.csv").touch()
    cells = pd.DataFrame({"fold": [], "class": [], "movie": [], "number": []})
    kept = tmp_path / "seed1" / "settings.json"
    kept.parent.mkdir()
    kept.write_text('{"images": 7}')
    with pytest.raises(SystemExit, match="made with other settings or crops; delete the folder to begin anew"):
        mitocheck.seed_answers(args, {"images": 8}, 1, cells)


# --- bench/critics.py: what it says of numbers whose truth is known, without a training ---


@pytest.fixture
def critic_studies(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    return importlib.import_module("critic_studies")


def layout() -> pd.DataFrame:
    """Return the plate of BBBC013: rows are compounds, columns doses, in opposite directions for its top doses."""
    rows = []
    for row, column in itertools.product("ABCDEFGH", range(1, 13)):
        first = row in "ABCD"
        top, compound = (12, "wortmannin") if first else (1, "LY294002")
        untreated = column in (1, 2) if first else column in (2, 12)
        um = (
            0.0
            if untreated
            else (0.15 if first else 80.0)
            if column == top
            else (9.765625e-4 if first else 0.3125) * 2 ** (column - 3)
        )
        role = "positive_control" if column == top else "negative_control" if untreated else "dose"
        rows.append(
            {"well": f"{row}{column:02d}", "compound": compound, "um": um, "role": role, "row": row, "column": column}
        )
    return pd.DataFrame(rows).set_index("well")


def values_of(critic_studies, info, number):
    wells = pd.DataFrame(
        {"Metadata_Well": info.index, "x": number, "noise": np.random.default_rng(0).normal(size=len(info))}
    )
    return critic_studies.matrix(wells, info)


def test_the_column_control_tells_a_dose_from_a_place_on_the_plate(critic_studies):
    info = layout()
    treated = values_of(critic_studies, info, (info["um"] > 0) * 5.0)
    place = values_of(critic_studies, info, info["column"].to_numpy() * 2.0)
    questions = list(critic_studies.QUESTIONS)
    both, opposed = (critic_studies.QUESTIONS[name] for name in questions[2:])
    assert critic_studies.auc_of(both(*treated)) == 1.0 and len(both(*treated)) == 12
    assert critic_studies.auc_of(opposed(*place)) == 0.0 and len(opposed(*place)) == 8
    assert set(both(*place)["row"]) == set("EFGH")


def test_a_low_dose_is_read_on_the_axis_of_the_controls(critic_studies):
    info = layout()
    half = info["um"] / (info["um"] + info["compound"].map({"wortmannin": 0.012, "LY294002": 5.0}))
    for question in list(critic_studies.QUESTIONS)[:2]:
        wells = critic_studies.QUESTIONS[question](*values_of(critic_studies, info, half * 20))
        assert (wells["class"] == "+").sum() == 4 and (wells["class"] == "-").sum() == 16
        assert critic_studies.auc_of(wells) > 0.9


def test_a_rate_is_measured_once_and_kept(critic_studies, tmp_path):
    rates = iter([2.0, 50.0])
    path = tmp_path / "rate.json"
    assert critic_studies.images_for(path, 0.5, lambda: next(rates), 16) == critic_studies.images_for(
        path, 0.5, lambda: next(rates), 16
    )
    assert critic_studies.images_for(path, 10, None, 16) == 1200 and critic_studies.images_for(path, 0, None, 16) == 64


def test_nothing_is_claimed_of_a_critic_whose_interval_does_not_say_so_in_every_seed(critic_studies):
    critics = importlib.import_module("critics")
    row = {
        "data": "d",
        "question": "q",
        "metric": "auc",
        "space": "critic_untrained",
        "value": 0.5,
        "low": 0.4,
        "high": 0.6,
    }
    sure, unsure = {"gain": 0.2, "gain_low": 0.1, "gain_high": 0.3}, {"gain": 0.2, "gain_low": -0.1, "gain_high": 0.5}
    both = critics.one_table([{**row, "seed": 1, **sure}, {**row, "seed": 2, **sure}])
    assert critics.claims(both) == ["d, q (auc): the critic is better than Untrained critic."]
    once = critics.one_table([{**row, "seed": 1, **sure}, {**row, "seed": 2, **unsure}])
    assert critics.claims(once) == ["d, q (auc): the critic is told from no other space."]
    assert critics.figure(once).axes
