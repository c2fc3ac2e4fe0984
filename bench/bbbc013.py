"""Real untreated cells shown at every dose of two PI3K inhibitors (BBBC013), beside real wells: does translocation follow dose?

    python bench/bbbc013.py out --images /data/bbbc013_translocation --minutes 20 --seeds 1 2 3 --cores 2

A study a seed from config/bbbc013.yaml, all of it by the workflow's own rules: rows A to C and E to G train, and untreated fields
of the held-out rows D and H (wells D01, D02, H02, H12) are shown as every dose. --minutes is the training's CPU time; the images
that go into it are measured once and kept. A rerun goes on where it was: finished seeds and stages are not begun again.

Of each translated, freshly painted and real well: the median over nuclei of mean GFP within over mean GFP in a ring of 5 px about
it (each image less its 1st percentile, as the pipelines measure). Of each compound: Spearman's correlation with dose and the
half-effect dose of a Hill curve from untreated (of translations: from the reconstruction), with intervals over source wells, over
real wells of each dose for real ones. And how far nuclei lie on those of their source, beside fresh noise's. Writes
bbbc013.json, bbbc013.md (with the sentence that README may claim, or why it may not) and bbbc013.png.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from dose_series import RING_PX, SLOPES, half_effect, own_wells, ratio_noise
from scipy.ndimage import distance_transform_edt
from scipy.ndimage import mean as mean_of
from scipy.stats import spearmanr
from translated_studies import images_for, markdown, read_study, run_stages

from brightpaint import store
from brightpaint.base import resampling
from brightpaint.features.embedders.vectors import open_rows
from brightpaint.models.paint.class_choice import dose_of
from brightpaint.plates import tabulate
from brightpaint.profiles.hill import rough_fit
from brightpaint.report.style import LINES, STYLE, save
from brightpaint.scores.translation import image_pairs
from brightpaint.scores.translation.class_distance import FRESH, RECONSTRUCTION, TRANSLATION
from brightpaint.scores.translation.image_pairs import UNRELATED
from brightpaint.study.annotations import DMSO
from brightpaint.study.translations import PREFIX

TRAINED, HELD = "BBBC013_ABCEFG", "BBBC013_DH"
ARM, REAL, OBJECTS = "doses", "real", "Nuclei"
WELLS = ("D01", "D02", "H02", "H12")
RESAMPLES, FACTOR = 200, 2.0
KINDS = {REAL: (LINES[6], "o", "real wells, all rows"), TRANSLATION: (LINES[1], "s", "translated untreated fields"),
         FRESH: (LINES[2], "D", "fresh noise, no source")}  # fmt: skip


def write_images(folder: Path, images: Path) -> dict:
    """Unpack the wells once for all seeds, as config/bbbc013.yaml says; return where the study finds them."""
    folder, table = folder.resolve(), folder.resolve() / "images.csv"
    if not table.exists():
        folder.mkdir(parents=True, exist_ok=True)
        own_wells(folder / "wells.csv", images / "wells.csv")
        tabulate.main([str(images), "--unpack", str(folder / "single"), "--table", str(table), "--channels", "GFP", "DNA",
                       "--plate", "BBBC013", "--metadata", str(folder / "wells.csv")])  # fmt: skip
    return {"url": str(folder / "single"), "table": str(table)}


def study_of(seed: int, source: dict, args: argparse.Namespace) -> tuple[dict, str]:
    """Return the study of one training seed and its plate table; the images of its training are filled in by the caller.

    With --grid 2 fields are cut into quarters, one of which is translated of each source well: a quarter of the cost.
    """
    study, plates = read_study("bbbc013")
    arm = {**study["arms"][0], "steps": args.steps, "seed": seed}
    if args.grid > 1:
        study["prepare"] |= {"grid": [args.grid, args.grid], "size_px": study["prepare"]["size_px"] // args.grid}
        arm["translate"] = {**arm["translate"], "fields": len(WELLS)}
    study |= {"source": {**study["source"], **source}, "arms": [arm], "train": {**study["train"], "seed": seed}}
    study["sample"] = {**study["sample"], "parts": args.cores}
    study["cellprofiler"] = {**study["cellprofiler"], "parts": args.cores}
    return study, plates


def ring_ratios(gfp: np.ndarray, labels: np.ndarray, ring_px: int = RING_PX) -> np.ndarray:
    """Return each nucleus's mean GFP over that of the ring about it, NaN where that is not above 0.

    Parameters
    ----------
    gfp : (H, W) in any unit; its 1st percentile is taken for no light
    labels : (H, W) of nuclei, 0 outside
    """
    numbers = np.unique(labels[labels > 0])
    if not len(numbers):
        return np.zeros(0)
    light = np.maximum(gfp.astype(np.float64) - np.percentile(gfp, 1), 0.0)
    distance, (rows, columns) = distance_transform_edt(labels == 0, return_indices=True)
    rings = np.where((distance > 0) & (distance <= ring_px), labels[rows, columns], 0)
    inside, about = mean_of(light, labels, numbers), mean_of(light, rings, numbers)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(about > 0, inside / about, np.nan)


def nuclei_of(results: Path, arm: str, plate: str) -> pd.DataFrame:
    """Return one row a nucleus of an arm's plate: `well, class, ratio`."""
    table = results / ("fields" if arm == REAL else f"images/{arm}") / f"{plate}.parquet"
    stack, rows = open_rows(results / "images" / arm / f"{plate}.tif", table)
    (channel,), found = stack.channel_indices(["GFP"]), []
    keys = store.row_keys(rows)
    with store.open_masks(results / "masks" / arm / f"{plate}.tif") as masks:
        own = store.row_keys(masks.fields)
        places = {tuple(map(str, row)): n for n, row in enumerate(masks.fields[own].itertuples(index=False))}
        for n, row in enumerate(rows.to_dict("records")):
            name = row["Metadata_painted_as"] if arm != REAL else row["Metadata_treatment"]
            labels = masks.read(places[tuple(str(row[key]) for key in keys)], OBJECTS)
            ratios = ring_ratios(np.asarray(stack.images[n][channel], np.float32), labels)
            found.append(pd.DataFrame({"well": row["Metadata_Well"], "class": name, "ratio": ratios}))
    return pd.concat(found, ignore_index=True)


def well_ratios(nuclei: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Return the median ratio of each well and class: `kind, well, class, compound, dose, ratio, nuclei`; untreated has dose 0."""
    table = nuclei.dropna().groupby(["well", "class"])["ratio"].agg(["median", "size"]).reset_index()
    doses = [(DMSO, 0.0) if name == DMSO else dose_of(name) for name in table["class"]]
    table[["compound", "dose"]] = pd.DataFrame(doses, index=table.index)
    return table.rename(columns={"median": "ratio", "size": "nuclei"}).assign(kind=kind)


def overlaps(results: Path, source: str = DMSO) -> pd.DataFrame:
    """Say how far nuclei of every translated and freshly painted row lie on its source's: `well, class, reference, f1, dice`."""
    path, rows = results / "images" / ARM / f"{HELD}.parquet", []
    sources = store.read_fields(path)
    sources = sources[sources["Metadata_painted_as"] == source].reset_index(drop=True)
    with store.open_masks(results / "masks" / REAL / f"{HELD}.tif") as real:
        for kind, arm in ((TRANSLATION, ARM), (FRESH, PREFIX + ARM)):
            with store.open_masks(results / "masks" / arm / f"{HELD}.tif") as images:
                rows += image_pairs.object_rows(real, images, sources, kind, source)
    table = pd.DataFrame(rows).rename(columns={"Metadata_Well": "well"})
    return table[["well", "class", "reference", "f1", "dice"]]


def dose_wells(folder: Path) -> set[str]:
    """Return the wells of the dose series; the positive controls, one at a dose of its own, are no part of the real curve."""
    wells = pd.read_csv(folder / "wells.csv")
    return set(wells.loc[wells["role"] == "dose", "well"])


def said(own: pd.DataFrame, zero: np.ndarray, half: Callable = half_effect) -> dict[str, float]:
    """Return `spearman, half_um, zero, top` of one compound's wells beside untreated ones."""
    dose, ratio = own["dose"].to_numpy(), own["ratio"].to_numpy()
    top = own.loc[own["dose"] == own["dose"].max(), "ratio"].mean()
    return {"spearman": float(spearmanr(dose, ratio)[0]), "half_um": float(half(dose, ratio, zero)),
            "zero": float(zero.mean()), "top": float(top)}  # fmt: skip


def rough_half(dose: np.ndarray, ratio: np.ndarray, zero: np.ndarray) -> float:
    """Return `half_effect` to the 12% of its grid, in a hundredth of the time: for resamples."""
    return rough_fit(dose, ratio - zero.mean(), ratio_noise(ratio, zero), slopes=SLOPES)[0]


def resampled(
    own: pd.DataFrame, zero: pd.DataFrame, *, tied: bool, rng: np.random.Generator
) -> tuple[pd.DataFrame, np.ndarray]:
    """Draw wells anew: source wells, the same at every dose (`tied`), or real wells within each dose."""
    if tied:
        wells = rng.choice(zero["well"].to_numpy(), len(zero))
        by = dict(tuple(own.groupby("well")))
        return pd.concat([by[well] for well in wells]), zero.set_index("well").loc[wells, "ratio"].to_numpy()
    picked = [part.iloc[rng.integers(len(part), size=len(part))] for _, part in own.groupby("dose")]
    return pd.concat(picked), rng.choice(zero["ratio"].to_numpy(), len(zero))


def compound_rows(table: pd.DataFrame, seed: object, resamples: int = RESAMPLES) -> list[dict]:
    """Sum one kind's wells up: a row a compound, see `said`, each number with `_low` and `_high`.

    Intervals of half effects leave out resamples whose wells do not rise (no dose is half of nothing); `rising` is the share
    of those that do.
    """
    kind, zero, rows = table["kind"].iloc[0], table[table["dose"] == 0], []
    for name, own in table[table["dose"] > 0].groupby("compound", sort=True):
        row, rng = (
            {"kind": kind, "compound": name, **said(own, zero["ratio"].to_numpy())},
            resampling.seeded(seed, kind, name),
        )
        draws = [said(*resampled(own, zero, tied=kind != REAL, rng=rng), rough_half) for _ in range(resamples)]
        rising = [draw for draw in draws if draw["spearman"] > 0]
        for key in ("spearman", "half_um"):
            values = np.array([draw[key] for draw in (rising if key == "half_um" else draws)])
            row[f"{key}_low"], row[f"{key}_high"] = resampling.interval(values) if len(values) else (np.nan, np.nan)
        rows.append(
            {
                **row,
                "rising": len(rising) / resamples,
                "wells": own["well"].nunique(),
                "nuclei": int(own["nuclei"].sum()),
            }
        )
    return rows


def overlap_row(table: pd.DataFrame, seed: object) -> dict:
    """Return mean nuclei F1 over doses of each reference, and translations' less fresh noise's with its interval over wells."""
    doses = table[(table["class"] != DMSO) | (table["reference"] == RECONSTRUCTION)]
    means = doses.groupby("reference")["f1"].mean()
    by = doses.pivot_table(index="well", columns="reference", values="f1")
    gap = (by[TRANSLATION] - by[FRESH]).to_numpy()
    low, high = resampling.bootstrap_ratio(gap, np.ones(len(gap)), by.index, resampling.seeded(seed, "overlap"))
    named = {f"f1 {name}": float(means.get(name, np.nan)) for name in (TRANSLATION, RECONSTRUCTION, FRESH, UNRELATED)}
    return {**named, "f1_gain": float(gap.mean()), "f1_gain_low": low, "f1_gain_high": high}


def claim(real: Sequence[dict], seeds: Sequence[dict]) -> tuple[bool, str]:
    """Return whether README may claim that translations follow the dose in real cells, and the sentence that says so or why not.

    The rule: in every seed the half-effect doses of all compounds lie within a factor of two of the real ones, *and* nuclei
    lie on those of their source more than fresh noise's do (the whole interval of the gain above 0).
    """
    true = {row["compound"]: row["half_um"] for row in real}
    off = {}
    for found in seeds:
        for row in found["compounds"]:
            if row["kind"] == TRANSLATION:
                off.setdefault(row["compound"], []).append(row["half_um"] / true[row["compound"]])
    within = all(1 / FACTOR <= ratio <= FACTOR for ratios in off.values() for ratio in ratios)
    gains = [found["overlap"]["f1_gain_low"] for found in seeds]
    kept = all(gain > 0 for gain in gains)
    folds = "; ".join(f"{name} {', '.join(f'{ratio:.2f}' for ratio in ratios)}" for name, ratios in sorted(off.items()))
    f1 = [np.mean([found["overlap"][f"f1 {name}"] for found in seeds]) for name in (TRANSLATION, FRESH)]
    told = (f"Half-effect doses of translated untreated cells over the real ones, seed by seed: {folds}; nuclei F1 with their "
            f"source {f1[0]:.2f}, fresh noise's {f1[1]:.2f}.")  # fmt: skip
    if within and kept:
        return True, f"On real cells (BBBC013) translations follow the dose and stay in place. {told}"
    why = [*([] if within else [f"a half-effect dose is not within a factor of {FACTOR:g}"]),
           *([] if kept else ["nuclei lie on their source's no more than fresh noise's"])]  # fmt: skip
    return False, f"Nothing is claimed of real cells (BBBC013): {' and '.join(why)}. {told}"


def figure(wells: pd.DataFrame, overlap: pd.DataFrame) -> plt.Figure:
    """Draw the ratio against dose of both compounds, and nuclei F1 against dose; thin lines are seeds, bars all wells and seeds."""
    compounds = sorted(set(wells["compound"]) - {DMSO})
    drawn, axes = plt.subplots(1, len(compounds) + 1, figsize=(4.3 * (len(compounds) + 1), 3.9), layout="constrained")
    for axis, name in zip(axes, compounds):
        for kind, (colour, marker, words) in KINDS.items():
            own = wells[(wells["kind"] == kind) & (wells["compound"] == name)]
            zero = wells[(wells["kind"] == kind) & (wells["dose"] == 0)]["ratio"].mean()
            for _, part in own.groupby("seed"):
                axis.plot(part.groupby("dose")["ratio"].mean(), color=colour, linewidth=0.7, alpha=0.5)
            means = own.groupby("dose")["ratio"].agg(["mean", "std"])
            axis.errorbar(means.index, means["mean"], means["std"], color=colour, marker=marker, markersize=4, linewidth=1.5,
                          capsize=2, label=words)  # fmt: skip
            axis.axhline(zero, color=colour, linewidth=0.8, linestyle=":")
        axis.set_xscale("log")
        axis.set_xlabel(f"{name} (µM)")
        axis.set_ylabel("GFP, nucleus over ring")
    axes[0].legend(fontsize=8, frameon=False)
    axes[0].set_title(
        "mean ± s.d. of wells; dotted: untreated, of translations\ntheir reconstruction", fontsize=8, loc="left"
    )
    kinds = {TRANSLATION: LINES[1], FRESH: LINES[2], UNRELATED: LINES[5]}
    for name, line in zip(compounds, ("-", "--")):
        for kind, colour in kinds.items():
            own = overlap[(overlap["reference"] == kind) & (overlap["compound"] == name)]
            axes[-1].plot(own.groupby("dose")["f1"].mean(), line, color=colour, label=f"{kind}, {name}", linewidth=1.4)
    axes[-1].axhline(overlap.loc[overlap["reference"] == RECONSTRUCTION, "f1"].mean(), color="0.3", linestyle=":", linewidth=1,
                     label=RECONSTRUCTION)  # fmt: skip
    axes[-1].set(xscale="log", xlabel="dose (µM)", ylabel="nuclei F1 with the source", ylim=(0, 1))
    axes[-1].legend(fontsize=7, frameon=False, loc="center", bbox_to_anchor=(0.5, 0.3))
    return drawn


def read_seed(results: Path, seed: int, real_wells: set[str]) -> dict[str, pd.DataFrame]:
    """Return the wells' ratios and the nuclei's overlaps of a finished seed; each with `seed`."""
    parts = [
        well_ratios(nuclei_of(results, arm, HELD), kind) for arm, kind in ((ARM, TRANSLATION), (PREFIX + ARM, FRESH))
    ]
    real = pd.concat(
        [well_ratios(nuclei_of(results, REAL, plate), REAL) for plate in (TRAINED, HELD)], ignore_index=True
    )
    parts.append(real[(real["dose"] == 0) | real["well"].isin(real_wells)])
    wells, overlap = pd.concat(parts, ignore_index=True), overlaps(results)
    known = set(
        real.loc[real["well"].isin(real_wells), "class"]
    )  # the positive control's dose is no part of the series
    wells = wells[(wells["dose"] == 0) | wells["class"].isin(known)]
    overlap[["compound", "dose"]] = pd.DataFrame([dose_of(name) for name in overlap["class"]], index=overlap.index)
    return {
        "wells": wells.assign(seed=seed),
        "overlap": overlap[overlap["class"].isin({*known, DMSO})].assign(seed=seed),
    }


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the studies, to write")
    parser.add_argument("--images", type=Path, required=True, help="holds wells/{well}.tif and wells.csv")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--minutes", type=float, default=20.0, help="of a training, on one core")
    parser.add_argument("--train-images", type=int, help="in place of --minutes")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--grid", type=int, default=2, help="fields are cut in so many parts a side; 1: whole")
    parser.add_argument("--cores", type=int, default=2)
    args = parser.parse_args(argv)
    source, tables, lines = write_images(args.folder / "images", args.images), {"wells": [], "overlap": []}, []
    real_wells = dose_wells(args.folder / "images")
    for seed in args.seeds:
        study, plates = study_of(seed, source, args)
        images = args.train_images or images_for(args.folder, args.minutes, [TRAINED], study, plates, cores=args.cores)
        study["train"]["images"] = images
        folder, total = args.folder / f"seed_{seed}", 0.0
        for line in run_stages(folder, study, plates, cores=args.cores):
            total += line["cpu_s"]
            print(json.dumps({"seed": seed, **line}), flush=True)
        found = read_seed(folder / "results", seed, real_wells)
        parts = {kind: own for kind, own in found["wells"].groupby("kind")}
        rows = [row for kind in (TRANSLATION, FRESH) for row in compound_rows(parts[kind], seed)]
        real = compound_rows(parts[REAL], "all rows")
        lines.append(
            {
                "seed": seed,
                "images": images,
                "cpu_s": total,
                "compounds": rows,
                "overlap": overlap_row(found["overlap"], seed),
            }
        )
        print(json.dumps(lines[-1]), flush=True)
        for name, table in found.items():
            tables[name].append(table)
    holds, sentence = claim(real, lines)
    whole = {"real": real, "seeds": lines, "claim": holds, "sentence": sentence}
    (args.folder / "bbbc013.json").write_text(json.dumps(whole, indent=1))
    shown = [{"seed": "", **row} for row in real] + [
        {"seed": line["seed"], **row} for line in lines for row in line["compounds"]
    ]
    overlap = [
        {"seed": line["seed"], "images": line["images"], "CPU minutes": line["cpu_s"] / 60, **line["overlap"]}
        for line in lines
    ]
    (args.folder / "bbbc013.md").write_text("\n".join([sentence, "", markdown(shown), markdown(overlap)]))
    with plt.rc_context(STYLE):
        wells = pd.concat(tables["wells"], ignore_index=True)
        wells = wells[
            (wells["kind"] != REAL) | (wells["seed"] == args.seeds[0])
        ]  # real wells are the same in every seed
        save(figure(wells, pd.concat(tables["overlap"], ignore_index=True)), args.folder / "bbbc013.png", 110)
    print(sentence)


if __name__ == "__main__":
    main()
