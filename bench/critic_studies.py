"""Studies of a critic learnt without labels beside all that it must beat, made for bench/critics.py: simulated plates, BBBC013."""

from __future__ import annotations

import copy
import json
import os
import shutil
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from bbbc013 import write_images
from studies import ROOT
from translated_studies import rate_of, read_study, run_stages

from brightpaint import store
from brightpaint.base import resampling
from brightpaint.models import train_gan
from brightpaint.models.compute import Compute
from brightpaint.models.objectives.gan_losses import ADAM, CRITIC, GENERATOR, Adversarial, Scale
from brightpaint.models.unlabelled import open_images
from brightpaint.profiles.held_out import FOLDS, deal, splits_of
from brightpaint.profiles.separation import auc_interval, cross_fit, share_intervals
from brightpaint.report.tables.spaces_table import auc_of, gained
from brightpaint.study import critics
from brightpaint.study.spaces import SPACES
from brightpaint.study.study import Study

WARM, TIMED = 1, 16  # steps that measure a rate: every sixteenth is regularised
LOOKS = 4  # of a training
AUC_DRAWS = 1000
VARIATION = "pooled variation of GFP"
CRITIC_SPACE = critics.ENCODERS[critics.TRAINED].space
LARGE = 1_000_000  # bytes, from which a file is linked rather than copied


def loaded(study: dict, folder: Path) -> Study:
    """Return a study's settings with their defaults; its plate table lies in `folder`."""
    return Study.load(
        copy.deepcopy({**study, "plates": str(folder / "plates.tsv")}), ROOT / "workflow" / "schemas", folder
    )


def gan_rate(stacks: Sequence[Path], tables: Sequence[Path], settings: dict) -> float:
    """Return the images a second of CPU at which a generator and its critic train here."""
    how = Compute(prefetch=0)
    settings = {**settings, "crop_px": settings["size_px"], "warmup_images": 0, "decay": "constant"}
    data = open_images(Namespace(settings=settings, stacks=stacks, fields=tables))
    generator, critic = train_gan.initial(settings, how)
    weights = {key: settings[key] for key in ("r1", "path_length", "mixing")}
    objective = Adversarial(generator, Scale(settings["windows"]), **weights)
    networks = {GENERATOR: generator, CRITIC: critic}
    return rate_of(train_gan.GanTraining(networks, objective, settings, how, adam=ADAM), data, WARM, TIMED)


def images_for(path: Path, minutes: float, rate: Callable[[], float], batch: int) -> int:
    """Return how many images are trained on in so many minutes of one core; the rate is measured once, and kept at `path`."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"images_per_s": rate()}))
    return max(4 * batch, int(json.loads(path.read_text())["images_per_s"] * 60 * minutes / batch) * batch)


def gan_settings(study: Study, channels: list[str], **changes) -> dict:
    """Return the settings of a training as its rule gives them."""
    chosen = {key: study.config["gan"][key] for key in critics.TRAINING} | changes
    return chosen | {
        "channels": {"input": [], "target": channels},
        "windows": [study.config["gan"]["window"]] * len(channels),
    }


def of_simulated(folder: Path, args: Namespace) -> tuple[dict, str]:
    """Return config/gan.yaml as a study, and its plate table."""
    return read_study("gan")


def of_bbbc013(folder: Path, args: Namespace) -> tuple[dict, str]:
    """Return config/bbbc013.yaml as one plate without models, and its plate table; wells are unpacked once."""
    study, _ = read_study("bbbc013")
    source = write_images(folder / "images", args.images / "bbbc013_translocation")
    study |= {"source": {**study["source"], **source}, "folds": [], "models": [], "arms": [], "doses": {}}
    return study, "plate\trole\tbarcode\nBBBC013\tstudy\tBBBC013\n"


def linked(source: str, target: str) -> None:
    """Copy a file, a large one by a link: what makes it anew writes another file."""
    (os.link if os.path.getsize(source) > LARGE else shutil.copy2)(source, target)


def seed_studies(
    name: str, made: Callable, targets: Callable, args: Namespace
) -> Iterator[tuple[int, Path, list[dict]]]:
    """Make a study of each seed; yield the seed, its results, and a line a stage of what was spent.

    Plates, cells and what no seed changes are the first seed's, whose files the others begin with.
    """
    base, first = args.folder / name, None
    for seed in args.seeds:
        folder = base / f"seed_{seed}"
        study, plates = made(base, args)
        study["gan"] = {
            **study.get("gan", {}),
            **GAN,
            "seed": seed,
            "imagenet": args.lite0 and str(args.lite0.resolve()),
        }
        study["compute"] = {**study["compute"], "device": "cpu", "save_every_s": 60}
        if first and not folder.exists():
            begun = folder.with_name(folder.name + ".begun")
            shutil.rmtree(begun, ignore_errors=True)
            shutil.copytree(
                first, begun, symlinks=True, copy_function=linked, ignore=shutil.ignore_patterns("locks", "*.json")
            )
            begun.rename(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "plates.tsv").write_text(plates)
        whole = loaded(study, folder)
        batch = study["gan"]["batch"]
        if not (base / "rate.json").exists():
            list(run_stages(folder, study, plates, cores=args.cores, last="plates", stages={"plates": ["plates"]}))
        seen = critics.trained_plates(whole)
        stacks, tables = (
            [folder / "results" / part.format(plate) for plate in seen]
            for part in ("images/real/{}.tif", "fields/{}.parquet")
        )
        rate = lambda: gan_rate(stacks, tables, gan_settings(whole, critics.seen_channels(whole), seed=0))  # noqa: B023, E731
        images = images_for(base / "rate.json", args.minutes, rate, batch)
        study["gan"] |= {
            "images": images,
            "validate_every_images": max(batch, images // LOOKS),
            "ema_images": max(batch, images // 20),
        }
        whole = loaded(study, folder)
        lines = list(run_stages(folder, study, plates, cores=args.cores, last="numbers",
                                stages={"plates": ["plates"], "numbers": targets(whole)}))  # fmt: skip
        first = first or folder
        yield seed, folder / "results", [{"images": images, **line} for line in lines]


GAN = {"preset": "small", "size_px": 64, "batch": 16}


def spaces_of(study: Study) -> list[str]:
    """Return the spaces of real wells that a study makes."""
    return [space.name for space in SPACES.values() if "real" in space.arms(study)]


def simulated_targets(study: Study) -> list[str]:
    """Return what a simulated study is asked for: its table of spaces, curves of every space, and samples."""
    curves = [f"results/axis/health/real/{space}.doses.tsv" for space in spaces_of(study)]
    return ["results/tables/spaces.tsv", *curves, "results/gan/samples.png"]


def profile_targets(study: Study) -> list[str]:
    """Return the wells of every space, and samples."""
    return [*(f"results/profiles/real/{space}/wells.parquet" for space in spaces_of(study)), "results/gan/samples.png"]


# --- simulated plates: what the report's own table says, and curves beside the truth ---


def truth_of(folder: Path) -> pd.DataFrame:
    """Return one row a compound of the simulator: its kind and half-effect dose."""
    paths = sorted((folder / "resources" / "truth").glob("*.tsv"))
    wells = pd.concat([store.read_table(path) for path in paths], ignore_index=True)
    wells = wells[wells["kind"].fillna("") != ""].assign(half_um=lambda frame: frame["half_um"].astype(float))
    return wells.groupby("Metadata_perturbation")[["kind", "half_um", "censored"]].first()


def share_row(hits: np.ndarray, seed: str) -> dict:
    """Return a share of compounds with its 95% interval (Jeffreys')."""
    if not len(hits):
        return {"value": np.nan, "low": np.nan, "high": np.nan, "n": 0}
    labels = np.ones(len(hits), int)
    low, high = share_intervals(labels, hits.astype(int), np.arange(len(hits)), resampling.seeded(seed))["accuracy"]
    return {"value": float(hits.mean()), "low": low, "high": high, "n": len(hits)}


def curve_rows(results: Path, space: str, truth: pd.DataFrame) -> list[dict]:
    """Return, of a space's curves along the axis, the shares of active and inert compounds with one, and of half effects found."""
    curves = store.read_table(results / "axis" / "health" / "real" / f"{space}.doses.tsv")
    curves = curves.join(truth, on="Metadata_perturbation", how="inner", rsuffix="_true")
    curved = (curves["status"] == "fitted").to_numpy()
    inert, rows = (curves["kind"] == "inert").to_numpy(), []
    known = curved & ~inert & (curves["censored"].astype(float) == 0).to_numpy()
    fold = np.abs(np.log2(curves["half_um"].astype(float) / curves["half_um_true"].astype(float))).to_numpy()
    for metric, hits in (("active with a curve", curved[~inert]), ("inert with a curve", curved[inert]),
                         ("half effect within a factor of two", fold[known] <= 1)):  # fmt: skip
        rows.append(
            {"question": "dose curves", "metric": metric, "space": space, **share_row(hits, f"{space}/{metric}")}
        )
    return rows


def simulated_rows(results: Path) -> list[dict]:
    """Return the rows of a finished simulated study."""
    table = store.read_table(results / "tables" / "spaces.tsv")
    rows = (
        table.rename(columns={"wells": "n", "shuffled": "null"})
        .drop(columns=["arm", "protocol", "p"])
        .to_dict("records")
    )
    truth = truth_of(results.parent)
    return rows + [row for space in dict.fromkeys(table["space"]) for row in curve_rows(results, space, truth)]


# --- BBBC013 ---

LOW = {"wortmannin": 0.0078125, "LY294002": 2.5}  # micromolar, where pooled numbers begin to fail
ROWS = "ABCD", "EFGH"  # in which the highest dose lies in column 12, and in column 1


def described(images: Path) -> pd.DataFrame:
    """Return one row a well: compound, dose in micromolar, row and column of the plate."""
    wells = pd.read_csv(images / "bbbc013_translocation" / "wells.csv")
    um = wells["dose"].where(wells["unit"] == "uM", wells["dose"] / 1000)
    return wells.assign(um=um).set_index("well")[["compound", "um", "role", "row", "column"]]


def variation(results: Path) -> pd.DataFrame:
    """Return the coefficient of variation of GFP of each field, about its own dark level, as a table of wells."""
    stack = store.open_stack(results / "images" / "real" / "BBBC013.tif")
    rows = store.read_fields(results / "fields" / "BBBC013.parquet")
    (channel,) = stack.select(rows).channel_indices(["GFP"])
    lit = [np.asarray(image[channel], np.float64) for image in stack.select(rows).images]
    values = [image.std() / (image - np.percentile(image, 1)).mean() for image in lit]
    return pd.DataFrame({"Metadata_Well": rows["Metadata_Well"], "cv": values})


def matrix(wells: pd.DataFrame, info: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """Return what is known of the wells of a space, in the order of their names, and its finite numbers (n, p)."""
    wells = wells.set_index("Metadata_Well").reindex(info.index).dropna(how="all")
    values = wells[[name for name in wells if not name.startswith("Metadata_")]].to_numpy(np.float64)
    return info.loc[wells.index], values[:, np.isfinite(values).all(0)]


def placed(info: pd.DataFrame, values: np.ndarray, labels: np.ndarray, fold: np.ndarray, name: str) -> pd.DataFrame:
    """Return how far each well lies along the axis from class 0 to 1, `on`, by machines that it was held out of."""
    groups = info.index.to_numpy(str)
    told = cross_fit(list(splits_of(values, labels, fold, None)), labels, groups, name)
    return info.assign(on=told.distance, group=groups)


def low_dose(info: pd.DataFrame, values: np.ndarray, compound: str) -> pd.DataFrame:
    """Place the wells of a low dose (+) and the untreated (-) on the axis from untreated to the positive controls."""
    untreated, control = (info["um"] == 0).to_numpy(), (info["role"] == "positive_control").to_numpy()
    labels = np.where(untreated, 0, np.where(control, 1, -1))
    fold, name = np.full(len(labels), -1), "bbbc013"
    fold[labels >= 0] = deal(labels[labels >= 0], info.index.to_numpy(str)[labels >= 0], FOLDS, name)
    wells = placed(info, values, labels, fold, name)
    dose = (wells["compound"] == compound) & np.isclose(wells["um"], LOW[compound], rtol=0.01)
    return wells.assign(**{"class": np.where(dose, "+", np.where(untreated, "-", ""))}).query("`class` != ''")


def other_side(info: pd.DataFrame, values: np.ndarray, columns: Sequence[int]) -> pd.DataFrame:
    """Fit the axis on rows A to D, top dose in column 12; place E to H, top dose in column 1 (+), untreated in `columns` (-)."""
    row, column = info["row"].to_numpy(), info["column"].to_numpy()
    untreated = (info["um"] == 0).to_numpy()
    fitted, read = (np.isin(row, list(rows)) for rows in ROWS)
    labels = np.full(len(info), -1)
    labels[(fitted & untreated) | (read & untreated & np.isin(column, columns))] = 0
    labels[(fitted & (column == 12)) | (read & (column == 1))] = 1
    wells = placed(info, values, labels, np.where(read & (labels >= 0), 0, -1), "bbbc013/columns")
    return wells.assign(**{"class": np.where(labels == 1, "+", "-")})[read & (labels >= 0)]


QUESTIONS = {
    "wortmannin 7.8 nM against untreated": lambda *wells: low_dose(*wells, "wortmannin"),
    "LY294002 2.5 uM against untreated": lambda *wells: low_dose(*wells, "LY294002"),
    "rows E-H by rows A-D, untreated in columns 2 and 12": lambda *wells: other_side(*wells, (2, 12)),
    "rows E-H by rows A-D, untreated in column 12": lambda *wells: other_side(*wells, (12,)),
}


def bbbc013_rows(results: Path, info: pd.DataFrame) -> list[dict]:
    """Return the rows of a finished study of BBBC013: AUC by well of every space, and what the critic gains over it."""
    paths = {path.parent.name: path for path in sorted((results / "profiles" / "real").glob("*/wells.parquet"))}
    tables = {name: store.read_table(path) for name, path in paths.items()} | {VARIATION: variation(results)}
    wells, rows = {name: matrix(table, info) for name, table in tables.items()}, []
    for question, asked in QUESTIONS.items():
        sides = {name: asked(*own) for name, own in wells.items()}
        for name, own in sides.items():
            labels = (own["class"] == "+").to_numpy().astype(int)
            rng = resampling.seeded("bbbc013", question, "auc")
            low, high = auc_interval(labels, own["on"].to_numpy(), own["group"].to_numpy(), rng, AUC_DRAWS)
            row = {"question": question, "metric": "auc", "space": name, "value": auc_of(own), "low": low, "high": high,
                   "null": 0.5, "n": len(own)}  # fmt: skip
            if name != CRITIC_SPACE:
                found = gained(sides[CRITIC_SPACE], own, auc_of, f"bbbc013/{question}")
                row |= dict(zip(("gain", "gain_low", "gain_high"), found))
            rows.append(row)
    return rows


def config_of(name: str) -> Study:
    """Return a shipped config with its defaults."""
    return Study.load(
        yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text()), ROOT / "workflow" / "schemas", ROOT
    )
